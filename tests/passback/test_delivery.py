from datetime import datetime, timedelta
from decimal import Decimal

from flask import Flask, current_app
from sqlalchemy import select

from lti_tool import settings
from lti_tool.database import db
from lti_tool.lti.models import Registration
from lti_tool.passback import courier
from lti_tool.passback.gradebook import Outgoing, Reading, Reply
from lti_tool.passback.models import Finding, Score, ScoreState
from lti_tool.passback.rota import Rota
from lti_tool.passback.rules import MAX_FAILURES, MOST_CONFLICTS, Heard, Shown
from tests.passback.conftest import ON_BOTH
from tests.passback.gradebooks import (
    CONFLICT,
    DOWN,
    REFUSED,
    THROTTLED,
    TIMED_OUT,
    FakeGradebook,
    deliver,
    ledger,
    owe,
)
from tests.support.apps import NOON
from tests.support.cast import Campus

pytestmark = ON_BOTH

LATER = NOON + timedelta(minutes=1)
MUCH_LATER = NOON + timedelta(days=2)


def test_a_score_is_sent_and_the_answer_written_down(here: Campus):
    score_id = owe(here)

    deliver(FakeGradebook())

    score = ledger(score_id)
    assert (score.state, score.settled_at, score.tries) == (ScoreState.ACCEPTED, NOON, 1)
    assert [(one.status, one.heard) for one in score.history] == [(200, Heard.ACCEPTED)]


def test_an_accepted_score_is_not_sent_again(here: Campus):
    owe(here)
    canvas = FakeGradebook()

    deliver(canvas)
    deliver(canvas, MUCH_LATER)

    assert len(canvas.received) == 1


def test_zero_points_are_sent(here: Campus):
    owe(here, "0")
    canvas = FakeGradebook()

    deliver(canvas)

    assert canvas.points == [Decimal(0)]


def test_no_database_connection_is_held_while_the_platform_thinks(here: Campus):
    held: list[int] = []
    canvas = FakeGradebook(meanwhile=lambda: held.append(db.engine.pool.checkedout()))
    owe(here)

    deliver(canvas)

    assert held == [0]


def test_two_workers_who_both_saw_the_score_due_send_it_once(here: Campus):
    owe(here)
    other = FakeGradebook()
    canvas = FakeGradebook(meanwhile=lambda: _by_another_worker(other))

    deliver(canvas)

    assert (len(canvas.received), len(other.received)) == (1, 0)


def test_of_two_workers_who_chose_the_same_row_one_gets_it(here: Campus):
    """Both have looked before either takes: the moment that only the conditional UPDATE protects."""
    score_id = owe(here)
    seen = next(Rota(1).due(NOON))

    first = courier._claim(seen, NOON)
    second = courier._claim(seen, NOON)

    assert first is not None
    assert first.score.score_id == score_id
    assert second is None


def test_a_newer_decision_while_one_is_being_sent_arrives_after_it(here: Campus):
    canvas = FakeGradebook()
    owe(here, "4", decision=1)

    def decide_again() -> None:
        if len(canvas.received) == 1:
            owe(here, "10", decision=2)
            _by_another_worker(canvas)

    canvas.meanwhile = decide_again
    deliver(canvas)

    assert canvas.points == [4, 10]
    assert canvas.received[1].scored_at > canvas.received[0].scored_at


def test_a_failed_older_score_gives_way_to_the_newer_one_behind_it(here: Campus):
    canvas = FakeGradebook(DOWN)
    older = owe(here, "4", decision=1)
    canvas.meanwhile = lambda: owe(here, "10", decision=2) and None if len(canvas.received) == 1 else None

    deliver(canvas)
    deliver(canvas, MUCH_LATER)

    assert canvas.points == [4, 10]
    assert ledger(older).state is ScoreState.SUPERSEDED


