from datetime import timedelta
from decimal import Decimal
from threading import Barrier, Thread

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from lti_tool import errors
from lti_tool.assessment import queries, service
from lti_tool.assessment.models import Assessment, Decision, Outcome, Rating
from lti_tool.audit import AuditEvent
from lti_tool.badges.models import Badge
from lti_tool.credentials.models import Placement
from lti_tool.credit.models import CreditEntry
from lti_tool.database import db
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Course, Membership, Term
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import Attempt, AttemptState, Submission
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement
from tests.support.submitted import hand_in_work, marks_for, version_of

LATER = NOON + timedelta(days=1)


@pytest.fixture
def inside(app: Flask):
    with app.app_context():
        yield


@pytest.fixture
def submission(inside, campus: Campus) -> Submission:
    handed_in = hand_in_work(campus, "lena")
    db.session.commit()
    return handed_in


def count(model) -> int:
    return db.session.scalar(select(func.count()).select_from(model))


def demonstrate(submission: Submission, campus: Campus, *, who: str = "ingrid") -> Decision:
    return service.decide(
        submission.id,
        campus.accounts[who],
        marks_for(version_of(submission)),
        "Clear and complete.",
        Outcome.DEMONSTRATED,
        now=LATER,
    )


def not_yet(submission: Submission, campus: Campus, *, below: int = 3) -> Decision:
    return service.decide(
        submission.id,
        campus.accounts["ingrid"],
        marks_for(version_of(submission), below=below),
        "A good start; see the comments.",
        Outcome.NOT_YET,
        now=LATER,
    )


def test_demonstrated_writes_the_decision_the_badge_and_the_owed_score_together(submission, campus):
    decision = demonstrate(submission, campus)
    db.session.commit()

    badge = db.session.scalars(select(Badge)).one()
    score = db.session.scalars(select(Score)).one()
    assert submission.attempt.state is AttemptState.DEMONSTRATED
    assert (badge.person_id, badge.decision_id) == (campus.persons["lena"], decision.id)
    assert (score.subject, score.decision_id, score.state) == ("lena", decision.id, ScoreState.OWED)
    assert (score.points, score.points_possible) == (10, 10)
    assert score.comment == "Demonstrated. Feedback: Clear and complete."
    assert score.submitted_at == submission.handed_in_at


@pytest.mark.parametrize(("worth", "owed"), [(None, 10), (20, 20), (2.5, Decimal("2.5"))])
def test_the_score_is_all_of_what_the_activity_is_worth_and_never_a_share(submission, campus, worth, owed):
    db.session.get_one(Placement, campus.placement).points = worth

    demonstrate(submission, campus)

    score = db.session.scalars(select(Score)).one()
    assert (score.points, score.points_possible) == (owed, owed)


def one_below(submission: Submission, campus: Campus) -> None:
    """Demonstrated, with one criterion short of the level needed: 80 % are enough."""
    marks = marks_for(version_of(submission), below=1)
    service.decide(submission.id, campus.accounts["ingrid"], marks, "Good.", Outcome.DEMONSTRATED, now=LATER)


def give_points(submission: Submission) -> None:
    """0, 1, 2 and so on for the levels of every criterion."""
    for criterion in version_of(submission).criteria:
        for level in criterion.levels:
            level.points = level.position
    db.session.flush()


def test_every_activity_gives_points_by_its_own_policy(submission, campus):
    give_points(submission)
    version = version_of(submission)
    policies = {campus.placement: None}
    for link, policy in (("link-2", "rubric"), ("link-3", "criteria")):
        other = add_placement(campus.deployment, campus.course, link, version.credential.key)
        other.score_policy, other.points = policy, 30
        policies[other.id] = policy
        submissions.open_attempt(
            campus.persons["lena"], version.credential_id, other.id, campus.accounts["lena"], now=NOON
        )

    one_below(submission, campus)
    db.session.commit()

    rows = {policies[row.placement_id]: row for row in db.session.scalars(select(Score))}
    count_of = len(version.criteria)
    reached = sum(
        next(level.points for level in criterion.levels if level.required)
        for criterion in version.criteria[:-1]
    )
    most = sum(criterion.levels[-1].points for criterion in version.criteria)
    third = Decimal("0.001")
    assert rows[None].points == 10
    assert rows["rubric"].points == (Decimal(30) * reached / most).quantize(third)
    assert rows["criteria"].points == (Decimal(30) * (count_of - 1) / count_of).quantize(third)
    assert [row.points_possible for row in rows.values()] == [10, 30, 30]


