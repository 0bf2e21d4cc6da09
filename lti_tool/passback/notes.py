"""Telling a gradebook, or an earner, something without any number, where that harms no grade.

Canvas takes it as a comment, or as the news that work waits, which it then lists in SpeedGrader; Moodle would wipe a
grade that stands, so it hears nothing and the earner gets a letter, if there is an address and a mail server. Delivery
commits, as the courier's does, and gives up quietly: everything can be read in Tessera either way.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool import mail
from lti_tool.database import db
from lti_tool.lti import ags, pace, platforms
from lti_tool.lti.addresses import submission_address
from lti_tool.lti.models import Platform, Registration
from lti_tool.passback.models import GradeNote, NoteKind, Score, ScoreState
from lti_tool.passback.service import PlacementCell
from lti_tool.people.models import Account
from lti_tool.settings import current

log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
_MOST_TRIES = 12
_ON_ITS_WAY = (ScoreState.OWED, ScoreState.SENDING, ScoreState.PARKED)


@dataclass(frozen=True)
class _Taken:
    """One note, detached from the database."""

    id: int
    kind: NoteKind
    placement_id: int
    account_id: int
    registration_id: int
    line_item_url: str | None
    subject: str
    ref: int
    text: str
    said_at: datetime
    tries: int


def owe(
    cell: PlacementCell,
    *,
    account_id: int,
    subject: str,
    text: str,
    kind: NoteKind,
    ref: int,
    now: datetime,
    by_letter: bool = True,
) -> bool:
    """Note that an earner is to be told something, in the caller's transaction: beside their grade where the platform
    takes a comment alone without harm, else by a letter that says no more than that there is something to read.

    :param subject: ``sub`` under which the platform knows the earner.
    :param text: the comment; no part of a letter.
    :param ref: what it is about; the same is told once.
    :param by_letter: whether a letter will do: only where there is something to read in Tessera.
    :returns: whether there is a way to tell them, and they were not told before.
    """
    commented = (
        cell.line_item_url is not None and _behaviour(cell.registration_id).comment_alone() is not None
    )
    address = db.session.scalar(select(Account.email).where(Account.id == account_id))
    if not commented and not (by_letter and mail.possible() and address):
        return False
    return _noted(
        GradeNote(
            kind=kind,
            placement_id=cell.placement_id,
            account_id=account_id,
            registration_id=cell.registration_id,
            line_item_url=cell.line_item_url if commented else None,
            subject=subject,
            ref=ref,
            text=text,
            said_at=now,
            due_at=now,
        )
    )


def take_back(placement_id: int, account_id: int, kind: NoteKind) -> None:
    """Tell an earner nothing of this kind after all, where it has not gone yet."""
    db.session.execute(
        delete(GradeNote)
        .where(
            GradeNote.placement_id == placement_id, GradeNote.account_id == account_id, GradeNote.kind == kind
        )
        .execution_options(synchronize_session=False)
    )


def tell_handed_in(
    cell: PlacementCell, *, account_id: int, subject: str, submission_id: int, handed_in_at: datetime
) -> bool:
    """Note that a gradebook is to be told of work that was handed in. Nothing where its platform would be harmed by
    that, where there is no column, or where it was noted before."""
    behaviour = _behaviour(cell.registration_id)
    if cell.line_item_url is None or behaviour.handed_in("") is None:
        return False
    return _noted(
        GradeNote(
            kind=NoteKind.HANDED_IN,
            placement_id=cell.placement_id,
            account_id=account_id,
            registration_id=cell.registration_id,
            line_item_url=cell.line_item_url,
            subject=subject,
            ref=submission_id,
            text="",
            said_at=handed_in_at,
            due_at=handed_in_at,
        )
    )


def _noted(row: GradeNote) -> bool:
    try:
        with db.session.begin_nested():
            db.session.add(row)
    except IntegrityError:
        return False
    return True


def due(now: datetime) -> set[int]:
    """The registrations that are to be told something now, themselves or their people."""
    return set(db.session.scalars(select(GradeNote.registration_id).where(*_due(now)).distinct()))


def deliver_due(
    registration_id: int,
    *,
    now_fn: Callable[[], datetime],
    stopping: Callable[[], bool] = lambda: False,
    limit: int = 100,
) -> int:
    """Send what that platform, or its people, are to be told, oldest first. Returns how many were dealt with.
    Commits."""
    dealt = 0
    while dealt < limit and not stopping() and (taken := _take(registration_id, now_fn())) is not None:
        _deal_with(taken, now_fn)
        db.session.remove()
        dealt += 1
    return dealt


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """A letter goes while the platform rests."""
    goes = or_(GradeNote.line_item_url.is_(None), GradeNote.registration_id.not_in(pace.resting(now)))
    return GradeNote.due_at <= now, goes


def _take(registration_id: int, now: datetime) -> _Taken | None:
    """The oldest note that is due; another worker leaves it alone until the lease is over."""
    oldest = (
        select(GradeNote.id)
        .where(GradeNote.registration_id == registration_id, *_due(now))
        .order_by(GradeNote.due_at, GradeNote.id)
        .limit(1)
    )
    lease = timedelta(seconds=current().lease_seconds)
    row = db.session.execute(
        update(GradeNote)
        .where(GradeNote.id == oldest.scalar_subquery(), GradeNote.due_at <= now)
        .values(due_at=now + lease, tries=GradeNote.tries + 1)
        .returning(
            GradeNote.id,
            GradeNote.kind,
            GradeNote.placement_id,
            GradeNote.account_id,
            GradeNote.registration_id,
            GradeNote.line_item_url,
            GradeNote.subject,
            GradeNote.ref,
            GradeNote.text,
            GradeNote.said_at,
            GradeNote.tries,
        )
        .execution_options(synchronize_session=False)
    ).one_or_none()
    db.session.commit()
    return None if row is None else _Taken(**row._mapping)


def _deal_with(taken: _Taken, now_fn: Callable[[], datetime]) -> None:
    second = taken.said_at.replace(microsecond=0)
    if _has_score(taken, Score.scored_at >= second):
        # The decision says more than what was to be told.
        _forget(taken)
    elif taken.line_item_url is None:
        _settle(taken, again=_write(taken), now=now_fn())
    elif _has_score(taken, Score.state.in_(_ON_ITS_WAY)):
        # Told first, it would make the platform take that score for an older one.
        _settle(taken, again=True, now=now_fn())
    else:
        _settle(taken, again=_post(taken, taken.line_item_url, now_fn), now=now_fn())


def _has_score(taken: _Taken, which: ColumnElement[bool]) -> bool:
    cell = select(Score.id).where(
        Score.placement_id == taken.placement_id, Score.account_id == taken.account_id, which
    )
    return db.session.scalar(cell.limit(1)) is not None


def _post(taken: _Taken, line_item_url: str, now_fn: Callable[[], datetime]) -> bool:
    """Tell the gradebook. Whether to try again."""
    behaviour = _behaviour(taken.registration_id)
    answer = ags.post_score(
        taken.registration_id,
        line_item_url,
        _payload(taken, behaviour),
        now=now_fn(),
        timeout=current().platform_timeout,
    )
    verdict = behaviour.classify(answer.status, answer.body, answer.timed_out, at_token=answer.at_token)
    again = verdict.next in (platforms.Next.RETRY, platforms.Next.NEW_TOKEN)
    if again:
        # As with scores: one that is out of order is not asked note by note, while other errands wait behind them.
        pace.failed(taken.registration_id, now_fn())
    if taken.kind is not NoteKind.HANDED_IN and answer.timed_out:
        # It may stand there already, and would stand there twice.
        again = False
    log.info("note told", extra={"note": taken.id, "status": answer.status, "again": again})
    return again


def _payload(taken: _Taken, behaviour: platforms.Generic) -> ags.ScorePayload:
    # Whole seconds, as scores have them: a decision in the very same second must not be the older one.
    second = taken.said_at.replace(microsecond=0)
    if taken.kind is NoteKind.HANDED_IN:
        url = submission_address(current().public_url, taken.placement_id, taken.ref)
        return ags.ScorePayload(
            user_id=taken.subject,
            activity_progress="Submitted",
            grading_progress="PendingManual",
            timestamp=second,
            submitted_at=taken.said_at,
            extensions=behaviour.handed_in(url) or {},
        )
    return ags.ScorePayload(
        user_id=taken.subject,
        activity_progress="InProgress",
        grading_progress="NotReady",
        timestamp=second,
        comment=taken.text,
        extensions=behaviour.comment_alone() or {},
    )


def _write(taken: _Taken) -> bool:
    """Send the letter, which names neither what was decided nor anybody. Whether to try again."""
    address = db.session.scalar(select(Account.email).where(Account.id == taken.account_id))
    db.session.remove()
    if not address or not mail.possible():
        return False
    issuer = current().issuer_name
    text = (
        f"There is feedback on your work at {issuer}.\n"
        "\n"
        "Open the activity in your course to read it. For your privacy this letter says no more.\n"
    )
    again = False
    try:
        mail.send(address, "There is feedback on your work", text)
    except mail.NotSent as problem:
        again = problem.again
    log.info("note written", extra={"note": taken.id, "again": again})
    return again


def _settle(taken: _Taken, *, again: bool, now: datetime) -> None:
    if not again or taken.tries >= _MOST_TRIES:
        _forget(taken)
        return
    wait = min(_FIRST_WAIT * (1 << (taken.tries - 1)), _LONGEST_WAIT)
    db.session.execute(update(GradeNote).where(GradeNote.id == taken.id).values(due_at=now + wait))
    db.session.commit()


def _forget(taken: _Taken) -> None:
    db.session.execute(delete(GradeNote).where(GradeNote.id == taken.id))
    db.session.commit()


def _behaviour(registration_id: int) -> platforms.Generic:
    product = db.session.scalar(
        select(Platform.product)
        .join(Registration, Registration.platform_id == Platform.id)
        .where(Registration.id == registration_id)
    )
    return platforms.behaviour(product or "")
