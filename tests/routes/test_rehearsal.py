"""Canvas' Student View: faculty try everything up to a sample badge, and nothing of it counts."""

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool import clock
from lti_tool.assessment import queries as assessment
from lti_tool.assessment.models import Assessment, Decision, Rating
from lti_tool.audit import AuditEvent
from lti_tool.badges.models import Badge, BadgeDocument
from lti_tool.badges.signing import sign_due
from lti_tool.credentials.models import Placement, Version
from lti_tool.credentials.queries import full_version
from lti_tool.credit.models import CreditEntry, CreditRule
from lti_tool.database import db
from lti_tool.passback.models import GradeNote, Score
from lti_tool.people.models import Membership
from lti_tool.registrar import queries as registrar
from lti_tool.submissions.models import Attempt, AttemptPlacement, Evidence, Rehearsal, Response, Submission
from tests.routes.earner import Earner, key_of
from tests.routes.test_entry import LEARNER, LTI, Person, key, person, platform
from tests.support.cast import Campus, add_placement
from tests.support.submitted import form_of, marks_for
from tests.support.visits import Browser, visit_as

__all__ = ["key", "person", "platform"]

TEST_STUDENT = [
    "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner",
    "http://purl.imsglobal.org/vocab/lti/system/person#TestUser",
]


def rehearsing(app: Flask, campus: Campus, placement: int | None = None) -> Earner:
    """Ingrid in Student View: the platform sends its test student, here Mateo's account, who is not her."""
    student = Earner(app, campus, "mateo", placement)
    student.browser = visit_as(app, campus, "mateo", placement=placement, claims={"is_test_user": True})
    return student


@pytest.fixture
def student(app: Flask, campus: Campus) -> Earner:
    return rehearsing(app, campus)


@pytest.fixture
def ingrid(app: Flask, campus: Campus) -> Browser:
    return visit_as(app, campus, "ingrid")


def hand_in(student: Earner) -> None:
    student.start(key_of(student.app, "no-children"))
    student.complete()
    assert "/submissions/1" in student.hand_in().headers["Location"]


def decide(app: Flask, ingrid: Browser, *, below: int = 0) -> str:
    """Assess what was handed in last, by the form. Returns where that leads."""
    with app.app_context():
        submission = db.session.scalars(select(Submission).order_by(Submission.id.desc()).limit(1)).one()
        marks = marks_for(full_version(submission.attempt.version_id), below=below)
        address = f"/review/{submission.id}"
    form = form_of(
        marks, feedback="So it goes.", outcome="not_yet" if below else "demonstrated", intent="decide"
    )
    return ingrid.post(address, form).headers["Location"]


def count(model: type) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_faculty_walk_the_whole_way_to_a_sample_badge(app: Flask, student: Earner, ingrid: Browser) -> None:
    hand_in(student)
    assert "Assess the rehearsal" in ingrid.get("/course").text
    assert "done=decided-rehearsal" in decide(app, ingrid, below=3)
    assert "Not yet demonstrated" in student.get("/work/feedback").text
    student.hand_in()
    assert "done=decided-rehearsal" in decide(app, ingrid)

    feedback = student.get("/work/feedback").text
    sample = student.get("/rehearsal/badge")
    picture = student.get("/rehearsal/badge.svg")

    assert "See the sample badge" in feedback
    assert "/badges" not in feedback
    assert "A sample, not a badge" in sample.text
    assert (picture.status_code, picture.mimetype) == (200, "image/svg+xml")
    assert 'aria-label="A sample, not a badge"' in picture.text
    assert "Content-Disposition" not in picture.headers


def test_a_demonstrated_rehearsal_counts_nowhere_and_owes_nothing(
    app: Flask, campus: Campus, student: Earner, ingrid: Browser
) -> None:
    with app.app_context():
        for version_id in db.session.scalars(select(Version.id)):
            approved = {"approval_number": "7", "audience": "teachers", "note": "", "active": True}
            db.session.add(
                CreditRule(version_id=version_id, authority="PTSB", value=1, unit="credit", **approved)
            )
        db.session.commit()
    hand_in(student)
    decide(app, ingrid)

    with app.app_context():
        assert sign_due(now=clock.now()) == 0
        assert [count(model) for model in (Badge, BadgeDocument, Score, GradeNote, CreditEntry)] == [
            0,
            0,
            0,
            0,
            0,
        ]
        assert count(AttemptPlacement) == 0
        assert assessment.standing_of(campus.placement).everyone == 0
        assert registrar.page(campus.deployment, registrar.Filter(), 1).rows == ()
    page = ingrid.get("/course").text
    assert "Nobody has begun yet" in page
    assert "Mateo" not in page
    assert "It counts nowhere" in page
    assert student.get("/badges").text.count("badge-card") == 0