@pytest.mark.parametrize("policy", ["rubric", "criteria"])
def test_not_yet_posts_no_number_whatever_part_of_it_is_met(submission, campus, policy):
    give_points(submission)
    db.session.get_one(Placement, campus.placement).score_policy = policy

    not_yet(submission, campus)

    assert count(Score) == 0


def test_a_new_policy_leaves_what_is_owed_as_it_was_and_holds_where_the_work_is_taken_over_later(
    submission, campus
):
    one_below(submission, campus)
    key = version_of(submission).credential.key
    db.session.get_one(Placement, campus.placement).score_policy = "criteria"
    later = add_placement(campus.deployment, campus.course, "link-2", key)
    later.score_policy = "criteria"
    attempt = submissions.open_attempt(
        campus.persons["lena"],
        version_of(submission).credential_id,
        later.id,
        campus.accounts["lena"],
        now=LATER,
    )
    service.owe_here(attempt.id, later.id, now=LATER)

    rows = {row.placement_id: row.points for row in db.session.scalars(select(Score))}
    assert rows[campus.placement] == 10
    assert 0 < rows[later.id] < 10


def test_not_yet_owes_the_gradebook_nothing_and_opens_the_work_again(submission, campus):
    not_yet(submission, campus)
    db.session.commit()

    assert submission.attempt.state is AttemptState.NOT_YET
    assert (count(Score), count(Badge), count(CreditEntry)) == (0, 0, 0)


def test_every_activity_from_which_the_work_was_opened_is_owed_the_score(submission, campus):
    key = version_of(submission).credential.key
    second = add_placement(campus.deployment, campus.other_course, "link-2", key)
    submissions.open_attempt(
        campus.persons["lena"],
        version_of(submission).credential_id,
        second.id,
        campus.accounts["lena"],
        now=NOON,
    )

    db.session.add(
        Membership(
            course_id=campus.other_course,
            account_id=campus.accounts["ingrid"],
            role="instructor",
            seen_at=NOON,
        )
    )

    demonstrate(submission, campus)

    owed = db.session.scalars(select(Score.placement_id).where(Score.state == ScoreState.OWED)).all()
    assert sorted(owed) == sorted([campus.placement, second.id])


def ends(campus: Campus, course_id: int) -> None:
    """The term of the course was over weeks before."""
    course = db.session.get_one(Course, course_id)
    ended = (NOON - timedelta(days=20)).date()
    course.term = Term(platform_id=course.platform_id, name="Summer", ends_on=ended)
    db.session.flush()


def test_after_a_course_has_ended_its_faculty_s_first_decision_still_counts(submission, campus):
    ends(campus, campus.course)

    demonstrate(submission, campus)

    assert db.session.scalars(select(Score.state)).one() is ScoreState.OWED


def test_after_a_course_has_ended_a_grade_from_elsewhere_is_a_question_to_its_faculty(submission, campus):
    demonstrate(submission, campus)
    second = add_placement(
        campus.deployment, campus.other_course, "link-2", version_of(submission).credential.key
    )
    lena, ingrid = campus.accounts["lena"], campus.accounts["ingrid"]
    submissions.open_attempt(
        campus.persons["lena"], version_of(submission).credential_id, second.id, lena, now=NOON
    )
    db.session.add(
        Membership(course_id=campus.other_course, account_id=ingrid, role="instructor", seen_at=NOON)
    )
    ends(campus, campus.other_course)

    service.owe_here(submission.attempt_id, second.id, now=LATER)

    asked = db.session.scalars(select(Score).filter_by(placement_id=second.id)).one()
    assert asked.state is ScoreState.PARKED
    assert "The course has ended" in str(asked.reason)


