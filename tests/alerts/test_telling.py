"""What needs a person is shown at the desk and told by mail and webhook, with counts and no names."""

import hashlib
import hmac
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool import clock, settings
from lti_tool.alerts import notices, watch
from lti_tool.alerts.models import AlertNotice
from lti_tool.audit import seals
from lti_tool.badges.models import Badge
from lti_tool.database import db
from lti_tool.passback.models import Finding, Score, ScoreState, ScoreTry
from tests.backpack.conftest import Mailbox, earn, mailbox
from tests.faults.machines import SETTINGS, eventually, kill
from tests.outside.operators import PROGRAM
from tests.passback.gradebooks import owe
from tests.support.apps import SECRET as APP_SECRET
from tests.support.apps import running, settings_for
from tests.support.cast import Campus, build_campus
from tests.support.visits import visit_as

__all__ = ["mailbox"]
SECRET = "a secret that only this webhook and its sender know"


class Webhook:
    """A receiver that keeps what it is sent. ``says`` is its status."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.says = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.says)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.calls]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    receiver = Webhook()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


@pytest.fixture
def app(home: Path, webhook: Webhook, mailbox: Mailbox) -> Iterator[Flask]:
    with running(
        home,
        MAIL_URL=f"smtp://127.0.0.1:{mailbox.port}?starttls=no",
        MAIL_FROM="tessera@example.edu",
        ALERT_MAIL_TO="desk@example.edu operator@example.edu",
        ALERT_WEBHOOK_URL=f"{webhook.origin}/hook",
        ALERT_WEBHOOK_SECRET=SECRET,
        OUTGOING_ALLOWED=webhook.origin,
    ) as application:
        yield application


@pytest.fixture
def campus(app: Flask) -> Campus:
    with app.app_context():
        return build_campus()


def work(app: Flask, *, hours: float = 0) -> None:
    """What workers do after some time."""
    now = clock.now() + timedelta(hours=hours)
    with app.app_context():
        watch.look(notices.channels(app.extensions["settings"]), now=now)
        notices.send_due(now_fn=lambda: now, stopping=lambda: False)


def settle(app: Flask, state: ScoreState, finding: Finding | None = None) -> None:
    with app.app_context():
        for score in db.session.scalars(select(Score)):
            score.state, score.finding = state, finding
        db.session.commit()


def test_a_score_that_needs_attention_is_shown_and_told_once_and_its_end_too(
    app: Flask, campus: Campus, webhook: Webhook, mailbox: Mailbox
):
    rita = visit_as(app, campus, "rita", outside_course=True)
    work(app)
    assert webhook.calls == []
    with app.app_context():
        owe(campus, column=None)

    work(app)
    work(app, hours=0.5)

    assert "1 score needs attention" in rita.get("/ledger").text
    assert [(one["event"], one["kind"], one["count"]) for one in webhook.said()] == [("raised", "parked", 1)]
    assert [letter["To"] for letter in mailbox.letters] == ["desk@example.edu", "operator@example.edu"]
    assert mailbox.letters[0]["Subject"] == "Tessera: 1 score needs attention"
    assert "Lena" not in mailbox.text() + webhook.calls[0][1].decode()

    settle(app, ScoreState.CONFIRMED)
    work(app, hours=2)
    work(app, hours=3)

    assert [one["event"] for one in webhook.said()] == ["raised", "all clear"]
    assert mailbox.letters[-1]["Subject"] == "Tessera: All clear"
    assert "needs attention" not in rita.get("/ledger").text.split("desk-nav")[0]


def test_the_receiver_of_a_webhook_can_tell_us_from_others(app: Flask, campus: Campus, webhook: Webhook):
    with app.app_context():
        owe(campus, column=None)

    work(app)

    headers, body = webhook.calls[0]
    signed = hmac.new(SECRET.encode(), headers["x-tessera-timestamp"].encode() + b"." + body, hashlib.sha256)
    assert headers["x-tessera-signature"] == f"sha256={signed.hexdigest()}"
    assert json.loads(body)["url"] == "http://tool.localhost:8700"


def test_a_different_grade_in_the_lms_is_told_until_somebody_has_dealt_with_it(
    app: Flask, campus: Campus, webhook: Webhook
):
    with app.app_context():
        owe(campus)
    settle(app, ScoreState.OVERRIDDEN, Finding.OVERRIDDEN)
    work(app)
    assert [one["kind"] for one in webhook.said()] == ["differs"]

    with app.app_context():
        db.session.scalars(select(Score)).one().dealt_with_at = clock.now()
        db.session.commit()
    work(app, hours=2)

    assert [one["event"] for one in webhook.said()] == ["raised", "all clear"]


def test_a_platform_that_leaves_many_tries_unanswered_is_down_until_it_answers(
    app: Flask, campus: Campus, webhook: Webhook
):
    def hears(score_id: int, *heard: str) -> None:
        with app.app_context():
            db.session.add_all(
                ScoreTry(score_id=score_id, at=clock.now(), milliseconds=1, heard=one, answer="", verdict="")
                for one in heard
            )
            db.session.commit()

    with app.app_context():
        first, second = owe(campus), owe(campus, who="mateo")
    hears(first, "failing", "unknown")
    hears(second, "failing", "failing")
    work(app)
    assert webhook.calls == []

    hears(first, "failing")
    work(app)
    assert [(one["kind"], one["count"]) for one in webhook.said()] == [("down", 5)]
    assert (
        "has not answered 5 times in a row"
        in visit_as(app, campus, "rita", outside_course=True).get("/ledger").text
    )

    hears(second, "accepted")
    work(app, hours=2)
    assert [one["event"] for one in webhook.said()] == ["raised", "all clear"]


def test_badges_that_nobody_could_sign_are_told(app: Flask, campus: Campus, webhook: Webhook):
    earn(app, campus, "lena")
    with app.app_context():
        db.session.scalars(select(Badge)).one().to_sign_since = clock.now() - timedelta(hours=1)
        for score in db.session.scalars(select(Score)):
            score.state = ScoreState.CONFIRMED
        db.session.commit()

    work(app)

    assert [(one["kind"], one["deployment"]) for one in webhook.said()] == [("unsigned", None)]


def test_a_receiver_that_is_away_gets_it_later_and_the_mail_goes_all_the_same(
    app: Flask, campus: Campus, webhook: Webhook, mailbox: Mailbox
):
    webhook.says = 500
    with app.app_context():
        owe(campus, column=None)
    work(app)
    webhook.says = 204
    work(app, hours=0.2)

    assert len(webhook.calls) == 2
    assert len(mailbox.letters) == 2
    with app.app_context():
        assert {row.outcome for row in db.session.scalars(select(AlertNotice))} == {"sent"}


def test_an_address_that_fails_is_tried_again_and_the_others_read_it_once(
    app: Flask, campus: Campus, mailbox: Mailbox
):
    mailbox.busy_for = "operator@example.edu"
    with app.app_context():
        owe(campus, column=None)
    work(app)
    mailbox.busy_for = ""
    work(app, hours=0.2)

    assert [letter["To"] for letter in mailbox.letters] == ["desk@example.edu", "operator@example.edu"]


def test_two_workers_tell_it_once(app: Flask, campus: Campus, webhook: Webhook):
    with app.app_context():
        owe(campus, column=None)
    start = threading.Barrier(2)

    def one_of_two() -> None:
        start.wait()
        work(app)

    workers = [threading.Thread(target=one_of_two) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)

    assert len(webhook.calls) == 1


def test_another_deployment_does_not_see_it(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, column=None)
        work(app)
        assert [alert.count for alert in watch.standing(campus.deployment)] == [1]
        assert watch.standing(campus.deployment + 1) == []


def test_a_worker_process_tells_of_it_and_seals_the_audit_log_without_being_asked(
    app: Flask, campus: Campus, webhook: Webhook, home: Path
):
    with app.app_context():
        owe(campus, column=None)
        assert seals.verify().waiting > 0
    settings_of_worker = SETTINGS | {
        "TESSERA_HOME": str(home),
        "SECRET_KEY": APP_SECRET,
        "LOG_LEVEL": "ERROR",
        "ALERT_WEBHOOK_URL": f"{webhook.origin}/hook",
        "ALERT_WEBHOOK_SECRET": SECRET,
        "OUTGOING_ALLOWED": webhook.origin,
    }

    def sealed() -> bool:
        with app.app_context():
            return not seals.verify().waiting

    worker = subprocess.Popen([*PROGRAM, "worker"], env=os.environ | settings_of_worker)
    try:
        eventually(lambda: webhook.calls, "the webhook is told")
        eventually(sealed, "every event is sealed")
    finally:
        kill(worker)
    with app.app_context():
        assert seals.verify().problems == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ALERT_MAIL_TO": "desk@example.edu"}, "needs a mail server"),
        ({"ALERT_MAIL_TO": "desk"}, "must be addresses"),
        (
            {"ALERT_WEBHOOK_URL": "http://intranet/hook", "ALERT_WEBHOOK_SECRET": SECRET},
            "must begin with https",
        ),
        ({"ALERT_WEBHOOK_URL": "https://hooks.example.edu/x"}, "at least 32 characters"),
    ],
)
def test_settings_that_could_tell_nobody_stop_the_start(tmp_path: Path, given: dict[str, str], said: str):
    with pytest.raises(settings.SettingsError, match=said):
        settings_for(tmp_path, **given)
