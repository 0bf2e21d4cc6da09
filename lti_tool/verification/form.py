"""What a badge says, if it has the form that other programs read: the parts the standard requires, where it wants them.

A signature covers what a document means, whichever way it is written; people are shown what stands under the plain
names. So the plain names have to be there, and in a signed token they have to agree with what the token repeats.

Specs: https://www.imsglobal.org/spec/ob/v3p0/#org.1edtech.ob.v3p0.achievementcredential.class,
https://www.imsglobal.org/spec/ob/v3p0/#jwt-proof
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from lti_tool.issuers import contexts
from lti_tool.verification import carriers
from lti_tool.verification.verdict import FORM, Outcome, Shown, Standing, Stop

SKEW = timedelta(minutes=5)
"""How far an issuer's clock may be ahead of ours."""

_OPEN_BADGES = re.compile(r"https://purl\.imsglobal\.org/spec/ob/v3p0/context(-3\.\d\.\d)?\.json")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_CREDENTIALS_V1 = "https://www.w3.org/2018/credentials/v1"
_NO_EMAIL = (
    "The badge does not say in a form that can be compared whom it was given to, so the address that you typed "
    "proves nothing either way. Ask the issuer."
)


def names(document: Mapping[str, Any]) -> tuple[str, str]:
    """The issuer's id and the credential's, as far as the document says them at all."""
    issuer = document.get("issuer")
    found = issuer.get("id") if isinstance(issuer, dict) else issuer
    own = document.get("id")
    return (found if isinstance(found, str) else ""), (own if isinstance(own, str) else "")


def read(document: Mapping[str, Any]) -> Shown:
    """What the badge says. Raises ``Stop`` where the form is not kept."""
    _check_kind(document)
    _check_contexts(document.get("@context"))
    issuer = _object(document, "issuer", "Profile")
    subject = _object(document, "credentialSubject", "AchievementSubject")
    achievement = _object(subject, "achievement", "Achievement", "credentialSubject.")
    criteria = _object(achievement, "criteria", None, "credentialSubject.achievement.")
    where = "credentialSubject.achievement."
    if not (text(criteria, "id", where + "criteria.") or text(criteria, "narrative", where + "criteria.")):
        raise Stop(FORM, "The badge does not say what had to be done for it (criteria).")
    if "id" not in subject and not subject.get("identifier"):
        raise Stop(FORM, "The badge does not say whom it was given to.")
    return Shown(
        credential_id=text(document, "id", needed=True),
        achievement_id=text(achievement, "id", where, needed=True),
        name=text(achievement, "name", where, needed=True),
        description=text(achievement, "description", where, needed=True),
        issuer_id=text(issuer, "id", "issuer.", needed=True),
        issuer_name=text(issuer, "name", "issuer."),
        recipient=_recipient(subject),
        criteria=text(criteria, "narrative"),
        criteria_url=text(criteria, "id"),
        version=text(achievement, "version", where),
        valid_from=moment(document, "validFrom") or _missing("validFrom"),
        valid_until=moment(document, "validUntil"),
        awarded_at=moment(document, "awardedDate"),
    )


def check_claims(claims: Mapping[str, Any], shown: Shown) -> None:
    """Return if a token says in the words of JWT what it says in those of the badge. Raises ``Stop``."""
    subject = claims["credentialSubject"]
    for claim, value in (
        ("iss", shown.issuer_id),
        ("jti", shown.credential_id),
        ("sub", subject.get("id")),
        ("nbf", shown.valid_from),
        ("exp", shown.valid_until),
    ):
        if claim not in claims:
            if claim == "exp" and value is None:
                continue
            _missing(claim)
        given = claims[claim]
        if not (_same_moment(given, value) if isinstance(value, datetime) else given == value):
            raise Stop(
                FORM,
                f"The badge says two things at once: “{claim}” does not agree with the part of the badge that "
                "it repeats, so programs would read different badges in it.",
            )


def given_to(subject: Mapping[str, Any], email: str) -> tuple[Outcome, str]:
    """Whether the badge was given to the owner of ``email``: compared with the identity it holds, mostly hashed."""
    if not email:
        return Outcome.NOTHING, "No e-mail address was given that it could be compared with."
    identities = [each for each in _listed(subject.get("identifier")) if _by_email(each)]
    if not identities:
        return Outcome.NOT_CHECKED, _NO_EMAIL
    if any(_is_of(identity, spelt) for identity in identities for spelt in _spellings(email)):
        return Outcome.PASSED, "The address that you typed is the one the badge was given to."
    return (
        Outcome.FAILED,
        "The badge was given to another e-mail address than the one you typed. It may be another address of the "
        "same person, or the same with other capital letters: ask which one they used, and how it is written.",
    )


def text(parent: Mapping[str, Any], name: str, where: str = "", *, needed: bool = False) -> str:
    """A member that is a text; "" if it may be missing and is. Raises ``Stop``."""
    found = parent.get(name, "")
    if not isinstance(found, str):
        raise Stop(FORM, f"The part “{where}{name}” does not have the form that the standard requires.")
    if needed and not found.strip():
        _missing(where + name)
    return found


