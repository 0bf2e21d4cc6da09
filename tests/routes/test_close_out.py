"""Closing a term: what the registrar sees, what the instructor of record chooses, and what comes of it."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool import clock
from lti_tool.assessment.models import Outcome
from lti_tool.assessment.service import decide
from lti_tool.audit import AuditEvent
from lti_tool.closing import queries
from lti_tool.closing.models import Choice, CloseOut
from lti_tool.credentials.models import Placement, Stack
from lti_tool.database import db
from lti_tool.lti.models import Platform, Registration
from lti_tool.passback import notes
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Account, Course, Roster, RosterMember, RosterStatus, Term
from lti_tool.submissions.models import Submission
from tests.lti.platform_double import FakePlatform, Reply
from tests.support import stacks
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement, build_campus
from tests.support.submitted import begin_work, hand_in_work, marks_for, version_of
from tests.support.visits import Browser, visit_as


@pytest.fixture
def term(app: Flask, campus: Campus) -> int:
    """A term with the campus' course, in which Lena has handed in and Mateo is still working."""
    with app.app_context():
        course = db.session.get_one(Course, campus.course)
        fall = Term(platform_id=course.platform_id, name="Fall 2026", starts_on=None, ends_on=None)
        course.term = fall
        hand_in_work(campus, "lena")
        begin_work(campus, "mateo")
        db.session.commit()
        return fall.id


@pytest.fixture
def gradebook(app: Flask, campus: Campus) -> Iterator[FakePlatform]:
    """Where the activity's scores and comments arrive."""
    platform = FakePlatform()
    platform.answers["/line_items/1/scores"] = lambda _: Reply()
    with app.app_context():
        db.session.get_one(Registration, campus.registration).token_url = platform.url + "/token"
        db.session.get_one(Placement, campus.placement).line_item_url = platform.url + "/line_items/1"
        db.session.commit()
    yield platform
    platform.close()


def case(campus: Campus, who: str) -> str:
    return f"case:{campus.placement}-{campus.accounts[who]}"


def confirm(browser: Browser, reason: str = "", **choices: str) -> int:
    form = {"step": "confirm", "reason": reason} | choices
    return browser.post("/course/close-out", form).status_code


def scores(app: Flask) -> list[tuple[str, float, ScoreState, str, int | None]]:
    with app.app_context():
        return [
            (one.subject, float(one.points), one.state, one.comment, one.decision_id)
            for one in db.session.scalars(select(Score).order_by(Score.id))
        ]


def test_a_registrar_sees_what_is_open_and_reminds(app: Flask, campus: Campus, term: int):
    rita, ingrid = visit_as(app, campus, "rita"), visit_as(app, campus, "ingrid")
    before = ingrid.get("/course").text

    page = rita.get(f"/ledger/terms/{term}/close-out").text
    answer = rita.post(
        f"/ledger/terms/{term}/close-out", {"course": str(campus.course)}, follow_redirects=True
    )

    assert "SPED 4500 Inclusive Practice" in page
    assert "SPED 4700" not in page
    assert "Remind again" in answer.text
    assert "asks you to close out" not in before
    assert "asks you to close out" in ingrid.get("/course").text
    assert "The registrar asks for this" in ingrid.get("/course/close-out").text
    confirm(ingrid, **{case(campus, who): "leave" for who in ("lena", "mateo")})
    assert "asks you to close out" in ingrid.get("/course").text
    confirm(ingrid, **{case(campus, "aiko"): "leave"})
    assert "asks you to close out" not in ingrid.get("/course").text
    assert "Closed out" in rita.get(f"/ledger/terms/{term}/close-out").text


def test_a_registrar_reminds_only_in_the_own_deployment_and_chooses_nothing(
    app: Flask, campus: Campus, term: int
):
    with app.app_context():
        elsewhere = build_campus("moodle")
        add_placement(elsewhere.deployment, elsewhere.course, "link-7", "udl-variability")
        db.session.commit()
    rita = visit_as(app, campus, "rita")

    other = rita.post(f"/ledger/terms/{term}/close-out", {"course": str(elsewhere.course)})

    assert other.status_code == 404
    assert confirm(rita, **{case(campus, "mateo"): "leave"}) == 403


