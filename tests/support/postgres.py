"""Databases of their own on a PostgreSQL server, for tests of what SQLite does differently."""

import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
from sqlalchemy import text

from lti_tool.database import db

SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432")


@contextmanager
def empty_database(template: str = "template1") -> Iterator[str]:
    """The address of an empty database that is gone afterwards; skips the test where no server answers."""
    try:
        server = psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL server answers (TEST_POSTGRES_URL)")
    name = f"tessera_test_{uuid.uuid4().hex[:12]}"
    with server:
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield f"{SERVER}/{name}"
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def copy_of(address: str) -> AbstractContextManager[str]:
    """The address of a copy of that database, which nobody may be connected to. It is gone afterwards."""
    return empty_database(address.rpartition("/")[2])


def somebody_waits() -> bool:
    """Whether a session of the application's database waits for another."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with db.engine.connect() as connection:
        return bool(connection.scalar(waiting))
