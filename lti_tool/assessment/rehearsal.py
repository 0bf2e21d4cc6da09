"""What faculty see of rehearsals beside the work that counts, and beginning one afresh."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select

from lti_tool import audit
from lti_tool.assessment.models import Assessment, Decision, Rating
from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.submissions import rehearsal
from lti_tool.submissions.models import Attempt, AttemptState, Rehearsal, Submission

_SHOWN = 10
"""Canvas has one test student in a course; other platforms may have some more."""


@dataclass(frozen=True)
class RehearsalRow:
    """One rehearsal in an activity."""

    title: str
    state: AttemptState
    submission_id: int | None
    """The last one that was not taken back."""


def rehearsals_of(placement_id: int) -> list[RehearsalRow]:
    """The rehearsals that are open in an activity, the newest first."""
    last = (
        select(func.max(Submission.id))
        .where(Submission.attempt_id == Attempt.id, Submission.withdrawn_at.is_(None))
        .correlate(Attempt)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Version.title, Attempt.state, last)
        .select_from(Rehearsal)
        .join(Attempt, Attempt.id == Rehearsal.attempt_id)
        .join(Version, Version.id == Attempt.version_id)
        .where(Rehearsal.placement_id == placement_id)
        .order_by(Rehearsal.id.desc())
        .limit(_SHOWN)
    )
    return [RehearsalRow(*row) for row in rows]


def restart(person_id: int, placement_id: int, *, account_id: int, now: datetime) -> int:
    """Empty what the test student has in this activity, decisions included. Returns how many rehearsals that were."""
    attempts = rehearsal.lock_all(person_id, placement_id)
    submissions = select(Submission.id).where(Submission.attempt_id.in_(attempts))
    assessments = select(Assessment.id).where(Assessment.submission_id.in_(submissions))
    for statement in (
        delete(Decision).where(Decision.submission_id.in_(submissions)),
        delete(Rating).where(Rating.assessment_id.in_(assessments)),
        delete(Assessment).where(Assessment.submission_id.in_(submissions)),
    ):
        db.session.execute(statement, execution_options={"synchronize_session": False})
    rehearsal.erase(attempts)
    audit.record("rehearsal emptied", "placement", placement_id, now=now, actor=account_id)
    return len(attempts)
