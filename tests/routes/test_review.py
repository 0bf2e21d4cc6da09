from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool import clock
from lti_tool.assessment.models import Decision
from lti_tool.badges.models import Badge
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.passback.models import Score
from lti_tool.submissions.models import Attempt, AttemptState, Evidence, Submission
from tests.support.cast import Campus, add_placement
from tests.support.submitted import form_of, hand_in_work, marks_for, version_of
from tests.support.visits import Browser, visit_as


class Desk:
    """Lena's work before Ingrid: the ids, and the forms Ingrid fills in."""

    def __init__(self, app: Flask, campus: Campus) -> None:
        self.app, self.campus = app, campus
        with app.app_context():
            submission = hand_in_work(campus, "lena", at=clock.now() - timedelta(days=1))
            db.session.commit()
            self.submission, self.attempt = submission.id, submission.attempt_id
            self.evidence = submission.evidence[0].evidence_id
        self.path = f"/review/{self.submission}"
        self.ingrid = visit_as(app, campus, "ingrid")

    def ratings(self, *, below: int = 0, **more: str) -> dict[str, str]:
        with self.app.app_context():
            version = version_of(db.session.get_one(Submission, self.submission))
            return form_of(marks_for(version, below=below), **more)

    def decision(self, outcome: str, *, below: int = 0, **more: str) -> dict[str, str]:
        return self.ratings(below=below, intent="decide", outcome=outcome, feedback="Thoughtful work.") | more

    def state(self) -> AttemptState:
        with self.app.app_context():
            return db.session.get_one(Attempt, self.attempt).state

    def count(self, model) -> int:
        with self.app.app_context():
            return db.session.scalar(select(func.count()).select_from(model))

    def elsewhere(self) -> Browser:
        """Otto's visit to the same micro-credential in his own course, where Lena never opened it."""
        with self.app.app_context():
            key = version_of(db.session.get_one(Submission, self.submission)).credential.key
            other = add_placement(self.campus.deployment, self.campus.other_course, "link-7", key)
            db.session.commit()
            return visit_as(self.app, self.campus, "otto", placement=other.id)


@pytest.fixture
def desk(app: Flask, campus: Campus) -> Desk:
    return Desk(app, campus)


def words(answer) -> str:
    return " ".join(answer.text.split())


def test_the_assessor_reads_answers_evidence_and_rubric_without_the_earners_name(desk):
    page = words(desk.ingrid.get(desk.path))

    assert f"Submission 1 of Earner {desk.campus.persons['lena']}" in page
    assert "Names are left out on this page." in page
    assert "thought thought" in page
    assert "barrier-map.pdf" in page
    assert "Needed to pass" in page
    assert (
        "Posts 10 of 10 to the gradebook and issues the badge. You can change it later, with a reason."
        in page
    )
    assert "Lena" not in page


def test_a_file_opens_in_the_browser_where_it_can_run_nothing(desk):
    with desk.ingrid.get(f"{desk.path}/evidence/{desk.evidence}") as answer:
        assert answer.data.startswith(b"%PDF")

    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "script-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_player_may_ask_for_a_part_of_a_file(desk):
    path = f"{desk.path}/evidence/{desk.evidence}"

    with desk.ingrid.get(path, headers={"Range": "bytes=0-3"}) as answer:
        assert (answer.status_code, answer.data) == (206, b"%PDF")


def test_a_draft_keeps_what_was_typed_and_decides_nothing(desk):
    marks = desk.ratings(below=1)
    marks.pop("level-a1-1")

    saved = desk.ingrid.post(desk.path, marks | {"intent": "save", "feedback": "so far so good"})
    page = words(desk.ingrid.get(desk.path))

    assert saved.status_code == 303
    assert "so far so good" in page
    assert page.count(" checked") == 9
    assert desk.state() is AttemptState.SUBMITTED
    assert "Continue (draft)" in desk.ingrid.get("/course").text
    assert "Continue (draft)" not in visit_as(desk.app, desk.campus, "otto").get("/course").text


