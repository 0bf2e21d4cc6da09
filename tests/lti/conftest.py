"""A platform over HTTP, and a browser's way through login and launch."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from lti_tool.database import db
from lti_tool.lti import keys, launch, login, platform_keys, registrations, sessions, tokens
from lti_tool.lti.claims import LaunchMessage
from lti_tool.lti.models import Launch, Registration
from tests.lti.platform_double import CLIENT_ID, ISSUER, LTI, PUBLIC_URL, FakePlatform, Key, fresh, sign

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
RECORDINGS = Path(__file__).parents[1] / "fixtures" / "moodle-4.5"


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def app(app: Flask) -> Iterator[Flask]:
    """The application of every test, entered: services are called here without a request around them."""
    with app.app_context():
        yield app


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    platform_keys.forget_all()
    platform = FakePlatform()
    yield platform
    platform.close()


@pytest.fixture(scope="session")
def key() -> Key:
    return Key.make("0eabbc8bc3d143a7780c")


@pytest.fixture(scope="session")
def other_key() -> Key:
    return Key.make("another")


@pytest.fixture
def registration(app: Flask, platform: FakePlatform, key: Key) -> Registration:
    """The recorded Moodle, whose keys and services are the double's."""
    platform.publish(key.jwk(alg="RS256", use="sig"))
    row = registrations.add_platform(
        name="Moodle",
        product="moodle",
        issuer=ISSUER,
        client_id=CLIENT_ID,
        auth_url="http://moodle.localhost:8080/mod/lti/auth.php",
        token_url=platform.url + "/token",
        jwks_url=platform.url + "/jwks",
        deployment_ids=["1"],
        now=NOW,
    )
    db.session.commit()
    return row


@pytest.fixture
def learner_claims() -> dict[str, Any]:
    return recorded("launch-learner.json")


def recorded(name: str) -> dict[str, Any]:
    """The claims of a recorded launch."""
    document = json.loads((RECORDINGS / name).read_text(encoding="utf-8"))
    claims: dict[str, Any] = document.get("claims", document)
    return claims


@dataclass
class Login:
    """A login on its way: what the platform would see of it."""

    state: str
    nonce: str
    browser: str


@dataclass
class Door:
    """A browser's way through the LTI door, with every step open to a test."""

    key: Key
    browser: str = "browser-one"
    now: datetime = NOW

    def login(self, **params: str) -> Login:
        """Begin a login, as the recorded Moodle does."""
        given = {
            "iss": ISSUER,
            "client_id": CLIENT_ID,
            "target_link_uri": PUBLIC_URL + "/lti/launch",
            "login_hint": "5",
            "lti_message_hint": '{"cmid":1,"launchid":"ltilaunch1_771053661"}',
            "lti_deployment_id": "1",
            **params,
        }
        onward = login.begin(given, browser=self.browser, now=self.now)
        db.session.commit()
        query = parse_qs(urlsplit(onward.url).query)
        return Login(onward.state, query["nonce"][0], self.browser)

    def post(
        self,
        claims: Mapping[str, Any],
        begun: Login,
        *,
        key: Key | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> tuple[Launch, LaunchMessage]:
        """Post these very claims for that login; rolls back when refused, as the application does."""
        return self.post_token(sign(claims, key or self.key, header), begun)

    def post_token(self, token: str, begun: Login) -> tuple[Launch, LaunchMessage]:
        try:
            opened = launch.receive(
                {"id_token": token, "state": begun.state}, browser=begun.browser, now=self.now
            )
            sessions.keep(opened[0])
        except Exception:
            db.session.rollback()
            raise
        db.session.commit()
        return opened

    def launch(
        self, claims: Mapping[str, Any], change: Callable[[dict[str, Any]], object] | None = None
    ) -> tuple[Launch, LaunchMessage]:
        """Login and launch in one, with one thing about the message changed."""
        begun = self.login()
        message = fresh(claims, nonce=begun.nonce, now=self.now)
        if change is not None:
            change(message)
        return self.post(message, begun)


@pytest.fixture
def door(registration: Registration, key: Key) -> Door:
    return Door(key)


@pytest.fixture(autouse=True)
def _as_a_new_process() -> None:
    platform_keys.forget_all()
    keys._kept.clear()
    tokens._asking.clear()


__all__ = ["LTI", "NOW", "Door", "Login", "recorded"]
