"""When somebody is told: once, again after an hour if it got worse, and once when it is over."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as some

from lti_tool.alerts.rules import BETWEEN, Standing, look
from tests.support.apps import NOON


def told(*counts: int, minutes: int = 20) -> list[bool]:
    """Whether somebody was told after each look; looks are so many minutes apart."""
    standing, answers = Standing(), []
    for at, count in enumerate(counts):
        step = look(standing, count, NOON + timedelta(minutes=minutes * at))
        standing = step.standing
        answers.append(step.tell)
    return answers


def test_the_first_is_told_at_once_and_not_again_while_nothing_changes():
    assert told(1, 1, 1, 1, 1, 1) == [True, False, False, False, False, False]


def test_what_got_worse_is_told_again_after_an_hour_only():
    assert told(1, 2, 3, 4, 4) == [True, False, False, True, False]


def test_the_end_is_told_once_if_the_beginning_was():
    assert told(0, 1, 0, 0) == [False, True, True, False]


def test_what_comes_again_within_the_hour_is_told_when_the_hour_is_over_if_it_still_stands():
    assert told(1, 0, 1, 1, 1) == [True, True, False, True, False]


def test_what_comes_and_goes_within_the_hour_is_not_told():
    assert told(1, 0, 1, 0, 0) == [True, True, False, False, False]


@given(some.lists(some.integers(0, 3), max_size=60), some.integers(1, 90))
def test_no_two_warnings_within_an_hour_and_no_more_all_clears_than_warnings(counts: list[int], minutes: int):
    answers = told(*counts, minutes=minutes)

    warnings = [at for at, (count, said) in enumerate(zip(counts, answers, strict=True)) if said and count]
    clears = [at for at, (count, said) in enumerate(zip(counts, answers, strict=True)) if said and not count]
    assert all(
        (later - earlier) * timedelta(minutes=minutes) >= BETWEEN for earlier, later in pairwise(warnings)
    )
    assert len(clears) <= len(warnings)
