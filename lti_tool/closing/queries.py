"""What is open at a term's end: per course for the registrar, per earner for the instructor of record."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, tuple_
from sqlalchemy.orm import aliased

from lti_tool.closing.models import Choice, CloseOut, Reminder
from lti_tool.credentials.models import Placement, Version
from lti_tool.database import db
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Account, Course
from lti_tool.submissions.models import Attempt, AttemptPlacement, AttemptState, Submission

PAGE_SIZE = 50
NOT_DECIDED = (AttemptState.DRAFT, AttemptState.SUBMITTED, AttemptState.NOT_YET)
_UNDER_WAY = (ScoreState.OWED, ScoreState.SENDING, ScoreState.PARKED, ScoreState.ACCEPTED)


@dataclass(frozen=True)
class CourseLine:
    """A course of a term and how much of it is open. ``chosen`` of the undecided have an instructor's choice."""

    id: int
    label: str
    title: str
    working: int
    waiting: int
    not_yet: int
    chosen: int
    unconfirmed: int
    reminded_at: datetime | None

    @property
    def undecided(self) -> int:
        return self.working + self.waiting + self.not_yet

    @property
    def open(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.undecided - self.chosen or self.unconfirmed)


@dataclass(frozen=True)
class Case:
    """One earner's undecided work in one activity."""

    key: str
    placement_id: int
    account_id: int
    name: str
    activity: str
    credential: str
    version_id: int
    state: AttemptState
    handed_in_at: datetime | None
    choice: Choice | None
    reason: str


def courses(deployment_pk: int, term_id: int, number: int) -> tuple[list[CourseLine], int]:
    """A page of a term's courses, those with most to do first, and how many pages there are."""
    undecided = _undecided(deployment_pk)
    unconfirmed = _unconfirmed(deployment_pk)
    of_term = (
        select(Course.id)
        .where(
            Course.term_id == term_id,
            Course.id.in_(select(Placement.course_id).filter_by(deployment_pk=deployment_pk)),
        )
        .subquery()
    )
    total = db.session.scalar(select(func.count()).select_from(of_term)) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    amount = func.coalesce(undecided.c.all, 0) + func.coalesce(unconfirmed.c.all, 0)
    rows = db.session.execute(
        select(Course, undecided, func.coalesce(unconfirmed.c.all, 0).label("unconfirmed"), Reminder.asked_at)
        .join(of_term, of_term.c.id == Course.id)
        .outerjoin(undecided, undecided.c.course_id == Course.id)
        .outerjoin(unconfirmed, unconfirmed.c.course_id == Course.id)
        .outerjoin(Reminder, Reminder.course_id == Course.id)
        .order_by(amount.desc(), Course.title, Course.id)
        .limit(PAGE_SIZE)
        .offset((min(max(number, 1), pages) - 1) * PAGE_SIZE)
    )
    return [_line(row) for row in rows], pages


def cases(course_id: int, teacher: int, number: int) -> tuple[list[Case], int, int]:
    """A page of the undecided work of a course, how many pages there are, and how many cases.

    :param teacher: the person who looks; nobody closes out their own work.
    """
    chosen = open_cases(course_id, teacher)
    total = db.session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    offset = (min(max(number, 1), pages) - 1) * PAGE_SIZE
    rows = db.session.execute(chosen.limit(PAGE_SIZE).offset(offset)).all()
    return [case_of(row) for row in rows], pages, total


def named(course_id: int, teacher: int, keys: Collection[str]) -> list[Case]:
    """Those of some cases that are still undecided, on whatever page each is by now."""
    cells = [tuple(int(part) for part in key.split("-")) for key in keys]
    chosen = open_cases(course_id, teacher).where(
        tuple_(AttemptPlacement.placement_id, AttemptPlacement.account_id).in_(cells)
    )
    return [case_of(row) for row in db.session.execute(chosen).all()]


def open_cases(course_id: int, teacher: int) -> Select[*tuple[Any, ...]]:
    """Undecided work of a course's activities whose gradebook cell was never owed a score. Activities that are a whole
    stack have no cell per part and are left out."""
    handed_in = (
        select(func.max(Submission.handed_in_at))
        .where(Submission.attempt_id == Attempt.id, Submission.withdrawn_at.is_(None))
        .correlate(Attempt)
        .scalar_subquery()
    )
    return (
        select(
            AttemptPlacement.placement_id,
            AttemptPlacement.account_id,
            Account.name,
            Account.person_id,
            Placement.title.label("activity"),
            Version.title.label("credential"),
            Attempt.version_id,
            Attempt.state,
            handed_in.label("handed_in_at"),
            CloseOut.choice,
            CloseOut.reason,
        )
        .join(Placement, Placement.id == AttemptPlacement.placement_id)
        .join(Attempt, Attempt.id == AttemptPlacement.attempt_id)
        .join(Version, Version.id == Attempt.version_id)
        .join(Account, Account.id == AttemptPlacement.account_id)
        .outerjoin(
            CloseOut,
            and_(
                CloseOut.placement_id == AttemptPlacement.placement_id,
                CloseOut.account_id == AttemptPlacement.account_id,
            ),
        )
        .where(Placement.course_id == course_id, Attempt.person_id != teacher, _is_open())
        .order_by(Placement.id, Account.name, Account.id)
    )


