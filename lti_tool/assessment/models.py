"""One assessor's ratings, and the decision that follows from them."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.credentials.models import Criterion, Level
from lti_tool.database import Base
from lti_tool.submissions.models import Submission


class Outcome(StrEnum):
    """What a decision says."""

    DEMONSTRATED = "demonstrated"
    NOT_YET = "not_yet"


class Assessment(Base):
    """One assessor's reading of one submission. A submission may have several; a finished one never changes."""

    __tablename__ = "assessment"
    __table_args__ = (UniqueConstraint("submission_id", "assessor_account_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"))
    assessor_account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    number: Mapped[int] = mapped_column(default=1)
    """1 for the one that may be a draft; one more for each change of the decision about the submission."""
    feedback: Mapped[str]
    saved_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    """None while it is a draft."""

    submission: Mapped[Submission] = relationship()
    ratings: Mapped[list["Rating"]] = relationship()


class Rating(Base):
    """One criterion, as one assessor saw it."""

    __tablename__ = "rating"

    assessment_id: Mapped[int] = mapped_column(ForeignKey("assessment.id"), primary_key=True)
    criterion_id: Mapped[int] = mapped_column(ForeignKey("criterion.id"), primary_key=True)
    level_id: Mapped[int | None] = mapped_column(ForeignKey("level.id"))
    """None in a draft where the comment came first."""
    comment: Mapped[str]

    criterion: Mapped[Criterion] = relationship()
    level: Mapped[Level | None] = relationship()


class Decision(Base):
    """What was decided about a submission. One stands; one that overturns it points to it."""

    __tablename__ = "decision"
    __table_args__ = (
        Index(
            "uq_decision_standing",
            "submission_id",
            unique=True,
            sqlite_where=text("superseded_at IS NULL"),
            postgresql_where=text("superseded_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), index=True)
    assessment_id: Mapped[int] = mapped_column(ForeignKey("assessment.id"))
    outcome: Mapped[Outcome]
    decided_at: Mapped[datetime]
    decided_by_account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("decision.id"))
    superseded_at: Mapped[datetime | None]
    why: Mapped[str | None]
    """Of one that takes an earlier one's place: the reason, which the earner reads with the feedback."""
    opened_at: Mapped[datetime | None]
    """When the earner first opened the feedback; faculty see who has not."""

    submission: Mapped[Submission] = relationship()
    assessment: Mapped[Assessment] = relationship()
