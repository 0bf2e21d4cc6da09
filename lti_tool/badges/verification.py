"""Is this badge genuine? Every check on an uploaded file, each with an answer that a layperson understands.

The signature is checked over the uploaded bytes, for our own badges too: the database supplies only keys.
Nothing is fetched. A badge is read in two ways, as JSON by people's programs and as JSON-LD by the signature,
so it is accepted only if both readings are the same (see ``proof``).

Specs: https://www.imsglobal.org/spec/ob/v3p0/#verification-and-validation,
https://www.w3.org/TR/vc-data-integrity/#verify-proof
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lti_tool.badges import baking, contexts, proof

MAX_JSON = 2_000_000
"""Bytes of a badge as JSON. Ours are below 20 kB; foreign ones may carry pictures."""

SKEW = timedelta(minutes=5)
"""How far an issuer's clock may be ahead of ours."""

_OPEN_BADGES = re.compile(r"https://purl\.imsglobal\.org/spec/ob/v3p0/context-3\.\d\.\d\.json")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_JWS = re.compile(rb"\s*ey[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\s*")


class Outcome(StrEnum):
    """What became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


class Standing(StrEnum):
    """The verdict in one word."""

    GENUINE = "genuine"
    REFUSED = "refused"
    """Something is wrong: do not rely on it."""
    UNDECIDED = "undecided"
    """Nothing is wrong, yet something that matters could not be checked here."""


class NoKey(Enum):
    """Why there is no key to check with."""

    FOREIGN_ISSUER = "foreign issuer"
    """The issuer is none of ours."""
    UNKNOWN_KEY = "unknown key"
    """The issuer is ours, but never had the key that the badge names."""


class KeyLookup(Protocol):
    """Where public keys come from."""

    def __call__(self, issuer: str, verification_method: str) -> Ed25519PublicKey | NoKey:
        """The key ``verification_method`` (a DID URL) of ``issuer`` (a DID), retired ones included."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question about the badge, in plain words, and its answer."""

    name: str
    outcome: Outcome
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the file says. Only as true as the verdict: show it as a claim unless the badge is genuine."""

    credential_id: str
    achievement_id: str
    name: str
    description: str
    issuer_id: str
    issuer_name: str
    recipient: str
    """Who holds it, as far as a stranger may know: a kind of identity in words, never an address."""
    criteria: str
    """Markdown as the issuer wrote it. Empty if the badge gives only ``criteria_url``."""
    criteria_url: str
    version: str
    valid_from: datetime
    valid_until: datetime | None
    awarded_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer on one uploaded file."""

    standing: Standing
    checks: tuple[Check, ...]
    """All of them in the order in which they were made; after a failure, later ones may be "not checked"."""
    reason: str
    """The one sentence to put first."""
    shown: Shown | None
    """None if the file could not be read as an Open Badge 3.0."""

    @property
    def ok(self) -> bool:
        """Whether the badge is genuine: signed with a key known to be its issuer's, complete, in date."""
        return self.standing is Standing.GENUINE


FILE = "The file can be read"
FORM = "It is an Open Badge 3.0"
SIGNER = "It is signed in its issuer's name"
ISSUER = "The issuer is known here"
COVERED = "Everything in it is signed"
SIGNATURE = "The signature fits"
DATES = "It is valid today"
STATUS = "It was not taken back"
CHECKS = (FILE, FORM, SIGNER, ISSUER, COVERED, SIGNATURE, DATES, STATUS)

_SKIPPED = "Not checked: a check before it has to pass first."


def verify(upload: bytes, *, keys: KeyLookup, now: datetime) -> Verdict:
    """The verdict on a badge uploaded as JSON or as a PNG image. Never raises for what is in ``upload``.

    ``now`` is aware.
    """
    answers: dict[str, Check] = {}
    shown = None
    try:
        content = _content(upload)
        compact = _JWS.fullmatch(content) is not None
        document = {} if compact else _parse(content)
        _answer(answers, FILE, Outcome.PASSED, "The file is complete and holds one badge.")
        if compact:
            raise _Stop(FORM, _OTHER_FORMAT, Outcome.NOT_CHECKED)
        shown = _form(document)
        _answer(
            answers, FORM, Outcome.PASSED, "It has the form and all the parts that the standard requires."
        )
        signature = _signature(document, shown.issuer_id)
        _answer(
            answers, SIGNER, Outcome.PASSED, "The signature names a key of the issuer that the badge names."
        )
        key = _key(signature, shown, keys, answers)
        _check_signature(document, signature, key, answers)
        _check_dates(shown, signature, now)
        _answer(answers, DATES, Outcome.PASSED, _period(shown))
        _answer(answers, STATUS, Outcome.NOT_CHECKED, _status(document))
    except _Stop as stop:
        _answer(answers, stop.check, stop.outcome, stop.explanation)
    checks = tuple(
        answers.get(name, Check(name=name, outcome=Outcome.NOT_CHECKED, explanation=_SKIPPED))
        for name in CHECKS
    )
    return _verdict(checks, shown)


