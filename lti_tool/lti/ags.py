"""Assignment and Grade Services: posting a score to a gradebook column, and reading back what stands there.

Both commit first (see ``tokens.py``) and never raise for what a platform does: whatever it answers is an
answer, and ``platforms`` says what follows from it. No list is ever asked for with ``limit``, on which Moodle
fails.
Spec: https://www.imsglobal.org/spec/lti-ags/v2p0/
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from lti_tool import http
from lti_tool.database import db
from lti_tool.lti import platforms, tokens
from lti_tool.lti.answers import ServiceAnswer, from_http, from_silence
from lti_tool.lti.models import Registration

SCOPE_SCORE = "https://purl.imsglobal.org/spec/lti-ags/scope/score"
SCOPE_RESULTS = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly"
_SCORE = "application/vnd.ims.lis.v1.score+json"
_RESULTS = "application/vnd.ims.lis.v2.resultcontainer+json"
_DECIMALS = 4

Number = Decimal | float | int


@dataclass(frozen=True, kw_only=True)
class ScorePayload:
    """One score, as it is sent on every try."""

    user_id: str
    """``sub`` of the earner's launches."""
    activity_progress: str = "Completed"
    grading_progress: str = "FullyGraded"
    timestamp: datetime
    """Must be newer than any earlier score of the cell; Moodle compares whole seconds."""
    score_given: Number | None = None
    """None is no score. 0 is one."""
    score_maximum: Number | None = None
    comment: str | None = None
    """Send it every time: Moodle takes a score without one as "delete the comment"."""
    submitted_at: datetime | None = None
    """When the earner handed in, so that Canvas does not count the score's own time as late."""
    extensions: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The body of the request."""
        body: dict[str, Any] = {
            "userId": self.user_id,
            "activityProgress": self.activity_progress,
            "gradingProgress": self.grading_progress,
            "timestamp": _iso(self.timestamp),
        }
        if self.score_given is not None:
            body["scoreGiven"] = _number(self.score_given)
        if self.score_maximum is not None:
            body["scoreMaximum"] = _number(self.score_maximum)
        if self.comment is not None:
            body["comment"] = self.comment
        if self.submitted_at is not None:
            body["submission"] = {"submittedAt": _iso(self.submitted_at)}
        return body | dict(self.extensions)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What stands in the gradebook. ``score`` is None if no grade is shown: unknown, never 0."""

    score: float | None
    maximum: float | None
    comment: str | None


def post_score(
    registration_id: int, line_item_url: str, payload: ScorePayload, *, now: datetime, timeout: float
) -> ServiceAnswer:
    """Send one score. Commits before it waits.

    A refused token is replaced and the score sent once more; nothing else is repeated here.

    :param timeout: seconds for each of the at most four requests.
    """
    answer, _ = _call(
        _Call(
            "POST",
            _below(line_item_url, "scores"),
            SCOPE_SCORE,
            {"Content-Type": _SCORE, "Accept": "application/json, */*"},
            json.dumps(payload.to_json()).encode(),
        ),
        registration_id,
        now,
        timeout,
    )
    return answer


def read_results(
    registration_id: int, line_item_url: str, *, user_id: str, now: datetime, timeout: float
) -> tuple[ServiceAnswer, Result | None]:
    """What the gradebook shows for one earner, or None if it shows nothing or did not answer. Commits before
    it waits.

    Open edX ignores the filter and answers for everybody, so the answer is filtered again.
    """
    url = _below(line_item_url, "results", {"user_id": user_id})
    answer, body = _call(
        _Call("GET", url, SCOPE_RESULTS, {"Accept": _RESULTS}), registration_id, now, timeout
    )
    if answer.status is None or not 200 <= answer.status < 300 or answer.at_token:
        return answer, None
    try:
        listed = json.loads(body)
    except (ValueError, RecursionError):
        return answer, None
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and str(one.get("userId")) == user_id:
            comment = one.get("comment")
            return answer, Result(
                score=_float(one.get("resultScore")),
                maximum=_float(one.get("resultMaximum")),
                comment=comment if isinstance(comment, str) else None,
            )
    return answer, None


@dataclass(frozen=True)
class _Call:
    method: str
    url: str
    scope: str
    headers: Mapping[str, str]
    body: bytes | None = None


def _call(call: _Call, registration_id: int, now: datetime, timeout: float) -> tuple[ServiceAnswer, bytes]:
    for last in (False, True):
        registration = db.session.get_one(Registration, registration_id)
        behaviour = platforms.behaviour(registration.platform.product)
        try:
            token = tokens.access_token(registration, [call.scope], now=now, timeout=timeout)
        except tokens.NoToken as refused:
            return refused.answer, b""
        db.session.commit()
        try:
            reply = http.send(
                call.method,
                call.url,
                timeout=timeout,
                headers={**call.headers, "Authorization": f"Bearer {token}"},
                body=call.body,
            )
        except http.NoAnswer as silence:
            return from_silence(silence), b""
        answer = from_http(reply, now=now)
        if last or behaviour.classify(reply.status, reply.text).next is not platforms.Next.NEW_TOKEN:
            break
        tokens.forget(registration_id, token)
    return answer, reply.body


def _below(line_item_url: str, last: str, more: Mapping[str, str] | None = None) -> str:
    """The address of a line item's sub-service. Moodle's addresses carry a query, which stays at the end."""
    parts = urlsplit(line_item_url)
    query = parts.query
    if more:
        kept = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True) if key not in more]
        query = urlencode([*kept, *more.items()])
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{last}", query=query, fragment=""))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _number(value: Number) -> int | float:
    rounded = round(float(value), _DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
