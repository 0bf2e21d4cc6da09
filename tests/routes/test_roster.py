"""The people of a course on its faculty's page: who has not begun, who left, who came back."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti.models import Registration
from lti_tool.people.models import Account, Membership, Roster, RosterMember, RosterStatus
from tests.lti.platform_double import FakePlatform, Reply
from tests.routes.test_course import statements_for, words
from tests.support.cast import Campus
from tests.support.submitted import begin_work
from tests.support.visits import visit_as

ROSTER = "/names_and_roles"


@pytest.fixture
def platform():
    double = FakePlatform()
    yield double
    double.close()


def enrol(campus: Campus, *subjects: str, read: bool = True, **more: Any) -> None:
    """Put people on the list of the campus' course, as a reading a minute ago would."""
    now = clock.now() - timedelta(minutes=1)
    if db.session.get(Roster, campus.course) is None:
        facts = {"deployment_pk": campus.deployment, "address": "https://canvas.example.edu/roster"}
        db.session.add(Roster(course_id=campus.course, asked_at=now, read_at=now if read else None, **facts))
        db.session.flush()
    values = {"role": "learner", "status": RosterStatus.ACTIVE, "since": now, "returned": False, "reading": 1}
    rows = [
        {"course_id": campus.course, "subject": subject, "name": subject.title(), **values, **more}
        for subject in subjects
    ]
    if rows:
        db.session.execute(insert(RosterMember), rows)
    db.session.commit()


def test_those_who_are_enrolled_and_have_not_begun_are_listed(app: Flask, campus: Campus):
    with app.app_context():
        begin_work(campus, "lena")
        enrol(campus, "lena", "mateo", "zoe")

    page = words(visit_as(app, campus, "ingrid").get("/course?show=not-begun"))

    assert "<strong>2</strong> not begun" in page
    assert "Not begun (2)" in page
    assert "Zoe" in page
    assert "Mateo Ruiz" in page  # The name of the launch.
    assert "Lena" not in page


def test_before_anybody_has_begun_faculty_see_who_could(app: Flask, campus: Campus):
    with app.app_context():
        enrol(campus, "lena", "mateo")

    page = words(visit_as(app, campus, "ingrid").get("/course"))

    assert "Nobody has begun yet" in page
    assert "Not begun (2)" in page


def test_without_names_there_is_a_number_and_why(app: Flask, campus: Campus):
    with app.app_context():
        enrol(campus, "u1", "u2", "u3", name=None)

    page = words(visit_as(app, campus, "ingrid").get("/course?show=not-begun"))

    assert "3 people who are in the course have not begun." in page
    assert "tells Tessera no names" in page


def test_some_without_a_name_are_counted_below_the_others(app: Flask, campus: Campus):
    with app.app_context():
        enrol(campus, "zoe")
        enrol(campus, "u2", name=None)

    page = words(visit_as(app, campus, "ingrid").get("/course?show=not-begun"))

    assert "Zoe" in page
    assert "And 1 without a name." in page


def test_who_left_is_listed_with_since_when_and_marked_where_they_worked(app: Flask, campus: Campus):
    with app.app_context():
        begin_work(campus, "lena")
        begin_work(campus, "mateo")
        enrol(campus, "lena", "zoe", status=RosterStatus.LEFT)
        enrol(campus, "mateo", returned=True)
    ingrid = visit_as(app, campus, "ingrid")

    left, everyone = words(ingrid.get("/course?show=left")), words(ingrid.get("/course"))

    assert "Left the course (2)" in left
    assert "Had begun; the work is kept" in left
    assert "Had not begun" in left
    assert "Mateo" not in left
    assert 'Lena Brandt<span class="cell-note">Left the course' in everyone
    assert 'Mateo Ruiz<span class="cell-note">Came back to the course' in everyone


def test_a_launch_says_more_about_a_role_than_a_list_of_people(app: Flask, campus: Campus):
    """Moodle lists its non-editing teachers as learners."""
    with app.app_context():
        enrol(campus, "ingrid", "mateo")
        enrol(campus, "tim", role="instructor")

    page = words(visit_as(app, campus, "ingrid").get("/course?show=not-begun"))

    assert "Not begun (1)" in page
    assert "Mateo" in page


def test_a_platform_that_lists_nobody_for_us_leaves_the_page_as_it_was(app: Flask, campus: Campus):
    page = words(visit_as(app, campus, "ingrid").get("/course?show=not-begun"))

    assert "Not begun" not in page
    assert "Nobody has begun yet" in page


def test_what_kept_us_from_reading_is_said_to_faculty(app: Flask, campus: Campus):
    with app.app_context():
        enrol(campus, read=False)
        db.session.get_one(Roster, campus.course).problem = "Canvas is busy or did not answer."
        db.session.commit()

    page = words(visit_as(app, campus, "ingrid").get("/course"))

    assert "The last try did not work: Canvas is busy or did not answer." in page


def test_opening_the_page_has_the_list_read_after_the_answer_has_gone_out(
    app: Flask, campus: Campus, platform: FakePlatform
):
    with app.app_context():
        enrol(campus)
        roster = db.session.get_one(Roster, campus.course)
        roster.address, roster.asked_at, roster.read_at = platform.url + ROSTER, None, None
        db.session.get_one(Registration, campus.registration).token_url = platform.url + "/token"
        db.session.commit()
    people = [{"user_id": "zoe", "name": "Zoe Adler", "roles": ["Learner"]}]
    platform.answers[ROSTER] = lambda _: Reply(body={"members": people})
    ingrid = visit_as(app, campus, "ingrid")

    answer = ingrid.get("/course")
    asked_while_answering = len(platform.asked)
    answer.close()
    later = words(ingrid.get("/course?show=not-begun"))

    assert "is being read from your learning platform" in words(answer)
    assert asked_while_answering == 0
    assert "Zoe Adler" in later
    assert len(platform.asked_at(ROSTER)) == 1


def test_five_thousand_people_cost_no_more_queries_than_five_and_are_paged(app: Flask, campus: Campus):
    ingrid = visit_as(app, campus, "ingrid")
    with app.app_context():
        enrol(campus, *(f"a{number:04}" for number in range(5)))
    few = statements_for(app, ingrid, "/course?show=not-begun")
    with app.app_context():
        enrol(campus, *(f"b{number:04}" for number in range(4995)))

    many = statements_for(app, ingrid, "/course?show=not-begun")

    page = words(ingrid.get("/course?show=not-begun&page=200"))
    assert many == few
    assert "Page 200 of 200" in page
    assert "B4994" in page


def test_what_somebody_is_in_another_course_does_not_count(app: Flask, campus: Campus):
    with app.app_context():
        lena = db.session.get_one(Account, campus.accounts["lena"])
        enrol(campus, "5")
        assert lena.subject != "5"
        other = Membership(
            course_id=campus.other_course, account_id=lena.id, role="instructor", seen_at=clock.now()
        )
        db.session.add(other)
        enrol(campus, "lena")

    page = words(visit_as(app, campus, "ingrid").get("/course?show=not-begun"))

    assert "Not begun (2)" in page
