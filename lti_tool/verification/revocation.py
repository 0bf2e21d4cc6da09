"""Was a badge revoked? Asked of the place that the badge names, or for our own badges of the database.

A list is believed only if the issuer of the badge signed it, and for as long as it says: a badge's holder could
otherwise show a list from before. The plain list of 1EdTech is not signed; there the address in the badge, and https,
are what one has.

Specs: https://www.w3.org/TR/vc-bitstring-status-list/#validate-algorithm,
https://www.imsglobal.org/spec/vccs/v1p0/
"""

import re
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lti_tool.issuers import contexts, proof
from lti_tool.verification import carriers, form, sandbox, signatures
from lti_tool.verification.signers import Found, Signer
from lti_tool.verification.verdict import STATUS, Outcome, Stop
from lti_tool.verification.web import Unreachable, Web, host_of

MIN_ENTRIES = 131_072
MAX_LIST = 16_000_000
"""Bytes of a list unpacked: a thousand times the least."""

_INDEX = re.compile(r"0|[1-9]\d{0,9}")
_ASK = "Ask the issuer."
Answer = tuple[Outcome, str]


def check(document: Mapping[str, Any], issuer: Signer, web: Web, now: datetime) -> Answer:
    """Whether another issuer has revoked its badge ``document``."""
    entries = document.get("credentialStatus")
    if entries is None:
        return (
            Outcome.NOTHING,
            "The badge names no place where this could be looked up. If much depends on it, ask the issuer.",
        )
    answers = [_entry(each, document, issuer, web, now) for each in _listed(entries)]
    for outcome in (Outcome.FAILED, Outcome.NOT_CHECKED, Outcome.PASSED):
        for answer in answers:
            if answer[0] is outcome:
                return answer
    return (
        Outcome.NOT_CHECKED,
        f"The badge names a place to look this up in a way that is not known here. {_ASK}",
    )


def _entry(entry: Any, document: Mapping[str, Any], issuer: Signer, web: Web, now: datetime) -> Answer:
    kind = entry.get("type") if isinstance(entry, dict) else None
    try:
        if form.is_a(kind, "BitstringStatusListEntry"):
            return _bit(entry, issuer, web, now)
        if form.is_a(kind, "1EdTechRevocationList"):
            return _named(entry, form.names(document)[1], issuer, web)
    except Unreachable as cause:
        return Outcome.NOT_CHECKED, f"The list of revoked badges could not be read: {cause}. {_ASK}"
    except Stop as cause:
        return Outcome.NOT_CHECKED, f"The list of revoked badges is not to be trusted: {cause.explanation}"
    return (
        Outcome.NOT_CHECKED,
        f"The badge says in a way that is not known here where this could be looked up. {_ASK}",
    )


def _bit(entry: Mapping[str, Any], issuer: Signer, web: Web, now: datetime) -> Answer:
    purpose, index = entry.get("statusPurpose"), entry.get("statusListIndex")
    address = entry.get("statusListCredential")
    if purpose not in ("revocation", "suspension"):
        return Outcome.NOTHING, "The badge names a list of messages only, and none of revoked badges."
    if not isinstance(address, str) or not isinstance(index, str) or not _INDEX.fullmatch(index):
        raise Stop(STATUS, f"the badge does not say properly where it stands in it. {_ASK}")
    listed = _credential(address, issuer, web, now)
    subject = listed.get("credentialSubject")
    if not isinstance(subject, dict) or not form.is_a(subject.get("type"), "BitstringStatusList"):
        raise Stop(STATUS, f"it is no such list. {_ASK}")
    if purpose not in _listed(subject.get("statusPurpose")):
        raise Stop(STATUS, f"it is a list for another purpose. {_ASK}")
    if entry.get("statusSize", 1) != 1:
        raise Stop(STATUS, f"it has entries of a size that is not read here. {_ASK}")
    if bit(str(subject.get("encodedList")), int(index)):
        done = "revoked it" if purpose == "revocation" else "suspended it for the time being"
        return Outcome.FAILED, f"The issuer has {done}. {_ASK}"
    return (
        Outcome.PASSED,
        f"The issuer’s signed list at {host_of(address)} does not have it among the revoked.",
    )


