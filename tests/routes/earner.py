"""Someone who earns, as tests see them."""

import html
import io
import re
from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from lti_tool.credentials.models import Credential, Task, Version
from lti_tool.database import db
from tests.support.cast import Campus
from tests.support.visits import Browser, visit_as

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 20
STATEMENTS = {"own_work": "yes", "no_names": "yes", "people": "no_one_else"}


def words(count: int, word: str = "word") -> str:
    return " ".join([word] * count)


def upload(content: bytes, name: str) -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), name


class Earner:
    """A person in a visit, who presses the buttons of the work page."""

    def __init__(self, app: Flask, campus: Campus, who: str, placement: int | None = None) -> None:
        self.app, self.campus, self.who = app, campus, who
        self.browser: Browser = visit_as(app, campus, who, placement=placement)
        self.attempt = ""

    def get(self, path: str) -> TestResponse:
        # Buffered, since a file that is served stays open until it is read.
        return self.browser.get(path, buffered=True)

    def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        answer = self.browser.post(path, data, **more)
        # Werkzeug's test client leaves the temporary file of a large form open.
        answer.request.environ["wsgi.input"].close()
        return answer

    def start(self, key: str) -> TestResponse:
        return self.post("/work/start", {"credential": key})

    def form(self) -> dict[str, str]:
        """The hidden fields of the work page, as it stands now."""
        page = self.get("/work/tasks").text
        self.attempt = _value(page, "attempt")
        return {"attempt": self.attempt, "revision": _value(page, "revision")}

    def save(self, data: dict[str, Any] | None = None, **fields: Any) -> TestResponse:
        """Press Save on a work page that was just loaded; ``fields`` may bring an older form."""
        return self.post("/work/tasks", self.form() | {"action": "save"} | (data or {}) | fields)

    def complete(self) -> TestResponse:
        """Answer every required task of whatever has been started, with a picture wherever evidence is asked for."""
        data: dict[str, Any] = {}
        for task in self.tasks():
            if task.kind == "written":
                data[f"answer-{task.key}"] = words(task.words_min or 50)
            elif task.accepts_upload:
                data[f"file-{task.key}"] = upload(PNG, f"{task.key}.png")
        return self.save(data)

    def hand_in(self, **statements: str) -> TestResponse:
        """Press Hand in on a check page of the work that was last looked at."""
        attempt = self.attempt or self.form()["attempt"]
        return self.post("/work/check", {"attempt": attempt} | STATEMENTS | statements)

    def tasks(self) -> list[Task]:
        page = self.get("/work/tasks").text
        keys = re.findall(r'id="task-([^"]+)"', page)
        with self.app.app_context():
            rows = db.session.scalars(select(Task).where(Task.key.in_(keys)).order_by(Task.position)).all()
            db.session.expunge_all()
            return list(rows)


def _value(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, f"no field {name} on the page"
    return html.unescape(found[1])


def key_of(app: Flask, setting: str) -> str:
    """A shipped micro-credential for that setting."""
    with app.app_context():
        return (
            db.session.scalars(
                select(Credential.key).join(Version).where(Version.setting == setting).order_by(Version.id)
            ).first()
            or ""
        )
