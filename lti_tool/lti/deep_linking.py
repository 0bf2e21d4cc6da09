"""Deep Linking: the answer with which the picker puts activities into a course.

The browser posts it as the form field ``JWT`` to the address that the platform gave.
Spec: https://www.imsglobal.org/spec/lti-dl/v2p0/#deep-linking-response-message
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
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
LONGEST_LABEL = 30
"""Characters of a gradebook column's name that every platform shows."""
_FRAMES = {"iframe", "frame", "embed"}


@dataclass(frozen=True, kw_only=True)
class LinkItem:
    """One activity to be put into a course: a micro-credential, a choice of several, or a stack."""

    title: str
    text: str | None = None
    credential_keys: tuple[str, ...] = ()
    """Several are a choice: one activity, of which each earner takes one."""
    stack_key: str | None = None
    """Of a stack, instead of the keys of micro-credentials."""
    label: str | None = None
    """Name of the gradebook column; cut after 30 characters. The title, if there is none."""
    points: Number | None = None
    """What the gradebook column is out of; None wants no column."""
    score_policy: str | None = None
    """How many of the points a demonstration gets; None says nothing of it."""
    due_at: datetime | None = None

    @property
    def named(self) -> dict[str, str]:
        """What the link is for, as its custom parameter and its address say it."""
        if self.stack_key is not None:
            return {"stack": self.stack_key}
        return {"credential": ",".join(self.credential_keys)}

    @property
    def resource_id(self) -> str:
        """Our name for what is graded."""
        return resource_id(self.credential_keys, self.stack_key)


def resource_id(credential_keys: Sequence[str], stack_key: str | None = None) -> str:
    """What gradebook columns of these micro-credentials, or of this stack, are called between platforms and us: the
    same in every copy of a course, and never long."""
    if stack_key is not None:
        return f"tessera:stack:{stack_key}"
    if len(credential_keys) == 1:
        return f"tessera:{credential_keys[0]}"
    several = ",".join(sorted(credential_keys)).encode()
    return f"tessera:choice:{hashlib.sha256(several).hexdigest()[:24]}"


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
    if items and not takes_activities(wanted):
        raise SelectionRefused(
            "This place in the course does not accept activities. Add it from another place."
        )
    if len(items) > 1 and not wanted.accept_multiple:
        raise SelectionRefused("This place in the course accepts one activity at a time.")
    registration = launch.deployment.registration
    behaviour = platforms.behaviour(registration.platform.product)
    answer: dict[str, Any] = {
        "iss": registration.client_id,
        "aud": registration.issuer,
        "iat": int(now.timestamp()),
        "exp": int((now + _LASTS).timestamp()),
        "nonce": secrets.token_urlsafe(24),
        _LTI + "message_type": "LtiDeepLinkingResponse",
        _LTI + "version": "1.3.0",
        _LTI + "deployment_id": launch.deployment.deployment_id,
        _DL + "content_items": [_content_item(item, wanted, behaviour) for item in items],
    }
    for name, value in (("data", wanted.data), ("msg", message), ("errormsg", error)):
        if value is not None:
            answer[_DL + name] = value
    kid, private = keys.signing_key(now)
    return jwt.encode(answer, private, "RS256", headers={"kid": kid})


def takes_activities(wanted: claims.DeepLinkingSettings) -> bool:
    """Whether anything of ours can be added from where this visit was begun."""
    return "ltiResourceLink" in wanted.accept_types


def takes_column(wanted: claims.DeepLinkingSettings) -> bool:
    """Whether an activity may come with a gradebook column; not said is yes."""
    return wanted.accept_lineitem is not False


def _content_item(
    item: LinkItem, wanted: claims.DeepLinkingSettings, behaviour: platforms.Generic
) -> dict[str, Any]:
    """The key stands in the address as well: Canvas loses custom parameters on some of its paths."""
    address = settings.current().public_url + LAUNCH_PATH
    custom = item.named | dict(behaviour.custom_variables)
    content: dict[str, Any] = {
        "type": "ltiResourceLink",
        "title": item.title,
        "url": f"{address}?{urlencode(item.named)}",
        "custom": custom,
    }
    if item.text:
        content["text"] = item.text
    if takes_column(wanted) and item.points is not None:
        # What we shall send is out of this, whatever later versions of the micro-credential say.
        custom["points"] = _plain(item.points)
        if item.score_policy is not None:
            custom["score_policy"] = item.score_policy
        column: dict[str, Any] = {
            "scoreMaximum": float(item.points),
            "label": short_label(item.label or item.title),
            "resourceId": item.resource_id,
        }
        if behaviour.reviews_submissions:
            column["submissionReview"] = {
                "reviewableStatus": ["Submitted", "Completed"],
                "label": "Review in Tessera",
            }
        content["lineItem"] = column
    if item.due_at is not None:
        content["submission"] = {"endDateTime": item.due_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    if "window" in wanted.targets and not _FRAMES & set(wanted.targets):
        content["window"] = {"targetName": "_blank"}
    return content


def _plain(points: Number) -> str:
    """10 and 2.5, never 10.0 or 1e1."""
    return f"{Decimal(str(points)).normalize():f}"


def short_label(label: str) -> str:
    """The name of a gradebook column: no more of it fits on the screens of some platforms."""
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1].rstrip() + "…"
