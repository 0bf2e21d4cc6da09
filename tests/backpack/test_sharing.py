"""What an earner shows, to whom and for how long; and how they take it back."""

import json
import re
from datetime import timedelta
from io import BytesIO

import pytest
from flask import Flask
from sqlalchemy import update

from lti_tool import clock
from lti_tool.backpack import service
from lti_tool.backpack.consents import PURPOSES, WORDS
from lti_tool.backpack.models import Act, Consent
from lti_tool.badges.models import Badge, Share
from lti_tool.badges.queries import document
from lti_tool.badges.service import Reissue
from lti_tool.database import db
from lti_tool.people.models import Account
from lti_tool.verification import sandbox
from tests.backpack.conftest import Stranger, earn, shared_path, standing_badge, work
from tests.support.cast import Campus
from tests.support.visits import Browser, visit_as

REFERENCE = re.compile(rb"Reference: <code>[0-9a-f]{8}</code>")


def agreed(lena: Browser) -> str:
    return lena.get("/badges/agreed").text


def take_back(app: Flask, lena: Browser, act: str) -> None:
    with app.app_context():
        consent = db.session.query(Consent.id).filter_by(act=act, revoked_at=None).scalar()
    assert lena.post(f"/badges/agreed/{consent}").status_code == 303


def pages(app: Flask) -> int:
    with app.app_context():
        return db.session.query(Share).filter_by(ended_at=None).count()


def signed(app: Flask, campus: Campus) -> dict[str, object]:
    work(app)
    with app.app_context():
        found: dict[str, object] = json.loads(document(standing_badge(campus, "lena")))
        return found


def test_each_agreement_is_kept_in_the_words_that_the_earner_saw(badge: str, lena: Browser):
    lena.post(f"/badges/{badge}/share", {"show_name": "yes", "lasts": "30"})

    page = agreed(lena)

    assert "A public page shows this badge" in page
    assert "The public page says that it was earned by Lena Brandt." in page
    assert page.count("Anyone who has the address of the page") == 2
    assert page.count(">Take back<") == 2


def test_each_agreement_says_what_it_is_for_before_and_after(
    app: Flask, campus: Campus, badge: str, lena: Browser
):
    place, inside = lena.get(f"/badges/{badge}").text, lena.get(f"/badges/{badge}/contents").text
    assert PURPOSES[Act.PAGE] in place
    assert WORDS[Act.PAGE] in place
    assert PURPOSES[Act.NAME] in place
    assert PURPOSES[Act.RESULTS] in inside
    assert (PURPOSES[Act.EVIDENCE] in inside) is ('name="evidence"' in inside)

    lena.post(f"/badges/{badge}/contents", {"results": "yes"})
    work(app)
    with app.app_context():
        again = standing_badge(campus, "lena")
    lena.post(f"/badges/{again}/share", {"show_name": "yes"})

    page = agreed(lena)
    for act in (Act.PAGE, Act.NAME, Act.RESULTS):
        assert page.count(PURPOSES[act]) == 1
    with app.app_context():
        kept = {row.act: row.purpose for row in db.session.query(Consent)}
    assert kept == {act.value: PURPOSES[act] for act in (Act.PAGE, Act.NAME, Act.RESULTS)}


def test_the_name_is_offered_again_with_what_it_is_for(badge: str, lena: Browser):
    lena.post(f"/badges/{badge}/share")
    assert PURPOSES[Act.NAME] in lena.get(f"/badges/{badge}").text

    lena.post(f"/badges/{badge}/name", {"show_name": "yes"})

    assert PURPOSES[Act.NAME] not in lena.get(f"/badges/{badge}").text
    assert PURPOSES[Act.NAME] in agreed(lena)


