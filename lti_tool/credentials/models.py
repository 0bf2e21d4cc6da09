"""Micro-credentials and the activities that embed them.

A version never changes once published. Tasks, criteria and levels are rows whose keys stay the same from version to
version, so that a rating under version 1 can be compared with one under version 2.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKey, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.credentials.rules import ScorePolicy, policy_of
from lti_tool.database import Base
from lti_tool.people.models import Course
from lti_tool.stacks import rules as stacking


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
    retired_at: Mapped[datetime | None]
    """Nobody begins it any more. Work that was begun may finish, and what is held counts for good."""
    replaced_by_id: Mapped[int | None] = mapped_column(ForeignKey("credential.id"))

    versions: Mapped[list["Version"]] = relationship(back_populates="credential", order_by="Version.number")
    replaced_by: Mapped["Credential | None"] = relationship(remote_side=id)


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

    @property
    def has_points(self) -> bool:
        """Whether levels of the rubric have points."""
        return any(level.points for criterion in self.criteria for level in criterion.levels)


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
    """Micro-credentials that together earn a badge of their own, through all its versions.

    What it is called and asks stands in its versions; here only what pages that speak of no version want to know.
    """

    __tablename__ = "stack"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    retired_at: Mapped[datetime | None]
    """Offered to nobody new. Whoever completes it still gets its badge."""

    versions: Mapped[list["StackVersion"]] = relationship(
        back_populates="stack", order_by="StackVersion.number"
    )

    @property
    def current(self) -> "StackVersion":
        """The version that newcomers meet."""
        return self.versions[-1]

    def numbered(self, number: int) -> "StackVersion | None":
        """The version of that number."""
        return next((version for version in self.versions if version.number == number), None)

    @property
    def title(self) -> str:
        """Of the current version."""
        return self.current.title

    @property
    def parts(self) -> list["StackPart"]:
        """Of the current version, in its order."""
        return self.current.parts

    @property
    def offered(self) -> list[Credential]:
        """The parts of the current version, and after them those that only earlier ones ask for: whoever has begun
        under one of these may finish under it."""
        parts = [part for version in reversed(self.versions) for part in version.parts]
        return list({part.credential_id: part.credential for part in parts}.values())

    def standing(
        self, held: Mapping[str, datetime], begun: Mapping[str, datetime]
    ) -> "tuple[StackVersion, stacking.StackProgress]":
        """The version that somebody is judged by, and how far they are under it.

        :param held: micro-credentials that they have a standing badge of: key -> when it was awarded.
        :param begun: those that they ever worked on: key -> when they began.
        """
        named = {part.credential.key: part.credential for one in self.versions for part in one.parts}
        moments = [
            *(at for key, at in held.items() if key in named),
            *(at for key, at in begun.items() if key in named),
        ]
        named |= {row.after.key: row.after for one in self.versions for row in one.openings}
        version, found = stacking.that_applies(
            [stacking.Published(one.number, one.published_at, one.rule) for one in self.versions],
            sorted(held, key=lambda key: held[key]),
            began=min(moments, default=None),
            begun=begun.keys(),
            retired={key for key, credential in named.items() if credential.retired_at is not None},
        )
        return self.versions[[one.number for one in self.versions].index(version.number)], found


class StackVersion(Base):
    """What a stack asks and says. Immutable like a version of a micro-credential: a changed rule is a new one, and who
    has begun under an earlier one may finish under it."""

    __tablename__ = "stack_version"
    __table_args__ = (UniqueConstraint("stack_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    stack_id: Mapped[int] = mapped_column(ForeignKey("stack.id"))
    number: Mapped[int]
    digest: Mapped[str]
    """SHA-256 of the definition as loaded. Empty where a stack is older than versions: its words are taken from the
    catalogue once more, its rule is not."""
    published_at: Mapped[datetime]
    title: Mapped[str]
    description: Mapped[str]
    label: Mapped[str]
    """At most 30 characters: what the gradebook column of an activity is called."""
    points: Mapped[float]
    """What that column is out of. Owed in full when the stack is complete, and nothing before."""
    in_order: Mapped[bool]
    """A group opens when those before it are complete."""
    badge_symbol: Mapped[str]
    badge_colour: Mapped[str]
    badge_shape: Mapped[str]

    stack: Mapped[Stack] = relationship(back_populates="versions", lazy="joined")
    groups: Mapped[list["StackGroup"]] = relationship(order_by="StackGroup.position")
    openings: Mapped[list["StackOpening"]] = relationship(
        order_by="StackOpening.credential_id, StackOpening.after_id"
    )

    @property
    def parts(self) -> list["StackPart"]:
        """Of all groups, in their order."""
        return [part for group in self.groups for part in group.parts]

    @property
    def rule(self) -> stacking.Rule:
        """What it asks, in keys of micro-credentials."""
        after: dict[str, list[str]] = {}
        for row in self.openings:
            after.setdefault(row.credential.key, []).append(row.after.key)
        return stacking.Rule(
            groups=tuple(
                stacking.Group(group.take, tuple(part.credential.key for part in group.parts), group.in_order)
                for group in self.groups
            ),
            in_order=self.in_order,
            openings=tuple(stacking.Opening(part, tuple(keys)) for part, keys in after.items()),
        )


class StackGroup(Base):
    """Some parts of which so many must be earned: all of them, or n of m."""

    __tablename__ = "stack_group"
    __table_args__ = (UniqueConstraint("stack_version_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    stack_version_id: Mapped[int] = mapped_column(ForeignKey("stack_version.id"))
    position: Mapped[int]
    take: Mapped[int]
    in_order: Mapped[bool]
    """Each part opens when the one before it is held."""

    parts: Mapped[list["StackPart"]] = relationship(order_by="StackPart.position")


class StackPart(Base):
    """That a micro-credential belongs to a stack, in one group of it. Any version of it counts."""

    __tablename__ = "stack_part"

    stack_version_id: Mapped[int] = mapped_column(ForeignKey("stack_version.id"), primary_key=True)
    credential_id: Mapped[int] = mapped_column(ForeignKey("credential.id"), primary_key=True, index=True)
    group_id: Mapped[int] = mapped_column(ForeignKey("stack_group.id"), index=True)
    position: Mapped[int]

    version: Mapped[StackVersion] = relationship()
    credential: Mapped[Credential] = relationship(lazy="joined")


class StackOpening(Base):
    """That a part opens only when another micro-credential is held, which may stand outside the stack."""

    __tablename__ = "stack_opening"

    stack_version_id: Mapped[int] = mapped_column(ForeignKey("stack_version.id"), primary_key=True)
    credential_id: Mapped[int] = mapped_column(ForeignKey("credential.id"), primary_key=True)
    after_id: Mapped[int] = mapped_column(ForeignKey("credential.id"), primary_key=True)

    credential: Mapped[Credential] = relationship(lazy="joined", foreign_keys=credential_id)
    after: Mapped[Credential] = relationship(lazy="joined", foreign_keys=after_id)


class Placement(Base):
    """An activity: a resource link of a course that offers a choice of one or more micro-credentials, or a stack."""

    __tablename__ = "placement"
    __table_args__ = (
        UniqueConstraint("course_id", "resource_link_id"),
        UniqueConstraint("course_id", "link_key"),
        CheckConstraint("(resource_link_id IS NULL) <> (link_key IS NULL)", name="one_identity"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    resource_link_id: Mapped[str | None]
    link_key: Mapped[str | None]
    """Identity where the platform has none: Canvas sends the course's own id for links that it cannot tell apart, so
    all links of the course that were made for the same are one activity."""
    stack_id: Mapped[int | None] = mapped_column(ForeignKey("stack.id"), index=True)
    """Where the link is a whole stack: the choices are then its parts, in their order, and follow the catalogue."""
    named: Mapped[str | None]
    """The key or keys that the link said when the choices were last taken from it."""
    title: Mapped[str]
    points: Mapped[float | None]
    """What the gradebook column is out of, as the link says it. None where it does not: as the version says."""
    line_item_url: Mapped[str | None]
    """The gradebook column. None where the platform named none: nothing can be posted then."""
    earlier_results: Mapped[str | None]
    """What becomes of a result from another course: rules.EarlierResults; None follows the program's setting."""
    created_at: Mapped[datetime]
    score_policy: Mapped[str | None]
    """How many of the points a demonstration gets: rules.ScorePolicy; None is all of them."""
    score_policy_said: Mapped[str | None]
    """What the link said of that when it was last taken from it, so that the link does not undo what faculty chose on
    the activity's page since."""

    course: Mapped[Course] = relationship(lazy="joined")
    stack: Mapped[Stack | None] = relationship()
    choices: Mapped[list["PlacementChoice"]] = relationship(
        order_by="PlacementChoice.position", cascade="save-update, merge, delete-orphan, delete"
    )

    def points_for(self, version: Version | StackVersion) -> float:
        """What demonstrating this version, or completing this stack, is worth in this activity: all of what its column
        is out of."""
        return version.points if self.points is None else self.points

    def policy_for(self, version: Version) -> ScorePolicy:
        """How many of these points a demonstration of this version gets. A whole stack gets all of them."""
        return policy_of(self.score_policy, has_points=version.has_points)

    @property
    def made_for(self) -> str:
        """What the activity is, as ``service.link_key`` writes it."""
        if self.stack is not None:
            return f"stack={self.stack.key}"
        return f"credential={','.join(choice.credential.key for choice in self.choices)}"


class PlacementChoice(Base):
    """A micro-credential that may be earned in this activity. The simple case is a choice of one."""

    __tablename__ = "placement_choice"

    placement_id: Mapped[int] = mapped_column(ForeignKey("placement.id"), primary_key=True)
    credential_id: Mapped[int] = mapped_column(ForeignKey("credential.id"), primary_key=True)
    position: Mapped[int]

    credential: Mapped[Credential] = relationship(lazy="joined")
