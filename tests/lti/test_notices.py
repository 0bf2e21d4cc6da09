"""Notices of course copies: asking for them, and taking in only what the platform signed, once."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti import notices
from lti_tool.lti.models import Deployment, Notice, NoticeHandler, Registration
from lti_tool.people.models import CourseOrigin
from tests.lti.conftest import NOW
from tests.lti.platform_double import CLIENT_ID, ISSUER, LTI, PUBLIC_URL, FakePlatform, Key, Reply, sign

HANDLERS = "/api/lti/notice-handlers/106"


def notice(**changes: Any) -> dict[str, Any]:
    """A notice as Canvas documents it; None takes a claim away."""
    now = int(clock.now().timestamp())
    claims = {
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "azp": CLIENT_ID,
        "iat": now,
        "exp": now + 3600,
        "nonce": "2d220edf-2f1c-4be4-b38e-ec80b1c6749d",
        LTI + "version": "1.3.0",
        LTI + "deployment_id": "1",
        LTI + "notice": {
            "id": "7a70e604-5b2e-4013-b628-4806228999f1",
            "timestamp": "2025-03-19T11:24:25Z",
            "type": "LtiContextCopyNotice",
        },
        LTI + "context": {"id": "copy", "label": "zzz", "title": "zzz"},
        LTI + "origin_contexts": ["original"],
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


@pytest.fixture
def post(app: Flask, registration: Registration, key: Key) -> Callable[..., TestResponse]:
    client: FlaskClient = app.test_client()

    def _post(*messages: dict[str, Any], key: Key = key, **header: Any) -> TestResponse:
        body = {"notices": [{"jwt": sign(message, key, header)} for message in messages]}
        return client.post("/lti/notices", json=body, base_url="https://tool.localhost")

    return _post


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"notices":' * 10_000, b"", b"\xff", b"7"])
def test_a_post_that_is_no_list_of_notices_is_refused(app: Flask, body: bytes) -> None:
    answer = app.test_client().post("/lti/notices", data=body, base_url="https://tool.localhost")

    assert answer.status_code == 400


def origins() -> list[tuple[str, str]]:
    return [(row.context_id, row.origin_context_id) for row in db.session.scalars(select(CourseOrigin))]


def test_a_notice_tells_which_course_was_copied_from_which(post: Callable[..., TestResponse]) -> None:
    assert post(notice()).status_code == 204
    assert origins() == [("copy", "original")]


def test_a_notice_that_comes_again_counts_once(post: Callable[..., TestResponse]) -> None:
    first, again = post(notice()), post(notice(**{LTI + "origin_contexts": ["another"]}))

    assert (first.status_code, again.status_code) == (204, 204)
    assert origins() == [("copy", "original")]


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another client"},
        {"iss": "https://elsewhere.example"},
        {"aud": [CLIENT_ID, "other"], "azp": "other"},
        {"exp": None},
        {"iat": None},
        {"iat": 1_000_000_000},
        {"exp": 1_000_000_000},
        {LTI + "version": "1.1"},
        {LTI + "deployment_id": "2"},
        {LTI + "notice": None},
        {LTI + "notice": {"id": "", "type": "LtiContextCopyNotice"}},
        {LTI + "notice": {"id": "x", "type": 7}},
    ],
)
def test_a_notice_that_is_not_for_us_or_not_whole_is_refused(
    post: Callable[..., TestResponse], changes: dict[str, Any]
) -> None:
    assert 400 <= post(notice(**changes)).status_code < 500
    assert origins() == []


def test_a_notice_with_another_key_or_without_a_known_one_is_refused(
    post: Callable[..., TestResponse], key: Key, other_key: Key
) -> None:
    forged = post(notice(), key=Key(key.kid, other_key.private))
    unknown = post(notice(), key=other_key)
    critical = post(notice(), crit=["exp"])

    assert {forged.status_code, unknown.status_code, critical.status_code} == {400}
    assert origins() == []


def test_one_bad_notice_spoils_no_other(post: Callable[..., TestResponse]) -> None:
    answer = post(notice(exp=1), notice())

    assert answer.status_code == 400
    assert origins() == [("copy", "original")]


@pytest.mark.parametrize(
    "changes",
    [
        {LTI + "notice": {"id": "h", "type": "LtiHelloWorldNotice"}, LTI + "context": None},
        {LTI + "notice": {"id": "f", "type": "SomethingNew"}},
        {LTI + "origin_contexts": None},
        {LTI + "origin_contexts": "original"},
        {LTI + "origin_contexts": [None, 7, {}]},
        {LTI + "context": None},
    ],
)
def test_a_notice_that_tells_nothing_of_use_is_fine(
    post: Callable[..., TestResponse], changes: dict[str, Any]
) -> None:
    assert post(notice(**changes)).status_code == 204
    assert origins() == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"notices": 1}', b'{"notices": [1]}', b'{"notices": [{"jwt": 5}]}', b"x" * 300_000],
)
def test_what_is_no_list_of_notices_is_refused(app: Flask, registration: Registration, body: bytes) -> None:
    answer = app.test_client().post("/lti/notices", data=body, base_url="https://tool.localhost")

    assert 400 <= answer.status_code < 500


def test_notices_are_forgotten_when_they_could_not_come_again(post: Callable[..., TestResponse]) -> None:
    post(notice())

    soon, later = notices.sweep(clock.now()), notices.sweep(clock.now() + timedelta(hours=2))

    assert (soon, later) == (0, 1)
    assert db.session.scalar(select(func.count()).select_from(Notice)) == 0


@pytest.fixture
def deployment(registration: Registration) -> int:
    return db.session.scalars(select(Deployment.id)).one()


def ask(at: timedelta = timedelta()) -> int:
    [registration_id] = db.session.scalars(select(Registration.id))
    return notices.ask_due(registration_id, now_fn=lambda: NOW + at)


def test_a_platform_that_can_send_notices_is_asked_to_once(deployment: int, platform: FakePlatform) -> None:
    platform.answers[HANDLERS] = lambda _: Reply(body={})

    assert notices.note(deployment, platform.url + HANDLERS, now=NOW)
    assert (ask(), ask()) == (1, 0)
    assert not notices.note(deployment, platform.url + HANDLERS, now=NOW + timedelta(days=1))

    [asked] = platform.asked_at(HANDLERS)
    assert (asked.method, asked.headers["Content-Type"]) == ("PUT", "application/json")
    assert json.loads(asked.body) == {
        "notice_type": "LtiContextCopyNotice",
        "handler": f"{PUBLIC_URL}/lti/notices",
    }
    [token] = platform.asked_at("/token")
    assert token.form["scope"] == "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
    assert db.session.get_one(NoticeHandler, deployment).registered_at == NOW


def test_one_that_is_busy_is_asked_again_and_one_that_says_no_is_let_be(
    deployment: int, platform: FakePlatform
) -> None:
    notices.note(deployment, platform.url + HANDLERS, now=NOW)
    platform.answers[HANDLERS] = lambda _: Reply(503)
    busy = (ask(), ask(timedelta(seconds=30)))
    platform.answers[HANDLERS] = lambda _: Reply(400)
    refused = (ask(timedelta(minutes=2)), ask(timedelta(days=3)))

    assert (busy, refused) == ((1, 0), (1, 0))
    row = db.session.get_one(NoticeHandler, deployment)
    assert row.problem == "The platform does not send notices of course copies (status 400)."
    assert notices.note(deployment, platform.url + "/elsewhere", now=NOW)


def test_a_platform_without_notices_is_not_asked(deployment: int) -> None:
    assert not notices.note(deployment, None, now=NOW)
    assert ask() == 0
