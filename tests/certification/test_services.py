"""What comes after a launch, between the platform's services and the tool: rosters, tokens, columns, registration."""

from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool import clock, tasks
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Launch, Registration, Standing
from lti_tool.passback import service as passback
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Roster, RosterMember
from tests.certification import corpus
from tests.certification.corpus import Base, Claims, Sender
from tests.certification.way import SECOND, Way
from tests.lti.platform_double import LTI, Asked, FakePlatform, Reply
from tests.platforms.test_copied_courses import Town, place_activity, town
from tests.routes.registering import PLATFORM, Registering

__all__ = ["town"]

MEMBERS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
TEACHING = {
    corpus.MOODLE: Base("launch-instructor.json", corpus.MOODLE),
    corpus.CANVAS: Base("navigation-instructor.json", corpus.CANVAS),
    SECOND: Base("launch-instructor.json", SECOND),
}


def rostered(way: Way, sender: Sender, name: str) -> int:
    """An instructor opens an activity in a course of that name, whose roster is the double's; the course's id."""
    address = f"{way.platform.url}/{name}/members"

    def change(claims: Claims) -> None:
        claims["aud"] = sender.client_id
        claims[LTI + "context"] = {"id": name, "title": name}
        claims[LTI + "resource_link"] = {"id": f"link in {name}"}
        claims[MEMBERS] = {"context_memberships_url": address, "service_versions": ["2.0"]}

    assert way.open(TEACHING[sender], change).status_code == 303
    with way.app.app_context():
        return db.session.scalars(select(Roster.course_id).where(Roster.address == address)).one()


def pages_of(way: Way, name: str, link: str, pages: int = 3) -> None:
    """A roster of that many pages, one person on each. ``link`` is the header as the platform writes it."""
    address = f"{way.platform.url}/{name}/members"
    marks = [f"WyJSb290{number}Zz" for number in range(pages)]

    def answer(asked: Asked) -> Reply:
        query = parse_qs(urlsplit(asked.path).query)
        # A bookmark in other letters is no bookmark, and an address that is still escaped has no "page".
        mark = query.get("page", [f"bookmark:{marks[0]}"])[0].removeprefix("bookmark:")
        at = marks.index(mark)
        members = [{"user_id": f"{name}-{at}", "roles": [LEARNER], "status": "Active"}]
        # Headers travel as bytes: Moodle writes its quotes in UTF-8.
        said = link.format(address=address, mark=marks[min(at + 1, pages - 1)]).encode().decode("latin-1")
        more = {"Link": said} if at + 1 < pages else {}
        return Reply(body={"id": address, "context": {"id": name}, "members": members}, headers=more)

    way.platform.answers[f"/{name}/members"] = answer


@pytest.mark.parametrize(
    ("sender", "name", "link"),
    [
        (corpus.CANVAS, "bookmarks", '<{address}?page=bookmark:{mark}&limit=50>; rel="next"'),
        (corpus.MOODLE, "curly", "<{address}?limit=100&amp;page=bookmark:{mark}>; rel=“next”"),
        (corpus.MOODLE, "bare", "<{address}?page=bookmark:{mark}>; title=more; rel=next"),
    ],
    ids=["Canvas's bookmarks", "Moodle's typographic quotes", "no quotes, and not the first parameter"],
)
def test_every_page_of_a_roster_is_read_however_the_next_one_is_named(
    way: Way, sender: Sender, name: str, link: str
) -> None:
    pages_of(way, name, link)
    course = rostered(way, sender, name)

    tasks.read_roster(way.app, course, timedelta(0))

    with way.app.app_context():
        listed = select(RosterMember.subject).where(RosterMember.course_id == course)
        assert set(db.session.scalars(listed)) == {f"{name}-0", f"{name}-1", f"{name}-2"}


def test_two_tenants_with_one_issuer_and_one_token_address_never_share_a_token(way: Way) -> None:
    way.platform.asked.clear()
    for sender, name in ((corpus.MOODLE, "first"), (SECOND, "second")):
        pages_of(way, name, "", pages=1)
        tasks.read_roster(way.app, rostered(way, sender, name), timedelta(0))

    bearers = [
        way.platform.asked_at(f"/{name}/members")[0].headers["Authorization"] for name in ("first", "second")
    ]
    asked = [
        jwt.decode(one.form["client_assertion"], options={"verify_signature": False})["iss"]
        for one in way.platform.asked_at("/token")
    ]
    assert len(set(bearers)) == 2
    assert asked[-1] == SECOND.client_id
    assert asked.count(SECOND.client_id) == 1


