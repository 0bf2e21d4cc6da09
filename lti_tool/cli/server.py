"""The web server of `lti-tool run`: Gunicorn, set up by config/gunicorn.py."""

import os
import sys
from typing import NoReturn

from lti_tool.settings import config_dir


def serve(host: str, port: int) -> NoReturn:
    """Serve until SIGTERM or SIGINT. This process becomes Gunicorn, so that its workers do not carry the command line
    and all that it can do with them."""
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    os.execv(  # noqa: S606  # no shell, on purpose, and nothing in it that a shell would read
        sys.executable,
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--config",
            str(config_dir() / "gunicorn.py"),
            "--bind",
            bind,
            "lti_tool.app:create_app()",
        ],
    )
