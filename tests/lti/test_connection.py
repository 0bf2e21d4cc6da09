"""The connection test: what it says, in words that an administrator can act on."""

from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool import http
from lti_tool.database import db
from lti_tool.lti import connection
from lti_tool.lti.connection import Mark
from lti_tool.lti.models import ConnectionTest, Launch, Registration, Standing
from lti_tool.lti.scopes import LINE_ITEMS, LINE_ITEMS_READ, RESULTS, SCORE, USUAL
from tests.lti.conftest import NOW, Door, recorded
from tests.lti.platform_double import AGS, Asked, FakePlatform, Key, Reply

NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
KEYS = "Can Tessera fetch the keys of the LMS?"
CLOCKS = "Do the clocks agree?"
ACCESS = "Does the LMS know Tessera and give it access?"
ALLOWED = "Is everything allowed that Tessera asked for?"
GRADEBOOK = "Can Tessera read the columns of a gradebook?"
ROSTERS = "Can Tessera read who is in a course?"


def grant(platform: FakePlatform, *granted: str, names: bool = False) -> None:
    """Let /token refuse every request for a scope that is not granted, as Canvas does; ``names`` says which."""

    def answer(asked: Asked) -> Reply:
        refused = [scope for scope in asked.form["scope"].split() if scope not in granted]
        if refused:
            told = "not granted: " + ", ".join(refused) if names else ""
            return Reply(400, {"error": "invalid_scope", "error_description": told})
        return Reply(body={"access_token": "secret-token", "expires_in": 3600})

    platform.answers["/token"] = answer


def examined(registration: Registration) -> dict[str, tuple[Mark, str]]:
    found = connection.examine(registration.id, clock=lambda: NOW)
    assert "secret-token" not in str(found)
    return {one.question: (one.mark, one.answer) for one in found}


@pytest.fixture
def healthy(platform: FakePlatform, key: Key) -> FakePlatform:
    date = {"Date": format_datetime(NOW)}
    platform.answers["/jwks"] = lambda _: Reply(body={"keys": [key.jwk()]}, headers=date)
    grant(platform, *USUAL)
    platform.answers["/lineitems"] = lambda _: Reply(body=[])
    platform.answers["/members"] = lambda _: Reply(body={"members": [{}]})
    return platform


@pytest.fixture
def opened(door: Door, healthy: FakePlatform) -> None:
    """Somebody has opened an activity, so a gradebook and a roster are known."""
    claims = recorded("launch-learner.json")
    claims[AGS] |= {"lineitems": f"{healthy.url}/lineitems?type_id=1"}
    claims[NRPS] |= {"context_memberships_url": f"{healthy.url}/members"}
    door.launch(claims)
    healthy.asked.clear()


@pytest.mark.usefixtures("opened")
def test_a_healthy_connection_is_good_throughout(registration: Registration, healthy: FakePlatform) -> None:
    found = examined(registration)

    assert {mark for mark, _ in found.values()} == {Mark.GOOD}
    assert list(found) == [KEYS, CLOCKS, ACCESS, ALLOWED, GRADEBOOK, ROSTERS]
    assert registration.granted_scopes == list(USUAL)
    assert [asked.path for asked in healthy.asked] == [
        "/jwks",
        "/token",
        "/lineitems?type_id=1",
        "/token",
        "/members?limit=100",
    ]


def test_before_anybody_opened_an_activity_it_says_what_it_needs(
    registration: Registration, healthy: FakePlatform
) -> None:
    found = examined(registration)

    assert found[GRADEBOOK] == found[ROSTERS]
    assert found[ROSTERS][0] is Mark.OPEN
    assert "Open an activity in a course once" in found[ROSTERS][1]


@pytest.mark.parametrize("names", [True, False])
def test_permissions_that_were_taken_away_are_named_with_what_is_lost(
    registration: Registration, healthy: FakePlatform, names: bool
) -> None:
    grant(healthy, LINE_ITEMS, LINE_ITEMS_READ, RESULTS, names=names)

    found = examined(registration)

    assert found[ACCESS][0] is Mark.GOOD
    assert registration.granted_scopes == [LINE_ITEMS, LINE_ITEMS_READ, RESULTS]
    grades = found["Is it allowed to: send grades?"]
    assert grades[0] is Mark.PROBLEM
    assert "No grade reaches the gradebook" in grades[1]
    assert "Is it allowed to: see who is in a course?" in found
    assert ROSTERS not in found
    assert len(healthy.asked_at("/token")) == (2 if names else 7)


def test_a_moodle_that_grants_silently_less_is_believed_to_the_letter(
    registration: Registration, healthy: FakePlatform
) -> None:
    healthy.answers["/token"] = lambda _: Reply(
        body={"access_token": "t", "scope": f"{SCORE} {RESULTS} {LINE_ITEMS}"}
    )

    found = examined(registration)

    assert registration.granted_scopes == [LINE_ITEMS, RESULTS, SCORE]
    assert [question for question, (mark, _) in found.items() if mark is Mark.PROBLEM] == [
        "Is it allowed to: see who is in a course?"
    ]


