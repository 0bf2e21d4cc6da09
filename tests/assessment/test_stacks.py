"""Stacks where everything meets: the badge with the last part, the gradebook cell, who may begin what."""

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select

from lti_tool import errors
from lti_tool.assessment import service, stacks
from lti_tool.assessment.models import Outcome
from lti_tool.badges import service as badges
from lti_tool.badges.models import Badge
from lti_tool.badges.queries import stacks_resting_on
from lti_tool.credentials.models import Credential, Placement, Stack
from lti_tool.credentials.queries import stack_by_key, version_by_key
from lti_tool.credentials.service import store
from lti_tool.database import db
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Membership
from lti_tool.stacks.rules import Group, Opening, PartState
from lti_tool.submissions.models import AttemptState
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement
from tests.support.stacks import (
    FAMILY,
    PAIR,
    PRACTICE,
    PROMPTS,
    ROUTINES,
    UDL,
    add_stack_activity,
    begin,
    earn,
    shipped,
    stack,
)
from tests.support.submitted import hand_in_attempt, marks_for, version_of

LATER = NOON + timedelta(days=1)
FAMILY_TITLE = "Family Voice in the IEP: Preparing a Meeting as Partners"
UDL_TITLE = "Universal Design for Learning: Planning With Variability in Mind"


@pytest.fixture(autouse=True)
def inside(app: Flask):
    with app.app_context():
        yield


@pytest.fixture
def practice(campus: Campus) -> int:
    return add_stack_activity(campus, PRACTICE)


def stack_badges() -> list[Badge]:
    return list(db.session.scalars(select(Badge).where(Badge.stack_id.is_not(None))))


def scores() -> list[Score]:
    return list(db.session.scalars(select(Score).order_by(Score.id)))


def way(campus: Campus, key: str = PRACTICE, who: str = "lena") -> stacks.Way:
    db.session.expire_all()
    return stacks.way_of(campus.persons[who], stack_by_key(key))


def retire(key: str) -> None:
    db.session.scalars(select(Credential).where(Credential.key == key)).one().retired_at = NOON
    db.session.commit()


def test_the_badge_comes_with_the_last_part_that_is_needed_and_names_those_that_counted(campus, practice):
    earn(campus, "lena", UDL, practice)
    earn(campus, "lena", PROMPTS, practice)
    assert stack_badges() == []

    last = earn(campus, "lena", FAMILY, practice)

    (badge,) = stack_badges()
    achievement = badge.facts["achievement"]
    assert (badge.decision_id, badge.person_id) == (last.id, campus.persons["lena"])
    assert [part["id"].rsplit("/", 2)[1:] for part in achievement["parts"]] == [
        [UDL, "1"],
        [PROMPTS, "1"],
        [FAMILY, "1"],
    ]
    assert achievement["id"].endswith("/stacks/inclusive-practice/1")
    assert "then two of “Choosing and Fading Prompts" in achievement["criteria_narrative"]

    earn(campus, "lena", ROUTINES, practice)
    assert {badge.title for badge in stack_badges()} == {
        "Inclusive Practice",
        "Family Partnership, From IFSP to IEP",
    }


def test_the_gradebook_gets_nothing_before_the_whole_and_all_of_it_then(campus, practice):
    earn(campus, "lena", UDL, practice)
    earn(campus, "lena", PROMPTS, practice)
    assert scores() == []

    last = earn(campus, "lena", FAMILY, practice)

    (score,) = scores()
    assert (score.placement_id, score.subject, score.decision_id) == (practice, "lena", last.id)
    assert (score.points, score.points_possible, score.state) == (30, 30, ScoreState.OWED)
    assert score.comment == "The whole stack is earned: Inclusive Practice."
    earn(campus, "lena", ROUTINES, practice)
    assert len(scores()) == 1


def test_a_not_yet_owes_nothing_and_leaves_the_part_open(campus, practice):
    submission = hand_in_attempt(begin(campus, "lena", UDL, practice), campus, "lena")
    marks = marks_for(version_of(submission), below=5)
    service.decide(submission.id, campus.accounts["ingrid"], marks, "More.", Outcome.NOT_YET, now=NOON)
    db.session.commit()

    tile = way(campus).tile(UDL)
    assert scores() == []
    assert tile is not None
    assert (tile.state, tile.work) == (PartState.OPEN, AttemptState.NOT_YET)


