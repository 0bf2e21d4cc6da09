"""Audit logs in databases of both kinds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from lti_tool.database import schema
from tests.support.apps import running
from tests.support.postgres import empty_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of an empty database."""
    if request.param == "sqlite":
        (tmp_path / "home").mkdir()
        yield f"sqlite:///{tmp_path / 'home' / 'tessera.db'}"
        return
    with empty_database() as address:
        yield address


@pytest.fixture
def app(address: str, tmp_path: Path) -> Iterator[Flask]:
    """An application whose tables are empty."""
    with running(tmp_path / "home", DATABASE_URL=address) as application:
        with application.app_context():
            schema.upgrade()
        yield application
