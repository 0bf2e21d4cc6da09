"""Dynamic registration: a platform's administrator types one address, and the two systems introduce themselves.

The platform opens our address with ``openid_configuration`` and ``registration_token``. What stands there is fetched
and shown (``look``); only after a person has pressed a button are we registered (``register``). The address is
public, so everything that comes in this way is a stranger's until somebody here approves it, or an invitation vouches
for it: only public addresses are called, only by https, and none of them becomes part of a platform that is known.

No database connection is held while a platform is asked.
Spec: https://www.imsglobal.org/spec/lti-dr/v1p0
"""

import json
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from lti_tool import audit, http, settings
from lti_tool.database import db
from lti_tool.errors import (
    ConfigurationUnusable,
    RegistrationBusy,
    RegistrationExists,
    RegistrationRefused,
)
from lti_tool.lti import approvals, invitations, platforms, scopes
from lti_tool.lti.addresses import LAUNCH_PATH, may_carry_token, origin_of, stands_at
from lti_tool.lti.models import Deployment, Invitation, Platform, Product, Registration, Standing
from lti_tool.lti.registrations import By

CLIENT_NAME = "Tessera"
_DESCRIPTION = "Micro-credentials for people who teach: tasks, evidence, a rubric, and an Open Badge."
_PLATFORM = "https://purl.imsglobal.org/spec/lti-platform-configuration"
_TOOL = "https://purl.imsglobal.org/spec/lti-tool-configuration"
_CANVAS_ACCOUNT = "https://canvas.instructure.com/lti/account_name"
_CLAIMS = ("sub", "iss", "name", "given_name", "family_name", "email")
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint")
_SECONDS = 10.0
_MAX_BYTES = 1_000_000
_LONGEST = 2_000
_LONGEST_NAME = 100
_LONGEST_TOKEN = 8_000
_MOST_WAITING = 50
"""Registrations that wait for an approval. Anybody may bring one."""
_AT_ONCE = 3
_IDENTIFIER = re.compile(r"[\x20-\x7e]{1,255}")
_TOKEN = re.compile(r"[\x21-\x7e]+")

