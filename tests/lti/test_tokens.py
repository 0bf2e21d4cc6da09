from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
from flask import Flask

from lti_tool import http
from lti_tool.database import db
from lti_tool.lti import keys, registrations, tokens
from lti_tool.lti.ags import SCOPE_RESULTS, SCOPE_SCORE
from lti_tool.lti.models import AccessToken, Registration
from tests.lti.conftest import NOW
from tests.lti.platform_double import CLIENT_ID, Asked, FakePlatform, Reply


def token(registration: Registration, *scopes: str, later: timedelta = timedelta()) -> str:
    return tokens.access_token(registration, scopes or [SCOPE_SCORE], now=NOW + later, timeout=5)


def test_the_assertion_is_what_lti_and_canvas_want(
    registration: Registration, platform: FakePlatform
) -> None:
    assert token(registration, SCOPE_SCORE, SCOPE_RESULTS) == "token-1"

    [asked] = platform.asked_at("/token")
    form = asked.form
    assert form["grant_type"] == "client_credentials"
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert form["scope"] == f"{SCOPE_RESULTS} {SCOPE_SCORE}"
    [jwk] = keys.public_jwks()["keys"]
    assertion = jwt.decode(
        form["client_assertion"],
        jwt.PyJWK(jwk),
        ["RS256"],
        audience=registration.token_url,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert (assertion["iss"], assertion["sub"]) == (CLIENT_ID, CLIENT_ID)
    assert assertion["iat"] == int(NOW.timestamp())
    assert 0 < assertion["exp"] - assertion["iat"] <= 300
    assert assertion["jti"]
    assert jwt.get_unverified_header(form["client_assertion"])["kid"] == jwk["kid"]


def test_a_platform_with_an_authorization_server_is_named_it_as_audience(
    registration: Registration, platform: FakePlatform
) -> None:
    registration.token_audience = "https://auth.brightspace.example"

    token(registration)

    assertion = platform.asked_at("/token")[0].form["client_assertion"]
    assert jwt.decode(assertion, options={"verify_signature": False})["aud"] == (
        "https://auth.brightspace.example"
    )


def test_a_token_serves_until_a_minute_before_its_end(
    registration: Registration, platform: FakePlatform
) -> None:
    assert token(registration) == "token-1"
    assert token(registration, later=timedelta(seconds=3539)) == "token-1"
    assert token(registration, later=timedelta(seconds=3540)) == "token-2"
    assert token(registration, later=timedelta(seconds=3600)) == "token-2"


def test_other_scopes_need_another_token(registration: Registration, platform: FakePlatform) -> None:
    assert token(registration, SCOPE_SCORE) == "token-1"
    assert token(registration, SCOPE_RESULTS) == "token-2"
    assert token(registration, SCOPE_SCORE) == "token-1"


def test_two_schools_with_one_issuer_and_one_token_address_never_share_a_token(
    registration: Registration, platform: FakePlatform
) -> None:
    second = registrations.add_platform(
        name="Second school",
        product="canvas",
        issuer=registration.issuer,
        client_id="second",
        auth_url=registration.auth_url,
        token_url=registration.token_url,
        jwks_url=registration.jwks_url,
        deployment_ids=["1"],
        now=NOW,
    )

    assert token(registration) == "token-1"
    assert token(second) == "token-2"


@pytest.mark.parametrize(
    ("seconds", "again"), [(None, "token-1"), ("3600", "token-1"), (60, "token-2"), (0, "token-1")]
)
def test_a_missing_odd_or_short_lifetime_is_survived(
    registration: Registration, platform: FakePlatform, seconds: Any, again: str
) -> None:
    platform.issue_tokens(seconds=seconds)

    token(registration)

    assert token(registration) == again


def test_threads_that_need_the_same_token_ask_for_it_once_and_hold_no_connection_meanwhile(
    app: Flask, registration: Registration, platform: FakePlatform
) -> None:
    pool: Any = db.engine.pool
    held: list[int] = []
    registration_id = registration.id
    db.session.commit()
    platform.issue_tokens(delay=0.3)
    hand_out = platform.answers["/token"]

    def watched(asked: Asked) -> Reply:
        reply = hand_out(asked)
        held.append(pool.checkedout())
        return reply

    platform.answers["/token"] = watched

    def ask(_: int) -> str:
        with app.app_context():
            try:
                return token(db.session.get_one(Registration, registration_id))
            finally:
                db.session.remove()
                http.close()

    with ThreadPoolExecutor(8) as workers:
        given = set(workers.map(ask, range(8)))

    assert given == {"token-1"}
    assert held == [0]


@pytest.mark.parametrize(
    ("reply", "status", "words"),
    [
        (Reply(400, {"error": "invalid_scope"}), 400, "invalid_scope"),
        (Reply(401, {"error": "invalid_client"}), 401, "invalid_client"),
        (Reply(200, b"<html>"), 200, "No access token"),
        (Reply(200, {"token": "secret"}), 200, "No access token"),
        (Reply(200, ["secret"]), 200, "No access token"),
        (Reply(200, {"access_token": "x", "expires_in": "soon"}), 200, "No access token"),
    ],
)
def test_a_platform_that_gives_no_token_is_quoted(
    registration: Registration, platform: FakePlatform, reply: Reply, status: int, words: str
) -> None:
    platform.answers["/token"] = lambda _: reply

    with pytest.raises(tokens.NoToken) as refused:
        token(registration)

    answer = refused.value.answer
    assert (answer.status, answer.sent, answer.at_token) == (status, False, True)
    assert words in answer.body
    assert "secret" not in answer.body


def test_a_token_endpoint_that_is_down_counts_as_nothing_sent(registration: Registration) -> None:
    registration.token_url = "http://127.0.0.1:9/token"

    with pytest.raises(tokens.NoToken) as refused:
        token(registration)

    assert (refused.value.answer.status, refused.value.answer.sent) == (None, False)


def test_a_forgotten_token_is_asked_for_anew_and_a_newer_one_is_not_forgotten(
    registration: Registration, platform: FakePlatform
) -> None:
    first = token(registration)
    tokens.forget(registration.id, first)
    second = token(registration)

    tokens.forget(registration.id, first)

    assert (second, token(registration)) == ("token-2", "token-2")


def test_a_token_that_another_process_stores_meanwhile_is_replaced_and_not_fallen_over(
    app: Flask, registration: Registration, platform: FakePlatform
) -> None:
    hand_out = platform.answers["/token"]
    values = {"registration_id": registration.id, "token_url": registration.token_url, "scopes": SCOPE_SCORE}
    db.session.commit()

    def another_is_quicker(asked: Asked) -> Reply:
        with app.app_context():
            db.session.add(AccessToken(**values, token="theirs", expires_at=NOW + timedelta(hours=1)))
            db.session.commit()
            db.session.remove()
        return hand_out(asked)

    platform.answers["/token"] = another_is_quicker

    assert token(registration) == "token-1"
    assert token(registration) == "token-1"
