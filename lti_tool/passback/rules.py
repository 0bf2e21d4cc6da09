"""What follows an answer of a gradebook. Plain values in, a step with its reason out; no clock, no chance, no
LMS."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
THROTTLE_WAIT = timedelta(seconds=10)
LONGEST_THROTTLE_WAIT = timedelta(minutes=5)
MAX_FAILURES = 24
"""With the waits above this is most of a day: longer than a platform's maintenance night, shorter than a
person's patience."""


MOST_CONFLICTS = 6
"""How often a score is given a newer time because the gradebook has one of the same or a later time."""


ALREADY_THERE = "The platform's results already show this grade, so it was not sent again."
SET_BY_A_PERSON = (
    "The gradebook shows another grade than any that Tessera sent, so somebody set it there. It stays as it is: "
    "nothing was sent. Leave it so, or press “Send again” to replace it."
)
BY_ITSELF = (
    "It also goes by itself once the person opens the activity again, or is listed in the course again, unless the "
    "course has ended by then."
)
ENDED = (
    "The course has ended, and after that its gradebook does not change by itself. If the grade is to change all the "
    "same, press “Send again”; if not, say why under “Do not send it”."
)
CALLED_OFF = "The decision that it came from was changed, and gives no points any more. So it is not sent."
LOOKED_FOR = (
    "The decision that it came from was changed, and gives no points any more. It may have arrived already: Tessera "
    "only looks, and sends nothing."
)
UNSEEN = (
    "Tessera may not read the grades of this platform, so it could not look whether somebody has set another one since "
    "the last score, and sent nothing. Compare the two; “Send again” replaces what the gradebook shows."
)


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
    GONE = "gone"
    """The gradebook column is not there any more."""
    REFUSED = "refused"
    """It will not take this score, today or tomorrow."""
    OVERRIDDEN = "overridden"
    """Nothing was sent, since the gradebook shows what a person set there."""
    HELD = "held"
    """Nothing was sent, since a person has to agree first."""


class Finding(StrEnum):
    """What the platform's results showed for a score that it had accepted, when they were read last."""

    SAME = "same"
    OVERRIDDEN = "overridden"
    """Another grade than any that we sent: somebody set it."""
    MISSING = "missing"
    """No grade at all."""
    DIFFERENT = "different"
    """Another grade, with a reason other than a person's: ``reason`` names it, a late policy for example."""


class Next(StrEnum):
    DONE = "done"
    RETRY = "retry"
    RENEW = "renew"
    """The same score with a newer time, as a row of its own."""
    LEAVE = "leave"
    """A person has set another grade, which stays."""
    PARK = "park"


class Cause(StrEnum):
    """Why a score is parked, where something follows from it."""

    AWAY = "away"
    """The platform takes nothing for this person now: they are not active in the course, or the course is not open.
    It goes on by itself when they are seen there again."""
    UNSEEN = "unseen"
    """Nobody could look whether a person has set another grade. Who sends it again has looked."""
    ENDED = "ended"
    """The course has ended, and this would change its gradebook: its faculty say whether it goes."""


@dataclass(frozen=True)
class Step:
    """What to do now, and why, in words for the ledger. ``wait`` counts for RETRY and RENEW only."""

    next: Next
    reason: str
    wait: timedelta = timedelta()
    cause: Cause | None = None


@dataclass(frozen=True)
class Shown:
    """What the platform's results say about a gradebook cell. Both None: it shows nothing."""

    points: Decimal | None
    points_possible: Decimal | None


_MOST_KEPT = Decimal("999999.999")


def kept(shown: Shown | None) -> tuple[Decimal | None, Decimal | None]:
    """Points and maximum as the ledger keeps them, so that a third reads the same the next time."""
    if shown is None:
        return None, None
    return _kept(shown.points), _kept(shown.points_possible)


def _kept(points: Decimal | None) -> Decimal | None:
    if points is None:
        return None
    return max(-_MOST_KEPT, min(points, _MOST_KEPT)).quantize(Decimal("0.001"))


class Seen(StrEnum):
    """What stands in a gradebook cell, from the point of view of a score that is to be sent there."""

    THERE = "there"
    """This very score."""
    FREE = "free"
    """Nothing, or what we sent ourselves."""
    SET = "set"
    """What somebody else set."""


_IN_VAIN = (Heard.FAILING, Heard.UNKNOWN)


