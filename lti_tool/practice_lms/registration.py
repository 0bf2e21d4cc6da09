"""Dynamic registration as Canvas and as Moodle do it: the administrator types in one address of the tool.

The tool that registers takes the place of the one that was connected; there is room for one. Canvas then shows its own
page, where permissions may be taken away before the tool is enabled; Moodle adds the tool as pending, to be activated
and put into the activity chooser.
Spec: https://www.imsglobal.org/spec/lti-dr/v1p0
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from sqlite3 import Connection
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
from flask import Flask, Response, abort, flash, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from lti_tool.practice_lms import store
from lti_tool.practice_lms.launches import signed_in
from lti_tool.practice_lms.platform import SCHOOL, Lms, LmsConfig, current
from lti_tool.practice_lms.services import bearer, body, reply

JSON = "application/json; charset=utf-8"
PLATFORM = "https://purl.imsglobal.org/spec/lti-platform-configuration"
TOOL = "https://purl.imsglobal.org/spec/lti-tool-configuration"
CANVAS = "https://canvas.instructure.com/lti/"
PATHS = {
    "canvas": ("/api/lti/security/openid-configuration", "/api/lti/registrations"),
    "moodle": ("/mod/lti/openid-configuration.php", "/mod/lti/openid-registration.php"),
}
PLACEMENTS = ("assignment_selection", "link_selection", "course_assignments_menu", "editor_button")
CLAIMS = ("sub", "iss", "name", "given_name", "family_name", "email")
MOODLE_VARIABLES = ("Context.id", "Context.id.history", "Person.sourcedId", "CourseSection.sourcedId")
NEEDED = {
    "canvas": (
        "application_type", "grant_types", "response_types", "redirect_uris", "initiate_login_uri", "client_name",
        "jwks_uri", "token_endpoint_auth_method",
    ),
    "moodle": (
        "response_types", "initiate_login_uri", "redirect_uris", "client_name", "jwks_uri",
        "token_endpoint_auth_method",
    ),
}  # fmt: skip
NEEDED_OF_TOOL = {"canvas": ("domain", "messages", "claims"), "moodle": ("domain", "target_link_uri")}


def register(app: Flask, lms: Lms) -> None:
    configuration_path, registration_path = PATHS[lms.config.behaviour]
    app.add_url_rule("/administration/tools", view_func=tools)
    app.add_url_rule("/administration/tools", view_func=start, methods=["POST"])
    app.add_url_rule("/administration/tools/enable", view_func=enable, methods=["POST"])
    app.add_url_rule(configuration_path, view_func=configuration)
    app.add_url_rule(registration_path, view_func=take, methods=["POST"])


def restore(config: LmsConfig, settings: Mapping[str, str]) -> LmsConfig:
    """The configuration with the tool that registered itself earlier, if one did."""
    return _with_tool(config, json.loads(settings["tool"])) if "tool" in settings else config


def _with_tool(config: LmsConfig, tool: Mapping[str, Any]) -> LmsConfig:
    known = {name: value for name, value in tool.items() if name not in ("state", "chooser")}
    return replace(config, **known | {"scopes": tuple(tool["scopes"])}, offered=_offered(tool))


def _offered(tool: Mapping[str, Any]) -> bool:
    return tool["state"] == "active" and bool(tool["chooser"])


# --- the administrator's pages


def _administrator(db: Connection) -> Any:
    person = signed_in(db)
    if person is None or person["role"] != "administrator":
        abort(403)
    return person


def tools() -> str:
    lms = current()
    with lms.store.transaction() as db:
        person = _administrator(db)
        stored = store.setting(db, "tool")
    tool = None if stored is None else json.loads(stored)
    return render_template(
        "tools.html",
        person=person,
        registered=tool,
        role_names=_ROLES,
        known_scopes=lms.behaviour.known_scopes,
    )


_ROLES = {"administrator": "Administrator"}


def start() -> AnyResponse:
    """Open the tool's address with what it needs: in Moodle the whole window, in Canvas a frame."""
    lms = current()
    with lms.store.transaction() as db:
        person = _administrator(db)
    address = request.form.get("url", "").strip()
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        flash("That is not a web address.")
        return redirect("/administration/tools", code=303)
    now = int(lms.now().timestamp())
    token = lms.sign({"jti": secrets.token_hex(16), "iat": now, "exp": now + 3600, "use": "registration"})
    path = f"{lms.url}{PATHS[lms.config.behaviour][0]}"
    if lms.config.behaviour == "canvas":
        path += f"?{urlencode({'registration_token': token})}"
    query = urlencode({"openid_configuration": path, "registration_token": token})
    onward = f"{address}{'&' if parts.query else '?'}{query}"
    if lms.config.behaviour == "moodle":
        return redirect(onward, code=303)
    origin = f"{parts.scheme}://{parts.netloc}"
    page = make_response(
        render_template(
            "frame.html",
            person=person,
            role_names=_ROLES,
            title="Register a tool",
            source=onward,
            tool_origin=origin,
            leave_to="/administration/tools",
        )
    )
    page.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        f" frame-src {origin}; frame-ancestors 'self'; base-uri 'none'"
    )
    return page


def enable() -> AnyResponse:
    """Canvas: enable with the permissions that are left. Moodle: activate, and show in the activity chooser."""
    lms = current()
    with lms.store.transaction() as db:
        _administrator(db)
        stored = store.setting(db, "tool")
        if stored is None:
            abort(404)
        tool = json.loads(stored)
        tool["state"] = "active"
        if lms.config.behaviour == "canvas":
            tool["scopes"] = [
                scope for scope in lms.behaviour.known_scopes if scope in request.form.getlist("scope")
            ]
        else:
            tool["chooser"] = "chooser" in request.form
        store.set_setting(db, "tool", json.dumps(tool))
    lms.config = _with_tool(lms.config, tool)
    flash(f"{tool['tool_name']} is enabled." if _offered(tool) else f"{tool['tool_name']} is active.")
    return redirect("/administration/tools", code=303)


