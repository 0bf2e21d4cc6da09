from decimal import Decimal

import pytest

from lti_tool.assessment.rules import (
    COMMENT_LIMIT,
    Mark,
    RubricRow,
    disagreement,
    gaps,
    gradebook_comment,
    judgement,
    score,
)
from lti_tool.credentials.rules import PassRule, ScorePolicy, policy_of

LEVELS = {"not-yet": 0, "developing": 1, "proficient": 2}
PLANNING = RubricRow("planning", "Planning", LEVELS, "proficient", "Proficient")
REFLECTION = RubricRow("reflection", "Reflection", LEVELS, "proficient", "Proficient")
RUBRIC = [PLANNING, REFLECTION]
ALL = PassRule("all", 100)


def found(marks, feedback="Well done."):
    return [gap.field for gap in gaps(RUBRIC, marks, feedback, judgement(ALL, RUBRIC, marks).unmet)]


def test_nothing_is_missing_when_every_criterion_is_met_and_there_is_feedback():
    assert found({"planning": Mark("proficient", ""), "reflection": Mark("proficient", "")}) == []


def test_every_criterion_without_a_level_is_named():
    assert found({"planning": Mark(None, "a comment alone")}) == ["level-planning", "level-reflection"]


def test_an_unmet_criterion_needs_a_comment():
    marks = {"planning": Mark("proficient", ""), "reflection": Mark("developing", "  \n")}

    assert found(marks) == ["comment-reflection"]


def test_feedback_of_white_space_is_no_feedback():
    marks = {"planning": Mark("proficient", ""), "reflection": Mark("proficient", "")}

    assert found(marks, feedback=" \n ") == ["feedback"]


def test_a_level_that_the_rubric_does_not_have_counts_as_none():
    marks = {"planning": Mark("brilliant", ""), "reflection": Mark("proficient", "")}

    assert found(marks) == ["level-planning"]


def test_demonstrated_is_refused_with_the_criterion_that_stands_below():
    judged = judgement(ALL, RUBRIC, {"planning": Mark("proficient", ""), "reflection": Mark("not-yet", "x")})

    why = disagreement(judged, RUBRIC, demonstrated=True)

    assert why is not None
    assert "“Reflection” is below Proficient" in why
    assert "Planning" not in why


def test_not_yet_is_refused_where_everything_is_met():
    judged = judgement(
        ALL, RUBRIC, {"planning": Mark("proficient", ""), "reflection": Mark("proficient", "")}
    )

    assert "By your ratings this is demonstrated." in str(disagreement(judged, RUBRIC, demonstrated=False))


def test_a_decision_that_follows_from_the_ratings_is_not_questioned():
    judged = judgement(
        ALL, RUBRIC, {"planning": Mark("proficient", ""), "reflection": Mark("developing", "")}
    )

    assert disagreement(judged, RUBRIC, demonstrated=False) is None


def test_the_gradebook_comment_carries_the_feedback_on_one_line():
    assert gradebook_comment("Clear plan.\n\nGood data.") == "Demonstrated. Feedback: Clear plan. Good data."


def test_a_long_gradebook_comment_is_cut_between_words_and_says_where_the_rest_is():
    comment = gradebook_comment("thoughtful " * 100)

    assert len(comment) <= COMMENT_LIMIT
    assert comment.endswith("thoughtful … (all of it is in Tessera)")


def test_a_long_gradebook_comment_without_spaces_is_cut_all_the_same():
    assert len(gradebook_comment("x" * 2000)) == COMMENT_LIMIT


WITH_POINTS = [
    RubricRow(key, key, LEVELS, "proficient", "Proficient", {"not-yet": 0, "developing": 1, "proficient": 3})
    for key in ("planning", "reflection")
]
ONE_BELOW = {"planning": Mark("proficient", ""), "reflection": Mark("developing", "More.")}


@pytest.mark.parametrize(
    ("policy", "points"),
    [(ScorePolicy.FULL, "10"), (ScorePolicy.RUBRIC, "6.667"), (ScorePolicy.CRITERIA, "5")],
)
def test_a_demonstration_gets_what_the_activity_s_policy_says(policy, points):
    assert score(policy, WITH_POINTS, ONE_BELOW, Decimal(10), demonstrated=True) == Decimal(points)


@pytest.mark.parametrize("policy", list(ScorePolicy))
def test_not_yet_gets_no_number_under_any_policy(policy):
    assert score(policy, WITH_POINTS, ONE_BELOW, Decimal(10), demonstrated=False) is None


def test_a_share_of_nothing_is_0_which_is_a_number():
    lowest = {"planning": Mark("not-yet", "x"), "reflection": Mark("not-yet", "x")}

    assert score(ScorePolicy.RUBRIC, WITH_POINTS, lowest, Decimal(10), demonstrated=True) == 0
    assert score(ScorePolicy.CRITERIA, WITH_POINTS, lowest, Decimal(10), demonstrated=True) == 0


def test_criteria_without_points_do_not_count_and_a_rubric_without_any_gives_all():
    mixed = [WITH_POINTS[0], REFLECTION]

    assert score(ScorePolicy.RUBRIC, mixed, ONE_BELOW, Decimal(10), demonstrated=True) == 10
    assert score(ScorePolicy.RUBRIC, RUBRIC, ONE_BELOW, Decimal(10), demonstrated=True) == 10


@pytest.mark.parametrize(
    ("chosen", "has_points", "holds"),
    [
        (None, True, ScorePolicy.FULL),
        ("nonsense", True, ScorePolicy.FULL),
        ("rubric", True, ScorePolicy.RUBRIC),
        ("rubric", False, ScorePolicy.FULL),
        ("criteria", False, ScorePolicy.CRITERIA),
    ],
)
def test_all_the_points_are_given_unless_another_policy_makes_sense(chosen, has_points, holds):
    assert policy_of(chosen, has_points=has_points) is holds
