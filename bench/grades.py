"""How fast grades reach the LMS.

From an assessor's click to the gradebook, with both behaviours of the practice LMS; then, against a gradebook that only
takes its time: how many scores a worker sends in a second, beside bare requests with one token over eight connections
that are kept open; and how long 10,000 scores take into a bucket such as Canvas's, beside what the bucket lets through.
Real processes, real HTTP, SQLite.

python bench/grades.py [click|rate|drain ...]
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import requests
from flask import Flask
from sqlalchemy import insert

from lti_tool import settings
from lti_tool.app import create_app
from lti_tool.cli.operator import prepare
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Deployment, Platform, Registration
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Account, Course, Person
from lti_tool.practice_lms.throttle import HIGH_WATER, OUTFLOW
from lti_tool.selfcheck import journey as job
from lti_tool.selfcheck import set_up
from lti_tool.selfcheck.scene import Scene

EARNERS = ("Lena Brandt", "Mateo Ruiz", "Aiko Tanaka")
HERE = Path(__file__).parent
LATENCY, SCORES, HANDS = 0.05, 500, 8
ROUNDS = 3
DRAINED, COURSES, COST = 10_000, 20, 0.4
DRAIN_LATENCY = 0.01
FASTER = 3.0
"""How much faster than Canvas's the bucket of the bench runs empty: at its own pace 10,000 scores take six minutes."""
SECRET = "a secret for measuring only, long enough"  # noqa: S105 - of a database that lives for a minute


def main() -> None:
    wanted = sys.argv[1:] or ["click", "rate", "drain"]
    for name, measure in (("click", clicks), ("rate", rate), ("drain", drain)):
        if name in wanted:
            measure()


# From the click to the gradebook


def clicks() -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tool, platforms = set_up(stack, home)
        for behaviour, lms in platforms.items():
            faculty = Scene(lms, tool, home)
            stack.callback(faculty.close)
            job.faculty_add(faculty)
            if behaviour in job.NEEDS_PUBLISHING:
                job.faculty_publish(faculty)
            seconds = [one_grade(faculty, earner) for earner in EARNERS]
            print(
                f"{behaviour}: {statistics.median(seconds):.2f} s from decision to gradebook, "
                f"at most {max(seconds):.2f} s, of {len(seconds)}"
            )


def one_grade(faculty: Scene, earner: str) -> float:
    """Seconds between the decision being sent and the grade being seen."""
    scene = replace(faculty, earner=earner)
    for step in (job.earner_reads, job.earner_completes, job.earner_hands_in):
        step(scene)
    started = time.monotonic()
    job.assess(scene, met=True)
    job.grade_arrives(scene)
    return time.monotonic() - started


# How many in a second


@dataclass(frozen=True)
class Counted:
    """What the gradebook has seen."""

    scores: int
    tokens: int
    throttled: int
    seconds: float


def rate() -> None:
    with gradebook(LATENCY, 0) as url:
        pairs = [(bare(url), through_tessera(url, "moodle", SCORES)) for _ in range(ROUNDS)]
    for ideal, ours in pairs:
        share = ideal.seconds / ours.seconds
        print(
            f"{SCORES} scores at {LATENCY * 1000:.0f} ms: {SCORES / ours.seconds:.0f} a second with"
            f" {ours.tokens} token request(s); bare requests {SCORES / ideal.seconds:.0f} a second; {share:.0%}"
        )
    median = statistics.median(ideal.seconds / ours.seconds for ideal, ours in pairs)
    print(f"{median:.0%} of the ideal, the median of {ROUNDS}")


