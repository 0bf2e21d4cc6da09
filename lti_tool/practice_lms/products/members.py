"""Names and roles: who is in the course, as each product lists them and pages the list.

Spec: https://www.imsglobal.org/spec/lti-nrps/v2p0/
"""

import base64
from sqlite3 import Connection, Row
from typing import Any

from flask import Response, request

from lti_tool.practice_lms import courses, store
from lti_tool.practice_lms.platform import NRPS, Behaviour
from lti_tool.practice_lms.services import MEMBERS_TYPE, reply

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
ROLES = {"instructor": "Instructor", "learner": "Learner"}
NON_EDITING = "tverne"
"""A teacher without editing rights: Moodle launches him as an instructor and lists him as a learner."""
CANVAS_PAGE = 50


def claim(address: str) -> dict[str, Any]:
    """Of a launch: where the list is."""
    return {
        f"{NRPS}claim/namesroleservice": {"context_memberships_url": address, "service_versions": ["2.0"]}
    }


def _enrolled(db: Connection) -> list[Row]:
    return [person for person in store.people(db) if person["role"] in ROLES]


def _container(members: list[dict[str, Any]]) -> dict[str, Any]:
    course = courses.here()
    context = {"id": course["context_id"], "label": course["label"], "title": course["title"]}
    return {"id": request.url, "context": context, "members": members}


class CanvasMembers(Behaviour):
    """Fifty to a page and never more, with a bookmark in which capital letters count; who has left is not listed."""

    def members_url(self) -> str:
        return f"{self.lms.service_url}/api/lti/courses/{courses.here()['id']}/names_and_roles"

    def members(self, db: Connection) -> Response:
        people = [person for person in _enrolled(db) if person["enrolled"]]
        asked = request.args.get("limit", "")
        size = min(int(asked), CANVAS_PAGE) if asked.isdecimal() and int(asked) > 0 else CANVAS_PAGE
        start = self._start(request.args.get("page", ""))
        shown = [
            {
                "status": "Active",
                "user_id": person["sub"],
                "lti11_legacy_user_id": person["login_hint"],
                "roles": [f"{MEMBERSHIP}{ROLES[person['role']]}"],
                "name": f"{person['given']} {person['family']}",
                "given_name": person["given"],
                "family_name": person["family"],
                "email": person["email"],
                "lis_person_sourcedid": person["sourcedid"],
            }
            for person in people[start : start + size]
        ]
        headers = {}
        if start + size < len(people):
            mark = base64.urlsafe_b64encode(f"Root{start + size}".encode()).decode().rstrip("=")
            headers["Link"] = f'<{self.members_url()}?limit={size}&page=bookmark:{mark}>; rel="next"'
        return reply(200, _container(shown), MEMBERS_TYPE, headers)

    def _start(self, page: str) -> int:
        """A bookmark that was written in small letters leads nowhere."""
        mark = page.removeprefix("bookmark:")
        try:
            text = base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)).decode()
        except ValueError:
            return 0
        return int(text[4:]) if text.startswith("Root") and text[4:].isdecimal() else 0


class MoodleMembers(Behaviour):
    """Everybody at once unless asked otherwise, roles by their short names; who has left is listed as inactive."""

    def members_url(self) -> str:
        number = courses.here()["id"]
        return f"{self.lms.service_url}/mod/lti/services.php/CourseSection/{number}/bindings/1/memberships"

    def members(self, db: Connection) -> Response:
        people = _enrolled(db)
        limit = max(0, request.args.get("limit", 0, type=int))
        start = max(0, request.args.get("from", 0, type=int))
        page = people[start : start + limit] if limit else people
        shown = [
            {
                "status": "Active" if person["enrolled"] else "Inactive",
                "roles": ["Learner" if person["username"] == NON_EDITING else ROLES[person["role"]]],
                "user_id": person["sub"],
                "lis_person_sourcedid": person["sourcedid"],
                "name": f"{person['given']} {person['family']}",
                "given_name": person["given"],
                "family_name": person["family"],
                "email": person["email"],
                "ext_user_username": person["username"],
            }
            for person in page
        ]
        headers = {}
        if limit and start + limit < len(people):
            headers["Link"] = f'<{self.members_url()}?limit={limit}&from={start + limit}>; rel="next"'
        return reply(200, _container(shown), MEMBERS_TYPE, headers)
