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
from urllib.parse import quote

from lti_tool.issuers.contexts import CREDENTIALS_V2, EXTENSIONS, OPEN_BADGES
from lti_tool.issuers.proof import CONTROL, EXTENSION, timestamp

SCHEMA = "https://purl.imsglobal.org/spec/ob/v3p0/schema/json/ob_v3p0_achievementcredential_schema.json"

_ABSOLUTE = re.compile(r"(https?|urn|did):[^\x00-\x20<>\"{}|\\^`]+")
_ASSESSMENT = "https://purl.imsglobal.org/spec/vc/ob/vocab.html#AssessmentResultDescription"
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
    url: str | None = None
    """Where the earner put it. Written only by their consent; never kept for a task that involves children."""


@dataclass(frozen=True, kw_only=True)
class CreditFacts:
    """What an authority counts the micro-credential for, by a rule that was active at the award."""

    authority: str
    value: float
    """At most two decimals."""
    unit: str
    """In the authority's own words."""


@dataclass(frozen=True, kw_only=True)
class ResultFacts:
    """The level that the earner reached in one criterion. Written only by their consent."""

    criterion: str
    level: str


@dataclass(frozen=True, kw_only=True)
class StatusFacts:
    """Where a verifier looks up whether the badge was revoked."""

    list_url: str
    index: int
    """Place in that list."""


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
    asked: tuple[str, ...] = ()
    """Titles of what had to be handed in."""
    passing: str = ""
    """When the work demonstrates the competency, as a whole sentence."""
    language: str = "en-US"
    image_url: str | None = None
    alignments: tuple[AlignmentFacts, ...] = ()
    criteria: tuple[CriterionFacts, ...] = ()
    tags: tuple[str, ...] = ()
    parts: tuple[PartFacts, ...] = ()
    """Filled for the badge of a stack."""
    credits: tuple[CreditFacts, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BadgeFacts:
    """Everything a badge says, fixed at the award."""

    credential_id: str
    """``urn:uuid:…``"""
    issuer_did: str
    issuer_name: str
    issuer_url: str
    awarded_at: datetime
    """Aware. Written as awardedDate, so it must not lie in the future when delivered."""
    issued_at: datetime | None = None
    """Written as validFrom. Later than the award where the badge was issued again; None is the award."""
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
    results: tuple[ResultFacts, ...] = ()
    shows_results: bool = False
    """Whether the earner agreed to ``results`` being written."""
    shows_evidence: bool = False
    """Whether the earner agreed to the addresses of evidence being written."""
    status: StatusFacts | None = None


def as_map(facts: BadgeFacts) -> dict[str, Any]:
    """``facts`` as values that JSON can hold; ``from_map`` gives them back."""
    plain = asdict(facts)
    for name in _MOMENTS:
        moment = getattr(facts, name)
        plain[name] = None if moment is None else moment.isoformat()
    return _lists(plain)  # type: ignore[no-any-return]  # a map stays a map


def from_map(plain: Mapping[str, Any]) -> BadgeFacts:
    """The facts that ``as_map`` wrote, also those written before some kinds of facts existed."""
    achievement = dict(plain["achievement"])
    for name, kind in _IN_ACHIEVEMENT.items():
        achievement[name] = tuple(kind(**each) for each in achievement.get(name, ()))
    achievement["criteria"] = tuple(
        CriterionFacts(**{**each, "levels": tuple(LevelFacts(**level) for level in each["levels"])})
        for each in achievement["criteria"]
    )
    for name in ("tags", "asked"):
        achievement[name] = tuple(achievement.get(name, ()))
    moments = {name: plain.get(name) for name in _MOMENTS}
    return BadgeFacts(
        **{
            **plain,
            **{name: text and datetime.fromisoformat(text) for name, text in moments.items()},
            "achievement": AchievementFacts(**achievement),
            "source": plain["source"] and BodyFacts(**plain["source"]),
            "evidence": tuple(EvidenceFacts(**each) for each in plain["evidence"]),
            "results": tuple(ResultFacts(**each) for each in plain.get("results", ())),
            "status": StatusFacts(**plain["status"]) if plain.get("status") else None,
        }
    )


_MOMENTS = ("awarded_at", "issued_at", "valid_until")
_IN_ACHIEVEMENT: Mapping[str, type[AlignmentFacts | PartFacts | CreditFacts]] = {
    "alignments": AlignmentFacts,
    "parts": PartFacts,
    "credits": CreditFacts,
}


def build(facts: BadgeFacts, endorsements: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The unsigned credential. Raises ``FactsUnusable`` with the reason.

    ``endorsements`` are signed EndorsementCredentials about the achievement, which go in as they are.

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
        "validFrom": timestamp(facts.issued_at or facts.awarded_at),
        "awardedDate": timestamp(facts.awarded_at),
        "credentialSubject": _subject(facts),
        "credentialSchema": [{"id": SCHEMA, "type": "1EdTechJsonSchemaValidator2019"}],
    }
    if facts.valid_until is not None:
        credential["validUntil"] = timestamp(facts.valid_until)
    if facts.status is not None:
        credential["credentialStatus"] = _status(facts.status)
    if facts.evidence:
        # Links under one task look alike, and a signature cannot tell more than a few alike nodes apart.
        credential["evidence"] = _all_evidence(facts)
    written: dict[str, Any] = _visible(credential)
    if endorsements:
        written["credentialSubject"]["achievement"]["endorsement"] = [dict(each) for each in endorsements]
    return written


def identity_hash(identity: str, salt: str) -> str:
    """``sha256$`` and the hex digest of identity and salt together, exactly as given: nothing is lower-cased.

    Spec: https://www.imsglobal.org/spec/ob/v3p0/#identityhash
    """
    return "sha256$" + hashlib.sha256((identity + salt).encode()).hexdigest()


def criterion_id(achievement_id: str, criterion_key: str) -> str:
    """The absolute IRI of a rubric criterion of an achievement."""
    return f"{achievement_id}#criterion-{quote(criterion_key, safe='')}"


def is_address(text: str) -> bool:
    """Whether ``text`` may stand as an address in a badge."""
    return _ABSOLUTE.fullmatch(text) is not None


def assessment_id(achievement_id: str) -> str:
    """The absolute IRI of how the work for an achievement was judged."""
    return f"{achievement_id}#assessment"


def level_id(achievement_id: str, criterion_key: str, level_key: str) -> str:
    """The absolute IRI of one level of a criterion."""
    return f"{criterion_id(achievement_id, criterion_key)}/{quote(level_key, safe='')}"


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
    if facts.shows_results and facts.results:
        subject["result"] = _results(facts)
    return subject


def _source(body: BodyFacts, facts: BadgeFacts) -> dict[str, Any]:
    source: dict[str, Any] = {"id": body.id, "type": ["Profile"], "name": body.name}
    if body.url is not None:
        source["url"] = body.url
    if body.id == facts.issuer_did and source != _issuer(facts):
        # One id must not be described in two ways (proof.DescribedTwice), so the part gets an id within the whole.
        source["id"] = f"{body.id}#assessing-body"
    return source


def _status(facts: StatusFacts) -> dict[str, Any]:
    """Spec: https://www.w3.org/TR/vc-bitstring-status-list/#bitstringstatuslistentry"""
    return {
        "id": f"{facts.list_url}#{facts.index}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": str(facts.index),
        "statusListCredential": facts.list_url,
    }


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
    described = [_criterion(each, facts.id) for each in facts.criteria]
    if facts.assessment_mode.strip():
        described.append(_assessment(facts))
    if described:
        achievement["resultDescription"] = described
    if len(facts.credits) == 1:
        # One number cannot speak for several authorities; the criteria name them all.
        achievement["creditsAvailable"] = facts.credits[0].value
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
    pieces += [f"{each.authority} counts it for {each.value:g} {each.unit}." for each in facts.credits]
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


def _assessment(facts: AchievementFacts) -> dict[str, Any]:
    """The Assessment extension, version 2: how the work was judged.

    Its members stand under their full addresses. The context that would shorten them defines only some of them, and
    verifiers that fetch nothing, as they should, do not carry it: they would refuse the whole badge.
    Spec: https://www.imsglobal.org/spec/ob-assessment/v2p0/
    """
    output = "; ".join(facts.asked) or "Work of the earner, as the criteria describe it"
    return {
        "id": assessment_id(facts.id),
        "type": ["ResultDescription", _ASSESSMENT],
        "name": "How it was judged",
        "description": f"The earner's work was judged against the criteria of “{facts.name}”.",
        "resultType": "Status",
        f"{EXTENSION}assessmentType": "Artifact",
        f"{EXTENSION}assessmentOutput": output,
        f"{EXTENSION}assessmentHasGroupParticipation": False,
        f"{EXTENSION}assessmentHasGroupEvaluation": False,
        f"{EXTENSION}assessmentEvaluationMethod": f"{facts.assessment_mode} {facts.passing}".strip(),
    }


def _results(facts: BadgeFacts) -> list[dict[str, Any]]:
    achievement = facts.achievement
    names = {
        (criterion.key, level.key): level.name
        for criterion in achievement.criteria
        for level in criterion.levels
    }
    results = [
        {
            "type": ["Result"],
            "resultDescription": criterion_id(achievement.id, each.criterion),
            "value": names[each.criterion, each.level],
            "achievedLevel": level_id(achievement.id, each.criterion, each.level),
        }
        for each in facts.results
    ]
    if achievement.assessment_mode.strip():
        described = assessment_id(achievement.id)
        results.append({"type": ["Result"], "resultDescription": described, "status": "Completed"})
    return results


def _all_evidence(facts: BadgeFacts) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    taken: set[str] = set()
    for number, each in enumerate(facts.evidence, start=1):
        name = f"{facts.credential_id}#evidence-{number}"
        # Two links to one place would be one thing to a signature, described in two ways.
        if facts.shows_evidence and each.url is not None and each.url not in taken:
            name = each.url
        taken.add(name)
        entries.append({"id": name} | _evidence(each))
    return entries


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
        "status list": None if facts.status is None else facts.status.list_url,
        "assessing body": None if facts.source is None else facts.source.id,
        **{f"part {part.name}": part.id for part in achievement.parts},
        **{f"standard {each.code}": each.url for each in achievement.alignments},
        **{f"evidence {each.name}": each.url for each in facts.evidence},
    }
    for what, address in addresses.items():
        if address is not None and not is_address(address):
            raise FactsUnusable(f"The {what} is no complete address: {address}")
    if not _LANGUAGE.fullmatch(achievement.language):
        raise FactsUnusable(f"{achievement.language} is no language tag such as en-US.")
    if (facts.email is None) != (facts.salt is None) or facts.salt == "":
        raise FactsUnusable(
            "An e-mail address goes into a badge only hashed with a salt, so both are needed."
        )
    if facts.valid_until is not None and facts.valid_until <= (facts.issued_at or facts.awarded_at):
        raise FactsUnusable("The badge would end before it begins.")
    described = {(each.key, level.key) for each in achievement.criteria for level in each.levels}
    for result in facts.results:
        if (result.criterion, result.level) not in described:
            raise FactsUnusable(f"There is no level {result.level} of a criterion {result.criterion}.")
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
