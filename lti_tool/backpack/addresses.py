"""Confirmed addresses: how an earner proves one, and finds the way back to their badges by it."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, delete, select, update

from lti_tool import audit
from lti_tool.backpack.models import ConfirmedAddress
from lti_tool.database import db
from lti_tool.errors import AddressUnusable, LinkUnknown, LinkUsed, NotHere

CONFIRMS_FOR = timedelta(days=2)
OPENS_FOR = timedelta(hours=2)
MOST_ADDRESSES = 5
"""Of one person, confirmed or not."""

_SHAPE = re.compile(r"[^\s@\"(),:;<>\[\]\\\x00-\x1f\x7f]+@[^\s@\"(),:;<>\[\]\\\x00-\x1f\x7f]+\.[^\s@.]{2,}")
_LONGEST = 254
_KEPT = timedelta(days=7)
"""How long an address that nobody confirmed is kept: its owner may never have asked for anything."""


def tidy(typed: str) -> str:
    """An address as a mail server and a badge want it.

    Plain letters only: where capitals are folded or a domain is rewritten beyond ASCII, two mailboxes of two people
    can become one ("ß" is "ss" to some programs, and another domain to the registries).

    :raises AddressUnusable: it cannot be one.
    """
    address = typed.strip()
    if not address.isascii():
        raise AddressUnusable(
            "Only addresses in plain letters (a to z), digits and signs can be used here. "
            "If the part after the @ has other letters, type the form that begins with “xn--”."
        )
    if len(address) > _LONGEST or not _SHAPE.fullmatch(address) or ".." in address:
        raise AddressUnusable
    return address


def ask(person_id: int, typed: str, *, now: datetime) -> ConfirmedAddress:
    """Note that this person wants to confirm an address; the letter with the link is asked for beside it.

    :raises AddressUnusable: it cannot be one, or this person has as many as anyone needs.
    """
    address = tidy(typed)
    lookup = _folded(address)
    known = db.session.scalars(select(ConfirmedAddress).where(ConfirmedAddress.person_id == person_id)).all()
    found = next((row for row in known if row.lookup == lookup), None)
    if found is None:
        if len(known) >= MOST_ADDRESSES:
            raise AddressUnusable(f"You have {MOST_ADDRESSES} addresses here. Remove one first.")
        found = ConfirmedAddress(
            person_id=person_id, address=address, lookup=lookup, asked_at=now, expires_at=now + CONFIRMS_FOR
        )
        db.session.add(found)
        db.session.flush()
    # As typed last: a slip with capitals is mended by typing it again. What was sent to the other spelling may have
    # reached another mailbox, so it confirms nothing any more.
    kept = case((ConfirmedAddress.address == address, ConfirmedAddress.secret_hash), else_=None)
    db.session.execute(
        update(ConfirmedAddress)
        .where(ConfirmedAddress.id == found.id, ConfirmedAddress.confirmed_at.is_(None))
        .values(address=address, expires_at=now + CONFIRMS_FOR, secret_hash=kept)
        .execution_options(synchronize_session=False)
    )
    db.session.refresh(found)
    return found


def link_for(person_id: int, address: str, *, now: datetime) -> str | None:
    """A new secret for the link in a letter to exactly this address; the one before opens nothing any more. None if
    this person does not wait to confirm it, or spells it otherwise by now."""
    secret = secrets.token_urlsafe(32)
    waiting = db.session.scalar(
        update(ConfirmedAddress)
        .where(
            ConfirmedAddress.person_id == person_id,
            ConfirmedAddress.address == address,
            ConfirmedAddress.confirmed_at.is_(None),
        )
        .values(secret_hash=_digest(secret), expires_at=now + CONFIRMS_FOR)
        .returning(ConfirmedAddress.id)
        .execution_options(synchronize_session=False)
    )
    return None if waiting is None else secret


def look(secret: str, *, now: datetime) -> ConfirmedAddress:
    """The address that a link would confirm, without confirming it: programs that look at mail open every link.

    :raises LinkUnknown: never made, replaced by a newer one, used, or its time is over.
    """
    found = db.session.scalar(
        select(ConfirmedAddress).where(
            ConfirmedAddress.secret_hash == _digest(secret), ConfirmedAddress.expires_at > now
        )
    )
    if found is None:
        raise LinkUnknown
    if found.confirmed_at is not None:
        raise LinkUsed
    return found


def confirm(secret: str, *, now: datetime) -> ConfirmedAddress:
    """The button behind a link was pressed: the address is its earner's.

    :raises LinkUnknown, LinkUsed: as :func:`look`.
    """
    confirmed = db.session.scalar(
        update(ConfirmedAddress)
        .where(
            ConfirmedAddress.secret_hash == _digest(secret),
            ConfirmedAddress.expires_at > now,
            ConfirmedAddress.confirmed_at.is_(None),
        )
        .values(confirmed_at=now)
        .returning(ConfirmedAddress)
        .execution_options(synchronize_session=False)
    )
    if confirmed is None:
        look(secret, now=now)
        raise LinkUsed
    audit.record("address confirmed", "person", confirmed.person_id, now=now, address=confirmed.id)
    return confirmed


def forget(address_id: int, person_id: int, *, now: datetime) -> None:
    """Delete an address of this person. Badges that carry its hash keep it; nothing leads back from that.

    :raises NotHere: it is not theirs.
    """
    gone = db.session.scalar(
        delete(ConfirmedAddress)
        .where(ConfirmedAddress.id == address_id, ConfirmedAddress.person_id == person_id)
        .returning(ConfirmedAddress.id)
    )
    if gone is None:
        raise NotHere
    audit.record("address deleted", "person", person_id, now=now, address=address_id)


def addresses_of(person_id: int) -> Sequence[ConfirmedAddress]:
    """A person's addresses, confirmed ones first."""
    return db.session.scalars(
        select(ConfirmedAddress)
        .where(ConfirmedAddress.person_id == person_id)
        .order_by(ConfirmedAddress.confirmed_at.is_(None), ConfirmedAddress.id)
        .limit(MOST_ADDRESSES)
    ).all()


def confirmed(person_id: int, address_id: int) -> ConfirmedAddress:
    """A confirmed address of this person.

    :raises NotHere: it is not theirs, or not confirmed.
    """
    row = db.session.get(ConfirmedAddress, address_id)
    if row is None or row.person_id != person_id or row.confirmed_at is None:
        raise NotHere
    return row


def owners(address: str) -> Sequence[ConfirmedAddress]:
    """Who has confirmed this address, each as they spelled it: one human may be known by several platforms. Letters
    go to these rows' addresses, which were confirmed, and never to what somebody typed."""
    lookup = _folded(address)
    rows = db.session.scalars(
        select(ConfirmedAddress)
        .where(ConfirmedAddress.lookup == lookup, ConfirmedAddress.confirmed_at.is_not(None))
        .order_by(ConfirmedAddress.id)
        .limit(MOST_ADDRESSES)
    ).all()
    # Rows from before only plain letters were taken may be looked up by somebody else's address.
    return [row for row in rows if _folded(row.address) == lookup]


def sweep(now: datetime) -> int:
    """Forget addresses that nobody confirmed. Returns how many."""
    gone = db.session.scalars(
        delete(ConfirmedAddress)
        .where(ConfirmedAddress.confirmed_at.is_(None), ConfirmedAddress.expires_at < now - _KEPT)
        .returning(ConfirmedAddress.id)
    ).all()
    return len(gone)


def _folded(address: str) -> str:
    """Without regard to capitals; of the letters a to z only, see :func:`tidy`."""
    return address.lower()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
