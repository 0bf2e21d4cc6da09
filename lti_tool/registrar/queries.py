"""Read models of the registrar's desk: the ledger of one deployment, a page at a time, in a fixed number of
queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVarTuple

from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.orm import aliased

from lti_tool.assessment.models import Decision, Outcome
from lti_tool.credentials.models import Placement, Version
from lti_tool.database import db
from lti_tool.passback.models import Score, ScoreState, ScoreTry
from lti_tool.people.models import Account, Course, Term
from lti_tool.submissions.models import Attempt, Submission

PAGE_SIZE = 50
_BATCH = 500
_OF_ONE_CELL = 50
Columns = TypeVarTuple("Columns")


class Shown(StrEnum):
    """Which rows the desk shows, in the words of its links."""

    ALL = "all"
    WAITING = "waiting"
    ATTENTION = "attention"
    ACCEPTED = "accepted"


_STATES: dict[Shown, tuple[ScoreState, ...]] = {
    Shown.ALL: tuple(ScoreState),
    Shown.WAITING: (ScoreState.OWED, ScoreState.SENDING),
    Shown.ATTENTION: (ScoreState.PARKED,),
    Shown.ACCEPTED: (ScoreState.ACCEPTED,),
}


@dataclass(frozen=True)
class Filter:
    """``course`` is part of a course's label or title; empty for every course."""

    shown: Shown = Shown.ALL
    course: str = ""


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
    sis_id: str | None
    subject: str
    course: str
    course_title: str
    term: str | None
    activity: str
    credential: str | None
    version: int | None
    decided_at: datetime | None
    outcome: Outcome | None
    points: Decimal
    points_possible: Decimal
    comment: str
    scored_at: datetime
    submitted_at: datetime
    state: ScoreState
    reason: str | None
    due_at: datetime
    tries: int
    settled_at: datetime | None
    last: LastTry | None


@dataclass(frozen=True)
class LedgerPage:
    """``counts`` are per filter, under the same course search."""

    rows: tuple[LedgerRow, ...]
    counts: dict[Shown, int]
    number: int
    pages: int


@dataclass(frozen=True)
class Try:
    """One try, for the story of a score."""

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
class Story:
    """Everything that is known about one score."""

    row: LedgerRow
    column: str
    decided_by: str | None
    tries: tuple[Try, ...]
    siblings: tuple[Sibling, ...]


