"""What a stack asks, and how far somebody is on the way: pure, in keys of micro-credentials.

What is held counts, whenever and wherever it was earned: order and prerequisites say when a part may be *begun* from
the stack, never that something earned does not count. So a held part more never takes a complete stack away, and
neither does retiring one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = [
    "Group",
    "GroupProgress",
    "Opening",
    "PartProgress",
    "PartState",
    "Published",
    "Rule",
    "StackProgress",
    "circle",
    "group_in_words",
    "in_words",
    "listed",
    "number_in_words",
    "openings_in_words",
    "possible",
    "progress",
    "suggestion",
    "that_applies",
    "why_locked",
]

_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Group:
    """``take`` of the ``parts``; as many as there are means all of them."""

    take: int
    parts: tuple[str, ...]
    in_order: bool = False
    """Each part opens when the one before it is held; only where all are taken."""

    @property
    def all(self) -> bool:
        """Whether every part is asked for."""
        return self.take == len(self.parts)


@dataclass(frozen=True)
class Opening:
    """A part that opens only when all of ``after`` are held; these may stand outside the stack."""

    part: str
    after: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """Every group must be filled. No part stands in two groups."""

    groups: tuple[Group, ...]
    in_order: bool = False
    """A group opens when those before it are complete."""
    openings: tuple[Opening, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """Every part in the order in which it is written."""
        return tuple(part for group in self.groups for part in group.parts)

    @property
    def needed(self) -> int:
        """How many micro-credentials complete the stack."""
        return sum(group.take for group in self.groups)

    @property
    def outside(self) -> tuple[str, ...]:
        """Prerequisites that are no parts."""
        mine = set(self.parts)
        return tuple(key for opening in self.openings for key in opening.after if key not in mine)


class PartState(StrEnum):
    """Where a part is for one person."""

    DONE = "done"
    OPEN = "open"
    LOCKED = "locked"
    CLOSED = "closed"
    """Retired, and neither held nor begun: it cannot be begun any more."""


@dataclass(frozen=True)
class PartProgress:
    """One part of the way."""

    key: str
    state: PartState
    needed: bool
    """Whether the stack still lacks something that this part could fill."""
    waits_for: tuple[str, ...] = ()
    """While locked: what must be held first."""
    waits_for_group: int | None = None
    """While locked by the order of the groups: the place (from 0) of the first group to complete."""


@dataclass(frozen=True)
class GroupProgress:
    """One group of the way; ``missing`` says how many more it takes."""

    group: Group
    parts: tuple[PartProgress, ...]
    missing: int

    @property
    def complete(self) -> bool:
        """Whether it takes no more."""
        return self.missing == 0


@dataclass(frozen=True)
class StackProgress:
    """How far somebody is."""

    groups: tuple[GroupProgress, ...]
    counted: tuple[str, ...]
    """The parts that count: of each group as many as it takes, those held first before the others."""
    possible: bool
    """Whether it is complete or can still become so, with the parts that are not retired."""

    @property
    def more(self) -> int:
        """How many more micro-credentials complete it."""
        return sum(group.missing for group in self.groups)

    @property
    def complete(self) -> bool:
        """Whether the badge of the stack is earned."""
        return self.more == 0

    @property
    def needed(self) -> int:
        """How many micro-credentials it takes in all."""
        return sum(group.group.take for group in self.groups)

    @property
    def parts(self) -> tuple[PartProgress, ...]:
        """Every part, in the rule's order."""
        return tuple(part for group in self.groups for part in group.parts)

    def part(self, key: str) -> PartProgress:
        """One part by its key; KeyError if the stack has none such."""
        for part in self.parts:
            if part.key == key:
                return part
        raise KeyError(key)


@dataclass(frozen=True)
class Published:
    """A version of a stack: from when on its rule was the one that newcomers met."""

    number: int
    published_at: datetime
    rule: Rule


