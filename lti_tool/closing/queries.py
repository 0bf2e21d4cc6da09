"""What is open at a term's end: per course for the registrar, per earner for the instructor of record.

Open is whatever has no decision: work that is under way, stacks that are not complete, and activities in which somebody
of the course has not begun. Who is in the course, its platform says where it lists people for us, and their launches.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    Subquery,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    union,
    union_all,
)
from sqlalchemy.orm import aliased

from lti_tool.closing.models import Choice, CloseOut, Reminder
from lti_tool.credentials.models import Placement, PlacementChoice, Version
from lti_tool.database import UtcDateTime, db
from lti_tool.lti.roles import CourseRole
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Account, Course, Membership, Roster, RosterMember, RosterStatus
from lti_tool.submissions.models import Attempt, AttemptPlacement, AttemptState, StackEarner, Submission

PAGE_SIZE = 50
NOT_DECIDED = (AttemptState.DRAFT, AttemptState.SUBMITTED, AttemptState.NOT_YET)
_UNDER_WAY = (ScoreState.OWED, ScoreState.SENDING, ScoreState.PARKED, ScoreState.ACCEPTED)
_NO_ACCOUNT = "r"


class Stage(StrEnum):
    """How far somebody is in an activity without a decision."""

    WORKING = "draft"
    WAITING = "submitted"
    NOT_YET = "not_yet"
    IN_STACK = "stack"
    """They take the whole stack, and it is not complete."""
    NOT_BEGUN = "not_begun"


@dataclass(frozen=True)
class CourseLine:
    """A course of a term and how much of it is open. ``chosen`` of the undecided have an instructor's choice."""

    id: int
    label: str
    title: str
    working: int
    waiting: int
    not_yet: int
    not_begun: int
    chosen: int
    unconfirmed: int
    reminded_at: datetime | None
    listed_at: datetime | None
    """When its platform last listed the people of the course; None where it never did."""

    @property
    def undecided(self) -> int:
        return self.working + self.waiting + self.not_yet + self.not_begun

    @property
    def open(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.undecided - self.chosen or self.unconfirmed)


@dataclass(frozen=True)
class Case:
    """One person's undecided work in one activity, begun or not."""

    key: str
    placement_id: int
    account_id: int | None
    """None for somebody whom the platform lists and who never came here."""
    roster_id: int | None
    name: str
    named: bool
    """Whether the platform gives a name."""
    subject: str
    activity: str
    credential: str | None
    """None where there is none yet: not begun, or a whole stack."""
    version_id: int | None
    stage: Stage
    has_column: bool
    handed_in_at: datetime | None
    choice: Choice | None
    reason: str


@dataclass(frozen=True)
class Listing:
    """Whether it is known who is in a course."""

    read_at: datetime | None
    problem: str | None


def courses(deployment_pk: int, term_id: int, number: int) -> tuple[list[CourseLine], int]:
    """A page of a term's courses, those with most to do first, and how many pages there are."""
    of_term = (
        select(Course.id)
        .where(
            Course.term_id == term_id,
            Course.id.in_(select(Placement.course_id).filter_by(deployment_pk=deployment_pk)),
        )
        .subquery()
    )
    here = and_(Placement.deployment_pk == deployment_pk, Placement.course_id.in_(select(of_term.c.id)))
    undecided, unconfirmed = _undecided(here), _unconfirmed(here)
    total = db.session.scalar(select(func.count()).select_from(of_term)) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    amount = func.coalesce(undecided.c.all, 0) + func.coalesce(unconfirmed.c.all, 0)
    rows = db.session.execute(
        select(
            Course,
            undecided,
            func.coalesce(unconfirmed.c.all, 0).label("unconfirmed"),
            Reminder.asked_at,
            Roster.read_at,
        )
        .join(of_term, of_term.c.id == Course.id)
        .outerjoin(undecided, undecided.c.course_id == Course.id)
        .outerjoin(unconfirmed, unconfirmed.c.course_id == Course.id)
        .outerjoin(Reminder, Reminder.course_id == Course.id)
        .outerjoin(Roster, Roster.course_id == Course.id)
        .order_by(amount.desc(), Course.title, Course.id)
        .limit(PAGE_SIZE)
        .offset((min(max(number, 1), pages) - 1) * PAGE_SIZE)
    )
    return [_line(row) for row in rows], pages


