"""What instructors have chosen for unfinished work, and which courses a registrar has reminded."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lti_tool.database import Base


class Choice(StrEnum):
    """What becomes of work that is not decided when its term ends."""

    LEAVE = "leave"
    """The gradebook stays empty; the work may go on."""
    INCOMPLETE = "incomplete"
    """Recorded as Incomplete. No number is posted, for an Incomplete is none; a comment is, where that harms no
    grade."""
    ZERO = "zero"


class CloseOut(Base):
    """An instructor's choice for one earner in one activity. Made again, it takes the place of the earlier one; the
    audit log has both."""

    __tablename__ = "close_out"
    __table_args__ = (UniqueConstraint("placement_id", "account_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    choice: Mapped[Choice]
    reason: Mapped[str]
    chosen_by_account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    chosen_at: Mapped[datetime]


class Reminder(Base):
    """That a registrar asks the instructors of a course to close it out."""

    __tablename__ = "close_out_reminder"

    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), primary_key=True, autoincrement=False)
    asked_by_account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    asked_at: Mapped[datetime]
