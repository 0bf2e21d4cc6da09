"""Rating and deciding. A decision, its badge, its credit and the grades it owes stand or fall together."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased, contains_eager, joinedload

from lti_tool import audit, settings
from lti_tool.assessment import rules
from lti_tool.assessment.models import Assessment, Decision, Outcome, Rating
from lti_tool.assessment.rules import Mark, RubricRow
from lti_tool.badges import service as badges
from lti_tool.credentials import queries as credentials
from lti_tool.credentials.models import Placement, Version
from lti_tool.credentials.rules import PassRule
from lti_tool.credit import service as credit
from lti_tool.database import db
from lti_tool.errors import (
    AlreadyDecided,
    DecisionDisagrees,
    NotHere,
    OwnWork,
    RatingsMissing,
    SubmissionWithdrawn,
)
from lti_tool.lti.models import Deployment
from lti_tool.lti.roles import CourseRole
from lti_tool.passback import service as passback
from lti_tool.people.models import Account, Membership, Person
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import (
    Attempt,
    AttemptPlacement,
    AttemptState,
    Evidence,
    Submission,
    SubmittedEvidence,
)

__all__ = ["decide", "lacking", "mark_opened", "owe_here", "pass_rule", "rubric_of", "save_assessment"]


_DECIDED_ELSEWHERE = (
    "It was decided in another course, by somebody who does not teach this one. If the result counts here as well, "
    "press “Send again”."
)


@dataclass(frozen=True)
class _Cell:
    """A gradebook cell that a decision owes: the activity, and the earner's account there."""

    placement: Placement
    deployment: Deployment
    account: Account
    decider_teaches_there: bool


def rubric_of(version: Version) -> list[RubricRow]:
    """The rubric as the rules want it."""
    rows = []
    for criterion in version.criteria:
        required = next(level for level in criterion.levels if level.required)
        rows.append(
            RubricRow(
                key=criterion.key,
                title=criterion.title,
                levels={level.key: level.position for level in criterion.levels},
                required_level=required.key,
                required_title=required.title,
            )
        )
    return rows


def pass_rule(version: Version) -> PassRule:
    """When ratings under this version demonstrate the competency."""
    return PassRule(version.pass_kind, version.pass_percent)


def lacking(version: Version, ratings: Mapping[str, Mark], feedback: str) -> tuple[tuple[str, str], ...]:
    """What a decision under this version still needs: (form field, what to do); nothing when all is there."""
    rubric = rubric_of(version)
    judged = rules.judgement(pass_rule(version), rubric, ratings)
    return tuple((gap.field, gap.text) for gap in rules.gaps(rubric, ratings, feedback, judged.unmet))


def save_assessment(
    submission_id: int,
    assessor_account_id: int,
    ratings: Mapping[str, Mark],
    feedback: str,
    *,
    now: datetime,
) -> Assessment:
    """Keep an assessor's own draft, complete or not. Only they see it.

    :param ratings: criterion key -> mark; a criterion left out keeps nothing.
    :raises NotHere, OwnWork, SubmissionWithdrawn: as :func:`decide`.
    :raises AlreadyDecided: nothing is left to rate.
    """
    submission = _judgeable(submission_id, assessor_account_id)
    if submission.attempt.state is not AttemptState.SUBMITTED:
        raise AlreadyDecided
    version = credentials.full_version(submission.attempt.version_id)
    assessment = _write(
        submission, assessor_account_id, version, ratings, feedback=feedback, finished=False, now=now
    )
    audit.record("assessment saved", "submission", submission.id, now=now, actor=assessor_account_id)
    db.session.flush()
    return assessment


def decide(
    submission_id: int,
    assessor_account_id: int,
    ratings: Mapping[str, Mark],
    feedback: str,
    outcome: Outcome,
    *,
    now: datetime,
) -> Decision:
    """Close the assessment and decide. On *Demonstrated*: award, enter credit, owe every gradebook cell.

    All of it in the caller's transaction, so that everything stands or nothing does. "Not yet" is not 0: it
    owes the gradebook nothing.

    :raises NotHere: no such submission.
    :raises OwnWork: the assessor is the earner.
    :raises SubmissionWithdrawn: taken back because of a privacy problem.
    :raises RatingsMissing: a criterion has no level, an unmet one no comment, or the feedback is empty.
    :raises DecisionDisagrees: the ratings say otherwise.
    :raises AlreadyDecided: somebody was quicker.
    """
    submission = _judgeable(submission_id, assessor_account_id)
    version = credentials.full_version(submission.attempt.version_id)
    _must_agree(version, ratings, feedback, outcome)
    demonstrated = outcome is Outcome.DEMONSTRATED
    state = AttemptState.DEMONSTRATED if demonstrated else AttemptState.NOT_YET
    # The first thing written: whoever comes second stops here, before leaving anything behind.
    attempt = submissions.settle(submission.id, state, now=now)
    assessment = _write(
        submission, assessor_account_id, version, ratings, feedback=feedback, finished=True, now=now
    )
    decision = Decision(
        submission_id=submission.id,
        assessment_id=assessment.id,
        outcome=outcome,
        decided_at=now,
        decided_by_account_id=assessor_account_id,
    )
    db.session.add(decision)
    db.session.flush()
    audit.record(
        "decision recorded",
        "decision",
        decision.id,
        now=now,
        actor=assessor_account_id,
        submission=submission.id,
        outcome=outcome.value,
    )
    if demonstrated:
        _reward(attempt, submission, version, decision, feedback=feedback, now=now)
    return decision


