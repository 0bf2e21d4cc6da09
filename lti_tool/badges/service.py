"""Awarding badges with a decision, signing them afterwards, and showing them only as far as their earner wants."""

import json
import logging
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from lti_tool import audit
from lti_tool.badges import open_badge, proof
from lti_tool.badges.models import Badge, BadgeDocument, Issuer, IssuerKey, Share
from lti_tool.badges.open_badge import AchievementFacts, BadgeFacts, BodyFacts, EvidenceFacts
from lti_tool.credentials.models import Stack, Version
from lti_tool.credentials.queries import full_version, stacks_with
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.people.models import Person
from lti_tool.settings import current

log = logging.getLogger(__name__)

EMBEDDED_PROOF = "eddsa-rdfc-2022"
STATUS_ENTRIES = 131_072
"""Length of a status list: the least that Bitstring Status List allows, so that an index hides among many."""
ASSESSED_BY_ONE = "Assessed by: course instructor (one rating). No agreement evidence."
_PURPOSE = "issuer keys"
_opened: dict[str, Ed25519PrivateKey] = {}
_unsignable: set[str] = set()
"""Badges that failed in this process: passed over until it starts again, perhaps with another version of us."""


class Worn(Protocol):
    """How a badge looks; micro-credential versions and stacks both say."""

    badge_symbol: str
    badge_colour: str
    badge_shape: str


@dataclass(frozen=True, kw_only=True)
class EvidenceFact:
    """A piece of evidence. ``title`` is its task's: file names have held the names of children."""

    title: str
    kind: str
    digest: str | None


def ensure_issuer(*, now: datetime) -> Issuer:
    """The body that issues here, with a key; made at the first start. Its DID is never computed again."""
    issuer = db.session.scalars(select(Issuer).order_by(Issuer.id).limit(1)).first()
    if issuer is not None:
        return issuer
    settings = current()
    issuer = Issuer(
        id=1,
        did=open_badge.issuer_did(settings.public_url, 1),
        name=settings.issuer_name,
        url=settings.issuer_url,
        created_at=now,
    )
    key = proof.new_signing_key()
    issuer.keys.append(
        IssuerKey(
            multibase=proof.multikey(key.public_key()),
            private_pem=key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(settings.passphrase(_PURPOSE)),
            ).decode("ascii"),
            created_at=now,
        )
    )
    db.session.add(issuer)
    audit.record("issuer created", "issuer", 1, now=now)
    db.session.flush()
    return issuer


def award(
    *,
    person_id: int,
    version: Version,
    decision_id: int,
    source: str,
    email: str | None,
    evidence: Sequence[EvidenceFact],
    now: datetime,
) -> Badge:
    """Award the badge of a micro-credential, in the decision's own transaction. Signing follows after the commit.

    ``source`` is the body that assessed, never a person.

    Somebody who holds the badge already (under an earlier version) keeps that one.
    """
    # One award of a person after the other: two at once, each blind to the other, would both miss a stack.
    db.session.execute(select(Person.id).where(Person.id == person_id).with_for_update())
    standing = select(Badge).where(
        Badge.person_id == person_id, Badge.credential_id == version.credential_id, Badge.revoked_at.is_(None)
    )
    held = db.session.scalars(standing).first()
    if held is not None:
        return held
    return _award(
        person_id,
        version,
        _achievement_of(full_version(version.id)),
        credential_id=version.credential_id,
        stack_id=None,
        decision_id=decision_id,
        source=source,
        email=email,
        evidence=tuple(_evidence(item) for item in evidence),
        now=now,
    )


def award_stacks(
    *, person_id: int, credential_id: int, decision_id: int, source: str, email: str | None, now: datetime
) -> list[Badge]:
    """Award every stack that this micro-credential completes, in the same transaction."""
    held = {
        badge.credential_id: badge
        for badge in db.session.scalars(
            select(Badge).where(
                Badge.person_id == person_id, Badge.credential_id.is_not(None), Badge.revoked_at.is_(None)
            )
        )
    }
    has = set(
        db.session.scalars(
            select(Badge.stack_id).where(
                Badge.person_id == person_id, Badge.stack_id.is_not(None), Badge.revoked_at.is_(None)
            )
        )
    )
    return [
        _award(
            person_id,
            stack,
            _achievement_of_stack(stack, [held[part.credential_id] for part in stack.parts]),
            credential_id=None,
            stack_id=stack.id,
            decision_id=decision_id,
            source=source,
            email=email,
            evidence=(),
            now=now,
        )
        for stack in stacks_with([credential_id])
        if stack.id not in has and {part.credential_id for part in stack.parts} <= held.keys()
    ]


