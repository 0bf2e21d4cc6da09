"""Reads back what the gradebooks show, a column at a time, and compares it with what they had accepted.

A difference is written down and shown; nothing is ever posted from here. Columns are read on a schedule, and when a
person wants to know what they show now. It commits, as the courier does: one worker
at a time asks a platform, by a lease, and no connection is held while the platform thinks. A platform in trouble is
left alone, longer each time.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased

from lti_tool import audit
from lti_tool.credentials.models import Placement
from lti_tool.database import db, insert_into
from lti_tool.lti import ags, paging, platforms
from lti_tool.lti.models import Platform, Registration
from lti_tool.passback import rules
from lti_tool.passback.models import DRIFT, ColumnReading, Finding, ReadBack, Score, ScoreState, ScoreTry
from lti_tool.passback.rules import Shown
from lti_tool.people.models import Course, Term
from lti_tool.settings import current

log = logging.getLogger(__name__)

_READ = (ScoreState.ACCEPTED, ScoreState.CONFIRMED, ScoreState.OVERRIDDEN)
_LOOKED_AT = (ScoreState.PARKED, ScoreState.ABANDONED)
"""Nothing of ours is there to compare with; what the gradebook shows instead is read when somebody asks."""
READABLE = (*_READ, *_LOOKED_AT)
ASK_AGAIN_AFTER = timedelta(minutes=1)
"""So long after somebody has asked for a column, it may be asked for again, for whichever of its earners."""
_BATCH = 200
_FIRST_REST, _LONGEST_REST = timedelta(minutes=1), timedelta(hours=6)
_SOON = timedelta(minutes=15)
"""A difference that is found so soon after a score came in was most likely not made by a person."""
_NOT_LET = timedelta(days=1)
_UNSETTLED = (ScoreState.OWED, ScoreState.SENDING)
_COLUMN_GONE = "The gradebook column does not exist any more, so nobody sees the score."
_NO_SENSE = "{lms} answered with something that is no list of grades."
_REFUSED = (
    "{lms} does not let Tessera read this column{status}. The course may be over or not published, or the tool may not "
    "read grades there. Look into the gradebook itself, or ask those who run {lms}."
)
_TROUBLE = "{lms} is busy or did not answer. Tessera goes on trying by itself."

_TAKEN_AWAY = (
    "Somebody had set another grade, so Tessera did not send this score. That grade is gone now; press “Send again” if "
    "this one is to take its place."
)


@dataclass(frozen=True)
class _Turn:
    """A registration in this worker's hands until ``lease_until``."""

    registration_id: int
    lease_until: datetime


@dataclass(frozen=True)
class _Column:
    """A gradebook column to be read, detached from the database."""

    placement_id: int
    url: str
    only: str | None
    """``sub`` of the one earner whose result is wanted; None wants the whole column."""
    ends_on: date | None
    behaviour: platforms.Generic


def expect(score_id: int, *, now: datetime, alone: bool = False) -> None:
    """A score was accepted: its result is read soon, and those of older scores of its cell no more. What was found
    about them is settled with that. In the caller's transaction.

    :param alone: there are no older ones.
    """
    score = db.session.execute(
        update(Score)
        .where(Score.id == score_id)
        .values(read_due_at=now + current().read_back_waits[0])
        .returning(Score.placement_id, Score.account_id, Score.scored_at)
        .execution_options(synchronize_session=False)
    ).one()
    if alone:
        return
    older = and_(
        Score.placement_id == score.placement_id,
        Score.account_id == score.account_id,
        Score.scored_at < score.scored_at,
    )
    for changes, which in (
        ({"read_due_at": None}, Score.read_due_at.is_not(None)),
        ({"dealt_with_at": now}, and_(Score.finding.in_(DRIFT), Score.dealt_with_at.is_(None))),
    ):
        db.session.execute(
            update(Score).where(older, which).values(changes).execution_options(synchronize_session=False)
        )