def case_of(row: Any) -> Case:
    """A row of :func:`open_cases` in the words of the page."""
    return Case(
        key=f"{row.placement_id}-{row.account_id}",
        placement_id=row.placement_id,
        account_id=row.account_id,
        name=row.name or f"Person {row.person_id}",
        activity=row.activity,
        credential=row.credential,
        version_id=row.version_id,
        state=row.state,
        handed_in_at=row.handed_in_at,
        choice=row.choice,
        reason=row.reason or "",
    )


def asked_of(course_id: int, teacher: int) -> datetime | None:
    """Since when a registrar asks for this course to be closed out; None where nobody does, or all is chosen."""
    left = open_cases(course_id, teacher).where(CloseOut.id.is_(None)).order_by(None).limit(1)
    asked_at = db.session.scalar(select(Reminder.asked_at).filter_by(course_id=course_id))
    return None if asked_at is None or db.session.execute(left).first() is None else asked_at


def without_choice(course_id: int) -> int:
    """How much undecided work of a course nobody has chosen for yet."""
    left = (
        select(func.count())
        .select_from(AttemptPlacement)
        .join(Placement, Placement.id == AttemptPlacement.placement_id)
        .join(Attempt, Attempt.id == AttemptPlacement.attempt_id)
        .outerjoin(
            CloseOut,
            and_(
                CloseOut.placement_id == AttemptPlacement.placement_id,
                CloseOut.account_id == AttemptPlacement.account_id,
            ),
        )
        .where(Placement.course_id == course_id, CloseOut.id.is_(None), _is_open())
    )
    return db.session.scalar(left) or 0


def _is_open() -> ColumnElement[bool]:
    owed = (
        select(Score.id)
        .where(
            Score.placement_id == AttemptPlacement.placement_id,
            Score.account_id == AttemptPlacement.account_id,
            # Never sent, since the decision behind it was changed: as if nothing had been owed.
            or_(Score.state != ScoreState.ABANDONED, Score.called_off_at.is_(None)),
        )
        .exists()
    )
    return and_(
        Attempt.state.in_(NOT_DECIDED), Attempt.rehearsal.is_(False), Placement.stack_id.is_(None), ~owed
    )


def _undecided(deployment_pk: int) -> Any:
    def count(state: AttemptState) -> Any:
        return func.sum(case((Attempt.state == state, 1), else_=0)).label(state.value)

    return (
        select(
            Placement.course_id,
            func.count().label("all"),
            *(count(state) for state in NOT_DECIDED),
            func.count(CloseOut.id).label("chosen"),
        )
        .select_from(AttemptPlacement)
        .join(Placement, Placement.id == AttemptPlacement.placement_id)
        .join(Attempt, Attempt.id == AttemptPlacement.attempt_id)
        .outerjoin(
            CloseOut,
            and_(
                CloseOut.placement_id == AttemptPlacement.placement_id,
                CloseOut.account_id == AttemptPlacement.account_id,
            ),
        )
        .where(Placement.deployment_pk == deployment_pk, _is_open())
        .group_by(Placement.course_id)
        .subquery("undecided")
    )


def _unconfirmed(deployment_pk: int) -> Any:
    """Cells whose last score has not been seen in the gradebook, and nobody has settled that."""
    later = aliased(Score)
    last = (
        select(func.max(later.id))
        .where(later.deployment_pk == deployment_pk)
        .group_by(later.placement_id, later.account_id)
    )
    return (
        select(Placement.course_id, func.count().label("all"))
        .select_from(Score)
        .join(Placement, Placement.id == Score.placement_id)
        .where(
            Score.id.in_(last),
            Score.dealt_with_at.is_(None),
            Score.state.in_((*_UNDER_WAY, ScoreState.OVERRIDDEN)),
        )
        .group_by(Placement.course_id)
        .subquery("unconfirmed")
    )


def _line(row: Any) -> CourseLine:
    course: Course = row.Course
    return CourseLine(
        id=course.id,
        label=course.label,
        title=course.title,
        working=row.draft or 0,
        waiting=row.submitted or 0,
        not_yet=row.not_yet or 0,
        chosen=row.chosen or 0,
        unconfirmed=row.unconfirmed,
        reminded_at=row.asked_at,
    )
