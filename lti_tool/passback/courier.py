"""Carries owed scores to the gradebooks. The one part of this package that commits.

A score's way: taken by a conditional UPDATE with a lease and committed; sent while no database connection is
held; written down with its try in one commit, if the lease still holds. A worker that dies on the way leaves
its row in ``sending``. When the lease has run out another takes it, and looks at the platform's results
before sending the same score with the same timestamp again.

What a person set in a gradebook is never overwritten: before a score that follows an earlier one of its cell, the
results are read, and before the 0 of a close-out, which no work stands behind. Unless they show nothing, or what we
sent ourselves, nothing is sent. The first score for a piece of work goes without a look, since looking would halve the
rate when a term ends.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from flask import Flask, current_app
from sqlalchemy import case, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from lti_tool import audit, http
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti import pace
from lti_tool.passback import columns, readback, rules, service
from lti_tool.passback.gradebook import AgsGradebook, Gradebook, Outgoing, Reading, Reply
from lti_tool.passback.models import Finding, Score, ScoreState, ScoreTry
from lti_tool.passback.rota import Due, Rota
from lti_tool.passback.rules import Heard, Next, Seen, Shown, Step
from lti_tool.people import service as people
from lti_tool.settings import current

log = logging.getLogger(__name__)

ANSWER_KEPT = 500
HANDS = 12
"""How many scores of one platform a process has in hand at the same time, at most; some of them are just being taken or
written down."""
_MOST_HANDS = 32
"""To all platforms together."""
_PATIENCE = 0.25
"""Seconds after which a worker whose hands are full, or whose platforms rest, looks around again."""
_SHORT_REST = timedelta(seconds=5)
_PLATFORM_TROUBLE = (Heard.FAILING, Heard.UNKNOWN, Heard.THROTTLED)
_MAY_STAND_THERE = (Heard.ACCEPTED, Heard.UNKNOWN)
_WORKER_DIED = (
    "The worker stopped while it was sending. Before the next try Tessera looks whether the score arrived."
)
_OUR_FAULT = "Something went wrong inside Tessera. It is in the log, and the score will be tried again."
_TOO_LATE = "Another worker had taken over by then, so this answer changed nothing."


_STATES = {
    Next.DONE: ScoreState.ACCEPTED,
    Next.RETRY: ScoreState.OWED,
    Next.LEAVE: ScoreState.OVERRIDDEN,
    Next.PARK: ScoreState.PARKED,
    # From there it is sent again at once, as a row of its own.
    Next.RENEW: ScoreState.PARKED,
}


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
    ours: tuple[tuple[Decimal, Decimal], ...]
    """What earlier rows of the cell may have put there: points, and points possible."""
    overwrites: bool
    asks: Step | None
    """What to do instead of sending: the decision was changed, or the course has ended and this would change a grade
    that it shows."""
    undecided: bool
    """No decision about any work stands behind it."""
    alone: bool
    """The cell has never been owed an older score."""
    troubled: bool
    """The platform gave no usable answer when it was asked last."""


@dataclass(frozen=True)
class _Outcome:
    """What the platform said, what follows, and what it showed where we looked."""

    reply: Reply
    step: Step
    shown: Shown | None = None


class _Crew(Protocol):
    """Those who send. Each has the session of its own thread."""

    def free(self) -> bool: ...
    def send(self, taken: _Taken) -> None: ...
    def landed(self, patience: float) -> tuple[_Taken, Heard | None] | None:
        """One that has been sent since, waiting for it so many seconds at most."""
        ...

    def busy(self) -> bool: ...
    def leave(self) -> None:
        """Finish what is in hand."""
        ...


def deliver_due(
    *,
    now_fn: Callable[[], datetime],
    limit: int = 100,
    gradebook: Gradebook | None = None,
    stopping: Callable[[], bool] = lambda: False,
    hands: int = 1,
    wait: Callable[[float], object] | None = None,
) -> int:
    """Send what is due, in fair turns, and return how many scores were tried.

    A platform in trouble rests, for all workers, so that it does not hold up the others. Call it inside an
    application context of its own: it commits and lets go of the session.

    :param hands: how many scores to send to one platform at the same time, each in a thread of its own; with 1,
        everything happens in this one.
    :param wait: sleeps so many seconds. Given one, platforms that rest for moments only are waited for.
    """
    gradebook = AgsGradebook() if gradebook is None else gradebook
    crew: _Crew = _Alone(gradebook, now_fn) if hands == 1 else _Hands(gradebook, now_fn)
    rota, tried = Rota(hands), 0
    try:
        while tried < limit and not stopping():
            taken = _take(now_fn(), rota) if crew.free() else None
            if taken is not None:
                crew.send(taken)
                tried += 1
            elif not crew.busy() and not _rested(rota, now_fn(), wait):
                break
            patience = _PATIENCE if taken is None else 0.0
            while (landed := crew.landed(patience)) is not None:
                one, heard = landed
                rota.done(one.score.registration_id, answered=heard not in _PLATFORM_TROUBLE)
                patience = 0.0
    finally:
        crew.leave()
    return tried


def _rested(rota: Rota, now: datetime, wait: Callable[[float], object] | None) -> bool:
    """Wait while the platforms rest that something is due for. False if that is not worth it."""
    if wait is None:
        return False
    try:
        until = rota.rests_until(now)
    finally:
        db.session.remove()
    if until is None or until - now > _SHORT_REST:
        return False
    wait(min((until - now).total_seconds(), _PATIENCE))
    return True


class _Alone:
    """Sends in the caller's own thread."""

    def __init__(self, gradebook: Gradebook, now_fn: Callable[[], datetime]) -> None:
        self._gradebook, self._now_fn = gradebook, now_fn
        self._done: list[tuple[_Taken, Heard | None]] = []

    def free(self) -> bool:
        return True

    def send(self, taken: _Taken) -> None:
        self._done.append((taken, _deliver(taken, self._gradebook, self._now_fn)))

    def landed(self, patience: float) -> tuple[_Taken, Heard | None] | None:  # noqa: ARG002 - all have landed
        return self._done.pop() if self._done else None

    def busy(self) -> bool:
        return False

    def leave(self) -> None:
        pass


