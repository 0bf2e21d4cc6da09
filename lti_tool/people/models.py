"""Persons, their accounts on platforms, courses, terms, and who may open the registrar's desk."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, UniqueConstraint
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
    seen_at: Mapped[datetime]


class DeskAccess(Base):
    """The access list of the registrar's desk: an administrator's launch opens it only if listed here."""

    __tablename__ = "desk_access"
    __table_args__ = (UniqueConstraint("deployment_pk", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    subject: Mapped[str]
    granted_at: Mapped[datetime]

    deployment: Mapped[Deployment] = relationship()