def listing(course_id: int) -> Listing:
    """Whether the platform lists the people of a course for us, and since when."""
    row = db.session.get(Roster, course_id)
    return Listing(None, None) if row is None else Listing(row.read_at, row.problem)


def cases(course_id: int, teacher: int, number: int) -> tuple[list[Case], int, int]:
    """A page of what is undecided in a course, how many pages there are, and how many cases.

    :param teacher: the person who looks; nobody closes out their own work.
    """
    chosen = open_cases(course_id, teacher)
    total = db.session.scalar(select(func.count()).select_from(chosen.order_by(None).subquery())) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    offset = (min(max(number, 1), pages) - 1) * PAGE_SIZE
    rows = db.session.execute(chosen.limit(PAGE_SIZE).offset(offset)).all()
    return [case_of(row) for row in rows], pages, total


def named(course_id: int, teacher: int, keys: Collection[str]) -> dict[str, Case]:
    """Those of some cases that are still undecided, on whatever page each is by now, by the key that they were named
    by: somebody may have come here for the first time since."""
    cells: dict[str, tuple[int, int]] = {}
    listed: dict[str, tuple[int, int]] = {}
    for key in keys:
        placement, _, who = key.partition("-")
        if who.startswith(_NO_ACCOUNT):
            listed[key] = int(placement), int(who.removeprefix(_NO_ACCOUNT))
        else:
            cells[key] = int(placement), int(who)
    found = [case_of(row) for row in db.session.execute(open_cases(course_id, teacher, cells, listed)).all()]
    by_account = {(one.placement_id, one.account_id): one for one in found}
    by_listing = {(one.placement_id, one.roster_id): one for one in found}
    return {
        key: one
        for key in keys
        if (one := by_account.get(cells[key]) if key in cells else by_listing.get(listed[key])) is not None
    }


def open_cases(
    course_id: int,
    teacher: int,
    cells: dict[str, tuple[int, int]] | None = None,
    listed: dict[str, tuple[int, int]] | None = None,
) -> Select[*tuple[Any, ...]]:
    """What is undecided in a course's activities, of work that was begun and of people who have not.

    :param cells: only these, by activity and account; ``listed`` by activity and the platform's list.
    """
    found = _open(Placement.course_id == course_id)
    query = (
        select(
            found.c.placement_id,
            found.c.account_id,
            found.c.roster_id,
            func.coalesce(Account.name, RosterMember.name).label("name"),
            func.coalesce(Account.subject, RosterMember.subject).label("subject"),
            Account.person_id,
            Placement.title.label("activity"),
            Placement.line_item_url,
            Version.title.label("credential"),
            found.c.version_id,
            found.c.stage,
            found.c.handed_in_at,
            CloseOut.choice,
            CloseOut.reason,
        )
        .join(Placement, Placement.id == found.c.placement_id)
        .outerjoin(Version, Version.id == found.c.version_id)
        .outerjoin(Account, Account.id == found.c.account_id)
        .outerjoin(RosterMember, RosterMember.id == found.c.roster_id)
        .outerjoin(CloseOut, _chosen_for(found))
        .where(or_(Account.id.is_(None), Account.person_id != teacher))
        .order_by(
            Placement.id,
            found.c.stage == Stage.NOT_BEGUN.value,
            func.coalesce(Account.name, RosterMember.name).is_(None),
            func.lower(func.coalesce(Account.name, RosterMember.name, "")),
            found.c.account_id,
            found.c.roster_id,
        )
    )
    if cells is None and listed is None:
        return query
    return query.where(
        or_(
            tuple_(found.c.placement_id, found.c.account_id).in_(list((cells or {}).values())),
            tuple_(found.c.placement_id, found.c.roster_id).in_(list((listed or {}).values())),
        )
    )


def case_of(row: Any) -> Case:
    """A row of :func:`open_cases` in the words of the page."""
    who = f"{_NO_ACCOUNT}{row.roster_id}" if row.account_id is None else str(row.account_id)
    unnamed = "Somebody without a name" if row.person_id is None else f"Person {row.person_id}"
    return Case(
        key=f"{row.placement_id}-{who}",
        placement_id=row.placement_id,
        account_id=row.account_id,
        roster_id=row.roster_id,
        name=row.name or unnamed,
        named=bool(row.name),
        subject=row.subject,
        activity=row.activity,
        credential=row.credential,
        version_id=row.version_id,
        stage=Stage(row.stage),
        has_column=row.line_item_url is not None,
        handed_in_at=row.handed_in_at,
        choice=row.choice,
        reason=row.reason or "",
    )


