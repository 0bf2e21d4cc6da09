"""Badges: the facts fixed at the award, the signed documents, and what the earner has chosen to show."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.database import Base


class Issuer(Base):
    """The body that issues. Its DID is stored, never derived from a request: badges depend on it for good."""

    __tablename__ = "issuer"

    id: Mapped[int] = mapped_column(primary_key=True)
    did: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    url: Mapped[str]
    created_at: Mapped[datetime]

    keys: Mapped[list["IssuerKey"]] = relationship(order_by="IssuerKey.id", back_populates="issuer")


class IssuerKey(Base):
    """An Ed25519 key of an issuer. Published for ever, since badges signed with it must go on verifying."""

    __tablename__ = "issuer_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    issuer_id: Mapped[int] = mapped_column(ForeignKey("issuer.id"))
    multibase: Mapped[str] = mapped_column(unique=True)
    private_pem: Mapped[str]
    """PKCS 8, encrypted with a passphrase derived from secret_key."""
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]

    issuer: Mapped[Issuer] = relationship(back_populates="keys")


class Badge(Base):
    """That a person met a micro-credential (or completed a stack), as it stood on that day.

    The facts are copied, not referenced: a badge shown to an employer in five years must say what was asked then.
    """

    __tablename__ = "badge"
    __table_args__ = (
        CheckConstraint("(credential_id IS NULL) <> (stack_id IS NULL)", name="one_kind"),
        # One badge stands per person and micro-credential or stack; revoked and re-issued ones stay as history.
        Index(
            "uq_badge_standing_credential",
            "person_id",
            "credential_id",
            unique=True,
            sqlite_where=text("revoked_at IS NULL AND credential_id IS NOT NULL"),
            postgresql_where=text("revoked_at IS NULL AND credential_id IS NOT NULL"),
        ),
        Index(
            "uq_badge_standing_stack",
            "person_id",
            "stack_id",
            unique=True,
            sqlite_where=text("revoked_at IS NULL AND stack_id IS NOT NULL"),
            postgresql_where=text("revoked_at IS NULL AND stack_id IS NOT NULL"),
        ),
        UniqueConstraint("issuer_id", "status_index"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """A random UUID; ``urn:uuid:<id>`` is the credential's id."""
    issuer_id: Mapped[int] = mapped_column(ForeignKey("issuer.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    credential_id: Mapped[int | None] = mapped_column(ForeignKey("credential.id"))
    stack_id: Mapped[int | None] = mapped_column(ForeignKey("stack.id"))
    decision_id: Mapped[int] = mapped_column(index=True)
    """Plain number: this package does not know decisions."""
    title: Mapped[str]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What the signed document will say, fixed at the award (open_badge.BadgeFacts as a map)."""
    symbol: Mapped[str]
    colour: Mapped[str]
    shape: Mapped[str]
    status_index: Mapped[int]
    awarded_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    """Set, never cleared, and the row never deleted: a verifier must be told "revoked"."""

    issuer: Mapped[Issuer] = relationship()
    documents: Mapped[list["BadgeDocument"]] = relationship()
    shares: Mapped[list["Share"]] = relationship(order_by="Share.id")


class BadgeDocument(Base):
    """A signed form of a badge; signed once, stored, never signed again."""

    __tablename__ = "badge_document"

    badge_id: Mapped[str] = mapped_column(ForeignKey("badge.id"), primary_key=True)
    format: Mapped[str] = mapped_column(primary_key=True)
    """``eddsa-rdfc-2022``."""
    text: Mapped[str]
    signed_at: Mapped[datetime]


class Share(Base):
    """The earner's recorded consent to a public page: what, when, and until when it held."""

    __tablename__ = "share"
    __table_args__ = (
        Index(
            "uq_share_live",
            "badge_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    badge_id: Mapped[str] = mapped_column(ForeignKey("badge.id"))
    token: Mapped[str] = mapped_column(unique=True)
    show_name: Mapped[bool]
    """Whether the page may say who earned the badge."""
    name: Mapped[str | None]
    """The name as the earner agreed to show it."""
    shared_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    badge: Mapped[Badge] = relationship(back_populates="shares")
