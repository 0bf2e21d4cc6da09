from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select

from lti_tool import clock
from lti_tool.assessment import service
from lti_tool.assessment.models import Decision, Outcome
from lti_tool.audit import AuditEvent
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.passback.models import Score, ScoreState
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import Evidence
from tests.support.cast import Campus, add_account, add_placement
from tests.support.submitted import begin_work, hand_in_work, marks_for, version_of
from tests.support.visits import visit_as


def decide(submission, campus: Campus, outcome: Outcome) -> None:
    below = 0 if outcome is Outcome.DEMONSTRATED else 5
    marks = marks_for(version_of(submission), below=below)
    service.decide(submission.id, campus.accounts["ingrid"], marks, "Thank you.", outcome, now=clock.now())


@pytest.fixture
def busy(app: Flask, campus: Campus) -> Campus:
    """Lena has waited four days, Mateo has a "not yet", Aiko a badge; Otto's own try is a draft."""
    with app.app_context():
        now = clock.now()
        hand_in_work(campus, "lena", at=now - timedelta(days=4, hours=1))
        decide(hand_in_work(campus, "mateo", at=now - timedelta(days=2)), campus, Outcome.NOT_YET)
        decide(hand_in_work(campus, "aiko", at=now - timedelta(days=3)), campus, Outcome.DEMONSTRATED)
        begin_work(campus, "otto", at=now)
        db.session.commit()
    return campus


def words(answer) -> str:
    return " ".join(answer.text.split())


def test_faculty_see_who_is_where_and_how_long_the_oldest_has_waited(app, busy):
    page = words(visit_as(app, busy, "ingrid").get("/course"))

    assert "<strong>1</strong> working" in page
    assert "<strong>1</strong> waiting, the oldest 4 days" in page
    assert "<strong>1</strong> not yet" in page
    assert "<strong>1</strong> demonstrated" in page


def test_the_waiting_list_has_only_those_who_wait_with_a_way_to_assess(app, busy):
    page = words(visit_as(app, busy, "ingrid").get("/course?show=waiting"))

    assert "Lena Brandt" in page
    assert "waiting 4 days" in page
    assert "Assess<span" in page
    assert "Mateo Ruiz" not in page


def test_the_longest_wait_stands_first(app, busy):
    with app.app_context():
        hand_in_work(busy, "otto", at=clock.now() - timedelta(days=9))
        db.session.commit()

    page = visit_as(app, busy, "ingrid").get("/course?show=waiting").text

    assert page.index("Otto Keller") < page.index("Lena Brandt")


def test_who_has_not_opened_the_feedback_is_named_until_they_do(app, busy):
    ingrid = visit_as(app, busy, "ingrid")
    before = words(ingrid.get("/course?show=unopened"))
    with app.app_context():
        decision = db.session.scalars(select(Decision).where(Decision.outcome == Outcome.NOT_YET)).one()
        service.mark_opened(decision.id, person_id=busy.persons["mateo"], now=clock.now())
        db.session.commit()

    after = words(ingrid.get("/course?show=unopened"))

    assert "Mateo Ruiz" in before
    assert "Mateo Ruiz" not in after
    assert "Aiko Tanaka" in after


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (ScoreState.OWED, "Waiting to send"),
        (ScoreState.SENDING, "Waiting to send"),
        (ScoreState.ACCEPTED, "Sent and accepted"),
        (ScoreState.PARKED, "Needs attention"),
    ],
)
def test_the_gradebook_column_of_the_list_says_what_became_of_the_last_score(app, busy, state, shown):
    with app.app_context():
        score = db.session.scalars(select(Score)).one()
        score.state, score.reason = state, "The course is closed." if state is ScoreState.PARKED else None
        db.session.commit()

    page = words(visit_as(app, busy, "ingrid").get("/course?show=demonstrated"))

    assert shown in page
    assert ("The course is closed." in page) == (state is ScoreState.PARKED)


def test_an_activity_that_nobody_has_begun_says_what_happens_next(app, campus):
    page = words(visit_as(app, campus, "ingrid").get("/course"))

    assert "Nobody has begun yet" in page
    assert "What they hand in waits here for you." in page