def test_a_part_decided_in_another_course_completes_the_stack_here_and_waits_for_a_word_of_its_teacher(
    campus, practice
):
    elsewhere = add_placement(campus.deployment, campus.other_course, "elsewhere", FAMILY)
    lena = Membership(
        course_id=campus.other_course, account_id=campus.accounts["lena"], role="learner", seen_at=NOON
    )
    db.session.add(lena)
    earn(campus, "lena", UDL, practice)
    earn(campus, "lena", PROMPTS, practice)

    earn(campus, "lena", FAMILY, elsewhere.id, assessor="otto")

    assert len(stack_badges()) == 1
    there, here = scores()
    assert (there.placement_id, there.state) == (elsewhere.id, ScoreState.OWED)
    assert (here.placement_id, here.points) == (practice, 30)
    assert here.state is ScoreState.PARKED
    assert "decided in another course" in (here.reason or "")


@pytest.mark.parametrize("chosen", [None, "anew", "reuse"])
def test_parts_decided_in_another_course_fill_no_gradebook_through_the_last_one_that_is_decided_here(
    campus, practice, chosen
):
    db.session.get_one(Placement, practice).earlier_results = chosen
    lena = campus.accounts["lena"]
    db.session.add(Membership(course_id=campus.other_course, account_id=lena, role="learner", seen_at=NOON))
    for key in (UDL, PROMPTS):
        sandbox = add_placement(campus.deployment, campus.other_course, key, key, line_item=False)
        earn(campus, "lena", key, sandbox.id, assessor="otto")

    earn(campus, "lena", FAMILY, practice)

    here = next(score for score in scores() if score.placement_id == practice)
    if chosen == "reuse":
        assert here.state is ScoreState.OWED
    else:
        assert here.state is ScoreState.PARKED
        assert "A part of the stack was decided in another course" in (here.reason or "")


def test_an_activity_that_asks_for_results_of_its_own_holds_a_stack_with_parts_from_another_course(
    campus, practice
):
    db.session.get_one(Placement, practice).earlier_results = "anew"
    for who, role in (("lena", "learner"), ("ingrid", "instructor")):
        db.session.add(
            Membership(
                course_id=campus.other_course, account_id=campus.accounts[who], role=role, seen_at=NOON
            )
        )
    before = add_placement(campus.deployment, campus.other_course, "before", UDL, line_item=False)
    earn(campus, "lena", UDL, before.id)
    earn(campus, "lena", PROMPTS, practice)

    earn(campus, "lena", FAMILY, practice)

    here = next(score for score in scores() if score.placement_id == practice)
    assert here.state is ScoreState.PARKED
    assert "A part of the stack was earned in another course" in (here.reason or "")


def test_who_earned_the_parts_elsewhere_is_graded_here_once_they_take_the_stack_here(campus):
    parts = {key: add_placement(campus.deployment, campus.course, key, key).id for key in (ROUTINES, FAMILY)}
    for key, placement in parts.items():
        earn(campus, "lena", key, placement)
    activity = db.session.get_one(Placement, add_stack_activity(campus, PAIR))
    before = len(scores())

    for _ in range(2):
        stacks.take(campus.persons["lena"], activity, campus.accounts["lena"], now=LATER)
        db.session.commit()

    assert before == 2
    (score,) = scores()[2:]
    assert (score.placement_id, score.points, score.state) == (activity.id, 20, ScoreState.OWED)


def test_what_is_not_open_yet_cannot_be_begun_from_the_stack(campus, practice):
    with pytest.raises(errors.PartLocked) as refused:
        begin(campus, "lena", PROMPTS, practice)
    db.session.rollback()
    assert refused.value.detail == f"Opens after “{UDL_TITLE}”."

    alone = add_placement(campus.deployment, campus.course, "alone", PROMPTS)
    earn(campus, "lena", PROMPTS, alone.id)
    tile = way(campus).tile(PROMPTS)
    assert tile is not None
    assert tile.state is PartState.DONE


def test_parts_are_worked_on_side_by_side_from_one_activity(campus):
    activity = add_stack_activity(campus, PAIR)

    first, second = begin(campus, "lena", ROUTINES, activity), begin(campus, "lena", FAMILY, activity)

    assert {link.placement_id for attempt in (first, second) for link in attempt.links} == {activity}
    assert [tile.work for leg in way(campus, PAIR).legs for tile in leg.tiles] == [AttemptState.DRAFT] * 2


