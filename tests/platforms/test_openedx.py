"""Against platform code that nobody here wrote: Open edX launches, grades, lists people and takes content."""

from decimal import Decimal

from sqlalchemy import func, select

from lti_tool import clock, tasks
from lti_tool.assessment import service as assessment
from lti_tool.assessment.models import Outcome
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Registration
from lti_tool.passback.gradebook import AgsGradebook, Outgoing
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people import rosters
from lti_tool.people.models import Account, Course, Roster, RosterMember
from tests.platforms.conftest import CREDENTIAL, Browser, OpenEdx, form_of, picked
from tests.support.cast import Campus
from tests.support.submitted import hand_in_work, marks_for, version_of


def placement_of(edx: OpenEdx, block: str) -> Placement:
    link = edx.info["blocks"][block]["resource_link_id"]
    return db.session.scalars(select(Placement).where(Placement.resource_link_id == link)).one()


def campus_of(edx: OpenEdx, block: str) -> Campus:
    """Who has launched, by their names at Open edX, as the builders of handed-in work want it."""
    names = {facts["user_id"]: name for name, facts in edx.state()["users"].items()}
    accounts = {
        names[row.subject]: row for row in db.session.scalars(select(Account)) if row.subject in names
    }
    placement = placement_of(edx, block)
    return Campus(
        placement.deployment_pk,
        0,
        placement.course_id,
        0,
        placement.id,
        {name: row.id for name, row in accounts.items()},
        {name: row.person_id for name, row in accounts.items()},
    )


def demonstrated(edx: OpenEdx, learner: Browser, teacher: Browser, block: str) -> Score:
    """The learner hands in, the teacher decides, and the worker does its work until nothing is owed."""
    learner.launch(block)
    teacher.launch(block)
    with edx.app.app_context():
        campus = campus_of(edx, block)
        submission = hand_in_work(campus, learner.user, at=clock.now())
        marks = marks_for(version_of(submission))
        assessment.decide(
            submission.id,
            campus.accounts[teacher.user],
            marks,
            "It shows in every part.",
            Outcome.DEMONSTRATED,
            now=clock.now(),
        )
        db.session.commit()
        placement_id = campus.placement
    tasks.deliver_scores(edx.app)
    with edx.app.app_context():
        last = select(Score).where(Score.placement_id == placement_id).order_by(Score.id.desc()).limit(1)
        score = db.session.scalars(last).one()
        db.session.expunge(score)
        return score


def test_a_learner_and_an_instructor_launch_into_their_own_pages(edx: OpenEdx):
    learner, teacher = edx.browser("alice", "student"), edx.browser("prof", "instructor")

    work, course = learner.launch(), teacher.launch()

    assert "Universal Design for Learning" in work.text
    assert "Who is where" in course.text
    with edx.app.app_context():
        assert placement_of(edx, "quiz").line_item_url is not None
        assert db.session.scalars(select(Account.name)).all() == [None, None]


def test_course_staff_arrive_as_administrators_of_everything_and_are_instructors_here(edx: OpenEdx):
    assert "Who is where" in edx.browser("tina", "staff").launch().text


def test_a_second_client_of_the_same_platform_meets_the_same_people(edx: OpenEdx):
    edx.browser("alice", "student").launch("extra")

    with edx.app.app_context():
        registrations = db.session.scalar(select(func.count()).select_from(Registration))
        learners = db.session.scalars(
            select(Account.id).where(Account.subject == edx.state()["users"]["alice"]["user_id"])
        ).all()
    assert registrations == 2
    assert len(learners) == 1


def test_a_decision_reaches_the_gradebook_and_is_read_back(edx: OpenEdx):
    score = demonstrated(edx, edx.browser("alice", "student"), edx.browser("prof", "instructor"), "quiz")

    assert score.state is ScoreState.ACCEPTED
    [grade] = [grade for grade in edx.state()["grades"] if grade["block"] == "quiz"]
    assert (grade["user"], grade["value"] / grade["max_value"]) == ("alice", 1)
    with edx.app.app_context():
        reading = AgsGradebook().read(
            Outgoing(
                score_id=score.id,
                registration_id=score.registration_id,
                line_item_url=score.line_item_url,
                subject=score.subject,
                points=score.points,
                points_possible=score.points_possible,
                comment=score.comment,
                scored_at=score.scored_at,
                submitted_at=score.submitted_at,
                activity_progress=score.activity_progress,
                grading_progress=score.grading_progress,
            )
        )
    assert reading.shown is not None
    assert reading.shown.points == Decimal(str(float(score.points)))


def test_where_open_edx_makes_no_column_tessera_makes_one(edx: OpenEdx):
    score = demonstrated(edx, edx.browser("bob", "student"), edx.browser("prof", "instructor"), "lab")

    items = [item for item in edx.state()["line_items"] if item["block"] == "lab"]
    assert [item["url"] for item in items] == [score.line_item_url]
    assert items[0]["resource_id"] == f"tessera:{CREDENTIAL}"
    assert score.state is ScoreState.ACCEPTED
    assert [row["user"] for row in edx.state()["scores"] if row["line_item"] == score.line_item_url] == [
        "bob"
    ]


def test_the_people_of_the_course_are_listed_without_names_as_open_edx_shares_none(edx: OpenEdx):
    teacher = edx.browser("prof", "instructor")
    teacher.launch()

    with edx.app.app_context():
        roster = db.session.scalars(select(Roster)).one()
        roster.asked_at = None
        db.session.commit()
        assert rosters.refresh(roster.course_id, clock=clock.now, wait=lambda _: None), roster.problem
        listed = {row.subject: row for row in db.session.scalars(select(RosterMember))}
    users = edx.state()["users"]
    assert set(listed) == {facts["user_id"] for facts in users.values()}
    assert {row.name for row in listed.values()} == {None}
    assert listed[users["alice"]["user_id"]].role == "learner"
    assert listed[users["prof"]["user_id"]].role == "instructor"


def test_a_teacher_puts_a_micro_credential_into_a_block(edx: OpenEdx):
    teacher = edx.browser("prof", "instructor")
    picker = teacher.launch("extra", deeplink=True)
    details = teacher.tool("GET", f"{picker.url}/details?pick={CREDENTIAL}")
    sent = teacher.tool("POST", details.url, picked(details.text))
    action, fields = form_of(sent.text)
    answer = teacher.at_edx.post(action, data=fields, timeout=20)

    assert answer.status_code == 200, answer.text
    [item] = [item for item in edx.state()["content_items"] if item["block"] == "extra"]
    assert f"credential={CREDENTIAL}" in item["attributes"]["url"]
    assert item["attributes"]["custom"]["credential"] == CREDENTIAL
    assert "Who is where" in teacher.launch("extra").text


def test_a_course_knows_its_title_and_no_more(edx: OpenEdx):
    edx.browser("alice", "student").launch()

    with edx.app.app_context():
        [course] = db.session.scalars(select(Course))
        assert course.context_id == edx.info["context_id"]