def progress(
    rule: Rule, held: Sequence[str], *, begun: Collection[str] = (), retired: Collection[str] = ()
) -> StackProgress:
    """How far somebody is under this rule.

    :param held: what they hold, the first earned first.
    :param begun: what they have begun to work on; they may go on with it whatever the rule says.
    :param retired: what nobody may begin any more. Held ones count for good.
    """
    groups = tuple(
        GroupProgress(
            group,
            tuple(_part(rule, place, part, held, begun=begun, retired=retired) for part in group.parts),
            _missing(group, held),
        )
        for place, group in enumerate(rule.groups)
    )
    counted = tuple(
        part
        for group in rule.groups
        for part in [key for key in dict.fromkeys(held) if key in group.parts][: group.take]
    )
    return StackProgress(groups, counted, possible(rule, held, begun=begun, retired=retired))


def _missing(group: Group, held: Collection[str]) -> int:
    return max(0, group.take - sum(part in held for part in group.parts))


def _part(
    rule: Rule,
    place: int,
    part: str,
    held: Collection[str],
    *,
    begun: Collection[str],
    retired: Collection[str],
) -> PartProgress:
    if part in held:
        return PartProgress(part, PartState.DONE, needed=False)
    needed = _missing(rule.groups[place], held) > 0
    if part in begun:
        return PartProgress(part, PartState.OPEN, needed)
    if part in retired:
        return PartProgress(part, PartState.CLOSED, needed)
    waits_for, group = _waits_for(rule, place, part, held), _waits_for_group(rule, place, held)
    state = PartState.LOCKED if waits_for or group is not None else PartState.OPEN
    return PartProgress(part, state, needed, waits_for, group)


def _waits_for(rule: Rule, place: int, part: str, held: Collection[str]) -> tuple[str, ...]:
    """What must be held before the part opens and is not, in the rule's order."""
    first = [key for opening in rule.openings if opening.part == part for key in opening.after]
    group = rule.groups[place]
    if group.in_order:
        first += group.parts[: group.parts.index(part)][-1:]
    return tuple(key for key in dict.fromkeys(first) if key not in held)


def _waits_for_group(rule: Rule, place: int, held: Collection[str]) -> int | None:
    if not rule.in_order:
        return None
    return next((at for at, group in enumerate(rule.groups[:place]) if _missing(group, held)), None)


def possible(
    rule: Rule, held: Collection[str] = (), *, begun: Collection[str] = (), retired: Collection[str] = ()
) -> bool:
    """Whether somebody who goes on earning whatever opens will complete the stack."""
    reached = _reached(rule, held, begun=begun, retired=retired)
    return not any(_missing(group, reached) for group in rule.groups)


def _reached(
    rule: Rule, held: Collection[str], *, begun: Collection[str], retired: Collection[str]
) -> frozenset[str]:
    """Everything that can ever be held: earn what is open, see what opens, until nothing more does."""
    reached = {*held, *begun, *(key for key in rule.outside if key not in retired)}
    while True:
        opened = {
            part
            for place, group in enumerate(rule.groups)
            for part in group.parts
            if part not in reached
            and part not in retired
            and not _waits_for(rule, place, part, reached)
            and _waits_for_group(rule, place, reached) is None
        }
        if not opened:
            return frozenset(reached)
        reached |= opened


def circle(rule: Rule) -> tuple[str, ...]:
    """Parts that wait for each other, so that none of them ever opens: each waits for the next, the last for the
    first. Empty where everything opens in time."""
    reached = _reached(rule, (), begun=(), retired=())
    stuck = {
        part: place for place, group in enumerate(rule.groups) for part in group.parts if part not in reached
    }
    if not stuck:
        return ()
    trail = [next(iter(stuck))]
    while True:
        part = trail[-1]
        following = [key for key in _waits_for(rule, stuck[part], part, reached) if key in stuck]
        if not following:
            earlier = _waits_for_group(rule, stuck[part], reached)
            assert earlier is not None
            following = [key for key in rule.groups[earlier].parts if key in stuck]
        if following[0] in trail:
            return tuple(trail[trail.index(following[0]) :])
        trail.append(following[0])


