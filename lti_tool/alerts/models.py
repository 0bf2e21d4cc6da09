"""What needs a person now, and the notices about it that are still to be sent."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.database import Base


class AlertKind(StrEnum):
    """What is wrong."""

    PARKED = "parked"
    """Scores that are not sent before a person has done something."""
    DIFFERS = "differs"
    """Scores for which the platform shows something else, with which nobody has dealt."""
    DOWN = "down"
    """The platform has not answered many times in a row, over all of its courses."""
    UNSIGNED = "unsigned"
    """Badges that were awarded and cannot be signed; of the whole installation."""


EVERYWHERE = 0
"""Stands for a deployment where the whole installation is meant."""


class Alert(Base):
    """The state of one kind in one deployment, kept when it is over so that the next one is not told too soon."""

    __tablename__ = "alert"
    __table_args__ = (UniqueConstraint("kind", "deployment_pk"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[AlertKind]
    deployment_pk: Mapped[int]
    """No foreign key: 0 is the whole installation."""
    count: Mapped[int]
    raised_at: Mapped[datetime | None]
    """None while nothing is wrong."""
    told_at: Mapped[datetime | None]
    """When it was last put into words for somebody outside."""
    told_count: Mapped[int]
    """How many that notice spoke of; 0 once the all-clear was told."""
    looks: Mapped[int]
    """Grows with every change: of two workers that look at once, one writes."""


class AlertNotice(Base):
    """One message by one channel, on its way or done."""

    __tablename__ = "alert_notice"
    __table_args__ = (
        Index(
            "ix_alert_notice_waiting",
            "due_at",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.id"))
    channel: Mapped[str]
    """``mail 1`` for the first address of the settings and so on, or ``webhook``."""
    count: Mapped[int]
    """0 is the all-clear."""
    asked_at: Mapped[datetime]
    due_at: Mapped[datetime]
    tries: Mapped[int]
    done_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
