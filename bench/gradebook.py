"""A gradebook that does nothing but take its time and count: what Tessera's delivery is measured against.

Run by grades.py in a process of its own, so that its work is not counted as Tessera's. It answers over connections that
are kept open, after a fixed latency, and, where it is told to, with Canvas's rate limit, faster by a factor.
"""

import json
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from lti_tool.practice_lms.throttle import Bucket

COST = 0.4
"""Points of the rate limit that a score takes: what the practice LMS takes."""
_START = datetime(2026, 11, 2, tzinfo=UTC)


class Counts:
    """What has come in since the last look."""

    def __init__(self, latency: float, faster: float) -> None:
        self.latency = latency
        begun = time.monotonic()

        def clock() -> datetime:
            return _START + timedelta(seconds=(time.monotonic() - begun) * faster)

        self.bucket = Bucket(clock) if faster else None
        self.lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self.scores = self.tokens = self.throttled = 0
        self.first = self.last = 0.0

    def told(self) -> dict[str, Any]:
        seconds = self.last - self.first
        return {
            "scores": self.scores,
            "tokens": self.tokens,
            "throttled": self.throttled,
            "seconds": seconds,
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the headers of an answer wait for the acknowledgement of the one before.
    disable_nagle_algorithm = True
    counts: Counts

    def do_GET(self) -> None:
        counts = self.counts
        if self.path not in ("/count", "/forget"):
            # Somebody reads results: there are none.
            self._answer(200, [])
            return
        with counts.lock:
            told = counts.told()
            if self.path == "/forget":
                counts.forget()
        self._answer(200, told)

    def do_POST(self) -> None:
        counts = self.counts
        arrived = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if urlsplit(self.path).path == "/token":
            # Tokens for reading results are another matter.
            with counts.lock:
                counts.tokens += b"scope%2Fscore" in body
            self._answer(200, {"access_token": "bench", "token_type": "bearer", "expires_in": 3600})
            return
        if counts.bucket is not None and counts.bucket.enter() is None:
            with counts.lock:
                counts.throttled += 1
            self._answer(403, "403 Forbidden (Rate Limit Exceeded)\n", {"X-Rate-Limit-Remaining": "0.0"})
            return
        time.sleep(counts.latency)
        headers = {}
        if counts.bucket is not None:
            headers = {"X-Rate-Limit-Remaining": f"{counts.bucket.leave(COST):.1f}"}
        with counts.lock:
            counts.first = counts.first or arrived
            counts.last = time.monotonic()
            counts.scores += 1
        self._answer(200, {}, headers)

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main(latency: float, faster: float) -> None:
    """Serve at a free port, which is printed, until killed. ``faster`` 0 has no rate limit."""
    Handler.counts = Counts(latency, faster)
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