class _Hands:
    """Threads, as many as there is work for. Each keeps its connections until the crew leaves."""

    def __init__(self, gradebook: Gradebook, now_fn: Callable[[], datetime]) -> None:
        self._gradebook, self._now_fn = gradebook, now_fn
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # what is behind the proxy
        self._inbox: queue.SimpleQueue[_Taken | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[tuple[_Taken, Heard | None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._in_hand = 0

    def free(self) -> bool:
        return self._in_hand < _MOST_HANDS

    def send(self, taken: _Taken) -> None:
        self._in_hand += 1
        if self._in_hand > len(self._threads):
            thread = threading.Thread(target=self._work, name=f"courier-{len(self._threads)}")
            self._threads.append(thread)
            thread.start()
        self._inbox.put(taken)

    def landed(self, patience: float) -> tuple[_Taken, Heard | None] | None:
        try:
            one = (
                self._outbox.get(timeout=patience) if patience and self.busy() else self._outbox.get_nowait()
            )
        except queue.Empty:
            return None
        self._in_hand -= 1
        return one

    def busy(self) -> bool:
        return self._in_hand > 0

    def leave(self) -> None:
        for _ in self._threads:
            self._inbox.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            with self._app.app_context():
                while (taken := self._inbox.get()) is not None:
                    heard: Heard | None = Heard.FAILING
                    try:
                        heard = _deliver(taken, self._gradebook, self._now_fn)
                    except Exception:
                        # The database has gone away, most likely. The row's lease runs out; another look follows.
                        log.exception("delivery not written down", extra={"score": taken.score.score_id})
                    finally:
                        self._outbox.put((taken, heard))
        finally:
            http.close()


def _take(now: datetime, rota: Rota) -> _Taken | None:
    """Take the next due row that nobody else takes first, and let go of the database."""
    try:
        for row in rota.due(now):
            taken = _claim(row, now)
            if taken is not None:
                rota.taken(row)
                return taken
            rota.missed(row)
        return None
    finally:
        db.session.remove()


def _claim(row: Due, now: datetime) -> _Taken | None:
    until = now + timedelta(seconds=current().lease_seconds)
    conditions = [
        Score.id == row.score_id,
        Score.state == row.state,
        Score.lease_until.is_not_distinct_from(row.lease_until),
        # Another worker may have tried it since we looked, and put it off.
        Score.due_at <= now,
    ]
    if row.at_once_everywhere is not None:
        other = aliased(Score)
        on_their_way = select(func.count(other.id)).where(
            other.registration_id == row.registration_id,
            other.state == ScoreState.SENDING,
            other.lease_until > now,
        )
        conditions.append(on_their_way.scalar_subquery() < row.at_once_everywhere)
    try:
        score = db.session.scalar(
            update(Score)
            .where(*conditions)
            .values(state=ScoreState.SENDING, lease_until=until, tries=Score.tries + 1)
            .returning(Score)
            .execution_options(synchronize_session=False)
        )
        if score is None:
            db.session.rollback()
            return None
        if row.state is ScoreState.SENDING:
            _note_abandoned(score, now)
        fresh = row.alone and score.tries == 1
        ours = () if fresh else _ours(score)
        taken = _Taken(
            score=_outgoing(score),
            placement_id=score.placement_id,
            account_id=score.account_id,
            lease_until=until,
            earlier=_heard(score) if score.tries > 1 else (),
            cell_earlier=() if fresh else _heard_in_cell(score),
            ours=ours,
            overwrites=score.overwrites,
            asks=_asks(score, now) if ours or score.called_off_at is not None else None,
            undecided=score.decision_id is None,
            alone=row.alone,
            troubled=row.troubled,
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
            Score.decision_id.is_not_distinct_from(score.decision_id),
        )
        .order_by(ScoreTry.id)
    )
    return tuple(Heard(one) for one in db.session.scalars(tries))


def _ours(score: Score) -> tuple[tuple[Decimal, Decimal], ...]:
    """What earlier rows of the cell may have put into the gradebook, and what became of it there without any person: a
    late policy's deduction, for example."""
    tried = exists().where(ScoreTry.score_id == Score.id, ScoreTry.heard.in_(_MAY_STAND_THERE))
    accepted = Score.state.in_((ScoreState.ACCEPTED, ScoreState.CONFIRMED))
    rows = db.session.execute(
        select(Score.points, Score.points_possible, Score.finding, Score.shown_points, Score.shown_possible)
        .where(
            Score.placement_id == score.placement_id,
            Score.account_id == score.account_id,
            Score.id != score.id,
            or_(accepted, tried),
        )
        .order_by(Score.id)
    ).all()
    sent = [(row.points, row.points_possible) for row in rows]
    changed = [
        (row.shown_points, row.points_possible if row.shown_possible is None else row.shown_possible)
        for row in rows
        if row.finding is Finding.DIFFERENT and row.shown_points is not None
    ]
    return (*sent, *changed)


def _asks(score: Score, now: datetime) -> Step | None:
    if score.called_off_at is not None:
        return Step(Next.PARK, rules.CALLED_OFF)
    if score.agreed or not service.has_ended(score.placement_id, now):
        return None
    return Step(Next.PARK, rules.ENDED, cause=rules.Cause.ENDED)


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
        activity_progress=score.activity_progress,
        grading_progress=score.grading_progress,
    )


def _deliver(taken: _Taken, gradebook: Gradebook, now_fn: Callable[[], datetime]) -> Heard | None:
    """Talk to the platform, then write down what happened. None if another worker has taken over
    meanwhile."""
    started_at, started = now_fn(), time.monotonic()
    try:
        if taken.asks is not None and not rules.read_first(taken.cell_earlier):
            outcome = _Outcome(Reply(Heard.HELD), taken.asks)
        elif taken.ours or taken.undecided or rules.read_first(taken.cell_earlier):
            outcome = _look_then_post(taken, gradebook)
        else:
            outcome = _post(taken, gradebook)
    except Exception:
        # One row that nobody foresaw must not hold up the others, and nothing is known about what arrived.
        log.exception("delivery failed", extra={"score": taken.score.score_id})
        reply = Reply(Heard.UNKNOWN, reason=_OUR_FAULT)
        outcome = _Outcome(reply, _after(taken, reply))
    finally:
        db.session.remove()
    reply = outcome.reply
    record = ScoreTry(
        score_id=taken.score.score_id,
        at=started_at,
        milliseconds=round((time.monotonic() - started) * 1000),
        heard=reply.heard,
        status=reply.status,
        answer=reply.answer.replace("\0", "")[:ANSWER_KEPT],
        verdict=outcome.step.reason,
    )
    held = _write_down(taken, record, outcome, now_fn())
    return reply.heard if held else None


def _look_then_post(taken: _Taken, gradebook: Gradebook) -> _Outcome:
    """Done if the results show this score, since an earlier try may have arrived. Nothing is sent where they show what
    a person set. Else the score goes, with the same timestamp as on every try.

    Where the platform does not let us read, a first score goes all the same: it either takes it for what it has or
    says so. One that follows another waits for a person to look.
    """
    reading = gradebook.read(taken.score)
    heard = reading.reply.heard
    if heard in _PLATFORM_TROUBLE:
        # What was not read changed nothing, so only an earlier try stays unknown.
        reply = replace(reading.reply, heard=Heard.FAILING if heard is Heard.UNKNOWN else heard)
        return _Outcome(reply, _after(taken, reply))
    if heard is Heard.ACCEPTED:
        seen = _look(taken, reading, may_have_arrived=rules.read_first(taken.cell_earlier))
        if seen is Seen.THERE:
            return _Outcome(reading.reply, Step(Next.DONE, rules.ALREADY_THERE), reading.shown)
        if seen is Seen.SET and not taken.overwrites:
            reply = replace(reading.reply, heard=Heard.OVERRIDDEN)
            return _Outcome(reply, Step(Next.LEAVE, rules.SET_BY_A_PERSON), reading.shown)
    elif taken.ours and heard is not Heard.GONE and (reading.reply.away or not taken.overwrites):
        return _unseen(taken, replace(reading.reply, heard=Heard.REFUSED))
    if taken.asks is not None:
        return _Outcome(replace(reading.reply, heard=Heard.HELD), taken.asks)
    return _post(taken, gradebook)


def _unseen(taken: _Taken, reply: Reply) -> _Outcome:
    if reply.away:
        # A course that has concluded shows no grades either, and takes none: that ends by itself.
        return _Outcome(reply, _after(taken, reply))
    return _Outcome(reply, Step(Next.PARK, rules.UNSEEN, cause=rules.Cause.UNSEEN))


def _post(taken: _Taken, gradebook: Gradebook) -> _Outcome:
    reply = gradebook.post(taken.score)
    if reply.heard is not Heard.CONFLICT:
        return _Outcome(reply, _after(taken, reply))
    reading = gradebook.read(taken.score)
    if reading.reply.heard in _PLATFORM_TROUBLE:
        # Nothing was learned: look again before anything is said about what the gradebook shows.
        reply = replace(reply, heard=Heard.UNKNOWN)
    if reading.reply.heard is not Heard.ACCEPTED:
        return _Outcome(reply, _after(taken, reply))
    step = rules.after_conflict(
        _look(taken, reading, may_have_arrived=True),
        overwrites=taken.overwrites,
        earlier=taken.cell_earlier,
        reason=reply.reason,
        jitter=_chance(),
    )
    return _Outcome(reply, step, reading.shown)


def _look(taken: _Taken, reading: Reading, *, may_have_arrived: bool) -> Seen:
    return rules.look(
        reading.shown,
        points=taken.score.points,
        points_possible=taken.score.points_possible,
        ours=taken.ours,
        may_have_arrived=may_have_arrived,
    )


def _after(taken: _Taken, reply: Reply) -> Step:
    return rules.after(
        reply.heard,
        earlier=taken.earlier,
        reason=reply.reason,
        retry_after=reply.retry_after,
        jitter=_chance(),
        away=reply.away,
    )


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads waits, keeps no secret


def _write_down(taken: _Taken, record: ScoreTry, outcome: _Outcome, now: datetime) -> bool:
    """The try and what became of the score, in one commit. False if the lease was lost: then the answer is
    kept for the story, and decides nothing."""
    try:
        try:
            gives_way = outcome.step.next is not Next.DONE and _newer_waits(taken)
            held = _settle(taken, record, outcome, now, gives_way=gives_way)
        except IntegrityError:
            # A newer score of the cell began to wait between our look and our write.
            db.session.rollback()
            held = _settle(taken, record, outcome, now, gives_way=True)
        _keep_pace(taken, outcome, now)
        return held
    finally:
        db.session.remove()


def _newer_waits(taken: _Taken) -> bool:
    waiting = select(Score.id).where(
        Score.placement_id == taken.placement_id,
        Score.account_id == taken.account_id,
        Score.state.in_((ScoreState.OWED, ScoreState.PARKED)),
    )
    return db.session.scalar(waiting.limit(1)) is not None


def _settle(taken: _Taken, record: ScoreTry, outcome: _Outcome, now: datetime, *, gives_way: bool) -> bool:
    step = outcome.step
    if step.next is Next.RENEW or record.heard == Heard.GONE:
        # Before the row itself, as all who owe the person do; the other way round two of us wait for each other.
        service.one_at_a_time(taken.account_id)
    state = _STATES[step.next]
    if gives_way and state is not ScoreState.ACCEPTED:
        state = ScoreState.SUPERSEDED
    open_still = state is ScoreState.OWED
    tells = state in (ScoreState.OWED, ScoreState.PARKED, ScoreState.OVERRIDDEN)
    # Whoever has just changed the decision wants nothing of it sent, and there is nothing to ask of anybody.
    off = Score.called_off_at.is_not(None)
    parked = state is ScoreState.PARKED
    held = db.session.scalar(
        update(Score)
        .where(
            Score.id == record.score_id,
            Score.state == ScoreState.SENDING,
            Score.lease_until == taken.lease_until,
        )
        .values(
            state=case((off, ScoreState.ABANDONED), else_=state) if parked else state,
            reason=(case((off, rules.CALLED_OFF), else_=step.reason) if parked else step.reason)
            if tells
            else None,
            cause=step.cause if parked else None,
            due_at=now + step.wait,
            lease_until=None,
            settled_at=None if open_still else now,
            **(_found(outcome.shown, now) if state is ScoreState.OVERRIDDEN else {}),
        )
        .returning(Score.state)
        .execution_options(synchronize_session=False)
    )
    state = held or state
    ids = {"score": record.score_id, "heard": record.heard, "status": record.status}
    if held is None:
        log.warning("score lease lost", extra=ids)
        record.verdict = _TOO_LATE
    else:
        log.info("score tried", extra=ids | {"state": state.value})
        if state is ScoreState.ACCEPTED:
            readback.expect(record.score_id, now=now, alone=taken.alone)
        if not open_still:
            audit.record(
                f"score {state}", "score", record.score_id, now=now, heard=record.heard, status=record.status
            )
        if state is ScoreState.OVERRIDDEN:
            _close_earlier(taken, now)
        if state is ScoreState.PARKED and step.cause is rules.Cause.AWAY:
            course_id = db.session.get_one(Placement, taken.placement_id).course_id
            people.look_out_for(course_id, taken.account_id, now=now)
        if record.heard == Heard.GONE:
            columns.lost(taken.placement_id, taken.score.line_item_url, now=now)
            if state is ScoreState.PARKED and columns.moved(taken.placement_id, taken.score.line_item_url):
                # It set out for the old column, and came too late for what had been parked until there was a new one.
                service.go_on(record.score_id, now=now, overwrites=taken.overwrites)
        if step.next is Next.RENEW and state is ScoreState.PARKED:
            renewed = service.go_on(record.score_id, now=now, overwrites=taken.overwrites)
            if renewed is not None:
                renewed.due_at = now + step.wait
    db.session.add(record)
    db.session.commit()
    return held is not None


def _found(shown: Shown | None, now: datetime) -> dict[str, object]:
    points, possible = rules.kept(shown)
    return {
        "finding": Finding.OVERRIDDEN,
        "shown_points": points,
        "shown_possible": possible,
        "read_at": now,
        # Whoever set it may take it away again.
        "read_due_at": now + current().read_back_waits[0],
    }


def _close_earlier(taken: _Taken, now: datetime) -> None:
    """What the gradebook shows is the newer score's business from here on."""
    db.session.execute(
        update(Score)
        .where(
            Score.placement_id == taken.placement_id,
            Score.account_id == taken.account_id,
            Score.scored_at < taken.score.scored_at,
            or_(Score.read_due_at.is_not(None), service.open_finding()),
        )
        .values(
            read_due_at=None,
            dealt_with_at=case((service.open_finding(), now), else_=Score.dealt_with_at),
        )
        .execution_options(synchronize_session=False)
    )


def _keep_pace(taken: _Taken, outcome: _Outcome, now: datetime) -> None:
    """A platform in trouble rests, for all workers. When it is back after a while, nothing waits any longer."""
    heard, registration_id = outcome.reply.heard, taken.score.registration_id
    if heard is Heard.HELD:
        return
    if heard is Heard.THROTTLED:
        pace.rest(registration_id, now + outcome.step.wait)
    elif heard in _PLATFORM_TROUBLE:
        pace.failed(registration_id, now)
    elif taken.troubled and pace.well(registration_id):
        db.session.execute(
            update(Score)
            .where(
                Score.registration_id == registration_id, Score.state == ScoreState.OWED, Score.due_at > now
            )
            .values(due_at=now)
            .execution_options(synchronize_session=False)
        )
        db.session.commit()
