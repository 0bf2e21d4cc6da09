"""Read models of badges, for their earner and for whoever checks one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from lti_tool.badges.models import Badge, BadgeDocument, Share
from lti_tool.badges.signing import EMBEDDED_PROOF
from lti_tool.credentials.models import Credential
from lti_tool.database import db
from lti_tool.errors import BadgeUnsigned, NotHere


@dataclass(frozen=True, kw_only=True)
class BadgeStatus:
    """How one of our badges stands now. What took its place is not said: it may not be shared."""

    revoked_at: datetime | None
    reason: str | None
    reissued: bool


def badges_of(person_id: int, *, page: int, size: int) -> tuple[Sequence[Badge], int]:
    """One page (from 1) of a person's badges, newest first, and how many there are."""
    mine = Badge.person_id == person_id
    total = db.session.scalar(select(func.count()).select_from(Badge).where(mine)) or 0
    rows = db.session.scalars(
        select(Badge)
        .where(mine)
        .options(selectinload(Badge.documents), selectinload(Badge.shares), joinedload(Badge.issuer))
        .order_by(Badge.awarded_at.desc(), Badge.id)
        .limit(size)
        .offset((page - 1) * size)
    ).all()
    return rows, total


@dataclass(frozen=True)
class Held:
    """The standing badges of one person."""

    parts: dict[str, datetime]
    """Key of the micro-credential -> when its badge was awarded."""
    stacks: dict[int, Badge]
    """By the stack's id."""


def held_by(person_ids: Collection[int]) -> dict[int, Held]:
    """The standing badges of each of these persons, as far as stacks ask."""
    found = {person_id: Held({}, {}) for person_id in person_ids}
    rows = db.session.execute(
        select(Badge, Credential.key)
        .outerjoin(Credential, Credential.id == Badge.credential_id)
        .where(Badge.person_id.in_(person_ids), Badge.revoked_at.is_(None))
        .order_by(Badge.awarded_at, Badge.id)
    )
    for badge, key in rows:
        if badge.stack_id is not None:
            found[badge.person_id].stacks[badge.stack_id] = badge
        else:
            found[badge.person_id].parts[key] = badge.awarded_at
    return found


def standing_from(decision_ids: Collection[int]) -> Sequence[Badge]:
    """The standing badges of micro-credentials that came from these decisions."""
    return db.session.scalars(
        select(Badge)
        .where(
            Badge.decision_id.in_(decision_ids), Badge.credential_id.is_not(None), Badge.revoked_at.is_(None)
        )
        .order_by(Badge.id)
    ).all()


def stacks_resting_on(badge_id: str) -> list[Badge]:
    """The standing stack badges that name this badge's micro-credential as one of their parts.

    To be asked before a badge is revoked: what they say of that part would then no longer be true. Somebody has to
    decide whether they are revoked as well; it never happens by itself. Nothing rests on a badge that was only
    re-issued, since another stands in its place.

    :raises NotHere: no such badge.
    """
    badge = db.session.get(Badge, badge_id)
    if badge is None:
        raise NotHere
    achievement = badge.facts["achievement"]["id"]
    standing = db.session.scalars(
        select(Badge).where(
            Badge.person_id == badge.person_id, Badge.stack_id.is_not(None), Badge.revoked_at.is_(None)
        )
    )
    return [
        stack
        for stack in standing
        if any(part["id"] == achievement for part in stack.facts["achievement"]["parts"])
    ]


def parts_behind(whole: Badge) -> list[Badge]:
    """The badges by which a stack badge was earned, as :func:`counted`; of a part that was issued again, both."""
    theirs = select(Badge).where(Badge.person_id == whole.person_id, Badge.credential_id.is_not(None))
    return [part for part in db.session.scalars(theirs) if counted(part, whole)]


def counted(part: Badge, whole: Badge) -> bool:
    """Whether this badge is one of the parts by which that stack badge of the same person was earned: it is named
    there, and stood on that day. So is the badge that another one stands in place of."""
    if part.credential_id is None or part.awarded_at > whole.awarded_at:
        return False
    if part.revoked_at is not None and part.revoked_at <= whole.awarded_at:
        return False
    achievement = part.facts["achievement"]["id"]
    return any(each["id"] == achievement for each in whole.facts["achievement"]["parts"])


def document(badge_id: str, form: str = EMBEDDED_PROOF) -> str:
    """The signed badge in one of its formats, byte for byte as it was signed.

    :raises BadgeUnsigned: the worker has not come to it yet.
    """
    text = db.session.scalar(
        select(BadgeDocument.text).where(BadgeDocument.badge_id == badge_id, BadgeDocument.format == form)
    )
    if text is None:
        raise BadgeUnsigned
    return text


def status_of(credential_id: str) -> BadgeStatus | None:
    """How the badge with this ``urn:uuid:…`` stands; None if it is none of ours."""
    row = db.session.execute(
        select(Badge.revoked_at, Badge.revocation_reason, Badge.superseded_by_id).where(
            Badge.id == credential_id.removeprefix("urn:uuid:")
        )
    ).first()
    if row is None:
        return None
    return BadgeStatus(revoked_at=row[0], reason=row[1], reissued=row[2] is not None)


def shared(token: str, *, now: datetime) -> Share:
    """The consent under which a page is public.

    :raises NotHere: there never was one, or it has ended; which of them is not said.
    """
    share = db.session.scalars(
        select(Share)
        .where(
            Share.token == token,
            Share.ended_at.is_(None),
            Share.expires_at.is_(None) | (Share.expires_at > now),
        )
        .options(joinedload(Share.badge).joinedload(Badge.issuer))
    ).first()
    if share is None:
        raise NotHere
    return share
