"""What follows an answer of a gradebook. Plain values in, a step with its reason out; no clock, no chance, no
LMS."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
THROTTLE_WAIT = timedelta(seconds=10)
LONGEST_THROTTLE_WAIT = timedelta(minutes=5)
MAX_FAILURES = 24
"""With the waits above this is most of a day: longer than a platform's maintenance night, shorter than a
person's patience."""


class Heard(StrEnum):
    """What kind of answer a platform gave, whatever its status code is on that product."""

    ACCEPTED = "accepted"
    FAILING = "failing"
    """It answered that it cannot now (5xx), or was not reached at all: the score did not arrive."""
    THROTTLED = "throttled"
    """We are too fast. Says nothing about the score."""
    UNKNOWN = "unknown"
    """No answer came, though the request may have arrived."""
    CONFLICT = "conflict"
    """The platform has a score of the same or a later time."""
    REFUSED = "refused"
    """It will not take this score, today or tomorrow."""


class Next(StrEnum):
    DONE = "done"
    RETRY = "retry"
    PARK = "park"


@dataclass(frozen=True)
class Step:
    """What to do now, and why, in words for the ledger. ``wait`` counts for RETRY only."""

    next: Next
    reason: str
    wait: timedelta = timedelta()


@dataclass(frozen=True)
class Shown:
    """What the platform's results say about a gradebook cell. Both None: it shows nothing."""

    points: Decimal | None
    points_possible: Decimal | None


_IN_VAIN = (Heard.FAILING, Heard.UNKNOWN)


def after(
    heard: Heard,
    *,
    earlier: tuple[Heard, ...] = (),
    reason: str = "",
    retry_after: timedelta | None = None,
    jitter: float = 0.0,
) -> Step:
    """What follows an answer to a score that was posted.

    :param earlier: what earlier tries of the same row heard, oldest first.
    :param reason: what the answer means on this product, in a sentence; for a refusal also what to do about
        it.
    :param retry_after: how long the platform asked us to stay away.
    :param jitter: 0 to 1; spreads the waits, so that workers do not come back all at once.
    """
    match heard:
        case Heard.ACCEPTED:
            return Step(Next.DONE, reason or "The platform accepted the score.")
        case Heard.THROTTLED:
            throttled = sum(1 for one in earlier if one is Heard.THROTTLED)
            return Step(
                Next.RETRY,
                f"{reason} That says nothing about the score; it will be sent again.".lstrip(),
                _wait(THROTTLE_WAIT, LONGEST_THROTTLE_WAIT, throttled, retry_after, jitter),
            )
        case Heard.CONFLICT:
            return Step(
                Next.PARK,
                f"{reason} The gradebook shows a different grade than this one. Compare the two; “Send again”"
                " replaces what the gradebook shows.".lstrip(),
            )
        case Heard.REFUSED:
            return Step(
                Next.PARK,
                reason or "The platform refused the score. Mend the cause, then press “Send again”.",
            )
    failures = sum(1 for one in earlier if one in _IN_VAIN) + 1
    if failures >= MAX_FAILURES:
        return Step(
            Next.PARK,
            f"{reason} That was the case {failures} times over most of a day. When the platform is"
            " back, press “Send again”; a score that did arrive is not counted twice.".lstrip(),
        )
    then = (
        "First Tessera will look whether it arrived." if heard is Heard.UNKNOWN else "It will be sent again."
    )
    return Step(
        Next.RETRY,
        f"{reason} {then}".lstrip(),
        _wait(FIRST_WAIT, LONGEST_WAIT, failures - 1, retry_after, jitter),
    )


def settled_by(shown: Shown | None, *, points: Decimal, points_possible: Decimal) -> bool:
    """Whether the results prove that the score has arrived, however the platform scales it.

    Platforms keep floats and rescale to the column's own maximum, so a difference below what anybody could
    have meant is none. A missing grade is unknown, never 0.
    """
    if shown is None or shown.points is None:
        return False
    possible = shown.points_possible if shown.points_possible is not None else points_possible
    if possible == 0 or points_possible == 0:
        return shown.points == points
    return abs(shown.points / possible - points / points_possible) < Decimal("0.0005")


def read_first(earlier: tuple[Heard, ...]) -> bool:
    """Whether an earlier try may have arrived without our knowing: then look before sending again."""
    return Heard.UNKNOWN in earlier


def _wait(
    first: timedelta, longest: timedelta, doublings: int, retry_after: timedelta | None, jitter: float
) -> timedelta:
    """Doubles each time; up to a quarter more by chance; not earlier than the platform asked, within an hour: whatever
    stands in that header, nobody else can hurry a score that waits."""
    grown = min(first * (1 << min(doublings, 20)), longest)
    return max(grown, min(retry_after or timedelta(), LONGEST_WAIT)) * (1 + jitter / 4)
