"""The platforms' public keys, fetched from their key sets and kept as key objects.

Kept in the process, since every process can fetch them again: for as long as the platform's Cache-Control
says, but at least a minute and at most an hour. A key id that is not in the set makes us look again, at most
once a minute, so that neither a rotated key (D2L rotates hourly) nor a flood of invented key ids hurts. When
a platform cannot be reached, what we have goes on being used.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from lti_tool import http
from lti_tool.errors import LaunchForged, PlatformSilent

log = logging.getLogger(__name__)

_SHORTEST, _LONGEST, _UNSAID = timedelta(minutes=1), timedelta(hours=1), timedelta(minutes=10)
_BETWEEN_LOOKS = timedelta(minutes=1)
_AFTER_FAILURE = timedelta(seconds=10)
_SMALLEST_KEY = 2048
_MAX_AGE = re.compile(r"max-age=\"?(\d{1,9})")


@dataclass(frozen=True)
class _KeySet:
    keys: Mapping[str, tuple[RSAPublicKey, ...]]
    fresh_until: datetime
    looked_at: datetime
    reached: bool
    """False when the platform has never answered."""


_sets: dict[str, _KeySet] = {}
_locks: dict[str, threading.Lock] = {}
_locks_lock = threading.Lock()


def keys_for(
    jwks_url: str, kid: str, *, now: datetime, timeout: float, before_waiting: Callable[[], None]
) -> tuple[RSAPublicKey, ...]:
    """The keys with that id; more than one only where a platform gives two keys the same id.

    :param before_waiting: called when the platform must be asked, so that no database connection waits with
        us.
    :raises LaunchForged: the platform publishes no such key.
    :raises PlatformSilent: its keys cannot be fetched and none are known.
    """
    known = _sets.get(jwks_url)
    if known is not None and now < known.fresh_until and kid in known.keys:
        return known.keys[kid]
    before_waiting()
    with _lock(jwks_url):
        known = _looked_up(jwks_url, kid, now, timeout)
    if not known.reached:
        raise PlatformSilent
    if kid not in known.keys:
        raise LaunchForged("The message is signed with a key that the platform does not publish.")
    return known.keys[kid]


def forget_all() -> None:
    """Start anew, as a new process would."""
    _sets.clear()


def _looked_up(jwks_url: str, kid: str, now: datetime, timeout: float) -> _KeySet:
    known = _sets.get(jwks_url)
    if known is not None:
        fresh = now < known.fresh_until and kid in known.keys
        pause = _BETWEEN_LOOKS if known.reached else _AFTER_FAILURE
        if fresh or now < known.looked_at + pause:
            return known
    try:
        answer = http.send("GET", jwks_url, timeout=timeout, headers={"Accept": "application/json"})
        if answer.status != 200:
            raise http.NoAnswer(f"HTTP status {answer.status}.", sent=True)
        keys = _parse(answer.body)
        fetched = _KeySet(keys, now + _lifetime(answer.headers.get("Cache-Control", "")), now, reached=True)
    except (http.NoAnswer, ValueError, RecursionError) as error:
        log.warning("platform keys not fetched", extra={"jwks_url": jwks_url, "cause": str(error)})
        old = known or _KeySet({}, now, now, reached=False)
        fetched = _KeySet(old.keys, now + _BETWEEN_LOOKS, now, old.reached)
    _sets[jwks_url] = fetched
    return fetched


def _lock(jwks_url: str) -> threading.Lock:
    with _locks_lock:
        return _locks.setdefault(jwks_url, threading.Lock())


def _lifetime(cache_control: str) -> timedelta:
    match = _MAX_AGE.search(cache_control)
    said = timedelta(seconds=int(match[1])) if match else _UNSAID
    return min(max(said, _SHORTEST), _LONGEST)


def _parse(body: bytes) -> dict[str, tuple[RSAPublicKey, ...]]:
    """The usable keys of a key set. Open edX names neither ``alg`` nor ``use``; whatever does not sign is
    left out.

    :raises ValueError, RecursionError: not a key set at all.
    """
    document = json.loads(body)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no list of keys")
    keys: dict[str, tuple[RSAPublicKey, ...]] = {}
    for jwk in listed:
        if (key := _signing_key(jwk)) is not None:
            keys[jwk["kid"]] = (*keys.get(jwk["kid"], ()), key)
    return keys


def _signing_key(jwk: Any) -> RSAPublicKey | None:
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or jwk.get("kty") != "RSA":
        return None
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", "RS256") != "RS256":
        return None
    try:
        key = jwt.PyJWK({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]}, algorithm="RS256").key
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        return None
    # RFC 7518 section 3.3 wants this length for RS256; shorter ones can be broken.
    return key if isinstance(key, RSAPublicKey) and key.key_size >= _SMALLEST_KEY else None
