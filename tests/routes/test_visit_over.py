"""A visit that is over says so, keeps what was typed, and leads back; and who may frame a page that says no."""

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti.models import Deployment, Launch
from lti_tool.lti.registrations import RegistrationConflict, add_frame_origin, remove_frame_origin
from tests.lti.platform_double import ISSUER
from tests.routes.test_entry import LEARNER, ROOT, Person, key, person, platform
from tests.support.apps import NOON
from tests.support.cast import Campus
from tests.support.visits import Browser, visit_as

__all__ = ["key", "person", "platform"]

BACK = "https://canvas.example.edu/courses/7?sesskey=SECRET"
CANVAS = "https://canvas.example.edu"


@pytest.fixture
def ingrid(app: Flask, campus: Campus) -> Browser:
    return visit_as(app, campus, "ingrid", claims={"return_url": BACK})


def end_all(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(Launch).values(expires_at=clock.now()))
        db.session.commit()


def framers(answer: TestResponse) -> str:
    policy = answer.headers["Content-Security-Policy"].split("; ")
    return next(rule for rule in policy if rule.startswith("frame-ancestors ")).partition(" ")[2]


def test_a_visit_that_is_over_leads_back_to_the_course_and_stays_visible_in_its_frame(
    app: Flask, ingrid: Browser
) -> None:
    end_all(app)

    page = ingrid.get("/course")

    assert page.status_code == 401
    assert "This visit is over" in page.text
    assert f'href="{BACK}"' in page.text
    assert framers(page) == CANVAS


def test_nobody_else_is_shown_the_way_back_which_may_hold_a_session_key(app: Flask, ingrid: Browser) -> None:
    """Whoever has the address of a visit, from a history or a forwarded link."""
    for cookie in (None, "another browser"):
        ingrid.client.delete_cookie("__Host-tessera", domain="tool.localhost")
        if cookie is not None:
            ingrid.client.set_cookie("__Host-tessera", cookie, domain="tool.localhost", secure=True)
        page = ingrid.get("/course")

        assert page.status_code == 401
        assert "sesskey" not in page.text
        assert framers(page) == CANVAS


def test_what_an_assessor_typed_is_handed_back_when_the_visit_is_over(app: Flask, ingrid: Browser) -> None:
    typed = {
        "intent": "decide",
        "level-a1-1": "developing",
        "comment-a1-1": "Name the learners.",
        "feedback": "An hour of thought.\nA second line, with <b>markup</b>.",
    }
    end_all(app)

    page = ingrid.post("/review/1", typed)

    assert page.status_code == 401
    assert "Not saved, but not lost" in page.text
    for words in ("developing", "Name the learners.", "A second line, with &lt;b&gt;markup&lt;/b&gt;."):
        assert words in page.text
    assert "Comment on a1 1" in page.text
    assert "csrf" not in page.text
    assert f'href="{BACK}" target="_blank"' in page.text
    assert framers(page) == CANVAS


def test_words_that_another_site_sent_are_not_shown_as_if_they_had_been_typed_here(
    app: Flask, ingrid: Browser
) -> None:
    end_all(app)

    page = ingrid.post("/review/1", {"feedback": "Call us now"}, headers={"Sec-Fetch-Site": "cross-site"})

    assert page.status_code == 401
    assert "Call us now" not in page.text


def test_a_page_says_how_long_the_visit_lasts_so_that_it_can_warn_in_time(ingrid: Browser) -> None:
    page = ingrid.get("/course").text

    seconds = int(page.partition('data-visit-seconds="')[2].partition('"')[0])
    assert 8 * 3600 - 60 < seconds <= 8 * 3600
    assert "js/ends.js" in page


def test_a_refusal_inside_a_visit_is_framed_by_its_platform_only(ingrid: Browser) -> None:
    page = ingrid.get("/review/999999")

    assert page.status_code == 404
    assert framers(page) == CANVAS


def test_a_refusal_before_anybody_is_known_says_nothing_and_may_stand_in_any_frame(app: Flask) -> None:
    client = app.test_client()

    for page in (client.get("/l/unknown/course", base_url=ROOT), client.post("/lti/launch", base_url=ROOT)):
        assert framers(page) == "*"
        assert "<form" not in page.text


def test_a_refusal_on_a_page_that_no_platform_shows_is_framed_by_nobody(app: Flask) -> None:
    assert framers(app.test_client().post("/verify", base_url=ROOT)) == "'none'"


# Sites that may frame us besides those that a launch names


def test_a_school_s_own_domain_may_frame_visits_from_its_next_launch_on(app: Flask, person: Person) -> None:
    before = person.launch(LEARNER)
    with app.app_context():
        deployment = db.session.query(Deployment).one()
        assert add_frame_origin(deployment, "https://Learn.School.example/courses/1", now=NOON)
        add_frame_origin(deployment, "https://learn.school.example", now=NOON)
        db.session.commit()

    after = person.launch(LEARNER)

    assert framers(person.open(before)) == ISSUER
    assert framers(person.open(after)) == f"{ISSUER} https://learn.school.example"


@pytest.mark.parametrize(
    "address", ["learn.school.example", "https://a.example; script-src *", "*", "javascript:1"]
)
def test_only_a_web_address_may_be_named(app: Flask, campus: Campus, address: str) -> None:
    with app.app_context(), pytest.raises(RegistrationConflict):
        add_frame_origin(db.session.query(Deployment).one(), address, now=NOON)


def test_a_site_can_be_taken_off_again(app: Flask, campus: Campus) -> None:
    with app.app_context():
        deployment = db.session.query(Deployment).one()
        add_frame_origin(deployment, "https://learn.school.example", now=NOON)

        assert remove_frame_origin(deployment, "https://learn.school.example/", now=NOON)
        assert not remove_frame_origin(deployment, "https://learn.school.example", now=NOON)
        assert deployment.frame_origins == []