# --- what the tool's server asks


def configuration() -> Response:
    lms = current()
    canvas = lms.config.behaviour == "canvas"
    if canvas and _token(request.args.get("registration_token")) is None:
        text = "Access token missing (You must include the registration_token parameter)."
        return reply(401, {"errorMessage": text}, JSON)
    said: dict[str, Any] = {
        "issuer": lms.url,
        "authorization_endpoint": f"{lms.url}/auth",
        "token_endpoint": f"{lms.service_url}/token",
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "jwks_uri": f"{lms.service_url}/jwks",
        "registration_endpoint": f"{lms.url}{PATHS[lms.config.behaviour][1]}",
        "scopes_supported": [*lms.behaviour.known_scopes, "openid"],
        "response_types_supported": ["id_token"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": list(CLAIMS),
    }
    about: dict[str, Any] = {"product_family_code": lms.config.behaviour, "version": "practice"}
    if canvas:
        about |= {
            "messages_supported": [
                {"type": "LtiResourceLinkRequest", "placements": ["account_navigation", "course_navigation"]},
                {"type": "LtiDeepLinkingRequest", "placements": list(PLACEMENTS)},
            ],
            "variables": [],
            f"{CANVAS}account_name": SCHOOL,
        }
        said["authorization_server"] = lms.config.public_host
    else:
        # As older Moodles write them; newer ones write objects.
        about |= {
            "messages_supported": ["LtiResourceLinkRequest", "LtiDeepLinkingRequest"],
            "variables": list(MOODLE_VARIABLES),
        }
    return reply(200, said | {PLATFORM: about}, JSON)


def take() -> Response:
    """Take a registration in, once for each token in Moodle."""
    lms, asked = current(), body()
    token = _token(bearer())
    if token is None:
        return reply(401, {"errorMessage": "JWT did not include expected contents"}, JSON)
    if problems := _problems(lms, asked):
        return reply(422 if lms.config.behaviour == "canvas" else 400, {"errors": problems}, JSON)
    with lms.store.transaction() as db:
        if lms.config.behaviour == "moodle":
            unused = db.execute("INSERT OR IGNORE INTO spent VALUES (?) RETURNING nonce", (token["jti"],))
            if unused.fetchone() is None:
                return reply(401, {"error": "token_already_used"}, JSON)
        tool = _tool(lms, asked)
        store.set_setting(db, "tool", json.dumps(tool))
        db.execute("UPDATE activity SET url = ? WHERE kind = 'administration'", (tool["tool_launch_url"],))
    lms.config = _with_tool(lms.config, tool)
    own = dict(asked[TOOL])
    if lms.config.behaviour == "moodle":
        own |= {"version": "1.3.0", "deployment_id": tool["deployment_id"]}
    scope = " ".join(tool["scopes"] + (["openid"] if lms.config.behaviour == "canvas" else []))
    return reply(200, asked | {"client_id": tool["client_id"], "scope": scope, TOOL: own}, JSON)


def _token(token: str | None) -> dict[str, Any] | None:
    lms = current()
    try:
        claims: dict[str, Any] = jwt.decode(
            token or "",
            lms.key.public_key(),
            algorithms=["RS256"],
            options={"verify_exp": False, "verify_iat": False},
        )
    except jwt.PyJWTError:
        return None
    fresh = claims.get("exp", 0) > lms.now().timestamp()
    return claims if fresh and claims.get("use") == "registration" else None


def _problems(lms: Lms, asked: Any) -> list[str]:
    if not isinstance(asked, dict) or not isinstance(asked.get(TOOL), dict):
        return ["not a registration"]
    missing = [name for name in NEEDED[lms.config.behaviour] if not asked.get(name)]
    missing += [name for name in NEEDED_OF_TOOL[lms.config.behaviour] if name not in asked[TOOL]]
    unknown = [
        scope
        for scope in str(asked.get("scope", "")).split()
        if scope not in (*lms.behaviour.known_scopes, "openid")
    ]
    custom = asked[TOOL].get("custom_parameters", {})
    odd = [name for name, value in custom.items() if not isinstance(value, str)]
    return missing + (unknown if lms.config.behaviour == "canvas" else []) + odd


def _tool(lms: Lms, asked: Mapping[str, Any]) -> dict[str, Any]:
    own = asked[TOOL]
    canvas = lms.config.behaviour == "canvas"
    launch = asked["redirect_uris"][0]
    names = (
        own.get(f"{CANVAS}privacy_level") == "public" if canvas else {"name", "email"} <= set(own["claims"])
    )
    custom = own.get("custom_parameters", {})
    if not canvas:
        # Kept as lines of key=value: what holds either sign is torn apart.
        custom = {name: value for name, value in custom.items() if not {"=", "\n"} & set(name + value)}
    wanted = str(asked.get("scope", "")).split()
    return {
        "tool_login_url": asked["initiate_login_uri"],
        "tool_launch_url": launch,
        "tool_deep_link_url": own.get("target_link_uri", launch),
        "tool_jwks_url": asked["jwks_uri"],
        "tool_name": asked["client_name"],
        "client_id": f"1000000000{secrets.randbelow(10**4):04}" if canvas else secrets.token_hex(8)[:15],
        "deployment_id": f"106:{secrets.token_hex(20)}" if canvas else "2",
        "custom": custom,
        "names": names,
        "scopes": [scope for scope in lms.behaviour.known_scopes if scope in wanted],
        "state": "pending",
        "chooser": canvas,
    }
