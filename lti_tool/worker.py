"""The worker process: listens to the queue and, whatever the queue says, looks at the ledger itself.

Any number may run, on any number of machines: every job takes what it does by a conditional UPDATE.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable

from flask import Flask
from huey import Huey
from huey.consumer import Consumer

from lti_tool import tasks
from lti_tool.settings import Settings

log = logging.getLogger(__name__)

_LISTENERS = 2
_LONGEST_NAP = 1.0
"""Seconds between two looks into a quiet queue on SQLite; the others are told at once."""
_SWEEP_LAUNCHES_EVERY = 600.0
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
    sweeper = threading.Thread(target=_sweep, args=(app, jobs.stopping, consumer), name="sweeper")
    sweeper.start()
    log.info("worker started", extra={"sweep_seconds": settings.sweep_seconds})
    try:
        signal.sigwait(_STOPS)
    finally:
        jobs.stopping.set()
        if consumer is not None:
            consumer.stop(graceful=True)
        sweeper.join()
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


def _sweep(app: Flask, stopping: threading.Event, consumer: Consumer | None) -> None:
    """Deliver and sign what waits, at the start and then every few seconds, queue or no queue."""
    settings: Settings = app.extensions["settings"]
    launches_due = 0.0
    while not stopping.is_set():
        _run(tasks.deliver_scores, app)
        _run(tasks.sign_badges, app)
        if time.monotonic() >= launches_due:
            _run(tasks.sweep_launches, app)
            launches_due = time.monotonic() + _SWEEP_LAUNCHES_EVERY
        if consumer is not None and not stopping.is_set():
            _check(consumer)
        stopping.wait(settings.sweep_seconds)


def _check(consumer: Consumer) -> None:
    """Start listeners anew that have died. Where even that fails, the sweeper still does their work."""
    try:
        consumer.check_worker_health()
    except Exception:
        log.exception("listeners not checked")


def _run(job: Callable[[Flask], int], app: Flask) -> None:
    """A job that fails, for example because the database restarts, must not end the sweeper."""
    try:
        job(app)
    except Exception:
        log.exception("sweep failed", extra={"job": job.__name__})
