"""Whose score it is, and which decisions a registrar may look at: those about work of their own deployment."""

from sqlalchemy import Select, select

from lti_tool.assessment.models import Decision
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.passback.models import Score
from lti_tool.people.models import Account
from lti_tool.submissions.models import AttemptPlacement, Submission


def earner_of(score_id: int, deployment_pk: int) -> int | None:
    """The person of a score of this deployment, or None if it has no such score."""
    return db.session.scalar(
        select(Account.person_id)
        .join(Score, Score.account_id == Account.id)
        .where(Score.id == score_id, Score.deployment_pk == deployment_pk)
    )


def decided_within(deployment_pk: int) -> Select[int]:
    """Ids of the decisions about work that belongs to an activity of this deployment."""
    return (
        select(Decision.id)
        .join(Submission, Submission.id == Decision.submission_id)
        .join(AttemptPlacement, AttemptPlacement.attempt_id == Submission.attempt_id)
        .join(Placement, Placement.id == AttemptPlacement.placement_id)
        .where(Placement.deployment_pk == deployment_pk)
    )
