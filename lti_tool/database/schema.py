"""Bringing a database to the tables that this version of the code expects.

For the command line and the tests: a process that serves pages has no use for Alembic, and never loads it.
"""

from pathlib import Path
from typing import cast

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import current_app
from flask_migrate import Migrate

from lti_tool.database.base import db

migrate = Migrate(directory=str(Path(__file__).parent / "migrations"), render_as_batch=True)


def revision() -> str | None:
    """The migration that the database stands at; None before the first."""
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str | None:
    """The migration that this code expects."""
    return ScriptDirectory.from_config(config()).get_current_head()


def knows(name: str) -> bool:
    """Whether this code has that migration; not where a newer version has made it."""
    try:
        return ScriptDirectory.from_config(config()).get_revision(name) is not None
    except CommandError:
        return False


def upgrade(to: str = "head") -> None:
    """Run what is missing, all or nothing. Two processes that do so at once take turns.

    :raises CommandError: a migration that this code does not know, or one that would have broken references.
    """
    command.upgrade(config(), to)


def downgrade(to: str = "base") -> None:
    """Go back to an earlier migration, all or nothing.

    :raises CommandError: as for :func:`upgrade`.
    """
    command.downgrade(config(), to)


def config() -> Config:
    """Alembic's own, with our folder of migrations."""
    if "migrate" not in current_app.extensions:
        migrate.init_app(current_app, db)
    return cast(Config, migrate.get_config())
