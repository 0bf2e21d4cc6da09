"""Only once means once, however many arrive at the same moment, on either database."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool import clock, http
from lti_tool.database import db
from lti_tool.lti import platform_keys
from lti_tool.lti.models import Launch
from lti_tool.lti.sessions import COOKIE_NAME
from lti_tool.people.models import Account
from tests.certification import corpus
from tests.certification.way import BASE, connect, login_params
from tests.lti.platform_double import FakePlatform, Key
from tests.support.apps import copy_home, fill, running
from tests.support.postgres import empty_database

AT_ONCE = 6


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def app(
    request: pytest.FixtureRequest, filled_home: Path, tmp_path: Path, platform: FakePlatform, key: Key
) -> Iterator[Flask]:
    platform.publish(key.jwk(alg="RS256", use="sig"))
    with ExitStack() as stack:
        if request.param == "sqlite":
            copy_home(filled_home, tmp_path)
            app = stack.enter_context(running(tmp_path))
        else:
            database = stack.enter_context(empty_database())
            app = stack.enter_context(running(tmp_path, DATABASE_URL=database))
            fill(app)
        with app.app_context():
            connect(corpus.MOODLE, platform)
            db.session.commit()
        yield app


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    platform_keys.forget_all()
    double = FakePlatform()
    yield double
    double.close()


def test_of_many_that_post_one_message_at_once_one_gets_in(app: Flask, key: Key) -> None:
    client = app.test_client()
    onward = client.post("/lti/login", data=login_params(), base_url=BASE)
    begun = {name: values[0] for name, values in parse_qs(urlsplit(onward.location).query).items()}
    claims = corpus.good(corpus.LEARNER, nonce=begun["nonce"], now=clock.now())
    form = {"id_token": corpus.signed(claims, key), "state": begun["state"]}
    cookie = client.get_cookie(COOKIE_NAME, "tool.localhost")
    assert cookie is not None
    together = Barrier(AT_ONCE)

    def post(_: int) -> tuple[int, bool]:
        thief = app.test_client()
        thief.set_cookie(COOKIE_NAME, cookie.value, domain="tool.localhost", secure=True)
        together.wait(timeout=30)
        try:
            answer = thief.post("/lti/launch", data=form, base_url=BASE)
        finally:
            http.close()
        return answer.status_code, "This link was already used" in answer.text

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = Counter(pool.map(post, range(AT_ONCE)))

    assert outcomes == {(303, False): 1, (400, True): AT_ONCE - 1}
    with app.app_context():
        for table in (Launch, Account):
            assert db.session.scalar(select(func.count()).select_from(table)) == 1