def bit(encoded: str, index: int) -> bool:
    """The bit at ``index`` of an ``encodedList``. Raises ``Stop`` for a list that is not as it has to be."""
    try:
        if not encoded.startswith("u"):
            raise ValueError("not base64url in multibase")
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        bits = unpacker.decompress(signatures.from_base64url(encoded[1:].rstrip("=")), MAX_LIST + 1)
    except (ValueError, zlib.error) as cause:
        raise Stop(STATUS, f"it cannot be unpacked. {_ASK}") from cause
    if len(bits) > MAX_LIST or not unpacker.eof:
        raise Stop(STATUS, f"it is cut off, or larger than any real one. {_ASK}")
    if len(bits) * 8 < MIN_ENTRIES:
        raise Stop(STATUS, f"it is shorter than the standard allows. {_ASK}")
    if index >= len(bits) * 8:
        raise Stop(STATUS, f"it has no place of the number that the badge names. {_ASK}")
    return bool(bits[index // 8] & 0x80 >> index % 8)


def _credential(address: str, issuer: Signer, web: Web, now: datetime) -> Mapping[str, Any]:
    """The list at ``address`` once it is certain that the issuer signed it and it holds today. Raises ``Stop``."""
    accept = "application/vc+ld+json, application/vc, application/vc+jwt, application/json;q=0.9, */*;q=0.1"
    content = web.get(address, accept=accept, port=issuer.port).body
    compact = carriers.compact(content)
    try:
        if compact is not None:
            token = signatures.token(compact)
            listed = token.payload
            _of_same_issuer(listed, issuer)
            if signatures.odd_header(token.header) or listed.get("iss", issuer.name) != issuer.name:
                raise Stop(STATUS, f"its signature is not as it has to be. {_ASK}")
            found = issuer.token_key(str(token.header.get("kid", "")), token.header.get("jwk"))
            signatures.check_token(token, _proven(found))
        else:
            listed = carriers.document(content)
            _of_same_issuer(listed, issuer)
            signature = signatures.embedded(listed, issuer.name, "list", STATUS)
            key = _proven(issuer.proof_key(str(signature["verificationMethod"])))
            signatures.check_embedded(listed, signature, key, ours=False, box=sandbox.shared)
    except (signatures.Mismatch, signatures.Unreadable, proof.BadProof, proof.NotCovered) as cause:
        raise Stop(
            STATUS, f"its own signature does not fit, so anyone could have written it. {_ASK}"
        ) from cause
    except sandbox.Unavailable as cause:
        raise Stop(STATUS, "its signature could not be checked just now. Try again in a minute.") from cause
    starts, ends = form.moment(listed, "validFrom", STATUS), form.moment(listed, "validUntil", STATUS)
    if ends is not None and ends <= now:
        raise Stop(
            STATUS, f"it is out of date since {form.day(ends)}, so something newer may be kept back. {_ASK}"
        )
    if starts is not None and starts > now + form.SKEW:
        raise Stop(STATUS, f"it bears a date that has not come yet. {_ASK}")
    return listed


def _proven(found: Found) -> signatures.PublicKey:
    """The key if it is certainly the issuer's: a list by anybody else could clear what the issuer revoked."""
    if found.key is None or found.outcome is not Outcome.PASSED:
        raise Stop(STATUS, f"its signature could not be checked. {found.explanation}")
    return found.key


def _of_same_issuer(listed: Mapping[str, Any], issuer: Signer) -> None:
    if form.names(listed)[0] != issuer.name:
        raise Stop(STATUS, f"somebody else than the issuer made it. {_ASK}")
    used = _listed(listed.get("@context"))
    if not used or used[0] != contexts.CREDENTIALS_V2:
        raise Stop(STATUS, f"it is written in a form that is not read here. {_ASK}")


def _named(entry: Mapping[str, Any], credential_id: str, issuer: Signer, web: Web) -> Answer:
    """The list of 1EdTech: revoked credentials by their ids."""
    address = entry.get("id")
    if not isinstance(address, str):
        raise Stop(STATUS, f"the badge does not say where it is. {_ASK}")
    found = web.json(address, port=issuer.port)
    entries = found.get("revokedCredential")
    if not isinstance(entries, list):
        raise Stop(STATUS, f"it is no such list. {_ASK}")
    for one in entries:
        if isinstance(one, dict) and one.get("id") == credential_id and one.get("revoked", True) is not False:
            reason = one.get("revocationReason")
            said = f" because: {reason.strip()[:200]}" if isinstance(reason, str) and reason.strip() else ""
            return Outcome.FAILED, f"The issuer has revoked it{said}. {_ASK}"
    return Outcome.PASSED, f"The issuer’s list at {host_of(address)} does not have it among the revoked."


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
