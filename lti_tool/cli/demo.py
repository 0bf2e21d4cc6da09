"""`lti-tool demo`: the tool, its worker and a practice LMS, as three parts that start and stop together."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from lti_tool import clock, http
from lti_tool.cli.console import Stopped, application, check_port
from lti_tool.cli.operator import prepare, publish, read_catalogue
from lti_tool.database import db
from lti_tool.lti.registrations import add_platform, find_deployment
from lti_tool.people.service import grant_desk
from lti_tool.practice_lms import LmsConfig, RunningLms, serve
from lti_tool.settings import clean_environment, config_dir

_START_SECONDS = 40.0
_STOP_SECONDS = 20.0
_LAST_LINES = 12
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Part:
    """A child process and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


def run(behaviour: str, home: Path, tool_port: int, lms_port: int) -> int:
    """Run the demonstration until Ctrl-C, SIGTERM or the end of one of its parts. Returns the exit status.

    :raises Stopped: it cannot start; one line says why.
    """
    if tool_port == lms_port:
        raise Stopped("--tool-port and --lms-port must differ.")
    check_port("127.0.0.1", tool_port, "--tool-port (make demo TOOL_PORT=...)")
    check_port("127.0.0.1", lms_port, "--lms-port (make demo LMS_PORT=...)")
    _keep_addresses(home, tool_port, lms_port)
    env = _environment(home, tool_port, lms_port)
    stop = _stop_signal()
    with ExitStack() as stack:
        stack.enter_context(_noted_as_running(home))
        _fill(env)
        lms = stack.enter_context(serve(_lms_config(behaviour, home, tool_port, lms_port)))
        _connect(env, lms, behaviour)
        parts: list[Part] = []
        stack.callback(_end, parts)
        parts.append(_start("Tessera", ["run", "--port", str(tool_port)], env, home / "tessera.log"))
        parts.append(_start("The worker", ["worker"], env, home / "worker.log"))
        if _wait_until_up(f"http://127.0.0.1:{tool_port}/healthz", parts, stop):
            click.echo(_welcome(behaviour, home, tool_port, lms_port))
            _watch(parts, stop)
        failed = None if stop.is_set() else _ended(parts)
        if failed is None:
            click.echo("\nStopping.")
    if failed is not None:
        _tell_crash(failed)
        return 1
    return 0


def _keep_addresses(home: Path, tool_port: int, lms_port: int) -> None:
    """Activities, accounts and badges carry the addresses that they were made under, so a home keeps its ports."""
    path = home / "ports.json"
    asked = {"tool": tool_port, "lms": lms_port}
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(json.dumps(asked), encoding="ascii")
        return
    kept = json.loads(path.read_text(encoding="ascii"))
    if kept != asked:
        raise Stopped(
            f"{home} was made for --tool-port {kept['tool']} --lms-port {kept['lms']}, and its activities and badges "
            "carry these addresses. Use them again, choose another --home, or delete that folder."
        )


@contextmanager
def _noted_as_running(home: Path) -> Iterator[None]:
    """For `make demo-reset`, which must not pull the data from under a demo that runs."""
    note = home / "demo.pid"
    note.write_text(str(os.getpid()), encoding="ascii")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def _environment(home: Path, tool_port: int, lms_port: int) -> dict[str, str]:
    """The environment of every part. Settings that stand in the operator's own are for the real thing."""
    return clean_environment() | {
        "TESSERA_HOME": str(home),
        "PUBLIC_URL": f"http://tool.localhost:{tool_port}",
        # Only browsers resolve names that end in .localhost.
        "SERVICE_URL": f"http://127.0.0.1:{tool_port}",
        # So that the practice LMS can register Tessera by itself, too.
        "OUTGOING_ALLOWED": f"http://lms.localhost:{lms_port} http://127.0.0.1:{lms_port}",
    }


def _lms_config(behaviour: str, home: Path, tool_port: int, lms_port: int) -> LmsConfig:
    tool = f"http://tool.localhost:{tool_port}"
    return LmsConfig(
        behaviour="canvas" if behaviour == "canvas" else "moodle",
        port=lms_port,
        home=home / "lms",
        tool_login_url=f"{tool}/lti/login",
        tool_launch_url=f"{tool}/lti/launch",
        tool_jwks_url=f"http://127.0.0.1:{tool_port}/lti/jwks",
    )


