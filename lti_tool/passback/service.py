"""Owing the gradebook a score. Nothing is sent here: what these verbs leave behind is the courier's queue.

Locks are taken in one order everywhere: people by their account ids, then scores, then the activity, then its column.
Whoever owes several people in one transaction therefore begins with ``one_at_a_time`` for all of them.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from lti_tool import audit
from lti_tool.audit.digests import Sealed
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.errors import ReasonMissing
from lti_tool.lti.models import Deployment
from lti_tool.passback.models import DRIFT, Finding, Score, ScoreState, ScoreTry
from lti_tool.passback.rules import CALLED_OFF, ENDED, LOOKED_FOR, Cause, Heard, over
from lti_tool.people.models import Account, Course, Membership, Roster, RosterMember, RosterStatus, Term

NO_COLUMN = (
    "This activity has no gradebook column, so there is nowhere to send the score. Ask the instructor to add"
    " the activity again with points, open it once, and then press “Send again”."
)
_OWED = "score owed"
_PROVED_AT_ONCE = 500
REASON_KEPT = 500
"""Characters of what a person says about a score."""
COMPLETED, FULLY_GRADED = "Completed", "FullyGraded"
"""The only progress with which every platform takes a score for final (Moodle wipes a grade with any other)."""
_KEPT = Decimal("0.001")
_WAITING = (ScoreState.OWED, ScoreState.PARKED)
_RACES = 5


@dataclass(frozen=True)
class PlacementCell:
    """The gradebook column of an activity, as it is known at the decision."""

    placement_id: int
    deployment_pk: int
    registration_id: int
    line_item_url: str | None


def owe(
    *,
    placement: PlacementCell,
    account_id: int,
    subject: str,
    decision_id: int | None,
    points: Decimal,
    points_possible: Decimal,
    comment: str,
    submitted_at: datetime,
    hold: str | None = None,
    now: datetime,
) -> Score:
    """Owe one gradebook cell a score, in the caller's transaction. 0 points is a score like any other.

    A score of the same cell that still waits gives way at once; one that is being sent right now goes first,
    and this one follows it. Without a gradebook column the row is parked from the start, so that somebody
    sees it. A decision that has owed the cell a score already owes it nothing more: that row is returned as it stands.

    :param subject: ``sub`` under which the platform knows the earner.
    :param submitted_at: when the work was handed in; sent as ``submission.submittedAt``.
    :param hold: why a person has to agree before it is sent, in words for that person; None sends it.
    """
    one_at_a_time(account_id)
    if decision_id is None:
        cause = _following("close-out", placement.placement_id, account_id)
    else:
        cause = f"decision:{decision_id}"
    return _insert(
        Score(
            idempotency_key=_key(cause, placement.placement_id, account_id),
            reason=hold,
            deployment_pk=placement.deployment_pk,
            registration_id=placement.registration_id,
            placement_id=placement.placement_id,
            account_id=account_id,
            line_item_url=placement.line_item_url or "",
            subject=subject,
            decision_id=decision_id,
            points=points,
            points_possible=points_possible,
            comment=comment,
            submitted_at=submitted_at,
        ),
        now=now,
    )


def resend(
    score_id: int,
    actor: int | None,
    *,
    now: datetime,
    overwrites: bool = False,
    seen: tuple[Decimal | None, Decimal | None] | None = None,
    for_themselves: bool = False,
) -> Score | None:
    """Send a score once more that needs attention, or that the gradebook does not show, as a row of its own with the
    column as it is known today.

    What the old row says and what became of it stays as it was. None if there is no reason any more, for example
    because somebody else has just pressed the same button or a newer score has followed.

    :param overwrites: the person has seen that the gradebook shows another grade, and wants this one there all the
        same.
    :param seen: points and maximum that the person saw in the gradebook; nothing is done if it has shown something
        else since. None asks for nothing in particular.
    :param for_themselves: the person is the score's own earner, whose word changes no grade once the course has ended.
    """
    account_id = db.session.scalar(select(Score.account_id).where(Score.id == score_id))
    if account_id is None:
        return None
    one_at_a_time(account_id)
    old = _given_up_for_another(score_id, now, seen)
    if old is None:
        return None
    # Nobody could look, and whoever presses the button was told to.
    overwrites = overwrites or (actor is not None and old.cause is Cause.UNSEEN)
    agreed = old.agreed or (actor is not None and not for_themselves)
    score = _after(
        old,
        "again",
        points=old.points,
        comment=old.comment,
        overwrites=overwrites,
        agreed=agreed,
        now=now,
    )
    more = {"overwrites": True} if overwrites else {}
    audit.record("score sent again", "score", old.id, now=now, actor=actor, replaced_by=score.id, **more)
    return score


def accept_shown(
    score_id: int, actor: int, *, now: datetime, seen: tuple[Decimal | None, Decimal | None] | None = None
) -> bool:
    """Leave the gradebook as it is, since a person says that it is right. False if there is nothing to say any more, or
    it shows something else than they have seen."""
    dealt = _deal_with(score_id, None, now, seen)
    if dealt is not None:
        audit.record(
            "gradebook left as it is", "score", score_id, now=now, actor=actor, finding=dealt.finding
        )
    return dealt is not None


def note(
    score_id: int,
    actor: int,
    text: str,
    *,
    now: datetime,
    seen: tuple[Decimal | None, Decimal | None] | None = None,
) -> bool:
    """Say why the gradebook shows something else. False as for ``accept_shown``.

    :raises ReasonMissing: the text is empty.
    """
    dealt = _deal_with(score_id, _said(text), now, seen)
    if dealt is not None:
        audit.record("difference explained", "score", score_id, now=now, actor=actor, finding=dealt.finding)
    return dealt is not None


def abandon(score_id: int, actor: int, reason: str, *, now: datetime) -> bool:
    """Do not send a score that waits or needs attention. False if it is on its way, or does not wait any more.

    :raises ReasonMissing: the reason is empty.
    """
    abandoned = db.session.scalar(
        update(Score)
        .where(Score.id == score_id, Score.state.in_(_WAITING))
        .values(state=ScoreState.ABANDONED, reason=_said(reason), settled_at=now)
        .returning(Score.id)
        .execution_options(synchronize_session="fetch")
    )
    if abandoned is not None:
        audit.record("score abandoned", "score", score_id, now=now, actor=actor)
    return abandoned is not None


def call_off(
    placement_id: int, account_id: int, decisions: Collection[int], *, actor: int, now: datetime
) -> None:
    """Give no points any more for these decisions, in the caller's transaction: what has not left is not sent, what may
    have arrived is looked for, and of what the gradebook has a person says what becomes of it."""
    one_at_a_time(account_id)
    points = (
        Score.placement_id == placement_id,
        Score.account_id == account_id,
        Score.decision_id.in_(decisions),
        Score.points > 0,
        Score.called_off_at.is_(None),
    )
    may_be_there = exists().where(ScoreTry.score_id == Score.id, ScoreTry.heard == Heard.UNKNOWN)
    affected = db.session.scalars(select(Score.id).where(*points).order_by(Score.id)).all()
    db.session.execute(
        update(Score)
        .where(*points, Score.state.in_(_WAITING), ~may_be_there)
        .values(state=ScoreState.ABANDONED, reason=CALLED_OFF, settled_at=now, called_off_at=now)
        .execution_options(synchronize_session="fetch")
    )
    db.session.execute(
        update(Score)
        .where(*points, Score.state.in_(_WAITING))
        .values(state=ScoreState.OWED, reason=LOOKED_FOR, cause=None, due_at=now, called_off_at=now)
        .execution_options(synchronize_session="fetch")
    )
    nothing_there = Score.finding.in_((Finding.OVERRIDDEN, Finding.MISSING))
    db.session.execute(
        update(Score)
        .where(*points)
        .values(called_off_at=now, dealt_with_at=case((nothing_there, now)), dealt_with_note=None)
        .execution_options(synchronize_session="fetch")
    )
    for score_id in affected:
        audit.record("points called off", "score", score_id, now=now, actor=actor)


def says(placement_id: int, account_id: int, points: Decimal, possible: Decimal) -> bool:
    """Whether the newest score of a cell, sent or not, gives this share of the points already."""
    newest = db.session.execute(
        select(Score.points, Score.points_possible)
        .where(
            Score.placement_id == placement_id,
            Score.account_id == account_id,
            Score.state.not_in((ScoreState.SUPERSEDED, ScoreState.ABANDONED)),
        )
        .order_by(Score.scored_at.desc())
        .limit(1)
    ).first()
    return newest is not None and newest.points * possible == points * newest.points_possible


def to_ask_after() -> ColumnElement[bool]:
    """That the gradebook keeps points whose decision was changed, and nobody has said yet what becomes of them."""
    newer = aliased(Score)
    followed = exists().where(
        newer.placement_id == Score.placement_id,
        newer.account_id == Score.account_id,
        newer.scored_at > Score.scored_at,
        newer.state.not_in((ScoreState.SUPERSEDED, ScoreState.ABANDONED)),
    )
    return and_(
        Score.called_off_at.is_not(None),
        Score.dealt_with_at.is_(None),
        Score.finding.is_distinct_from(Finding.MISSING),
        _stands_there(),
        ~followed,
    )


def keep(score_id: int, actor: int, note: str = "", *, now: datetime) -> bool:
    """Leave the points in the gradebook, although what they were given for was taken back. False if the score does not
    stand there as accepted any more.

    :param note: why; read years later.
    """
    kept = db.session.scalar(
        update(Score)
        .where(Score.id == score_id, _stands_there())
        .values(dealt_with_at=now, dealt_with_note=note.strip()[:REASON_KEPT] or None)
        .returning(Score.id)
        .execution_options(synchronize_session="fetch")
    )
    if kept is not None:
        audit.record("points left in the gradebook", "score", score_id, now=now, actor=actor)
    return kept is not None


def take_back(score_id: int, actor: int, reason: str, *, now: datetime) -> Score | None:
    """Owe the cell a 0 in place of points that the gradebook has accepted, because a person says so. None if they do
    not stand there any more, or a newer score has followed.

    :param reason: goes to the gradebook as the comment, so the earner reads it.
    :raises ReasonMissing: it is empty.
    """
    comment = _said(reason)
    account_id = db.session.scalar(select(Score.account_id).where(Score.id == score_id))
    if account_id is None:
        return None
    one_at_a_time(account_id)
    newer = aliased(Score)
    followed = select(newer.id).where(
        newer.placement_id == Score.placement_id,
        newer.account_id == Score.account_id,
        newer.scored_at > Score.scored_at,
        newer.state.not_in((ScoreState.SUPERSEDED, ScoreState.ABANDONED)),
    )
    old = db.session.scalar(
        select(Score).where(Score.id == score_id, _stands_there(), ~followed.exists()).with_for_update()
    )
    if old is None:
        return None
    zero = _after(old, "zero", points=Decimal(0), comment=comment, agreed=True, now=now)
    audit.record("points taken back", "score", old.id, now=now, actor=actor, replaced_by=zero.id)
    return zero


def _after(
    old: Score,
    why: str,
    *,
    points: Decimal,
    comment: str,
    overwrites: bool = False,
    agreed: bool,
    now: datetime,
) -> Score:
    """A row that follows another of its cell, with the column as it is known today."""
    cause = _following(why, old.placement_id, old.account_id)
    column, deployment_pk, registration_id = db.session.execute(
        select(Placement.line_item_url, Deployment.id, Deployment.registration_id)
        .join(Deployment, Deployment.id == Placement.deployment_pk)
        .where(Placement.id == old.placement_id)
    ).one()
    return _insert(
        Score(
            idempotency_key=_key(cause, old.placement_id, old.account_id),
            deployment_pk=deployment_pk,
            registration_id=registration_id,
            placement_id=old.placement_id,
            account_id=old.account_id,
            line_item_url=column or old.line_item_url,
            subject=old.subject,
            decision_id=old.decision_id,
            points=points,
            points_possible=old.points_possible,
            comment=comment,
            submitted_at=old.submitted_at,
            overwrites=overwrites,
            agreed=agreed,
        ),
        now=now,
    )


def _following(why: str, placement_id: int, account_id: int) -> str:
    """Why a row is owed that no decision owes: it follows the newest of its cell, so that of two who do the same at
    the same moment one does it."""
    newest = select(func.max(Score.id)).where(
        Score.placement_id == placement_id, Score.account_id == account_id
    )
    return f"{why}:{db.session.scalar(newest) or 0}"


def _key(cause: str, placement_id: int, account_id: int) -> str:
    return f"{cause}/cell:{placement_id}.{account_id}"


def _stands_there() -> ColumnElement[bool]:
    return and_(Score.state.in_((ScoreState.ACCEPTED, ScoreState.CONFIRMED)), Score.points > 0)


def open_finding() -> ColumnElement[bool]:
    """That the gradebook shows something else than we sent, and nobody has said yet what to make of it."""
    return and_(Score.finding.in_(DRIFT), Score.dealt_with_at.is_(None))


def release_returned(*, now: datetime, limit: int = 500) -> int:
    """Send what was refused because the person or the course was not active there, once either was seen there again:
    by a launch, or in the list of the course's people. Returns how many go; the caller commits."""
    launched = exists().where(
        Membership.course_id == Placement.course_id,
        Membership.account_id == Score.account_id,
        Membership.seen_at > Score.settled_at,
    )
    listed = exists().where(
        RosterMember.course_id == Placement.course_id,
        RosterMember.subject == Score.subject,
        RosterMember.status == RosterStatus.ACTIVE,
        Roster.course_id == Placement.course_id,
        Roster.read_at > Score.settled_at,
    )
    waiting = (
        select(Score.id, Score.account_id)
        .join(Placement, Placement.id == Score.placement_id)
        .where(Score.state == ScoreState.PARKED, Score.cause == Cause.AWAY, or_(launched, listed))
        .order_by(Score.id)
        .limit(limit)
    )
    found = db.session.execute(waiting).all()
    one_at_a_time(*(row.account_id for row in found))
    return sum(go_on(row.id, now=now) is not None for row in found)