def test_a_decision_does_not_fill_the_gradebook_of_a_course_that_its_maker_does_not_teach(submission, campus):
    key = version_of(submission).credential.key
    elsewhere = add_placement(campus.deployment, campus.other_course, "link-2", key)
    submissions.open_attempt(
        campus.persons["lena"],
        version_of(submission).credential_id,
        elsewhere.id,
        campus.accounts["lena"],
        now=NOON,
    )

    demonstrate(submission, campus)

    held = db.session.scalars(select(Score).where(Score.placement_id == elsewhere.id)).one()
    assert held.state is ScoreState.PARKED
    assert "decided in another course" in held.reason
    assert "Send again" in held.reason


def test_a_decision_without_a_gradebook_column_parks_the_score_where_somebody_sees_it(inside, campus):
    db.session.get_one(Placement, campus.placement).line_item_url = None
    handed_in = hand_in_work(campus, "mateo")

    demonstrate(handed_in, campus)

    assert db.session.scalars(select(Score.state)).one() is ScoreState.PARKED


def test_a_badge_names_the_issuing_body_and_never_the_assessor(submission, campus):
    demonstrate(submission, campus)

    facts = str(db.session.scalars(select(Badge)).one().facts)
    assert "Ingrid" not in facts
    assert ".pdf" not in facts


def test_if_awarding_fails_nothing_of_the_decision_stands(submission, campus):
    db.session.execute(text("ALTER TABLE badge RENAME TO badge_out_of_order"))
    db.session.commit()

    with pytest.raises(OperationalError, match="no such table: badge"):
        demonstrate(submission, campus)
    db.session.rollback()

    assert db.session.get_one(Attempt, submission.attempt_id).state is AttemptState.SUBMITTED
    assert (count(Decision), count(Assessment), count(Rating), count(Score)) == (0, 0, 0, 0)
    assert "decision recorded" not in set(db.session.scalars(select(AuditEvent.action)))


def test_a_decision_that_disagrees_with_the_ratings_is_refused_and_names_the_criterion(submission, campus):
    version = version_of(submission)

    with pytest.raises(errors.DecisionDisagrees) as refused:
        service.decide(
            submission.id,
            campus.accounts["ingrid"],
            marks_for(version, below=3),
            "Well done.",
            Outcome.DEMONSTRATED,
            now=LATER,
        )

    assert f"“{version.criteria[-1].title}” is below Proficient" in refused.value.detail
    assert count(Decision) == 0


def test_eight_of_ten_is_demonstrated_and_seven_is_not(submission, campus):
    version = version_of(submission)
    assert len(version.criteria) == 10

    with pytest.raises(errors.DecisionDisagrees):
        not_yet(submission, campus, below=2)
    service.decide(
        submission.id,
        campus.accounts["ingrid"],
        marks_for(version, below=2),
        "Well done.",
        Outcome.DEMONSTRATED,
        now=LATER,
    )

    assert count(Badge) == 1


def test_missing_ratings_and_feedback_are_listed_by_their_fields(submission, campus):
    version = version_of(submission)
    marks = marks_for(version)
    del marks["a1-1"]

    with pytest.raises(errors.RatingsMissing) as refused:
        service.decide(submission.id, campus.accounts["ingrid"], marks, " ", Outcome.DEMONSTRATED, now=LATER)

    assert [field for field, _ in refused.value.missing] == ["level-a1-1", "feedback"]


def test_nobody_decides_about_their_own_work_whatever_account_they_use(submission, campus):
    with pytest.raises(errors.OwnWork):
        demonstrate(submission, campus, who="lena")


def test_a_second_decision_about_the_same_submission_is_refused(submission, campus):
    demonstrate(submission, campus)
    db.session.commit()

    with pytest.raises(errors.AlreadyDecided):
        demonstrate(submission, campus, who="otto")