def that_applies(
    versions: Sequence[Published],
    held: Sequence[str],
    *,
    began: datetime | None,
    begun: Collection[str] = (),
    retired: Collection[str] = (),
) -> tuple[Published, StackProgress]:
    """The version that somebody is judged by, and how far they are under it.

    A published rule never becomes harder under somebody who has begun: the version that was current when they began
    stays good for them, and so does every later one. Of these it is the one that is nearest: complete, or possible
    with the fewest more to earn; the newest of equal ones. Who has not begun meets the newest.

    :param versions: all of them, oldest first; at least one.
    :param began: when they began with, or earned, the first of the stack's parts.
    """
    newest = len(versions) - 1
    first = newest
    if began is not None:
        first = max((at for at, one in enumerate(versions) if one.published_at <= began), default=0)
    found = [
        (version, progress(version.rule, held, begun=begun, retired=retired)) for version in versions[first:]
    ]
    return min(found, key=lambda one: (not one[1].possible, one[1].more, -one[0].number))


def listed(words: Sequence[str], last: str = "and") -> str:
    """“A, B and C”."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def number_in_words(number: int) -> str:
    """“two”; digits from eleven on."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def group_in_words(rule: Rule, place: int) -> str:
    """What the group at this place (from 0) asks, for the heading above its parts."""
    group = rule.groups[place]
    if len(group.parts) == 1:
        words = "this one"
    elif group.all:
        words = "all of these, one after the other" if group.in_order else "all of these"
    else:
        words = f"{number_in_words(group.take)} of these {number_in_words(len(group.parts))}"
    if rule.in_order:
        return f"{'Then' if place else 'First'} {words}"
    return words.capitalize()


def in_words(rule: Rule, titles: Mapping[str, str]) -> str:
    """The whole rule as a sentence or a few."""
    clauses = []
    for group in rule.groups:
        names = [f"“{titles[part]}”" for part in group.parts]
        if len(names) == 1:
            clauses.append(names[0])
        elif group.all:
            order = ", in this order" if group.in_order else ""
            clauses.append(f"all of {listed(names)}{order}")
        else:
            clauses.append(
                f"{number_in_words(group.take)} of {listed(names, 'or' if group.take == 1 else 'and')}"
            )
    joined = "; ".join(clauses[:-1]) + f"; {'then' if rule.in_order else 'and'} " if len(clauses) > 1 else ""
    sentence = joined + clauses[-1] + "."
    return " ".join((sentence[0].upper() + sentence[1:], *openings_in_words(rule, titles)))


def openings_in_words(rule: Rule, titles: Mapping[str, str]) -> tuple[str, ...]:
    """The prerequisites, a sentence each."""
    return tuple(
        f"“{titles[opening.part]}” opens after {listed([f'“{titles[key]}”' for key in opening.after])}."
        for opening in rule.openings
    )


def why_locked(part: PartProgress, rule: Rule, titles: Mapping[str, str]) -> str:
    """Why a part is locked, as a sentence; empty where it is not."""
    if part.state is not PartState.LOCKED:
        return ""
    if part.waits_for:
        return f"Opens after {listed([f'“{titles[key]}”' for key in part.waits_for])}."
    assert part.waits_for_group is not None
    before = rule.groups[part.waits_for_group]
    names = [f"“{titles[key]}”" for key in before.parts]
    if before.all:
        return f"Opens after {listed(names)}."
    return f"Opens after {number_in_words(before.take)} of {listed(names)}."


def suggestion(
    found: StackProgress,
    title: str,
    rule: Rule,
    titles: Mapping[str, str],
    *,
    waiting: Collection[str] = (),
) -> tuple[str, str] | None:
    """What to do next for a stack, and why; None where nothing is left to do or nothing can be done.

    :param title: of the stack.
    :param titles: of the parts and prerequisites, by key.
    :param waiting: what they have handed in and nobody has decided about.
    """
    if found.complete or not found.possible:
        return None
    open_now = [part.key for part in found.parts if part.needed and part.state is PartState.OPEN]
    ready = [key for key in open_now if key not in waiting]
    have = found.needed - found.more
    text = f"{number_in_words(found.more).capitalize()} more for “{title}”."
    if ready:
        text += f" You can work on {listed([f'“{titles[key]}”' for key in ready[:3]], 'or')} now."
    why = f"You have {number_in_words(have)} of the {number_in_words(found.needed)} that it asks for."
    why += "".join(f" “{titles[key]}” is with your assessor." for key in open_now if key in waiting)
    locked = [part for part in found.parts if part.needed and part.state is PartState.LOCKED][:1]
    for part in locked:
        why += f" “{titles[part.key]}” o{why_locked(part, rule, titles)[1:]}"
    return text, why
