"""Background jobs, each one call into a service. The ledger is the truth and the queue only wakes us:
whatever the queue loses, the worker's sweeper finds again."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, after_this_request, current_app
from huey import Huey, MemoryHuey, PostgresHuey, RedisHuey, SqliteHuey
from redis import ConnectionPool
from sqlalchemy.exc import IntegrityError

from lti_tool import clock
from lti_tool.alerts import notices as alert_notices
from lti_tool.alerts import watch
from lti_tool.audit import seals
from lti_tool.backpack import letters
from lti_tool.badges import signing
from lti_tool.database import db
from lti_tool.lti import connection, keys, notices, sessions
from lti_tool.passback import columns, courier, notes, readback
from lti_tool.passback import service as passback
from lti_tool.people import doors, rosters, sis_ids
from lti_tool.settings import Settings

log = logging.getLogger(__name__)

_NAME = "tessera"
_STALE_AFTER_SECONDS = 60
"""A wake-up call that nobody heard for a minute says nothing that the sweeper does not know."""
_SCORES_IN_A_ROW = 1000


@dataclass(frozen=True)
class Jobs:
    """The queue of an application, and what may be put into it."""

    huey: Huey
    deliver: Callable[[], Any]
    sign: Callable[[], Any]
    read_roster: Callable[[int, float], Any]
    test: Callable[[], Any]
    read_back: Callable[[], Any]
    tell: Callable[[], Any]
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the worker has been told to end: finish what is in hand, take nothing more."""
    bells: list[threading.Event] = field(default_factory=list)
    """To be rung when something may be owed, for the worker's own threads. Empty where no worker runs."""

    def ring(self) -> None:
        for bell in self.bells:
            bell.set()


