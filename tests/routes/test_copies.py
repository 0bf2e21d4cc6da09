"""Copied courses: what a link in the copy is, and what an earlier result is worth there."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from lti_tool.assessment import service as assessment
from lti_tool.assessment.models import Outcome
from lti_tool.audit import AuditEvent
from lti_tool.badges.models import Badge
from lti_tool.credentials.models import Placement
from lti_tool.credentials.queries import version_by_key
from lti_tool.database import db
from lti_tool.lti.models import Platform
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.copies import note_origins
from lti_tool.people.models import Course, Membership
from lti_tool.submissions.models import Attempt, AttemptPlacement
from tests.lti.platform_double import LTI
from tests.routes.test_entry import INSTRUCTOR, LEARNER, Person, key, person, platform
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement
from tests.support.submitted import hand_in_work, marks_for, version_of
from tests.support.visits import Browser, visit_as

__all__ = ["key", "person", "platform"]
KEY = "udl-variability"


def words(answer: TestResponse) -> str:
    return " ".join(answer.text.split())


def copied(
    person: Person, recording: str, *, link: str = "99", custom: dict[str, str] | None = None, **more: Any
):
    """A launch from the copied course, whose links keep their title and nothing else unless ``custom`` says so."""
    claims = {
        LTI + "context": {"id": "copy", "label": "SPED", "title": "SPED 4500 copy"},
        LTI + "resource_link": {"id": link, "title": "UDL: Planning for Variability"},
        LTI + "custom": custom or {},
        **more,
    }
    return person.launch(recording, **claims)


@pytest.fixture
def original(person: Person) -> Person:
    """The original course has the activity, made by its first launch."""
    person.launch(INSTRUCTOR)
    return person


def placements() -> list[Placement]:
    return list(db.session.scalars(select(Placement).order_by(Placement.id)))


def test_a_copied_link_finds_its_micro_credential_and_becomes_an_activity_of_its_own(
    app: Flask, original: Person
):
    copied(original, INSTRUCTOR, custom={"credential": KEY})

    with app.app_context():
        first, second = placements()
        assert [choice.credential.key for choice in second.choices] == [KEY]
        assert first.course_id != second.course_id
        assert db.session.scalar(select(func.count()).select_from(AttemptPlacement)) == 0


def test_a_copied_link_whose_custom_parameter_is_lost_is_known_by_its_address(app: Flask, original: Person):
    address = f"http://tool.localhost:8700/lti/launch?credential={KEY}"
    copied(original, INSTRUCTOR, **{LTI + "target_link_uri": address})

    with app.app_context():
        assert len(placements()) == 2


def test_faculty_are_asked_what_a_link_is_that_does_not_say(app: Flask, original: Person):
    page = words(original.open(copied(original, INSTRUCTOR)))

    assert "Which micro-credential is “UDL: Planning for Variability”?" in page
    assert "Nobody’s work is copied." in page
    with app.app_context():
        assert len(placements()) == 1


def test_learners_are_told_kindly_that_the_activity_is_not_ready(original: Person):
    answer = original.open(copied(original, LEARNER))

    assert answer.status_code == 404
    assert "This activity is not ready yet" in answer.text
    assert "Tell your instructor to open it once" in words(answer)


def relink(person: Person, launched: TestResponse, made_for: str) -> TestResponse:
    """Choose on the page that a launch leads to."""
    page = person.open(launched).text
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    path = launched.headers["Location"] + "activity"
    form = {"csrf_token": token, "made_for": made_for}
    return person.client.post(path, data=form, base_url="https://tool.localhost", follow_redirects=True)


def test_what_faculty_choose_holds_for_everybody_from_then_on(app: Flask, original: Person):
    waiting = copied(original, LEARNER)
    done = relink(original, copied(original, INSTRUCTOR), f"credential={KEY}")

    assert "The activity is set up." in done.text
    # The learner reloads the page that told them to wait.
    assert "Universal Design for Learning" in original.open(waiting).text
    with app.app_context():
        [_, made] = placements()
        assert made.resource_link_id == "99"
        assert db.session.scalars(select(AuditEvent).where(AuditEvent.action == "activity relinked")).one()


def test_of_two_colleagues_who_choose_the_first_counts(app: Flask, original: Person):
    first, second = copied(original, INSTRUCTOR), copied(original, INSTRUCTOR)
    original.open(second)
    relink(original, first, f"credential={KEY}")
    answer = original.open(second)

    assert "Who is where" in answer.text
    with app.app_context():
        assert len(placements()) == 2


@pytest.mark.parametrize("nonsense", ["", "credential=", "credential=nothing", "stack=nothing", "x\0y", KEY])
def test_a_choice_of_nothing_is_asked_again(app: Flask, original: Person, nonsense: str):
    answer = relink(original, copied(original, INSTRUCTOR), nonsense)

    assert answer.status_code == 422
    assert "Choose what this activity is." in answer.text
    with app.app_context():
        assert len(placements()) == 1


def test_the_activity_of_the_same_name_in_the_original_course_is_suggested_first(
    app: Flask, original: Person
):
    with app.app_context():
        course = db.session.scalars(select(Course)).one()
        placement = db.session.scalars(select(Placement)).one()
        placement.title = "UDL: Planning for Variability"
        other = add_placement(placement.deployment_pk, course.id, "link-5", "fading-prompts")
        other.title = "Something else"
        db.session.commit()
        history = course.context_id

    page = words(original.open(copied(original, INSTRUCTOR, custom={"context_history": history})))

    likely = page[page.index("Most likely") : page.index("Or any other")]
    assert "An activity of that name in" in likely
    assert likely.index(f"credential={KEY}") < likely.index("credential=fading-prompts")


def test_a_notice_of_the_copy_serves_as_well_as_the_history(app: Flask, original: Person):
    with app.app_context():
        course = db.session.scalars(select(Course)).one()
        platform_id = db.session.scalars(select(Platform.id)).one()
        note_origins(platform_id, "in between", [course.context_id], now=NOON)
        note_origins(platform_id, "copy", ["in between"], now=NOON)
        db.session.commit()

    page = words(original.open(copied(original, INSTRUCTOR)))

    assert "from which this course was copied" in page


def test_without_any_history_the_name_alone_may_fit(app: Flask, original: Person):
    with app.app_context():
        title = version_by_key(KEY).title
    named = {LTI + "resource_link": {"id": "98", "title": title.upper()}}

    page = words(original.open(copied(original, INSTRUCTOR, **named)))

    assert "It has the same name in the catalogue." in page


def test_only_faculty_say_what_a_link_is(original: Person):
    launched = copied(original, LEARNER)

    answer = original.client.get(launched.headers["Location"] + "activity", base_url="https://tool.localhost")

    assert answer.status_code == 403


def test_links_that_canvas_cannot_tell_apart_are_one_activity_for_each_micro_credential(
    app: Flask, original: Person
):
    """It sends the course's own id for them, which is never kept as the id of a link."""
    with app.app_context():
        db.session.scalars(select(Platform)).one().product = "canvas"
        db.session.commit()
    same = {"id": "copy", "title": "SPED 4500 copy"}
    for named in (KEY, KEY, "fading-prompts"):
        copied(original, INSTRUCTOR, custom={"credential": named}, **{LTI + "resource_link": same})
    unnamed = original.open(copied(original, INSTRUCTOR, **{LTI + "resource_link": same}))

    with app.app_context():
        made = placements()[1:]
        assert [(row.resource_link_id, row.link_key) for row in made] == [
            (None, f"credential={KEY}"),
            (None, "credential=fading-prompts"),
        ]
    assert unnamed.status_code == 404


