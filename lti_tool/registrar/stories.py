"""The whole story of one score, and of one person: where a grade is, and why it is not where it should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import aliased

from lti_tool.assessment.models import Decision, Outcome
from lti_tool.audit import AuditEvent
from lti_tool.credentials.models import Placement, Version
from lti_tool.database import db
from lti_tool.lti.models import Deployment
from lti_tool.passback import readback
from lti_tool.passback.models import Score, ScoreState, ScoreTry
from lti_tool.people.models import Account, Course, Membership, RosterMember, RosterStatus, Term
from lti_tool.registrar.queries import NO_TERM, Filter, LedgerRow, called, rows_of
from lti_tool.submissions.models import Attempt, AttemptPlacement, AttemptState, Submission

_OF_ONE_CELL = 50
_EVENTS = 100
FOUND = 50
"""Most people that a search shows. Whoever gets more has to say more."""
_ACTIVITIES = 200


@dataclass(frozen=True)
class Try:
    """One try to send a score."""

    at: datetime
    milliseconds: int
    status: int | None
    answer: str
    verdict: str


@dataclass(frozen=True)
class Sibling:
    """Another score of the same gradebook cell."""

    id: int
    owed_at: datetime
    points: Decimal
    points_possible: Decimal
    state: ScoreState


@dataclass(frozen=True)
class HandIn:
    """What was handed in, and a decision about it. ``by`` is None while nobody has decided."""

    number: int
    at: datetime
    withdrawn: bool
    outcome: Outcome | None
    decided_at: datetime | None
    by: str | None
    superseded: bool
    why: str | None
    """Of a decision that took an earlier one's place."""


@dataclass(frozen=True)
class Event:
    """Who did what with this gradebook cell. ``by`` is None where Tessera did it by itself."""

    at: datetime
    action: str
    by: str | None
    score_id: int
    replaced_by: int | None


@dataclass(frozen=True)
class Reading:
    """That somebody asked what the gradebook shows now. ``problem`` says why it could not be read."""

    asked_at: datetime
    answered_at: datetime | None
    problem: str | None


@dataclass(frozen=True)
class Story:
    """Everything that is known about one score. ``reading`` is None where nobody ever asked for it."""

    row: LedgerRow
    column: str
    decided_by: str | None
    hand_ins: tuple[HandIn, ...]
    tries: tuple[Try, ...]
    siblings: tuple[Sibling, ...]
    events: tuple[Event, ...]
    reading: Reading | None

    @property
    def readable(self) -> bool:
        """Whether it can be read now what the gradebook shows, and that would say something about this score."""
        return bool(self.column) and self.row.state in readback.READABLE and self.newer is None

    @property
    def newer(self) -> Sibling | None:
        """The score that the gradebook gets in place of this one."""
        return next((one for one in self.siblings if one.id > self.row.id), None)


@dataclass(frozen=True)
class Found:
    """Somebody whom a search has found."""

    person_id: int
    name: str
    sis_id: str | None
    subject: str
    courses: str


@dataclass(frozen=True)
class Names:
    """What the ids of a filter are called on the desk; None where it has none, or nothing here goes by that id."""

    term: str | None = None
    course: str | None = None
    credential: str | None = None
    person: str | None = None


@dataclass(frozen=True)
class Standing:
    """Where somebody is in one activity, as far as their grade goes. ``state`` is None for who has not begun."""

    course: str
    term: str | None
    activity: str
    credential: str | None
    state: AttemptState | None
    handed_in_at: datetime | None
    decided_at: datetime | None
    score: LedgerRow | None
    left_at: datetime | None
    has_column: bool


@dataclass(frozen=True)
class PersonPage:
    """Somebody, and every activity of the deployment in which they are or were."""

    person_id: int
    name: str
    sis_id: str | None
    subject: str
    standings: tuple[Standing, ...]


def story(deployment_pk: int, score_id: int) -> Story | None:
    """All about one score, or None if this deployment has no such row."""
    score = db.session.scalar(select(Score).filter_by(id=score_id, deployment_pk=deployment_pk))
    if score is None:
        return None
    tries = db.session.scalars(select(ScoreTry).filter_by(score_id=score_id).order_by(ScoreTry.id.desc()))
    cell = db.session.scalars(
        select(Score)
        .filter_by(placement_id=score.placement_id, account_id=score.account_id)
        .where(Score.id != score_id)
        .order_by(Score.scored_at.desc())
        .limit(_OF_ONE_CELL)
    ).all()
    assessor = db.session.execute(
        select(Account.name, Account.person_id)
        .join(Decision, Decision.decided_by_account_id == Account.id)
        .where(Decision.id == score.decision_id)
    ).first()
    return Story(
        row=rows_of([score_id])[0],
        column=score.line_item_url,
        decided_by=None if assessor is None else called(assessor.name, assessor.person_id),
        hand_ins=_hand_ins(score.decision_id),
        tries=tuple(Try(one.at, one.milliseconds, one.status, one.answer, one.verdict) for one in tries),
        siblings=tuple(
            Sibling(one.id, one.created_at, one.points, one.points_possible, one.state) for one in cell
        ),
        events=_events([score_id, *(one.id for one in cell)]),
        reading=_reading(score_id),
    )


