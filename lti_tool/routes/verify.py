"""Checking a badge that somebody was given: a file, its text, or its address. Nothing of it is kept."""

import re
import threading
import time
from collections import deque
from urllib.parse import unquote, urlsplit

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.badges import queries
from lti_tool.database import db
from lti_tool.errors import BadgeUnsigned, NotHere
from lti_tool.issuers.keys import known_keys
from lti_tool.routes.guards import Who, allow
from lti_tool.settings import current, origin
from lti_tool.verification import sandbox, service
from lti_tool.verification.verdict import Verdict
from lti_tool.verification.web import Web

blueprint = Blueprint("verify", __name__)
MAX_FILE = 10_000_000
"""Bytes. A picture of a badge is well below; verification says "too large" in its own words before that."""
BUSY = "Many badges are being checked just now. Please try again in a minute."
A_MINUTE = 120
"""Checks by this process. Anybody may ask for one, and one may ask eight questions of other servers."""

_NOTHING = "Choose a file, paste the text of a badge, or give its address."
_SEVERAL = "Give one of the three: a file, a text, or an address."
_NO_PAGE = (
    "There is no shared badge at that address. Its earner may have ended the sharing, or the address is "
    "not complete."
)
_SHARED = re.compile(r"/shared/([\w-]+)(?:/.*)?")
_places = threading.BoundedSemaphore(3)
"""The other threads go on serving courses while these wait for somebody's server."""
_recent: deque[float] = deque(maxlen=A_MINUTE)


@blueprint.get("/verify")
@allow(Who.ANYONE)
def page() -> ResponseReturnValue:
    """Where to put the badge."""
    return _page()


@blueprint.post("/verify")
@allow(Who.ANYONE)
def check() -> ResponseReturnValue:
    """The verdict on the very bytes that were given."""
    upload = request.files.get("badge")
    chosen = upload is not None and bool(upload.filename)
    text, address = request.form.get("text", "").strip(), request.form.get("address", "").strip()
    if not text.startswith("{") and re.fullmatch(r"https?://\S+", text) and not address:
        text, address = "", text
    given = [bool(each) for each in (chosen, text, address)]
    if sum(given) != 1:
        error = _SEVERAL if any(given) else _NOTHING
        return _page(error=error, text=text, address=address), 422
    if not _admitted():
        return _page(error=BUSY, text=text, address=address), 503, {"Retry-After": "60"}
    if not _places.acquire(blocking=False):
        return _page(error=BUSY, text=text, address=address), 503, {"Retry-After": "20"}
    try:
        if chosen:
            assert upload is not None
            return _page(_checked(upload.stream.read(MAX_FILE + 1)), what=f"File: {upload.filename}")
        if text:
            return _page(_checked(text.encode("utf-8", "replace")), what="The text that you pasted")
        return _page(_at(address), what=f"Address: {address}", address=address)
    finally:
        _places.release()


def own(text: str) -> Verdict:
    """The same checks on a badge that we signed and keep. Nothing is asked of anybody else for it."""
    return service.verify(text.encode(), records=_our_records, web=Web(), now=clock.now(), box=sandbox.own)


def _our_records(issuer: str, credential_id: str) -> service.Own | None:
    """What the database says about a badge of ours: its issuer's keys, and whether it was revoked."""
    keys = known_keys(issuer)
    return None if keys is None else service.Own(keys=keys, status=queries.status_of(credential_id))


def _records(issuer: str, credential_id: str) -> service.Own | None:
    found = _our_records(issuer, credential_id)
    # What follows may wait for other servers, which nobody does with a connection of the database in hand.
    db.session.rollback()
    return found


def _checked(content: bytes) -> Verdict:
    return service.verify(content, records=_records, web=_web(), now=clock.now(), email=_email())


def _at(address: str) -> Verdict:
    try:
        ours = origin(address) in _own_origins()
    except ValueError:
        ours = False
    if ours:
        return _shared_here(address)
    return service.verify_address(address, records=_records, web=_web(), now=clock.now(), email=_email())


def _shared_here(address: str) -> Verdict:
    """A page of ours is not asked over the network: the badge that it shows is taken from the database."""
    found = _SHARED.fullmatch(unquote(urlsplit(address).path))
    try:
        if found is None:
            raise NotHere
        text = queries.document(queries.shared(found[1], now=clock.now()).badge_id)
    except (NotHere, BadgeUnsigned):
        return service.no_badge(_NO_PAGE)
    return _checked(text.encode())


def _web() -> Web:
    return Web(allowed_origins=current().outgoing_origins, own_origins=_own_origins())


def _own_origins() -> frozenset[str]:
    settings = current()
    return frozenset({origin(settings.public_url), origin(settings.service_url)})


def _email() -> str:
    return request.form.get("email", "").strip()[:320]


def _admitted() -> bool:
    """Counts checks, not people: who asks is neither known nor kept."""
    now = time.monotonic()
    if len(_recent) == A_MINUTE and now - _recent[0] < 60:
        return False
    _recent.append(now)
    return True


def _page(
    verdict: Verdict | None = None,
    *,
    error: str | None = None,
    what: str = "",
    text: str = "",
    address: str = "",
) -> str:
    return render_template(
        "verify/page.html", verdict=verdict, error=error, what=what, text=text, address=address
    )
