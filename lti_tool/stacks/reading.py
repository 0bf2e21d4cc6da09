"""Reading the rule of a stack from its fields: which parts, how many of which, in what order, what opens after what.

Everything that could never be fulfilled is refused here, where the author can still see the line.
"""

from collections.abc import Collection, Sequence

from lti_tool.marked_yaml import Section, hint_for
from lti_tool.stacks import rules as stacking
from lti_tool.stacks.rules import Group, Opening, Rule

MOST_PARTS = 20
_KEYS = "the keys of micro-credentials"


def read(entry: Section, known: Collection[str] | None) -> Rule:
    """The rule of one stack; what is wrong with it is noted in the section, and left out of what comes back.

    :param known: keys of the micro-credentials that there are; None where that cannot be told.
    """
    by_groups = entry.has("rule")
    found: list[str] = []
    groups = _groups(entry, known, found)
    in_order = entry.truth("in_order", default=False)
    if entry.fits("parts", not by_groups, only_with="where there is no rule"):
        parts = _keys(entry, "parts", known, found, least=2)
        # The parts are one group, so "in order" can only mean one part after the other.
        groups = [Group(len(parts), parts, in_order)] if parts else []
    rule = Rule(tuple(groups), in_order and by_groups, _openings(entry, known, found))
    if by_groups and len(rule.parts) == 1:
        entry.problem("rule", "names one micro-credential; a stack needs at least 2")
    _must_open(entry, rule)
    return rule


def _groups(entry: Section, known: Collection[str] | None, found: list[str]) -> list[Group]:
    groups = []
    for group in entry.sections("rule", what="groups", most=10):
        take = group.whole_or("take", "all", 1, MOST_PARTS)
        parts = _keys(group, "of", known, found, least=1)
        takes_all = take is None
        in_order = group.fits("in_order", takes_all, only_with="take: all") and group.truth(
            "in_order", default=False
        )
        group.close()
        if take is not None and parts and take > len(parts):
            message = f"is {take}, but of names only {len(parts)}; name more of them, or take fewer"
            group.problem("take", message)
        if parts:
            groups.append(Group(len(parts) if take is None else min(take, len(parts)), parts, in_order))
    return groups


def _keys(
    entry: Section, name: str, known: Collection[str] | None, found: list[str], *, least: int
) -> tuple[str, ...]:
    """Parts of the stack. ``found`` grows by them, since no part may stand in a stack twice."""
    keys = []
    for key, path, line in entry.texts(name, what="micro-credentials", least=least, most=MOST_PARTS):
        if key in found:
            entry.note(line, path, f'"{key}" stands here twice; keep one')
        elif key and known is not None and key not in known:
            entry.note(line, path, f'no micro-credential has the key "{key}"; {hint_for(key, [*known])}')
        elif key:
            found.append(key)
            keys.append(key)
    return tuple(keys)


def _openings(entry: Section, known: Collection[str] | None, parts: Sequence[str]) -> tuple[Opening, ...]:
    openings: dict[str, Opening] = {}
    for opening in entry.sections("opens", what="openings", most=MOST_PARTS):
        part = opening.slug("part", needs="the key of a part of this stack")
        after = _before(opening, "after", part, known, parts)
        after += _before(opening, "after_outside", part, known, parts)
        opening.close()
        if part and part not in parts:
            opening.problem("part", f'"{part}" is no part of this stack; {hint_for(part, parts)}')
        elif part in openings:
            opening.problem("part", f'"{part}" stands here twice; name all that it waits for in one place')
        elif not opening.has("after") and not opening.has("after_outside"):
            opening.problem("after", f"is missing; add {_KEYS} that must be held first")
        elif after:
            openings[part] = Opening(part, after)
    return tuple(openings.values())


def _before(
    opening: Section, name: str, part: str, known: Collection[str] | None, parts: Sequence[str]
) -> tuple[str, ...]:
    """What must be held first: parts of the stack, or, by a name of their own, micro-credentials outside of it."""
    outside = name == "after_outside"
    keys: list[str] = []
    for key, path, line in opening.texts(name, what="micro-credentials", least=0, most=MOST_PARTS):
        if not key:
            continue
        if key in keys:
            opening.note(line, path, f'"{key}" stands here twice; keep one')
        elif key == part:
            opening.note(line, path, f'"{key}" cannot wait for itself; remove it')
        elif outside and key in parts:
            opening.note(line, path, f'"{key}" is a part of this stack; name it under after')
        elif not outside and key not in parts:
            message = f'"{key}" is no part of this stack; {hint_for(key, parts)}'
            opening.note(
                line, path, f"{message} If it is to be earned elsewhere, name it under after_outside"
            )
        elif outside and known is not None and key not in known:
            opening.note(line, path, f'no micro-credential has the key "{key}"; {hint_for(key, [*known])}')
        else:
            keys.append(key)
    return tuple(keys)


def _must_open(entry: Section, rule: Rule) -> None:
    waiting = stacking.circle(rule)
    if not waiting:
        return
    steps = [
        f'"{part}" waits for "{after}"'
        for part, after in zip(waiting, (*waiting[1:], waiting[0]), strict=True)
    ]
    field = "opens" if entry.has("opens") else "in_order"
    entry.problem(field, f"never lets everything open: {', and '.join(steps)}; take one of these out")
