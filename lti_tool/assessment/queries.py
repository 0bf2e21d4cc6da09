"""What pages show of assessing: who is where in an activity, what there is to judge, what was said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, select, union_all
from sqlalchemy.orm import aliased, contains_eager, joinedload, selectinload

from lti_tool.assessment.models import Assessment, Decision, Outcome, Rating
from lti_tool.assessment.rules import Mark
from lti_tool.credentials import queries as credentials
from lti_tool.credentials.models import Criterion, Placement, Version
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Account, Course
from lti_tool.submissions.models import (
    Attempt,
    AttemptPlacement,
    AttemptState,
    Evidence,
    PrivacyReport,
    Rehearsal,
    Submission,
)

_MOST_TRIES = 50
"""More decisions about one attempt than a page could show."""
_OPENED_FROM = union_all(
    *(select(link.attempt_id, link.placement_id, link.account_id) for link in (AttemptPlacement, Rehearsal))
).subquery("opened_from")
"""Where work was opened from, rehearsals too: only for what faculty look at one by one, never for a count."""


@dataclass(frozen=True)
class CriterionFeedback:
    """One criterion of a decided submission. The key and words of the level are None if it was not rated."""

    key: str
    title: str
    level_key: str | None
    level_title: str | None
    level_text: str | None
    required_title: str
    met: bool
    comment: str

    @property
    def level(self) -> str | None:
        """The chosen level's key, by the name under which the rubric on the page looks for it."""
        return self.level_key


@dataclass(frozen=True)
class Earlier:
    """A decision about the same submission that another one took the place of."""

    outcome: Outcome
    decided_at: datetime
    feedback: str
    why: str | None
    """Why it had taken the place of one before it."""

    @property
    def met(self) -> bool:
        """Whether it said that the competency was demonstrated."""
        return self.outcome is Outcome.DEMONSTRATED


@dataclass(frozen=True)
class Feedback:
    """What a decision tells the earner. It never says who assessed."""

    decision_id: int
    submission_id: int
    submission_number: int
    outcome: Outcome
    decided_at: datetime
    opened_at: datetime | None
    feedback: str
    criteria: tuple[CriterionFeedback, ...]
    why: str | None = None
    """Why it took the place of the first of ``replaces``."""
    replaces: tuple[Earlier, ...] = ()
    """The last one first."""

    @property
    def met(self) -> bool:
        """Whether the competency was demonstrated."""
        return self.outcome is Outcome.DEMONSTRATED

    @property
    def unmet(self) -> tuple[str, ...]:
        """Titles of the criteria below the level needed to pass."""
        return tuple(criterion.title for criterion in self.criteria if not criterion.met)


class Filter(StrEnum):
    """Whom the list of an activity shows."""

    EVERYONE = "everyone"
    WAITING = "waiting"
    NOT_YET = "not-yet"
    DEMONSTRATED = "demonstrated"
    UNOPENED = "unopened"


@dataclass(frozen=True)
class Standing:
    """How many earners of an activity are where, and since when the longest has waited."""

    working: int
    waiting: int
    not_yet: int
    demonstrated: int
    unopened: int
    """Decided, and the earner has not opened the feedback. Counted in not_yet or demonstrated as well."""
    oldest_waiting_since: datetime | None

    @property
    def everyone(self) -> int:
        return self.working + self.waiting + self.not_yet + self.demonstrated

    def oldest_days(self, now: datetime) -> int:
        """Whole days that the longest has waited; 0 where nobody waits."""
        since = self.oldest_waiting_since
        return 0 if since is None else max(0, (now - since).days)

    def count(self, only: Filter) -> int:
        """How many the list has under this filter."""
        return {
            Filter.EVERYONE: self.everyone,
            Filter.WAITING: self.waiting,
            Filter.NOT_YET: self.not_yet,
            Filter.DEMONSTRATED: self.demonstrated,
            Filter.UNOPENED: self.unopened,
        }[only]


@dataclass(frozen=True)
class EarnerRow:
    """One earner in an activity."""

    attempt_id: int
    account_id: int
    name: str
    title: str
    """Of the micro-credential; of interest where the activity offers a choice."""
    state: AttemptState
    submission_id: int | None
    """The last one that was not taken back."""
    handed_in_at: datetime | None
    outcome: Outcome | None
    """Of the last decision; None before the first."""
    decided_at: datetime | None
    opened_at: datetime | None
    drafted: bool
    """Whether who looks at the list has begun to assess that submission, and not decided."""
    score_id: int | None
    score_state: ScoreState | None
    """Of the last score of this activity's gradebook cell."""
    score_reason: str | None

    def days_waiting(self, now: datetime) -> int:
        """Whole days since it was handed in; 0 where nothing was."""
        return 0 if self.handed_in_at is None else max(0, (now - self.handed_in_at).days)


