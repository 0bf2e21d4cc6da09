"""What its earner took back, and evidence that was hidden, is not signed again, nor handed out any more."""

from flask import Flask
from sqlalchemy import select

from lti_tool import clock
from lti_tool.backpack import consents, service
from lti_tool.backpack.models import Act
from lti_tool.badges.models import Badge
from lti_tool.badges.queries import document
from lti_tool.badges.service import Reissue
from lti_tool.database import db
from lti_tool.submissions.models import Evidence
from tests.backpack.conftest import Stranger, shared_path, standing_badge, work
from tests.support.cast import Campus
from tests.support.visits import Browser, visit_as

PLACE = "https://photos.example.edu/lesson"


def agree(app: Flask, campus: Campus, badge: str, *, results: bool = False, evidence: bool = False) -> str:
    """Lena agrees that this stands in her badge, which leads to one link; returns the id of the badge then."""
    with app.app_context():
        held = db.session.get_one(Badge, badge)
        link = {"name": "A lesson", "narrative": "A link.", "url": PLACE, "sha256": None, "genre": ""}
        held.facts = held.facts | {"evidence": [link]}
        db.session.flush()
        change = Reissue(results=results or None, evidence=evidence or None)
        service.renew(badge, campus.persons["lena"], change=change, actor=None, now=clock.now())
        db.session.commit()
    work(app)
    with app.app_context():
        return standing_badge(campus, "lena")


def agreed(app: Flask, badge: str) -> set[Act]:
    with app.app_context():
        return set(consents.standing(badge, now=clock.now()))


def take_back(app: Flask, lena: Browser, badge: str, act: Act) -> int:
    with app.app_context():
        consent = consents.standing(badge, now=clock.now())[act].id
    return lena.post(f"/badges/agreed/{consent}").status_code


def public_page(lena: Browser, badge: str) -> str:
    lena.post(f"/badges/{badge}/share")
    return shared_path(lena.get(f"/badges/{badge}").text)


def revoke(app: Flask, badge: str) -> None:
    with app.app_context():
        service.revoke(badge, reason="By mistake.", actor=None, now=clock.now())
        db.session.commit()


def issue_again(app: Flask, badge: str) -> str:
    with app.app_context():
        new = service.issue_again(badge, actor=None, now=clock.now()).id
        db.session.commit()
    work(app)
    return new


def text(app: Flask, badge: str) -> str:
    with app.app_context():
        return document(badge)


def hide(app: Flask, who: Browser) -> int:
    with app.app_context():
        piece = db.session.scalars(select(Evidence.id)).first()
    return who.post(f"/work/evidence/{piece}/privacy").status_code


def test_a_badge_is_issued_again_without_its_links_once_evidence_is_hidden(
    app: Flask, campus: Campus, badge: str, lena: Browser, stranger: Stranger
):
    old = agree(app, campus, badge, results=True, evidence=True)
    page = public_page(lena, old)
    assert PLACE in stranger.get(f"{page}/badge.json").text

    assert hide(app, lena) == 303
    work(app)

    with app.app_context():
        new = standing_badge(campus, "lena")
    assert new != old
    public = stranger.get(f"{page}/badge.json")
    assert public.status_code == 200
    assert PLACE not in public.text
    assert '"result"' in public.text
    assert agreed(app, new) == {Act.PAGE, Act.RESULTS}


def test_faculty_who_hide_evidence_take_it_out_of_the_badge_too(
    app: Flask, campus: Campus, badge: str, lena: Browser
):
    old = agree(app, campus, badge, evidence=True)
    with app.app_context():
        piece = db.session.scalars(select(Evidence.id)).first()
    ingrid = visit_as(app, campus, "ingrid")

    assert ingrid.post(f"/review/1/evidence/{piece}/problem").status_code == 303
    work(app)

    with app.app_context():
        new = standing_badge(campus, "lena")
    assert new != old
    assert PLACE not in text(app, new)


def test_hidden_evidence_is_in_no_later_badge(app: Flask, campus: Campus, badge: str, lena: Browser):
    held = agree(app, campus, badge, evidence=True)
    revoke(app, held)
    page_less = hide(app, lena)

    new = issue_again(app, held)

    assert page_less == 303
    assert PLACE not in text(app, new)
    assert agreed(app, new) == set()
    with app.app_context():
        wish = Reissue(evidence=True)
        service.renew(new, campus.persons["lena"], change=wish, actor=None, now=clock.now())
        db.session.commit()
    work(app)
    with app.app_context():
        last = standing_badge(campus, "lena")
    assert PLACE not in text(app, last)
    assert agreed(app, last) == set()


def test_a_revoked_badge_with_hidden_evidence_is_not_handed_out(
    app: Flask, campus: Campus, badge: str, lena: Browser, stranger: Stranger
):
    held = agree(app, campus, badge, evidence=True)
    page = public_page(lena, held)
    revoke(app, held)

    hide(app, lena)

    assert stranger.get(f"{page}/badge.json").status_code == 404


def test_results_that_were_taken_back_after_a_revocation_are_shown_and_signed_no_more(
    app: Flask, campus: Campus, badge: str, lena: Browser, stranger: Stranger
):
    held = agree(app, campus, badge, results=True)
    page = public_page(lena, held)
    revoke(app, held)
    assert '"result"' in stranger.get(f"{page}/badge.json").text

    assert take_back(app, lena, held, Act.RESULTS) == 303

    assert [stranger.get(f"{page}{rest}").status_code for rest in ("", "/badge.json", "/badge.png")] == [
        404
    ] * 3
    assert agreed(app, held) == set()
    assert '"result"' not in text(app, issue_again(app, held))


def test_what_still_is_agreed_to_is_signed_again(app: Flask, campus: Campus, badge: str, lena: Browser):
    held = agree(app, campus, badge, results=True, evidence=True)
    revoke(app, held)

    new = issue_again(app, held)

    assert PLACE in text(app, new)
    assert '"result"' in text(app, new)
    assert agreed(app, new) == {Act.RESULTS, Act.EVIDENCE}