def unseen(course_id: int, *, limit: int = PAGE_SIZE) -> tuple[Sequence[int], int]:
    """Ids of the newest scores of a course that have not been seen in the gradebook, and how many there are."""
    waiting = select(Score.id).where(_not_seen(Placement.course_id == course_id))
    total = db.session.scalar(select(func.count()).select_from(waiting.subquery())) or 0
    return db.session.scalars(waiting.order_by(Score.id.desc()).limit(limit)).all(), total


def asked_of(course_id: int, teacher: int) -> datetime | None:
    """Since when a registrar asks for this course to be closed out; None where nobody does, or nothing is left."""
    asked_at = db.session.scalar(select(Reminder.asked_at).filter_by(course_id=course_id))
    if asked_at is None:
        return None
    left = open_cases(course_id, teacher).where(CloseOut.id.is_(None)).order_by(None).limit(1)
    return asked_at if db.session.execute(left).first() is not None or unseen(course_id)[1] else None


def without_choice(course_id: int) -> int:
    """For how much undecided work of a course nobody has chosen yet."""
    found = _open(Placement.course_id == course_id)
    left = (
        select(func.count())
        .select_from(found)
        .outerjoin(CloseOut, _chosen_for(found))
        .where(CloseOut.id.is_(None))
    )
    return db.session.scalar(left) or 0


def _chosen_for(found: Subquery) -> ColumnElement[bool]:
    return and_(CloseOut.placement_id == found.c.placement_id, CloseOut.account_id == found.c.account_id)


def _open(here: ColumnElement[bool]) -> Subquery:
    """Whatever is undecided in the activities that ``here`` says, a row per activity and person."""
    return union_all(_work(here), _stacks(here), _not_begun(here)).subquery("open")


