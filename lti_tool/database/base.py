"""Declarative base, naming convention and column types.

The map and the naming convention stand on an explicit registry because Flask-SQLAlchemy 3.1 refuses a Base
that brings its own ``type_annotation_map`` (pallets-eco/flask-sqlalchemy issue 1361).
"""

import enum
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    CursorResult,
    DateTime,
    Dialect,
    Engine,
    Enum,
    Executable,
    MetaData,
    String,
    Table,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, registry
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC. SQLite hands back naive ones; this cures both ends."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A moment without a time zone cannot be stored.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _values(kind: type[enum.Enum]) -> list[str]:
    return [member.value for member in kind]


class Base(DeclarativeBase):
    """Every table of Tessera."""

    registry = registry(
        metadata=MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={
            datetime: UtcDateTime(),
            str: String(),
            dict[str, Any]: JSON(),
            list[Any]: JSON(),
            # Stored as words: a native enum of PostgreSQL cannot lose a value without a rebuild.
            enum.Enum: Enum(enum.Enum, native_enum=False, length=20, values_callable=_values),
        },
    )


db = SQLAlchemy(model_class=Base)


def table_of(model: type[Base]) -> Table:
    """The table behind a model, for the few statements of every launch that need no object made of a row."""
    return model.metadata.tables[model.__tablename__]


def plain_rows(statement: Executable, values: Mapping[str, Any]) -> CursorResult[*tuple[Any, ...]]:
    """What a statement finds that names columns only, in the session's transaction but past what the session does for
    objects, which costs as much again. So it sees nothing that was not flushed yet."""
    return db.session.connection().execute(statement, values)


def on_sqlite() -> bool:
    """Which of the two databases this application has."""
    return db.engine.dialect.name == "sqlite"


def insert_into(
    model: type[Base] | Table, for_sqlite: bool | None = None
) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may say what is to become of a conflict: alike on both databases, and yet each has its own."""
    sqlite_one = on_sqlite() if for_sqlite is None else for_sqlite
    return sqlite.insert(model) if sqlite_one else postgresql.insert(model)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


@event.listens_for(Engine, "connect")
def _tune_sqlite(connection: DBAPIConnection, _record: object) -> None:
    """Readers never wait for a writer (WAL), a writer waits its turn, and foreign keys count."""
    if not _is_sqlite(connection):
        return
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=15000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
    # SQLite's own knows A to Z only, so nobody would find Özdemir or Élodie.
    connection.create_function("lower", 1, _lower, deterministic=True)


_UNUSED = 1.0
"""Seconds. A server that went away and came back took longer, so a connection that was used since is good; asking each
time would cost as much as a statement."""


@event.listens_for(Pool, "checkin")
def _note_use(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    entry.info["used"] = monotonic()


@event.listens_for(Pool, "checkout")
def _ask_whether_it_stands(
    connection: DBAPIConnection, entry: ConnectionPoolEntry, _held: PoolProxiedConnection
) -> None:
    """Before anybody relies on a connection that nobody used for a while: a server may have gone away, a file does
    not."""
    used = entry.info.get("used")
    if _is_sqlite(connection) or used is None or monotonic() - used < _UNUSED:
        return
    try:
        connection.cursor().execute("SELECT 1")
        connection.rollback()
    except Exception as problem:
        raise DisconnectionError from problem


def _is_sqlite(connection: DBAPIConnection) -> bool:
    return type(connection).__module__.partition(".")[0] == "sqlite3"
