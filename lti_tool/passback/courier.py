"""Carries owed scores to the gradebooks. The one part of this package that commits.

A score's way: taken by a conditional UPDATE with a lease and committed; sent while no database connection is
held; written down with its try in one commit, if the lease still holds. A worker that dies on the way leaves
its row in ``sending``. When the lease has run out another takes it, and looks at the platform's results
before sending the same score with the same timestamp again.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from lti_tool import audit
from lti_tool.database import db
from lti_tool.passback import rules
from lti_tool.passback.gradebook import AgsGradebook, Gradebook, Outgoing, Reading, Reply
from lti_tool.passback.models import Score, ScoreState, ScoreTry
from lti_tool.passback.rules import Heard, Next, Step
from lti_tool.settings import current

log = logging.getLogger(__name__)

ANSWER_KEPT = 500
_LOOK_AHEAD = 10
_LOOKS = 10
_PLATFORM_TROUBLE = (Heard.FAILING, Heard.UNKNOWN, Heard.THROTTLED)
_ALREADY_THERE = "The platform's results already show this grade, so it was not sent again."
_WORKER_DIED = (
    "The worker stopped while it was sending. Before the next try Tessera looks whether the score arrived."
)
_OUR_FAULT = "Something went wrong inside Tessera. It is in the log, and the score will be tried again."
_TOO_LATE = "Another worker had taken over by then, so this answer changed nothing."


_STATES = {Next.DONE: ScoreState.ACCEPTED, Next.RETRY: ScoreState.OWED, Next.PARK: ScoreState.PARKED}


@dataclass(frozen=True)
class _Taken:
    """A row in this worker's hands until ``lease_until``, which also proves whose it is."""

    score: Outgoing
    placement_id: int
    account_id: int
    lease_until: datetime
    earlier: tuple[Heard, ...]
    """What tries of this row heard."""
    cell_earlier: tuple[Heard, ...]
    """The same with the rows that this one was sent again for."""


