"""The web server of `lti-tool run`: Gunicorn, set up by config/gunicorn.py."""

from typing import Any

from gunicorn.app.base import Application

from lti_tool.app import create_app
from lti_tool.settings import config_dir


class Server(Application):
    """Gunicorn without a command line of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__()

    def load_config(self) -> None:
        self.load_config_from_file(str(config_dir() / "gunicorn.py"))
        self.cfg.set("bind", self._bind)

    def load(self) -> Any:
        """One application for each worker process, made after the fork: connections must not cross it."""
        return create_app()


def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    Server(host, port).run()
