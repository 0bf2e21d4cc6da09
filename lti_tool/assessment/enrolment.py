"""Who is in a course besides those who have begun: what faculty see of its roster on the page of an activity.

Each is a constant number of queries, however many people there are. Where somebody has launched, their launch says
what they are: Moodle lists its non-editing teachers as learners.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, and_, case, func, or_, select

from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.roles import CourseRole
from lti_tool.people.models import Account, Membership, Roster, RosterMember, RosterStatus
from lti_tool.submissions.models import AttemptPlacement


class Beside(StrEnum):
    """Whom the list of an activity can show besides those who have begun."""

    NOT_BEGUN = "not-begun"
    LEFT = "left"


@dataclass(frozen=True)
class Roll:
    """How many learners of the course are where, as far as the platform lists them."""

    read_at: datetime | None
    """When the list was last read to its end; None where it never was."""
    problem: str | None
    """Why the last reading failed."""
    not_begun: int
    unnamed: int
    """Of those, the ones without a name: there is nothing to show of them but their number."""
    left: int

    def count(self, only: Beside) -> int:
        """How many the list has under this filter."""
        return self.left if only is Beside.LEFT else self.not_begun

    def rows(self, only: Beside) -> int:
        """Of those, how many can be told apart and are shown."""
        return self.left if only is Beside.LEFT else self.not_begun - self.unnamed


@dataclass(frozen=True)
class Enrolled:
    """A learner on the roster."""

    name: str
    begun: bool
    """Whether they have begun this activity."""
    since: datetime
    """When we first saw that they had left, or had come back."""
    returned: bool


def roll_of(placement: Placement) -> Roll | None:
    """The course's roster in numbers; None where its platform lists nobody for us."""
    roster = db.session.get(Roster, placement.course_id)
    if roster is None:
        return None
    here = RosterMember.status == RosterStatus.ACTIVE
    not_begun = and_(here, AttemptPlacement.id.is_(None))
    row = db.session.execute(
        _learners(
            placement,
            func.count(case((not_begun, 1))),
            func.count(case((and_(not_begun, _NAME.is_(None)), 1))),
            func.count(case((RosterMember.status == RosterStatus.LEFT, 1))),
        )
    ).one()
    return Roll(roster.read_at, roster.problem, *row)


def enrolled(placement: Placement, only: Beside, *, page: int, size: int) -> list[Enrolled]:
    """One page (from 1): who has left, the latest first; or who has a name and has not begun, by name."""
    query = _learners(
        placement, _NAME, Account.person_id, AttemptPlacement.id, RosterMember.since, RosterMember.returned
    )
    if only is Beside.LEFT:
        query = query.where(RosterMember.status == RosterStatus.LEFT).order_by(RosterMember.since.desc())
    else:
        query = query.where(
            RosterMember.status == RosterStatus.ACTIVE, AttemptPlacement.id.is_(None), _NAME.is_not(None)
        )
    query = query.order_by(func.lower(func.coalesce(_NAME, "")), RosterMember.id)
    return [
        Enrolled(
            name=name or ("Someone without a name" if person_id is None else f"Person {person_id}"),
            begun=begun is not None,
            since=since,
            returned=returned,
        )
        for name, person_id, begun, since, returned in db.session.execute(
            query.limit(size).offset((page - 1) * size)
        )
    ]


def unsettled(placement: Placement, account_ids: Collection[int]) -> dict[int, Enrolled]:
    """Of these accounts, those who have left the course or come back to it, by the account's id."""
    rows = db.session.execute(
        _learners(placement, Account.id, _NAME, RosterMember.status, RosterMember.since).where(
            Account.id.in_(account_ids),
            or_(RosterMember.status == RosterStatus.LEFT, RosterMember.returned),
        )
    )
    return {
        account_id: Enrolled(name or "", True, since, status is RosterStatus.ACTIVE)
        for account_id, name, status, since in rows
    }


_NAME = func.coalesce(Account.name, RosterMember.name)


def _learners(placement: Placement, *columns: Any) -> Select[Any]:
    """The learners of the course, each with their account and what they have begun in the activity, if anything."""
    begun = (
        select(func.max(AttemptPlacement.id))
        .where(AttemptPlacement.placement_id == placement.id, AttemptPlacement.account_id == Account.id)
        .correlate(Account)
        .scalar_subquery()
    )
    role = func.coalesce(Membership.role, RosterMember.role)
    return (
        select(*columns)
        .select_from(RosterMember)
        .outerjoin(
            Account,
            and_(
                Account.subject == RosterMember.subject, Account.platform_id == placement.course.platform_id
            ),
        )
        .outerjoin(
            Membership,
            and_(Membership.account_id == Account.id, Membership.course_id == RosterMember.course_id),
        )
        .outerjoin(AttemptPlacement, AttemptPlacement.id == begun)
        .where(RosterMember.course_id == placement.course_id, role == CourseRole.LEARNER)
    )
