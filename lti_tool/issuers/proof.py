"""Data Integrity proofs with the cryptosuite eddsa-rdfc-2022: signing and checking one JSON-LD document.

What is signed is SHA-256 of the canonical proof options followed by SHA-256 of the canonical document.
Canonical means RDF: whatever JSON-LD silently drops on the way there (a misspelt term, a relative address, a
null) would be shown to people yet not be covered. So nothing is signed, and no signature believed, unless the
document expanded and compacted again is the very document it was.

Spec: https://www.w3.org/TR/vc-di-eddsa/#eddsa-rdfc-2022
Multikey: https://www.w3.org/TR/cid-1.0/#Multikey
"""

import hashlib
import math
import re
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lti_tool.issuers import contexts

CRYPTOSUITE = "eddsa-rdfc-2022"

MAX_DEPTH = 24
"""Objects and arrays inside each other. A full badge has about ten."""

MAX_OBJECTS = 600
"""Each typed object costs pyld about a millisecond. A large rubric and twenty standards make about 100."""

MAX_VALUES = 3_000
"""In the whole document."""

MAX_SIBLINGS = 500
"""In one list. pyld compares the values of one property with each other, so their number counts squared."""

MAX_NAME = 200
"""Characters of a member's name. Names are repeated in the path of everything below them."""

MAX_ALIKE = 8
"""Blank nodes that only their neighbours tell apart; what canonicalising costs grows with their factorial."""

_lock = threading.Lock()
"""pyld keeps caches for the whole process and changes them without a lock of its own."""

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519_PREFIX = b"\xed\x01"
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\x00-\x20<>\"{}|\\^`]+")
EXTENSION = "https://w3id.org/openbadges/extensions#"
"""Where the extensions of Open Badges have their terms. No pinned context has a short name for any of them, so here
alone a full address is what everybody reads."""
_EXTENSION_TERM = re.compile(re.escape(EXTENSION) + "[A-Za-z]+")
_VOCABULARY = "https://purl.imsglobal.org/spec/vc/ob/vocab.html#"
_IN_ENDORSEMENT = re.compile(r"(.*\.)?endorsement(\[\d+\])?\.@context")
_BASE = "relative://not-absolute.invalid/"
_SAME_IRI: dict[Any, str] = {"AchievementCredential": "OpenBadgeCredential", "GeoCoordinates": "geo"}
"""Names to which the Open Badges context gives one IRI each, so compaction may return either."""


class NotCovered(ValueError):  # named for what is wrong, as all of ours are
    """A document that a signature could not cover completely. ``where`` is the member's path in it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.where = where
        self.reason = reason


class ControlCharacter(NotCovered):
    """A text holds an invisible control character, which implementations canonicalise differently."""


class OddNumber(NotCovered):
    """A number that implementations write differently, so that their signatures would not agree."""


class EmptyValue(NotCovered):
    """A null, an empty list or an empty object: it has no place in RDF and would vanish."""


class RelativeAddress(NotCovered):
    """An id or type that is no absolute IRI: it would vanish, or mean something else elsewhere."""


class UndefinedTerm(NotCovered):
    """A member that no context of the document defines under that name: not covered by the signature."""


class DescribedTwice(NotCovered):
    """Two objects with the same id say different things. RDF makes one thing of them, so that members could be
    moved from one to the other, such as a name from the assessing body to the issuer, under a valid signature."""


class ForeignContext(NotCovered):
    """The document names a context that is not pinned, or sets one inside."""


class TooComplex(NotCovered):
    """Too deep, too many parts, or parts too alike to be put in order in reasonable time."""


class BadKey(ValueError):  # named for what is wrong, as all of ours are
    """A text that is no Ed25519 public key in Multikey form."""


class BadProof(ValueError):  # named for what is wrong, as all of ours are
    """A proof that does not stand: wrong kind, malformed, or made over something else."""


class SignatureMismatch(BadProof):
    """The proof is well formed, but this key did not sign this document."""


def new_signing_key() -> Ed25519PrivateKey:
    """A fresh Ed25519 key from the operating system's randomness."""
    return Ed25519PrivateKey.generate()


