"""A town to walk in: the practice LMS, Tessera and its worker, each on its own port, and a browser."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti.registrations import add_platform
from lti_tool.practice_lms import LmsConfig, RunningLms, serve
from tests.support.apps import SECRET, copy_home, running
from tests.support.ports import free_port

Behaviour = Literal["canvas", "moodle"]
BEHAVIOURS: tuple[Behaviour, ...] = ("canvas", "moodle")


@dataclass(frozen=True)
class Town:
    """Where things are. ``tool`` and ``lms.url`` are addresses for browsers."""

    behaviour: Behaviour
    tool: str
    lms: RunningLms
    app: Flask
    home: Path


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Requests are not news in a test."""


@contextmanager
def town_with(
    behaviour: Behaviour, template: Path, folder: Path, *, busy: bool = True, connected: bool = True
) -> Iterator[Town]:
    """``busy`` with a worker; a town in which nothing is posted or signed needs none. ``connected``: an operator has
    connected the LMS; else neither of the two knows of the other."""
    port = free_port()
    tool = f"http://tool.localhost:{port}"
    home = folder / "tool"
    copy_home(template, home)
    config = LmsConfig(behaviour=behaviour, port=0, home=folder / "lms")
    if connected:
        config = replace(
            config,
            tool_login_url=f"{tool}/lti/login",
            tool_launch_url=f"{tool}/lti/launch",
            tool_deep_link_url=f"{tool}/lti/launch",
            tool_jwks_url=f"http://127.0.0.1:{port}/lti/jwks",
        )
    more = {"PUBLIC_URL": tool, "QUEUE_URL": "", "SWEEP_SECONDS": "0.5", "MAX_UPLOAD_MB": "1"}
    with ExitStack() as stack:
        lms = stack.enter_context(serve(config))
        if not connected:
            more |= {"SERVICE_URL": f"http://127.0.0.1:{port}"}
            more |= {"OUTGOING_ALLOWED": f"{lms.url} {lms.service_url}"}
        app = stack.enter_context(running(home, **more))
        if connected:
            connect(app, lms)
        server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            with worker(home, **more) if busy else nullcontext():
                yield Town(behaviour, tool, lms, app, home)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def connect(app: Flask, lms: RunningLms, name: str = "Practice LMS") -> None:
    """What an operator does with ``lti-tool platform add``."""
    facts = lms.registration
    with app.app_context():
        add_platform(
            name=name,
            product=str(facts["product"]),
            issuer=str(facts["issuer"]),
            client_id=str(facts["client_id"]),
            auth_url=str(facts["auth_url"]),
            token_url=str(facts["token_url"]),
            jwks_url=str(facts["jwks_url"]),
            deployment_ids=[str(facts["deployment_id"])],
            token_audience=facts["authorization_server"],
            now=clock.now(),
        )
        db.session.commit()


def lti_tool(town_home: Path, *arguments: str) -> str:
    """Run the command line as an operator does; its output."""
    env = {"TESSERA_HOME": str(town_home), "SECRET_KEY": SECRET, "LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, "-m", "lti_tool.cli", *arguments],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@contextmanager
def worker(home: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real worker, in a process of its own."""
    env = {"TESSERA_HOME": str(home), "SECRET_KEY": SECRET, "LOG_LEVEL": "ERROR"} | settings
    process = subprocess.Popen([sys.executable, "-m", "lti_tool.cli", "worker"], env=os.environ | env)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(params=BEHAVIOURS)
def town(request: pytest.FixtureRequest, filled_home: Path, tmp_path: Path) -> Iterator[Town]:
    with town_with(request.param, filled_home, tmp_path) as built:
        yield built