def test_a_platform_that_is_down_gets_the_score_later_with_the_same_timestamp(here: Campus):
    score_id = owe(here)
    canvas = FakeGradebook(DOWN)

    deliver(canvas)
    assert ledger(score_id).state is ScoreState.OWED
    deliver(canvas, LATER)

    assert ledger(score_id).state is ScoreState.ACCEPTED
    assert canvas.received[0] == canvas.received[1]


def test_a_score_is_not_sent_again_before_its_wait_is_over(here: Campus):
    owe(here)
    canvas = FakeGradebook(DOWN)

    deliver(canvas)
    deliver(canvas, NOON + timedelta(seconds=1))

    assert len(canvas.received) == 1


def test_a_score_that_another_worker_has_put_off_meanwhile_waits(here: Campus):
    owe(here, who="lena")
    mateos = owe(here, who="mateo")
    now = [NOON]

    def meanwhile() -> None:
        canvas.meanwhile = lambda: None
        with application.app_context():
            deliver(FakeGradebook(DOWN))
        # The platform has had its rest, the score has not.
        now[0] = NOON + timedelta(seconds=3)

    application = current_app._get_current_object()  # type: ignore[attr-defined]  # what is behind the proxy
    canvas = FakeGradebook(meanwhile=meanwhile)
    courier.deliver_due(now_fn=lambda: now[0], gradebook=canvas)

    assert [one.subject for one in canvas.received] == ["lena"]
    assert ledger(mateos).state is ScoreState.OWED


def test_after_a_time_out_the_results_are_read_and_an_arrived_score_is_not_sent_again(here: Campus):
    score_id = owe(here)
    canvas = FakeGradebook(TIMED_OUT)
    deliver(canvas)
    canvas.shows = Shown(Decimal(10), Decimal(10))

    deliver(canvas, LATER)

    assert (len(canvas.received), canvas.readings) == (1, 1)
    assert ledger(score_id).state is ScoreState.ACCEPTED


def test_after_a_time_out_a_score_that_did_not_arrive_is_sent_again(here: Campus):
    score_id = owe(here)
    canvas = FakeGradebook(TIMED_OUT)
    deliver(canvas)

    deliver(canvas, LATER)

    assert (len(canvas.received), canvas.readings) == (2, 1)
    assert canvas.received[0] == canvas.received[1]
    assert ledger(score_id).state is ScoreState.ACCEPTED


def test_results_that_cannot_be_read_are_asked_for_again_before_anything_is_sent(here: Campus):
    class ResultsDown(FakeGradebook):
        def read(self, score: Outgoing) -> Reading:
            return Reading(TIMED_OUT, None)

    score_id = owe(here)
    canvas = ResultsDown(TIMED_OUT)

    deliver(canvas)
    deliver(canvas, LATER)

    assert len(canvas.received) == 1
    assert ledger(score_id).state is ScoreState.OWED


def test_a_platform_that_lets_nobody_read_gets_the_score_with_the_same_timestamp(here: Campus):
    class ResultsClosed(FakeGradebook):
        def read(self, score: Outgoing) -> Reading:
            return Reading(REFUSED, None)

    score_id = owe(here)
    canvas = ResultsClosed(TIMED_OUT)

    deliver(canvas)
    deliver(canvas, LATER)

    assert canvas.received[0] == canvas.received[1]
    assert ledger(score_id).state is ScoreState.ACCEPTED


def test_a_conflict_is_settled_when_the_gradebook_shows_our_grade(here: Campus):
    score_id = owe(here)
    moodle = FakeGradebook(CONFLICT)
    moodle.shows = Shown(Decimal(100), Decimal(100))

    deliver(moodle)

    assert ledger(score_id).state is ScoreState.ACCEPTED


def test_a_conflict_with_a_grade_that_a_person_set_leaves_it(here: Campus):
    score_id = owe(here)
    moodle = FakeGradebook(CONFLICT)
    moodle.shows = Shown(Decimal(4), Decimal(10))

    deliver(moodle)
    deliver(moodle, MUCH_LATER)

    score = ledger(score_id)
    assert (score.state, score.finding) == (ScoreState.OVERRIDDEN, Finding.OVERRIDDEN)
    assert (score.shown_points, score.shown_possible) == (4, 10)
    assert len(moodle.received) == 1


