"""A gradebook is told that work waits, where that harms no grade; and only as long as it is true."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool.assessment import service as assessment
from lti_tool.assessment.models import Outcome
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.answers import ServiceAnswer
from lti_tool.lti.models import Platform, Registration
from lti_tool.lti.platforms import behaviour
from lti_tool.passback import notes
from lti_tool.passback.models import GradeNote, NoteKind, Score
from lti_tool.passback.service import PlacementCell
from lti_tool.submissions.models import Submission
from tests.lti.platform_double import FakePlatform, Reply
from tests.passback.gradebooks import FakeGradebook
from tests.passback.gradebooks import deliver as deliver_scores
from tests.passback.gradebooks import owe as owe_a_score
from tests.support.apps import NOON
from tests.support.cast import Campus
from tests.support.submitted import hand_in_work, marks_for, version_of

ITEM = "/line_items/1"


@pytest.fixture
def canvas(app: Flask, campus: Campus) -> Iterator[FakePlatform]:
    platform = FakePlatform()
    platform.answers[f"{ITEM}/scores"] = lambda _: Reply()
    with app.app_context():
        db.session.get_one(Registration, campus.registration).token_url = platform.url + "/token"
        db.session.get_one(Placement, campus.placement).line_item_url = platform.url + ITEM
        db.session.commit()
        yield platform
        db.session.rollback()
    platform.close()


def hand_in(campus: Campus, at: datetime = NOON) -> Submission:
    submission = hand_in_work(campus, "lena", at=at)
    assessment.tell_handed_in(submission)
    db.session.commit()
    return submission


def deliver(at: datetime = NOON) -> int:
    return sum(notes.deliver_due(registration_id, now_fn=lambda: at) for registration_id in notes.due(at))


def waiting() -> int:
    return db.session.scalar(select(func.count()).select_from(GradeNote)) or 0


def test_canvas_is_told_that_work_waits_and_where_the_assessor_finds_it(campus: Campus, canvas: FakePlatform):
    submission_id = hand_in(campus, NOON + timedelta(microseconds=250_000)).id

    assert deliver(NOON + timedelta(seconds=1)) == 1

    [asked] = canvas.asked_at(f"{ITEM}/scores")
    assert json.loads(asked.body) == {
        "userId": "lena",
        "activityProgress": "Submitted",
        "gradingProgress": "PendingManual",
        "timestamp": "2026-10-05T12:00:00.000+00:00",
        "submission": {"submittedAt": "2026-10-05T12:00:00.250+00:00"},
        "https://canvas.instructure.com/lti/submission": {
            "submission_type": "basic_lti_launch",
            "submission_data": f"http://tool.localhost:8700/lti/launch/activities/{campus.placement}"
            f"/submissions/{submission_id}",
            "preserve_score": True,
        },
    }
    assert waiting() == 0


def test_moodle_and_others_hear_nothing_before_the_decision(campus: Campus, canvas: FakePlatform):
    """Moodle would wipe a grade that stands with it."""
    db.session.scalars(select(Platform)).one().product = "moodle"
    hand_in(campus)

    assert (waiting(), deliver()) == (0, 0)
    assert [behaviour(product).handed_in("x") for product in ("moodle", "openedx", "other")] == [None] * 3


def test_without_a_gradebook_column_nothing_is_told(campus: Campus, canvas: FakePlatform):
    db.session.get_one(Placement, campus.placement).line_item_url = None
    hand_in(campus)

    assert waiting() == 0


def test_a_decision_overtakes_what_was_not_told_yet(campus: Campus, canvas: FakePlatform):
    """Told afterwards, it would say that graded work waits."""
    submission = hand_in(campus)
    marks = marks_for(version_of(submission))
    assessment.decide(
        submission.id, campus.accounts["ingrid"], marks, "Fine.", Outcome.DEMONSTRATED, now=NOON
    )
    db.session.commit()

    deliver()

    assert canvas.asked_at(f"{ITEM}/scores") == []
    assert waiting() == 0


def test_one_that_is_busy_is_told_later_and_one_that_refuses_is_let_be(campus: Campus, canvas: FakePlatform):
    canvas.answers[f"{ITEM}/scores"] = lambda _: Reply(429, b"Rate Limit Exceeded")
    hand_in(campus)
    busy = (deliver(), deliver(NOON + timedelta(seconds=10)), waiting())
    canvas.answers[f"{ITEM}/scores"] = lambda _: Reply(422, b"The maximum number of allowed attempts")
    refused = (deliver(NOON + timedelta(minutes=1)), waiting())

    assert busy == (1, 0, 1)
    assert refused == (1, 0)


def test_a_platform_that_is_out_of_order_is_not_asked_note_by_note(campus: Campus, canvas: FakePlatform):
    for who in ("lena", "mateo"):
        assessment.tell_handed_in(hand_in_work(campus, who))
        db.session.commit()
    canvas.answers[f"{ITEM}/scores"] = lambda _: Reply(503)
    deliver()
    in_trouble = len(canvas.asked_at(f"{ITEM}/scores"))
    canvas.answers[f"{ITEM}/scores"] = lambda _: Reply()
    for minutes in (1, 2):
        deliver(NOON + timedelta(minutes=minutes))

    assert in_trouble == 1
    assert waiting() == 0


def test_the_same_submission_is_told_once(campus: Campus, canvas: FakePlatform):
    submission = hand_in(campus)

    assert not assessment.tell_handed_in(submission)
    assert waiting() == 1


def not_yet(campus: Campus, at: datetime = NOON, feedback: str = "Say more about goals.") -> int:
    """Lena's work, decided as not yet demonstrated; the decision's id."""
    submission = hand_in_work(campus, "lena", at=at)
    marks = marks_for(version_of(submission), below=5)
    decision = assessment.decide(
        submission.id, campus.accounts["ingrid"], marks, feedback, Outcome.NOT_YET, now=at
    )
    decision_id = decision.id
    db.session.commit()
    return decision_id


def test_not_yet_reaches_the_earner_as_a_comment_on_canvas_and_never_as_a_number(
    campus: Campus, canvas: FakePlatform
):
    not_yet(campus)

    deliver(NOON + timedelta(seconds=1))

    [asked] = canvas.asked_at(f"{ITEM}/scores")
    assert json.loads(asked.body) == {
        "userId": "lena",
        "activityProgress": "InProgress",
        "gradingProgress": "NotReady",
        "timestamp": "2026-10-05T12:00:00.000+00:00",
        "comment": "Not yet demonstrated; you may hand in again. Feedback: Say more about goals.",
        "https://canvas.instructure.com/lti/submission": {"new_submission": False, "preserve_score": True},
    }
    assert waiting() == 0
    assert db.session.scalars(select(Score)).all() == []


@pytest.mark.parametrize("product", ["moodle", "openedx", "other"])
def test_elsewhere_nothing_is_posted_and_without_a_mail_server_nothing_waits(
    campus: Campus, canvas: FakePlatform, product: str
):
    db.session.scalars(select(Platform)).one().product = product

    not_yet(campus)

    assert (waiting(), deliver(), canvas.asked_at(f"{ITEM}/scores")) == (0, 0, [])


def test_a_comment_that_may_have_arrived_is_not_posted_twice(
    campus: Campus, canvas: FakePlatform, monkeypatch: pytest.MonkeyPatch
):
    """Canvas shows each of them, and an earner need not read the same twice."""
    not_yet(campus)
    silent = ServiceAnswer(status=None, body="", sent=True)
    monkeypatch.setattr(notes.ags, "post_score", lambda *_, **__: silent)

    deliver()

    assert waiting() == 0


def test_a_comment_waits_behind_a_score_of_its_cell(campus: Campus, canvas: FakePlatform):
    """Told first, it would make Canvas take that score for an older one."""
    owe_a_score(campus, "4", column=canvas.url + ITEM, now=NOON)
    later = NOON + timedelta(minutes=1)
    not_yet(campus, later)
    deliver(later)
    held_back = canvas.asked_at(f"{ITEM}/scores") == []
    deliver_scores(FakeGradebook(), later)
    deliver(later + timedelta(minutes=1))

    assert held_back
    assert len(canvas.asked_at(f"{ITEM}/scores")) == 1


def test_what_else_an_earner_is_to_be_told_goes_the_same_way_and_once(campus: Campus, canvas: FakePlatform):
    cell = PlacementCell(campus.placement, campus.deployment, campus.registration, canvas.url + ITEM)

    def owe() -> bool:
        return notes.owe(
            cell,
            account_id=campus.accounts["lena"],
            subject="lena",
            text="Incomplete.",
            kind=NoteKind.INCOMPLETE,
            ref=7,
            now=NOON,
        )

    assert (owe(), owe(), waiting()) == (True, False, 1)
