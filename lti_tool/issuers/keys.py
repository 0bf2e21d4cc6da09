"""The issuer and its keys, a kind for each format: private halves are read once, public halves published for good.

A badge names the key that signed it, and must verify for as long as its earner lives. So a key is never taken back:
rotation makes a new one sign, and the old one stays in the DID document and in the key set.

Specs: https://www.w3.org/TR/cid-1.0/#Multikey, https://www.rfc-editor.org/rfc/rfc7517,
https://www.imsglobal.org/spec/ob/v3p0/impl/#key-provenance
"""

import base64
import hashlib
import json
import threading
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from sqlalchemy import select, update
from sqlalchemy.orm import joinedload, selectinload

from lti_tool import audit
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.issuers import did, proof
from lti_tool.issuers.models import Issuer, IssuerKey
from lti_tool.settings import current

_PURPOSE = "issuer keys"
_RSA_BITS = 2048
"""The least that RS256 allows, and five times as fast as 4096."""


class Kind(StrEnum):
    """What a key signs."""

    ED25519 = "ed25519"
    """Data Integrity proofs, and status lists."""
    RS256 = "rs256"
    """VC-JWT."""


class KeyUnreadable(Exception):
    """A key that was encrypted under another secret_key. Its text tells an operator what to do."""


_opened: dict[str, Ed25519PrivateKey | RSAPrivateKey] = {}
_opening = threading.Lock()


def ensure_issuer(*, now: datetime) -> Issuer:
    """The body that issues here; made with its keys at the first start. Its DID is never computed again."""
    issuer = db.session.scalars(select(Issuer).order_by(Issuer.id).limit(1)).first()
    if issuer is not None:
        return issuer
    settings = current()
    issuer = Issuer(
        id=1,
        did=did.issuer_did(settings.public_url, 1),
        name=settings.issuer_name,
        url=settings.issuer_url,
        created_at=now,
    )
    db.session.add(issuer)
    audit.record("issuer created", "issuer", 1, now=now)
    db.session.flush()
    ensure_keys(issuer, now=now)
    return issuer


def ensure_keys(issuer: Issuer, *, now: datetime) -> None:
    """Make the keys that the issuer lacks: all of them at first, one where an older version knew only the other.

    :raises IntegrityError: another process was quicker; roll back, and they are there.
    """
    standing = {key.kind for key in issuer.keys if key.retired_at is None}
    for kind in Kind:
        if kind not in standing:
            _make(issuer, kind, now)
    db.session.flush()


def rotate(issuer: Issuer, *, now: datetime) -> list[IssuerKey]:
    """Sign with new keys from now on. The old ones stay published.

    :raises IntegrityError: somebody else did the same at this moment.
    """
    db.session.execute(
        update(IssuerKey)
        .where(IssuerKey.issuer_id == issuer.id, IssuerKey.retired_at.is_(None))
        .values(retired_at=now)
    )
    made = [_make(issuer, kind, now) for kind in Kind]
    audit.record("issuer keys rotated", "issuer", issuer.id, now=now)
    db.session.flush()
    return made


def ed25519_key(issuer: Issuer) -> tuple[str, Ed25519PrivateKey]:
    """The verification method and the key that make Data Integrity proofs now.

    :raises KeyUnreadable: this secret_key does not open it.
    """
    key, private = _signing(issuer, Kind.ED25519)
    assert isinstance(private, Ed25519PrivateKey)
    return key.kid, private


def rsa_key(issuer: Issuer) -> tuple[str, RSAPrivateKey]:
    """The key id and the key that sign VC-JWTs now.

    :raises KeyUnreadable: this secret_key does not open it.
    """
    key, private = _signing(issuer, Kind.RS256)
    assert isinstance(private, RSAPrivateKey)
    return key.kid, private


def issuer_numbered(number: int) -> Issuer:
    """An issuer with all its keys, retired ones too.

    :raises NotHere: there is none.
    """
    found = db.session.get(Issuer, number, options=[selectinload(Issuer.keys)])
    if found is None:
        raise NotHere
    return found


