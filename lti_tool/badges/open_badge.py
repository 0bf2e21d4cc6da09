"""What an Open Badge 3.0 says: from plain facts to the unsigned credential, and the issuer's DID document.

The facts are fixed at the award and kept as a map (``as_map``, ``from_map``), so that a badge signed later by
the worker still says what was asked on that day. Every property that may have several values is an array even
with one: the older schema of 1EdTech demands it, the newer one allows it.

Specs: https://www.imsglobal.org/spec/ob/v3p0/#openbadgecredential,
https://www.w3.org/TR/vc-data-model-2.0/, https://w3c-ccg.github.io/did-method-web/
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lti_tool.badges.contexts import CREDENTIALS_V2, EXTENSIONS, OPEN_BADGES
from lti_tool.badges.proof import CONTROL, multikey, timestamp

SCHEMA = "https://purl.imsglobal.org/spec/ob/v3p0/schema/json/ob_v3p0_achievementcredential_schema.json"

_ABSOLUTE = re.compile(r"(https?|urn|did):[^\x00-\x20<>\"{}|\\^`]+")
_LANGUAGE = re.compile(r"[a-z]{2,4}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")


class FactsUnusable(ValueError):  # named for what is wrong, as all of ours are
    """The facts of a badge contradict each other or lack something that Open Badges 3.0 requires."""


@dataclass(frozen=True, kw_only=True)
class AlignmentFacts:
    """One standard that the micro-credential is aligned to."""

    code: str
    label: str
    framework: str
    url: str | None = None
    """Where the standard is published. Without one, the badge points to its place on the criteria page."""


@dataclass(frozen=True, kw_only=True)
class LevelFacts:
    """One level of a criterion."""

    key: str
    name: str
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class CriterionFacts:
    """One row of the rubric, its levels from lowest to highest."""

    key: str
    name: str
    levels: tuple[LevelFacts, ...]
    required_level: str
    """Key of the level that had to be reached."""


@dataclass(frozen=True, kw_only=True)
class PartFacts:
    """A micro-credential that a stack is made of."""

    id: str
    """Its achievement id: the address of its public page, version included."""
    name: str
    version: int


@dataclass(frozen=True, kw_only=True)
class BodyFacts:
    """An organisation: here the one that assessed. Never a person."""

    id: str
    """Its DID or web address."""
    name: str
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvidenceFacts:
    """What a piece of evidence was, without leading to it: evidence shows children and stays with us."""

    name: str
    narrative: str
    genre: str = ""
    sha256: str | None = None
    """Hex digest of the file as handed in, so that its owner can prove later which file it was."""


@dataclass(frozen=True, kw_only=True)
class AchievementFacts:
    """What was to be shown: the micro-credential (or stack) in the version that was earned."""

    id: str
    """Address of the public page of this version; also where the criteria can be read."""
    name: str
    description: str
    criteria_narrative: str
    """What an earner had to do, in words (Markdown)."""
    version: int
    assessment_mode: str
    """A whole sentence on who assessed and how, such as "Assessed by: course instructor (one rating)."."""
    language: str = "en-US"
    image_url: str | None = None
    alignments: tuple[AlignmentFacts, ...] = ()
    criteria: tuple[CriterionFacts, ...] = ()
    tags: tuple[str, ...] = ()
    parts: tuple[PartFacts, ...] = ()
    """Filled for the badge of a stack."""


@dataclass(frozen=True, kw_only=True)
class BadgeFacts:
    """Everything a badge says, fixed at the award."""

    credential_id: str
    """``urn:uuid:…``"""
    issuer_did: str
    issuer_name: str
    issuer_url: str
    awarded_at: datetime
    """Aware. Written as validFrom and awardedDate, so it must not lie in the future when delivered."""
    subject_id: str
    """``urn:uuid:…``, random: it says nothing about the person."""
    achievement: AchievementFacts
    valid_until: datetime | None = None
    email: str | None = None
    """Only ever written hashed, and only together with ``salt``."""
    salt: str | None = None
    """Random, one per badge: with a shared one, all badges of a person could be linked."""
    source: BodyFacts | None = None
    evidence: tuple[EvidenceFacts, ...] = ()


def as_map(facts: BadgeFacts) -> dict[str, Any]:
    """``facts`` as values that JSON can hold; ``from_map`` gives them back."""
    plain = asdict(facts)
    plain["awarded_at"] = facts.awarded_at.isoformat()
    plain["valid_until"] = None if facts.valid_until is None else facts.valid_until.isoformat()
    return _lists(plain)  # type: ignore[no-any-return]  # a map stays a map


def from_map(plain: Mapping[str, Any]) -> BadgeFacts:
    """The facts that ``as_map`` wrote."""
    achievement = dict(plain["achievement"])
    achievement["alignments"] = tuple(AlignmentFacts(**each) for each in achievement["alignments"])
    achievement["criteria"] = tuple(
        CriterionFacts(**{**each, "levels": tuple(LevelFacts(**level) for level in each["levels"])})
        for each in achievement["criteria"]
    )
    achievement["tags"] = tuple(achievement["tags"])
    achievement["parts"] = tuple(PartFacts(**each) for each in achievement["parts"])
    until = plain["valid_until"]
    return BadgeFacts(
        **{
            **plain,
            "awarded_at": datetime.fromisoformat(plain["awarded_at"]),
            "valid_until": None if until is None else datetime.fromisoformat(until),
            "achievement": AchievementFacts(**achievement),
            "source": None if plain["source"] is None else BodyFacts(**plain["source"]),
            "evidence": tuple(EvidenceFacts(**each) for each in plain["evidence"]),
        }
    )


def build(facts: BadgeFacts) -> dict[str, Any]:
    """The unsigned credential. Raises ``FactsUnusable`` with the reason.

    Invisible control characters are taken out: titles pasted from word processors and names of uploaded files
    have them, no reader would miss them, and a signature over them does not hold everywhere.
    """
    _check(facts)
    achievement = facts.achievement
    credential: dict[str, Any] = {
        "@context": [CREDENTIALS_V2, OPEN_BADGES, EXTENSIONS],
        "id": facts.credential_id,
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": achievement.name,
        "description": achievement.description,
        "issuer": _issuer(facts),
        "validFrom": timestamp(facts.awarded_at),
        "awardedDate": timestamp(facts.awarded_at),
        "credentialSubject": _subject(facts),
        "credentialSchema": [{"id": SCHEMA, "type": "1EdTechJsonSchemaValidator2019"}],
    }
    if facts.valid_until is not None:
        credential["validUntil"] = timestamp(facts.valid_until)
    if facts.evidence:
        # Links under one task look alike, and a signature cannot tell more than a few alike nodes apart.
        credential["evidence"] = [
            {"id": f"{facts.credential_id}#evidence-{number}"} | _evidence(each)
            for number, each in enumerate(facts.evidence, start=1)
        ]
    return _visible(credential)  # type: ignore[no-any-return]  # a map stays a map


def identity_hash(identity: str, salt: str) -> str:
    """``sha256$`` and the hex digest of identity and salt together, exactly as given: nothing is lower-cased.

    Spec: https://www.imsglobal.org/spec/ob/v3p0/#identityhash
    """
    return "sha256$" + hashlib.sha256((identity + salt).encode()).hexdigest()


def criterion_id(achievement_id: str, criterion_key: str) -> str:
    """The absolute IRI of a rubric criterion of an achievement."""
    return f"{achievement_id}#criterion-{quote(criterion_key, safe='')}"


def level_id(achievement_id: str, criterion_key: str, level_key: str) -> str:
    """The absolute IRI of one level of a criterion."""
    return f"{criterion_id(achievement_id, criterion_key)}/{quote(level_key, safe='')}"


def issuer_did(public_url: str, issuer_number: int) -> str:
    """The did:web of issuer ``issuer_number`` at ``public_url``; resolves to ``…/issuers/<number>/did.json``.

    The path matters: verifiers decode the ``%3A`` of a port only where a path follows.
    Raises ``FactsUnusable`` for an address that cannot carry one.
    """
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or ":" in parts.hostname:
        raise FactsUnusable(f"{public_url} is no address with a host name, so it cannot name an issuer.")
    host = parts.hostname if parts.port is None else f"{parts.hostname}%3A{parts.port}"
    path = [quote(piece, safe="") for piece in parts.path.split("/") if piece]
    return ":".join(["did:web", host, *path, "issuers", str(issuer_number)])


def verification_method(did: str, key: Ed25519PublicKey) -> str:
    """The DID URL of an issuer's key. Its fragment is the key itself, so it never comes to mean another."""
    return f"{did}#{multikey(key)}"


