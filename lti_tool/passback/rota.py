"""Which score goes next: every platform in turn, within a platform every course in turn, within a course the oldest.

At the end of a term one course may owe a thousand scores; the one score of another does not wait behind them. And a
platform gets one score at first and one more at a time for each that it answers, so that one which is out of order
holds one hand, not all.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Select, exists, false, func, or_, select
from sqlalchemy.orm import aliased

from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti import pace, platforms
from lti_tool.lti.models import Platform, Registration
from lti_tool.passback.models import Score, ScoreState

_LOOK_AHEAD = 256
_AMONG_MANY = 32
"""How many of these to keep where other workers take from the same rows: they were shuffled then, and are soon old."""
_LOOK_EVERY = 0.5
"""Seconds after which platforms are looked for that had nothing due before."""
_KNOWN_FOR = 0.05
"""Seconds; what other processes agree on with a platform meanwhile is learnt that much later."""
_SPARE = 4
"""How many scores more than a platform takes at once are in hand: they are taken and written down while others are on
their way."""
_MISSES = 3
_LOOKS = 3


@dataclass(frozen=True)
class Due:
    """A row that may be taken, as it was when we looked."""

    score_id: int
    registration_id: int
    state: ScoreState
    lease_until: datetime | None
    at_once_everywhere: int | None
    """How many scores may be on their way to that platform, from all processes together."""
    alone: bool = False
    """Its gradebook cell has never been owed an older score."""
    troubled: bool = False
    """The platform gave no usable answer when it was asked last."""


class Rota:
    """One worker's view of what is due. For one thread."""

    def __init__(self, hands: int) -> None:
        self._hands = hands
        self._queues: dict[int, deque[Due]] = {}
        self._on_their_way: Counter[int] = Counter()
        self._room: dict[int, int] = {}
        self._behaviours: dict[int, platforms.Generic] = {}
        self._looked = self._asked = float("-inf")
        self._resting: dict[int, datetime] = {}
        self._troubled: set[int] = set()
        self._misses: Counter[int] = Counter()
        self._contended: set[int] = set()
        self._turn: deque[int] = deque()

    def due(self, now: datetime) -> Iterator[Due]:
        """Rows to try to take, one by one. Looks again while other workers are quicker, though not for ever."""
        resting = self._left_in_peace(now)
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self._look(now)
        for _ in range(_LOOKS):
            while (row := self._next(resting)) is not None:
                yield row
            if any(self._queues.values()) or not self._look(now):
                break

    def taken(self, row: Due) -> None:
        self._misses[row.registration_id] = 0
        self._on_their_way[row.registration_id] += 1

    def missed(self, row: Due) -> None:
        """Another worker has it. Where that is so again and again, what we saw is old."""
        self._misses[row.registration_id] += 1
        if self._misses[row.registration_id] >= _MISSES:
            self._misses[row.registration_id] = 0
            self._contended.add(row.registration_id)
            self._queues.pop(row.registration_id, None)

    def done(self, registration_id: int, *, answered: bool) -> None:
        """The platform has answered in a usable way, or not."""
        self._on_their_way[registration_id] -= 1
        if answered:
            self._room[registration_id] = self._room.get(registration_id, 1) + 1
        else:
            self._room[registration_id] = 1
            self._asked = float("-inf")

    def rests_until(self, now: datetime) -> datetime | None:
        """When the first platform has rested that something waits for; None if no rest is in the way."""
        resting = pace.resting(now)
        return min((until for number, until in resting.items() if self._queues.get(number)), default=None)

    def _left_in_peace(self, now: datetime) -> dict[int, datetime]:
        """As the platforms' paces stand; looked up anew every moment, and at once after trouble."""
        if time.monotonic() - self._asked >= _KNOWN_FOR:
            self._resting, self._troubled = pace.resting(now), pace.troubled()
            self._asked = time.monotonic()
        return {number: until for number, until in self._resting.items() if until > now}

    def _look(self, now: datetime) -> bool:
        """See what is due for platforms of which nothing is known to wait. Whether anything is."""
        self._looked = time.monotonic()
        waiting = or_(
            (Score.state == ScoreState.OWED) & (Score.due_at <= now),
            (Score.state == ScoreState.SENDING) & (Score.lease_until <= now),
        )
        for registration_id in db.session.scalars(select(Score.registration_id).where(waiting).distinct()):
            if registration_id not in self._behaviours:
                self._behaviours[registration_id] = _behaviour(registration_id)
                self._turn.append(registration_id)
            if not self._queues.get(registration_id):
                self._queues[registration_id] = deque(self._plan(registration_id, now))
        return any(self._queues.values())

    def _plan(self, registration_id: int, now: datetime) -> list[Due]:
        abandoned = (
            select(Score.id, Score.state, Score.lease_until, false().label("alone"))
            .where(
                Score.registration_id == registration_id,
                Score.state == ScoreState.SENDING,
                Score.lease_until <= now,
            )
            .order_by(Score.due_at, Score.id)
            .limit(_LOOK_AHEAD)
        )
        found = [*db.session.execute(abandoned), *db.session.execute(_fairly(registration_id, now))]
        if registration_id in self._contended:
            random.shuffle(found)
            del found[_AMONG_MANY:]
        most = self._behaviours[registration_id].at_once_everywhere
        return [Due(row.id, registration_id, row.state, row.lease_until, most, row.alone) for row in found]

    def _next(self, resting: dict[int, datetime]) -> Due | None:
        for _ in range(len(self._turn)):
            registration_id = self._turn[0]
            self._turn.rotate(-1)
            if self._may(registration_id, resting):
                row = self._queues[registration_id].popleft()
                return replace(row, troubled=registration_id in self._troubled)
        return None

    def _may(self, registration_id: int, resting: dict[int, datetime]) -> bool:
        most = self._room.get(registration_id, 1)
        if most > 1:
            behaviour = self._behaviours[registration_id]
            spare = 0 if behaviour.at_once_everywhere is not None else _SPARE
            most = min(most, behaviour.at_once + spare, self._hands)
        return (
            registration_id not in resting
            and bool(self._queues.get(registration_id))
            and self._on_their_way[registration_id] < most
        )


