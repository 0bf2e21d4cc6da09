"""How Canvas behaves, after its published source: its launches, its deep linking and its token endpoint."""

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping
from datetime import timedelta
from sqlite3 import Connection, Row
from typing import Any

import jwt
import requests
from flask import Response

from lti_tool.practice_lms import store
from lti_tool.practice_lms.launches import target_link_uri
from lti_tool.practice_lms.platform import (
    AGS,
    CLAIM,
    COURSE_LABEL,
    COURSE_TITLE,
    DEEP_LINKING,
    SCHOOL,
    SCOPES,
    SECTION_SOURCEDID,
    TERM,
    Launch,
    substituted,
)
from lti_tool.practice_lms.products.canvas_grades import CanvasGrades
from lti_tool.practice_lms.services import reply

VOCABULARY = "http://purl.imsglobal.org/vocab"
COURSE_TYPE = f"{VOCABULARY}/lis/v2/course#CourseOffering"
INSTITUTION = f"{VOCABULARY}/lis/v2/institution/person#"
MEMBERSHIP = f"{VOCABULARY}/lis/v2/membership#"
USER = f"{VOCABULARY}/lti/system/person#User"
ROLES = {
    "instructor": [f"{INSTITUTION}Instructor", f"{MEMBERSHIP}Instructor", USER],
    "learner": [f"{INSTITUTION}Student", f"{MEMBERSHIP}Learner", USER],
    # An administrator has no role in the course at all.
    "administrator": [f"{INSTITUTION}Administrator", USER],
}
# Aiko studies in this course and teaches in another, so she is an Instructor of the institution as well:
# a tool that looks at more than the course's own roles takes her for a teacher.
TEACHES_ELSEWHERE = "atanaka"
JSON = "application/json; charset=utf-8"
# The serializer lets these slip into every nested claim.
JUNK: dict[str, Any] = {"validation_context": None, "errors": {"errors": {}}}


def _hex40() -> str:
    return hashlib.sha1(secrets.token_bytes(20), usedforsecurity=False).hexdigest()


