"""Scores on their way to a practice LMS: what it refuses, what it puts off, and what must not be lost between the two.

Where a platform refuses one, the registrar reads why, somebody mends it, and it is sent again.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import select

from lti_tool import clock
from lti_tool.assessment.models import Outcome
from lti_tool.assessment.service import decide
from lti_tool.database import db
from lti_tool.passback import courier
from lti_tool.passback.models import ScoreState, ScoreTry
from lti_tool.people.models import Account
from lti_tool.practice_lms import store
from tests.conftest import app
from tests.faults.conftest import scene
from tests.faults.machines import Scene
from tests.support.apps import NOON
from tests.support.submitted import hand_in_work, marks_for, version_of
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


@pytest.mark.parametrize(
    ("scene", "where"),
    [("canvas", "/scores"), ("moodle", "/scores"), ("moodle", "/token")],
    indirect=["scene"],
    ids=["a token that is a JWT", "a token that is a word", "an assertion"],
)
def test_what_an_lms_quotes_of_our_credentials_is_not_kept(scene: Scene, where: str) -> None:
    """Some frameworks print the whole request on their error pages."""
    inside, quoted = scene.lms.app.wsgi_app, []

    def quotes(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if not environ["PATH_INFO"].endswith(where):
            return inside(environ, start)
        sent = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
        bearer = environ.get("HTTP_AUTHORIZATION", "")
        quoted.extend(parse_qs(sent).get("client_assertion", []) + bearer.split()[1:])
        headers = {"Authorization": bearer, "form": sent}
        page = (
            f"Fatal error 17. [HTTP_AUTHORIZATION] => {bearer}; {json.dumps(headers)} <td>{quoted[-1]}</td>"
        )
        start("500 Internal Server Error", [("Content-Type", "text/html")])
        return [page.encode()]

    scene.lms.app.wsgi_app = quotes
    score = scene.owe()
    deliver(scene)

    story = desk(scene).get(f"/ledger/{score}").text
    with scene.app.app_context():
        [kept] = db.session.scalars(select(ScoreTry.answer).filter_by(score_id=score))
    assert "Fatal error 17." in story
    assert "Fatal error 17." in kept
    assert len(quoted) == 1
    for part in [*quoted[0].split("."), quoted[0][:40]]:
        assert part not in story
        assert part not in kept


@MOODLE
def test_work_that_was_handed_in_twice_is_dated_by_the_hand_in_that_was_decided_on(scene: Scene) -> None:
    first, again = NOON, NOON + timedelta(days=2)
    with scene.app.app_context():
        account = db.session.get_one(Account, scene.campus.accounts["lena"])
        account.subject = scene.subject
        for at, outcome, below in ((first, Outcome.NOT_YET, 3), (again, Outcome.DEMONSTRATED, 0)):
            work = hand_in_work(scene.campus, "lena", at=at)
            marks = marks_for(version_of(work), below=below)
            now = at + timedelta(days=1)
            decide(work.id, scene.campus.accounts["ingrid"], marks, "See the comments.", outcome, now=now)
        db.session.commit()
    scene.control(fail=[503])
    deliver(scene)
    deliver(scene, timedelta(minutes=5))

    assert [one["status"] for one in scene.posts()] == [503, 200]
    for post in scene.posts():
        assert datetime.fromisoformat(post["body"]["submission"]["submittedAt"]) == again
        assert datetime.fromisoformat(post["body"]["timestamp"]) == again + timedelta(days=1)
        assert post["body"]["activityProgress"] == "Completed"
        assert post["body"]["gradingProgress"] == "FullyGraded"


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