def _work(here: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """Attempts that were begun. Those at a part of a whole stack have no gradebook cell of their own."""
    handed_in = (
        select(func.max(Submission.handed_in_at))
        .where(Submission.attempt_id == Attempt.id, Submission.withdrawn_at.is_(None))
        .correlate(Attempt)
        .scalar_subquery()
    )
    return (
        select(
            Placement.course_id,
            Placement.id.label("placement_id"),
            AttemptPlacement.account_id,
            cast(null(), Integer).label("roster_id"),
            Attempt.version_id,
            cast(Attempt.state, String).label("stage"),
            handed_in.label("handed_in_at"),
        )
        .select_from(AttemptPlacement)
        .join(Placement, Placement.id == AttemptPlacement.placement_id)
        .join(Attempt, Attempt.id == AttemptPlacement.attempt_id)
        .where(
            here,
            Placement.stack_id.is_(None),
            Attempt.state.in_(NOT_DECIDED),
            Attempt.rehearsal.is_(False),
            ~_owed(AttemptPlacement.account_id),
        )
    )


def _stacks(here: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """Whole stacks that somebody takes. One that is complete is owed its score."""
    taken = union(
        select(StackEarner.placement_id, StackEarner.account_id),
        select(AttemptPlacement.placement_id, AttemptPlacement.account_id).where(AttemptPlacement.in_stack),
    ).subquery("taken")
    return (
        select(
            Placement.course_id,
            Placement.id,
            taken.c.account_id,
            cast(null(), Integer),
            cast(null(), Integer),
            literal(Stage.IN_STACK.value),
            cast(null(), UtcDateTime()),
        )
        .select_from(taken)
        .join(Placement, Placement.id == taken.c.placement_id)
        .where(here, Placement.stack_id.is_not(None), ~_owed(taken.c.account_id))
    )


def _not_begun(here: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """Learners without anything in an activity of their course."""
    learners = _learners(here)
    offers = select(PlacementChoice.credential_id).where(PlacementChoice.placement_id == Placement.id)
    begun = exists().where(
        AttemptPlacement.placement_id == Placement.id,
        AttemptPlacement.account_id == learners.c.account_id,
    )
    taken = exists().where(
        StackEarner.placement_id == Placement.id, StackEarner.account_id == learners.c.account_id
    )
    return (
        select(
            Placement.course_id,
            Placement.id,
            learners.c.account_id,
            learners.c.roster_id,
            cast(null(), Integer),
            literal(Stage.NOT_BEGUN.value),
            cast(null(), UtcDateTime()),
        )
        .select_from(learners)
        .join(Placement, Placement.course_id == learners.c.course_id)
        .where(here, offers.exists(), ~begun, ~taken, ~_owed(learners.c.account_id))
    )


def _learners(here: ColumnElement[bool]) -> Subquery:
    """Who learns in these courses: whose launch said so, unless the platform says that they have left; and whom the
    platform lists, though they may never have come. Where somebody has launched, their launch says what they are."""
    there = select(Placement.course_id).where(here).correlate(None)
    listed = and_(RosterMember.course_id == Membership.course_id, RosterMember.subject == Account.subject)
    came = (
        select(Membership.course_id, Membership.account_id, RosterMember.id.label("roster_id"))
        .join(Account, Account.id == Membership.account_id)
        .outerjoin(RosterMember, listed)
        .where(
            Membership.course_id.in_(there),
            Membership.role == CourseRole.LEARNER.value,
            RosterMember.status.is_distinct_from(RosterStatus.LEFT),
        )
    )
    never_came = (
        select(RosterMember.course_id, Account.id, RosterMember.id)
        .join(Course, Course.id == RosterMember.course_id)
        .outerjoin(
            Account,
            and_(Account.platform_id == Course.platform_id, Account.subject == RosterMember.subject),
        )
        .outerjoin(
            Membership,
            and_(Membership.course_id == RosterMember.course_id, Membership.account_id == Account.id),
        )
        .where(
            RosterMember.course_id.in_(there),
            RosterMember.status == RosterStatus.ACTIVE,
            RosterMember.role == CourseRole.LEARNER.value,
            Membership.id.is_(None),
        )
    )
    return union_all(came, never_came).subquery("learners")


def _owed(account_id: Any) -> ColumnElement[bool]:
    """That the gradebook cell of this person in the activity was ever owed a score, but for one that was never sent
    since the decision behind it was changed: as if nothing had been owed."""
    return exists().where(
        Score.placement_id == Placement.id,
        Score.account_id == account_id,
        or_(Score.state != ScoreState.ABANDONED, Score.called_off_at.is_(None)),
    )


def _undecided(here: ColumnElement[bool]) -> Subquery:
    found = _open(here)

    def count(*stages: Stage) -> Any:
        meant = found.c.stage.in_([stage.value for stage in stages])
        return func.sum(case((meant, 1), else_=0))

    return (
        select(
            found.c.course_id,
            func.count().label("all"),
            count(Stage.WORKING, Stage.IN_STACK).label("working"),
            count(Stage.WAITING).label("waiting"),
            count(Stage.NOT_YET).label("not_yet"),
            count(Stage.NOT_BEGUN).label("not_begun"),
            func.count(CloseOut.id).label("chosen"),
        )
        .select_from(found)
        .outerjoin(CloseOut, _chosen_for(found))
        .group_by(found.c.course_id)
        .subquery("undecided")
    )


def _unconfirmed(here: ColumnElement[bool]) -> Subquery:
    return (
        select(Placement.course_id, func.count().label("all"))
        .select_from(Score)
        .join(Placement, Placement.id == Score.placement_id)
        .where(_not_seen(here))
        .group_by(Placement.course_id)
        .subquery("unconfirmed")
    )


def _not_seen(here: ColumnElement[bool]) -> ColumnElement[bool]:
    """That a score is the last of its cell, has not been seen in the gradebook, and nobody has settled that."""
    later, activities = aliased(Score), select(Placement.id).where(here).correlate(None)
    last = (
        select(func.max(later.id))
        .where(later.placement_id.in_(activities))
        .group_by(later.placement_id, later.account_id)
    )
    return and_(
        Score.id.in_(last),
        Score.dealt_with_at.is_(None),
        Score.state.in_((*_UNDER_WAY, ScoreState.OVERRIDDEN)),
    )


def _line(row: Any) -> CourseLine:
    course: Course = row.Course
    return CourseLine(
        id=course.id,
        label=course.label,
        title=course.title,
        working=row.working or 0,
        waiting=row.waiting or 0,
        not_yet=row.not_yet or 0,
        not_begun=row.not_begun or 0,
        chosen=row.chosen or 0,
        unconfirmed=row.unconfirmed,
        reminded_at=row.asked_at,
        listed_at=row.read_at,
    )
