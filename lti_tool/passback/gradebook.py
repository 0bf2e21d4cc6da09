"""The seam between the ledger and a platform's gradebook: what the courier says, and what it hears back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from sqlalchemy import select

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti import ags, platforms
from lti_tool.lti.answers import ServiceAnswer
from lti_tool.lti.models import Platform, Registration
from lti_tool.passback.rules import Heard, Shown
from lti_tool.settings import current


@dataclass(frozen=True)
class Outgoing:
    """A score as it is sent, detached from the database: no connection is held while the platform thinks."""

    score_id: int
    registration_id: int
    line_item_url: str
    subject: str
    points: Decimal
    points_possible: Decimal
    comment: str
    scored_at: datetime
    submitted_at: datetime
    activity_progress: str
    grading_progress: str


@dataclass(frozen=True)
class Reply:
    """What came back. ``status`` is None when no answer did; ``answer`` is the platform's own text."""

    heard: Heard
    status: int | None = None
    answer: str = ""
    reason: str = ""
    """For a refusal: what it means on this product, and what to do about it."""
    retry_after: timedelta | None = None
    away: bool = False
    """For a refusal: it ends by itself when the person, or their course, is back."""


@dataclass(frozen=True)
class Reading:
    """What the results say about one cell. ``shown`` is None where the reply was no result."""

    reply: Reply
    shown: Shown | None


class Gradebook(Protocol):
    """Where scores go. Neither verb raises for what a platform or a network does; that is a reply."""

    def post(self, score: Outgoing) -> Reply:
        """Send the score (AGS 2.0, section 3.4)."""
        ...

    def read(self, score: Outgoing) -> Reading:
        """What the platform shows for that earner in that column (AGS 2.0, section 3.3)."""
        ...


class AgsGradebook:
    """The gradebook of a real platform, over LTI Assignment and Grade Services."""

    def __init__(self) -> None:
        self._behaviours: dict[int, platforms.Generic] = {}

    def post(self, score: Outgoing) -> Reply:
        behaviour = self._behaviour(score)
        answer = ags.post_score(
            score.registration_id,
            score.line_item_url,
            ags.ScorePayload(
                user_id=score.subject,
                activity_progress=score.activity_progress,
                grading_progress=score.grading_progress,
                timestamp=score.scored_at,
                score_given=score.points,
                score_maximum=score.points_possible,
                comment=score.comment,
                submitted_at=score.submitted_at,
                extensions=behaviour.score_extensions(),
            ),
            now=clock.now(),
            timeout=current().platform_timeout,
        )
        return _reply(behaviour, answer)

    def read(self, score: Outgoing) -> Reading:
        behaviour = self._behaviour(score)
        answer, result = ags.read_results(
            score.registration_id,
            score.line_item_url,
            user_id=score.subject,
            now=clock.now(),
            timeout=current().platform_timeout,
        )
        if result is None:
            return Reading(_reply(behaviour, answer), None)
        return Reading(_reply(behaviour, answer), Shown(_decimal(result.score), _decimal(result.maximum)))

    def _behaviour(self, score: Outgoing) -> platforms.Generic:
        known = self._behaviours.get(score.registration_id)
        if known is None:
            product = db.session.scalar(
                select(Platform.product)
                .join(Registration, Registration.platform_id == Platform.id)
                .where(Registration.id == score.registration_id)
            )
            known = self._behaviours[score.registration_id] = platforms.behaviour(product or "")
        return known


def _reply(behaviour: platforms.Generic, answer: ServiceAnswer) -> Reply:
    verdict = behaviour.classify(answer.status, answer.body, answer.timed_out, at_token=answer.at_token)
    return Reply(
        heard=_heard(verdict, answer),
        status=answer.status,
        answer=answer.body,
        reason=verdict.reason,
        retry_after=None if answer.retry_after is None else timedelta(seconds=answer.retry_after),
        away=verdict.away,
    )


_HEARD = {
    platforms.Next.ACCEPTED: Heard.ACCEPTED,
    platforms.Next.CONFLICT: Heard.CONFLICT,
    platforms.Next.GONE: Heard.GONE,
    # Refused with a fresh token as well: keys or clocks that are being changed, most likely.
    platforms.Next.NEW_TOKEN: Heard.FAILING,
}


def _heard(verdict: platforms.Verdict, answer: ServiceAnswer) -> Heard:
    if verdict.next is platforms.Next.REFUSED:
        return Heard.FAILING if _keys_unread(answer) else Heard.REFUSED
    if verdict.next in _HEARD:
        return _HEARD[verdict.next]
    if verdict.throttled:
        return Heard.THROTTLED
    return Heard.UNKNOWN if verdict.read_first else Heard.FAILING


def _keys_unread(answer: ServiceAnswer) -> bool:
    """Platforms fetch our keys when we ask for a token, and say this too while our pages just restart."""
    return answer.at_token and answer.status == 400 and "invalid_scope" not in answer.body


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))
