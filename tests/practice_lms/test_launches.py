import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
import requests

from lti_tool.practice_lms import sign

from .helpers import AGS, CLAIM, LAUNCH_URL, Browser, Tool, line_item

RECORDED = Path(__file__).parent.parent / "fixtures" / "moodle-4.5"
INSTITUTION_ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def moodle_claims(file: str) -> dict:
    recorded = json.loads((RECORDED / file).read_text())
    return recorded.get("claims", recorded)


def test_a_launch_tells_who_came_from_where(lms, tool):
    activity = tool.add("Universal design")

    claims = Browser(lms).become("Lena Brandt").launch(f"/frame/activity/{activity['number']}")

    assert claims["iss"] == lms.url
    assert claims["name"] == "Lena Brandt"
    assert claims[f"{CLAIM}target_link_uri"] == f"{LAUNCH_URL}?credential=udl"
    assert claims[f"{CLAIM}custom"]["credential"] == "udl"
    assert claims[f"{CLAIM}resource_link"]["title"] == "Universal design"
    assert claims[f"{AGS}claim/endpoint"]["lineitem"].startswith(lms.service_url)


def test_the_people_and_the_course_stay_the_same_after_a_restart(start):
    first = start("canvas")
    before = Tool(first, Browser(first).become("Ingrid Okafor")).add()
    first.close()

    second = start("canvas")
    after = Browser(second).become("Ingrid Okafor").launch(f"/frame/activity/{before['number']}")

    assert after["sub"] == before["sub"]
    assert after[f"{CLAIM}context"] == before[f"{CLAIM}context"]
    assert after[f"{CLAIM}resource_link"] == before[f"{CLAIM}resource_link"]


def test_moodle_sends_the_claims_that_were_recorded_but_for_the_services_it_has_not(moodle):
    teacher = Browser(moodle).become("Ingrid Okafor")
    activity = Tool(moodle, teacher).add()
    recorded = moodle_claims("launch-learner.json")

    claims = Browser(moodle).become("Lena Brandt").launch(f"/frame/activity/{activity['number']}")

    absent = {
        "https://purl.imsglobal.org/spec/lti-bo/claim/basicoutcome",
    }
    assert set(recorded) - set(claims) == absent
    assert set(claims) <= set(recorded)
    assert claims["exp"] == claims["iat"] + 60
    for nested in ("context", "resource_link", "lis", "ext", "tool_platform", "launch_presentation"):
        assert set(claims[CLAIM + nested]) == set(recorded[CLAIM + nested])


def test_moodle_sends_the_login_fields_and_the_administrators_roles_that_were_recorded(moodle):
    recorded = json.loads((RECORDED / "login-initiation.json").read_text())
    administrator = Browser(moodle).become("Ada Whitfield")

    login = administrator.login("/frame/administration")

    assert set(login) == set(recorded["resource_link_learner"])
    assert set(json.loads(login["lti_message_hint"])) == {"cmid", "launchid"}
    claims = administrator.launch("/frame/administration")
    assert claims[f"{CLAIM}roles"] == moodle_claims("claims-site-admin.json")[f"{CLAIM}roles"]


def test_canvas_sends_a_long_hint_and_never_the_sub_at_login(canvas):
    teacher = Browser(canvas).become("Ingrid Okafor")

    login = teacher.login("/frame/add")

    assert len(login["lti_message_hint"]) > 500
    assert login["login_hint"] != teacher.launch("/frame/add")["sub"]
    assert {"canvas_region", "canvas_environment", "lti_deployment_id"} <= set(login)


def test_canvas_posts_form_fields_that_are_not_lti(canvas):
    teacher = Browser(canvas).become("Ingrid Okafor")

    answer = teacher.answer(teacher.login("/frame/add"))

    assert {"utf8", "authenticity_token", "id_token", "state", "lti_storage_target"} == set(answer)


def test_canvas_offers_to_keep_data_except_in_its_mobile_apps(start):
    in_app = Browser(start("canvas", storage=False)).become("Ingrid Okafor")

    login = in_app.login("/frame/add")

    assert "lti_storage_target" not in login
    assert "lti_storage_target" not in in_app.answer(login)
    assert "post_message_forwarding" not in in_app.get("/course/add").text


def test_canvas_logs_in_at_a_host_that_is_neither_the_issuer_s_nor_the_school_s(canvas):
    assert canvas.registration["auth_url"].startswith(canvas.url.replace("//", "//sso."))
    teacher = Browser(canvas).become("Ingrid Okafor")
    login = teacher.login("/frame/add")

    answer = teacher.session.get(
        f"{canvas.service_url}/api/lti/authorize_redirect",
        params={"lti_message_hint": login["lti_message_hint"]},
        allow_redirects=False,
        timeout=10,
    )

    assert answer.headers["Location"].startswith(f"{canvas.url}/auth?lti_message_hint=")


def test_canvas_leaves_what_it_cannot_substitute_as_it_is(canvas):
    claims = Tool(canvas, Browser(canvas).become("Ingrid Okafor")).add()

    custom = claims[f"{CLAIM}custom"]

    assert custom["term_name"] == "Fall 2026"
    assert custom["context_history"] == ""
    assert custom["due_at"] == "$ResourceLink.submission.endDateTime"


def test_canvas_opens_the_account_without_a_course_a_grade_service_or_a_course_role(canvas):
    claims = Browser(canvas).become("Ada Whitfield").launch("/frame/administration")

    assert claims[f"{CLAIM}resource_link"]["id"] == claims[f"{CLAIM}context"]["id"]
    assert f"{AGS}claim/endpoint" not in claims
    assert INSTITUTION_ADMINISTRATOR in claims[f"{CLAIM}roles"]
    assert not [role for role in claims[f"{CLAIM}roles"] if "membership" in role]