def go_on(score_id: int, *, now: datetime, overwrites: bool = False) -> Score | None:
    """Send a parked score again because what stood in its way is gone, without anybody having asked now.

    After the end of the course it becomes a request to its faculty instead, unless a person has asked for this very
    score before. None where nothing goes.
    """
    score = db.session.get_one(Score, score_id)
    if score.agreed or not has_ended(score.placement_id, now):
        return resend(score_id, None, now=now, overwrites=overwrites)
    asked = db.session.scalar(
        update(Score)
        .where(Score.id == score_id, Score.state == ScoreState.PARKED)
        .values(reason=ENDED, cause=Cause.ENDED)
        .returning(Score.id)
        .execution_options(synchronize_session="fetch")
    )
    if asked is not None:
        audit.record("score asked about", "score", score_id, now=now)
    return None


def has_ended(placement_id: int, now: datetime) -> bool:
    """Whether the term of the activity's course is over."""
    ends_on = db.session.scalar(
        select(Term.ends_on)
        .join(Course, Course.term_id == Term.id)
        .join(Placement, Placement.course_id == Course.id)
        .where(Placement.id == placement_id)
    )
    return over(ends_on, now)


def was_owed(placement_id: int, account_id: int) -> bool:
    """Whether this gradebook cell was ever owed a score."""
    cell = select(Score.id).where(Score.placement_id == placement_id, Score.account_id == account_id)
    return db.session.scalar(cell.limit(1)) is not None


