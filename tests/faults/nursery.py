"""Worker processes that start in a moment, because the program is loaded once and they are forked from it."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from lti_tool.settings import clean_environment
from tests.support.apps import SECRET

_NURSERY = """
import os, signal, sys
from lti_tool.app import create_app
from lti_tool.worker import run

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(0)
        try:
            run(create_app())
        finally:
            os._exit(0)
    print(pid, flush=True)
"""
SETTINGS = {
    "PLATFORM_TIMEOUT": "1",
    "LEASE_SECONDS": "4",
    "SWEEP_SECONDS": "0.3",
    "LOG_LEVEL": "ERROR",
    "SECRET_KEY": SECRET,
    "PUBLIC_URL": "http://tool.localhost:8700",
}


class Nursery:
    """Starts workers of one home, and ends them by their process ids."""

    def __init__(self, home: Path, **more: str) -> None:
        env = clean_environment() | SETTINGS | {"TESSERA_HOME": str(home)} | more
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.workers: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in list(self.workers):
            self.kill(pid)
        self._process.communicate(timeout=20)

    def start(self, count: int = 1) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for _ in range(count):
            self._process.stdin.write("start\n")
            self._process.stdin.flush()
            self.workers.append(int(self._process.stdout.readline()))

    def kill(self, pid: int) -> None:
        """kill -9."""
        self.workers.remove(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        for pid in list(self.workers):
            self.kill(pid)
