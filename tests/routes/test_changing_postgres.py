"""Changing a decision on PostgreSQL, where others write at the same moment and nobody may wait for ever."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool import errors
from lti_tool.assessment import changing
from lti_tool.assessment.models import Decision, Outcome
from lti_tool.assessment.service import decide
from lti_tool.badges.models import Badge
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


def test_whoever_hands_in_or_changes_it_as_well_waits_and_hears_that_it_was_changed(app: Flask):
    came: list[str] = []
    with app.app_context():
        campus = build_campus()
        ingrid = campus.accounts["ingrid"]
        work = hand_in_work(campus, "lena")
        good, weak = marks_for(version_of(work)), marks_for(version_of(work), below=3)
        standing = decide(work.id, ingrid, weak, "Some more, please.", Outcome.NOT_YET, now=NOON).id
        db.session.commit()

        def change() -> None:
            changing.change(standing, ingrid, good, "Good.", Outcome.DEMONSTRATED, why="Seen late.", now=NOON)

        def at_once(what: Callable[[], object]) -> threading.Thread:
            def act() -> None:
                with app.app_context():
                    try:
                        what()
                        db.session.commit()
                    except errors.Refused as refused:
                        db.session.rollback()
                        came.append(type(refused).__name__)

            thread = threading.Thread(target=act)
            thread.start()
            return thread

        change()
        others = [at_once(change), at_once(lambda: hand_in_work(campus, "lena", note="More."))]
        while any(other.is_alive() for other in others) and not somebody_waits():
            others[0].join(0.01)
        db.session.commit()
        for other in others:
            other.join()

        assert sorted(came) == ["AlreadyDecided", "WorkClosed"]
        stand = select(Decision.outcome).where(Decision.superseded_at.is_(None))
        assert db.session.scalars(stand).all() == [Outcome.DEMONSTRATED]
        assert len(db.session.scalars(select(Badge)).all()) == 1
        assert len(db.session.scalars(select(Score)).all()) == 1
