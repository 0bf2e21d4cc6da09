"""Ways in for people whom no launch lets in: a link that opens once. It opens a stay without a launch or, for an
invited registrar, the desk in their own launches.

The address of a link holds a secret of which only a digest is stored. Programs that look at mail open every address
they find, so looking at a link uses nothing up: its page has a button, and only the button's POST calls ``enter``.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update

from lti_tool import audit, settings
from lti_tool.database import db
from lti_tool.errors import LinkElsewhere, LinkUnknown, LinkUsed, StayOver
from lti_tool.lti.models import Deployment, Launch
from lti_tool.lti.registrations import COMMAND_LINE, By
from lti_tool.lti.sessions import browser_hash
from lti_tool.people.models import Account, DeskAccess, OneTimeLink, Purpose, Stay
from lti_tool.people.service import grant_desk

LONGEST_NOTE = 200

_STAY_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_KEPT = timedelta(days=30)
"""How long after its end a link still says whether it was used."""
_BATCH = 500
_SHOWN = 100


def invite(
    purpose: Purpose,
    *,
    person_id: int | None = None,
    deployment_pk: int | None = None,
    note: str | None = None,
    lasts: timedelta,
    now: datetime,
    by: By = COMMAND_LINE,
) -> str:
    """Make a link that opens once, for as long as ``lasts``. Returns its secret, which cannot be shown again."""
    secret = secrets.token_urlsafe(32)
    link = OneTimeLink(
        secret_hash=_digest(secret),
        purpose=purpose,
        person_id=person_id,
        deployment_pk=deployment_pk,
        note=(note or "").strip()[:LONGEST_NOTE] or None,
        created_at=now,
        expires_at=now + lasts,
    )
    db.session.add(link)
    db.session.flush()
    audit.record(
        "one-time link made", "one_time_link", link.id, now=now, actor=by.account_id, purpose=str(purpose)
    )
    return secret


def look(secret: str, purpose: Purpose, *, now: datetime) -> OneTimeLink:
    """Say whether a link would open, without using it up: for the page that holds its button.

    :raises LinkUnknown: no such link for this purpose, or its time is over.
    :raises LinkUsed: somebody has used it.
    """
    link = db.session.scalar(
        select(OneTimeLink).where(
            OneTimeLink.secret_hash == _digest(secret), OneTimeLink.purpose == str(purpose)
        )
    )
    if link is not None and link.used_at is not None:
        raise LinkUsed
    if link is None or link.expires_at <= now:
        raise LinkUnknown
    return link


def enter(secret: str, purpose: Purpose, *, browser: str, now: datetime) -> Stay:
    """Use a link up and open a stay in this browser; of two that try at once, one succeeds.

    :param browser: the value of our cookie.
    :raises LinkUnknown: no such link for this purpose, or its time is over.
    :raises LinkUsed: somebody was quicker, or the same person in another tab.
    """
    link = _use_up(_digest(secret), purpose, None, now)
    stay = Stay(
        id=secrets.token_urlsafe(24),
        browser=browser_hash(browser),
        purpose=link.purpose,
        person_id=link.person_id,
        deployment_pk=link.deployment_pk,
        created_at=now,
        expires_at=now + timedelta(hours=settings.current().launch_hours),
    )
    db.session.add(stay)
    db.session.flush()
    return stay


def accept(secret: str, deployment: Deployment, account: Account, *, now: datetime) -> None:
    """Use an invitation up in a launch: the account that came by it is on the access list of the desk from now on.

    :raises LinkElsewhere: it is an invitation to another deployment's desk, and stays good for that.
    :raises LinkUnknown, LinkUsed: as :func:`enter`.
    """
    by = By(account.id, "invitation")
    invited_to = look(secret, Purpose.REGISTRAR, now=now).deployment_pk
    if invited_to != deployment.id:
        raise LinkElsewhere
    _use_up(_digest(secret), Purpose.REGISTRAR, account.id, now)
    grant_desk(deployment, account.subject, now=now, by=by, invited=True)


def withdraw(link_id: int, deployment_pk: int, *, by: By, now: datetime) -> bool:
    """End an invitation to a deployment's desk that nobody has used. False if there is none to end."""
    ended = db.session.scalar(
        update(OneTimeLink)
        .where(OneTimeLink.id == link_id, *_open_invitation(deployment_pk, now))
        .values(expires_at=now)
        .returning(OneTimeLink.id)
        .execution_options(synchronize_session=False)
    )
    if ended is not None:
        audit.record("one-time link withdrawn", "one_time_link", ended, now=now, actor=by.account_id)
    return ended is not None