@dataclass(frozen=True)
class ReportRow:
    """A privacy report, for faculty."""

    id: int
    reported_at: datetime
    note: str
    resolved: bool
    earner: str
    evidence: Evidence


@dataclass(frozen=True)
class EarlierResult:
    """That somebody has demonstrated it before."""

    decided_at: datetime
    course_title: str | None
    """Of a course that the work was opened from; None where it is not known any more."""


def earlier_result(attempt_id: int, course_id: int) -> EarlierResult | None:
    """When and where this work was decided to be demonstrated; None if it was not, or was opened from this course: an
    activity that was deleted and added anew is not another one."""
    opened = (
        select(Course.id, Course.title)
        .join(Placement, Placement.course_id == Course.id)
        .join(AttemptPlacement, AttemptPlacement.placement_id == Placement.id)
        .where(AttemptPlacement.attempt_id == attempt_id)
        .order_by(AttemptPlacement.id)
    )
    courses = db.session.execute(opened).all()
    if any(course.id == course_id for course in courses):
        return None
    decided_at = db.session.scalar(
        select(func.max(Decision.decided_at))
        .join(Decision.submission)
        .where(
            Submission.attempt_id == attempt_id,
            Decision.outcome == Outcome.DEMONSTRATED,
            Decision.superseded_at.is_(None),
        )
    )
    return None if decided_at is None else EarlierResult(decided_at, courses[0].title if courses else None)


def feedback_for(attempt_id: int) -> Feedback | None:
    """The last standing decision about this work; None before the first."""
    return next(iter(_feedback(attempt_id, limit=1)), None)


def history(attempt_id: int) -> list[Feedback]:
    """Every standing decision about this work, the last one first."""
    return _feedback(attempt_id, limit=_MOST_TRIES)


def standing_decision(submission_id: int) -> Decision | None:
    """The decision that stands about a submission; None before the first."""
    return db.session.scalar(
        select(Decision).where(Decision.submission_id == submission_id, Decision.superseded_at.is_(None))
    )


def decisions_about(submission_id: int) -> Sequence[int]:
    """Ids of all decisions about a submission, the one that stands and those before it."""
    return db.session.scalars(
        select(Decision.id).where(Decision.submission_id == submission_id).order_by(Decision.id)
    ).all()


def submission_in_course(submission_id: int, course_id: int) -> Submission:
    """A submission, a rehearsal's too, whose earner opened the work from an activity of this course.

    :raises NotHere: none such.
    """
    in_course = (
        select(_OPENED_FROM.c.attempt_id)
        .join(Placement, Placement.id == _OPENED_FROM.c.placement_id)
        .where(_OPENED_FROM.c.attempt_id == Submission.attempt_id, Placement.course_id == course_id)
    )
    submission = db.session.scalar(
        select(Submission)
        .where(Submission.id == submission_id, in_course.exists())
        .options(joinedload(Submission.attempt))
    )
    if submission is None:
        raise NotHere
    return submission


def draft_of(submission_id: int, assessor_account_id: int) -> tuple[dict[str, Mark], str]:
    """The assessor's own marks by criterion key, and their feedback; nothing where nothing was saved."""
    assessment = db.session.scalar(
        select(Assessment)
        .where(
            Assessment.submission_id == submission_id,
            Assessment.assessor_account_id == assessor_account_id,
            Assessment.number == 1,
        )
        .options(
            selectinload(Assessment.ratings).options(joinedload(Rating.criterion), joinedload(Rating.level))
        )
    )
    if assessment is None:
        return {}, ""
    marks = {
        rating.criterion.key: Mark(rating.level.key if rating.level else None, rating.comment)
        for rating in assessment.ratings
    }
    return marks, assessment.feedback


