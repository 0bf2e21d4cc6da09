"""An earner reads, writes, comes back, hands in, waits and reads feedback. All through the browser's door."""

import html
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, func, select, update

from lti_tool import clock
from lti_tool.assessment.models import Decision, Outcome
from lti_tool.assessment.rules import Mark
from lti_tool.assessment.service import decide
from lti_tool.credentials.queries import full_version
from lti_tool.database import db
from lti_tool.submissions.models import Attempt, AttemptPlacement, Evidence, Submission
from tests.routes.earner import Earner, key_of, words
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement


@pytest.fixture
def key(app: Flask) -> str:
    return key_of(app, "no-children")


@pytest.fixture
def lena(app: Flask, campus: Campus) -> Earner:
    return Earner(app, campus, "lena")


def judge(app: Flask, campus: Campus, outcome: Outcome) -> None:
    """Ingrid decides about what waits."""
    with app.app_context():
        submission = db.session.scalars(select(Submission).order_by(Submission.id.desc())).first()
        assert submission is not None
        version = full_version(submission.attempt.version_id)
        marks = {
            row.key: Mark(
                (row.levels[-1] if outcome is Outcome.DEMONSTRATED else row.levels[0]).key, "Show me more."
            )
            for row in version.criteria
        }
        decide(submission.id, campus.accounts["ingrid"], marks, "Keep going, Lena.", outcome, now=clock.now())
        db.session.commit()


def count(app: Flask, model: type) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_the_overview_says_everything_before_anything_is_asked(app: Flask, lena: Earner, key: str):
    page = html.unescape(lena.get("/work").text)

    with app.app_context():
        version = db.session.scalars(select(Attempt)).first()
        assert version is None, "reading begins nothing"
    for words_on_page in (
        "very words",
        "Needed to pass",
        "Assessed by: course instructor (one rating). No agreement evidence.",
        "does not count toward a first licence",
        "business days",
        "Start",
    ):
        assert words_on_page in page


def test_starting_twice_begins_one_piece_of_work(app: Flask, lena: Earner, key: str):
    first = lena.start(key)
    second = lena.start(key)

    assert first.location.endswith("/work/tasks?done=started")
    assert second.location.endswith("/work/tasks")
    assert count(app, Attempt) == 1


def test_what_was_saved_is_there_on_the_next_visit(app: Flask, campus: Campus, lena: Earner, key: str):
    lena.start(key)
    field = next(task.key for task in lena.tasks() if task.kind == "written")
    lena.save({f"answer-{field}": "My <first> thoughts"})

    page = Earner(app, campus, "lena").get("/work/tasks").text

    assert "My &lt;first&gt; thoughts" in page


def test_another_course_finds_the_same_work(app: Flask, campus: Campus, lena: Earner, key: str):
    lena.start(key)
    lena.complete()
    with app.app_context():
        other = add_placement(campus.deployment, campus.other_course, "link-2", key).id
        db.session.commit()
    elsewhere = Earner(app, campus, "lena", placement=other)

    assert "You have begun this already" in elsewhere.get("/work").text
    elsewhere.start(key)

    assert words(50) in elsewhere.get("/work/tasks").text
    assert (count(app, Attempt), count(app, AttemptPlacement)) == (1, 2)


def test_a_choice_is_made_first_and_may_be_changed_until_handing_in(app: Flask, campus: Campus, key: str):
    with app.app_context():
        children = key_of(app, "classroom")
        choice = add_placement(campus.deployment, campus.course, "choice", children, key).id
        db.session.commit()
    lena = Earner(app, campus, "lena", placement=choice)
    assert lena.get("/work").location.endswith("/work/choose")

    lena.start(children)
    assert lena.start(key).status_code == 303
    lena.complete()
    lena.hand_in()

    assert lena.start(children).status_code == 409
    assert "You have handed in your choice" in lena.get("/work/choose").text


def test_work_that_misses_something_is_not_handed_in(app: Flask, lena: Earner, key: str):
    lena.start(key)

    answer = lena.hand_in()

    assert answer.status_code == 422
    assert "still missing" in answer.text
    assert all(f"{task.title}" in html.unescape(answer.text) for task in lena.tasks() if task.required)
    assert "#answer-" in answer.text
    assert count(app, Submission) == 0


@pytest.mark.parametrize("left_out", ["own_work", "no_names", "people"])
def test_every_statement_must_be_confirmed(app: Flask, lena: Earner, key: str, left_out: str):
    lena.start(key)
    lena.complete()
    statements = {"own_work": "yes", "no_names": "yes", "people": "permission"}
    del statements[left_out]

    answer = lena.post("/work/check", lena.form() | statements)

    assert answer.status_code == 422
    assert f'href="#{left_out}"' in answer.text
    assert answer.text.count(" checked") == 2, "what was ticked stays ticked"
    assert count(app, Submission) == 0


def test_a_double_click_hands_in_once_and_shows_the_same_page(app: Flask, lena: Earner, key: str):
    lena.start(key)
    lena.complete()

    first = lena.hand_in()
    second = lena.hand_in()

    assert "/work/submissions/1" in first.location
    assert "/work/submissions/1" in lena.get(second.location).location
    assert count(app, Submission) == 1


def test_after_handing_in_the_earner_sees_what_when_and_nothing_to_change(lena: Earner, key: str):
    lena.start(key)
    lena.complete()
    lena.hand_in()

    page = lena.get("/work/submissions/1").text

    assert "Your work is with your assessor" in page
    assert "You can expect feedback by" in page
    assert "my own work" in page
    assert lena.get("/work/tasks").status_code == 303
    assert lena.get("/work/check").status_code == 303