def test_every_service_is_told_who_asks(way: Way) -> None:
    """Moodle behind its host's firewall answers 403 to whoever does not say so, and Canvas soon will."""
    pages_of(way, "polite", "", pages=1)
    tasks.read_roster(way.app, rostered(way, corpus.CANVAS, "polite"), timedelta(0))

    for path in ("/token", "/polite/members", "/jwks"):
        assert way.platform.asked_at(path)[-1].headers["User-Agent"].startswith("Tessera/")


@pytest.mark.parametrize("town", ["moodle"], indirect=True)
def test_a_column_that_a_teacher_deleted_is_made_anew_once(town: Town) -> None:
    ingrid, lena = town.person("Ingrid Okafor"), town.person("Lena Brandt")
    place_activity(ingrid)
    lena.launch(lena.activity())
    with town.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        lms_db.execute("UPDATE line_item SET deleted = 1")

    owe(town)
    for _ in range(3):
        tasks.deliver_scores(town.app)

    with town.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        columns = lms_db.execute("SELECT * FROM line_item WHERE deleted = 0").fetchall()
        grades = lms_db.execute(
            "SELECT score FROM grade WHERE line_item_id = ?", (columns[0]["id"],)
        ).fetchall()
    assert len(columns) == 1
    assert [grade["score"] for grade in grades] == [10]
    with town.app.app_context():
        states = db.session.scalars(select(Score.state).order_by(Score.id)).all()
    # The one for the column that is gone stays as history.
    assert states == [ScoreState.SUPERSEDED, ScoreState.ACCEPTED]


@pytest.mark.parametrize("town", ["canvas"], indirect=True)
def test_an_assignment_that_a_teacher_deleted_in_canvas_comes_back_once_as_the_same_activity(
    town: Town,
) -> None:
    ingrid, lena = town.person("Ingrid Okafor"), town.person("Lena Brandt")
    place_activity(ingrid)
    deleted = lena.activity()
    lena.launch(deleted)
    ingrid.lms.post(f"{deleted.removeprefix('/frame')}/delete")

    owe(town)
    for _ in range(3):
        tasks.deliver_scores(town.app)

    assert lena.activity() != deleted
    opened, course = lena.launch(lena.activity()), ingrid.launch(lena.activity())
    assert "Universal Design for Learning" in opened.text
    assert "The gradebook column of this activity was made anew" in course.text
    with town.app.app_context():
        [placement] = db.session.scalars(select(Placement))
        states = db.session.scalars(select(Score.state).order_by(Score.id)).all()
    assert states == [ScoreState.SUPERSEDED, ScoreState.ACCEPTED]
    with town.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        [item] = lms_db.execute("SELECT * FROM line_item WHERE deleted = 0").fetchall()
        grade = lms_db.execute("SELECT score FROM grade WHERE line_item_id = ?", (item["id"],)).fetchone()
    assert grade["score"] == 10
    assert placement.line_item_url is not None
    assert placement.line_item_url.endswith(f"/{item['id']}")


def owe(town: Town) -> None:
    """Ten of ten for the one learner who has been here, as a decision owes them."""
    with town.app.app_context():
        placement = db.session.scalars(select(Placement)).one()
        launch = db.session.scalars(select(Launch).where(Launch.role == "learner")).one()
        assert launch.account_id is not None
        passback.owe(
            placement=passback.PlacementCell(
                placement.id, launch.deployment_pk, launch.deployment.registration_id, placement.line_item_url
            ),
            account_id=launch.account_id,
            subject=launch.subject,
            decision_id=1,
            points=Decimal(10),
            points_possible=Decimal(10),
            comment="Clear goals.",
            submitted_at=clock.now(),
            now=clock.now(),
        )
        db.session.commit()


@pytest.mark.parametrize("as_strings", [True, False], ids=["names", "objects"])
def test_a_platform_registers_us_whether_it_lists_its_messages_as_names_or_as_objects(
    app: Flask, as_strings: bool
) -> None:
    platform = FakePlatform()
    try:
        lms = Registering(app, platform).as_moodle()
        messages = ["LtiResourceLinkRequest", "LtiDeepLinkingRequest"]
        listed = (
            messages
            if as_strings
            else [{"type": message, "placements": ["ContentArea"]} for message in messages]
        )
        lms.configuration[PLATFORM]["messages_supported"] = listed

        last = lms.register()

        assert last.status_code == 200
        assert "It waits for an approval" in last.text
        assert db.session.scalars(select(Registration)).one().state == Standing.PENDING
    finally:
        platform.close()
