"""Lists that a platform sends page by page, and the Link header that leads from one to the next.

Canvas puts a bookmark in which capital letters count into the address, Moodle escapes the address as HTML and sets
typographic quotes, others set none: a reader that is too strict takes the first page for all there is.
Spec: RFC 8288
"""

import html
import json
import logging
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

from lti_tool import http
from lti_tool.database import db
from lti_tool.lti import calls, platforms
from lti_tool.lti.addresses import origin_of
from lti_tool.lti.answers import ServiceAnswer
from lti_tool.lti.models import Registration

log = logging.getLogger(__name__)

MOST_PAGES = 400
"""Of fifty that is 20,000: more than any course, fewer than a platform that goes round in circles."""
_TRIES = 4
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0

_LINK = re.compile(r"<([^>]*)>([^<]*)")
_QUOTES = "\"'“”„‟‘’«»"
_REL = re.compile(
    rf";\s*rel\s*=\s*(?:[{_QUOTES}]([^{_QUOTES}]*)[{_QUOTES}]|([^\s;,{_QUOTES}]+))", re.IGNORECASE
)


class NotRead(Exception):
    """The list was not read to its end. What pages came before is true, and not all there is.

    ``answer`` is the platform's last, None where it answered well and the pages themselves make no sense; ``reason``
    says what was wrong with them then.
    """

    def __init__(self, reason: str, answer: ServiceAnswer | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a list is read."""

    clock: Callable[[], datetime]
    timeout: float
    """Seconds for one request."""
    wait: Callable[[float], object]
    """Called with the seconds to wait between two requests; a worker that is told to end returns from it at once."""
    patient: bool = True
    """Whether a platform that is busy is asked again after a while."""


def next_address(header: str | None, current: str) -> str | None:
    """Where the next page is, case kept; None on the last page.

    :param header: the Link header as it came, None if there was none.
    :param current: address of the page that came with it.
    :raises NotRead: the next page is at another origin, which must not see the token.
    """
    for address, parameters in _LINK.findall(_as_sent(header or "")):
        found = _REL.search(html.unescape(parameters))
        rels = (found[1] or found[2] or "").lower().split() if found else []
        if "next" not in rels:
            continue
        target = urljoin(current, html.unescape(address.strip()))
        if origin_of(target) is None or origin_of(target) != origin_of(current):
            raise NotRead("The next page of the list lies at another address.")
        return target
    return None


def read(first: calls.Call, registration_id: int, manner: Manner, *, most: int = MOST_PAGES) -> Iterator[Any]:
    """The JSON of one page after the other. Commits before each, and holds no connection while the platform thinks.

    A platform that is busy is asked again after a while, a few times.

    :param most: how many pages before the list is taken for endless.
    :raises NotRead: refused, silent, not JSON, in circles, at a foreign address, or without end.
    """
    call, seen = first, {first.url}
    behaviour = platforms.behaviour(db.session.get_one(Registration, registration_id).platform.product)
    for _ in range(most):
        reply = _patiently(call, registration_id, behaviour, manner)
        try:
            page = json.loads(reply.body)
        except (ValueError, RecursionError):
            raise NotRead("The answer is not what the service should send.") from None
        target = next_address(reply.headers.get("Link"), call.url)
        yield page
        if target is None:
            return
        if target in seen:
            raise NotRead("The pages of the list go round in circles.")
        seen.add(target)
        manner.wait(behaviour.pause(reply.headers))
        call = replace(call, url=target)
    log.warning("list without end", extra={"registration": registration_id, "pages": most})
    raise NotRead(f"The list has more than {most} pages.")


def _patiently(
    call: calls.Call, registration_id: int, behaviour: platforms.Generic, manner: Manner
) -> http.Answer:
    tries = _TRIES if manner.patient else 1
    for again in range(tries):
        answer, reply = calls.make(call, registration_id, now=manner.clock(), timeout=manner.timeout)
        if reply is not None and 200 <= reply.status < 300:
            return reply
        verdict = behaviour.classify(answer.status, answer.body, answer.timed_out, at_token=answer.at_token)
        if verdict.next is not platforms.Next.RETRY or again == tries - 1:
            break
        backoff = _FIRST_WAIT * 2**again * (1 + random.random() / 4)  # noqa: S311 - spreads waits, keeps no secret
        manner.wait(min(max(backoff, answer.retry_after or 0.0), _LONGEST_WAIT))
    raise NotRead("", answer)


def _as_sent(header: str) -> str:
    """HTTP hands headers over as Latin-1; Moodle's typographic quotes are UTF-8."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header