def test_a_conflict_with_our_own_older_score_is_answered_with_a_newer_time(here: Campus):
    first = owe(here, "4", decision=1)
    moodle = FakeGradebook()
    deliver(moodle)
    second = owe(here, "10", decision=2)
    moodle.replies = [CONFLICT]

    deliver(moodle, LATER)
    deliver(moodle, MUCH_LATER)

    assert ledger(first).state is ScoreState.ACCEPTED
    assert ledger(second).state is ScoreState.SUPERSEDED
    assert moodle.points == [4, 10, 10]
    assert moodle.received[2].scored_at > moodle.received[1].scored_at


def test_a_platform_whose_clock_is_wrong_for_ever_is_given_up_with_what_to_do(here: Campus):
    owe(here)
    moodle = FakeGradebook(*[CONFLICT] * 20)

    for day in range(20):
        deliver(moodle, NOON + timedelta(days=day))

    last = db.session.scalars(select(Score).order_by(Score.id.desc())).first()
    assert last is not None
    assert (last.state, len(moodle.received)) == (ScoreState.PARKED, MOST_CONFLICTS + 1)
    assert "clocks" in (last.reason or "")


def test_a_refused_score_waits_for_a_person_with_the_reason(here: Campus):
    score_id = owe(here)

    deliver(FakeGradebook(REFUSED))

    score = ledger(score_id)
    assert (score.state, score.reason) == (ScoreState.PARKED, REFUSED.reason)


def test_a_refused_score_does_not_hold_up_the_others(here: Campus):
    owe(here, who="lena")
    mateos = owe(here, who="mateo")

    deliver(FakeGradebook(REFUSED))

    assert ledger(mateos).state is ScoreState.ACCEPTED


def test_a_platform_that_never_comes_back_is_given_up_with_what_to_do(here: Campus):
    score_id = owe(here)
    canvas = FakeGradebook(*[DOWN] * MAX_FAILURES)

    for day in range(MAX_FAILURES):
        deliver(canvas, NOON + timedelta(days=day))

    score = ledger(score_id)
    assert score.state is ScoreState.PARKED
    assert "Send again" in (score.reason or "")


def test_a_throttled_platform_is_left_in_peace_and_its_scores_still_arrive(here: Campus):
    first, second = owe(here, who="lena"), owe(here, who="mateo")
    canvas = FakeGradebook(THROTTLED)

    deliver(canvas)
    deliver(canvas, NOON + timedelta(seconds=5))
    assert len(canvas.received) == 1
    deliver(canvas, LATER)

    assert {ledger(first).state, ledger(second).state} == {ScoreState.ACCEPTED}


def test_one_dead_platform_does_not_hold_up_another(here: Campus):
    dead = [owe(here, who=who) for who in ("lena", "mateo")]
    other = _on_another_platform(owe(here, who="aiko"))

    class OneIsDead(FakeGradebook):
        def post(self, score: Outgoing) -> Reply:
            self.received.append(score)
            return TIMED_OUT if score.registration_id == here.registration else Reply(Heard.ACCEPTED, 200)

    canvas = OneIsDead()
    deliver(canvas)

    assert ledger(other).state is ScoreState.ACCEPTED
    assert [ledger(score_id).tries for score_id in dead] == [1, 0]


def test_the_oldest_due_score_goes_first(here: Campus):
    later = owe(here, who="mateo", now=NOON)
    sooner = owe(here, who="lena", now=NOON - timedelta(minutes=5))
    canvas = FakeGradebook()

    deliver(canvas)

    assert [score.score_id for score in canvas.received] == [sooner, later]


