"""Persons, their accounts on platforms, courses, terms, who may open the registrar's desk, and one-time links."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.database import Base
from lti_tool.lti.models import Deployment, Platform


class Person(Base):
    """Someone who earns or assesses, whatever number of accounts they have; none for a guest."""

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]


class Account(Base):
    """A person as one platform knows them."""

    __tablename__ = "account"
    __table_args__ = (UniqueConstraint("platform_id", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    subject: Mapped[str]
    """``sub`` of the launch: a UUID on Canvas, a small number on Moodle, so never unique across platforms."""
    name: Mapped[str | None]
    """Absent where the platform's privacy setting hides names; pages then say "Earner 17"."""
    email: Mapped[str | None]
    sis_id: Mapped[str | None]
    sis_by_file: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The SIS id is of a registrar's file: a launch without one leaves it, a launch with one takes its place."""
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]

    person: Mapped[Person] = relationship()
    platform: Mapped[Platform] = relationship()

    @property
    def shown_name(self) -> str:
        """What pages call this person."""
        return self.name or f"Person {self.person_id}"


class Term(Base):
    """A stretch of the academic year; a course gets its own from the platform where it is sent."""

    __tablename__ = "term"
    __table_args__ = (UniqueConstraint("platform_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    name: Mapped[str]
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]


class Course(Base):
    """A course (LTI context) of a platform."""

    __tablename__ = "course"
    __table_args__ = (UniqueConstraint("platform_id", "context_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    context_id: Mapped[str]
    label: Mapped[str]
    title: Mapped[str]
    term_id: Mapped[int | None] = mapped_column(ForeignKey("term.id"))
    term_by_hand: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A registrar has set the term (or that there is none); what launches say no longer counts."""
    created_at: Mapped[datetime]

    term: Mapped[Term | None] = relationship()


class Membership(Base):
    """That an account was in a course in a role, and when it was last seen there."""

    __tablename__ = "membership"
    __table_args__ = (UniqueConstraint("course_id", "account_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    role: Mapped[str]
    section_sis_id: Mapped[str | None]
    """Of the section, or of several with commas between, as Canvas sends them."""
    section_by_file: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Of a registrar's file, as ``Account.sis_by_file``."""
    seen_at: Mapped[datetime]


class Roster(Base):
    """Where a platform lists the people of a course, and what came of reading it."""

    __tablename__ = "roster"

    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), primary_key=True, autoincrement=False)
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    """By which the list was offered last; its registration's token opens it."""
    address: Mapped[str]
    reading: Mapped[int] = mapped_column(default=0)
    """Number of the reading that was begun last. Whoever was not seen in it when it has come to its end, has left."""
    asked_at: Mapped[datetime | None] = mapped_column(index=True)
    lease_until: Mapped[datetime | None]
    """While reading: until when the worker that reads may write. Another may begin afterwards."""
    read_at: Mapped[datetime | None]
    """When the list was last read to its end."""
    problem: Mapped[str | None]
    """Why the last reading did not come to its end, in words for faculty."""


class RosterStatus(StrEnum):
    """Whether the platform lists someone as being in the course now."""

    ACTIVE = "active"
    LEFT = "left"


class RosterMember(Base):
    """Somebody whom a platform lists in a course, whether or not they ever came here.

    Kept apart from Membership and Account, which say what a launch said: most people of a course have no business
    here yet, so no more is kept of them than what faculty see on the list of an activity.
    """

    __tablename__ = "roster_member"
    __table_args__ = (
        UniqueConstraint("course_id", "subject"),
        Index("ix_roster_member_course_id_status", "course_id", "status"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    subject: Mapped[str]
    """``sub`` of their launches, if any come."""
    name: Mapped[str | None]
    role: Mapped[str]
    """As listed; where the person has launched, the role of the launch counts."""
    status: Mapped[RosterStatus]
    since: Mapped[datetime]
    """When we first saw them with this status."""
    returned: Mapped[bool] = mapped_column(default=False)
    """Active again after having left."""
    reading: Mapped[int]
    """The last one that listed them as active."""


class CourseOrigin(Base):
    """That a course was copied from another, as the platform told us. Either may be one that we never heard of
    before or since."""

    __tablename__ = "course_origin"
    __table_args__ = (UniqueConstraint("platform_id", "context_id", "origin_context_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    context_id: Mapped[str]
    origin_context_id: Mapped[str]
    position: Mapped[int]
    """0 is the course it was copied from, 1 the one which that was copied from, and so on."""
    noted_at: Mapped[datetime]


class SisFile(Base):
    """A registrar's file of SIS ids between its upload and its use; afterwards, or after an hour, it is deleted."""

    __tablename__ = "sis_file"

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    """Who uploaded it. Nobody else sees it."""
    content: Mapped[bytes]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class DeskAccess(Base):
    """The access list of the registrar's desk: a launch of an administrator, or of somebody who was invited, opens it
    only if listed here."""

    __tablename__ = "desk_access"
    __table_args__ = (UniqueConstraint("deployment_pk", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    subject: Mapped[str]
    granted_at: Mapped[datetime]
    invited: Mapped[bool] = mapped_column(default=False, server_default=false())
    """By an invitation: then the desk opens in any role but a learner's, else for an administrator's launch alone."""

    deployment: Mapped[Deployment] = relationship()


class Purpose(StrEnum):
    """What a one-time link opens."""

    ADMINISTRATOR = "administrator"
    BACKPACK = "backpack"
    REGISTRAR = "registrar"
    """A place on the access list of a deployment's desk, for the account that uses it in a launch."""


class OneTimeLink(Base):
    """A way in for someone whom no launch lets in: an administrator whose platform is not connected yet, an earner who
    has left the institution, a registrar who is no administrator. Kept after its use, so that a second click is told
    what happened."""

    __tablename__ = "one_time_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of what stands in the address, so that a copy of the database opens nothing."""
    purpose: Mapped[str]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    deployment_pk: Mapped[int | None] = mapped_column(ForeignKey("deployment.id"))
    note: Mapped[str | None]
    """For whom it was made, so that whoever made it recognizes it."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class Stay(Base):
    """A visit without a launch, opened by a one-time link. Its id stands in every path of it, and it opens only in
    the browser that used the link."""

    __tablename__ = "stay"

    id: Mapped[str] = mapped_column(primary_key=True)
    browser: Mapped[str]
    purpose: Mapped[str]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    deployment_pk: Mapped[int | None] = mapped_column(ForeignKey("deployment.id"))
    """For an administrator: the platform of this deployment and no other; None is the operator, who sees all."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