def test_the_test_student_is_in_no_list_of_the_course_s_people(app: Flask, person: Person) -> None:
    page = person.open(person.launch(LEARNER, **{LTI + "roles": TEST_STUDENT}))

    assert "Student View: a rehearsal" in page.text
    with app.app_context():
        assert count(Membership) == 0


def test_a_real_earner_sees_nothing_of_rehearsals(app: Flask, campus: Campus, ingrid: Browser) -> None:
    lena = Earner(app, campus, "lena")

    assert "rehearsal" not in lena.get("/work").text.lower()
    for path in ("/rehearsal/badge", "/rehearsal/badge.svg", "/rehearsal/restart"):
        assert lena.get(path).status_code == 404
        assert ingrid.get(path).status_code == 403
    assert lena.post("/rehearsal/restart").status_code == 404


def test_there_is_no_sample_before_the_rehearsal_has_come_to_its_end(student: Earner) -> None:
    hand_in(student)

    assert student.get("/rehearsal/badge").status_code == 404
    assert student.get("/rehearsal/badge.svg").status_code == 404


def test_the_rehearsal_can_be_emptied_and_leaves_the_work_that_counts_alone(
    app: Flask, campus: Campus, student: Earner, ingrid: Browser
) -> None:
    lena = Earner(app, campus, "lena")
    lena.start(key_of(app, "no-children"))
    lena.complete()
    lena.hand_in()
    decide(app, ingrid, below=3)
    models = (Attempt, Submission, Decision, Assessment, Rating, Response, Evidence)
    with app.app_context():
        before = [count(model) for model in models]
    hand_in(student)
    with app.app_context():
        piece = db.session.scalars(select(Evidence.id).order_by(Evidence.id.desc()).limit(1)).one()
    decide(app, ingrid)
    student.post(f"/work/evidence/{piece}/privacy")
    assert "Look at this report" in ingrid.get("/course").text

    asked = student.get("/rehearsal/restart").text
    answer = student.post("/rehearsal/restart")

    assert "Empty it and start again" in asked
    assert "done=rehearsal-emptied" in answer.headers["Location"]
    with app.app_context():
        assert [count(model) for model in models] == before
        assert count(Rehearsal) == 0
        assert db.session.scalars(select(AuditEvent).filter_by(action="rehearsal emptied")).one()
    assert "Look at this report" not in ingrid.get("/course").text
    hand_in(student)


def test_in_a_choice_the_test_student_switches_and_empties_all_of_it(app: Flask, campus: Campus) -> None:
    with app.app_context():
        choice = add_placement(
            campus.deployment, campus.course, "choice", "udl-variability", "fading-prompts"
        ).id
        db.session.commit()
    student = rehearsing(app, campus, choice)

    student.start("udl-variability")
    student.start("fading-prompts")
    with app.app_context():
        assert (count(Attempt), count(Rehearsal)) == (2, 1)
    student.post("/rehearsal/restart")

    with app.app_context():
        assert (count(Attempt), count(Rehearsal)) == (0, 0)
    assert "Choose a micro-credential" in student.browser.get("/work", follow_redirects=True).text


def test_what_the_same_person_does_for_real_is_work_of_its_own(
    app: Flask, campus: Campus, student: Earner
) -> None:
    student.start(key_of(app, "no-children"))
    rehearsal = student.form()
    real = visit_as(app, campus, "mateo")

    assert "Continue" not in real.get("/work").text
    assert real.post("/work/tasks", rehearsal | {"action": "save"}).status_code == 404
    real.post("/work/start", {"credential": key_of(app, "no-children")})

    with app.app_context():
        assert sorted(db.session.scalars(select(Attempt.rehearsal))) == [False, True]
        placement = db.session.get_one(Placement, campus.placement)
        assert assessment.standing_of(placement.id).working == 1


def test_nobody_assesses_a_rehearsal_of_another_course(app: Flask, campus: Campus, student: Earner) -> None:
    hand_in(student)
    with app.app_context():
        submission = db.session.scalars(select(Submission.id)).one()
        elsewhere = add_placement(campus.deployment, campus.other_course, "link-9", "udl-variability").id
        db.session.commit()
    otto = visit_as(app, campus, "otto", placement=elsewhere)

    assert otto.get(f"/review/{submission}").status_code == 404
