from lti_tool.assessment.rules import (
    COMMENT_LIMIT,
    Mark,
    RubricRow,
    disagreement,
    gaps,
    gradebook_comment,
    judgement,
)
from lti_tool.credentials.rules import PassRule

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
