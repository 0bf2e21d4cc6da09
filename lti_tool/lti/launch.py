"""LTI 1.3 launch, step 3 of 3: the platform posts an id_token to us.

Step 1, third-party login, and step 2, our redirect to the platform, are in ``login.py``; they stored the
``state`` and ``nonce`` that must come back here, once and in the same browser.

It stands on pylti1p3's extension points, and replaces the steps in which that library is too trusting for us:
it only looks nonces up instead of using them up, requires neither ``exp`` nor ``iat``, takes the first
audience of several, parses keys for each launch and never refetches them.
Spec: https://www.imsglobal.org/spec/security/v1p0/#step-3-authentication-response
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self

from pylti1p3.cookie import CookieService
from pylti1p3.deployment import Deployment as LibraryDeployment
from pylti1p3.message_launch import MessageLaunch
from pylti1p3.registration import Registration as LibraryRegistration
from pylti1p3.request import Request
from pylti1p3.session import SessionService
from pylti1p3.tool_config.abstract import ToolConfAbstract
from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.orm import lazyload

from lti_tool import settings
from lti_tool.database import db, table_of
from lti_tool.errors import (
    CookieBlocked,
    LaunchExpired,
    LaunchForged,
    LaunchMalformed,
    LaunchUsed,
    PlatformSaidNo,
)
from lti_tool.lti import claims, platforms, registrations, scopes, signed
from lti_tool.lti.addresses import is_ours, may_carry_token, origin_of
from lti_tool.lti.models import Deployment, Launch, LoginState, Registration, Standing
from lti_tool.lti.sessions import browser_hash, new_launch_id

log = logging.getLogger(__name__)
OLDEST = timedelta(minutes=10)
"""Canvas dates a message when the login starts, so one that is five minutes old is usual."""

_ERRORS = {
    "login_required": "You are not signed in to the LMS any more. Sign in there and open the activity again.",
    "launch_no_longer_valid": "The link took too long. Open the activity again from your course.",
    "unauthorized_client": "The LMS does not allow this tool here. An administrator can allow it.",
    "access_denied": "The LMS does not allow this tool here. An administrator can allow it.",
}
_LOGIN = (
    select(
        LoginState.browser,
        LoginState.fresh,
        LoginState.storage_target,
        LoginState.nonce,
        LoginState.expires_at,
        LoginState.used_at,
        Registration,
        Deployment,
    )
    .join(Registration, Registration.id == LoginState.registration_id)
    .outerjoin(
        Deployment,
        (Deployment.registration_id == Registration.id)
        & (Deployment.deployment_id == bindparam("deployment_id")),
    )
    .where(LoginState.state == bindparam("this"))
    # Whoever has the deployment has its registration.
    .options(lazyload(Deployment.registration))
)
"""A login, where it was sent to, and the deployment that the message names, if it is known there."""
_LOGINS = table_of(LoginState)
_TAKE = (
    update(_LOGINS)
    .where(
        _LOGINS.c.state == bindparam("this"),
        _LOGINS.c.nonce == bindparam("given"),
        _LOGINS.c.registration_id == bindparam("sent_to"),
        _LOGINS.c.expires_at > bindparam("now"),
        _LOGINS.c.used_at.is_(None),
    )
    .values(used_at=bindparam("now"))
    .returning(_LOGINS.c.state)
)

_CODE = re.compile(r"[a-z_]{1,40}")
_STATE = re.compile(r"[\w-]{1,64}", re.ASCII)


def receive(
    form: Mapping[str, str], *, browser: str | None, framed: bool = False, now: datetime
) -> tuple[Launch, claims.LaunchMessage]:
    """Check the message that a platform posted, use up its login, and open a visit.

    Where the cookie did not come back and the launch may find its browser in another way, the visit has none yet
    (``browser`` is empty) and opens nowhere; ``arrivals`` goes on from there.

    Lets go of the database connection before waiting for a platform's keys, so call it first in a
    transaction. The visit is not stored yet: account, course and placement are still to be filled in, and then
    ``sessions.keep`` does it.

    :param browser: the value of our cookie as it came back, None if it did not.
    :param framed: the launch may have arrived inside the platform's page, so the person can be asked.
    :raises Refused: PlatformSaidNo, CookieBlocked, LaunchForged, LaunchUsed, LaunchExpired, LaunchMalformed,
        LaunchAnonymous, PlatformUnknown, PlatformPending, PlatformDisabled, DeploymentDisabled or PlatformSilent;
        none of them uses the login up for good if the caller rolls back, as it should. DeploymentPending does: so
        that somebody can approve the deployment, it is committed before it is refused.
    """
    if "error" in form:
        raise PlatformSaidNo(_reason(form["error"]))
    presented = "" if browser is None else browser_hash(browser)
    arriving = _Arriving(_Posted(form), _ManyClients(), _Logins(presented, framed, now), now)
    arriving.validate()
    return arriving.visit, arriving.message


def _reason(code: str) -> str:
    """The description that comes with an error is left out: anybody could have written it."""
    if code in _ERRORS:
        return _ERRORS[code]
    return f"The LMS answered: {code}." if _CODE.fullmatch(code) else ""


class _Posted(Request):
    """The form as plain values; pylti1p3 reads every framework through such an adapter."""

    def __init__(self, form: Mapping[str, str]) -> None:
        self._form = form

    def get_param(self, key: str) -> str:
        return self._form.get(key, "")

    def is_secure(self) -> bool:
        return True


class _NoCookies(CookieService):
    """The one cookie that counts was read by the caller and is compared with the login's."""

    def get_cookie(self, name: str) -> str | None:  # noqa: ARG002 - the library's signature
        return None

    def set_cookie(self, name: str, value: str | int, exp: int | None = 3600) -> None:
        """Launches set none."""


