"""Real worker processes that can be killed, a practice LMS to look at, and waiting without sleeping blindly."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import requests
from flask import Flask

from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Platform, Registration
from lti_tool.passback import service
from lti_tool.passback.models import Score, ScoreState
from lti_tool.practice_lms import RunningLms, courses, store
from tests.support.apps import NOON, SECRET
from tests.support.cast import Campus

SETTINGS = {"PLATFORM_TIMEOUT": "2", "LEASE_SECONDS": "8", "SWEEP_SECONDS": "0.3", "QUEUE_URL": ""}
T = TypeVar("T")
_WORKER = "from lti_tool.app import create_app; from lti_tool.worker import run; run(create_app())"


def eventually(look: Callable[[], T], what: str, seconds: float = 60) -> T:
    """Look until there is something to see."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {seconds} seconds: {what}.")
        time.sleep(0.05)
    return seen


@dataclass
class Scene:
    """One learner's gradebook cell in a practice LMS, and the tool that owes it scores."""

    app: Flask
    campus: Campus
    home: Path
    lms: RunningLms
    column: str
    subject: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    decisions: int = 0

    def owe(self, points: str = "10", *, at: datetime = NOON) -> int:
        """Decide and commit, as a web process does."""
        self.decisions += 1
        with self.app.app_context():
            score = service.owe(
                placement=service.PlacementCell(
                    self.campus.placement, self.campus.deployment, self.campus.registration, self.column
                ),
                account_id=self.campus.accounts["lena"],
                subject=self.subject,
                decision_id=self.decisions,
                points=Decimal(points),
                points_possible=Decimal(10),
                comment="Clear goals.",
                submitted_at=NOON,
                now=at,
            )
            score_id = score.id
            db.session.commit()
            return score_id

    def row(self, score_id: int) -> Score:
        with self.app.app_context():
            score = db.session.get_one(Score, score_id)
            db.session.expunge(score)
            return score

    def found(self, score_id: int) -> Score:
        """The row, once a worker has read back what became of it."""
        eventually(lambda: self.row(score_id).read_at, f"score {score_id} is read back")
        return self.row(score_id)

    def start_worker(self, **more: str) -> subprocess.Popen[bytes]:
        env = os.environ | {"TESSERA_HOME": str(self.home), "SECRET_KEY": SECRET, "LOG_LEVEL": "ERROR"}
        worker = subprocess.Popen([sys.executable, "-c", _WORKER], env=env | SETTINGS | more)
        self.workers.append(worker)
        return worker

    def state(self, score_id: int) -> ScoreState:
        with self.app.app_context():
            return db.session.get_one(Score, score_id).state

    def wait_until(self, score_id: int, state: ScoreState) -> None:
        eventually(lambda: self.state(score_id) is state, f"score {score_id} is {state}")

    def use_token_url(self, url: str) -> None:
        with self.app.app_context():
            db.session.get_one(Registration, self.campus.registration).token_url = url
            db.session.commit()

    def control(self, **faults: Any) -> None:
        requests.post(f"{self.lms.service_url}/control", json=faults, timeout=5).raise_for_status()

    def posts(self) -> list[dict[str, Any]]:
        """Scores that reached the LMS, in its own record; ``status`` is None while it thinks."""
        record = requests.get(f"{self.lms.service_url}/record", timeout=5).json()
        return [one for one in record if one["method"] == "POST" and "/scores" in one["path"]]

    def cell(self) -> dict[str, Any] | None:
        """What the gradebook shows for the learner."""
        cells = requests.get(f"{self.lms.service_url}/gradebook.json", timeout=5).json()
        return next((one for one in cells if one["user_id"] == self.subject), None)

    def close(self) -> None:
        for worker in self.workers:
            kill(worker)


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9, and wait until it is gone."""
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


def connect(app: Flask, campus: Campus, lms: RunningLms, home: Path) -> Scene:
    """Put an activity with a gradebook column into the LMS, and point the campus at it."""
    inside = lms.app.extensions["practice_lms"]
    with inside.store.transaction() as lms_db:
        course = courses.courses(lms_db)[0]
        activity = store.add_activity(
            lms_db,
            course_id=course["id"],
            resource_link_id="link-1",
            title="Micro-credential",
            url=lms.config.tool_launch_url,
        )
        item = store.add_line_item(
            lms_db, activity_id=activity, label="Micro-credential", maximum=10, coupled=1
        )
        subject = str(store.learners(lms_db)[0]["sub"])
    with lms.app.app_context():
        courses.enter(course)
        column = inside.behaviour._url(item)
    facts = lms.registration
    with app.app_context():
        registration = db.session.get_one(Registration, campus.registration)
        registration.issuer, registration.client_id = str(facts["issuer"]), str(facts["client_id"])
        registration.token_url = str(facts["token_url"])
        db.session.get_one(Platform, registration.platform_id).product = lms.config.behaviour
        db.session.get_one(Placement, campus.placement).line_item_url = column
        db.session.commit()
    return Scene(app, campus, home, lms, column, subject)


@contextmanager
def silent_server() -> Iterator[tuple[str, Callable[[], bool]]]:
    """Takes connections and says nothing. Gives its address, and whether somebody has called."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        callers: list[socket.socket] = []

        def called() -> bool:
            with suppress(BlockingIOError):
                callers.append(listener.accept()[0])
            return bool(callers)

        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/token", called
        finally:
            for caller in callers:
                caller.close()
