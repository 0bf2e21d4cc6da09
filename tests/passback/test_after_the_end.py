"""After a course has ended nothing changes a grade by itself: what would becomes a request to its faculty."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from lti_tool.database import db
from lti_tool.passback import service
from lti_tool.passback.gradebook import Reply
from lti_tool.passback.models import Finding, Score, ScoreState
from lti_tool.passback.rules import ENDED, Cause, Heard, Shown
from lti_tool.people.models import Course, Membership, Term
from tests.passback.gradebooks import CONFLICT, DOWN, TIMED_OUT, FakeGradebook, deliver, ledger, owe
from tests.support.apps import NOON
from tests.support.cast import Campus

AFTER = NOON + timedelta(days=3)
AWAY = Reply(Heard.REFUSED, 422, "no student", "Not an active student there.", away=True)


def ends(here: Campus, at: datetime = NOON) -> None:
    """The last day of the course's term is the day of NOON: it is over for everybody two days later."""
    course = db.session.get_one(Course, here.course)
    course.term = Term(platform_id=course.platform_id, name="Fall", ends_on=at.date())
    db.session.commit()


def asked(score_id: int) -> bool:
    score = ledger(score_id)
    return (score.state, score.cause, score.reason) == (ScoreState.PARKED, Cause.ENDED, ENDED)


def send(here: Campus, score_id: int) -> int:
    """Faculty press “Send again”."""
    again = service.resend(score_id, here.accounts["ingrid"], now=AFTER)
    assert again is not None
    sent = again.id
    db.session.commit()
    return sent


def test_a_first_score_that_waited_when_the_course_ended_still_goes(here: Campus):
    canvas = FakeGradebook(DOWN)
    first = owe(here)
    deliver(canvas)
    ends(here)

    deliver(canvas, AFTER)

    assert ledger(first).state is ScoreState.ACCEPTED


def test_a_score_that_would_change_a_grade_and_waited_when_the_course_ended_is_asked_about(here: Campus):
    canvas = FakeGradebook()
    owe(here, "4")
    deliver(canvas)
    ends(here)
    corrected = owe(here, "10", decision=2)

    deliver(canvas, AFTER)
    waits = asked(corrected)
    again = send(here, corrected)
    deliver(canvas, AFTER)

    assert waits
    assert [one.heard for one in ledger(corrected).history] == [Heard.HELD]
    assert ledger(again).state is ScoreState.ACCEPTED
    assert canvas.points == [4, 10]


def test_what_took_the_place_of_a_score_that_never_left_is_no_change(here: Campus):
    canvas = FakeGradebook()
    owe(here, "4")
    corrected = owe(here, "10", decision=2)
    ends(here)

    deliver(canvas, AFTER)

    assert ledger(corrected).state is ScoreState.ACCEPTED


@pytest.mark.parametrize("arrived", [True, False])
def test_one_that_may_have_arrived_before_the_end_is_looked_for_first(here: Campus, arrived: bool):
    canvas = FakeGradebook()
    owe(here, "4")
    deliver(canvas)
    corrected = owe(here, "10", decision=2)
    canvas.replies = [TIMED_OUT]
    deliver(canvas)
    canvas.shows = Shown(Decimal(10 if arrived else 4), Decimal(10))
    ends(here)

    deliver(canvas, AFTER)

    assert canvas.points == [4, 10]
    assert asked(corrected) is not arrived
    assert (ledger(corrected).state is ScoreState.ACCEPTED) is arrived


def test_a_learner_who_is_back_after_the_end_is_a_question_to_faculty(here: Campus):
    canvas = FakeGradebook(AWAY)
    refused = owe(here)
    deliver(canvas)
    ends(here)
    db.session.query(Membership).update({"seen_at": AFTER})

    released = [service.release_returned(now=AFTER) for _ in range(2)]
    db.session.commit()
    deliver(canvas, AFTER)
    waits = asked(refused)
    deliver(canvas, AFTER)
    send(here, refused)
    deliver(canvas, AFTER)

    assert released == [0, 0]
    assert waits
    assert canvas.points == [10, 10]


def test_a_score_with_too_old_a_time_gets_no_newer_one_after_the_end_unless_a_person_wants_it(here: Campus):
    canvas = FakeGradebook(CONFLICT)
    first = owe(here)
    ends(here)

    deliver(canvas, AFTER)
    waits = asked(first)
    send(here, first)
    canvas.replies = [CONFLICT]
    deliver(canvas, AFTER)
    deliver(canvas, AFTER + timedelta(hours=1))

    assert waits
    assert canvas.points == [10, 10, 10]
    states = [row.state for row in db.session.query(Score).order_by(Score.id)]
    assert states == [ScoreState.SUPERSEDED, ScoreState.SUPERSEDED, ScoreState.ACCEPTED]


def test_what_an_earner_had_sent_again_in_vain_before_the_end_is_asked_about_afterwards(here: Campus):
    canvas = FakeGradebook()
    lost = owe(here)
    deliver(canvas)
    score = ledger(lost)
    score.finding, score.read_at, canvas.shows = Finding.MISSING, NOON, None
    again = service.resend(lost, here.accounts["lena"], now=NOON, for_themselves=True)
    assert again is not None
    asked_for = again.id
    db.session.commit()
    ends(here)

    deliver(canvas, AFTER)

    assert asked(asked_for)


def test_points_that_a_person_took_back_before_the_end_go_afterwards_too(here: Campus):
    canvas = FakeGradebook()
    posted = owe(here)
    deliver(canvas)
    zero = service.take_back(posted, here.accounts["ingrid"], "It was copied.", now=NOON)
    assert zero is not None
    db.session.commit()
    ends(here)

    deliver(canvas, AFTER)

    assert canvas.points == [10, 0]
