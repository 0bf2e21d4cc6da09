"""Rating and deciding. A decision, its badge, its credit and the grades it owes stand or fall together."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased, contains_eager, joinedload

from lti_tool import audit, settings
from lti_tool.assessment import rules
from lti_tool.assessment.models import Assessment, Decision, Outcome, Rating
from lti_tool.assessment.rules import Mark, RubricRow
from lti_tool.badges import service as badges
from lti_tool.badges.models import Badge
from lti_tool.badges.queries import held_by, parts_behind
from lti_tool.credentials import queries as credentials
from lti_tool.credentials.models import Criterion, Level, Placement, StackVersion, Version
from lti_tool.credentials.rules import EarlierResults, PassRule, ways_on
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
from lti_tool.passback import notes
from lti_tool.passback import rules as passback_rules
from lti_tool.passback import service as passback
from lti_tool.passback.models import NoteKind
from lti_tool.people.models import Account, Membership, Person
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import (
    Attempt,
    AttemptPlacement,
    AttemptState,
    Evidence,
    StackEarner,
    Submission,
    SubmittedEvidence,
)
from lti_tool.submissions.queries import work_of

__all__ = [
    "cells_of",
    "decide",
    "judgeable",
    "lacking",
    "mark_opened",
    "must_agree",
    "owe_cell",
    "owe_here",
    "owe_stack_here",
    "pass_rule",
    "rating_rows",
    "results_of",
    "reward",
    "rubric_of",
    "save_assessment",
    "stack_cells",
    "tell_handed_in",
    "tell_not_yet",
    "would_score",
]


_DECIDED_ELSEWHERE = (
    "It was decided in another course, by somebody who does not teach this one. If the result counts here as well, "
    "press “Send again”."
)

_PART_DECIDED_ELSEWHERE = (
    "A part of the stack was decided in another course, by somebody who does not teach this one. If the result counts "
    "here as well, press “Send again”."
)

_ASKED_ANEW = (
    "The stack was complete before it was taken here, and this activity asks for results of its own. If it counts here "
    "as well, press “Send again”."
)

_PART_ASKED_ANEW = (
    "A part of the stack was earned in another course, and this activity asks for results of its own. If it counts "
    "here as well, press “Send again”."
)


@dataclass(frozen=True)
class Cell:
    """A gradebook cell that a decision owes: the activity, and the earner's account there."""

    placement: Placement
    deployment: Deployment
    account: Account
    deciders_teach_there: bool
    """Whether everybody who decided what is graded teaches the course of the activity; of a stack: each part."""
    earned_there: bool = True
    """Of a stack: whether every part was worked on in that course."""

    @property
    def agreed(self) -> bool:
        """Whether somebody who teaches there stands behind the grade: by the decision, or by having said for this very
        activity that results from elsewhere count. A program's setting alone fills nobody's gradebook."""
        return self.deciders_teach_there or self.placement.earlier_results == EarlierResults.REUSE


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
                points={level.key: level.points for level in criterion.levels if level.points is not None},
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
    submission = judgeable(submission_id, assessor_account_id)
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
    owes the gradebook no number, only a note for the earner that there is feedback. Nor does anything that is decided
    about a rehearsal.

    :raises NotHere: no such submission.
    :raises OwnWork: the assessor is the earner.
    :raises SubmissionWithdrawn: taken back because of a privacy problem.
    :raises RatingsMissing: a criterion has no level, an unmet one no comment, or the feedback is empty.
    :raises DecisionDisagrees: the ratings say otherwise.
    :raises AlreadyDecided: somebody was quicker.
    """
    submission = judgeable(submission_id, assessor_account_id)
    version = credentials.full_version(submission.attempt.version_id)
    must_agree(version, ratings, feedback, outcome)
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
    if not demonstrated and not attempt.rehearsal:
        tell_not_yet(attempt, decision, feedback, now=now)
    if demonstrated and not attempt.rehearsal:
        reward(attempt, submission, version, decision, feedback=feedback, now=now)
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
    cells = cells_of(attempt_id, decision.decided_by_account_id)
    cell = next((cell for cell in cells if cell.placement.id == placement_id), None)
    if cell is None or cell.placement.stack_id is not None:
        return False
    if passback.was_owed(cell.placement.id, cell.account.id):
        return False
    version = credentials.full_version(decision.submission.attempt.version_id)
    comment = rules.gradebook_comment(decision.assessment.feedback)
    owe_cell(cell, decision, version, comment, decided_now=False, now=now)
    return True


def owe_stack_here(person_id: int, placement_id: int, *, now: datetime) -> bool:
    """As :func:`owe_here`, for the activity of a whole stack that was completed before the person took it there.

    :returns: whether a score is owed now, or held until somebody agrees.
    """
    placement = db.session.get_one(Placement, placement_id)
    assert placement.stack_id is not None
    badge = held_by([person_id])[person_id].stacks.get(placement.stack_id)
    decision = None if badge is None else db.session.get(Decision, badge.decision_id)
    if badge is None or decision is None:
        return False
    may_use, _ = ways_on(placement.earlier_results, settings.current().earlier_results)
    hold = None if may_use else _ASKED_ANEW
    owed = False
    for cell in stack_cells(badge):
        if cell.placement.id == placement_id and not passback.was_owed(placement_id, cell.account.id):
            _owe_stack(cell, badge, decision, hold=hold, now=now)
            owed = True
    return owed


def tell_handed_in(submission: Submission) -> bool:
    """Have the gradebooks told that work waits for its assessor, where their platforms take that without harm.

    :returns: whether any is to be told.
    """
    rows = db.session.execute(
        select(Placement, Deployment, Account)
        .join(AttemptPlacement, AttemptPlacement.placement_id == Placement.id)
        .join(Deployment, Deployment.id == Placement.deployment_pk)
        .join(Account, Account.id == AttemptPlacement.account_id)
        .where(AttemptPlacement.attempt_id == submission.attempt_id)
        .order_by(AttemptPlacement.id)
    ).all()
    told = [
        notes.tell_handed_in(
            _cell(placement, deployment),
            account_id=account.id,
            subject=account.subject,
            submission_id=submission.id,
            handed_in_at=submission.handed_in_at,
        )
        for placement, deployment, account in rows
    ]
    return any(told)


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


def would_score(
    placement: Placement, version: Version, marks: Mapping[str, Mark], *, demonstrated: bool
) -> Decimal | None:
    """What a decision on these ratings would owe the gradebook of this activity; None is no number."""
    return rules.score(
        placement.policy_for(version),
        rubric_of(version),
        marks,
        Decimal(str(placement.points_for(version))),
        demonstrated=demonstrated,
    )


def _cell(placement: Placement, deployment: Deployment) -> passback.PlacementCell:
    return passback.PlacementCell(
        placement.id, deployment.id, deployment.registration_id, placement.line_item_url
    )


def tell_not_yet(attempt: Attempt, decision: Decision, feedback: str, *, now: datetime) -> None:
    """Have the earner told that there is feedback, in one course of those who decided: once is enough."""
    text = rules.gradebook_comment(feedback, demonstrated=False)
    for cell in cells_of(attempt.id, decision.decided_by_account_id):
        told = cell.agreed and notes.owe(
            _cell(cell.placement, cell.deployment),
            account_id=cell.account.id,
            subject=cell.account.subject,
            text=text,
            kind=NoteKind.NOT_YET,
            ref=decision.id,
            now=now,
        )
        if told:
            return


def judgeable(submission_id: int, assessor_account_id: int) -> Submission:
    """A submission that this person may judge.

    :raises NotHere, SubmissionWithdrawn, OwnWork: as :func:`decide`.
    """
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


def must_agree(version: Version, ratings: Mapping[str, Mark], feedback: str, outcome: Outcome) -> None:
    """Refuse a decision that lacks something, or that its own ratings contradict.

    :raises RatingsMissing, DecisionDisagrees: as :func:`decide`.
    """
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
        .values(submission_id=submission.id, assessor_account_id=assessor_account_id, number=1, **values)
        .on_conflict_do_update(
            index_elements=[Assessment.submission_id, Assessment.assessor_account_id, Assessment.number],
            set_=values,
            where=Assessment.finished_at.is_(None),
        )
        .returning(Assessment.id)
    )
    if assessment_id is None:
        raise AlreadyDecided
    db.session.execute(delete(Rating).where(Rating.assessment_id == assessment_id))
    if rows := rating_rows(assessment_id, version, ratings):
        db.session.execute(insert(Rating), rows)
    return db.session.get_one(Assessment, assessment_id, populate_existing=True)


def _upsert() -> sqlite.Insert | postgresql.Insert:
    on_sqlite = db.session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(Assessment) if on_sqlite else postgresql.insert(Assessment)


def rating_rows(
    assessment_id: int, version: Version, ratings: Mapping[str, Mark]
) -> list[dict[str, int | str | None]]:
    """What was said about each criterion, as rows; nothing of a criterion about which nothing was said."""
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


def reward(
    attempt: Attempt,
    submission: Submission,
    version: Version,
    decision: Decision,
    *,
    feedback: str,
    decided_now: bool = True,
    now: datetime,
) -> None:
    """Award, enter credit and owe every gradebook cell.

    :param decided_now: as :func:`owe_cell`.
    """
    # Before the cells are read: an activity that the earner opens at this moment is either seen here, or sees us.
    db.session.execute(select(Person.id).where(Person.id == attempt.person_id).with_for_update())
    passback.one_at_a_time(
        *db.session.scalars(select(Account.id).where(Account.person_id == attempt.person_id))
    )
    cells = cells_of(attempt.id, decision.decided_by_account_id)
    source = settings.current().issuer_name
    email = next((cell.account.email for cell in cells if cell.account.email), None)
    badges.award(
        person_id=attempt.person_id,
        version=version,
        decision_id=decision.id,
        source=source,
        email=email,
        evidence=_evidence(submission.id),
        results=results_of(decision.assessment_id),
        credits=_credits(version.id, now),
        now=now,
    )
    completed = badges.award_stacks(
        person_id=attempt.person_id,
        credential_id=version.credential_id,
        begun=_begun(attempt.person_id),
        decision_id=decision.id,
        source=source,
        email=email,
        now=now,
    )
    credit.enter(person_id=attempt.person_id, version_id=version.id, decision_id=decision.id, now=now)
    for cell in cells:
        # The cell of a stack waits for the whole: a part of its points would read as a failing grade.
        if cell.placement.stack_id is None:
            comment = rules.gradebook_comment(feedback)
            owe_cell(cell, decision, version, comment, decided_now=decided_now, now=now)
    for badge in completed:
        for cell in stack_cells(badge):
            may_use, _ = ways_on(cell.placement.earlier_results, settings.current().earlier_results)
            hold = None if may_use or cell.earned_there else _PART_ASKED_ANEW
            _owe_stack(cell, badge, decision, hold=hold, now=now)


def _begun(person_id: int) -> dict[str, datetime]:
    return {key: work.began for key, work in work_of([person_id])[person_id].items()}


def _owe_stack(
    cell: Cell, badge: Badge, decision: Decision, *, hold: str | None = None, now: datetime
) -> None:
    assert badge.stack_id is not None
    number = badge.facts["achievement"]["version"]
    version = db.session.scalars(
        select(StackVersion).where(StackVersion.stack_id == badge.stack_id, StackVersion.number == number)
    ).one()
    comment = f"The whole stack is earned: {badge.title}."
    owe_cell(
        cell,
        decision,
        version,
        comment,
        hold=hold,
        elsewhere=_PART_DECIDED_ELSEWHERE,
        decided_now=False,
        now=now,
    )


def owe_cell(
    cell: Cell,
    decision: Decision,
    version: Version | StackVersion,
    comment: str,
    *,
    hold: str | None = None,
    elsewhere: str = _DECIDED_ELSEWHERE,
    decided_now: bool = True,
    unless_said: bool = False,
    now: datetime,
) -> None:
    """Owe a cell the points of its activity.

    :param decided_now: somebody has just decided about work of this very activity. Even so, a grade that was sent
        before does not change by itself once the course has ended; any other is a question to its faculty then.
    :param unless_said: ask nobody about points that the cell's newest score gives already.
    """
    ended = hold is None and passback.has_ended(cell.placement.id, now)
    if ended:
        first = decided_now and not passback.was_owed(cell.placement.id, cell.account.id)
        hold = None if first else passback_rules.ENDED
    # Out of the column's own maximum. Where somebody has changed that since, the platform scales: the share stays.
    possible = Decimal(str(cell.placement.points_for(version)))
    points = possible if isinstance(version, StackVersion) else _points(cell.placement, version, decision)
    if points is None:
        return
    if ended and unless_said and passback.says(cell.placement.id, cell.account.id, points, possible):
        return
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
        points_possible=possible,
        comment=comment,
        submitted_at=decision.submission.handed_in_at,
        hold=hold if cell.agreed else elsewhere,
        now=now,
    )


def _points(placement: Placement, version: Version, decision: Decision) -> Decimal | None:
    marks = {criterion: Mark(level, "") for criterion, level in results_of(decision.assessment_id)}
    demonstrated = decision.outcome is Outcome.DEMONSTRATED
    return would_score(placement, version, marks, demonstrated=demonstrated)


def cells_of(attempt_id: int, decider: int) -> list[Cell]:
    """The cells that the attempt is linked to. Work may be opened from several courses, but nobody fills the
    gradebook of a course that they do not teach."""
    rows = db.session.execute(
        select(Placement, Deployment, Account, _all_teach([decider]))
        .join(AttemptPlacement, AttemptPlacement.placement_id == Placement.id)
        .join(Deployment, Deployment.id == Placement.deployment_pk)
        .join(Account, Account.id == AttemptPlacement.account_id)
        .where(AttemptPlacement.attempt_id == attempt_id)
        .order_by(AttemptPlacement.id)
    )
    return [Cell(*row) for row in rows]


def stack_cells(badge: Badge) -> list[Cell]:
    """The cells of the activities in which the person takes this badge's stack, from whatever course its parts came.
    Who decided the last part alone fills none of them: the others may come from anywhere."""
    decisions = {badge.decision_id, *(part.decision_id for part in parts_behind(badge))}
    decided = db.session.execute(
        select(Decision.decided_by_account_id, Submission.attempt_id)
        .join(Decision.submission)
        .where(Decision.id.in_(decisions))
    ).all()
    teach = _all_teach([decider for decider, _ in decided])
    earned_there = _all_worked_on([attempt for _, attempt in decided])
    rows = db.session.execute(
        select(Placement, Deployment, Account, teach, earned_there)
        .join(StackEarner, StackEarner.placement_id == Placement.id)
        .join(Deployment, Deployment.id == Placement.deployment_pk)
        .join(Account, Account.id == StackEarner.account_id)
        .where(Placement.stack_id == badge.stack_id, Account.person_id == badge.person_id)
        .order_by(Placement.id, Account.id)
    )
    return [Cell(*row) for row in rows]


def _all_teach(deciders: Collection[int]) -> ColumnElement[bool]:
    """Whether everybody who decided teaches the course of the activity."""
    decider, teacher = aliased(Account), aliased(Account)
    teaches = (
        select(Membership.id)
        .join(teacher, teacher.id == Membership.account_id)
        .where(
            Membership.course_id == Placement.course_id,
            Membership.role == CourseRole.INSTRUCTOR,
            teacher.person_id == decider.person_id,
        )
        .correlate(Placement, decider)
        .exists()
    )
    return ~select(decider.id).where(decider.id.in_(deciders), ~teaches).correlate(Placement).exists()


def _all_worked_on(attempts: Collection[int]) -> ColumnElement[bool]:
    """Whether all of this work belongs to the course of the activity."""
    elsewhere, there = aliased(Attempt), aliased(Placement)
    linked = (
        select(AttemptPlacement.attempt_id)
        .join(there, there.id == AttemptPlacement.placement_id)
        .where(AttemptPlacement.attempt_id == elsewhere.id, there.course_id == Placement.course_id)
        .correlate(Placement, elsewhere)
        .exists()
    )
    return ~select(elsewhere.id).where(elsewhere.id.in_(attempts), ~linked).correlate(Placement).exists()


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
        badges.EvidenceFact(
            title=row.evidence.task.title,
            kind=row.evidence.kind,
            digest=row.digest,
            url=None if row.evidence.task.involves_children else row.evidence.url,
        )
        for row in rows
    ]


def results_of(assessment_id: int) -> list[tuple[str, str]]:
    """(criterion, level) by key. The badge writes them only once the earner agrees."""
    rows = db.session.execute(
        select(Criterion.key, Level.key)
        .join(Rating, Rating.criterion_id == Criterion.id)
        .join(Level, Rating.level_id == Level.id)
        .where(Rating.assessment_id == assessment_id)
        .order_by(Criterion.position)
    )
    return [(criterion, level) for criterion, level in rows]


def _credits(version_id: int, now: datetime) -> list[badges.CreditFact]:
    """What the version counts for by the rules that are active now."""
    return [
        badges.CreditFact(authority=rule.authority, value=rule.value, unit=rule.unit)
        for rule in credit.active_rules(version_id, on=now.date())
    ]
