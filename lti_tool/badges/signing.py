"""Signing what was awarded: once for each format, after the award's commit, by whichever worker is first."""

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from lti_tool.badges import endorsements, open_badge
from lti_tool.badges.models import Badge, BadgeDocument
from lti_tool.badges.open_badge import StatusFacts
from lti_tool.database import db
from lti_tool.issuers import keys, proof, status, vc_jwt

log = logging.getLogger(__name__)

EMBEDDED_PROOF = "eddsa-rdfc-2022"
VC_JWT = "vc-jwt"
_unsignable: set[str] = set()
"""Badges that failed in this process: passed over until it starts again, perhaps with another version of us."""


def sign_due(*, now: datetime, limit: int = 50) -> int:
    """Sign what was awarded and is not signed yet, and the status lists that are due; returns how many badges.

    Commits after each, so that one bad badge or a killed worker spoils no other; two workers that sign the same one
    leave one document of each format, by its primary key.
    """
    _check_keys(now)
    # Before the badges, which name a list that a verifier will look for.
    status.sign_due(revoked_places, now=now)
    due = db.session.execute(
        select(Badge.id, Badge.decision_id)
        .where(Badge.to_sign_since.is_not(None), Badge.id.not_in(_unsignable))
        .order_by(Badge.to_sign_since)
        .limit(limit)
    ).all()
    db.session.commit()
    return sum(_signed(badge_id, decision_id, now) for badge_id, decision_id in due)


def revoked_places(issuer_id: int, first: int, last: int) -> Iterable[int]:
    """The places in status lists of badges that were revoked, from ``first`` to ``last``."""
    return db.session.scalars(
        select(Badge.status_index).where(
            Badge.issuer_id == issuer_id,
            Badge.revoked_at.is_not(None),
            Badge.status_index.between(first, last),
        )
    )


def _check_keys(now: datetime) -> None:
    """A wrong secret_key is one fault of the installation, not one of each badge."""
    issuer = keys.ensure_issuer(now=now)
    try:
        keys.ensure_keys(issuer, now=now)
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        issuer = keys.ensure_issuer(now=now)
    keys.ed25519_key(issuer)
    keys.rsa_key(issuer)


def _signed(badge_id: str, decision_id: int, now: datetime) -> bool:
    try:
        made = _sign(badge_id, now)
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return False
    except SQLAlchemyError:
        db.session.rollback()
        raise
    except Exception:
        db.session.rollback()
        _unsignable.add(badge_id)
        # By its decision, a number that opens nothing: whoever reads logs need not learn how to ask for a badge.
        log.exception("badge unsignable", extra={"decision": decision_id})
        return False
    return made


def _sign(badge_id: str, now: datetime) -> bool:
    """Make the formats that are missing: all of them, or the one that an older version did not know. False where
    another worker has just made them, or the badge was revoked since it was found due."""
    # Locked, so that nobody revokes it or changes whom it names between this look and the commit.
    badge = db.session.get_one(Badge, badge_id, populate_existing=True, with_for_update={"of": Badge})
    if badge.revoked_at is not None or badge.to_sign_since is None:
        return False
    # The embedded proof first: what was signed by an older version is the badge, and the JWT repeats it.
    texts = {row.format: row.text for row in badge.documents}
    if EMBEDDED_PROOF not in texts:
        method, ed25519 = keys.ed25519_key(badge.issuer)
        document = proof.sign(_unsigned(badge, now), ed25519, method, now)
        texts[EMBEDDED_PROOF] = _keep(badge, EMBEDDED_PROOF, _readable(document), now)
    missing = VC_JWT not in texts
    if missing:
        kid, rsa = keys.rsa_key(badge.issuer)
        credential = json.loads(texts[EMBEDDED_PROOF])
        del credential["proof"]
        _keep(badge, VC_JWT, vc_jwt.sign(credential, rsa, kid), now)
    # Unless it was revoked, or given another subject, at this moment.
    db.session.execute(
        update(Badge)
        .where(Badge.id == badge.id, Badge.to_sign_since == badge.to_sign_since)
        .values(to_sign_since=None)
    )
    return missing


def _unsigned(badge: Badge, now: datetime) -> dict[str, Any]:
    facts = open_badge.from_map(badge.facts)
    if facts.status is None:
        # Awarded by a version that knew no status lists.
        list_url, index = status.entry(badge.issuer, badge.status_index)
        facts = replace(facts, status=StatusFacts(list_url=list_url, index=index))
    standing = endorsements.standing([facts.achievement.id], now=now)
    return open_badge.build(facts, [json.loads(each.text) for each in standing])


def _keep(badge: Badge, form: str, text: str, now: datetime) -> str:
    db.session.add(BadgeDocument(badge_id=badge.id, format=form, text=text, signed_at=now))
    db.session.flush()
    return text


def _readable(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
