"""The issuer, the keys it ever had, and its status lists."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint, text
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
    """A key of an issuer. Published for ever, since badges signed with it must go on verifying."""

    __tablename__ = "issuer_key"
    __table_args__ = (
        # One key of each kind signs; two that make or change it at once do not both succeed.
        Index(
            "uq_issuer_key_signing",
            "issuer_id",
            "kind",
            unique=True,
            sqlite_where=text("retired_at IS NULL"),
            postgresql_where=text("retired_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    issuer_id: Mapped[int] = mapped_column(ForeignKey("issuer.id"))
    kind: Mapped[str]
    """``ed25519`` for Data Integrity proofs, ``rs256`` for VC-JWT."""
    kid: Mapped[str] = mapped_column(unique=True)
    """What a signature calls the key: a DID URL, or the https address of its JWK. Stored, since it is signed."""
    multibase: Mapped[str | None] = mapped_column(unique=True)
    """The public half of an ``ed25519`` key."""
    public_jwk: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The public half of an ``rs256`` key, as it is published."""
    private_pem: Mapped[str]
    """PKCS 8, encrypted with a passphrase derived from secret_key."""
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]

    issuer: Mapped[Issuer] = relationship(back_populates="keys")


class StatusList(Base):
    """The signed list in which a verifier looks up whether a badge was revoked; 131,072 places each.

    The badges are the truth and the list is made of them. ``revision`` counts what happened to them, so that a worker
    that was slow never puts an older list over a newer one.
    """

    __tablename__ = "status_list"
    __table_args__ = (UniqueConstraint("issuer_id", "number"), Index("ix_status_list_due_at", "due_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    issuer_id: Mapped[int] = mapped_column(ForeignKey("issuer.id"))
    number: Mapped[int]
    """From 0; part of its address, which badges name for good."""
    revision: Mapped[int]
    """One more with every revocation."""
    signed_revision: Mapped[int | None]
    """What ``text`` takes account of."""
    text: Mapped[str | None]
    """The signed list. None until the worker has come to it."""
    signed_at: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    due_at: Mapped[datetime]
    """When it has to be signed next: at once after a revocation, else well before it ends."""

    issuer: Mapped[Issuer] = relationship()
