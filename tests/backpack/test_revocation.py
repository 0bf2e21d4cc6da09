"""Faculty take a badge back with a reason, and issue one again after an error. No grade changes."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool.badges.models import Badge
from lti_tool.badges.queries import status_of
from lti_tool.database import db
from lti_tool.passback.models import Score
from lti_tool.people.models import Membership
from lti_tool.submissions.models import Attempt
from tests.backpack.conftest import Stranger, earn, shared_path, standing_badge, work
from tests.support.cast import Campus, add_placement
from tests.support.visits import Browser, visit_as

REASON = "Awarded by mistake."


def attempt_of(app: Flask, campus: Campus, who: str) -> int:
    with app.app_context():
        return db.session.scalars(select(Attempt.id).where(Attempt.person_id == campus.persons[who])).one()


@pytest.fixture
def path(app: Flask, campus: Campus, badge: str) -> str:
    return f"/course/attempts/{attempt_of(app, campus, 'lena')}/badges"


@pytest.fixture
def ingrid(app: Flask, campus: Campus) -> Browser:
    return visit_as(app, campus, "ingrid")


def revoke(ingrid: Browser, path: str, badge: str, reason: str = REASON, **more: str) -> int:
    form = {f"reason-{badge}": reason, f"sure-{badge}": "yes"} | more
    return ingrid.post(f"{path}/{badge}/revoke", form).status_code


def test_the_way_there_leads_over_the_decision(ingrid: Browser, path: str, badge: str):
    assert f"{path}" in ingrid.get("/review/1").text
    page = ingrid.get(path).text
    assert "The reason is public" in page
    assert "No grade changes by this. Credit that was entered for this badge is withdrawn." in page


def test_everybody_who_may_know_of_it_reads_the_reason(
    app: Flask, ingrid: Browser, path: str, badge: str, lena: Browser, stranger: Stranger
):
    lena.post(f"/badges/{badge}/share")
    public = shared_path(lena.get(f"/badges/{badge}").text)

    assert revoke(ingrid, path, badge) == 303
    work(app)

    for page in (lena.get("/badges"), lena.get(f"/badges/{badge}"), ingrid.get(path)):
        assert REASON in page.text
    assert stranger.get(public).status_code == 200
    assert "linkedin.com" not in lena.get(f"/badges/{badge}").text
    with app.app_context():
        standing = status_of(f"urn:uuid:{badge}")
        assert standing is not None
        assert (standing.reason, standing.reissued) == (REASON, False)


def test_a_revocation_changes_no_grade(app: Flask, ingrid: Browser, path: str, badge: str):
    def owed() -> list[object]:
        with app.app_context():
            return [*db.session.execute(select(Score.id, Score.state, Score.points)).all()]

    before = owed()
    revoke(ingrid, path, badge)

    assert owed() == before


def test_without_a_reason_nothing_is_revoked(app: Flask, ingrid: Browser, path: str, badge: str):
    assert [revoke(ingrid, path, badge, reason) for reason in ("", "   ")] == [422, 422]
    with app.app_context():
        assert db.session.get_one(Badge, badge).revoked_at is None


def test_without_meaning_it_nothing_is_revoked_and_the_reason_stays_typed(
    app: Flask, ingrid: Browser, path: str, badge: str
):
    answer = ingrid.post(f"{path}/{badge}/revoke", {f"reason-{badge}": REASON})

    assert answer.status_code == 422
    assert REASON in answer.text
    with app.app_context():
        assert db.session.get_one(Badge, badge).revoked_at is None


def test_two_who_revoke_at_once_revoke_once(ingrid: Browser, path: str, badge: str):
    assert [revoke(ingrid, path, badge), revoke(ingrid, path, badge, "Another reason.")] == [303, 409]
    assert "Another reason." not in ingrid.get(path).text


def test_a_badge_revoked_by_mistake_is_issued_again_under_the_same_address(
    app: Flask, campus: Campus, ingrid: Browser, path: str, badge: str, lena: Browser, stranger: Stranger
):
    lena.post(f"/badges/{badge}/share", {"show_name": "yes"})
    public = shared_path(lena.get(f"/badges/{badge}").text)
    revoke(ingrid, path, badge)

    assert ingrid.post(f"{path}/{badge}/again").status_code == 303
    work(app)

    with app.app_context():
        new = db.session.get_one(Badge, standing_badge(campus, "lena"))
        old = db.session.get_one(Badge, badge)
        assert (old.revocation_reason, old.superseded_by_id) == (REASON, new.id)
        assert new.awarded_at == old.awarded_at
        assert old.facts["subject_id"] != new.facts["subject_id"]
    assert shared_path(lena.get(f"/badges/{new.id}").text) == public
    assert "Lena Brandt" in stranger.get(public).text
    assert ingrid.post(f"{path}/{badge}/again").status_code == 409


def test_a_standing_badge_is_issued_again_once(
    app: Flask, campus: Campus, ingrid: Browser, path: str, badge: str
):
    answers = [ingrid.post(f"{path}/{badge}/again").status_code for _ in range(2)]

    assert answers == [303, 409]
    with app.app_context():
        assert standing_badge(campus, "lena") != badge


def test_faculty_of_another_course_see_nothing_of_it(app: Flask, campus: Campus, path: str, badge: str):
    with app.app_context():
        otto = visit_as(app, campus, "otto", placement=_elsewhere(campus))

    assert otto.get(path).status_code == 404
    assert revoke(otto, path, badge) == 404
    assert otto.post(f"{path}/{badge}/again").status_code == 404


def _elsewhere(campus: Campus) -> int:
    placement = add_placement(campus.deployment, campus.other_course, "link-9", "udl-variability").id
    db.session.commit()
    return placement


def test_a_badge_of_another_attempt_is_not_there(
    app: Flask, campus: Campus, ingrid: Browser, path: str, badge: str
):
    other = earn(app, campus, "mateo", email="mateo@example.edu")

    assert revoke(ingrid, path, other) == 404


def test_nobody_takes_back_or_mends_their_own_badge(app: Flask, campus: Campus, path: str, badge: str):
    """Lena teaches the course this term."""
    with app.app_context():
        membership = db.session.scalars(
            select(Membership).where(Membership.account_id == campus.accounts["lena"])
        ).one()
        membership.role = "instructor"
        db.session.commit()
    lena = visit_as(app, campus, "lena", role="instructor")

    assert lena.get(path).status_code == 403
    assert revoke(lena, path, badge) == 403
    assert lena.post(f"{path}/{badge}/again").status_code == 403


def test_an_earner_has_no_such_page(lena: Browser, path: str, badge: str):
    assert lena.get(path).status_code == 403
    assert revoke(lena, path, badge) == 403


def test_the_page_does_not_tell_faculty_whether_a_badge_is_shared(
    ingrid: Browser, path: str, badge: str, lena: Browser
):
    def page() -> str:
        # How many seconds the visit still lasts is another matter.
        return re.sub(r'data-visit-seconds="\d+"', "", ingrid.get(path).text)

    private = page()

    lena.post(f"/badges/{badge}/share")

    assert page() == private
