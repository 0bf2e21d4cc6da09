"""Read models for pages: whole versions, the catalogue, stacks. Each is a constant number of queries."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.sql import Select

from lti_tool.credentials.models import Credential, Criterion, Stack, StackPart, Standard, Version
from lti_tool.database import db
from lti_tool.errors import NotHere


def full_version(version_id: int) -> Version:
    """A version with its parts, tasks, rubric and standards."""
    return db.session.scalars(_whole().where(Version.id == version_id)).one()


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
    """One page (from 1) of the current version of every micro-credential, by title, and how many there are."""
    newest = (
        select(Version.credential_id, func.max(Version.number).label("number"))
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


def stacks_with(credential_ids: Collection[int]) -> Sequence[Stack]:
    """The stacks that any of these micro-credentials belongs to, with their parts."""
    return (
        db.session.scalars(
            select(Stack)
            .where(Stack.parts.any(StackPart.credential_id.in_(credential_ids)))
            .options(selectinload(Stack.parts).joinedload(StackPart.credential))
            .order_by(Stack.title)
        )
        .unique()
        .all()
    )


def stack_by_key(key: str) -> Stack:
    """A stack with its parts.

    :raises NotHere: no such stack.
    """
    stack = db.session.scalars(
        select(Stack).where(Stack.key == key).options(selectinload(Stack.parts))
    ).first()
    if stack is None:
        raise NotHere
    return stack


def _whole() -> Select[Version]:
    options: list[Any] = [
        selectinload(Version.parts),
        selectinload(Version.tasks),
        selectinload(Version.criteria).selectinload(Criterion.levels),
        selectinload(Version.standards).joinedload(Standard.framework),
        joinedload(Version.credential),
    ]
    return select(Version).options(*options)
