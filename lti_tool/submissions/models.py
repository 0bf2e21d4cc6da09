"""The earner's work in progress, and the frozen copies of it that were handed in."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.credentials.models import Placement, Task, Version
from lti_tool.database import Base


class AttemptState(StrEnum):
    """Where the work is."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    NOT_YET = "not_yet"
    """Came back with feedback; open for changes again."""
    DEMONSTRATED = "demonstrated"


class Attempt(Base):
    """One earner's work on one version, found again from whatever course it is opened.

    A rehearsal is faculty trying it as the test student of Canvas' Student View. It is linked to activities by a table
    of its own (:class:`Rehearsal`), so that nothing which goes by activities can count it, and its decision gives
    nothing.

    There is a second round only where a course asks for it although the person has demonstrated the same before.
    """

    __tablename__ = "attempt"
    __table_args__ = (UniqueConstraint("person_id", "version_id", "rehearsal", "round"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"), index=True)
    round: Mapped[int] = mapped_column(default=1)
    rehearsal: Mapped[bool] = mapped_column(default=False, server_default=false())
    state: Mapped[AttemptState] = mapped_column(index=True)
    revision: Mapped[int] = mapped_column(default=0)
    """Counts the saves, so that a second tab cannot overwrite the first unseen."""
    note: Mapped[str] = mapped_column(default="")
    """What the earner says has changed since the last feedback."""
    created_at: Mapped[datetime]
    saved_at: Mapped[datetime]

    version: Mapped[Version] = relationship()
    links: Mapped[list["AttemptPlacement"]] = relationship(order_by="AttemptPlacement.id")
    responses: Mapped[list["Response"]] = relationship()
    evidence: Mapped[list["Evidence"]] = relationship(order_by="Evidence.id")
    submissions: Mapped[list["Submission"]] = relationship(
        order_by="Submission.number", back_populates="attempt"
    )


class AttemptPlacement(Base):
    """That the earner opened the attempt from this activity, with this account: a decision owes its gradebook cell.

    Where the activity offers a choice, this row is the choice: one cell has one attempt, so switching moves it. Only
    in an activity that is a whole stack do several stand side by side.
    """

    __tablename__ = "attempt_placement"
    __table_args__ = (
        UniqueConstraint("attempt_id", "placement_id"),
        Index(
            "uq_attempt_placement_chosen",
            "placement_id",
            "account_id",
            unique=True,
            sqlite_where=text("NOT in_stack"),
            postgresql_where=text("NOT in_stack"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"))
    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    in_stack: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The activity is a whole stack, and this one of its parts."""
    created_at: Mapped[datetime]

    placement: Mapped[Placement] = relationship()


class StackEarner(Base):
    """That an earner takes the stack of this activity, with this account: its completion owes their gradebook cell.

    A table of its own, since the parts may have been earned elsewhere, in work that this activity never opened.
    """

    __tablename__ = "stack_earner"

    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True, index=True)
    created_at: Mapped[datetime]


class Rehearsal(Base):
    """That the test student opened a rehearsal from this activity: its link, kept apart from those that count."""

    __tablename__ = "rehearsal"
    __table_args__ = (
        UniqueConstraint("attempt_id", "placement_id"),
        Index(
            "uq_rehearsal_chosen",
            "placement_id",
            "account_id",
            unique=True,
            sqlite_where=text("NOT in_stack"),
            postgresql_where=text("NOT in_stack"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"))
    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    in_stack: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]


class Response(Base):
    """The answer to a written task, as last saved."""

    __tablename__ = "response"
    __table_args__ = (UniqueConstraint("attempt_id", "task_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"))
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"))
    text: Mapped[str]
    saved_at: Mapped[datetime]


class Evidence(Base):
    """A file or a link that the earner added to a task. Never deleted while a submission speaks of it."""

    __tablename__ = "evidence"

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"), index=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"))
    kind: Mapped[str]
    """``upload`` or ``link``."""
    title: Mapped[str]
    """The file's own name, or what the earner calls the link."""
    url: Mapped[str | None]
    media_type: Mapped[str | None]
    size: Mapped[int | None]
    """Bytes."""
    digest: Mapped[str | None]
    """SHA-256 of the bytes, and where they lie in the evidence store."""
    added_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    """Taken out of the draft by the earner; earlier submissions still show it."""
    hidden_at: Mapped[datetime | None]
    """A privacy problem was reported: shown to nobody until faculty have looked."""

    task: Mapped[Task] = relationship()


class Submission(Base):
    """What was handed in: an immutable copy, so that what was judged can always be shown."""

    __tablename__ = "submission"
    __table_args__ = (UniqueConstraint("attempt_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"))
    number: Mapped[int]
    handed_in_at: Mapped[datetime]
    note: Mapped[str]
    withdrawn_at: Mapped[datetime | None]
    """Taken back unjudged because of a privacy problem; uses up no attempt."""

    attempt: Mapped[Attempt] = relationship(back_populates="submissions")
    answers: Mapped[list["SubmittedAnswer"]] = relationship()
    evidence: Mapped[list["SubmittedEvidence"]] = relationship(order_by="SubmittedEvidence.evidence_id")
    statements: Mapped[list["SubmittedStatement"]] = relationship()


class SubmittedAnswer(Base):
    """An answer as it was handed in."""

    __tablename__ = "submitted_answer"

    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    text: Mapped[str]


class SubmittedEvidence(Base):
    """A piece of evidence as it was handed in; the digest proves which bytes."""

    __tablename__ = "submitted_evidence"

    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), primary_key=True)
    evidence_id: Mapped[int] = mapped_column(ForeignKey("evidence.id"), primary_key=True)
    title: Mapped[str]
    url: Mapped[str | None]
    digest: Mapped[str | None]

    evidence: Mapped[Evidence] = relationship(lazy="joined")


class SubmittedStatement(Base):
    """A statement that the earner confirmed, in the words they saw."""

    __tablename__ = "submitted_statement"

    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    wording: Mapped[str]


class PrivacyReport(Base):
    """That someone saw evidence which must not be seen. Hides it at once; faculty look at it afterwards."""

    __tablename__ = "privacy_report"

    id: Mapped[int] = mapped_column(primary_key=True)
    evidence_id: Mapped[int] = mapped_column(ForeignKey("evidence.id"), index=True)
    reported_by_account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    reported_at: Mapped[datetime]
    note: Mapped[str]
    resolved_at: Mapped[datetime | None]
    resolved_by_account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    resolution: Mapped[str | None]
    """``removed``: stays hidden for good; ``restored``: it was no problem."""

    evidence: Mapped[Evidence] = relationship()
