"""Read models of the registrar's desk: the ledger of one deployment, a page at a time, in a fixed number of
queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVarTuple

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, tuple_
from sqlalchemy.orm import aliased

from lti_tool.assessment.models import Decision, Outcome
from lti_tool.credentials.models import Placement, PlacementChoice, Version
from lti_tool.database import db
from lti_tool.lti.models import Deployment
from lti_tool.passback.models import DRIFT, Finding, Score, ScoreState, ScoreTry
from lti_tool.passback.rules import Cause
from lti_tool.people.models import Account, Course, Membership, Term
from lti_tool.submissions.models import Attempt, Submission

PAGE_SIZE = 50
_BATCH = 500
_OFFERED = 300
NO_TERM = 0
"""Stands in a filter for courses without a term; no row has this id."""
_ANSWERED = (ScoreState.ACCEPTED, ScoreState.CONFIRMED, ScoreState.OVERRIDDEN)
Columns = TypeVarTuple("Columns")


class Shown(StrEnum):
    """Which rows the desk shows, in the words of its links. All but the first share out the ledger among them."""

    ALL = "all"
    ATTENTION = "attention"
    DIFFERS = "differs"
    """The platform shows another grade than we sent, or none, and nobody has said yet what to make of it."""
    WAITING = "waiting"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    SETTLED = "settled"
    """The platform shows something else, and a person has dealt with it."""
    REPLACED = "replaced"
    NOT_SENT = "not-sent"


_STATES: dict[ScoreState, Shown] = {
    ScoreState.OWED: Shown.WAITING,
    ScoreState.SENDING: Shown.WAITING,
    ScoreState.PARKED: Shown.ATTENTION,
    ScoreState.ACCEPTED: Shown.ACCEPTED,
    ScoreState.CONFIRMED: Shown.CONFIRMED,
    ScoreState.OVERRIDDEN: Shown.DIFFERS,
    ScoreState.SUPERSEDED: Shown.REPLACED,
    ScoreState.ABANDONED: Shown.NOT_SENT,
}


@dataclass(frozen=True)
class Filter:
    """``course`` is part of a course's label or title, ``section`` a section's SIS id; empty for every one. ``term``,
    ``credential``, ``person`` and ``course_id`` are ids, None for every one."""

    shown: Shown = Shown.ALL
    course: str = ""
    section: str = ""
    term: int | None = None
    credential: int | None = None
    person: int | None = None
    course_id: int | None = None

    @property
    def narrows(self) -> bool:
        """Whether it asks for more than a state."""
        return self != Filter(self.shown)


@dataclass(frozen=True)
class LastTry:
    """How the most recent try went."""

    at: datetime
    status: int | None
    answer: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """One score in the words of the desk. ``credential`` is None where the decision is not known here."""

    id: int
    owed_at: datetime
    person: str
    person_id: int
    sis_id: str | None
    subject: str
    course: str
    course_id: int
    course_title: str
    term: str | None
    term_id: int | None
    activity: str
    credential: str | None
    credential_id: int | None
    version: int | None
    decided_at: datetime | None
    outcome: Outcome | None
    points: Decimal
    points_possible: Decimal
    comment: str
    scored_at: datetime
    submitted_at: datetime
    activity_progress: str
    grading_progress: str
    idempotency_key: str
    section: str | None
    state: ScoreState
    finding: Finding | None
    shown_points: Decimal | None
    shown_possible: Decimal | None
    read_at: datetime | None
    dealt_with_at: datetime | None
    dealt_with_note: str | None
    reason: str | None
    cause: Cause | None
    due_at: datetime
    tries: int
    settled_at: datetime | None
    called_off_at: datetime | None
    """When the decision behind it was changed to one that gives no points."""
    last: LastTry | None

    @property
    def shown(self) -> Shown:
        """Under which of the desk's links the row is found."""
        return _under(self.state, self.finding, self.dealt_with_at is not None)

    @property
    def seen(self) -> str:
        """What a page shows of the gradebook, for its forms to say: whoever answers has seen just that."""
        return f"{self.finding or 'unread'}:{self.shown_points}:{self.shown_possible}"


@dataclass(frozen=True)
class LedgerPage:
    """``counts`` are per filter, under the same course search."""

    rows: tuple[LedgerRow, ...]
    counts: dict[Shown, int]
    number: int
    pages: int