# What an earlier result is worth in the copy


@pytest.fixture
def copy(app: Flask, campus: Campus) -> int:
    """Lena has demonstrated it in the first course, decided by Ingrid; the copy is the other course, which Otto
    teaches. The activity there."""
    with app.app_context():
        submission = hand_in_work(campus, "lena", at=NOON)
        marks = marks_for(version_of(submission))
        assessment.decide(
            submission.id,
            campus.accounts["ingrid"],
            marks,
            "Thank you.",
            Outcome.DEMONSTRATED,
            now=NOON + timedelta(days=1),
        )
        placement = add_placement(campus.deployment, campus.other_course, "link-2", version_key(campus))
        db.session.commit()
        return placement.id


def version_key(campus: Campus) -> str:
    return db.session.get_one(Placement, campus.placement).choices[0].credential.key


def open_copy(app: Flask, campus: Campus, copy: int) -> Browser:
    return visit_as(app, campus, "lena", placement=copy)


def press(app: Flask, campus: Campus, lena: Browser, earlier: str | None) -> TestResponse:
    with app.app_context():
        form = {"credential": version_key(campus)}
    return lena.post("/work/start", form | ({} if earlier is None else {"earlier": earlier}))


def policy(app: Flask, copy: int, value: str) -> None:
    with app.app_context():
        db.session.get_one(Placement, copy).earlier_results = value
        db.session.commit()


