"""An application context around every test of this folder: the courier and the ledger need one, as a worker has it."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.support.cast import Campus


@pytest.fixture
def here(app: Flask, campus: Campus) -> Iterator[Campus]:
    with app.app_context():
        yield campus
