"""Micro-credentials and the activities that embed them.

A version never changes once published. Tasks, criteria and levels are rows whose keys stay the same from version to
version, so that a rating under version 1 can be compared with one under version 2.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKey, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.database import Base
from lti_tool.people.models import Course


class Framework(Base):
    """A body of standards, such as InTASC."""

    __tablename__ = "framework"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    publisher: Mapped[str]
    url: Mapped[str]
    note: Mapped[str | None]


class Standard(Base):
    """One standard by its code and our short label; the official text stays with its publisher."""

    __tablename__ = "standard"
    __table_args__ = (UniqueConstraint("framework_id", "code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    framework_id: Mapped[int] = mapped_column(ForeignKey("framework.id"))
    code: Mapped[str]
    label: Mapped[str]

    framework: Mapped[Framework] = relationship(lazy="joined")


version_standard = Table(
    "version_standard",
    Base.metadata,
    Column("version_id", ForeignKey("version.id"), primary_key=True),
    Column("standard_id", ForeignKey("standard.id"), primary_key=True),
)


class Credential(Base):
    """A micro-credential through all its versions."""

    __tablename__ = "credential"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]

    versions: Mapped[list["Version"]] = relationship(back_populates="credential", order_by="Version.number")


class Version(Base):
    """The wording that an earner works under and a badge vouches for. Immutable: a change is a new version."""

    __tablename__ = "version"
    __table_args__ = (UniqueConstraint("credential_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    credential_id: Mapped[int] = mapped_column(ForeignKey("credential.id"))
    number: Mapped[int]
    digest: Mapped[str]
    """SHA-256 of the definition as loaded: the same number with other words is refused."""
    published_at: Mapped[datetime]
    shape: Mapped[str]
    title: Mapped[str]
    label: Mapped[str]
    """At most 30 characters: what the gradebook column is called."""
    purpose: Mapped[str]
    competency: Mapped[str]
    key_method: Mapped[str]
    audience: Mapped[str]
    setting: Mapped[str]
    effort_hours_min: Mapped[float]
    effort_hours_max: Mapped[float]
    turnaround_days: Mapped[int]
    """Business days within which an earner can expect feedback."""
    assessed_by: Mapped[str]
    pass_kind: Mapped[str]
    """``all``: every criterion at its required level; ``share``: at least pass_percent of them."""
    pass_percent: Mapped[int]
    points: Mapped[float]
    """What the gradebook column is out of."""
    badge_symbol: Mapped[str]
    badge_colour: Mapped[str]
    badge_shape: Mapped[str]
    components: Mapped[list[Any]] = mapped_column(JSON)
    research: Mapped[list[Any]] = mapped_column(JSON)
    resources: Mapped[list[Any]] = mapped_column(JSON)

    credential: Mapped[Credential] = relationship(back_populates="versions", lazy="joined")
    parts: Mapped[list["Part"]] = relationship(order_by="Part.position")
    tasks: Mapped[list["Task"]] = relationship(order_by="Task.position")
    criteria: Mapped[list["Criterion"]] = relationship(order_by="Criterion.position")
    standards: Mapped[list[Standard]] = relationship(secondary=version_standard, order_by=Standard.id)


class Part(Base):
    """Part 1, 2, 3 of the work, with the passing criteria where a part has its own."""

    __tablename__ = "part"
    __table_args__ = (UniqueConstraint("version_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    position: Mapped[int]
    key: Mapped[str]
    title: Mapped[str]
    intro: Mapped[str]
    passing: Mapped[str]


class Task(Base):
    """One thing asked of the earner: words, or evidence."""

    __tablename__ = "task"
    __table_args__ = (
        UniqueConstraint("version_id", "key"),
        # Evidence that shows children stays with us: no link to another site can be frozen, hidden or destroyed.
        CheckConstraint("NOT (involves_children AND accepts_link)", name="children_uploads_only"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"))
    position: Mapped[int]
    key: Mapped[str]
    title: Mapped[str]
    prompt: Mapped[str]
    kind: Mapped[str]
    """``written`` or ``evidence``."""
    required: Mapped[bool]
    words_min: Mapped[int | None]
    words_max: Mapped[int | None]
    accepts_upload: Mapped[bool]
    accepts_link: Mapped[bool]
    involves_children: Mapped[bool]
    alternatives: Mapped[str]
    max_files: Mapped[int]

    part: Mapped[Part] = relationship(lazy="joined")


class Criterion(Base):
    """One row of the rubric."""

    __tablename__ = "criterion"
    __table_args__ = (UniqueConstraint("version_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"))
    position: Mapped[int]
    key: Mapped[str]
    title: Mapped[str]
    description: Mapped[str]
    feedback_hint: Mapped[str | None]
    """For the assessor: what feedback helps where the criterion is not met."""

    part: Mapped[Part] = relationship(lazy="joined")
    levels: Mapped[list["Level"]] = relationship(order_by="Level.position")

    @property
    def part_title(self) -> str:
        """The heading that the rubric stands under."""
        return self.part.title


class Level(Base):
    """One cell of a rubric row, lowest position first."""

    __tablename__ = "level"
    __table_args__ = (UniqueConstraint("criterion_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    criterion_id: Mapped[int] = mapped_column(ForeignKey("criterion.id"))
    position: Mapped[int]
    key: Mapped[str]
    title: Mapped[str]
    text: Mapped[str]
    points: Mapped[int | None]
    required: Mapped[bool]
    """The level needed to pass; every higher one passes as well."""


class Stack(Base):
    """Micro-credentials that together earn a badge of their own."""

    __tablename__ = "stack"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    description: Mapped[str]
    badge_symbol: Mapped[str]
    badge_colour: Mapped[str]
    badge_shape: Mapped[str]

    parts: Mapped[list["StackPart"]] = relationship(order_by="StackPart.position")


class StackPart(Base):
    """That a micro-credential belongs to a stack. Any version of it counts."""

    __tablename__ = "stack_part"

    stack_id: Mapped[int] = mapped_column(ForeignKey("stack.id"), primary_key=True)
    credential_id: Mapped[int] = mapped_column(ForeignKey("credential.id"), primary_key=True, index=True)
    position: Mapped[int]

    credential: Mapped[Credential] = relationship(lazy="joined")


class Placement(Base):
    """An activity: a resource link of a course that offers a choice of one or more micro-credentials."""

    __tablename__ = "placement"
    __table_args__ = (UniqueConstraint("course_id", "resource_link_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    resource_link_id: Mapped[str]
    title: Mapped[str]
    line_item_url: Mapped[str | None]
    """The gradebook column. None where the platform named none: nothing can be posted then."""
    created_at: Mapped[datetime]

    course: Mapped[Course] = relationship(lazy="joined")
    choices: Mapped[list["PlacementChoice"]] = relationship(order_by="PlacementChoice.position")


class PlacementChoice(Base):
    """A micro-credential that may be earned in this activity. The simple case is a choice of one."""

    __tablename__ = "placement_choice"

    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"), primary_key=True)
    credential_id: Mapped[int] = mapped_column(ForeignKey("credential.id"), primary_key=True)
    position: Mapped[int]

    credential: Mapped[Credential] = relationship(lazy="joined")
