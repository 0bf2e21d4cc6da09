"""The public page of a badge: private until its earner shares it, and private again when they say so or time is up."""

import secrets
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from lti_tool import audit
from lti_tool.backpack import consents
from lti_tool.backpack.models import Act
from lti_tool.badges.models import Share
from lti_tool.badges.service import badge_of
from lti_tool.database import db
from lti_tool.errors import BadgeRevoked


def share(
    badge_id: str, *, person_id: int, name: str | None, ends_at: datetime | None = None, now: datetime
) -> Share:
    """Publish a page for a badge, by its earner's consent. ``name`` is shown if given. What is shared already
    stays under its address, with what is chosen now.

    :param ends_at: when the page goes by itself; None until it is taken back.
    :raises NotHere: not this person's badge.
    :raises BadgeRevoked: it does not stand any more.
    """
    badge = badge_of(badge_id, person_id)
    if badge.revoked_at is not None:
        raise BadgeRevoked
    _end_expired(badge_id, now)
    standing = live(badge_id, now=now)
    if standing is not None:
        return _chosen_anew(standing, person_id, name, ends_at, now)
    page = Share(
        badge_id=badge.id,
        token=secrets.token_urlsafe(16),
        show_name=name is not None,
        name=name,
        shared_at=now,
        expires_at=ends_at,
    )
    try:
        with db.session.begin_nested():
            db.session.add(page)
    except IntegrityError:
        # Two tabs at once: the page of the quicker one stands, with the choice of the slower.
        standing = live(badge_id, now=now)
        assert standing is not None
        return _chosen_anew(standing, person_id, name, ends_at, now)
    _agreed(page, person_id, now)
    audit.record("badge shared", "badge", badge.id, now=now, with_name=page.show_name)
    return page


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
    consents.end(badge.id, Act.PAGE, Act.NAME, now=now)
    if ended:
        audit.record("badge unshared", "badge", badge.id, now=now)


def name_on_page(badge_id: str, *, person_id: int, name: str | None, now: datetime) -> None:
    """Show this name on the page from now on, or none. Nothing happens where no page is.

    :raises NotHere: not this person's badge.
    """
    badge = badge_of(badge_id, person_id)
    page = live(badge.id, now=now)
    if page is None:
        return
    page.show_name, page.name = name is not None, name
    if name is None:
        consents.end(badge.id, Act.NAME, now=now)
    else:
        consents.give(Act.NAME, badge.id, person_id, detail=name, ends_at=page.expires_at, now=now)
    audit.record("name on shared page changed", "badge", badge.id, now=now, with_name=page.show_name)
    db.session.flush()


def live(badge_id: str, *, now: datetime) -> Share | None:
    """The page that is public at this moment."""
    return db.session.scalars(
        select(Share).where(
            Share.badge_id == badge_id,
            Share.ended_at.is_(None),
            Share.expires_at.is_(None) | (Share.expires_at > now),
        )
    ).first()


def _chosen_anew(
    page: Share, person_id: int, name: str | None, ends_at: datetime | None, now: datetime
) -> Share:
    if (page.name, page.expires_at) != (name, ends_at):
        page.show_name, page.name, page.expires_at = name is not None, name, ends_at
        db.session.flush()
        _agreed(page, person_id, now)
        audit.record("share changed", "badge", page.badge_id, now=now, with_name=page.show_name)
    return page


def _agreed(page: Share, person_id: int, now: datetime) -> None:
    consents.give(Act.PAGE, page.badge_id, person_id, ends_at=page.expires_at, now=now)
    if page.name is None:
        consents.end(page.badge_id, Act.NAME, now=now)
    else:
        consents.give(Act.NAME, page.badge_id, person_id, detail=page.name, ends_at=page.expires_at, now=now)


def _end_expired(badge_id: str, now: datetime) -> None:
    """A page whose time is up makes room for another."""
    db.session.execute(
        update(Share)
        .where(Share.badge_id == badge_id, Share.ended_at.is_(None), Share.expires_at <= now)
        .values(ended_at=Share.expires_at)
    )
