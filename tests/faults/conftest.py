"""A scene with the practice LMS as Canvas, or in the behaviour that a test asks for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from lti_tool.lti import keys
from lti_tool.practice_lms import LmsConfig, serve
from tests.faults.machines import Scene, connect
from tests.support.cast import Campus


@pytest.fixture
def scene(
    request: pytest.FixtureRequest, app: Flask, campus: Campus, home: Path, tmp_path: Path
) -> Iterator[Scene]:
    with app.app_context():
        jwks = keys.public_jwks()
    config = LmsConfig(
        behaviour=getattr(request, "param", "canvas"),
        port=0,
        home=tmp_path / "lms",
        tool_login_url="http://tool.localhost:8700/lti/login",
        tool_launch_url="http://tool.localhost:8700/lti/launch",
        tool_jwks_url="http://127.0.0.1:8700/lti/jwks",
        tool_jwks=jwks,
    )
    with serve(config) as lms:
        built = connect(app, campus, lms, home)
        try:
            yield built
        finally:
            built.close()