def test_an_activity_without_a_gradebook_column_says_so_and_what_to_do(app, campus):
    with app.app_context():
        db.session.get_one(Placement, campus.placement).line_item_url = None
        db.session.commit()

    page = words(visit_as(app, campus, "ingrid").get("/course"))

    assert "This activity has no gradebook column" in page
    assert "add it again with “Add from Tessera”" in page


def test_a_learner_does_not_open_the_faculty_page(app, busy):
    assert visit_as(app, busy, "lena").get("/course").status_code == 403


def test_the_list_has_nobody_of_another_activity(app, busy):
    with app.app_context():
        other = add_placement(busy.deployment, busy.course, "link-9", "fading-prompts")
        db.session.commit()
        other_id = other.id

    page = visit_as(app, busy, "ingrid", placement=other_id).get("/course").text

    assert "Lena Brandt" not in page
    assert "Nobody has begun yet" in page


def test_faculty_read_the_whole_micro_credential_with_its_rubric(app, campus):
    ingrid = visit_as(app, campus, "ingrid")

    page = words(ingrid.get("/course/preview/udl-variability"))

    assert "What an earner sees" in page
    assert "Needed to pass" in page
    assert "80 %" in page
    assert ingrid.get("/course/preview/fading-prompts").status_code == 404


def test_nonsense_in_the_address_shows_everyone(app, busy):
    answer = visit_as(app, busy, "ingrid").get("/course?show=nobody&page=99")

    assert answer.status_code == 200
    assert "Lena Brandt" in answer.text


def statements_for(app: Flask, browser, path: str) -> int:
    seen = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        seen.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert browser.get(path).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(seen)


def test_fifty_earners_cost_no_more_queries_than_five_and_are_paged(app, campus):
    def enrol(numbers: range) -> None:
        with app.app_context():
            platform = db.session.get_one(Placement, campus.placement).course.platform_id
            for number in numbers:
                account = add_account(platform, f"s{number}", f"Student {number:02}")
                campus.accounts[f"s{number}"], campus.persons[f"s{number}"] = account.id, account.person_id
                submission = hand_in_work(campus, f"s{number}", at=clock.now() - timedelta(hours=number))
                if number % 3 == 0:
                    decide(submission, campus, Outcome.NOT_YET)
            db.session.commit()

    ingrid = visit_as(app, campus, "ingrid")
    enrol(range(5))
    with_five = statements_for(app, ingrid, "/course")
    enrol(range(5, 50))
    with_fifty = statements_for(app, ingrid, "/course")

    page = words(ingrid.get("/course"))
    assert with_fifty == with_five
    assert "Page 1 of 2" in page
    assert page.count("Student ") == 25 * 2
    assert "Student 49" in ingrid.get("/course?page=2").text


@pytest.fixture
def reported(app: Flask, busy: Campus) -> tuple[Campus, int, int]:
    """Ingrid has reported Lena's first file: the campus, the evidence and the report."""
    with app.app_context():
        piece = db.session.scalars(select(Evidence).order_by(Evidence.id)).first()
        report = submissions.report_privacy_problem(
            piece.id, busy.accounts["ingrid"], "A face at 0:40.", now=clock.now()
        )
        db.session.commit()
        return busy, piece.id, report.id


def test_a_privacy_problem_is_shown_to_faculty_until_it_is_resolved(app, reported):
    campus, _evidence, report = reported
    ingrid = visit_as(app, campus, "ingrid")

    listed = words(ingrid.get("/course"))
    asked = words(ingrid.get(f"/course/reports/{report}"))
    resolved = ingrid.post(f"/course/reports/{report}", {"resolution": "removed"})

    assert "Privacy problems" in listed
    assert "A face at 0:40." in asked
    assert resolved.status_code == 303
    assert "Privacy problems</h2>" not in words(ingrid.get("/course"))


def test_faculty_may_look_at_hidden_evidence_and_that_they_looked_is_recorded(app, reported):
    campus, evidence, report = reported

    with visit_as(app, campus, "ingrid").get(f"/course/reports/{report}/evidence") as answer:
        received = answer.data

    assert received.startswith(b"%PDF")
    with app.app_context():
        looked = select(AuditEvent).where(AuditEvent.action == "hidden evidence opened")
        assert db.session.scalars(looked).one().subject_id == str(evidence)