def ask(score_id: int, *, now: datetime) -> bool:
    """Somebody wants to know what the gradebook shows now: the score's whole column is read next, though its platform
    be left alone after trouble. In the caller's transaction.

    :returns: False where there is nothing to read, or the column was asked for a moment ago.
    """
    newer = aliased(Score)
    followed = select(newer.id).where(
        newer.placement_id == Score.placement_id, newer.account_id == Score.account_id, newer.id > Score.id
    )
    score = db.session.execute(
        select(Score.placement_id, Score.line_item_url, Score.registration_id).where(
            Score.id == score_id,
            Score.state.in_(READABLE),
            Score.line_item_url != "",
            ~followed.exists(),
        )
    ).one_or_none()
    if score is None:
        return False
    asked = {"asked_at": now, "answered_at": None, "problem": None}
    insert = insert_into(ColumnReading).values(
        placement_id=score.placement_id, line_item_url=score.line_item_url, **asked
    )
    taken = db.session.scalar(
        insert.on_conflict_do_update(
            index_elements=[ColumnReading.placement_id, ColumnReading.line_item_url],
            set_=asked,
            where=ColumnReading.asked_at <= now - ASK_AGAIN_AFTER,
        ).returning(ColumnReading.id),
        execution_options={"synchronize_session": False},
    )
    if taken is None:
        return False
    whole = and_(
        Score.placement_id == score.placement_id,
        Score.line_item_url == score.line_item_url,
        Score.read_due_at.is_not(None),
    )
    wanted = update(Score).where(or_(Score.id == score_id, whole)).values(read_due_at=now)
    awake = update(ReadBack).where(ReadBack.registration_id == score.registration_id).values(rests_until=None)
    for change in (wanted, awake):
        db.session.execute(change.execution_options(synchronize_session=False))
    return True


def asked_for(score_id: int) -> ColumnReading | None:
    """When somebody last asked what the column of a score shows, and what came of it."""
    return db.session.scalar(
        select(ColumnReading)
        .join(
            Score,
            and_(
                Score.placement_id == ColumnReading.placement_id,
                Score.line_item_url == ColumnReading.line_item_url,
            ),
        )
        .where(Score.id == score_id)
    )


def due(now: datetime) -> bool:
    """Whether any result is to be read now that no other worker reads."""
    return db.session.scalar(_waiting(now).limit(1)) is not None