_asking = threading.BoundedSemaphore(_AT_ONCE)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a platform says of itself, checked as far as it can be."""

    name: str
    product: Product
    issuer: str
    auth_url: str
    token_url: str
    jwks_url: str
    registration_url: str
    token_audience: str | None
    scopes: tuple[str, ...]
    """Those that we would ask for: wanted by us and, where it lists any, offered by the platform."""
    messages: Mapping[str, frozenset[str]]
    """Supported message types, each with the placements it may have."""
    variables: frozenset[str]
    framers: tuple[str, ...]
    """Origins that may show the registration page in a frame."""


def look(configuration_url: str, token: str | None) -> Configuration:
    """Fetch and check a platform's configuration. Changes nothing, here or there.

    :raises ConfigurationUnusable: with what is wrong, for the administrator.
    :raises RegistrationBusy: too many are being asked at this moment.
    """
    headers = {"Accept": "application/json"} | _bearer(token)
    try:
        with _turn():
            answer = http.fetch_public(
                configuration_url,
                timeout=_SECONDS,
                headers=headers,
                max_bytes=_MAX_BYTES,
                allowed_origins=settings.current().outgoing_origins,
            )
    except http.NotPublic as refused:
        raise ConfigurationUnusable(
            f"The address of the LMS's configuration is not one that Tessera may call. {refused} An LMS on a private "
            "network has to be allowed by whoever runs Tessera (setting outgoing_allowed)."
        ) from None
    except http.NoAnswer as silence:
        raise ConfigurationUnusable(
            f"The LMS could not be reached for its configuration. {silence}"
        ) from None
    if answer.status != 200:
        raise ConfigurationUnusable(
            f"The LMS did not hand out its configuration (status {answer.status}). The link may be too old: begin "
            "again in the LMS."
        )
    return _checked(_json(answer.body), configuration_url)


def register(
    configuration: Configuration, token: str | None, *, invitation: str | None, now: datetime
) -> Registration:
    """Register Tessera at the platform and remember it: pending, or active if the invitation code is a valid one.

    Commits nothing after the platform has answered; the caller does.

    :raises RegistrationRefused: the platform said no, with what to do.
    :raises RegistrationExists: the platform gave a client id that is known already.
    :raises RegistrationBusy: too many registrations wait for an approval.
    """
    welcome = invitations.valid(invitation, now=now)
    if welcome is None and _waiting() >= _MOST_WAITING:
        raise RegistrationBusy("Too many registrations wait for an approval.")
    request = request_for(configuration)
    db.session.commit()
    reply = _asked(configuration, token, request)
    client_id = reply.get("client_id")
    client_id = str(client_id) if isinstance(client_id, int) else client_id
    if not isinstance(client_id, str) or not _IDENTIFIER.fullmatch(client_id):
        raise RegistrationRefused("The LMS did not say under which client id Tessera is known there.")
    return _remember(configuration, client_id, reply, invitation, now)


def request_for(configuration: Configuration) -> dict[str, Any]:
    """The body of the registration request: what the page shows is what is sent."""
    own = settings.current()
    behaviour = platforms.behaviour(configuration.product)
    target = own.public_url + LAUNCH_PATH
    return {
        "application_type": "web",
        "response_types": ["id_token"],
        "grant_types": ["client_credentials", "implicit"],
        "initiate_login_uri": f"{own.public_url}/lti/login",
        "redirect_uris": [target],
        "client_name": CLIENT_NAME,
        "client_uri": own.public_url,
        "logo_uri": f"{own.public_url}/static/mark.svg",
        "jwks_uri": f"{own.service_url}/lti/jwks",
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": " ".join(configuration.scopes),
        _TOOL: {
            "domain": urlsplit(own.public_url).netloc,
            "target_link_uri": target,
            "description": _DESCRIPTION,
            "custom_parameters": behaviour.registration_variables(configuration.variables),
            "claims": list(_CLAIMS),
            "messages": behaviour.registration_messages(configuration.messages, target, CLIENT_NAME),
            **behaviour.registration_extras(),
        },
    }


@contextmanager
def _turn() -> Iterator[None]:
    """Strangers may keep only a few threads of a process waiting."""
    if not _asking.acquire(blocking=False):
        raise RegistrationBusy
    try:
        yield
    finally:
        _asking.release()


def _bearer(token: str | None) -> dict[str, str]:
    """Canvas wants the token for the configuration already."""
    if not token:
        return {}
    if len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise ConfigurationUnusable(
            "The registration token in the address is damaged. Begin again in the LMS."
        )
    return {"Authorization": f"Bearer {token}"}


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConfigurationUnusable("What stands at the address of the configuration is not a configuration.")
    return document


def _checked(document: Mapping[str, Any], configuration_url: str) -> Configuration:
    issuer = _text(document, "issuer")
    endpoints = [_text(document, name) for name in _ENDPOINTS]
    about = document.get(_PLATFORM)
    about = about if isinstance(about, dict) else {}
    product = platforms.product_of(about.get("product_family_code"))
    behaviour = platforms.behaviour(product)
    if not behaviour.speaks_for(issuer, configuration_url):
        raise ConfigurationUnusable(
            f"The configuration names the issuer {issuer}, for which its own server, {origin_of(configuration_url)}, "
            "cannot speak."
        )
    allowed = settings.current().outgoing_origins
    for name, address in zip(_ENDPOINTS, endpoints, strict=True):
        if not may_carry_token(address, allowed):
            raise ConfigurationUnusable(f"{name} is not a public https address.")
    _check_methods(document)
    auth_url, token_url, jwks_url, registration_url = endpoints
    offered = _texts(document.get("scopes_supported"))
    addresses = (configuration_url, issuer, *endpoints)
    return Configuration(
        name=_name(about, issuer),
        product=product,
        issuer=issuer,
        auth_url=auth_url,
        token_url=token_url,
        jwks_url=jwks_url,
        registration_url=registration_url,
        token_audience=_audience(document, issuer, token_url) if behaviour.names_audience else None,
        scopes=tuple(one for one in behaviour.wanted_scopes if not offered or one in offered),
        messages=_messages(about.get("messages_supported")),
        variables=_texts(about.get("variables")),
        framers=tuple(dict.fromkeys(origin for one in addresses if (origin := origin_of(one)))),
    )


def _audience(document: Mapping[str, Any], issuer: str, token_url: str) -> str | None:
    """For whom we shall sign that we are the platform's client: itself only.

    We have one key for all platforms, and a client id is whatever a platform answers. One that named the server of
    another school could have us sign what lets it in there in our name.
    """
    audience = document.get("authorization_server")
    if not isinstance(audience, str) or not audience:
        return None
    if len(audience) > _LONGEST or not stands_at(audience, (token_url, issuer)):
        raise ConfigurationUnusable(
            "authorization_server is on another host than the LMS and its token_endpoint. If that is right, whoever "
            "runs Tessera can connect this LMS by hand."
        )
    return audience


def _check_methods(document: Mapping[str, Any]) -> None:
    """What LTI 1.3 requires; a platform that lists nothing is believed to know it."""
    for name, needed in (
        ("token_endpoint_auth_methods_supported", "private_key_jwt"),
        ("id_token_signing_alg_values_supported", "RS256"),
    ):
        listed = _texts(document.get(name))
        if listed and needed not in listed:
            raise ConfigurationUnusable(f"The LMS does not support {needed}, which LTI 1.3 requires.")


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise ConfigurationUnusable(f"The configuration does not say its {name}.")
    return value


def _texts(value: object) -> frozenset[str]:
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list) else frozenset()


def _messages(value: object) -> dict[str, frozenset[str]]:
    """A list of names in older versions of Moodle, of objects elsewhere."""
    found: dict[str, frozenset[str]] = {}
    for one in value if isinstance(value, list) else []:
        if isinstance(one, str):
            found[one] = frozenset()
        elif isinstance(one, dict) and isinstance(one.get("type"), str):
            found[one["type"]] = found.get(one["type"], frozenset()) | _texts(one.get("placements"))
    return found


def _name(about: Mapping[str, Any], issuer: str) -> str:
    """What the platform is called here: Canvas names the account, others only their address."""
    said = about.get(_CANVAS_ACCOUNT)
    host = urlsplit(issuer).netloc
    text = said if isinstance(said, str) else ""
    visible = "".join(" " if unicodedata.category(char).startswith(("C", "Z")) else char for char in text)
    return " ".join(visible.split())[:_LONGEST_NAME] or host


def _waiting() -> int:
    pending = select(func.count()).select_from(Registration).where(Registration.state == Standing.PENDING)
    return db.session.scalar(pending) or 0


def _asked(configuration: Configuration, token: str | None, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        with _turn():
            answer = http.fetch_public(
                configuration.registration_url,
                timeout=_SECONDS,
                method="POST",
                headers={"Content-Type": "application/json", "Accept": "application/json"} | _bearer(token),
                body=json.dumps(request).encode(),
                max_bytes=_MAX_BYTES,
                allowed_origins=settings.current().outgoing_origins,
            )
    except http.NotPublic as refused:
        raise RegistrationRefused(f"The LMS named an address that Tessera may not call. {refused}") from None
    except http.NoAnswer as silence:
        raise RegistrationRefused(
            f"The LMS did not answer. {silence} Look there whether Tessera has been added; if so, delete it before you "
            "begin again."
        ) from None
    if answer.status not in (200, 201):
        raise RegistrationRefused(_why_not(answer))
    try:
        reply = json.loads(answer.body)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise RegistrationRefused("The LMS answered with something that is not a registration.")
    return reply


def _why_not(answer: http.Answer) -> str:
    """In our words: what a stranger's server writes is not shown."""
    if "token_already_used" in answer.text:
        return "This registration link has been used already. Begin again in the LMS, which makes a new one."
    if answer.status in (401, 403):
        return (
            f"The LMS does not accept the registration link any more (status {answer.status}). Begin again there: "
            "that makes a new one."
        )
    return f"The LMS refused the registration (status {answer.status}). Its own log may say why."


