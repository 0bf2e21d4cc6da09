"""What an assessor must have said before a decision can stand, and whether it agrees with the rubric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from lti_tool.credentials.rules import CriterionRule, Judgement, PassRule, ScorePolicy, judge

__all__ = [
    "COMMENT_LIMIT",
    "Gap",
    "Mark",
    "RubricRow",
    "disagreement",
    "gaps",
    "gradebook_comment",
    "judgement",
    "score",
]

COMMENT_LIMIT = 500
"""Characters of a gradebook comment: enough for the gist; the whole feedback stays in Tessera."""
_FINEST = Decimal("0.001")
"""What the ledger keeps and platforms are sent."""


@dataclass(frozen=True)
class Mark:
    """What an assessor has said about one criterion so far: the key of a level, or None, and a comment."""

    level: str | None
    comment: str


@dataclass(frozen=True)
class RubricRow:
    """A criterion as a decision needs it: ``levels`` maps level keys to positions, lowest first."""

    key: str
    title: str
    levels: Mapping[str, int]
    required_level: str
    required_title: str
    points: Mapping[str, int] = field(default_factory=dict)
    """Points of the levels that have any; all of them have, or none."""


@dataclass(frozen=True)
class Gap:
    """Something that a decision still needs: the form field where it belongs, and what to do."""

    field: str
    text: str


def judgement(rule: PassRule, rubric: Sequence[RubricRow], marks: Mapping[str, Mark]) -> Judgement:
    """What the pass rule makes of these marks."""
    return judge(
        rule,
        [CriterionRule(row.key, row.levels[row.required_level]) for row in rubric],
        {row.key: row.levels[level] for row in rubric if (level := _level(row, marks)) is not None},
    )


def gaps(
    rubric: Sequence[RubricRow], marks: Mapping[str, Mark], feedback: str, unmet: Sequence[str]
) -> tuple[Gap, ...]:
    """What is missing: a level for every criterion, a comment on each unmet one, feedback on the whole.

    :param unmet: the keys that :func:`judgement` found below their required level.
    """
    found: list[Gap] = []
    for row in rubric:
        if _level(row, marks) is None:
            found.append(Gap(f"level-{row.key}", f"Choose a level for “{row.title}”."))
        elif row.key in unmet and not marks[row.key].comment.strip():
            found.append(
                Gap(
                    f"comment-{row.key}",
                    f"Say in a comment what “{row.title}” still needs: it is below {row.required_title}.",
                )
            )
    if not feedback.strip():
        found.append(
            Gap("feedback", "Write some feedback on the whole: it is the first thing the earner reads.")
        )
    return tuple(found)


def disagreement(judged: Judgement, rubric: Sequence[RubricRow], *, demonstrated: bool) -> str | None:
    """Why a decision cannot stand beside these ratings, in words for the assessor; None where it can."""
    if judged.demonstrated == demonstrated:
        return None
    if demonstrated:
        below = "; ".join(
            f"“{row.title}” is below {row.required_title}" for row in rubric if row.key in judged.unmet
        )
        return (
            f"By your ratings this is not yet demonstrated. {judged.reason} {below}. "
            "Change the ratings if they do not say what you mean, or choose “Not yet demonstrated”."
        )
    return (
        f"By your ratings this is demonstrated. {judged.reason} "
        "Change the ratings if something is still missing, or choose “Demonstrated”."
    )


def score(
    policy: ScorePolicy,
    rubric: Sequence[RubricRow],
    marks: Mapping[str, Mark],
    possible: Decimal,
    *,
    demonstrated: bool,
) -> Decimal | None:
    """How many of the possible points the gradebook is owed. None is no number at all, and not 0: nothing is posted
    for "Not yet", whatever the ratings. A criterion without a level reaches nothing.

    Under ``RUBRIC``, criteria whose levels have no points do not count.
    """
    if not demonstrated:
        return None
    levels = {row.key: level for row in rubric if (level := _level(row, marks)) is not None}
    match policy:
        case ScorePolicy.FULL:
            return possible
        case ScorePolicy.RUBRIC:
            reached = sum(row.points.get(levels[row.key], 0) for row in rubric if row.key in levels)
            most = sum(max(row.points.values(), default=0) for row in rubric)
        case ScorePolicy.CRITERIA:
            reached = sum(
                row.levels[levels[row.key]] >= row.levels[row.required_level]
                for row in rubric
                if row.key in levels
            )
            most = len(rubric)
    # A rubric that has lost its points since says nothing against anybody.
    return possible if most == 0 else (possible * reached / most).quantize(_FINEST)


def gradebook_comment(feedback: str, *, demonstrated: bool = True) -> str:
    """What stands beside the grade in the LMS, for the earner: the outcome and the gist of the feedback."""
    words = " ".join(feedback.split())
    outcome = "Demonstrated." if demonstrated else "Not yet demonstrated; you may hand in again."
    comment = f"{outcome} Feedback: {words}" if words else outcome
    if len(comment) <= COMMENT_LIMIT:
        return comment
    end = " … (all of it is in Tessera)"
    cut = comment[: COMMENT_LIMIT - len(end)]
    return (cut.rsplit(" ", 1)[0] if " " in cut[len(f"{outcome} Feedback: ") :] else cut) + end


def _level(row: RubricRow, marks: Mapping[str, Mark]) -> str | None:
    mark = marks.get(row.key)
    return mark.level if mark is not None and mark.level in row.levels else None