class _ManyClients(ToolConfAbstract[_Posted]):
    """The registration tables as pylti1p3 asks for them: an issuer may always have many clients."""

    def check_iss_has_one_client(self, iss: str) -> bool:  # noqa: ARG002 - the library's signature
        return False

    def check_iss_has_many_clients(self, iss: str) -> bool:  # noqa: ARG002 - the library's signature
        return True

    def find_registration_by_issuer(self, iss: str, *args: Any, **kwargs: Any) -> LibraryRegistration:  # noqa: ARG002 - the library's signature
        return _for_library(registrations.find(iss, None))

    def find_registration_by_params(
        self,
        iss: str,
        client_id: str,
        *args: Any,  # noqa: ARG002 - the library's signature
        **kwargs: Any,  # noqa: ARG002 - the library's signature
    ) -> LibraryRegistration:
        return _for_library(registrations.find(iss, client_id))

    def find_deployment(self, iss: str, deployment_id: str) -> LibraryDeployment | None:
        return _known_deployment(registrations.find(iss, None), deployment_id)

    def find_deployment_by_params(
        self,
        iss: str,
        deployment_id: str,
        client_id: str,
        *args: Any,  # noqa: ARG002 - the library's signature
        **kwargs: Any,  # noqa: ARG002 - the library's signature
    ) -> LibraryDeployment | None:
        return _known_deployment(registrations.find(iss, client_id), deployment_id)


def _for_library(registration: Registration) -> LibraryRegistration:
    return (
        LibraryRegistration()
        .set_issuer(registration.issuer)
        .set_client_id(registration.client_id)
        .set_key_set_url(registration.jwks_url)
        .set_auth_login_url(registration.auth_url)
        .set_auth_token_url(registration.token_url)
    )


def _known_deployment(registration: Registration, deployment_id: str) -> LibraryDeployment | None:
    if registrations.find_deployment(registration.id, deployment_id) is None:
        return None
    return LibraryDeployment().set_deployment_id(deployment_id)


