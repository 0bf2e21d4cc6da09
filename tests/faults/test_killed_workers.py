"""Whatever is killed, and whenever: a grade arrives, and in effect once."""

import os
import signal
import subprocess
import sys

import pytest

from lti_tool.passback.models import ScoreState
from tests.faults.machines import SETTINGS, Scene, eventually, kill, silent_server
from tests.support.apps import SECRET

# One kill after another of all workers is in test_every_backend.
pytestmark = pytest.mark.long

BOTH = pytest.mark.parametrize("scene", ["canvas", "moodle"], indirect=True)
_DECIDES_AND_DIES = """
import os, signal
from datetime import datetime, timezone
from decimal import Decimal
from lti_tool.app import create_app
from lti_tool.database import db
from lti_tool.passback import service

with create_app().app_context():
    cell = service.PlacementCell({placement}, {deployment}, {registration}, {column!r})
    now = datetime(2026, 10, 5, 12, tzinfo=timezone.utc)
    service.owe(placement=cell, account_id={account}, subject={subject!r}, decision_id=1, points=Decimal(10),
                points_possible=Decimal(10), comment="", submitted_at=now, now=now)
    db.session.commit()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_sends_what_it_finds_at_its_start(scene: Scene):
    score = scene.owe("8")

    scene.start_worker()

    scene.wait_until(score, ScoreState.ACCEPTED)
    assert _shown(scene) == 8


def test_a_worker_killed_between_taking_a_score_and_posting_it_loses_nothing(scene: Scene):
    real = str(scene.lms.registration["token_url"])
    with silent_server() as (address, called):
        scene.use_token_url(address)
        score = scene.owe()
        worker = scene.start_worker()
        eventually(called, "the worker asks for a token")
        assert scene.state(score) is ScoreState.SENDING
        kill(worker)
    scene.use_token_url(real)

    scene.start_worker()

    scene.wait_until(score, ScoreState.ACCEPTED)
    assert _shown(scene) == 10
    assert len(scene.posts()) == 1


@BOTH
def test_a_worker_killed_while_the_platform_stores_the_score_does_not_send_it_twice(scene: Scene):
    scene.control(delay=1.0)
    score = scene.owe()
    worker = scene.start_worker()
    eventually(scene.posts, "the score is on its way")
    kill(worker)
    scene.control()

    scene.start_worker()

    scene.wait_until(score, ScoreState.ACCEPTED)
    assert _shown(scene) == 10
    assert len(scene.posts()) == 1


@BOTH
def test_a_worker_killed_before_it_hears_the_answer_does_not_send_it_twice(scene: Scene):
    scene.control(delay_after=10.0)
    score = scene.owe()
    worker = scene.start_worker()
    eventually(lambda: _shown(scene) == 10, "the score is stored")
    kill(worker)
    scene.control()

    scene.start_worker()

    scene.wait_until(score, ScoreState.ACCEPTED)
    assert len(scene.posts()) == 1


def test_a_platform_that_answers_too_late_is_asked_what_it_shows(scene: Scene):
    scene.control(delay_after=4.0)
    score = scene.owe()

    scene.start_worker(LEASE_SECONDS="30")

    scene.wait_until(score, ScoreState.ACCEPTED)
    assert _shown(scene) == 10
    assert len(scene.posts()) == 1


def test_a_web_process_killed_right_after_its_commit_has_promised_enough(scene: Scene):
    """No wake-up call was ever sent; the worker finds the row by itself."""
    scene.start_worker()
    dies = _DECIDES_AND_DIES.format(
        placement=scene.campus.placement,
        deployment=scene.campus.deployment,
        registration=scene.campus.registration,
        account=scene.campus.accounts["lena"],
        column=scene.column,
        subject=scene.subject,
    )
    env = os.environ | SETTINGS | {"TESSERA_HOME": str(scene.home), "SECRET_KEY": SECRET}

    ended = subprocess.run([sys.executable, "-c", dies], env=env, timeout=30, check=False)

    assert ended.returncode == -signal.SIGKILL
    eventually(lambda: _shown(scene) == 10, "the gradebook shows the grade")
    assert len(scene.posts()) == 1


def test_two_workers_killed_in_the_middle_of_it_leave_one_grade(scene: Scene):
    scene.control(delay=1.0)
    score = scene.owe()
    workers = [scene.start_worker(), scene.start_worker()]
    eventually(scene.posts, "the score is on its way")
    for worker in workers:
        kill(worker)
    scene.control()

    scene.start_worker()
    scene.start_worker()

    scene.wait_until(score, ScoreState.ACCEPTED)
    assert _shown(scene) == 10
    assert len(scene.posts()) == 1


def test_a_queue_that_is_rubbish_does_not_keep_the_grade(scene: Scene):
    queue = scene.home / "broken.db"
    queue.write_bytes(b"this is no database" * 100)
    score = scene.owe()

    scene.start_worker(QUEUE_URL=f"sqlite:///{queue}")

    scene.wait_until(score, ScoreState.ACCEPTED)
    assert _shown(scene) == 10


def test_a_worker_that_is_asked_to_stop_finishes_what_it_has_in_hand(scene: Scene):
    scene.control(delay=1.0)
    score = scene.owe()
    worker = scene.start_worker()
    eventually(scene.posts, "the score is on its way")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=20) == 0
    assert scene.state(score) is ScoreState.ACCEPTED


def _shown(scene: Scene) -> float | None:
    cell = scene.cell()
    return None if cell is None else cell["score"]
