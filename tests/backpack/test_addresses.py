"""Addresses, letters, and the way back to one's badges after leaving the institution."""

from datetime import timedelta
from pathlib import Path

from flask import Flask
from sqlalchemy import select, update

from lti_tool import clock
from lti_tool.backpack import letters
from lti_tool.backpack.models import ConfirmedAddress, Letter
from lti_tool.badges.models import Badge
from lti_tool.database import db
from lti_tool.people.models import OneTimeLink, Stay
from tests.backpack.conftest import Mailbox, Stranger, earn, standing_badge, work
from tests.outside.operators import said_no, types
from tests.support.cast import Campus
from tests.support.visits import Browser, visit_as

OWN = "lena.private@example.org"


def confirm(app: Flask, lena: Browser, mailbox: Mailbox, stranger: Stranger, address: str = OWN) -> None:
    assert lena.post("/addresses", {"address": address}).status_code == 303
    work(app)
    assert stranger.press(mailbox.link()).status_code == 303


def ask_to_open(app: Flask, stranger: Stranger, address: str) -> None:
    stranger.press("/badges", {"address": address})
    work(app)


def come_back(app: Flask, mailbox: Mailbox, stranger: Stranger) -> str:
    """The path of the stay that the last letter opens."""
    return stranger.press(mailbox.link()).headers["Location"].removesuffix("/badges")


def later(app: Flask, column: object, by: timedelta) -> None:
    with app.app_context():
        db.session.execute(update(column.class_).values({column.key: clock.now() - by}))  # type: ignore[attr-defined]  # a column
        db.session.commit()


# Confirming


def test_an_address_is_confirmed_by_the_button_and_not_by_looking(
    app: Flask, mailbox: Mailbox, lena: Browser, stranger: Stranger
):
    lena.post("/addresses", {"address": OWN})
    work(app)
    assert mailbox.letters[0]["To"] == OWN
    assert mailbox.letters[0]["Auto-Submitted"] == "auto-generated"

    for _ in range(3):
        assert OWN in stranger.get(mailbox.link()).text
    assert "Not confirmed yet" in lena.get("/addresses").text

    stranger.press(mailbox.link())
    assert "Confirmed" in lena.get("/addresses").text
    assert stranger.get(mailbox.link()).status_code == 410


def test_the_link_of_a_newer_letter_takes_the_place_of_the_older(
    app: Flask, mailbox: Mailbox, lena: Browser, stranger: Stranger
):
    for _ in range(2):
        lena.post("/addresses", {"address": OWN})
        work(app)

    assert stranger.get(mailbox.link(0)).status_code == 404
    assert stranger.press(mailbox.link(1)).status_code == 303


def test_a_link_that_is_two_days_old_confirms_nothing(
    app: Flask, mailbox: Mailbox, lena: Browser, stranger: Stranger
):
    lena.post("/addresses", {"address": OWN})
    work(app)
    later(app, ConfirmedAddress.expires_at, timedelta(seconds=1))

    assert stranger.get(mailbox.link()).status_code == 404


def test_what_is_no_address_is_asked_for_again(app: Flask, mailbox: Mailbox, lena: Browser):
    for typed in ("", "lena", "lena@", "a b@example.org", "lena@example.org\r\nBcc: x@example.org"):
        assert lena.post("/addresses", {"address": typed}).status_code == 422, typed
    work(app)

    assert mailbox.letters == []


def test_an_address_beyond_plain_letters_is_refused_since_it_may_pass_for_somebody_elses(
    app: Flask, campus: Campus, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger, "anna@strasse.example")
    before = len(mailbox.letters)

    rita = visit_as(app, campus, "rita")
    for typed in ("anna@straße.example", "ſanna@strasse.example", "anna@strasse.e\u212aample"):
        for answer in (
            lena.post("/addresses", {"address": typed}),
            stranger.press("/badges", {"address": typed}),
            rita.post("/ledger/1/personal-link", {"address": typed}),
        ):
            assert answer.status_code == 422, typed
            assert "plain letters" in answer.text
    work(app)

    assert len(mailbox.letters) == before


def test_an_address_that_was_confirmed_before_only_plain_letters_were_taken_opens_nothing_for_another(
    app: Flask, mailbox: Mailbox, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger, "anna@strasse.example")
    with app.app_context():
        db.session.execute(update(ConfirmedAddress).values(address="anna@straße.example"))
        db.session.commit()

    ask_to_open(app, stranger, "anna@strasse.example")

    assert len(mailbox.letters) == 1