def did_document(did: str, keys: Sequence[Ed25519PublicKey]) -> dict[str, Any]:
    """The DID document of an issuer. ``keys`` are all it ever signed with, so that old badges still verify.

    Spec: https://www.w3.org/TR/did-1.0/#verification-methods
    """
    methods = [verification_method(did, key) for key in keys]
    return {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": did,
        "verificationMethod": [
            {"id": method, "type": "Multikey", "controller": did, "publicKeyMultibase": multikey(key)}
            for method, key in zip(methods, keys, strict=True)
        ],
        "assertionMethod": methods,
    }


def _subject(facts: BadgeFacts) -> dict[str, Any]:
    subject: dict[str, Any] = {"id": facts.subject_id, "type": ["AchievementSubject"]}
    if facts.email is not None and facts.salt is not None:
        subject["identifier"] = [
            {
                "type": "IdentityObject",
                "hashed": True,
                "identityHash": identity_hash(facts.email, facts.salt),
                "identityType": "emailAddress",
                "salt": facts.salt,
            }
        ]
    if facts.source is not None:
        subject["source"] = _source(facts.source, facts)
    subject["achievement"] = _achievement(facts.achievement)
    return subject


def _source(body: BodyFacts, facts: BadgeFacts) -> dict[str, Any]:
    source: dict[str, Any] = {"id": body.id, "type": ["Profile"], "name": body.name}
    if body.url is not None:
        source["url"] = body.url
    if body.id == facts.issuer_did and source != _issuer(facts):
        # One id must not be described in two ways (proof.DescribedTwice), so the part gets an id within the whole.
        source["id"] = f"{body.id}#assessing-body"
    return source


