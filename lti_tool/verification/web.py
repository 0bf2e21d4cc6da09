"""What other servers say about a badge: a few questions to public servers, together in bounded time.

Everything asked here was named by a stranger's file. So there is a budget for each check, nothing is asked twice,
nothing is followed, and no database connection is held meanwhile.
"""

import time
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from lti_tool import http
from lti_tool.http import Answer, NoAnswer, NotPublic, Resolve
from lti_tool.settings import origin
from lti_tool.verification import carriers

SECONDS = 12.0
"""For everything that one check asks of others."""
_EACH = 6.0
_QUESTIONS = 8
"""An issuer's keys in two places, the key itself, a status list for revocation and one for suspension."""


class Unreachable(Exception):
    """No answer that could be used. Its text says why, as the end of a sentence after a colon."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing
        """Whether the server answered, and said that there is nothing at this address."""


class Web:
    """The Internet as one check may use it."""

    def __init__(
        self,
        *,
        allowed_origins: Collection[str] = (),
        own_origins: Collection[str] = (),
        resolve: Resolve | None = None,
    ) -> None:
        self.allowed_origins = allowed_origins
        """The operator's exceptions from "public servers by https only"."""
        self._own = own_origins
        self._resolve = resolve
        self._ends = time.monotonic() + SECONDS
        self._asked: dict[str, Answer | Unreachable] = {}

    def get(
        self, url: str, *, accept: str, max_bytes: int = http.MAX_ANSWER_BYTES, port: int = 443
    ) -> Answer:
        """What stands at ``url``. Ports other than 443 are asked only if the issuer's own name has them.

        :raises Unreachable: not allowed, no answer, or an answer other than 200.
        """
        url = url.partition("#")[0]
        if url not in self._asked:
            try:
                self._asked[url] = self._get(url, accept, max_bytes, port)
            except Unreachable as answer:
                self._asked[url] = answer
        found = self._asked[url]
        if isinstance(found, Unreachable):
            raise found
        return found

    def json(self, url: str, *, port: int = 443) -> dict[str, Any]:
        """The JSON object at ``url``.

        :raises Unreachable: as ``get``, or it is something else.
        """
        accept = "application/did+json, application/ld+json, application/json;q=0.9, */*;q=0.1"
        answer = self.get(url, accept=accept, port=port)
        try:
            found = carriers.parsed(answer.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Unreachable("what stands there is a page for people, or damaged", missing=True)
        return found

    def _get(self, url: str, accept: str, max_bytes: int, port: int) -> Answer:
        if len(self._asked) >= _QUESTIONS:
            raise Unreachable("this badge would have us ask too many servers")
        left = self._ends - time.monotonic()
        if left <= 0:
            raise Unreachable("the servers that the badge names take too long")
        try:
            if origin(url) in self._own:
                raise Unreachable(
                    "the address is one of this very service, which has no such thing", missing=True
                )
            answer = http.fetch_public(
                url,
                timeout=min(left, _EACH),
                headers={"Accept": accept},
                max_bytes=max_bytes,
                ports=(443, port),
                allowed_origins=self.allowed_origins,
                resolve=self._resolve,
            )
        except (NotPublic, ValueError) as cause:
            reason = str(cause) if isinstance(cause, NotPublic) else "Not a valid web address."
            raise Unreachable(f"nothing is fetched from such an address. {reason}") from cause
        except NoAnswer as cause:
            raise Unreachable(f"{host_of(url)} does not answer. {cause}") from cause
        if 300 <= answer.status < 400:
            raise Unreachable(f"{host_of(url)} sends us on to another address, which is not followed")
        if answer.status != 200:
            missing = answer.status in (404, 410)
            raise Unreachable(f"{host_of(url)} answered with error {answer.status}", missing=missing)
        return answer


def host_of(url: str) -> str:
    """Host and port of an address, to be shown."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2][:100]
    except ValueError:
        return "the address"