def test_recording_demonstrated_awards_the_badge_and_owes_the_grade(desk):
    answer = desk.ingrid.post(desk.path, desk.decision("demonstrated"))

    assert answer.status_code == 303
    assert answer.headers["Location"].endswith("/course?done=decided")
    assert desk.state() is AttemptState.DEMONSTRATED
    assert (desk.count(Decision), desk.count(Badge), desk.count(Score)) == (1, 1, 1)


def test_recording_not_yet_owes_nothing(desk):
    answer = desk.ingrid.post(desk.path, desk.decision("not_yet", below=4))

    assert answer.headers["Location"].endswith("done=decided-not-yet")
    assert desk.state() is AttemptState.NOT_YET
    assert (desk.count(Badge), desk.count(Score)) == (0, 0)


def test_a_decision_that_disagrees_is_refused_and_everything_typed_is_kept(desk):
    answer = desk.ingrid.post(desk.path, desk.decision("demonstrated", below=4))

    page = words(answer)
    assert answer.status_code == 422
    assert "By your ratings this is not yet demonstrated." in page
    assert "is below Proficient" in page
    assert "Thoughtful work." in page
    assert "Show more of" in page
    assert page.count(" checked") == 11
    assert desk.state() is AttemptState.SUBMITTED


def test_everything_that_is_missing_is_named_at_once(desk):
    form = desk.decision("demonstrated", below=1, feedback="")
    del form["level-a1-1"], form["outcome"]
    form = {name: "" if name.startswith("comment-") else value for name, value in form.items()}

    page = words(desk.ingrid.post(desk.path, form))

    for field in ("level-a1-1", "comment-a5-2", "feedback", "outcome"):
        assert f'<a href="#{field}">' in page
    assert desk.count(Decision) == 0


def test_a_double_click_is_answered_like_the_first_click(desk):
    first = desk.ingrid.post(desk.path, desk.decision("demonstrated"))
    second = desk.ingrid.post(desk.path, desk.decision("demonstrated"))

    assert first.headers["Location"] == second.headers["Location"]
    assert (desk.count(Decision), desk.count(Badge), desk.count(Score)) == (1, 1, 1)


def test_a_second_tab_with_another_decision_is_told_that_it_came_too_late(desk):
    desk.ingrid.post(desk.path, desk.decision("demonstrated"))

    late = desk.ingrid.post(desk.path, desk.decision("not_yet", below=4))

    assert late.status_code == 409
    assert "Already decided" in late.text


def test_a_decided_submission_shows_the_decision_instead_of_the_form(desk):
    desk.ingrid.post(desk.path, desk.decision("not_yet", below=4))

    page = words(desk.ingrid.get(desk.path))

    assert "Record decision" not in page
    assert "Not yet demonstrated" in page
    assert "Rated here" in page
    assert "The earner has not opened the feedback" in page


def test_a_resubmission_shows_the_note_and_the_earlier_decision(desk):
    desk.ingrid.post(desk.path, desk.decision("not_yet", below=4))
    with desk.app.app_context():
        again = hand_in_work(desk.campus, "lena", at=clock.now(), note="Two more barriers, named.")
        db.session.commit()
        path = f"/review/{again.id}"

    page = words(desk.ingrid.get(path))

    assert "Submission 2 of Earner" in page
    assert "Two more barriers, named." in page
    assert "Submission 1: not yet demonstrated" in page
    assert "Still to show:" in page


def test_faculty_of_another_course_do_not_find_the_submission(desk):
    otto = desk.elsewhere()

    assert otto.get(desk.path).status_code == 404
    assert otto.post(desk.path, desk.decision("demonstrated")).status_code == 404
    assert otto.get(f"{desk.path}/evidence/{desk.evidence}").status_code == 404
    assert otto.post(f"{desk.path}/evidence/{desk.evidence}/problem").status_code == 404
    assert desk.count(Decision) == 0


def test_a_learner_opens_no_part_of_the_review(desk):
    mateo = visit_as(desk.app, desk.campus, "mateo")

    assert mateo.get(desk.path).status_code == 403
    assert mateo.post(desk.path, desk.decision("demonstrated")).status_code == 403
    assert mateo.get(f"{desk.path}/evidence/{desk.evidence}").status_code == 403


