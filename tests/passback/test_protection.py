"""What a person set in the gradebook is never overwritten, and what is refused for a while goes by itself later."""

from datetime import datetime, timedelta
from decimal import Decimal

from lti_tool.database import db
from lti_tool.passback import service
from lti_tool.passback.gradebook import Outgoing, Reading, Reply
from lti_tool.passback.models import Finding, Score, ScoreState
from lti_tool.passback.rules import Cause, Heard, Shown
from lti_tool.people.models import Membership, Roster, RosterMember, RosterStatus
from tests.passback.conftest import ON_BOTH
from tests.passback.gradebooks import REFUSED, TIMED_OUT, FakeGradebook, deliver, ledger, owe
from tests.support.apps import NOON
from tests.support.cast import Campus

pytestmark = ON_BOTH

LATER = NOON + timedelta(minutes=5)
AWAY = Reply(Heard.REFUSED, 422, "no student", "Not an active student there. Press Send again.", away=True)


class Unreadable(FakeGradebook):
    def read(self, score: Outgoing) -> Reading:
        super().read(score)
        return Reading(Reply(Heard.REFUSED, 401, "Insufficient permissions"), None)


def test_a_later_score_does_not_go_over_what_a_person_set(here: Campus):
    canvas = _having_sent(here, "4")
    canvas.shows = Shown(Decimal(7), Decimal(10))
    corrected = owe(here, "10", decision=2)

    deliver(canvas, LATER)
    deliver(canvas, LATER + timedelta(days=1))

    score = ledger(corrected)
    assert canvas.points == [4]
    assert (score.state, score.finding, score.read_at) == (
        ScoreState.OVERRIDDEN,
        Finding.OVERRIDDEN,
        LATER,
    )
    assert (score.shown_points, score.shown_possible) == (7, 10)
    assert "somebody set it" in (score.reason or "")
    assert [one.heard for one in score.history] == [Heard.OVERRIDDEN]


def test_a_zero_that_a_person_set_is_a_grade_too(here: Campus):
    canvas = _having_sent(here, "4")
    canvas.shows = Shown(Decimal(0), Decimal(10))
    corrected = owe(here, "10", decision=2)

    deliver(canvas, LATER)

    assert ledger(corrected).state is ScoreState.OVERRIDDEN


def test_a_later_score_replaces_our_own_earlier_one_however_the_platform_scales_it(here: Campus):
    canvas = _having_sent(here, "4")
    canvas.shows = Shown(Decimal(40), Decimal(100))
    corrected = owe(here, "10", decision=2)

    deliver(canvas, LATER)

    assert canvas.points == [4, 10]
    assert ledger(corrected).state is ScoreState.ACCEPTED


def test_a_later_score_fills_a_cell_that_shows_nothing(here: Campus):
    canvas = _having_sent(here, "4")
    canvas.shows = None
    owe(here, "10", decision=2)

    deliver(canvas, LATER)

    assert canvas.points == [4, 10]


def test_any_score_that_we_sent_before_may_be_replaced_also_one_that_was_never_heard_of_again(here: Campus):
    canvas = FakeGradebook(TIMED_OUT)
    owe(here, "4", decision=1)
    deliver(canvas)
    canvas.shows = Shown(Decimal(4), Decimal(10))
    corrected = owe(here, "10", decision=2)

    deliver(canvas, LATER)

    assert ledger(corrected).state is ScoreState.ACCEPTED
    assert canvas.points == [4, 10]


def test_a_first_score_goes_without_a_look(here: Campus):
    canvas = FakeGradebook()
    owe(here)

    deliver(canvas)

    assert (len(canvas.received), canvas.readings) == (1, 0)


def test_the_0_of_a_close_out_does_not_go_over_a_grade_that_was_set_before_we_sent_anything(here: Campus):
    canvas = FakeGradebook()
    canvas.shows = Shown(Decimal(7), Decimal(10))
    zero = owe(here, "0", decision=None)

    deliver(canvas)

    assert canvas.points == []
    assert (ledger(zero).state, ledger(zero).shown_points) == (ScoreState.OVERRIDDEN, 7)


def test_the_0_of_a_close_out_fills_a_cell_that_is_empty_or_cannot_be_read(here: Campus):
    canvas, unreadable = FakeGradebook(), Unreadable()
    owe(here, "0", decision=None)
    deliver(canvas)
    owe(here, "0", decision=None, who="mateo")
    deliver(unreadable)

    assert (canvas.points, canvas.readings) == ([0], 1)
    assert unreadable.points == [0]


