"""An application context around every test of this folder: the courier and the ledger need one, as a worker has it.

On SQLite, and where a module says ``ON_BOTH``, on PostgreSQL as well.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.support.apps import fill, running
from tests.support.cast import Campus
from tests.support.postgres import copy_of, empty_database

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
ON_POSTGRES = pytest.mark.parametrize("app", [POSTGRES], indirect=True)
ON_BOTH = pytest.mark.parametrize("app", ["sqlite", POSTGRES], indirect=True)


@pytest.fixture(scope="session")
def filled_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database on PostgreSQL with tables, keys and the shipped catalogue, to be copied."""
    with empty_database() as address:
        with running(tmp_path_factory.mktemp("filled"), DATABASE_URL=address) as app:
            fill(app)
        yield address


@pytest.fixture
def app(request: pytest.FixtureRequest, home: Path) -> Iterator[Flask]:
    if getattr(request, "param", "sqlite") == "sqlite":
        with running(home) as application:
            yield application
        return
    with (
        copy_of(request.getfixturevalue("filled_database")) as address,
        running(home, DATABASE_URL=address) as application,
    ):
        yield application


@pytest.fixture
def here(app: Flask, campus: Campus) -> Iterator[Campus]:
    with app.app_context():
        yield campus
