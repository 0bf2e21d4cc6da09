"""Status lists: a bit for each badge, set once it is revoked, in a signed list that everybody fetches whole.

So the issuer does not learn whose badge is looked up, and an index tells nothing about its badge. The list is made
anew from the badges each time: well before it ends, and at once after a revocation.

Spec: https://www.w3.org/TR/vc-bitstring-status-list/
"""

import base64
import gzip
import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, or_, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool.database import db
from lti_tool.errors import BadgeUnsigned, NotHere
from lti_tool.issuers import keys, proof
from lti_tool.issuers.contexts import CREDENTIALS_V2
from lti_tool.issuers.models import Issuer, StatusList
from lti_tool.settings import current

log = logging.getLogger(__name__)

ENTRIES = 131_072
"""Places of one list: the least that the specification allows, so that an index hides among many."""
LASTS = timedelta(days=7)
"""How long somebody who holds a list back can go on showing an old one."""
_RENEWED_AFTER = timedelta(days=2)
_AT_ONCE = 20

RevokedPlaces = Callable[[int, int, int], Iterable[int]]
"""Which places of an issuer (its id) from the first to the last given belong to revoked badges. Badges know."""


def ensure_list(issuer: Issuer, number: int, *, now: datetime) -> None:
    """Open a list, to be signed by the worker, unless it is there."""
    known = select(StatusList.id).filter_by(issuer_id=issuer.id, number=number)
    if db.session.scalar(known) is not None:
        return
    fresh = StatusList(
        issuer_id=issuer.id,
        number=number,
        revision=0,
        signed_revision=None,
        text=None,
        signed_at=None,
        valid_until=None,
        due_at=now,
    )
    try:
        with db.session.begin_nested():
            db.session.add(fresh)
    except IntegrityError:
        # Somebody else opened it at this moment.
        return


def entry(issuer: Issuer, place: int) -> tuple[str, int]:
    """The address of the list that a place falls into, and the index there."""
    number, index = divmod(place, ENTRIES)
    return address(issuer.id, number), index


def address(issuer_id: int, number: int) -> str:
    """Where a list is published, for good."""
    return f"{current().public_url}/issuers/{issuer_id}/status/{number}"


def note_revocation(issuer_id: int, place: int, *, now: datetime) -> None:
    """Have the list signed again that this place falls into, in the transaction that revokes its badge."""
    db.session.execute(
        update(StatusList)
        .where(StatusList.issuer_id == issuer_id, StatusList.number == place // ENTRIES)
        .values(revision=StatusList.revision + 1, due_at=now)
    )


def published(issuer_number: int, number: int) -> str:
    """A signed list, as it is served.

    :raises NotHere: the issuer has no such list.
    :raises BadgeUnsigned: the worker has not come to it yet.
    """
    found = db.session.scalars(select(StatusList).filter_by(issuer_id=issuer_number, number=number)).first()
    if found is None:
        raise NotHere
    if found.text is None:
        raise BadgeUnsigned
    return found.text


def sign_due(revoked: RevokedPlaces, *, now: datetime) -> int:
    """Sign the lists that are due; returns how many. Commits after each."""
    due = db.session.scalars(
        select(StatusList.id).where(StatusList.due_at <= now).order_by(StatusList.due_at).limit(_AT_ONCE)
    ).all()
    db.session.commit()
    return sum(_renew(list_id, revoked, now) for list_id in due)


def _renew(list_id: int, revoked: RevokedPlaces, now: datetime) -> bool:
    """Sign one list and put it in place, unless another worker has put a newer one there meanwhile."""
    row = db.session.get_one(StatusList, list_id, populate_existing=True)
    # Read before the badges: the list then takes account of at least this many revocations.
    revision = row.revision
    text = signed(row, revoked, now=now, until=now + LASTS)
    taken = db.session.scalar(
        update(StatusList)
        .where(
            StatusList.id == list_id,
            or_(
                StatusList.signed_revision.is_(None),
                StatusList.signed_revision < revision,
                (StatusList.signed_revision == revision) & (StatusList.signed_at < now),
            ),
        )
        .values(
            text=text,
            signed_revision=revision,
            signed_at=now,
            valid_until=now + LASTS,
            due_at=case((StatusList.revision == revision, now + _RENEWED_AFTER), else_=StatusList.due_at),
        )
        .returning(StatusList.id)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    if taken is not None:
        log.info("status list signed", extra={"list": list_id, "revision": revision})
    return taken is not None


def signed(row: StatusList, revoked: RevokedPlaces, *, now: datetime, until: datetime) -> str:
    """The list as the badges stand now, signed, as JSON text."""
    first = row.number * ENTRIES
    places = revoked(row.issuer_id, first, first + ENTRIES - 1)
    document = build(
        address(row.issuer_id, row.number),
        row.issuer.did,
        encode(place - first for place in places),
        now=now,
        until=until,
    )
    method, key = keys.ed25519_key(row.issuer)
    return json.dumps(proof.sign(document, key, method, now), indent=2)


def build(list_url: str, issuer_did: str, encoded: str, *, now: datetime, until: datetime) -> dict[str, Any]:
    """The unsigned list.

    Spec: https://www.w3.org/TR/vc-bitstring-status-list/#bitstringstatuslistcredential
    """
    return {
        "@context": [CREDENTIALS_V2],
        "id": list_url,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "issuer": issuer_did,
        "validFrom": proof.timestamp(now),
        "validUntil": proof.timestamp(until),
        "credentialSubject": {
            "id": f"{list_url}#list",
            "type": "BitstringStatusList",
            "statusPurpose": "revocation",
            "encodedList": encoded,
        },
    }


def encode(revoked: Iterable[int]) -> str:
    """The bits of a list, those of ``revoked`` set, the first place being the highest bit of the first byte.

    Spec: https://www.w3.org/TR/vc-bitstring-status-list/#bitstring-generation-algorithm
    """
    bits = bytearray(ENTRIES // 8)
    for index in revoked:
        bits[index // 8] |= 0x80 >> index % 8
    # Without a time in it, the same bits give the same text.
    packed = gzip.compress(bytes(bits), mtime=0)
    return "u" + base64.urlsafe_b64encode(packed).rstrip(b"=").decode("ascii")
