"""Codes that let one platform register itself and be used at once.

The address for dynamic registration is public, so a registration without a code waits until somebody here approves it.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update

from lti_tool import audit
from lti_tool.database import db
from lti_tool.lti.models import Invitation
from lti_tool.lti.registrations import By

_LONGEST_NOTE = 200
_SHOWN = 50


def invite(note: str, *, lasts: timedelta, by: By, now: datetime, platform_id: int | None = None) -> str:
    """Make a code. Returns it; it cannot be shown again.

    :param note: whom it is for.
    :param platform_id: the platform that the registration joins, if it is another one of the same LMS.
    """
    code = secrets.token_urlsafe(18)
    invitation = Invitation(
        code_hash=_digest(code),
        note=" ".join(note.split())[:_LONGEST_NOTE],
        platform_id=platform_id,
        created_at=now,
        expires_at=now + lasts,
    )
    db.session.add(invitation)
    db.session.flush()
    audit.record("invitation made", "invitation", invitation.id, now=now, actor=by.account_id, via=by.via)
    return code


def valid(code: str | None, *, now: datetime) -> Invitation | None:
    """The invitation that a code stands for, if it can still be used."""
    if not code:
        return None
    return db.session.scalar(select(Invitation).where(*_usable(code, now)))


def use(code: str | None, registration_id: int, *, now: datetime) -> Invitation | None:
    """Use a code up for a registration. None if it is none, over, or somebody was quicker."""
    if not code:
        return None
    return db.session.scalar(
        update(Invitation)
        .where(*_usable(code, now))
        .values(used_at=now, registration_id=registration_id)
        .returning(Invitation)
        .execution_options(synchronize_session=False)
    )


def newest() -> list[Invitation]:
    """The last 50 invitations, newest first."""
    return list(db.session.scalars(select(Invitation).order_by(Invitation.id.desc()).limit(_SHOWN)))


def withdraw(invitation_id: int, *, by: By, now: datetime) -> bool:
    """End an invitation that has not been used. False if there is none."""
    ended = db.session.scalar(
        update(Invitation)
        .where(Invitation.id == invitation_id, Invitation.used_at.is_(None), Invitation.expires_at > now)
        .values(expires_at=now)
        .returning(Invitation.id)
        .execution_options(synchronize_session=False)
    )
    if ended is not None:
        audit.record("invitation withdrawn", "invitation", ended, now=now, actor=by.account_id, via=by.via)
    return ended is not None


def _usable(code: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Invitation.code_hash == _digest(code),
        Invitation.used_at.is_(None),
        Invitation.expires_at > now,
    )


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