def owe_here(attempt_id: int, placement_id: int, *, now: datetime) -> bool:
    """Owe the gradebook of an activity that was linked only after the work had been demonstrated: the activity was
    added anew, or the earner takes another course. Nothing if that gradebook was owed a score before.

    :returns: whether a score is owed now, or held until somebody agrees.
    """
    decision = db.session.scalars(
        select(Decision)
        .join(Decision.submission)
        .where(
            Submission.attempt_id == attempt_id,
            Decision.outcome == Outcome.DEMONSTRATED,
            Decision.superseded_at.is_(None),
        )
        .order_by(Decision.id.desc())
        .limit(1)
    ).first()
    if decision is None:
        return False
    cells = _cells(attempt_id, decision.decided_by_account_id)
    cell = next((cell for cell in cells if cell.placement.id == placement_id), None)
    if cell is None or passback.was_owed(cell.placement.id, cell.account.id):
        return False
    submission = decision.submission
    version = submission.attempt.version
    _owe(cell, decision, submission, version, feedback=decision.assessment.feedback, now=now)
    return True


def mark_opened(decision_id: int, *, person_id: int, now: datetime) -> bool:
    """Note that the earner has opened their feedback. True the first time; nobody else's reading counts."""
    theirs = (
        select(Submission.id)
        .join(Submission.attempt)
        .where(Submission.id == Decision.submission_id, Attempt.person_id == person_id)
    )
    opened = db.session.scalar(
        update(Decision)
        .where(Decision.id == decision_id, Decision.opened_at.is_(None), theirs.exists())
        .values(opened_at=now)
        .returning(Decision.id)
        .execution_options(synchronize_session=False)
    )
    return opened is not None


def _judgeable(submission_id: int, assessor_account_id: int) -> Submission:
    submission = db.session.scalar(
        select(Submission).where(Submission.id == submission_id).options(joinedload(Submission.attempt))
    )
    if submission is None:
        raise NotHere
    if submission.withdrawn_at is not None:
        raise SubmissionWithdrawn
    assessor = db.session.get_one(Account, assessor_account_id)
    if assessor.person_id == submission.attempt.person_id:
        raise OwnWork
    return submission


def _must_agree(version: Version, ratings: Mapping[str, Mark], feedback: str, outcome: Outcome) -> None:
    if missing := lacking(version, ratings, feedback):
        raise RatingsMissing(missing)
    rubric = rubric_of(version)
    judged = rules.judgement(pass_rule(version), rubric, ratings)
    if why := rules.disagreement(judged, rubric, demonstrated=outcome is Outcome.DEMONSTRATED):
        raise DecisionDisagrees(why)


def _write(
    submission: Submission,
    assessor_account_id: int,
    version: Version,
    ratings: Mapping[str, Mark],
    *,
    feedback: str,
    finished: bool,
    now: datetime,
) -> Assessment:
    """The assessor's one assessment of the submission, in a new row or an old one; a finished one stays."""
    values = {"feedback": feedback, "saved_at": now, "finished_at": now if finished else None}
    # The conflict locks the row as well, so that two tabs of one assessor write one after the other.
    assessment_id = db.session.scalar(
        _upsert()
        .values(submission_id=submission.id, assessor_account_id=assessor_account_id, **values)
        .on_conflict_do_update(
            index_elements=[Assessment.submission_id, Assessment.assessor_account_id],
            set_=values,
            where=Assessment.finished_at.is_(None),
        )
        .returning(Assessment.id)
    )
    if assessment_id is None:
        raise AlreadyDecided
    db.session.execute(delete(Rating).where(Rating.assessment_id == assessment_id))
    if rows := _rating_rows(assessment_id, version, ratings):
        db.session.execute(insert(Rating), rows)
    return db.session.get_one(Assessment, assessment_id, populate_existing=True)