def _fill(env: Mapping[str, str]) -> None:
    with application(env, migrated=False):
        prepare(clock.now())
        publish(read_catalogue(config_dir() / "catalog", config_dir() / "frameworks"), now=clock.now())
        db.session.commit()


def _connect(env: Mapping[str, str], lms: RunningLms, behaviour: str) -> None:
    """What an operator does once: register the platform, and put its administrator on the registrar's list."""
    facts = {name: value or "" for name, value in lms.registration.items()}
    now = clock.now()
    with application(env):
        registration = add_platform(
            name=f"Practice LMS ({behaviour})",
            product=facts["product"],
            issuer=facts["issuer"],
            client_id=facts["client_id"],
            auth_url=facts["auth_url"],
            token_url=facts["token_url"],
            jwks_url=facts["jwks_url"],
            deployment_ids=[facts["deployment_id"]],
            now=now,
        )
        deployment = find_deployment(registration.id, facts["deployment_id"])
        assert deployment is not None
        grant_desk(deployment, lms.administrator, now=now)
        db.session.commit()


def _stop_signal() -> threading.Event:
    """Set by the first Ctrl-C, SIGTERM or closing of the terminal."""
    stop = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in _SIGNALS:
        signal.signal(number, note)
    return stop


def _start(name: str, arguments: list[str], env: Mapping[str, str], log: Path) -> Part:
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program with our own arguments
            [sys.executable, "-m", "lti_tool.cli", *arguments],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Part(name, process, log)


def _wait_until_up(address: str, parts: list[Part], stop: threading.Event) -> bool:
    """Whether the tool answers; not if it was stopped, a part ended, or it took too long."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not stop.is_set() and _ended(parts) is None:
        with suppress(http.NoAnswer):
            if http.send("GET", address, timeout=2.0).status == 200:
                return True
        stop.wait(0.1)
    return False


def _watch(parts: list[Part], stop: threading.Event) -> None:
    while not stop.wait(0.5) and _ended(parts) is None:
        pass
    # Ctrl-C reaches the parts as well, and one may end before our own signal was noted.
    stop.wait(0.3)


def _ended(parts: list[Part]) -> Part | None:
    return next((part for part in parts if part.process.poll() is not None), None)


def _end(parts: list[Part]) -> None:
    """The worker first: what it holds may still need the tool's keys. Nothing outlives us."""
    deadline = time.monotonic() + _STOP_SECONDS
    for part in reversed(parts):
        part.process.terminate()
    for part in parts:
        try:
            part.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            part.process.kill()
            part.process.wait()


def _tell_crash(part: Part) -> None:
    code = part.process.returncode
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    click.echo(f"{part.name} {how}, so everything was stopped. {part.log} ends with:", err=True)
    lines = part.log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines[-_LAST_LINES:]:
        click.echo(f"  {line}", err=True)


def _welcome(behaviour: str, home: Path, tool_port: int, lms_port: int) -> str:
    publish_it = (
        '\n     Press "Publish" beside the new activity: like Canvas, this LMS hides it from learners until then.'
        if behaviour == "canvas"
        else ""
    )
    return f"""
Tessera runs, together with a practice LMS that behaves like {behaviour.capitalize()}.

  1. The practice LMS:     http://lms.localhost:{lms_port}
     Choose Ingrid Okafor (instructor) and press "Add from Tessera".{publish_it}
     Then switch to Lena Brandt (learner) and open the activity, hand something in,
     switch back to Ingrid to assess it, and look at the gradebook.
     Ada Whitfield (administrator) opens the registrar's desk.
  2. Tessera's catalogue:  http://tool.localhost:{tool_port}/credentials

If your browser does not find these addresses: Chrome, Edge and Firefox know names that end in .localhost by
themselves, Safari does not. Use one of those, or add this line to your hosts file:
  127.0.0.1 lms.localhost tool.localhost

Data and logs: {home}
Ctrl-C stops everything; the data stays for the next time."""