def _fairly(registration_id: int, now: datetime) -> Select[int, ScoreState, datetime | None, bool]:
    sibling = aliased(Score)
    on_its_way = exists().where(
        sibling.placement_id == Score.placement_id,
        sibling.account_id == Score.account_id,
        sibling.state == ScoreState.SENDING,
    )
    of_course = func.row_number().over(partition_by=Placement.course_id, order_by=(Score.due_at, Score.id))
    owed = (
        select(
            Score.id,
            Score.state,
            Score.lease_until,
            Score.due_at,
            Score.placement_id,
            Score.account_id,
            Score.scored_at,
            of_course.label("turn"),
        )
        .join(Placement, Placement.id == Score.placement_id)
        .where(
            Score.registration_id == registration_id,
            Score.state == ScoreState.OWED,
            Score.due_at <= now,
            ~on_its_way,
        )
        .subquery()
    )
    older = aliased(Score)
    followed = exists().where(
        older.placement_id == owed.c.placement_id,
        older.account_id == owed.c.account_id,
        older.scored_at < owed.c.scored_at,
    )
    return (
        select(owed.c.id, owed.c.state, owed.c.lease_until, (~followed).label("alone"))
        .order_by(owed.c.turn, owed.c.due_at, owed.c.id)
        .limit(_LOOK_AHEAD)
    )


def _behaviour(registration_id: int) -> platforms.Generic:
    product = db.session.scalar(
        select(Platform.product)
        .join(Registration, Registration.platform_id == Platform.id)
        .where(Registration.id == registration_id)
    )
    return platforms.behaviour(product or "")
