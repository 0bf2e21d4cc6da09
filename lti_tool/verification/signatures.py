"""Does a key fit a signature? Both kinds, over the very bytes that were given, and keys in the forms they come in.

Specs: https://www.w3.org/TR/vc-di-eddsa/#verify-proof-eddsa-rdfc-2022,
https://www.imsglobal.org/spec/ob/v3p0/#jwt-proof, https://www.rfc-editor.org/rfc/rfc7515,
https://www.rfc-editor.org/rfc/rfc7518#section-6
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from lti_tool.issuers import proof
from lti_tool.settings import origin
from lti_tool.verification import carriers, sandbox
from lti_tool.verification.verdict import Outcome, Stop

PublicKey = Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey

ALGORITHMS = ("RS256", "ES256")
HEADER_MEMBERS = frozenset({"alg", "kid", "jwk", "typ"})
"""All that the specification lets stand in the header."""

_TYPES = frozenset({"jwt", "vc+jwt", "vc+ld+jwt", "vc+ld+json+jwt"})
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


class Unreadable(ValueError):  # named for what is wrong, as all of ours are
    """A signed text or a key that is not what it looks like. The message is fit for the screen."""


class Mismatch(ValueError):  # named for what is wrong, as all of ours are
    """The signature does not belong to this content and this key."""


@dataclass(frozen=True)
class Token:
    """A compact JWS in its parts."""

    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    signed: bytes
    """What the signature is over: the first two parts as they were given."""
    signature: bytes

    @property
    def algorithm(self) -> str:
        return str(self.header.get("alg"))


def token(compact: bytes) -> Token:
    """The parts of a compact JWS. Raises ``Unreadable`` for what is none of a credential."""
    signed, _, signature = compact.rpartition(b".")
    header, _, payload = signed.partition(b".")
    try:
        parts = (
            carriers.parsed(from_base64url(header.decode())),
            carriers.parsed(from_base64url(payload.decode())),
        )
        raw = from_base64url(signature.decode())
    except carriers.MeantTwice as cause:
        raise Unreadable(
            f"The signed text says “{cause.key}” twice, so programs would read different badges in it."
        ) from cause
    except ValueError as cause:
        raise Unreadable("The signed text is cut off or damaged.") from cause
    if not all(isinstance(part, dict) for part in parts):
        raise Unreadable("The signed text holds no badge.")
    return Token(header=parts[0], payload=parts[1], signed=signed, signature=raw)


def odd_header(header: Mapping[str, Any]) -> str:
    """The name of a header member that a badge may not have, or that is not as it must be; "" if there is none."""
    if odd := sorted(header.keys() - HEADER_MEMBERS):
        return odd[0][:60]
    if "typ" in header and str(header["typ"]).lower() not in _TYPES:
        return "typ"
    if not isinstance(header.get("kid", ""), str):
        return "kid"
    jwk = header.get("jwk", {})
    return "jwk" if not isinstance(jwk, dict) or "d" in jwk else ""


def check_token(given: Token, key: PublicKey) -> None:
    """Return if ``key`` signed the token in the way that its header says.

    :raises Mismatch: it did not, or is a key of another kind.
    """
    try:
        if given.algorithm == "RS256" and isinstance(key, rsa.RSAPublicKey):
            key.verify(given.signature, given.signed, padding.PKCS1v15(), SHA256())
            return
        if (
            given.algorithm == "ES256"
            and isinstance(key, ec.EllipticCurvePublicKey)
            and len(given.signature) == 64
        ):
            numbers = int.from_bytes(given.signature[:32]), int.from_bytes(given.signature[32:])
            key.verify(encode_dss_signature(*numbers), given.signed, ec.ECDSA(SHA256()))
            return
    except InvalidSignature as cause:
        raise Mismatch from cause
    raise Mismatch


def check_embedded(
    document: Mapping[str, Any],
    signature: Mapping[str, Any],
    key: PublicKey | None,
    *,
    ours: bool,
    box: sandbox.Sandbox,
) -> None:
    """Return if ``key`` made ``signature``, a Data Integrity proof, over every part of ``document``.

    Without a key, only whether it covers every part.

    :raises NotCovered: (of ``proof``) some part is outside the signature.
    :raises BadProof: (of ``proof``) there is no signature to check.
    :raises Mismatch: the key did not make it.
    :raises Unavailable: (of ``sandbox``) it cannot be found out just now.
    """
    raw = proof.signature_of(signature)
    unsigned, options = proof.to_hash(document, signature)
    data = box.hash_data(unsigned, options, may_repeat=not ours)
    if key is None:
        return
    if not isinstance(key, Ed25519PublicKey):
        raise Mismatch
    try:
        key.verify(raw, data)
    except InvalidSignature as cause:
        raise Mismatch from cause


def embedded(document: Mapping[str, Any], issuer_name: str, what: str, check: str) -> Mapping[str, Any]:
    """The one Data Integrity proof of a document, made in its issuer's name. Raises ``Stop`` for ``check``.

    ``what`` is the document in a word, for the explanation.
    """
    found = document.get("proof", [])
    proofs = found if isinstance(found, list) else [found]
    if not proofs:
        raise Stop(check, f"The {what} is not signed, so anyone could have written it.")
    if len(proofs) > 1:
        raise Stop(
            check,
            f"The {what} carries several signatures. Only one can be checked here.",
            Outcome.NOT_CHECKED,
        )
    one = proofs[0]
    if not isinstance(one, dict):
        raise Stop(check, "The signature does not have the form that the standard requires.")
    if one.get("type") != "DataIntegrityProof" or one.get("cryptosuite") != proof.CRYPTOSUITE:
        raise Stop(
            check,
            f"The {what} is signed in a way that cannot be checked here; it would be {proof.CRYPTOSUITE}.",
            Outcome.NOT_CHECKED,
        )
    if one.get("proofPurpose") != "assertionMethod":
        raise Stop(
            check, f"The signature was made for another purpose than vouching for a {what} (proofPurpose)."
        )
    method = one.get("verificationMethod")
    if not isinstance(method, str) or not method.partition("#")[2]:
        raise Stop(check, "The signature does not say with which key it was made (verificationMethod).")
    if method.partition("#")[0] != issuer_name and not _same_site(method, issuer_name):
        raise Stop(
            check,
            f"The {what} names one issuer, but was signed with somebody else's key. It may be forged: "
            "ask the issuer it names.",
        )
    return one


def _same_site(method: str, issuer_name: str) -> bool:
    """An issuer with an https name may keep a key in a document of its own, beside its profile."""
    try:
        return method.startswith(("https://", "http://")) and origin(method) == origin(issuer_name)
    except ValueError:
        return False


def jwk_key(jwk: Mapping[str, Any]) -> PublicKey:
    """The public key that a JWK spells: RSA of 2048 to 8192 bits, P-256 or Ed25519. Raises ``Unreadable``."""
    try:
        match jwk.get("kty"), jwk.get("crv"):
            case "RSA", _:
                modulus, exponent = _number(jwk, "n"), _number(jwk, "e")
                if not 2048 <= modulus.bit_length() <= 8192 or not 3 <= exponent < 2**32:
                    raise Unreadable("The issuer's key is too short or too long to be safe.")
                return rsa.RSAPublicNumbers(exponent, modulus).public_key()
            case "EC", "P-256":
                point = ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), ec.SECP256R1())
                return point.public_key()
            case "OKP", "Ed25519":
                return Ed25519PublicKey.from_public_bytes(from_base64url(str(jwk.get("x"))))
    except Unreadable:
        raise
    except ValueError as cause:
        raise Unreadable("The issuer's key is damaged.") from cause
    raise Unreadable("The issuer's key is of a kind that is not known here.")


def multikey(text: str) -> PublicKey | None:
    """The Ed25519 key that a Multikey text spells, if it does."""
    try:
        return proof.key_from_multikey(text)
    except proof.BadKey:
        return None


def readable(jwk: Mapping[str, Any]) -> PublicKey | None:
    """The key that a JWK spells, if it is one that we know."""
    try:
        return jwk_key(jwk)
    except Unreadable:
        return None


def published(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Each key of a DID document, profile or key document, and whether it may vouch for badges."""
    if "publicKeyMultibase" in document or "publicKeyJwk" in document:
        yield document, True
        return
    allowed = _listed(document.get("assertionMethod"))
    named = {entry for entry in allowed if isinstance(entry, str)}
    for entry in _listed(document.get("verificationMethod")) + _listed(document.get("publicKey")):
        if isinstance(entry, dict):
            full = _complete(entry, str(document.get("id")))
            yield full, any(isinstance(name, str) and name in named for name in (full["id"], entry.get("id")))
    for entry in allowed:
        if isinstance(entry, dict):
            yield _complete(entry, str(document.get("id"))), True


