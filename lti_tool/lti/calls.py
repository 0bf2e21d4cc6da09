"""One call of a platform's service: with its token, in its turn, and once more where the token was refused.

Commits first (see ``tokens.py``) and never raises for what a platform does: whatever it answers is an answer, and
``platforms`` says what follows from it.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask import current_app

from lti_tool import http
from lti_tool.database import db
from lti_tool.lti import pace, platforms, tokens
from lti_tool.lti.answers import ServiceAnswer, from_http, from_silence
from lti_tool.lti.models import Registration

_READY_FOR = timedelta(seconds=1)
"""How long a token and the platform's ways are taken as known. A token that was refused is known no more."""
_turns: dict[int, threading.BoundedSemaphore] = {}
_turns_lock = threading.Lock()


@dataclass(frozen=True)
class _Ready:
    """What a call needs besides what it says. Hundreds of scores to one platform follow each other within seconds."""

    token: str
    behaviour: platforms.Generic
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is to be asked, and under which scopes: exactly those that it needs."""

    method: str = "GET"
    url: str
    scopes: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


def make(
    call: Call, registration_id: int, *, now: datetime, timeout: float
) -> tuple[ServiceAnswer, http.Answer | None]:
    """Ask, and say what came: in short, and the whole of it unless nothing came or no token was to be had.

    A refused token is replaced and the call made once more; nothing else is repeated here.

    :param timeout: seconds for each of the at most four requests.
    """
    started = time.monotonic()
    for last in (False, True):
        try:
            ready = _prepare(registration_id, call.scopes, now, timeout)
        except tokens.NoToken as refused:
            return refused.answer, None
        db.session.commit()
        behaviour = ready.behaviour
        try:
            with _turn(registration_id, behaviour.at_once):
                reply = http.send(
                    call.method,
                    call.url,
                    timeout=timeout,
                    headers={**call.headers, "Authorization": f"Bearer {ready.token}"},
                    body=call.body,
                )
        except http.NoAnswer as silence:
            return from_silence(silence), None
        if pause := behaviour.pause(reply.headers):
            # All our processes together, before the platform has to say so.
            pace.rest(registration_id, now + timedelta(seconds=time.monotonic() - started + pause))
        verdict = behaviour.classify(reply.status, reply.text)
        if last or verdict.next is not platforms.Next.NEW_TOKEN:
            break
        _known().pop((registration_id, call.scopes), None)
        tokens.forget(registration_id, ready.token)
    return from_http(reply, now=now, secret=ready.token), reply


def _prepare(registration_id: int, scopes: tuple[str, ...], now: datetime, timeout: float) -> _Ready:
    known = _known()
    ready = known.get((registration_id, scopes))
    if ready is None or not ready.since <= now < ready.since + _READY_FOR:
        registration = db.session.get_one(Registration, registration_id)
        behaviour = platforms.behaviour(registration.platform.product)
        token = tokens.access_token(registration, scopes, now=now, timeout=timeout)
        ready = known[registration_id, scopes] = _Ready(token, behaviour, now)
    return ready


def _known() -> dict[tuple[int, tuple[str, ...]], _Ready]:
    """Of this application's database, and of no other's."""
    known: dict[tuple[int, tuple[str, ...]], _Ready] = current_app.extensions.setdefault("ready_calls", {})
    return known


def _turn(registration_id: int, at_once: int) -> threading.BoundedSemaphore:
    """A process knocks at a platform with so many hands and no more; what is taken up front for every request that is
    on its way is what Canvas throttles first."""
    with _turns_lock:
        return _turns.setdefault(registration_id, threading.BoundedSemaphore(at_once))
