"""What came of one call to a platform's service, reduced to what the ledger keeps.

Some servers quote the request in their error pages, our credentials with it. Those are taken out before anything else
gets to see the answer: it is kept for years and read by faculty, and goes into logs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from lti_tool import http

EXCERPT = 2000
_LOOKED_AT = 8 * EXCERPT
"""More than is kept, so that no secret is cut in two and not known any more."""
REMOVED = "[removed]"
_MARKS = r"""(?:[\s"'\\()\[\]]|&quot;|&\#\d{2,3};|%2[027])*"""
_IS = rf"{_MARKS}(?:=&gt;|=>|[:=]|%3[AD]){_MARKS}"
_NAMED = re.compile(
    rf"((?:authorization|access_?token|refresh_?token|id_?token|client_assertion|client_secret|cookie){_IS}"
    r"(?:(?:bearer|basic)(?:\s|%20|\+)+)?)[^\s\"'\\<>&,;)\]}]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\bbearer(?:\s|%20|\+)+)[\w.~+/=%-]{16,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)*")
"""The first letters are those of every JSON object that is written in base64."""


@dataclass(frozen=True, kw_only=True)
class ServiceAnswer:
    """``status`` is None when no answer came; ``body`` is the beginning of the answer, or why there is
    none."""

    status: int | None
    body: str
    retry_after: float | None = None
    """Seconds that the platform asks us to wait."""
    sent: bool
    """Whether the call itself may have reached the platform. False if already the token was refused."""
    at_token: bool = False
    """The answer is the token endpoint's, so the service itself was never asked."""

    @property
    def timed_out(self) -> bool:
        """No answer, yet it may have been acted on: read before sending again."""
        return self.status is None and self.sent


def from_http(
    answer: http.Answer, *, now: datetime, at_token: bool = False, secret: str | None = None
) -> ServiceAnswer:
    """
    :param secret: the credential that the request carried, which is not kept in whatever words it is quoted.
    """
    return ServiceAnswer(
        status=answer.status,
        body=without_secrets(answer.text[:_LOOKED_AT], secret)[:EXCERPT],
        retry_after=_retry_after(answer.headers, now),
        sent=not at_token,
        at_token=at_token,
    )


def from_silence(silence: http.NoAnswer, *, at_token: bool = False) -> ServiceAnswer:
    """A token request that timed out changes nothing at the platform, so it counts as not sent."""
    return ServiceAnswer(
        status=None, body=str(silence), sent=silence.sent and not at_token, at_token=at_token
    )


def without_secrets(text: str, secret: str | None = None) -> str:
    """The text without this secret, and without whatever looks like a token or stands where one does."""
    for each in {secret, quote(secret, safe="")} if secret else ():
        text = text.replace(each, REMOVED)
    text = _NAMED.sub(rf"\1{REMOVED}", text)
    return _JWT.sub(REMOVED, _BEARER.sub(rf"\1{REMOVED}", text))


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Retry-After is a number of seconds or a date (RFC 9110 section 10.2.3)."""
    said = headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        until = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max((aware - now).total_seconds(), 0.0)
