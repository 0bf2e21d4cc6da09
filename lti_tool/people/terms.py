"""Terms: which one a course is in, as the platform says, by its date, or as somebody has set it by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool import audit
from lti_tool.database import db
from lti_tool.database.rows import found_or_added
from lti_tool.errors import TermUnusable
from lti_tool.lti.claims import LaunchMessage
from lti_tool.people.models import Course, Term

LONGEST_NAME = 100
_NAME_TAKEN = "Give the term a name that no other has."
_SHOWN = 200
_BATCH = 500


@dataclass(frozen=True)
class TermLine:
    """A term, and how many of somebody's courses are in it."""

    id: int
    name: str
    starts_on: date | None
    ends_on: date | None
    courses: int


def note(course: Course, message: LaunchMessage, *, now: datetime) -> None:
    """Put a course into the term that its launch names, else into the one that holds today."""
    if message.term_name is not None:
        course.term_id = _named(course.platform_id, message).id
    elif course.term_id is None:
        course.term_id = _of_day(course.platform_id, now.date())


def lines(platform_id: int, courses: ColumnElement[bool]) -> list[TermLine]:
    """The terms of a platform, the latest first.

    :param courses: which of the platform's courses are counted.
    """
    found = db.session.execute(
        select(Term, func.count(Course.id))
        .outerjoin(Course, (Course.term_id == Term.id) & courses)
        .where(Term.platform_id == platform_id)
        .group_by(Term.id)
        .order_by(func.coalesce(Term.starts_on, date.min).desc(), Term.name)
        .limit(_SHOWN)
    )
    return [TermLine(term.id, term.name, term.starts_on, term.ends_on, count) for term, count in found]


def save(
    platform_id: int,
    term_id: int | None,
    *,
    name: str,
    starts_on: date | None,
    ends_on: date | None,
    actor: int,
    now: datetime,
) -> Term:
    """Make a term, or give one its name and dates.

    :raises TermUnusable: no name, a name that another term has, or an end before the beginning.
    """
    name = name.strip()[:LONGEST_NAME]
    same = db.session.scalar(select(Term).filter_by(platform_id=platform_id, name=name))
    if not name or (same is not None and same.id != term_id):
        raise TermUnusable(_NAME_TAKEN)
    if starts_on is not None and ends_on is not None and ends_on < starts_on:
        raise TermUnusable("A term does not end before it begins.")
    term = db.session.scalar(select(Term).filter_by(id=term_id, platform_id=platform_id))
    if term is None:
        term = Term(platform_id=platform_id, name=name, starts_on=None, ends_on=None)
        db.session.add(term)
    term.name, term.starts_on, term.ends_on = name, starts_on, ends_on
    try:
        db.session.flush()
    except IntegrityError:
        # Somebody has pressed twice, or a launch has named the same term at the same moment.
        raise TermUnusable(_NAME_TAKEN) from None
    audit.record("term saved", "term", term.id, now=now, actor=actor)
    return term


def put(
    course_ids: Sequence[int], term_id: int | None, courses: ColumnElement[bool], *, actor: int, now: datetime
) -> int:
    """Set the term of courses by hand; None takes it away. Returns how many there were.

    :param courses: to which of all courses the person may do so.
    """
    changed = db.session.scalars(
        update(Course)
        .where(Course.id.in_(course_ids), courses)
        .values(term_id=term_id, term_by_hand=True)
        .returning(Course.id)
        .execution_options(synchronize_session=False)
    ).all()
    for course_id in changed:
        audit.record("term of course set", "course", course_id, now=now, actor=actor, term=term_id)
    return len(changed)


def put_by_date(platform_id: int, courses: ColumnElement[bool], *, actor: int, now: datetime) -> int:
    """Put all courses without a term into the one of the day on which each was first seen, but for those whose term, or
    that they have none, was set by hand. Returns how many have one now; where no term or several hold that day, a
    person has to say."""
    dated = db.session.scalars(select(Term).filter_by(platform_id=platform_id)).all()
    undated = (
        select(Course.id, Course.created_at)
        .where(Course.platform_id == platform_id, Course.term_id.is_(None), Course.term_by_hand.is_(False))
        .where(courses)
        .order_by(Course.id)
        .limit(_BATCH)
    )
    placed = last = 0
    while batch := db.session.execute(undated.where(Course.id > last)).all():
        last = batch[-1].id
        found: dict[int, list[int]] = {}
        for course in batch:
            term_id = _only(dated, course.created_at.date())
            if term_id is not None:
                found.setdefault(term_id, []).append(course.id)
        for term_id, ids in found.items():
            db.session.execute(
                update(Course)
                .where(Course.id.in_(ids), Course.term_id.is_(None))
                .values(term_id=term_id)
                .execution_options(synchronize_session=False)
            )
            placed += len(ids)
    if placed:
        audit.record("terms set by date", "platform", platform_id, now=now, actor=actor, courses=placed)
    return placed


def _named(platform_id: int, message: LaunchMessage) -> Term:
    term = found_or_added(
        Term,
        {"platform_id": platform_id, "name": message.term_name},
        lambda: Term(platform_id=platform_id, name=message.term_name or "", starts_on=None, ends_on=None),
    )
    # Dates that somebody has set here stay.
    term.starts_on = term.starts_on or _day(message.term_start)
    term.ends_on = term.ends_on or _day(message.term_end)
    return term


def _of_day(platform_id: int, day: date) -> int | None:
    return _only(db.session.scalars(select(Term).filter_by(platform_id=platform_id)).all(), day)


def _only(terms: Sequence[Term], day: date) -> int | None:
    """The one term that holds a day. Where several do, a person has to say which."""
    holding = [
        term.id
        for term in terms
        if term.starts_on is not None and term.ends_on is not None and term.starts_on <= day <= term.ends_on
    ]
    return holding[0] if len(holding) == 1 else None


def _day(text: str | None) -> date | None:
    """Canvas sends a moment such as 2026-08-24T06:00:00Z, or nothing."""
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None