class _Logins(SessionService):
    """The logins on their way, in the database, where every process sees them."""

    def __init__(self, presented: str, framed: bool, now: datetime) -> None:
        self.browser = ""
        """The browser that the launch is for; empty as long as nobody knows."""
        self.presented = presented
        self.framed = framed
        self.now = now
        self.registration: Registration
        """That the login was sent to."""
        self.deployment: Deployment | None = None
        """Of that registration, as the message names it; None where it is new."""
        self.used = False
        self._named: tuple[str, str | None] = "", None

    def find(self, state: str, deployment_id: str | None) -> None:
        """Find the login that a message answers, without using it up.

        :param deployment_id: as the message says, of which nothing is believed yet.
        :raises LaunchForged: there is none, or it was begun in another browser.
        :raises CookieBlocked: the cookie did not come back, and nothing else can tell that this is the browser.
        """
        self._named = state, deployment_id
        login = self._row() if _STATE.fullmatch(state) else None
        if login is not None and login.browser == self.presented:
            self.browser = login.browser
        elif login is None or not self._may_wait(login):
            if not self.presented:
                raise CookieBlocked
            raise LaunchForged("The message does not answer a login of this browser.")
        self.registration, self.deployment = login.Registration, login.Deployment
        self.used = login.used_at is not None

    def check_nonce(self, nonce: str) -> bool:
        """Use the login up, if the nonce is the one it gave out. Of two that try at once, one succeeds.

        :raises LaunchUsed: it was used before.
        :raises LaunchExpired: its ten minutes are over.
        """
        values = {"this": self._named[0], "given": nonce, "sent_to": self.registration.id, "now": self.now}
        taken = db.session.scalar(_TAKE, values)
        if taken is not None:
            return True
        login = self._row()
        if login is None or login.expires_at <= self.now:
            raise LaunchExpired
        if login.nonce == nonce:
            raise LaunchUsed
        return False

    def _may_wait(self, login: Row[*tuple[Any, ...]]) -> bool:
        """Another proof is asked for only where the browser brought no cookie to the login either, and where there
        can be one. ``arrivals`` gives the reasons."""
        return login.fresh and (self.framed or login.storage_target is not None)

    def _row(self) -> Row[*tuple[Any, ...]] | None:
        state, deployment_id = self._named
        return db.session.execute(_LOGIN, {"this": state, "deployment_id": deployment_id}).one_or_none()


class _NoTraffic:
    """Stands where pylti1p3 would make an HTTP session of its own; ours is in http.py, with timeouts."""


