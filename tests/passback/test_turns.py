"""Whose turn it is: no course waits for another's thousands, no platform for another that is slow or had enough."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import func, insert, select

from lti_tool import clock
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Registration
from lti_tool.passback import courier, service
from lti_tool.passback.gradebook import Outgoing, Reply
from lti_tool.passback.models import Score, ScoreState
from lti_tool.passback.rules import MAX_FAILURES, Heard
from lti_tool.people.models import Account, Person
from tests.faults.machines import eventually
from tests.lti import platform_double
from tests.lti.platform_double import FakePlatform
from tests.passback.gradebooks import THROTTLED, FakeGradebook, deliver, ledger, owe
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement, build_campus, simple_key

FEW = ("lena", "mateo", "aiko")
FINE = platform_double.Reply()
LATER = NOON + timedelta(minutes=5)


def test_a_small_course_s_scores_arrive_while_ten_thousand_of_another_course_wait(here: Campus):
    links = [f"exam-{number}" for number in range(10)]
    exams = [add_placement(here.deployment, here.course, link, simple_key()).id for link in links]
    owe_crowd(here, exams, people=1000)
    seminar = in_course(here, here.other_course)
    few = [owe(seminar, who=who, now=LATER) for who in FEW]

    deliver(FakeGradebook(), LATER, limit=2 * len(few))

    assert [ledger(score_id).state for score_id in few] == [ScoreState.ACCEPTED] * len(few)
    assert still_owed(here) == 10_000 - len(few)


@pytest.mark.parametrize("answers_first", [0, 20], ids=["from the start", "in the middle"])
def test_a_platform_that_hangs_holds_up_no_other(app: Flask, here: Campus, answers_first: int):
    slow, crowd = build_campus("moodle"), 40
    owe_crowd(slow, [slow.placement], people=crowd)
    owe_crowd(here, [here.placement], people=crowd)
    gradebook = HangingGradebook(slow.registration, answers_first)

    def work() -> None:
        with app.app_context():
            courier.deliver_due(
                now_fn=lambda: NOON, gradebook=gradebook, hands=courier.HANDS, limit=2 * crowd
            )

    worker = threading.Thread(target=work)
    worker.start()
    try:
        eventually(lambda: gradebook.hangs.is_set() and not still_owed(here), "the other's scores are there")
        waiting = still_owed(slow)
    finally:
        gradebook.let_go.set()
        worker.join()

    assert waiting >= crowd - answers_first
    assert (still_owed(slow), len(gradebook.received)) == (0, 2 * crowd)


def test_a_bucket_that_runs_low_slows_every_course_of_that_client_id_and_nobody_else(
    here: Campus, double: FakePlatform
):
    low = platform_double.Reply(headers={"X-Rate-Limit-Remaining": "80.0"})
    canvas, moodle = at(double, here, low), at(double, build_campus("moodle"))
    first = owe(canvas, column=column_of(canvas))
    work()
    elsewhere = in_course(canvas, here.other_course)
    second, other = (
        owe(elsewhere, who="mateo", column=column_of(canvas)),
        owe(moodle, column=column_of(moodle)),
    )

    work()
    slowed = (ledger(first).state, ledger(second).state, ledger(second).tries, ledger(other).state)
    work(after=timedelta(seconds=11))

    # Ten points a second come back, and below 180 we wait for them.
    assert slowed == (ScoreState.ACCEPTED, ScoreState.OWED, 0, ScoreState.ACCEPTED)
    assert ledger(second).state is ScoreState.ACCEPTED


@pytest.mark.parametrize("status", [403, 429])
def test_a_client_id_that_is_throttled_waits_in_every_course_and_nobody_else_does(
    here: Campus, double: FakePlatform, status: int
):
    full = platform_double.Reply(status, f"{status} Forbidden (Rate Limit Exceeded)\n".encode())
    canvas, moodle = at(double, here, full), at(double, build_campus("moodle"))
    first = owe(canvas, column=column_of(canvas))
    work()
    elsewhere = in_course(canvas, here.other_course)
    second, other = (
        owe(elsewhere, who="mateo", column=column_of(canvas)),
        owe(moodle, column=column_of(moodle)),
    )

    work()
    slowed = [ledger(score_id).state for score_id in (first, second, other)]
    tries = [one.heard for one in ledger(first).history], ledger(second).tries
    at(double, canvas)
    work(after=timedelta(seconds=15))

    assert slowed == [ScoreState.OWED, ScoreState.OWED, ScoreState.ACCEPTED]
    assert tries == ([Heard.THROTTLED], 0)
    assert [ledger(score_id).state for score_id in (first, second)] == [ScoreState.ACCEPTED] * 2


def test_however_often_a_score_is_throttled_it_is_never_refused(here: Campus):
    score_id = owe(here)
    canvas = FakeGradebook(*[THROTTLED] * (MAX_FAILURES + 1))

    for hour in range(MAX_FAILURES + 1):
        deliver(canvas, NOON + timedelta(hours=hour))
    patient = ledger(score_id).state
    deliver(canvas, NOON + timedelta(days=3))

    assert (patient, ledger(score_id).state) == (ScoreState.OWED, ScoreState.ACCEPTED)


class HangingGradebook(FakeGradebook):
    """One platform answers so many and no more, until it is let go."""

    def __init__(self, slow: int, answers_first: int) -> None:
        super().__init__()
        self.hangs, self.let_go = threading.Event(), threading.Event()
        self._slow, self._answers_left = slow, answers_first
        self._lock = threading.Lock()

    def post(self, score: Outgoing) -> Reply:
        if score.registration_id == self._slow:
            with self._lock:
                hangs, self._answers_left = self._answers_left == 0, max(0, self._answers_left - 1)
            if hangs:
                self.hangs.set()
                assert self.let_go.wait(120)
        return super().post(score)


@pytest.fixture
def double() -> Iterator[FakePlatform]:
    """The servers of two platforms, at one address."""
    platform = FakePlatform()
    yield platform
    platform.close()


def at(double: FakePlatform, campus: Campus, answer: platform_double.Reply = FINE) -> Campus:
    """Let scores of that platform be answered like this, over HTTP."""
    db.session.get_one(Registration, campus.registration).token_url = double.url + "/token"
    path = f"/platforms/{campus.registration}/line_items/1"
    db.session.get_one(Placement, campus.placement).line_item_url = double.url + path
    db.session.commit()
    double.answers[path + "/scores"] = lambda _: answer
    return campus


def column_of(campus: Campus) -> str | None:
    return db.session.get_one(Placement, campus.placement).line_item_url


def in_course(campus: Campus, course: int) -> Campus:
    """The same platform, with an activity of another course."""
    placement = add_placement(campus.deployment, course, f"link-of-{course}", simple_key())
    db.session.commit()
    return replace(campus, course=course, placement=placement.id)


def work(*, after: timedelta = timedelta()) -> None:
    """A pass of a worker over HTTP, now or so much later."""
    courier.deliver_due(now_fn=lambda: clock.now() + after)


def still_owed(campus: Campus) -> int:
    owed = select(func.count()).where(
        Score.registration_id == campus.registration, Score.state != ScoreState.ACCEPTED
    )
    count = db.session.scalar(owed) or 0
    db.session.rollback()
    return count


def owe_crowd(campus: Campus, placements: list[int], *, people: int) -> None:
    """Rows as they stand after so many people were decided on in each of these activities."""
    platform = db.session.get_one(Registration, campus.registration).platform_id
    persons = db.session.scalars(insert(Person).returning(Person.id), [{"created_at": NOON}] * people).all()
    accounts = db.session.execute(
        insert(Account).returning(Account.id, Account.subject),
        [
            {
                "platform_id": platform,
                "person_id": person,
                "subject": f"crowd-{person}",
                "created_at": NOON,
                "seen_at": NOON,
            }
            for person in persons
        ],
    ).all()
    owed = {
        "decision_id": 1,
        "deployment_pk": campus.deployment,
        "registration_id": campus.registration,
        "line_item_url": "https://lms.example.edu/line_items/1",
        "points": Decimal(10),
        "points_possible": Decimal(10),
        "comment": "Good.",
        "activity_progress": service.COMPLETED,
        "grading_progress": service.FULLY_GRADED,
        "state": ScoreState.OWED,
    }
    times = dict.fromkeys(("scored_at", "submitted_at", "due_at", "created_at"), NOON)
    db.session.execute(
        insert(Score),
        [
            owed
            | times
            | {"placement_id": placement, "account_id": account.id, "subject": account.subject}
            | {"idempotency_key": f"crowd/cell:{placement}.{account.id}"}
            for placement in placements
            for account in accounts
        ],
    )
    db.session.commit()
