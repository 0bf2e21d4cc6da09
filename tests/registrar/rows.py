"""Ledger rows for the registrar's desk, with the decisions that they come from."""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select

from lti_tool.assessment.models import Assessment, Decision, Outcome
from lti_tool.credentials.models import Placement, Version
from lti_tool.database import db
from lti_tool.passback import courier, service
from lti_tool.passback.gradebook import Reply
from lti_tool.passback.models import Score
from lti_tool.passback.rules import Heard
from lti_tool.submissions.models import Attempt, AttemptState, Submission
from tests.passback.gradebooks import FakeGradebook
from tests.support.apps import NOON
from tests.support.cast import Campus

NOT_PUBLISHED = Reply(
    Heard.REFUSED, 422, '{"errors": "unpublished"}', "The course is not published in Canvas. Publish it."
)


def decide(campus: Campus, who: str, *, now: datetime = NOON) -> int:
    """A decision of Ingrid's that the work was demonstrated; its id."""
    version_id = db.session.scalars(select(Version.id).order_by(Version.id)).first()
    attempt = Attempt(
        person_id=campus.persons[who],
        version_id=version_id,
        state=AttemptState.DEMONSTRATED,
        created_at=now,
        saved_at=now,
    )
    submission = Submission(attempt=attempt, number=1, handed_in_at=now, note="")
    ingrid = campus.accounts["ingrid"]
    assessment = Assessment(
        submission=submission, assessor_account_id=ingrid, feedback="Good.", saved_at=now, finished_at=now
    )
    decision = Decision(
        submission=submission,
        assessment=assessment,
        outcome=Outcome.DEMONSTRATED,
        decided_at=now,
        decided_by_account_id=ingrid,
    )
    db.session.add_all([attempt, submission, assessment, decision])
    db.session.flush()
    return decision.id


def owe(
    campus: Campus,
    who: str = "lena",
    points: str = "10",
    *,
    comment: str = "Clear goals, and evidence for each.",
    placement: Placement | None = None,
    column: str | None = "https://lms.example.edu/line_items/1",
    decision: int | None = None,
    now: datetime = NOON,
) -> Score:
    """A score of that person, with its decision."""
    score = service.owe(
        placement=service.PlacementCell(
            campus.placement if placement is None else placement.id,
            campus.deployment,
            campus.registration,
            column,
        ),
        account_id=campus.accounts[who],
        subject=who,
        decision_id=decide(campus, who, now=now) if decision is None else decision,
        points=Decimal(points),
        points_possible=Decimal(10),
        comment=comment,
        submitted_at=now,
        now=now,
    )
    db.session.commit()
    return score


def send(*replies: Reply, now: datetime = NOON) -> None:
    """A pass of the worker against a gradebook that answers like this, then accepts."""
    courier.deliver_due(now_fn=lambda: now + timedelta(seconds=2), gradebook=FakeGradebook(*replies))
