"""Rows that several may want to make at the same moment."""

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from lti_tool.database.base import Base, db

Row = TypeVar("Row", bound=Base)


def found_or_added(model: type[Row], key: Mapping[str, Any], fresh: Any) -> Row:
    """The row with this key; two launches that arrive together both get the one that was first."""
    query = select(model).filter_by(**key)
    row = db.session.scalar(query)
    if row is not None:
        return row
    try:
        with db.session.begin_nested():
            added: Row = fresh()
            db.session.add(added)
        return added
    except IntegrityError:
        return db.session.scalars(query).one()