def _issuer(facts: BadgeFacts) -> dict[str, Any]:
    return {
        "id": facts.issuer_did,
        "type": ["Profile"],
        "name": facts.issuer_name,
        "url": facts.issuer_url,
    }


def _achievement(facts: AchievementFacts) -> dict[str, Any]:
    achievement: dict[str, Any] = {
        "id": facts.id,
        "type": ["Achievement"],
        "achievementType": "MicroCredential",
        "name": facts.name,
        "description": facts.description,
        "version": str(facts.version),
        "inLanguage": facts.language,
        # An id of its own: with the achievement's, members could change places unseen (proof.DescribedTwice).
        "criteria": {"id": f"{facts.id}#criteria", "narrative": _criteria(facts)},
    }
    if facts.image_url is not None:
        achievement["image"] = {"id": facts.image_url, "type": "Image", "caption": f"Badge: {facts.name}"}
    if facts.alignments:
        achievement["alignment"] = [_alignment(each, facts.id) for each in facts.alignments]
    if facts.criteria:
        achievement["resultDescription"] = [_criterion(each, facts.id) for each in facts.criteria]
    if facts.tags:
        achievement["tag"] = list(facts.tags)
    return achievement


def _criteria(facts: AchievementFacts) -> str:
    """The narrative carries what Open Badges has no member for: the parts of a stack (``related`` means other
    editions of the same achievement), and who assessed."""
    pieces = [facts.criteria_narrative.strip()]
    if facts.parts:
        listed = "\n".join(f"- {part.name} (version {part.version}): {part.id}" for part in facts.parts)
        pieces.append(f"Completed by earning each of these micro-credentials:\n\n{listed}")
    pieces.append(facts.assessment_mode.strip())
    return "\n\n".join(piece for piece in pieces if piece)


