"""A launch without its cookie: how it finds its browser all the same, and why that lets nobody else in.

A launch must end in the browser in which its login began. Otherwise somebody could send their own launch
through another person's browser, who would then work and hand in under their name (login CSRF), or use a
message that they got hold of in a browser of their own. The cookie of the login shows it in almost every
browser, as long as it comes back. Where it does not, a checked launch waits as an Arrival: it is nobody's,
opens nowhere, and is over after ten minutes. What then counts:

1. Only logins to which the browser brought no cookie may wait at all. Who brought one has a browser that keeps
   it, and a launch of that login without it, or with another one, is refused.
2. **Platform storage** shows that the browser is the one of the login (``lti.storage``). The answer must come
   from an origin of the platform that signed this launch, and a page of ours must post it: that is what
   ``Origin`` tells, since no token can without a cookie. An attacker knows the marks of a login of their own,
   but cannot make the platform's page in another browser show them.
3. **A press of a button** by somebody who reads who they will be. The page can be framed by the platform of
   this very launch only, so that nobody is made to press it unseen. In a window of its own it is not offered:
   there, no frame keeps cookies back, and the page would be all that an attacker's link needs. What counts is
   where the page itself is shown: a launch may have come from a client that says what it likes. The page is made
   once, right after the launch; its key stands in it, and only with that key are further codes had. So the address
   of an arrival, copied or read on its way, is of no use to anybody. What a press
   cannot tell is who presses: somebody who takes such a message from its way, between two browser pages and
   before it is used, could go on with it. Points 1 and 2 keep that to browsers that give us nothing to know
   them by.

Either way the launch is then bound to a cookie, as every other one is; the address of a visit alone opens
nothing. The answer to the launch sets the cookie once more, so the next request tells whether this frame keeps
any. If so, the visit goes on where it is. If not, no page in this frame could ever know who asks for it, and
carrying a secret from page to page in addresses would put it into histories and logs; so the visit goes on in a
new tab, where our cookie is a first party's. A tab that is opened from a frame shares no partitioned cookie
with it. It is therefore entered by a **code**: posted, not in an address, good for 60 seconds and for one use.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import update

from lti_tool import settings
from lti_tool.database import db
from lti_tool.errors import LaunchExpired, LaunchForged, LaunchUsed
from lti_tool.lti import storage
from lti_tool.lti.models import Arrival, Launch, LoginState
from lti_tool.lti.sessions import browser_hash

WAITS = timedelta(minutes=10)
CODE_LASTS = timedelta(seconds=60)
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_CODE = re.compile(r"([\w-]{1,64})\.(\d{1,12})\.([0-9a-f]{64})", re.ASCII)


def wait(launch: Launch, *, state: str, framed: bool, now: datetime) -> Arrival:
    """Let a launch that ``launch.receive`` left without a browser wait for it."""
    arrival = Arrival(
        id=secrets.token_urlsafe(24),
        launch_id=launch.id,
        state=state,
        framed=framed,
        page_hash=None,
        proved_at=None,
        opened_at=None,
        expires_at=now + WAITS,
    )
    db.session.add(arrival)
    db.session.flush()
    return arrival


def find(arrival_id: str, *, now: datetime) -> Arrival:
    """The arrival with that id, opened or not.

    :raises LaunchExpired: there is none (any more).
    """
    arrival = db.session.get(Arrival, arrival_id) if _ID.fullmatch(arrival_id) else None
    if arrival is None or arrival.expires_at <= now:
        raise LaunchExpired
    return arrival


def reference(arrival: Arrival) -> str:
    """What a person can read out to support and the log shows as well; it opens nothing."""
    return hashlib.sha256(arrival.id.encode()).hexdigest()[:8]


def offer_for(arrival: Arrival) -> storage.Offer | None:
    """How this browser can show that the login began in it; None where it cannot, or has done so."""
    login = db.session.get(LoginState, arrival.state)
    if login is None or arrival.proved_at is not None:
        return None
    return storage.offer_for(login, arrival.launch.deployment.registration)


def prove(arrival: Arrival, shown: Mapping[str, str], *, now: datetime) -> bool:
    """Note that the platform's storage showed these marks, if they are the right ones."""
    login = db.session.get(LoginState, arrival.state)
    if login is None or not storage.proves(login, shown):
        return False
    arrival.proved_at = now
    db.session.flush()
    return True


def may_press(arrival: Arrival, *, framed: bool) -> bool:
    """Whether a button may open it, on a page that may be inside the platform's (``framed``)."""
    return arrival.proved_at is not None or (arrival.framed and framed)


def page_key(arrival: Arrival) -> str | None:
    """The key of the page with the button, for the first one that asks; None for everybody later."""
    key = secrets.token_urlsafe(24)
    taken = db.session.scalar(
        update(Arrival)
        .where(Arrival.id == arrival.id, Arrival.page_hash.is_(None))
        .values(page_hash=_hashed(key))
        .returning(Arrival.id)
        .execution_options(synchronize_session=False)
    )
    return None if taken is None else key


def shows(arrival: Arrival, key: str) -> bool:
    """Whether this is the key of the page with the button."""
    return arrival.page_hash is not None and hmac.compare_digest(arrival.page_hash, _hashed(key))


def code_for(arrival: Arrival, *, now: datetime) -> str:
    """A code that opens this arrival once within the next 60 seconds, in whatever browser posts it."""
    ends = int((now + CODE_LASTS).timestamp())
    return f"{arrival.id}.{ends}.{_seal(arrival.id, ends)}"


def named_by(code: str, *, now: datetime) -> Arrival:
    """The arrival that a code is for.

    :raises LaunchForged: it is no code of ours.
    :raises LaunchUsed: it was used, or the launch was opened in another way.
    :raises LaunchExpired: its minute is over.
    """
    parts = _CODE.fullmatch(code)
    if parts is None or not hmac.compare_digest(parts[3], _seal(parts[1], int(parts[2]))):
        raise LaunchForged("The button was not one of ours.")
    arrival = find(parts[1], now=now)
    if arrival.opened_at is not None:
        raise LaunchUsed
    if int(parts[2]) <= now.timestamp():
        raise LaunchExpired
    return arrival


def open_in(arrival: Arrival, browser: str, *, now: datetime) -> None:
    """Bind the launch to the browser with this cookie. Of two that try at once, one succeeds.

    :raises LaunchUsed: somebody was quicker, or the same person in another tab.
    """
    taken = db.session.scalar(
        update(Arrival)
        .where(Arrival.id == arrival.id, Arrival.opened_at.is_(None), Arrival.expires_at > now)
        .values(opened_at=now)
        .returning(Arrival.launch_id)
        .execution_options(synchronize_session=False)
    )
    if taken is None:
        raise LaunchUsed
    db.session.execute(update(Launch).where(Launch.id == taken).values(browser=browser_hash(browser)))


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _seal(arrival_id: str, ends: int) -> str:
    key = settings.current().passphrase("arrival")
    return hmac.new(key, f"{arrival_id}.{ends}".encode(), hashlib.sha256).hexdigest()
