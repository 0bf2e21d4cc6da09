"""A small, honest LTI 1.3 platform to try and test the tool against, without a Canvas or a Moodle.

It behaves like one of the two, chosen when it is made: what they refuse, it refuses, and what they
damage, it damages. It knows nothing of the tool but what its administrator would have typed in.
Nothing here is meant to be reached from another machine.
"""

import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from lti_tool.practice_lms import launches, pages, registration, services, store
from lti_tool.practice_lms.platform import Lms, LmsConfig
from lti_tool.practice_lms.products.canvas import Canvas
from lti_tool.practice_lms.products.moodle import Moodle

__all__ = ["LmsConfig", "RunningLms", "create_lms", "serve", "sign"]


def create_lms(config: LmsConfig) -> Flask:
    """Make the LMS as a Flask application; its people and course are made when its home is empty."""
    lms = Lms(config, Canvas if config.behaviour == "canvas" else Moodle)
    lms.config = registration.restore(lms.config, lms.settings)
    app = Flask(__name__)
    app.extensions["practice_lms"] = lms
    app.config["SECRET_KEY"] = lms.secret_key
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
    # Cookies do not know ports: two practice LMSs side by side would share one.
    app.config["SESSION_COOKIE_NAME"] = f"practice_lms_{config.port}"
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    launches.register(app, lms)
    registration.register(app, lms)
    services.register(app, lms)
    pages.register(app, lms)
    return app


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: what arrived is in the LMS's own record."""


class RunningLms:
    """A practice LMS that is answering requests, until it is closed."""

    def __init__(self, app: Flask, server: BaseWSGIServer) -> None:
        self.app = app
        self._lms: Lms = app.extensions["practice_lms"]
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    @property
    def config(self) -> LmsConfig:
        return self._lms.config

    @property
    def url(self) -> str:
        """Where a browser finds it; also the issuer."""
        return self._lms.url

    @property
    def service_url(self) -> str:
        """Where a program finds it: the same server, by a name that every resolver knows."""
        return self._lms.service_url

    @property
    def registration(self) -> dict[str, str | None]:
        """issuer, client_id, auth_url, token_url, jwks_url, deployment_id, product, authorization_server."""
        return self._lms.registration

    @property
    def administrator(self) -> str:
        """``sub`` of the administrator: what the operator of a tool is given for an access list."""
        with self._lms.store.transaction() as db:
            return next(str(row["sub"]) for row in store.people(db) if row["role"] == "administrator")

    def close(self) -> None:
        self._lms.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(config: LmsConfig) -> RunningLms:
    """Serve on 127.0.0.1, in a thread of its own. Port 0 takes a free one before any address is built."""
    with socket.create_server(("127.0.0.1", config.port)) as listener:
        port = listener.getsockname()[1]
        app = create_lms(replace(config, port=port))
        server = make_server(
            "127.0.0.1", port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
        )
    return RunningLms(app, server)


def sign(
    lms: Flask | RunningLms, claims: Mapping[str, Any], header_overrides: Mapping[str, Any] | None = None
) -> str:
    """Sign any claims with the platform's key, so that a test can send a launch that no LMS would."""
    app = lms.app if isinstance(lms, RunningLms) else lms
    platform: Lms = app.extensions["practice_lms"]
    return platform.sign(claims, header_overrides)