def _given_up_for_another(
    score_id: int, now: datetime, seen: tuple[Decimal | None, Decimal | None] | None
) -> Score | None:
    """Take the row out of what asks for a person, so that another may take its place; None if somebody was quicker.

    One that the platform has accepted stays so, for that is what it said; only its finding is dealt with. And none is
    sent again over a newer score of its cell."""
    newer = aliased(Score)
    followed = select(newer.id).where(
        newer.placement_id == Score.placement_id,
        newer.account_id == Score.account_id,
        newer.scored_at > Score.scored_at,
        newer.state != ScoreState.ABANDONED,
    )
    parked: Score | None = db.session.scalar(
        update(Score)
        .where(Score.id == score_id, Score.state == ScoreState.PARKED, Score.called_off_at.is_(None))
        .values(state=ScoreState.SUPERSEDED, settled_at=now)
        .returning(Score)
    )
    if parked is not None:
        return parked
    # What somebody has left as it is may still be sent after all, as long as no newer row of its cell stands.
    differs = or_(Score.state == ScoreState.OVERRIDDEN, Score.finding.in_(DRIFT))
    drifted: Score | None = db.session.scalar(
        update(Score)
        .where(
            Score.id == score_id,
            Score.state.in_((ScoreState.ACCEPTED, ScoreState.CONFIRMED, ScoreState.OVERRIDDEN)),
            Score.called_off_at.is_(None),
            differs,
            ~followed.exists(),
            *_as_seen(seen),
        )
        .values(
            state=case((Score.state == ScoreState.OVERRIDDEN, ScoreState.SUPERSEDED), else_=Score.state),
            dealt_with_at=func.coalesce(Score.dealt_with_at, now),
            read_due_at=None,
        )
        .returning(Score)
        .execution_options(synchronize_session="fetch", populate_existing=True)
    )
    return drifted


