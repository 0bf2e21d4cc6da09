"""Who may speak to us over LTI, and what of a conversation must be remembered between two requests."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false, select
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from lti_tool.database import Base


class Product(StrEnum):
    """Which LMS product a platform runs; chosen at registration, never inferred from the issuer."""

    CANVAS = "canvas"
    MOODLE = "moodle"
    OPENEDX = "openedx"
    OTHER = "other"


class Standing(StrEnum):
    """Whether a registration or a deployment may be used."""

    PENDING = "pending"
    """It came by itself and waits for somebody who is responsible here."""
    ACTIVE = "active"
    DISABLED = "disabled"


class Platform(Base):
    """An LMS installation. People are known per platform, so it is a row of its own: Open edX has a client per
    block, and all hosted Canvas schools share one issuer."""

    __tablename__ = "platform"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    product: Mapped[str]
    created_at: Mapped[datetime]


class Registration(Base):
    """Issuer and client id under which a platform knows us."""

    __tablename__ = "registration"
    __table_args__ = (UniqueConstraint("issuer", "client_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"), index=True)
    issuer: Mapped[str]
    client_id: Mapped[str]
    auth_url: Mapped[str]
    token_url: Mapped[str]
    jwks_url: Mapped[str]
    token_audience: Mapped[str | None]
    """``aud`` of our client assertions where the platform names an authorization server; else the token URL."""
    state: Mapped[str] = mapped_column(default=Standing.ACTIVE, server_default=Standing.ACTIVE)
    """Nobody comes in through one that is not active, and nothing is fetched from its addresses meanwhile: a stranger
    may have written them."""
    new_deployments: Mapped[str] = mapped_column(default=Standing.ACTIVE, server_default=Standing.ACTIVE)
    """What a deployment is when it appears with its first valid launch: active or pending."""
    requested_scopes: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    granted_scopes: Mapped[list[Any] | None]
    """As the platform last said, in its answer to the registration, a launch or a token; None where it never did."""
    created_at: Mapped[datetime]

    platform: Mapped[Platform] = relationship(lazy="joined")


class Deployment(Base):
    """Where in the platform the tool was put. A registrar's scope."""

    __tablename__ = "deployment"
    __table_args__ = (UniqueConstraint("registration_id", "deployment_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    deployment_id: Mapped[str]
    state: Mapped[str] = mapped_column(default=Standing.ACTIVE, server_default=Standing.ACTIVE)
    frame_origins: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """Origins that may frame us besides those that a launch names. Hosted Canvas shows us inside schools' own domains,
    which no registration and not every launch tells."""
    created_at: Mapped[datetime]

    registration: Mapped[Registration] = relationship(lazy="joined")


class Invitation(Base):
    """A code that lets one platform register itself and be used at once, without waiting for an approval."""

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    code_hash: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of what stands in the address."""
    note: Mapped[str]
    """Whom it was made for, in the operator's words."""
    platform_id: Mapped[int | None] = mapped_column(ForeignKey("platform.id"))
    """The registration joins this platform; None makes a platform of its own."""
    registration_id: Mapped[int | None] = mapped_column(ForeignKey("registration.id"))
    """What it was used for."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ConnectionTest(Base):
    """The last test of a registration's connection, asked for on a page and made by a worker."""

    __tablename__ = "connection_test"

    id: Mapped[int] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"), unique=True)
    asked_at: Mapped[datetime]
    taken_at: Mapped[datetime | None]
    """When a worker began. One that has not finished minutes later is begun again."""
    finished_at: Mapped[datetime | None]
    findings: Mapped[list[Any]] = mapped_column(default=list)


class ToolKey(Base):
    """Our RSA keys towards platforms. Published for a day before it signs, and for a week after its last signature."""

    __tablename__ = "tool_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    """Counts up. Of two processes that make the next key at once, one does."""
    kid: Mapped[str] = mapped_column(unique=True)
    private_pem: Mapped[str]
    """PKCS 8, encrypted with a passphrase derived from secret_key."""
    public_jwk: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    """From here on it is published."""
    signs_from: Mapped[datetime]
    retired_at: Mapped[datetime | None]
    """When a newer key began to sign in its place."""


class LoginState(Base):
    """One OIDC login on its way: binds state, nonce, registration and browser together, for one use."""

    __tablename__ = "login_state"

    state: Mapped[str] = mapped_column(primary_key=True)
    nonce: Mapped[str]
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    browser: Mapped[str]
    """SHA-256 of the browser cookie; the launch must come back in the same browser."""
    fresh: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The browser brought no cookie of ours to the login. Only then may its launch come without one: whoever brought
    one here has a browser that keeps it."""
    storage_target: Mapped[str | None]
    """Frame of the platform's page where marks of this login were kept (lti.storage), or ``ASK``.
    None where none were."""
    target_link_uri: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class Arrival(Base):
    """A launch whose message was checked, and whose browser is not known yet, because its cookie did not come back.

    Until it is opened, its launch opens nowhere. ``lti.arrivals`` says how, and why that is safe.
    """

    __tablename__ = "arrival"

    id: Mapped[str] = mapped_column(primary_key=True)
    launch_id: Mapped[str] = mapped_column(ForeignKey("launch.id"), unique=True)
    state: Mapped[str]
    """Of its login, which may be swept away before this row is."""
    framed: Mapped[bool]
    """Whether it may be inside the platform's page. In a window of its own, nobody can go on by pressing a button."""
    page_hash: Mapped[str | None]
    """SHA-256 of what stands in the one page with the button, which is made once; None until then."""
    proved_at: Mapped[datetime | None]
    """When the platform's storage showed that the login began in this browser."""
    opened_at: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)

    launch: Mapped["Launch"] = relationship(lazy="joined")


class AccessToken(Base):
    """A platform's bearer token, shared by all processes until a minute before its end."""

    __tablename__ = "access_token"
    __table_args__ = (UniqueConstraint("registration_id", "token_url", "scopes"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    token_url: Mapped[str]
    scopes: Mapped[str]
    """Sorted, space separated."""
    token: Mapped[str]
    expires_at: Mapped[datetime]


class Pace(Base):
    """How fast a registration may be spoken to, shared by all workers: platforms count the calls of a client id
    together, whichever course and process they come from."""

    __tablename__ = "pace"

    registration_id: Mapped[int] = mapped_column(
        ForeignKey("registration.id"), primary_key=True, autoincrement=False
    )
    rests_until: Mapped[datetime]
    failures: Mapped[int] = mapped_column(default=0)
    """How often in a row it gave no usable answer."""


class Launch(Base):
    """A person's visit through one link of the platform. Its id stands in every path of the visit, and it opens
    only in the browser that it was bound to, so two tabs, courses or roles never mix."""

    __tablename__ = "launch"
    __table_args__ = (Index("ix_launch_expires_at", "expires_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    browser: Mapped[str]
    """SHA-256 of the browser cookie; empty while the launch waits for its browser (Arrival), and opens nowhere."""
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    message_type: Mapped[str]
    subject: Mapped[str]
    claims: Mapped[dict[str, Any]]
    """The launch in our own words (lti.claims.LaunchMessage as a map), names and e-mail left out."""
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    course_id: Mapped[int | None] = mapped_column(ForeignKey("course.id"))
    placement_id: Mapped[int | None] = mapped_column(ForeignKey("placement.id"))
    role: Mapped[str]
    administrator: Mapped[bool] = mapped_column(default=False)
    """Of the platform or institution, besides the role: Moodle's administrators launch as instructors as well."""
    frame_ancestors: Mapped[list[Any]]
    """Origins that may frame this visit's pages."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    deployment: Mapped[Deployment] = relationship(lazy="joined")
    deployment_state: Mapped[str] = column_property(
        select(Deployment.state).where(Deployment.id == deployment_pk).scalar_subquery()
    )
    """Every page asks whether the way in is still open; few need to know more of it than this."""
    registration_state: Mapped[str] = column_property(
        select(Registration.state)
        .join(Deployment, Deployment.registration_id == Registration.id)
        .where(Deployment.id == deployment_pk)
        .scalar_subquery()
    )


class NoticeHandler(Base):
    """That a deployment's platform can send notices, and whether we have asked it to."""

    __tablename__ = "notice_handler"

    deployment_pk: Mapped[int] = mapped_column(
        ForeignKey("deployment.id"), primary_key=True, autoincrement=False
    )
    address: Mapped[str]
    """Of the Platform Notification Service, as the last launch named it."""
    registered_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When to ask; None when nothing is to be asked any more."""
    tries: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str | None]
    """Why it was refused, in words for administrators."""


class Notice(Base):
    """A notice that came, so that it counts once."""

    __tablename__ = "notice"
    __table_args__ = (UniqueConstraint("registration_id", "notice_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    notice_id: Mapped[str]
    kind: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """The platform's own end of it: later it would be refused anyway, so the row may go."""