def test_an_old_tab_cannot_decide_about_a_submission_that_a_newer_one_followed(submission, campus):
    not_yet(submission, campus)
    hand_in_work(campus, "lena", at=LATER + timedelta(hours=1), note="More barriers.")
    db.session.commit()

    with pytest.raises(errors.AlreadyDecided):
        demonstrate(submission, campus)


def test_a_submission_taken_back_for_privacy_cannot_be_decided(submission, campus):
    piece = submission.evidence[0].evidence_id
    submissions.report_privacy_problem(piece, campus.accounts["ingrid"], "", now=LATER)
    db.session.commit()

    with pytest.raises(errors.SubmissionWithdrawn):
        demonstrate(submission, campus)


def test_a_draft_keeps_incomplete_ratings_and_the_decision_takes_their_place(submission, campus):
    marks = marks_for(version_of(submission))
    part = {"a1-1": marks["a1-1"], "a1-2": service.Mark(None, "to be checked")}

    service.save_assessment(submission.id, campus.accounts["ingrid"], part, "so far", now=LATER)
    db.session.commit()
    kept = queries.draft_of(submission.id, campus.accounts["ingrid"])
    demonstrate(submission, campus)

    assert kept == (part, "so far")
    assert count(Assessment) == 1
    assert count(Rating) == 10


def test_a_colleague_does_not_see_the_draft_of_another(submission, campus):
    service.save_assessment(submission.id, campus.accounts["ingrid"], {}, "mine", now=LATER)

    assert queries.draft_of(submission.id, campus.accounts["otto"]) == ({}, "")


def test_feedback_tells_each_criterion_with_what_was_needed(submission, campus):
    decision = not_yet(submission, campus)

    feedback = queries.feedback_for(submission.attempt_id)

    assert feedback is not None
    assert (feedback.decision_id, feedback.outcome) == (decision.id, Outcome.NOT_YET)
    assert feedback.submission_number == 1
    assert [criterion.met for criterion in feedback.criteria] == [True] * 7 + [False] * 3
    last = feedback.criteria[-1]
    assert (last.level_title, last.required_title) == ("Not Yet", "Proficient")
    assert last.comment == f"Show more of {last.title}."


def test_there_is_no_feedback_before_the_first_decision(submission):
    assert queries.feedback_for(submission.attempt_id) is None


def test_history_has_every_decision_the_last_one_first(submission, campus):
    not_yet(submission, campus)
    again = hand_in_work(campus, "lena", at=LATER + timedelta(hours=1))
    demonstrate(again, campus)

    assert [item.submission_number for item in queries.history(submission.attempt_id)] == [2, 1]


def test_feedback_counts_as_opened_by_its_earner_only_and_once(submission, campus):
    decision = not_yet(submission, campus)
    db.session.commit()

    stranger = service.mark_opened(decision.id, person_id=campus.persons["mateo"], now=LATER)
    first = service.mark_opened(decision.id, person_id=campus.persons["lena"], now=LATER)
    second = service.mark_opened(decision.id, person_id=campus.persons["lena"], now=LATER + timedelta(days=1))

    db.session.refresh(decision)
    assert (stranger, first, second) == (False, True, False)
    assert decision.opened_at == LATER


def test_two_assessors_at_the_same_moment_make_one_decision_one_badge_one_score(app, submission, campus):
    db.session.close()
    together, outcomes = Barrier(2), []

    def decide(who: str) -> None:
        with app.app_context():
            mine = db.session.get_one(Submission, submission_id)
            marks = marks_for(version_of(mine))
            together.wait(timeout=10)
            try:
                service.decide(
                    submission_id, campus.accounts[who], marks, "Good.", Outcome.DEMONSTRATED, now=LATER
                )
                db.session.commit()
                outcomes.append("decided")
            except errors.AlreadyDecided:
                db.session.rollback()
                outcomes.append("too late")

    submission_id = db.session.scalars(select(Submission.id)).one()
    db.session.close()
    threads = [Thread(target=decide, args=(who,)) for who in ("ingrid", "otto")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["decided", "too late"]
    assert (count(Decision), count(Assessment), count(Badge), count(Score)) == (1, 1, 1, 1)