def sign_due(*, now: datetime, limit: int = 50) -> int:
    """Sign what was awarded and is not signed yet; returns how many. Commits after each, so that one bad badge or a
    killed worker spoils no other; two workers that sign the same one leave one document, by its primary key."""
    signed = 0
    if not _opened:
        # A wrong secret_key is one fault of the installation, not one of each badge.
        _open_key(_signing_key(ensure_issuer(now=now)))
    due = db.session.scalars(
        select(Badge.id)
        .where(~Badge.documents.any(), Badge.revoked_at.is_(None), Badge.id.not_in(_unsignable))
        .order_by(Badge.awarded_at)
        .limit(limit)
    ).all()
    db.session.commit()
    for badge_id in due:
        try:
            _sign(badge_id, now)
            db.session.commit()
            signed += 1
        except IntegrityError:
            db.session.rollback()
        except SQLAlchemyError:
            db.session.rollback()
            raise
        except Exception:
            db.session.rollback()
            _unsignable.add(badge_id)
            log.exception("badge unsignable", extra={"badge": badge_id})
    return signed


def share(badge_id: str, *, person_id: int, name: str | None, now: datetime) -> Share:
    """Publish a page for a badge, by its earner's consent. ``name`` is shown if given. Sharing again changes nothing.

    :raises NotHere: not this person's badge.
    """
    badge = badge_of(badge_id, person_id)
    standing = _live_share(badge_id)
    if standing is not None:
        return standing
    consent = Share(
        badge_id=badge.id,
        token=secrets.token_urlsafe(16),
        show_name=name is not None,
        name=name,
        shared_at=now,
    )
    try:
        with db.session.begin_nested():
            db.session.add(consent)
    except IntegrityError:
        standing = _live_share(badge_id)
        assert standing is not None
        return standing
    audit.record("badge shared", "badge", badge.id, now=now, with_name=consent.show_name)
    return consent


def unshare(badge_id: str, *, person_id: int, now: datetime) -> None:
    """Take the page away. Its address never comes back, not even when the badge is shared again.

    :raises NotHere: not this person's badge.
    """
    badge = badge_of(badge_id, person_id)
    ended = db.session.scalars(
        update(Share)
        .where(Share.badge_id == badge.id, Share.ended_at.is_(None))
        .values(ended_at=now)
        .returning(Share.id)
    ).all()
    if ended:
        audit.record("badge unshared", "badge", badge.id, now=now)


def badge_of(badge_id: str, person_id: int) -> Badge:
    """A badge of this person.

    :raises NotHere: there is none, or it is somebody else's; which of them is not said.
    """
    badge = db.session.get(Badge, badge_id)
    if badge is None or badge.person_id != person_id:
        raise NotHere
    return badge


def _live_share(badge_id: str) -> Share | None:
    return db.session.scalars(
        select(Share).where(Share.badge_id == badge_id, Share.ended_at.is_(None))
    ).first()


def _award(
    person_id: int,
    worn: Worn,
    achievement: AchievementFacts,
    *,
    credential_id: int | None,
    stack_id: int | None,
    decision_id: int,
    source: str,
    email: str | None,
    evidence: tuple[EvidenceFacts, ...],
    now: datetime,
) -> Badge:
    issuer = ensure_issuer(now=now)
    badge_id = str(uuid.uuid4())
    facts = BadgeFacts(
        credential_id=f"urn:uuid:{badge_id}",
        issuer_did=issuer.did,
        issuer_name=issuer.name,
        issuer_url=issuer.url,
        awarded_at=now.replace(microsecond=0),
        subject_id=f"urn:uuid:{uuid.uuid4()}",
        achievement=achievement,
        email=email,
        salt=None if email is None else secrets.token_hex(16),
        source=BodyFacts(id=issuer.did, name=source, url=issuer.url),
        evidence=evidence,
    )
    # Built once here and thrown away: facts that no badge can be made of must stop the decision, not the worker.
    open_badge.build(facts)
    badge = Badge(
        id=badge_id,
        issuer_id=issuer.id,
        person_id=person_id,
        credential_id=credential_id,
        stack_id=stack_id,
        decision_id=decision_id,
        title=achievement.name,
        facts=open_badge.as_map(facts),
        symbol=worn.badge_symbol,
        colour=worn.badge_colour,
        shape=worn.badge_shape,
        status_index=_free_status_index(issuer.id),
        awarded_at=now,
    )
    db.session.add(badge)
    db.session.flush()
    audit.record("badge awarded", "badge", badge.id, now=now, decision=decision_id)
    return badge


