"""The worker process: listens to the queue and, whatever the queue says, looks at the ledger itself.

Any number may run, on any number of machines: every job takes what it does by a conditional UPDATE.
"""

import logging
import random
import signal
import threading
import time
from collections.abc import Callable

from flask import Flask
from huey import Huey
from huey.consumer import Consumer

from lti_tool import http, tasks
from lti_tool.settings import Settings

log = logging.getLogger(__name__)

_LISTENERS = 2
_MOST_ERRANDS = 16
"""To how many platforms at the same time."""
_LONGEST_NAP = 1.0
"""Seconds between two looks into a quiet queue on SQLite; the others are told at once."""
_SWEEP_LAUNCHES_EVERY = 600.0
_QUEUE_ROSTERS_EVERY = 60.0
_LOOK_FOR_ALERTS_EVERY = 60.0
_STOPS = (signal.SIGTERM, signal.SIGINT)


def run(app: Flask) -> None:
    """Work until SIGTERM or SIGINT, then finish what is in hand and return. Call it in the main thread."""
    settings: Settings = app.extensions["settings"]
    jobs: tasks.Jobs = app.extensions["jobs"]
    jobs.stopping.clear()
    # Blocked in every thread and waited for here, so that no handler ever interrupts what is in hand.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    handlers = {number: signal.getsignal(number) for number in (*_STOPS, signal.SIGHUP)}
    consumer = _listen(jobs.huey, patience=_patience(settings))
    # The consumer has brought handlers of its own: on SIGHUP it would start the program anew.
    for number, handler in handlers.items():
        signal.signal(number, handler)
    threads = [threading.Thread(target=_sweep, args=(app, jobs.stopping, consumer), name="sweeper")]
    errands = _Errands(jobs)
    # Each on its own, since every platform may keep one of them waiting.
    for name, job in (("courier", tasks.send_scores), ("errands", errands.begin)):
        bell = threading.Event()
        jobs.bells.append(bell)
        threads.append(threading.Thread(target=_attend, args=(app, job, bell), name=name))
    for thread in threads:
        thread.start()
    log.info("worker started", extra={"sweep_seconds": settings.sweep_seconds})
    try:
        signal.sigwait(_STOPS)
    finally:
        jobs.stopping.set()
        jobs.ring()
        if consumer is not None:
            consumer.stop(graceful=True)
        for thread in threads:
            thread.join()
        errands.leave()
        jobs.bells.clear()
        # Ctrl-C reaches a whole group, and whoever supervises it adds a SIGTERM: once is enough.
        while again := signal.sigpending() & set(_STOPS):
            signal.sigwait(again)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        log.info("worker stopped")


def _patience(settings: Settings) -> float:
    """How long what is in hand may take at the end; the lease covers whatever is dropped then."""
    return settings.platform_timeout + 5.0


def _listen(huey: Huey, *, patience: float) -> Consumer | None:
    """Start listening to the queue. None where the queue lives inside the web process and runs by itself."""
    if huey.immediate:
        return None
    consumer = Consumer(
        huey,
        workers=_LISTENERS,
        periodic=False,
        max_delay=_LONGEST_NAP,
        shutdown_timeout=patience,
    )
    consumer.start()
    return consumer


class _Errands:
    """What platforms are asked for once, each in a thread of its own: one that is slow keeps none but its own columns
    and notes waiting. Begun by one thread, and left when that has ended."""

    def __init__(self, jobs: tasks.Jobs) -> None:
        self._jobs = jobs
        self._busy: dict[int, threading.Thread] = {}

    def begin(self, app: Flask) -> int:
        """Ask every platform that is not being asked yet. Always 0: whoever has done something rings."""
        if _run(tasks.release_returned, app):
            self._jobs.bells[0].set()
        self._busy = {number: thread for number, thread in self._busy.items() if thread.is_alive()}
        idle = [number for number in tasks.errands_due(app) if number not in self._busy]
        random.shuffle(idle)
        for number in idle[: _MOST_ERRANDS - len(self._busy)]:
            self._busy[number] = threading.Thread(
                target=self._ask, args=(app, number), name=f"errands-{number}"
            )
            self._busy[number].start()
        return 0

    def leave(self) -> None:
        """Finish what is in hand."""
        for thread in self._busy.values():
            thread.join()

    def _ask(self, app: Flask, registration_id: int) -> None:
        try:
            if tasks.run_errands(app, registration_id):
                # What this has let go, the courier may send; and what has come up since is looked for.
                self._jobs.ring()
        except Exception:
            log.exception("errands failed", extra={"registration": registration_id})
        finally:
            http.close()


def _attend(app: Flask, job: Callable[[Flask], int], bell: threading.Event) -> None:
    """Do one kind of work at the start, whenever the bell rings, and every few seconds whether it does or not."""
    settings: Settings = app.extensions["settings"]
    jobs: tasks.Jobs = app.extensions["jobs"]
    while not jobs.stopping.is_set():
        bell.clear()
        if not _run(job, app):
            bell.wait(settings.sweep_seconds)


def _sweep(app: Flask, stopping: threading.Event, consumer: Consumer | None) -> None:
    """Sign what waits, and keep the house, at the start and then every few seconds, queue or no queue."""
    settings: Settings = app.extensions["settings"]
    launches_due = rosters_due = alerts_due = 0.0
    while not stopping.is_set():
        _run(tasks.sign_badges, app)
        _run(tasks.queue_tests, app)
        _run(tasks.queue_readings, app)
        _run(tasks.send_letters, app)
        _run(tasks.seal_audit, app)
        if time.monotonic() >= launches_due:
            _run(tasks.sweep_launches, app)
            _run(tasks.tend_keys, app)
            launches_due = time.monotonic() + _SWEEP_LAUNCHES_EVERY
        if time.monotonic() >= rosters_due:
            _run(tasks.queue_rosters, app)
            rosters_due = time.monotonic() + _QUEUE_ROSTERS_EVERY
        if time.monotonic() >= alerts_due:
            _run(tasks.look_for_alerts, app)
            alerts_due = time.monotonic() + _LOOK_FOR_ALERTS_EVERY
        _run(tasks.queue_alerts, app)
        if consumer is not None and not stopping.is_set():
            _check(consumer)
        stopping.wait(settings.sweep_seconds)


def _check(consumer: Consumer) -> None:
    """Start listeners anew that have died. Where even that fails, the sweeper still does their work."""
    try:
        consumer.check_worker_health()
    except Exception:
        log.exception("listeners not checked")


def _run(job: Callable[[Flask], int], app: Flask) -> int:
    """A job that fails, for example because the database restarts, must not end the thread."""
    try:
        return job(app)
    except Exception:
        log.exception("sweep failed", extra={"job": job.__name__})
        return 0
