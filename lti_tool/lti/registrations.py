"""Which platforms may speak to us: adding them, listing them, finding the right one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import lazyload

from lti_tool import audit
from lti_tool.database import db
from lti_tool.errors import (
    DeploymentDisabled,
    DeploymentPending,
    PlatformDisabled,
    PlatformPending,
    PlatformUnknown,
)
from lti_tool.lti import platforms
from lti_tool.lti.addresses import origin_of
from lti_tool.lti.models import Deployment, Platform, Product, Registration, Standing

_MOST_PLATFORMS = 500
_MOST_FRAME_ORIGINS = 50
"""They stand in a header of every page."""


_BY_ISSUER = select(Registration).where(Registration.issuer == bindparam("issuer"))
_BY_CLIENT = _BY_ISSUER.where(Registration.client_id == bindparam("client_id"))
_BY_CLIENTS = _BY_ISSUER.where(Registration.client_id.in_(bindparam("clients", expanding=True)))
_DEPLOYMENT = (
    select(Deployment)
    .where(
        Deployment.registration_id == bindparam("registration_id"),
        Deployment.deployment_id == bindparam("deployment_id"),
    )
    # Whoever asks has the registration already.
    .options(lazyload(Deployment.registration))
)


class RegistrationConflict(Exception):
    """A platform cannot be added as described. Its text tells an operator why, in one line."""


@dataclass(frozen=True)
class By:
    """Who decides: an account that came by a launch, or somebody with the operator's link or command line."""

    account_id: int | None
    via: str


COMMAND_LINE = By(None, "command line")


@dataclass(frozen=True, kw_only=True)
class PlatformView:
    """One registration with its platform, for lists."""

    registration_id: int
    name: str
    product: str
    issuer: str
    client_id: str
    auth_url: str
    token_url: str
    jwks_url: str
    token_audience: str | None
    platform_id: int
    state: str
    deployment_ids: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    """Those of the deployments that wait for an approval."""


def add_platform(
    *,
    name: str,
    product: str,
    issuer: str,
    client_id: str,
    auth_url: str,
    token_url: str,
    jwks_url: str,
    deployment_ids: Collection[str] = (),
    token_audience: str | None = None,
    new_deployments: Standing = Standing.ACTIVE,
    by: By = COMMAND_LINE,
    now: datetime,
) -> Registration:
    """Add a platform, or do nothing if it stands exactly so already; new deployments of it are added. Those that are
    not named appear with their first launch.

    A further client id under the name of a platform becomes a second registration of it, as Open edX needs.

    :raises RegistrationConflict: a value is impossible, or contradicts what stands.
    """
    _check(product, {"name": name, "issuer": issuer, "client id": client_id})
    _check_places((auth_url, token_url, jwks_url), deployment_ids)
    platform = db.session.scalar(select(Platform).where(Platform.name == name))
    if platform is not None and platform.product != product:
        raise RegistrationConflict(f"{name!r} is already known as {platform.product}, not {product}.")
    given = {
        "auth_url": auth_url,
        "token_url": token_url,
        "jwks_url": jwks_url,
        "token_audience": token_audience or None,
    }
    registration = db.session.scalar(
        select(Registration).where(Registration.issuer == issuer, Registration.client_id == client_id)
    )
    if registration is None:
        if platform is None:
            platform = Platform(name=name, product=product, created_at=now)
            db.session.add(platform)
        registration = Registration(
            platform=platform,
            issuer=issuer,
            client_id=client_id,
            new_deployments=new_deployments,
            requested_scopes=list(platforms.behaviour(product).wanted_scopes),
            created_at=now,
            **given,
        )
        db.session.add(registration)
        db.session.flush()
        audit.record(
            "platform connected", "registration", registration.id, now=now, actor=by.account_id, via=by.via
        )
    else:
        _refuse_changes(registration, name, given)
    _add_deployments(registration, deployment_ids, now)
    return registration


def list_platforms() -> tuple[PlatformView, ...]:
    """Every registration, by name; at most 500."""
    registrations = db.session.scalars(
        select(Registration)
        .join(Registration.platform)
        .order_by(Platform.name, Registration.id)
        .limit(_MOST_PLATFORMS)
    ).all()
    deployments: dict[int, list[str]] = {}
    waiting: dict[int, list[str]] = {}
    for registration_id, deployment_id, state in db.session.execute(
        select(Deployment.registration_id, Deployment.deployment_id, Deployment.state)
        .where(Deployment.registration_id.in_([registration.id for registration in registrations]))
        .order_by(Deployment.id)
    ):
        deployments.setdefault(registration_id, []).append(deployment_id)
        if state == Standing.PENDING:
            waiting.setdefault(registration_id, []).append(deployment_id)
    return tuple(
        PlatformView(
            registration_id=registration.id,
            name=registration.platform.name,
            product=registration.platform.product,
            issuer=registration.issuer,
            client_id=registration.client_id,
            auth_url=registration.auth_url,
            token_url=registration.token_url,
            jwks_url=registration.jwks_url,
            token_audience=registration.token_audience,
            platform_id=registration.platform_id,
            state=registration.state,
            deployment_ids=tuple(deployments.get(registration.id, ())),
            waiting=tuple(waiting.get(registration.id, ())),
        )
        for registration in registrations
    )


