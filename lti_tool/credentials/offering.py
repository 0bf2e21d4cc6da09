"""What faculty can put into a course, and what is there already. Each is a constant number of queries."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal, select, union_all
from sqlalchemy.orm import selectinload

from lti_tool.credentials import queries
from lti_tool.credentials.models import (
    Credential,
    Placement,
    PlacementChoice,
    Stack,
    StackVersion,
    Version,
)
from lti_tool.database import db
from lti_tool.errors import NotHere

_STACK = "stack:"


@dataclass(frozen=True)
class Offer:
    """Something that can become an activity: a micro-credential in its current version, or a stack."""

    version: Version | None
    stack: Stack | None

    @property
    def pick(self) -> str:
        """How a form names it."""
        return self.version.credential.key if self.version is not None else f"{_STACK}{self._stack.key}"

    @property
    def title(self) -> str:
        return self.version.title if self.version is not None else self._stack.title

    @property
    def text(self) -> str:
        """What it is for, in a sentence or two."""
        return self.version.purpose if self.version is not None else self._stack.current.description

    @property
    def label(self) -> str:
        """What its gradebook column is called, unless faculty say otherwise."""
        return self.version.label if self.version is not None else self._stack.current.label

    @property
    def points(self) -> float:
        """What its gradebook column is out of, unless faculty say otherwise."""
        return self.version.points if self.version is not None else self._stack.current.points

    @property
    def _stack(self) -> Stack:
        assert self.stack is not None
        return self.stack


@dataclass(frozen=True)
class Placed:
    """What a course has of the catalogue already."""

    picks: frozenset[str]
    titles: tuple[str, ...]
    """Of its activities."""


def offers(search: str, page: int, size: int) -> tuple[list[Offer], int]:
    """One page (from 1) of what faculty can put into a course, by title, and how many there are.

    :param search: every word of it stands in the title, the purpose or the competency; empty finds everything.
    """
    newest = (
        select(Version.credential_id, func.max(Version.number).label("number"))
        .join(Credential, Credential.id == Version.credential_id)
        .where(Credential.retired_at.is_(None))
        .group_by(Version.credential_id)
        .subquery()
    )
    singles = (
        select(literal("").label("kind"), Version.id.label("id"), Version.title.label("title"))
        .join(newest, (Version.credential_id == newest.c.credential_id) & (Version.number == newest.c.number))
        .where(*(_says(word, Version.title, Version.purpose, Version.competency) for word in search.split()))
    )
    current = (
        select(StackVersion.stack_id, func.max(StackVersion.number).label("number"))
        .join(Stack, Stack.id == StackVersion.stack_id)
        .where(Stack.retired_at.is_(None))
        .group_by(StackVersion.stack_id)
        .subquery()
    )
    stacks = (
        select(literal(_STACK), StackVersion.stack_id, StackVersion.title)
        .join(
            current, (StackVersion.stack_id == current.c.stack_id) & (StackVersion.number == current.c.number)
        )
        .where(*(_says(word, StackVersion.title, StackVersion.description) for word in search.split()))
    )
    both = union_all(singles, stacks).subquery()
    total = db.session.scalar(select(func.count()).select_from(both)) or 0
    rows = db.session.execute(
        select(both.c.kind, both.c.id)
        .order_by(both.c.title, both.c.kind)
        .limit(size)
        .offset((page - 1) * size)
    ).all()
    versions = _versions([row.id for row in rows if not row.kind])
    found = _stacks([row.id for row in rows if row.kind])
    return [Offer(None, found[row.id]) if row.kind else Offer(versions[row.id], None) for row in rows], total


def offers_of(picks: Sequence[str]) -> list[Offer]:
    """What a form named, in its order; twice is once.

    :raises NotHere: something of it does not exist, or is retired.
    """
    wanted = list(dict.fromkeys(picks))
    newest = (
        select(Credential.key, func.max(Version.id).label("id"))
        .join(Version, Version.credential_id == Credential.id)
        .where(Credential.key.in_(wanted), Credential.retired_at.is_(None))
        .group_by(Credential.key)
    )
    ids = {row.key: row.id for row in db.session.execute(newest)}
    versions = _versions(list(ids.values()))
    keys = [pick.removeprefix(_STACK) for pick in wanted if pick.startswith(_STACK)]
    named = db.session.execute(
        select(Stack.key, Stack.id).where(Stack.key.in_(keys), Stack.retired_at.is_(None))
    )
    stack_ids = {row.key: row.id for row in named}
    stacks = _stacks(list(stack_ids.values()))
    found = {key: Offer(versions[number], None) for key, number in ids.items()}
    found |= {_STACK + key: Offer(None, stacks[number]) for key, number in stack_ids.items()}
    if len(found) < len(wanted):
        raise NotHere
    return [found[pick] for pick in wanted]


def placed_in(course_id: int | None) -> Placed:
    """What has become an activity of this course. Those that were deleted in the LMS are among it: it does not tell."""
    here = Placement.course_id == course_id
    singles = db.session.scalars(
        select(Credential.key)
        .join(PlacementChoice, PlacementChoice.credential_id == Credential.id)
        .join(Placement, Placement.id == PlacementChoice.placement_id)
        .where(here, Placement.stack_id.is_(None))
    ).all()
    stacks = db.session.scalars(select(Stack.key).join(Placement, Placement.stack_id == Stack.id).where(here))
    titles = db.session.scalars(select(Placement.title).where(here)).all()
    return Placed(frozenset([*singles, *(_STACK + key for key in stacks)]), tuple(titles))


def _says(word: str, *columns: Any) -> Any:
    first, *others = (func.lower(column).contains(word.lower(), autoescape=True) for column in columns)
    for other in others:
        first |= other
    return first


def _versions(ids: Collection[int]) -> dict[int, Version]:
    rows = db.session.scalars(
        select(Version)
        .where(Version.id.in_(ids))
        .options(selectinload(Version.standards), selectinload(Version.tasks))
    )
    return {row.id: row for row in rows}


def _stacks(ids: Collection[int]) -> dict[int, Stack]:
    return {stack.id: stack for stack in queries.stacks_by_id(ids)}
