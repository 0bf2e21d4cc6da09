"""The tool's own RSA keys: they sign what we send to platforms, and platforms fetch their public halves.

Reading a private key costs some 40 ms, a signature one, so a process keeps the key object.
"""

import base64
import hashlib
import json
import threading
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import select

from lti_tool import settings
from lti_tool.database import db
from lti_tool.lti.models import ToolKey

_PURPOSE = "tool keys"
_KEY_BITS = 2048
_MOST_KEYS = 20

_kept: dict[str, rsa.RSAPrivateKey] = {}
_reading = threading.Lock()


class KeyUnreadable(Exception):
    """No key, or one that was encrypted under another secret_key. Its text tells an operator what to do."""


def ensure_key(now: datetime) -> ToolKey:
    """The key that signs; made if there is none yet."""
    key = _newest()
    return create_key(now) if key is None else key


def create_key(now: datetime) -> ToolKey:
    """Make and store a new key. From the commit on it is published, and it signs what is signed next."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    numbers = private.public_key().public_numbers()
    jwk = {"e": _base64url_int(numbers.e), "kty": "RSA", "n": _base64url_int(numbers.n)}
    kid = _thumbprint(jwk)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(settings.current().passphrase(_PURPOSE)),
    )
    key = ToolKey(
        kid=kid,
        private_pem=pem.decode("ascii"),
        public_jwk=jwk | {"kid": kid, "alg": "RS256", "use": "sig"},
        created_at=now,
    )
    db.session.add(key)
    db.session.flush()
    return key


def signing_key() -> tuple[str, rsa.RSAPrivateKey]:
    """The key id and the key object that sign now: the newest that is not retired.

    :raises KeyUnreadable: there is none, or this secret_key does not open it.
    """
    key = _newest()
    if key is None:
        raise KeyUnreadable("There is no tool key yet. `lti-tool db upgrade` makes one.")
    if (kept := _kept.get(key.kid)) is not None:
        return key.kid, kept
    with _reading:
        if key.kid not in _kept:
            _kept[key.kid] = _read(key.private_pem)
        return key.kid, _kept[key.kid]


def public_jwks() -> dict[str, list[dict[str, Any]]]:
    """The key set for ``/lti/jwks``, retired keys included: what they signed may still be on its way."""
    return {"keys": [dict(key.public_jwk) for key in list_keys()]}


def list_keys() -> list[ToolKey]:
    """Newest first, at most 20."""
    return list(db.session.scalars(select(ToolKey).order_by(ToolKey.id.desc()).limit(_MOST_KEYS)))


def _newest() -> ToolKey | None:
    return db.session.scalar(
        select(ToolKey).where(ToolKey.retired_at.is_(None)).order_by(ToolKey.id.desc()).limit(1)
    )


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
