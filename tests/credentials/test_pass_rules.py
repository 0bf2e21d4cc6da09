import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_tool.credentials.rules import CriterionRule, PassRule, judge

NOT_YET, DEVELOPING, PROFICIENT = 0, 1, 2
ALL = PassRule("all", 100)
SHARE_80 = PassRule("share", 80)


def rubric(size: int) -> list[CriterionRule]:
    return [CriterionRule(f"c{number}", PROFICIENT) for number in range(1, size + 1)]


def rated(proficient: int, developing: int = 0) -> dict[str, int]:
    levels = [PROFICIENT] * proficient + [DEVELOPING] * developing
    return {f"c{number}": level for number, level in enumerate(levels, start=1)}


def test_every_criterion_at_its_level_demonstrates_the_competency():
    judgement = judge(ALL, rubric(5), rated(5))

    assert judgement.demonstrated
    assert judgement.unmet == ()


def test_a_level_above_the_required_one_passes_as_well():
    judgement = judge(ALL, [CriterionRule("c1", DEVELOPING)], {"c1": PROFICIENT})

    assert judgement.demonstrated


def test_one_criterion_below_its_level_is_enough_to_fail_where_all_are_needed():
    judgement = judge(ALL, rubric(5), rated(4, developing=1))

    assert not judgement.demonstrated
    assert judgement.unmet == ("c5",)
    assert judgement.reason == "At or above the level needed to pass: 4 of 5 criteria. Needed: all."


def test_exactly_eighty_percent_passes_and_the_unmet_criteria_are_still_named():
    judgement = judge(SHARE_80, rubric(10), rated(8, developing=2))

    assert judgement.demonstrated
    assert judgement.unmet == ("c9", "c10")


def test_one_criterion_fewer_than_eighty_percent_fails_and_says_how_many_are_needed():
    judgement = judge(SHARE_80, rubric(10), rated(7, developing=3))

    assert not judgement.demonstrated
    assert judgement.reason == "At or above the level needed to pass: 7 of 10 criteria. Needed: 8 (80 %)."


def test_a_share_that_is_no_whole_number_of_criteria_is_rounded_up():
    assert SHARE_80.needed(7) == 6
    assert not judge(SHARE_80, rubric(7), rated(5, developing=2)).demonstrated
    assert judge(SHARE_80, rubric(7), rated(6, developing=1)).demonstrated


def test_a_criterion_without_a_rating_is_unmet():
    judgement = judge(ALL, rubric(2), {"c1": PROFICIENT})

    assert judgement.unmet == ("c2",)


def test_a_rubric_without_criteria_is_refused_instead_of_passing_everybody():
    with pytest.raises(ValueError, match="without criteria"):
        judge(ALL, [], {})


def test_an_unknown_kind_of_rule_is_refused():
    with pytest.raises(ValueError, match="no pass rule 'average'"):
        judge(PassRule("average", 80), rubric(1), rated(1))


@given(total=st.integers(1, 60), percent=st.integers(1, 100), data=st.data())
def test_a_share_is_reached_exactly_when_the_whole_numbers_say_so(total, percent, data):
    met = data.draw(st.integers(0, total))

    judgement = judge(PassRule("share", percent), rubric(total), rated(met, developing=total - met))

    assert judgement.demonstrated == (met * 100 >= percent * total)
    assert len(judgement.unmet) == total - met
