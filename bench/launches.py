"""What a launch costs the server, from the platform's login to the first page, beside the least that it could cost.

Tessera and a bare Flask application (floor.py) run side by side under Gunicorn with two workers each, are launched into
in turns over HTTP, and the processor time of their workers is read from the kernel. On SQLite, and on PostgreSQL where
TEST_POSTGRES_URL names a server.

python bench/launches.py [HOW MANY]
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import parse_qs, urlsplit

import psycopg
import requests

from lti_tool.practice_lms import LmsConfig, RunningLms, serve, sign

HOST = "127.0.0.1"
LTI = "https://purl.imsglobal.org/spec/lti/claim/"
CONFIG = Path(__file__).parents[1] / "config" / "gunicorn.py"
ADDRESSES = ("issuer", "client_id", "auth_url", "token_url", "jwks_url")
WORKERS = 2
ROUNDS = 10
WARM_UP = 40
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One Gunicorn with its workers."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def workers(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in listed]

    def cpu(self) -> float:
        """Seconds of processor time that the workers have used so far."""
        total = 0
        for pid in self.workers():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def megabytes(self, kind: str) -> float:
        """Memory of the largest worker: Rss is all that it has in memory, Pss its share of what others have as well."""
        sizes = []
        for pid in self.workers():
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            sizes.append(next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")))
        return max(sizes) / 1024


def main(count: int) -> None:
    with ExitStack() as stack:
        for name, database in stack.enter_context(databases()).items():
            measure(name, database, count)


@contextmanager
def databases() -> Iterator[dict[str, str | None]]:
    """SQLite, and a PostgreSQL database that is gone afterwards."""
    server = os.environ.get("TEST_POSTGRES_URL")
    if server is None:
        yield {"SQLite": None}
        return
    name = f"tessera_bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield {"SQLite": None, "PostgreSQL": f"{server}/{name}"}
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def measure(name: str, database: str | None, count: int) -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tool_port, floor_port = 8791, 8792
        tool_url = f"http://{HOST}:{tool_port}"
        lms = stack.enter_context(
            serve(
                LmsConfig(
                    behaviour="moodle",
                    port=0,
                    home=home / "lms",
                    tool_login_url=f"{tool_url}/lti/login",
                    tool_launch_url=f"{tool_url}/lti/launch",
                    tool_jwks_url=f"{tool_url}/lti/jwks",
                )
            )
        )
        tool = stack.enter_context(started_tool(home, tool_port, tool_url, database, lms))
        floor = stack.enter_context(started_floor(home, floor_port, database, lms))
        spent: dict[str, list[float]] = {server.name: [] for server in (tool, floor)}
        person = 0
        for server in (tool, floor):
            for _ in range(WARM_UP):
                person += 1
                launch(server, lms, person)
        for _ in range(ROUNDS):
            for server in (tool, floor):
                before = server.cpu()
                for _ in range(count // ROUNDS):
                    person += 1
                    launch(server, lms, person)
                spent[server.name].append(1000 * (server.cpu() - before) / (count // ROUNDS))
        ours, least = spent[tool.name], spent[floor.name]
        # Of each round by itself, since what else the machine does slows both down.
        ratios = [mine / its for mine, its in zip(ours, least, strict=True)]
        print(
            f"{name}: {median(ours):.1f} ms of processor time per launch, bare Flask {median(least):.1f} ms: "
            f"{median(ratios):.2f} times the floor (from {min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} rounds of "
            f"{count // ROUNDS}); a worker holds {tool.megabytes('Rss'):.0f} MB resident, "
            f"{tool.megabytes('Pss'):.0f} MB its own share (floor {floor.megabytes('Rss'):.0f} MB)"
        )


@contextmanager
def started_tool(home: Path, port: int, url: str, database: str | None, lms: RunningLms) -> Iterator[Server]:
    facts = {name: value or "" for name, value in lms.registration.items()}
    env = os.environ | {
        "TESSERA_HOME": str(home / "tool"),
        "PUBLIC_URL": url,
        "LOG_LEVEL": "ERROR",
        "WEB_CONCURRENCY": str(WORKERS),
        **({"DATABASE_URL": database} if database else {}),
    }
    tool = [sys.executable, "-m", "lti_tool.cli"]
    options = [f"--{name.replace('_', '-')}={facts[name]}" for name in ADDRESSES]
    options.append(f"--deployment={facts['deployment_id']}")
    for command in (
        ["db", "upgrade"],
        ["catalog", "load"],
        ["platform", "add", "--name", "Bench", "--product", "moodle", *options],
    ):
        subprocess.run([*tool, *command], env=env, check=True, stdout=subprocess.DEVNULL)
    with running([*tool, "run", "--host", HOST, "--port", str(port)], env) as process:
        yield ready(Server("Tessera", port, process))


@contextmanager
def started_floor(home: Path, port: int, database: str | None, lms: RunningLms) -> Iterator[Server]:
    keys = home / "jwks.json"
    keys.write_bytes(requests.get(str(lms.registration["jwks_url"]), timeout=10).content)
    url = database.replace("postgresql:", "postgresql+psycopg:") if database else f"sqlite:///{home}/floor.db"
    env = os.environ | {
        "DATABASE_URL": url,
        "JWKS": str(keys),
        "WEB_CONCURRENCY": str(WORKERS),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    # Its tables once, before two workers try at the same moment.
    subprocess.run([sys.executable, "-c", "import floor; floor.create_floor()"], env=env, check=True)
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        str(CONFIG),
        "-b",
        f"{HOST}:{port}",
        "floor:create_floor()",
    ]
    with running(command, env) as process:
        yield ready(Server("floor", port, process))


@contextmanager
def running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=env)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def ready(server: Server) -> Server:
    """Wait until it answers and both workers are there."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            requests.get(server.url + "/", timeout=2)
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.1)
        else:
            if len(server.workers()) == WORKERS:
                return server
    raise SystemExit(f"{server.name} did not start.")