def find(issuer: str, client_id: str | None) -> Registration:
    """The registration of an issuer and client id; without a client id only if the issuer has no second one.

    All hosted Canvas schools share one issuer, so picking "the first" would send people to another school's
    login. One that waits or is switched off is no second one: a stranger may have brought it.

    :raises PlatformUnknown: none, or several.
    """
    found: Sequence[Registration]
    if client_id is not None:
        found = db.session.scalars(_BY_CLIENT, {"issuer": issuer, "client_id": client_id}).all()
    else:
        wanted = select(Registration).where(Registration.issuer == issuer).limit(2)
        active = db.session.scalars(wanted.where(Registration.state == Standing.ACTIVE)).all()
        found = active or db.session.scalars(wanted).all()
    if len(found) != 1:
        raise PlatformUnknown(issuer)
    return found[0]


def for_audience(issuer: str, audiences: Sequence[str]) -> list[Registration]:
    """Our registrations with this issuer among the client ids that an id_token is meant for."""
    return list(db.session.scalars(_BY_CLIENTS, {"issuer": issuer, "clients": audiences}))


def find_deployment(registration_id: int, deployment_id: str) -> Deployment | None:
    return db.session.scalar(
        _DEPLOYMENT, {"registration_id": registration_id, "deployment_id": deployment_id}
    )


def check_open(registration: str, deployment: str = Standing.ACTIVE) -> None:
    """Whether somebody may come in this way now, by how both stand.

    :raises PlatformPending, PlatformDisabled, DeploymentPending, DeploymentDisabled: no, and why.
    """
    if registration == Standing.PENDING:
        raise PlatformPending
    if registration != Standing.ACTIVE:
        raise PlatformDisabled
    if deployment == Standing.ACTIVE:
        return
    raise DeploymentPending if deployment == Standing.PENDING else DeploymentDisabled


def take_deployment(registration: Registration, deployment_id: str, *, now: datetime) -> Deployment:
    """The deployment that a valid launch names; one that is new is added as its registration says, even if two launches
    bring it at once."""
    found = find_deployment(registration.id, deployment_id)
    if found is not None:
        return found
    try:
        with db.session.begin_nested():
            added = Deployment(
                registration=registration,
                deployment_id=deployment_id,
                state=registration.new_deployments,
                created_at=now,
            )
            db.session.add(added)
        return added
    except IntegrityError:
        found = find_deployment(registration.id, deployment_id)
        assert found is not None
        return found


@dataclass(frozen=True, kw_only=True)
class PlatformLine:
    """One platform in a list of them."""

    id: int
    name: str
    product: str
    issuer: str
    """Of its first registration."""
    states: frozenset[str]
    """Of its registrations."""
    deployments: int
    waiting: int
    """Deployments that wait for an approval."""


