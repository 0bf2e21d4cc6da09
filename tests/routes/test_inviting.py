"""Invited registrars: how somebody who is no administrator comes to the desk, and who does not."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from lti_tool import clock
from lti_tool.audit import AuditEvent
from lti_tool.database import db
from lti_tool.people import doors
from lti_tool.people.models import DeskAccess, OneTimeLink, Purpose
from tests.support.cast import Campus, build_campus
from tests.support.visits import Browser, visit_as

ROOT = "https://tool.localhost"
CLAIM = "/desk-invitation"


@pytest.fixture
def rita(app: Flask, campus: Campus) -> Browser:
    """An administrator on the list, at the page of her deployment."""
    browser = visit_as(app, campus, "rita")
    browser.base += f"/connections/deployments/{campus.deployment}"
    return browser


@pytest.fixture
def otto(app: Flask, campus: Campus) -> Browser:
    """He teaches, and is to be a registrar."""
    return visit_as(app, campus, "otto")


def invitation(rita: Browser, name: str = "Otto, records office") -> str:
    page = rita.post("/invitations", {"for": name})
    assert page.status_code == 200
    found = re.search(r"https?://[^\s<]+/desk/invitation/([\w-]+)", page.text)
    assert found
    return found[1]


def test_whoever_was_invited_opens_the_desk_and_finds_it_again_on_later_visits(
    app: Flask, campus: Campus, rita: Browser, otto: Browser
):
    assert "Registrar’s desk" not in otto.get("/course").text
    code = invitation(rita)
    link = f"{ROOT}/desk/invitation/{code}"
    for _ in range(2):
        told = otto.get(link).text
        assert "I have an invitation" in told
        assert "Example canvas" in told
    assert "I have an invitation" in otto.get("/course").text

    joined = otto.post(CLAIM, {"invitation": f" {link}/ "})

    assert "This is the registrar’s desk" in otto.get(joined.headers["Location"]).text
    later = visit_as(app, campus, "otto", role="observer")
    assert "Registrar’s desk" in later.get("/badges").text
    assert later.get("/ledger").status_code == 200
    assert later.get(CLAIM).headers["Location"].endswith("/ledger")
    page = rita.get("")
    assert "Otto Keller" in page.text
    assert "records office" not in page.text
    with app.app_context():
        told = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "desk access granted")).one()
        assert told.actor_account_id == campus.accounts["otto"]
        assert told.details == {"via": "invitation", "subject": "otto"}
        used = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "one-time link used")).one()
        assert used.actor_account_id == campus.accounts["otto"]
        made = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "one-time link made")).one()
        assert made.actor_account_id == campus.accounts["rita"]
        assert "Otto" not in str(made.details)


def test_an_observer_and_an_administrator_are_led_to_where_the_invitation_is_put_in_and_then_to_the_desk(
    app: Flask, campus: Campus, rita: Browser
):
    watching, ada = visit_as(app, campus, "otto", role="observer"), visit_as(app, campus, "ada")
    outside = visit_as(app, campus, "otto", role="none", outside_course=True)
    assert (watching.get("/").status_code, outside.get("/").status_code) == (403, 404)
    code = invitation(rita)
    for browser in (watching, ada, outside):
        assert browser.get("/").headers["Location"].endswith(CLAIM)

    watching.post(CLAIM, {"invitation": code})

    for browser in (watching, outside):
        assert browser.get("/").headers["Location"].endswith("/ledger")
    assert ada.get(ada.get("/").headers["Location"]).status_code == 403


def test_who_is_on_the_list_and_who_may_come_in_is_not_for_the_invited_to_say(
    campus: Campus, rita: Browser, otto: Browser
):
    otto.post(CLAIM, {"invitation": invitation(rita)})

    assert "Connections" not in otto.get("/ledger").text
    assert otto.get("/connections/").status_code == 403
    path = f"/connections/deployments/{campus.deployment}"
    assert otto.post(f"{path}/desk", {"remove": "rita"}).status_code == 403
    assert otto.post(f"{path}/invitations", {"for": "a friend"}).status_code == 403


def test_where_they_learn_themselves_there_is_no_desk(
    app: Flask, campus: Campus, rita: Browser, otto: Browser
):
    code = invitation(rita)
    student = visit_as(app, campus, "otto", role="learner")
    assert student.post(CLAIM, {"invitation": code}).status_code == 403
    assert "I have an invitation" not in student.get("/badges").text
    otto.post(CLAIM, {"invitation": code})

    assert student.get("/ledger").status_code == 403
    assert "Registrar’s desk" not in student.get("/badges").text
    assert otto.get("/ledger").status_code == 200


def test_an_invitation_is_used_once_and_not_after_its_time(
    app: Flask, campus: Campus, rita: Browser, otto: Browser
):
    code, late = invitation(rita), invitation(rita)
    with app.app_context():
        db.session.execute(
            update(OneTimeLink)
            .where(OneTimeLink.secret_hash == doors._digest(late))
            .values(expires_at=clock.now() - timedelta(seconds=1))
        )
        db.session.commit()
    otto.post(CLAIM, {"invitation": code})
    ada = visit_as(app, campus, "ada")

    used, over, made_up = (ada.post(CLAIM, {"invitation": one}) for one in (code, late, "é" * 20))

    assert (used.status_code, over.status_code, made_up.status_code) == (422, 422, 422)
    assert "was used already" in used.text
    assert "its time is over" in over.text
    assert "its time is over" in made_up.text
    assert ada.get("/ledger").status_code == 403
    assert ada.get(f"{ROOT}/desk/invitation/{code}").status_code == 410
    assert ada.get(f"{ROOT}/desk/invitation/{late}").status_code == 404


def test_an_invitation_opens_the_desk_of_its_own_deployment_only(app: Flask, campus: Campus, otto: Browser):
    with app.app_context():
        moodle = build_campus("moodle")
        code = doors.invite(
            Purpose.REGISTRAR, deployment_pk=moodle.deployment, lasts=timedelta(days=1), now=clock.now()
        )
        operators = doors.invite(Purpose.ADMINISTRATOR, lasts=timedelta(days=1), now=clock.now())
        db.session.commit()

    wrong = otto.post(CLAIM, {"invitation": code})

    assert wrong.status_code == 422
    assert "for another learning platform" in wrong.text
    assert otto.post(CLAIM, {"invitation": operators}).status_code == 422
    assert otto.get(f"{ROOT}/admin/enter/{code}").status_code == 404
    there = visit_as(app, moodle, "otto")
    assert there.post(CLAIM, {"invitation": code}).status_code == 303
    assert (there.get("/ledger").status_code, otto.get("/ledger").status_code) == (200, 403)


def test_an_invitation_is_withdrawn_and_so_is_what_it_gave(
    app: Flask, campus: Campus, rita: Browser, otto: Browser
):
    first, code = invitation(rita), invitation(rita, "Otto")
    otto.post(CLAIM, {"invitation": code})
    with app.app_context():
        number = db.session.scalars(
            select(OneTimeLink.id).where(OneTimeLink.secret_hash == doors._digest(first))
        ).one()

    assert rita.post(f"/invitations/{number}/withdraw").status_code == 303
    assert rita.post(f"/invitations/{number}/withdraw").status_code == 404
    rita.post("/desk", {"remove": "otto"})

    assert visit_as(app, campus, "ada").post(CLAIM, {"invitation": first}).status_code == 422
    assert otto.get("/ledger").status_code == 403
    assert "Registrar’s desk" not in otto.get("/course").text


def test_an_administrator_of_another_platform_neither_invites_nor_withdraws_here(
    app: Flask, campus: Campus, rita: Browser
):
    invitation(rita)
    with app.app_context():
        moodle = build_campus("moodle")
    theirs = visit_as(app, moodle, "rita")
    path = f"/connections/deployments/{campus.deployment}/invitations"

    assert theirs.post(path, {"for": "me"}).status_code == 404
    assert theirs.post(f"{path}/1/withdraw").status_code == 404
    own = f"/connections/deployments/{moodle.deployment}/invitations/1/withdraw"
    assert theirs.post(own).status_code == 404
    assert rita.post("/invitations", {"for": " "}).status_code == 422
    with app.app_context():
        assert len(db.session.scalars(select(OneTimeLink)).all()) == 1
        assert db.session.scalars(select(DeskAccess).where(DeskAccess.invited)).all() == []
