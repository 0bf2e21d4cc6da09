"""What the gradebooks show is read back and compared with what they accepted; never put right unasked."""

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, current_app
from sqlalchemy import select, update

from lti_tool.audit import AuditEvent
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Platform, Registration
from lti_tool.passback import readback, service
from lti_tool.passback.models import Finding, ReadBack, Score, ScoreState
from lti_tool.passback.rules import Shown
from lti_tool.people.models import Course, Term
from tests.lti.platform_double import FakePlatform, Reply
from tests.passback.gradebooks import DOWN, REFUSED, FakeGradebook, deliver, ledger
from tests.passback.gradebooks import owe as owe_a_score
from tests.support.apps import NOON, settings_for
from tests.support.cast import Campus

ITEM = "/line_items/1"
SOON = NOON + timedelta(minutes=2)
NEXT_DAY = NOON + timedelta(days=1)


@pytest.fixture
def gradebook(app: Flask, campus: Campus) -> Iterator[FakePlatform]:
    platform = FakePlatform()
    with app.app_context():
        db.session.get_one(Registration, campus.registration).token_url = platform.url + "/token"
        db.session.get_one(Placement, campus.placement).line_item_url = platform.url + ITEM
        db.session.commit()
        shows(platform)
        yield platform
        db.session.rollback()
    platform.close()


def shows(platform: FakePlatform, maximum: float = 10, **grades: float | None) -> None:
    """Let the column show these grades from now on."""
    rows = [
        {"userId": who}
        if points is None
        else {"userId": who, "resultScore": points, "resultMaximum": maximum}
        for who, points in grades.items()
    ]
    platform.answers[f"{ITEM}/results"] = lambda _: Reply(body=json.dumps(rows).encode())


def accepted(
    campus: Campus, platform: FakePlatform, points: str = "10", *, who: str = "lena", at: datetime = NOON
) -> int:
    """A score that the platform took at that moment."""
    decision = int(at.timestamp())
    score_id = owe_a_score(campus, points, who=who, decision=decision, column=platform.url + ITEM, now=at)
    deliver(FakeGradebook(), at)
    return score_id


def read(at: datetime = SOON, wait: Callable[[float], object] = lambda _: None) -> int:
    return readback.read_due(now_fn=lambda: at, wait=wait)


def found(score_id: int) -> tuple[ScoreState, Finding | None, float | None]:
    score = ledger(score_id)
    return score.state, score.finding, None if score.shown_points is None else float(score.shown_points)


def is_on(product: str) -> None:
    db.session.execute(update(Platform).values(product=product))
    db.session.commit()


def test_a_grade_that_the_gradebook_shows_is_confirmed_soon_after_it_was_accepted(
    campus: Campus, gradebook: FakePlatform
):
    score_id = accepted(campus, gradebook)
    shows(gradebook, lena=10)

    too_early = read(NOON + timedelta(minutes=1))
    read()

    assert too_early == 0
    assert found(score_id) == (ScoreState.CONFIRMED, Finding.SAME, 10)
    assert ledger(score_id).read_at == SOON


def test_a_column_is_read_once_for_all_of_its_earners(campus: Campus, gradebook: FakePlatform):
    lenas, mateos = (accepted(campus, gradebook, who=who) for who in ("lena", "mateo"))
    shows(gradebook, lena=10, mateo=3)

    read(NEXT_DAY)

    assert len(gradebook.asked_at(f"{ITEM}/results")) == 1
    assert found(lenas) == (ScoreState.CONFIRMED, Finding.SAME, 10)
    assert found(mateos) == (ScoreState.OVERRIDDEN, Finding.OVERRIDDEN, 3)


