"""Platforms that register Tessera, over real HTTP: a Moodle as recorded, and a Canvas as its source has it."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.lti.platform_double import Asked, FakePlatform, Reply

ROOT = "https://tool.localhost"
TOOL = "https://purl.imsglobal.org/spec/lti-tool-configuration"
PLATFORM = "https://purl.imsglobal.org/spec/lti-platform-configuration"
CANVAS = "https://canvas.instructure.com/lti/"
TOKEN = "eyJ0b2tlbiI6MX0.e30.c2ln"
RECORDED = Path(__file__).parents[1] / "fixtures" / "moodle-4.5" / "dynamic-registration.json"


class Registering:
    """One platform, and the browser of its administrator, who has typed in our address."""

    def __init__(self, app: Flask, platform: FakePlatform) -> None:
        self.app, self.platform = app, platform
        own = app.extensions["settings"]
        app.extensions["settings"] = replace(own, outgoing_allowed=platform.url)
        self.client: FlaskClient = app.test_client(use_cookies=False)
        self.configuration: dict[str, Any] = {}
        self.reply = Reply()
        self.config_path = "/openid-configuration"
        platform.answers[self.config_path] = lambda _: Reply(body=self.configuration)
        platform.answers["/register"] = lambda _: self.reply

    def as_moodle(self) -> "Registering":
        text = RECORDED.read_text(encoding="utf-8").replace("http://moodle.localhost:8080", self.platform.url)
        recorded = json.loads(text)
        self.configuration = recorded["openid_configuration"] | {
            "registration_endpoint": f"{self.platform.url}/register"
        }
        self.reply = Reply(body=recorded["registration_response"]["body"])
        return self

    def as_canvas(self) -> "Registering":
        url = self.platform.url
        self.configuration = {
            "issuer": url,
            "authorization_endpoint": f"{url}/api/lti/authorize_redirect",
            "token_endpoint": f"{url}/login/oauth2/token",
            "jwks_uri": f"{url}/api/lti/security/jwks",
            "registration_endpoint": f"{url}/register",
            "authorization_server": "canvas.example.edu",
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": [
                *(f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}" for name in ("lineitem", "score")),
                "https://purl.imsglobal.org/spec/lti/scope/noticehandlers",
                "https://canvas.instructure.com/lti/public_jwk/scope/update",
            ],
            PLATFORM: {
                "product_family_code": "canvas",
                "messages_supported": [
                    {
                        "type": "LtiResourceLinkRequest",
                        "placements": ["account_navigation", "course_navigation"],
                    },
                    {
                        "type": "LtiDeepLinkingRequest",
                        "placements": [f"{CANVAS}assignment_selection", "link_selection", "editor_button"],
                    },
                ],
                "variables": [],
                f"{CANVAS}account_name": "Northfield\u202e University",
            },
        }
        self.reply = Reply(body={"client_id": 10000000000042, "scope": "openid"})
        return self

    def address(self, **more: str) -> str:
        given = {
            "openid_configuration": f"{self.platform.url}{self.config_path}",
            "registration_token": TOKEN,
        }
        return f"/lti/register?{urlencode(given | more)}"

    def open(self, **more: str) -> TestResponse:
        return self.client.get(self.address(**more), base_url=ROOT)

    def press(self, page: TestResponse) -> TestResponse:
        found = re.search(r'name="ticket" value="([^"]+)"', page.text)
        assert found, page.text
        return self.client.post("/lti/register", data={"ticket": html.unescape(found[1])}, base_url=ROOT)

    def follow(self, answer: TestResponse) -> TestResponse:
        assert answer.status_code == 303, answer.text
        return self.client.get(answer.headers["Location"], base_url=ROOT)

    def register(self, **more: str) -> TestResponse:
        """All of it; the last page."""
        return self.follow(self.press(self.open(**more)))

    @property
    def sent(self) -> dict[str, Any]:
        """What the platform was asked to register."""
        [asked] = self.platform.asked_at("/register")
        body: dict[str, Any] = json.loads(asked.body)
        return body


Change = Callable[[Registering], None]


def answering(status: int, body: Any = b"") -> Callable[[Asked], Reply]:
    return lambda _: Reply(status, body)
