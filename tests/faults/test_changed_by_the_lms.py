"""An LMS that takes a score with a friendly answer and shows another: a real worker reads it back and says why."""

from datetime import UTC, datetime, timedelta

import pytest

from lti_tool.passback.models import Finding, ScoreState
from lti_tool.practice_lms import store
from tests.faults.machines import Scene
from tests.support.apps import NOON

READ_SOON = {"READ_BACK_AFTER": "1s 1d"}


def due(scene: Scene, at: datetime, *, percent: int) -> None:
    """The activity was due then, and the course takes so much off for each day."""
    with scene.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        lms_db.execute("UPDATE activity SET due_at = ?", (f"{at:%Y-%m-%dT%H:%M:%SZ}",))
        store.set_setting(lms_db, "late_percent", str(percent))


def set_by_hand(scene: Scene, points: float) -> None:
    """Before the tool has sent anything."""
    inside = scene.lms.app.extensions["practice_lms"]
    with inside.store.transaction() as lms_db:
        item = lms_db.execute("SELECT id FROM line_item").fetchone()["id"]
        person = lms_db.execute("SELECT id FROM person WHERE sub = ?", (scene.subject,)).fetchone()["id"]
        inside.behaviour.override(lms_db, store.grade(lms_db, item, person), points, "As agreed.")


def test_what_canvas_late_policy_takes_off_is_named_as_such_and_not_as_a_person_s_grade(scene: Scene):
    due(scene, NOON - timedelta(hours=25), percent=10)
    score_id = scene.owe("10")
    scene.start_worker(**READ_SOON)

    score = scene.found(score_id)

    assert (score.state, score.finding) == (ScoreState.ACCEPTED, Finding.DIFFERENT)
    assert "late policy" in str(score.reason)
    assert (score.shown_points, score.shown_possible) == (8, 10)
    shown = scene.cell()
    assert shown is not None
    assert (shown["score"], shown["deducted"], shown["overridden"]) == (8, 2, False)
    assert len(scene.posts()) == 1


def test_work_that_was_handed_in_in_time_loses_nothing_however_late_it_is_decided(scene: Scene):
    due(scene, NOON + timedelta(hours=1), percent=10)
    score_id = scene.owe("10", at=NOON + timedelta(days=30))
    scene.start_worker(**READ_SOON)

    assert scene.found(score_id).state is ScoreState.CONFIRMED


@pytest.mark.parametrize("scene", ["moodle"], indirect=True)
def test_moodle_answers_200_and_keeps_what_a_teacher_set_and_the_ledger_says_so(scene: Scene):
    set_by_hand(scene, 7)
    score_id = scene.owe("10", at=datetime.now(UTC) + timedelta(seconds=2))
    scene.start_worker(**READ_SOON)

    score = scene.found(score_id)

    assert [one["status"] for one in scene.posts()] == [200]
    assert (score.state, score.finding) == (ScoreState.OVERRIDDEN, Finding.OVERRIDDEN)
    assert (score.shown_points, score.shown_possible) == (7, 10)
    shown = scene.cell()
    assert shown is not None
    assert (shown["score"], shown["overridden"]) == (7, True)


@pytest.mark.parametrize("scene", ["canvas", "moodle"], indirect=True)
def test_what_a_teacher_set_stays_when_a_later_score_follows(scene: Scene):
    first = scene.owe("4")
    scene.start_worker()
    scene.wait_until(first, ScoreState.ACCEPTED)
    set_by_hand(scene, 7)

    later = scene.owe("10", at=NOON + timedelta(days=1))

    scene.wait_until(later, ScoreState.OVERRIDDEN)
    assert len(scene.posts()) == 1
    shown = scene.cell()
    assert shown is not None
    assert shown["score"] == 7