class _TokenRefused(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        if not error:
            # What cannot be parsed at all is not expected there, and ends in a server error.
            self.answer = reply(500, "<!DOCTYPE html><title>Page Error</title>", "text/html; charset=utf-8")
            return
        unknown = error == "invalid_client"
        headers = {"WWW-Authenticate": "Canvas OAuth 2.0"} if unknown else {}
        told = {"error": error, "error_description": description}
        self.answer = reply(401 if unknown else 400, told, JSON, headers)


class Canvas(CanvasGrades):
    return_path = "/courses/1/deep_linking_response"

    def seed(self, db: Connection) -> dict[str, str]:
        people = (
            (1, "administrator", "Ada", "Whitfield", "awhitfield", "A001"),
            (2, "instructor", "Ingrid", "Okafor", "iokafor", "T100"),
            (3, "learner", "Lena", "Brandt", "lbrandt", "S1001"),
            (4, "learner", "Mateo", "Ruiz", "mruiz", "S1002"),
            (5, "learner", "Aiko", "Tanaka", "atanaka", "S1003"),
        )
        for number, role, given, family, username, sourcedid in people:
            store.add_person(
                db,
                {
                    "id": number,
                    "role": role,
                    "sub": str(uuid.uuid4()),
                    "login_hint": _hex40(),
                    "given": given,
                    "family": family,
                    "username": username,
                    "email": f"{username}@northfield.example",
                    "sourcedid": sourcedid,
                    "enrolled": int(role != "administrator"),
                },
            )
        kid = f"{self.lms.now():%Y-%m-%dT%H:%M:%SZ}_{uuid.uuid4()}"
        return {"kid": kid, "context_id": _hex40(), "account_id": _hex40()}

    # --- launch

    def new_handle(self, activity_id: int | None) -> str:  # noqa: ARG002 - only Moodle's tells the activity
        return secrets.token_hex(32)

    def login_fields(self, launch: Launch, target_link_uri: str) -> dict[str, str]:
        now = self.lms.now()
        account = launch.kind == "administration"
        hint = {
            "verifier": launch.handle,
            "canvas_domain": f"{self.lms.config.public_host}:{self.lms.config.port}",
            "context_type": "Account" if account else "Course",
            "context_id": 10000000000001,
            "canvas_locale": "en",
            "parent_frame_context": None,
            "include_storage_target": False,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(minutes=5)).timestamp()),
        }
        # No lti_storage_target: this LMS keeps nothing for the tool, so cookies must do, as in Canvas's apps.
        return {
            "iss": self.lms.url,
            "login_hint": launch.person["login_hint"],
            "client_id": self.lms.config.client_id,
            "lti_deployment_id": self.lms.config.deployment_id,
            "target_link_uri": target_link_uri,
            "lti_message_hint": self.lms.sign(hint),
            "canvas_environment": "prod",
            "canvas_region": "not_configured",
        }

    def handle_of(self, message_hint: str) -> str | None:
        try:
            claims = jwt.decode(
                message_hint,
                self.lms.key.public_key(),
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return None
        return str(claims["verifier"]) if claims.get("exp", 0) > self.lms.now().timestamp() else None

    def auth_error(self, params: Mapping[str, str], person: Row) -> tuple[str, str] | None:
        needed = (
            "client_id", "login_hint", "lti_message_hint", "nonce", "prompt", "redirect_uri", "response_mode",
            "response_type", "scope",
        )  # fmt: skip
        missing = [name for name in needed if not params.get(name)]
        error = None
        if missing:
            error = ("invalid_request_object", f"The following parameters are missing: {','.join(missing)}")
        elif params["scope"] != "openid":
            error = ("invalid_request_object", "The 'scope' must be 'openid'")
        # The last check that fails is the one that the tool hears of.
        if params.get("login_hint") != person["login_hint"]:
            error = ("login_required", "Must have an active user session")
        if params.get("client_id") != self.lms.config.client_id:
            error = ("unauthorized_client", "Client not authorized in requested context")
        return error

    def expired_error(self) -> tuple[str, str]:
        return ("launch_no_longer_valid", "The launch has either expired or already been consumed")

    def answer_fields(self) -> dict[str, str]:
        return {"utf8": "✓", "authenticity_token": secrets.token_urlsafe(48)}

    def claims(self, db: Connection, launch: Launch, nonce: str) -> dict[str, Any]:
        lms, person, activity = self.lms, launch.person, launch.activity
        account = launch.kind == "administration"
        # Fixed when the login began, so it may be minutes old when it reaches the tool.
        issued = int(launch.started_at.timestamp())
        context_id = lms.account_id if account else lms.context_id
        title = SCHOOL if account else COURSE_TITLE
        claims: dict[str, Any] = {
            "iss": lms.url,
            "aud": lms.config.client_id,
            "azp": lms.config.client_id,
            "iat": issued,
            "exp": issued + 3600,
            "nonce": nonce,
            "sub": person["sub"],
            "name": f"{person['given']} {person['family']}",
            "given_name": person["given"],
            "family_name": person["family"],
            "email": person["email"],
            "locale": "en",
            "picture": f"{lms.url}/static/icon.svg",
            f"{CLAIM}version": "1.3.0",
            f"{CLAIM}message_type": "LtiResourceLinkRequest",
            f"{CLAIM}deployment_id": lms.config.deployment_id,
            f"{CLAIM}target_link_uri": target_link_uri(lms, launch),
            f"{CLAIM}roles": self._roles(person),
            f"{CLAIM}context": {
                "id": context_id,
                "label": "" if account else COURSE_LABEL,
                "title": title,
                "type": ["Account"] if account else [COURSE_TYPE],
                **JUNK,
            },
            f"{CLAIM}tool_platform": {
                "guid": f"{lms.guid}:canvas-lms",
                "name": SCHOOL,
                "version": "cloud",
                "product_family_code": "canvas",
                **JUNK,
            },
            f"{CLAIM}launch_presentation": {
                "document_target": "iframe",
                "return_url": f"{lms.url}/course",
                "locale": "en",
                **JUNK,
            },
            f"{CLAIM}lis": {
                "person_sourcedid": person["sourcedid"],
                # A course that the student information system does not know: the variable is sent as it is.
                "course_offering_sourcedid": "$CourseSection.sourcedId" if account else SECTION_SOURCEDID,
                **JUNK,
            },
            f"{CLAIM}lti11_legacy_user_id": person["login_hint"],
            f"{CLAIM}lti1p1": {"user_id": person["login_hint"], **JUNK},
            f"{CLAIM}custom": self._custom(launch),
            "https://www.instructure.com/placement": None,
        }
        if not account:
            claims[f"{AGS}claim/endpoint"] = {"scope": list(SCOPES), "lineitems": self._url(), **JUNK}
        if launch.kind == "deep_linking":
            claims[f"{CLAIM}message_type"] = "LtiDeepLinkingRequest"
            claims["https://www.instructure.com/placement"] = "assignment_selection"
            claims[f"{DEEP_LINKING}deep_linking_settings"] = self._deep_linking_settings(person)
        elif activity is None:
            claims["https://www.instructure.com/placement"] = "account_navigation"
            claims[f"{CLAIM}resource_link"] = {
                "id": context_id, "title": title, "description": None, **JUNK,
            }  # fmt: skip
        else:
            claims[f"{CLAIM}resource_link"] = {
                "id": activity["resource_link_id"],
                "title": activity["title"],
                "description": activity["text"] or None,
                **JUNK,
            }
            for item in store.line_items(db):
                if item["activity_id"] == activity["id"] and item["is_main"]:
                    claims[f"{AGS}claim/endpoint"]["lineitem"] = self._url(item["id"])
        return claims

    def _roles(self, person: Row) -> list[str]:
        extra = {f"{INSTITUTION}Instructor"} if person["username"] == TEACHES_ELSEWHERE else set()
        return sorted({*ROLES[person["role"]], *extra})

    def _custom(self, launch: Launch) -> dict[str, str]:
        person, activity = launch.person, launch.activity
        known = {
            "$Canvas.user.id": str(person["id"]),
            "$Person.sourcedId": person["sourcedid"],
            "$Canvas.user.sisSourceId": person["sourcedid"],
            "$User.username": person["username"],
            "$Person.name.full": f"{person['given']} {person['family']}",
        }
        if launch.kind != "administration":
            known |= {
                "$Context.id": self.lms.context_id,
                "$Context.id.history": "",
                "$Canvas.course.id": "1",
                "$Canvas.term.name": TERM,
                "$CourseSection.sourcedId": SECTION_SOURCEDID,
            }
        if activity is not None:
            known |= {
                "$Canvas.assignment.id": str(activity["id"]),
                "$Canvas.assignment.title": activity["title"],
                "$Canvas.assignment.published": "true" if activity["published"] else "false",
                "$ResourceLink.id": activity["resource_link_id"],
                "$ResourceLink.title": activity["title"],
            }
        own = {} if activity is None else json.loads(activity["custom"])
        return substituted({**self.lms.config.custom, **own}, known)

    def _deep_linking_settings(self, person: Row) -> dict[str, Any]:
        state = {
            "nonce": secrets.token_hex(16),
            "context_id": self.lms.context_id,
            "user": person["id"],
            "iat": int(self.lms.now().timestamp()),
        }
        address = f"{self.lms.url}{self.return_path}"
        return {
            "deep_link_return_url": f"{address}?data={self.lms.sign(state)}",
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["iframe", "window"],
            "accept_media_types": "application/vnd.ims.lti.v1.ltilink",
            "accept_multiple": False,
            "auto_create": False,
            **JUNK,
        }

    # --- the way back from deep linking

    def return_refusal(self, db: Connection, args: Mapping[str, str], person: Row | None) -> Response | None:
        def refused(kind: str, message: str) -> Response:
            problem = {"attribute": "?data=JWT", "type": kind, "message": message}
            return reply(400, {"errors": {"data_jwt": [problem]}}, JSON)

        modified = "Do not modify the deep_link_return_url in any way."
        if not args.get("data"):
            return refused("presence_required", modified)
        try:
            state = jwt.decode(
                args["data"], self.lms.key.public_key(), algorithms=["RS256"], options={"verify_iat": False}
            )
        except jwt.PyJWTError:
            return refused("invalid_or_malformed", modified)
        if person is None or state.get("user") != person["id"]:
            return refused("invalid_or_malformed", modified)
        spent = db.execute(
            "INSERT OR IGNORE INTO spent VALUES (?) RETURNING nonce", (state["nonce"],)
        ).fetchone()
        if spent is None:
            return refused("already_used", "Do not attempt to submit content items multiple times.")
        return None

    def jwt_refusal(self, problem: str) -> Response:
        # Canvas says less; the reason is for the person who is developing the tool.
        told = {
            "attribute": "jwt",
            "type": "JWT verification failure",
            "message": f"JWT verification failure: {problem}",
        }
        return reply(400, {"errors": {"jwt": [told]}}, JSON)

    def add_content_items(self, db: Connection, items: list[dict[str, Any]]) -> list[str]:
        """Fill in and save one assignment, unpublished. Dates are not taken over, as in Canvas."""
        for item in items[:1]:
            column = item.get("lineItem") or {}
            title = str(column.get("label") or item.get("title") or self.lms.config.tool_name)
            activity_id = store.add_activity(
                db,
                resource_link_id=str(uuid.uuid4()),
                title=title,
                text=str(item.get("text") or ""),
                url=str(item.get("url") or self.lms.config.tool_launch_url),
                custom=item.get("custom"),
                published=0,
            )
            store.add_line_item(
                db,
                activity_id=activity_id,
                label=title,
                maximum=float(column.get("scoreMaximum") or 0),
                resource_id=column.get("resourceId"),
                tag=column.get("tag"),
                coupled=1,
            )
            return [title]
        return []

    # --- token

    def token(self, form: Mapping[str, str]) -> Response:
        try:
            scopes = self._granted(form)
        except _TokenRefused as refused:
            return refused.answer
        lms, now = self.lms, int(self.lms.now().timestamp())
        token = lms.sign(
            {
                "iss": lms.url,
                "sub": lms.config.client_id,
                "aud": f"{lms.service_url}/token",
                "iat": now,
                "exp": now + 3600,
                "jti": str(uuid.uuid4()),
                "scopes": scopes,
            }
        )
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": scopes}
        return reply(200, answer, JSON, {"Cache-Control": "no-store"})

    def _granted(self, form: Mapping[str, str]) -> str:
        """Check a token request, in Canvas's order; return the scopes as asked for."""
        if form.get("grant_type") != "client_credentials":
            text = "The grant_type you requested is not currently supported by Canvas"
            raise _TokenRefused("unsupported_grant_type", text)
        assertion = form.get("client_assertion", "")
        try:
            unverified = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.PyJWTError:
            raise _TokenRefused("", "") from None
        if str(unverified.get("sub")) != self.lms.config.client_id:
            raise _TokenRefused("invalid_client", "unknown client")
        try:
            claims = self.lms.tool_claims(assertion)
        except requests.RequestException:
            raise _TokenRefused("invalid_request", "JWK Error: Invalid JSON") from None
        except jwt.InvalidKeyError:
            raise _TokenRefused("invalid_request", "JWK Error: kid not found") from None
        except jwt.PyJWTError:
            raise _TokenRefused("invalid_request", "JWS signature invalid.") from None
        if wrong := self._assertion_problems(claims):
            raise _TokenRefused("invalid_request", " | ".join(wrong))
        scopes = form.get("scope", form.get("scopes", "")).split()
        if unknown := [scope for scope in scopes if scope not in SCOPES]:
            text = (
                "A requested scope is invalid, unknown, malformed, or exceeds the scope granted by the"
                " resource owner. The following scopes were requested, but not granted: "
            )
            raise _TokenRefused("invalid_scope", text + ", ".join(unknown))
        return " ".join(scopes)

    def _assertion_problems(self, claims: Mapping[str, Any]) -> list[str]:
        needed = ("iss", "sub", "aud", "exp", "iat", "jti")
        if missing := [name for name in needed if not claims.get(name)]:
            return [f"the following assertions are missing: {','.join(missing)}"]
        now = self.lms.now().timestamp()
        aud, exp, iat = claims["aud"], claims["exp"], claims["iat"]
        problems = []
        # Exactly the address called; neither the issuer nor another name of the same server will do.
        if f"{self.lms.service_url}/token" not in (aud if isinstance(aud, list) else [aud]):
            problems.append("the 'aud' is invalid")
        if not isinstance(exp, int | float):
            problems.append("the 'exp' must be a number")
        elif exp <= now:
            problems.append("the JWT has expired")
        if not isinstance(iat, int | float):
            problems.append("the 'iat' must be a number")
        elif iat < now - 300:
            problems.append("the 'iat' must be less than 300 seconds old")
        elif iat > now + 30:
            problems.append("the 'iat' must not be in the future")
        return problems