def test_a_grade_that_kept_a_score_from_being_sent_is_looked_at_again_and_said_to_be_gone(
    campus: Campus, gradebook: FakePlatform
):
    first = accepted(campus, gradebook, "4")
    canvas = FakeGradebook()
    canvas.shows = Shown(Decimal(7), Decimal(10))
    later = owe_a_score(campus, "10", decision=2, column=gradebook.url + ITEM, now=NEXT_DAY)
    deliver(canvas, NEXT_DAY)
    shows(gradebook, lena=7)
    read(NEXT_DAY + timedelta(hours=1))
    unchanged = found(later)
    shows(gradebook)
    read(NEXT_DAY + timedelta(days=3))

    assert unchanged == (ScoreState.OVERRIDDEN, Finding.OVERRIDDEN, 7)
    assert found(later) == (ScoreState.OVERRIDDEN, Finding.MISSING, None)
    assert "That grade is gone now" in (ledger(later).reason or "")
    assert found(first)[0] is ScoreState.ACCEPTED
    assert canvas.points == []


def test_a_column_out_of_other_points_shows_the_same_grade(campus: Campus, gradebook: FakePlatform):
    score_id = accepted(campus, gradebook, "8")
    shows(gradebook, maximum=100, lena=80)

    read()

    assert found(score_id) == (ScoreState.CONFIRMED, Finding.SAME, 80)


@pytest.mark.parametrize("grades", [{}, {"lena": None}])
def test_a_grade_that_is_not_there_is_missing_and_never_0(
    campus: Campus, gradebook: FakePlatform, grades: dict[str, None]
):
    score_id = accepted(campus, gradebook, "0")
    shows(gradebook, **grades)

    read()

    assert found(score_id) == (ScoreState.ACCEPTED, Finding.MISSING, None)


def test_a_0_that_was_sent_and_is_shown_is_confirmed(campus: Campus, gradebook: FakePlatform):
    score_id = accepted(campus, gradebook, "0")
    shows(gradebook, lena=0)

    read()

    assert found(score_id) == (ScoreState.CONFIRMED, Finding.SAME, 0)


def test_fewer_points_at_once_are_named_as_canvas_late_policy(campus: Campus, gradebook: FakePlatform):
    score_id = accepted(campus, gradebook)
    shows(gradebook, lena=9)

    read()
    read(NEXT_DAY)

    assert found(score_id) == (ScoreState.ACCEPTED, Finding.DIFFERENT, 9)
    assert "late policy" in str(ledger(score_id).reason)


def test_what_changed_later_or_where_no_late_policy_is_was_set_by_a_person(
    campus: Campus, gradebook: FakePlatform
):
    confirmed = accepted(campus, gradebook)
    shows(gradebook, lena=10)
    read()
    shows(gradebook, lena=9)
    read(NEXT_DAY)
    on_canvas = found(confirmed)
    is_on("moodle")
    other = accepted(campus, gradebook, who="mateo", at=NEXT_DAY)
    shows(gradebook, mateo=9)
    read(NEXT_DAY + timedelta(minutes=2))

    assert on_canvas == (ScoreState.OVERRIDDEN, Finding.OVERRIDDEN, 9)
    assert found(other) == (ScoreState.OVERRIDDEN, Finding.OVERRIDDEN, 9)


def test_an_earlier_score_that_still_stands_there_is_nobodys_override(
    campus: Campus, gradebook: FakePlatform
):
    is_on("moodle")
    accepted(campus, gradebook, "4")
    newer = accepted(campus, gradebook, "10", at=NOON + timedelta(minutes=1))
    shows(gradebook, lena=4)

    read(NEXT_DAY)

    assert found(newer) == (ScoreState.ACCEPTED, Finding.DIFFERENT, 4)
    assert "earlier score" in str(ledger(newer).reason)


def test_nothing_is_ever_posted_by_reading(campus: Campus, gradebook: FakePlatform):
    accepted(campus, gradebook)
    shows(gradebook, lena=2)

    read()

    assert gradebook.asked_at(f"{ITEM}/scores") == []
    assert [(row.tries, row.points) for row in db.session.scalars(select(Score))] == [(1, 10)]