def platform_lines(*, page: int, size: int, only: int | None = None) -> tuple[list[PlatformLine], int]:
    """A page of the platforms, those first that wait for an approval; and how many pages there are.

    :param only: the one platform that the reader may know of.
    """
    scope = [] if only is None else [Platform.id == only]
    total = db.session.scalar(select(func.count()).select_from(Platform).where(*scope)) or 0
    pending = (
        select(Registration.id)
        .where(Registration.platform_id == Platform.id, Registration.state == Standing.PENDING)
        .exists()
    )
    shown = db.session.scalars(
        select(Platform)
        .where(*scope)
        .order_by(pending.desc(), Platform.name)
        .offset((page - 1) * size)
        .limit(size)
    ).all()
    ids = [platform.id for platform in shown]
    registered: dict[int, list[Registration]] = {}
    for registration in db.session.scalars(
        select(Registration).where(Registration.platform_id.in_(ids)).order_by(Registration.id)
    ):
        registered.setdefault(registration.platform_id, []).append(registration)
    counts = {
        platform_id: (number, waiting)
        for platform_id, number, waiting in db.session.execute(
            select(
                Registration.platform_id,
                func.count(),
                func.count().filter(Deployment.state == Standing.PENDING),
            )
            .join(Deployment, Deployment.registration_id == Registration.id)
            .where(Registration.platform_id.in_(ids))
            .group_by(Registration.platform_id)
        )
    }
    lines = []
    for platform in shown:
        own = registered.get(platform.id, [])
        number, waiting = counts.get(platform.id, (0, 0))
        lines.append(
            PlatformLine(
                id=platform.id,
                name=platform.name,
                product=platform.product,
                issuer=own[0].issuer if own else "",
                states=frozenset(registration.state for registration in own),
                deployments=number,
                waiting=waiting,
            )
        )
    return lines, max(1, -(-total // size))


def registrations_of(platform_id: int) -> list[Registration]:
    """Those of a platform, oldest first; at most 50."""
    return list(
        db.session.scalars(
            select(Registration)
            .where(Registration.platform_id == platform_id)
            .order_by(Registration.id)
            .limit(50)
        )
    )


def deployments_of(platform_id: int, *, page: int, size: int) -> tuple[list[Deployment], int]:
    """A page of a platform's deployments, those first that wait for an approval; and how many pages there are."""
    mine = (
        select(Deployment)
        .join(Registration, Deployment.registration_id == Registration.id)
        .where(Registration.platform_id == platform_id)
    )
    total = db.session.scalar(select(func.count()).select_from(mine.subquery())) or 0
    shown = db.session.scalars(
        mine.order_by((Deployment.state == Standing.PENDING).desc(), Deployment.id)
        .offset((page - 1) * size)
        .limit(size)
    )
    return list(shown), max(1, -(-total // size))


def add_frame_origin(deployment: Deployment, address: str, *, now: datetime, by: By = COMMAND_LINE) -> str:
    """Let pages of this site frame visits from this deployment, besides the sites that each launch names.

    :returns: the origin of the address, which is what counts.
    :raises RegistrationConflict: it is no web address, or the list is full.
    """
    origin = origin_of(address)
    if origin is None:
        raise RegistrationConflict(
            f"{address!r} is not a web address; it must begin with https:// or http://."
        )
    if origin not in deployment.frame_origins:
        if len(deployment.frame_origins) >= _MOST_FRAME_ORIGINS:
            raise RegistrationConflict(f"At most {_MOST_FRAME_ORIGINS} sites may frame one deployment.")
        deployment.frame_origins = [*deployment.frame_origins, origin]
        _record_frame("frame origin added", deployment, origin, by, now)
    return origin


def remove_frame_origin(
    deployment: Deployment, address: str, *, now: datetime, by: By = COMMAND_LINE
) -> bool:
    """Take a site off that list; visits that have begun keep it. False if it did not stand there."""
    origin = origin_of(address)
    if origin is None or origin not in deployment.frame_origins:
        return False
    deployment.frame_origins = [kept for kept in deployment.frame_origins if kept != origin]
    _record_frame("frame origin removed", deployment, origin, by, now)
    return True


def _record_frame(action: str, deployment: Deployment, origin: str, by: By, now: datetime) -> None:
    audit.record(action, "deployment", deployment.id, now=now, actor=by.account_id, via=by.via, origin=origin)
    db.session.flush()


def _check(product: str, required: Mapping[str, str]) -> None:
    if product not in set(Product):
        raise RegistrationConflict(f"The product must be one of {', '.join(Product)}, not {product!r}.")
    for field, value in required.items():
        if not value.strip():
            raise RegistrationConflict(f"The {field} is missing.")


def _check_places(urls: Iterable[str], deployment_ids: Collection[str]) -> None:
    for url in urls:
        if origin_of(url) is None:
            raise RegistrationConflict(
                f"{url!r} is not a web address; it must begin with https:// or http://."
            )
    for deployment_id in deployment_ids:
        if not deployment_id.strip() or len(deployment_id) > 255 or not deployment_id.isascii():
            raise RegistrationConflict(f"{deployment_id!r} is not a deployment id.")


def _refuse_changes(registration: Registration, name: str, given: dict[str, str | None]) -> None:
    stands = {field: getattr(registration, field) for field in given} | {"name": registration.platform.name}
    differing = [field for field, value in (given | {"name": name}).items() if stands[field] != value]
    if differing:
        said = "; ".join(f"{field} is {stands[field]!r}" for field in differing)
        raise RegistrationConflict(
            f"{registration.issuer} with client id {registration.client_id} is registered already: {said}."
        )


def _add_deployments(registration: Registration, deployment_ids: Iterable[str], now: datetime) -> None:
    known = set(
        db.session.scalars(
            select(Deployment.deployment_id).where(Deployment.registration_id == registration.id)
        )
    )
    for deployment_id in dict.fromkeys(deployment_ids):
        if deployment_id not in known:
            db.session.add(
                Deployment(registration_id=registration.id, deployment_id=deployment_id, created_at=now)
            )
    db.session.flush()
