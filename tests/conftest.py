"""Fixtures for every test: an application with a catalogue of its own, and a campus on it."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.apps import copy_home, fill, running
from tests.support.cast import Campus, build_campus

_CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with tables, keys and the shipped catalogue, to be copied."""
    home = tmp_path_factory.mktemp("filled")
    with running(home) as app:
        fill(app)
    return home


@pytest.fixture
def home(filled_home: Path, tmp_path: Path) -> Path:
    target = tmp_path / "home"
    copy_home(filled_home, target)
    return target


@pytest.fixture
def app(home: Path) -> Iterator[Flask]:
    with running(home) as application:
        yield application


@pytest.fixture
def campus(app: Flask) -> Campus:
    with app.app_context():
        return build_campus()


@pytest.fixture(scope="session")
def chromium_options() -> dict[str, Any]:
    """How Chromium is started here, by whoever needs one with a profile of its own."""
    if _CHROMIUM is None:
        pytest.skip("no Chromium on this machine (install it, or name it in CHROMIUM)")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    return {"executable_path": _CHROMIUM, "args": arguments}


@pytest.fixture(scope="session")
def chromium(chromium_options: dict[str, Any]) -> Iterator[Browser]:
    """The one browser of a test run: a second Playwright in the same process would not start."""
    # How long a busy machine may take before something counts as missing.
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**chromium_options)
        yield browser
        browser.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Skips by reason: what this machine could not test."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    terminalreporter.write_sep("-", f"{sum(reasons.values())} skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:4} {reason}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """On CI everything is there, so a skip hides something."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") == "true" and skipped and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