def test_a_link_confirms_only_the_spelling_that_its_letter_went_to(
    app: Flask, mailbox: Mailbox, lena: Browser, stranger: Stranger
):
    lena.post("/addresses", {"address": OWN})
    work(app)
    lena.post("/addresses", {"address": OWN.capitalize()})

    assert stranger.get(mailbox.link()).status_code == 404
    work(app)
    assert mailbox.letters[-1]["To"] == OWN.capitalize()
    assert stranger.press(mailbox.link()).status_code == 303


def test_a_letter_that_waits_while_the_address_is_typed_otherwise_is_not_written(
    app: Flask, mailbox: Mailbox, lena: Browser
):
    lena.post("/addresses", {"address": OWN})
    lena.post("/addresses", {"address": OWN.capitalize()})
    work(app)

    assert [letter["To"] for letter in mailbox.letters] == [OWN.capitalize()]


def test_the_badge_can_name_its_earner_by_the_confirmed_address(
    app: Flask, campus: Campus, mailbox: Mailbox, lena: Browser, stranger: Stranger
):
    badge = earn(app, campus, "lena", email=None)
    assert OWN not in lena.get(f"/badges/{badge}/naming").text
    confirm(app, lena, mailbox, stranger)
    with app.app_context():
        chosen = db.session.scalars(select(ConfirmedAddress.id)).one()

    lena.post(f"/badges/{badge}/naming", {"choice": f"address-{chosen}"})
    work(app)

    signed = lena.get(f"/badges/{badge}/badge.json").text
    assert '"emailAddress"' in signed
    assert OWN not in signed
    assert OWN in lena.get(f"/badges/{badge}").text