def test_late_feedback_is_admitted(app: Flask, lena: Earner, key: str):
    lena.start(key)
    lena.complete()
    lena.hand_in()
    with app.app_context():
        db.session.execute(update(Submission).values(handed_in_at=NOON - timedelta(days=60)))
        db.session.commit()

    assert "longer than promised" in lena.get("/work/submissions/1").text


def test_not_yet_shows_what_is_to_show_first_and_opens_the_work_again(
    app: Flask, campus: Campus, lena: Earner, key: str
):
    lena.start(key)
    lena.complete()
    lena.hand_in()
    judge(app, campus, Outcome.NOT_YET)

    assert lena.get("/work").location.endswith("/work/feedback")
    page = lena.get("/work/feedback").text
    assert "Not yet demonstrated" in page
    assert "Keep going, Lena." in page
    assert "Show me more." in page
    assert "Work on it again" in page
    assert "Ingrid" not in page, "the earner is not told who assessed"
    work = lena.get("/work/tasks").text
    assert "What have you changed since the feedback?" in work
    lena.save({"note": "I added an example."})
    lena.hand_in()
    assert "I added an example." in lena.get("/work/submissions/2").text
    assert "Not yet demonstrated" in lena.get("/work/feedback/1").text


def test_opening_the_feedback_is_noted_once(app: Flask, campus: Campus, lena: Earner, key: str):
    lena.start(key)
    lena.complete()
    lena.hand_in()
    judge(app, campus, Outcome.NOT_YET)

    lena.get("/work/feedback")
    with app.app_context():
        first = db.session.scalars(select(Decision.opened_at)).one()
    lena.get("/work/feedback")

    with app.app_context():
        assert first is not None
        assert db.session.scalars(select(Decision.opened_at)).one() == first


def test_demonstrated_leads_to_the_badge_and_closes_the_work(
    app: Flask, campus: Campus, lena: Earner, key: str
):
    lena.start(key)
    lena.complete()
    lena.hand_in()
    judge(app, campus, Outcome.DEMONSTRATED)

    page = lena.get("/work/feedback").text

    assert f"{lena.browser.base}/badges" in page
    assert "Work on it again" not in page
    assert lena.get("/work/tasks").status_code == 303


def test_a_privacy_problem_hides_at_once_and_brings_waiting_work_back(app: Flask, lena: Earner, key: str):
    lena.start(key)
    lena.complete()
    lena.hand_in()
    piece = first_piece(app)
    assert lena.get(f"/work/evidence/{piece}").status_code == 200
    assert "uses up no try" in lena.get(f"/work/evidence/{piece}/privacy").text

    lena.post(f"/work/evidence/{piece}/privacy", {"note": "A face"})

    assert lena.get(f"/work/evidence/{piece}").status_code == 404
    page = lena.get("/work/tasks").text
    assert "Your submission came back to you" in page
    assert "Hidden after a privacy report" in page
    assert "Taken back" not in lena.get("/work/submissions/1").text
    assert "used up no try" in lena.get("/work/submissions/1").text


def test_a_privacy_problem_is_asked_about_before_anything_is_hidden(app: Flask, lena: Earner, key: str):
    lena.start(key)
    lena.complete()
    piece = first_piece(app)

    lena.get(f"/work/evidence/{piece}/privacy")

    assert lena.get(f"/work/evidence/{piece}").status_code == 200


def test_nobody_opens_or_hides_another_person_s_evidence(app: Flask, campus: Campus, lena: Earner, key: str):
    lena.start(key)
    lena.complete()
    piece = first_piece(app)
    mateo = Earner(app, campus, "mateo")

    assert mateo.get(f"/work/evidence/{piece}").status_code == 404
    assert mateo.get(f"/work/evidence/{piece}/privacy").status_code == 404
    assert mateo.post(f"/work/evidence/{piece}/privacy").status_code == 404
    assert lena.get(f"/work/evidence/{piece}").status_code == 200


def test_nobody_saves_into_another_person_s_work(app: Flask, campus: Campus, lena: Earner, key: str):
    lena.start(key)
    lena.complete()
    field = next(task.key for task in lena.tasks() if task.kind == "written")
    mateo = Earner(app, campus, "mateo")

    answer = mateo.post("/work/tasks", lena.form() | {f"answer-{field}": "Mine now"})

    assert answer.status_code == 404
    assert "Mine now" not in lena.get("/work/tasks").text


def test_faculty_do_not_see_the_earner_s_pages(app: Flask, campus: Campus):
    ingrid = Earner(app, campus, "ingrid")

    assert ingrid.get("/work").status_code == 403
    assert ingrid.get("/work/tasks").status_code == 403


def test_pages_before_the_start_lead_to_the_start(lena: Earner):
    for path in ("/work/tasks", "/work/check", "/work/feedback"):
        assert lena.get(path).location.endswith("/work")
    assert lena.get("/work/submissions/1").status_code == 404


def test_pages_need_as_many_queries_for_much_evidence_as_for_little(app: Flask, lena: Earner, key: str):
    lena.start(key)
    lena.complete()
    before = [queries_of(app, lena, path) for path in ("/work/tasks", "/work/check")]
    more = next(task for task in lena.tasks() if task.accepts_link and task.max_files > 2)
    for number in range(more.max_files - 1):
        lena.save({f"link-{more.key}": f"https://example.org/{number}"})

    after = [queries_of(app, lena, path) for path in ("/work/tasks", "/work/check")]

    assert after == before
    assert max(after) < 25


def first_piece(app: Flask) -> int:
    with app.app_context():
        return db.session.scalars(select(Evidence.id).order_by(Evidence.id)).first() or 0


def queries_of(app: Flask, who: Earner, path: str) -> int:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert who.get(path).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(seen)