def bare(url: str) -> Counted:
    """The least: one token, then eight threads that post over a connection each."""
    scope = {"scope": "https://purl.imsglobal.org/spec/lti-ags/scope/score"}
    requests.post(f"{url}/token", scope, timeout=10).raise_for_status()
    left = iter(range(SCORES))
    lock = threading.Lock()

    def hand() -> None:
        with requests.Session() as session:
            while True:
                with lock:
                    number = next(left, None)
                if number is None:
                    return
                body = json.dumps({"userId": str(number), "scoreGiven": 10, "scoreMaximum": 10})
                headers = {"Authorization": "Bearer bench", "Content-Type": "application/json"}
                session.post(f"{url}/items/1/scores", body, headers=headers, timeout=10).raise_for_status()

    threads = [threading.Thread(target=hand) for _ in range(HANDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counted(url)


def through_tessera(url: str, product: str, scores: int) -> Counted:
    """A worker process with so many scores owed, until the gradebook has them all."""
    with tempfile.TemporaryDirectory() as folder:
        env = settings.clean_environment() | {
            "TESSERA_HOME": folder,
            "PUBLIC_URL": "http://tool.localhost:8700",
            "SECRET_KEY": SECRET,
            "LOG_LEVEL": "ERROR",
        }
        owe(env, url, product, scores)
        worker = subprocess.Popen([sys.executable, "-m", "lti_tool.cli", "worker"], env=env)
        try:
            while counted(url, keep=True).scores < scores:
                time.sleep(0.2)
        finally:
            os.kill(worker.pid, signal.SIGTERM)
            worker.wait(timeout=60)
        return counted(url)


# Into a bucket


def drain() -> None:
    least = (DRAINED * COST - HIGH_WATER) / (OUTFLOW * FASTER)
    with gradebook(DRAIN_LATENCY, FASTER) as url:
        ours = through_tessera(url, "canvas", DRAINED)
    print(
        f"{DRAINED} scores into a bucket {FASTER:g} times as fast as Canvas's: {ours.seconds:.0f} s;"
        f" the bucket lets them through in {least:.0f} s ({ours.seconds / least:.2f} times);"
        f" {ours.throttled} throttled, {ours.tokens} token request(s)"
    )


# The scene


@contextmanager
def gradebook(latency: float, faster: float) -> Iterator[str]:
    """The address of a gradebook in a process of its own."""
    command = [sys.executable, str(HERE / "gradebook.py"), str(latency), str(faster)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def counted(url: str, *, keep: bool = False) -> Counted:
    """What came in since the count was last asked for and forgotten."""
    return Counted(**requests.get(url + ("/count" if keep else "/forget"), timeout=10).json())


def owe(env: dict[str, str], url: str, product: str, scores: int) -> None:
    """A database with so many owed scores, over several courses of one platform."""
    app = create_app(settings.load(env))
    now = datetime.now(UTC) - timedelta(minutes=1)
    with app.app_context():
        prepare(now)
        rows = [
            {
                "account_id": account,
                "placement_id": placement,
                "subject": f"s{account}",
                "line_item_url": f"{url}/items/{placement}",
                "decision_id": account,
                "deployment_pk": 1,
                "registration_id": 1,
                "points": Decimal(10),
                "points_possible": Decimal(10),
                "comment": "Clear goals, and evidence for each.",
                "scored_at": now,
                "submitted_at": now,
                "activity_progress": "Completed",
                "grading_progress": "FullyGraded",
                "idempotency_key": f"decision:{account}/cell:{placement}.{account}",
                "state": ScoreState.OWED,
                "due_at": now,
                "created_at": now,
                "tries": 0,
            }
            for placement, account in _cells(url, product, scores, now)
        ]
        db.session.execute(insert(Score), rows)
        db.session.commit()
        _close(app)


def _cells(url: str, product: str, scores: int, now: datetime) -> list[tuple[int, int]]:
    platform = Platform(name="Bench", product=product, created_at=now)
    registration = Registration(
        platform=platform,
        issuer="https://bench.example.edu",
        client_id="1",
        auth_url=f"{url}/auth",
        token_url=f"{url}/token",
        jwks_url=f"{url}/jwks",
        token_audience=None,
        created_at=now,
    )
    deployment = Deployment(registration=registration, deployment_id="1", created_at=now)
    db.session.add(deployment)
    db.session.flush()
    placements = []
    for number in range(COURSES):
        course = Course(
            platform_id=platform.id, context_id=f"c{number}", label="", title="Course", created_at=now
        )
        db.session.add(course)
        db.session.flush()
        placement = Placement(
            deployment_pk=deployment.id,
            course_id=course.id,
            resource_link_id=f"link-{number}",
            title="Micro-credential",
            line_item_url=f"{url}/items/{number + 1}",
            created_at=now,
        )
        db.session.add(placement)
        placements.append(placement)
    accounts = []
    for number in range(scores // COURSES):
        person = Person(created_at=now)
        db.session.add(person)
        db.session.flush()
        account = Account(
            platform_id=platform.id, person_id=person.id, subject=f"s{number}", created_at=now, seen_at=now
        )
        db.session.add(account)
        accounts.append(account)
    db.session.flush()
    return [(placement.id, account.id) for placement in placements for account in accounts]


def _close(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
