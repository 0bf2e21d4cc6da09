"""Browser side of LTI: third-party login, authorization, id_token, and the way back from deep linking.

Spec: https://www.imsglobal.org/spec/security/v1p0/#openid_connect_launch_flow and
https://www.imsglobal.org/spec/lti-dl/v2p0
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection, Row
from typing import Any, Literal
from urllib.parse import urlencode

import jwt
import requests
from flask import Flask, Response, abort, flash, make_response, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from lti_tool.practice_lms import courses, store
from lti_tool.practice_lms.platform import CLAIM, DEEP_LINKING, Launch, Lms, current

NAMES = ("name", "given_name", "family_name", "email", "picture")
LAUNCH_LIFETIME = timedelta(minutes=5)
SEVERAL = "several-"
"""Begins the handle of a picker that was opened from where several activities are taken."""


def register(app: Flask, lms: Lms) -> None:
    app.add_url_rule("/frame/activity/<int:activity_id>", view_func=start_activity)
    app.add_url_rule("/frame/add", view_func=start_picker)
    app.add_url_rule("/frame/administration", view_func=start_administration)
    app.add_url_rule("/frame/review/<int:item_id>/<int:person_id>", view_func=start_review)
    app.add_url_rule("/auth", view_func=authorize, methods=["GET", "POST"])
    app.add_url_rule("/api/lti/authorize_redirect", view_func=authorize_redirect, methods=["GET", "POST"])
    app.add_url_rule("/post_message_forwarding", view_func=storage_frame)
    app.add_url_rule(lms.behaviour.leave_path, view_func=leave)
    app.add_url_rule("/jwks", view_func=jwks)
    app.add_url_rule(lms.behaviour.return_path, view_func=deep_linking_return, methods=["POST"])


def signed_in(db: Connection) -> Row | None:
    """The person whom this browser has chosen to be."""
    return store.person(db, session.get("person"))


def may_open(person: Row, activity: Row) -> bool:
    if person["role"] == "learner":
        return bool(person["enrolled"] and activity["published"])
    return True


# --- step 1: the LMS tells the tool that somebody wants to come in


def start_activity(activity_id: int) -> Response:
    with current().store.transaction() as db:
        activity = store.activity(db, activity_id)
        person = signed_in(db)
        if activity is None or person is None or not may_open(person, activity) or not activity["url"]:
            abort(404)
        return _start(db, "resource", person, activity)


def start_picker() -> Response:
    with current().store.transaction() as db:
        person = signed_in(db)
        if person is None or person["role"] != "instructor":
            abort(403)
        return _start(db, "deep_linking", person, None, several="several" in request.args)


def start_administration() -> Response:
    with current().store.transaction() as db:
        person = signed_in(db)
        if person is None or person["role"] != "administrator":
            abort(403)
        activity = db.execute("SELECT * FROM activity WHERE kind = 'administration'").fetchone()
        return _start(db, "administration", person, activity)


def start_review(item_id: int, person_id: int) -> Response:
    """What an instructor opens from the gradebook: the work that a learner has handed in at the tool."""
    with current().store.transaction() as db:
        person, learner, item = signed_in(db), store.person(db, person_id), store.line_item(db, item_id)
        if person is None or person["role"] != "instructor" or learner is None or item is None:
            abort(404)
        address = current().behaviour.review(item, store.grade(db, item_id, person_id))
        if address is None:
            abort(404)
        activity = store.activity(db, item["activity_id"])
        return _start(db, "review", person, activity, learner=learner, address=address)


def _start(
    db: Connection,
    kind: Literal["resource", "deep_linking", "administration", "review"],
    person: Row,
    activity: Row | None,
    *,
    several: bool = False,
    learner: Row | None = None,
    address: str | None = None,
) -> Response:
    lms = current()
    activity_id = None if activity is None else activity["id"]
    course = courses.chosen(db) if activity is None else courses.course(db, activity["course_id"])
    assert course is not None
    handle = (SEVERAL if several else "") + lms.behaviour.new_handle(activity_id)
    launch = Launch(handle, kind, person, activity, lms.now(), learner, address)
    db.execute(
        "INSERT INTO launch (handle, kind, person_id, activity_id, course_id, learner_id, address, started_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            launch.handle,
            kind,
            person["id"],
            activity_id,
            course["id"],
            None if learner is None else learner["id"],
            address,
            _stamp(launch.started_at),
        ),
    )
    # Launches that nobody can use any more.
    db.execute("DELETE FROM launch WHERE started_at < ?", (_stamp(lms.now() - timedelta(hours=1)),))
    fields = lms.behaviour.login_fields(launch, target_link_uri(lms, launch))
    return _post_page(lms.config.tool_login_url, fields)


def target_link_uri(lms: Lms, launch: Launch) -> str:
    if launch.kind == "deep_linking":
        return lms.config.tool_deep_link_url
    if launch.address is not None:
        return launch.address
    return str(launch.activity["url"]) if launch.activity is not None else lms.config.tool_launch_url


def _stamp(moment: datetime) -> str:
    """One width, so that times compare as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _post_page(action: str, fields: Mapping[str, str], message: str = "") -> Response:
    page = make_response(render_template("post.html", action=action, fields=fields, message=message))
    page.headers["Cache-Control"] = "no-store"
    return page


# --- steps 2 and 3: the tool asks who it is, the LMS answers with an id_token


