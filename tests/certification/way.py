"""A browser at the tool's door, and the schools that may send it there: all over HTTP, as a browser does it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti import platform_keys, registrations
from lti_tool.lti.models import Launch
from lti_tool.people.models import Account
from lti_tool.routes.refusals import PAGES
from tests.certification import corpus
from tests.certification.corpus import Base, Claims, Keys, Refusal, Sender
from tests.lti.platform_double import PUBLIC_URL, FakePlatform, Key
from tests.support.apps import copy_home, running

BASE = "https://tool.localhost:8700"
SENDERS = (corpus.MOODLE, corpus.CANVAS)
SECOND = replace(corpus.MOODLE, name="Second school", client_id="second")
"""Another tenant with the same issuer and the same keys."""


class Way:
    """A browser at the tool's door, and the two schools that may send it there."""

    def __init__(self, app: Flask, keys: Keys, platform: FakePlatform) -> None:
        self.app = app
        self.keys = keys
        self.platform = platform
        self.client: FlaskClient = app.test_client()

    @property
    def home(self) -> Path:
        """Where the application keeps everything; another process of it would share this."""
        home: Path = self.app.extensions["settings"].home
        return home

    def login(self, sender: Sender = corpus.MOODLE, **params: str) -> dict[str, str]:
        """Begin a login as the platform does; answers what it would see of it."""
        answer = self.client.post("/lti/login", data=login_params(sender, **params), base_url=BASE)
        assert answer.status_code == 302, answer.text
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.location).query).items()}

    def post(self, form: dict[str, str], client: FlaskClient | None = None) -> Any:
        return (client or self.client).post("/lti/launch", data=form, base_url=BASE)

    def visits(self) -> int:
        """How many visits were opened and how many people are known, together."""
        with self.app.app_context():
            return sum(
                db.session.scalar(select(func.count()).select_from(table)) or 0 for table in (Launch, Account)
            )

    def keys_of(self, sender: Sender) -> Keys:
        """Both platforms publish one key, each under an id as it writes them."""
        return Keys(Key(sender.kid, self.keys.registered.private), self.keys.stranger)

    def token(self, base: Base, begun: dict[str, str]) -> str:
        claims = corpus.good(base, nonce=begun["nonce"], now=clock.now())
        return corpus.signed(claims, self.keys_of(base.sender).registered)

    def person(self) -> "Way":
        """The same schools, and a browser of somebody else, which brings a cookie as this one does."""
        other = Way(self.app, self.keys, self.platform)
        other.login()
        return other

    def open(self, base: Base, change: Callable[[Claims], object] = lambda _: None) -> Any:
        """Login and launch in one; the answer to the launch."""
        begun = self.login(base.sender)
        claims = corpus.good(base, nonce=begun["nonce"], now=clock.now())
        change(claims)
        token = corpus.signed(claims, self.keys_of(base.sender).registered)
        return self.post({"id_token": token, "state": begun["state"]})

    def first_page(self, answer: Any) -> Any:
        return self.client.get(answer.location, base_url=BASE, follow_redirects=True)


def login_params(sender: Sender = corpus.MOODLE, **params: str) -> dict[str, str]:
    return {
        "iss": sender.issuer,
        "client_id": sender.client_id,
        "target_link_uri": PUBLIC_URL + "/lti/launch",
        **sender.login,
        **params,
    }


def refused_as(answer: Any, refusal: Refusal) -> None:
    """The page is the one of that refusal, and names the very claim or reason."""
    page = PAGES[refusal.kind]
    assert answer.status_code == page.status, answer.text
    assert f"<h1>{page.title}</h1>" in answer.text
    if refusal.detail is not None:
        said = re.search(r"page-head.*?</header>\s*(?:<p>(.*?)</p>)?", answer.text, re.DOTALL)
        assert said is not None
        assert (said[1] or "") == refusal.detail


@contextmanager
def open_door(template: Path, home: Path, key: Key, other_key: Key) -> Iterator[Way]:
    """An application that knows both schools and a second tenant of the one."""
    copy_home(template, home)
    platform_keys.forget_all()
    platform = FakePlatform()
    twins = [Key("twin", Key.make("x").private).jwk(alg="RS256") for _ in range(2)]
    published = [Key(sender.kid, key.private).jwk(alg="RS256", use="sig") for sender in SENDERS]
    platform.publish(*published, *twins, cache_control="max-age=3600")
    try:
        # A queue that nobody listens to: what a launch wakes is not tried here.
        with running(home, QUEUE_URL="") as app:
            with app.app_context():
                for sender in (*SENDERS, SECOND):
                    connect(sender, platform)
                db.session.commit()
            way = Way(app, Keys(key, other_key), platform)
            # From here on the browser brings its cookie, so that nobody waits for a platform's storage.
            way.login()
            yield way
    finally:
        platform.close()
        platform_keys.forget_all()


def connect(sender: Sender, platform: FakePlatform) -> None:
    """What an operator does with ``lti-tool platform add``; its keys and services are the double's."""
    registrations.add_platform(
        name=sender.name,
        product=sender.product,
        issuer=sender.issuer,
        client_id=sender.client_id,
        auth_url=f"{sender.issuer}/auth",
        token_url=platform.url + "/token",
        jwks_url=platform.url + "/jwks",
        deployment_ids=[sender.deployment_id],
        now=clock.now(),
    )
