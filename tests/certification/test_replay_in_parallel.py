"""Only once means once, however many arrive at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from lti_tool import errors, http
from lti_tool.database import db
from lti_tool.lti import launch
from lti_tool.lti.models import Launch
from tests.lti.conftest import NOW, Door
from tests.lti.platform_double import fresh, sign

AT_ONCE = 6


def test_of_many_that_post_one_message_at_once_one_gets_in(
    app: Flask, door: Door, learner_claims: dict[str, Any]
) -> None:
    begun = door.login()
    form = {
        "id_token": sign(fresh(learner_claims, nonce=begun.nonce, now=NOW), door.key),
        "state": begun.state,
    }
    together = Barrier(AT_ONCE)

    def post(_: int) -> str:
        with app.app_context():
            together.wait(timeout=30)
            try:
                launch.receive(form, browser=begun.browser, now=NOW)
                db.session.commit()
            except errors.Refused as refused:
                db.session.rollback()
                return type(refused).__name__
            finally:
                db.session.remove()
                http.close()
            return "in"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = sorted(pool.map(post, range(AT_ONCE)))

    assert outcomes == ["LaunchUsed"] * (AT_ONCE - 1) + ["in"]
    assert db.session.scalar(select(func.count()).select_from(Launch)) == 1
