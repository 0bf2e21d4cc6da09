"""Who may open a visit: only the browser that it was bound to.

There is one cookie per browser and the launch id stands in the path, so two tabs, courses or roles never mix,
and a copied address opens nothing elsewhere.
"""

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import InstrumentedAttribute

from lti_tool.database import db
from lti_tool.errors import SessionOver
from lti_tool.lti.models import AccessToken, Launch, LoginState

COOKIE_NAME = "__Host-tessera"
COOKIE_ATTRIBUTES: dict[str, Any] = {
    "path": "/",
    "secure": True,
    "httponly": True,
    "samesite": "None",
    # Browsers that drop third-party cookies still keep one per embedding site.
    "partitioned": True,
    # A year, so that a visit opened before lunch survives a restart of the browser.
    "max_age": 365 * 24 * 3600,
}

_LAUNCH_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_KEPT_AFTER_LOGIN = timedelta(days=1)
_KEPT_AFTER_LAUNCH = timedelta(days=30)
_BATCH = 500


def new_browser_cookie() -> str:
    """A value for a browser that has none: 256 random bits."""
    return secrets.token_urlsafe(32)


def browser_hash(cookie: str) -> str:
    """What is stored of a cookie, so that a copy of the database opens nothing."""
    return hashlib.sha256(cookie.encode()).hexdigest()


def new_launch_id() -> str:
    return secrets.token_urlsafe(24)


def open_launch(launch_id: str, *, browser_cookie: str | None, now: datetime) -> Launch:
    """The visit with that id, for the browser that it belongs to.

    :raises SessionOver: unknown, expired, or another browser's; which of them is not said.
    """
    launch = db.session.get(Launch, launch_id) if _LAUNCH_ID.fullmatch(launch_id) else None
    presented = browser_hash(browser_cookie or "")
    if launch is None or not hmac.compare_digest(launch.browser, presented) or launch.expires_at <= now:
        raise SessionOver
    return launch


def sweep(now: datetime) -> int:
    """Delete what nobody can use any more; at most a batch of each kind. Returns how many rows went.

    A login is kept for a day after its end, so that a late arrival is told "too late" and not "forged"; a
    launch for a month, so that what refers to it in the log can still be looked up.
    """
    return (
        _delete(LoginState.state, LoginState.expires_at, now - _KEPT_AFTER_LOGIN)
        + _delete(AccessToken.id, AccessToken.expires_at, now)
        + _delete(Launch.id, Launch.expires_at, now - _KEPT_AFTER_LAUNCH)
    )


def _delete(key: InstrumentedAttribute[Any], ends: InstrumentedAttribute[datetime], before: datetime) -> int:
    due = select(key).where(ends < before).limit(_BATCH)
    gone = db.session.scalars(
        delete(key.class_).where(key.in_(due)).returning(key),
        execution_options={"synchronize_session": False},
    )
    return len(gone.all())
