"""A tool that is only a key, and a browser that is only a client."""

import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from lti_tool.practice_lms import LmsConfig, RunningLms

AGS = "https://purl.imsglobal.org/spec/lti-ags/"
CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/"
LAUNCH_URL = "http://tool.localhost:8700/lti/launch"
ALL_SCOPES = " ".join(
    f"{AGS}scope/{name}" for name in ("lineitem", "lineitem.readonly", "result.readonly", "score")
)
SCORE_TYPE = "application/vnd.ims.lis.v1.score+json"
LINE_ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def tool_jwks() -> dict[str, Any]:
    return {
        "keys": [{**jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "tool-key"}]
    }


def form_of(page: str) -> tuple[str, dict[str, str]]:
    """The address and fields of a page's form."""
    action = re.search(r'<form[^>]*action="([^"]*)"', page)
    assert action, page
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
    return unescape(action[1]), {name: unescape(value) for name, value in fields}


class Browser:
    """A person's browser without a screen: one session, redirects followed, every host at 127.0.0.1."""

    def __init__(self, lms: RunningLms) -> None:
        self.lms = lms
        self.session = requests.Session()

    def _address(self, path: str) -> str:
        parts = urlsplit(path)
        return f"{self.lms.service_url}{parts.path}{'?' if parts.query else ''}{parts.query}"

    def get(self, path: str) -> requests.Response:
        return self.session.get(self._address(path), timeout=10)

    def post(self, path: str, fields: dict[str, str] | None = None) -> requests.Response:
        return self.session.post(self._address(path), data=fields or {}, timeout=10)

    def become(self, name: str) -> "Browser":
        cards = re.findall(
            r'name="person" value="(\d+)".*?<strong>([^<]*)</strong>', self.get("/").text, re.S
        )
        self.post("/person", {"person": next(number for number, shown in cards if shown == name)})
        return self

    def login(self, frame: str) -> dict[str, str]:
        """Open an iframe page; return the fields of the third-party login that it posts to the tool."""
        return form_of(self.get(frame).text)[1]

    def authorize(self, login: dict[str, str], **changes: str | None) -> requests.Response:
        """Do what a tool does at its login address, with ``changes`` to the well-formed request."""
        params: dict[str, str | None] = {
            "scope": "openid",
            "response_type": "id_token",
            "response_mode": "form_post",
            "prompt": "none",
            "client_id": login["client_id"],
            "redirect_uri": self.lms.config.tool_launch_url,
            "login_hint": login["login_hint"],
            "lti_message_hint": login["lti_message_hint"],
            "state": "the-state",
            "nonce": uuid4().hex,
            **changes,
        }
        given = {name: value for name, value in params.items() if value is not None}
        return self.get(f"/auth?{urlencode(given)}")

    def answer(self, login: dict[str, str], **changes: str | None) -> dict[str, str]:
        return form_of(self.authorize(login, **changes).text)[1]

    def launch(self, frame: str) -> dict[str, Any]:
        """The claims of a whole launch, signature checked."""
        token = self.answer(self.login(frame))["id_token"]
        keys = jwt.PyJWKSet.from_dict(requests.get(f"{self.lms.service_url}/jwks", timeout=10).json())
        claims: dict[str, Any] = jwt.decode(
            token,
            keys[jwt.get_unverified_header(token)["kid"]].key,
            ["RS256"],
            audience=self.lms.config.client_id,
        )
        return claims


def assertion(lms: RunningLms, **changes: Any) -> str:
    now = int(lms.config.clock().timestamp())
    claims = {
        "iss": lms.config.client_id,
        "sub": lms.config.client_id,
        "aud": f"{lms.service_url}/token",
        "iat": now,
        "exp": now + 60,
        "jti": uuid4().hex,
        **changes,
    }
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(given, KEY, "RS256", headers={"kid": "tool-key"})


def ask_token(lms: RunningLms, scope: str = ALL_SCOPES, signed: str | None = None) -> requests.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion(lms) if signed is None else signed,
        "scope": scope,
    }
    return requests.post(f"{lms.service_url}/token", data=form, timeout=10)


