"""Visits without a real launch, for tests of pages. How launches come about is tested in tests/certification."""

import re
from datetime import timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti.models import Launch
from lti_tool.lti.sessions import COOKIE_NAME, browser_hash, new_browser_cookie, new_launch_id
from lti_tool.routes.guards import form_token
from tests.support.cast import NAMES, Campus


class Browser:
    """A browser with Tessera's cookie, in one visit. Paths are relative to the visit."""

    def __init__(self, app: Flask, launch_id: str, cookie: str) -> None:
        self.app, self.launch_id, self.cookie = app, launch_id, cookie
        self.client: FlaskClient = app.test_client()
        self.client.set_cookie(COOKIE_NAME, cookie, domain="tool.localhost", secure=True)
        self.base = f"/l/{launch_id}"

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(self._at(path), base_url=self._root(), **more)

    def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        """Post a form as this browser would, with the token that its pages carry."""
        data = {"csrf_token": self.token()} | (data or {})
        return self.client.post(self._at(path), data=data, base_url=self._root(), **more)

    def answer(self, page: str, to: str, data: dict[str, Any]) -> TestResponse:
        """Open a score's page and post its form, which says what the page has shown of the gradebook."""
        found = re.search(r'name="seen" value="([^"]+)"', self.get(page).text)
        return self.post(to, data | ({"seen": found[1]} if found else {}))

    def token(self) -> str:
        with self.app.test_request_context(headers={"Cookie": f"{COOKIE_NAME}={self.cookie}"}):
            return form_token()

    def _at(self, path: str) -> str:
        return path if path.startswith(("/l/", "http")) else f"{self.base}{path}"

    def _root(self) -> str:
        return "https://tool.localhost"


def visit_as(
    app: Flask,
    campus: Campus,
    who: str,
    *,
    placement: int | None = None,
    role: str | None = None,
    message_type: str = "resource_link",
    claims: dict[str, Any] | None = None,
    outside_course: bool = False,
) -> Browser:
    """A visit of someone of the cast to the campus' activity (or to ``placement``)."""
    cookie, launch_id, now = new_browser_cookie(), new_launch_id(), clock.now()
    with app.app_context():
        db.session.add(
            Launch(
                id=launch_id,
                browser=browser_hash(cookie),
                deployment_pk=campus.deployment,
                message_type=message_type,
                subject=who,
                claims=claims or {},
                account_id=campus.accounts[who],
                course_id=None if outside_course else campus.course,
                placement_id=None if outside_course else (placement or campus.placement),
                role=role or NAMES[who][1],
                administrator=NAMES[who][1] == "administrator",
                frame_ancestors=["https://canvas.example.edu"],
                created_at=now,
                expires_at=now + timedelta(hours=8),
            )
        )
        db.session.commit()
    return Browser(app, launch_id, cookie)