def test_nobody_begins_what_is_retired_and_who_has_begun_may_finish(campus, practice):
    running = begin(campus, "lena", UDL, practice)
    db.session.commit()
    retire(UDL)

    with pytest.raises(errors.CredentialRetired):
        begin(campus, "mateo", UDL, practice)
    db.session.rollback()

    submission = hand_in_attempt(running, campus, "lena")
    marks = marks_for(version_of(submission))
    service.decide(submission.id, campus.accounts["ingrid"], marks, "Good.", Outcome.DEMONSTRATED, now=NOON)
    db.session.commit()
    earn(campus, "lena", PROMPTS, practice)
    earn(campus, "lena", ROUTINES, practice)
    assert len(stack_badges()) == 1
    assert way(campus, who="mateo").suggestion is None


def test_retiring_a_part_takes_no_stack_away(campus, practice):
    for key in (UDL, PROMPTS, ROUTINES):
        earn(campus, "lena", key, practice)
    retire(PROMPTS)
    retire(UDL)

    found = way(campus)
    assert found.badge_id == stack_badges()[0].id
    assert found.found is not None
    assert found.found.complete
    assert not stacks.earners_of_stack(db.session.get_one(Placement, practice), page=1, size=5)[0][0].shaken


def test_who_began_before_a_harder_rule_finishes_under_the_old_one(campus):
    activity = add_stack_activity(campus, PAIR)
    earn(campus, "lena", ROUTINES, activity)
    harder = stack(PAIR, Group(3, (ROUTINES, FAMILY, UDL)), version=2, points=30)
    store(replace(shipped(), stacks=(harder,)), now=LATER)
    db.session.commit()
    much_later = LATER + timedelta(days=1)

    earn(campus, "mateo", ROUTINES, activity, at=much_later)
    earn(campus, "mateo", FAMILY, activity, at=much_later)
    assert stack_badges() == []
    assert way(campus, PAIR, "mateo").version.number == 2

    earn(campus, "lena", FAMILY, activity, at=much_later)
    (badge,) = stack_badges()
    assert badge.person_id == campus.persons["lena"]
    assert badge.facts["achievement"]["version"] == 1
    assert scores()[0].points == 20

    assert {choice.credential.key for choice in db.session.get_one(Placement, activity).choices} == {
        ROUTINES, FAMILY, UDL,
    }  # fmt: skip
    earn(campus, "mateo", UDL, activity, at=much_later)
    assert {one.facts["achievement"]["version"] for one in stack_badges()} == {1, 2}


def test_a_revoked_part_leaves_the_stack_standing_and_asks_somebody_to_look(campus, practice):
    for key in (UDL, PROMPTS, ROUTINES):
        earn(campus, "lena", key, practice)
    (whole,) = stack_badges()
    parts = {badge.title: badge for badge in db.session.scalars(select(Badge)) if badge.credential_id}
    first = parts[UDL_TITLE]
    assert [badge.id for badge in stacks_resting_on(first.id)] == [whole.id]
    assert stacks_resting_on(whole.id) == []

    badges.reissue(first.id, change=badges.Reissue(unnamed=True), by_account_id=None, now=LATER)
    activity = db.session.get_one(Placement, practice)
    assert not stacks.earners_of_stack(activity, page=1, size=5)[0][0].shaken

    again = db.session.scalars(
        select(Badge).where(Badge.credential_id == first.credential_id, Badge.revoked_at.is_(None))
    ).one()
    badges.revoke(again.id, reason="Not their own work", by_account_id=None, now=LATER)
    (row,) = stacks.earners_of_stack(activity, page=1, size=5)[0]
    assert (row.shaken, row.way.badge_id) == (True, whole.id)
    tile = row.way.tile(UDL)
    assert tile is not None
    assert tile.why == "It was demonstrated, and its badge was revoked. Ask your instructor."


def test_a_stack_badge_that_was_taken_back_does_not_return_with_the_next_part(campus, practice):
    for key in (UDL, PROMPTS, FAMILY):
        earn(campus, "lena", key, practice)
    (whole,) = stack_badges()
    badges.revoke(whole.id, reason="Not their own work", by_account_id=None, now=LATER)
    db.session.commit()
    owed = len(scores())

    earn(campus, "lena", ROUTINES, practice, at=LATER + timedelta(days=1))

    assert {one.title for one in stack_badges() if one.revoked_at is None} == {
        "Family Partnership, From IFSP to IEP"
    }
    assert len(scores()) == owed
    again = badges.reinstate(whole.id, by_account_id=None, now=LATER + timedelta(days=2))
    assert again.stack_id == whole.stack_id


