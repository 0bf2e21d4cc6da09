"""Applications on a database of their own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask

from lti_tool import http, settings
from lti_tool.app import create_app
from lti_tool.badges.service import ensure_issuer
from lti_tool.credentials import catalog
from lti_tool.credentials.service import store
from lti_tool.credit.service import store_rules
from lti_tool.database import db
from lti_tool.lti.keys import ensure_key

SECRET = "a secret that only tests use, long enough"
NOON = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
CONFIG = settings.config_dir()


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


def load_catalogue() -> None:
    """Publish the shipped catalogue, as `lti-tool catalog load` does."""
    found = catalog.load(CONFIG / "catalog", CONFIG / "frameworks")
    credit = {(spec.key, spec.version): spec.credit for spec in found.credentials}
    for version in store(found, now=NOON).published:
        store_rules(version.id, credit[version.credential.key, version.number])


def fill(app: Flask) -> None:
    """Tables, keys, issuer and catalogue."""
    with app.app_context():
        db.create_all()
        ensure_key(NOON)
        ensure_issuer(now=NOON)
        load_catalogue()
        db.session.commit()


@contextmanager
def running(home: Path, **more: str) -> Iterator[Flask]:
    """An application whose connections are closed afterwards."""
    app = create_app(settings_for(home, **more))
    app.testing = True
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
