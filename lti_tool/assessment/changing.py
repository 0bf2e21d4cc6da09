"""Putting another decision in place of one that was wrong.

In one transaction, what was given for the earlier one is taken back, and what the new one gives is given. A gradebook
keeps what it shows until somebody says otherwise wherever points would go away, or the course has ended.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update

from lti_tool import audit
from lti_tool.assessment import rules, service
from lti_tool.assessment.models import Assessment, Decision, Outcome, Rating
from lti_tool.assessment.rules import Mark
from lti_tool.badges import queries as badge_queries
from lti_tool.badges import service as badges
from lti_tool.credentials import queries as credentials
from lti_tool.credentials.models import Version
from lti_tool.credit import service as credit
from lti_tool.database import db
from lti_tool.errors import AlreadyDecided, NotHere, ReasonMissing
from lti_tool.passback import notes
from lti_tool.passback import service as passback
from lti_tool.passback.models import NoteKind
from lti_tool.people.models import Account
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import Attempt, AttemptState, Submission

LONGEST_WHY = 1000
_STATES = {Outcome.DEMONSTRATED: AttemptState.DEMONSTRATED, Outcome.NOT_YET: AttemptState.NOT_YET}
_BADGE_REVOKED = "The decision that it was awarded for was changed."
"""Whoever checks the badge reads it, so it says nothing about the person."""
_CREDIT_WITHDRAWN = "Withdrawn, because the decision was changed."


@dataclass(frozen=True)
class Changed:
    """The decision that stands now, and the badges whose shown levels it changes: they are to be issued again."""

    decision: Decision
    shows_other_levels: tuple[str, ...]


def change(
    decision_id: int,
    actor: int,
    ratings: Mapping[str, Mark],
    feedback: str,
    outcome: Outcome,
    *,
    why: str,
    stack_badges: Collection[str] = (),
    now: datetime,
) -> Changed:
    """Put a decision in place of the one that stands about a submission.

    *Demonstrated* where it was not: award, enter credit, and owe every gradebook cell. "Not yet" where it was
    demonstrated: revoke the badge, withdraw the credit, send no points that have not left, and ask the faculty of each
    course what becomes of points that its gradebook has. Other points for what stays demonstrated are owed anew. Once a
    course has ended, all that would change its gradebook is asked.

    :param why: for the earner, who reads it with the feedback; pages keep it to ``LONGEST_WHY`` characters.
    :param stack_badges: badges of stacks that name the badge as a part, to be revoked with it.
    :raises NotHere: no such decision.
    :raises OwnWork, SubmissionWithdrawn, RatingsMissing, DecisionDisagrees: as ``service.decide``.
    :raises ReasonMissing: nobody could tell why.
    :raises AlreadyDecided: somebody was quicker.
    :raises NewerWork: the earner has handed in again since.
    """
    old = db.session.get(Decision, decision_id)
    if old is None:
        raise NotHere
    submission = service.judgeable(old.submission_id, actor)
    version = credentials.full_version(submission.attempt.version_id)
    if not why.strip():
        raise ReasonMissing
    service.must_agree(version, ratings, feedback, outcome)
    # The first things written: the person's row, as whoever hands in, and then the decision, which only one changes.
    submissions.one_at_a_time(submission.attempt.person_id)
    _supersede(old.id, now)
    attempt = submissions.resettle(submission.id, _STATES[old.outcome], _STATES[outcome], now=now)
    assessment = _assessed(submission, actor, version, ratings, feedback, now=now)
    decision = Decision(
        submission_id=submission.id,
        assessment_id=assessment.id,
        outcome=outcome,
        decided_at=now,
        decided_by_account_id=actor,
        supersedes_id=old.id,
        why=why,
    )
    db.session.add(decision)
    db.session.flush()
    audit.record(
        "decision changed",
        "decision",
        decision.id,
        now=now,
        actor=actor,
        submission=submission.id,
        supersedes=old.id,
        outcome=outcome.value,
        was=old.outcome.value,
        # The log holds no free text; this proves what the decision says.
        why_sha256=hashlib.sha256(why.encode()).hexdigest(),
    )
    if attempt.rehearsal:
        return Changed(decision, ())
    accounts = select(Account.id).where(Account.person_id == attempt.person_id)
    passback.one_at_a_time(*db.session.scalars(accounts))
    if outcome is Outcome.NOT_YET:
        if old.outcome is Outcome.DEMONSTRATED:
            _take_back(attempt, decision, stack_badges, now=now)
        service.tell_not_yet(attempt, decision, feedback, now=now)
        return Changed(decision, ())
    for cell in service.cells_of(attempt.id, actor):
        notes.take_back(cell.placement.id, cell.account.id, NoteKind.NOT_YET)
    if old.outcome is Outcome.NOT_YET:
        service.reward(attempt, submission, version, decision, feedback=feedback, decided_now=False, now=now)
        return Changed(decision, ())
    return Changed(decision, _restate(attempt, version, decision, feedback, now=now))


def _supersede(decision_id: int, now: datetime) -> None:
    superseded = db.session.scalar(
        update(Decision)
        .where(Decision.id == decision_id, Decision.superseded_at.is_(None))
        .values(superseded_at=now)
        .returning(Decision.id)
        .execution_options(synchronize_session="fetch")
    )
    if superseded is None:
        raise AlreadyDecided


def _assessed(
    submission: Submission,
    actor: int,
    version: Version,
    ratings: Mapping[str, Mark],
    feedback: str,
    *,
    now: datetime,
) -> Assessment:
    """An assessment of its own: the earlier one stays as it was."""
    decided = db.session.scalar(
        select(func.count(Decision.id)).where(Decision.submission_id == submission.id)
    )
    assessment = Assessment(
        submission_id=submission.id,
        assessor_account_id=actor,
        number=(decided or 0) + 1,
        feedback=feedback,
        saved_at=now,
        finished_at=now,
    )
    db.session.add(assessment)
    db.session.flush()
    db.session.execute(insert(Rating), service.rating_rows(assessment.id, version, ratings))
    return assessment


def _take_back(attempt: Attempt, decision: Decision, stack_badges: Collection[str], *, now: datetime) -> None:
    """What was given for any decision about this work goes, as far as that is ours to say."""
    given_for, actor = _earlier(attempt, decision), decision.decided_by_account_id
    for badge in badge_queries.standing_from(given_for):
        resting = [one for one in badge_queries.stacks_resting_on(badge.id) if one.id in stack_badges]
        for one in (badge, *resting):
            badges.revoke(one.id, reason=_BADGE_REVOKED, by_account_id=actor, now=now)
        for whole in resting:
            for cell in service.stack_cells(whole):
                passback.call_off(
                    cell.placement.id, cell.account.id, [whole.decision_id], actor=actor, now=now
                )
    for decision_id in given_for:
        credit.withdraw(decision_id, person_id=attempt.person_id, why=_CREDIT_WITHDRAWN, actor=actor, now=now)
    for cell in service.cells_of(attempt.id, actor):
        if cell.placement.stack_id is None:
            passback.call_off(cell.placement.id, cell.account.id, given_for, actor=actor, now=now)


def _restate(
    attempt: Attempt, version: Version, decision: Decision, feedback: str, *, now: datetime
) -> tuple[str, ...]:
    """Other ratings for what stays demonstrated: perhaps other points, and other levels with the badge."""
    comment = rules.gradebook_comment(feedback)
    for cell in service.cells_of(attempt.id, decision.decided_by_account_id):
        if cell.placement.stack_id is None:
            service.owe_cell(cell, decision, version, comment, decided_now=False, unless_said=True, now=now)
    levels = service.results_of(decision.assessment_id)
    standing = badge_queries.standing_from(_earlier(attempt, decision))
    return tuple(badge.id for badge in standing if badges.restate(badge.id, levels))


def _earlier(attempt: Attempt, decision: Decision) -> Sequence[int]:
    return db.session.scalars(
        select(Decision.id)
        .join(Decision.submission)
        .where(Submission.attempt_id == attempt.id, Decision.id != decision.id)
        .order_by(Decision.id)
    ).all()
