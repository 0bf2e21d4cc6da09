"""Access tokens for a platform's services: client credentials with a signed assertion.

Kept in the database until a minute before their end and shared by all processes, per registration, token URL
and scopes. Asking for a token per score is what gets tools throttled: on Canvas each request costs a third of
the bucket.

This module commits: no connection and no transaction may be held while a platform thinks.
Spec: https://www.imsglobal.org/spec/security/v1p0/#using-json-web-tokens-with-oauth-2-0-client-credentials-grant
"""

import json
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool import http
from lti_tool.database import db
from lti_tool.lti import keys
from lti_tool.lti.answers import ServiceAnswer, from_http, from_silence
from lti_tool.lti.models import AccessToken, Registration

_ASSERTION_LASTS = timedelta(minutes=4)
_MARGIN = 60.0
_UNSAID = 300.0
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_asking: dict[tuple[int, str, str], threading.Lock] = {}
_asking_lock = threading.Lock()


class NoToken(Exception):
    """The platform gave no token; ``answer`` says what it said instead."""

    def __init__(self, answer: ServiceAnswer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


@dataclass(frozen=True)
class _Client:
    """What an assertion needs, as plain values that outlive the commit before the call."""

    registration_id: int
    client_id: str
    token_url: str
    audience: str
    scopes: str


def access_token(registration: Registration, scopes: Iterable[str], *, now: datetime, timeout: float) -> str:
    """A bearer token for exactly these scopes; Canvas refuses the whole call for one scope too many.

    Commits before it asks the platform and after. Threads of one process that need the same token ask once.

    :param timeout: seconds to wait for the platform.
    :raises NoToken: the platform refused, was silent, or said something else.
    """
    client = _client(registration, scopes)
    if (token := _kept(client, now)) is not None:
        return token
    # Waiting for another thread's answer is waiting for the platform, too.
    db.session.commit()
    with _lock(client):
        if (token := _kept(client, now)) is not None:
            return token
        assertion = _assertion(client, now)
        db.session.commit()
        token, seconds, _ = _ask(client, assertion, now, timeout)
        _keep(client, token, now + timedelta(seconds=max(seconds - _MARGIN, 0.0)))
    return token


def ask_anew(
    registration: Registration, scopes: Iterable[str], *, now: datetime, timeout: float
) -> tuple[str, frozenset[str] | None]:
    """A token that nobody keeps, whatever stands ready: to see whether the platform gives one. Commits first.

    :returns: the token, and the scopes that it is for as the platform says; None if it does not say.
    :raises NoToken: it gave none.
    """
    client = _client(registration, scopes)
    assertion = _assertion(client, now)
    db.session.commit()
    token, _, granted = _ask(client, assertion, now, timeout)
    return token, granted


def forget(registration_id: int, token: str) -> None:
    """Drop a token that the platform refused with 401, unless another process has replaced it already.
    Commits."""
    db.session.execute(
        delete(AccessToken).where(AccessToken.registration_id == registration_id, AccessToken.token == token)
    )
    db.session.commit()


def _client(registration: Registration, scopes: Iterable[str]) -> _Client:
    return _Client(
        registration.id,
        registration.client_id,
        registration.token_url,
        registration.token_audience or registration.token_url,
        " ".join(sorted(set(scopes))),
    )


def _kept(client: _Client, now: datetime) -> str | None:
    return db.session.scalar(
        select(AccessToken.token).where(
            AccessToken.registration_id == client.registration_id,
            AccessToken.token_url == client.token_url,
            AccessToken.scopes == client.scopes,
            AccessToken.expires_at > now,
        )
    )


def _keep(client: _Client, token: str, expires_at: datetime) -> None:
    where = {
        "registration_id": client.registration_id,
        "token_url": client.token_url,
        "scopes": client.scopes,
    }
    replace = (
        update(AccessToken)
        .filter_by(**where)
        .values(token=token, expires_at=expires_at)
        .returning(AccessToken.id)
        .execution_options(synchronize_session=False)
    )
    if db.session.scalar(replace) is None:
        db.session.add(AccessToken(**where, token=token, expires_at=expires_at))
    try:
        db.session.commit()
    except IntegrityError:
        # Another process stored its token in between. Both are valid; the later one is kept.
        db.session.rollback()
        db.session.scalar(replace)
        db.session.commit()


def _lock(client: _Client) -> threading.Lock:
    key = (client.registration_id, client.token_url, client.scopes)
    with _asking_lock:
        return _asking.setdefault(key, threading.Lock())


def _assertion(client: _Client, now: datetime) -> str:
    kid, private = keys.signing_key(now)
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": client.audience,
        "iat": int(now.timestamp()),
        "exp": int((now + _ASSERTION_LASTS).timestamp()),
        "jti": str(uuid.uuid4()),
    }
    return jwt.encode(claims, private, "RS256", headers={"kid": kid})


def _ask(
    client: _Client, assertion: str, now: datetime, timeout: float
) -> tuple[str, float, frozenset[str] | None]:
    """The token, its life in seconds, and what it is for where that is said. Moodle says text/html of its JSON, so the
    content type is not looked at."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": _JWT_BEARER,
        "client_assertion": assertion,
        "scope": client.scopes,
    }
    try:
        answer = http.send(
            "POST", client.token_url, timeout=timeout, headers={"Accept": "application/json"}, form=form
        )
    except http.NoAnswer as silence:
        raise NoToken(from_silence(silence, at_token=True)) from None
    if not 200 <= answer.status < 300:
        raise NoToken(from_http(answer, now=now, at_token=True, secret=assertion))
    try:
        reply = json.loads(answer.body)
        token = reply["access_token"]
        seconds = float(reply.get("expires_in") or _UNSAID)
    except (ValueError, TypeError, KeyError):
        token, seconds = None, 0.0
    if not isinstance(token, str) or not token:
        # The body is not quoted: whatever it is, it may hold a secret.
        raise NoToken(
            ServiceAnswer(
                status=answer.status, body="No access token in the reply.", sent=False, at_token=True
            )
        )
    said = reply.get("scope")
    return token, min(seconds, 24 * 3600.0), frozenset(said.split()) if isinstance(said, str) else None
