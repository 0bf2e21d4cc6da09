"""The door as a browser meets it: login and launch over HTTP, the cookie, and the page when it stays shut."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti import platform_keys, registrations
from lti_tool.lti.models import Launch
from lti_tool.lti.sessions import COOKIE_NAME
from lti_tool.people.models import Account
from tests.lti.conftest import recorded
from tests.lti.platform_double import CLIENT_ID, ISSUER, LTI, PUBLIC_URL, FakePlatform, Key, fresh, sign

ROOT = "https://tool.localhost"
CUSTOM = LTI + "custom"
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
    assert "lti-tool platform add" in answer.text


def test_a_launch_in_another_browser_than_its_login_is_refused(app: Flask, person: Person, key: Key) -> None:
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


def test_a_link_that_names_nothing_we_know_says_what_faculty_can_do(person: Person) -> None:
    page = person.open(person.launch(INSTRUCTOR, **{CUSTOM: {"credential": "no-such-thing"}}))

    assert page.status_code == 404
    assert "no micro-credential yet" in page.text
    assert "Add from Tessera" in page.text


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
    base = person.launch(INSTRUCTOR).headers["Location"]

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
