"""Another issuer, on a server of its own: what it publishes is put there by the test."""

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from lti_tool.issuers import proof
from lti_tool.issuers.contexts import CREDENTIALS_V2

JSON = "application/json"


class Site:
    """A web server: path -> status, content type and body. It remembers what it was asked."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.did_host = f"did:web:127.0.0.1%3A{port}"
        self.pages: dict[str, tuple[int, str, bytes, dict[str, str]]] = {}
        self.asked: list[str] = []

    def put(
        self,
        path: str,
        body: Any,
        *,
        status: int = 200,
        kind: str = JSON,
        headers: dict[str, str] | None = None,
    ) -> str:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.pages[path] = (status, kind, raw, headers or {})
        return self.origin + path


@contextmanager
def site() -> Iterator[Site]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked.append(self.path)
            status, kind, body, headers = here.pages.get(self.path, (404, "text/plain", b"", {}))
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are not news in a test."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    here = Site(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Foreign:
    """An issuer with a key of each kind, and a DID on a site."""

    def __init__(self, place: Site) -> None:
        self.site = place
        self.did = f"{place.did_host}:issuers:7"
        self.key = proof.new_signing_key()
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.p256 = ec.generate_private_key(ec.SECP256R1())
        self.multikey = proof.multikey(self.key.public_key())
        self.method = f"{self.did}#{self.multikey}"

    def did_document(self, **more: Any) -> dict[str, Any]:
        entry = {
            "id": self.method,
            "type": "Multikey",
            "controller": self.did,
            "publicKeyMultibase": self.multikey,
        }
        return {
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": self.did,
            "verificationMethod": [entry],
            "assertionMethod": [self.method],
            **more,
        }

    def publish(self) -> None:
        self.site.put("/issuers/7/did.json", self.did_document(), kind="application/did+json")

    def named(self, document: dict[str, Any], name: str | None = None) -> dict[str, Any]:
        """``document`` as this issuer's, without its status."""
        rest = {key: value for key, value in document.items() if key not in ("proof", "credentialStatus")}
        subject = {key: value for key, value in document["credentialSubject"].items() if key != "source"}
        issuer = {"id": name or self.did, "type": ["Profile"], "name": "Elsewhere College"}
        return {**rest, "issuer": issuer, "credentialSubject": subject}

    def sign(self, document: dict[str, Any], now: datetime) -> dict[str, Any]:
        return proof.sign(document, self.key, self.method, now)

    def jwk(self, kind: str = "RS256", **more: str) -> dict[str, str]:
        if kind == "RS256":
            numbers = self.rsa.public_key().public_numbers()
            return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **more}
        point = self.p256.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32), **more}

    def token(self, document: dict[str, Any], header: dict[str, Any], **claims: Any) -> bytes:
        """``document`` as a VC-JWT; ``claims`` replace the registered ones, None leaves one out."""
        registered = {
            "iss": document["issuer"]["id"],
            "jti": document["id"],
            "sub": document["credentialSubject"]["id"],
            "nbf": seconds(document["validFrom"]),
            **({"exp": seconds(document["validUntil"])} if "validUntil" in document else {}),
            **claims,
        }
        return self.signed(
            {**document, **{key: value for key, value in registered.items() if value is not None}}, header
        )

    def signed(self, payload: dict[str, Any], header: dict[str, Any]) -> bytes:
        """Any payload as a compact JWS."""
        signed = b".".join(unpadded(json.dumps(part).encode()) for part in (header, payload))
        if header["alg"] == "ES256":
            pair = decode_dss_signature(self.p256.sign(signed, ec.ECDSA(SHA256())))
            raw = b"".join(part.to_bytes(32) for part in pair)
        else:
            raw = self.rsa.sign(signed, padding.PKCS1v15(), SHA256())
        return signed + b"." + unpadded(raw)

    def status_list(self, address: str, bits: bytes, now: datetime, **more: Any) -> dict[str, Any]:
        packed = gzip.compress(bits, mtime=0)
        return {
            "@context": [CREDENTIALS_V2],
            "id": address,
            "type": ["VerifiableCredential", "BitstringStatusListCredential"],
            "issuer": self.did,
            "validFrom": proof.timestamp(now),
            "credentialSubject": {
                "id": f"{address}#list",
                "type": "BitstringStatusList",
                "statusPurpose": "revocation",
                "encodedList": "u" + unpadded(packed).decode(),
            },
            **more,
        }


def number(value: int, size: int | None = None) -> str:
    return unpadded(value.to_bytes(size or (value.bit_length() + 7) // 8)).decode()


def unpadded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())