def test_choices_are_looked_at_once_more_before_anything_is_recorded(app: Flask, campus: Campus, term: int):
    ingrid = visit_as(app, campus, "ingrid")

    listed = ingrid.get("/course/close-out").text
    review = ingrid.post("/course/close-out", {case(campus, "mateo"): "zero", "reason": "Never handed in."})

    assert "Lena Brandt" in listed
    assert "Waiting for an assessor" in listed
    assert "Mateo Ruiz" in review.text
    assert "0 points are sent" in review.text
    assert "Lena Brandt" not in review.text
    assert scores(app) == []


def test_a_choice_is_reviewed_on_whatever_page_its_person_is_by_now(
    app: Flask, campus: Campus, term: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(queries, "PAGE_SIZE", 1)
    ingrid = visit_as(app, campus, "ingrid")
    second = ingrid.get("/course/close-out?page=2").text  # who has not begun comes last
    with app.app_context():
        work = db.session.scalars(select(Submission)).one()
        marks = marks_for(version_of(work))
        decide(work.id, campus.accounts["ingrid"], marks, "Clear.", Outcome.DEMONSTRATED, now=NOON)
        db.session.commit()
        begin_work(campus, "aiko")
        db.session.commit()

    first, again = (
        ingrid.post("/course/close-out?page=2", {case(campus, who): "leave"}).text
        for who in ("aiko", "mateo")
    )

    assert "Mateo Ruiz" in second
    assert ("Aiko" in first, "Mateo Ruiz" in again) == (True, True)


def test_zero_goes_to_the_gradebook_with_its_reason_and_no_decision(app: Flask, campus: Campus, term: int):
    ingrid = visit_as(app, campus, "ingrid")
    chosen = {case(campus, "mateo"): "zero", case(campus, "lena"): "incomplete"}

    answers = [confirm(ingrid, "Never handed in.", **chosen) for _ in range(2)]

    assert answers == [303, 303]
    assert scores(app) == [("mateo", 0.0, ScoreState.OWED, "Never handed in.", None)]
    with app.app_context():
        recorded = {one.account_id: one.choice for one in db.session.scalars(select(CloseOut))}
        events = db.session.scalars(select(AuditEvent).filter_by(action="closed out")).all()
        assert recorded == {
            campus.accounts["mateo"]: Choice.ZERO,
            campus.accounts["lena"]: Choice.INCOMPLETE,
        }
        assert [event.actor_account_id for event in events] == [campus.accounts["ingrid"]] * 2


def test_a_zero_needs_a_reason(app: Flask, campus: Campus, term: int):
    ingrid = visit_as(app, campus, "ingrid")

    asked = ingrid.post("/course/close-out", {case(campus, "mateo"): "zero"})

    assert asked.status_code == 422
    assert "Write why" in asked.text
    assert confirm(ingrid, " ", **{case(campus, "mateo"): "zero"}) == 422
    assert scores(app) == []


def test_a_form_without_a_choice_leads_to_the_choices_and_not_to_the_reason(
    app: Flask, campus: Campus, term: int
):
    page = visit_as(app, campus, "ingrid").post("/course/close-out", {"reason": "Late."})

    assert page.status_code == 422
    assert f'<a href="#{case(campus, "lena")}">Choose something for at least one person.</a>' in page.text
    assert f'id="{case(campus, "lena")}"' in page.text


def test_work_that_was_decided_meanwhile_keeps_its_decision(app: Flask, campus: Campus, term: int):
    ingrid = visit_as(app, campus, "ingrid")
    with app.app_context():
        submission = hand_in_work(campus, "aiko")
        marks = marks_for(version_of(submission))
        decide(submission.id, campus.accounts["ingrid"], marks, "Clear.", Outcome.DEMONSTRATED, now=NOON)
        db.session.commit()

    answer = ingrid.post(
        "/course/close-out",
        {"step": "confirm", "reason": "Late.", case(campus, "aiko"): "zero"},
        follow_redirects=True,
    )

    assert "were passed over" in answer.text
    assert [(who, points) for who, points, *_ in scores(app)] == [("aiko", 10.0)]


def test_a_decision_after_a_zero_takes_its_place(app: Flask, campus: Campus, term: int):
    ingrid = visit_as(app, campus, "ingrid")
    confirm(ingrid, "Nothing by the end of term.", **{case(campus, "lena"): "zero"})

    with app.app_context():
        work = db.session.scalars(select(Submission)).one()
        marks = marks_for(version_of(work))
        decide(work.id, campus.accounts["ingrid"], marks, "Late, and good.", Outcome.DEMONSTRATED, now=NOON)
        db.session.commit()

    assert [(points, state) for _, points, state, *_ in scores(app)] == [
        (0.0, ScoreState.SUPERSEDED),
        (10.0, ScoreState.OWED),
    ]


def test_after_the_end_a_decision_that_would_change_a_zero_is_for_faculty_to_send(
    app: Flask, campus: Campus, term: int
):
    ingrid = visit_as(app, campus, "ingrid")
    confirm(ingrid, "Nothing by the end of term.", **{case(campus, "lena"): "zero"})
    with app.app_context():
        db.session.get_one(Term, term).ends_on = (NOON - timedelta(days=20)).date()
        db.session.scalars(select(Score)).one().state = ScoreState.CONFIRMED
        work = db.session.scalars(select(Submission)).one()
        marks = marks_for(version_of(work))
        decide(work.id, campus.accounts["ingrid"], marks, "Late, and good.", Outcome.DEMONSTRATED, now=NOON)
        db.session.commit()
        asked = db.session.scalars(select(Score.id).order_by(Score.id.desc())).first()

    waits = [(points, state) for _, points, state, *_ in scores(app)]
    page = ingrid.get("/course/grades").text
    ingrid.post(f"/course/grades/{asked}", {"do": "send"})

    assert waits == [(0.0, ScoreState.CONFIRMED), (10.0, ScoreState.PARKED)]
    assert "The course has ended" in page
    assert [(points, state) for _, points, state, *_ in scores(app)][-1] == (10.0, ScoreState.OWED)


def test_an_instructor_of_another_course_closes_out_nothing_here(app: Flask, campus: Campus, term: int):
    with app.app_context():
        theirs = add_placement(campus.deployment, campus.other_course, "link-9", "udl-variability").id
        db.session.commit()
        other = Campus(**(vars(campus) | {"course": campus.other_course}))
    otto = visit_as(app, other, "otto", placement=theirs)

    assert "Mateo Ruiz" not in otto.get("/course/close-out").text
    assert confirm(otto, "No.", **{case(campus, "mateo"): "zero"}) == 303
    assert scores(app) == []


@pytest.mark.parametrize(
    "name",
    [
        "case:x-y",
        "case:1",
        "case:-1-2",
        "case:99999999999-1",
        "case:",
        "case:1-2-3",
        "case:1-r",
        "case:1-r999",
    ],
)
def test_a_choice_for_what_is_no_case_is_nothing(app: Flask, campus: Campus, term: int, name: str):
    assert confirm(visit_as(app, campus, "ingrid"), "Why.", **{name: "zero"}) == 303
    assert scores(app) == []


def test_a_whole_stack_is_one_case_for_each_who_takes_it_and_its_parts_are_none(
    app: Flask, campus: Campus, term: int
):
    with app.app_context():
        activity = stacks.add_stack_activity(campus, stacks.PAIR)
        stacks.begin(campus, "lena", stacks.ROUTINES, activity)
        stacks.begin(campus, "lena", stacks.FAMILY, activity)
        worth = float(
            db.session.get_one(Stack, db.session.get_one(Placement, activity).stack_id).current.points
        )
        db.session.commit()
    ingrid = visit_as(app, campus, "ingrid")
    hers = f"case:{activity}-{campus.accounts['lena']}"

    page = ingrid.get("/course/close-out").text
    confirm(ingrid, "Never complete.", **{hers: "zero"})

    assert page.count(f'name="{hers}"') == 1
    assert page.count("On the way to the stack") == 1
    assert scores(app) == [("lena", 0.0, ScoreState.OWED, "Never complete.", None)]
    with app.app_context():
        assert float(db.session.scalars(select(Score.points_possible)).one()) == worth


# People who have not begun


def listed(
    campus: Campus, subject: str, name: str | None, status: RosterStatus, role: str = "learner"
) -> int:
    """Put somebody on the platform's list of the course's people; the number of that entry."""
    if db.session.get(Roster, campus.course) is None:
        address = "https://lms.example.edu/roster"
        db.session.add(
            Roster(course_id=campus.course, deployment_pk=campus.deployment, address=address, read_at=NOON)
        )
    member = RosterMember(
        course_id=campus.course, subject=subject, name=name, role=role, status=status, since=NOON, reading=1
    )
    db.session.add(member)
    db.session.commit()
    return member.id


def test_who_has_not_begun_is_listed_and_where_no_list_of_people_is_known_that_is_said(
    app: Flask, campus: Campus, term: int
):
    rita, ingrid = visit_as(app, campus, "rita"), visit_as(app, campus, "ingrid")
    unknown = [rita.get(f"/ledger/terms/{term}/close-out").text, ingrid.get("/course/close-out").text]
    with app.app_context():
        zoe = listed(campus, "zoe", "Zoe Adler", RosterStatus.ACTIVE)
        nameless = listed(campus, "u-77", None, RosterStatus.ACTIVE)
        listed(campus, "kim", "Kim Left", RosterStatus.LEFT)
        listed(campus, "tom", "Tom Teacher", RosterStatus.ACTIVE, role="instructor")
        listed(campus, "aiko", "Aiko Tanaka", RosterStatus.LEFT)
        # Moodle lists its non-editing teachers as learners; what the launch said counts.
        listed(campus, "ingrid", "Ingrid Okafor", RosterStatus.ACTIVE)
    known = [rita.get(f"/ledger/terms/{term}/close-out").text, ingrid.get("/course/close-out").text]

    assert "the LMS gave no list of people" in unknown[0]
    assert "no list of the people in this course" in unknown[1]
    assert f'name="{case(campus, "aiko")}"' in unknown[1]
    assert "gave no list" not in known[0]
    assert "no list of the people" not in known[1]
    for key in (f"case:{campus.placement}-r{zoe}", f"case:{campus.placement}-r{nameless}"):
        assert f'name="{key}"' in known[1]
    assert "LMS user id u-77" in known[1]
    for gone in (
        "Kim Left",
        "Tom Teacher",
        f'name="{case(campus, "aiko")}"',
        f'name="{case(campus, "ingrid")}"',
    ):
        assert gone not in known[1]


def test_a_zero_reaches_the_cell_of_somebody_who_never_came_once_however_often_it_is_confirmed(
    app: Flask, campus: Campus, term: int
):
    with app.app_context():
        zoe = listed(campus, "zoe", "Zoe Adler", RosterStatus.ACTIVE)
    ingrid = visit_as(app, campus, "ingrid")
    key = f"case:{campus.placement}-r{zoe}"

    review = ingrid.post("/course/close-out", {key: "zero", "reason": "Never began."}).text
    for _ in range(2):
        assert confirm(ingrid, "Never began.", **{key: "zero"}) == 303

    assert "Zoe Adler" in review
    assert f'name="{key}" value="zero"' in review
    assert scores(app) == [("zoe", 0.0, ScoreState.OWED, "Never began.", None)]
    with app.app_context():
        account = db.session.scalars(select(Account).filter_by(subject="zoe")).one()
        assert (account.name, account.email) == ("Zoe Adler", None)


def test_somebody_who_came_and_began_while_the_choices_were_looked_at_keeps_their_work(
    app: Flask, campus: Campus, term: int
):
    with app.app_context():
        aiko = listed(campus, "aiko", "Aiko Tanaka", RosterStatus.ACTIVE)
        submission = hand_in_work(campus, "aiko")
        marks = marks_for(version_of(submission))
        decide(submission.id, campus.accounts["ingrid"], marks, "Clear.", Outcome.DEMONSTRATED, now=NOON)
        db.session.commit()
    ingrid = visit_as(app, campus, "ingrid")

    confirm(ingrid, "Never began.", **{f"case:{campus.placement}-r{aiko}": "zero"})

    assert [(who, points) for who, points, *_ in scores(app)] == [("aiko", 10.0)]


def test_an_entry_of_another_courses_list_is_no_case_here(app: Flask, campus: Campus, term: int):
    with app.app_context():
        elsewhere = Campus(**(vars(campus) | {"course": campus.other_course}))
        zoe = listed(elsewhere, "zoe", "Zoe Adler", RosterStatus.ACTIVE)

    confirm(visit_as(app, campus, "ingrid"), "No.", **{f"case:{campus.placement}-r{zoe}": "zero"})

    assert scores(app) == []


# What is decided and was not seen


def test_what_was_not_seen_in_the_gradebook_stands_beside_what_is_undecided(
    app: Flask, campus: Campus, term: int
):
    with app.app_context():
        submission = hand_in_work(campus, "aiko")
        marks = marks_for(version_of(submission))
        decide(submission.id, campus.accounts["ingrid"], marks, "Clear.", Outcome.DEMONSTRATED, now=NOON)
        score = db.session.scalars(select(Score)).one()
        score_id, score.state, score.reason = score.id, ScoreState.PARKED, "The course is not published."
        db.session.commit()
    ingrid = visit_as(app, campus, "ingrid")

    page = ingrid.get("/course/close-out").text
    with app.app_context():
        db.session.get_one(Score, score_id).state = ScoreState.CONFIRMED
        db.session.commit()

    assert "Decided, and not seen in the gradebook" in page
    assert "The course is not published." in page
    assert f"/course/grades/{score_id}" in page
    assert "not seen in the gradebook" not in ingrid.get("/course/close-out").text


def test_without_a_gradebook_column_an_incomplete_promises_no_comment(app: Flask, campus: Campus, term: int):
    with app.app_context():
        db.session.get_one(Placement, campus.placement).line_item_url = None
        db.session.commit()
    ingrid = visit_as(app, campus, "ingrid")

    review = ingrid.post(
        "/course/close-out",
        {case(campus, "mateo"): "incomplete", case(campus, "lena"): "zero", "reason": "Ill since May."},
    ).text

    assert "gets a comment" not in review
    assert "Nothing is sent to the gradebook: this activity has no column there." in review
    assert "0 points are recorded. This activity has no gradebook column" in review


def comments_sent(
    app: Flask, gradebook: FakePlatform, after: timedelta = timedelta()
) -> list[dict[str, object]]:
    with app.app_context():
        for registration_id in notes.due(clock.now() + after):
            notes.deliver_due(registration_id, now_fn=lambda: clock.now() + after)
    return [json.loads(asked.body) for asked in gradebook.asked_at("/line_items/1/scores")]


def test_an_incomplete_reaches_canvas_as_a_comment_without_a_number(
    app: Flask, campus: Campus, term: int, gradebook: FakePlatform
):
    ingrid = visit_as(app, campus, "ingrid")
    review = ingrid.post(
        "/course/close-out", {case(campus, "mateo"): "incomplete", "reason": "Ill since May."}
    ).text

    confirm(ingrid, "Ill since May.", **{case(campus, "mateo"): "incomplete"})

    assert "a comment without a number" in review
    [sent] = comments_sent(app, gradebook)
    assert sent["userId"] == "mateo"
    assert sent["comment"] == "Recorded as Incomplete; there is no grade yet. Ill since May."
    assert "scoreGiven" not in sent
    assert sent["https://canvas.instructure.com/lti/submission"] == {
        "new_submission": False,
        "preserve_score": True,
    }
    assert scores(app) == []


def test_an_incomplete_that_was_thought_better_of_is_not_told(
    app: Flask, campus: Campus, term: int, gradebook: FakePlatform
):
    ingrid = visit_as(app, campus, "ingrid")
    gradebook.answers["/line_items/1/scores"] = lambda _: Reply(503)

    confirm(ingrid, "Ill since May.", **{case(campus, "mateo"): "incomplete"})
    confirm(ingrid, **{case(campus, "mateo"): "leave"})
    confirm(ingrid, "Ill.", **{case(campus, "lena"): "incomplete"})
    confirm(ingrid, "Ill since June.", **{case(campus, "lena"): "incomplete"})

    tried = len(gradebook.asked_at("/line_items/1/scores"))
    gradebook.answers["/line_items/1/scores"] = lambda _: Reply()
    [sent] = comments_sent(app, gradebook, after=timedelta(hours=1))[tried:]
    assert (sent["userId"], str(sent["comment"])[-15:]) == ("lena", "Ill since June.")


def test_where_a_comment_could_wipe_a_grade_an_incomplete_sends_nothing(
    app: Flask, campus: Campus, term: int, gradebook: FakePlatform
):
    with app.app_context():
        db.session.scalars(select(Platform)).one().product = "moodle"
        db.session.commit()
    ingrid = visit_as(app, campus, "ingrid")

    confirm(ingrid, "Ill since May.", **{case(campus, "mateo"): "incomplete"})

    assert "Incomplete sends nothing to the gradebook" in ingrid.get("/course/close-out").text
    assert comments_sent(app, gradebook) == []
