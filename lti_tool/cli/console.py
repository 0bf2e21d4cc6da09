"""What every command shares: opening the application, and saying in one line what went wrong."""

import errno
import os
import socket
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any, NoReturn

import click
from alembic.util import CommandError
from flask import Flask
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from lti_tool import settings
from lti_tool.app import create_app
from lti_tool.badges.endorsements import EndorsementRefused
from lti_tool.credentials.service import CatalogConflict
from lti_tool.database import db, schema
from lti_tool.issuers.contexts import ContextsUnusable
from lti_tool.issuers.keys import KeyUnreadable as IssuerKeyUnreadable
from lti_tool.lti.keys import KeyConflict, KeyUnreadable
from lti_tool.lti.registrations import RegistrationConflict

_TOLD = (
    settings.SettingsError,
    ContextsUnusable,
    CatalogConflict,
    KeyConflict,
    KeyUnreadable,
    IssuerKeyUnreadable,
    EndorsementRefused,
    RegistrationConflict,
    CommandError,
)
"""What an operator can cause; each says in its own words what to do."""


def counted(things: Sized, name: str) -> str:
    """How many of them: “1 stack”, “2 stacks”."""
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


class Stopped(click.ClickException):
    """Something an operator can put right; one line on stderr."""

    exit_code = 2


class Desk(click.Group):
    """A group of commands that never answers an operator's mistake with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except _TOLD as problem:
            _stop(str(problem))
        except (OperationalError, InterfaceError) as problem:
            _stop(_database_problem(problem))
        except ArgumentError as problem:
            _stop(f"database_url is not usable: {problem}")
        except OSError as problem:
            if problem.filename is None:
                raise
            _stop(f"{problem.filename}: {problem.strerror}.")


def _stop(text: str) -> NoReturn:
    raise Stopped(" ".join(text.split())) from None


def _database_problem(problem: DBAPIError) -> str:
    first = str(problem.orig).strip().partition("\n")[0]
    return f"The database does not answer: {first}. Check database_url, and whether the server runs."


def read_settings(env: Mapping[str, str] | None = None) -> settings.Settings:
    """The settings, with an address of the database that can be used at all.

    :raises SettingsError: one line for the operator.
    """
    found = settings.load(env)
    try:
        make_url(found.database_url)
    except (ArgumentError, ValueError) as problem:
        raise settings.SettingsError(f"database_url cannot be read: {problem}.") from None
    return found


@contextmanager
def application(env: Mapping[str, str] | None = None, *, migrated: bool = True) -> Iterator[Flask]:
    """The application inside its context, its connections closed at the end.

    :param migrated: refuse a database that is not at the migration this version expects.
    """
    app = create_app(read_settings(env))
    with app.app_context():
        try:
            if migrated:
                check_schema()
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()
            app.extensions["jobs"].huey.storage.close()


def check_schema() -> None:
    """Refuse to work on tables of another version."""
    stands, expected = schema.revision(), schema.newest()
    if stands == expected:
        return
    if stands is not None and not schema.knows(stands):
        raise Stopped(
            f"The database stands at migration {stands}, which this version of Tessera does not know. "
            "Start the newer version that made it, or restore a backup."
        )
    raise Stopped(
        f"The database stands at {stands or 'no migration'}, this version needs {expected}. "
        "Run `lti-tool db upgrade` first."
    )


def check_port(host: str, port: int, option: str) -> None:
    """Refuse a port that cannot be listened on, before anything is started."""
    try:
        with socket.create_server((host, port)):
            return
    except OSError as problem:
        reasons = {
            errno.EADDRINUSE: "is taken by another program",
            errno.EACCES: "may be used by the system's administrator only",
        }
        reason = reasons.get(problem.errno or 0, f"cannot be used ({os.strerror(problem.errno or 0)})")
    except OverflowError:
        reason = "does not exist"
    raise Stopped(f"Port {port} at {host} {reason}. Choose another one with {option}, or stop that program.")
