"""Who is in a course now, as its platform lists them: noting where to ask, asking, and keeping what was said.

``refresh`` commits, page by page: a course may have thousands of people, and no connection or transaction may be held
while a platform thinks. What one page says is true at once; that somebody has left follows only from a whole list.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, and_, case, or_, select, update

from lti_tool.database import db, insert_into
from lti_tool.lti import paging, rosters
from lti_tool.lti.models import Deployment
from lti_tool.lti.rosters import Member
from lti_tool.people.models import Course, Membership, Roster, RosterMember, RosterStatus
from lti_tool.settings import current

log = logging.getLogger(__name__)

STALE_FOR_FACULTY = timedelta(minutes=5)
"""Who opens the dashboard again sooner sees what was read a moment ago."""
STALE_IN_BACKGROUND = timedelta(hours=12)
_QUIET = timedelta(days=14)
"""A course that nobody opened Tessera from for so long is asked again when somebody does."""
_BATCH = 200
_EMPTY = "The list that came was empty, though people have been here."
_STOPPED = "Reading the list was interrupted."


def note(course_id: int, deployment_pk: int, address: str | None, subject: str, *, now: datetime) -> None:
    """Take in what a launch tells of its course's list: where it is, and that this person is on it, though an earlier
    list may have said that they had left. One query where nothing is new."""
    known = db.session.execute(
        select(Roster.address, Roster.deployment_pk, RosterMember.status)
        .select_from(Course)
        .outerjoin(Roster, Roster.course_id == Course.id)
        .outerjoin(RosterMember, (RosterMember.course_id == Course.id) & (RosterMember.subject == subject))
        .where(Course.id == course_id)
    ).one()
    take_in(course_id, deployment_pk, address, subject, known, now=now)


def take_in(
    course_id: int,
    deployment_pk: int,
    address: str | None,
    subject: str,
    known: Sequence[Any],
    *,
    now: datetime,
) -> None:
    """As :func:`note`, for a caller who has read what is known: the list's address, the deployment that it was offered
    by, and how the person is listed."""
    known_address, offered_by, status = known
    if address is not None and (known_address, offered_by) != (address, deployment_pk):
        found = {"deployment_pk": deployment_pk, "address": address}
        insert = insert_into(Roster).values(course_id=course_id, reading=0, **found)
        db.session.execute(
            insert.on_conflict_do_update(index_elements=[Roster.course_id], set_=found),
            execution_options={"synchronize_session": False},
        )
    if status is RosterStatus.LEFT:
        db.session.execute(
            update(RosterMember)
            .where(RosterMember.course_id == course_id, RosterMember.subject == subject)
            .values(status=RosterStatus.ACTIVE, since=now, returned=True)
            .execution_options(synchronize_session=False)
        )


def wants_reading(course_id: int, *, now: datetime, stale_after: timedelta) -> bool:
    """Whether there is a list of this course that nobody has asked for within ``stale_after``."""
    row = db.session.get(Roster, course_id)
    return row is not None and (row.asked_at is None or row.asked_at <= now - stale_after)


def due(*, now: datetime, limit: int = 20) -> Sequence[int]:
    """Ids of courses in use whose list is older than half a day, the oldest first."""
    in_use = select(Membership.id).where(
        Membership.course_id == Roster.course_id, Membership.seen_at > now - _QUIET
    )
    return db.session.scalars(
        select(Roster.course_id)
        .where(_stale(now, STALE_IN_BACKGROUND), in_use.exists())
        .order_by(Roster.asked_at.is_not(None), Roster.asked_at, Roster.course_id)
        .limit(limit)
    ).all()


def refresh(
    course_id: int,
    *,
    clock: Callable[[], datetime],
    wait: Callable[[float], object],
    stopping: Callable[[], bool] = lambda: False,
    stale_after: timedelta = STALE_IN_BACKGROUND,
) -> bool:
    """Read the list of a course anew, unless that was just done or another worker does it now. Commits.

    :param wait: called with the seconds to wait between two requests.
    :param stopping: asked after each page; the reading is then left unfinished, and nobody marked as gone.
    :returns: whether the list was read to its end.
    """
    begun = _begin(course_id, clock(), stale_after)
    if begun is None:
        return False
    reading, address, registration_id = begun
    manner = paging.Manner(clock=clock, timeout=current().platform_timeout, wait=wait)
    people, problem = 0, None
    try:
        for page in rosters.members(registration_id, address, manner):
            active = [member for member in page if member.active]
            if stopping() or not _keep(course_id, reading, active, clock()):
                problem = _STOPPED
                break
            people += len(active)
    except paging.NotRead as broken:
        db.session.rollback()
        problem = rosters.why_not_read(registration_id, broken)
    if problem is None and people == 0:
        problem = _EMPTY
    return _end(course_id, reading, problem, clock())


def _stale(now: datetime, stale_after: timedelta) -> Any:
    asked_before = or_(Roster.asked_at.is_(None), Roster.asked_at <= now - stale_after)
    return and_(asked_before, or_(Roster.lease_until.is_(None), Roster.lease_until <= now))


def _lease(now: datetime) -> datetime:
    return now + timedelta(seconds=current().lease_seconds)


def _begin(course_id: int, now: datetime, stale_after: timedelta) -> tuple[int, str, int] | None:
    """Number of this reading, address and registration; None if nobody needs to ask now."""
    row = db.session.execute(
        update(Roster)
        .where(Roster.course_id == course_id, _stale(now, stale_after))
        .values(reading=Roster.reading + 1, asked_at=now, lease_until=_lease(now))
        .returning(Roster.reading, Roster.address, Roster.deployment_pk)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        db.session.rollback()
        return None
    reading, address, deployment_pk = row
    registration_id = db.session.get_one(Deployment, deployment_pk).registration_id
    db.session.commit()
    return reading, address, registration_id


def _keep(course_id: int, reading: int, members: Sequence[Member], now: datetime) -> bool:
    """Write down one page, in batches. False if another reading has begun meanwhile."""
    distinct = list({member.subject: member for member in members}.values())
    for start in range(0, max(len(distinct), 1), _BATCH):
        mine = db.session.scalar(
            update(Roster)
            .where(Roster.course_id == course_id, Roster.reading == reading)
            .values(lease_until=_lease(now))
            .returning(Roster.course_id)
            .execution_options(synchronize_session=False)
        )
        if mine is None:
            db.session.rollback()
            return False
        if batch := distinct[start : start + _BATCH]:
            _write(course_id, reading, batch, now)
        db.session.commit()
    return True


def _write(course_id: int, reading: int, members: Sequence[Member], now: datetime) -> None:
    rows = [
        {
            "course_id": course_id,
            "subject": member.subject,
            "name": member.name,
            "role": str(member.role),
            "status": RosterStatus.ACTIVE,
            "since": now,
            "returned": False,
            "reading": reading,
        }
        for member in members
    ]
    insert = insert_into(RosterMember).values(rows)
    new, had_left = insert.excluded, RosterMember.status == RosterStatus.LEFT
    db.session.execute(
        insert.on_conflict_do_update(
            index_elements=[RosterMember.course_id, RosterMember.subject],
            set_={
                "name": new.name,
                "role": new.role,
                "reading": new.reading,
                "status": new.status,
                "since": case((had_left, new.since), else_=RosterMember.since),
                "returned": case((had_left, True), else_=RosterMember.returned),
            },
        )
    )


def _end(course_id: int, reading: int, problem: str | None, now: datetime) -> bool:
    """Close the reading. Only a whole list says who has left."""
    whole = problem is None
    values: dict[str, Any] = {"lease_until": None, "problem": problem}
    mine = db.session.scalar(
        update(Roster)
        .where(Roster.course_id == course_id, Roster.reading == reading)
        .values(**values, **({"read_at": now} if whole else {}))
        .returning(Roster.course_id)
        .execution_options(synchronize_session=False)
    )
    gone = 0
    if mine is not None and whole:
        left: CursorResult[Any] = db.session.execute(  # type: ignore[assignment]  # an UPDATE gives a cursor
            update(RosterMember)
            .where(
                RosterMember.course_id == course_id,
                RosterMember.status == RosterStatus.ACTIVE,
                RosterMember.reading < reading,
            )
            .values(status=RosterStatus.LEFT, since=now)
            .execution_options(synchronize_session=False)
        )
        gone = left.rowcount
    db.session.commit()
    if mine is None:
        return False
    facts = {"course": course_id, "reading": reading, "left": gone}
    if whole:
        log.info("roster read", extra=facts)
    else:
        log.warning("roster not read", extra=facts | {"cause": problem})
    return whole
