import time

import jwt
import pytest
import requests

from .helpers import AGS, ask_token, assertion


def test_a_good_assertion_gets_a_token_for_an_hour(lms):
    answer = ask_token(lms, f"{AGS}scope/score")

    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 3600
    assert answer.json()["scope"] == f"{AGS}scope/score"


def test_moodle_calls_its_json_html(moodle):
    answer = ask_token(moodle)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.json()["token_type"] == "Bearer"


def test_moodle_takes_an_audience_in_a_list(moodle):
    signed = assertion(moodle, aud=[f"{moodle.service_url}/token", "other"])

    assert ask_token(moodle, signed=signed).status_code == 200


@pytest.mark.parametrize("signed", ["rubbish", ""])
def test_moodle_calls_a_broken_assertion_an_invalid_request(moodle, signed):
    answer = ask_token(moodle, signed=signed)

    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})


def test_moodle_refuses_an_unknown_scope_only_when_it_is_alone(moodle):
    alone = ask_token(moodle, "https://example.org/unknown")
    together = ask_token(moodle, f"https://example.org/unknown {AGS}scope/score")

    assert (alone.status_code, alone.json()) == (400, {"error": "invalid_scope"})
    assert together.json()["scope"] == f"{AGS}scope/score"


def test_canvas_refuses_the_whole_call_for_one_unknown_scope(canvas):
    answer = ask_token(canvas, f"https://example.org/unknown {AGS}scope/score")

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_scope"
    assert answer.json()["error_description"].endswith("https://example.org/unknown")


def test_canvas_wants_exactly_the_address_that_was_called_as_audience(canvas):
    for audience in (canvas.url, f"{canvas.url}/token", canvas.service_url):
        answer = ask_token(canvas, signed=assertion(canvas, aud=audience))

        assert answer.status_code == 400
        assert answer.json()["error_description"] == "the 'aud' is invalid"


@pytest.mark.parametrize(
    ("changes", "seconds", "description"),
    [
        ({"jti": None}, {}, "the following assertions are missing: jti"),
        ({}, {"exp": -5}, "the JWT has expired"),
        ({"exp": "soon"}, {}, "the 'exp' must be a number"),
        ({}, {"iat": -400}, "the 'iat' must be less than 300 seconds old"),
        ({}, {"iat": 60}, "the 'iat' must not be in the future"),
        ({"aud": "x"}, {"exp": -5}, "the 'aud' is invalid | the JWT has expired"),
    ],
)
def test_canvas_says_what_is_wrong_with_an_assertion(canvas, changes, seconds, description):
    moments = {name: int(time.time()) + offset for name, offset in seconds.items()}

    answer = ask_token(canvas, signed=assertion(canvas, **changes, **moments))

    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_request", "error_description": description}


def test_canvas_does_not_know_another_client(canvas):
    answer = ask_token(canvas, signed=assertion(canvas, sub="42"))

    assert answer.status_code == 401
    assert answer.json() == {"error": "invalid_client", "error_description": "unknown client"}
    assert answer.headers["WWW-Authenticate"] == "Canvas OAuth 2.0"


def test_canvas_breaks_on_what_is_no_jwt(canvas):
    answer = ask_token(canvas, signed="rubbish")

    assert answer.status_code == 500
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_key_that_the_tool_does_not_publish_is_refused(lms):
    stranger = jwt.encode({"sub": lms.config.client_id}, "a" * 32, "HS256", headers={"kid": "unknown"})

    answer = ask_token(lms, signed=stranger)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_another_grant_is_unsupported(lms):
    answer = requests.post(f"{lms.service_url}/token", data={"grant_type": "password"}, timeout=10)

    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