def standing_of(placement_id: int) -> Standing:
    """Who is where, counted."""
    shape = _Shape()

    def count(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count(case((condition, 1)))

    row = db.session.execute(
        shape.rows(
            count(Attempt.state == AttemptState.DRAFT),
            count(Attempt.state == AttemptState.SUBMITTED),
            count(Attempt.state == AttemptState.NOT_YET),
            count(Attempt.state == AttemptState.DEMONSTRATED),
            count(shape.condition(Filter.UNOPENED)),
            func.min(case((Attempt.state == AttemptState.SUBMITTED, shape.submission.handed_in_at))),
        ).where(AttemptPlacement.placement_id == placement_id)
    ).one()
    return Standing(*row)


def earners_of(
    placement_id: int, only: Filter, *, assessor_account_id: int, page: int, size: int
) -> list[EarnerRow]:
    """One page (from 1) of the earners of an activity: by name; those who wait, the longest first."""
    shape = _Shape()
    last_score = (
        select(func.max(Score.id))
        .where(
            Score.placement_id == AttemptPlacement.placement_id,
            Score.account_id == AttemptPlacement.account_id,
        )
        .correlate(AttemptPlacement)
        .scalar_subquery()
    )
    query = (
        shape.rows(
            Attempt.id,
            Attempt.state,
            Account,
            Version.title,
            shape.submission.id,
            shape.submission.handed_in_at,
            shape.decision.outcome,
            shape.decision.decided_at,
            shape.decision.opened_at,
            Assessment.id,
            Score.id,
            Score.state,
            Score.reason,
        )
        .join(Account, Account.id == AttemptPlacement.account_id)
        .join(Version, Version.id == Attempt.version_id)
        .outerjoin(
            Assessment,
            and_(
                Assessment.submission_id == shape.submission.id,
                Assessment.assessor_account_id == assessor_account_id,
                Assessment.finished_at.is_(None),
            ),
        )
        .outerjoin(Score, Score.id == last_score)
        .where(AttemptPlacement.placement_id == placement_id, shape.condition(only))
    )
    if only is Filter.WAITING:
        query = query.order_by(shape.submission.handed_in_at, AttemptPlacement.id)
    else:
        query = query.order_by(func.lower(func.coalesce(Account.name, "")), AttemptPlacement.id)
    return [
        EarnerRow(
            attempt_id=attempt_id,
            account_id=account.id,
            name=account.shown_name,
            title=title,
            state=state,
            submission_id=submission_id,
            handed_in_at=handed_in_at,
            outcome=outcome,
            decided_at=decided_at,
            opened_at=opened_at,
            drafted=draft_id is not None,
            score_id=score_id,
            score_state=score_state,
            score_reason=score_reason,
        )
        for (
            attempt_id,
            state,
            account,
            title,
            submission_id,
            handed_in_at,
            outcome,
            decided_at,
            opened_at,
            draft_id,
            score_id,
            score_state,
            score_reason,
        ) in db.session.execute(query.limit(size).offset((page - 1) * size))
    ]


def open_reports(placement_id: int, *, limit: int) -> list[ReportRow]:
    """Privacy reports about work of this activity that nobody has resolved yet, the oldest first."""
    rows = db.session.execute(
        _reports()
        .where(_OPENED_FROM.c.placement_id == placement_id, PrivacyReport.resolved_at.is_(None))
        .order_by(PrivacyReport.reported_at, PrivacyReport.id)
        .limit(limit)
    )
    return [_report_row(report, account) for report, account in rows]


def report_in_course(report_id: int, course_id: int) -> ReportRow:
    """A privacy report about work of this course, resolved or not.

    :raises NotHere: none such.
    """
    row = db.session.execute(
        _reports()
        .join(Placement, Placement.id == _OPENED_FROM.c.placement_id)
        .where(PrivacyReport.id == report_id, Placement.course_id == course_id)
        .limit(1)
    ).first()
    if row is None:
        raise NotHere
    return _report_row(row[0], row[1])


def _reports() -> "Select[PrivacyReport, Account]":
    return (
        select(PrivacyReport, Account)
        .join(PrivacyReport.evidence)
        .join(_OPENED_FROM, _OPENED_FROM.c.attempt_id == Evidence.attempt_id)
        .join(Account, Account.id == _OPENED_FROM.c.account_id)
        .options(contains_eager(PrivacyReport.evidence).joinedload(Evidence.task))
    )


def _report_row(report: PrivacyReport, account: Account) -> ReportRow:
    return ReportRow(
        id=report.id,
        reported_at=report.reported_at,
        note=report.note,
        resolved=report.resolved_at is not None,
        earner=account.shown_name,
        evidence=report.evidence,
    )


class _Shape:
    """An activity's attempts, each with its last submission that was not taken back and its last decision."""

    def __init__(self) -> None:
        self.submission = aliased(Submission)
        self.decision = aliased(Decision)

    def rows(self, *columns: Any) -> Select[Any]:
        number = (
            select(func.max(Submission.number))
            .where(Submission.attempt_id == Attempt.id, Submission.withdrawn_at.is_(None))
            .correlate(Attempt)
            .scalar_subquery()
        )
        decided = (
            select(func.max(Decision.id))
            .join(Decision.submission)
            .where(Submission.attempt_id == Attempt.id, Decision.superseded_at.is_(None))
            .correlate(Attempt)
            .scalar_subquery()
        )
        return (
            select(*columns)
            .select_from(AttemptPlacement)
            .join(Attempt, Attempt.id == AttemptPlacement.attempt_id)
            .outerjoin(
                self.submission,
                (self.submission.attempt_id == Attempt.id) & (self.submission.number == number),
            )
            .outerjoin(self.decision, self.decision.id == decided)
        )

    def condition(self, only: Filter) -> ColumnElement[bool]:
        match only:
            case Filter.EVERYONE:
                return AttemptPlacement.id.is_not(None)
            case Filter.WAITING:
                return Attempt.state == AttemptState.SUBMITTED
            case Filter.NOT_YET:
                return Attempt.state == AttemptState.NOT_YET
            case Filter.DEMONSTRATED:
                return Attempt.state == AttemptState.DEMONSTRATED
            case Filter.UNOPENED:
                return (
                    self.decision.id.is_not(None)
                    & self.decision.opened_at.is_(None)
                    & Attempt.state.in_((AttemptState.NOT_YET, AttemptState.DEMONSTRATED))
                )


def _feedback(attempt_id: int, *, limit: int) -> list[Feedback]:
    decisions = db.session.scalars(
        select(Decision)
        .join(Decision.submission)
        .where(Submission.attempt_id == attempt_id, Decision.superseded_at.is_(None))
        .options(
            contains_eager(Decision.submission).joinedload(Submission.attempt),
            joinedload(Decision.assessment).selectinload(Assessment.ratings),
        )
        .order_by(Submission.number.desc())
        .limit(limit)
    ).all()
    if not decisions:
        return []
    version = credentials.full_version(decisions[0].submission.attempt.version_id)
    replaced = _replaced([one.submission_id for one in decisions if one.supersedes_id is not None])
    return [
        Feedback(
            decision_id=decision.id,
            submission_id=decision.submission_id,
            submission_number=decision.submission.number,
            outcome=decision.outcome,
            decided_at=decision.decided_at,
            opened_at=decision.opened_at,
            feedback=decision.assessment.feedback,
            criteria=_criteria(version.criteria, decision.assessment.ratings),
            why=decision.why,
            replaces=tuple(replaced.get(decision.submission_id, ())),
        )
        for decision in decisions
    ]


def _replaced(submission_ids: Sequence[int]) -> dict[int, list[Earlier]]:
    """The decisions about these submissions that do not stand any more, the last one first."""
    found: dict[int, list[Earlier]] = {}
    if not submission_ids:
        return found
    for decision in db.session.scalars(
        select(Decision)
        .where(Decision.submission_id.in_(submission_ids), Decision.superseded_at.is_not(None))
        .options(joinedload(Decision.assessment))
        .order_by(Decision.id.desc())
        .limit(_MOST_TRIES)
    ):
        found.setdefault(decision.submission_id, []).append(
            Earlier(decision.outcome, decision.decided_at, decision.assessment.feedback, decision.why)
        )
    return found


def _criteria(criteria: Sequence[Criterion], ratings: Sequence[Rating]) -> tuple[CriterionFeedback, ...]:
    rated = {rating.criterion_id: rating for rating in ratings}
    found = []
    for criterion in criteria:
        rating = rated.get(criterion.id)
        required = next(level for level in criterion.levels if level.required)
        level = next((lv for lv in criterion.levels if rating is not None and lv.id == rating.level_id), None)
        found.append(
            CriterionFeedback(
                key=criterion.key,
                title=criterion.title,
                level_key=level.key if level else None,
                level_title=level.title if level else None,
                level_text=level.text if level else None,
                required_title=required.title,
                met=level is not None and level.position >= required.position,
                comment=rating.comment if rating else "",
            )
        )
    return tuple(found)
