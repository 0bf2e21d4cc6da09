from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from lti_tool import errors
from lti_tool.database import db
from lti_tool.lti import login
from lti_tool.lti.models import LoginState, Registration
from lti_tool.lti.sessions import browser_hash
from tests.lti.conftest import NOW
from tests.lti.platform_double import CLIENT_ID, ISSUER, PUBLIC_URL

HINT = '{"cmid":1,"launchid":"ltilaunch1_771053661"} & é+%20'
ASKED = {
    "iss": ISSUER,
    "client_id": CLIENT_ID,
    "target_link_uri": PUBLIC_URL + "/lti/launch?credential=udl-1",
    "login_hint": "5",
    "lti_message_hint": HINT,
}


def begin(**changes: str) -> dict[str, str]:
    onward = login.begin(ASKED | changes, browser="browser-one", now=NOW)
    return {name: values[0] for name, values in parse_qs(urlsplit(onward.url).query).items()}


def test_the_browser_is_sent_to_the_platform_with_everything_that_lti_asks_for(
    registration: Registration,
) -> None:
    query = begin()

    nonce, state = query.pop("nonce"), query.pop("state")
    assert query == {
        "scope": "openid",
        "response_type": "id_token",
        "response_mode": "form_post",
        "prompt": "none",
        "client_id": CLIENT_ID,
        "redirect_uri": PUBLIC_URL + "/lti/launch",
        "login_hint": "5",
        "lti_message_hint": HINT,
    }
    assert len(nonce) >= 22
    assert nonce != state


def test_state_nonce_registration_and_browser_are_kept_together_for_ten_minutes(
    registration: Registration,
) -> None:
    query = begin()

    kept = db.session.get_one(LoginState, query["state"])
    assert kept.nonce == query["nonce"]
    assert kept.registration_id == registration.id
    assert kept.browser == browser_hash("browser-one")
    assert kept.expires_at == NOW + timedelta(minutes=10)
    assert kept.used_at is None


def test_a_hint_that_was_not_given_is_not_sent(registration: Registration) -> None:
    onward = login.begin(
        {name: value for name, value in ASKED.items() if name != "lti_message_hint"},
        browser="browser-one",
        now=NOW,
    )

    assert "lti_message_hint" not in onward.url


@pytest.mark.parametrize("name", ["lti_deployment_id", "deployment_id"])
def test_a_deployment_may_be_named_either_way_and_the_signed_message_decides(
    registration: Registration, name: str
) -> None:
    assert begin(**{name: "1"})["client_id"] == CLIENT_ID
    assert begin(**{name: "another"})["client_id"] == CLIENT_ID


def test_an_authorization_address_with_a_query_gets_more_of_it(registration: Registration) -> None:
    registration.auth_url = "https://lms.example/auth?tenant=7"

    onward = login.begin(ASKED, browser="browser-one", now=NOW)

    assert onward.url.startswith("https://lms.example/auth?tenant=7&scope=openid&")


def test_an_issuer_with_one_registration_needs_no_client_id(registration: Registration) -> None:
    assert begin(client_id="")["client_id"] == CLIENT_ID


@pytest.mark.parametrize("changes", [{"iss": "https://nobody.example"}, {"client_id": "nobody"}])
def test_a_platform_that_is_not_registered_is_refused(
    registration: Registration, changes: dict[str, str]
) -> None:
    with pytest.raises(errors.PlatformUnknown):
        begin(**changes)


@pytest.mark.parametrize("name", ["iss", "login_hint", "target_link_uri"])
def test_a_login_without_a_required_parameter_names_it(registration: Registration, name: str) -> None:
    with pytest.raises(errors.LaunchMalformed) as refused:
        begin(**{name: ""})

    assert refused.value.detail == name


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.example/lti/launch",
        PUBLIC_URL + "@elsewhere.example/lti/launch",
        PUBLIC_URL + ".elsewhere.example/lti/launch",
        PUBLIC_URL.replace("8700", "8701") + "/lti/launch",
        PUBLIC_URL.replace("http:", "https:") + "/lti/launch",
        PUBLIC_URL + "/lti/launch/../../verify",
        "//tool.localhost:8700/lti/launch",
        "javascript:alert(1)",
        "http://[::1/lti/launch",
    ],
)
def test_a_login_towards_any_other_address_is_refused(registration: Registration, target: str) -> None:
    with pytest.raises(errors.LaunchMalformed) as refused:
        begin(target_link_uri=target)

    assert refused.value.detail == "target_link_uri"


def test_two_logins_share_nothing(app: Flask, registration: Registration) -> None:
    first, second = begin(), begin()

    assert first["state"] != second["state"]
    assert first["nonce"] != second["nonce"]
