from pathlib import Path

from flask import Flask

from lti_tool import tasks
from lti_tool.passback.models import ScoreState
from tests.passback.gradebooks import ledger, owe
from tests.support.apps import running
from tests.support.cast import Campus


def test_a_wake_up_call_waits_in_the_queue_for_a_worker(home: Path):
    with running(home, QUEUE_URL="") as app, app.app_context():
        tasks.wake()

        jobs: tasks.Jobs = app.extensions["jobs"]
        assert jobs.huey.pending_count() == 2
        jobs.huey.storage.close()


def test_a_dead_queue_fails_no_request(home: Path):
    with running(home, QUEUE_URL="redis://127.0.0.1:1/0") as app, app.app_context():
        tasks.wake()


def test_a_queue_that_is_down_at_the_start_does_not_keep_tessera_from_starting(home: Path):
    with running(home, QUEUE_URL="postgresql://nobody@127.0.0.1:1/none") as app, app.app_context():
        tasks.wake()


def test_a_broken_queue_file_fails_no_request(home: Path, tmp_path: Path):
    broken = tmp_path / "queue.db"
    broken.write_bytes(b"no database at all" * 100)

    with running(home, QUEUE_URL=f"sqlite:///{broken}") as app, app.app_context():
        tasks.wake()


def test_without_a_queue_of_its_own_the_web_process_delivers_at_once(app: Flask, here: Campus):
    """The platform of this test does not exist, so what is seen is that it was tried."""
    score_id = owe(here)

    tasks.wake()

    score = ledger(score_id)
    assert (score.state, score.tries) == (ScoreState.OWED, 1)
