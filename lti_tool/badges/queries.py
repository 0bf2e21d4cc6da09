"""Read models of badges, for their earner and for whoever checks one."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from lti_tool.badges.models import Badge, BadgeDocument, Issuer, IssuerKey, Share
from lti_tool.badges.proof import key_from_multikey
from lti_tool.badges.service import EMBEDDED_PROOF
from lti_tool.badges.verification import NoKey
from lti_tool.database import db
from lti_tool.errors import BadgeUnsigned, NotHere


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


def held_credentials(person_id: int) -> frozenset[int]:
    """Ids of the micro-credentials that a person has a standing badge for."""
    query = select(Badge.credential_id).where(
        Badge.person_id == person_id, Badge.credential_id.is_not(None), Badge.revoked_at.is_(None)
    )
    return frozenset(key for key in db.session.scalars(query) if key is not None)


def document(badge_id: str) -> str:
    """The signed badge, byte for byte as it was signed.

    :raises BadgeUnsigned: the worker has not come to it yet.
    """
    text = db.session.scalar(
        select(BadgeDocument.text).where(
            BadgeDocument.badge_id == badge_id, BadgeDocument.format == EMBEDDED_PROOF
        )
    )
    if text is None:
        raise BadgeUnsigned
    return text


def shared(token: str) -> Share:
    """The consent under which a page is public.

    :raises NotHere: there never was one, or it has ended; which of them is not said.
    """
    share = db.session.scalars(
        select(Share)
        .where(Share.token == token, Share.ended_at.is_(None))
        .options(joinedload(Share.badge).joinedload(Badge.issuer))
    ).first()
    if share is None:
        raise NotHere
    return share


def issuer(number: int) -> Issuer:
    """An issuer with all its keys, retired ones too: badges they signed must go on verifying.

    :raises NotHere: there is none.
    """
    found = db.session.get(Issuer, number, options=[selectinload(Issuer.keys)])
    if found is None:
        raise NotHere
    return found


def key_of(issuer: str, verification_method: str) -> Ed25519PublicKey | NoKey:
    """The public key behind a DID URL, for ``verification.verify``. All that the database says about a badge."""
    if db.session.scalar(select(Issuer.id).where(Issuer.did == issuer)) is None:
        return NoKey.FOREIGN_ISSUER
    multibase = verification_method.removeprefix(f"{issuer}#")
    known = db.session.scalar(
        select(IssuerKey.multibase)
        .join(IssuerKey.issuer)
        .where(Issuer.did == issuer, IssuerKey.multibase == multibase)
    )
    return NoKey.UNKNOWN_KEY if known is None else key_from_multikey(known)
