"""The tool's own RSA keys: they sign what we send to platforms, and platforms fetch their public halves.

Some platforms keep what they fetched for hours. So a new key is published for a day before it signs (only the very
first signs at once), and an old one for a week after its last signature. A worker makes the next one in time.

Reading a private key costs some 40 ms, a signature one, so a process keeps the key object.
"""

import base64
import hashlib
import json
import threading
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import select

from lti_tool import audit, settings
from lti_tool.database import db
from lti_tool.lti.models import ToolKey

AHEAD = timedelta(hours=24)
KEPT = timedelta(days=7)

_PURPOSE = "tool keys"
_KEY_BITS = 2048
_MOST_KEYS = 20

_kept: dict[str, rsa.RSAPrivateKey] = {}
_reading = threading.Lock()


class KeyUnreadable(Exception):
    """No key, or one that was encrypted under another secret_key. Its text tells an operator what to do."""


class KeyConflict(Exception):
    """A key cannot be made or withdrawn as asked. Its text tells an operator why, in one line."""


def ensure_key(now: datetime) -> ToolKey:
    """The key that signs; made if there is none yet."""
    key = _signing(now)
    return _make(now, signs_from=now) if key is None else key


def rotate(now: datetime, *, at_once: bool = False) -> ToolKey:
    """Make the key that signs from a day from now on; ``at_once``, for a key that has become known, from now on.

    Two processes that do so at the same moment collide on the key's number.

    :raises KeyConflict: the next key waits already.
    """
    newest = _newest()
    if newest is not None and newest.signs_from > now and not at_once:
        raise KeyConflict(
            f"The next key, {newest.kid}, is published already and signs from {_utc(newest)} on."
        )
    key = _make(now, signs_from=now if at_once or newest is None else now + AHEAD)
    audit.record("tool key made", "tool_key", key.kid, now=now, at_once=at_once)
    _retire(now)
    return key


def withdraw(kid: str, now: datetime) -> None:
    """Stop publishing a key and forget it, so that nothing it signed is believed any more.

    :raises KeyConflict: there is no such key, or it is the one that signs.
    """
    key = db.session.scalar(select(ToolKey).where(ToolKey.kid == kid))
    if key is None:
        raise KeyConflict(f"There is no key {kid}. `lti-tool keys list` shows them.")
    if key is _signing(now):
        raise KeyConflict(f"{kid} signs now. Make another one first: `lti-tool keys rotate --at-once`.")
    _forget(key, now, "tool key withdrawn")


def tend(now: datetime, *, rotation_days: int) -> int:
    """Make the next key when it is time, retire the one before, and forget what nothing can need any more.

    :returns: how many keys were made or forgotten.
    """
    done = 0
    newest = _newest()
    due = newest is not None and newest.signs_from + timedelta(days=rotation_days) <= now + AHEAD
    if due:
        rotate(now)
        done += 1
    _retire(now)
    for key in list_keys():
        if key.retired_at is not None and key.retired_at + KEPT <= now:
            _forget(key, now, "tool key removed")
            done += 1
    return done


def signing_key(now: datetime) -> tuple[str, rsa.RSAPrivateKey]:
    """The key id and the key object that sign now: the newest whose time has come.

    :raises KeyUnreadable: there is none, or this secret_key does not open it.
    """
    key = _signing(now)
    if key is None:
        raise KeyUnreadable("There is no tool key yet. `lti-tool db upgrade` makes one.")
    if (kept := _kept.get(key.kid)) is not None:
        return key.kid, kept
    with _reading:
        if key.kid not in _kept:
            _kept[key.kid] = _read(key.private_pem)
        return key.kid, _kept[key.kid]


def public_jwks() -> dict[str, list[dict[str, Any]]]:
    """The key set for ``/lti/jwks``: the next one and retired ones included, since platforms keep what they fetched
    and what was signed may still be on its way."""
    return {"keys": [dict(key.public_jwk) for key in list_keys()]}


def list_keys() -> list[ToolKey]:
    """Newest first, at most 20."""
    return list(db.session.scalars(select(ToolKey).order_by(ToolKey.number.desc()).limit(_MOST_KEYS)))


def story(key: ToolKey, now: datetime) -> str:
    """What a key is doing now, in words."""
    if key.retired_at is not None:
        return f"retired {key.retired_at:%Y-%m-%d}, published until {key.retired_at + KEPT:%Y-%m-%d}"
    return "signs" if key.signs_from <= now else f"published, signs from {_utc(key)}"


def _newest() -> ToolKey | None:
    return db.session.scalar(select(ToolKey).order_by(ToolKey.number.desc()).limit(1))


def _signing(now: datetime) -> ToolKey | None:
    """The newest whose time has come. With a clock that went back that may be none; then the oldest signs on."""
    come = select(ToolKey).where(ToolKey.signs_from <= now).order_by(ToolKey.number.desc()).limit(1)
    key = db.session.scalar(come)
    return key or db.session.scalar(select(ToolKey).order_by(ToolKey.number).limit(1))


def _make(now: datetime, *, signs_from: datetime) -> ToolKey:
    private = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    numbers = private.public_key().public_numbers()
    jwk = {"e": _base64url_int(numbers.e), "kty": "RSA", "n": _base64url_int(numbers.n)}
    kid = _thumbprint(jwk)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(settings.current().passphrase(_PURPOSE)),
    )
    before = _newest()
    key = ToolKey(
        number=1 if before is None else before.number + 1,
        kid=kid,
        private_pem=pem.decode("ascii"),
        public_jwk=jwk | {"kid": kid, "alg": "RS256", "use": "sig"},
        created_at=now,
        signs_from=signs_from,
    )
    db.session.add(key)
    db.session.flush()
    return key


def _retire(now: datetime) -> None:
    """Note on every key whose successor signs since when it does not sign any more."""
    signing = _signing(now)
    for key in list_keys():
        if signing is not None and key.number < signing.number and key.retired_at is None:
            key.retired_at = signing.signs_from
    db.session.flush()


def _forget(key: ToolKey, now: datetime, action: str) -> None:
    audit.record(action, "tool_key", key.kid, now=now)
    _kept.pop(key.kid, None)
    db.session.delete(key)
    db.session.flush()


def _utc(key: ToolKey) -> str:
    return f"{key.signs_from:%Y-%m-%d %H:%M} UTC"


def _read(pem: str) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode("ascii"), settings.current().passphrase(_PURPOSE))
    except ValueError:
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyUnreadable(
            "The tool key is encrypted under another secret_key. Restore that setting or secret.key."
        )
    return key


def _thumbprint(jwk: dict[str, str]) -> str:
    """RFC 7638: the required members in alphabetical order, without white space."""
    canonical = json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode("ascii")


def _base64url_int(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
