"""Scores on their way to a practice LMS: what it refuses, what it puts off, and what must not be lost between the two.

Where a platform refuses one, the registrar reads why, somebody mends it, and it is sent again.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from lti_tool import clock
from lti_tool.passback import courier
from lti_tool.passback.models import ScoreState
from lti_tool.practice_lms import store
from tests.conftest import app
from tests.faults.conftest import scene
from tests.faults.machines import Scene
from tests.support.visits import Browser, visit_as

__all__ = ["app", "scene"]

CANVAS = pytest.mark.parametrize("scene", ["canvas"], indirect=True)
MOODLE = pytest.mark.parametrize("scene", ["moodle"], indirect=True)
BOTH = pytest.mark.parametrize("scene", ["canvas", "moodle"], indirect=True)


def deliver(scene: Scene, later: timedelta = timedelta(0)) -> None:
    with scene.app.app_context():
        courier.deliver_due(now_fn=lambda: clock.now() + later)


def set_published(scene: Scene, published: int) -> None:
    with scene.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        lms_db.execute("UPDATE activity SET published = ?", (published,))


def set_enrolled(scene: Scene, enrolled: bool) -> None:
    with scene.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        learner = store.learners(lms_db)[0] if not enrolled else None
        if learner is not None:
            lms_db.execute("UPDATE person SET enrolled = 0 WHERE id = ?", (learner["id"],))
        else:
            lms_db.execute("UPDATE person SET enrolled = 1 WHERE role = 'learner'")


def desk(scene: Scene) -> Browser:
    return visit_as(scene.app, scene.campus, "rita")


def send_again(scene: Scene, score: int) -> None:
    assert desk(scene).post(f"/ledger/{score}/send").status_code == 303
    deliver(scene)


@CANVAS
def test_an_unpublished_activity_is_named_and_the_score_goes_once_it_is_published(scene: Scene) -> None:
    set_published(scene, 0)
    score = scene.owe()

    deliver(scene)

    assert scene.state(score) is ScoreState.PARKED
    assert scene.cell() is None or scene.cell()["score"] is None
    page = desk(scene).get("/ledger?show=attention").text
    assert "ublish" in page
    assert "422" in page

    set_published(scene, 1)
    send_again(scene, score)
    assert scene.cell()["score"] == 10


@BOTH
def test_a_learner_who_left_gets_the_grade_after_coming_back(scene: Scene) -> None:
    set_enrolled(scene, False)
    score = scene.owe()

    deliver(scene)

    assert scene.state(score) is ScoreState.PARKED
    assert "Needs attention" in desk(scene).get("/ledger").text

    set_enrolled(scene, True)
    send_again(scene, score)
    assert scene.cell()["score"] == 10


@BOTH
def test_a_zero_arrives_as_a_zero(scene: Scene) -> None:
    score = scene.owe("0")

    deliver(scene)

    assert scene.state(score) is ScoreState.ACCEPTED
    assert scene.cell()["score"] == 0


@BOTH
def test_a_platform_that_could_not_fetch_our_keys_is_asked_again_and_nobody_is_bothered(scene: Scene) -> None:
    inside = scene.lms.app.extensions["practice_lms"]
    keys, inside.config = inside.config, replace(inside.config, tool_jwks={"keys": []})
    score = scene.owe()

    deliver(scene)

    assert scene.state(score) is ScoreState.OWED
    inside.config = keys
    deliver(scene, timedelta(minutes=5))
    assert scene.cell()["score"] == 10


@MOODLE
def test_two_scores_of_one_second_both_arrive_and_the_newer_stands(scene: Scene) -> None:
    """Moodle compares whole seconds and answers 409 to the second of them."""
    first = scene.owe("10")
    deliver(scene)

    second = scene.owe("7")
    deliver(scene)

    assert (scene.state(first), scene.state(second)) == (ScoreState.ACCEPTED, ScoreState.ACCEPTED)
    assert scene.cell()["score"] == 7
    assert [one["status"] for one in scene.posts()] == [200, 200]


@CANVAS
def test_a_canvas_that_is_asked_too_fast_gets_the_score_later_and_nobody_is_bothered(scene: Scene) -> None:
    scene.control(throttle=1, throttle_status=403)
    score = scene.owe()

    deliver(scene)

    assert scene.state(score) is ScoreState.OWED
    assert scene.cell() is None or scene.cell()["score"] is None
    deliver(scene, timedelta(minutes=5))
    assert scene.state(score) is ScoreState.ACCEPTED
    assert scene.cell()["score"] == 10


@CANVAS
def test_where_canvas_allows_no_further_attempt_an_assessed_score_still_lands(scene: Scene) -> None:
    """It belongs to the attempt that was handed in, so it makes none."""
    with scene.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        lms_db.execute("UPDATE activity SET allowed_attempts = 1")
        lms_db.execute("UPDATE grade SET attempt = 1")
    for points in ("6", "9"):
        score = scene.owe(points)
        deliver(scene)
        assert scene.state(score) is ScoreState.ACCEPTED

    assert scene.cell()["score"] == 9
    assert scene.cell()["attempt"] <= 1
