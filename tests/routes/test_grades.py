"""What became of scores, as the earner and the faculty of the course see it, and what they may do about it."""

from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.assessment.models import Outcome
from lti_tool.assessment.service import decide
from lti_tool.audit import AuditEvent
from lti_tool.badges import service as badges
from lti_tool.badges.models import Badge
from lti_tool.database import db
from lti_tool.passback.models import Finding, Score, ScoreState
from lti_tool.passback.rules import Cause
from lti_tool.people.models import Course, Term
from tests.support.cast import Campus, add_placement, simple_key
from tests.support.submitted import hand_in_work, marks_for, version_of
from tests.support.visits import Browser, visit_as


@pytest.fixture
def score(app: Flask, campus: Campus) -> int:
    """Lena's score of 10, accepted an hour ago."""
    with app.app_context():
        now = clock.now() - timedelta(hours=1)
        submission = hand_in_work(campus, "lena", at=now)
        marks = marks_for(version_of(submission))
        decide(submission.id, campus.accounts["ingrid"], marks, "Clear.", Outcome.DEMONSTRATED, now=now)
        row = db.session.scalars(select(Score)).one()
        row.state, row.settled_at, row.tries = ScoreState.ACCEPTED, now, 1
        row.points = row.points_possible = Decimal(10)
        db.session.commit()
        return row.id


def becomes(
    app: Flask, score_id: int, state: ScoreState, finding: Finding | None = None, **more: object
) -> None:
    with app.app_context():
        row = db.session.get_one(Score, score_id)
        row.state, row.finding = state, finding
        row.read_at = None if finding is None else clock.now()
        for name, value in more.items():
            setattr(row, name, value)
        db.session.commit()


def overridden(app: Flask, score_id: int, shown: int = 4) -> None:
    becomes(
        app,
        score_id,
        ScoreState.OVERRIDDEN,
        Finding.OVERRIDDEN,
        shown_points=Decimal(shown),
        shown_possible=Decimal(10),
    )


def words(answer) -> str:
    return " ".join(answer.text.split())


def newest(app: Flask) -> Score:
    with app.app_context():
        return db.session.scalars(select(Score).order_by(Score.id.desc())).first()  # type: ignore[return-value]  # there is one


def deal(browser: Browser, score: int, **form: str) -> TestResponse:
    """Open the page of a score and send one of its forms."""
    return browser.answer(f"/course/grades/{score}", f"/course/grades/{score}", form)


def receipt(browser: Browser) -> str:
    return words(browser.get("/work/feedback"))


# Earners


def test_an_earner_reads_what_became_of_the_score(app: Flask, campus: Campus, score: int):
    lena = visit_as(app, campus, "lena")

    accepted = receipt(lena)
    becomes(app, score, ScoreState.OWED)
    waiting = receipt(lena)
    becomes(
        app,
        score,
        ScoreState.CONFIRMED,
        Finding.SAME,
        settled_at=clock.now(),
        shown_points=Decimal(10),
        shown_possible=Decimal(10),
    )
    confirmed = receipt(lena)
    overridden(app, score)
    differs = receipt(lena)

    assert "Posted 10 of 10 to Canvas on" in accepted
    assert "10 of 10 waiting to be sent to Canvas" in waiting
    assert ", confirmed <time" in confirmed
    assert "Your instructor’s gradebook shows another grade, 4 of 10." in differs
    assert all("Ask to send it again" not in page for page in (accepted, waiting, confirmed, differs))


@pytest.mark.parametrize(
    ("state", "finding"), [(ScoreState.PARKED, None), (ScoreState.ACCEPTED, Finding.MISSING)]
)
def test_an_earner_may_have_it_sent_again_where_the_gradebook_refused_or_lost_it(
    app: Flask, campus: Campus, score: int, state: ScoreState, finding: Finding | None
):
    becomes(app, score, state, finding, reason="The course is not published.")
    lena = visit_as(app, campus, "lena")

    offered = "Ask to send it again" in receipt(lena)
    for _ in range(2):
        assert lena.post("/work/grade").status_code == 303

    assert offered
    with app.app_context():
        assert len(db.session.scalars(select(Score)).all()) == 2
        event = db.session.scalars(select(AuditEvent).filter_by(action="score sent again")).one()
        assert event.actor_account_id == campus.accounts["lena"]


@pytest.mark.parametrize(
    "how",
    [
        "set by a person",
        "perhaps set by a person",
        "held for a person",
        "tried a moment ago",
        "confirmed",
        "somebody else's",
    ],
)
def test_an_earner_cannot_have_it_sent_where_that_is_for_others_or_of_no_help(
    app: Flask, campus: Campus, score: int, how: str
):
    who = "lena"
    match how:
        case "set by a person":
            overridden(app, score)
        case "perhaps set by a person":
            becomes(app, score, ScoreState.PARKED, cause=Cause.UNSEEN, reason="Nobody may look.")
        case "held for a person":
            becomes(app, score, ScoreState.PARKED, tries=0, reason="Decided in another course.")
        case "tried a moment ago":
            becomes(app, score, ScoreState.PARKED, settled_at=clock.now())
        case "confirmed":
            becomes(app, score, ScoreState.CONFIRMED, Finding.SAME)
        case _:
            becomes(app, score, ScoreState.PARKED)
            who = "mateo"

    visit_as(app, campus, who).post("/work/grade")

    assert newest(app).id == score