def test_the_shared_address_is_there_to_copy_by_hand_and_by_button(badge: str, lena: Browser):
    assert "data-copy" not in lena.get(f"/badges/{badge}").text

    lena.post(f"/badges/{badge}/share")

    page = lena.get(f"/badges/{badge}").text
    whole = f"http://tool.localhost:8700{shared_path(page)}"
    assert re.search(rf'<a id="address"[^>]*>{re.escape(whole)}<', page)
    # The button stays hidden until a script can copy.
    assert re.search(rf'<button type="button"[^>]* data-copy="{re.escape(whole)}" hidden>', page)


def test_taking_back_the_name_leaves_the_page_without_it(
    app: Flask, badge: str, lena: Browser, stranger: Stranger
):
    lena.post(f"/badges/{badge}/share", {"show_name": "yes"})
    path = shared_path(lena.get(f"/badges/{badge}").text)
    assert "Lena Brandt" in stranger.get(path).text

    take_back(app, lena, "name")

    assert stranger.get(path).status_code == 200
    assert "Lena Brandt" not in stranger.get(path).text
    assert agreed(lena).count(">Take back<") == 1


def test_taking_back_the_page_takes_the_name_with_it(
    app: Flask, badge: str, lena: Browser, stranger: Stranger
):
    lena.post(f"/badges/{badge}/share", {"show_name": "yes"})
    path = shared_path(lena.get(f"/badges/{badge}").text)

    take_back(app, lena, "page")

    assert stranger.get(path).status_code == 404
    assert agreed(lena).count(">Take back<") == 0
    assert "Private" in lena.get("/badges").text


def test_nobody_takes_back_what_somebody_else_agreed_to(
    app: Flask, campus: Campus, badge: str, lena: Browser
):
    lena.post(f"/badges/{badge}/share")
    mateo = visit_as(app, campus, "mateo")

    assert mateo.post("/badges/agreed/1").status_code == 404
    assert "udl" not in mateo.get("/badges/agreed").text.lower()
    assert pages(app) == 1


@pytest.mark.parametrize("how", ["expired", "taken back"])
def test_a_page_that_is_over_cannot_be_told_from_one_that_never_was(
    app: Flask, badge: str, lena: Browser, stranger: Stranger, how: str
):
    lena.post(f"/badges/{badge}/share", {"lasts": "30"})
    path = shared_path(lena.get(f"/badges/{badge}").text)
    assert stranger.get(path).status_code == 200

    if how == "taken back":
        lena.post(f"/badges/{badge}/unshare")
    else:
        with app.app_context():
            past = clock.now() - timedelta(seconds=1)
            db.session.execute(update(Share).values(expires_at=past, shared_at=past - timedelta(days=30)))
            db.session.commit()
        assert "Private" in lena.get("/badges").text

    for file in ("", "/badge.json", "/badge.png", "/picture.svg"):
        gone, never = stranger.get(path + file), stranger.get(f"/shared/never{file}")
        assert (gone.status_code, dict(gone.headers)) == (never.status_code, dict(never.headers))
        assert REFERENCE.sub(b"", gone.data) == REFERENCE.sub(b"", never.data)


def test_a_page_whose_time_is_up_makes_room_for_another(app: Flask, badge: str, lena: Browser):
    lena.post(f"/badges/{badge}/share", {"lasts": "30"})
    first = shared_path(lena.get(f"/badges/{badge}").text)
    with app.app_context():
        past = clock.now() - timedelta(seconds=1)
        db.session.execute(update(Share).values(expires_at=past, shared_at=past - timedelta(days=30)))
        db.session.commit()

    lena.post(f"/badges/{badge}/share")

    assert shared_path(lena.get(f"/badges/{badge}").text) != first
    assert pages(app) == 1


