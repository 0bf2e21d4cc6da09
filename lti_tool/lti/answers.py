"""What came of one call to a platform's service, reduced to what the ledger keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from lti_tool import http

EXCERPT = 2000


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


def from_http(answer: http.Answer, *, now: datetime, at_token: bool = False) -> ServiceAnswer:
    return ServiceAnswer(
        status=answer.status,
        body=answer.text[:EXCERPT],
        retry_after=_retry_after(answer.headers, now),
        sent=not at_token,
        at_token=at_token,
    )


def from_silence(silence: http.NoAnswer, *, at_token: bool = False) -> ServiceAnswer:
    """A token request that timed out changes nothing at the platform, so it counts as not sent."""
    return ServiceAnswer(
        status=None, body=str(silence), sent=silence.sent and not at_token, at_token=at_token
    )


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