def page(deployment_pk: int, wanted: Filter, number: int, size: int = PAGE_SIZE) -> LedgerPage:
    """A page of the ledger, newest first; a number beyond the last page gives the last."""
    counts = counts_of(deployment_pk, wanted)
    pages = max(1, -(-counts[wanted.shown] // size))
    number = min(max(number, 1), pages)
    # Only ids are skipped over, so that page 1,000 joins no more rows than page 1.
    ids = db.session.scalars(
        chosen(deployment_pk, wanted).order_by(Score.id.desc()).limit(size).offset((number - 1) * size)
    ).all()
    return LedgerPage(rows_of(ids), counts, number, pages)


def every(deployment_pk: int, wanted: Filter) -> Iterator[tuple[LedgerRow, ...]]:
    """The whole ledger in batches, newest first. Each batch is a transaction of its own, so that a slow
    reader holds nothing; rows owed meanwhile are left out."""
    before: int | None = None
    while True:
        query = chosen(deployment_pk, wanted)
        if before is not None:
            query = query.where(Score.id < before)
        ids = db.session.scalars(query.order_by(Score.id.desc()).limit(_BATCH)).all()
        if not ids:
            return
        rows = rows_of(ids)
        db.session.rollback()
        yield rows
        before = ids[-1]


@dataclass(frozen=True)
class Choices:
    """What the desk's form offers to narrow by."""

    terms: tuple[tuple[int, str], ...]
    credentials: tuple[tuple[int, str], ...]


def choices(deployment: Deployment) -> Choices:
    """Terms of the platform, the latest first, and what is offered in this deployment's activities."""
    terms = db.session.execute(
        select(Term.id, Term.name)
        .filter_by(platform_id=deployment.registration.platform_id)
        .order_by(func.coalesce(Term.starts_on, date.min).desc(), Term.name)
        .limit(_OFFERED)
    )
    newest = select(func.max(Version.id)).group_by(Version.credential_id)
    offered = (
        select(PlacementChoice.credential_id)
        .join(Placement, Placement.id == PlacementChoice.placement_id)
        .where(Placement.deployment_pk == deployment.id)
    )
    credentials = db.session.execute(
        select(Version.credential_id, Version.title)
        .where(Version.id.in_(newest), Version.credential_id.in_(offered))
        .order_by(Version.title)
        .limit(_OFFERED)
    )
    return Choices(
        tuple((one.id, one.name) for one in terms),
        tuple((one.credential_id, one.title) for one in credentials),
    )


def counts_of(deployment_pk: int, wanted: Filter) -> dict[Shown, int]:
    """How many rows are behind each of the desk's links, under the same narrowing."""
    dealt_with = Score.dealt_with_at.is_not(None).label("dealt_with")
    counted = _within(
        select(Score.state, Score.finding, dealt_with, func.count().label("scores")), deployment_pk, wanted
    ).group_by(Score.state, Score.finding, dealt_with)
    counts = dict.fromkeys(Shown, 0)
    for row in db.session.execute(counted):
        counts[_under(row.state, row.finding, bool(row.dealt_with))] += row.scores
        counts[Shown.ALL] += row.scores
    return counts


def chosen(deployment_pk: int, wanted: Filter) -> Select[int]:
    """The ids of the rows that a filter asks for."""
    query = _within(select(Score.id), deployment_pk, wanted)
    match wanted.shown:
        case Shown.ALL:
            return query
        case Shown.DIFFERS:
            return query.where(_drifted(), Score.dealt_with_at.is_(None))
        case Shown.SETTLED:
            return query.where(_drifted(), Score.dealt_with_at.is_not(None))
    query = query.where(Score.state.in_([state for state, shown in _STATES.items() if shown is wanted.shown]))
    return query.where(~_drifted()) if wanted.shown in (Shown.ACCEPTED, Shown.CONFIRMED) else query


def _under(state: ScoreState, finding: Finding | None, dealt_with: bool) -> Shown:
    if state in _ANSWERED and (finding in DRIFT or state is ScoreState.OVERRIDDEN):
        return Shown.SETTLED if dealt_with else Shown.DIFFERS
    return _STATES[state]


def _drifted() -> ColumnElement[bool]:
    found = func.coalesce(Score.finding, Finding.SAME).in_(DRIFT)
    return and_(Score.state.in_(_ANSWERED), or_(found, Score.state == ScoreState.OVERRIDDEN))


def _within(query: Select[*Columns], deployment_pk: int, wanted: Filter) -> Select[*Columns]:
    """Narrowed by lists that are made once, so that no row of the ledger is joined for it."""
    query = query.where(Score.deployment_pk == deployment_pk)
    if wanted.course or wanted.term is not None or wanted.course_id is not None:
        query = query.where(Score.placement_id.in_(_activities(wanted)))
    if wanted.section:
        sections = (
            select(Placement.id, Membership.account_id)
            .join(Membership, Membership.course_id == Placement.course_id)
            .where(_among("," + func.lower(Membership.section_sis_id) + ",", f",{wanted.section.lower()},"))
        )
        query = query.where(tuple_(Score.placement_id, Score.account_id).in_(sections))
    if wanted.person is not None:
        theirs = select(Account.id).where(Account.person_id == wanted.person)
        query = query.where(Score.account_id.in_(theirs))
    if wanted.credential is not None:
        offering = select(PlacementChoice.placement_id).where(
            PlacementChoice.credential_id == wanted.credential
        )
        decided = (
            select(Decision.id)
            .join(Submission, Submission.id == Decision.submission_id)
            .join(Attempt, Attempt.id == Submission.attempt_id)
            .join(Version, Version.id == Attempt.version_id)
            .where(Version.credential_id == wanted.credential)
        )
        query = query.where(
            or_(
                Score.decision_id.in_(decided),
                and_(Score.decision_id.is_(None), Score.placement_id.in_(offering)),
            )
        )
    return query


def _activities(wanted: Filter) -> Select[int]:
    query = select(Placement.id).join(Course, Course.id == Placement.course_id)
    if wanted.course:
        query = query.where(
            or_(_contains(Course.label, wanted.course), _contains(Course.title, wanted.course))
        )
    if wanted.course_id is not None:
        query = query.where(Course.id == wanted.course_id)
    if wanted.term is not None:
        query = query.where(
            Course.term_id.is_(None) if wanted.term == NO_TERM else Course.term_id == wanted.term
        )
    return query


def _among(listed: ColumnElement[str], one: str) -> ColumnElement[bool]:
    return listed.contains(one, autoescape=True)


def _contains(column: Any, text: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = func.lower(column).contains(text.lower(), autoescape=True)
    return found


_COLUMNS = (
    *(
        getattr(Score, name)
        for name in (
            "id",
            "subject",
            "points",
            "points_possible",
            "comment",
            "scored_at",
            "submitted_at",
            "activity_progress",
            "grading_progress",
            "idempotency_key",
            "finding",
            "shown_points",
            "shown_possible",
            "read_at",
            "dealt_with_at",
            "dealt_with_note",
            "state",
            "reason",
            "cause",
            "due_at",
            "tries",
            "settled_at",
            "called_off_at",
        )
    ),
    Score.created_at.label("owed_at"),
    Account.name,
    Account.person_id,
    Account.sis_id,
    Course.id.label("course_id"),
    Course.label,
    Course.title.label("course_title"),
    Term.id.label("term_id"),
    Term.name.label("term"),
    Placement.title.label("activity"),
    Version.title.label("credential"),
    Version.credential_id,
    Version.number.label("version"),
    Decision.decided_at,
    Decision.outcome,
    Membership.section_sis_id.label("section"),
)
"""What a row of the desk is made of: columns, since whole objects would cost an export twice the time."""


def rows_of(ids: Sequence[int]) -> tuple[LedgerRow, ...]:
    """These rows in the words of the desk, newest first."""
    found = db.session.execute(
        select(*_COLUMNS)
        .join(Account, Account.id == Score.account_id)
        .join(Placement, Placement.id == Score.placement_id)
        .join(Course, Course.id == Placement.course_id)
        .outerjoin(
            Membership,
            and_(Membership.course_id == Course.id, Membership.account_id == Score.account_id),
        )
        .outerjoin(Term, Term.id == Course.term_id)
        .outerjoin(Decision, Decision.id == Score.decision_id)
        .outerjoin(Submission, Submission.id == Decision.submission_id)
        .outerjoin(Attempt, Attempt.id == Submission.attempt_id)
        .outerjoin(Version, Version.id == Attempt.version_id)
        .where(Score.id.in_(ids))
        .order_by(Score.id.desc())
    ).mappings()
    last = _last_tries(ids)
    return tuple(_row(dict(one), last.get(one["id"])) for one in found)


def _last_tries(ids: Sequence[int]) -> dict[int, LastTry]:
    later = aliased(ScoreTry)
    newest = select(func.max(later.id)).where(later.score_id.in_(ids)).group_by(later.score_id)
    found = select(ScoreTry.score_id, ScoreTry.at, ScoreTry.status, ScoreTry.answer, ScoreTry.verdict).where(
        ScoreTry.id.in_(newest)
    )
    return {
        one.score_id: LastTry(one.at, one.status, one.answer, one.verdict)
        for one in db.session.execute(found)
    }


def _row(found: dict[str, Any], last: LastTry | None) -> LedgerRow:
    label, name = found.pop("label"), found.pop("name")
    return LedgerRow(
        **found,
        course=label or found["course_title"],
        person=called(name, found["person_id"]),
        last=last,
    )


def called(name: str | None, person_id: int) -> str:
    """What the desk calls somebody, whose name the platform may hide."""
    return name or f"Person {person_id}"