def _deal_with(
    score_id: int, note: str | None, now: datetime, seen: tuple[Decimal | None, Decimal | None] | None
) -> Score | None:
    return db.session.scalar(
        update(Score)
        .where(Score.id == score_id, open_finding(), *_as_seen(seen))
        .values(dealt_with_at=now, dealt_with_note=note)
        .returning(Score)
        .execution_options(synchronize_session="fetch")
    )


def _as_seen(seen: tuple[Decimal | None, Decimal | None] | None) -> tuple[ColumnElement[bool], ...]:
    """That the gradebook still shows what a person has seen there: a worker may read it at the same moment."""
    if seen is None:
        return ()
    points, possible = seen
    return Score.shown_points.is_not_distinct_from(points), Score.shown_possible.is_not_distinct_from(
        possible
    )


def _said(text: str) -> str:
    words = text.strip()[:REASON_KEPT]
    if not words:
        raise ReasonMissing
    return words


def one_at_a_time(*account_ids: int) -> None:
    """Those who owe the same person wait here for each other; in the unique indexes they would deadlock on
    PostgreSQL. So would two who owe the same people in different orders: who owes several names all of them at once,
    before anything else. SQLite lets one write at a time anyway."""
    people = select(Account.id).where(Account.id.in_(set(account_ids)))
    db.session.execute(people.order_by(Account.id).with_for_update(key_share=True))


