"""Deep Linking: the answer with which the picker puts activities into a course.

The browser posts it as the form field ``JWT`` to the address that the platform gave.
Spec: https://www.imsglobal.org/spec/lti-dl/v2p0/#deep-linking-response-message
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt

from lti_tool import settings
from lti_tool.errors import SelectionRefused
from lti_tool.lti import claims, keys, platforms
from lti_tool.lti.addresses import LAUNCH_PATH
from lti_tool.lti.ags import Number
from lti_tool.lti.models import Launch

_LTI = "https://purl.imsglobal.org/spec/lti/claim/"
_DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
_LASTS = timedelta(minutes=5)
_LABEL = 30


@dataclass(frozen=True, kw_only=True)
class LinkItem:
    """One activity to be put into a course: a micro-credential, by its key."""

    title: str
    text: str | None = None
    credential_key: str
    label: str | None = None
    """Name of the gradebook column; cut after 30 characters. The title, if there is none."""
    points: Number | None = None
    """What the gradebook column is out of; None wants no column."""
    resource_id: str | None = None
    """Our name for what is graded, the same in every copy of the course."""


def settings_of(launch: Launch) -> claims.DeepLinkingSettings:
    """What the platform lets this visit choose.

    :raises SelectionRefused: the visit was not begun to choose something.
    """
    chosen = claims.LaunchMessage.from_map(launch.claims).deep_linking
    if chosen is None:
        raise SelectionRefused("Nothing can be added from here. Begin again from your course.")
    return chosen


def response_jwt(
    launch: Launch,
    items: Sequence[LinkItem],
    *,
    now: datetime,
    message: str | None = None,
    error: str | None = None,
) -> str:
    """The signed answer to a deep linking launch; without items it is a cancellation.

    :param message: a sentence that the platform shows to the person.
    :param error: the same for something that went wrong.
    :raises SelectionRefused: the platform does not accept what was chosen.
    """
    wanted = settings_of(launch)
    if items and "ltiResourceLink" not in wanted.accept_types:
        raise SelectionRefused(
            "This place in the course does not accept activities. Add it from another place."
        )
    if len(items) > 1 and not wanted.accept_multiple:
        raise SelectionRefused("This place in the course accepts one activity at a time.")
    registration = launch.deployment.registration
    variables = platforms.behaviour(registration.platform.product).custom_variables
    answer: dict[str, Any] = {
        "iss": registration.client_id,
        "aud": registration.issuer,
        "iat": int(now.timestamp()),
        "exp": int((now + _LASTS).timestamp()),
        "nonce": secrets.token_urlsafe(24),
        _LTI + "message_type": "LtiDeepLinkingResponse",
        _LTI + "version": "1.3.0",
        _LTI + "deployment_id": launch.deployment.deployment_id,
        _DL + "content_items": [
            _content_item(item, wanted.accept_lineitem is not False)
            | {"custom": _custom(item) | dict(variables)}
            for item in items
        ],
    }
    for name, value in (("data", wanted.data), ("msg", message), ("errormsg", error)):
        if value is not None:
            answer[_DL + name] = value
    kid, private = keys.signing_key()
    return jwt.encode(answer, private, "RS256", headers={"kid": kid})


def _custom(item: LinkItem) -> dict[str, str]:
    return {"credential": item.credential_key}


def _content_item(item: LinkItem, with_column: bool) -> dict[str, Any]:
    """The key stands in the address as well: Canvas loses custom parameters on some of its paths."""
    address = settings.current().public_url + LAUNCH_PATH
    content: dict[str, Any] = {
        "type": "ltiResourceLink",
        "title": item.title,
        "url": f"{address}?{urlencode(_custom(item))}",
    }
    if item.text:
        content["text"] = item.text
    if with_column and item.points is not None:
        column: dict[str, Any] = {
            "scoreMaximum": float(item.points),
            "label": _short(item.label or item.title),
        }
        if item.resource_id:
            column["resourceId"] = item.resource_id
        content["lineItem"] = column
    return content


def _short(label: str) -> str:
    return label if len(label) <= _LABEL else label[: _LABEL - 1].rstrip() + "…"
