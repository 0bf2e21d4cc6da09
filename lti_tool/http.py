"""Outgoing HTTP: one pooled session, timeouts on every call, a User-Agent, bounded answers, no redirects.

Moodle answers 403 to a request without a User-Agent and Canvas requires one, so ours says who is calling.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests
import urllib3
from requests.adapters import HTTPAdapter

from lti_tool import __version__

MAX_ANSWER_BYTES = 2_000_000
_CHUNK = 65_536
_local = threading.local()


class NoAnswer(Exception):
    """Nothing usable came back: refused, unreachable, timed out, or cut off.

    ``sent`` tells whether the request may have arrived: after a time-out the other side may have acted on it.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@dataclass(frozen=True)
class Answer:
    """What came back. ``headers`` look up case-insensitively."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")


def send(
    method: str,
    url: str,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """One request, one answer of at most MAX_ANSWER_BYTES. Redirects are answers, not followed: a bearer token
    must not travel to an address that the platform did not register.

    :raises NoAnswer: with what went wrong, in words without the address's query.
    """
    ends = time.monotonic() + timeout
    try:
        with _session().request(
            method,
            url,
            headers=headers,
            data=form if body is None else body,
            timeout=(min(timeout, 5.0), timeout),
            allow_redirects=False,
            stream=True,
        ) as response:
            content = bytearray()
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise NoAnswer("The answer was too large.", sent=True)
                # The time-out of the connection begins anew with every byte that trickles in.
                if time.monotonic() > ends:
                    raise NoAnswer("No answer in time.", sent=True)
            return Answer(response.status_code, response.headers, bytes(content))
    except requests.exceptions.ConnectTimeout:
        raise NoAnswer("No connection in time.", sent=False) from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        raise NoAnswer("No answer in time.", sent=True) from None
    except requests.exceptions.InvalidURL:
        raise NoAnswer("Not a valid address.", sent=False) from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        refused = "refused" in str(error) or "resolve" in str(error) or "unreachable" in str(error)
        raise NoAnswer(
            "The connection failed." if not refused else "Could not connect.", sent=not refused
        ) from None


def _session() -> requests.Session:
    """One per thread: requests does not promise that a session may be shared between threads."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None:
        session = requests.Session()
        session.headers["User-Agent"] = f"Tessera/{__version__} (LTI 1.3 tool)"
        # The proxy and .netrc of the machine are not meant for a platform's tokens.
        session.trust_env = False
        adapter = HTTPAdapter(pool_connections=16, pool_maxsize=16, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        _local.session = session
    return session


def close() -> None:
    """Let go of this thread's connections."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is not None:
        session.close()
        _local.session = None
