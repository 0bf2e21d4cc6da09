"""The ledger: every score that Tessera owes a gradebook, and every try to deliver it."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.database import Base


class ScoreState(StrEnum):
    """What has become of a score."""

    OWED = "owed"
    SENDING = "sending"
    ACCEPTED = "accepted"
    SUPERSEDED = "superseded"
    """A newer score of the same cell took its place before this one was accepted."""
    PARKED = "parked"
    """Needs a person; ``reason`` says why and what to do."""


class Score(Base):
    """One ledger row. What it says never changes; only its state does.

    Who and what it is about is copied in plain words of the gradebook (cell, points), so that the row proves
    what was sent even after everything around it has changed.
    """

    __tablename__ = "score"
    __table_args__ = (
        # Per gradebook cell one row is on its way and one waits behind it; the courier takes the waiting one
        # only when none is on its way, so that an older score never arrives after a newer one.
        Index(
            "uq_score_sending_cell",
            "placement_id",
            "account_id",
            unique=True,
            sqlite_where=text("state = 'sending'"),
            postgresql_where=text("state = 'sending'"),
        ),
        Index(
            "uq_score_waiting_cell",
            "placement_id",
            "account_id",
            unique=True,
            sqlite_where=text("state IN ('owed', 'parked')"),
            postgresql_where=text("state IN ('owed', 'parked')"),
        ),
        UniqueConstraint("placement_id", "account_id", "scored_at"),
        Index("ix_score_due", "state", "due_at"),
        Index("ix_score_desk", "deployment_pk", "id"),
        Index("ix_score_desk_state", "deployment_pk", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    line_item_url: Mapped[str]
    """Empty where the activity has no gradebook column; such a row is parked from the start."""
    subject: Mapped[str]
    decision_id: Mapped[int] = mapped_column(index=True)
    """Plain number: this package does not know decisions."""
    points: Mapped[Decimal] = mapped_column(Numeric(9, 3))
    points_possible: Mapped[Decimal] = mapped_column(Numeric(9, 3))
    comment: Mapped[str]
    scored_at: Mapped[datetime]
    """Sent as the AGS timestamp on every try; whole seconds, strictly newer than any earlier score of the
    cell, because Moodle compares whole seconds and refuses an equal one with 409."""
    submitted_at: Mapped[datetime]
    state: Mapped[ScoreState]
    reason: Mapped[str | None]
    due_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    """While sending: until when the worker that took it may speak for it. Another takes it afterwards."""
    tries: Mapped[int] = mapped_column(default=0)
    """How often a worker has taken it, those included that died before they could write down a try."""
    settled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    history: Mapped[list["ScoreTry"]] = relationship(order_by="ScoreTry.id")


class ScoreTry(Base):
    """One try to deliver a score, and what the platform answered."""

    __tablename__ = "score_try"

    id: Mapped[int] = mapped_column(primary_key=True)
    score_id: Mapped[int] = mapped_column(ForeignKey("score.id"), index=True)
    at: Mapped[datetime]
    milliseconds: Mapped[int]
    heard: Mapped[str]
    """rules.Heard: what kind of answer it was. Which tries count towards giving up depends on it."""
    status: Mapped[int | None]
    """HTTP status; None when no answer came."""
    answer: Mapped[str]
    """The beginning of the platform's answer, at most 500 characters."""
    verdict: Mapped[str]
    """What we made of it, in plain words."""