def test_a_person_s_word_stands_while_the_gradebook_stays_as_it_was_and_no_longer(
    campus: Campus, gradebook: FakePlatform
):
    score_id = accepted(campus, gradebook)
    shows(gradebook, lena=2)
    read(SOON)
    service.note(score_id, campus.accounts["ingrid"], "As agreed.", now=SOON)
    db.session.commit()
    read(NEXT_DAY)
    as_it_was = ledger(score_id).dealt_with_note
    shows(gradebook, lena=0)
    read(NOON + timedelta(days=7))

    assert as_it_was == "As agreed."
    assert (ledger(score_id).dealt_with_at, ledger(score_id).dealt_with_note) == (None, None)


def test_a_person_s_word_stands_where_the_grade_is_a_third(campus: Campus, gradebook: FakePlatform):
    score_id = accepted(campus, gradebook)
    shows(gradebook, lena=10 / 3)
    read(SOON)
    as_read = found(score_id)
    service.note(score_id, campus.accounts["ingrid"], "As agreed.", now=SOON)
    db.session.commit()
    read(NEXT_DAY)

    assert ledger(score_id).dealt_with_note == "As agreed."
    assert found(score_id) == as_read == (ScoreState.ACCEPTED, Finding.DIFFERENT, 3.333)


def test_a_grade_beyond_all_measure_is_written_down_as_far_as_it_goes(
    campus: Campus, gradebook: FakePlatform
):
    score_id = accepted(campus, gradebook)
    shows(gradebook, lena=1e300)
    read(SOON)

    assert found(score_id) == (ScoreState.OVERRIDDEN, Finding.OVERRIDDEN, 999999.999)


def test_a_grade_that_was_put_right_in_the_gradebook_is_confirmed_after_all(
    campus: Campus, gradebook: FakePlatform
):
    score_id = accepted(campus, gradebook)
    read(SOON)
    shows(gradebook, lena=10)
    read(NEXT_DAY)

    assert found(score_id) == (ScoreState.CONFIRMED, Finding.SAME, 10)
    actions = select(AuditEvent.details).filter_by(action="gradebook read").order_by(AuditEvent.id)
    assert [event["finding"] for event in db.session.scalars(actions)] == ["missing", "same"]


@pytest.mark.parametrize("status", [200, 403])
def test_a_term_without_end_as_some_systems_write_it_keeps_no_grade_from_being_read(
    campus: Campus, gradebook: FakePlatform, status: int
):
    course = db.session.get_one(Course, campus.course)
    course.term = Term(platform_id=course.platform_id, name="Always", ends_on=date.max)
    db.session.commit()
    score_id = accepted(campus, gradebook)
    shows(gradebook, lena=10)
    if status != 200:
        gradebook.answers[f"{ITEM}/results"] = lambda _: Reply(status)

    assert read() == 1
    assert ledger(score_id).read_due_at is not None


def test_it_is_read_again_after_a_day_a_week_and_months_until_long_after_the_term(
    campus: Campus, gradebook: FakePlatform
):
    course = db.session.get_one(Course, campus.course)
    course.term = Term(platform_id=course.platform_id, name="Autumn", ends_on=date(2026, 11, 1))
    db.session.commit()
    score_id = accepted(campus, gradebook)
    days, at = [], SOON
    while at is not None:
        read(at)
        at = ledger(score_id).read_due_at
        days.append(None if at is None else (at - NOON).days)

    assert days == [1, 7, 30, 60, 90, 120, None]


def test_older_scores_of_a_cell_are_not_read_any_more_and_their_difference_is_settled(
    campus: Campus, gradebook: FakePlatform
):
    older = accepted(campus, gradebook, "4")
    read(SOON)
    accepted(campus, gradebook, "10", at=NEXT_DAY)

    assert ledger(older).read_due_at is None
    assert ledger(older).dealt_with_at == NEXT_DAY


def test_what_was_accepted_while_the_column_was_read_is_not_judged_by_it(
    campus: Campus, gradebook: FakePlatform
):
    lenas = accepted(campus, gradebook, who="lena")
    accepted(campus, gradebook, who="aiko")
    late: list[int] = []

    def meanwhile(_: object) -> Reply:
        with current.app_context():
            late.append(accepted(campus, gradebook, who="mateo", at=NEXT_DAY + timedelta(seconds=1)))
        return Reply(body=b"[]")

    current = current_app._get_current_object()  # type: ignore[attr-defined]  # what is behind the proxy
    gradebook.answers[f"{ITEM}/results"] = meanwhile
    read(NEXT_DAY)

    assert ledger(lenas).finding is Finding.MISSING
    assert ledger(late[0]).finding is None


