"""What a gradebook shows at this moment, for whoever looks at a score: asked for by a button, read by a worker."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool import clock
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Registration
from lti_tool.passback import readback
from lti_tool.passback.models import Finding, ReadBack, Score, ScoreState
from tests.lti.platform_double import FakePlatform, Reply
from tests.passback.gradebooks import REFUSED, FakeGradebook, deliver
from tests.passback.gradebooks import owe as owe_a_score
from tests.support.cast import Campus, add_placement, build_campus, simple_key
from tests.support.visits import Browser, visit_as

ITEM = "/line_items/1"
BUTTON = "Read it now</button>"


@pytest.fixture
def gradebook(app: Flask, campus: Campus) -> Iterator[FakePlatform]:
    """A column in which Lena has 7 and Mateo nothing."""
    platform = FakePlatform()
    with app.app_context():
        db.session.get_one(Registration, campus.registration).token_url = platform.url + "/token"
        db.session.get_one(Placement, campus.placement).line_item_url = platform.url + ITEM
        db.session.commit()
    shows(platform, lena=7)
    yield platform
    platform.close()


def shows(platform: FakePlatform, **grades: float) -> None:
    rows = [{"userId": who, "resultScore": points, "resultMaximum": 10} for who, points in grades.items()]
    platform.answers[f"{ITEM}/results"] = lambda _: Reply(body=json.dumps(rows).encode())


def sent(
    app: Flask,
    campus: Campus,
    platform: FakePlatform,
    who: str = "lena",
    *,
    taken: bool = True,
    at: datetime | None = None,
    decision: int | None = None,
) -> int:
    """A score of 10 that the platform took, or refused, some days ago; nothing of it is due to be read for weeks."""
    with app.app_context():
        then = at or clock.now() - timedelta(days=5)
        score_id = owe_a_score(
            campus,
            who=who,
            decision=decision or campus.accounts[who],
            column=platform.url + ITEM,
            now=then,
        )
        deliver(FakeGradebook(*(() if taken else (REFUSED,))), then)
        score = db.session.get_one(Score, score_id)
        if taken:
            score.read_due_at = clock.now() + timedelta(days=20)
        db.session.commit()
        return score_id


def press(browser: Browser, score_id: int) -> str:
    """Press the button at the desk, let the answer go out, and look again."""
    with browser.post(f"/ledger/{score_id}/read") as answer:
        assert answer.status_code == 303
        assert answer.headers["Location"].endswith("#shown")
    return words(browser, f"/ledger/{score_id}")


def words(browser: Browser, path: str) -> str:
    return " ".join(browser.get(path).text.split())


def asked(platform: FakePlatform) -> int:
    return len(platform.asked_at(f"{ITEM}/results"))


def test_a_registrar_has_it_read_and_sees_what_stands_there_now(
    app: Flask, campus: Campus, gradebook: FakePlatform
):
    score_id = sent(app, campus, gradebook)
    rita = visit_as(app, campus, "rita")
    before = words(rita, f"/ledger/{score_id}")

    after = press(rita, score_id)

    assert "Not read back yet" in before
    assert BUTTON in before
    assert "<dd>7 of 10</dd>" in after
    assert "The LMS shows a different grade" in after
    with app.app_context():
        score = db.session.get_one(Score, score_id)
        assert (score.state, score.finding) == (ScoreState.OVERRIDDEN, Finding.OVERRIDDEN)
        assert score.read_at is not None
        assert clock.now() - score.read_at < timedelta(minutes=5)


def test_the_platform_is_asked_after_the_answer_to_the_browser_has_gone_out(
    app: Flask, campus: Campus, gradebook: FakePlatform
):
    score_id = sent(app, campus, gradebook)
    rita = visit_as(app, campus, "rita")

    with rita.post(f"/ledger/{score_id}/read") as answer:
        during = asked(gradebook)
        page = words(rita, f"/ledger/{score_id}")
        assert answer.status_code == 303

    assert during == 0
    assert "Tessera is asking Canvas now" in page
    assert "data-again=" in page
    assert asked(gradebook) == 1
    assert "data-again=" not in words(rita, f"/ledger/{score_id}")


def test_a_column_is_read_once_a_minute_for_all_of_its_earners_whoever_asks(
    app: Flask, campus: Campus, gradebook: FakePlatform, monkeypatch: pytest.MonkeyPatch
):
    lenas, mateos = (sent(app, campus, gradebook, who) for who in ("lena", "mateo"))
    rita, ingrid = visit_as(app, campus, "rita"), visit_as(app, campus, "ingrid")

    press(rita, lenas)
    with ingrid.post(f"/course/grades/{mateos}", {"do": "read"}) as again:
        assert "read-lately" in again.headers["Location"]
    at_once = asked(gradebook)
    other = words(ingrid, f"/course/grades/{mateos}")
    later = clock.now() + timedelta(seconds=61)
    monkeypatch.setattr(clock, "now", lambda: later)
    press(rita, lenas)

    assert at_once == 1
    assert "The LMS shows no grade" in other
    assert asked(gradebook) == 2


def test_faculty_have_it_read_in_their_course_and_in_no_other(
    app: Flask, campus: Campus, gradebook: FakePlatform
):
    score_id = sent(app, campus, gradebook)
    with app.app_context():
        other = add_placement(campus.deployment, campus.other_course, "link-9", simple_key()).id
        db.session.commit()
    otto, ingrid = visit_as(app, campus, "otto", placement=other), visit_as(app, campus, "ingrid")

    assert otto.post(f"/course/grades/{score_id}", {"do": "read"}).status_code == 404
    assert asked(gradebook) == 0
    with ingrid.post(f"/course/grades/{score_id}", {"do": "read"}):
        pass
    page = words(ingrid, f"/course/grades/{score_id}")
    assert BUTTON in page
    assert "<dd>7 of 10</dd>" in page


def test_a_registrar_of_another_deployment_has_nothing_read_here(
    app: Flask, campus: Campus, gradebook: FakePlatform
):
    score_id = sent(app, campus, gradebook)
    with app.app_context():
        elsewhere = build_campus("moodle")

    assert visit_as(app, elsewhere, "rita").post(f"/ledger/{score_id}/read").status_code == 404
    assert asked(gradebook) == 0


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(503), "Canvas is busy or did not answer"),
        (Reply(403), "does not let Tessera read this column (status 403)"),
        (Reply(body=b"<html>"), "something that is no list of grades"),
    ],
)
def test_what_keeps_the_platform_from_being_read_is_said_in_words(
    app: Flask, campus: Campus, gradebook: FakePlatform, reply: Reply, said: str
):
    score_id = sent(app, campus, gradebook)
    gradebook.answers[f"{ITEM}/results"] = lambda _: reply
    rita = visit_as(app, campus, "rita")

    # Not closed before a worker has read: the web process has none that would wait in vain.
    still_open = rita.post(f"/ledger/{score_id}/read")
    with app.app_context():
        readback.read_due(now_fn=clock.now, wait=lambda _: None)
    page = words(rita, f"/ledger/{score_id}")

    still_open.close()
    assert "It could not be read" in page
    assert said in page
    assert BUTTON in page


def test_a_platform_that_is_left_alone_after_trouble_is_asked_all_the_same_when_somebody_wants_to_know(
    app: Flask, campus: Campus, gradebook: FakePlatform
):
    score_id = sent(app, campus, gradebook)
    with app.app_context():
        long_rest = clock.now() + timedelta(hours=6)
        db.session.add(ReadBack(registration_id=campus.registration, failures=9, rests_until=long_rest))
        db.session.commit()

    assert "<dd>7 of 10</dd>" in press(visit_as(app, campus, "rita"), score_id)


def test_of_a_score_that_was_refused_it_is_seen_what_stands_there_instead(
    app: Flask, campus: Campus, gradebook: FakePlatform
):
    score_id = sent(app, campus, gradebook, taken=False)

    page = press(visit_as(app, campus, "rita"), score_id)

    assert "<dd>7 of 10</dd>" in page
    with app.app_context():
        score = db.session.get_one(Score, score_id)
        assert (score.state, score.finding, score.read_due_at) == (ScoreState.PARKED, None, None)


def test_what_somebody_waits_for_is_read_before_what_has_been_due_for_long(
    app: Flask, campus: Campus, gradebook: FakePlatform
):
    score_id = sent(app, campus, gradebook)
    with app.app_context():
        for n in range(3):
            other = add_placement(campus.deployment, campus.course, f"more-{n}", simple_key())
            other.line_item_url = f"{gradebook.url}/line_items/more-{n}"
            db.session.flush()
            busy = Campus(**(vars(campus) | {"placement": other.id}))
            owe_a_score(
                busy, decision=n + 50, column=other.line_item_url, now=clock.now() - timedelta(days=9)
            )
            deliver(FakeGradebook(), clock.now() - timedelta(days=9))
        db.session.commit()

        readback.ask(score_id, now=clock.now())
        db.session.commit()
        readback.read_due(now_fn=clock.now, wait=lambda _: None)
        db.session.rollback()

    paths = [one.path for one in gradebook.asked if "/results" in one.path]
    assert paths[0].startswith(ITEM)
    assert len(paths) == 4


def test_nothing_is_read_where_a_newer_score_has_followed_or_there_is_no_column(
    app: Flask, campus: Campus, gradebook: FakePlatform
):
    old = sent(app, campus, gradebook, at=clock.now() - timedelta(days=8))
    new = sent(app, campus, gradebook, decision=78)
    with app.app_context():
        no_column = owe_a_score(campus, who="aiko", decision=77, column=None)
    rita = visit_as(app, campus, "rita")

    assert "is read for that one" in words(rita, f"/ledger/{old}")
    assert BUTTON in words(rita, f"/ledger/{new}")
    assert "There is no gradebook column to read" in words(rita, f"/ledger/{no_column}")
    assert BUTTON not in words(rita, f"/ledger/{old}") + words(rita, f"/ledger/{no_column}")
    with app.app_context():
        assert db.session.scalars(select(Score.read_due_at).filter_by(id=no_column)).one() is None