class _Stop(Exception):  # not an error: the answer is known, and later checks need what is missing
    def __init__(self, check: str, explanation: str, outcome: Outcome = Outcome.FAILED) -> None:
        super().__init__(explanation)
        self.check = check
        self.outcome = outcome
        self.explanation = explanation


def _answer(answers: dict[str, Check], name: str, outcome: Outcome, explanation: str) -> None:
    answers[name] = Check(name=name, outcome=outcome, explanation=explanation)


def _verdict(checks: tuple[Check, ...], shown: Shown | None) -> Verdict:
    failed = [check for check in checks if check.outcome is Outcome.FAILED]
    open_ones = [check for check in checks if check.outcome is Outcome.NOT_CHECKED]
    status = checks[CHECKS.index(STATUS)]
    if failed:
        return Verdict(standing=Standing.REFUSED, checks=checks, reason=failed[0].explanation, shown=shown)
    if any(check is not status for check in open_ones) or status.explanation == _STATUS_ELSEWHERE:
        return Verdict(
            standing=Standing.UNDECIDED, checks=checks, reason=open_ones[0].explanation, shown=shown
        )
    genuine = "This badge is genuine: its issuer signed it, and nothing in it was changed since."
    return Verdict(standing=Standing.GENUINE, checks=checks, reason=genuine, shown=shown)


# Reading the file


_OTHER_FORMAT = "This badge is signed in another format (VC-JWT), which is not checked here. Ask its issuer."


def _content(upload: bytes) -> bytes:
    """The badge's own text, taken out of its picture if it came in one."""
    if not upload.strip():
        raise _Stop(FILE, "The file is empty. Choose the badge's JSON file or its PNG image.")
    if upload.startswith(baking.PNG_SIGNATURE):
        try:
            upload = baking.unbake_png(upload).encode()
        except baking.ImageUnreadable as cause:
            raise _Stop(FILE, str(cause)) from cause
    if len(upload) > MAX_JSON:
        raise _Stop(FILE, f"The file is larger than {MAX_JSON // 1_000_000} MB, which no real badge is.")
    if upload.lstrip().startswith(b"<"):
        raise _Stop(
            FILE, "SVG images and web pages are not read here. Choose the badge's JSON file or PNG image."
        )
    return upload


def _parse(upload: bytes) -> dict[str, Any]:
    try:
        document = json.loads(
            upload.decode("utf-8-sig"), object_pairs_hook=_without_doubles, parse_constant=_no_constant
        )
    except _Double as cause:
        raise _Stop(
            FILE, f"The file says “{cause.key}” twice, so programs would read different badges in it."
        ) from cause
    except (ValueError, RecursionError) as cause:
        raise _Stop(
            FILE, "This is neither a PNG image nor readable JSON. Use the file exactly as it was downloaded."
        ) from cause
    if not isinstance(document, dict):
        raise _Stop(FORM, "The file is JSON, but not a badge.")
    return document


class _Double(ValueError):  # named for what is wrong, as all of ours are
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key[:60]


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise _Double(key)
        members[key] = value
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


# The form that other programs read


def _form(document: Mapping[str, Any]) -> Shown:
    _check_contexts(document.get("@context"))
    kinds = document.get("type")
    if not _is(kinds, "VerifiableCredential") or not (
        _is(kinds, "OpenBadgeCredential") or _is(kinds, "AchievementCredential")
    ):
        raise _Stop(FORM, "The file is signed data of some other kind, not an Open Badge.")
    issuer = _object(document, "issuer", "Profile")
    subject = _object(document, "credentialSubject", "AchievementSubject")
    achievement = _object(subject, "achievement", "Achievement", "credentialSubject.")
    criteria = _object(achievement, "criteria", None, "credentialSubject.achievement.")
    where = "credentialSubject.achievement."
    if not (_text(criteria, "id", where + "criteria.") or _text(criteria, "narrative", where + "criteria.")):
        raise _Stop(FORM, "The badge does not say what had to be done for it (criteria).")
    if "id" not in subject and not subject.get("identifier"):
        raise _Stop(FORM, "The badge does not say whom it was given to.")
    if not isinstance(document.get("credentialStatus", {}), dict):
        raise _Stop(FORM, "The part “credentialStatus” does not have the form that the standard requires.")
    return Shown(
        credential_id=_text(document, "id", needed=True),
        achievement_id=_text(achievement, "id", where, needed=True),
        name=_text(achievement, "name", where, needed=True),
        description=_text(achievement, "description", where, needed=True),
        issuer_id=_text(issuer, "id", "issuer.", needed=True),
        issuer_name=_text(issuer, "name", "issuer."),
        recipient=_recipient(subject),
        criteria=_text(criteria, "narrative"),
        criteria_url=_text(criteria, "id"),
        version=_text(achievement, "version", where),
        valid_from=_moment(document, "validFrom") or _missing("validFrom"),
        valid_until=_moment(document, "validUntil"),
        awarded_at=_moment(document, "awardedDate"),
    )


