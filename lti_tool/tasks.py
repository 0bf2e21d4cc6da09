"""Background jobs, each one call into a service. The ledger is the truth and the queue only wakes us:
whatever the queue loses, the worker's sweeper finds again."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, current_app
from huey import Huey, MemoryHuey, PostgresHuey, RedisHuey, SqliteHuey
from redis import ConnectionPool

from lti_tool import clock
from lti_tool.badges import service as badges
from lti_tool.database import db
from lti_tool.lti import sessions
from lti_tool.passback import courier
from lti_tool.settings import Settings

log = logging.getLogger(__name__)

_NAME = "tessera"
_STALE_AFTER_SECONDS = 60
"""A wake-up call that nobody heard for a minute says nothing that the sweeper does not know."""


@dataclass(frozen=True)
class Jobs:
    """The queue of an application, and what may be put into it."""

    huey: Huey
    deliver: Callable[[], Any]
    sign: Callable[[], Any]
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the worker has been told to end: finish what is in hand, take nothing more."""


def register(app: Flask) -> Huey:
    """Connect the application with its queue. Importing this module starts nothing."""
    settings: Settings = app.extensions["settings"]
    huey = _queue(settings)

    def deliver() -> None:
        deliver_scores(app)

    def sign() -> None:
        sign_badges(app)

    app.extensions["jobs"] = Jobs(
        huey=huey,
        deliver=huey.task(name="deliver_scores", expires=_STALE_AFTER_SECONDS)(deliver),
        sign=huey.task(name="sign_badges", expires=_STALE_AFTER_SECONDS)(sign),
    )
    return huey


def wake() -> None:
    """Tell the workers that something waits. Call it after the commit; a dead queue never fails the request,
    because the sweeper finds what waits within seconds anyway."""
    jobs: Jobs = current_app.extensions["jobs"]
    try:
        jobs.deliver()
        jobs.sign()
    except Exception:
        log.warning("queue unreachable", exc_info=True)


def deliver_scores(app: Flask) -> int:
    """Send what is due to the gradebooks. Returns how many scores were tried."""
    jobs: Jobs = app.extensions["jobs"]
    with app.app_context():
        return courier.deliver_due(now_fn=clock.now, stopping=jobs.stopping.is_set)


def sign_badges(app: Flask) -> int:
    """Sign what has been awarded. Returns how many badges were signed."""
    with app.app_context():
        return badges.sign_due(now=clock.now())


def sweep_launches(app: Flask) -> int:
    """Forget logins and visits that nobody can use any more. Returns how many rows went."""
    with app.app_context():
        total = 0
        while gone := sessions.sweep(clock.now()):
            db.session.commit()
            total += gone
            if app.extensions["jobs"].stopping.is_set():
                break
        return total


def _queue(settings: Settings) -> Huey:
    """The queue that the address names. No results are kept: what a job did stands in the database."""
    address = urlsplit(settings.queue_url)
    match address.scheme:
        case "memory":
            return MemoryHuey(_NAME, immediate=True, results=False)
        case "redis" | "rediss":
            # A web request must not hang on a queue that has gone away.
            pool = ConnectionPool.from_url(settings.queue_url, socket_connect_timeout=2, socket_timeout=10)
            return RedisHuey(_NAME, connection_pool=pool, results=False)
        case "postgresql":
            huey = PostgresHuey(
                _NAME, dsn=settings.queue_url, connect_timeout=3, create_tables=False, results=False
            )
        case _:
            path = Path(address.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            huey = SqliteHuey(_NAME, filename=str(path), create_tables=False, results=False)
    try:
        huey.storage.initialize_schema()
    except Exception:
        log.warning("queue unreachable", exc_info=True)
    return huey
