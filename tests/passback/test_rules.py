from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from lti_tool.passback.rules import (
    FIRST_WAIT,
    LONGEST_THROTTLE_WAIT,
    LONGEST_WAIT,
    MAX_FAILURES,
    Cause,
    Heard,
    Next,
    Shown,
    after,
    over,
    read_first,
    settled_by,
)

TEN, EIGHT, ZERO = Decimal(10), Decimal(8), Decimal(0)


def test_an_accepted_score_is_done():
    assert after(Heard.ACCEPTED).next is Next.DONE


def test_waits_grow_with_every_failure_up_to_an_hour():
    waits = [after(Heard.FAILING, earlier=(Heard.FAILING,) * failures).wait for failures in range(12)]

    assert waits[:4] == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4, FIRST_WAIT * 8]
    assert waits[-1] == LONGEST_WAIT


def test_chance_spreads_a_wait_by_a_quarter_and_never_shortens_it():
    assert after(Heard.FAILING, jitter=0).wait == FIRST_WAIT
    assert after(Heard.FAILING, jitter=1).wait == FIRST_WAIT * 1.25


def test_a_platform_that_names_a_time_is_not_bothered_earlier():
    assert after(Heard.FAILING, retry_after=timedelta(minutes=3)).wait == timedelta(minutes=3)


def test_a_platform_that_keeps_failing_gets_a_person_with_what_to_do():
    step = after(Heard.FAILING, earlier=(Heard.FAILING,) * (MAX_FAILURES - 1))

    assert step.next is Next.PARK
    assert "Send again" in step.reason


def test_a_night_of_maintenance_does_not_use_up_the_tries():
    night = sum(
        (
            after(Heard.FAILING, earlier=(Heard.FAILING,) * failures).wait
            for failures in range(MAX_FAILURES - 1)
        ),
        timedelta(),
    )

    assert night > timedelta(hours=12)


def test_being_too_fast_is_never_taken_for_a_refusal():
    step = after(Heard.THROTTLED, earlier=(Heard.THROTTLED,) * 500)

    assert step.next is Next.RETRY
    assert step.wait == LONGEST_THROTTLE_WAIT


def test_being_too_fast_does_not_count_towards_giving_up():
    earlier = (Heard.THROTTLED,) * MAX_FAILURES

    assert after(Heard.FAILING, earlier=earlier).next is Next.RETRY


def test_a_refusal_waits_for_a_person_with_the_reason():
    step = after(Heard.REFUSED, reason="The course is not published. Publish it.")

    assert (step.next, step.reason) == (Next.PARK, "The course is not published. Publish it.")


def test_a_conflict_that_nobody_could_look_into_waits_for_somebody_who_looks():
    step = after(Heard.CONFLICT)

    assert (step.next, step.cause) == (Next.PARK, Cause.UNSEEN)
    assert "could not look" in step.reason


def test_only_a_try_without_an_answer_asks_for_a_look_first():
    assert read_first((Heard.FAILING, Heard.UNKNOWN, Heard.FAILING))
    assert not read_first((Heard.FAILING, Heard.THROTTLED))


@pytest.mark.parametrize(
    "shown",
    [
        Shown(TEN, TEN),
        Shown(Decimal(50), Decimal(50)),
        Shown(Decimal("9.99999"), TEN),
        Shown(TEN, None),
    ],
)
def test_a_result_proves_arrival_whatever_the_platform_scales_it_to(shown: Shown):
    assert settled_by(shown, points=TEN, points_possible=TEN)


@pytest.mark.parametrize("shown", [None, Shown(None, None), Shown(None, TEN), Shown(EIGHT, TEN)])
def test_another_grade_or_none_proves_nothing(shown: Shown | None):
    assert not settled_by(shown, points=TEN, points_possible=TEN)


def test_an_empty_cell_is_not_zero():
    assert not settled_by(Shown(None, TEN), points=ZERO, points_possible=TEN)
    assert settled_by(Shown(ZERO, TEN), points=ZERO, points_possible=TEN)


def test_a_column_without_points_is_compared_as_it_stands():
    assert settled_by(Shown(ZERO, ZERO), points=ZERO, points_possible=ZERO)
    assert not settled_by(Shown(TEN, ZERO), points=ZERO, points_possible=TEN)


def test_a_platform_that_asks_us_to_wait_for_years_is_asked_again_within_an_hour_or_so():
    assert after(Heard.FAILING, retry_after=timedelta(days=12_000)).wait == LONGEST_WAIT


@pytest.mark.parametrize(
    ("hour", "ended"),
    [("2026-12-18T23:59", False), ("2026-12-19T11:59", False), ("2026-12-19T12:00", True)],
)
def test_a_term_is_over_when_its_last_day_is_over_everywhere(hour: str, ended: bool):
    now = datetime.fromisoformat(hour).replace(tzinfo=UTC)

    assert over(date(2026, 12, 18), now) is ended
    assert not over(None, now)
