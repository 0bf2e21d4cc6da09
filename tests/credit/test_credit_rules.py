"""Cycles and caps of credit rules."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lti_tool.credit.rules import Cycle, count, cycle_of, plain, total_in_words, valid

SEPTEMBER = date(2024, 9, 1)


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2024, 9, 1), date(2024, 9, 1), date(2025, 8, 31)),
        (date(2025, 8, 31), date(2024, 9, 1), date(2025, 8, 31)),
        (date(2025, 9, 1), date(2025, 9, 1), date(2026, 8, 31)),
        (date(2024, 8, 31), date(2023, 9, 1), date(2024, 8, 31)),
    ],
)
def test_a_day_lies_in_one_cycle_also_before_the_start_that_was_named(day: date, first: date, last: date):
    assert cycle_of(day, months=12, start=SEPTEMBER) == Cycle(first, last)


@given(
    some.dates(date(1990, 1, 1), date(2100, 1, 1)),
    some.integers(1, 240),
    some.dates(date(2000, 1, 1), date(2050, 1, 1)).filter(lambda day: day.day <= 28),
)
def test_cycles_follow_each_other_without_a_gap(day: date, months: int, start: date):
    cycle = cycle_of(day, months=months, start=start)

    assert cycle.first <= day <= cycle.last
    assert cycle_of(
        cycle.last + timedelta(days=1), months=months, start=start
    ).first == cycle.last + timedelta(days=1)


def test_without_a_cap_everything_counts():
    assert count(Decimal("0.5"), cap=None, used=Decimal(99), unit="credit").value == Decimal("0.5")


def test_what_goes_beyond_the_cap_counts_in_part_or_not_at_all_and_says_why():
    part = count(Decimal("0.50"), cap=Decimal(1), used=Decimal("0.75"), unit="PTSB renewal credit")
    nothing = count(Decimal("0.50"), cap=Decimal(1), used=Decimal(1), unit="PTSB renewal credit")

    assert part.value == Decimal("0.25")
    assert (
        part.why == "The authority counts at most 1 PTSB renewal credit in this cycle, so 0.25 of 0.5 count."
    )
    assert nothing.value == 0
    assert (
        nothing.why
        == "The authority counts at most 1 PTSB renewal credit in this cycle, and that was reached."
    )


def test_a_rule_holds_from_its_first_to_its_last_day():
    days = [SEPTEMBER + timedelta(days=offset) for offset in (-1, 0, 10, 11)]

    assert [valid(day, first=SEPTEMBER, last=days[2]) for day in days] == [False, True, True, False]
    assert valid(SEPTEMBER, first=None, last=None)


def test_numbers_and_totals_read_well():
    assert [plain(Decimal(text)) for text in ("0.50", "10.00", "100", "0")] == ["0.5", "10", "100", "0"]
    assert total_in_words(Decimal("1.00"), "credit", date(2026, 9, 1), date(2027, 8, 31)) == (
        "1 credit in the cycle from September 1, 2026 to August 31, 2027"
    )
