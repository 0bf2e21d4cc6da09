"""What the people responsible here decide about registrations and deployments, each with its line in the audit log."""

from datetime import datetime

from sqlalchemy import delete, func, select, update

from lti_tool import audit
from lti_tool.database import db
from lti_tool.lti.models import (
    AccessToken,
    ConnectionTest,
    Deployment,
    Invitation,
    Platform,
    Registration,
    Standing,
)
from lti_tool.lti.registrations import By, RegistrationConflict


def approve(registration: Registration, *, by: By, now: datetime, joins: int | None = None) -> None:
    """Let people in through a registration that waited or was switched off.

    :param joins: the platform that it is another registration of, so that people are the same persons there; None
        leaves it a platform of its own. Only for one that has not been used, and only if the issuer is the same.
    :raises RegistrationConflict: it cannot join that platform.
    """
    if joins is not None and joins != registration.platform_id:
        _join(registration, joins)
    registration.state = Standing.ACTIVE
    _record("registration approved", registration, by, now)


def disable(registration: Registration, *, by: By, now: datetime) -> None:
    """Let nobody in through a registration any more. Visits that are open end with their next page."""
    registration.state = Standing.DISABLED
    _record("registration disabled", registration, by, now)


def decline(registration: Registration, *, by: By, now: datetime) -> None:
    """Forget a registration that waited, as if it had never come.

    :raises RegistrationConflict: it has been approved meanwhile.
    """
    if registration.state != Standing.PENDING:
        raise RegistrationConflict(
            "It does not wait for an approval any more, so it can only be switched off."
        )
    _record("registration declined", registration, by, now)
    for table in (AccessToken, ConnectionTest, Deployment):
        db.session.execute(delete(table).where(table.registration_id == registration.id))
    used = update(Invitation).where(Invitation.registration_id == registration.id)
    db.session.execute(used.values(registration_id=None))
    platform_id = registration.platform_id
    db.session.delete(registration)
    db.session.flush()
    _drop_if_empty(platform_id)


def new_deployments(registration: Registration, standing: Standing, *, by: By, now: datetime) -> None:
    """Say what deployments are when they appear: active, or pending until somebody approves them."""
    registration.new_deployments = standing
    _record("deployment policy set", registration, by, now, policy=str(standing))


def set_deployment(deployment: Deployment, standing: Standing, *, by: By, now: datetime) -> None:
    """Approve a deployment, or switch it off or on."""
    deployment.state = standing
    audit.record(
        f"deployment {standing}", "deployment", deployment.id, now=now, actor=by.account_id, via=by.via
    )
    db.session.flush()


def can_join(registration: Registration) -> list[Platform]:
    """The platforms that a waiting registration may be another registration of; at most 20."""
    return list(
        db.session.scalars(
            select(Platform)
            .join(Registration, Registration.platform_id == Platform.id)
            .where(
                Registration.issuer == registration.issuer,
                Platform.product == registration.platform.product,
                Platform.id != registration.platform_id,
            )
            .distinct()
            .order_by(Platform.name)
            .limit(20)
        )
    )


def _join(registration: Registration, platform_id: int) -> None:
    if registration.state != Standing.PENDING:
        raise RegistrationConflict("Only a registration that has never been used can join another platform.")
    if platform_id not in {platform.id for platform in can_join(registration)}:
        raise RegistrationConflict(
            "Only another registration of the same LMS, with the same issuer, can join it."
        )
    left = registration.platform_id
    registration.platform_id = platform_id
    db.session.flush()
    db.session.expire(registration, ["platform"])
    _drop_if_empty(left)


def _drop_if_empty(platform_id: int) -> None:
    """A platform that nobody has come from yet goes with its last registration."""
    left = select(func.count()).select_from(Registration).where(Registration.platform_id == platform_id)
    if not db.session.scalar(left):
        db.session.execute(
            update(Invitation).where(Invitation.platform_id == platform_id).values(platform_id=None)
        )
        db.session.execute(delete(Platform).where(Platform.id == platform_id))


def _record(action: str, registration: Registration, by: By, now: datetime, **details: str) -> None:
    audit.record(action, "registration", registration.id, now=now, actor=by.account_id, via=by.via, **details)
    db.session.flush()
