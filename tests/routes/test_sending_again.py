"""What a registrar does about scores: one from its story, or many after a preview."""

import re
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool.audit import AuditEvent
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.passback.models import Finding, Score, ScoreState
from lti_tool.passback.rules import Cause
from lti_tool.people.models import Account
from lti_tool.registrar import resending
from tests.registrar.rows import NOT_PUBLISHED, owe, send
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement, simple_key
from tests.support.visits import Browser, visit_as


def parked(campus: Campus, who: str, *, now: datetime = NOON, **more: Any) -> int:
    """A score that the platform has refused."""
    score_id = owe(campus, who, now=now, **more).id
    send(NOT_PUBLISHED, now=now)
    return score_id


def shown(campus: Campus, who: str, finding: Finding, points: int | None = 7) -> int:
    """An accepted score of which the platform shows something else now."""
    score_id = owe(campus, who).id
    send()
    score = db.session.get_one(Score, score_id)
    score.finding, score.read_at = finding, NOON
    score.shown_points = None if points is None else Decimal(points)
    if finding is Finding.OVERRIDDEN:
        score.state = ScoreState.OVERRIDDEN
    db.session.commit()
    return score_id


def states(app: Flask) -> Counter[ScoreState]:
    with app.app_context():
        return Counter(db.session.scalars(select(Score.state)))


def digest(rita: Browser, query: str = "") -> str:
    found = re.search(r'name="digest" value="(\w+)"', rita.get(f"/ledger/send{query}").text)
    assert found is not None
    return found[1]


def test_a_preview_says_how_many_and_which_and_sends_nothing(app: Flask, campus: Campus):
    with app.app_context():
        parked(campus, "lena")
        parked(campus, "mateo")
    rita = visit_as(app, campus, "rita")

    page = rita.get("/ledger/send").text

    assert "<strong>2</strong> scores will be sent" in page
    for words in ("Lena Brandt", "Mateo Ruiz", "10 of 10", "Publish it.", "Send these 2 scores again"):
        assert words in page
    assert states(app) == {ScoreState.PARKED: 2}


def test_a_confirmed_preview_sends_what_it_showed_and_records_by_whom(app: Flask, campus: Campus):
    with app.app_context():
        old = {parked(campus, "lena"), parked(campus, "mateo")}
    rita = visit_as(app, campus, "rita")

    answer = rita.post("/ledger/send", {"digest": digest(rita)}, follow_redirects=True)

    assert "On their way again" in answer.text
    assert states(app) == {ScoreState.SUPERSEDED: 2, ScoreState.OWED: 2}
    with app.app_context():
        events = db.session.scalars(select(AuditEvent).filter_by(action="score sent again")).all()
        assert {int(event.subject_id) for event in events} == old
        assert {event.actor_account_id for event in events} == {campus.accounts["rita"]}


def test_a_button_that_is_pressed_twice_sends_once(app: Flask, campus: Campus):
    with app.app_context():
        parked(campus, "lena")
    rita = visit_as(app, campus, "rita")
    form = {"digest": digest(rita)}

    answers = [rita.post("/ledger/send", form) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 409]
    assert "Nothing was sent" in answers[1].text
    assert states(app) == {ScoreState.SUPERSEDED: 1, ScoreState.OWED: 1}


def test_a_list_that_has_changed_since_the_preview_is_shown_again_and_nothing_goes(
    app: Flask, campus: Campus
):
    with app.app_context():
        parked(campus, "lena")
    rita = visit_as(app, campus, "rita")
    form = {"digest": digest(rita)}
    with app.app_context():
        parked(campus, "mateo")

    answer = rita.post("/ledger/send", form)

    assert answer.status_code == 409
    assert "the list has changed since you looked" in answer.text
    assert "Mateo Ruiz" in answer.text
    assert states(app) == {ScoreState.PARKED: 2}


def test_only_what_the_filter_asks_for_goes(app: Flask, campus: Campus):
    with app.app_context():
        parked(campus, "lena")
        parked(campus, "mateo")
    rita = visit_as(app, campus, "rita")
    lena = f"person={campus.persons['lena']}"

    page = rita.get(f"/ledger/send?{lena}").text
    rita.post("/ledger/send", {"digest": digest(rita, f"?{lena}"), "person": campus.persons["lena"]})

    assert "Mateo Ruiz" not in page
    assert states(app) == {ScoreState.PARKED: 1, ScoreState.SUPERSEDED: 1, ScoreState.OWED: 1}


