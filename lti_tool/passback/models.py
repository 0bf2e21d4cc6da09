"""The ledger: every score that Tessera owes a gradebook, and every try to deliver it."""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Numeric, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.database import Base
from lti_tool.passback.rules import Cause, Finding

__all__ = [
    "DRIFT",
    "Cause",
    "ColumnReading",
    "ColumnState",
    "Finding",
    "GradeNote",
    "GradebookColumn",
    "NoteKind",
    "ReadBack",
    "Score",
    "ScoreState",
    "ScoreTry",
]


class ScoreState(StrEnum):
    """What has become of a score."""

    OWED = "owed"
    SENDING = "sending"
    ACCEPTED = "accepted"
    """The platform said that it has it."""
    CONFIRMED = "confirmed"
    """The platform's results show it."""
    OVERRIDDEN = "overridden"
    """The platform shows what a person set there. Found before sending, or when the results were read back."""
    SUPERSEDED = "superseded"
    """A newer score of the same cell took its place before this one was accepted, or after the platform kept what a
    person had set there."""
    PARKED = "parked"
    """Needs a person; ``reason`` says why and what to do."""
    ABANDONED = "abandoned"
    """A person has decided that it is not to be sent; ``reason`` says why."""


DRIFT = (Finding.OVERRIDDEN, Finding.MISSING, Finding.DIFFERENT)
"""Findings that ask for a person, until ``dealt_with_at``."""


class Score(Base):
    """One ledger row. What it says never changes; only its state does. Triggers in the database refuse to change what
    it says, and ``digest`` is sealed in the audit log when it is owed.

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
        UniqueConstraint("idempotency_key"),
        Index("ix_score_due", "state", "due_at"),
        Index("ix_score_desk", "deployment_pk", "id"),
        Index("ix_score_desk_state", "deployment_pk", "state", "id"),
        # What the desk counts, so that it reads no row for it.
        Index("ix_score_desk_counts", "deployment_pk", "state", "finding", "dealt_with_at"),
        Index("ix_score_account_id", "account_id"),
        Index("ix_score_read_due", "read_due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    line_item_url: Mapped[str]
    """Empty where the activity has no gradebook column; such a row is parked from the start."""
    subject: Mapped[str]
    decision_id: Mapped[int | None] = mapped_column(index=True)
    """Plain number: this package does not know decisions. None where none stands behind it: a term's close-out."""
    points: Mapped[Decimal] = mapped_column(Numeric(9, 3))
    points_possible: Mapped[Decimal] = mapped_column(Numeric(9, 3))
    comment: Mapped[str]
    scored_at: Mapped[datetime]
    """Sent as the AGS timestamp on every try; whole seconds, strictly newer than any earlier score of the
    cell, because Moodle compares whole seconds and refuses an equal one with 409."""
    submitted_at: Mapped[datetime]
    """When the work that was decided on was handed in: the latest hand-in, not the first. Sent with every try, so that
    an assessor's time never makes work late."""
    state: Mapped[ScoreState]
    reason: Mapped[str | None]
    cause: Mapped[Cause | None]
    """Of a parked row: why, for programs."""
    due_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    """While sending: until when the worker that took it may speak for it. Another takes it afterwards."""
    tries: Mapped[int] = mapped_column(default=0)
    """How often a worker has taken it, those included that died before they could write down a try."""
    settled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    overwrites: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A person has seen that the platform shows something else, and wants this score there all the same."""
    agreed: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A person who may say so has asked for this very score: it goes even when the course has ended meanwhile."""
    called_off_at: Mapped[datetime | None]
    """When the decision behind it was changed to one that gives no points: it is not sent any more, and where the
    gradebook has it already, a person says what becomes of the points."""
    finding: Mapped[Finding | None]
    shown_points: Mapped[Decimal | None] = mapped_column(Numeric(9, 3))
    """What the platform showed when it was read last; None where it showed no grade, or was not read yet."""
    shown_possible: Mapped[Decimal | None] = mapped_column(Numeric(9, 3))
    read_at: Mapped[datetime | None]
    read_due_at: Mapped[datetime | None]
    """When the results are to be read again. None for what is not read any more: another score of the cell has
    followed, or the course has ended long ago."""
    dealt_with_at: Mapped[datetime | None]
    """When a person dealt with the finding (accepted what the platform shows, or noted why); the audit log says who."""
    dealt_with_note: Mapped[str | None]
    activity_progress: Mapped[str]
    """As it is sent (AGS 2.0, section 3.4.6), and fixed like all that is sent."""
    grading_progress: Mapped[str]
    idempotency_key: Mapped[str]
    """Why the row is owed, and to which cell: the same reason never owes the same cell twice. A row that follows others
    names the newest that the cell had then."""

    history: Mapped[list["ScoreTry"]] = relationship(order_by="ScoreTry.id")

    def digest(self) -> str:
        """SHA-256 over what the row says, in hexadecimal digits; docs/audit-log.md describes it for other software."""
        said = {
            "account": self.account_id,
            "activityProgress": self.activity_progress,
            "comment": self.comment,
            "decision": self.decision_id,
            "gradingProgress": self.grading_progress,
            "idempotencyKey": self.idempotency_key,
            "lineItem": self.line_item_url,
            "placement": self.placement_id,
            "points": f"{self.points:.3f}",
            "pointsPossible": f"{self.points_possible:.3f}",
            "scoredAt": _moment(self.scored_at),
            "subject": self.subject,
            "submittedAt": _moment(self.submitted_at),
        }
        canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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