def test_nobody_assesses_their_own_work_even_as_instructor(desk):
    lena = visit_as(desk.app, desk.campus, "lena", role="instructor")

    assert lena.get(desk.path).status_code == 403
    answer = lena.post(desk.path, desk.decision("demonstrated"))

    assert answer.status_code == 403
    assert "This is your own work" in answer.text
    assert desk.count(Decision) == 0


def test_reporting_a_privacy_problem_says_what_happens_hides_the_file_and_gives_the_work_back(desk):
    file = f"{desk.path}/evidence/{desk.evidence}"

    asked = words(desk.ingrid.get(f"{file}/problem"))
    reported = desk.ingrid.post(f"{file}/problem", {"note": "A face."})

    assert "No try is used up." in asked
    assert reported.headers["Location"].endswith("/course?done=privacy-reported")
    assert desk.state() is AttemptState.DRAFT
    assert desk.ingrid.get(desk.path).status_code == 409
    assert "This work was taken back" in desk.ingrid.get(desk.path).text
    assert desk.ingrid.get(file).status_code == 409
    with desk.app.app_context():
        assert db.session.get_one(Evidence, desk.evidence).hidden_at is not None


def test_evidence_hidden_after_the_decision_stays_out_of_the_decided_page(desk):
    desk.ingrid.post(desk.path, desk.decision("demonstrated"))
    file = f"{desk.path}/evidence/{desk.evidence}"

    desk.ingrid.post(f"{file}/problem")

    assert "Hidden after a privacy report" in desk.ingrid.get(desk.path).text
    assert desk.ingrid.get(file).status_code == 404
    assert desk.state() is AttemptState.DEMONSTRATED


def test_evidence_of_another_submission_is_not_served_under_this_one(desk):
    with desk.app.app_context():
        other = hand_in_work(desk.campus, "mateo")
        db.session.commit()
        foreign = other.evidence[0].evidence_id

    assert desk.ingrid.get(f"{desk.path}/evidence/{foreign}").status_code == 404


def test_without_a_gradebook_column_the_notice_does_not_promise_a_grade(desk):
    with desk.app.app_context():
        db.session.get_one(Placement, desk.campus.placement).line_item_url = None
        db.session.commit()

    before = words(desk.ingrid.get(desk.path))
    answer = desk.ingrid.post(desk.path, desk.decision("demonstrated"))

    assert "This activity has no gradebook column, so no grade is posted." in before
    assert "No grade was sent" in desk.ingrid.get(answer.headers["Location"]).text


def test_a_form_without_its_token_changes_nothing(desk):
    answer = desk.ingrid.post(desk.path, desk.decision("demonstrated", csrf_token="made up"))

    assert answer.status_code == 400
    assert desk.count(Decision) == 0


def test_a_file_is_shown_beside_the_rubric_and_framed_by_nobody_but_us_and_the_platform(desk):
    page = desk.ingrid.get(desk.path).text

    address = f"{desk.path}/evidence/{desk.evidence}"
    assert f'<iframe class="shown" src="{desk.ingrid.base}{address}"' in page
    with desk.ingrid.get(address) as answer:
        assert "inline" in answer.headers["Content-Disposition"]
        assert answer.headers["Content-Security-Policy"].endswith(
            "frame-ancestors 'self' https://canvas.example.edu"
        )


def test_the_assessor_reads_what_part_credit_comes_to_before_deciding(app: Flask, desk: Desk):
    with app.app_context():
        db.session.get_one(Placement, desk.campus.placement).score_policy = "criteria"
        db.session.commit()
        criteria = len(version_of(db.session.get_one(Submission, desk.submission)).criteria)

    unrated = " ".join(desk.ingrid.get(desk.path).text.split())
    desk.ingrid.post(desk.path, desk.ratings(below=1, intent="save"))
    rated = " ".join(desk.ingrid.get(desk.path).text.split())

    share = f"{10 * (criteria - 1) / criteria:.3f}".rstrip("0").rstrip(".")
    assert "Posts the share of the criteria that are met, out of 10 points" in unrated
    assert "By your ratings when this page was loaded" not in unrated
    assert f"By your ratings when this page was loaded: {share} of 10." in rated