def scores_of(app: Flask, copy: int) -> list[ScoreState]:
    with app.app_context():
        return list(db.session.scalars(select(Score.state).where(Score.placement_id == copy)))


def attempts(app: Flask, campus: Campus) -> list[tuple[int, str]]:
    with app.app_context():
        query = select(Attempt).where(Attempt.person_id == campus.persons["lena"]).order_by(Attempt.id)
        return [(row.round, row.state) for row in db.session.scalars(query)]


def test_who_holds_the_result_is_asked_and_told_when_and_where(app: Flask, campus: Campus, copy: int):
    page = words(open_copy(app, campus, copy).get("/work"))

    assert "You have demonstrated this already" in page
    assert "October 6, 2026" in page
    assert "in SPED 4500 Inclusive Practice" in page
    assert "Use that result here" in page
    assert "Do it again for this course" in page
    assert scores_of(app, copy) == []


def test_using_it_owes_this_gradebook_a_score_that_waits_for_who_teaches_here(
    app: Flask, campus: Campus, copy: int
):
    lena = open_copy(app, campus, copy)

    press(app, campus, lena, "use")

    assert scores_of(app, copy) == [ScoreState.PARKED]
    assert attempts(app, campus) == [(1, "demonstrated")]
    assert "Demonstrated" in lena.get("/work", follow_redirects=True).text


def test_a_teacher_who_decided_it_and_teaches_the_copy_too_need_not_agree_again(
    app: Flask, campus: Campus, copy: int
):
    with app.app_context():
        ingrid = campus.accounts["ingrid"]
        teaches = Membership(
            course_id=campus.other_course, account_id=ingrid, role="instructor", seen_at=NOON
        )
        db.session.add(teaches)
        db.session.commit()

    press(app, campus, open_copy(app, campus, copy), "use")

    assert scores_of(app, copy) == [ScoreState.OWED]


def test_faculty_who_said_that_earlier_results_count_have_agreed(app: Flask, campus: Campus, copy: int):
    policy(app, copy, "reuse")
    lena = open_copy(app, campus, copy)
    page = words(lena.get("/work"))

    press(app, campus, lena, "use")

    assert "Do it again" not in page
    assert scores_of(app, copy) == [ScoreState.OWED]


def test_doing_it_again_begins_with_empty_pages_and_leaves_the_result_alone(
    app: Flask, campus: Campus, copy: int
):
    lena = open_copy(app, campus, copy)

    answer = press(app, campus, lena, "anew")

    assert answer.headers["Location"].endswith("/work/tasks?done=started")
    assert "thought thought" not in lena.get("/work/tasks").text
    assert attempts(app, campus) == [(1, "demonstrated"), (2, "draft")]
    assert "demonstrated" in visit_as(app, campus, "lena").get("/work", follow_redirects=True).text.lower()
    assert scores_of(app, copy) == []


def test_a_second_click_and_a_second_tab_change_nothing(app: Flask, campus: Campus, copy: int):
    lena, other = open_copy(app, campus, copy), open_copy(app, campus, copy)

    press(app, campus, lena, "anew")
    press(app, campus, lena, "anew")
    press(app, campus, other, "use")

    assert attempts(app, campus) == [(1, "demonstrated"), (2, "draft")]
    assert scores_of(app, copy) == []


def test_the_new_result_reaches_the_new_gradebook_and_no_second_badge_is_made(
    app: Flask, campus: Campus, copy: int
):
    press(app, campus, open_copy(app, campus, copy), "anew")
    with app.app_context():
        submission = hand_in_work(campus, "lena", placement=copy, at=NOON + timedelta(days=9))
        marks = marks_for(version_of(submission))
        now = NOON + timedelta(days=10)
        assessment.decide(
            submission.id, campus.accounts["otto"], marks, "Again.", Outcome.DEMONSTRATED, now=now
        )
        db.session.commit()

    assert scores_of(app, copy) == [ScoreState.OWED]
    assert scores_of(app, campus.placement) == [ScoreState.OWED]
    with app.app_context():
        held = select(func.count()).select_from(Badge).where(Badge.person_id == campus.persons["lena"])
        assert db.session.scalar(held.where(Badge.credential_id.is_not(None))) == 1