def read_due(
    *,
    now_fn: Callable[[], datetime],
    wait: Callable[[float], object],
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Read the columns that are due, platform by platform. Returns how many were read. Commits.

    :param wait: called with the seconds to wait between two requests.
    """
    read = 0
    asked: set[int] = set()
    while not stopping() and (turn := _take(now_fn(), asked)) is not None:
        asked.add(turn.registration_id)
        read += _read_platform(turn, now_fn, wait, stopping)
    return read


def _waiting(now: datetime) -> Select[int]:
    free = or_(
        ReadBack.registration_id.is_(None),
        and_(
            or_(ReadBack.lease_until.is_(None), ReadBack.lease_until <= now),
            or_(ReadBack.rests_until.is_(None), ReadBack.rests_until <= now),
        ),
    )
    return (
        select(Score.registration_id)
        .outerjoin(ReadBack, ReadBack.registration_id == Score.registration_id)
        .where(Score.read_due_at <= now, free)
    )


def _take(now: datetime, asked: set[int]) -> _Turn | None:
    """Take a platform whose results are due and that nobody else asks now."""
    try:
        waiting = _waiting(now).where(Score.registration_id.not_in(asked)).order_by(Score.read_due_at)
        registration_id = db.session.scalar(waiting.limit(1))
        if registration_id is None:
            return None
        until = now + timedelta(seconds=current().lease_seconds)
        insert = _insert().values(registration_id=registration_id, failures=0, lease_until=until)
        taken = db.session.scalar(
            insert.on_conflict_do_update(
                index_elements=[ReadBack.registration_id],
                set_={"lease_until": until},
                where=or_(ReadBack.lease_until.is_(None), ReadBack.lease_until <= now),
            ).returning(ReadBack.registration_id)
        )
        db.session.commit()
        return None if taken is None else _Turn(registration_id, until)
    finally:
        db.session.remove()


def _read_platform(
    turn: _Turn, now_fn: Callable[[], datetime], wait: Callable[[float], object], stopping: Callable[[], bool]
) -> int:
    """Read one column after the other, until none is due, the platform has trouble, or another worker took over."""
    read, going = 0, True
    held: _Turn | None = turn
    while held is not None and going and not stopping() and (column := _next(held, now_fn())) is not None:
        held, going = _read_column(held, column, now_fn, wait)
        read += 1
    if held is not None:
        _let_go(held)
    return read


def _next(turn: _Turn, now: datetime) -> _Column | None:
    """The column that a person waits for, else the one that has waited longest."""
    try:
        row = db.session.execute(
            select(Score.placement_id, Score.line_item_url, Platform.product, Term.ends_on)
            .join(Registration, Registration.id == Score.registration_id)
            .join(Platform, Platform.id == Registration.platform_id)
            .join(Placement, Placement.id == Score.placement_id)
            .join(Course, Course.id == Placement.course_id)
            .outerjoin(Term, Term.id == Course.term_id)
            .outerjoin(ColumnReading, _awaited(Score.placement_id, Score.line_item_url))
            .where(Score.registration_id == turn.registration_id, Score.read_due_at <= now)
            .order_by(ColumnReading.id.is_(None), Score.read_due_at, Score.id)
            .limit(1)
        ).one_or_none()
        if row is None:
            return None
        earners = db.session.scalars(
            select(Score.subject)
            .where(
                Score.placement_id == row.placement_id,
                Score.line_item_url == row.line_item_url,
                Score.read_due_at.is_not(None),
            )
            .distinct()
            .limit(2)
        ).all()
        return _Column(
            placement_id=row.placement_id,
            url=row.line_item_url,
            only=earners[0] if len(earners) == 1 else None,
            ends_on=row.ends_on,
            behaviour=platforms.behaviour(row.product),
        )
    finally:
        db.session.remove()


def _read_column(
    turn: _Turn, column: _Column, now_fn: Callable[[], datetime], wait: Callable[[float], object]
) -> tuple[_Turn | None, bool]:
    """Ask, compare, write down. Returns the lease as it now stands, None if it was lost, and whether to go on with
    this platform."""
    started, results, problem = now_fn(), dict[str, Shown](), None

    def hold(seconds: float) -> None:
        # Nobody else begins while we do nothing but wait for a platform that is busy.
        nonlocal turn
        turn = _renew(turn, now_fn() + timedelta(seconds=seconds)) or turn
        wait(seconds)

    manner = paging.Manner(clock=now_fn, timeout=current().platform_timeout, wait=hold)
    try:
        for page in ags.column_results(turn.registration_id, column.url, manner, user_id=column.only):
            results |= {sub: Shown(_decimal(one.score), _decimal(one.maximum)) for sub, one in page.items()}
            if (renewed := _renew(turn, now_fn())) is None:
                return None, False
            turn = renewed
    except paging.NotRead as broken:
        db.session.rollback()
        problem = broken
    finally:
        db.session.remove()
    verdict = _verdict(column, problem)
    log.info(
        "column read", extra={"placement": column.placement_id, "results": len(results), "verdict": verdict}
    )
    if problem is None or verdict is platforms.Next.GONE:
        gone = problem is not None
        after = _write_down(turn, column, results, started=started, gone=gone, now_fn=now_fn)
        _answer(column, None, now_fn())
        return after
    _answer(column, _in_words(column, problem, verdict), now_fn())
    _drop_ended(column, now_fn())
    if verdict in (platforms.Next.RETRY, platforms.Next.NEW_TOKEN):
        return _rest(turn, now_fn()), False
    return _put_off(turn, column, now_fn()), True


def _verdict(column: _Column, problem: paging.NotRead | None) -> platforms.Next | None:
    """What kept us from reading; None where nothing did, or the answers make no sense."""
    if problem is None or problem.answer is None:
        return None
    answer = problem.answer
    return column.behaviour.classify(
        answer.status, answer.body, answer.timed_out, at_token=answer.at_token
    ).next


def _in_words(column: _Column, problem: paging.NotRead, verdict: platforms.Next | None) -> str:
    """Why a column could not be read, for whoever asked."""
    lms = column.behaviour.product_name[0].upper() + column.behaviour.product_name[1:]
    if verdict is None or problem.answer is None:
        return _NO_SENSE.format(lms=lms)
    if verdict in (platforms.Next.RETRY, platforms.Next.NEW_TOKEN):
        return _TROUBLE.format(lms=lms)
    status = "" if problem.answer.status is None else f" (status {problem.answer.status})"
    return _REFUSED.format(lms=lms, status=status)


def _awaited(placement_id: Any, url: Any) -> ColumnElement[bool]:
    """That somebody has asked for this column and has no answer yet."""
    return and_(
        ColumnReading.placement_id == placement_id,
        ColumnReading.line_item_url == url,
        ColumnReading.answered_at.is_(None),
    )


def _answer(column: _Column, problem: str | None, now: datetime) -> None:
    """Tell whoever asked for the column what came of it, if anybody did."""
    db.session.execute(
        update(ColumnReading)
        .where(_awaited(column.placement_id, column.url))
        .values(answered_at=now, problem=problem)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    db.session.remove()


def _write_down(
    turn: _Turn,
    column: _Column,
    results: dict[str, Shown],
    *,
    started: datetime,
    gone: bool,
    now_fn: Callable[[], datetime],
) -> tuple[_Turn | None, bool]:
    ids = db.session.scalars(
        select(Score.id).where(_of(column), Score.read_due_at.is_not(None)).order_by(Score.id)
    ).all()
    db.session.remove()
    for start in range(0, len(ids), _BATCH):
        now = now_fn()
        # Writes first, so that nobody else writes to these rows until it is committed.
        if (renewed := _renew(turn, now, commit=False)) is None:
            return None, False
        turn = renewed
        rows = _to_compare(ids[start : start + _BATCH])
        earlier = _earlier([row for row in rows if row.subject in results])
        busy = _overtaken([row.id for row in rows])
        unsent = _never_taken([row.id for row in rows if row.state is ScoreState.OVERRIDDEN])
        for score in rows:
            if score.id in busy or score.settled_at is None or score.settled_at >= started:
                # Its result is not in what we read; it is read in its turn.
                score.read_due_at = now + current().read_back_waits[0]
                continue
            if score.state in _LOOKED_AT:
                score.shown_points, score.shown_possible = rules.kept(results.get(score.subject))
                score.read_at, score.read_due_at = now, None
                continue
            _judge(score, results.get(score.subject), column, earlier.get(score.id, ()), gone=gone, now=now)
            if score.id in unsent and score.state is ScoreState.ACCEPTED:
                # The platform was never given it, so it has accepted nothing.
                score.state = ScoreState.OVERRIDDEN
                score.reason = score.reason or _TAKEN_AWAY
        db.session.commit()
        db.session.remove()
    _recovered(turn.registration_id)
    return turn, True


def _of(column: _Column) -> ColumnElement[bool]:
    """Its scores; only those of the earner whom we ask about, where that is one."""
    whole = and_(Score.placement_id == column.placement_id, Score.line_item_url == column.url)
    return whole if column.only is None else and_(whole, Score.subject == column.only)


def _to_compare(ids: Sequence[int]) -> Sequence[Score]:
    """These rows, ours until the commit; those that are not to be read any more are told so."""
    db.session.execute(
        update(Score)
        .where(Score.id.in_(ids), Score.state.not_in(READABLE))
        .values(read_due_at=None)
        .execution_options(synchronize_session=False)
    )
    return db.session.scalars(
        select(Score)
        .where(Score.id.in_(ids), Score.state.in_(READABLE), Score.read_due_at.is_not(None))
        .order_by(Score.id)
        .with_for_update()
    ).all()


def _overtaken(ids: Sequence[int]) -> set[int]:
    """Those of which a newer score may have arrived meanwhile: what is shown says nothing about the older one. Where
    the newer one was refused or given up, nothing follows any more, and the older one is what should be shown."""
    newer = aliased(Score)
    found = (
        select(Score.id)
        .join(newer, and_(newer.placement_id == Score.placement_id, newer.account_id == Score.account_id))
        .where(
            Score.id.in_(ids),
            newer.scored_at > Score.scored_at,
            newer.tries > 0,
            newer.state.in_(_UNSETTLED),
        )
    )
    return set(db.session.scalars(found))


def _never_taken(ids: Sequence[int]) -> set[int]:
    """Those that were not sent, since a person's grade stood there already."""
    if not ids:
        return set()
    taken = select(ScoreTry.score_id).where(
        ScoreTry.score_id.in_(ids), ScoreTry.heard == rules.Heard.ACCEPTED
    )
    return set(ids) - set(db.session.scalars(taken))


def _earlier(scores: Sequence[Score]) -> dict[int, tuple[tuple[Decimal, Decimal], ...]]:
    """What the platform had accepted for these cells before, by the id of the row that followed."""
    older = aliased(Score)
    found: dict[int, tuple[tuple[Decimal, Decimal], ...]] = {}
    rows = db.session.execute(
        select(Score.id, older.points, older.points_possible)
        .join(older, and_(older.placement_id == Score.placement_id, older.account_id == Score.account_id))
        .where(
            Score.id.in_([score.id for score in scores]),
            older.scored_at < Score.scored_at,
            older.state.in_((ScoreState.ACCEPTED, ScoreState.CONFIRMED)),
        )
    )
    for score_id, points, possible in rows:
        found[score_id] = (*found.get(score_id, ()), (points, possible))
    return found


def _judge(
    score: Score,
    shown: Shown | None,
    column: _Column,
    earlier: tuple[tuple[Decimal, Decimal], ...],
    *,
    gone: bool,
    now: datetime,
) -> None:
    """Write into the row what was found. A person's word about an earlier finding stands as long as it is the same."""
    assert score.settled_at is not None
    product = column.behaviour.product_name
    found = rules.compared(
        shown,
        points=score.points,
        points_possible=score.points_possible,
        earlier=earlier,
        first=now - score.settled_at <= _SOON,
        late_policies=column.behaviour.late_policies,
        lms=product[0].upper() + product[1:],
    )
    points, possible = rules.kept(shown)
    unchanged = (score.shown_points, score.shown_possible) == (points, possible)
    if unchanged and score.finding in DRIFT and found.finding in DRIFT:
        # A late policy's deduction does not become a person's grade by being read again.
        found = rules.Found(score.finding, score.reason)
    as_sent = found.finding is Finding.SAME and score.finding in (None, Finding.SAME)
    if (found.finding, unchanged) != (score.finding, True) and not as_sent:
        score.dealt_with_at = score.dealt_with_note = None
    if score.called_off_at is not None and found.finding in (Finding.OVERRIDDEN, Finding.MISSING):
        # The decision behind it was changed, and its points do not stand there any more: nothing is left to ask.
        score.dealt_with_at = now
    if found.finding != score.finding:
        audit.record(
            "gradebook read", "score", score.id, now=now, finding=found.finding, before=score.finding
        )
    score.state = {
        Finding.SAME: ScoreState.CONFIRMED,
        Finding.OVERRIDDEN: ScoreState.OVERRIDDEN,
    }.get(found.finding, ScoreState.ACCEPTED)
    score.finding, score.reason = found.finding, _COLUMN_GONE if gone else found.reason
    score.shown_points, score.shown_possible, score.read_at = points, possible, now
    score.read_due_at = rules.next_reading(
        current().read_back_waits, accepted_at=score.settled_at, now=now, ends_on=column.ends_on
    )


def _renew(turn: _Turn, now: datetime, *, commit: bool = True) -> _Turn | None:
    """Keep the lease a while longer. None if another worker has taken over."""
    until = now + timedelta(seconds=current().lease_seconds)
    held = db.session.scalar(
        update(ReadBack)
        .where(ReadBack.registration_id == turn.registration_id, ReadBack.lease_until == turn.lease_until)
        .values(lease_until=until)
        .returning(ReadBack.registration_id)
        .execution_options(synchronize_session=False)
    )
    if held is None:
        db.session.rollback()
        return None
    if commit:
        db.session.commit()
    return _Turn(turn.registration_id, until)


def _let_go(turn: _Turn) -> None:
    db.session.execute(
        update(ReadBack)
        .where(ReadBack.registration_id == turn.registration_id, ReadBack.lease_until == turn.lease_until)
        .values(lease_until=None)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    db.session.remove()


def _recovered(registration_id: int) -> None:
    db.session.execute(
        update(ReadBack)
        .where(ReadBack.registration_id == registration_id, ReadBack.failures > 0)
        .values(failures=0, rests_until=None)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def _rest(turn: _Turn, now: datetime) -> _Turn | None:
    """The platform is in trouble: nothing of it is read for a while, twice as long each time."""
    mine = (ReadBack.registration_id == turn.registration_id, ReadBack.lease_until == turn.lease_until)
    failures = db.session.scalar(select(ReadBack.failures).where(*mine))
    if failures is None:
        db.session.rollback()
        return None
    rest = min(_FIRST_REST * (1 << min(failures, 20)), _LONGEST_REST)
    db.session.execute(
        update(ReadBack)
        .where(*mine)
        .values(failures=failures + 1, rests_until=now + rest)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    return turn


def _drop_ended(column: _Column, now: datetime) -> None:
    """What cannot be read is not asked for longer than what can."""
    which = [_of(column), Score.read_due_at.is_not(None)]
    if column.ends_on is None:
        which.append(Score.settled_at < now - rules.READ_AT_MOST)
    elif now.date() - rules.READ_FOR_ANOTHER <= column.ends_on:
        return
    db.session.execute(
        update(Score).where(*which).values(read_due_at=None).execution_options(synchronize_session=False)
    )
    db.session.commit()


def _put_off(turn: _Turn, column: _Column, now: datetime) -> _Turn:
    """This column cannot be read, others perhaps can: the course has ended, or results are not for us to read."""
    db.session.execute(
        update(Score)
        .where(_of(column), Score.read_due_at <= now)
        .values(read_due_at=now + _NOT_LET)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    return turn


def _insert() -> sqlite.Insert | postgresql.Insert:
    on_sqlite = db.session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(ReadBack) if on_sqlite else postgresql.insert(ReadBack)


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))
