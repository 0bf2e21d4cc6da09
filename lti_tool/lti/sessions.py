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

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import InstrumentedAttribute

from lti_tool.database import db, table_of
from lti_tool.errors import SessionOver
from lti_tool.lti import registrations
from lti_tool.lti.models import AccessToken, Arrival, Launch, LoginState

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
_INSERT = insert(table_of(Launch))
_COLUMNS = tuple(column.key for column in table_of(Launch).columns)
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


def keep(launch: Launch) -> None:
    """Store a new visit, in one statement, when everything about it is known. The object itself stays outside the
    database session."""
    db.session.execute(_INSERT, {name: getattr(launch, name) for name in _COLUMNS})


def is_launch_id(text: str) -> bool:
    """Whether this could be the id of a visit, and may be looked up: a database takes no NUL."""
    return _LAUNCH_ID.fullmatch(text) is not None


def open_launch(launch_id: str, *, browser_cookie: str | None, now: datetime) -> Launch:
    """The visit with that id, for the browser that it belongs to.

    :raises SessionOver: unknown, expired, or another browser's; which of them is not said.
    :raises PlatformDisabled, DeploymentDisabled: switched off since; PlatformPending and DeploymentPending likewise.
    """
    launch = find_launch(launch_id)
    if launch is None or not belongs(launch, browser_cookie) or launch.expires_at <= now:
        raise SessionOver
    registrations.check_open(launch.registration_state, launch.deployment_state)
    return launch


def find_launch(launch_id: str) -> Launch | None:
    """The visit with that id, whoever asks and whether or not it is over."""
    return db.session.get(Launch, launch_id) if is_launch_id(launch_id) else None


def belongs(launch: Launch, browser_cookie: str | None) -> bool:
    """Whether the browser with this cookie is the one that the launch was bound to."""
    return hmac.compare_digest(launch.browser, browser_hash(browser_cookie or ""))


def sweep(now: datetime) -> int:
    """Delete what nobody can use any more; at most a batch of each kind. Returns how many rows went.

    A login is kept for a day after its end, so that a late arrival is told "too late" and not "forged"; a
    launch for a month, so that what refers to it in the log can still be looked up.
    """
    return (
        _delete(Arrival.id, Arrival.expires_at, now - _KEPT_AFTER_LOGIN)
        + _delete(LoginState.state, LoginState.expires_at, now - _KEPT_AFTER_LOGIN)
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