def test_a_score_left_by_a_killed_worker_is_taken_after_its_lease(here: Campus):
    score_id = owe(here)
    _taken_by_a_worker_that_dies(score_id)
    canvas = FakeGradebook()

    deliver(canvas, NOON + timedelta(seconds=1))
    assert canvas.received == []
    deliver(canvas, _after_the_lease())

    assert (len(canvas.received), canvas.readings) == (1, 1)
    assert ledger(score_id).state is ScoreState.ACCEPTED


def test_a_score_that_arrived_before_the_worker_was_killed_is_not_sent_twice(here: Campus):
    score_id = owe(here)
    _taken_by_a_worker_that_dies(score_id)
    canvas = FakeGradebook()
    canvas.shows = Shown(Decimal(10), Decimal(10))

    deliver(canvas, _after_the_lease())

    assert canvas.received == []
    score = ledger(score_id)
    assert score.state is ScoreState.ACCEPTED
    assert [one.heard for one in score.history] == [Heard.UNKNOWN, Heard.ACCEPTED]


def test_a_worker_that_lost_its_lease_changes_nothing_with_its_late_answer(here: Campus):
    score_id = owe(here)
    other = FakeGradebook()
    slow = FakeGradebook(REFUSED, meanwhile=lambda: _by_another_worker(other, _after_the_lease()))

    deliver(slow)

    score = ledger(score_id)
    assert score.state is ScoreState.ACCEPTED
    assert len(score.history) == 3


def test_a_late_answer_does_not_take_the_score_out_of_another_workers_hands(here: Campus):
    score_id = owe(here)
    slow = FakeGradebook(REFUSED, meanwhile=lambda: _taken_again(_after_the_lease()))

    deliver(slow)

    assert ledger(score_id).state is ScoreState.SENDING


def test_a_fault_of_our_own_is_tried_again_and_holds_up_nobody(here: Campus):
    class Broken(FakeGradebook):
        def post(self, score: Outgoing) -> Reply:
            if score.subject == "lena":
                raise RuntimeError
            return super().post(score)

    lenas = owe(here, who="lena", now=NOON + timedelta(seconds=1))
    mateos = owe(here, who="mateo")

    deliver(Broken(), LATER)

    assert ledger(mateos).state is ScoreState.ACCEPTED
    assert ledger(lenas).state is ScoreState.OWED


def test_what_is_kept_of_an_answer_is_bounded(here: Campus):
    score_id = owe(here)

    deliver(FakeGradebook(Reply(Heard.REFUSED, 400, "x\0" * 5000)))

    assert len(ledger(score_id).history[0].answer) == courier.ANSWER_KEPT


def test_a_worker_that_is_told_to_stop_takes_nothing_more(here: Campus):
    owe(here, who="lena")
    owe(here, who="mateo")
    canvas = FakeGradebook()

    courier.deliver_due(now_fn=lambda: NOON, gradebook=canvas, stopping=lambda: len(canvas.received) == 1)

    assert len(canvas.received) == 1


def _by_another_worker(gradebook: FakeGradebook, now: datetime = NOON) -> None:
    app: Flask = current_app._get_current_object()
    with app.app_context():
        deliver(gradebook, now)


def _taken_by_a_worker_that_dies(score_id: int) -> None:
    taken = courier._take(NOON, Rota(1))
    assert taken is not None
    assert taken.score.score_id == score_id


def _taken_again(now: datetime) -> None:
    assert courier._take(now, Rota(1)) is not None


def _after_the_lease() -> datetime:
    return NOON + timedelta(seconds=settings.current().lease_seconds + 1)


def _on_another_platform(score_id: int) -> int:
    first = db.session.scalars(select(Registration)).first()
    assert first is not None
    other = Registration(
        platform_id=first.platform_id,
        issuer="https://other.example.edu",
        client_id="2",
        auth_url="",
        token_url="",
        jwks_url="",
        token_audience=None,
        created_at=NOON,
    )
    db.session.add(other)
    db.session.flush()
    db.session.get_one(Score, score_id).registration_id = other.id
    db.session.commit()
    return score_id