def one_at_a_time_for(score_ids: Iterable[int]) -> None:
    """The same for the people of these scores."""
    people = select(Score.account_id).where(Score.id.in_(set(score_ids)))
    one_at_a_time(*db.session.scalars(people))


def _insert(score: Score, *, now: datetime) -> Score:
    """Give the row its time and its place in the cell. A score that a worker puts back at the same moment makes
    the insert fail; then look again. Where the row was owed already, that one is returned and nothing is done."""
    if not score.line_item_url and score.reason is None:
        score.reason = NO_COLUMN
    goes = score.reason is None
    score.state = ScoreState.OWED if goes else ScoreState.PARKED
    score.settled_at = None if goes else now
    score.due_at = score.created_at = now
    score.activity_progress, score.grading_progress = COMPLETED, FULLY_GRADED
    # As the database keeps them, so that the digest is of what can be read again.
    score.points, score.points_possible = score.points.quantize(_KEPT), score.points_possible.quantize(_KEPT)
    cell = (Score.placement_id == score.placement_id, Score.account_id == score.account_id)
    with db.session.no_autoflush:
        for race in range(_RACES):
            owed = db.session.scalar(select(Score).where(Score.idempotency_key == score.idempotency_key))
            if owed is not None:
                return owed
            replaced = db.session.scalars(
                update(Score)
                .where(*cell, Score.state.in_(_WAITING))
                .values(state=ScoreState.SUPERSEDED, settled_at=now)
                .returning(Score.id)
            ).all()
            newest = db.session.scalar(select(func.max(Score.scored_at)).where(*cell))
            score.scored_at = _strictly_after(newest, now)
            try:
                with db.session.begin_nested():
                    db.session.add(score)
            except IntegrityError:
                if race == _RACES - 1:
                    raise
            else:
                break
    audit.record(
        _OWED,
        "score",
        score.id,
        now=now,
        decision=score.decision_id,
        state=score.state,
        replaces=list(replaced),
        payload=score.digest(),
    )
    return score


def _strictly_after(newest: datetime | None, now: datetime) -> datetime:
    """Whole seconds, because Moodle compares whole seconds and refuses an equal one."""
    second = now.replace(microsecond=0)
    return second if newest is None else max(second, newest + timedelta(seconds=1))


def _digests() -> Iterator[list[tuple[int, str]]]:
    after = 0
    while rows := db.session.scalars(
        select(Score).where(Score.id > after).order_by(Score.id).limit(_PROVED_AT_ONCE)
    ).all():
        # Whoever reads this ends the transaction between two batches.
        after = rows[-1].id
        yield [(row.id, row.digest()) for row in rows]


def _there(ids: set[int]) -> set[int]:
    return set(db.session.scalars(select(Score.id).where(Score.id.in_(ids))))


LEDGER = Sealed("score", _OWED, rows=_digests, there=_there)
"""What the audit log proves of the ledger."""