def multikey(key: Ed25519PublicKey) -> str:
    """``key`` as a ``publicKeyMultibase`` ("z6Mk…")."""
    return multibase(_ED25519_PREFIX + key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def key_from_multikey(text: str) -> Ed25519PublicKey:
    """The public key that ``text`` ("z6Mk…") spells. Raises ``BadKey``."""
    try:
        raw = from_multibase(text, limit=64)
    except ValueError as cause:
        raise BadKey("This is not a public key in Multikey form.") from cause
    if len(raw) != 34 or not raw.startswith(_ED25519_PREFIX):
        raise BadKey("This is not an Ed25519 public key in Multikey form.")
    return Ed25519PublicKey.from_public_bytes(raw[2:])


def multibase(raw: bytes) -> str:
    """``raw`` in base58btc with its multibase letter "z"."""
    number, digits = int.from_bytes(raw), ""
    while number:
        number, rest = divmod(number, 58)
        digits = _ALPHABET[rest] + digits
    return "z" + "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def from_multibase(text: str, *, limit: int) -> bytes:
    """The bytes of a base58btc multibase text of at most ``limit`` characters. Raises ``ValueError``."""
    if len(text) > limit or not text.startswith("z"):
        raise ValueError("not base58btc multibase, or too long")
    digits = text[1:]
    number = 0
    for digit in digits:
        number = number * 58 + _ALPHABET.index(digit)
    zeros = len(digits) - len(digits.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8)


def sign(
    document: Mapping[str, Any], key: Ed25519PrivateKey, verification_method: str, created: datetime
) -> dict[str, Any]:
    """A copy of ``document`` with ``proof``, an array of one.

    ``verification_method`` is the DID URL under which the public key is published; ``created`` is aware and
    is written to the second. Raises a ``NotCovered`` if any part of the document would not be covered.
    Spec: https://www.w3.org/TR/vc-di-eddsa/#create-proof-eddsa-rdfc-2022
    """
    if "proof" in document:
        raise BadProof("This document is signed already.")
    options = {
        "type": "DataIntegrityProof",
        "cryptosuite": CRYPTOSUITE,
        "created": timestamp(created),
        "verificationMethod": verification_method,
        "proofPurpose": "assertionMethod",
    }
    check_numbers(document)
    canonical = _canonical(document, read_back=False)
    hashed = _hash_of_options(tuple(document["@context"]), tuple(options.items()))
    signature = key.sign(hashed + hashlib.sha256(canonical).digest())
    return {**document, "proof": [{**options, "proofValue": multibase(signature)}]}


def verify_proof(document: Mapping[str, Any], proof: Mapping[str, Any], public_key: Ed25519PublicKey) -> None:
    """Return if ``public_key`` made ``proof`` over ``document`` (whose own ``proof`` member is ignored).

    Only the mathematics and the form: whose key it is, what it was for and whether dates have passed is for
    the caller to ask. Raises ``SignatureMismatch``, ``BadProof``, or a ``NotCovered`` if some part of the
    document or of the proof is outside the signature.
    Spec: https://www.w3.org/TR/vc-di-eddsa/#verify-proof-eddsa-rdfc-2022
    """
    signature = signature_of(proof)
    try:
        public_key.verify(signature, hash_data(*to_hash(document, proof)))
    except InvalidSignature as cause:
        raise SignatureMismatch("The signature does not belong to this content and this key.") from cause


def signature_of(proof: Mapping[str, Any]) -> bytes:
    """The 64 bytes of the signature in ``proof``. Raises ``BadProof``."""
    if proof.get("type") != "DataIntegrityProof" or proof.get("cryptosuite") != CRYPTOSUITE:
        raise BadProof(f"The signature is not of the kind DataIntegrityProof with {CRYPTOSUITE}.")
    value = proof.get("proofValue")
    if not isinstance(value, str):
        raise BadProof("The signature itself (proofValue) is missing.")
    try:
        signature = from_multibase(value, limit=128)
    except ValueError as cause:
        raise BadProof("The signature itself (proofValue) cannot be read.") from cause
    if len(signature) != 64:
        raise BadProof("The signature itself (proofValue) does not have 64 bytes.")
    return signature


def to_hash(document: Mapping[str, Any], proof: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts of a signed document that ``hash_data`` takes: without its proofs, and this proof's options."""
    unsigned = {name: part for name, part in document.items() if name != "proof"}
    return unsigned, {name: part for name, part in proof.items() if name != "proofValue"}


def check_numbers(document: Any) -> None:
    """Raise ``OddNumber`` for what implementations write differently: beyond two decimals, or beyond 2^53."""
    for where, value in _walk(document, "", 0):
        if isinstance(value, int) and abs(value) > 2**53:
            raise OddNumber(where, "the number is too large to be signed the same way everywhere")
        if isinstance(value, float) and (
            not math.isfinite(value) or abs(value) > 1e9 or round(value, 2) != value
        ):
            raise OddNumber(where, "the number has more than two decimals; round it before signing")


def timestamp(moment: datetime) -> str:
    """``moment``, which must be aware, as an XML Schema dateTime in UTC, to the second."""
    if moment.tzinfo is None:
        raise ValueError("A date in a badge needs a time zone.")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hash_data(document: Mapping[str, Any], options: Mapping[str, Any], *, may_repeat: bool = False) -> bytes:
    """The 64 bytes that are signed. Raises a ``NotCovered`` for what they would leave out.

    Other issuers may describe one thing in two places (an issuer who is also the creator); with ``may_repeat``
    that passes as long as the two do not contradict each other, so that nothing is gained by moving a member.
    Spec: https://www.w3.org/TR/vc-di-eddsa/#hashing-eddsa-rdfc-2022
    """
    context = document.get("@context")
    of_options = hashlib.sha256(_canonical({"@context": context, **options}, "proof")).digest()
    return of_options + hashlib.sha256(_canonical(document, may_repeat=may_repeat)).digest()


@lru_cache(maxsize=64)
def _hash_of_options(context: tuple[str, ...], options: tuple[tuple[str, str], ...]) -> bytes:
    """Alike for everything that is signed with one key in one second."""
    return hashlib.sha256(_canonical({"@context": list(context), **dict(options)}, "proof")).digest()


def _canonical(
    document: Mapping[str, Any], name: str = "", *, may_repeat: bool = False, read_back: bool = True
) -> bytes:
    """The N-Quads of ``document`` in RDFC-1.0 order, once it is certain that nothing of it is lost in them.

    ``name`` is what paths in messages begin with. Reading back costs as much as all the rest. It finds what a forger
    does, such as writing a member under another name of the same meaning; in what we write ourselves it is enough
    that nothing was dropped, and only if something was, reading back says where.
    """
    # Takes 5 MB of every process that loads it, and most processes that serve pages neither sign nor check.
    from lti_tool.issuers import canonical  # noqa: PLC0415  # said above

    _check_shape(document, name)
    with _lock:
        settings = {"documentLoader": contexts.loader, "base": _BASE}
        dropped: list[str | None] = []
        try:
            expanded = canonical.expanded(document, settings, dropped)
            _check_addresses(expanded, name)
            _check_described_once(expanded, may_repeat)
            if read_back or dropped:
                read = canonical.read_back(expanded, document["@context"], settings)
                _check_same(document, read, name)
            quads = canonical.quads(expanded, settings, MAX_ALIKE)
        except NotCovered:
            raise
        except canonical.TooAlike:
            raise TooComplex("", "too many parts are alike without an id of their own") from None
        except canonical.PYLD_RAISES as cause:
            raise UndefinedTerm(name, "the content contradicts the contexts it names") from cause
    return quads.encode()


def _check_shape(document: Mapping[str, Any], name: str) -> None:
    used = document.get("@context")
    if not isinstance(used, list) or not used or not all(isinstance(url, str) for url in used):
        raise ForeignContext(name, "@context must be a list of addresses")
    for url in used:
        if url not in contexts.PINNED:
            raise ForeignContext(name, f"the context {url} is not one this tool knows")
    objects = 0
    for values, (where, value) in enumerate(_walk(document, name, 0), start=1):
        objects += isinstance(value, dict)
        if values > MAX_VALUES or objects > MAX_OBJECTS:
            raise TooComplex(name, "the document has too many parts")
        _check_value(where, value)
    for key, where, value in _members(document, name):
        if key.startswith("@") and where != _join(name, "@context") and not _restated(where, value, used):
            raise ForeignContext(where, f"{key} may not be used inside a badge")
        if ":" in key and not _EXTENSION_TERM.fullmatch(key):
            raise UndefinedTerm(where, "a full address stands where a plain name is read")
        if CONTROL.search(key):
            raise ControlCharacter(name, "a name holds an invisible control character")


def _check_value(where: str, value: Any) -> None:
    if value is None or value in ({}, []):
        raise EmptyValue(where, "a value is empty; leave the member out instead")
    if isinstance(value, list) and len(value) > MAX_SIBLINGS:
        raise TooComplex(where, f"a list has more than {MAX_SIBLINGS} entries")
    if isinstance(value, list) and any(isinstance(part, list) for part in value):
        raise UndefinedTerm(where, "a list stands inside a list, which a signature does not tell apart")
    if isinstance(value, str) and CONTROL.search(value):
        raise ControlCharacter(where, "the text holds an invisible control character; type it again")
    if isinstance(value, float) and not math.isfinite(value):
        raise OddNumber(where, "this is not a number")


def _walk(value: Any, where: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Every value inside ``value`` with its path. Raises ``TooComplex`` for what is too deep or too long."""
    if depth > MAX_DEPTH:
        raise TooComplex(where.split(".", maxsplit=1)[0], "the document is nested too deeply")
    if isinstance(value, Mapping):
        for key, part in value.items():
            if len(key) > MAX_NAME:
                raise TooComplex(where, "a member has too long a name")
            below = _join(where, key)
            yield below, part
            yield from _walk(part, below, depth + 1)
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            below = f"{where}[{index}]"
            yield below, part
            yield from _walk(part, below, depth + 1)


def _members(value: Any, where: str) -> Iterator[tuple[str, str, Any]]:
    """Name, path and value of every member of every object."""
    for path, part in chain([(where, value)], _walk(value, where, 0)):
        if isinstance(part, Mapping):
            for key, inner in part.items():
                yield key, _join(path, key), inner


def _restated(where: str, value: Any, used: list[str]) -> bool:
    """Whether this is the ``@context`` of an endorsement inside, which is a signed credential of its own, and names
    contexts of the whole in their order: then every name in it means what it means around it."""
    return (
        _IN_ENDORSEMENT.fullmatch(where) is not None
        and isinstance(value, list)
        and value[:2] == used[:2]
        and value == [url for url in used if url in value]
    )


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _check_addresses(expanded: Any, name: str) -> None:
    """Every id and type must have been absolute before expansion, and none a blank node's label.

    Labels would let a small document tie blank nodes into a knot that takes hours to canonicalise.
    """
    for where, value in _walk(expanded, name, -2 * MAX_DEPTH):
        if not where.endswith((".@id", "@id")) and ".@type" not in where and not where.startswith("@type"):
            continue
        if isinstance(value, str) and (
            value.startswith(_BASE) or value.startswith("_:") or not _ABSOLUTE.fullmatch(value)
        ):
            shown = value.removeprefix(_BASE)
            raise RelativeAddress(_readable(where), f"“{shown[:200]}” is not a complete address (IRI)")


def _check_described_once(expanded: Any, may_repeat: bool) -> None:
    seen: dict[str, dict[str, Any]] = {}
    for where, value in _walk(expanded, "", -2 * MAX_DEPTH):
        if not isinstance(value, dict) or "@id" not in value or _only_endorses(value):
            continue
        known = seen.setdefault(value["@id"], value)
        alike = (
            all(known[key] == part for key, part in value.items() if key in known)
            if may_repeat
            else known == value
        )
        if not alike:
            raise DescribedTwice(
                _readable(where), f"what “{value['@id'][:200]}” is stands in two places and differs"
            )
        seen[value["@id"]] = {**known, **value}


def _only_endorses(node: dict[str, Any]) -> bool:
    """Whether an object says of what it names nothing but that it is endorsed: no member can hide in there."""
    return node.get("@type") == [f"{_VOCABULARY}EndorsementSubject"] and node.keys() <= {
        "@id",
        "@type",
        f"{_VOCABULARY}endorsementComment",
    }


def _readable(where: str) -> str:
    """A path of expanded JSON-LD in the plain names of the document."""
    names = re.findall(r"(?:[#/])([A-Za-z]\w*)(?=\[|\.@|$)|@(id|type)\b", where)
    return ".".join(plain or keyword for plain, keyword in names)


def _check_same(own: Any, returned: Any, where: str) -> None:
    """``own`` must equal ``returned`` but for single values that stand in a list of one."""
    if isinstance(own, Mapping) and isinstance(returned, Mapping):
        named = {key: part for key, part in own.items() if key != "@context"}
        mine: dict[str, tuple[str, Any]] = {
            str(_SAME_IRI.get(key, key)): (str(key), part) for key, part in named.items()
        }
        theirs = {str(_SAME_IRI.get(key, key)): part for key, part in returned.items()}
        if lost := sorted(mine.keys() - theirs.keys()):
            raise UndefinedTerm(
                _join(where, mine[lost[0]][0]),
                "the contexts define no such member, so no signature covers it",
            )
        if theirs.keys() != mine.keys() or len(mine) != len(named):
            raise UndefinedTerm(where, "a member stands under another name than the one it is read by")
        for key, (name, part) in mine.items():
            _check_same(part, theirs[key], _join(where, name))
    elif isinstance(own, list) or isinstance(returned, list):
        mine_list = own if isinstance(own, list) else [own]
        their_list = returned if isinstance(returned, list) else [returned]
        if len(mine_list) != len(their_list):
            raise UndefinedTerm(where, "some of its values would not be covered by the signature")
        for index, (one, other) in enumerate(zip(mine_list, their_list, strict=True)):
            _check_same(one, other, f"{where}[{index}]")
    elif isinstance(own, str) and isinstance(returned, str):
        if _SAME_IRI.get(own, own) != _SAME_IRI.get(returned, returned):
            raise UndefinedTerm(where, "the value stands in another form than the one it is read in")
    elif type(own) is not type(returned) or own != returned:
        raise UndefinedTerm(where, "the value stands in another form than the one it is read in")