def _reading(score_id: int) -> Reading | None:
    asked = readback.asked_for(score_id)
    return None if asked is None else Reading(asked.asked_at, asked.answered_at, asked.problem)


def is_here(deployment_pk: int, score_id: int) -> bool:
    """Whether this deployment has such a row."""
    found = select(Score.id).filter_by(id=score_id, deployment_pk=deployment_pk)
    return db.session.scalar(found) is not None


def search(deployment_pk: int, words: str) -> list[Found]:
    """People of the deployment's courses whose name or SIS id holds these words, at most one more than are shown."""
    text = words.strip().lower()
    if not text:
        return []
    here = (
        select(Membership.account_id)
        .join(Placement, Placement.course_id == Membership.course_id)
        .where(Placement.deployment_pk == deployment_pk)
    )
    people = db.session.scalars(
        select(Account)
        .where(
            Account.id.in_(here.union(select(Score.account_id).filter_by(deployment_pk=deployment_pk))),
            or_(
                func.lower(Account.name).contains(text, autoescape=True),
                func.lower(Account.sis_id).contains(text, autoescape=True),
                func.lower(Account.subject) == text,
            ),
        )
        .order_by(Account.name, Account.id)
        .limit(FOUND + 1)
    ).all()
    courses: dict[int, set[str]] = {}
    for account_id, label, title in db.session.execute(
        select(Membership.account_id, Course.label, Course.title)
        .join(Course, Course.id == Membership.course_id)
        .where(
            Membership.account_id.in_([one.id for one in people]),
            Course.id.in_(select(Placement.course_id).filter_by(deployment_pk=deployment_pk)),
        )
    ):
        courses.setdefault(account_id, set()).add(label or title)
    return [
        Found(
            one.person_id,
            one.shown_name,
            one.sis_id,
            one.subject,
            ", ".join(sorted(courses.get(one.id, ()))),
        )
        for one in people
    ]


def names_of(deployment: Deployment, wanted: Filter) -> Names:
    """What a filter narrows to, in words: terms and courses of this deployment, people who are in one of those."""
    term = course = credential = person = None
    if wanted.term is not None:
        of_platform = select(Term.name).filter_by(
            id=wanted.term, platform_id=deployment.registration.platform_id
        )
        term = "Courses without a term" if wanted.term == NO_TERM else db.session.scalar(of_platform)
    if wanted.course_id is not None:
        here = select(Placement.course_id).filter_by(deployment_pk=deployment.id)
        course = db.session.scalar(
            select(Course.title).where(Course.id == wanted.course_id, Course.id.in_(here))
        )
    if wanted.credential is not None:
        versions = select(Version.title).filter_by(credential_id=wanted.credential)
        credential = db.session.scalar(versions.order_by(Version.id.desc()).limit(1))
    if wanted.person is not None:
        account = _account(deployment.id, wanted.person)
        person = None if account is None else account.shown_name
    return Names(term, course, credential, person)


def person(deployment_pk: int, person_id: int) -> PersonPage | None:
    """Somebody's activities in this deployment, with and without a grade; None for who has none here."""
    account = _account(deployment_pk, person_id)
    if account is None:
        return None
    return PersonPage(
        person_id, account.shown_name, account.sis_id, account.subject, _standings(deployment_pk, account)
    )


def _account(deployment_pk: int, person_id: int) -> Account | None:
    activities = select(Placement.id).filter_by(deployment_pk=deployment_pk)
    courses = select(Placement.course_id).filter_by(deployment_pk=deployment_pk)
    here = or_(
        Account.id.in_(select(Membership.account_id).where(Membership.course_id.in_(courses))),
        Account.id.in_(
            select(AttemptPlacement.account_id).where(AttemptPlacement.placement_id.in_(activities))
        ),
        Account.id.in_(select(Score.account_id).filter_by(deployment_pk=deployment_pk)),
    )
    return db.session.scalar(
        select(Account).where(Account.person_id == person_id, here).order_by(Account.seen_at.desc()).limit(1)
    )


def _standings(deployment_pk: int, account: Account) -> tuple[Standing, ...]:
    newest = _newest_scores(deployment_pk, account.id)
    scores = {
        one.activity_id: row for one, row in zip(newest, rows_of([one.id for one in newest]), strict=True)
    }
    found = db.session.execute(_activities(deployment_pk, account)).all()
    return tuple(_standing(one, scores.get(one.placement_id)) for one in found)