def test_a_stack_that_was_taken_back_is_awarded_anew_once_every_part_was_earned_anew(campus):
    activity = add_stack_activity(campus, PAIR)
    for key in (ROUTINES, FAMILY):
        earn(campus, "lena", key, activity)
    for badge in db.session.scalars(select(Badge)):
        badges.revoke(badge.id, reason="Not their own work", by_account_id=None, now=LATER)
    db.session.commit()
    (old,) = stack_badges()
    after = LATER + timedelta(days=1)
    assert old.revoked_at is not None

    for at, key in enumerate((ROUTINES, FAMILY), start=2):
        assert [one for one in stack_badges() if one.revoked_at is None] == []
        badges.award(
            person_id=campus.persons["lena"],
            version=version_by_key(key),
            decision_id=at,
            source="Example University",
            email=None,
            evidence=[],
            now=after,
        )
        badges.award_stacks(
            person_id=campus.persons["lena"],
            credential_id=version_by_key(key).credential_id,
            decision_id=at,
            source="Example University",
            email=None,
            now=after,
        )

    assert [one.awarded_at for one in stack_badges() if one.revoked_at is None] == [after]


def test_suggestions_are_about_what_somebody_has_touched_the_nearest_first(campus, practice):
    assert stacks.suggestions(campus.persons["lena"]) == []

    earn(campus, "lena", ROUTINES, add_placement(campus.deployment, campus.course, "r", ROUTINES).id)

    pair, long = stacks.suggestions(campus.persons["lena"])
    assert (pair.key, pair.text) == (
        PAIR,
        f"One more for “Family Partnership, From IFSP to IEP”. You can work on “{FAMILY_TITLE}” now.",
    )
    assert pair.why == "You have one of the two that it asks for."
    assert long.text == f"Two more for “Inclusive Practice”. You can work on “{UDL_TITLE}” now."
    assert f"opens after “{UDL_TITLE}”" in long.why
    assert [one.key for one in stacks.suggestions(campus.persons["lena"], about=UDL)] == [PRACTICE]


def test_a_stack_is_in_progress_from_the_first_work_until_its_badge(campus):
    activity = add_stack_activity(campus, PAIR)
    assert stacks.stack_progress(campus.persons["lena"]) == []

    begin(campus, "lena", ROUTINES, activity)
    ways = {one.stack.key: one for one in stacks.stack_progress(campus.persons["lena"])}
    assert set(ways) == {PAIR, PRACTICE}
    assert ways[PAIR].held == 0

    for key in (ROUTINES, FAMILY):
        earn(campus, "lena", key, activity)
    assert [one.stack.key for one in stacks.stack_progress(campus.persons["lena"])] == [PRACTICE]


def test_the_backpack_and_the_list_of_faculty_ask_the_database_as_often_for_many_as_for_one(campus, practice):
    spec = shipped()
    more = [
        stack(
            f"more-{n}", Group(1, (UDL, PROMPTS)), Group(1, (ROUTINES,)), opens=(Opening(ROUTINES, (UDL,)),)
        )
        for n in range(5)
    ]
    for who in ("lena", "mateo"):
        begin(campus, who, UDL, practice)
    db.session.commit()
    activity = db.session.get_one(Placement, practice)

    def asked(of) -> int:
        db.session.expire_all()
        seen: list[str] = []
        event.listen(db.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
        of()
        return len(seen)

    def few() -> None:
        stacks.stack_progress(campus.persons["lena"])

    def rows() -> None:
        stacks.earners_of_stack(activity, page=1, size=1)

    def all_rows() -> None:
        stacks.earners_of_stack(activity, page=1, size=5)

    one, one_row = asked(few), asked(rows)
    store(replace(spec, stacks=(*spec.stacks, *more)), now=LATER)
    db.session.commit()

    assert db.session.scalar(select(Stack.id).where(Stack.key == "more-4")) is not None
    assert asked(few) == one <= 12
    assert asked(all_rows) == one_row <= 12