def _check_contexts(named: Any) -> None:
    urls = named if isinstance(named, list) else [named]
    if any(isinstance(url, str) and "openbadges/v" in url for url in urls):
        raise _Stop(
            FORM,
            "This is a badge of the older kind Open Badges 1 or 2. Only Open Badges 3.0 can be checked here.",
        )
    if not isinstance(named, list) or len(named) < 2 or not all(isinstance(url, str) for url in named):
        raise _Stop(FORM, "The file does not say that it is an Open Badge 3.0 (@context).")
    if named[0] != contexts.CREDENTIALS_V2 or not _OPEN_BADGES.fullmatch(named[1]):
        raise _Stop(
            FORM,
            "The vocabularies the file is written in (@context) are not those of Open Badges 3.0, "
            "or not in the order that the standard fixes.",
        )
    if unknown := [url for url in named if url not in contexts.PINNED]:
        raise _Stop(FORM, f"The file uses a vocabulary that is not known here: {unknown[0][:200]}")
    if len(set(named)) != len(named):
        raise _Stop(FORM, "The file names the same vocabulary (@context) twice.")


def _object(parent: Mapping[str, Any], name: str, kind: str | None, where: str = "") -> dict[str, Any]:
    part = parent.get(name)
    if part is None:
        _missing(where + name)
    if not isinstance(part, dict) or (kind is not None and not _is(part.get("type"), kind)):
        raise _Stop(FORM, f"The part “{where}{name}” does not have the form that the standard requires.")
    return part


def _text(parent: Mapping[str, Any], name: str, where: str = "", *, needed: bool = False) -> str:
    text = parent.get(name, "")
    if not isinstance(text, str):
        raise _Stop(FORM, f"The part “{where}{name}” does not have the form that the standard requires.")
    if needed and not text.strip():
        _missing(where + name)
    return text


def _moment(parent: Mapping[str, Any], name: str, check: str = FORM) -> datetime | None:
    text = parent.get(name)
    if text is None and name not in parent:
        return None
    try:
        if not isinstance(text, str) or not _MOMENT.fullmatch(text):
            raise ValueError(name)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as cause:
        raise _Stop(check, f"The date “{name}” cannot be read, or lacks its time zone.") from cause


def _missing(name: str) -> Any:
    raise _Stop(FORM, f"The badge lacks a part that the standard requires: “{name}”.")


def _is(kinds: Any, kind: str) -> bool:
    return kinds == kind or (isinstance(kinds, list) and kind in kinds)


def _recipient(subject: Mapping[str, Any]) -> str:
    identifiers = subject.get("identifier", [])
    first = identifiers[0] if isinstance(identifiers, list) and identifiers else identifiers
    kind = first.get("identityType") if isinstance(first, dict) else None
    if kind == "emailAddress":
        return "The owner of an e-mail address, which the badge holds in a form that cannot be read back"
    if kind is not None:
        return "A person whom the issuer identifies in its own records"
    if isinstance(subject.get("id"), str) and subject["id"].startswith("did:"):
        return "The holder of a digital identity (DID)"
    return "A person whom only the issuer, or the person, can name"


# Who signed


def _signature(document: Mapping[str, Any], issuer: str) -> dict[str, Any]:
    found = document.get("proof")
    proofs = found if isinstance(found, list) else [found]
    if found is None or not proofs:
        raise _Stop(SIGNER, "The badge is not signed, so anyone could have written it.")
    if len(proofs) > 1:
        raise _Stop(SIGNER, "The badge carries several signatures. Only badges with one can be checked here.")
    one = proofs[0]
    if not isinstance(one, dict):
        raise _Stop(SIGNER, "The signature does not have the form that the standard requires.")
    if one.get("type") != "DataIntegrityProof" or one.get("cryptosuite") != proof.CRYPTOSUITE:
        raise _Stop(
            SIGNER,
            f"The badge is signed in a way that is not accepted here; it would be {proof.CRYPTOSUITE}.",
        )
    if one.get("proofPurpose") != "assertionMethod":
        raise _Stop(
            SIGNER, "The signature was made for another purpose than vouching for a badge (proofPurpose)."
        )
    method = one.get("verificationMethod")
    if not isinstance(method, str) or not method.partition("#")[2]:
        raise _Stop(SIGNER, "The signature does not say with which key it was made (verificationMethod).")
    if method.partition("#")[0] != issuer:
        raise _Stop(
            SIGNER,
            "The badge names one issuer, but was signed with somebody else's key. It may be forged: "
            "ask the issuer it names.",
        )
    return one