def invitations(deployment_pk: int, *, now: datetime) -> Sequence[OneTimeLink]:
    """Invitations to a deployment's desk that can still be used, the newest first; at most 100."""
    return db.session.scalars(
        select(OneTimeLink)
        .where(*_open_invitation(deployment_pk, now))
        .order_by(OneTimeLink.id.desc())
        .limit(_SHOWN)
    ).all()


def desk_doors(launch: Launch, *, now: datetime) -> tuple[bool, bool]:
    """Whether somebody invited stands on the access list of the desk, and whether an invitation to it is open, for
    the links that a launch shows."""
    listed = select(DeskAccess.id).where(
        DeskAccess.deployment_pk == launch.deployment_pk,
        DeskAccess.subject == launch.subject,
        DeskAccess.invited.is_(True),
    )
    waiting = select(OneTimeLink.id).where(*_open_invitation(launch.deployment_pk, now))
    found = db.session.execute(select(listed.exists(), waiting.exists())).one()
    return found[0], found[1]


def open_stay(stay_id: str, purpose: Purpose, *, browser_cookie: str | None, now: datetime) -> Stay:
    """The stay with that id, for the browser that it belongs to.

    :raises StayOver: unknown, for another purpose, expired, or another browser's; which of them is not said.
    """
    stay = db.session.get(Stay, stay_id) if _STAY_ID.fullmatch(stay_id) else None
    presented = browser_hash(browser_cookie or "")
    if stay is None or stay.purpose != purpose or stay.expires_at <= now:
        raise StayOver
    if not hmac.compare_digest(stay.browser, presented):
        raise StayOver
    return stay


def leave(stay: Stay, *, now: datetime) -> None:
    """Close a stay before its time, as its own visitor asks."""
    stay.expires_at = now
    db.session.flush()


def sweep(now: datetime) -> int:
    """Delete stays that are over and links that nobody will ask about; at most a batch of each. Returns how many."""
    stays = select(Stay.id).where(Stay.expires_at < now).limit(_BATCH)
    links = select(OneTimeLink.id).where(OneTimeLink.expires_at < now - _KEPT).limit(_BATCH)
    gone = [
        *db.session.scalars(delete(Stay).where(Stay.id.in_(stays)).returning(Stay.id)),
        *db.session.scalars(delete(OneTimeLink).where(OneTimeLink.id.in_(links)).returning(OneTimeLink.id)),
    ]
    return len(gone)


def _use_up(digest: str, purpose: Purpose, account_id: int | None, now: datetime) -> OneTimeLink:
    ours = (OneTimeLink.secret_hash == digest, OneTimeLink.purpose == str(purpose))
    link = db.session.scalar(
        update(OneTimeLink)
        .where(*ours, OneTimeLink.expires_at > now, OneTimeLink.used_at.is_(None))
        .values(used_at=now)
        .returning(OneTimeLink)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    if link is None:
        used = select(OneTimeLink.used_at).where(*ours)
        raise LinkUnknown if db.session.scalar(used) is None else LinkUsed
    audit.record(
        "one-time link used", "one_time_link", link.id, now=now, actor=account_id, purpose=link.purpose
    )
    return link


def _open_invitation(deployment_pk: int, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        OneTimeLink.purpose == str(Purpose.REGISTRAR),
        OneTimeLink.deployment_pk == deployment_pk,
        OneTimeLink.used_at.is_(None),
        OneTimeLink.expires_at > now,
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
