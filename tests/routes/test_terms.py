"""Terms at the registrar's desk: what launches say, what dates say, and what a registrar has set."""

from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool.database import db
from lti_tool.lti.models import Deployment
from lti_tool.people import terms
from lti_tool.people.models import Course, DeskAccess, Term
from tests.routes.test_entry import CUSTOM, LEARNER, Person, key, person, platform
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement, build_campus
from tests.support.visits import Browser, visit_as

__all__ = ["key", "person", "platform"]
FALL = {"name": "Fall 2026", "starts_on": "2026-08-24", "ends_on": "2026-12-11"}


def term_of(app: Flask, course: int) -> str | None:
    with app.app_context():
        term = db.session.get_one(Course, course).term
        return None if term is None else term.name


def add(rita: Browser, **form: str) -> None:
    assert rita.post("/ledger/terms", FALL | form).status_code == 303


def test_a_registrar_makes_a_term_with_dates_and_changes_it(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")

    add(rita)
    first = rita.get("/ledger/terms").text
    add(rita, term="1", name="Autumn 2026", ends_on="")

    assert "Fall 2026" in first
    assert "2026-12-11" in first
    with app.app_context():
        (term,) = db.session.scalars(select(Term))
        assert (term.name, term.starts_on, term.ends_on) == ("Autumn 2026", date(2026, 8, 24), None)


@pytest.mark.parametrize("wrong", [{"name": " "}, {"ends_on": "2026-08-01"}, {"name": "Spring 2027"}])
def test_a_term_that_makes_no_sense_is_not_saved_and_what_was_typed_stays(
    app: Flask, campus: Campus, wrong: dict[str, str]
):
    rita = visit_as(app, campus, "rita")
    add(rita, name="Spring 2027")

    answer = rita.post("/ledger/terms", FALL | wrong)

    assert answer.status_code == 422
    assert "2026-08-24" in answer.text
    with app.app_context():
        assert db.session.scalars(select(Term.name)).all() == ["Spring 2027"]


@pytest.mark.parametrize("field", ["starts_on", "ends_on"])
def test_a_day_that_cannot_be_read_is_said_and_never_left_out(app: Flask, campus: Campus, field: str):
    rita = visit_as(app, campus, "rita")

    answer = rita.post("/ledger/terms", FALL | {field: "12/11/2026"})

    assert answer.status_code == 422
    assert f'href="#{field}">Write the day as year-month-day' in answer.text
    with app.app_context():
        assert db.session.scalars(select(Term)).all() == []


def test_courses_without_a_term_are_put_into_the_one_of_their_date(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")
    add(rita)

    listed = rita.get("/ledger/terms").text
    rita.post("/ledger/terms/courses", {"how": "by-date"})

    assert "SPED 4500" in listed
    assert NOON.date() > date(2026, 8, 24)
    assert term_of(app, campus.course) == "Fall 2026"
    assert "Every course has its term" in rita.get("/ledger/terms").text


def test_all_courses_are_put_by_their_date_however_many_have_none(
    app: Flask, campus: Campus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(terms, "_BATCH", 2)
    with app.app_context():
        platform_id = db.session.get_one(Course, campus.course).platform_id
        # Those without a day in any term come first, and fill a batch.
        for at, day in enumerate([1, 1, 1, 200, 200, 200]):
            seen = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
            course = Course(
                platform_id=platform_id, context_id=f"x{at}", label="", title="X", created_at=seen
            )
            db.session.add(course)
            db.session.flush()
            add_placement(campus.deployment, course.id, f"x-{at}", "udl-variability")
        db.session.commit()
    rita = visit_as(app, campus, "rita")
    add(rita, starts_on="2026-07-01")

    rita.post("/ledger/terms/courses", {"how": "by-date"})

    with app.app_context():
        placed = db.session.scalars(
            select(Course.context_id).where(Course.term_id.is_not(None)).order_by(Course.id)
        ).all()
        assert placed == ["c1", "x3", "x4", "x5"]


def test_a_date_in_two_terms_is_left_to_a_person(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")
    add(rita)
    add(rita, name="Second half", starts_on="2026-10-01")

    rita.post("/ledger/terms/courses", {"how": "by-date"})

    assert term_of(app, campus.course) is None


def test_only_courses_of_the_own_deployment_are_put_anywhere(app: Flask, campus: Campus):
    with app.app_context():
        elsewhere = build_campus("moodle")
        theirs = db.session.get_one(Course, elsewhere.course)
        term = Term(platform_id=theirs.platform_id, name="Theirs", starts_on=None, ends_on=None)
        db.session.add(term)
        db.session.commit()
        foreign = term.id
    rita = visit_as(app, campus, "rita")
    add(rita)

    mine = {"how": "ticked", "term": str(foreign + 1), "course": [str(campus.course), str(elsewhere.course)]}
    rita.post("/ledger/terms/courses", mine)

    assert term_of(app, campus.course) == "Fall 2026"
    assert term_of(app, elsewhere.course) is None
    assert rita.get(f"/ledger/terms/{foreign}").status_code == 404
    assert rita.post("/ledger/terms/courses", {"term": str(foreign), "course": ["1"]}).status_code == 404
    assert "Theirs" not in rita.get("/ledger/terms").text


def test_a_term_with_courses_of_another_deployment_is_changed_only_by_a_registrar_of_both(
    app: Flask, campus: Campus
):
    rita = visit_as(app, campus, "rita")
    add(rita)
    with app.app_context():
        other = Deployment(registration_id=campus.registration, deployment_id="2", created_at=NOON)
        db.session.add(other)
        db.session.flush()
        course = db.session.get_one(Course, campus.other_course)
        course.term = db.session.scalars(select(Term)).one()
        add_placement(other.id, course.id, "link-2", "udl-variability")
        db.session.commit()
        other_id = other.id

    refused = rita.post("/ledger/terms", FALL | {"term": "1", "ends_on": "2026-09-01"})
    with app.app_context():
        kept = db.session.get_one(Term, 1).ends_on
        db.session.add(DeskAccess(deployment_pk=other_id, subject="rita", granted_at=NOON))
        db.session.commit()
    add(rita, term="1", ends_on="2026-09-01")

    assert refused.status_code == 409
    assert "a registrar of both" in refused.text
    assert kept == date(2026, 12, 11)
    with app.app_context():
        assert db.session.get_one(Term, 1).ends_on == date(2026, 9, 1)


def test_a_launch_names_the_term_unless_a_registrar_has_set_it(person: Person, app: Flask):
    said = {
        "term_name": "Fall 2026",
        "term_start": "2026-08-24T06:00:00Z",
        "term_end": "2026-12-11T06:00:00Z",
        "credential": "udl-variability",
    }
    person.launch(LEARNER, **{CUSTOM: said})
    named = term_of(app, 1)
    with app.app_context():
        course = db.session.get_one(Course, 1)
        course.term = Term(platform_id=course.platform_id, name="Pilot", starts_on=None, ends_on=None)
        course.term_by_hand = True
        db.session.commit()

    person.launch(LEARNER, **{CUSTOM: said})

    assert named == "Fall 2026"
    assert term_of(app, 1) == "Pilot"
    with app.app_context():
        fall = db.session.scalars(select(Term).filter_by(name="Fall 2026")).one()
        assert (fall.starts_on, fall.ends_on) == (date(2026, 8, 24), date(2026, 12, 11))
