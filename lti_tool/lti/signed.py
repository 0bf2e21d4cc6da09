"""What a platform signed: taken apart, its registration found, its signature and its times checked.

Launches come this way through a browser, notices from the platform itself. Whoever calls this goes in the order of
the functions here: until the signature holds, nothing is used up and nothing is believed.
Spec: https://www.imsglobal.org/spec/security/v1p0/#authentication-response-validation
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeGuard

import jwt

from lti_tool import settings
from lti_tool.database import db
from lti_tool.errors import LaunchExpired, LaunchForged, LaunchMalformed, PlatformUnknown
from lti_tool.lti import claims, platform_keys, registrations
from lti_tool.lti.models import Registration

LEEWAY = timedelta(seconds=60)
_RS256 = jwt.get_algorithm_by_name("RS256")
_MOST_AUDIENCES = 10
_YEAR_9999 = 253_402_300_800


@dataclass(frozen=True)
class Message:
    """A message in its parts. ``jwk``, ``jku`` and ``x5u`` of its header are not even read."""

    token: str
    kid: str
    claims: dict[str, Any]


def take_apart(token: str) -> Message:
    """Decode a message, once. Nothing in it is believed yet.

    :raises LaunchForged: not a JWT with RS256 and a key id.
    """
    parts = token.split(".")
    if len(parts) != 3:
        _forged()
    header, body = _json(parts[0]), _json(parts[1])
    if header.get("alg") != "RS256" or "crit" in header:
        raise LaunchForged("The message is not signed the way LTI requires.")
    if not is_name(header.get("kid")):
        raise LaunchForged("The message does not say which key signed it.")
    return Message(token, header["kid"], body)


def addressed_to(body: Mapping[str, Any]) -> list[Registration]:
    """Our registrations with the message's issuer among the client ids that it is meant for.

    :raises LaunchMalformed: issuer or audience are missing or wrong.
    :raises PlatformUnknown: there are none.
    """
    issuer, audiences = _parties(body)
    found = registrations.for_audience(issuer, audiences)
    if not found:
        raise PlatformUnknown(issuer)
    return found


def is_addressed_to(body: Mapping[str, Any], registration: Registration) -> bool:
    """Whether this registration, which the caller has, is among those that :func:`addressed_to` would find.

    :raises LaunchMalformed: issuer or audience are missing or wrong.
    """
    issuer, audiences = _parties(body)
    return registration.issuer == issuer and registration.client_id in audiences


def check_party(body: Mapping[str, Any], registration: Registration) -> None:
    """Where a message is meant for several, ``azp`` says for whom it was made.

    :raises LaunchForged: for somebody else.
    """
    audience = body.get("aud")
    if isinstance(audience, list) and len(audience) > 1 and body.get("azp") != registration.client_id:
        raise LaunchForged("The message is meant for another tool.")


def check_signature(message: Message, registration: Registration, *, now: datetime) -> None:
    """Lets go of the database connection before waiting for the platform's keys.

    :raises LaunchForged: the platform's keys did not sign this.
    :raises PlatformSilent: its keys are not known and cannot be fetched.
    :raises PlatformPending, PlatformDisabled: nothing is fetched from its addresses now.
    """
    registrations.check_open(registration.state)
    signed, _, signature = message.token.rpartition(".")
    keys = platform_keys.keys_for(
        registration.jwks_url,
        message.kid,
        now=now,
        timeout=settings.current().platform_timeout,
        before_waiting=db.session.commit,
    )
    data, mark = signed.encode("ascii"), _bytes(signature)
    if not any(_RS256.verify(data, key, mark) for key in keys):
        raise LaunchForged("The signature does not fit the message.")


def check_times(body: Mapping[str, Any], *, now: datetime, oldest: timedelta) -> datetime:
    """Returns the end of the message's time.

    :param oldest: how old a message may be, however long its own time lasts.
    :raises LaunchMalformed: a time is missing, or lies in the future.
    :raises LaunchExpired: it is over.
    """
    issued, ends = _moment(body, "iat"), _moment(body, "exp")
    moment = now.timestamp()
    if issued > moment + LEEWAY.total_seconds():
        raise LaunchMalformed("iat")
    if ends <= moment - LEEWAY.total_seconds() or issued < moment - (oldest + LEEWAY).total_seconds():
        raise LaunchExpired
    return datetime.fromtimestamp(ends, tz=now.tzinfo)


def is_name(value: object) -> TypeGuard[str]:
    """Text that can be looked up: a database knows neither NUL nor half a surrogate pair."""
    return isinstance(value, str) and value != "" and not claims.UNSTORABLE.search(value)


def _parties(body: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Issuer and audiences; of these, as many as a message may have."""
    issuer, audience = body.get("iss"), body.get("aud")
    audiences: list[Any] = audience if isinstance(audience, list) else [audience]
    if not is_name(issuer):
        raise LaunchMalformed("iss")
    if not audiences or not all(is_name(one) for one in audiences):
        raise LaunchMalformed("aud")
    return issuer, audiences[:_MOST_AUDIENCES]


def _forged() -> NoReturn:
    raise LaunchForged("The message is not a signed LTI message.")


def _bytes(segment: str) -> bytes:
    try:
        return base64.b64decode(
            segment.encode("ascii") + b"=" * (-len(segment) % 4), altchars=b"-_", validate=True
        )
    except (UnicodeEncodeError, binascii.Error):
        _forged()


def _json(segment: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(segment))
    except (ValueError, RecursionError):
        _forged()
    return value if isinstance(value, dict) else _forged()


def _moment(body: Mapping[str, Any], claim: str) -> float:
    """Seconds since 1970. JSON in Python may hold NaN, and whole numbers too large for any clock."""
    value = body.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _YEAR_9999:
        raise LaunchMalformed(claim)
    return value