def test_sharing_what_is_shared_keeps_its_address_and_takes_the_new_choice(
    app: Flask, badge: str, lena: Browser, stranger: Stranger
):
    day = (clock.now() + timedelta(days=40)).date()
    lena.post(f"/badges/{badge}/share", {"show_name": "yes"})
    path = shared_path(lena.get(f"/badges/{badge}").text)

    lena.post(f"/badges/{badge}/share", {"lasts": "date", "until": day.isoformat()})

    assert shared_path(lena.get(f"/badges/{badge}").text) == path
    assert f"{day:%B} {day.day}, {day.year}" in lena.get("/badges").text
    assert "Lena Brandt" not in stranger.get(path).text
    assert agreed(lena).count(">Take back<") == 1

    lena.post(f"/badges/{badge}/share", {"show_name": "yes", "lasts": "30"})

    assert "Lena Brandt" in stranger.get(path).text
    assert agreed(lena).count(">Take back<") == 2
    with app.app_context():
        ends = {one.ends_at for one in db.session.query(Consent).filter_by(revoked_at=None)}
        assert ends == {db.session.query(Share).one().expires_at}


def test_a_last_day_that_cannot_be_is_asked_for_again(app: Flask, badge: str, lena: Browser):
    for until in ("", "2020-01-01", "2999-01-01", "tomorrow"):
        answer = lena.post(f"/badges/{badge}/share", {"lasts": "date", "until": until})

        assert answer.status_code == 422, until
        assert "Please look at these again" in answer.text
    assert pages(app) == 0


def test_a_page_until_a_day_says_so(app: Flask, badge: str, lena: Browser):
    day = (clock.now() + timedelta(days=40)).date()

    lena.post(f"/badges/{badge}/share", {"lasts": "date", "until": day.isoformat()})

    assert f"{day:%B} {day.day}, {day.year}" in lena.get("/badges").text


def test_linkedin_is_offered_only_for_what_is_shared(badge: str, lena: Browser):
    assert "linkedin.com" not in lena.get(f"/badges/{badge}").text

    lena.post(f"/badges/{badge}/share")

    page = lena.get(f"/badges/{badge}").text
    link = re.search(
        r'href="(https://www\.linkedin\.com/profile/add\?[^"]+)" target="_blank" rel="noopener noreferrer"',
        page,
    )
    assert link is not None
    path = shared_path(page)
    assert f"certUrl=http%3A%2F%2Ftool.localhost%3A8700{path.replace('/', '%2F')}" in link[1]
    assert "issueYear=2026" in link[1]
    assert "Lena" not in link[1]


def test_results_stand_in_the_badge_only_after_the_earner_agreed_and_go_again(
    app: Flask, campus: Campus, badge: str, lena: Browser
):
    assert "result" not in signed(app, campus)["credentialSubject"]  # type: ignore[operator]  # a map

    lena.post(f"/badges/{badge}/contents", {"results": "yes"})
    with_results = signed(app, campus)
    take_back(app, lena, "results")
    without = signed(app, campus)

    levels = [each for each in with_results["credentialSubject"]["result"] if "achievedLevel" in each]  # type: ignore[index]  # a map
    assert len(levels) == 10
    assert "result" not in without["credentialSubject"]  # type: ignore[operator]  # a map
    assert with_results["awardedDate"] == without["awardedDate"]
    with app.app_context():
        assert db.session.query(Badge).filter(Badge.revoked_at.is_(None)).count() == 1
        assert db.session.query(Badge).count() == 3


def test_pressing_again_without_a_change_issues_nothing(app: Flask, badge: str, lena: Browser):
    answer = lena.post(f"/badges/{badge}/contents", {})

    assert answer.headers["Location"].endswith("done=contents-same")
    with app.app_context():
        assert db.session.query(Badge).count() == 1


def test_a_badge_issued_again_keeps_its_address_and_the_agreements_that_hold(
    app: Flask, campus: Campus, badge: str, lena: Browser, stranger: Stranger
):
    lena.post(f"/badges/{badge}/share", {"show_name": "yes", "lasts": "365"})
    path = shared_path(lena.get(f"/badges/{badge}").text)
    with app.app_context():
        db.session.get_one(Account, campus.accounts["lena"]).name = "Lena Morgenstern"
        db.session.commit()

    lena.post(f"/badges/{badge}/naming", {"choice": "unnamed"})
    being_signed = stranger.get(path).text
    work(app)

    page = stranger.get(path).text
    assert "Lena" not in being_signed + page
    assert agreed(lena).count(">Take back<") == 1
    with app.app_context():
        new = standing_badge(campus, "lena")
    lena.post(f"/badges/{new}/name", {"show_name": "yes"})
    assert "Lena Morgenstern" in stranger.get(path).text
    listed = agreed(lena)
    assert "earned by Lena Morgenstern." in listed
    assert listed.count(">Take back<") == 2
    assert badge in lena.get(f"/badges/{badge}").text
    assert "A newer badge stands in place of this one" in lena.get(f"/badges/{badge}").text


