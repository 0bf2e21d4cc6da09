"""Closing out on PostgreSQL, where nobody waits for a decision that is being written unless told to."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool.assessment.models import Outcome
from lti_tool.assessment.service import decide
from lti_tool.closing.models import Choice
from lti_tool.closing.service import choose
from lti_tool.database import db
from lti_tool.passback.models import Score
from tests.support.apps import NOON, fill, running
from tests.support.cast import build_campus
from tests.support.postgres import empty_database, somebody_waits
from tests.support.submitted import hand_in_work, marks_for, version_of

pytestmark = pytest.mark.postgres


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    with empty_database() as address, running(tmp_path, DATABASE_URL=address) as application:
        fill(application)
        yield application


def test_no_zero_follows_a_decision_that_was_made_at_the_same_moment(app: Flask):
    recorded: list[int] = []
    with app.app_context():
        campus = build_campus()
        work = hand_in_work(campus, "lena")
        db.session.commit()
        key = f"{campus.placement}-{campus.accounts['lena']}"

        def close_out() -> None:
            with app.app_context():
                done = choose(
                    campus.course,
                    {key: Choice.ZERO},
                    "Late.",
                    teacher=0,
                    actor=campus.accounts["ingrid"],
                    now=NOON,
                )
                db.session.commit()
                recorded.append(len(done))

        marks = marks_for(version_of(work))
        decide(work.id, campus.accounts["ingrid"], marks, "Clear.", Outcome.DEMONSTRATED, now=NOON)
        closing = threading.Thread(target=close_out)
        closing.start()
        while closing.is_alive() and not somebody_waits():
            closing.join(0.01)
        db.session.commit()
        closing.join()

        assert recorded == [0]
        assert [score.points for score in db.session.scalars(select(Score))] == [10]