def deliver_due(
    *,
    now_fn: Callable[[], datetime],
    limit: int = 100,
    gradebook: Gradebook | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Send what is due, oldest first, and return how many scores were tried.

    A platform in trouble gets no second score in the same pass, so that it does not hold up the others. Call
    it inside an application context of its own: it commits and lets go of the session.
    """
    gradebook = AgsGradebook() if gradebook is None else gradebook
    resting: set[int] = set()
    tried = 0
    while tried < limit and not stopping() and (taken := _take(now_fn(), resting)) is not None:
        heard = _deliver(taken, gradebook, now_fn)
        if heard in _PLATFORM_TROUBLE:
            resting.add(taken.score.registration_id)
        tried += 1
    return tried


def _take(now: datetime, resting: set[int]) -> _Taken | None:
    """Take the oldest due row that nobody else takes first, and let go of the database."""
    try:
        for score_id, state, lease_until in _due(now, resting):
            taken = _claim(score_id, state, lease_until, now)
            if taken is not None:
                return taken
        return None
    finally:
        db.session.remove()


def _due(now: datetime, resting: set[int]) -> Iterator[tuple[int, ScoreState, datetime | None]]:
    """Rows to try, abandoned ones first. Looks again while other workers are quicker, though not for ever."""
    sibling = aliased(Score)
    on_its_way = exists().where(
        sibling.placement_id == Score.placement_id,
        sibling.account_id == Score.account_id,
        sibling.state == ScoreState.SENDING,
    )
    columns = select(Score.id, Score.state, Score.lease_until).where(Score.registration_id.not_in(resting))
    abandoned = columns.where(Score.state == ScoreState.SENDING, Score.lease_until <= now)
    owed = columns.where(Score.state == ScoreState.OWED, Score.due_at <= now, ~on_its_way)
    for query in (abandoned, owed):
        for _ in range(_LOOKS):
            rows = db.session.execute(query.order_by(Score.due_at, Score.id).limit(_LOOK_AHEAD)).all()
            if not rows:
                break
            for row in rows:
                yield row.id, row.state, row.lease_until


def _claim(score_id: int, state: ScoreState, lease_until: datetime | None, now: datetime) -> _Taken | None:
    until = now + timedelta(seconds=current().lease_seconds)
    try:
        score = db.session.scalar(
            update(Score)
            .where(
                Score.id == score_id,
                Score.state == state,
                Score.lease_until.is_not_distinct_from(lease_until),
            )
            .values(state=ScoreState.SENDING, lease_until=until, tries=Score.tries + 1)
            .returning(Score)
        )
        if score is None:
            db.session.rollback()
            return None
        if state is ScoreState.SENDING:
            _note_abandoned(score, now)
        taken = _Taken(
            score=_outgoing(score),
            placement_id=score.placement_id,
            account_id=score.account_id,
            lease_until=until,
            earlier=_heard(score),
            cell_earlier=_heard_in_cell(score),
        )
        db.session.commit()
    except IntegrityError:
        # Another score of this cell has just set out; this one goes after it.
        db.session.rollback()
        return None
    return taken


def _note_abandoned(score: Score, now: datetime) -> None:
    log.warning("score abandoned by a worker", extra={"score": score.id, "tries": score.tries})
    db.session.add(
        ScoreTry(
            score_id=score.id,
            at=now,
            milliseconds=0,
            heard=Heard.UNKNOWN,
            status=None,
            answer="",
            verdict=_WORKER_DIED,
        )
    )
    db.session.flush()  # What was heard is read next.


def _heard(score: Score) -> tuple[Heard, ...]:
    tries = select(ScoreTry.heard).where(ScoreTry.score_id == score.id).order_by(ScoreTry.id)
    return tuple(Heard(one) for one in db.session.scalars(tries))


def _heard_in_cell(score: Score) -> tuple[Heard, ...]:
    tries = (
        select(ScoreTry.heard)
        .join(Score, Score.id == ScoreTry.score_id)
        .where(
            Score.placement_id == score.placement_id,
            Score.account_id == score.account_id,
            Score.decision_id == score.decision_id,
        )
        .order_by(ScoreTry.id)
    )
    return tuple(Heard(one) for one in db.session.scalars(tries))


def _outgoing(score: Score) -> Outgoing:
    return Outgoing(
        score_id=score.id,
        registration_id=score.registration_id,
        line_item_url=score.line_item_url,
        subject=score.subject,
        points=score.points,
        points_possible=score.points_possible,
        comment=score.comment,
        scored_at=score.scored_at,
        submitted_at=score.submitted_at,
    )


def _deliver(taken: _Taken, gradebook: Gradebook, now_fn: Callable[[], datetime]) -> Heard | None:
    """Talk to the platform, then write down what happened. None if another worker has taken over
    meanwhile."""
    started_at, started = now_fn(), time.monotonic()
    try:
        if rules.read_first(taken.cell_earlier):
            reply, step = _look_then_post(taken, gradebook)
        else:
            reply, step = _post(taken, gradebook)
    except Exception:
        # One row that nobody foresaw must not hold up the others, and nothing is known about what arrived.
        log.exception("delivery failed", extra={"score": taken.score.score_id})
        reply = Reply(Heard.UNKNOWN, reason=_OUR_FAULT)
        step = _after(taken, reply)
    finally:
        db.session.remove()
    record = ScoreTry(
        score_id=taken.score.score_id,
        at=started_at,
        milliseconds=round((time.monotonic() - started) * 1000),
        heard=reply.heard,
        status=reply.status,
        answer=reply.answer.replace("\0", "")[:ANSWER_KEPT],
        verdict=step.reason,
    )
    held = _write_down(taken, record, step, now_fn())
    return reply.heard if held else None


def _look_then_post(taken: _Taken, gradebook: Gradebook) -> tuple[Reply, Step]:
    """An earlier try may have arrived: done if the results show it, else the same score once more.

    A platform that does not let us read its results gets the score again as well: the timestamp is the same,
    so it either takes it for what it has or says so.
    """
    reading = gradebook.read(taken.score)
    if _arrived(reading, taken.score):
        return replace(reading.reply, heard=Heard.ACCEPTED), Step(Next.DONE, _ALREADY_THERE)
    if reading.reply.heard in _PLATFORM_TROUBLE:
        # What was not read changed nothing, so only the earlier try stays unknown.
        heard = Heard.FAILING if reading.reply.heard is Heard.UNKNOWN else reading.reply.heard
        reply = replace(reading.reply, heard=heard)
        return reply, _after(taken, reply)
    return _post(taken, gradebook)


def _post(taken: _Taken, gradebook: Gradebook) -> tuple[Reply, Step]:
    reply = gradebook.post(taken.score)
    if reply.heard is Heard.CONFLICT:
        reading = gradebook.read(taken.score)
        if _arrived(reading, taken.score):
            return reply, Step(Next.DONE, _ALREADY_THERE)
        if reading.reply.heard in _PLATFORM_TROUBLE:
            # Nothing was learned: look again before anything is said about what the gradebook shows.
            reply = replace(reply, heard=Heard.UNKNOWN)
    return reply, _after(taken, reply)


def _arrived(reading: Reading, score: Outgoing) -> bool:
    return rules.settled_by(reading.shown, points=score.points, points_possible=score.points_possible)


def _after(taken: _Taken, reply: Reply) -> Step:
    return rules.after(
        reply.heard,
        earlier=taken.earlier,
        reason=reply.reason,
        retry_after=reply.retry_after,
        jitter=random.random(),  # noqa: S311 - spreads waits, keeps no secret
    )


def _write_down(taken: _Taken, record: ScoreTry, step: Step, now: datetime) -> bool:
    """The try and what became of the score, in one commit. False if the lease was lost: then the answer is
    kept for the story, and decides nothing."""
    try:
        try:
            return _settle(taken, record, step, now, gives_way=_newer_waits(taken))
        except IntegrityError:
            # A newer score of the cell began to wait between our look and our write.
            db.session.rollback()
            return _settle(taken, record, step, now, gives_way=True)
    finally:
        db.session.remove()


def _newer_waits(taken: _Taken) -> bool:
    waiting = select(Score.id).where(
        Score.placement_id == taken.placement_id,
        Score.account_id == taken.account_id,
        Score.state.in_((ScoreState.OWED, ScoreState.PARKED)),
    )
    return db.session.scalar(waiting.limit(1)) is not None


def _settle(taken: _Taken, record: ScoreTry, step: Step, now: datetime, *, gives_way: bool) -> bool:
    state = _STATES[step.next]
    if gives_way and state is not ScoreState.ACCEPTED:
        state = ScoreState.SUPERSEDED
    open_still = state is ScoreState.OWED
    held = db.session.scalar(
        update(Score)
        .where(
            Score.id == record.score_id,
            Score.state == ScoreState.SENDING,
            Score.lease_until == taken.lease_until,
        )
        .values(
            state=state,
            reason=step.reason if state in (ScoreState.OWED, ScoreState.PARKED) else None,
            due_at=now + step.wait,
            lease_until=None,
            settled_at=None if open_still else now,
        )
        .returning(Score.id)
    )
    ids = {"score": record.score_id, "heard": record.heard, "status": record.status}
    if held is None:
        log.warning("score lease lost", extra=ids)
        record.verdict = _TOO_LATE
    else:
        log.info("score tried", extra=ids | {"state": state.value})
        if not open_still:
            audit.record(
                f"score {state}", "score", record.score_id, now=now, heard=record.heard, status=record.status
            )
        if record.heard == Heard.THROTTLED:
            _slow_down(taken.score.registration_id, now + step.wait)
    db.session.add(record)
    db.session.commit()
    return held is not None


def _slow_down(registration_id: int, until: datetime) -> None:
    """A throttled platform counts all our calls together, so everything that waits for it waits longer."""
    db.session.execute(
        update(Score)
        .where(Score.registration_id == registration_id, Score.state == ScoreState.OWED, Score.due_at < until)
        .values(due_at=until)
        .execution_options(synchronize_session=False)
    )
