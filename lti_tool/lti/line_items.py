"""Gradebook columns (line items) where the platform leaves them to us: finding ours, and making one.

A platform that names the column of a link in its launch is never asked here. Making one is no upsert: each request
makes another, so whoever calls this holds a lock and has looked first.
Spec: https://www.imsglobal.org/spec/lti-ags/v2p0/#line-item-service
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from lti_tool.database import db
from lti_tool.lti import calls, paging, platforms
from lti_tool.lti.addresses import origin_of
from lti_tool.lti.answers import ServiceAnswer
from lti_tool.lti.calls import Call
from lti_tool.lti.models import Registration

_LIST = "application/vnd.ims.lis.v2.lineitemcontainer+json"
_ITEM = "application/vnd.ims.lis.v2.lineitem+json"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A gradebook column as we want it."""

    resource_link_id: str | None
    """The link that it belongs to; None where the platform cannot tell its links apart."""
    resource_id: str
    """Our name for what is graded, the same in every copy of the course."""
    tag: str
    """Our name for this very activity, so that a column which was made without our hearing of it is found again."""
    label: str
    maximum: float
    launch_url: str | None = None
    """Where the activity opens, for a column that has to bring its link back, as both were deleted together."""


@dataclass(frozen=True)
class Standing:
    """A gradebook column that is there."""

    url: str
    resource_link_id: str | None
    """Of the link that it belongs to, if the platform says so."""


def find(registration_id: int, line_items_url: str, wanted: Column, manner: paging.Manner) -> Standing | None:
    """The activity's column, None if the course has none that is certainly ours. Commits first.

    Looked at again here, since not every platform filters; and never with ``limit``, on which Moodle fails.

    :raises paging.NotRead: the list was not read to its end.
    """
    if wanted.resource_link_id is not None:
        listed = _listed(
            registration_id, line_items_url, {"resource_link_id": wanted.resource_link_id}, manner
        )
        of_link = [item for item in listed if item.get("resourceLinkId") == wanted.resource_link_id]
        for ours in (
            [item for item in of_link if item.get("tag") == wanted.tag],
            [item for item in of_link if item.get("resourceId") == wanted.resource_id],
            of_link if len(of_link) == 1 else [],
        ):
            if ours:
                return _certain(ours[0], line_items_url)
    for item in _listed(registration_id, line_items_url, {"tag": wanted.tag}, manner):
        if item.get("tag") == wanted.tag:
            return _certain(item, line_items_url)
    return None


def create(
    registration_id: int, line_items_url: str, wanted: Column, *, now: datetime, timeout: float
) -> tuple[ServiceAnswer, Standing | None]:
    """Make the column. Commits first. Returns it, None if none was made as far as we know.

    :param timeout: seconds for each of the at most four requests.
    """
    behaviour = _behaviour(registration_id)
    body: dict[str, Any] = {
        "label": wanted.label,
        "scoreMaximum": behaviour.column_maximum(wanted.maximum),
        "resourceId": wanted.resource_id,
        "tag": wanted.tag,
    }
    if wanted.resource_link_id is not None and behaviour.columns_belong_to_links:
        body["resourceLinkId"] = wanted.resource_link_id
    if wanted.launch_url is not None:
        body |= behaviour.column_with_link(wanted.launch_url)
    call = Call(
        method="POST",
        url=line_items_url,
        scopes=behaviour.column_scopes,
        headers={"Content-Type": _ITEM, "Accept": _ITEM},
        body=json.dumps(body).encode(),
    )
    answer, reply = calls.make(call, registration_id, now=now, timeout=timeout)
    if reply is None or not 200 <= reply.status < 300:
        return answer, None
    try:
        made = json.loads(reply.body)
    except (ValueError, RecursionError):
        made = None
    return answer, _standing(made, line_items_url) if isinstance(made, dict) else None


def _listed(
    registration_id: int, line_items_url: str, query: Mapping[str, str], manner: paging.Manner
) -> list[dict[str, Any]]:
    parts = urlsplit(line_items_url)
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in query]
    url = urlunsplit(parts._replace(query=urlencode([*kept, *query.items()]), fragment=""))
    call = Call(url=url, scopes=_behaviour(registration_id).column_scopes, headers={"Accept": _LIST})
    items: list[dict[str, Any]] = []
    for page in paging.read(call, registration_id, manner):
        if not isinstance(page, list):
            raise paging.NotRead("The answer is not a list of gradebook columns.")
        items += [item for item in page if isinstance(item, dict)]
    return items


def _certain(item: Mapping[str, Any], line_items_url: str) -> Standing:
    """Where ours is but cannot be used, another must not be made beside it."""
    column = _standing(item, line_items_url)
    if column is None:
        raise paging.NotRead("The gradebook column lies at another address.")
    return column


def _standing(item: Mapping[str, Any], line_items_url: str) -> Standing | None:
    """A column at another origin than its list must not see a token."""
    told, link = item.get("id"), item.get("resourceLinkId")
    if not isinstance(told, str) or not told:
        return None
    address = urljoin(line_items_url, told)
    if origin_of(address) != origin_of(line_items_url):
        return None
    return Standing(address, link if isinstance(link, str) and link else None)


def _behaviour(registration_id: int) -> platforms.Generic:
    return platforms.behaviour(db.session.get_one(Registration, registration_id).platform.product)