def launch(server: Server, lms: RunningLms, number: int) -> None:
    """One learner of many arrives at the activity, with a browser of their own."""
    facts = lms.registration
    login = requests.post(
        f"{server.url}/lti/login",
        data={
            "iss": facts["issuer"],
            "client_id": facts["client_id"],
            "login_hint": str(number),
            "target_link_uri": f"{server.url}/lti/launch",
        },
        allow_redirects=False,
        timeout=30,
    )
    # By hand: the cookie is for TLS only, which stands in front of Gunicorn.
    headers = {"Cookie": login.headers["Set-Cookie"].partition(";")[0]}
    asked = {name: values[0] for name, values in parse_qs(urlsplit(login.headers["Location"]).query).items()}
    form = {"id_token": sign(lms, claims(facts, asked["nonce"], server.url, number)), "state": asked["state"]}
    answer = requests.post(
        f"{server.url}/lti/launch", data=form, headers=headers, allow_redirects=False, timeout=30
    )
    while answer.is_redirect:
        onward = requests.compat.urljoin(answer.url, answer.headers["Location"])
        answer = requests.get(onward, headers=headers, allow_redirects=False, timeout=30)
    assert answer.status_code == 200, answer.text


def claims(facts: dict[str, str | None], nonce: str, tool_url: str, number: int) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": facts["issuer"],
        "aud": facts["client_id"],
        "sub": str(number),
        "name": f"Learner {number}",
        "exp": now + 60,
        "iat": now,
        "nonce": nonce,
        f"{LTI}version": "1.3.0",
        f"{LTI}message_type": "LtiResourceLinkRequest",
        f"{LTI}deployment_id": facts["deployment_id"],
        f"{LTI}target_link_uri": f"{tool_url}/lti/launch",
        f"{LTI}roles": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"],
        f"{LTI}context": {"id": "2", "label": "SPED4500", "title": "Inclusive Practice"},
        f"{LTI}resource_link": {"id": "7", "title": "UDL"},
        f"{LTI}custom": {"credential": "udl-variability"},
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
