"""A platform's maintenance night, with a clock that runs faster than ours."""

from datetime import datetime, timedelta

import pytest

from lti_tool import clock
from lti_tool.passback import courier
from lti_tool.passback.models import ScoreState
from tests.faults.machines import Scene


def _work(scene: Scene, at: datetime) -> None:
    with scene.app.app_context():
        courier.deliver_due(now_fn=lambda: at)


@pytest.mark.parametrize("scene", ["canvas", "moodle"], indirect=True)
def test_an_lms_that_is_away_all_night_has_the_score_in_the_morning_once(scene: Scene):
    evening = clock.now()
    morning = evening + timedelta(hours=10)
    score = scene.owe("9", at=evening)
    scene.control(fail=[503] * 200)

    at, states = evening, set()
    while at < morning:
        _work(scene, at)
        states.add(scene.state(score))
        at += timedelta(minutes=5)
    tried = len(scene.posts())
    scene.control(fail=[])
    while at < morning + timedelta(hours=1, minutes=30):
        _work(scene, at)
        at += timedelta(minutes=5)

    assert states == {ScoreState.OWED}
    assert 10 <= tried <= 30
    assert scene.state(score) is ScoreState.ACCEPTED
    assert [one["status"] for one in scene.posts()[tried:]] == [200]
    shown = scene.cell()
    assert shown is not None
    assert shown["score"] == 9