def moment(parent: Mapping[str, Any], name: str, check: str = FORM) -> datetime | None:
    """A member that is a date with its time zone; None if it is missing. Raises ``Stop``."""
    found = parent.get(name)
    if found is None and name not in parent:
        return None
    try:
        if not isinstance(found, str) or not _MOMENT.fullmatch(found):
            raise ValueError(name)
        return datetime.fromisoformat(found).astimezone(UTC)
    except (ValueError, OverflowError) as cause:
        raise Stop(check, f"The date “{name}” cannot be read, or lacks its time zone.") from cause


def day(moment: datetime) -> str:
    """A date as it stands in a sentence."""
    return f"{moment.day} {moment:%B %Y}"


def is_a(kinds: Any, kind: str) -> bool:
    """Whether a ``type`` member says ``kind``."""
    return kinds == kind or (isinstance(kinds, list) and kind in kinds)


def _check_kind(document: Mapping[str, Any]) -> None:
    kinds = document.get("type")
    if not is_a(kinds, "VerifiableCredential"):
        _missing("type")
    if not (is_a(kinds, "OpenBadgeCredential") or is_a(kinds, "AchievementCredential")):
        raise Stop(FORM, "The file is signed data of some other kind, not an Open Badge.", Standing.NO_BADGE)


def _check_contexts(named: Any) -> None:
    if not isinstance(named, list) or len(named) < 2 or not all(isinstance(url, str) for url in named):
        raise Stop(FORM, "The file does not say in the right way that it is an Open Badge 3.0 (@context).")
    if named[0] == _CREDENTIALS_V1 and named[1] != contexts.CREDENTIALS_V2:
        raise Stop(
            FORM,
            carriers.OLD_FORM,
            Outcome.NOT_CHECKED,
        )
    if named[0] != contexts.CREDENTIALS_V2 or not _OPEN_BADGES.fullmatch(named[1]):
        raise Stop(
            FORM,
            "The vocabularies the file is written in (@context) are not those of Open Badges 3.0, "
            "or not in the order that the standard fixes.",
        )
    if len(set(named)) != len(named):
        raise Stop(FORM, "The file names the same vocabulary (@context) twice.")
    if unknown := [url for url in named if url not in contexts.PINNED]:
        raise Stop(
            FORM,
            f"The file uses a vocabulary that is not known here: {unknown[0][:200]}. None is fetched, since "
            "whoever serves it could change what the badge means.",
            Outcome.NOT_CHECKED,
        )


def _object(parent: Mapping[str, Any], name: str, kind: str | None, where: str = "") -> dict[str, Any]:
    part = parent.get(name)
    if part is None:
        _missing(where + name)
    if not isinstance(part, dict) or (kind is not None and not is_a(part.get("type"), kind)):
        raise Stop(FORM, f"The part “{where}{name}” does not have the form that the standard requires.")
    return part


def _missing(name: str) -> Any:
    raise Stop(FORM, f"The badge lacks a part that the standard requires: “{name}”.")


def _recipient(subject: Mapping[str, Any]) -> str:
    identities = _listed(subject.get("identifier"))
    if any(_by_email(each) for each in identities):
        return "The owner of an e-mail address, which the badge holds in a form that cannot be read back"
    if any(isinstance(each, dict) and "identityType" in each for each in identities):
        return "A person whom the issuer identifies in its own records"
    if isinstance(subject.get("id"), str) and subject["id"].startswith("did:"):
        return "The holder of a digital identity (DID)"
    return "A person whom only the issuer, or the person, can name"


def _by_email(identity: Any) -> bool:
    """The guide's example writes "email", which the schema does not know."""
    return isinstance(identity, dict) and identity.get("identityType") in ("emailAddress", "email")


def _is_of(identity: Mapping[str, Any], email: str) -> bool:
    kept, salt = identity.get("identityHash"), identity.get("salt", "")
    if not isinstance(kept, str) or not isinstance(salt, str):
        return False
    if identity.get("hashed") is not True:
        return kept.lower() == email.lower()
    kind, _, digest = kept.partition("$")
    if kind not in ("sha256", "md5"):
        return False
    # MD5 is the other one that the standard knows. Nothing is protected by it here.
    made = hashlib.new(kind, (email + salt).encode(), usedforsecurity=False).hexdigest()
    return hmac.compare_digest(made.encode(), digest.lower().encode())


def _spellings(email: str) -> list[str]:
    """The address as typed, and with the capitals that an issuer is likely to have hashed it with.

    Issuers hash what their records say, and people write their address with other capitals than those.
    """
    local, at, domain = email.rpartition("@")
    return [
        f"{before}{at}{after}"
        for before in dict.fromkeys((local, local.lower(), local.title()))
        for after in dict.fromkeys((domain, domain.lower(), domain.capitalize()))
    ]


def _same_moment(seconds: Any, moment: datetime) -> bool:
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return number and abs(seconds) < 1e12 and abs(seconds - moment.timestamp()) < 1


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
