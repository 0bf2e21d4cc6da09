"""Which platforms may speak to us: adding them, listing them, finding the right one."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from lti_tool.database import db
from lti_tool.errors import PlatformUnknown
from lti_tool.lti.addresses import origin_of
from lti_tool.lti.models import Deployment, Platform, Product, Registration

_MOST_PLATFORMS = 500
_MOST_AUDIENCES = 10


class RegistrationConflict(Exception):
    """A platform cannot be added as described. Its text tells an operator why, in one line."""


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
    deployment_ids: tuple[str, ...]


def add_platform(
    *,
    name: str,
    product: str,
    issuer: str,
    client_id: str,
    auth_url: str,
    token_url: str,
    jwks_url: str,
    deployment_ids: Collection[str],
    token_audience: str | None = None,
    now: datetime,
) -> Registration:
    """Add a platform, or do nothing if it stands exactly so already; new deployments of it are added.

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
            platform=platform, issuer=issuer, client_id=client_id, created_at=now, **given
        )
        db.session.add(registration)
        db.session.flush()
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
    for registration_id, deployment_id in db.session.execute(
        select(Deployment.registration_id, Deployment.deployment_id)
        .where(Deployment.registration_id.in_([registration.id for registration in registrations]))
        .order_by(Deployment.id)
    ):
        deployments.setdefault(registration_id, []).append(deployment_id)
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
            deployment_ids=tuple(deployments.get(registration.id, ())),
        )
        for registration in registrations
    )


def find(issuer: str, client_id: str | None) -> Registration:
    """The registration of an issuer and client id; without a client id only if the issuer has no second one.

    All hosted Canvas schools share one issuer, so picking "the first" would send people to another school's
    login.

    :raises PlatformUnknown: none, or several.
    """
    wanted = select(Registration).where(Registration.issuer == issuer).limit(2)
    if client_id is not None:
        wanted = wanted.where(Registration.client_id == client_id)
    found = db.session.scalars(wanted).all()
    if len(found) != 1:
        raise PlatformUnknown(issuer)
    return found[0]


def for_audience(issuer: str, audiences: Iterable[str]) -> list[Registration]:
    """Our registrations with this issuer among the client ids that an id_token is meant for."""
    wanted = list(audiences)[:_MOST_AUDIENCES]
    return list(
        db.session.scalars(
            select(Registration).where(Registration.issuer == issuer, Registration.client_id.in_(wanted))
        )
    )


def find_deployment(registration_id: int, deployment_id: str) -> Deployment | None:
    return db.session.scalar(
        select(Deployment).where(
            Deployment.registration_id == registration_id, Deployment.deployment_id == deployment_id
        )
    )


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
    if not deployment_ids:
        raise RegistrationConflict(
            "At least one deployment id is needed; the platform shows it with the tool."
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