def _key(
    signature: Mapping[str, Any], shown: Shown, keys: KeyLookup, answers: dict[str, Check]
) -> Ed25519PublicKey | None:
    method = signature["verificationMethod"]
    fragment = method.partition("#")[2]
    if shown.issuer_id.startswith("did:key:"):
        _answer(
            answers,
            ISSUER,
            Outcome.NOT_CHECKED,
            "The badge brings its own key (did:key). Anyone can make such a badge under any name, "
            "so ask the issuer it names whether the key is theirs.",
        )
        try:
            key = proof.key_from_multikey(shown.issuer_id.removeprefix("did:key:"))
        except proof.BadKey as cause:
            raise _Stop(SIGNER, "The key that the badge brings cannot be read.") from cause
    else:
        found = keys(shown.issuer_id, method)
        if found is NoKey.UNKNOWN_KEY:
            raise _Stop(
                ISSUER,
                "The issuer never had the key that signed this badge, so it is not from the issuer it names.",
            )
        if isinstance(found, NoKey):
            _answer(
                answers,
                ISSUER,
                Outcome.NOT_CHECKED,
                "This issuer's key could not be looked up here. Ask the issuer, or use its checking page.",
            )
            return None
        _answer(answers, ISSUER, Outcome.PASSED, "The key belongs to an issuer that uses this service.")
        key = found
    if fragment.startswith("z6Mk") and fragment != proof.multikey(key):
        raise _Stop(SIGNER, "The signature names another key than its issuer's.")
    return key


def _check_signature(
    document: Mapping[str, Any],
    signature: Mapping[str, Any],
    key: Ed25519PublicKey | None,
    answers: dict[str, Check],
) -> None:
    try:
        if key is None:
            proof.covered({name: part for name, part in document.items() if name != "proof"})
            _answer(answers, SIGNATURE, Outcome.NOT_CHECKED, "Without the issuer's key it cannot be checked.")
        else:
            proof.verify_proof(document, signature, key)
            _answer(
                answers, SIGNATURE, Outcome.PASSED, "Not a letter was changed since the issuer signed it."
            )
    except proof.NotCovered as cause:
        where = f" (“{cause.where[:120]}”)" if cause.where else ""
        raise _Stop(
            COVERED,
            f"A part of the badge is outside its signature or cannot be checked{where}: {cause.reason}.",
        ) from cause
    except proof.SignatureMismatch as cause:
        _answer(answers, COVERED, Outcome.PASSED, _COVERED)
        raise _Stop(
            SIGNATURE,
            "The badge was changed after it was signed, or was signed with another key. "
            "Do not rely on it; ask for the original file.",
        ) from cause
    except proof.BadProof as cause:
        raise _Stop(SIGNATURE, str(cause)) from cause
    _answer(answers, COVERED, Outcome.PASSED, _COVERED)


_COVERED = "There is nothing in the file that the signature leaves out."


# When


def _check_dates(shown: Shown, signature: Mapping[str, Any], now: datetime) -> None:
    created = _moment(signature, "created", SIGNER)
    expires = _moment(signature, "expires", SIGNER)
    if shown.valid_from > now + SKEW:
        raise _Stop(DATES, f"The badge is not valid yet: it begins on {_day(shown.valid_from)}.")
    if shown.valid_until is not None and shown.valid_until <= now:
        raise _Stop(
            DATES,
            f"The badge was valid until {_day(shown.valid_until)}. Ask the issuer whether it was renewed.",
        )
    if created is not None and created > now + SKEW:
        raise _Stop(DATES, f"The signature bears a date that has not come yet: {_day(created)}.")
    if expires is not None and expires <= now:
        raise _Stop(DATES, f"The signature was good until {_day(expires)}. Ask the issuer for a newer file.")


def _period(shown: Shown) -> str:
    if shown.valid_until is None:
        return f"It is valid since {_day(shown.valid_from)} and has no end date."
    return f"It is valid from {_day(shown.valid_from)} until {_day(shown.valid_until)}."


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


_STATUS_ELSEWHERE = (
    "The badge names a place where its issuer says whether it was taken back. Nothing is looked up elsewhere "
    "from here, so ask the issuer."
)


def _status(document: Mapping[str, Any]) -> str:
    if "credentialStatus" in document:
        return _STATUS_ELSEWHERE
    return "The badge names no place where this could be looked up. If much depends on it, ask the issuer."
