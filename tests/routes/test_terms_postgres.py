"""Terms on PostgreSQL, where two who save the same name meet at the unique index."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool.database import db
from lti_tool.people.models import Course, Term
from tests.support.apps import fill, running
from tests.support.cast import build_campus
from tests.support.postgres import empty_database, somebody_waits
from tests.support.visits import visit_as

pytestmark = pytest.mark.postgres


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    with empty_database() as address, running(tmp_path, DATABASE_URL=address) as application:
        fill(application)
        yield application


def test_a_term_that_is_saved_twice_at_the_same_moment_is_one_and_no_fault(app: Flask):
    answers: list[int] = []
    with app.app_context():
        campus = build_campus()
        rita = visit_as(app, campus, "rita")

        def press() -> None:
            answers.append(rita.post("/ledger/terms", {"name": "Fall 2026"}).status_code)

        platform_id = db.session.get_one(Course, campus.course).platform_id
        db.session.add(Term(platform_id=platform_id, name="Fall 2026", starts_on=None, ends_on=None))
        db.session.flush()
        second = threading.Thread(target=press)
        second.start()
        while second.is_alive() and not somebody_waits():
            second.join(0.01)
        db.session.commit()
        second.join()

        assert answers == [422]
        assert db.session.scalars(select(Term.name)).all() == ["Fall 2026"]
