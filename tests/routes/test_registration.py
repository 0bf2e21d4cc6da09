"""Dynamic registration, as the administrator of an LMS and as a stranger meet it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool import clock
from lti_tool.audit import AuditEvent
from lti_tool.database import db
from lti_tool.lti import approvals, invitations, registrations
from lti_tool.lti.models import Deployment, Invitation, Platform, Registration, Standing
from lti_tool.lti.platforms import behaviour
from lti_tool.lti.registrations import COMMAND_LINE
from lti_tool.lti.scopes import LINE_ITEMS, LINE_ITEMS_READ, NOTICES, RESULTS, ROSTER, SCORE
from tests.lti.platform_double import FakePlatform, Reply
from tests.routes.registering import CANVAS, PLATFORM, ROOT, TOKEN, TOOL, Registering, answering


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    double = FakePlatform()
    yield double
    double.close()


@pytest.fixture
def lms(app: Flask, platform: FakePlatform) -> Registering:
    return Registering(app, platform)


def only(app: Flask) -> dict[str, Any]:
    """The one registration that stands."""
    with app.app_context():
        row = db.session.scalars(select(Registration)).one()
        return {
            "id": row.id,
            "platform": row.platform.name,
            "product": row.platform.product,
            "issuer": row.issuer,
            "client_id": row.client_id,
            "audience": row.token_audience,
            "state": row.state,
            "requested": row.requested_scopes,
            "granted": row.granted_scopes,
            "deployments": list(db.session.scalars(select(Deployment.deployment_id))),
        }


def count(app: Flask, table: type = Registration) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(table)) or 0


def invitation(app: Flask, **more: Any) -> str:
    with app.app_context():
        code = invitations.invite(
            "Northfield", lasts=timedelta(days=1), by=COMMAND_LINE, now=clock.now(), **more
        )
        db.session.commit()
    return code


# What happens


def test_looking_at_the_page_registers_nothing_and_says_what_will_be_asked(app: Flask, lms: Registering):
    page = lms.as_moodle().open()

    assert page.status_code == 200
    assert "Nothing has been sent yet" in page.text
    assert "Send grades" in page.text
    assert lms.platform.url in page.text
    assert count(app) == 0
    assert [asked.path for asked in lms.platform.asked] == ["/openid-configuration"]
    assert lms.platform.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert f"frame-ancestors {lms.platform.url};" in page.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in page.headers


def test_a_moodle_is_asked_for_what_it_knows_and_waits_for_an_approval(app: Flask, lms: Registering):
    last = lms.as_moodle().register()

    assert "It waits for an approval" in last.text
    assert "Press Activate" in last.text
    assert "Show in activity chooser" in last.text
    assert lms.platform.url in last.headers["Content-Security-Policy"]
    [asked] = lms.platform.asked_at("/register")
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["Content-Type"] == "application/json"
    assert lms.sent["redirect_uris"] == ["http://tool.localhost:8700/lti/launch"]
    assert lms.sent["scope"].split() == [LINE_ITEMS, LINE_ITEMS_READ, RESULTS, SCORE, ROSTER]
    tool = lms.sent[TOOL]
    assert tool["domain"] == "tool.localhost:8700"
    assert {"name", "email"} <= set(tool["claims"])
    assert tool["custom_parameters"] == {
        "context_history": "$Context.id.history",
        "person_sis": "$Person.sourcedId",
        "section_sis": "$CourseSection.sourcedId",
    }
    assert [message["type"] for message in tool["messages"]] == ["LtiDeepLinkingRequest"]
    assert only(app) == {
        "id": 1,
        "platform": lms.platform.url.removeprefix("http://"),
        "product": "moodle",
        "issuer": lms.platform.url,
        "client_id": "LobiiicSKDGiYVl",
        "audience": None,
        "state": Standing.PENDING,
        "requested": [LINE_ITEMS, LINE_ITEMS_READ, RESULTS, SCORE, ROSTER],
        "granted": [LINE_ITEMS, LINE_ITEMS_READ, RESULTS, SCORE, ROSTER],
        "deployments": ["1"],
    }


def test_a_canvas_is_asked_with_its_placements_privacy_level_and_term_and_may_grant_less(
    app: Flask, lms: Registering
):
    last = lms.as_canvas().register()

    assert "10000000000042" in last.text
    assert "press Enable" in last.text
    tool = lms.sent[TOOL]
    assert tool[f"{CANVAS}privacy_level"] == "public"
    assert tool["custom_parameters"]["term_name"] == "$Canvas.term.name"
    assert tool["custom_parameters"]["context_history"] == "$Context.id.history"
    picker, desk = tool["messages"]
    assert picker["placements"] == ["assignment_selection", "link_selection"]
    assert (desk["placements"], desk[f"{CANVAS}visibility"]) == (["account_navigation"], "admins")
    assert lms.sent["scope"].split() == [LINE_ITEMS, SCORE, NOTICES]
    found = only(app)
    assert found["platform"] == "Northfield University"
    assert (found["client_id"], found["audience"]) == ("10000000000042", None)
    assert (found["granted"], found["deployments"]) == ([], [])


def test_a_platform_that_lists_its_messages_as_bare_names_is_understood(app: Flask, lms: Registering):
    lms.as_moodle()
    lms.configuration[PLATFORM]["messages_supported"] = ["LtiResourceLinkRequest", "LtiDeepLinkingRequest"]
    lms.configuration[PLATFORM]["product_family_code"] = "blackbird"
    lms.reply = Reply(201, {"client_id": "b1"})

    last = lms.register()

    assert "Add Tessera to the places" in last.text
    assert [message["type"] for message in lms.sent[TOOL]["messages"]] == ["LtiDeepLinkingRequest"]
    assert only(app)["product"] == "other"


def test_an_invitation_opens_the_door_once(app: Flask, lms: Registering):
    code = invitation(app)
    lms.as_moodle()

    assert "Your invitation is valid" in lms.open(invitation=code).text
    assert "Approved" in lms.register(invitation=code).text
    assert only(app)["state"] == Standing.ACTIVE
    lms.reply = Reply(body={"client_id": "second"})
    assert "cannot be used any more" in lms.open(invitation=code).text
    assert "It waits for an approval" in lms.register(invitation=code).text
    with app.app_context():
        assert db.session.scalars(select(Invitation.registration_id)).one() == 1
        told = db.session.scalars(
            select(AuditEvent).where(AuditEvent.action == "registration approved")
        ).one()
        assert told.details == {"via": "invitation 1"}


def test_an_invitation_to_join_a_platform_works_for_the_same_lms_only(app: Flask, lms: Registering):
    lms.as_moodle().register(invitation=invitation(app))
    first = only(app)["id"]
    code = invitation(app, platform_id=1)
    lms.reply = Reply(body={"client_id": "second"})
    lms.register(invitation=code)
    elsewhere = invitation(app, platform_id=1)
    lms.configuration[PLATFORM]["product_family_code"] = "canvas"
    lms.reply = Reply(body={"client_id": "third"})
    lms.register(invitation=elsewhere)

    with app.app_context():
        rows = db.session.scalars(select(Registration).order_by(Registration.id)).all()
        assert [(row.client_id, row.platform_id, row.state) for row in rows] == [
            ("LobiiicSKDGiYVl", first, Standing.ACTIVE),
            ("second", first, Standing.ACTIVE),
            ("third", rows[2].platform_id, Standing.PENDING),
        ]
        assert rows[2].platform_id != first
        assert db.session.scalar(select(func.count()).select_from(Platform)) == 2


# What must never happen


def test_a_second_registration_never_changes_one_that_stands(app: Flask, lms: Registering):
    lms.as_moodle().register()
    before = only(app)
    lms.configuration["jwks_uri"] = f"{lms.platform.url}/other-keys"

    answer = lms.press(lms.open())

    assert answer.status_code == 409
    assert "connected already" in answer.text
    assert only(app) == before


def test_a_new_platform_takes_nobodys_name(app: Flask, lms: Registering):
    lms.as_canvas().register()
    lms.reply = Reply(body={"client_id": "2"})
    lms.register()

    with app.app_context():
        names = list(db.session.scalars(select(Platform.name)))
    assert names[0] == "Northfield University"
    assert len(set(names)) == 2


def test_nobody_comes_in_before_the_approval_and_afterwards_they_do(app: Flask, lms: Registering):
    lms.as_moodle().register()
    begin = {
        "iss": lms.platform.url,
        "client_id": "LobiiicSKDGiYVl",
        "login_hint": "3",
        "target_link_uri": "http://tool.localhost:8700/lti/launch",
    }
    client = app.test_client()

    refused = client.post("/lti/login", data=begin, base_url=ROOT)
    with app.app_context():
        found = registrations.find(lms.platform.url, "LobiiicSKDGiYVl")
        approvals.approve(found, by=COMMAND_LINE, now=clock.now())
        db.session.commit()
    onward = client.post("/lti/login", data=begin, base_url=ROOT)

    assert refused.status_code == 403
    assert "waiting to be approved" in refused.text
    assert "lti-tool platform approve" in refused.text
    assert onward.headers["Location"].startswith(f"{lms.platform.url}/mod/lti/auth.php?")


def test_a_client_id_that_waits_does_not_shut_out_a_platform_that_names_none(app: Flask, lms: Registering):
    lms.as_moodle().register()
    begin = {
        "iss": lms.platform.url,
        "login_hint": "3",
        "target_link_uri": "http://tool.localhost:8700/lti/launch",
    }
    waiting = app.test_client().post("/lti/login", data=begin, base_url=ROOT)
    with app.app_context():
        first = registrations.find(lms.platform.url, "LobiiicSKDGiYVl")
        approvals.approve(first, by=COMMAND_LINE, now=clock.now())
        db.session.commit()
    lms.reply = Reply(body={"client_id": "a-second-one"})
    lms.register()

    onward = app.test_client().post("/lti/login", data=begin, base_url=ROOT)

    assert waiting.status_code == 403
    assert "waiting to be approved" in waiting.text
    assert "client_id=LobiiicSKDGiYVl" in onward.headers["Location"]
    with app.app_context():
        second = registrations.find(lms.platform.url, "a-second-one")
        approvals.approve(second, by=COMMAND_LINE, now=clock.now())
        db.session.commit()
    assert app.test_client().post("/lti/login", data=begin, base_url=ROOT).status_code == 400


@pytest.mark.parametrize("bare", [False, True])
def test_a_platform_may_name_itself_as_the_audience_of_our_signature(
    app: Flask, lms: Registering, bare: bool
):
    name = lms.platform.url.removeprefix("http://") if bare else f"{lms.platform.url}/oauth2/token"
    lms.as_moodle().configuration |= {"authorization_server": name}

    lms.register()

    assert only(app)["audience"] == name


@pytest.mark.parametrize("code", [{}, [], 7, None])
def test_a_platform_whose_product_is_no_word_is_one_of_another_kind(app: Flask, lms: Registering, code: Any):
    lms.as_moodle().configuration[PLATFORM]["product_family_code"] = code

    lms.register()

    assert only(app)["product"] == "other"


BAD_CONFIGURATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "another server's issuer": ({"issuer": "https://moodle.example.edu"}, "cannot speak"),
    "the issuer of all of Canvas": ({"issuer": "https://canvas.instructure.com"}, "cannot speak"),
    "no issuer": ({"issuer": None}, "does not say its issuer"),
    "an endpoint without TLS": ({"token_endpoint": "http://lms.example.edu/token"}, "token_endpoint"),
    "an endpoint inside": ({"jwks_uri": "https://10.0.0.7/jwks"}, "jwks_uri"),
    "an endpoint on the very machine": (
        {"registration_endpoint": "https://localhost/x"},
        "registration_endpoint",
    ),
    "a script for an address": ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
    "no RS256": ({"id_token_signing_alg_values_supported": ["HS256"]}, "RS256"),
    "passwords for tokens": (
        {"token_endpoint_auth_methods_supported": ["client_secret_post"]},
        "private_key_jwt",
    ),
    "another school as the audience of our signature": (
        {"authorization_server": "https://canvas.example.edu/login/oauth2/token"},
        "authorization_server is on another host",
    ),
    "another school's bare host as that audience": (
        {"authorization_server": "canvas.example.edu"},
        "authorization_server is on another host",
    ),
    "an audience that only looks like the platform": (
        {"authorization_server": "https://[bad/x"},
        "authorization_server is on another host",
    ),
    "no address at all": ({"jwks_uri": "https://[bad/x"}, "jwks_uri"),
    "endless words": ({"jwks_uri": "https://lms.example.edu/" + "a" * 3000}, "jwks_uri"),
}


@pytest.mark.parametrize("what", BAD_CONFIGURATIONS)
def test_a_configuration_that_cannot_be_believed_is_refused_before_anything_is_sent(
    app: Flask, lms: Registering, what: str
):
    change, words = BAD_CONFIGURATIONS[what]
    lms.as_moodle().configuration |= change

    page = lms.open()

    assert page.status_code == 400
    assert words in page.text
    assert "<form" not in page.text
    assert lms.platform.asked_at("/register") == []
    assert count(app) == 0


@pytest.mark.parametrize(
    "address",
    [
        "", "http://169.254.169.254/latest", "https://10.1.2.3/openid", "https://localhost/x", "file:///etc/passwd",
        "https://user@moodle.example.edu/x", "http://moodle.example.edu/x",
    ],
)  # fmt: skip
def test_an_address_that_a_stranger_may_not_make_us_call_is_not_called(
    app: Flask, lms: Registering, address: str
):
    page = lms.as_moodle().open(openid_configuration=address)

    assert page.status_code == 400
    assert "cannot be registered from this link" in page.text
    assert lms.platform.asked == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Reply(404), "status 404"),
        (Reply(302, headers={"Location": "http://169.254.169.254/"}), "status 302"),
        (Reply(body=b"<html>"), "not a configuration"),
        (Reply(body=b"[" * 100_000), "not a configuration"),
        (Reply(body=b" " * 1_100_000), "too large"),
    ],
)
def test_an_answer_that_is_no_configuration_is_told_as_such(lms: Registering, answer: Reply, words: str):
    lms.platform.answers[lms.config_path] = lambda _: answer

    assert words in lms.open().text


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"error": "token_already_used"}, "has been used already"),
        (
            401,
            {"errorMessage": "JWT did not include expected contents"},
            "does not accept the registration link",
        ),
        (422, {"errors": ["<script>"]}, "refused the registration (status 422)"),
        (200, b"<html>", "not a registration"),
        (200, {"client_id": ""}, "under which client id"),
        (200, {"client_id": "\x00"}, "under which client id"),
    ],
)
def test_a_refusal_of_the_platform_is_told_with_what_to_do_and_nothing_is_stored(
    app: Flask, lms: Registering, status: int, body: Any, words: str
):
    code = invitation(app)
    page = lms.as_moodle().open(invitation=code)
    lms.platform.answers["/register"] = answering(status, body)

    answer = lms.press(page)

    assert answer.status_code == 502
    assert words in answer.text
    assert "&lt;script&gt;" not in answer.text
    assert count(app) == count(app, Platform) == 0
    assert "Your invitation is valid" in lms.open(invitation=code).text


def test_a_button_that_is_not_ours_or_too_old_sends_nothing(app: Flask, lms: Registering):
    lms.as_moodle()

    for ticket in ("", "forged", "WyJhIl0.aaaa.bbbb"):
        answer = lms.client.post("/lti/register", data={"ticket": ticket}, base_url=ROOT)
        assert answer.status_code == 400
        assert "open for too long" in answer.text
    assert lms.client.get("/lti/registered/forged", base_url=ROOT).status_code == 400
    assert lms.platform.asked == []


def test_strangers_fill_the_waiting_room_only_so_far_and_the_invited_pass(app: Flask, lms: Registering):
    lms.as_moodle()
    with app.app_context():
        for number in range(50):
            row = registrations.add_platform(
                name=f"Stranger {number}",
                product="other",
                issuer="https://stranger.example",
                client_id=str(number),
                auth_url="https://stranger.example/a",
                token_url="https://stranger.example/t",
                jwks_url="https://stranger.example/j",
                now=clock.now(),
            )
            row.state = Standing.PENDING
        db.session.commit()

    assert lms.press(lms.open()).status_code == 503
    assert "Approved" in lms.register(invitation=invitation(app)).text


def test_the_account_host_of_hosted_canvas_speaks_for_its_issuer_and_nobody_else_does():
    canvas = behaviour("canvas")
    issuer = "https://canvas.instructure.com"

    for good in ("https://northfield.instructure.com/x", "https://sso.canvaslms.com/x"):
        assert canvas.speaks_for(issuer, good)
    for bad in (
        "https://instructure.com.evil.example/x",
        "https://evilinstructure.com/x",
        "http://northfield.instructure.com/x",
    ):
        assert not canvas.speaks_for(issuer, bad)
    assert not canvas.speaks_for("https://moodle.example.edu", "https://northfield.instructure.com/x")
    assert not behaviour("moodle").speaks_for(issuer, "https://northfield.instructure.com/x")


# By hand


def test_the_developer_key_of_canvas_is_served_with_everything_that_dynamic_registration_asks_for(app: Flask):
    served = app.test_client().get("/lti/canvas.json", base_url=ROOT).json

    assert served is not None
    assert served["oidc_initiation_url"] == "http://tool.localhost:8700/lti/login"
    assert set(served["scopes"]) == {LINE_ITEMS, LINE_ITEMS_READ, RESULTS, SCORE, ROSTER, NOTICES}
    assert served["custom_fields"]["term_name"] == "$Canvas.term.name"
    [extension] = served["extensions"]
    assert (extension["domain"], extension["privacy_level"]) == ("tool.localhost:8700", "public")
    placements = {one["placement"]: one for one in extension["settings"]["placements"]}
    assert placements["assignment_selection"]["message_type"] == "LtiDeepLinkingRequest"
    assert placements["account_navigation"]["visibility"] == "admins"
