"""What ratings mean under a pass rule, what they are worth, and what becomes of a result from another course.

Whole numbers only: 80 % of 10 criteria is 8, never 7.999.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "CriterionRule",
    "EarlierResults",
    "Judgement",
    "PassRule",
    "ScorePolicy",
    "judge",
    "policy_of",
    "ways_on",
]


class EarlierResults(StrEnum):
    """What becomes of a result that an earner brings from another course, or from this one before it was copied."""

    ASK = "ask"
    """The earner says whether to use it or to do everything anew."""
    REUSE = "reuse"
    """It counts here as well."""
    ANEW = "anew"
    """This course asks for it again."""


def ways_on(chosen: str | None, program: str) -> tuple[bool, bool]:
    """Whether somebody with an earlier result may use it here, and whether they may do everything anew.

    :param chosen: what faculty chose for the activity; None follows the program.
    """
    policy = EarlierResults(chosen or program)
    return policy is not EarlierResults.ANEW, policy is not EarlierResults.REUSE


class ScorePolicy(StrEnum):
    """How many of an activity's points somebody gets who has demonstrated the competency. "Not yet" gets no number."""

    FULL = "full"
    """All of them."""
    RUBRIC = "rubric"
    """The share of the rubric's points that the ratings reach."""
    CRITERIA = "criteria"
    """The share of the criteria that are met."""


def policy_of(chosen: str | None, *, has_points: bool) -> ScorePolicy:
    """The policy that holds.

    :param chosen: what faculty chose for the activity, or what its link says; None or nonsense is all the points.
    :param has_points: whether the rubric's levels have points; without them there is nothing to take a share of.
    """
    policy = ScorePolicy(chosen) if chosen in set(ScorePolicy) else ScorePolicy.FULL
    return ScorePolicy.FULL if policy is ScorePolicy.RUBRIC and not has_points else policy


@dataclass(frozen=True)
class PassRule:
    """``all``: every criterion at its required level; ``share``: at least ``percent`` of the criteria."""

    kind: str
    percent: int

    def needed(self, total: int) -> int:
        """How many of ``total`` criteria must reach their required level."""
        match self.kind:
            case "all":
                return total
            case "share":
                # Rounded up: 80 % of 7 criteria is 5.6, and 5 would be fewer than was promised.
                return -(-self.percent * total // 100)
            case other:
                raise ValueError(f"There is no pass rule {other!r}.")


@dataclass(frozen=True)
class CriterionRule:
    """A criterion, and the position of the level needed to pass; every higher one passes as well."""

    key: str
    required_position: int


@dataclass(frozen=True)
class Judgement:
    """What the rule makes of the ratings.

    ``unmet`` names the criteria below their required level, in the rubric's order; under a share there may be
    some although the whole is demonstrated. ``reason`` is a sentence for people.
    """

    demonstrated: bool
    unmet: tuple[str, ...]
    reason: str


def judge(rule: PassRule, criteria: Sequence[CriterionRule], levels: Mapping[str, int]) -> Judgement:
    """Compare each criterion's level with the one it needs; a criterion without a level is unmet.

    :param levels: criterion key -> position of the level chosen.
    :raises ValueError: no criteria, or a kind of rule that does not exist.
    """
    if not criteria:
        raise ValueError("A rubric without criteria decides nothing.")
    unmet = tuple(c.key for c in criteria if c.key not in levels or levels[c.key] < c.required_position)
    total = len(criteria)
    met = total - len(unmet)
    needed = rule.needed(total)
    promise = "all" if rule.kind == "all" else f"{needed} ({rule.percent} %)"
    return Judgement(
        demonstrated=met >= needed,
        unmet=unmet,
        reason=f"At or above the level needed to pass: {met} of {total} criteria. Needed: {promise}.",
    )