def test_a_cell_with_a_newer_score_on_its_way_is_not_judged(campus: Campus, gradebook: FakePlatform):
    older = accepted(campus, gradebook, "4")
    owe_a_score(campus, "10", decision=2, column=gradebook.url + ITEM, now=NOON + timedelta(minutes=1))
    deliver(FakeGradebook(DOWN), NOON + timedelta(minutes=1))

    read(SOON)

    assert ledger(older).finding is None
    assert ledger(older).read_due_at is not None


def test_a_newer_score_that_was_refused_does_not_keep_the_older_one_from_being_judged(
    campus: Campus, gradebook: FakePlatform
):
    older = accepted(campus, gradebook, "4")
    newer = owe_a_score(
        campus, "10", decision=2, column=gradebook.url + ITEM, now=NOON + timedelta(minutes=1)
    )
    deliver(FakeGradebook(REFUSED), NOON + timedelta(minutes=1))
    shows(gradebook, lena=4)
    read(SOON)
    while_parked = found(older)
    service.abandon(newer, campus.accounts["ingrid"], "Not in this course.", now=SOON)
    db.session.commit()
    shows(gradebook)
    read(NEXT_DAY)

    assert while_parked == (ScoreState.CONFIRMED, Finding.SAME, 4)
    assert found(older) == (ScoreState.ACCEPTED, Finding.MISSING, None)
    assert ledger(older).read_due_at == NOON + timedelta(days=7)


def test_whom_we_did_not_ask_about_misses_nothing(campus: Campus, gradebook: FakePlatform):
    lenas = accepted(campus, gradebook, who="lena")
    late: list[int] = []

    def meanwhile(_: object) -> Reply:
        # Its worker looked at the clock before we did, and wrote down after we had chosen whom to ask about.
        with current.app_context():
            late.append(accepted(campus, gradebook, who="mateo", at=SOON - timedelta(seconds=1)))
        return Reply(body=b"[]")

    current = current_app._get_current_object()  # type: ignore[attr-defined]  # what is behind the proxy
    gradebook.answers[f"{ITEM}/results"] = meanwhile
    read(SOON)

    assert ledger(lenas).finding is Finding.MISSING
    assert ledger(late[0]).finding is None


def test_canvas_is_asked_for_big_pages_and_moodle_for_no_number_at_all(
    campus: Campus, gradebook: FakePlatform
):
    for who in ("lena", "mateo"):
        accepted(campus, gradebook, who=who)
    read(SOON)
    is_on("moodle")
    read(NEXT_DAY)

    asked = [parse_qs(urlsplit(one.path).query) for one in gradebook.asked_at(f"{ITEM}/results")]
    assert asked == [{"limit": ["100"]}, {}]


def test_all_pages_of_a_column_are_read(campus: Campus, gradebook: FakePlatform):
    ids = [accepted(campus, gradebook, who=who) for who in ("lena", "mateo")]

    def page(asked: object) -> Reply:
        second = "page=2" in getattr(asked, "path", "")
        row = {"userId": "mateo" if second else "lena", "resultScore": 10, "resultMaximum": 10}
        link = {} if second else {"Link": f'<{gradebook.url}{ITEM}/results?page=2>; rel="next"'}
        return Reply(body=json.dumps([row]).encode(), headers=link)

    gradebook.answers[f"{ITEM}/results"] = page
    read()

    assert [ledger(score_id).state for score_id in ids] == [ScoreState.CONFIRMED] * 2


