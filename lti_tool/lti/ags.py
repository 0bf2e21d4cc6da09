"""Assignment and Grade Services: posting a score to a gradebook column, and reading back what stands there.

Both commit first (see ``tokens.py``) and never raise for what a platform does: whatever it answers is an
answer, and ``platforms`` says what follows from it. A list is asked for with ``limit`` only where the platform is
known to take it: Moodle fails on it.
Spec: https://www.imsglobal.org/spec/lti-ags/v2p0/
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from lti_tool.database import db
from lti_tool.lti import calls, paging, platforms
from lti_tool.lti.answers import EXCERPT, ServiceAnswer
from lti_tool.lti.calls import Call
from lti_tool.lti.models import Registration
from lti_tool.lti.scopes import RESULTS as SCOPE_RESULTS
from lti_tool.lti.scopes import SCORE as SCOPE_SCORE

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
    call = Call(
        method="POST",
        url=_below(line_item_url, "scores"),
        scopes=(SCOPE_SCORE,),
        headers={"Content-Type": _SCORE, "Accept": "application/json, */*"},
        body=json.dumps(payload.to_json()).encode(),
    )
    answer, _ = calls.make(call, registration_id, now=now, timeout=timeout)
    return answer


def read_results(
    registration_id: int, line_item_url: str, *, user_id: str, now: datetime, timeout: float
) -> tuple[ServiceAnswer, Result | None]:
    """What the gradebook shows for one earner, or None if it shows nothing or did not answer. Commits before
    it waits.

    Open edX ignores the filter and answers for everybody, so the answer is filtered again.
    """
    url = _below(line_item_url, "results", {"user_id": user_id})
    call = Call(url=url, scopes=(SCOPE_RESULTS,), headers={"Accept": _RESULTS})
    answer, reply = calls.make(call, registration_id, now=now, timeout=timeout)
    if reply is None or not 200 <= reply.status < 300:
        return answer, None
    try:
        listed = json.loads(reply.body)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        # A page that says "come back later", or asks for a password: nothing was read, and that is not "no grade".
        return replace(
            answer, status=None, sent=False, body=f"Not a list of results: {answer.body}"[:EXCERPT]
        ), None
    for one in listed:
        if isinstance(one, dict) and str(one.get("userId")) == user_id:
            return answer, _result(one)
    return answer, None


def column_results(
    registration_id: int, line_item_url: str, manner: paging.Manner, *, user_id: str | None = None
) -> Iterator[dict[str, Result]]:
    """What the gradebook shows in a column, page by page: results by ``sub``. Commits before it waits.

    :param user_id: ask for this earner alone; platforms that ignore it answer for everybody.
    :raises paging.NotRead: the column was not read to its end.
    """
    behaviour = platforms.behaviour(db.session.get_one(Registration, registration_id).platform.product)
    more = {} if user_id is None else {"user_id": user_id}
    if behaviour.results_page is not None and user_id is None:
        more["limit"] = str(behaviour.results_page)
    call = Call(
        url=_below(line_item_url, "results", more), scopes=(SCOPE_RESULTS,), headers={"Accept": _RESULTS}
    )
    for page in paging.read(call, registration_id, manner):
        if not isinstance(page, list):
            raise paging.NotRead("The answer is not a list of results.")
        yield {str(one["userId"]): _result(one) for one in page if isinstance(one, dict) and "userId" in one}


def _result(listed: Mapping[str, Any]) -> Result:
    comment = listed.get("comment")
    return Result(
        score=_float(listed.get("resultScore")),
        maximum=_float(listed.get("resultMaximum")),
        comment=comment if isinstance(comment, str) else None,
    )


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
