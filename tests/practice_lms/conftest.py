"""A running practice LMS of each kind, with its teacher and its tool."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lti_tool.practice_lms import RunningLms, serve

from .helpers import Browser, Tool, config_of


@pytest.fixture(scope="session")
def seeded_homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The people, the course and the key, made once: a key takes longer to make than all the rest."""
    homes = tmp_path_factory.mktemp("practice-lms")
    for behaviour in ("canvas", "moodle"):
        serve(config_of(behaviour, homes / behaviour)).close()
    return homes


@pytest.fixture
def start(tmp_path: Path, seeded_homes: Path) -> Iterator[Callable[..., RunningLms]]:
    running: list[RunningLms] = []

    def _start(behaviour: str, **more: Any) -> RunningLms:
        home = tmp_path / behaviour
        if not home.exists():
            shutil.copytree(seeded_homes / behaviour, home)
        lms = serve(config_of(behaviour, home, **more))
        running.append(lms)
        return lms

    yield _start
    for lms in running:
        lms.close()


@pytest.fixture
def canvas(start: Callable[..., RunningLms]) -> RunningLms:
    return start("canvas")


@pytest.fixture
def moodle(start: Callable[..., RunningLms]) -> RunningLms:
    return start("moodle")


@pytest.fixture(params=["canvas", "moodle"])
def lms(request: pytest.FixtureRequest, start: Callable[..., RunningLms]) -> RunningLms:
    return start(request.param)


@pytest.fixture
def teacher(lms: RunningLms) -> Browser:
    return Browser(lms).become("Ingrid Okafor")


@pytest.fixture
def tool(lms: RunningLms, teacher: Browser) -> Tool:
    return Tool(lms, teacher)
