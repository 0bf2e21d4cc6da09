"""Server side of LTI: the token endpoint and the grade services (AGS), with a record of what arrived.

Also the two doors that only tests use: ``/record`` and ``/control``.
Spec: https://www.imsglobal.org/spec/lti-ags/v2p0
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, abort, request

from lti_tool.practice_lms import store
from lti_tool.practice_lms.platform import AGS, NOTICE_SCOPE, NRPS_SCOPE, Faults, Lms, current
from lti_tool.practice_lms.throttle import TOKEN

SCORE_TYPE = "application/vnd.ims.lis.v1.score+json"
LINE_ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
LINE_ITEMS_TYPE = "application/vnd.ims.lis.v2.lineitemcontainer+json"
RESULTS_TYPE = "application/vnd.ims.lis.v2.resultcontainer+json"
MEMBERS_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
_LINE_ITEM, _READ = f"{AGS}scope/lineitem", f"{AGS}scope/lineitem.readonly"
COST = 0.4
"""Points of the rate limit that an ordinary request takes."""
NEEDED_SCOPES = {
    "items GET": (_LINE_ITEM, _READ),
    "items POST": (_LINE_ITEM,),
    "item GET": (_LINE_ITEM, _READ),
    "item PUT": (_LINE_ITEM,),
    "item DELETE": (_LINE_ITEM,),
    "scores POST": (f"{AGS}scope/score",),
    "results GET": (f"{AGS}scope/result.readonly",),
    "members GET": (NRPS_SCOPE,),
    "handlers GET": (NOTICE_SCOPE,),
    "handlers PUT": (NOTICE_SCOPE,),
}


class ServiceRefusal(Exception):
    """A grade service request is answered with something else than success; nothing is stored."""

    def __init__(
        self, status: int, body: object, media_type: str = "application/json; charset=utf-8", **headers: str
    ) -> None:
        super().__init__(status)
        self.answer = reply(status, body, media_type, headers)


def reply(status: int, body: object, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` is sent as it is if text, else as JSON."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return Response(text, status, headers=dict(headers or {}), content_type=media_type)


def full(status: int) -> Response:
    """What a request is told that finds no room under the rate limit: Canvas gives no Retry-After."""
    text = f"{status} Forbidden (Rate Limit Exceeded)\n"
    return reply(status, text, "text/plain", {"X-Rate-Limit-Remaining": "0.0"})


def register(app: Flask, lms: Lms) -> None:
    app.add_url_rule("/token", view_func=token, methods=["POST"])
    for resource, rule in lms.behaviour.roots.items():
        app.add_url_rule(
            rule,
            endpoint=f"service_{resource}",
            view_func=_service(resource),
            methods=["GET", "POST", "PUT", "DELETE"],
        )
    app.add_url_rule("/record", view_func=record)
    app.add_url_rule("/control", view_func=control, methods=["POST"])


def token() -> Response:
    lms, form = current(), request.form.to_dict()
    with lms.store.transaction() as db:
        # The assertion is a credential; what a test wants to see is what was asked for.
        asked = {name: form[name] for name in ("grant_type", "scope") if name in form}
        noted = store.note_request(db, lms.now(), "POST", request.path, asked)
    answer = _in_turn(lms, lambda: lms.behaviour.token(form), TOKEN)
    with lms.store.transaction() as db:
        store.note_answer(db, noted, answer.status_code)
    return answer


def _service(resource: str) -> Callable[..., Response]:
    def serve(course: str = "", item_id: int | None = None) -> Response:
        lms, operation = current(), f"{resource} {request.method}"
        with lms.store.transaction() as db:
            noted = store.note_request(db, lms.now(), request.method, request.full_path.rstrip("?"), body())
        answer = _told_to_fail(lms, operation)
        if answer is None:
            is_score = operation == "scores POST"
            if is_score:
                lms.wait(lms.faults.delay)
            try:
                answer = _in_turn(lms, lambda: _answered(lms, operation, course, item_id), COST)
            except ServiceRefusal as refusal:
                answer = refusal.answer
            if is_score:
                lms.wait(lms.faults.delay_after)
        with lms.store.transaction() as db:
            store.note_answer(db, noted, answer.status_code)
        return answer

    return serve


def _answered(lms: Lms, operation: str, course: str, item_id: int | None) -> Response:
    with lms.store.transaction() as db:
        return lms.behaviour.serve(db, operation, course, item_id)


def _in_turn(lms: Lms, answer: Callable[[], Response], cost: float) -> Response:
    """Let a request through as far as the rate limit does, where the LMS has one."""
    if lms.bucket is None:
        return answer()
    if lms.bucket.enter() is None:
        return full(lms.faults.throttle_status)
    try:
        given = answer()
    finally:
        left = lms.bucket.leave(cost)
    given.headers["X-Request-Cost"] = str(cost)
    given.headers["X-Rate-Limit-Remaining"] = f"{left:.1f}"
    return given


def body() -> Any:
    """The request's JSON, or None if there is none that can be read."""
    return request.get_json(force=True, silent=True)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def bearer() -> str | None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" and value.strip() else None


def _told_to_fail(lms: Lms, operation: str) -> Response | None:
    with lms.fault_lock:
        if lms.faults.throttle > 0:
            lms.faults.throttle -= 1
            return full(lms.faults.throttle_status)
        if operation == "scores POST" and lms.faults.fail:
            status = lms.faults.fail.pop(0)
            return reply(status, {"errors": [{"message": "An error occurred."}]}, "application/json")
    return None


def record() -> Response:
    """Every service request that arrived, oldest first; ``status`` is null while one is being answered."""
    _only_from_this_machine()
    with current().store.transaction() as db:
        return reply(200, store.records(db), "application/json")


def control() -> Response:
    """Set the faults. What the JSON does not name is switched off, so ``{}`` heals everything."""
    _only_from_this_machine()
    asked, lms = request.get_json(), current()
    known: dict[str, Any] = {
        "delay": float(asked.get("delay", 0)),
        "delay_after": float(asked.get("delay_after", 0)),
        "fail": [int(status) for status in asked.get("fail", [])][:1000],
        "throttle": int(asked.get("throttle", 0)),
        "throttle_status": int(asked.get("throttle_status", 403)),
    }
    if unknown := set(asked) - set(known):
        abort(400, f"Unknown faults: {', '.join(sorted(unknown))}")
    with lms.fault_lock:
        lms.faults = Faults(**known)
    return reply(200, known, "application/json")


def only_local() -> bool:
    """Whether a program on this machine asks: a page in a browser has another host name or an Origin."""
    host = request.host.partition(":")[0]
    return request.remote_addr == "127.0.0.1" and host == "127.0.0.1" and "Origin" not in request.headers


def _only_from_this_machine() -> None:
    if not only_local():
        abort(403)
