"""Who did what, when: one append-only table. Database triggers refuse to change or delete a row; all they let through
is a row's seal, once, by which rows are chained after their commit (``seals.py``).

Details hold ids, counts and states; never names, e-mail addresses, answers or feedback.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.database import Base, db

_Id = BigInteger().with_variant(Integer, "sqlite")


class AuditEvent(Base):
    """Something that happened and may have to be proved years later."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_subject", "subject_type", "subject_id"),
        Index(
            "ix_audit_event_unsealed",
            "id",
            sqlite_where=text("seal IS NULL"),
            postgresql_where=text("seal IS NULL"),
        ),
        UniqueConstraint("position"),
        CheckConstraint("(position IS NULL) = (seal IS NULL)", name="sealed_whole"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    at: Mapped[datetime]
    actor_account_id: Mapped[int | None]
    """No foreign key: the log outlives what it speaks of. None is the system itself."""
    action: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[str]
    details: Mapped[dict[str, Any]]
    position: Mapped[int | None] = mapped_column(_Id)
    """Its place in the chain, from 1 and without gaps, in the order of sealing; None in its first seconds."""
    seal: Mapped[str | None]


class AuditHead(Base):
    """The newest link of the chain: the only row of its table, so that sealers take turns at it and a log that lost
    its end is found out."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(_Id)
    seal: Mapped[str]


def record(
    action: str,
    subject_type: str,
    subject_id: int | str,
    *,
    now: datetime,
    actor: int | None = None,
    **details: Any,
) -> None:
    """Add an event to the current transaction, so that it stands exactly if the act itself does."""
    db.session.add(
        AuditEvent(
            at=now,
            actor_account_id=actor,
            action=action,
            subject_type=subject_type,
            subject_id=str(subject_id),
            details=details,
        )
    )
