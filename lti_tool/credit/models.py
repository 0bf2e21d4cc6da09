"""Credit rules of authorities, and the entries that decisions under an active rule have written."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.database import Base


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


class CreditEntry(Base):
    """That an earner has what a rule gives, since a decision."""

    __tablename__ = "credit_entry"
    __table_args__ = (UniqueConstraint("person_id", "rule_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("credit_rule.id"))
    decision_id: Mapped[int]
    value: Mapped[Decimal] = mapped_column(Numeric(6, 2))
    unit: Mapped[str]
    entered_at: Mapped[datetime]

    rule: Mapped[CreditRule] = relationship()