@pytest.mark.parametrize(("resolution", "hidden"), [("removed", True), ("restored", False)])
def test_faculty_keep_evidence_hidden_for_good_or_show_it_again(app, reported, resolution, hidden):
    campus, evidence, report = reported
    ingrid = visit_as(app, campus, "ingrid")

    ingrid.post(f"/course/reports/{report}", {"resolution": resolution})

    with app.app_context():
        assert (db.session.get_one(Evidence, evidence).hidden_at is not None) == hidden
    assert ingrid.get(f"/course/reports/{report}/evidence").status_code == 404


def test_a_report_without_an_answer_is_asked_again(app, reported):
    campus, _evidence, report = reported

    answer = visit_as(app, campus, "ingrid").post(f"/course/reports/{report}", {"resolution": "burn it"})

    assert answer.headers["Location"].endswith(f"/course/reports/{report}")


def test_a_second_answer_to_a_report_is_told_that_it_has_been_dealt_with(app, reported):
    campus, evidence, report = reported
    ingrid = visit_as(app, campus, "ingrid")
    ingrid.post(f"/course/reports/{report}", {"resolution": "removed"})

    late = ingrid.post(f"/course/reports/{report}", {"resolution": "restored"})

    assert "This report has been dealt with" in ingrid.get(late.headers["Location"]).text
    with app.app_context():
        assert db.session.get_one(Evidence, evidence).hidden_at is not None


def test_a_report_is_nobody_elses_business(app, reported):
    campus, _evidence, report = reported
    with app.app_context():
        elsewhere = add_placement(campus.deployment, campus.other_course, "link-8", "udl-variability").id
        db.session.commit()

    otto = visit_as(app, campus, "otto", placement=elsewhere)
    lena = visit_as(app, campus, "lena")

    for path in (f"/course/reports/{report}", f"/course/reports/{report}/evidence"):
        assert otto.get(path).status_code == 404
        assert lena.get(path).status_code == 403


def parked_score(campus: Campus) -> int:
    """A score of Lena's that waits for a person, because the activity had no column."""
    placement = db.session.get_one(Placement, campus.placement)
    column, placement.line_item_url = placement.line_item_url, None
    decide(hand_in_work(campus, "lena"), campus, Outcome.DEMONSTRATED)
    placement.line_item_url = column
    db.session.commit()
    return db.session.scalars(select(Score.id).where(Score.state == ScoreState.PARKED)).one()


def test_the_instructor_who_mended_it_sends_a_score_again(app: Flask, campus: Campus):
    with app.app_context():
        score = parked_score(campus)
    ingrid = visit_as(app, campus, "ingrid")
    assert "Send again" in ingrid.get("/course").text

    answer = ingrid.post(f"/course/scores/{score}/send")

    assert answer.status_code == 303
    with app.app_context():
        newer = db.session.scalars(select(Score).where(Score.id > score)).one()
        assert newer.state is not ScoreState.PARKED
        assert newer.points == 10


def test_a_score_of_another_activity_cannot_be_sent_from_here(app: Flask, campus: Campus):
    with app.app_context():
        score = parked_score(campus)
        key = db.session.get_one(Placement, campus.placement).choices[0].credential.key
        other = add_placement(campus.deployment, campus.other_course, "link-2", key).id
        db.session.commit()

    otto = visit_as(app, campus, "otto", placement=other)

    assert otto.post(f"/course/scores/{score}/send").status_code == 404


def test_work_that_was_demonstrated_before_fills_the_column_of_the_activity_that_was_added_anew(
    app: Flask, campus: Campus
):
    with app.app_context():
        decide(hand_in_work(campus, "lena"), campus, Outcome.DEMONSTRATED)
        key = db.session.get_one(Placement, campus.placement).choices[0].credential.key
        anew = add_placement(campus.deployment, campus.course, "link-2", key).id
        elsewhere = add_placement(campus.deployment, campus.other_course, "link-3", key).id
        db.session.commit()

    for placement, more in ((anew, {}), (anew, {}), (elsewhere, {"earlier": "use"})):
        lena = visit_as(app, campus, "lena", placement=placement)
        lena.post("/work/start", {"credential": key} | more)

    with app.app_context():
        (here,) = db.session.scalars(select(Score).where(Score.placement_id == anew))
        (there,) = db.session.scalars(select(Score).where(Score.placement_id == elsewhere))
        assert here.state is not ScoreState.PARKED
        assert there.state is ScoreState.PARKED
        assert "decided in another course" in there.reason