class _Arriving(MessageLaunch[_Posted, _ManyClients, _Logins, _NoCookies]):
    """One posted message on its way through the checks; afterwards ``visit`` and ``message`` are set."""

    visit: Launch
    message: claims.LaunchMessage

    def __init__(self, posted: _Posted, config: _ManyClients, logins: _Logins, now: datetime) -> None:
        no_traffic: Any = _NoTraffic()
        super().__init__(
            posted,
            config,
            session_service=logins,
            cookie_service=_NoCookies(),
            requests_session=no_traffic,
        )
        self._now = now
        self._claims: dict[str, Any] = {}
        self._signed: signed.Message
        self._row: Registration
        self._deployment: Deployment

    def validate(self) -> Self:
        """The signature first: until it holds nothing is used up and nothing is believed."""
        self._validated = True
        try:
            self.validate_jwt_format()
            self.validate_state()
            self.validate_registration()
            self.validate_jwt_signature()
            self.validate_times()
            self.validate_nonce()
            self.validate_message()
            self.validate_deployment()
            self.save_launch_data()
        except Exception:
            self._validated = False
            raise
        return self

    def _get_request_param(self, key: str) -> str:
        return self._request.get_param(key)

    def validate_jwt_format(self) -> Self:
        """Take the message apart, once. Nothing in it is believed yet."""
        self._signed = signed.take_apart(self._get_request_param("id_token"))
        self._claims = self._signed.claims
        body: Any = self._claims
        self._jwt = {"header": {"alg": "RS256", "kid": self._signed.kid}, "body": body}
        return self

    def validate_state(self) -> Self:
        self._session_service.find(self._get_request_param("state"), claims.deployment_named(self._claims))
        return self

    def validate_registration(self) -> Self:
        """The registration that the login was sent to, which issuer and audience must name."""
        self._row = self._session_service.registration
        if not signed.is_addressed_to(self._claims, self._row):
            # Refuses a message for nobody whom we know.
            signed.addressed_to(self._claims)
            raise LaunchForged("The message answers a login at another platform.")
        self._registration = _for_library(self._row)
        signed.check_party(self._claims, self._row)
        return self

    def validate_jwt_signature(self) -> Self:
        signed.check_signature(self._signed, self._row, now=self._now)
        if self._session_service.used:
            raise LaunchUsed
        return self

    def validate_times(self) -> Self:
        signed.check_times(self._claims, now=self._now, oldest=OLDEST)
        return self

    def validate_nonce(self) -> Self:
        nonce = self._claims.get("nonce")
        if not signed.is_name(nonce):
            raise LaunchMalformed("nonce")
        if not self._session_service.check_nonce(nonce):
            raise LaunchForged("The message belongs to another login.")
        return self

    def validate_message(self) -> Self:
        self.message = claims.from_claims(
            self._claims,
            client_id=self._row.client_id,
            course_as_link=platforms.behaviour(self._row.platform.product).sends_course_as_link,
        )
        if not is_ours(self.message.target_link_uri, settings.current().public_url):
            raise LaunchMalformed("target_link_uri")
        self.message = self._without_foreign_services(self.message)
        return self

    def _without_foreign_services(self, message: claims.LaunchMessage) -> claims.LaunchMessage:
        """The message without service addresses that must not see a token; the visit itself is fine."""
        row = self._row
        known = (row.issuer, row.auth_url, row.token_url, row.jwks_url)

        def kept(address: str | None) -> str | None:
            if address is None or may_carry_token(address, known):
                return address
            log.warning("service address refused", extra={"registration": row.id})
            return None

        ags, notices = message.ags, message.notices
        if ags is not None:
            ags = replace(ags, lineitems=kept(ags.lineitems), lineitem=kept(ags.lineitem))
        return replace(message, ags=ags, nrps=kept(message.nrps), notices=kept(notices))

    def validate_deployment(self) -> Self:
        """A deployment appears with its first valid launch, active or pending as its registration says."""
        deployment = self._session_service.deployment
        if deployment is None:
            deployment = registrations.take_deployment(self._row, self.message.deployment_id, now=self._now)
        if deployment.state == Standing.PENDING:
            db.session.commit()
        registrations.check_open(self._row.state, deployment.state)
        ags = self.message.ags
        granted = scopes.after_launch(
            self._row.granted_scopes,
            None if ags is None else ags.scopes,
            roster=self.message.nrps is not None,
            of_activity=self.message.resource_link is not None,
        )
        if granted != self._row.granted_scopes:
            self._row.granted_scopes = granted
        self._deployment = deployment
        return self

    def save_launch_data(self) -> Self:
        self._launch_id = new_launch_id()
        self.visit = Launch(
            id=self._launch_id,
            browser=self._session_service.browser,
            deployment=self._deployment,
            deployment_pk=self._deployment.id,
            message_type=self.message.message_type,
            subject=self.message.subject,
            claims=self.message.to_map(),
            role=str(self.message.role),
            administrator=self.message.is_administrator,
            frame_ancestors=_framers(self.message, self._deployment),
            created_at=self._now,
            expires_at=self._now + timedelta(hours=settings.current().launch_hours),
        )
        return self


def _framers(message: claims.LaunchMessage, deployment: Deployment) -> list[str]:
    """Origins that may show this visit in a frame. The issuer is not enough: hosted Canvas frames us from the
    school's own address, logs in at another and names a third one as issuer."""
    ags, picking, registration = message.ags, message.deep_linking, deployment.registration
    addresses = (
        message.return_url,
        registration.auth_url,
        message.issuer,
        ags.lineitems if ags else None,
        ags.lineitem if ags else None,
        message.nrps,
        picking.return_url if picking else None,
        *deployment.frame_origins,
    )
    return list(dict.fromkeys(origin for address in addresses if (origin := origin_of(address))))
