"""`lti-tool demo` as somebody starts it who wants to see what this is."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.outside.operators import press_ctrl_c, said_no, starts, types
from tests.support.ports import free_port

_SECONDS = 90


@pytest.fixture
def ports() -> tuple[str, str]:
    return str(free_port()), str(free_port())


@contextmanager
def demo(home: Path, ports: tuple[str, str], *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo that runs, with what it printed."""
    arguments = ("--home", str(home), "--tool-port", ports[0], "--lms-port", ports[1], *more)
    # Settings of somebody's real installation must not leak into it.
    process = starts("demo", *arguments, cwd=home.parent, DATABASE_URL="postgresql://production/tessera")
    try:
        yield process, printed_by(process)
    finally:
        if process.poll() is None:
            press_ctrl_c(process)
        try:
            process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def printed_by(process: subprocess.Popen[str]) -> str:
    """Everything up to the last line of the welcome."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C stops everything" in line:
            return "".join(lines)
    raise AssertionError(f"It ended with {process.wait()}: {''.join(lines)}")


def page(port: str, host: str, path: str) -> requests.Response:
    return requests.get(
        f"http://127.0.0.1:{port}{path}", headers={"Host": f"{host}.localhost:{port}"}, timeout=10
    )


def child(parent: int, arguments: str) -> int:
    """The process that runs these arguments for that parent."""
    listed = subprocess.run(
        ["ps", "-Ao", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    for line in listed.splitlines():
        pid, ppid, command = line.split(maxsplit=2)
        if int(ppid) == parent and arguments in command:
            return int(pid)
    raise AssertionError(f"No {arguments} under {parent}: {listed}")


def nobody_listens(port: str) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", int(port))) != 0


@pytest.mark.parametrize("behaviour", ["canvas", "moodle"])
def test_it_prints_two_addresses_that_answer_and_ctrl_c_stops_all_of_it(
    tmp_path: Path, ports: tuple[str, str], behaviour: str
):
    with demo(tmp_path / "demo", ports, "--behaviour", behaviour) as (process, printed):
        assert f"http://lms.localhost:{ports[1]}" in printed
        assert f"http://tool.localhost:{ports[0]}/credentials" in printed
        assert "127.0.0.1 lms.localhost tool.localhost" in printed
        assert ("Publish" in printed) == (behaviour == "canvas")
        assert "Universal Design for Learning" in page(ports[0], "tool", "/credentials").text
        assert "Ingrid Okafor" in page(ports[1], "lms", "/").text

        press_ctrl_c(process)
        process.communicate(timeout=_SECONDS)

    assert process.returncode == 0
    assert "worker stopped" in (tmp_path / "demo" / "worker.log").read_text(encoding="utf-8")
    assert nobody_listens(ports[0])
    assert nobody_listens(ports[1])


@pytest.mark.long
def test_running_it_again_keeps_the_data(tmp_path: Path, ports: tuple[str, str]):
    home = tmp_path / "demo"
    with demo(home, ports) as (_, printed):
        assert str(home) in printed
    secret = (home / "secret.key").read_text(encoding="ascii")

    with demo(home, ports):
        listed = types(home, "platform", "list", SECRET_KEY=secret)

    assert listed.output.count("Practice LMS (canvas)") == 1
    assert (home / "secret.key").read_text(encoding="ascii") == secret
    other = ("--home", str(home), "--tool-port", str(free_port()), "--lms-port", ports[1])
    assert f"was made for --tool-port {ports[0]}" in said_no(types(home, "demo", *other))


@pytest.mark.long
def test_a_part_that_dies_is_named_and_the_rest_is_stopped(tmp_path: Path, ports: tuple[str, str]):
    with demo(tmp_path / "demo", ports) as (process, _):
        os.kill(child(process.pid, "lti_tool.cli worker"), signal.SIGKILL)
        said, _ = process.communicate(timeout=_SECONDS)

    assert process.returncode == 1
    assert re.search(r"The worker was ended by SIGKILL, so everything was stopped\. .*worker\.log", said)
    assert nobody_listens(ports[0])
    assert nobody_listens(ports[1])
