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
from flask import Response

from lti_tool.practice_lms import courses, store
from lti_tool.practice_lms.launches import SEVERAL, target_link_uri
from lti_tool.practice_lms.platform import (
    AGS,
    CLAIM,
    DEEP_LINKING,
    NOTICE_SCOPE,
    SCHOOL,
    SECTION_SOURCEDID,
    TERM,
    Launch,
    substituted,
)
from lti_tool.practice_lms.products.canvas_grades import CanvasGrades
from lti_tool.practice_lms.products.canvas_tokens import CanvasTokens
from lti_tool.practice_lms.products.members import claim
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
MENU = "course_assignments_menu"
"""The entry of the assignments page that takes several at once, with their dates."""
JSON = "application/json; charset=utf-8"
# The serializer lets these slip into every nested claim.
JUNK: dict[str, Any] = {"validation_context": None, "errors": {"errors": {}}}


def hex40() -> str:
    return hashlib.sha1(secrets.token_bytes(20), usedforsecurity=False).hexdigest()


class Canvas(CanvasTokens, CanvasGrades):
    first_course = 1
    known_scopes = (*CanvasGrades.known_scopes, NOTICE_SCOPE)
    return_path = "/courses/1/deep_linking_response"
    leave_path = "/courses/1/external_content/success/external_tool_redirect"

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
                    "login_hint": hex40(),
                    "given": given,
                    "family": family,
                    "username": username,
                    "email": f"{username}@northfield.example",
                    "sourcedid": sourcedid,
                    "enrolled": int(role != "administrator"),
                },
            )
        kid = f"{self.lms.now():%Y-%m-%dT%H:%M:%SZ}_{uuid.uuid4()}"
        return {"kid": kid, "context_id": hex40(), "account_id": hex40()}

    # --- launch

    @property
    def auth_url(self) -> str:
        """At the host for logins, which is neither the issuer's nor the school's."""
        return f"{self._login_origin}/api/lti/authorize_redirect"

    @property
    def storage_frame(self) -> str | None:
        return f"{self._login_origin}/post_message_forwarding" if self.lms.config.storage else None

    @property
    def _login_origin(self) -> str:
        return f"http://sso.{self.lms.config.public_host}:{self.lms.config.port}"

    def review(self, item: Row, cell: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - Moodle asks the column
        """SpeedGrader opens the address that came with the submission, as a launch of the assignment."""
        address: str | None = cell.get("submission_url")
        return address

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
            "include_storage_target": self.lms.config.storage,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(minutes=5)).timestamp()),
        }
        return self._storage_target() | {
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
        return {"utf8": "✓", "authenticity_token": secrets.token_urlsafe(48), **self._storage_target()}

    def service_claims(self) -> dict[str, Any]:
        """What a launch from a course says of services besides grades."""
        return claim(self.members_url()) | self.notices_claim()

    def new_context_id(self) -> str | None:
        return hex40()

    def new_link_id(self) -> str | None:
        return str(uuid.uuid4())

    def _storage_target(self) -> dict[str, str]:
        """Left out in Canvas's mobile apps."""
        return {"lti_storage_target": "post_message_forwarding"} if self.lms.config.storage else {}

    def claims(self, db: Connection, launch: Launch, nonce: str) -> dict[str, Any]:
        lms, person, activity = self.lms, launch.person, launch.activity
        account = launch.kind == "administration"
        # Fixed when the login began, so it may be minutes old when it reaches the tool.
        issued = int(launch.started_at.timestamp())
        course = courses.here()
        context_id = lms.account_id if account else course["context_id"]
        title = SCHOOL if account else course["title"]
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
                "label": "" if account else course["label"],
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
                "return_url": f"{lms.url}{self.leave_path}",
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
            f"{CLAIM}custom": self._custom(db, launch),
            "https://www.instructure.com/placement": None,
        }
        if not account:
            claims[f"{AGS}claim/endpoint"] = {"scope": self.grade_scopes, "lineitems": self._url(), **JUNK}
            claims |= self.service_claims()
        if launch.kind == "deep_linking":
            claims[f"{CLAIM}message_type"] = "LtiDeepLinkingRequest"
            menu = launch.handle.startswith(SEVERAL)
            claims["https://www.instructure.com/placement"] = MENU if menu else "assignment_selection"
            claims[f"{DEEP_LINKING}deep_linking_settings"] = self._deep_linking_settings(person, menu)
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
            for item in store.line_items(db, course["id"]):
                if item["activity_id"] == activity["id"] and item["is_main"]:
                    claims[f"{AGS}claim/endpoint"]["lineitem"] = self._url(item["id"])
        return claims

    def test_student(self, db: Connection) -> Row | None:
        """Made when somebody first looks. A learner whom only the system role tells from the others."""
        if store.test_student(db) is None:
            number = 1 + db.execute("SELECT max(id) FROM person").fetchone()[0]
            store.add_person(
                db,
                {
                    "id": number, "role": "learner", "sub": str(uuid.uuid4()), "login_hint": hex40(),
                    "given": "Test", "family": "Student", "username": store.TEST_STUDENT, "email": "",
                    "sourcedid": "", "enrolled": 1,
                },
            )  # fmt: skip
        return store.test_student(db)

    def _roles(self, person: Row) -> list[str]:
        if person["username"] == store.TEST_STUDENT:
            return [f"{MEMBERSHIP}Learner", f"{VOCABULARY}/lti/system/person#TestUser"]
        extra = {f"{INSTITUTION}Instructor"} if person["username"] == TEACHES_ELSEWHERE else set()
        return sorted({*ROLES[person["role"]], *extra})

    def _custom(self, db: Connection, launch: Launch) -> dict[str, str]:
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
                "$Context.id": courses.here()["context_id"],
                "$Context.id.history": ",".join(courses.history(db, courses.here())),
                "$Canvas.course.id": str(courses.here()["id"]),
                "$Canvas.term.name": TERM,
                "$CourseSection.sourcedId": SECTION_SOURCEDID,
                "$Canvas.course.sectionSisSourceIds": SECTION_SOURCEDID,
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

    def _deep_linking_settings(self, person: Row, menu: bool) -> dict[str, Any]:
        state = {
            "placement": MENU if menu else "assignment_selection",
            "nonce": secrets.token_hex(16),
            "context_id": courses.here()["context_id"],
            "user": person["id"],
            "iat": int(self.lms.now().timestamp()),
        }
        address = f"{self.lms.url}{self.return_path}"
        return {
            "deep_link_return_url": f"{address}?data={self.lms.sign(state)}",
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["iframe", "window"],
            "accept_media_types": "application/vnd.ims.lti.v1.ltilink",
            "accept_multiple": menu,
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

    def add_content_items(
        self, db: Connection, items: list[dict[str, Any]], args: Mapping[str, str]
    ) -> list[str]:
        """Make unpublished assignments. The form of a single one takes over no date, as in Canvas."""
        state = jwt.decode(args["data"], options={"verify_signature": False})
        menu, added = state["placement"] == MENU, []
        for item in items if menu else items[:1]:
            due_at = (item.get("submission") or {}).get("endDateTime") if menu else None
            column = item.get("lineItem") or {}
            title = str(column.get("label") or item.get("title") or self.lms.config.tool_name)
            activity_id = store.add_activity(
                db,
                course_id=courses.here()["id"],
                resource_link_id=str(uuid.uuid4()),
                title=title,
                text=str(item.get("text") or ""),
                url=str(item.get("url") or self.lms.config.tool_launch_url),
                custom=item.get("custom"),
                published=0,
                due_at=due_at,
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
            added.append(title)
        return added
