"""What others vouch for: an accreditor or a board signs that it endorses one of our achievements.

The endorsement is a credential of its own, with its own signature and its own expiry. It is checked before it is kept,
stands on the achievement's public page, and travels inside the badges that are signed from then on.

Spec: https://www.imsglobal.org/spec/ob/v3p0/#endorsementcredential
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from lti_tool import audit
from lti_tool.badges import open_badge
from lti_tool.badges.models import Endorsement
from lti_tool.credentials.queries import stack_by_key, version_by_key
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.issuers import contexts, proof
from lti_tool.issuers.keys import ensure_issuer
from lti_tool.settings import current

_MOST_BYTES = 100_000
_CONTEXTS = [contexts.CREDENTIALS_V2, contexts.OPEN_BADGES, contexts.EXTENSIONS]


class EndorsementRefused(Exception):
    """The file is no endorsement that can be believed, or carried inside a badge. Its text says why."""


class KeyLookup(Protocol):
    """Where the public keys of endorsers come from."""

    def __call__(self, endorser: str, verification_method: str) -> Ed25519PublicKey:
        """The key ``verification_method`` (a DID URL) that ``endorser`` (a DID) publishes.

        :raises EndorsementRefused: they do not, or could not be asked.
        """


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """What an endorsement says, in the form that the standard requires."""

    id: str
    endorser: str
    endorser_id: str
    achievement_id: str
    comment: str
    valid_from: datetime
    valid_until: datetime | None


def accept(raw: bytes, *, keys: KeyLookup, now: datetime) -> Endorsement:
    """Check an endorsement and keep it.

    :raises EndorsementRefused: with what is wrong with it.
    """
    document = _parsed(raw)
    claim = _read(document)
    if not claim.valid_from <= now < (claim.valid_until or datetime.max.replace(tzinfo=UTC)):
        raise EndorsementRefused("The endorsement is not valid today.")
    _check_signature(document, claim, keys)
    _check_achievement(claim.achievement_id)
    others = [json.loads(each.text) for each in standing([claim.achievement_id], now=now)]
    _check_fits([*others, document], claim.achievement_id, now)
    kept = Endorsement(
        credential_id=claim.id,
        achievement_id=claim.achievement_id,
        endorser=claim.endorser,
        endorser_id=claim.endorser_id,
        comment=claim.comment,
        text=raw.decode(),
        valid_from=claim.valid_from,
        valid_until=claim.valid_until,
        accepted_at=now,
    )
    try:
        with db.session.begin_nested():
            db.session.add(kept)
    except IntegrityError:
        raise EndorsementRefused("This endorsement was accepted before.") from None
    audit.record("endorsement accepted", "endorsement", kept.id, now=now)
    return kept


def standing(achievement_ids: Sequence[str], *, now: datetime) -> Sequence[Endorsement]:
    """The endorsements of these achievements that are valid now, oldest first."""
    return db.session.scalars(
        select(Endorsement)
        .where(
            Endorsement.achievement_id.in_(achievement_ids),
            Endorsement.valid_from <= now,
            or_(Endorsement.valid_until.is_(None), Endorsement.valid_until > now),
        )
        .order_by(Endorsement.id)
    ).all()


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > _MOST_BYTES:
        raise EndorsementRefused(
            f"The file is larger than {_MOST_BYTES // 1000} kB, which no endorsement is."
        )
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise EndorsementRefused("The file is not readable JSON.") from None
    if not isinstance(document, dict):
        raise EndorsementRefused("The file is JSON, but no credential.")
    return document


def _read(document: Mapping[str, Any]) -> _Claim:
    named = document.get("@context")
    if not isinstance(named, list) or named not in (_CONTEXTS[:2], _CONTEXTS):
        raise EndorsementRefused(
            f"Its @context must be {_CONTEXTS[0]} and {_CONTEXTS[1]}: with any other, badges could not carry it."
        )
    if not {"VerifiableCredential", "EndorsementCredential"} <= _kinds(document):
        raise EndorsementRefused("It is signed data of some other kind, not an EndorsementCredential.")
    endorser, subject = document.get("issuer"), document.get("credentialSubject")
    if not isinstance(endorser, dict) or "Profile" not in _kinds(endorser):
        raise EndorsementRefused("It does not describe who endorses (issuer, as a Profile).")
    if not isinstance(subject, dict) or _kinds(subject) != {"EndorsementSubject"}:
        raise EndorsementRefused(
            "It does not say what is endorsed (credentialSubject, an EndorsementSubject)."
        )
    if beyond := sorted(subject.keys() - {"id", "type", "endorsementComment"}):
        raise EndorsementRefused(
            f"It describes the achievement itself ({beyond[0]}), which is for its issuer to do."
        )
    return _Claim(
        id=_text(document, "id"),
        endorser=_text(endorser, "name"),
        endorser_id=_text(endorser, "id"),
        achievement_id=_text(subject, "id"),
        comment=_text(subject, "endorsementComment") if "endorsementComment" in subject else "",
        valid_from=_moment(document, "validFrom"),
        valid_until=_moment(document, "validUntil") if "validUntil" in document else None,
    )


def _check_signature(document: Mapping[str, Any], claim: _Claim, keys: KeyLookup) -> None:
    found = document.get("proof")
    proofs = found if isinstance(found, list) else [found]
    one = proofs[0] if len(proofs) == 1 else None
    if not isinstance(one, dict):
        raise EndorsementRefused("It does not carry exactly one signature (proof).")
    method = one.get("verificationMethod")
    if one.get("proofPurpose") != "assertionMethod":
        raise EndorsementRefused("Its signature was made for another purpose (proofPurpose).")
    if not isinstance(method, str) or method.partition("#")[0] != claim.endorser_id:
        raise EndorsementRefused("It was signed with somebody else's key than its endorser's.")
    try:
        proof.verify_proof(document, one, keys(claim.endorser_id, method))
    except (proof.BadProof, proof.NotCovered) as wrong:
        raise EndorsementRefused(f"Its signature does not hold: {wrong}") from None


def _check_achievement(address: str) -> None:
    """It must be one of ours, in a version that is there."""
    path = address.removeprefix(current().public_url).strip("/").split("/")
    try:
        match path if address.startswith(f"{current().public_url}/") else []:
            case ["credentials", key, number] if number.isdecimal():
                version_by_key(key, int(number))
            case ["stacks", key, number] if number.isdecimal():
                if int(number) not in {version.number for version in stack_by_key(key).versions}:
                    raise NotHere
            case _:
                raise NotHere
    except NotHere:
        raise EndorsementRefused(f"There is no achievement {address} here.") from None


def _check_fits(together: Sequence[Mapping[str, Any]], achievement_id: str, now: datetime) -> None:
    """A badge with all of them inside must be one that can be signed. Tried here, so that no badge fails later."""
    issuer = ensure_issuer(now=now)
    facts = open_badge.BadgeFacts(
        credential_id=f"urn:uuid:{uuid.uuid4()}",
        issuer_did=issuer.did,
        issuer_name=issuer.name,
        issuer_url=issuer.url,
        awarded_at=now,
        subject_id=f"urn:uuid:{uuid.uuid4()}",
        achievement=open_badge.AchievementFacts(
            id=achievement_id,
            name="A sample",
            description="A sample",
            criteria_narrative="A sample",
            version=1,
            assessment_mode="",
        ),
    )
    key = proof.new_signing_key()
    try:
        sample = proof.sign(open_badge.build(facts, together), key, f"{issuer.did}#sample", now)
        proof.verify_proof(sample, sample["proof"][0], key.public_key())
    except proof.NotCovered as wrong:
        raise EndorsementRefused(f"Badges could not carry it: {wrong}") from None


def _kinds(part: Mapping[str, Any]) -> set[str]:
    kinds = part.get("type")
    return {kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)}


def _text(part: Mapping[str, Any], name: str) -> str:
    text = part.get(name)
    if not isinstance(text, str) or not text.strip():
        raise EndorsementRefused(f"It lacks “{name}”, or that is no text.")
    return text


def _moment(part: Mapping[str, Any], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(part, name))
    except ValueError:
        raise EndorsementRefused(f"The date “{name}” cannot be read.") from None
    if moment.tzinfo is None:
        raise EndorsementRefused(f"The date “{name}” lacks its time zone.")
    return moment
