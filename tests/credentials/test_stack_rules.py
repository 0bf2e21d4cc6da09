"""What a stack asks, and how far somebody is: examples, and what must hold for every rule."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lti_tool.stacks.rules import (
    Group,
    Opening,
    PartState,
    Published,
    Rule,
    circle,
    group_in_words,
    in_words,
    possible,
    progress,
    suggestion,
    that_applies,
    why_locked,
)

TITLES = {letter.lower(): letter for letter in "ABCDEFXY"}
LONG = Rule((Group(1, ("a",)), Group(2, ("b", "c", "d")), Group(1, ("e", "f"))))
NOON = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)


def states(rule, held=(), **more):
    return {part.key: part.state.value for part in progress(rule, held, **more).parts}


def test_every_group_must_be_filled_and_what_is_beyond_it_is_not_needed():
    found = progress(LONG, ("a", "b", "d", "c"))

    assert [group.missing for group in found.groups] == [0, 0, 1]
    assert (found.more, found.complete, found.needed) == (1, False, 4)
    assert found.counted == ("a", "b", "d")
    assert [part.key for part in found.parts if part.needed] == ["e", "f"]


def test_what_is_held_first_counts_first():
    rule = Rule((Group(2, ("a", "b", "c")),))

    assert progress(rule, ("c", "a", "b")).counted == ("c", "a")


def test_parts_in_order_open_one_after_the_other():
    rule = Rule((Group(3, ("a", "b", "c"), in_order=True),))

    assert states(rule) == {"a": "open", "b": "locked", "c": "locked"}
    assert states(rule, ("a",)) == {"a": "done", "b": "open", "c": "locked"}
    assert why_locked(progress(rule, ()).part("c"), rule, TITLES) == "Opens after “B”."


def test_a_group_opens_when_those_before_it_are_complete():
    rule = Rule((Group(2, ("a", "b", "c")), Group(1, ("d", "e"))), in_order=True)

    assert states(rule, ("a",))["d"] == "locked"
    assert (
        why_locked(progress(rule, ("a",)).part("d"), rule, TITLES) == "Opens after two of “A”, “B” and “C”."
    )
    assert states(rule, ("a", "c"))["d"] == "open"


def test_a_prerequisite_may_stand_outside_the_stack():
    rule = Rule((Group(2, ("a", "b")),), openings=(Opening("b", ("a", "x")),))

    assert progress(rule, ("x",)).part("b").waits_for == ("a",)
    assert states(rule, ("a",))["b"] == "locked"
    assert states(rule, ("a", "x"))["b"] == "open"


def test_what_was_begun_or_earned_before_it_opened_counts_all_the_same():
    rule = Rule((Group(2, ("a", "b"), in_order=True),))

    assert states(rule, begun=("b",)) == {"a": "open", "b": "open"}
    assert progress(rule, ("b", "a")).complete


def test_a_retired_part_is_begun_by_nobody_and_counts_for_whoever_holds_it():
    rule = Rule((Group(1, ("a", "b")), Group(1, ("c",))))

    assert states(rule, retired=("a",))["a"] == PartState.CLOSED
    assert progress(rule, (), retired=("a",)).possible
    assert not progress(rule, (), retired=("c",)).possible
    assert progress(rule, ("a", "c"), retired=("a", "c")).complete
    assert progress(rule, (), begun=("c",), retired=("c",)).possible


def test_parts_that_wait_for_each_other_are_found_whatever_makes_them_wait():
    openings = Rule((Group(3, ("a", "b", "c")),), openings=(Opening("a", ("b",)), Opening("b", ("a",))))
    against_the_order = Rule(
        (Group(1, ("a",)), Group(1, ("b",))), in_order=True, openings=(Opening("a", ("b",)),)
    )

    assert set(circle(openings)) == {"a", "b"}
    assert set(circle(against_the_order)) == {"a", "b"}
    assert not possible(against_the_order)
    assert circle(LONG) == ()


def test_the_rule_reads_as_sentences():
    rule = Rule(
        (Group(2, ("a", "b"), in_order=True), Group(2, ("c", "d", "e")), Group(1, ("f",))),
        openings=(Opening("c", ("a", "x")),),
    )

    assert in_words(rule, TITLES) == (
        "All of “A” and “B”, in this order; two of “C”, “D” and “E”; and “F”. “C” opens after “A” and “X”."
    )
    assert in_words(Rule((Group(1, ("a", "b")), Group(1, ("c",))), in_order=True), TITLES) == (
        "One of “A” or “B”; then “C”."
    )
    assert [group_in_words(rule, at) for at in range(3)] == [
        "All of these, one after the other",
        "Two of these three",
        "This one",
    ]
    assert [group_in_words(replace(rule, in_order=True), at) for at in (0, 2)] == [
        "First all of these, one after the other",
        "Then this one",
    ]


def test_a_suggestion_says_what_is_open_and_why_and_is_silent_when_nothing_can_be_done():
    rule = Rule((Group(2, ("a", "b")), Group(1, ("c", "d"))), openings=(Opening("b", ("c",)),))

    text, why = suggestion(progress(rule, ("a",)), "Stack", rule, TITLES)

    assert text == "Two more for “Stack”. You can work on “C” or “D” now."
    assert why == "You have one of the three that it asks for. “B” opens after “C”."
    text, why = suggestion(progress(rule, ("a",)), "Stack", rule, TITLES, waiting=("c",))
    assert text == "Two more for “Stack”. You can work on “D” now."
    assert "“C” is with your assessor." in why
    assert suggestion(progress(rule, ("a", "b", "c")), "Stack", rule, TITLES) is None
    assert suggestion(progress(rule, (), retired=("a",)), "Stack", rule, TITLES) is None


@pytest.mark.parametrize(
    ("held", "began", "number"),
    [
        ((), None, 2),
        (("a",), NOON, 1),
        (("a",), NOON + timedelta(days=3), 2),
        (("a", "b"), NOON, 1),
        (("a", "b", "c"), NOON, 2),
    ],
    ids=["newcomer", "began before", "began after", "complete under the old", "complete under both"],
)
def test_who_began_under_an_earlier_version_may_finish_under_it(held, began, number):
    versions = [
        Published(1, NOON - timedelta(days=9), Rule((Group(2, ("a", "b")),))),
        Published(2, NOON + timedelta(days=1), Rule((Group(3, ("a", "b", "c")),))),
    ]

    version, _ = that_applies(versions, held, began=began)

    assert version.number == number


KEYS = "abcdefgh"


@st.composite
def rules(draw):
    parts = draw(st.permutations(KEYS))[: draw(st.integers(1, 7))]
    groups = []
    while parts:
        size = draw(st.integers(1, len(parts)))
        mine, parts = tuple(parts[:size]), parts[size:]
        take = draw(st.integers(1, size))
        groups.append(Group(take, mine, take == size and draw(st.booleans())))
    inside = [part for group in groups for part in group.parts]
    openings = draw(
        st.lists(
            st.tuples(st.sampled_from(inside), st.sets(st.sampled_from(KEYS), min_size=1, max_size=2)),
            max_size=3,
            unique_by=lambda pair: pair[0],
        )
    )
    return Rule(
        tuple(groups),
        draw(st.booleans()),
        tuple(Opening(part, tuple(sorted(after - {part}))) for part, after in openings if after - {part}),
    )


some = st.lists(st.sampled_from(KEYS), unique=True).map(tuple)


@settings(max_examples=200, deadline=None)
@given(rule=rules(), held=some, begun=some, retired=some, another=st.sampled_from(KEYS))
def test_whatever_the_rule_says(rule, held, begun, retired, another):
    found = progress(rule, held, begun=begun, retired=retired)
    later = progress(rule, (*held, another), begun=begun, retired=retired)

    # Complete if and only if nothing more is needed, and then exactly as many count as it takes.
    assert found.complete == (found.more == 0) == (not any(part.needed for part in found.parts))
    assert len(found.counted) == rule.needed - found.more
    assert set(found.counted) <= set(held) & set(rule.parts)
    # Earning one more never takes anything away.
    assert later.more <= found.more
    assert {part.key for part in found.parts if part.state is PartState.OPEN} - {another} <= {
        part.key for part in later.parts if part.state is PartState.OPEN
    }
    # Retiring parts, and whatever comes first, never takes a stack away.
    assert progress(rule, held).complete == found.complete
    assert found.possible or not found.complete
    assert found.possible <= progress(rule, held, begun=begun).possible
    # What is locked says why, and waits for something that is not held.
    for part in found.parts:
        locked = part.state is PartState.LOCKED
        assert locked == bool(part.waits_for or part.waits_for_group is not None)
        assert not set(part.waits_for) & set(held)
    # Everything opens in time, or some wait for each other.
    reachable = {key for key in rule.parts if key not in circle(rule)}
    assert (circle(rule) == ()) <= possible(rule)
    assert circle(rule) == () or reachable < set(rule.parts)
