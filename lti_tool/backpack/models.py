"""Consents, addresses that earners have confirmed, and letters on their way."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.badges.models import Badge
from lti_tool.database import Base


class Act(StrEnum):
    """What an earner may agree to. Nothing else of a badge ever becomes visible."""

    PAGE = "page"
    """A public page for the badge, for whoever has its address."""
    NAME = "name"
    """Their name on that page."""
    RESULTS = "results"
    """The level reached in each criterion, inside the signed badge."""
    EVIDENCE = "evidence"
    """Where the evidence can be seen, inside the signed badge."""


class Consent(Base):
    """That an earner agreed to one act of showing, what for, in the words they saw. Rows are added and ended, never
    changed otherwise: what somebody once agreed to must be provable after it is over."""

    __tablename__ = "consent"
    __table_args__ = (
        # One agreement to an act holds at a time; earlier ones stay as history.
        Index(
            "uq_consent_standing",
            "badge_id",
            "act",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    badge_id: Mapped[str] = mapped_column(ForeignKey("badge.id"))
    """The badge as it stands: when it is issued anew, what still holds goes over to the new one."""
    act: Mapped[str]
    audience: Mapped[str]
    """To whom it is shown."""
    words: Mapped[str]
    """What the earner read when they agreed."""
    purpose: Mapped[str]
    """What they agreed to it for, as they read it."""
    given_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    """When it ends by itself; None until it is taken back."""
    revoked_at: Mapped[datetime | None]

    badge: Mapped[Badge] = relationship()


class ConfirmedAddress(Base):
    """An e-mail address that an earner has shown to be theirs, or is about to. Kept because access to the badges is
    restored by it after somebody has left the institution; the earner can delete it."""

    __tablename__ = "confirmed_address"
    __table_args__ = (UniqueConstraint("person_id", "lookup"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    address: Mapped[str]
    """As the earner typed it: the badge hashes exactly this."""
    lookup: Mapped[str] = mapped_column(index=True)
    """The same without regard to capitals."""
    secret_hash: Mapped[str | None] = mapped_column(unique=True)
    """SHA-256 of what stands in the last letter's link. None before the first letter has gone, and once confirmed."""
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    """Until when the letter's link confirms."""
    confirmed_at: Mapped[datetime | None]


class LetterKind(StrEnum):
    """Why a letter is written."""

    CONFIRM = "confirm"
    """To confirm an address that somebody with badges has typed."""
    OPEN = "open"
    """A way to the badges, for whoever has the mailbox."""
    RESTORE = "restore"
    """The same, to an address that a registrar vouches for: the earner had confirmed none."""
    RESTORE_TOLD = "restore-told"
    """To the addresses that are known here: that a registrar has had that way sent to another."""
    CLOSE_OUT = "close-out"
    """That a registrar asks for a course to be closed out, for an instructor who has confirmed an address."""


class Letter(Base):
    """A letter that somebody asked for. Whether there is anything to write to that address, and what, is found out
    by the worker: so the page that was asked answers everybody alike. Once done, the address is forgotten."""

    __tablename__ = "letter"
    __table_args__ = (
        Index(
            "ix_letter_due",
            "due_at",
            sqlite_where=text("address IS NOT NULL"),
            postgresql_where=text("address IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    address: Mapped[str | None]
    """None once the letter went, had no reader, or was given up."""
    addressee: Mapped[str] = mapped_column(index=True)
    """A keyed digest of the address, to count letters by; it leads back to nobody without our secret key."""
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    """Whose address it is said to be; None where a stranger typed it."""
    course_id: Mapped[int | None] = mapped_column(ForeignKey("course.id"))
    """Which course the letter is about, where it is about one."""
    undecided: Mapped[int | None]
    """How much of that course's work was undecided when the letter was asked for."""
    asked_at: Mapped[datetime]
    due_at: Mapped[datetime]
    """When to try (again). Whoever takes the letter moves it on first, so that two workers never send it both."""
    tries: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    """``sent``, ``nobody`` or what the mail server said last."""