def test_after_the_course_has_ended_sending_again_is_for_its_faculty(app: Flask, campus: Campus, score: int):
    becomes(app, score, ScoreState.PARKED, reason="The course is not published.")
    with app.app_context():
        course = db.session.get_one(Course, campus.course)
        ended = (clock.now() - timedelta(days=3)).date()
        course.term = Term(platform_id=course.platform_id, name="Summer", ends_on=ended)
        db.session.commit()
    lena = visit_as(app, campus, "lena")

    lena.post("/work/grade")
    unchanged = newest(app).id == score
    visit_as(app, campus, "ingrid").post(f"/course/grades/{score}", {"do": "send"})

    assert unchanged
    assert "Ask to send it again" not in receipt(lena)
    assert newest(app).id != score


# Faculty


def test_faculty_see_on_the_activity_that_a_grade_is_for_them_to_look_at(
    app: Flask, campus: Campus, score: int
):
    ingrid = visit_as(app, campus, "ingrid")
    before = words(ingrid.get("/course"))
    overridden(app, score)
    after = words(ingrid.get("/course"))

    assert "for you to look at" not in before
    assert "1 grade of this course is for you to look at" in after


def test_the_course_s_grades_name_what_differs_first_and_everything_on_demand(
    app: Flask, campus: Campus, score: int
):
    ingrid = visit_as(app, campus, "ingrid")
    nothing, everything = words(ingrid.get("/course/grades")), words(ingrid.get("/course/grades?show=all"))
    overridden(app, score)
    differs = words(ingrid.get("/course/grades"))

    assert "Nothing to look at" in nothing
    assert "Lena Brandt" in everything
    assert "The LMS shows a different grade" in differs
    assert "4 of 10" in differs


def test_a_0_under_a_standing_badge_asks_for_a_review(app: Flask, campus: Campus, score: int):
    overridden(app, score, shown=0)
    ingrid = visit_as(app, campus, "ingrid")

    assert "The badge stands: please review" in words(ingrid.get("/course/grades"))
    assert "The gradebook shows 0, and the badge stands" in words(ingrid.get(f"/course/grades/{score}"))


def test_what_somebody_set_is_replaced_only_after_an_explicit_yes(app: Flask, campus: Campus, score: int):
    overridden(app, score)
    ingrid = visit_as(app, campus, "ingrid")

    careless = deal(ingrid, score, do="send")
    unchanged = newest(app).id == score
    meant = deal(ingrid, score, do="send", sure="yes")

    assert careless.status_code == 422
    assert "Tick the box" in words(careless)
    assert unchanged
    assert meant.status_code == 303
    assert (newest(app).overwrites, newest(app).state) == (True, ScoreState.OWED)


@pytest.mark.parametrize(
    "form", [{"do": "send", "sure": "yes"}, {"do": "leave"}, {"do": "explain", "why": "As agreed."}]
)
def test_an_answer_is_about_the_grade_that_the_page_showed(
    app: Flask, campus: Campus, score: int, form: dict[str, str]
):
    overridden(app, score)
    ingrid = visit_as(app, campus, "ingrid")
    page = ingrid.get(f"/course/grades/{score}").text
    seen = page.split('name="seen" value="')[1].split('"')[0]
    overridden(app, score, shown=9)

    answer = ingrid.post(f"/course/grades/{score}", form | {"seen": seen})

    assert answer.status_code == 409
    assert "Nothing was done: the gradebook shows something else than before" in words(answer)
    assert "9 of 10" in words(answer)
    assert newest(app).id == score
    assert newest(app).dealt_with_at is None
    assert deal(ingrid, score, **form).status_code == 303


def test_what_nobody_could_look_at_is_sent_again_only_after_an_explicit_yes(
    app: Flask, campus: Campus, score: int
):
    becomes(app, score, ScoreState.PARKED, cause=Cause.UNSEEN, reason="Tessera could not look.")
    ingrid = visit_as(app, campus, "ingrid")

    careless = deal(ingrid, score, do="send")
    from_the_list = ingrid.post(f"/course/scores/{score}/send")
    unchanged = newest(app).id == score
    meant = deal(ingrid, score, do="send", sure="yes")

    assert careless.status_code == 422
    assert "Look in the gradebook first" in words(careless)
    assert from_the_list.headers["Location"].endswith(f"/course/grades/{score}")
    assert unchanged
    assert meant.status_code == 303
    assert newest(app).overwrites


def test_a_lost_grade_is_sent_again_without_further_questions_and_replaces_nothing(
    app: Flask, campus: Campus, score: int
):
    becomes(app, score, ScoreState.ACCEPTED, Finding.MISSING)

    visit_as(app, campus, "ingrid").post(f"/course/grades/{score}", {"do": "send"})

    assert newest(app).id != score
    assert not newest(app).overwrites