def _free_status_index(issuer_id: int) -> int:
    """Random, so that an index tells nothing about when or after whom a badge was awarded."""
    taken = db.session.scalar(select(func.count()).where(Badge.issuer_id == issuer_id)) or 0
    # A further list opens long before one is full, so that a random try soon hits a free place.
    lists = 1 + 2 * taken // STATUS_ENTRIES
    while True:
        index = secrets.randbelow(lists * STATUS_ENTRIES)
        if db.session.scalar(select(Badge.id).filter_by(issuer_id=issuer_id, status_index=index)) is None:
            return index


def _sign(badge_id: str, now: datetime) -> None:
    badge = db.session.get_one(Badge, badge_id)
    key = _signing_key(badge.issuer)
    method = f"{badge.issuer.did}#{key.multibase}"
    facts = open_badge.from_map(badge.facts)
    document = proof.sign(open_badge.build(facts), _open_key(key), method, now)
    db.session.add(
        BadgeDocument(
            badge_id=badge.id,
            format=EMBEDDED_PROOF,
            text=json.dumps(document, indent=2, ensure_ascii=False),
            signed_at=now,
        )
    )


def _signing_key(issuer: Issuer) -> IssuerKey:
    return next(key for key in reversed(issuer.keys) if key.retired_at is None)


def _open_key(key: IssuerKey) -> Ed25519PrivateKey:
    """Kept once opened: decrypting takes a thousand times as long as signing."""
    if key.multibase not in _opened:
        opened = serialization.load_pem_private_key(
            key.private_pem.encode("ascii"), current().passphrase(_PURPOSE)
        )
        assert isinstance(opened, Ed25519PrivateKey)
        _opened[key.multibase] = opened
    return _opened[key.multibase]


def achievement_address(key: str, number: int) -> str:
    """The public page of a version: the id of what is achieved, for good."""
    return f"{current().public_url}/credentials/{key}/{number}"


def _achievement_of(version: Version) -> AchievementFacts:
    address = achievement_address(version.credential.key, version.number)
    return AchievementFacts(
        id=address,
        name=version.title,
        description=version.competency,
        criteria_narrative=_narrative(version),
        version=version.number,
        assessment_mode=ASSESSED_BY_ONE,
        image_url=f"{address}/badge.png",
        alignments=tuple(
            open_badge.AlignmentFacts(
                code=standard.code,
                label=standard.label,
                framework=standard.framework.title,
                url=standard.framework.url,
            )
            for standard in version.standards
        ),
        criteria=tuple(
            open_badge.CriterionFacts(
                key=criterion.key,
                name=criterion.title,
                levels=tuple(
                    open_badge.LevelFacts(key=level.key, name=level.title, description=level.text)
                    for level in criterion.levels
                ),
                required_level=next(level.key for level in criterion.levels if level.required),
            )
            for criterion in version.criteria
        ),
    )


def _achievement_of_stack(stack: Stack, parts: Sequence[Badge]) -> AchievementFacts:
    """Names the parts in the versions that this earner demonstrated."""
    address = f"{current().public_url}/stacks/{stack.key}"
    earned = [open_badge.from_map(badge.facts).achievement for badge in parts]
    return AchievementFacts(
        id=address,
        name=stack.title,
        description=stack.description,
        criteria_narrative=stack.description,
        version=1,
        assessment_mode=ASSESSED_BY_ONE,
        image_url=f"{address}/badge.png",
        parts=tuple(
            open_badge.PartFacts(id=part.id, name=part.name, version=part.version) for part in earned
        ),
    )


def _narrative(version: Version) -> str:
    """What had to be done, as an employer would want to read it."""
    asked = "\n".join(f"- {task.title}" for task in version.tasks if task.required)
    if version.pass_kind == "all":  # noqa: S105 - the kind of a rule, no password
        rule = f"Every one of the {len(version.criteria)} criteria had to reach its required level."
    else:
        rule = (
            f"At least {version.pass_percent} % of the {len(version.criteria)} criteria "
            "had to reach their required level."
        )
    return f"{version.purpose.strip()}\n\nThe earner handed in:\n\n{asked}\n\n{rule}"


def _evidence(given: EvidenceFact) -> EvidenceFacts:
    words = "A file, kept by the issuer." if given.kind == "upload" else "A link, kept by the issuer."
    return EvidenceFacts(name=given.title, narrative=words, sha256=given.digest)
