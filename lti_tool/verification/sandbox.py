"""Bringing a stranger's JSON-LD into canonical form, in a process of its own that can be stopped.

Canonicalising is pure Python: a graph made for the purpose keeps a processor busy for minutes, and with it every
other thread of a web process. The limits in ``issuers.proof`` refuse what is known to be bad; this is for what is
not known yet. The process is started with the first badge and goes on to serve the next; it is given no settings,
so it knows no secrets, and it ends with us.
"""

import atexit
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import IO, Any

from lti_tool.issuers import proof

log = logging.getLogger(__name__)

CPU_SECONDS = 4.0
"""For one document. The largest that the limits let through takes half a second of a slow machine."""
WALL_SECONDS = 20.0
"""After which the process is ended, whatever it does."""
_MEMORY = 1 << 30
_KINDS: dict[str, type[proof.NotCovered]] = {
    kind.__name__: kind
    for kind in (
        proof.NotCovered,
        proof.ControlCharacter,
        proof.OddNumber,
        proof.EmptyValue,
        proof.RelativeAddress,
        proof.UndefinedTerm,
        proof.DescribedTwice,
        proof.ForeignContext,
        proof.TooComplex,
    )
}


class Unavailable(Exception):
    """The process could not be started, or is busy with others for too long."""


class Sandbox:
    """One process that canonicalises for us, one document after the other."""

    def __init__(self, *, cpu_seconds: float = CPU_SECONDS, wall_seconds: float = WALL_SECONDS) -> None:
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def hash_data(
        self, document: Mapping[str, Any], options: Mapping[str, Any], *, may_repeat: bool
    ) -> bytes:
        """What ``proof.hash_data`` gives or raises; ``proof.TooComplex`` also for what took too long.

        :raises Unavailable: it could not be found out now.
        """
        asked = {
            "document": document,
            "options": options,
            "may_repeat": may_repeat,
            "cpu_seconds": self._cpu_seconds,
        }
        if not self._turn.acquire(timeout=self._wall_seconds):
            raise Unavailable
        try:
            answer = self._ask(json.dumps(asked).encode() + b"\n")
        finally:
            self._turn.release()
        if "interrupted" in answer:
            raise _too_long()
        if "hash" in answer:
            return bytes.fromhex(answer["hash"])
        raise _KINDS[answer["kind"]](answer["where"], answer["reason"])

    def close(self) -> None:
        """End the process; the next question starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _ask(self, line: bytes) -> dict[str, Any]:
        process = (
            self._process if self._process is not None and self._process.poll() is None else self._start()
        )
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._wall_seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = b""
        finally:
            timer.cancel()
        if not answer:
            self.close()
            log.error("sandbox ended", extra={"late": late.is_set(), "status": process.returncode})
            if late.is_set():
                raise _too_long()
            raise Unavailable
        told: dict[str, Any] = json.loads(answer)
        if "interrupted" in told:
            # What pyld keeps between documents may be half changed.
            self.close()
        return told

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module; nothing here comes from a stranger
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        except OSError:
            log.exception("sandbox did not start")
            raise Unavailable from None
        return self._process


class _TimeIsUp(BaseException):
    """Not an Exception, so that nothing on the way takes it for one of its own."""


def serve(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer one line with one line until there are no more."""
    with suppress(ValueError, OSError):  # macOS has no such limit.
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGVTALRM, _time_is_up)
    # Ctrl-C in a terminal is for our parent, whose end we notice.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Now, and not while the time of the first document runs.
    import_module("lti_tool.issuers.canonical")
    for line in questions:
        answers.write(json.dumps(_answered(line)).encode() + b"\n")
        answers.flush()


def _answered(line: bytes) -> dict[str, str]:
    asked = json.loads(line)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, asked["cpu_seconds"])
        found = proof.hash_data(asked["document"], asked["options"], may_repeat=asked["may_repeat"])
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return {"hash": found.hex()}
    except proof.NotCovered as cause:
        return _told(cause)
    except (_TimeIsUp, MemoryError):
        return {"interrupted": "yes"}
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _too_long() -> proof.TooComplex:
    return proof.TooComplex("", "it takes too long to bring it into order")


def _told(cause: proof.NotCovered) -> dict[str, str]:
    return {"kind": type(cause).__name__, "where": cause.where, "reason": cause.reason}


def _time_is_up(_number: int, _frame: FrameType | None) -> None:
    raise _TimeIsUp


shared = Sandbox()
"""The one of this process for what strangers give us."""
own = Sandbox()
"""For the badges that we keep: people who look at a shared badge do not stand in line behind strangers' files."""
atexit.register(shared.close)
atexit.register(own.close)

if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