def test_nobody_names_a_badge_by_an_address_that_is_not_theirs_or_not_confirmed(
    app: Flask, campus: Campus, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    mateo = visit_as(app, campus, "mateo")
    confirm(app, mateo, mailbox, stranger, "mateo@example.org")
    lena.post("/addresses", {"address": OWN})

    for chosen in (1, 2, 99):
        assert lena.post(f"/badges/{badge}/naming", {"choice": f"address-{chosen}"}).status_code == 404
    with app.app_context():
        assert db.session.query(Badge).count() == 1


def test_moving_from_university_mail_issues_the_badge_again_and_touches_nothing_else(
    app: Flask, campus: Campus, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger)

    lena.post(f"/badges/{badge}/naming", {"choice": "address-1"})
    work(app)

    with app.app_context():
        new = db.session.get_one(Badge, standing_badge(campus, "lena"))
        old = db.session.get_one(Badge, badge)
        assert (old.superseded_by_id, old.awarded_at, new.facts["email"]) == (new.id, new.awarded_at, OWN)
    assert "Issued again" in lena.get("/badges").text


# Coming back


def test_whoever_left_the_institution_comes_back_by_a_letter(
    app: Flask, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger)
    ask_to_open(app, stranger, OWN.upper())
    assert mailbox.letters[-1]["To"] == OWN

    stay = come_back(app, mailbox, stranger)

    page = stranger.get(f"{stay}/badges")
    assert "Universal Design" in page.text
    assert page.headers["Content-Security-Policy"].endswith("frame-ancestors 'none'; form-action 'self'")
    assert stranger.get(f"{stay}/badges/{badge}/badge.json").status_code == 200
    assert stranger.press(f"{stay}/badges/{badge}", to=f"{stay}/badges/{badge}/share").status_code == 303
    assert "A public page" in stranger.get(f"{stay}/badges/agreed").text
    assert OWN in stranger.get(f"{stay}/addresses").text


def test_looking_at_the_link_uses_nothing_up_and_pressing_it_uses_it_once(
    app: Flask, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger)
    ask_to_open(app, stranger, OWN)
    for _ in range(3):
        assert stranger.get(mailbox.link()).status_code == 200

    come_back(app, mailbox, stranger)

    assert "already" in stranger.get(mailbox.link()).text
    with app.app_context():
        assert db.session.query(Stay).count() == 1


def test_a_link_that_is_over_opens_nothing(
    app: Flask, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger)
    ask_to_open(app, stranger, OWN)
    later(app, OneTimeLink.expires_at, timedelta(seconds=1))

    assert stranger.get(mailbox.link()).status_code == 404


def test_a_stay_opens_in_its_own_browser_only_until_it_is_closed(
    app: Flask, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger)
    ask_to_open(app, stranger, OWN)
    stay = come_back(app, mailbox, stranger)

    assert Stranger(app).get(f"{stay}/badges").status_code == 401
    assert stranger.press(f"{stay}/badges", to=f"{stay}/close").status_code == 303
    assert stranger.get(f"{stay}/badges").status_code == 401


def test_a_stay_of_one_earner_opens_no_badge_of_another(
    app: Flask, campus: Campus, mailbox: Mailbox, badge: str, stranger: Stranger
):
    mateo = visit_as(app, campus, "mateo")
    confirm(app, mateo, mailbox, stranger, "mateo@example.org")
    ask_to_open(app, stranger, "mateo@example.org")
    stay = come_back(app, mailbox, stranger)

    assert stranger.get(f"{stay}/badges/{badge}").status_code == 404
    assert "Universal" not in stranger.get(f"{stay}/badges").text


def test_the_answer_is_the_same_whether_or_not_anybody_has_that_address(
    app: Flask, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger)
    before = len(mailbox.letters)

    answers = [stranger.press("/badges", {"address": address}) for address in (OWN, "nobody@example.org")]

    assert [dict(one.headers) for one in answers] == [dict(answers[0].headers)] * 2
    with app.app_context():
        # What tells them apart is found out by the worker only.
        assert db.session.query(Letter).filter_by(kind="open", done_at=None).count() == 2
    work(app)
    assert [letter["To"] for letter in mailbox.letters[before:]] == [OWN]


def test_an_address_that_was_only_typed_leads_nowhere(
    app: Flask, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    lena.post("/addresses", {"address": OWN})
    work(app)
    ask_to_open(app, stranger, OWN)

    assert len(mailbox.letters) == 1


def test_a_deleted_address_leads_nowhere(
    app: Flask, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger)
    lena.post("/addresses/1/delete")
    ask_to_open(app, stranger, OWN)

    assert len(mailbox.letters) == 1
    assert OWN not in lena.get("/addresses").text


def test_a_registrar_brings_back_somebody_who_confirmed_nothing_and_never_sees_the_link(
    app: Flask, campus: Campus, mailbox: Mailbox, badge: str, stranger: Stranger
):
    rita = visit_as(app, campus, "rita")
    assert rita.post("/ledger/1/personal-link", {"address": "nothing"}).status_code == 422

    answer = rita.post("/ledger/1/personal-link", {"address": OWN})
    work(app)

    assert answer.status_code == 303
    secret = mailbox.link().rpartition("/")[2]
    assert secret not in rita.get("/ledger/1").text
    stay = come_back(app, mailbox, stranger)
    assert "Universal Design" in stranger.get(f"{stay}/badges").text
    assert OWN not in stranger.get(f"{stay}/addresses").text


def test_the_earner_is_told_at_every_other_address_that_a_way_in_was_sent_elsewhere(
    app: Flask, campus: Campus, mailbox: Mailbox, badge: str, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger)
    before = len(mailbox.letters)

    visit_as(app, campus, "rita").post("/ledger/1/personal-link", {"address": "elsewhere@example.com"})
    work(app)

    told, way = mailbox.letters[before:-1], mailbox.letters[-1]
    assert way["To"] == "elsewhere@example.com"
    assert sorted(str(letter["To"]) for letter in told) == sorted([OWN, "lena@example.edu"])
    for at in range(before, before + len(told)):
        assert "sent to another address" in mailbox.text(at)
        for secret in ("elsewhere@", "/badges/open/", "Lena", "Rita"):
            assert secret not in mailbox.text(at)


def test_nobody_else_asks_for_somebodys_link(app: Flask, campus: Campus, mailbox: Mailbox, badge: str):
    for who in ("lena", "ingrid", "ada"):
        answer = visit_as(app, campus, who).post("/ledger/1/personal-link", {"address": OWN})
        assert answer.status_code == 403, who


def test_an_operator_makes_a_link_for_whoever_is_named_in_one_way(
    home: Path, app: Flask, campus: Campus, badge: str, stranger: Stranger
):
    made = types(home, "backpack", "link", "--badge", f"urn:uuid:{badge}")

    path = made.stdout.splitlines()[0].removeprefix("http://tool.localhost:8700")
    stay = stranger.press(path).headers["Location"]
    assert "Universal Design" in stranger.get(stay).text
    assert "in one way" in said_no(types(home, "backpack", "link"))
    assert "Nobody here" in said_no(types(home, "backpack", "link", "--person", "999"))


# Letters


def test_a_letter_that_went_leaves_neither_address_nor_secret(
    app: Flask, mailbox: Mailbox, lena: Browser, stranger: Stranger
):
    lena.post("/addresses", {"address": OWN})
    work(app)

    with app.app_context():
        letter = db.session.scalars(select(Letter)).one()
        assert (letter.address, letter.outcome) == (None, "sent")
        assert OWN not in letter.addressee
        row = db.session.scalars(select(ConfirmedAddress)).one()
        assert row.secret_hash not in mailbox.link()


def test_letters_to_one_address_are_few_and_nobody_is_told(
    app: Flask, mailbox: Mailbox, lena: Browser, stranger: Stranger
):
    confirm(app, lena, mailbox, stranger)

    answers = {stranger.press("/badges", {"address": OWN}).headers["Location"] for _ in range(5)}
    work(app)

    assert answers == {"/badges/sent"}
    assert len(mailbox.letters) == 1 + letters.MOST_AN_HOUR


def test_nobody_uses_up_the_letters_by_which_somebody_else_confirms_an_address(
    app: Flask, campus: Campus, mailbox: Mailbox, lena: Browser, stranger: Stranger
):
    mateo = visit_as(app, campus, "mateo")
    for _ in range(5):
        mateo.post("/addresses", {"address": OWN})
    work(app)
    assert len(mailbox.letters) == letters.MOST_AN_HOUR

    confirm(app, lena, mailbox, stranger)

    assert "Not confirmed yet" in mateo.get("/addresses").text
    assert "Not confirmed yet" not in lena.get("/addresses").text


def test_several_persons_together_flood_nobodys_mailbox(app: Flask, campus: Campus, mailbox: Mailbox):
    with app.app_context():
        for person in campus.persons.values():
            for _ in range(letters.MOST_AN_HOUR):
                letters.ask_to_confirm(person, OWN, now=clock.now())

        assert db.session.query(Letter).count() == letters.MOST_TO_ONE


def test_whoever_asks_for_very_many_letters_closes_the_door_until_the_worker_has_looked(
    app: Flask, mailbox: Mailbox, stranger: Stranger
):
    with app.app_context():
        for number in range(letters.MOST_WAITING):
            letters.ask_to_open(f"nobody{number}@example.org", now=clock.now())
        db.session.commit()
    assert stranger.press("/badges", {"address": OWN}).status_code == 429

    work(app)

    assert stranger.press("/badges", {"address": OWN}).status_code == 303


def test_a_mail_server_that_is_away_gets_the_letter_later(
    app: Flask, mailbox: Mailbox, lena: Browser, logged: list[str]
):
    mailbox.says = "451 come back later"
    lena.post("/addresses", {"address": OWN})
    work(app)
    work(app)
    assert mailbox.letters == []
    assert "letter dealt with" in "".join(logged)
    assert OWN not in "".join(logged)

    mailbox.says = "250 OK"
    later(app, Letter.due_at, timedelta(seconds=1))
    work(app)

    assert len(mailbox.letters) == 1


def test_an_address_that_a_mail_server_refuses_is_given_up_and_forgotten(
    app: Flask, mailbox: Mailbox, lena: Browser
):
    mailbox.says = "550 no such user"
    lena.post("/addresses", {"address": OWN})
    work(app)

    with app.app_context():
        letter = db.session.scalars(select(Letter)).one()
        assert (letter.address, letter.outcome) == (None, "The mail server answered 550.")


def test_yesterdays_letters_and_addresses_that_nobody_confirmed_are_forgotten(
    app: Flask, mailbox: Mailbox, lena: Browser
):
    lena.post("/addresses", {"address": OWN})

    with app.app_context():
        gone = letters.sweep(clock.now() + timedelta(days=10))

        assert gone == 2
        assert db.session.query(Letter).count() == db.session.query(ConfirmedAddress).count() == 0


def test_without_a_mail_server_pages_say_what_to_do_instead(app: Flask, campus: Campus, stranger: Stranger):
    badge = earn(app, campus, "lena", email=None)
    lena = visit_as(app, campus, "lena")

    assert "has no mail server" in lena.get("/addresses").text
    assert "Without any address" in lena.get(f"/badges/{badge}/naming").text
    assert "they can give you a personal link" in stranger.get("/badges").text
    assert lena.post("/addresses", {"address": OWN}).status_code == 503