def test_what_a_person_set_between_two_tries_of_a_score_stays(here: Campus):
    canvas = FakeGradebook(TIMED_OUT)
    score_id = owe(here)
    deliver(canvas)
    canvas.shows = Shown(Decimal(7), Decimal(10))

    deliver(canvas, LATER)

    assert ledger(score_id).state is ScoreState.OVERRIDDEN
    assert len(canvas.received) == 1


def test_a_score_that_a_person_wants_there_all_the_same_goes_over_it(here: Campus):
    canvas = _having_sent(here, "4")
    canvas.shows = Shown(Decimal(7), Decimal(10))
    left = owe(here, "10", decision=2)
    deliver(canvas, LATER)

    service.resend(left, here.accounts["rita"], now=LATER, overwrites=True)
    db.session.commit()
    deliver(canvas, LATER)

    assert canvas.points == [4, 10]


def test_where_grades_cannot_be_read_a_later_score_waits_for_somebody_who_looks(here: Campus):
    canvas = Unreadable()
    owe(here, "4", decision=1)
    deliver(canvas)
    corrected = owe(here, "10", decision=2)

    deliver(canvas, LATER)

    score = ledger(corrected)
    assert (score.state, score.cause) == (ScoreState.PARKED, Cause.UNSEEN)
    assert "may not read the grades" in score.history[0].verdict
    assert canvas.points == [4]

    service.resend(corrected, here.accounts["rita"], now=LATER)
    db.session.commit()
    deliver(canvas, LATER)
    assert canvas.points == [4, 10]


def test_an_accepted_score_settles_what_was_found_about_earlier_ones(here: Campus):
    canvas = _having_sent(here, "4")
    score = db.session.query(Score).one()
    score.finding, score.read_due_at = Finding.MISSING, LATER
    first = score.id
    db.session.commit()
    canvas.shows = None
    owe(here, "10", decision=2)

    deliver(canvas, LATER)

    earlier = ledger(first)
    assert (earlier.read_due_at, earlier.dealt_with_at) == (None, LATER)


def test_a_learner_who_opens_the_activity_again_gets_the_grade_without_anybody_pressing_a_button(
    here: Campus,
):
    canvas = FakeGradebook(AWAY)
    refused = owe(here)
    deliver(canvas)
    assert (ledger(refused).state, ledger(refused).cause) == (ScoreState.PARKED, Cause.AWAY)
    assert _released(LATER) == 0

    membership = db.session.query(Membership).filter_by(account_id=here.accounts["lena"]).one()
    membership.seen_at = LATER
    db.session.commit()

    assert _released(LATER) == 1
    deliver(canvas, LATER)
    assert ledger(refused).state is ScoreState.SUPERSEDED
    assert canvas.points == [10, 10]


def test_a_learner_who_is_listed_in_the_course_again_gets_the_grade(here: Campus):
    canvas = FakeGradebook(AWAY)
    owe(here)
    deliver(canvas)
    roster = Roster(course_id=here.course, deployment_pk=here.deployment, address="x", read_at=NOON)
    lena = RosterMember(
        course_id=here.course,
        subject="lena",
        role="learner",
        status=RosterStatus.LEFT,
        since=NOON,
        reading=1,
    )
    db.session.add_all([roster, lena])
    db.session.commit()
    assert _released(LATER) == 0

    roster.read_at = LATER
    db.session.commit()
    assert _released(LATER) == 0
    lena.status = RosterStatus.ACTIVE
    db.session.commit()

    assert _released(LATER) == 1
    deliver(canvas, LATER)
    assert canvas.points == [10, 10]


def test_a_score_that_was_refused_for_another_reason_waits_for_a_person(here: Campus):
    owe(here)
    deliver(FakeGradebook(REFUSED))
    db.session.query(Membership).update({"seen_at": LATER})
    db.session.commit()

    assert _released(LATER) == 0


def _having_sent(here: Campus, points: str) -> FakeGradebook:
    canvas = FakeGradebook()
    owe(here, points, decision=1)
    deliver(canvas)
    return canvas


def _released(now: datetime) -> int:
    released = service.release_returned(now=now)
    db.session.commit()
    return released