class ReadBack(Base):
    """That the results of a platform are being read, and how long it is left alone where it had trouble with that."""

    __tablename__ = "read_back"

    registration_id: Mapped[int] = mapped_column(
        ForeignKey("registration.id"), primary_key=True, autoincrement=False
    )
    lease_until: Mapped[datetime | None]
    """While reading: until when the worker that reads may write. Another may begin afterwards."""
    failures: Mapped[int] = mapped_column(default=0)
    """Readings in a row that the platform had trouble with."""
    rests_until: Mapped[datetime | None]


class ColumnReading(Base):
    """That a person wants to know what a gradebook column shows now, and what came of reading it."""

    __tablename__ = "column_reading"
    __table_args__ = (UniqueConstraint("placement_id", "line_item_url"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"))
    line_item_url: Mapped[str]
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    """When the column was read after that, or could not be."""
    problem: Mapped[str | None]
    """Why it could not, in words for whoever asked."""


class ColumnState(StrEnum):
    """What has become of a gradebook column that the platform leaves to us."""

    WANTED = "wanted"
    """To be looked for, and made if it is not there."""
    SETTLED = "settled"
    """The activity has its column."""
    OFFERED = "offered"
    """There is none, and it is for faculty to say whether one is made."""
    REFUSED = "refused"
    """The platform does not let us; ``reason`` says why."""


class GradebookColumn(Base):
    """That an activity's platform lets us look for its gradebook column and make one, and what came of it.

    AGS makes a new column with each request, so the row is also the lock: whoever holds the lease may ask, and asks
    first whether an earlier request left one behind.
    """

    __tablename__ = "gradebook_column"
    __table_args__ = (
        UniqueConstraint("placement_id", "purpose"),
        Index("ix_gradebook_column_due", "state", "due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"))
    purpose: Mapped[str]
    """``result``: what the decision is worth. The only one there is."""
    line_items_url: Mapped[str]
    """Where the platform lists the columns of the course."""
    state: Mapped[ColumnState]
    may_create: Mapped[bool]
    """Whether a missing column may be made unasked, or faculty have asked for it."""
    remade: Mapped[bool] = mapped_column(default=False)
    """One that was deleted in the gradebook is made again once, not for ever."""
    reason: Mapped[str | None]
    due_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)


class NoteKind(StrEnum):
    """What a note tells of."""

    HANDED_IN = "handed-in"
    """To the gradebook: work waits for its assessor."""
    NOT_YET = "not-yet"
    """To the earner: there is feedback on work that was not yet found to demonstrate the competency."""
    INCOMPLETE = "incomplete"
    """To the earner: the course is closed and the work is not complete."""


class GradeNote(Base):
    """Something that a gradebook or an earner is still to be told, without any number.

    Only where that harms no grade. A help and no promise, unlike a score: the row goes when it was sent, refused, or
    overtaken by a score of the same cell.
    """

    __tablename__ = "grade_note"
    __table_args__ = (UniqueConstraint("placement_id", "account_id", "kind", "ref"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[NoteKind]
    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    line_item_url: Mapped[str | None]
    """None for one that goes by mail, to the address which the platform names at that moment."""
    subject: Mapped[str]
    ref: Mapped[int]
    """What it is about, as a plain number: this package knows neither submissions nor decisions."""
    text: Mapped[str]
    said_at: Mapped[datetime]
    """To the second the message's own time as well, so that a score which was decided later is never older."""
    due_at: Mapped[datetime] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)
