"""A platform's server side over real HTTP: a key set, a token endpoint, and whatever else a test puts there.

It signs what a test gives it, so that a bad message can be bad in one way only.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
PUBLIC_URL = "http://tool.localhost:8700"
ISSUER = "http://moodle.localhost:8080"
CLIENT_ID = "LobiiicSKDGiYVl"


@dataclass(frozen=True)
class Key:
    kid: str
    private: rsa.RSAPrivateKey

    @classmethod
    def make(cls, kid: str) -> Self:
        return cls(kid, rsa.generate_private_key(public_exponent=65537, key_size=2048))

    def jwk(self, **more: str) -> dict[str, Any]:
        public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {"kty": "RSA", "n": public["n"], "e": public["e"], "kid": self.kid, **more}


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class FakePlatform:
    """Answers by path; what is not there is 404. ``asked`` holds every request in order."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, Callable[[Asked], Reply]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.issue_tokens()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, *keys: dict[str, Any], cache_control: str | None = None) -> None:
        """Let /jwks show these keys."""
        headers = {"Cache-Control": cache_control} if cache_control else {}
        self.answers["/jwks"] = lambda _: Reply(body={"keys": list(keys)}, headers=headers)

    def issue_tokens(self, *, seconds: Any = 3600, delay: float = 0.0) -> None:
        """Let /token hand out token-1, token-2 and so on, as text/html like Moodle."""

        def answer(_: Asked) -> Reply:
            time.sleep(delay)
            number = len(self.asked_at("/token"))
            body = {"access_token": f"token-{number}", "token_type": "Bearer", "expires_in": seconds}
            return Reply(body=json.dumps(body).encode(), headers={"Content-Type": "text/html; charset=utf-8"})

        self.answers["/token"] = answer

    def asked_at(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if urlsplit(asked.path).path == path]

    def _answer(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
        answer = self.answers.get(urlsplit(asked.path).path)
        return Reply(404) if answer is None else answer(asked)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reply = platform._answer(Asked(self.command, self.path, dict(self.headers), body))
                content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                try:
                    # Not send_response, which says the time of this machine whatever the test wants said.
                    self.send_response_only(reply.status)
                    for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except ConnectionError:
                    """A test that gives up early has closed its end."""

            do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names that http.server looks for

            def log_message(self, *args: Any) -> None:
                """Tests look at ``asked`` instead."""

        return Handler


def sign(claims: Mapping[str, Any], key: Key, header: Mapping[str, Any] | None = None) -> str:
    """An id_token with that key; ``header`` adds to or (with None) takes from the usual one."""
    return jwt.encode(dict(claims), key.private, "RS256", headers={"kid": key.kid, **(header or {})})


def fresh(claims: Mapping[str, Any], *, nonce: str, now: datetime) -> dict[str, Any]:
    """Recorded claims as the platform would send them now, to us."""
    return {
        **claims,
        "nonce": nonce,
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(seconds=60)).timestamp()),
        LTI + "target_link_uri": PUBLIC_URL + "/lti/launch",
    }