REFUSALS = [
    ("moodle", 400, {"error": "invalid_request"}, "cURL blocked hosts list"),
    ("canvas", 401, {"error": "invalid_client", "error_description": "unknown client"}, "developer keys"),
    ("canvas", 400, {"error": "invalid_request", "error_description": "JWS signature invalid."}, "/lti/jwks"),
    ("canvas", 400, {"error_description": "the 'aud' is invalid"}, "access token address"),
    ("canvas", 400, {"error_description": "the 'iat' must not be in the future"}, "clock"),
    ("other", 401, {"error": "invalid_client"}, "client id LobiiicSKDGiYVl"),
    ("other", 404, b"", "no token service"),
    ("moodle", 403, b"<html>Forbidden", "User-Agent"),
    ("moodle", 503, b"", "busy"),
    ("other", 200, b"<html>", "signature"),
]


@pytest.mark.parametrize(("product", "status", "body", "words"), REFUSALS)
def test_a_refused_token_is_explained_for_the_product(
    registration: Registration, healthy: FakePlatform, product: str, status: int, body: Any, words: str
) -> None:
    registration.platform.product = product
    db.session.commit()
    healthy.answers["/token"] = lambda _: Reply(status, body)

    mark, answer = examined(registration)[ACCESS]

    assert mark is Mark.PROBLEM
    assert words in answer
    assert "<html>" not in answer
    assert "{" not in answer


def test_keys_that_cannot_be_fetched_are_told_with_their_address(
    registration: Registration, healthy: FakePlatform
) -> None:
    healthy.answers["/jwks"] = lambda _: Reply(404)
    mark, answer = examined(registration)[KEYS]
    assert (mark, "status 404 and no usable key" in answer) == (Mark.PROBLEM, True)

    registration.jwks_url = "http://127.0.0.1:9/jwks"
    db.session.commit()
    mark, answer = examined(registration)[KEYS]
    assert (mark, "Could not connect." in answer) == (Mark.PROBLEM, True)
    assert "http://127.0.0.1:9/jwks" in answer


def test_clocks_that_differ_are_told_by_how_much(
    registration: Registration, healthy: FakePlatform, key: Key
) -> None:
    date = {"Date": format_datetime(NOW - timedelta(seconds=90))}
    healthy.answers["/jwks"] = lambda _: Reply(body={"keys": [key.jwk()]}, headers=date)

    mark, answer = examined(registration)[CLOCKS]

    assert (mark, "90 seconds behind" in answer) == (Mark.PROBLEM, True)


@pytest.mark.usefixtures("opened")
def test_a_service_that_does_not_answer_well_is_told_and_no_token_leaves_for_an_address_inside(
    registration: Registration, healthy: FakePlatform
) -> None:
    healthy.answers["/lineitems"] = lambda _: Reply(404)
    visit = db.session.scalars(select(Launch)).one()
    visit.claims = visit.claims | {"nrps": "http://169.254.169.254/latest"}
    db.session.commit()

    found = examined(registration)

    assert "status 404" in found[GRADEBOOK][1]
    assert found[ROSTERS][0] is Mark.OPEN


def test_nothing_is_called_for_a_registration_that_waits(
    registration: Registration, healthy: FakePlatform
) -> None:
    registration.state = Standing.PENDING
    db.session.commit()

    [(mark, answer)] = examined(registration).values()

    assert (mark, "Approve it first" in answer) == (Mark.PROBLEM, True)
    assert healthy.asked == []


def test_a_worker_makes_a_test_once_and_again_when_it_died_over_it(
    app: Flask, registration: Registration, healthy: FakePlatform
) -> None:
    connection.ask(registration.id, now=NOW)
    connection.ask(registration.id, now=NOW)
    db.session.commit()
    assert connection.waiting(NOW)

    assert connection.run_due(clock=lambda: NOW, stopping=lambda: False) == 1
    assert connection.run_due(clock=lambda: NOW, stopping=lambda: False) == 0
    test = db.session.scalars(select(ConnectionTest)).one()
    assert connection.findings_of(test)[0].question == KEYS

    test.finished_at, test.taken_at = None, NOW
    db.session.commit()
    assert not connection.waiting(NOW)
    assert connection.waiting(NOW + timedelta(minutes=6))


def test_our_keys_can_be_fetched_while_a_token_is_asked_for(
    app: Flask, registration: Registration, healthy: FakePlatform
) -> None:
    """Canvas fetches them live for every token; a lock or a held connection would be waiting for itself."""
    seen: list[int] = []

    def answer(_: Asked) -> Reply:
        seen.append(app.test_client().get("/lti/jwks", base_url="https://tool.localhost").status_code)
        return Reply(body={"access_token": "t"})

    app.config["SQLALCHEMY_ENGINE_OPTIONS"]["pool_timeout"] = 2
    healthy.answers["/token"] = answer

    assert examined(registration)[ACCESS][0] is Mark.GOOD
    assert seen == [200]
    http.close()


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(403), "does not let Tessera read who is in the course"),
        (Reply(503), "is busy or did not answer"),
        (Reply(body={"people": []}), "not a list of people"),
    ],
)
def test_a_roster_that_cannot_be_read_is_explained_and_asked_for_once(
    registration: Registration, healthy: FakePlatform, reply: Reply, words: str
) -> None:
    healthy.answers["/members"] = lambda _: reply

    mark, answer = examined(registration)[ROSTERS]

    assert (mark, words in answer) == (Mark.PROBLEM, True)
    assert len(healthy.asked_at("/members")) == 1
