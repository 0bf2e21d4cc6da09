"""From the LMS's own grading page into the very submission, for those who may see it."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.addresses import is_ours, submission_address, submission_named_by
from lti_tool.people.models import Account
from lti_tool.submissions import service
from lti_tool.submissions.models import Submission
from tests.lti.platform_double import AGS, LTI, PUBLIC_URL, Key
from tests.routes.test_entry import INSTRUCTOR, LEARNER, Person, key, person, platform
from tests.support.cast import Campus
from tests.support.submitted import hand_in_work

__all__ = ["key", "person", "platform"]

NAMES = ("Sam1", "Student1")
COLUMN = "http://moodle.localhost:8080/mod/lti/services.php/2/lineitems/2/lineitem?type_id=1"
REVIEW = {LTI + "message_type": "LtiSubmissionReviewRequest", LTI + "for_user": {"user_id": "5"}}


class Handed:
    """A learner of the recorded Moodle who has handed in, once."""

    def __init__(self, app: Flask, person: Person, key: Key) -> None:
        self.app, self.learner, self.teacher = app, person, Person(app, key)
        self.learner.launch(LEARNER)
        with app.app_context():
            self.placement = db.session.scalars(select(Placement.id)).one()
        self.submission = self.hand_in("5")
        self.address = submission_address(PUBLIC_URL, self.placement, self.submission)

    def hand_in(self, subject: str) -> int:
        with self.app.app_context():
            account = db.session.scalars(select(Account).where(Account.subject == subject)).one()
            accounts, persons = {subject: account.id}, {subject: account.person_id}
            campus = Campus(0, 0, 0, 0, self.placement, accounts, persons)
            submission = hand_in_work(campus, subject, at=clock.now()).id
            db.session.commit()
            return submission

    def review(self, who: Person, recording: str, **changes: Any) -> TestResponse:
        return who.open(who.launch(recording, **(REVIEW | changes)))


@pytest.fixture
def handed(app: Flask, person: Person, key: Key) -> Handed:
    return Handed(app, person, key)


def placements(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(Placement)) or 0


def test_a_submission_review_opens_the_submission_for_the_assessor_without_a_name(handed: Handed) -> None:
    page = handed.review(handed.teacher, INSTRUCTOR)

    assert page.request.path.endswith(f"/review/{handed.submission}")
    assert "Your assessment" in page.text
    assert not any(name in page.text for name in NAMES)


def test_a_review_that_names_no_link_finds_the_activity_by_its_gradebook_column(handed: Handed) -> None:
    page = handed.review(handed.teacher, INSTRUCTOR, **{LTI + "resource_link": None})

    assert page.request.path.endswith(f"/review/{handed.submission}")


def test_the_last_submission_that_stands_is_the_one_that_opens(handed: Handed) -> None:
    with handed.app.app_context():
        evidence = db.session.get_one(Submission, handed.submission).evidence[0].evidence_id
        service.report_privacy_problem(evidence, 1, "A face.", now=clock.now())
        db.session.commit()

    page = handed.review(handed.teacher, INSTRUCTOR)

    assert page.request.path.endswith("/course")
    assert "Nothing of the person whose work you opened waits here" in page.text


def test_where_nothing_was_handed_in_faculty_read_so(handed: Handed) -> None:
    page = handed.review(handed.teacher, INSTRUCTOR, **{LTI + "for_user": {"user_id": "77"}})

    assert page.status_code == 200
    assert "Nothing of the person whose work you opened waits here" in page.text


def test_a_learner_sees_their_own_submission_and_nobody_else_s(handed: Handed, key: Key) -> None:
    own = handed.review(handed.learner, LEARNER)
    mateo = Person(handed.app, key)
    mateo.launch(LEARNER, sub="6")
    handed.hand_in("6")
    others = handed.review(mateo, LEARNER, sub="6")
    by_address = mateo.open(mateo.launch(LEARNER, sub="6", **{LTI + "target_link_uri": handed.address}))

    assert own.request.path.endswith("/work/submissions/1")
    assert others.status_code == 404
    assert by_address.status_code == 404


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({LTI + "for_user": {}}, "for_user.user_id"),
        ({LTI + "for_user": "5"}, "for_user.user_id"),
        ({AGS: {"scope": []}}, "lineitem"),
        ({AGS: None}, "lineitem"),
        ({"sub": ""}, ""),
    ],
)
def test_a_review_without_what_it_needs_gets_a_page(
    handed: Handed, changes: dict[str, Any], missing: str
) -> None:
    answer = handed.teacher.launch(INSTRUCTOR, **(REVIEW | changes))

    assert answer.status_code in (400, 403)
    assert missing in answer.text
    assert "<h1" in answer.text


def test_speedgrader_s_address_opens_the_submission_whatever_link_the_launch_names(handed: Handed) -> None:
    """Canvas has sent the id of another link, the course's own, and none of ours."""
    before = placements(handed.app)

    for link in ({"id": "2", "title": "SPED 4500"}, {"id": "another link"}):
        page = handed.teacher.open(
            handed.teacher.launch(
                INSTRUCTOR, **{LTI + "target_link_uri": handed.address, LTI + "resource_link": link}
            )
        )
        assert page.request.path.endswith(f"/review/{handed.submission}")
    assert placements(handed.app) == before


def test_an_assessor_of_another_course_does_not_get_in_by_the_address(handed: Handed) -> None:
    elsewhere = {LTI + "target_link_uri": handed.address, LTI + "context": {"id": "9", "title": "Another"}}

    page = handed.teacher.open(handed.teacher.launch(INSTRUCTOR, **elsewhere))

    assert page.status_code == 404


@pytest.mark.parametrize("end", ["activities/1/submissions/999999", "activities/999999/submissions/1"])
def test_an_address_with_ids_that_stand_nowhere_gets_a_page(handed: Handed, end: str) -> None:
    target = {LTI + "target_link_uri": f"{PUBLIC_URL}/lti/launch/{end}"}

    assert handed.teacher.open(handed.teacher.launch(INSTRUCTOR, **target)).status_code == 404


def test_an_instructor_does_not_assess_their_own_work_by_this_way_either(handed: Handed) -> None:
    """Sam learns here; the platform calls them an instructor as well today."""
    page = handed.review(handed.learner, INSTRUCTOR, sub="5")

    assert page.status_code == 403
    assert "This is your own work" in page.text


def test_the_login_goes_to_the_address_of_a_submission_too(handed: Handed) -> None:
    assert handed.teacher.login(target_link_uri=handed.address).status_code == 302
    assert handed.teacher.login(target_link_uri=f"{handed.address}/more").status_code == 400


def test_the_address_stays_the_same_however_often_it_is_encoded() -> None:
    address = submission_address(PUBLIC_URL, 12, 345)

    assert submission_named_by(address) == (12, 345)
    assert submission_named_by(f"{address}?display=borderless&x=1") == (12, 345)
    path = address.removeprefix(PUBLIC_URL)
    assert path.replace("/", "").isalnum()
    assert is_ours(address, PUBLIC_URL)
    assert not is_ours(address.replace("tool.", "evil."), PUBLIC_URL)
    assert submission_named_by(f"{PUBLIC_URL}/lti/launch/activities/1/submissions/9999999999") is None
