"""Badges: the facts fixed at the award, the signed documents, and what the earner has chosen to show."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.database import Base
from lti_tool.issuers.models import Issuer


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
        # What the worker asks every few seconds.
        Index(
            "ix_badge_to_sign",
            "to_sign_since",
            sqlite_where=text("to_sign_since IS NOT NULL"),
            postgresql_where=text("to_sign_since IS NOT NULL"),
        ),
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
    """Place in the issuer's status lists, counted through all of them."""
    subject_kind: Mapped[str | None]
    """Whom the badge names: ``email`` (a hashed address) or ``uuid`` (a random identifier only). None until the
    earner has chosen, because no launch brought an address; the badge is not signed before."""
    to_sign_since: Mapped[datetime | None]
    """Set while the worker still has to sign it."""
    awarded_at: Mapped[datetime]
    """When it was earned; a re-issued badge keeps the date."""
    revoked_at: Mapped[datetime | None]
    """Set, never cleared, and the row never deleted: a verifier must be told "revoked"."""
    revocation_reason: Mapped[str | None]
    """In words that a verifier may read."""
    superseded_by_id: Mapped[str | None] = mapped_column(ForeignKey("badge.id"))
    """The badge that was issued in its place."""

    issuer: Mapped[Issuer] = relationship()
    documents: Mapped[list["BadgeDocument"]] = relationship()
    shares: Mapped[list["Share"]] = relationship(order_by="Share.id")


class BadgeDocument(Base):
    """A signed form of a badge; signed once, stored, never signed again."""

    __tablename__ = "badge_document"

    badge_id: Mapped[str] = mapped_column(ForeignKey("badge.id"), primary_key=True)
    format: Mapped[str] = mapped_column(primary_key=True)
    """``eddsa-rdfc-2022`` (JSON with its proof inside) or ``vc-jwt`` (a compact JWS)."""
    text: Mapped[str]
    signed_at: Mapped[datetime]


class Endorsement(Base):
    """What somebody else, such as an accreditor, signed about one of our achievements, kept byte for byte.

    It was checked when it was accepted. Badges that are signed afterwards carry it.
    """

    __tablename__ = "endorsement"

    id: Mapped[int] = mapped_column(primary_key=True)
    credential_id: Mapped[str] = mapped_column(unique=True)
    """The id that the endorser gave it: the same one is not accepted twice."""
    achievement_id: Mapped[str] = mapped_column(index=True)
    """The address of the version or stack that it speaks of."""
    endorser: Mapped[str]
    """The name that the endorser signed with."""
    endorser_id: Mapped[str]
    """Their DID."""
    comment: Mapped[str]
    text: Mapped[str]
    """The signed EndorsementCredential."""
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]
    accepted_at: Mapped[datetime]


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
        CheckConstraint("expires_at IS NULL OR expires_at > shared_at", name="ends_later"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    badge_id: Mapped[str] = mapped_column(ForeignKey("badge.id"))
    token: Mapped[str] = mapped_column(unique=True)
    show_name: Mapped[bool]
    """Whether the page may say who earned the badge."""
    name: Mapped[str | None]
    """The name as the earner agreed to show it."""
    shared_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """When the page goes by itself, as the earner chose; None until they take it back."""
    ended_at: Mapped[datetime | None]

    badge: Mapped[Badge] = relationship(back_populates="shares")
