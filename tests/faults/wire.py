"""The wire between the tool and an LMS, which a test may cut at the moment of its choice."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65_536


class Wire:
    """Carries connections to a server. ``url`` is where it begins."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        assert parts.hostname is not None
        assert parts.port is not None
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.away = False
        """The LMS does not answer at all."""
        self.lost_requests = 0
        """How many requests from now on get lost on their way."""
        self.lost_answers = 0
        """How many answers from now on get lost, after the LMS has done what it was asked."""
        self.when_asked: Callable[[], None] | None = None
        """Called once, when a score has arrived and the LMS has not read it yet."""
        self.when_answered: Callable[[], None] | None = None
        """Called once, when the LMS has stored a score and its answer has not been carried back."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection that is open now."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(caller,), daemon=True).start()

    def _carry(self, caller: socket.socket) -> None:
        if self.away:
            caller.close()
            return
        try:
            server = socket.create_connection(self._server, timeout=10)
        except OSError:
            caller.close()
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {caller, server}
        posts = threading.Event()
        back = threading.Thread(target=self._back, args=(server, caller, posts), daemon=True)
        back.start()
        with suppress(OSError):
            while data := caller.recv(_CHUNK):
                if self._loses("lost_requests"):
                    break
                if data.startswith(b"POST ") and b"/scores" in data.split(b"\r\n", 1)[0]:
                    posts.set()
                    self._once("when_asked")
                server.sendall(data)
        self._close(caller, server)

    def _back(self, server: socket.socket, caller: socket.socket, posts: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK):
                if self._loses("lost_answers"):
                    break
                if posts.is_set():
                    posts.clear()
                    self._once("when_answered")
                caller.sendall(data)
        self._close(caller, server)

    def _loses(self, which: str) -> bool:
        with self._lock:
            left: int = getattr(self, which)
            if left > 0:
                setattr(self, which, left - 1)
            return left > 0

    def _once(self, which: str) -> None:
        with self._lock:
            hook, _ = getattr(self, which), setattr(self, which, None)
        if hook is not None:
            hook()

    def _close(self, *ends: socket.socket) -> None:
        with self._lock:
            self._open -= set(ends)
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
