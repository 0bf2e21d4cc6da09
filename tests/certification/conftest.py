"""The same platform and door as in tests/lti, and the public one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certification.way import Way, open_door
from tests.lti.conftest import (
    _as_a_new_process,
    app,
    door,
    key,
    learner_claims,
    now,
    other_key,
    platform,
    registration,
)
from tests.lti.platform_double import Key


@pytest.fixture(scope="module")
def way(
    filled_home: Path, tmp_path_factory: pytest.TempPathFactory, key: Key, other_key: Key
) -> Iterator[Way]:
    with open_door(filled_home, tmp_path_factory.mktemp("door") / "home", key, other_key) as way:
        yield way


__all__ = [
    "_as_a_new_process",
    "app",
    "door",
    "key",
    "learner_claims",
    "now",
    "other_key",
    "platform",
    "registration",
]
