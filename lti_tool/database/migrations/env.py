"""Runs migrations, all or none, on SQLite as well as on PostgreSQL.

SQLite cannot alter most of a table, so Alembic builds a new one, copies the rows and drops the old one. Dropping it
with foreign keys on deletes, without a word, every child row that cascades. So foreign keys are off meanwhile (a
switch that SQLite ignores inside a transaction), and before the commit every reference is checked.
"""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection

from lti_tool.database import Base, UtcDateTime, db

# The application is made before this runs, and with it every model.
TARGET = Base.metadata
_LOCK = 7_260_811_213
"""Any number that is always the same: two that start at once then migrate one after the other."""


def rendered(kind: str, thing: Any, _context: AutogenContext) -> str | Literal[False]:
    """Migrations speak of plain types: they must still run when our own have changed."""
    if kind == "type" and isinstance(thing, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run_offline() -> None:
    """Print the SQL instead of running it, for databases that only their keeper may change."""
    context.configure(
        url=current_app.config["SQLALCHEMY_DATABASE_URI"], target_metadata=TARGET, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            _run_on_sqlite(connection)
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            _run(connection)
            connection.commit()


def _run_on_sqlite(connection: Connection) -> None:
    # Python's driver would begin its transactions after the first statements; here the migration begins its own.
    connection = connection.execution_options(isolation_level="AUTOCOMMIT")
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            _run(connection)
            _check_references(connection)
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
    finally:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")


def _check_references(connection: Connection) -> None:
    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(5):
        places = ", ".join(f"{row[0]} row {row[1]} to {row[2]}" for row in broken)
        raise CommandError(f"The migration broke references ({places}); nothing was changed.")


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=TARGET,
        render_as_batch=True,
        compare_type=True,
        render_item=rendered,
    )
    context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