def authorize() -> Response:
    lms, params = current(), request.values.to_dict()
    handle = lms.behaviour.handle_of(params.get("lti_message_hint", ""))
    if handle is None:
        return _problem_page(400, "Invalid lti_message_hint")
    redirect_uri = params.get("redirect_uri", "")
    registered = {
        uri.partition("?")[0] for uri in (lms.config.tool_launch_url, lms.config.tool_deep_link_url)
    }
    if redirect_uri.partition("?")[0] not in registered:
        return _problem_page(400, "Invalid redirect_uri")
    with lms.store.transaction() as db:
        person = signed_in(db)
        if person is None:
            return _ask_browser_again(params)
        error = lms.behaviour.auth_error(params, person)
        answer = {"state": params["state"]} if "state" in params else {}
        if error is None:
            launch = _take(db, handle, person)
            if launch is None:
                error = lms.behaviour.expired_error()
            else:
                claims = lms.behaviour.claims(db, launch, params["nonce"])
                if not lms.config.names:
                    claims = {name: value for name, value in claims.items() if name not in NAMES}
                return _post_page(
                    redirect_uri, {"id_token": lms.sign(claims), **answer, **lms.behaviour.answer_fields()}
                )
    return _post_page(redirect_uri, {"error": error[0], "error_description": error[1], **answer})


def storage_frame() -> Response:
    """The frame at the login host that hands messages of the tool on to the page around it."""
    lms = current()
    answer = make_response(render_template("forwarding.html", parent=lms.url))
    answer.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self'; frame-ancestors {lms.url}; base-uri 'none'"
    )
    return answer


def authorize_redirect() -> AnyResponse:
    """The login host knows nobody; it sends everyone on to where they are signed in."""
    return redirect(f"{current().url}/auth?{urlencode(request.values.to_dict())}", code=302)


def _take(db: Connection, handle: str, person: Row) -> Launch | None:
    """Use up a launch: each serves one id_token, to the person who began it."""
    row = db.execute(
        "UPDATE launch SET used = 1"
        " WHERE handle = ? AND person_id = ? AND NOT used AND started_at > ? RETURNING *",
        (handle, person["id"], _stamp(current().now() - LAUNCH_LIFETIME)),
    ).fetchone()
    if row is None:
        return None
    course = courses.course(db, row["course_id"])
    if course is None:
        return None
    courses.enter(course)
    activity = None
    if row["activity_id"] is not None:
        activity = store.activity(db, row["activity_id"])
        if activity is None:
            return None
    return Launch(
        handle,
        row["kind"],
        person,
        activity,
        datetime.fromisoformat(row["started_at"]),
        store.person(db, row["learner_id"]),
        row["address"],
    )


def _ask_browser_again(params: Mapping[str, str]) -> Response:
    """Ask once more from a page of our own: a browser withholds our cookie when another site sent it here."""
    if params.get("retried") == "true":
        return _problem_page(401, "You are not signed in to the practice LMS. Choose a person there first.")
    return _post_page(request.full_path.rstrip("?"), {**params, "retried": "true"})


def _problem_page(status: int, problem: str) -> Response:
    return make_response(render_template("problem.html", problem=problem, frame=True), status)


def jwks() -> Response:
    answer = make_response(current().jwks())
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer


# --- the ways back: from a visit, and from the tool's picker


def leave() -> str:
    """Takes the whole window back to the course, out of the frame in which the tool was shown."""
    return render_template("returned.html", said=[])


def deep_linking_return() -> Response:
    lms = current()
    with lms.store.transaction() as db:
        person = signed_in(db)
        if person is None:
            return _ask_browser_again(request.form.to_dict())
        courses.enter(courses.chosen(db))
        if person["role"] != "instructor":
            return _problem_page(403, "Only the instructor can add activities to this course.")
        refusal = lms.behaviour.return_refusal(db, request.args, person)
    if refusal is not None:
        return refusal
    try:
        claims = _checked_answer(lms, request.form.get("JWT", ""))
    except (ValueError, jwt.PyJWTError, requests.RequestException) as problem:
        return lms.behaviour.jwt_refusal(str(problem))
    items = [item for item in claims.get(f"{DEEP_LINKING}content_items") or [] if isinstance(item, dict)]
    with lms.store.transaction() as db:
        links = [item for item in items if item.get("type") == "ltiResourceLink"]
        added = lms.behaviour.add_content_items(db, links, request.args)
    said = [str(claims[name]) for key in ("msg", "errormsg") if claims.get(name := f"{DEEP_LINKING}{key}")]
    said += [f"Added: {title}" for title in added] or ["Nothing was added."]
    for text in said:
        flash(text)
    return make_response(render_template("returned.html", said=said))


def _checked_answer(lms: Lms, token: str) -> dict[str, Any]:
    """Check what the tool's answer must hold (Deep Linking 2.0). Raises ValueError with the reasons."""
    claims = lms.tool_claims(token)
    now = lms.now().timestamp()
    audience = claims.get("aud")
    exp, iat = claims.get("exp"), claims.get("iat")
    checks = {
        "iss is not the client id": claims.get("iss") == lms.config.client_id,
        "aud does not hold the issuer": lms.url in (audience if isinstance(audience, list) else [audience]),
        "exp is missing or past": isinstance(exp, int | float) and exp > now,
        "iat is missing or not of the last 5 minutes": isinstance(iat, int | float)
        and now - 300 < iat < now + 60,
        "nonce is missing": bool(claims.get("nonce")),
        "message_type is wrong": claims.get(f"{CLAIM}message_type") == "LtiDeepLinkingResponse",
        "version is not 1.3.0": claims.get(f"{CLAIM}version") == "1.3.0",
        "deployment_id is wrong": claims.get(f"{CLAIM}deployment_id") == lms.config.deployment_id,
    }
    if wrong := [problem for problem, good in checks.items() if not good]:
        raise ValueError(" | ".join(wrong))
    return claims