class Tool:
    """The tool's server side: it picks content, holds a token and calls the grade services."""

    def __init__(self, lms: RunningLms, teacher: Browser) -> None:
        self.lms = lms
        self.teacher = teacher
        self.token = ask_token(lms).json()["access_token"]

    def call(
        self, method: str, url: str, json: Any = None, media_type: str = "", **more: Any
    ) -> requests.Response:
        headers = {
            "Authorization": f"Bearer {self.token}",
            **({"Content-Type": media_type} if media_type else {}),
        }
        return requests.request(method, url, json=json, headers={**headers, **more}, timeout=10)

    def picked(self, request_claims: dict[str, Any], items: list[dict[str, Any]], **changes: Any) -> str:
        now = int(self.lms.config.clock().timestamp())
        claims = {
            "iss": self.lms.config.client_id,
            "aud": self.lms.url,
            "iat": now,
            "exp": now + 300,
            "nonce": uuid4().hex,
            f"{CLAIM}message_type": "LtiDeepLinkingResponse",
            f"{CLAIM}version": "1.3.0",
            f"{CLAIM}deployment_id": request_claims[f"{CLAIM}deployment_id"],
            f"{DEEP_LINKING}content_items": items,
            **changes,
        }
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(given, KEY, "RS256", headers={"kid": "tool-key"})

    def add(
        self, title: str = "Universal design", maximum: float = 10, publish: bool = True, **column: Any
    ) -> dict[str, Any]:
        """Put an activity into the course by deep linking; return the claims of the teacher's launch of it.

        ``column`` is more about its gradebook column.
        """
        request_claims = self.teacher.launch("/frame/add")
        item = {
            "type": "ltiResourceLink",
            "title": title,
            "url": f"{LAUNCH_URL}?credential=udl",
            "custom": {"credential": "udl"},
            "lineItem": {
                "scoreMaximum": maximum,
                "label": title,
                "resourceId": "udl",
                "tag": "microcredential",
                **column,
            },
        }
        address = request_claims[f"{DEEP_LINKING}deep_linking_settings"]["deep_link_return_url"]
        self.teacher.post(address, {"JWT": self.picked(request_claims, [item])}).raise_for_status()
        number = max(re.findall(r'href="/activity/(\d+)"', self.teacher.get("/course").text), key=int)
        if publish:
            self.teacher.post(f"/activity/{number}/publish", {"published": "1"})
        return {"number": number, **self.teacher.launch(f"/frame/activity/{number}")}

    def score(self, line_item: str, user_id: str, **values: Any) -> requests.Response:
        sent = {
            "userId": user_id,
            "activityProgress": "Completed",
            "gradingProgress": "FullyGraded",
            "scoreGiven": 8,
            "scoreMaximum": 10,
            **values,
        }
        given = {name: value for name, value in sent.items() if value is not None}
        address, _, query = line_item.partition("?")
        return self.call("POST", f"{address}/scores{'?' if query else ''}{query}", given, SCORE_TYPE)

    def results(self, line_item: str, **filters: str) -> list[dict[str, Any]]:
        address, _, query = line_item.partition("?")
        more = "&".join(filter(None, [query, urlencode(filters)]))
        answer = self.call("GET", f"{address}/results?{more}", Accept="*/*")
        answer.raise_for_status()
        rows: list[dict[str, Any]] = answer.json()
        return rows


def line_item(launch: dict[str, Any]) -> str:
    return str(launch[f"{AGS}claim/endpoint"]["lineitem"])


def user_ids(lms: RunningLms) -> dict[str, str]:
    page = Browser(lms).become("Ingrid Okafor").get("/people").text
    return dict(re.findall(r'<th scope="row">([^<]*)</th>.*?<code>([^<]*)</code>', page, re.S))


def config_of(behaviour: Any, home: Path, **more: Any) -> LmsConfig:
    given = {
        "tool_login_url": "http://tool.localhost:8700/lti/login",
        "tool_launch_url": LAUNCH_URL,
        "tool_jwks_url": "http://127.0.0.1:9/lti/jwks",
        "tool_jwks": tool_jwks(),
        **more,
    }
    return LmsConfig(behaviour=behaviour, port=0, home=home, **given)
