"""A registrar's reminder to close out a course is written to its instructors, and names no earner."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool import clock
from lti_tool.backpack import addresses, letters
from lti_tool.backpack.models import ConfirmedAddress, Letter
from lti_tool.database import db
from lti_tool.people.models import Course, RosterMember, RosterStatus, Term
from tests.backpack.conftest import Mailbox
from tests.support.cast import Campus
from tests.support.submitted import begin_work, hand_in_work
from tests.support.visits import visit_as


@pytest.fixture
def term(app: Flask, campus: Campus) -> int:
    """With the campus' course, in which two people's work is undecided; Ingrid and Otto have confirmed addresses, and
    Otto teaches another course."""
    with app.app_context():
        course = db.session.get_one(Course, campus.course)
        course.term = fall = Term(platform_id=course.platform_id, name="Fall", starts_on=None, ends_on=None)
        hand_in_work(campus, "lena")
        begin_work(campus, "mateo")
        for who in ("ingrid", "otto", "lena"):
            row = addresses.ask(campus.persons[who], f"{who}@home.example.org", now=clock.now())
            row.confirmed_at = clock.now()
        db.session.commit()
        return fall.id


def remind(app: Flask, campus: Campus, term: int) -> str:
    rita = visit_as(app, campus, "rita")
    path = f"/ledger/terms/{term}/close-out"
    return rita.post(path, {"course": str(campus.course)}, follow_redirects=True).text


def send(app: Flask) -> None:
    with app.app_context():
        letters.send_due(now_fn=clock.now)


def test_the_instructor_of_record_gets_a_letter_with_the_course_and_a_count_and_no_name(
    mailbox: Mailbox, app: Flask, campus: Campus, term: int
):
    page = remind(app, campus, term)
    send(app)

    assert "a letter goes to those of them" in page
    [letter] = mailbox.letters
    assert letter["To"] == "ingrid@home.example.org"
    text = mailbox.text()
    assert "SPED 4500 Inclusive Practice" in text
    assert "3 earners in it have no decision yet" in text
    assert "Open the course in your LMS" in text
    for name in ("Lena", "Mateo", "Brandt", "Ruiz", "http"):
        assert name not in text
    with app.app_context():
        assert db.session.scalars(select(Letter.address)).all() == [None]


def test_a_second_reminder_of_the_day_writes_no_second_letter(
    mailbox: Mailbox, app: Flask, campus: Campus, term: int
):
    remind(app, campus, term)
    again = remind(app, campus, term)
    send(app)

    assert "a letter goes" not in again
    assert len(mailbox.letters) == 1


def test_nobody_is_written_to_who_has_left_or_whose_address_is_not_theirs_any_more(
    mailbox: Mailbox, app: Flask, campus: Campus, term: int
):
    remind(app, campus, term)
    with app.app_context():
        row = db.session.scalars(select(ConfirmedAddress).filter_by(person_id=campus.persons["ingrid"])).one()
        addresses.forget(row.id, campus.persons["ingrid"], now=clock.now())
        db.session.commit()
    send(app)
    assert mailbox.letters == []

    with app.app_context():
        row = addresses.ask(campus.persons["ingrid"], "ingrid@new.example.org", now=clock.now())
        row.confirmed_at = clock.now()
        db.session.add(
            RosterMember(
                course_id=campus.course,
                subject="ingrid",
                name=None,
                role="instructor",
                status=RosterStatus.LEFT,
                since=clock.now(),
                reading=1,
            )
        )
        db.session.commit()
        assert letters.ask_to_close_out(campus.course, 2, now=clock.now() + timedelta(days=2)) == 0


def test_without_a_mail_server_the_page_of_the_course_says_it_alone(app: Flask, campus: Campus, term: int):
    page = remind(app, campus, term)

    assert "a letter goes" not in page
    assert "says now that you ask" in page
    with app.app_context():
        assert db.session.scalars(select(Letter)).all() == []