def register(app: Flask) -> Huey:
    """Connect the application with its queue. Importing this module starts nothing."""
    settings: Settings = app.extensions["settings"]
    huey = _queue(settings)

    def deliver() -> None:
        jobs: Jobs = app.extensions["jobs"]
        if jobs.bells:
            # One courier per process: it knows how much it has on its way to whom.
            jobs.ring()
        else:
            deliver_scores(app)

    def sign() -> None:
        sign_badges(app)

    def roster(course_id: int, stale_seconds: float) -> None:
        read_roster(app, course_id, timedelta(seconds=stale_seconds))

    def test() -> None:
        test_connections(app)

    def read() -> None:
        read_back(app)

    def tell() -> None:
        tell_of_alerts(app)

    app.extensions["jobs"] = Jobs(
        huey=huey,
        deliver=huey.task(name="deliver_scores", expires=_STALE_AFTER_SECONDS)(deliver),
        sign=huey.task(name="sign_badges", expires=_STALE_AFTER_SECONDS)(sign),
        read_roster=huey.task(name="read_roster", expires=_STALE_AFTER_SECONDS)(roster),
        test=huey.task(name="test_connections", expires=_STALE_AFTER_SECONDS)(test),
        tell=huey.task(name="tell_of_alerts", expires=_STALE_AFTER_SECONDS)(tell),
        read_back=huey.task(name="read_back", expires=_STALE_AFTER_SECONDS)(read),
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


def read_roster_later(course_id: int) -> None:
    """Have a course's people read anew, once the answer to this request has gone out: the page never waits for it."""
    _when_sent(lambda app: _read_soon(app, course_id, rosters.STALE_FOR_FACULTY))


def read_back_later() -> None:
    """Tell the workers that somebody waits for what a gradebook shows, once the answer to this request has gone out."""
    _when_sent(_read_back_soon)


def _when_sent(job: Callable[[Flask], None]) -> None:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # what is behind the proxy

    @after_this_request
    def when_sent(response: Response) -> Response:
        response.call_on_close(lambda: job(app))
        return response


def _read_back_soon(app: Flask) -> None:
    jobs: Jobs = app.extensions["jobs"]
    try:
        jobs.read_back()
    except Exception:
        log.warning("queue unreachable", exc_info=True)


def _read_soon(app: Flask, course_id: int, stale_after: timedelta) -> None:
    jobs: Jobs = app.extensions["jobs"]
    try:
        jobs.read_roster(course_id, stale_after.total_seconds())
    except Exception:
        log.warning("queue unreachable", exc_info=True)


def read_roster(app: Flask, course_id: int, stale_after: timedelta) -> bool:
    """Read the people of one course from its platform, unless somebody has just done so."""
    jobs: Jobs = app.extensions["jobs"]
    with app.app_context():
        return rosters.refresh(
            course_id,
            clock=clock.now,
            wait=jobs.stopping.wait,
            stopping=jobs.stopping.is_set,
            stale_after=stale_after,
        )


def queue_rosters(app: Flask) -> int:
    """Have the people of courses in use read anew where that is due; the listeners do it, so that no platform that is
    slow holds up the scores. Returns for how many."""
    with app.app_context():
        courses = rosters.due(now=clock.now())
    for course_id in courses:
        _read_soon(app, course_id, rosters.STALE_IN_BACKGROUND)
    return len(courses)


def test_connections_soon() -> None:
    """Tell the workers that somebody waits for a connection test. Call it after the commit."""
    jobs: Jobs = current_app.extensions["jobs"]
    try:
        jobs.test()
    except Exception:
        log.warning("queue unreachable", exc_info=True)


def queue_tests(app: Flask) -> int:
    """Have the listeners make the connection tests that nobody heard of; a slow platform must not hold up the scores.
    Returns whether any wait."""
    jobs: Jobs = app.extensions["jobs"]
    with app.app_context():
        waiting = connection.waiting(clock.now())
    if waiting:
        jobs.test()
    return int(waiting)


def test_connections(app: Flask) -> int:
    """Make the connection tests that somebody waits for. Returns how many."""
    jobs: Jobs = app.extensions["jobs"]
    with app.app_context():
        return connection.run_due(clock=clock.now, stopping=jobs.stopping.is_set)


def queue_readings(app: Flask) -> int:
    """Have the listeners read back what the gradebooks show, where that is due; a slow platform must not hold up the
    scores. Returns whether any is due."""
    jobs: Jobs = app.extensions["jobs"]
    with app.app_context():
        waiting = readback.due(clock.now())
    if waiting:
        jobs.read_back()
    return int(waiting)


def read_back(app: Flask) -> int:
    """Compare what the gradebooks show with what they accepted. Returns how many columns were read."""
    jobs: Jobs = app.extensions["jobs"]
    with app.app_context():
        return readback.read_due(now_fn=clock.now, wait=jobs.stopping.wait, stopping=jobs.stopping.is_set)


def tend_keys(app: Flask) -> int:
    """Make the next tool key in time, and forget old ones. Returns how many were made or forgotten."""
    settings: Settings = app.extensions["settings"]
    with app.app_context():
        try:
            done = keys.tend(clock.now(), rotation_days=settings.key_rotation_days)
            db.session.commit()
        except IntegrityError:
            # Another worker made the next key at the same moment.
            db.session.rollback()
            return 0
        return done


def deliver_scores(app: Flask) -> int:
    """Do the errands, then send the scores that are due, one after the other. Returns how many scores were tried."""
    jobs: Jobs = app.extensions["jobs"]
    release_returned(app)
    for registration_id in errands_due(app):
        run_errands(app, registration_id)
    with app.app_context():
        return courier.deliver_due(now_fn=clock.now, stopping=jobs.stopping.is_set)


def release_returned(app: Flask) -> int:
    """Let scores go on that may. Returns how many."""
    with app.app_context():
        released = passback.release_returned(now=clock.now())
        db.session.commit()
        return released


def errands_due(app: Flask) -> list[int]:
    """The registrations whose platforms are to be asked for something once: a column above all."""
    with app.app_context():
        now = clock.now()
        return sorted(notices.due(now) | columns.due(now) | notes.due(now))


def run_errands(app: Flask, registration_id: int) -> int:
    """Settle what that platform is asked for once. An errand that fails holds up none of the others. Returns how many
    there were."""
    stopping = app.extensions["jobs"].stopping
    errands: dict[str, Callable[[], int]] = {
        "notices": lambda: notices.ask_due(registration_id, now_fn=clock.now, stopping=stopping.is_set),
        "columns": lambda: columns.settle_due(
            registration_id, now_fn=clock.now, wait=stopping.wait, stopping=stopping.is_set
        ),
        "notes": lambda: notes.deliver_due(registration_id, now_fn=clock.now, stopping=stopping.is_set),
    }
    done = 0
    with app.app_context():
        for name, errand in errands.items():
            try:
                done += errand()
            except Exception:
                log.exception("errand failed", extra={"errand": name, "registration": registration_id})
            finally:
                db.session.remove()
    return done


def send_scores(app: Flask) -> int:
    """Send the scores that are due, many at a time. Returns how many were tried. For the worker's one courier."""
    jobs: Jobs = app.extensions["jobs"]
    with app.app_context():
        return courier.deliver_due(
            now_fn=clock.now,
            stopping=jobs.stopping.is_set,
            limit=_SCORES_IN_A_ROW,
            hands=courier.HANDS,
            wait=jobs.stopping.wait,
        )


def sign_badges(app: Flask) -> int:
    """Sign what has been awarded, and status lists that are due. Returns how many badges were signed."""
    with app.app_context():
        return signing.sign_due(now=clock.now())


def send_letters(app: Flask) -> int:
    """Write and send the mail that was asked for. Returns how many letters were dealt with."""
    with app.app_context():
        return letters.send_due(now_fn=clock.now)


def seal_audit(app: Flask) -> int:
    """Chain what has been written into the audit log since. Returns how many events were sealed."""
    with app.app_context():
        return seals.seal_committed(stopping=app.extensions["jobs"].stopping.is_set)


def look_for_alerts(app: Flask) -> int:
    """See whether something needs a person, or does not any more. Returns how many alerts changed."""
    with app.app_context():
        return watch.look(alert_notices.channels(app.extensions["settings"]), now=clock.now())


def queue_alerts(app: Flask) -> int:
    """Have the listeners send the notices that are due; a slow mail server must not hold up the scores. Returns
    whether any wait."""
    jobs: Jobs = app.extensions["jobs"]
    with app.app_context():
        waiting = alert_notices.waiting(clock.now())
    if waiting:
        jobs.tell()
    return int(waiting)


def tell_of_alerts(app: Flask) -> int:
    """Send the notices that are due. Returns how many were tried."""
    jobs: Jobs = app.extensions["jobs"]
    with app.app_context():
        return alert_notices.send_due(now_fn=clock.now, stopping=jobs.stopping.is_set)


def sweep_launches(app: Flask) -> int:
    """Forget logins, visits, one-time links, letters, notices and uploads that nobody can use any more. Returns how
    many rows went."""
    with app.app_context():
        total = 0
        while gone := _swept(clock.now()):
            db.session.commit()
            total += gone
            if app.extensions["jobs"].stopping.is_set():
                break
        return total


def _swept(now: datetime) -> int:
    return (
        sessions.sweep(now)
        + doors.sweep(now)
        + letters.sweep(now)
        + notices.sweep(now)
        + alert_notices.sweep(now)
        + sis_ids.sweep(now)
    )


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