def test_a_grade_that_a_person_set_is_overwritten_only_where_it_was_ticked(app: Flask, campus: Campus):
    with app.app_context():
        hers, his = (shown(campus, who, Finding.OVERRIDDEN) for who in ("lena", "mateo"))
        lost = shown(campus, "aiko", Finding.MISSING, None)
    rita = visit_as(app, campus, "rita")
    page = rita.get("/ledger/send").text

    rita.post("/ledger/send", {"digest": digest(rita), "also": [str(hers)]})

    assert "Takes the place of 7" in page
    assert "<strong>1</strong> score will be sent" in page
    with app.app_context():
        rows = {row.id: row for row in db.session.scalars(select(Score))}
        new = {row.account_id: row.overwrites for row in rows.values() if row.state is ScoreState.OWED}
    assert new == {campus.accounts["lena"]: True, campus.accounts["aiko"]: False}
    assert rows[his].state is ScoreState.OVERRIDDEN
    assert rows[his].dealt_with_at is None
    assert rows[lost].dealt_with_at is not None


def test_a_score_that_waits_for_an_agreement_goes_only_where_it_was_ticked(app: Flask, campus: Campus):
    with app.app_context():
        held = owe(campus, "lena")
        held.state, held.reason = ScoreState.PARKED, "It was decided in another course."
        db.session.commit()
        held_id = held.id
    rita = visit_as(app, campus, "rita")

    page = rita.get("/ledger/send").text
    rita.post("/ledger/send", {"digest": digest(rita)})
    untouched = states(app)
    rita.post("/ledger/send", {"digest": digest(rita), "also": [str(held_id)]})

    assert "It was decided in another course." in page
    assert untouched == {ScoreState.PARKED: 1}
    assert states(app) == {ScoreState.SUPERSEDED: 1, ScoreState.OWED: 1}


def test_what_nobody_could_look_at_may_replace_a_grade_so_it_goes_only_where_it_was_ticked(
    app: Flask, campus: Campus
):
    with app.app_context():
        score_id = parked(campus, "lena")
        db.session.get_one(Score, score_id).cause = Cause.UNSEEN
        db.session.commit()
    rita = visit_as(app, campus, "rita")

    page = rita.get("/ledger/send").text
    rita.post("/ledger/send", {"digest": digest(rita)})
    untouched = states(app)
    rita.post("/ledger/send", {"digest": digest(rita), "also": [str(score_id)]})

    assert "Takes the place of what is there" in page
    assert untouched == {ScoreState.PARKED: 1}
    assert states(app) == {ScoreState.SUPERSEDED: 1, ScoreState.OWED: 1}


def test_a_tick_is_for_the_grade_that_was_shown_beside_it(app: Flask, campus: Campus):
    with app.app_context():
        score_id = shown(campus, "lena", Finding.OVERRIDDEN, 7)
    rita = visit_as(app, campus, "rita")
    form = {"digest": digest(rita), "also": [str(score_id)]}
    with app.app_context():
        db.session.get_one(Score, score_id).shown_points = Decimal(9)
        db.session.commit()

    answer = rita.post("/ledger/send", form)

    assert answer.status_code == 409
    assert "Takes the place of 9" in answer.text
    assert states(app) == {ScoreState.OVERRIDDEN: 1}


def test_a_registrar_who_is_an_earner_too_leaves_their_own_score_to_others(app: Flask, campus: Campus):
    with app.app_context():
        score_id = shown(campus, "lena", Finding.OVERRIDDEN)
        db.session.get_one(Account, campus.accounts["lena"]).person_id = campus.persons["rita"]
        db.session.commit()
    rita = visit_as(app, campus, "rita")

    page = rita.get(f"/ledger/{score_id}").text
    answers = [
        rita.post(f"/ledger/{score_id}/send", {"instead": "yes"}),
        rita.post(f"/ledger/{score_id}/settle", {"verb": "leave"}),
    ]

    assert "This is your own score" in page
    assert "Put 10 of 10 there" not in page
    assert [answer.status_code for answer in answers] == [403, 403]
    assert "Nothing to send again" in rita.get("/ledger/send").text
    assert states(app) == {ScoreState.OVERRIDDEN: 1}


def test_nothing_is_ticked_that_the_preview_did_not_show(app: Flask, campus: Campus):
    with app.app_context():
        parked(campus, "lena")
        accepted = owe(campus, "mateo").id
        send()
    rita = visit_as(app, campus, "rita")

    rita.post("/ledger/send", {"digest": digest(rita), "also": [str(accepted), "x", "99999999999999"]})

    with app.app_context():
        assert db.session.get_one(Score, accepted).state is ScoreState.ACCEPTED
        assert db.session.scalar(select(Score.id).where(Score.id > accepted, Score.account_id != 2)) is None


def test_what_has_no_gradebook_column_stays_where_it_is_until_there_is_one(app: Flask, campus: Campus):
    with app.app_context():
        db.session.get_one(Placement, campus.placement).line_item_url = None
        owe(campus, "lena", column=None)
    rita = visit_as(app, campus, "rita")

    before = rita.get("/ledger/send").text
    with app.app_context():
        db.session.get_one(Placement, campus.placement).line_item_url = "https://lms.example.edu/items/1"
        db.session.commit()
    after = rita.get("/ledger/send").text

    assert "Nothing to send again" in before
    assert "<strong>1</strong> score will be sent" in after