def rs256_key_named(issuer_number: int, name: str) -> IssuerKey:
    """An RS256 key by the last part of its address.

    :raises NotHere: the issuer never had one of that name.
    """
    for key in issuer_numbered(issuer_number).keys:
        if key.kind == Kind.RS256 and key.kid.rpartition("/")[2] == name:
            return key
    raise NotHere


def did_document(issuer: Issuer) -> dict[str, Any]:
    """The issuer's DID document with every key it ever made Data Integrity proofs with."""
    known = [proof.key_from_multikey(key.multibase) for key in issuer.keys if key.multibase is not None]
    return did.did_document(issuer.did, known)


def key_set() -> dict[str, list[dict[str, Any]]]:
    """Every RS256 key of every issuer here, for ``/.well-known/jwks.json``; ``iss`` says whose it is."""
    return {"keys": [published(key) for key in rs256_keys()]}


def rs256_keys() -> Sequence[IssuerKey]:
    """All there are, retired ones too, with their issuers; newest first. An issuer rotates once in a while."""
    return db.session.scalars(
        select(IssuerKey)
        .where(IssuerKey.kind == Kind.RS256)
        .options(joinedload(IssuerKey.issuer))
        .order_by(IssuerKey.id.desc())
    ).all()


def known_keys(did: str) -> dict[str, str | dict[str, Any]] | None:
    """Every key that the issuer with this DID ever had: id -> Multikey text or JWK. None if it is none of ours."""
    rows = db.session.execute(
        select(IssuerKey.kid, IssuerKey.multibase, IssuerKey.public_jwk)
        .join(IssuerKey.issuer)
        .where(Issuer.did == did)
    ).all()
    return {kid: multibase or jwk for kid, multibase, jwk in rows} or None


def published(key: IssuerKey) -> dict[str, Any]:
    """The bare JWK of an RS256 key."""
    assert key.public_jwk is not None
    return dict(key.public_jwk) | {"kid": key.kid, "alg": "RS256", "use": "sig", "iss": key.issuer.did}


def _signing(issuer: Issuer, kind: Kind) -> tuple[IssuerKey, Ed25519PrivateKey | RSAPrivateKey]:
    key = next(key for key in reversed(issuer.keys) if key.kind == kind and key.retired_at is None)
    with _opening:
        if key.kid not in _opened:
            _opened[key.kid] = _read(key.private_pem)
        return key, _opened[key.kid]


def _read(pem: str) -> Ed25519PrivateKey | RSAPrivateKey:
    """Costs 40 ms, a thousand times what signing does, so what comes out is kept."""
    try:
        key = serialization.load_pem_private_key(pem.encode("ascii"), current().passphrase(_PURPOSE))
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
        raise KeyUnreadable(
            "The issuer's key is encrypted under another secret_key. Restore that setting or secret.key."
        )
    return key


def _make(issuer: Issuer, kind: Kind, now: datetime) -> IssuerKey:
    private: Ed25519PrivateKey | RSAPrivateKey
    multibase, jwk = None, None
    if kind is Kind.ED25519:
        private = proof.new_signing_key()
        multibase = proof.multikey(private.public_key())
        kid = f"{issuer.did}#{multibase}"
    else:
        private = generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        numbers = private.public_key().public_numbers()
        jwk = {"e": _base64url(numbers.e), "kty": "RSA", "n": _base64url(numbers.n)}
        kid = f"{current().public_url}/issuers/{issuer.id}/keys/{_thumbprint(jwk)}"
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(current().passphrase(_PURPOSE)),
    )
    key = IssuerKey(
        kind=kind,
        kid=kid,
        multibase=multibase,
        public_jwk=jwk,
        private_pem=pem.decode("ascii"),
        created_at=now,
    )
    issuer.keys.append(key)
    return key


def _thumbprint(jwk: dict[str, str]) -> str:
    """RFC 7638: the required members in alphabetical order, without white space."""
    canonical = json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()
    return _unpadded(hashlib.sha256(canonical).digest())


def _base64url(number: int) -> str:
    return _unpadded(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
