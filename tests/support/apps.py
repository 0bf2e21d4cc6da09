"""Applications on a database of their own."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from flask import Flask
from jinja2 import FileSystemBytecodeCache
from werkzeug.routing import Rule

from lti_tool import http, settings
from lti_tool.app import create_app
from lti_tool.cli.operator import prepare, publish
from lti_tool.credentials import catalog
from lti_tool.database import db

SECRET = "a secret that only tests use, long enough"
NOON = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
CONFIG = settings.config_dir()


class _KnownRule(Rule):
    """A rule that another application of this process has compiled need not be compiled again: thousands of tests
    make an application each, and half of what that costs is here."""

    _known: ClassVar[dict[object, Callable[..., tuple[str, str]]]] = {}

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        defaults = repr(sorted((self.defaults or {}).items()))
        key = (self.rule, self.subdomain, self.host, self.merge_slashes, defaults, append_unknown)
        if key not in self._known:
            self._known[key] = super()._compile_builder(append_unknown)
        return self._known[key]


Flask.url_rule_class = _KnownRule
# Templates too, by their text.
_TEMPLATES = FileSystemBytecodeCache()


class _KnownStatements(dict[Any, Any]):
    """And statements: SQLAlchemy keeps them by engine, of which every test has its own, all of one kind."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__((key[0].name, *key[1:]), compiled)


_STATEMENTS = _KnownStatements()


def settings_for(home: Path, **more: str) -> settings.Settings:
    """Settings as an operator would give them, read by the product's own reader."""
    env = {
        "TESSERA_HOME": str(home),
        "PUBLIC_URL": "http://tool.localhost:8700",
        "SECRET_KEY": SECRET,
        "QUEUE_URL": "memory://",
        "LOG_LEVEL": "ERROR",
    }
    return settings.load(env | more)


def fill(app: Flask) -> None:
    """Tables, keys, issuer and the shipped catalogue, by the command line's own functions."""
    with app.app_context():
        prepare(NOON)
        publish(catalog.load(CONFIG / "catalog", CONFIG / "frameworks"), now=NOON)
        db.session.commit()


@contextmanager
def running(home: Path, **more: str) -> Iterator[Flask]:
    """An application whose connections are closed afterwards."""
    app = create_app(settings_for(home, **more))
    app.testing = True
    app.jinja_env.bytecode_cache = _TEMPLATES
    with app.app_context():
        db.engine.update_execution_options(compiled_cache=_STATEMENTS)
    try:
        yield app
    finally:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
        http.close()


def copy_home(template: Path, home: Path) -> None:
    """A filled home in milliseconds instead of a second."""
    shutil.copytree(template, home, dirs_exist_ok=True)
