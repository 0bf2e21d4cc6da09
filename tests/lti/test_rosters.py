import json
from urllib.parse import parse_qs, urlsplit

import pytest

from lti_tool.database import db
from lti_tool.lti import paging, rosters
from lti_tool.lti.models import Registration
from lti_tool.lti.roles import CourseRole
from lti_tool.lti.rosters import Member
from tests.lti.conftest import NOW, RECORDINGS
from tests.lti.platform_double import Asked, FakePlatform, Reply

PATH = "/mod/lti/services.php/CourseSection/2/bindings/1/memberships"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
MANNER = paging.Manner(clock=lambda: NOW, timeout=5, wait=lambda _: None)


def listed(registration: Registration, platform: FakePlatform, *people: object) -> list[Member]:
    platform.answers[PATH] = lambda _: Reply(
        body={"id": "x", "context": {"id": "2"}, "members": list(people)}
    )
    pages = rosters.members(registration.id, platform.url + PATH, MANNER)
    return [member for page in pages for member in page]


def test_people_are_read_as_the_recorded_moodle_listed_them(
    registration: Registration, platform: FakePlatform
) -> None:
    calls = json.loads((RECORDINGS / "services.json").read_text(encoding="utf-8"))
    recorded = [call["response"] for call in calls if "memberships" in call["request"]["url"]]
    people = json.loads(recorded[1]["body"])["members"]

    found = listed(registration, platform, *people)

    assert [member.subject for member in found] == [person["user_id"] for person in people]
    assert {CourseRole.INSTRUCTOR, CourseRole.LEARNER} <= {member.role for member in found}
    assert all(member.name and member.active for member in found)


def test_the_service_is_asked_by_its_own_media_type_and_scope_a_hundred_people_at_a_time(
    registration: Registration, platform: FakePlatform
) -> None:
    listed(registration, platform)

    [asked] = platform.asked_at(PATH)
    [token] = platform.asked_at("/token")
    assert asked.headers["Accept"] == "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
    assert parse_qs(urlsplit(asked.path).query) == {"limit": ["100"]}
    assert token.form["scope"] == rosters.SCOPE


def test_a_course_of_five_thousand_is_read_page_by_page(
    registration: Registration, platform: FakePlatform
) -> None:
    def answer(asked: Asked) -> Reply:
        query = parse_qs(urlsplit(asked.path).query)
        start, limit = int(query.get("from", ["0"])[0]), int(query["limit"][0])
        people = [{"user_id": str(n), "roles": ["Learner"]} for n in range(start, min(start + limit, 5000))]
        more = start + limit < 5000
        link = f'<{platform.url}{PATH}?limit={limit}&from={start + limit}>; rel="next"'
        return Reply(body={"members": people}, headers={"Link": link} if more else {})

    platform.answers[PATH] = answer

    pages = list(rosters.members(registration.id, platform.url + PATH + "?limit=3", MANNER))

    assert [len(page) for page in pages] == [100] * 50
    assert len({member.subject for page in pages for member in page}) == 5000


def test_people_without_a_name_an_address_or_a_status_are_people(
    registration: Registration, platform: FakePlatform
) -> None:
    [member] = listed(registration, platform, {"user_id": "u-1", "roles": [f"{MEMBERSHIP}#Learner"]})

    assert member == Member(subject="u-1", role=CourseRole.LEARNER, name=None, active=True)


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ({"name": "Lena  Brandt"}, "Lena Brandt"),
        ({"given_name": "Lena", "family_name": "Brandt"}, "Lena Brandt"),
        ({"name": "$Person.name.full", "given_name": "Lena"}, "Lena"),
        ({"name": "", "given_name": None}, None),
    ],
)
def test_a_name_is_what_the_platform_gives_of_it(
    registration: Registration, platform: FakePlatform, person: dict[str, object], name: str | None
) -> None:
    assert listed(registration, platform, {"user_id": "5", "roles": ["Learner"], **person})[0].name == name


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["Instructor"], CourseRole.INSTRUCTOR),
        (["Instructor#TeachingAssistant"], CourseRole.INSTRUCTOR),
        ([f"{MEMBERSHIP}/Instructor#TeachingAssistant", f"{MEMBERSHIP}#Instructor"], CourseRole.INSTRUCTOR),
        ([f"{MEMBERSHIP}#Mentor"], CourseRole.OBSERVER),
        (["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"], CourseRole.NONE),
        ("Learner", CourseRole.NONE),
    ],
)
def test_roles_may_be_short_or_whole(
    registration: Registration, platform: FakePlatform, roles: object, role: CourseRole
) -> None:
    assert listed(registration, platform, {"user_id": "5", "roles": roles})[0].role is role


def test_who_is_inactive_or_deleted_is_listed_as_such_and_the_test_student_not_at_all(
    registration: Registration, platform: FakePlatform
) -> None:
    found = listed(
        registration,
        platform,
        {"user_id": "1", "roles": ["Learner"], "status": "Active"},
        {"user_id": "2", "roles": ["Learner"], "status": "Inactive"},
        {"user_id": "3", "roles": ["Learner"], "status": "Deleted"},
        {"user_id": "4", "roles": ["Learner", "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"]},
    )

    assert [(member.subject, member.active) for member in found] == [("1", True), ("2", False), ("3", False)]


def test_what_is_no_person_is_passed_over(registration: Registration, platform: FakePlatform) -> None:
    strange = [None, "Lena", {}, {"user_id": ""}, {"user_id": None}, {"user_id": "é"}, {"user_id": "x" * 256}]

    found = listed(registration, platform, *strange, {"user_id": 7, "roles": ["Learner"]})

    assert [member.subject for member in found] == ["7"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", {"members": None}])
def test_an_answer_that_is_no_list_of_people_is_not_an_empty_one(
    registration: Registration, platform: FakePlatform, body: object
) -> None:
    platform.answers[PATH] = lambda _: Reply(body=body)

    with pytest.raises(paging.NotRead):
        list(rosters.members(registration.id, platform.url + PATH, MANNER))


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        (Reply(400, {"error": "invalid_scope"}), 200, "Ask the administrator to allow names and roles"),
        (None, 401, "does not let Tessera read who is in the course"),
        (None, 404, "somewhere else now"),
        (None, 503, "Moodle is busy or did not answer."),
    ],
)
def test_why_a_roster_was_not_read_is_said_in_words(
    registration: Registration, platform: FakePlatform, token: Reply | None, status: int, words: str
) -> None:
    platform.answers[PATH] = lambda _: Reply(status)
    if token is not None:
        platform.answers["/token"] = lambda _: token

    with pytest.raises(paging.NotRead) as stopped:
        list(rosters.members(registration.id, platform.url + PATH, MANNER))

    db.session.rollback()
    assert words in rosters.why_not_read(registration.id, stopped.value)