@pytest.mark.parametrize(
    ("chosen", "pressed"), [("anew", "use"), ("reuse", "anew"), ("ask", None), ("ask", "else")]
)
def test_a_way_that_the_activity_does_not_offer_leads_back_to_the_question(
    app: Flask, campus: Campus, copy: int, chosen: str, pressed: str | None
):
    policy(app, copy, chosen)

    answer = press(app, campus, open_copy(app, campus, copy), pressed)

    assert "/work/about/" in answer.headers["Location"]
    assert attempts(app, campus) == [(1, "demonstrated")]
    assert scores_of(app, copy) == []


def test_work_that_is_not_demonstrated_yet_simply_goes_on(app: Flask, campus: Campus):
    with app.app_context():
        hand_in_work(campus, "mateo")
        other = add_placement(campus.deployment, campus.other_course, "link-2", version_key(campus))
        db.session.commit()
        form, placement = {"credential": version_key(campus)}, other.id
    mateo = visit_as(app, campus, "mateo", placement=placement)

    page = words(mateo.get("/work"))
    mateo.post("/work/start", form)

    assert "You have begun this already, in another activity" in page
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Attempt)) == 1


def test_faculty_choose_what_earlier_results_are_worth(app: Flask, campus: Campus):
    ingrid = visit_as(app, campus, "ingrid")

    chosen = ingrid.post("/course/earlier-results", {"earlier_results": "anew"}, follow_redirects=True)
    nonsense = ingrid.post("/course/earlier-results", {"earlier_results": "whatever"}, follow_redirects=True)

    assert 'value="anew" checked' in chosen.text
    assert "As the program says: ask the earner" in nonsense.text
    assert 'value="anew" checked' not in nonsense.text


# How a demonstration counts


def policies() -> list[str | None]:
    return [row.score_policy for row in placements()]


def test_the_score_policy_is_in_the_link_and_what_faculty_choose_on_the_page_since_is_not_undone(
    app: Flask, person: Person
):
    said = {"credential": KEY, "points": "10", "score_policy": "criteria"}
    launched = person.launch(INSTRUCTOR, **{LTI + "custom": said})
    with app.app_context():
        from_link = policies()
    token = person.open(launched).text.split('name="csrf_token" value="')[1].split('"')[0]
    path = launched.headers["Location"].rstrip("/").removesuffix("/course") + "/course/score-policy"
    form = {"csrf_token": token, "score_policy": "full"}
    person.client.post(path, data=form, base_url="https://tool.localhost")

    person.launch(LEARNER, **{LTI + "custom": said})
    with app.app_context():
        kept = policies()
    # Somebody has chosen anew in the course: the link says something else than before.
    person.launch(INSTRUCTOR, **{LTI + "custom": said | {"score_policy": "rubric"}})
    with app.app_context():
        assert (from_link, kept, policies()) == (["criteria"], ["full"], ["rubric"])


@pytest.mark.parametrize("chosen", ["full", "criteria"])
def test_a_copy_counts_as_its_original_did_at_last(app: Flask, person: Person, chosen: str):
    said = {"credential": KEY, "score_policy": "rubric"}
    person.launch(INSTRUCTOR, **{LTI + "custom": said})
    with app.app_context():
        original = placements()[0]
        history = original.course.context_id
        original.score_policy = chosen
        db.session.commit()

    for _ in range(2):
        copied(person, LEARNER, custom=said | {"context_history": history})

    with app.app_context():
        assert policies() == [chosen, chosen]


def test_faculty_choose_how_a_demonstration_counts_and_read_from_when(app: Flask, campus: Campus):
    ingrid = visit_as(app, campus, "ingrid")

    before = words(ingrid.get("/course"))
    chosen = ingrid.post("/course/score-policy", {"score_policy": "criteria"}, follow_redirects=True)
    nonsense = ingrid.post("/course/score-policy", {"score_policy": "double"}, follow_redirects=True)

    assert "Now: all the points" in before
    assert "It holds for decisions from now on" in words(chosen)
    assert 'value="criteria" checked' in chosen.text
    assert 'value="criteria" checked' in nonsense.text
    with app.app_context():
        event = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "score policy")).one()
        assert event.details["policy"] == "criteria"


def test_the_earner_reads_before_starting_how_it_counts(app: Flask, campus: Campus):
    with app.app_context():
        db.session.get_one(Placement, campus.placement).score_policy = "criteria"
        db.session.commit()

    page = words(visit_as(app, campus, "lena").get("/work"))

    assert "How it counts in the gradebook" in page
    assert "When demonstrated, the share of the criteria that you meet, out of 10 points" in page