def vouching(document: Mapping[str, Any]) -> frozenset[str]:
    """The names of the keys that may vouch for badges, whether the document spells them or only points to them."""
    entries = [{"id": name} for name in _listed(document.get("assertionMethod")) if isinstance(name, str)]
    pointed = [_complete(entry, str(document.get("id"))) for entry in entries]
    spelt = [entry for entry, vouches in published(document) if vouches]
    return frozenset(str(entry.get("id", "")) for entry in [*pointed, *spelt])


def _complete(entry: Mapping[str, Any], base: str) -> dict[str, Any]:
    """An entry with its id written out, where the document writes only "#key-1"."""
    name = entry.get("id")
    return {**entry, "id": f"{base}{name}" if isinstance(name, str) and name.startswith("#") else name}


def entry_key(entry: Mapping[str, Any]) -> PublicKey | None:
    """The key in one entry of ``published``, if it is one that we know."""
    if isinstance(entry.get("publicKeyMultibase"), str):
        return multikey(entry["publicKeyMultibase"])
    jwk = entry.get("publicKeyJwk")
    return readable(jwk) if isinstance(jwk, dict) else None


def from_base64url(text: str) -> bytes:
    """Without padding, and strictly: no character is passed over. Raises ``ValueError``."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as cause:
        raise ValueError("not base64url") from cause
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise ValueError("not base64url in its one form")
    return raw


def _number(jwk: Mapping[str, Any], name: str) -> int:
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) > 2_000:
        raise ValueError(name)
    return int.from_bytes(from_base64url(value))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