def _remember(
    configuration: Configuration,
    client_id: str,
    reply: Mapping[str, Any],
    code: str | None,
    now: datetime,
) -> Registration:
    registration = _added(configuration, client_id, reply.get("scope"), now)
    audit.record("platform registered itself", "registration", registration.id, now=now)
    invitation = invitations.use(code, registration.id, now=now)
    if invitation is not None:
        _welcome(registration, invitation, now)
    tool = reply.get(_TOOL)
    deployment_id = (tool if isinstance(tool, dict) else {}).get("deployment_id")
    deployment_id = deployment_id or reply.get("deployment_id")
    if isinstance(deployment_id, str) and _IDENTIFIER.fullmatch(deployment_id):
        db.session.add(Deployment(registration=registration, deployment_id=deployment_id, created_at=now))
    db.session.flush()
    return registration


def _added(configuration: Configuration, client_id: str, granted: object, now: datetime) -> Registration:
    """A row of its own, whatever else arrives at the same moment; what stands is never changed.

    :raises RegistrationExists: the client id is known already.
    """
    known = select(Registration.id).where(
        Registration.issuer == configuration.issuer, Registration.client_id == client_id
    )
    for _ in range(2):
        if db.session.scalar(known) is not None:
            break
        try:
            with db.session.begin_nested():
                registration = _row(configuration, client_id, granted, now)
                db.session.add(registration)
            return registration
        except IntegrityError:
            # Somebody took the name, or the client id, in between.
            continue
    raise RegistrationExists


def _row(configuration: Configuration, client_id: str, granted: object, now: datetime) -> Registration:
    return Registration(
        platform=Platform(name=_free_name(configuration), product=configuration.product, created_at=now),
        issuer=configuration.issuer,
        client_id=client_id,
        auth_url=configuration.auth_url,
        token_url=configuration.token_url,
        jwks_url=configuration.jwks_url,
        token_audience=configuration.token_audience,
        state=Standing.PENDING,
        requested_scopes=list(configuration.scopes),
        granted_scopes=scopes.known(granted.split()) if isinstance(granted, str) else None,
        created_at=now,
    )


def _welcome(registration: Registration, invitation: Invitation, now: datetime) -> None:
    """Approve what an invitation vouches for. It joins a known platform only if it is one of the same LMS."""
    approver = By(None, f"invitation {invitation.id}")
    fits = {platform.id for platform in approvals.can_join(registration)}
    joins = invitation.platform_id if invitation.platform_id in fits else None
    if invitation.platform_id is None or joins is not None:
        approvals.approve(registration, by=approver, now=now, joins=joins)


def _free_name(configuration: Configuration) -> str:
    """No platform takes the name of another."""
    host = urlsplit(configuration.issuer).netloc
    candidates = [configuration.name, f"{configuration.name} ({host})"]
    candidates += [f"{configuration.name} ({number})" for number in range(2, 2 * _MOST_WAITING)]
    taken = set(db.session.scalars(select(Platform.name).where(Platform.name.in_(candidates))))
    return next(name for name in candidates if name not in taken)
