"""Read models for pages: whole versions, the catalogue, stacks. Each is a constant number of queries."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.orm import Session, aliased, joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql import Select

from lti_tool.credentials.models import (
    Credential,
    Criterion,
    Level,
    Placement,
    PlacementChoice,
    Stack,
    StackGroup,
    StackPart,
    StackVersion,
    Standard,
    Version,
)
from lti_tool.database import db, plain_rows
from lti_tool.errors import NotHere

MOST_STACKS = 100
"""The catalogue takes no more."""
_MOST_KEPT = 200
_kept: OrderedDict[tuple[str, int], Version] = OrderedDict()


@dataclass(frozen=True)
class Offered:
    """A micro-credential that an activity offers, and the version that new work on it begins under."""

    credential: Credential
    version_id: int


@dataclass(frozen=True)
class StackLine:
    """A stack as a page about one of its parts names it."""

    key: str
    title: str
    needed: int
    """How many micro-credentials complete it."""


_other = aliased(StackVersion)
_ASKING = (
    select(
        Stack.key,
        StackVersion.title,
        select(func.sum(StackGroup.take))
        .where(StackGroup.stack_version_id == StackVersion.id)
        .scalar_subquery(),
    )
    .join(Stack.versions)
    .join(StackPart, StackPart.stack_version_id == StackVersion.id)
    .where(
        Stack.retired_at.is_(None),
        StackPart.credential_id == bindparam("credential_id"),
        StackVersion.number
        == select(func.max(_other.number)).where(_other.stack_id == Stack.id).scalar_subquery(),
    )
)
_CURRENT = select(Version.id).order_by(Version.number.desc()).limit(1)
_CURRENT_OF = _CURRENT.where(Version.credential_id == bindparam("credential_id"))
_OFFERED = (
    select(
        PlacementChoice,
        _CURRENT.where(Version.credential_id == PlacementChoice.credential_id)
        .scalar_subquery()
        .label("version_id"),
    )
    .where(PlacementChoice.placement_id == bindparam("placement_id"))
    .order_by(PlacementChoice.position)
)


def full_version(version_id: int) -> Version:
    """A version with its parts, tasks, rubric and standards."""
    return db.session.scalars(_whole().where(Version.id == version_id)).one()


def published(version_id: int) -> Version:
    """As :func:`full_version`, to be read only: kept in this process and shared by all its requests, since what is
    published never changes and reading it takes as long as all the rest of an earner's first page. Labels of standards
    are those of the first reading."""
    key = (str(db.engine.url), version_id)
    version = _kept.get(key)
    if version is None:
        with Session(db.engine) as session:
            version = session.scalars(_whole().where(Version.id == version_id)).one()
            session.expunge_all()
        _kept[key] = version
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return version


def version_by_key(key: str, number: int | None = None) -> Version:
    """The public one: by the micro-credential's key, in this version or the current one.

    :raises NotHere: no such micro-credential or version.
    """
    query = _whole().join(Version.credential).where(Credential.key == key)
    query = query.order_by(Version.number.desc()) if number is None else query.where(Version.number == number)
    version = db.session.scalars(query.limit(1)).first()
    if version is None:
        raise NotHere
    return version


def page_of_current(page: int, size: int) -> tuple[Sequence[Version], int]:
    """One page (from 1) of the current version of every micro-credential that may be begun, by title, and how many
    there are."""
    newest = (
        select(Version.credential_id, func.max(Version.number).label("number"))
        .join(Version.credential)
        .where(Credential.retired_at.is_(None))
        .group_by(Version.credential_id)
        .subquery()
    )
    query = (
        select(Version)
        .join(newest, (Version.credential_id == newest.c.credential_id) & (Version.number == newest.c.number))
        .options(selectinload(Version.standards), selectinload(Version.tasks))
    )
    total = db.session.scalar(select(func.count()).select_from(newest)) or 0
    rows = db.session.scalars(query.order_by(Version.title).limit(size).offset((page - 1) * size)).all()
    return rows, total


def current_of(credential_ids: Collection[int]) -> dict[int, Version]:
    """The current version of each of these micro-credentials, by the credential's id."""
    rows = db.session.scalars(
        select(Version).where(Version.credential_id.in_(credential_ids)).order_by(Version.number)
    )
    return {row.credential_id: row for row in rows}


def with_points(version_ids: Collection[int]) -> frozenset[int]:
    """Those of the versions whose rubric's levels have points."""
    rows = db.session.scalars(
        select(Criterion.version_id)
        .join(Level, Level.criterion_id == Criterion.id)
        .where(Criterion.version_id.in_(version_ids), Level.points > 0)
        .distinct()
    )
    return frozenset(rows)


