"""Empty databases of both kinds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.support.apps import running
from tests.support.postgres import empty_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """An application whose database has no tables yet."""
    if request.param == "sqlite":
        with running(tmp_path / "home") as app:
            yield app
        return
    with empty_database() as address, running(tmp_path / "home", DATABASE_URL=address) as app:
        yield app
