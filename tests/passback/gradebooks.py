"""Gradebooks that stand in for a platform's at the courier's own seam, and the owing that precedes a delivery."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from lti_tool.database import db
from lti_tool.passback import courier, service
from lti_tool.passback.gradebook import Outgoing, Reading, Reply
from lti_tool.passback.models import Score
from lti_tool.passback.rules import Heard, Shown
from tests.support.apps import NOON
from tests.support.cast import Campus

ACCEPTED = Reply(Heard.ACCEPTED, 200)
TIMED_OUT = Reply(Heard.UNKNOWN, None, "No answer in time.")
DOWN = Reply(Heard.FAILING, 503, "maintenance")
THROTTLED = Reply(Heard.THROTTLED, 403, "403 Forbidden (Rate Limit Exceeded)")
CONFLICT = Reply(Heard.CONFLICT, 409, "[]")
REFUSED = Reply(Heard.REFUSED, 422, "no student", "The learner is not a student here. Enroll them.")


class FakeGradebook:
    """Answers with the given replies, then accepts; shows what it has accepted."""

    def __init__(self, *replies: Reply, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.replies = list(replies)
        self.meanwhile = meanwhile
        self.received: list[Outgoing] = []
        self.readings = 0
        self.shows: Shown | None = None

    def post(self, score: Outgoing) -> Reply:
        self.received.append(score)
        self.meanwhile()
        reply = self.replies.pop(0) if self.replies else ACCEPTED
        if reply.heard is Heard.ACCEPTED:
            self.shows = Shown(score.points, score.points_possible)
        return reply

    def read(self, score: Outgoing) -> Reading:
        self.readings += 1
        return Reading(ACCEPTED, self.shows)

    @property
    def points(self) -> list[Decimal]:
        """What was posted, in order."""
        return [score.points for score in self.received]


def owe(
    campus: Campus,
    points: str = "10",
    *,
    who: str = "lena",
    decision: int | None = 1,
    column: str | None = "https://lms.example.edu/line_items/1",
    now: datetime = NOON,
) -> int:
    """Owe and commit; the new row's id."""
    score = service.owe(
        placement=service.PlacementCell(campus.placement, campus.deployment, campus.registration, column),
        account_id=campus.accounts[who],
        subject=who,
        decision_id=decision,
        points=Decimal(points),
        points_possible=Decimal(10),
        comment="Clear goals, and evidence for each.",
        submitted_at=NOON,
        now=now,
    )
    score_id = score.id
    db.session.commit()
    return score_id


def deliver(gradebook: FakeGradebook, now: datetime = NOON, limit: int = 100) -> int:
    """One pass of a worker at that moment."""
    return courier.deliver_due(now_fn=lambda: now, gradebook=gradebook, limit=limit)


def ledger(score_id: int) -> Score:
    """The row as it stands now."""
    return db.session.get_one(Score, score_id, populate_existing=True)