def test_faculty_leave_the_gradebook_as_it_is_with_or_without_a_note(app: Flask, campus: Campus, score: int):
    overridden(app, score)
    ingrid = visit_as(app, campus, "ingrid")

    empty = deal(ingrid, score, do="explain", why=" ")
    deal(ingrid, score, do="explain", why="Agreed with Lena.")
    page = words(ingrid.get(f"/course/grades/{score}"))

    assert empty.status_code == 422
    assert "Agreed with Lena." in page
    assert "Nothing to look at" in words(ingrid.get("/course/grades"))


def test_a_score_is_not_sent_if_faculty_say_why(app: Flask, campus: Campus, score: int):
    becomes(app, score, ScoreState.PARKED, reason="The course is not published.")
    ingrid = visit_as(app, campus, "ingrid")

    silent = ingrid.post(f"/course/grades/{score}", {"do": "drop", "reason": ""})
    ingrid.post(f"/course/grades/{score}", {"do": "drop", "reason": "Entered by hand."})

    assert silent.status_code == 422
    assert (newest(app).state, newest(app).reason) == (ScoreState.ABANDONED, "Entered by hand.")


def test_nobody_deals_with_their_own_score(app: Flask, campus: Campus, score: int):
    overridden(app, score)
    as_faculty = visit_as(app, campus, "lena", role="instructor")

    page = words(as_faculty.get(f"/course/grades/{score}"))
    answer = as_faculty.post(f"/course/grades/{score}", {"do": "leave"})

    assert "This is your own score" in page
    assert answer.status_code == 403


def test_faculty_of_another_course_see_nothing_of_it(app: Flask, campus: Campus, score: int):
    with app.app_context():
        other = add_placement(campus.deployment, campus.other_course, "link-9", simple_key()).id
        db.session.commit()
    otto = visit_as(app, campus, "otto", placement=other)

    assert otto.get(f"/course/grades/{score}").status_code == 404
    assert otto.post(f"/course/grades/{score}", {"do": "leave"}).status_code == 404
    assert "Lena" not in words(otto.get("/course/grades?show=all"))


# A badge that was taken back


@pytest.fixture
def revoked(app: Flask, score: int) -> int:
    with app.app_context():
        badge = db.session.scalars(select(Badge)).one()
        badges.revoke(badge.id, reason="Awarded by mistake.", by_account_id=None, now=clock.now())
        db.session.commit()
    return score


def test_a_revocation_changes_no_grade_and_asks_the_courses_faculty(app: Flask, campus: Campus, revoked: int):
    ingrid = visit_as(app, campus, "ingrid")

    listed, page = words(ingrid.get("/course/grades")), words(ingrid.get(f"/course/grades/{revoked}"))

    assert "For you to look at (1)" in listed
    assert "The badge was revoked: say what becomes of the points" in listed
    assert "The badge was revoked, and the gradebook keeps the points" in page
    assert newest(app).id == revoked


def test_faculty_leave_the_points_and_are_not_asked_again(app: Flask, campus: Campus, revoked: int):
    ingrid = visit_as(app, campus, "ingrid")

    ingrid.post(f"/course/grades/{revoked}", {"do": "keep"})

    assert "For you to look at (0)" in words(ingrid.get("/course/grades"))
    assert newest(app).id == revoked
    with app.app_context():
        event = db.session.scalars(select(AuditEvent).filter_by(action="points left in the gradebook")).one()
        assert event.actor_account_id == campus.accounts["ingrid"]


def test_faculty_post_a_0_with_a_reason_once_however_often_they_press(
    app: Flask, campus: Campus, revoked: int
):
    ingrid = visit_as(app, campus, "ingrid")

    empty = ingrid.post(f"/course/grades/{revoked}", {"do": "zero", "reason": " "})
    for _ in range(2):
        ingrid.post(f"/course/grades/{revoked}", {"do": "zero", "reason": "The work was not yours."})

    assert empty.status_code == 422
    with app.app_context():
        zero, old = db.session.scalars(select(Score).order_by(Score.id.desc())).all()
        assert (zero.points, zero.comment, zero.state) == (0, "The work was not yours.", ScoreState.OWED)
        assert (old.points, old.state) == (10, ScoreState.ACCEPTED)
    assert "For you to look at (0)" in words(ingrid.get("/course/grades"))


def test_a_badge_that_was_issued_again_asks_nobody(app: Flask, campus: Campus, score: int):
    with app.app_context():
        badge = db.session.scalars(select(Badge)).one()
        badges.reissue(badge.id, change=badges.Reissue(), by_account_id=None, now=clock.now())
        db.session.commit()
    ingrid = visit_as(app, campus, "ingrid")

    assert "For you to look at (0)" in words(ingrid.get("/course/grades"))


def test_nobody_answers_for_their_own_score_or_for_another_course(app: Flask, campus: Campus, revoked: int):
    lena = visit_as(app, campus, "lena")

    assert lena.post(f"/course/grades/{revoked}", {"do": "zero", "reason": "x"}).status_code == 403
    assert newest(app).id == revoked
