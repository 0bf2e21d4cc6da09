"""The door as a browser meets it: login and launch over HTTP, the cookie, and the page when it stays shut."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.credentials import catalog
from lti_tool.credentials.models import Placement
from lti_tool.credentials.service import store
from lti_tool.database import db
from lti_tool.lti import platform_keys, registrations
from lti_tool.lti.models import Launch
from lti_tool.lti.sessions import COOKIE_NAME
from lti_tool.people.models import Account
from lti_tool.routes.guards import form_token
from lti_tool.stacks.rules import Group, Rule
from tests.lti.conftest import recorded
from tests.lti.platform_double import CLIENT_ID, ISSUER, LTI, PUBLIC_URL, FakePlatform, Key, fresh, sign
from tests.support.apps import CONFIG

ROOT = "https://tool.localhost"
CUSTOM = LTI + "custom"
TARGET = LTI + "target_link_uri"
LEARNER, INSTRUCTOR, ADMINISTRATOR = "launch-learner.json", "launch-instructor.json", "claims-site-admin.json"


class Person:
    """A browser with cookies of its own, launching from a platform."""

    def __init__(self, app: Flask, key: Key) -> None:
        self.client: FlaskClient = app.test_client()
        self.key = key

    def login(self, **more: str) -> TestResponse:
        form = {
            "iss": ISSUER,
            "client_id": CLIENT_ID,
            "login_hint": "5",
            "target_link_uri": f"{PUBLIC_URL}/lti/launch",
        }
        return self.client.post("/lti/login", data=form | more, base_url=ROOT)

    def claims(self, recording: str, onward: TestResponse, **more: Any) -> dict[str, Any]:
        query = parse_qs(urlsplit(onward.headers["Location"]).query)
        claims = fresh(recorded(recording), nonce=query["nonce"][0], now=clock.now())
        claims[CUSTOM] = claims.get(CUSTOM, {}) | {"credential": "udl-variability"}
        return claims | more

    def post(self, onward: TestResponse, claims: dict[str, Any]) -> TestResponse:
        query = parse_qs(urlsplit(onward.headers["Location"]).query)
        form = {"id_token": sign(claims, self.key), "state": query["state"][0]}
        return self.client.post("/lti/launch", data=form, base_url=ROOT)

    def launch(self, recording: str, **more: Any) -> TestResponse:
        onward = self.login()
        return self.post(onward, self.claims(recording, onward, **more))

    def open(self, answer: TestResponse) -> TestResponse:
        return self.client.get(answer.headers["Location"], base_url=ROOT, follow_redirects=True)


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    platform_keys.forget_all()
    double = FakePlatform()
    yield double
    double.close()


@pytest.fixture(scope="module")
def key() -> Key:
    return Key.make("0eabbc8bc3d143a7780c")


@pytest.fixture
def person(app: Flask, platform: FakePlatform, key: Key) -> Person:
    platform.publish(key.jwk(alg="RS256", use="sig"))
    with app.app_context():
        registrations.add_platform(
            name="Moodle",
            product="moodle",
            issuer=ISSUER,
            client_id=CLIENT_ID,
            auth_url=f"{ISSUER}/mod/lti/auth.php",
            token_url=f"{platform.url}/token",
            jwks_url=f"{platform.url}/jwks",
            deployment_ids=["1"],
            now=clock.now(),
        )
        db.session.commit()
    return Person(app, key)


def test_the_login_sets_one_cookie_that_browsers_keep_in_a_frame(person: Person) -> None:
    cookies = person.login().headers.getlist("Set-Cookie")

    assert len(cookies) == 1
    for attribute in (f"{COOKIE_NAME}=", "Secure", "HttpOnly", "SameSite=None", "Partitioned", "Path=/"):
        assert attribute in cookies[0]
    assert "Domain" not in cookies[0]


def test_a_second_login_keeps_the_cookie_of_the_first(person: Person) -> None:
    person.login()

    assert person.login().headers.getlist("Set-Cookie") == []


@pytest.mark.parametrize(
    "named", [{}, {"lti_deployment_id": "1"}, {"deployment_id": "1"}, {"deployment_id": "no"}]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_login_by_either_method_with_the_deployment_named_either_way_or_not_at_all_leads_in(
    person: Person, method: str, named: dict[str, str]
) -> None:
    """Canvas says deployment_id or lti_deployment_id, by version; the signed message decides."""
    asked = {
        "iss": ISSUER,
        "client_id": CLIENT_ID,
        "login_hint": "5",
        "target_link_uri": f"{PUBLIC_URL}/lti/launch",
        "canvas_region": "us-east-1",
        "canvas_environment": "prod",
        **named,
    }
    given = {"query_string": asked} if method == "GET" else {"data": asked}
    onward = person.client.open("/lti/login", method=method, base_url=ROOT, **given)

    answer = person.post(onward, person.claims(LEARNER, onward))

    assert person.open(answer).status_code == 200


def test_form_fields_besides_those_of_lti_are_no_matter(person: Person) -> None:
    onward = person.login()
    claims = person.claims(LEARNER, onward)
    query = parse_qs(urlsplit(onward.headers["Location"]).query)
    form = {
        "utf8": "✓",
        "authenticity_token": "x" * 64,
        "lti_storage_target": "_parent",
        "id_token": sign(claims, person.key),
        "state": query["state"][0],
    }

    assert person.client.post("/lti/launch", data=form, base_url=ROOT).status_code == 303


def test_somebody_whom_the_platform_does_not_name_is_asked_to_sign_in(person: Person) -> None:
    """A public course of Canvas may be opened by anybody; work must belong to somebody."""
    onward = person.login()
    claims = person.claims(LEARNER, onward)
    del claims["sub"]

    page = person.post(onward, claims)

    assert page.status_code == 403
    assert "Please sign in to your course first" in page.text


def test_moodle_s_non_editing_teacher_teaches_here_and_one_who_teaches_elsewhere_learns(
    app: Flask, person: Person, key: Key
) -> None:
    elsewhere = [
        "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor",
        "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner",
    ]
    assistant, student = person, Person(app, key)

    teaching = assistant.open(assistant.launch("claims-non-editing-teacher.json"))
    learning = student.open(student.launch(LEARNER, **{LTI + "roles": elsewhere}))

    assert "Who is where" in teaching.text
    assert "You are here as <strong>Learner" in learning.text


def test_a_launch_is_answered_by_a_redirect_so_that_reload_posts_nothing(person: Person) -> None:
    answer = person.launch(LEARNER)

    assert answer.status_code == 303
    assert "Universal Design for Learning" in person.open(answer).text


def test_only_the_platform_of_this_visit_may_frame_it(person: Person) -> None:
    page = person.open(person.launch(LEARNER))

    policy = page.headers["Content-Security-Policy"]
    assert f"frame-ancestors {ISSUER}" in policy
    assert "script-src 'self'" in policy


def test_nobody_s_name_or_mail_stands_in_an_address_or_in_the_stored_launch(
    app: Flask, person: Person
) -> None:
    answer = person.launch(LEARNER)

    assert "Sam1" not in answer.headers["Location"]
    with app.app_context():
        stored = str(db.session.scalars(select(Launch)).one().claims)
        assert "Sam1" not in stored
        assert "stud1@example.edu" not in stored
        assert db.session.scalars(select(Account)).one().name == "Sam1 Student1"


def test_the_same_link_is_the_same_activity_for_everyone(app: Flask, person: Person, key: Key) -> None:
    person.launch(INSTRUCTOR)
    Person(app, key).launch(LEARNER)

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Placement)) == 1


def test_two_tabs_with_two_roles_do_not_mix(person: Person) -> None:
    teaching = person.launch(INSTRUCTOR)
    learning = person.launch(LEARNER)

    assert "Who is where" in person.open(teaching).text
    assert "Who is where" not in person.open(learning).text
    assert "Who is where" in person.open(teaching).text


def test_a_launch_posted_twice_is_refused_kindly_and_leaves_the_first_alone(person: Person) -> None:
    onward = person.login()
    claims = person.claims(LEARNER, onward)
    first = person.post(onward, claims)

    second = person.post(onward, claims)

    assert second.status_code == 400
    assert "already used" in second.text
    assert "Your work is safe" in second.text
    assert person.open(first).status_code == 200


def test_an_expired_launch_says_to_open_the_activity_again(app: Flask, person: Person) -> None:
    onward = person.login()
    claims = person.claims(LEARNER, onward)
    claims["iat"], claims["exp"] = claims["iat"] - 4000, claims["exp"] - 4000

    answer = person.post(onward, claims)

    assert answer.status_code == 400
    assert "took too long" in answer.text
    assert "open the activity again" in answer.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Launch)) == 0


def test_an_unknown_platform_reads_whom_to_ask(person: Person) -> None:
    answer = person.login(iss="https://nobody.example.edu")

    assert answer.status_code == 400
    assert "not connected" in answer.text
    assert "Ask your LMS administrator to connect it" in answer.text


def test_a_launch_in_another_browser_than_its_login_is_refused(app: Flask, person: Person, key: Key) -> None:
    person.login()
    onward = person.login()
    claims = person.claims(LEARNER, onward)
    stranger = Person(app, key)

    assert "kept a cookie back" in stranger.post(onward, claims).text
    stranger.login()
    assert "could not be trusted" in stranger.post(onward, claims).text


def test_a_refusal_may_be_shown_in_the_frame_where_the_person_sits(person: Person) -> None:
    answer = person.login(iss="https://nobody.example.edu")

    assert "frame-ancestors *" in answer.headers["Content-Security-Policy"]
    assert "<form" not in answer.text


def test_faculty_are_asked_what_a_link_is_that_names_nothing_we_know(person: Person) -> None:
    page = person.open(person.launch(INSTRUCTOR, **{CUSTOM: {"credential": "no-such-thing"}}))

    assert page.status_code == 200
    assert "Which micro-credential is" in page.text


def test_a_link_of_a_stack_is_an_activity_with_the_parts_in_their_order(app: Flask, person: Person) -> None:
    person.launch(INSTRUCTOR, **{CUSTOM: {"stack": "family-partnership"}})

    with app.app_context():
        placement = db.session.scalars(select(Placement)).one()
        assert placement.stack is not None
        assert placement.stack.key == "family-partnership"
        assert [choice.credential.key for choice in placement.choices] == [
            "routines-conversation",
            "family-voice-iep",
        ]


def test_an_activity_of_a_stack_follows_the_catalogue(app: Flask, person: Person) -> None:
    person.launch(INSTRUCTOR, **{CUSTOM: {"stack": "family-partnership"}})
    shipped = catalog.load(CONFIG / "catalog", CONFIG / "frameworks")
    family, *others = sorted(shipped.stacks, key=lambda stack: stack.key != "family-partnership")
    parts = ("udl-variability", "routines-conversation")
    other_parts = replace(family, version=2, rule=Rule((Group(2, parts),)))

    with app.app_context():
        store(replace(shipped, stacks=(other_parts, *others)), now=clock.now())
        placement = db.session.scalars(select(Placement)).one()
        # What only the earlier version asked for stays, for those who have begun under it.
        assert [choice.credential.key for choice in placement.choices] == [*parts, "family-voice-iep"]


def test_a_link_that_faculty_made_anew_offers_what_it_names_now(app: Flask, person: Person) -> None:
    person.launch(INSTRUCTOR)
    person.launch(INSTRUCTOR, **{CUSTOM: {"credential": "fading-prompts,udl-variability", "points": "25"}})
    with app.app_context():
        placement = db.session.scalars(select(Placement)).one()
        offered = [choice.credential.key for choice in placement.choices]
        assert (offered, placement.points) == (["fading-prompts", "udl-variability"], 25)
    person.launch(INSTRUCTOR, **{CUSTOM: {"stack": "family-partnership"}})
    person.launch(INSTRUCTOR, **{CUSTOM: {"credential": "no-such-thing"}})
    person.launch(INSTRUCTOR, **{CUSTOM: {"credential": ""}})

    with app.app_context():
        placement = db.session.scalars(select(Placement)).one()
        assert placement.stack is not None
        assert [choice.credential.key for choice in placement.choices] == [
            "routines-conversation",
            "family-voice-iep",
        ]
        assert placement.points == 25


def test_neither_a_learner_nor_an_address_makes_an_activity_something_else(
    app: Flask, person: Person
) -> None:
    person.launch(INSTRUCTOR, **{CUSTOM: {"credential": "udl-variability"}})
    another, stack = ({CUSTOM: {"credential": "fading-prompts"}}, {CUSTOM: {"stack": "family-partnership"}})
    typed = f"{PUBLIC_URL}/lti/launch?stack=family-partnership"

    tries = [
        (LEARNER, another),
        (LEARNER, stack),
        (LEARNER, {CUSTOM: {}, TARGET: typed}),
        (INSTRUCTOR, {CUSTOM: {}, TARGET: typed}),
        (INSTRUCTOR, {CUSTOM: {"credential": "udl-variability"}, TARGET: typed}),
    ]
    for who, claims in tries:
        assert person.launch(who, **claims).status_code == 303
        with app.app_context():
            placement = db.session.scalars(select(Placement)).one()
            assert placement.stack is None
            assert [choice.credential.key for choice in placement.choices] == ["udl-variability"]


def test_work_that_was_begun_stays_in_an_activity_that_was_chosen_anew(app: Flask, person: Person) -> None:
    base = person.launch(LEARNER).headers["Location"].rpartition("/")[0] + "/"
    with app.test_request_context(
        headers={"Cookie": f"{COOKIE_NAME}={person.client.get_cookie(COOKIE_NAME, 'tool.localhost').value}"}
    ):
        begin = {"csrf_token": form_token(), "credential": "udl-variability"}
    person.client.post(f"{base}work/start", data=begin, base_url=ROOT)
    person.launch(INSTRUCTOR, **{CUSTOM: {"credential": "fading-prompts"}})

    page = person.open(person.launch(LEARNER, **{CUSTOM: {"credential": "fading-prompts"}}))

    assert "Universal Design for Learning" in page.text
    assert "Continue" in page.text


def test_faculty_are_asked_what_the_link_of_an_unknown_stack_is(person: Person) -> None:
    page = person.open(person.launch(INSTRUCTOR, **{CUSTOM: {"stack": "no-such-stack"}}))

    assert page.status_code == 200
    assert "Which micro-credential is" in page.text


def test_an_observer_reads_that_the_page_is_for_somebody_else(person: Person) -> None:
    roles = ["http://purl.imsglobal.org/vocab/lis/v2/membership#Mentor"]

    page = person.open(person.launch(LEARNER, **{LTI + "roles": roles}))

    assert page.status_code == 403
    assert "somebody else" in page.text


def test_an_administrator_who_is_not_on_the_list_reads_the_command_for_it(person: Person) -> None:
    roles = ["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"]
    answer = person.launch(ADMINISTRATOR, **{LTI + "roles": roles})
    base = answer.headers["Location"]

    page = person.client.get(f"{base}ledger", base_url=ROOT)

    assert page.status_code == 403
    assert "lti-tool registrar add" in page.text
    assert "--subject" in page.text


def test_a_course_role_never_opens_the_desk(person: Person) -> None:
    base = person.launch(INSTRUCTOR).headers["Location"].rpartition("/")[0] + "/"

    assert person.client.get(f"{base}ledger", base_url=ROOT).status_code == 403


def test_a_platform_s_error_is_told_without_echoing_what_anybody_wrote(person: Person) -> None:
    form = {"error": "login_required", "error_description": "<b>pwned</b>", "state": "x"}

    answer = person.client.post("/lti/launch", data=form, base_url=ROOT)

    assert answer.status_code == 400
    assert "pwned" not in answer.text
    assert "signed in" in answer.text


def test_the_key_set_is_public_and_holds_no_private_part(person: Person) -> None:
    keys = person.client.get("/lti/jwks").json["keys"]

    assert {"kty", "n", "e", "kid", "alg", "use"} == set(keys[0])


def test_a_question_about_privacy_is_answered_after_all_the_checks(person: Person) -> None:
    """A platform may send it without a course or a link."""
    onward = person.login()
    claims = person.claims(LEARNER, onward, **{LTI + "message_type": "DataPrivacyLaunchRequest"})
    for claim in ("context", "resource_link"):
        del claims[LTI + claim]

    page = person.open(person.post(onward, claims))

    assert page.status_code == 200
    assert "What Tessera keeps of you" in page.text
    assert "Sam1 Student1" in page.text
    assert 'href="/help/data-flow" target="_blank"' in page.text
    assert "already used" in person.post(onward, claims).text