def test_a_platform_in_trouble_is_left_alone_longer_each_time_and_nothing_is_said_about_its_grades(
    campus: Campus, gradebook: FakePlatform
):
    score_id = accepted(campus, gradebook)
    gradebook.answers[f"{ITEM}/results"] = lambda _: Reply(503)
    rests = []
    at = SOON
    for _ in range(3):
        read(at)
        row = db.session.get_one(ReadBack, campus.registration, populate_existing=True)
        assert row.rests_until is not None
        rests.append((row.rests_until - at).total_seconds())
        assert not readback.due(row.rests_until - timedelta(seconds=1))
        at = row.rests_until
    shows(gradebook, lena=10)
    read(at)

    assert rests == [60, 120, 240]
    assert found(score_id) == (ScoreState.CONFIRMED, Finding.SAME, 10)
    assert db.session.get_one(ReadBack, campus.registration, populate_existing=True).failures == 0


def test_no_other_worker_begins_while_one_waits_for_a_busy_platform(campus: Campus, gradebook: FakePlatform):
    accepted(campus, gradebook)
    gradebook.answers[f"{ITEM}/results"] = lambda _: Reply(503, headers={"Retry-After": "60"})
    now, others = [SOON], []

    def wait(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)
        others.append(readback.due(now[0]))
        db.session.remove()

    readback.read_due(now_fn=lambda: now[0], wait=wait)

    row = db.session.get_one(ReadBack, campus.registration)
    assert others == [False, False, False]
    assert row.rests_until == now[0] + timedelta(minutes=1)


def test_a_course_that_does_not_let_us_read_is_asked_again_the_next_day(
    campus: Campus, gradebook: FakePlatform
):
    score_id = accepted(campus, gradebook)
    gradebook.answers[f"{ITEM}/results"] = lambda _: Reply(422, b"This course has concluded.")
    read()

    assert ledger(score_id).finding is None
    assert ledger(score_id).read_due_at == SOON + timedelta(days=1)


@pytest.mark.parametrize("status", [422, 503])
@pytest.mark.parametrize("term", [True, False])
def test_what_cannot_be_read_is_not_asked_for_ever(
    campus: Campus, gradebook: FakePlatform, status: int, *, term: bool
):
    if term:
        course = db.session.get_one(Course, campus.course)
        course.term = Term(platform_id=course.platform_id, name="Autumn", ends_on=date(2026, 11, 1))
        db.session.commit()
    score_id = accepted(campus, gradebook)
    gradebook.answers[f"{ITEM}/results"] = lambda _: Reply(status, b"This course has concluded.")
    read(NOON + timedelta(days=60))
    before = ledger(score_id).read_due_at
    read(NOON + timedelta(days=401))

    assert before is not None
    assert ledger(score_id).read_due_at is None


def test_a_grade_whose_column_was_deleted_is_missing(campus: Campus, gradebook: FakePlatform):
    score_id = accepted(campus, gradebook)
    gradebook.answers[f"{ITEM}/results"] = lambda _: Reply(404, b"Grade item 1 doesn't exist")

    read()

    assert found(score_id) == (ScoreState.ACCEPTED, Finding.MISSING, None)
    assert "column does not exist" in str(ledger(score_id).reason)


def test_one_worker_at_a_time_asks_a_platform_and_one_that_died_holds_it_up_for_a_while(
    campus: Campus, gradebook: FakePlatform
):
    accepted(campus, gradebook)
    db.session.add(ReadBack(registration_id=campus.registration, lease_until=SOON + timedelta(minutes=1)))
    db.session.commit()

    assert (read(SOON), read(SOON + timedelta(minutes=1))) == (0, 1)


def test_no_database_connection_is_held_while_the_platform_thinks(campus: Campus, gradebook: FakePlatform):
    accepted(campus, gradebook)
    engine, held = db.engine, []

    def think(_: object) -> Reply:
        held.append(engine.pool.checkedout())
        return Reply(body=b"[]")

    gradebook.answers[f"{ITEM}/results"] = think
    read()

    assert held == [0]


def test_when_to_read_is_the_operator_s_to_say(tmp_path_factory: pytest.TempPathFactory):
    waits = settings_for(tmp_path_factory.mktemp("home"), READ_BACK_AFTER="1s 1.5h").read_back_waits

    assert waits == (timedelta(seconds=1), timedelta(minutes=90))
