"""When somebody is told of what is wrong: once, again after an hour if it got worse, and once when it is over."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

BETWEEN = timedelta(hours=1)
"""Between two notices of the same kind about the same deployment."""
FAILURES_IN_A_ROW = 5
"""Tries that a platform has to leave unanswered before it counts as down."""
UNSIGNED_FOR = timedelta(minutes=30)
"""How long a badge may wait for its signature before something is wrong."""

TOPICS = {
    "parked": "scores that needed attention",
    "differs": "grades that the LMS showed differently",
    "down": "the learning platform did not answer",
    "unsigned": "badges that could not be signed",
}
"""What an all-clear is about."""


@dataclass(frozen=True)
class Standing:
    """What is known of one kind in one deployment."""

    count: int = 0
    raised_at: datetime | None = None
    told_at: datetime | None = None
    told_count: int = 0


@dataclass(frozen=True)
class Step:
    """What is known now, and whether somebody is to be told."""

    standing: Standing
    tell: bool


def look(standing: Standing, count: int, now: datetime) -> Step:
    """What follows from seeing ``count`` things wrong."""
    if count == 0:
        over = replace(standing, count=0, raised_at=None, told_count=0)
        # Whoever was told of it is told that it is over; what came and went unnoticed stays so.
        return Step(over, tell=standing.told_count > 0)
    seen = replace(standing, count=count, raised_at=standing.raised_at or now)
    rested = standing.told_at is None or now - standing.told_at >= BETWEEN
    if count > standing.told_count and rested:
        return Step(replace(seen, told_at=now, told_count=count), tell=True)
    return Step(seen, tell=False)


def in_words(kind: str, count: int) -> str:
    """What is wrong, as the desk and a letter say it."""
    one = count == 1
    match kind:
        case "parked":
            return "1 score needs attention" if one else f"{count} scores need attention"
        case "differs":
            scores = "1 score" if one else f"{count} scores"
            return f"The LMS shows a different grade for {scores}"
        case "down":
            return f"The learning platform has not answered {count} times in a row"
        case _:
            badges = "1 badge" if one else f"{count} badges"
            return f"{badges} could not be signed so far"


def next_step(kind: str) -> str:
    """What a person can do about it."""
    match kind:
        case "parked":
            return "Open them to read why, and send them again."
        case "differs":
            return "Open them to compare, and decide which grade stands."
        case "down":
            return "Scores wait and go by themselves when it is back. Ask those who run it, if this lasts."
        case _:
            return "Ask those who run Tessera to look into the worker’s log."