def _upsert() -> sqlite.Insert | postgresql.Insert:
    on_sqlite = db.session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(Assessment) if on_sqlite else postgresql.insert(Assessment)


def _rating_rows(
    assessment_id: int, version: Version, ratings: Mapping[str, Mark]
) -> list[dict[str, int | str | None]]:
    rows: list[dict[str, int | str | None]] = []
    for criterion in version.criteria:
        mark = ratings.get(criterion.key)
        if mark is None or (mark.level is None and not mark.comment.strip()):
            continue
        level = next((level.id for level in criterion.levels if level.key == mark.level), None)
        rows.append(
            {
                "assessment_id": assessment_id,
                "criterion_id": criterion.id,
                "level_id": level,
                "comment": mark.comment.strip(),
            }
        )
    return rows


def _reward(
    attempt: Attempt,
    submission: Submission,
    version: Version,
    decision: Decision,
    *,
    feedback: str,
    now: datetime,
) -> None:
    # Before the cells are read: an activity that the earner opens at this moment is either seen here, or sees us.
    db.session.execute(select(Person.id).where(Person.id == attempt.person_id).with_for_update())
    cells = _cells(attempt.id, decision.decided_by_account_id)
    source = settings.current().issuer_name
    email = next((cell.account.email for cell in cells if cell.account.email), None)
    badges.award(
        person_id=attempt.person_id,
        version=version,
        decision_id=decision.id,
        source=source,
        email=email,
        evidence=_evidence(submission.id),
        now=now,
    )
    badges.award_stacks(
        person_id=attempt.person_id,
        credential_id=version.credential_id,
        decision_id=decision.id,
        source=source,
        email=email,
        now=now,
    )
    credit.enter(person_id=attempt.person_id, version_id=version.id, decision_id=decision.id, now=now)
    for cell in cells:
        _owe(cell, decision, submission, version, feedback=feedback, now=now)


def _owe(
    cell: _Cell,
    decision: Decision,
    submission: Submission,
    version: Version,
    *,
    feedback: str,
    now: datetime,
) -> None:
    points = Decimal(str(version.points))
    passback.owe(
        placement=passback.PlacementCell(
            placement_id=cell.placement.id,
            deployment_pk=cell.deployment.id,
            registration_id=cell.deployment.registration_id,
            line_item_url=cell.placement.line_item_url,
        ),
        account_id=cell.account.id,
        subject=cell.account.subject,
        decision_id=decision.id,
        points=points,
        points_possible=points,
        comment=rules.gradebook_comment(feedback),
        submitted_at=submission.handed_in_at,
        hold=None if cell.decider_teaches_there else _DECIDED_ELSEWHERE,
        now=now,
    )


def _cells(attempt_id: int, decider: int) -> list[_Cell]:
    """The cells that the attempt is linked to. Work may be opened from several courses, but nobody fills the
    gradebook of a course that they do not teach."""
    teacher = aliased(Account)
    teaches = (
        select(Membership.id)
        .join(teacher, teacher.id == Membership.account_id)
        .where(
            Membership.course_id == Placement.course_id,
            Membership.role == CourseRole.INSTRUCTOR,
            teacher.person_id == select(Account.person_id).where(Account.id == decider).scalar_subquery(),
        )
        .exists()
    )
    rows = db.session.execute(
        select(Placement, Deployment, Account, teaches)
        .join(AttemptPlacement, AttemptPlacement.placement_id == Placement.id)
        .join(Deployment, Deployment.id == Placement.deployment_pk)
        .join(Account, Account.id == AttemptPlacement.account_id)
        .where(AttemptPlacement.attempt_id == attempt_id)
        .order_by(AttemptPlacement.id)
    )
    return [_Cell(*row) for row in rows]


def _evidence(submission_id: int) -> list[badges.EvidenceFact]:
    """What the badge may say: task titles, since file names have held names; nothing of what was hidden."""
    rows = db.session.scalars(
        select(SubmittedEvidence)
        .join(SubmittedEvidence.evidence)
        .where(SubmittedEvidence.submission_id == submission_id, Evidence.hidden_at.is_(None))
        .options(contains_eager(SubmittedEvidence.evidence).joinedload(Evidence.task))
        .order_by(SubmittedEvidence.evidence_id)
    )
    return [
        badges.EvidenceFact(title=row.evidence.task.title, kind=row.evidence.kind, digest=row.digest)
        for row in rows
    ]
