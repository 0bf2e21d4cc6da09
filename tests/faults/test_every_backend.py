"""The same program on SQLite, on PostgreSQL, and on PostgreSQL with Redis: four workers in processes of their own, and
one fault after the other."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from redis import Redis
from redis.exceptions import RedisError

from lti_tool.database import db
from lti_tool.passback.models import Cause, ScoreState
from tests.faults.machines import eventually
from tests.faults.nursery import Nursery
from tests.faults.term import DONE, Term, term_end
from tests.support.apps import fill, running
from tests.support.cast import Campus, build_campus
from tests.support.postgres import empty_database

REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
WORKERS, LEARNERS, AT_A_TIME = 4, 60, 6


EVERYWHERE = pytest.mark.parametrize(
    "services",
    [
        # Each by itself takes as long as both together.
        pytest.param("sqlite", marks=pytest.mark.long),
        pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.long]),
        pytest.param("postgres and redis", marks=[pytest.mark.postgres, pytest.mark.redis]),
    ],
    indirect=True,
)


@pytest.fixture
def services(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Where the database and the queue are."""
    wanted = getattr(request, "param", "sqlite")
    if wanted == "sqlite":
        yield {"QUEUE_URL": ""}
        return
    with empty_database() as address:
        if wanted == "postgres":
            yield {"DATABASE_URL": address, "QUEUE_URL": address}
            return
        server = Redis.from_url(REDIS, socket_connect_timeout=2)
        try:
            server.ping()
        except RedisError:
            pytest.skip("no Redis server answers (TEST_REDIS_URL)")
        yield {"DATABASE_URL": address, "QUEUE_URL": REDIS}
        server.close()


@pytest.fixture
def app(services: dict[str, str], tmp_path: Path) -> Iterator[Flask]:
    with running(tmp_path / "home", **services | {"QUEUE_URL": "memory://"}) as application:
        fill(application)
        yield application


@pytest.fixture
def campus(app: Flask) -> Campus:
    with app.app_context():
        return build_campus()


@pytest.fixture
def term(app: Flask, campus: Campus, tmp_path: Path) -> Iterator[Term]:
    with term_end(app, campus, tmp_path, LEARNERS) as built:
        yield built


@pytest.fixture
def workers(services: dict[str, str], term: Term, tmp_path: Path) -> Iterator[Nursery]:
    with Nursery(tmp_path / "home", **services) as nursery:
        nursery.start(WORKERS)
        yield nursery


@EVERYWHERE
def test_whatever_goes_wrong_every_grade_arrives_in_effect_once(
    services: dict[str, str], term: Term, workers: Nursery
) -> None:
    learners = list(term.accounts)
    groups = [learners[at : at + AT_A_TIME] for at in range(0, LEARNERS, AT_A_TIME)]

    def kill_and_start() -> None:
        workers.kill_all()
        threading.Thread(target=workers.start, args=(WORKERS,)).start()

    def moment(name: str) -> Callable[[], None]:
        return lambda: setattr(term.wire, name, kill_and_start)

    def throttle() -> None:
        term.inside.faults.throttle, term.inside.faults.throttle_status = 2, 429

    faults: list[Callable[[], None]] = [
        lambda: None,
        lambda: setattr(term.inside.faults, "fail", [500, 502, 503]),
        throttle,
        lambda: setattr(term.wire, "lost_requests", 2),
        lambda: setattr(term.wire, "lost_answers", 2),
        term.wire.cut,
        term.forget_tokens,
        moment("when_asked"),
        moment("when_answered"),
        lambda: _restart_database(term.app, services),
    ]
    for fault, group in zip(faults, groups, strict=True):
        fault()
        term.owe(group, "4")
        _wait_for(term, group)
    for learner in learners[:3]:
        term.set_grade(learner, 7)

    term.owe(learners, "10")
    term.settled()

    term.is_true()


@pytest.mark.usefixtures("workers")
def test_an_lms_that_was_away_has_everything_soon_after(term: Term) -> None:
    learners = list(term.accounts)[:20]
    term.wire.away = True
    term.wire.cut()
    term.owe(learners, "10")
    time.sleep(2)
    assert not _accepted(term, learners[:1])

    term.wire.away = False

    term.settled()
    term.is_true()


@pytest.mark.usefixtures("workers")
@pytest.mark.long
def test_a_column_that_was_deleted_is_made_again_once_and_the_scores_go_there(term: Term) -> None:
    learners = list(term.accounts)[:20]
    term.delete_column()
    term.owe(learners, "10")

    _wait_for(term, learners)

    term.is_true()
    with term.inside.store.transaction() as lms_db:
        assert lms_db.execute("SELECT count(*) FROM line_item WHERE NOT deleted").fetchone()[0] == 1


@pytest.mark.usefixtures("workers")
def test_a_learner_who_was_dropped_is_waited_for_and_the_others_are_not(term: Term) -> None:
    learners = list(term.accounts)[:10]
    with term.inside.store.transaction() as lms_db:
        lms_db.execute("UPDATE person SET enrolled = 0 WHERE sub = ?", (learners[0],))
    term.owe(learners, "10")

    term.settled()

    dropped = term.rows()[learners[0]][-1]
    assert (dropped.state, dropped.cause) == (ScoreState.PARKED, Cause.AWAY)
    assert "a student in the course" in (dropped.reason or "")
    assert _accepted(term, learners[1:])


def _accepted(term: Term, learners: list[str]) -> bool:
    rows = term.rows()
    return all(rows[learner][-1].state in DONE for learner in learners)


def _wait_for(term: Term, learners: list[str]) -> None:
    eventually(lambda: _accepted(term, learners), "the scores are there", 120)


def _restart_database(app: Flask, services: dict[str, str]) -> None:
    """What the workers see of a restart of PostgreSQL: every connection is broken."""
    address = services.get("DATABASE_URL")
    if address is None:
        return
    with psycopg.connect(address, autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with app.app_context():
        # This process only looks on: its own broken connections are not what is tried.
        db.engine.dispose()
