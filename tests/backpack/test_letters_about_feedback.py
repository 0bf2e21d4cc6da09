"""Where a gradebook takes no comment alone, a letter says that there is feedback: neither what, nor about whom."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool.assessment.models import Outcome
from lti_tool.assessment.service import decide
from lti_tool.database import db
from lti_tool.lti.models import Platform
from lti_tool.passback import notes
from lti_tool.passback.models import GradeNote
from lti_tool.people.models import Account
from tests.backpack.conftest import Mailbox
from tests.support.apps import NOON
from tests.support.cast import Campus
from tests.support.submitted import hand_in_work, marks_for, version_of


@pytest.fixture(autouse=True)
def on_moodle(app: Flask, campus: Campus) -> None:
    with app.app_context():
        db.session.scalars(select(Platform)).one().product = "moodle"
        db.session.commit()


def decide_not_yet(app: Flask, campus: Campus) -> None:
    with app.app_context():
        submission = hand_in_work(campus, "lena")
        marks = marks_for(version_of(submission), below=5)
        decide(submission.id, campus.accounts["ingrid"], marks, "The goals.", Outcome.NOT_YET, now=NOON)
        db.session.commit()


def deliver(app: Flask, campus: Campus, minutes: int = 0) -> int:
    with app.app_context():
        return notes.deliver_due(campus.registration, now_fn=lambda: NOON + timedelta(minutes=minutes))


def test_the_letter_names_neither_the_outcome_nor_the_earner_nor_the_feedback(
    mailbox: Mailbox, app: Flask, campus: Campus
):
    decide_not_yet(app, campus)
    deliver(app, campus)

    [letter] = mailbox.letters
    assert (letter["To"], letter["Subject"]) == ("lena@example.edu", "There is feedback on your work")
    text = mailbox.text().lower()
    assert "open the activity in your course" in text
    for word in ("not yet", "demonstrated", "lena", "goals", "brandt", "grade"):
        assert word not in text


def test_it_is_written_once_and_tried_again_while_the_mail_server_is_busy(
    mailbox: Mailbox, app: Flask, campus: Campus
):
    mailbox.says = "451 Busy"
    decide_not_yet(app, campus)
    deliver(app, campus)
    mailbox.says = "250 OK"
    deliver(app, campus, minutes=5)
    deliver(app, campus, minutes=60)

    assert len(mailbox.letters) == 1


def test_nobody_is_written_to_whose_address_the_platform_does_not_tell(
    mailbox: Mailbox, app: Flask, campus: Campus
):
    with app.app_context():
        db.session.get_one(Account, campus.accounts["lena"]).email = None
        db.session.commit()
    decide_not_yet(app, campus)

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(GradeNote)) == 0
