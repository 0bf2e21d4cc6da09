"""How fast a platform may be spoken to. Kept in the database, since platforms count the calls of all our processes
together: Canvas fills one bucket per client id, whatever the course.

Every verb commits; none is called with anything unfinished in the session.
"""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from lti_tool.database import db
from lti_tool.lti.models import Pace

FIRST_REST, LONGEST_REST = timedelta(seconds=1), timedelta(minutes=5)
OUTAGE = 5
"""Failures in a row that are no accident of a single request."""


def resting(now: datetime) -> dict[int, datetime]:
    """The registrations that are to be left in peace, each with the time until when."""
    rows = db.session.execute(select(Pace.registration_id, Pace.rests_until).where(Pace.rests_until > now))
    return {row.registration_id: row.rests_until for row in rows}


def troubled() -> set[int]:
    """The registrations that gave no usable answer when they were asked last."""
    return set(db.session.scalars(select(Pace.registration_id).where(Pace.failures > 0)))


def rest(registration_id: int, until: datetime) -> None:
    """Leave the platform in peace until then, and longer where that was agreed before."""
    _ensure(registration_id, until)
    db.session.execute(
        update(Pace)
        .where(Pace.registration_id == registration_id, Pace.rests_until < until)
        .values(rests_until=until)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def failed(registration_id: int, now: datetime) -> None:
    """The platform gave no usable answer: rest, and longer each time. What was on its way together counts once."""
    _ensure(registration_id, now)
    failures = db.session.scalar(select(Pace.failures).where(Pace.registration_id == registration_id)) or 0
    pause = min(FIRST_REST * (1 << min(failures, 20)), LONGEST_REST)
    db.session.execute(
        update(Pace)
        .where(Pace.registration_id == registration_id, Pace.failures == failures, Pace.rests_until <= now)
        .values(failures=failures + 1, rests_until=now + pause)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def well(registration_id: int) -> bool:
    """The platform answers. True if it had been out of order for a while."""
    failures = db.session.scalar(
        select(Pace.failures).where(Pace.registration_id == registration_id, Pace.failures > 0)
    )
    if failures is None:
        return False
    mended = db.session.scalar(
        update(Pace)
        .where(Pace.registration_id == registration_id, Pace.failures == failures)
        .values(failures=0)
        .returning(Pace.failures)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    return mended is not None and failures >= OUTAGE


def _ensure(registration_id: int, now: datetime) -> None:
    if db.session.scalar(select(Pace.registration_id).where(Pace.registration_id == registration_id)) is None:
        db.session.add(Pace(registration_id=registration_id, rests_until=now, failures=0))
        try:
            db.session.commit()
        except IntegrityError:
            # Another worker was quicker.
            db.session.rollback()
