"""What became of scores, for those whom it concerns: the earner of one, and the faculty of one course."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from lti_tool.assessment.models import Decision
from lti_tool.badges.models import Badge
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.passback import service
from lti_tool.passback.models import Finding, Score, ScoreState
from lti_tool.passback.rules import Cause, over
from lti_tool.registrar import queries
from lti_tool.registrar.queries import LedgerRow
from lti_tool.registrar.queries import Shown as Under

PAGE_SIZE = 25
ASK_AGAIN_AFTER = timedelta(minutes=10)
"""So long after a score was tried, its earner may have it tried once more."""


class Wanted(StrEnum):
    """Which scores of a course its faculty look at."""

    ATTENTION = "attention"
    """They need a person, or the gradebook shows something else."""
    ALL = "all"


@dataclass(frozen=True)
class CoursePage:
    """A page of a course's scores. ``to_review`` are those of which the gradebook shows 0 while the badge stands,
    ``revoked`` those whose badge was revoked while the gradebook keeps the points, ``called_off`` those whose decision
    was changed while it does."""

    rows: tuple[LedgerRow, ...]
    to_review: frozenset[int]
    revoked: frozenset[int]
    called_off: frozenset[int]
    counts: dict[Wanted, int]
    number: int
    pages: int


def of_course(course_id: int, wanted: Wanted, number: int, size: int = PAGE_SIZE) -> CoursePage:
    """The scores of all activities of a course, newest first; a number beyond the last page gives the last."""
    there = Score.placement_id.in_(select(Placement.id).filter_by(course_id=course_id))
    asks = (there, needs_somebody())
    counts = {
        Wanted.ATTENTION: db.session.scalar(select(func.count(Score.id)).where(*asks)) or 0,
        Wanted.ALL: db.session.scalar(select(func.count(Score.id)).where(there)) or 0,
    }
    pages = max(1, -(-counts[wanted] // size))
    number = min(max(number, 1), pages)
    chosen = select(Score.id).where(*(asks if wanted is Wanted.ATTENTION else (there,)))
    ids = db.session.scalars(chosen.order_by(Score.id.desc()).limit(size).offset((number - 1) * size)).all()
    return CoursePage(
        queries.rows_of(ids),
        zero_under_badge(ids),
        points_without_badge(ids),
        points_called_off(ids),
        counts,
        number,
        pages,
    )


def in_course(course_id: int) -> int:
    """How many scores of a course ask for somebody."""
    there = select(Placement.id).filter_by(course_id=course_id)
    return (
        db.session.scalar(select(func.count(Score.id)).where(Score.placement_id.in_(there), needs_somebody()))
        or 0
    )


def needs_somebody() -> ColumnElement[bool]:
    """That a score is for a person to look at."""
    return or_(
        Score.state == ScoreState.PARKED, service.open_finding(), _without_badge(), service.to_ask_after()
    )


def zero_under_badge(score_ids: Collection[int]) -> frozenset[int]:
    """Of these scores, those of which the gradebook shows 0, set by somebody, while the badge of the same decision
    stands: one of the two says something wrong about the earner."""
    mine, about_the_same = aliased(Decision), aliased(Decision)
    rows = db.session.scalars(
        select(Score.id)
        .join(mine, mine.id == Score.decision_id)
        .join(about_the_same, about_the_same.submission_id == mine.submission_id)
        .join(Badge, Badge.decision_id == about_the_same.id)
        .where(
            Score.id.in_(score_ids),
            service.open_finding(),
            Score.shown_points == 0,
            Score.points > 0,
            Badge.revoked_at.is_(None),
        )
    )
    return frozenset(rows)


def points_without_badge(score_ids: Collection[int]) -> frozenset[int]:
    """Of these scores, those whose badge was revoked since while the gradebook keeps the points. A revocation changes
    no grade: whether this one is to change is asked of the course's faculty, once."""
    return frozenset(db.session.scalars(select(Score.id).where(Score.id.in_(score_ids), _without_badge())))


def points_called_off(score_ids: Collection[int]) -> frozenset[int]:
    """Of these scores, those whose decision was changed since to one that gives no points, while the gradebook keeps
    them. That is asked once as well."""
    return frozenset(
        db.session.scalars(select(Score.id).where(Score.id.in_(score_ids), service.to_ask_after()))
    )


def _without_badge() -> ColumnElement[bool]:
    newer, standing = aliased(Score), aliased(Badge)
    mine, about_the_same = aliased(Decision), aliased(Decision)
    # The last part of a stack and the stack itself come from one decision, and have a badge each.
    of_the_same = or_(
        and_(Placement.stack_id.is_(None), Badge.credential_id.is_not(None)),
        Badge.stack_id == Placement.stack_id,
    )
    revoked = (
        select(Badge.id)
        .join(about_the_same, about_the_same.id == Badge.decision_id)
        .join(mine, mine.submission_id == about_the_same.submission_id)
        .join(Placement, Placement.id == Score.placement_id)
        .where(
            # From the score's own decision, or from an earlier one that it took the place of.
            mine.id == Score.decision_id,
            of_the_same,
            Badge.revoked_at.is_not(None),
            or_(Score.dealt_with_at.is_(None), Score.dealt_with_at < Badge.revoked_at),
            ~exists().where(
                standing.person_id == Badge.person_id,
                standing.revoked_at.is_(None),
                standing.credential_id.is_not_distinct_from(Badge.credential_id),
                standing.stack_id.is_not_distinct_from(Badge.stack_id),
            ),
        )
        .correlate(Score)
    )
    followed = exists().where(
        newer.placement_id == Score.placement_id,
        newer.account_id == Score.account_id,
        newer.scored_at > Score.scored_at,
        newer.state.not_in((ScoreState.SUPERSEDED, ScoreState.ABANDONED)),
    )
    kept = Score.state.in_((ScoreState.ACCEPTED, ScoreState.CONFIRMED))
    return and_(kept, Score.points > 0, Score.called_off_at.is_(None), revoked.exists(), ~followed)


def of_cell(placement_id: int, account_id: int) -> LedgerRow | None:
    """The newest score of a gradebook cell: its earner's receipt."""
    newest = db.session.scalar(
        select(Score.id)
        .filter_by(placement_id=placement_id, account_id=account_id)
        .order_by(Score.scored_at.desc())
        .limit(1)
    )
    return None if newest is None else queries.rows_of([newest])[0]


def may_ask(row: LedgerRow, *, ends_on: date | None, now: datetime) -> bool:
    """Whether it can help that the earner has the score sent once more: the platform refused it, or lost it. What a
    person holds back, or has set in the gradebook, or may have set where nobody can look, is for that person to
    change, and after the end of the course's term everything is for its faculty."""
    if over(ends_on, now) or row.cause is Cause.UNSEEN:
        return False
    if row.settled_at is None or now < row.settled_at + ASK_AGAIN_AFTER:
        return False
    if row.state is ScoreState.PARKED:
        return row.tries > 0 or row.reason == service.NO_COLUMN
    return row.shown is Under.DIFFERS and row.finding is Finding.MISSING


def course_of(placement_id: int) -> int | None:
    """The course that an activity belongs to."""
    return db.session.scalar(select(Placement.course_id).filter_by(id=placement_id))
