"""Credit rules of authorities, and the entries that decisions under an active rule have written."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.database import Base

_STANDING = text("withdrawn_at IS NULL")


class CreditRule(Base):
    """That an authority counts a version of a micro-credential for something.

    The same badge is worth 0.5 here and 10 hours there, so the value belongs to the rule and not to the badge.
    """

    __tablename__ = "credit_rule"
    __table_args__ = (
        UniqueConstraint("version_id", "authority", "unit"),
        CheckConstraint(
            "NOT active OR (approval_number IS NOT NULL AND audience IS NOT NULL)", name="active_complete"
        ),
        CheckConstraint(
            "cap IS NULL OR (cycle_months IS NOT NULL AND cycle_from IS NOT NULL)", name="capped"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    authority: Mapped[str]
    value: Mapped[Decimal] = mapped_column(Numeric(6, 2))
    unit: Mapped[str]
    """In the authority's own words, e.g. "PTSB renewal credit"."""
    approval_number: Mapped[str | None]
    audience: Mapped[str | None]
    note: Mapped[str]
    active: Mapped[bool]
    valid_from: Mapped[date | None]
    """First and last day of decisions that it holds for; None is open."""
    valid_until: Mapped[date | None]
    cap: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    """The most of this unit that the authority counts in one cycle, over all micro-credentials."""
    cycle_months: Mapped[int | None]
    cycle_from: Mapped[date | None]
    """A day on which a cycle began or begins."""


class CreditEntry(Base):
    """That an earner has what a rule gives, since a decision: what the rule said then, and how much of it counts."""

    __tablename__ = "credit_entry"
    __table_args__ = (
        Index(
            "uq_credit_entry_standing",
            "person_id",
            "rule_id",
            unique=True,
            sqlite_where=_STANDING,
            postgresql_where=_STANDING,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("credit_rule.id"))
    decision_id: Mapped[int] = mapped_column(index=True)
    value: Mapped[Decimal] = mapped_column(Numeric(6, 2))
    unit: Mapped[str]
    entered_at: Mapped[datetime]
    approval_number: Mapped[str | None]
    cap: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    cycle_first: Mapped[date | None]
    cycle_last: Mapped[date | None]
    counted: Mapped[Decimal] = mapped_column(Numeric(6, 2))
    """How much of the value counts under the cap of its cycle, while the entry stands."""
    why: Mapped[str | None]
    """What became of the rest, in a sentence for the earner."""
    withdrawn_at: Mapped[datetime | None]
    withdrawn_why: Mapped[str | None]

    rule: Mapped[CreditRule] = relationship()
