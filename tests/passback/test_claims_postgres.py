"""The claim on PostgreSQL, where writers do not wait for each other as they do on SQLite."""

import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import count

from flask import Flask
from sqlalchemy import select, update

from lti_tool.database import db
from lti_tool.passback import service
from lti_tool.passback.gradebook import Reply
from lti_tool.passback.models import Score, ScoreState
from lti_tool.passback.rules import Heard
from lti_tool.people.models import Membership
from lti_tool.registrar import resending
from lti_tool.registrar.resending import Plan
from tests.faults.machines import eventually
from tests.passback.conftest import ON_POSTGRES
from tests.passback.gradebooks import CONFLICT, FakeGradebook, deliver, ledger, owe
from tests.support.apps import NOON
from tests.support.cast import Campus
from tests.support.postgres import somebody_waits

pytestmark = ON_POSTGRES
AWAY = Reply(Heard.REFUSED, 422, "not a student", "Not a student here now.", away=True)


def test_eight_workers_at_once_send_every_score_once(app: Flask, campus: Campus):
    with app.app_context():
        ids = [owe(campus, who=who) for who in ("lena", "mateo", "aiko", "otto", "ingrid", "ada", "rita")]
    canvas, start = FakeGradebook(), threading.Barrier(8)

    def work() -> None:
        with app.app_context():
            start.wait()
            deliver(canvas)

    _all_at_once(8, work)

    assert sorted(score.score_id for score in canvas.received) == ids
    with app.app_context():
        assert {ledger(score_id).state for score_id in ids} == {ScoreState.ACCEPTED}


def test_of_several_who_owe_a_cell_by_the_same_decision_one_does_it(app: Flask, campus: Campus):
    ids: list[int] = []
    start = threading.Barrier(4)

    def decide() -> None:
        with app.app_context():
            start.wait()
            ids.append(owe(campus))

    _all_at_once(4, decide)

    with app.app_context():
        assert ids == [db.session.scalars(select(Score.id)).one()] * 4


def test_of_two_who_owe_one_cell_at_the_same_moment_one_gives_way(app: Flask, campus: Campus):
    ids: list[int] = []
    start, decisions = threading.Barrier(4), count(1)

    def decide() -> None:
        with app.app_context():
            start.wait()
            ids.append(owe(campus, decision=next(decisions)))

    _all_at_once(4, decide)

    with app.app_context():
        scores = [ledger(score_id) for score_id in ids]
        assert [score.state for score in scores].count(ScoreState.OWED) == 1
        assert len({score.scored_at for score in scores}) == 4
        newest = max(scores, key=lambda score: score.scored_at)
        assert newest.state is ScoreState.OWED


def test_a_newer_decision_while_one_is_being_sent_arrives_after_it(app: Flask, campus: Campus):
    canvas = FakeGradebook()

    def decide_again() -> None:
        if len(canvas.received) == 1:
            owe(campus, "10", decision=2)

    canvas.meanwhile = decide_again
    with app.app_context():
        owe(campus, "4", decision=1)

        deliver(canvas)

    assert canvas.points == [4, 10]


def test_two_who_press_send_again_at_once_send_once(app: Flask, campus: Campus):
    with app.app_context():
        parked = owe(campus, column=None)
    start, again = threading.Barrier(2), []

    def press() -> None:
        with app.app_context():
            start.wait()
            again.append(service.resend(parked, None, now=ledger(parked).created_at))
            db.session.commit()

    _all_at_once(2, press)

    assert [score is None for score in again].count(True) == 1


def test_a_new_decision_and_a_score_that_is_given_a_newer_time_do_not_stand_in_each_other_s_way(
    app: Flask, campus: Campus
):
    with app.app_context():
        older = owe(campus, "4", decision=1)
    newer: list[int] = []
    begun, moodle = threading.Event(), FakeGradebook(CONFLICT)

    def decide() -> None:
        with app.app_context():
            service.one_at_a_time(campus.accounts["lena"])
            begun.set()
            while not somebody_waits():
                begun.wait(0.01)
            newer.append(owe(campus, "10", decision=2))

    deciding = threading.Thread(target=decide)

    def meanwhile() -> None:
        if not begun.is_set():
            deciding.start()
            begun.wait()

    moodle.meanwhile = meanwhile
    with app.app_context():
        deliver(moodle)
        deciding.join()
        deliver(moodle)

        assert moodle.points == [4, 10]
        assert ledger(older).state is ScoreState.SUPERSEDED
        assert ledger(newer[0]).state is ScoreState.ACCEPTED


def test_whoever_sends_several_people_s_scores_takes_the_people_in_one_order(app: Flask, campus: Campus):
    """The scores lie the other way round than their people: whoever took them one by one would wait for us for ever."""
    with app.app_context():
        people = sorted(campus.accounts[who] for who in ("lena", "mateo"))
        for who in sorted(("lena", "mateo"), key=lambda who: -campus.accounts[who]):
            owe(campus, who=who)
        deliver(FakeGradebook(AWAY, AWAY))
        db.session.execute(update(Membership).values(seen_at=NOON + timedelta(hours=1)))
        db.session.commit()
        parked = tuple(db.session.scalars(select(Score.id).order_by(Score.id)))
        plan = Plan(total=2, ids=parked, one_by_one=[], more_one_by_one=0, without_column=0)
    sent: list[int] = []

    def all_of_a_filter() -> int:
        return sum(resending.send(plan, [], campus.accounts["rita"], now=NOON + timedelta(hours=2)))

    def all_who_are_back() -> int:
        return service.release_returned(now=NOON + timedelta(hours=2))

    for send in (all_of_a_filter, all_who_are_back):

        def work(send: Callable[[], int] = send) -> None:
            with app.app_context():
                sent.append(send())

        with app.app_context():
            service.one_at_a_time(people[0])
            worker = threading.Thread(target=work)
            worker.start()
            eventually(somebody_waits, "the other waits for the first of us")
            service.one_at_a_time(people[1])
            db.session.rollback()
            worker.join()

    # Neither was committed, so both have found the same two.
    assert sent == [2, 2]


def _all_at_once(count: int, work: object) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
