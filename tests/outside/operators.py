"""Operators at their keyboards."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from lti_tool.cli import main
from tests.support.apps import SECRET

PROGRAM = (sys.executable, "-m", "lti_tool.cli")


def settings_of(home: Path, **more: str) -> dict[str, str]:
    return {
        "TESSERA_HOME": str(home),
        "SECRET_KEY": SECRET,
        "QUEUE_URL": "memory://",
        "LOG_LEVEL": "ERROR",
    } | more


def types(home: Path, *arguments: str, **more: str) -> Result:
    """What `lti-tool ...` does in that home, in this process."""
    return CliRunner().invoke(main, list(arguments), env=settings_of(home, **more))


def starts(*arguments: str, cwd: Path, **more: str) -> subprocess.Popen[str]:
    """`lti-tool ...` in a process group of its own, as a shell would start it; its output is piped to us."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        env=os.environ | more,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """As a terminal does it: the whole group gets the signal."""
    os.killpg(process.pid, signal.SIGINT)


def said_no(result: Result) -> str:
    """The one line with which a command refused; anything else than one clear line fails."""
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: "), lines[0]
    return lines[0].removeprefix("Error: ")