def after(
    heard: Heard,
    *,
    earlier: tuple[Heard, ...] = (),
    reason: str = "",
    retry_after: timedelta | None = None,
    jitter: float = 0.0,
    away: bool = False,
) -> Step:
    """What follows an answer to a score that was posted.

    :param earlier: what earlier tries of the same row heard, oldest first.
    :param reason: what the answer means on this product, in a sentence; for a refusal also what to do about
        it.
    :param retry_after: how long the platform asked us to stay away.
    :param jitter: 0 to 1; spreads the waits, so that workers do not come back all at once.
    :param away: a refusal that ends by itself when the person, or their course, is back.
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
                f"{reason} Tessera could not look what the gradebook shows. Compare the two; “Send again”"
                " replaces what the gradebook shows.".lstrip(),
                cause=Cause.UNSEEN,
            )
        case Heard.REFUSED | Heard.GONE | Heard.OVERRIDDEN | Heard.HELD:
            words = reason or "The platform refused the score. Mend the cause, then press “Send again”."
            return (
                Step(Next.PARK, f"{words} {BY_ITSELF}", cause=Cause.AWAY) if away else Step(Next.PARK, words)
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


def after_conflict(
    seen: Seen, *, overwrites: bool, earlier: tuple[Heard, ...], reason: str = "", jitter: float = 0.0
) -> Step:
    """What follows when the platform has a score of the same or a later time, and we have looked what it shows.

    :param earlier: what earlier tries for this decision heard.
    """
    if seen is Seen.THERE:
        return Step(Next.DONE, ALREADY_THERE)
    if seen is Seen.SET and not overwrites:
        return Step(Next.LEAVE, f"{reason} {SET_BY_A_PERSON}".lstrip())
    conflicts = sum(1 for one in earlier if one is Heard.CONFLICT)
    if conflicts >= MOST_CONFLICTS:
        return Step(
            Next.PARK,
            f"{reason} That was the case {conflicts + 1} times, although the score was given a newer time each"
            " time. Compare the clocks of the two servers, then press “Send again”.".lstrip(),
            cause=Cause.UNSEEN,
        )
    return Step(
        Next.RENEW,
        f"{reason} It shows no newer grade, so the score is sent again with a newer time.".lstrip(),
        _wait(FIRST_WAIT, LONGEST_WAIT, conflicts, None, jitter),
    )


def look(
    shown: Shown | None,
    *,
    points: Decimal,
    points_possible: Decimal,
    ours: Sequence[tuple[Decimal, Decimal]],
    may_have_arrived: bool,
) -> Seen:
    """What stands in the cell of a score that is about to be sent.

    :param ours: what we have sent to this cell before, each as points and points possible.
    :param may_have_arrived: an earlier try of this score may have arrived, so that it need not be sent once more even
        where we sent the same points before.
    """
    if shown is None or shown.points is None:
        return Seen.FREE
    same = settled_by(shown, points=points, points_possible=points_possible)
    sent = any(settled_by(shown, points=given, points_possible=possible) for given, possible in ours)
    if same and (may_have_arrived or not sent):
        return Seen.THERE
    return Seen.FREE if sent else Seen.SET


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


def over(ends_on: date | None, now: datetime) -> bool:
    """Whether a course's term has ended: only once its last day is over everywhere, since nobody tells us the time zone
    of a course. One without a last day never ends."""
    return ends_on is not None and (now - timedelta(hours=12)).date() > ends_on


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


@dataclass(frozen=True)
class Found:
    """What a reading of the results says about a score, and why where it is neither the same nor a person's."""

    finding: Finding
    reason: str | None = None


READ_FOR_ANOTHER = timedelta(days=90)
"""So long after the end of a term its grades may still change, and are read."""
READ_AT_MOST = timedelta(days=400)
"""So long the results of a course without a term are read."""


def compared(
    shown: Shown | None,
    *,
    points: Decimal,
    points_possible: Decimal,
    earlier: tuple[tuple[Decimal, Decimal], ...] = (),
    first: bool = False,
    late_policies: bool = False,
    lms: str = "The LMS",
) -> Found:
    """What became of an accepted score in the gradebook.

    :param earlier: points and maximum of older scores of the cell that the platform had accepted.
    :param first: nobody has had much time to change it: it is the first reading, soon after the score came in.
    :param late_policies: the platform may take points off by itself.
    """
    if shown is None or shown.points is None:
        return Found(Finding.MISSING)
    if settled_by(shown, points=points, points_possible=points_possible):
        return Found(Finding.SAME)
    if any(settled_by(shown, points=one, points_possible=of) for one, of in earlier):
        return Found(Finding.DIFFERENT, f"{lms} still shows an earlier score of Tessera.")
    possible = points_possible if shown.points_possible is None else shown.points_possible
    lower = possible > 0 and points_possible > 0 and shown.points / possible < points / points_possible
    if late_policies and first and lower:
        return Found(
            Finding.DIFFERENT,
            f"{lms} showed fewer points as soon as the score had arrived. Most likely the late policy of the course has"
            " taken them off; the gradebook says so beside the grade. Whether it should is for the instructor to say.",
        )
    return Found(Finding.OVERRIDDEN)


def next_reading(
    waits: tuple[timedelta, ...], *, accepted_at: datetime, now: datetime, ends_on: date | None
) -> datetime | None:
    """When the result of a score is read next; None when it is not read any more.

    :param waits: how long after it was accepted, growing; the last one repeats itself.
    :param ends_on: last day of the course's term, if it has one.
    """
    age = now - accepted_at
    if age > READ_AT_MOST if ends_on is None else now.date() - READ_FOR_ANOTHER > ends_on:
        return None
    later = next((wait for wait in waits if wait > age), None)
    return now + waits[-1] if later is None else accepted_at + later