def _newest_scores(deployment_pk: int, account_id: int) -> Sequence[Any]:
    """The last score of each of somebody's gradebook cells, in the order of ``rows_of``."""
    return db.session.execute(
        select(func.max(Score.id).label("id"), Score.placement_id.label("activity_id"))
        .where(Score.deployment_pk == deployment_pk, Score.account_id == account_id)
        .group_by(Score.placement_id)
        .order_by(func.max(Score.id).desc())
        .limit(_ACTIVITIES)
    ).all()


def _activities(deployment_pk: int, account: Account) -> Select[*tuple[Any, ...]]:
    standing = aliased(Submission)
    last_hand_in = (
        select(func.max(standing.id))
        .where(standing.attempt_id == Attempt.id, standing.withdrawn_at.is_(None))
        .correlate(Attempt)
        .scalar_subquery()
    )
    begun = select(AttemptPlacement.placement_id).filter_by(account_id=account.id)
    learns_in = select(Membership.course_id).filter_by(account_id=account.id, role="learner")
    scored = select(Score.placement_id).filter_by(account_id=account.id)
    return (
        select(
            Placement.id.label("placement_id"),
            Placement.title.label("activity"),
            Placement.line_item_url,
            Course.label,
            Course.title,
            Term.name.label("term"),
            Attempt.state,
            Version.title.label("credential"),
            Submission.handed_in_at,
            Decision.decided_at,
            RosterMember.since.label("left_at"),
        )
        .join(Course, Course.id == Placement.course_id)
        .outerjoin(Term, Term.id == Course.term_id)
        .outerjoin(
            AttemptPlacement,
            and_(AttemptPlacement.placement_id == Placement.id, AttemptPlacement.account_id == account.id),
        )
        .outerjoin(Attempt, Attempt.id == AttemptPlacement.attempt_id)
        .outerjoin(Version, Version.id == Attempt.version_id)
        .outerjoin(Submission, Submission.id == last_hand_in)
        .outerjoin(Decision, and_(Decision.submission_id == Submission.id, Decision.superseded_at.is_(None)))
        .outerjoin(
            RosterMember,
            and_(
                RosterMember.course_id == Course.id,
                RosterMember.subject == account.subject,
                RosterMember.status == RosterStatus.LEFT,
            ),
        )
        .where(
            Placement.deployment_pk == deployment_pk,
            or_(Placement.id.in_(begun), Placement.id.in_(scored), Placement.course_id.in_(learns_in)),
        )
        .order_by(Placement.created_at.desc(), Placement.id.desc(), Attempt.id)
        .limit(_ACTIVITIES)
    )


def _standing(found: Any, score: LedgerRow | None) -> Standing:
    return Standing(
        course=found.label or found.title,
        term=found.term,
        activity=found.activity,
        credential=found.credential,
        state=found.state,
        handed_in_at=found.handed_in_at,
        decided_at=found.decided_at,
        score=score,
        left_at=found.left_at,
        has_column=found.line_item_url is not None,
    )


def _hand_ins(decision_id: int | None) -> tuple[HandIn, ...]:
    """What was handed in of the same work, and every decision about it, the newest first."""
    attempt = (
        select(Submission.attempt_id)
        .join(Decision, Decision.submission_id == Submission.id)
        .where(Decision.id == decision_id)
        .scalar_subquery()
    )
    found = db.session.execute(
        select(Submission, Decision, Account.name, Account.person_id)
        .outerjoin(Decision, Decision.submission_id == Submission.id)
        .outerjoin(Account, Account.id == Decision.decided_by_account_id)
        .where(Submission.attempt_id == attempt)
        .order_by(Submission.number.desc(), Decision.id.desc())
        .limit(_OF_ONE_CELL)
    )
    return tuple(
        HandIn(
            number=work.number,
            at=work.handed_in_at,
            withdrawn=work.withdrawn_at is not None,
            outcome=None if decision is None else decision.outcome,
            decided_at=None if decision is None else decision.decided_at,
            by=None if decision is None else called(name, person_id),
            superseded=decision is not None and decision.superseded_at is not None,
            why=None if decision is None else decision.why,
        )
        for work, decision, name, person_id in found
    )


def _events(score_ids: Sequence[int]) -> tuple[Event, ...]:
    found = db.session.execute(
        select(AuditEvent, Account.name, Account.person_id)
        .outerjoin(Account, Account.id == AuditEvent.actor_account_id)
        .where(AuditEvent.subject_type == "score", AuditEvent.subject_id.in_([str(one) for one in score_ids]))
        .order_by(AuditEvent.id.desc())
        .limit(_EVENTS)
    )
    return tuple(
        Event(
            at=event.at,
            action=event.action,
            by=None if event.actor_account_id is None else called(name, person_id or 0),
            score_id=int(event.subject_id),
            replaced_by=event.details.get("replaced_by"),
        )
        for event, name, person_id in found
    )
