"""`lti-tool selfcheck`: the main job, walked over HTTP from outside.

The tool and its worker run as the processes that an operator would start, in a temporary home, and an operator's
commands set them up. Nothing of the tool is imported: what is found here, anyone would find.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal, get_args

import requests

from lti_tool.practice_lms import LmsConfig, RunningLms, serve
from lti_tool.selfcheck.browser import Unexpected
from lti_tool.selfcheck.journey import NEEDS_PUBLISHING, STEPS, faculty_publish
from lti_tool.selfcheck.scene import Scene, Step
from lti_tool.settings import clean_environment

Behaviour = Literal["canvas", "moodle"]

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_PROGRAM = (sys.executable, "-m", "lti_tool.cli")


class _Failed(Exception):
    """A step went wrong; the text says how."""


def run(out: Path, steps: Sequence[tuple[str, Step]] = STEPS) -> int:
    """Walk the main job in both behaviours of the practice LMS, one line per step.

    :param out: gets a folder per behaviour with what was received; made where missing.
    :returns: 0, or 1 if a step failed.
    """
    started = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="tessera-selfcheck-"))
    try:
        with ExitStack() as stack:
            _walk_all(stack, home, out, steps)
    except _Failed as failed:
        _say(f"\nFailed: {failed}\nThe logs are kept in {home}")
        return 1
    shutil.rmtree(home, ignore_errors=True)
    _say(f"\nEverything works, in {time.monotonic() - started:.0f} seconds. What was received is in {out}")
    return 0


def set_up(stack: ExitStack, home: Path) -> tuple[str, dict[Behaviour, RunningLms]]:
    """Start the tool, its worker and an LMS of each behaviour, until the stack ends.

    :returns: the tool's address, and the platforms.
    """
    port = _free_port()
    tool = f"http://tool.localhost:{port}"
    env = clean_environment() | {
        "TESSERA_HOME": str(home),
        "PUBLIC_URL": tool,
        "SERVICE_URL": f"http://127.0.0.1:{port}",
    }
    platforms: dict[Behaviour, RunningLms] = {
        behaviour: stack.enter_context(serve(_lms_config(behaviour, home, tool, port)))
        for behaviour in get_args(Behaviour)
    }
    with _step("An operator makes the database and starts the tool and its worker"):
        _operate(env, "db", "upgrade")
        for name, arguments in (("tessera", ("run", "--port", str(port))), ("worker", ("worker",))):
            stack.enter_context(_running(env, home / f"{name}.log", *arguments))
    with (
        _step("They load the catalogue, connect two platforms and list their registrars"),
        ThreadPoolExecutor() as pool,
    ):
        # Side by side, as most of their time is Python starting.
        waiting = [pool.submit(_connect, env, behaviour, lms) for behaviour, lms in platforms.items()]
        waiting.append(pool.submit(_operate, env, "catalog", "load"))
        for one in waiting:
            one.result()
        _wait_until_up(f"http://127.0.0.1:{port}/healthz", home / "tessera.log")
    return tool, platforms


def _walk_all(stack: ExitStack, home: Path, out: Path, steps: Sequence[tuple[str, Step]]) -> None:
    tool, platforms = set_up(stack, home)
    for behaviour, lms in platforms.items():
        _say(f"\nAn LMS that behaves like {behaviour.capitalize()}")
        folder = out / behaviour
        folder.mkdir(parents=True, exist_ok=True)
        scene = Scene(lms, tool, folder)
        stack.callback(scene.close)
        for sentence, step in steps:
            if step is faculty_publish and behaviour not in NEEDS_PUBLISHING:
                continue
            with _step(sentence):
                step(scene)


@contextmanager
def _step(sentence: str) -> Iterator[None]:
    """One line: the step, whether it worked, how long it took."""
    started = time.monotonic()
    try:
        yield
    except (Unexpected, requests.RequestException, _Failed) as problem:
        _say(f"  FAILED  {sentence}")
        raise _Failed(str(problem)) from None
    except (ValueError, KeyError, IndexError, TypeError) as problem:
        # An answer that could not be read at all.
        _say(f"  FAILED  {sentence}")
        raise _Failed(f"{type(problem).__name__}: {problem}") from problem
    _say(f"  ok  {sentence} ({time.monotonic() - started:.1f} s)")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _operate(env: Mapping[str, str], *arguments: str) -> None:
    """Run one of the tool's commands as an operator would."""
    done = subprocess.run(  # noqa: S603 - our own program with our own arguments
        [*_PROGRAM, *arguments],
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=_START_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise _Failed(f"lti-tool {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")


def _lms_config(behaviour: Behaviour, home: Path, tool: str, port: int) -> LmsConfig:
    return LmsConfig(
        behaviour=behaviour,
        port=0,
        home=home / "lms",
        tool_login_url=f"{tool}/lti/login",
        tool_launch_url=f"{tool}/lti/launch",
        tool_jwks_url=f"http://127.0.0.1:{port}/lti/jwks",
    )


def _connect(env: Mapping[str, str], behaviour: Behaviour, lms: RunningLms) -> None:
    facts = lms.registration
    name = f"Practice LMS ({behaviour})"
    options = {
        "--name": name,
        "--product": facts["product"],
        "--issuer": facts["issuer"],
        "--client-id": facts["client_id"],
        "--deployment": facts["deployment_id"],
        "--auth-url": facts["auth_url"],
        "--token-url": facts["token_url"],
        "--jwks-url": facts["jwks_url"],
    }
    _operate(env, "platform", "add", *(word for pair in options.items() for word in pair if word))
    _operate(env, "registrar", "add", "--platform", name, "--subject", lms.administrator)


@contextmanager
def _running(env: Mapping[str, str], log: Path, *arguments: str) -> Iterator[None]:
    """A part of the tool that runs until the end of the check."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program with our own arguments
            [*_PROGRAM, *arguments],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with suppress(requests.RequestException):
            if requests.get(address, timeout=5).status_code == 200:
                return
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace")[-500:]
    raise _Failed(f"The tool did not answer in {_START_SECONDS:.0f} seconds. It said: {said}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
        return number