def _alignment(facts: AlignmentFacts, achievement_id: str) -> dict[str, Any]:
    return {
        "type": ["Alignment"],
        "targetCode": facts.code,
        "targetName": facts.label,
        "targetFramework": facts.framework,
        "targetUrl": facts.url or f"{achievement_id}#standard-{quote(facts.code, safe='')}",
    }


def _criterion(facts: CriterionFacts, achievement_id: str) -> dict[str, Any]:
    levels = []
    for number, level in enumerate(facts.levels, start=1):
        entry = {
            "id": level_id(achievement_id, facts.key, level.key),
            "type": ["RubricCriterionLevel"],
            "name": level.name,
            "level": str(number),
        }
        if level.description:
            entry["description"] = level.description
        levels.append(entry)
    return {
        "id": criterion_id(achievement_id, facts.key),
        "type": ["ResultDescription"],
        "name": facts.name,
        "resultType": "RubricCriterionLevel",
        "requiredLevel": level_id(achievement_id, facts.key, facts.required_level),
        "rubricCriterionLevel": levels,
    }


def _evidence(facts: EvidenceFacts) -> dict[str, Any]:
    narrative = facts.narrative.strip()
    if facts.sha256 is not None:
        narrative = f"{narrative}\n\nSHA-256 of the file as handed in: {facts.sha256}".strip()
    evidence: dict[str, Any] = {"type": ["Evidence"], "name": facts.name, "narrative": narrative}
    if facts.genre:
        evidence["genre"] = facts.genre
    return {key: part for key, part in evidence.items() if part}


def _check(facts: BadgeFacts) -> None:
    achievement = facts.achievement
    required = {
        "the issuer's name": facts.issuer_name,
        "the name": achievement.name,
        "the description": achievement.description,
        "the criteria": achievement.criteria_narrative,
    }
    if missing := [what for what, text in required.items() if not _visible(text).strip()]:
        raise FactsUnusable(f"A badge needs {' and '.join(missing)}.")
    addresses = {
        "credential id": facts.credential_id,
        "issuer": facts.issuer_did,
        "issuer's address": facts.issuer_url,
        "subject id": facts.subject_id,
        "achievement id": achievement.id,
        "image address": achievement.image_url,
        "assessing body": None if facts.source is None else facts.source.id,
        **{f"part {part.name}": part.id for part in achievement.parts},
        **{f"standard {each.code}": each.url for each in achievement.alignments},
    }
    for what, address in addresses.items():
        if address is not None and not _ABSOLUTE.fullmatch(address):
            raise FactsUnusable(f"The {what} is no complete address: {address}")
    if not _LANGUAGE.fullmatch(achievement.language):
        raise FactsUnusable(f"{achievement.language} is no language tag such as en-US.")
    if (facts.email is None) != (facts.salt is None) or facts.salt == "":
        raise FactsUnusable(
            "An e-mail address goes into a badge only hashed with a salt, so both are needed."
        )
    if facts.valid_until is not None and facts.valid_until <= facts.awarded_at:
        raise FactsUnusable("The badge would end before it begins.")
    for criterion in achievement.criteria:
        if criterion.required_level not in {level.key for level in criterion.levels}:
            raise FactsUnusable(f"The criterion {criterion.key} requires a level that it does not have.")


def _visible(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _visible(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_visible(part) for part in value]
    if isinstance(value, str):
        # Word processors write a line break as a vertical tab.
        return CONTROL.sub("", value.replace("\v", "\n"))
    return value


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(part) for part in value]
    return value
