"""A home that an operator has prepared."""

import shutil
from pathlib import Path

import pytest

from tests.outside.operators import types


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, keys and issuer, and no catalogue; to be copied."""
    home = tmp_path_factory.mktemp("prepared") / "home"
    assert types(home, "db", "upgrade").exit_code == 0
    return home


@pytest.fixture
def prepared(prepared_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared_home, tmp_path / "prepared"))
