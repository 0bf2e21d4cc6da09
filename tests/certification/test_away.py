"""Somebody or a course is away: the LMS takes no score, the desk says why, and it goes by itself once they are back."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from lti_tool import clock, tasks
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Launch
from lti_tool.passback import service as passback
from lti_tool.passback.models import Score, ScoreState
from lti_tool.passback.rules import Cause
from lti_tool.practice_lms import store
from tests.platforms.test_copied_courses import Person, Town, place_activity, town

__all__ = ["town"]


@pytest.mark.parametrize("town", ["canvas", "moodle"], indirect=True)
def test_a_learner_who_was_dropped_gets_the_grade_once_the_lms_lists_them_again(town: Town) -> None:
    begin(town)
    dropped(town, True)
    owe(town)
    tasks.deliver_scores(town.app)
    course = newest(town).placement_course
    refused = newest(town)
    tasks.read_roster(town.app, course, timedelta(0))
    tasks.deliver_scores(town.app)
    still = newest(town)

    dropped(town, False)
    tasks.read_roster(town.app, course, timedelta(0))
    tasks.deliver_scores(town.app)

    assert (refused.state, refused.cause) == (ScoreState.PARKED, Cause.AWAY)
    assert "student" in refused.reason
    assert "It also goes by itself" in refused.reason
    assert still.id == refused.id
    assert newest(town).state is ScoreState.ACCEPTED
    assert shown(town) == [10]


@pytest.mark.parametrize("town", ["moodle"], indirect=True)
def test_a_learner_who_was_dropped_gets_the_grade_by_opening_the_activity_a_minute_later(town: Town) -> None:
    """They were here a moment before they were refused, so that no visit would be noted anew for some minutes."""
    lena = begin(town)
    dropped(town, True)
    owe(town)
    tasks.deliver_scores(town.app)
    refused = newest(town)

    dropped(town, False)
    lena.launch(lena.activity())
    tasks.deliver_scores(town.app)

    assert (refused.state, refused.cause) == (ScoreState.PARKED, Cause.AWAY)
    assert newest(town).state is ScoreState.ACCEPTED
    assert shown(town) == [10]


@pytest.mark.parametrize("town", ["canvas"], indirect=True)
def test_what_a_closed_course_of_canvas_refuses_goes_once_it_is_open(town: Town) -> None:
    begin(town)
    becomes(town, "unpublished")
    owe(town)
    tasks.deliver_scores(town.app)
    unpublished = newest(town)
    course = unpublished.placement_course
    # The list names people before the course is published, so it is tried and refused once more.
    tasks.read_roster(town.app, course, timedelta(0))
    tasks.deliver_scores(town.app)
    tried_again = newest(town)
    becomes(town, "published")
    tasks.read_roster(town.app, course, timedelta(0))
    tasks.deliver_scores(town.app)
    first = shown(town)

    becomes(town, "concluded")
    owe(town, "7", decision=2)
    tasks.deliver_scores(town.app)
    concluded = newest(town)
    becomes(town, "published")
    tasks.read_roster(town.app, course, timedelta(0))
    tasks.deliver_scores(town.app)

    for refused in (unpublished, tried_again, concluded):
        assert (refused.state, refused.cause) == (ScoreState.PARKED, Cause.AWAY)
    assert "the course is not published" in tried_again.reason
    assert "The course has concluded in Canvas" in concluded.reason
    assert (first, shown(town)) == ([10], [7])


@pytest.mark.parametrize("town", ["canvas"], indirect=True)
def test_what_an_unpublished_assignment_of_canvas_refuses_goes_once_somebody_opens_it(town: Town) -> None:
    lena = begin(town)
    publish(town, False)
    owe(town)
    tasks.deliver_scores(town.app)
    refused = newest(town)

    publish(town, True)
    lena.launch(lena.activity())
    tasks.deliver_scores(town.app)

    assert (refused.state, refused.cause) == (ScoreState.PARKED, Cause.AWAY)
    assert "not published" in refused.reason
    assert shown(town) == [10]


def begin(town: Town) -> Person:
    """Ingrid adds an activity, and Lena has been there."""
    place_activity(town.person("Ingrid Okafor"))
    publish(town, True)
    lena = town.person("Lena Brandt")
    lena.launch(lena.activity())
    return lena


def in_the_lms(town: Town, statement: str, *values: object) -> None:
    with town.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        lms_db.execute(statement, values)


def publish(town: Town, published: bool) -> None:
    in_the_lms(town, "UPDATE activity SET published = ?", int(published))


def dropped(town: Town, gone: bool) -> None:
    in_the_lms(town, "UPDATE person SET enrolled = ? WHERE given = 'Lena'", int(not gone))


def becomes(town: Town, state: str) -> None:
    with town.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        store.set_setting(lms_db, "course_state", state)


def shown(town: Town) -> list[float]:
    """The grades in the LMS."""
    with town.lms.app.extensions["practice_lms"].store.transaction() as lms_db:
        return [cell["score"] for cell in store.grades(lms_db) if cell["score"] is not None]


@dataclass(frozen=True)
class Newest:
    """The score that was owed last, as it stood at that moment."""

    id: int
    state: ScoreState
    cause: Cause | None
    reason: str
    placement_course: int


def newest(town: Town) -> Newest:
    with town.app.app_context():
        score = db.session.scalars(select(Score).order_by(Score.id.desc())).first()
        assert score is not None
        course = db.session.get_one(Placement, score.placement_id).course_id
        return Newest(score.id, score.state, score.cause, score.reason or "", course)


def owe(town: Town, points: str = "10", *, decision: int = 1) -> None:
    """Of ten for the one learner who has been here, as a decision owes them."""
    with town.app.app_context():
        placement = db.session.scalars(select(Placement)).one()
        launch = db.session.scalars(select(Launch).where(Launch.role == "learner")).first()
        assert launch is not None
        assert launch.account_id is not None
        passback.owe(
            placement=passback.PlacementCell(
                placement.id, launch.deployment_pk, launch.deployment.registration_id, placement.line_item_url
            ),
            account_id=launch.account_id,
            subject=launch.subject,
            decision_id=decision,
            points=Decimal(points),
            points_possible=Decimal(10),
            comment="Clear goals.",
            submitted_at=clock.now(),
            now=clock.now(),
        )
        db.session.commit()
