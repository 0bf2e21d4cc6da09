"""Which courses were copied from which, as platforms tell us: in launches and in notices."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from lti_tool.database import db
from lti_tool.people.models import Course, CourseOrigin

_MOST = 20


def note_origins(platform_id: int, context_id: str, origins: Sequence[str], *, now: datetime) -> None:
    """Remember which courses a course was copied from, the nearest first. What was known before stays."""
    known = set(
        db.session.scalars(
            select(CourseOrigin.origin_context_id).where(
                CourseOrigin.platform_id == platform_id, CourseOrigin.context_id == context_id
            )
        )
    )
    for position, origin in enumerate(origins[:_MOST]):
        if origin in known or origin == context_id:
            continue
        row = CourseOrigin(
            platform_id=platform_id,
            context_id=context_id,
            origin_context_id=origin,
            position=position,
            noted_at=now,
        )
        try:
            with db.session.begin_nested():
                db.session.add(row)
        except IntegrityError:
            # A launch and a notice said so at the same moment.
            continue


def origins_of(course: Course) -> list[Course]:
    """Those of the courses that this one was copied from which we know, the nearest first; copies of copies too."""
    found: list[Course] = []
    seen, generation = {course.context_id}, [course.context_id]
    while generation and len(seen) <= _MOST:
        told = db.session.scalars(
            select(CourseOrigin.origin_context_id)
            .where(CourseOrigin.platform_id == course.platform_id, CourseOrigin.context_id.in_(generation))
            .order_by(CourseOrigin.position, CourseOrigin.id)
        ).all()
        generation = [origin for origin in dict.fromkeys(told) if origin not in seen][:_MOST]
        seen.update(generation)
        rows = {
            row.context_id: row
            for row in db.session.scalars(
                select(Course).where(
                    Course.platform_id == course.platform_id, Course.context_id.in_(generation)
                )
            )
        }
        found += [rows[origin] for origin in generation if origin in rows]
    return found
