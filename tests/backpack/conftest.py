"""An earner with a badge, a mail server that keeps what it is given, and strangers."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.assessment.models import Outcome
from lti_tool.assessment.service import decide
from lti_tool.backpack import letters
from lti_tool.badges.models import Badge
from lti_tool.badges.signing import sign_due
from lti_tool.database import db
from lti_tool.people.models import Account
from tests.support.apps import NOON, copy_home, running
from tests.support.cast import Campus, build_campus
from tests.support.ports import free_port
from tests.support.submitted import hand_in_work, marks_for, version_of
from tests.support.visits import Browser, visit_as

ROOT = "https://tool.localhost"


class Mailbox:
    """A mail server for one test. ``says`` is what it answers to a letter; one address may be busy for itself."""

    def __init__(self) -> None:
        self.letters: list[Message] = []
        self.says = "250 OK"
        self.busy_for = ""
        self.port = free_port()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it so
        if self.busy_for in envelope.rcpt_tos:
            return "451 Busy"
        if self.says.startswith("250"):
            self.letters.append(message_from_bytes(envelope.content))
        return self.says

    def link(self, of: int = -1) -> str:
        """The path in a letter."""
        found = re.search(r"http://tool\.localhost:8700(/\S+)", self.text(of))
        assert found is not None
        return found[1]

    def text(self, of: int = -1) -> str:
        payload = self.letters[of].get_payload(decode=True)
        assert isinstance(payload, bytes)
        return payload.decode()


class Stranger:
    """A browser without any visit, which keeps its cookie and fills in the forms it is shown."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, base_url=ROOT)

    def press(self, path: str, data: dict[str, Any] | None = None, *, to: str | None = None) -> TestResponse:
        """Open a page, then send its form (to another address, where the page has several)."""
        page = self.get(path).text
        token = re.search(r'name="csrf_token" value="(\w+)"', page)
        assert token is not None, page
        return self.client.post(to or path, data={"csrf_token": token[1]} | (data or {}), base_url=ROOT)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@dataclass(frozen=True)
class Earned:
    """A home in which Lena has earned a badge, to be copied."""

    home: Path
    campus: Campus
    badge: str


@pytest.fixture(scope="session")
def earned(filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Earned:
    home = tmp_path_factory.mktemp("earned")
    copy_home(filled_home, home)
    with running(home) as app:
        with app.app_context():
            campus = build_campus(credential="udl-variability")
        return Earned(home, campus, earn(app, campus, "lena"))


@pytest.fixture
def home(filled_home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """With Lena's badge where the test asks for one."""
    wanted = "badge" in request.fixturenames
    target = tmp_path / "home"
    copy_home(request.getfixturevalue("earned").home if wanted else filled_home, target)
    return target


@pytest.fixture
def app(home: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    """The application, with a mail server where the test has one."""
    more = {}
    if "mailbox" in request.fixturenames:
        box = request.getfixturevalue("mailbox")
        more = {
            "MAIL_URL": f"smtp://127.0.0.1:{box.port}?starttls=no",
            "MAIL_FROM": "Badges <badges@example.edu>",
        }
    with running(home, **more) as application:
        yield application


@pytest.fixture
def campus(app: Flask, request: pytest.FixtureRequest) -> Campus:
    if "badge" in request.fixturenames:
        there: Campus = request.getfixturevalue("earned").campus
        return there
    with app.app_context():
        return build_campus(credential="udl-variability")


def earn(app: Flask, campus: Campus, who: str, *, email: str | None = "lena@example.edu") -> str:
    """The person's badge, as a decision of Ingrid leaves it, signed if it names somebody."""
    with app.app_context():
        db.session.get_one(Account, campus.accounts[who]).email = email
        submission = hand_in_work(campus, who)
        decide(
            submission.id,
            campus.accounts["ingrid"],
            marks_for(version_of(submission)),
            "Clear.",
            Outcome.DEMONSTRATED,
            now=NOON,
        )
        db.session.commit()
        sign_due(now=clock.now())
        return standing_badge(campus, who)


def standing_badge(campus: Campus, who: str) -> str:
    """The id of the one badge that the person holds now."""
    query = select(Badge.id).where(Badge.person_id == campus.persons[who], Badge.revoked_at.is_(None))
    return db.session.scalars(query).one()


def work(app: Flask) -> None:
    """What a worker does when it looks around."""
    with app.app_context():
        sign_due(now=clock.now())
        letters.send_due(now_fn=clock.now)


@pytest.fixture
def badge(app: Flask, earned: Earned) -> str:
    """Lena's, signed, and known to nobody else."""
    return earned.badge


@pytest.fixture
def lena(app: Flask, campus: Campus) -> Browser:
    return visit_as(app, campus, "lena")


@pytest.fixture
def logged(app: Flask) -> Iterator[list[str]]:
    """Every line that our own code logs from here on, as it would be written."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(written.format(record))

    logger = logging.getLogger("lti_tool")
    written = logger.handlers[0].formatter
    assert written is not None
    handler, level = Kept(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def stranger(app: Flask) -> Stranger:
    return Stranger(app)


def shared_path(page: str) -> str:
    found = re.search(r'href="(/shared/[\w-]+)"', page)
    assert found is not None, page
    return found[1]
