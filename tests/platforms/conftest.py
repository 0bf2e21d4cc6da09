"""Open edX's own platform code in a process of its own, Tessera beside it, and a browser without a screen.

Tessera is served by a single thread here: Open edX fetches our keys while it answers our request for a token, so a
page that waited for a token would never get one.
"""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti.registrations import add_platform
from lti_tool.lti.sessions import COOKIE_NAME
from tests.routes.test_picker import form_of as picker_form
from tests.support.apps import copy_home, running
from tests.support.ports import free_port

CREDENTIAL = "udl-variability"
_STARTS_WITHIN = 60


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Requests are not news in a test."""


@dataclass(frozen=True)
class OpenEdx:
    """The platform, and Tessera connected to it."""

    url: str
    tool: str
    app: Flask
    info: dict[str, Any]

    def state(self) -> dict[str, Any]:
        """What the tool has done so far, as the platform sees it."""
        told: dict[str, Any] = requests.get(f"{self.url}/state", timeout=10).json()
        return told

    def browser(self, user: str, role: str) -> "Browser":
        return Browser(self, user, role)


class Browser:
    """Somebody signed in to Open edX. Cookies for Tessera are kept by hand: they are Secure, and this is plain HTTP."""

    def __init__(self, edx: OpenEdx, user: str, role: str) -> None:
        self.edx, self.user, self.role = edx, user, role
        self.at_edx = requests.Session()
        self.cookie = ""
        self.home = ""

    def launch(self, block: str = "quiz", *, deeplink: bool = False) -> requests.Response:
        """Open a block, or Studio's link for choosing its content; the first page of Tessera that this leads to."""
        query = f"user={self.user}&role={self.role}&block={block}{'&deeplink=1' if deeplink else ''}"
        begun = self.at_edx.get(f"{self.edx.url}/start?{query}", timeout=10, allow_redirects=False)
        login = self.tool("GET", begun.headers["Location"])
        told = self.at_edx.get(login.headers["Location"], timeout=10)
        action, fields = form_of(told.text)
        assert action == f"{self.edx.tool}/lti/launch", told.text
        answer = self.tool("POST", action, fields)
        while answer.status_code == 303:
            self.home = self.home or answer.headers["Location"]
            answer = self.tool("GET", self.edx.tool + urlsplit(answer.headers["Location"]).path)
        return answer

    def tool(self, method: str, url: str, data: dict[str, Any] | None = None) -> requests.Response:
        headers = {"Cookie": f"{COOKIE_NAME}={self.cookie}"} if self.cookie else {}
        answer = requests.request(method, url, data=data, headers=headers, timeout=20, allow_redirects=False)
        if found := re.search(rf"{COOKIE_NAME}=([^;]+)", answer.headers.get("Set-Cookie", "")):
            self.cookie = found[1]
        return answer


def picked(page: str) -> dict[str, Any]:
    """The picker's form as it stands on its page, with the token that shows that it does."""
    token = re.search(r'name="csrf_token" value="([^"]*)"', page)
    assert token, page
    return {"csrf_token": token[1], **picker_form(page)}


def form_of(page: str) -> tuple[str, dict[str, str]]:
    """Where a page's form goes, and its hidden fields, whatever order their attributes stand in."""
    form = re.search(r"<form[^>]*>", page)
    assert form, page
    fields = {}
    for tag in re.findall(r"<input[^>]*>", page):
        facts = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if "name" in facts and facts.get("type", "hidden") == "hidden":
            fields[facts["name"]] = unescape(facts.get("value", ""))
    action = re.search(r'action="([^"]*)"', form[0])
    return unescape(action[1]) if action else "", fields


@pytest.fixture(scope="module")
def edx(filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenEdx]:
    folder, python = os.environ.get("TESSERA_OPENEDX"), os.environ.get("TESSERA_OPENEDX_PYTHON")
    if not folder or not python:
        pytest.skip(
            "Open edX's platform code is not here (TESSERA_OPENEDX and TESSERA_OPENEDX_PYTHON name it)"
        )
    port, tool_port = free_port(), free_port()
    url, tool = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{tool_port}"
    home = tmp_path_factory.mktemp("openedx")
    copy_home(filled_home, home)
    addresses = {
        "--port": str(port),
        "--tool-login": f"{tool}/lti/login",
        "--tool-launch": f"{tool}/lti/launch",
        "--tool-jwks": f"{tool}/lti/jwks",
        "--redirect-uri": f"{tool}/lti/launch",
        "--custom": f"credential={CREDENTIAL}",
    }
    command = [python, "openedx_platform.py", "serve", *(part for pair in addresses.items() for part in pair)]
    with (home / "openedx.log").open("wb") as log, running(home, PUBLIC_URL=tool, QUEUE_URL="") as app:
        server = make_server("127.0.0.1", tool_port, app, threaded=False, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, stdout=log, stderr=log
        )
        try:
            yield OpenEdx(url, tool, app, _connected(app, url, process, home / "openedx.log"))
        finally:
            process.terminate()
            process.wait(timeout=20)
            server.shutdown()
            thread.join()
            server.server_close()


def _connected(app: Flask, url: str, process: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    """Wait until the platform answers, then do what an operator does with ``lti-tool platform add``."""
    ends = time.monotonic() + _STARTS_WITHIN
    info: dict[str, Any] = {}
    while not info:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        assert time.monotonic() < ends, "Open edX did not start."
        with suppress(requests.ConnectionError, json.JSONDecodeError):
            info = requests.get(f"{url}/info", timeout=20).json()
        time.sleep(0.1)
    with app.app_context():
        known = set()
        for block in info["blocks"].values():
            # Blocks on one passport share client id and keys; each other is a registration of its own.
            if block["client_id"] not in known:
                known.add(block["client_id"])
                add_platform(
                    name="Open edX",
                    product="openedx",
                    issuer=info["issuer"],
                    client_id=block["client_id"],
                    auth_url=block["auth_endpoint"],
                    token_url=block["token_endpoint"],
                    jwks_url=block["jwks_url"],
                    deployment_ids=[block["deployment_id"]],
                    now=clock.now(),
                )
        db.session.commit()
    return info