def test_nobody_elses_act_puts_a_changed_name_on_the_page_or_agrees_for_the_earner(
    app: Flask, campus: Campus, badge: str, lena: Browser, stranger: Stranger
):
    lena.post(f"/badges/{badge}/share", {"show_name": "yes"})
    path = shared_path(lena.get(f"/badges/{badge}").text)
    with app.app_context():
        service.issue_again(badge, actor=campus.accounts["ingrid"], now=clock.now())
        db.session.commit()
    work(app)
    assert "Lena Brandt" in stranger.get(path).text

    with app.app_context():
        db.session.get_one(Account, campus.accounts["lena"]).name = "Lena Morgenstern"
        db.session.commit()
        again = standing_badge(campus, "lena")
        change = Reissue(email="lena@example.net", name="Lena Morgenstern")
        service.issue_again(again, actor=None, change=change, now=clock.now())
        db.session.commit()
    work(app)

    assert stranger.get(path).status_code == 200
    assert "Lena" not in stranger.get(path).text
    listed = agreed(lena)
    assert "Morgenstern." not in listed
    assert listed.count(">Take back<") == 1


def test_every_file_of_a_badge_can_be_kept(badge: str, lena: Browser):
    kinds = {
        "badge.json": "application/vc+ld+json",
        "badge.jwt": "text/plain",
        "badge.png": "image/png",
        "badge.svg": "image/svg+xml",
        "certificate.pdf": "application/pdf",
    }

    for name, kind in kinds.items():
        answer = lena.get(f"/badges/{badge}/{name}")
        assert answer.mimetype == kind
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="universal-design')
        assert BytesIO(answer.data).read(1)


def test_a_badge_without_a_launch_address_waits_until_its_earner_says_whom_it_names(
    app: Flask, campus: Campus, lena: Browser
):
    badge = earn(app, campus, "lena", email=None)
    assert "Waiting for you to choose how it names you" in lena.get("/badges").text
    assert lena.get(f"/badges/{badge}/badge.json").status_code == 409
    assert lena.post(f"/badges/{badge}/naming", {}).status_code == 422

    lena.post(f"/badges/{badge}/naming", {"choice": "unnamed"})

    subject = signed(app, campus)["credentialSubject"]
    assert "identifier" not in subject  # type: ignore[operator]  # a map
    assert "Private" in lena.get("/badges").text


def test_what_counts_for_credit_and_an_empty_page_say_so(app: Flask, campus: Campus):
    mateo = visit_as(app, campus, "mateo")

    assert "No badge yet" in mateo.get("/badges").text
    assert "Nothing so far" in mateo.get("/badges/agreed").text


def test_people_who_teach_find_their_own_badges(app: Flask, campus: Campus):
    ingrid = visit_as(app, campus, "ingrid")

    assert f'{ingrid.base}/badges">My badges' in ingrid.get("/course").text
    assert ingrid.get("/badges").status_code == 200


def test_a_shared_page_does_not_stand_in_line_behind_strangers_files(
    badge: str, lena: Browser, stranger: Stranger
):
    lena.post(f"/badges/{badge}/share")
    path = shared_path(lena.get(f"/badges/{badge}").text)

    with sandbox.shared._turn:  # As if somebody's file kept it busy.
        page = stranger.get(path).text

    assert "This badge is genuine" in page
    assert "could not be checked" not in page
