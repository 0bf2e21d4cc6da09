"""LTI 1.3 launch, steps 1 and 2 of 3: a platform starts a login at our address, we send the browser back to
it.

What must come back in step 3 (``launch.py``), once and in this browser, is stored as one LoginState.
Spec: https://www.imsglobal.org/spec/security/v1p0/#step-1-third-party-initiated-login
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import insert

from lti_tool import settings
from lti_tool.database import db, table_of
from lti_tool.errors import LaunchMalformed
from lti_tool.lti import platforms, registrations, storage
from lti_tool.lti.addresses import LAUNCH_PATH, is_ours
from lti_tool.lti.models import LoginState
from lti_tool.lti.sessions import browser_hash

LOGIN_LASTS = timedelta(minutes=10)
LONGEST = 8_000
"""Characters of one parameter. Anybody may begin a login, and each leaves a row and a redirect."""
_INSERT = insert(table_of(LoginState))


@dataclass(frozen=True)
class LoginRedirect:
    """Where to send the browser. ``url`` holds one-time values: never log it.

    ``storage`` is what the platform's page should keep before the browser goes there; None for a plain redirect.
    """

    url: str
    state: str
    storage: storage.Offer | None


def begin(params: Mapping[str, str], *, browser: str, fresh: bool = False, now: datetime) -> LoginRedirect:
    """Answer a third-party initiated login; ``params`` are the form fields or the query.

    The deployment (``lti_deployment_id``, in older Canvas ``deployment_id``) is ignored here: nothing is
    signed yet, and the id_token names it again.

    :param browser: the cookie's value, which came with the login or is set with the answer to it.
    :param fresh: the browser brought no cookie, so it may be one that keeps none. Where the platform offers to keep
        something for us, it is asked to only then: nobody else should wait for it.
    :raises LaunchMalformed: a required parameter is missing, or the target is not ours.
    :raises PlatformUnknown: no registration, or the issuer has several and no client_id was given.
    :raises PlatformPending, PlatformDisabled: nobody may come in through it now.
    """
    for name in ("iss", "login_hint", "target_link_uri"):
        if not params.get(name) or "\0" in params[name]:
            raise LaunchMalformed(name)
    for name in ("iss", "login_hint", "target_link_uri", "client_id", "lti_message_hint"):
        if len(params.get(name, "")) > LONGEST:
            raise LaunchMalformed(name)
    target = params["target_link_uri"]
    public_url = settings.current().public_url
    if not is_ours(target, public_url):
        raise LaunchMalformed("target_link_uri")
    registration = registrations.find(params["iss"], params.get("client_id", "").replace("\0", "") or None)
    registrations.check_open(registration.state)
    offered = storage.target_of(params)
    if offered is None and fresh and platforms.behaviour(registration.platform.product).tells_of_storage:
        offered = storage.ASK
    login: dict[str, Any] = {
        "state": secrets.token_urlsafe(32),
        "nonce": secrets.token_urlsafe(32),
        "registration_id": registration.id,
        "browser": browser_hash(browser),
        "fresh": fresh,
        "storage_target": offered if fresh else None,
        "target_link_uri": target,
        "expires_at": now + LOGIN_LASTS,
    }
    db.session.execute(_INSERT, login)
    request = {
        "scope": "openid",
        "response_type": "id_token",
        "response_mode": "form_post",
        "prompt": "none",
        "client_id": registration.client_id,
        "redirect_uri": public_url + LAUNCH_PATH,
        "login_hint": params["login_hint"],
        "state": login["state"],
        "nonce": login["nonce"],
    }
    if "lti_message_hint" in params:
        request["lti_message_hint"] = params["lti_message_hint"]
    offer = (
        storage.offer_for(LoginState(**login), registration) if login["storage_target"] is not None else None
    )
    return LoginRedirect(_with_query(registration.auth_url, request), login["state"], offer)


def _with_query(url: str, values: Mapping[str, str]) -> str:
    joint = "&" if "?" in url else "?"
    return url + joint + urlencode(values, quote_via=quote, safe="")
