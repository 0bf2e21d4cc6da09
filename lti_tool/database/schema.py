"""Bringing a database to the tables that this version of the code expects."""

from typing import cast

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from lti_tool.database.base import db, migrate


def revision() -> str | None:
    """The migration that the database stands at; None before the first."""
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str | None:
    """The migration that this code expects."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def knows(name: str) -> bool:
    """Whether this code has that migration; not where a newer version has made it."""
    try:
        return ScriptDirectory.from_config(_config()).get_revision(name) is not None
    except CommandError:
        return False


def upgrade(to: str = "head") -> None:
    """Run what is missing, all or nothing. Two processes that do so at once take turns.

    :raises CommandError: a migration that this code does not know, or one that would have broken references.
    """
    command.upgrade(_config(), to)


def downgrade(to: str = "base") -> None:
    """Go back to an earlier migration, all or nothing.

    :raises CommandError: as for :func:`upgrade`.
    """
    command.downgrade(_config(), to)


def _config() -> Config:
    return cast(Config, migrate.get_config())