def offered_in(placement: Placement) -> list[Offered]:
    """What an activity offers. Fills ``placement.choices`` for whoever reads that afterwards."""
    found = db.session.execute(_OFFERED, {"placement_id": placement.id}).all()
    set_committed_value(placement, "choices", [choice for choice, _ in found])
    return [Offered(choice.credential, version_id) for choice, version_id in found]


def current_id(credential_id: int) -> int:
    """The id of the version that new work begins under."""
    return db.session.execute(_CURRENT_OF, {"credential_id": credential_id}).scalar_one()


def keys_of(credential_ids: Collection[int]) -> dict[int, str]:
    """The keys of these micro-credentials, by their ids."""
    rows = db.session.execute(select(Credential.id, Credential.key).where(Credential.id.in_(credential_ids)))
    return {at: key for at, key in rows}  # noqa: C416  # a Row is a tuple, which dict() takes but its types do not say


def stacks_with(credential_ids: Collection[int]) -> Sequence[Stack]:
    """The stacks that any of these micro-credentials belongs to, in whatever version, by title; whole, as
    :func:`stack_by_key` gives them."""
    return _stacks_naming(StackPart.credential_id.in_(credential_ids))


def stacks_with_keys(keys: Collection[str]) -> Sequence[Stack]:
    """As :func:`stacks_with`, by the keys of the micro-credentials."""
    return _stacks_naming(StackPart.credential.has(Credential.key.in_(keys)))


def _stacks_naming(parts: ColumnElement[bool]) -> Sequence[Stack]:
    named = (
        select(StackPart.credential_id)
        .join(StackVersion, StackVersion.id == StackPart.stack_version_id)
        .where(StackVersion.stack_id == Stack.id, parts)
    )
    rows = db.session.scalars(_whole_stacks().where(named.exists()))
    return sorted(rows, key=lambda stack: stack.title.casefold())


def stacks_asking(credential_id: int) -> Sequence[StackLine]:
    """The stacks that are offered today and whose current version names this micro-credential, by title."""
    found = plain_rows(_ASKING, {"credential_id": credential_id})
    return sorted((StackLine(*row) for row in found), key=lambda stack: stack.title.casefold())


def stack_by_key(key: str) -> Stack:
    """A stack with all its versions, and their parts and prerequisites.

    :raises NotHere: no such stack.
    """
    stack = db.session.scalars(_whole_stacks().where(Stack.key == key)).first()
    if stack is None:
        raise NotHere
    return stack


def stack_by_id(stack_id: int) -> Stack:
    """A whole stack that is known to be there."""
    return stacks_by_id([stack_id])[0]


def stacks_by_id(stack_ids: Collection[int]) -> Sequence[Stack]:
    """Whole stacks."""
    return db.session.scalars(_whole_stacks().where(Stack.id.in_(stack_ids)).order_by(Stack.id)).all()


def stacks_on_offer() -> Sequence[Stack]:
    """The stacks that anybody may begin, by title: at most as many as a page shows."""
    rows = db.session.scalars(
        _whole_stacks().where(Stack.retired_at.is_(None)).order_by(Stack.id).limit(MOST_STACKS)
    )
    return sorted(rows, key=lambda stack: stack.title.casefold())


def titles_of(versions: Sequence[StackVersion]) -> dict[str, str]:
    """What the parts and prerequisites of these are called today, by key."""
    keys = {part.credential_id: part.credential.key for one in versions for part in one.parts}
    keys |= {row.after_id: row.after.key for one in versions for row in one.openings}
    rows = db.session.execute(
        select(Version.credential_id, Version.title)
        .where(Version.credential_id.in_(keys))
        .order_by(Version.number)
    )
    return {keys[at]: title for at, title in rows}


def _whole_stacks() -> Select[Stack]:
    versions = selectinload(Stack.versions)
    return select(Stack).options(
        versions.selectinload(StackVersion.groups).selectinload(StackGroup.parts),
        versions.selectinload(StackVersion.openings),
    )


def _whole() -> Select[Version]:
    options: list[Any] = [
        selectinload(Version.parts),
        selectinload(Version.tasks),
        selectinload(Version.criteria).selectinload(Criterion.levels),
        selectinload(Version.standards).joinedload(Standard.framework),
        joinedload(Version.credential),
    ]
    return select(Version).options(*options)
