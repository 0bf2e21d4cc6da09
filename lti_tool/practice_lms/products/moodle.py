"""How Moodle 4.5 behaves, as recorded from a live one: small ids, seconds for timestamps, wiped grades."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from sqlite3 import Connection, Row
from typing import Any

import jwt
import requests
from flask import Response, make_response, render_template

from lti_tool.practice_lms import courses, store
from lti_tool.practice_lms.launches import target_link_uri
from lti_tool.practice_lms.platform import (
    AGS,
    CLAIM,
    DEEP_LINKING,
    SCHOOL,
    SECTION_SOURCEDID,
    Launch,
    substituted,
)
from lti_tool.practice_lms.products.members import NON_EDITING, claim
from lti_tool.practice_lms.products.moodle_grades import MoodleGrades, typed
from lti_tool.practice_lms.services import reply

ROLES = {
    "instructor": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"],
    "learner": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"],
    "administrator": [
        "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator",
        "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor",
        "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator",
    ],
}


class Moodle(MoodleGrades):
    first_course = 2
    return_path = "/mod/lti/contentitem_return.php"
    leave_path = "/mod/lti/return.php"

    def seed(self, db: Connection) -> dict[str, str]:
        people = (
            (2, "administrator", "Ada", "Whitfield", "admin", ""),
            (3, "instructor", "Ingrid", "Okafor", "iokafor", "T100"),
            (5, "learner", "Lena", "Brandt", "lbrandt", "S1001"),
            (6, "learner", "Mateo", "Ruiz", "mruiz", "S1002"),
            (7, "learner", "Aiko", "Tanaka", "atanaka", "S1003"),
            (8, "instructor", "Tim", "Verne", NON_EDITING, "T101"),
        )
        for number, role, given, family, username, sourcedid in people:
            store.add_person(
                db,
                {
                    "id": number,
                    "role": role,
                    "sub": str(number),
                    "login_hint": str(number),
                    "given": given,
                    "family": family,
                    "username": username,
                    "email": f"{username}@northfield.example",
                    "sourcedid": sourcedid,
                    "enrolled": int(role != "administrator"),
                },
            )
        # Moodle opens a tool from an activity only: the administrator uses one that nobody else sees.
        config = self.lms.config
        store.add_activity(
            db,
            kind="administration",
            title=f"{config.tool_name} (administration)",
            url=config.tool_launch_url,
        )
        return {"kid": secrets.token_hex(10), "context_id": str(self.first_course), "account_id": ""}

    # --- launch

    def new_handle(self, activity_id: int | None) -> str:
        name = "ContentItemSelectionRequest" if activity_id is None else str(activity_id) + "_"
        return f"ltilaunch{'_' if activity_id is None else ''}{name}{secrets.randbelow(2**31)}"

    def login_fields(self, launch: Launch, target_link_uri: str) -> dict[str, str]:
        hint: dict[str, object] = {} if launch.activity is None else {"cmid": launch.activity["id"]}
        return {
            "iss": self.lms.url,
            "target_link_uri": target_link_uri,
            "login_hint": launch.person["login_hint"],
            "lti_message_hint": json.dumps({**hint, "launchid": launch.handle}, separators=(",", ":")),
            "client_id": self.lms.config.client_id,
            "lti_deployment_id": self.lms.config.deployment_id,
        }

    def handle_of(self, message_hint: str) -> str | None:
        try:
            return str(json.loads(message_hint)["launchid"])
        except (ValueError, TypeError, KeyError):
            return None

    def auth_error(self, params: Mapping[str, str], person: Row) -> tuple[str, str] | None:
        needed = ("scope", "response_type", "client_id", "redirect_uri", "login_hint", "nonce")
        checks = (
            ("invalid_request", "Missing parameter", all(params.get(name) for name in needed)),
            ("invalid_scope", "Scope must be openid", params.get("scope") == "openid"),
            ("unsupported_response_type", "", params.get("response_type") == "id_token"),
            ("unauthorized_client", "", params.get("client_id") == self.lms.config.client_id),
            ("access_denied", "", params.get("login_hint") == person["login_hint"]),
            ("invalid_request", "Invalid response_mode", params.get("response_mode") == "form_post"),
            ("invalid_request", "Invalid prompt", params.get("prompt", "none") == "none"),
        )
        return next(((error, text) for error, text, good in checks if not good), None)

    def expired_error(self) -> tuple[str, str]:
        return ("invalid_request", "This launch is unknown or was used already")

    def new_context_id(self) -> str | None:
        return None

    def new_link_id(self) -> str | None:
        return None

    def copied(self, db: Connection, row: Row) -> None:
        """Moodle tells nobody."""

    def answer_fields(self) -> dict[str, str]:
        return {}

    def review(self, item: Row, cell: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - Canvas asks the cell
        """Of every learner, where the tool has declared with its link that it shows submissions."""
        if item["review"] is None:
            return None
        return str(json.loads(item["review"]).get("url") or item["url"])

    def claims(self, db: Connection, launch: Launch, nonce: str) -> dict[str, Any]:
        lms, person, activity = self.lms, launch.person, launch.activity
        issued = int(lms.now().timestamp())
        claims: dict[str, Any] = {
            "nonce": nonce,
            "iat": issued,
            "exp": issued + 60,
            "iss": lms.url,
            "aud": lms.config.client_id,
            f"{CLAIM}deployment_id": lms.config.deployment_id,
            f"{CLAIM}target_link_uri": target_link_uri(lms, launch),
            "sub": person["sub"],
            f"{CLAIM}lis": {
                "person_sourcedid": person["sourcedid"],
                "course_section_sourcedid": SECTION_SOURCEDID,
            },
            f"{CLAIM}roles": ROLES[person["role"]],
            f"{CLAIM}context": {
                "id": courses.here()["context_id"],
                "label": courses.here()["label"],
                "title": courses.here()["title"],
                "type": ["CourseSection"],
            },
            f"{CLAIM}message_type": "LtiResourceLinkRequest",
            "given_name": person["given"],
            "family_name": person["family"],
            "name": f"{person['given']} {person['family']}",
            f"{CLAIM}ext": {"user_username": person["username"], "lms": "moodle-2"},
            "email": person["email"],
            f"{CLAIM}launch_presentation": {"locale": "en"},
            f"{CLAIM}tool_platform": {
                "product_family_code": "moodle",
                "version": "2024100706",
                "guid": lms.guid,
                "name": "NU",
                "description": SCHOOL,
            },
            f"{CLAIM}version": "1.3.0",
        }
        own = {} if activity is None else json.loads(activity["custom"])
        variables = {
            "$Context.id.history": ",".join(courses.history(db, courses.here())),
            "$Person.sourcedId": person["sourcedid"],
            "$User.username": person["username"],
            "$CourseSection.sourcedId": SECTION_SOURCEDID,
        }
        claims[f"{CLAIM}custom"] = substituted({**lms.config.custom, **own}, variables)
        endpoint: dict[str, Any] = {"scope": self.grade_scopes, "lineitems": self._url()}
        claims |= claim(self.members_url())
        claims[f"{AGS}claim/endpoint"] = endpoint
        if activity is None:
            claims[f"{CLAIM}message_type"] = "LtiDeepLinkingRequest"
            claims[f"{DEEP_LINKING}deep_linking_settings"] = self._deep_linking_settings(person)
            return claims
        claims[f"{CLAIM}resource_link"] = {
            "title": activity["title"],
            "description": activity["text"],
            "id": activity["resource_link_id"],
        }
        claims[f"{CLAIM}launch_presentation"] |= {
            "document_target": "iframe",
            "return_url": f"{lms.url}{self.leave_path}?course={courses.here()['id']}&launch_container=3"
            f"&instanceid={activity['id']}&sesskey={self._sesskey(person)}",
        }
        if launch.learner is not None:
            claims[f"{CLAIM}message_type"] = "LtiSubmissionReviewRequest"
            claims[f"{CLAIM}for_user"] = {"user_id": launch.learner["sub"]}
        items = [
            item["id"]
            for item in store.line_items(db, courses.here()["id"])
            if item["activity_id"] == activity["id"]
        ]
        if len(items) == 1:
            endpoint["lineitem"] = self._url(items[0])
        return claims

    def _deep_linking_settings(self, person: Row) -> dict[str, Any]:
        address = f"{self.lms.url}{self.return_path}"
        return {
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["frame", "iframe", "window"],
            "accept_copy_advice": False,
            "accept_multiple": True,
            "accept_unsigned": False,
            "auto_create": False,
            "can_confirm": False,
            "deep_link_return_url": f"{address}?course={courses.here()['id']}&id=1&sesskey={self._sesskey(person)}",
            "title": self.lms.config.tool_name,
            "text": "",
        }

    def _sesskey(self, person: Row) -> str:
        return hashlib.sha256(f"{self.lms.secret_key}{person['id']}".encode()).hexdigest()[:10]

    # --- the way back from deep linking

    def return_refusal(
        self,
        db: Connection,  # noqa: ARG002 - Canvas has to remember something, Moodle has not
        args: Mapping[str, str],
        person: Row | None,
    ) -> Response | None:
        if person is not None and args.get("sesskey") == self._sesskey(person):
            return None
        return make_response(
            render_template("problem.html", problem="A required session key was missing."), 403
        )

    def jwt_refusal(self, problem: str) -> Response:
        return make_response(
            render_template("problem.html", problem=f"The tool's answer was refused: {problem}"), 400
        )

    def add_content_items(
        self,
        db: Connection,
        items: list[dict[str, Any]],
        args: Mapping[str, str],  # noqa: ARG002 - Canvas asks where they were added from
    ) -> list[str]:
        """An external tool has no due date here, so none is taken over."""
        added = []
        for item in items:
            column = item.get("lineItem")
            title = str(item.get("title") or self.lms.config.tool_name)
            activity_id = store.add_activity(
                db,
                course_id=courses.here()["id"],
                title=title,
                text=str(item.get("text") or ""),
                url=str(item.get("url") or self.lms.config.tool_launch_url),
                custom=item.get("custom"),
            )
            if column:
                store.add_line_item(
                    db,
                    activity_id=activity_id,
                    label=title,
                    maximum=float(column.get("scoreMaximum") or 100),
                    resource_id=column.get("resourceId"),
                    tag=column.get("tag"),
                    coupled=1,
                    review=column.get("submissionReview"),
                )
            added.append(title)
        return added

    # --- token

    def token(self, form: Mapping[str, str]) -> Response:
        def answer(status: int, fields: Mapping[str, object]) -> Response:
            text = json.dumps(fields, indent=2, separators=(",", " : ")).replace("\n", "\r\n")
            return reply(status, text, typed("text/html"))

        lms = self.lms
        if form.get("grant_type") != "client_credentials":
            return answer(400, {"error": "unsupported_grant_type"})
        try:
            claims = lms.tool_claims(form.get("client_assertion", ""))
        except (jwt.PyJWTError, requests.RequestException):
            return answer(400, {"error": "invalid_request"})
        audience, exp = claims.get("aud"), claims.get("exp")
        good = (
            claims.get("iss") == claims.get("sub") == lms.config.client_id
            and f"{lms.service_url}/token" in (audience if isinstance(audience, list) else [audience])
            and isinstance(exp, int | float)
            and exp > lms.now().timestamp()
        )
        if not good:
            return answer(400, {"error": "invalid_request"})
        granted = " ".join(scope for scope in self.scopes if scope in form.get("scope", "").split())
        if not granted:
            return answer(400, {"error": "invalid_scope"})
        value = secrets.token_hex(16)
        with lms.store.transaction() as db:
            db.execute("DELETE FROM token WHERE expires_at < ?", (lms.now().isoformat(),))
            expires_at = (lms.now() + timedelta(hours=1)).isoformat()
            db.execute("INSERT INTO token VALUES (?, ?, ?)", (value, granted, expires_at))
        return answer(
            200, {"access_token": value, "token_type": "Bearer", "expires_in": 3600, "scope": granted}
        )
