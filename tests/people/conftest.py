"""A course on a platform that lists its people."""

from collections.abc import Iterator

import pytest

from tests.lti.platform_double import FakePlatform


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    double = FakePlatform()
    yield double
    double.close()