def test_more_than_a_step_goes_in_steps_and_none_is_forgotten(
    app: Flask, campus: Campus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(resending, "STEP", 2)
    with app.app_context():
        for n in range(3):
            activity = add_placement(campus.deployment, campus.course, f"more-{n}", simple_key())
            parked(campus, "lena", placement=activity, decision=100 + n, now=NOON + timedelta(minutes=n))
    rita = visit_as(app, campus, "rita")

    first = rita.post("/ledger/send", {"digest": digest(rita)}, follow_redirects=True)
    second = rita.post("/ledger/send", {"digest": digest(rita)}, follow_redirects=True)

    assert "There are more" in first.text
    assert "<strong>1</strong> score will be sent" in first.text
    assert "On their way again" in second.text
    assert states(app) == {ScoreState.SUPERSEDED: 3, ScoreState.OWED: 3}


def test_a_registrar_puts_ours_in_the_place_of_what_a_person_set(app: Flask, campus: Campus):
    with app.app_context():
        score_id = shown(campus, "lena", Finding.OVERRIDDEN)
    rita = visit_as(app, campus, "rita")
    page = rita.get(f"/ledger/{score_id}").text

    rita.answer(f"/ledger/{score_id}", f"/ledger/{score_id}/send", {"instead": "yes"})

    assert "Put 10 of 10 there in its place" in page
    assert "the LMS shows 7" in page
    with app.app_context():
        newest = db.session.scalars(select(Score).order_by(Score.id.desc())).first()
        assert newest is not None
        assert (newest.overwrites, newest.state) == (True, ScoreState.OWED)


@pytest.mark.parametrize(("verb", "said"), [("leave", None), ("note", "The instructor dropped a point.")])
def test_a_registrar_leaves_what_the_lms_shows(app: Flask, campus: Campus, verb: str, said: str | None):
    with app.app_context():
        score_id = shown(campus, "lena", Finding.OVERRIDDEN)
    rita = visit_as(app, campus, "rita")

    rita.answer(f"/ledger/{score_id}", f"/ledger/{score_id}/settle", {"verb": verb, "note": said or ""})
    answer = rita.get(f"/ledger/{score_id}?done=settled")

    assert "Recorded, with your name" in answer.text
    assert "Different, and settled" in answer.text
    assert "Rita Moore" in answer.text
    with app.app_context():
        assert db.session.get_one(Score, score_id).dealt_with_note == said


@pytest.mark.parametrize(
    ("where", "form"),
    [
        ("send", {"instead": "yes"}),
        ("settle", {"verb": "leave"}),
        ("settle", {"verb": "note", "note": "So."}),
    ],
)
def test_a_registrar_answers_about_the_grade_that_the_page_showed(
    app: Flask, campus: Campus, where: str, form: dict[str, str]
):
    with app.app_context():
        score_id = shown(campus, "lena", Finding.OVERRIDDEN)
    rita = visit_as(app, campus, "rita")
    seen = rita.get(f"/ledger/{score_id}").text.split('name="seen" value="')[1].split('"')[0]
    with app.app_context():
        db.session.get_one(Score, score_id).shown_points = Decimal(9)
        db.session.commit()

    answer = rita.post(f"/ledger/{score_id}/{where}", form | {"seen": seen})

    assert answer.status_code == 409
    assert "Nothing was done: the gradebook shows something else than before" in answer.text
    assert "the LMS shows 9" in answer.text
    assert states(app) == {ScoreState.OVERRIDDEN: 1}
    with app.app_context():
        assert db.session.get_one(Score, score_id).dealt_with_at is None


def test_what_nobody_could_look_at_is_sent_again_only_with_a_tick(app: Flask, campus: Campus):
    with app.app_context():
        score_id = parked(campus, "lena")
        db.session.get_one(Score, score_id).cause = Cause.UNSEEN
        db.session.commit()
    rita = visit_as(app, campus, "rita")

    careless = rita.post(f"/ledger/{score_id}/send")
    untouched = states(app)
    rita.answer(f"/ledger/{score_id}", f"/ledger/{score_id}/send", {"instead": "yes"})

    assert careless.status_code == 422
    assert "Tick the box" in careless.text
    assert untouched == {ScoreState.PARKED: 1}
    assert states(app) == {ScoreState.SUPERSEDED: 1, ScoreState.OWED: 1}


def test_a_score_is_given_up_only_with_a_reason(app: Flask, campus: Campus):
    with app.app_context():
        score_id = parked(campus, "lena")
    rita = visit_as(app, campus, "rita")

    without = rita.post(f"/ledger/{score_id}/settle", {"verb": "abandon", "note": " "}, follow_redirects=True)
    kept = states(app)
    given = rita.post(f"/ledger/{score_id}/settle", {"verb": "abandon", "note": "Withdrew from the course."})

    assert "please write why" in without.text
    assert kept == {ScoreState.PARKED: 1}
    assert given.status_code == 303
    assert states(app) == {ScoreState.ABANDONED: 1}
    assert "Withdrew from the course." in rita.get(f"/ledger/{score_id}").text
