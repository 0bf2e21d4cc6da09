"""Who may speak to us over LTI, and what of a conversation must be remembered between two requests."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.database import Base


class Product(StrEnum):
    """Which LMS product a platform runs; chosen at registration, never inferred from the issuer."""

    CANVAS = "canvas"
    MOODLE = "moodle"
    OPENEDX = "openedx"
    OTHER = "other"


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
    created_at: Mapped[datetime]

    platform: Mapped[Platform] = relationship(lazy="joined")


class Deployment(Base):
    """Where in the platform the tool was put. A registrar's scope."""

    __tablename__ = "deployment"
    __table_args__ = (UniqueConstraint("registration_id", "deployment_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    deployment_id: Mapped[str]
    created_at: Mapped[datetime]

    registration: Mapped[Registration] = relationship(lazy="joined")


class ToolKey(Base):
    """Our RSA keys towards platforms. The newest active one signs; all are published until nothing needs them."""

    __tablename__ = "tool_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    kid: Mapped[str] = mapped_column(unique=True)
    private_pem: Mapped[str]
    """PKCS 8, encrypted with a passphrase derived from secret_key."""
    public_jwk: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class LoginState(Base):
    """One OIDC login on its way: binds state, nonce, registration and browser together, for one use."""

    __tablename__ = "login_state"

    state: Mapped[str] = mapped_column(primary_key=True)
    nonce: Mapped[str]
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    browser: Mapped[str]
    """SHA-256 of the browser cookie; the launch must come back in the same browser."""
    target_link_uri: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


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


class Launch(Base):
    """A person's visit through one link of the platform. Its id stands in every path of the visit, and it opens
    only in the browser that it was bound to, so two tabs, courses or roles never mix."""

    __tablename__ = "launch"
    __table_args__ = (Index("ix_launch_expires_at", "expires_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    browser: Mapped[str]
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