def test_canvas_dates_the_token_when_the_login_began(start):
    clock = Clock()
    lms = start("canvas", clock=clock)
    teacher = Browser(lms).become("Ingrid Okafor")
    login = teacher.login("/frame/add")
    began = int(clock.now.timestamp())

    clock.now += timedelta(minutes=4)
    claims = jwt.decode(teacher.answer(login)["id_token"], options={"verify_signature": False})

    assert claims["iat"] == began


def test_a_launch_serves_one_id_token(lms, teacher):
    login = teacher.login("/frame/add")
    teacher.answer(login)

    second = teacher.answer(login)

    assert "id_token" not in second
    assert second["error"] == (
        "launch_no_longer_valid" if lms.config.behaviour == "canvas" else "invalid_request"
    )


def test_canvas_shows_a_page_for_a_hint_older_than_five_minutes(start):
    clock = Clock()
    lms = start("canvas", clock=clock)
    teacher = Browser(lms).become("Ingrid Okafor")
    login = teacher.login("/frame/add")

    clock.now += timedelta(minutes=6)
    page = teacher.authorize(login)

    assert page.status_code == 400
    assert "Invalid lti_message_hint" in page.text


def test_an_unregistered_redirect_uri_gets_a_page_and_no_token(lms, teacher):
    page = teacher.authorize(
        teacher.login("/frame/add"), redirect_uri="http://elsewhere.localhost/lti/launch"
    )

    assert page.status_code == 400
    assert "id_token" not in page.text
    assert "Invalid redirect_uri" in page.text


def test_a_changed_hint_gets_a_page(lms, teacher):
    page = teacher.authorize(teacher.login("/frame/add"), lti_message_hint="something else")

    assert page.status_code == 400


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"nonce": None}, "invalid_request_object", "The following parameters are missing: nonce"),
        (
            {"nonce": None, "prompt": None},
            "invalid_request_object",
            "The following parameters are missing: nonce,prompt",
        ),
        ({"scope": "openid profile"}, "invalid_request_object", "The 'scope' must be 'openid'"),
        ({"login_hint": "someone-else"}, "login_required", "Must have an active user session"),
        ({"client_id": "1"}, "unauthorized_client", "Client not authorized in requested context"),
        (
            {"client_id": "1", "scope": "x"},
            "unauthorized_client",
            "Client not authorized in requested context",
        ),
    ],
)
def test_canvas_posts_the_last_failed_check_to_the_tool(canvas, changes, error, description):
    teacher = Browser(canvas).become("Ingrid Okafor")

    answer = teacher.answer(teacher.login("/frame/add"), **changes)

    assert answer == {"error": error, "error_description": description, "state": "the-state"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"nonce": None}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"response_type": "code"}, "unsupported_response_type"),
        ({"client_id": "1"}, "unauthorized_client"),
        ({"login_hint": "7"}, "access_denied"),
        ({"response_mode": "query"}, "invalid_request"),
    ],
)
def test_moodle_posts_the_first_failed_check_to_the_tool(moodle, changes, error):
    teacher = Browser(moodle).become("Ingrid Okafor")

    answer = teacher.answer(teacher.login("/frame/add"), **changes)

    assert answer["error"] == error
    assert "id_token" not in answer


def test_without_its_cookie_the_lms_asks_the_browser_again_and_then_gives_up(lms, teacher):
    login = teacher.login("/frame/add")
    stranger = Browser(lms)

    first = stranger.answer(login)
    second = stranger.get(
        f"/auth?retried=true&redirect_uri={LAUNCH_URL}&lti_message_hint={first['lti_message_hint']}"
    )

    assert first["retried"] == "true"
    assert second.status_code == 401


def test_a_launch_begun_as_one_person_is_not_finished_as_another(lms, teacher):
    login = teacher.login("/frame/add")
    teacher.become("Lena Brandt")

    answer = teacher.answer(login)

    assert answer["error"] == ("login_required" if lms.config.behaviour == "canvas" else "access_denied")


def test_the_published_keys_verify_what_the_test_helper_signs(lms):
    token = sign(lms, {"hello": "tool"}, {"typ": "JWT"})

    keys = jwt.PyJWKSet.from_dict(requests.get(f"{lms.service_url}/jwks", timeout=10).json())
    header = jwt.get_unverified_header(token)

    assert jwt.decode(token, keys[header["kid"]].key, ["RS256"]) == {"hello": "tool"}


def test_a_signed_header_can_be_made_wrong_on_purpose(lms):
    token = sign(lms, {}, {"kid": "unknown"})

    assert jwt.get_unverified_header(token)["kid"] == "unknown"


def test_both_host_names_are_served(lms):
    page = requests.get(f"{lms.service_url}/", headers={"Host": lms.url.removeprefix("http://")}, timeout=10)

    assert page.status_code == 200
    assert lms.registration["issuer"] == lms.url
    assert line_item({f"{AGS}claim/endpoint": {"lineitem": lms.registration["token_url"]}}).startswith(
        lms.service_url
    )


def test_a_canvas_learner_who_teaches_elsewhere_is_still_only_a_learner_in_the_course(canvas):
    activity = Tool(canvas, Browser(canvas).become("Ingrid Okafor")).add()

    roles = (
        Browser(canvas).become("Aiko Tanaka").launch(f"/frame/activity/{activity['number']}")[f"{CLAIM}roles"]
    )

    assert [role.rsplit("#")[1] for role in roles if "membership" in role] == ["Learner"]
    assert "Instructor" in {role.rsplit("#")[1] for role in roles}