def page(deployment_pk: int, wanted: Filter, number: int, size: int = PAGE_SIZE) -> LedgerPage:
    """A page of the ledger, newest first; a number beyond the last page gives the last."""
    counted = _within(select(Score.state, func.count().label("scores")), deployment_pk, wanted.course)
    by_state = {row.state: row.scores for row in db.session.execute(counted.group_by(Score.state))}
    counts = {shown: sum(by_state.get(state, 0) for state in states) for shown, states in _STATES.items()}
    pages = max(1, -(-counts[wanted.shown] // size))
    number = min(max(number, 1), pages)
    # Only ids are skipped over, so that page 1,000 joins no more rows than page 1.
    ids = db.session.scalars(
        _chosen(deployment_pk, wanted).order_by(Score.id.desc()).limit(size).offset((number - 1) * size)
    ).all()
    return LedgerPage(_rows(ids), counts, number, pages)


def every(deployment_pk: int, wanted: Filter) -> Iterator[tuple[LedgerRow, ...]]:
    """The whole ledger in batches, newest first. Each batch is a transaction of its own, so that a slow
    reader holds nothing; rows owed meanwhile are left out."""
    before: int | None = None
    while True:
        chosen = _chosen(deployment_pk, wanted)
        if before is not None:
            chosen = chosen.where(Score.id < before)
        ids = db.session.scalars(chosen.order_by(Score.id.desc()).limit(_BATCH)).all()
        if not ids:
            return
        rows = _rows(ids)
        db.session.rollback()
        yield rows
        before = ids[-1]


def story(deployment_pk: int, score_id: int) -> Story | None:
    """All about one score, or None if this deployment has no such row."""
    score = db.session.scalar(select(Score).filter_by(id=score_id, deployment_pk=deployment_pk))
    if score is None:
        return None
    tries = db.session.scalars(select(ScoreTry).filter_by(score_id=score_id).order_by(ScoreTry.id.desc()))
    cell = (
        select(Score)
        .filter_by(placement_id=score.placement_id, account_id=score.account_id)
        .where(Score.id != score_id)
        .order_by(Score.scored_at.desc())
        .limit(_OF_ONE_CELL)
    )
    assessor = db.session.execute(
        select(Account.name, Account.person_id)
        .join(Decision, Decision.decided_by_account_id == Account.id)
        .where(Decision.id == score.decision_id)
    ).first()
    return Story(
        row=_rows([score_id])[0],
        column=score.line_item_url,
        decided_by=None if assessor is None else _called(assessor.name, assessor.person_id),
        tries=tuple(Try(one.at, one.milliseconds, one.status, one.answer, one.verdict) for one in tries),
        siblings=tuple(
            Sibling(one.id, one.created_at, one.points, one.points_possible, one.state)
            for one in db.session.scalars(cell)
        ),
    )


def _chosen(deployment_pk: int, wanted: Filter) -> Select[int]:
    query = _within(select(Score.id), deployment_pk, wanted.course)
    return query if wanted.shown is Shown.ALL else query.where(Score.state.in_(_STATES[wanted.shown]))


def _within(query: Select[*Columns], deployment_pk: int, course: str) -> Select[*Columns]:
    query = query.where(Score.deployment_pk == deployment_pk)
    if not course:
        return query
    return (
        query.join(Placement, Placement.id == Score.placement_id)
        .join(Course, Course.id == Placement.course_id)
        .where(or_(_contains(Course.label, course), _contains(Course.title, course)))
    )


def _contains(column: Any, text: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = func.lower(column).contains(text.lower(), autoescape=True)
    return found


def _rows(ids: Sequence[int]) -> tuple[LedgerRow, ...]:
    found = db.session.execute(
        select(
            Score,
            Account.name,
            Account.person_id,
            Account.sis_id,
            Course.label,
            Course.title.label("course_title"),
            Term.name.label("term"),
            Placement.title.label("activity"),
            Version.title.label("credential"),
            Version.number,
            Decision.decided_at,
            Decision.outcome,
        )
        .join(Account, Account.id == Score.account_id)
        .join(Placement, Placement.id == Score.placement_id)
        .join(Course, Course.id == Placement.course_id)
        .outerjoin(Term, Term.id == Course.term_id)
        .outerjoin(Decision, Decision.id == Score.decision_id)
        .outerjoin(Submission, Submission.id == Decision.submission_id)
        .outerjoin(Attempt, Attempt.id == Submission.attempt_id)
        .outerjoin(Version, Version.id == Attempt.version_id)
        .where(Score.id.in_(ids))
        .order_by(Score.id.desc())
    ).all()
    last = _last_tries(ids)
    return tuple(_row(one, last.get(one.Score.id)) for one in found)


def _last_tries(ids: Sequence[int]) -> dict[int, LastTry]:
    later = aliased(ScoreTry)
    newest = select(func.max(later.id)).where(later.score_id.in_(ids)).group_by(later.score_id)
    return {
        one.score_id: LastTry(one.at, one.status, one.answer, one.verdict)
        for one in db.session.scalars(select(ScoreTry).where(ScoreTry.id.in_(newest)))
    }


def _row(found: Row[*tuple[Any, ...]], last: LastTry | None) -> LedgerRow:
    score: Score = found.Score
    return LedgerRow(
        id=score.id,
        owed_at=score.created_at,
        person=_called(found.name, found.person_id),
        sis_id=found.sis_id,
        subject=score.subject,
        course=found.label or found.course_title,
        course_title=found.course_title,
        term=found.term,
        activity=found.activity,
        credential=found.credential,
        version=found.number,
        decided_at=found.decided_at,
        outcome=found.outcome,
        points=score.points,
        points_possible=score.points_possible,
        comment=score.comment,
        scored_at=score.scored_at,
        submitted_at=score.submitted_at,
        state=score.state,
        reason=score.reason,
        due_at=score.due_at,
        tries=score.tries,
        settled_at=score.settled_at,
        last=last,
    )


def _called(name: str | None, person_id: int) -> str:
    return name or f"Person {person_id}"
