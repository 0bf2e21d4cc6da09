"""What the registrar's desk costs with a ledger of 100,000 scores: milliseconds and statements per page, and how soon
and how fast its exports come.

One process, real requests without a network, the median of several. On SQLite, and on PostgreSQL where
TEST_POSTGRES_URL names a server.

python bench/desk.py [HOW MANY]
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import median

from flask import Flask
from flask.testing import FlaskClient
from launches import databases
from sqlalchemy import event, insert, select

from lti_tool import settings
from lti_tool.app import create_app
from lti_tool.assessment.models import Assessment, Decision, Outcome
from lti_tool.cli.operator import prepare, publish
from lti_tool.credentials import catalog
from lti_tool.credentials.models import Placement, PlacementChoice, Version
from lti_tool.database import Base, db
from lti_tool.lti.models import Deployment, Launch, Platform, Registration
from lti_tool.lti.sessions import COOKIE_NAME, browser_hash, new_browser_cookie, new_launch_id
from lti_tool.passback.models import Finding, Score, ScoreState, ScoreTry
from lti_tool.people.models import Account, Course, DeskAccess, Membership, Person, Term
from lti_tool.submissions.models import Attempt, AttemptPlacement, AttemptState, Submission

SECRET = "a secret for measuring only, long enough"  # noqa: S105 - of a database that lives for a minute
HOST = "https://tool.localhost"
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
LEARNERS, ACTIVITIES, TERMS = 25, 10, 6
"""Per course, per course, and in all."""
ROUNDS = 5
ROWS_AT_ONCE = 5_000
STATES = {
    0: (ScoreState.PARKED, None),
    1: (ScoreState.OVERRIDDEN, Finding.OVERRIDDEN),
    2: (ScoreState.OWED, None),
    3: (ScoreState.ACCEPTED, None),
    4: (ScoreState.ACCEPTED, Finding.MISSING),
}
"""Of every hundred scores, what the first few are; all others stand in their gradebook."""


def main(scores: int) -> None:
    with databases() as found:
        for name, address in found.items():
            measure(name, address, scores)


def measure(name: str, address: str | None, scores: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        env = {"TESSERA_HOME": home, "PUBLIC_URL": HOST, "SECRET_KEY": SECRET, "LOG_LEVEL": "ERROR"}
        env |= {"QUEUE_URL": "memory://"} | ({} if address is None else {"DATABASE_URL": address})
        app = create_app(settings.load(settings.clean_environment() | env))
        try:
            with app.app_context():
                fill(scores)
            print(f"{name}, {scores} scores")
            visit = Visit(app)
            for label, path in pages().items():
                visit.page(label, path)
            visit.page("a person found", "/ledger/people", {"who": "S-77"})
            visit.export("CSV", "/ledger.csv", scores)
            visit.export("XLSX", "/ledger.xlsx", scores)
        finally:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()


def pages() -> dict[str, str]:
    """What a registrar looks at, and where it is in a visit."""
    return {
        "the front page": "/ledger",
        "its page 1,000": "/ledger?page=1000",
        "needs attention": "/ledger?show=attention",
        "another grade": "/ledger?show=differs",
        "waiting to send": "/ledger?show=waiting",
        "accepted": "/ledger?show=accepted",
        "confirmed": "/ledger?show=confirmed",
        "a term": "/ledger?term=2",
        "a course": "/ledger?course_id=7",
        "a course's name": "/ledger?course=Course+7",
        "a name without a hit": "/ledger?course=nothing",
        "a section": "/ledger?section=S7",
        "a micro-credential": "/ledger?credential=1",
        "a person": "/ledger?person=77",
        "a person's page": "/ledger/people/77",
        "a story": "/ledger/77",
        "send again": "/ledger/send",
        "close-out of a term": "/ledger/terms/2/close-out",
    }


class Visit:
    """A registrar's browser, and how many statements its requests make."""

    def __init__(self, app: Flask) -> None:
        self.app, self.statements = app, 0
        self.client: FlaskClient = app.test_client()
        cookie, self.launch = new_browser_cookie(), new_launch_id()
        self.client.set_cookie(COOKIE_NAME, cookie, domain="tool.localhost", secure=True)
        with app.app_context():
            now = datetime.now(UTC)
            db.session.add(
                Launch(
                    id=self.launch,
                    browser=browser_hash(cookie),
                    deployment_pk=1,
                    message_type="resource_link",
                    subject="registrar",
                    claims={},
                    account_id=db.session.scalars(select(Account.id).filter_by(subject="registrar")).one(),
                    role="none",
                    administrator=True,
                    frame_ancestors=[],
                    created_at=now,
                    expires_at=now + timedelta(hours=8),
                )
            )
            db.session.commit()
            event.listen(db.engine, "before_cursor_execute", self._count)

    def page(self, label: str, path: str, form: dict[str, str] | None = None) -> None:
        """Print how long a page takes and how many statements."""
        seconds = []
        if form is not None:
            form = form | {"csrf_token": self._token(path)}
        for _ in range(ROUNDS):
            self.statements, started = 0, time.perf_counter()
            method = "GET" if form is None else "POST"
            answer = self.client.open(f"/l/{self.launch}{path}", method=method, data=form, base_url=HOST)
            assert answer.status_code == 200, (path, answer.status_code)
            seconds.append(time.perf_counter() - started)
        print(f"  {label:22} {median(seconds) * 1000:6.0f} ms, {self.statements:2} statements")

    def export(self, label: str, path: str, rows: int) -> None:
        """Print when the first of a file comes, and how fast all of it."""
        started = time.perf_counter()
        size, first = 0, 0.0
        with self.client.get(f"/l/{self.launch}{path}", base_url=HOST) as answer:
            for piece in answer.iter_encoded():
                first = first or time.perf_counter() - started
                size += len(piece)
        whole = time.perf_counter() - started
        print(
            f"  {label:22} {first * 1000:6.0f} ms to the first byte, {rows / whole:.0f} rows a second,"
            f" {whole:.1f} s, {size / 1e6:.1f} MB"
        )

    def _token(self, path: str) -> str:
        page = self.client.get(f"/l/{self.launch}{path}", base_url=HOST).text
        return page.partition('name="csrf_token" value="')[2].partition('"')[0]

    def _count(self, *_said: object) -> None:
        self.statements += 1


# The scene


def fill(scores: int) -> None:
    """A platform whose courses have so many scores, with the work and the decision behind each, and a try."""
    prepare(NOW)
    config = settings.config_dir()
    publish(catalog.load(config / "catalog", config / "frameworks"), now=NOW)
    db.session.commit()
    versions = db.session.execute(select(Version.id, Version.credential_id).order_by(Version.id)).all()
    courses = -(-scores // (LEARNERS * ACTIVITIES))
    people = courses * LEARNERS
    platform = Platform(name="Bench", product="canvas", created_at=NOW)
    registration = Registration(
        platform=platform,
        issuer="https://bench.example.edu",
        client_id="1",
        auth_url="https://bench.example.edu/auth",
        token_url="https://bench.example.edu/token",  # noqa: S106 - an address
        jwks_url="https://bench.example.edu/jwks",
        token_audience=None,
        created_at=NOW,
    )
    db.session.add(Deployment(registration=registration, deployment_id="1", created_at=NOW))
    db.session.flush()
    put(
        Term,
        (
            {
                "id": n + 1,
                "platform_id": 1,
                "name": f"Term {n}",
                "starts_on": date(2021 + n, 1, 1),
                "ends_on": date(2021 + n, 12, 31),
            }
            for n in range(TERMS)
        ),
    )
    put(
        Course,
        (
            {
                "id": n + 1,
                "platform_id": 1,
                "context_id": f"c{n}",
                "label": f"C{n}",
                "title": f"Course {n}",
                "term_id": n % TERMS + 1,
                "created_at": NOW,
            }
            for n in range(courses)
        ),
    )
    activities = range(courses * ACTIVITIES)
    put(
        Placement,
        (
            {
                "id": n + 1,
                "deployment_pk": 1,
                "course_id": n // ACTIVITIES + 1,
                "resource_link_id": f"l{n}",
                "title": f"Activity {n}",
                "line_item_url": f"https://bench.example.edu/items/{n}",
                "created_at": NOW,
            }
            for n in activities
        ),
    )
    put(
        PlacementChoice,
        (
            {"placement_id": n + 1, "credential_id": versions[n % len(versions)].credential_id, "position": 0}
            for n in activities
        ),
    )
    put(Person, ({"id": n + 1, "created_at": NOW} for n in range(people + 1)))
    put(
        Account,
        (
            {
                "id": n + 1,
                "platform_id": 1,
                "person_id": n + 1,
                "subject": f"s{n}" if n < people else "registrar",
                "name": f"Learner {n}",
                "email": None,
                "sis_id": f"S-{n}",
                "created_at": NOW,
                "seen_at": NOW,
            }
            for n in range(people + 1)
        ),
    )
    put(
        Membership,
        (
            {
                "id": n + 1,
                "course_id": n // LEARNERS + 1,
                "account_id": n + 1,
                "role": "learner",
                "section_sis_id": f"S{n // LEARNERS}",
                "seen_at": NOW,
            }
            for n in range(people)
        ),
    )
    db.session.add(DeskAccess(deployment_pk=1, subject="registrar", granted_at=NOW))
    db.session.commit()
    for start in range(0, scores, ROWS_AT_ONCE):
        numbers = range(start, min(start + ROWS_AT_ONCE, scores))
        fill_scores(numbers, [version.id for version in versions])


def fill_scores(numbers: range, versions: list[int]) -> None:
    """Each with its attempt, hand-in, assessment, decision and try, all of the same number."""
    rows: dict[type[Base], list[dict[str, object]]] = {}
    for n in numbers:
        course, within = divmod(n, LEARNERS * ACTIVITIES)
        learner, activity = divmod(within, ACTIVITIES)
        account = course * LEARNERS + learner + 1
        placement = course * ACTIVITIES + activity + 1
        at = NOW - timedelta(minutes=n % 500_000)
        state, finding = STATES.get(n % 100, (ScoreState.CONFIRMED, Finding.SAME))
        waits = state is ScoreState.OWED
        said = {
            Attempt: {
                "person_id": account,
                "version_id": versions[activity % len(versions)],
                "round": activity // len(versions) + 1,
                "state": AttemptState.DEMONSTRATED,
                "created_at": at,
                "saved_at": at,
            },
            AttemptPlacement: {
                "attempt_id": n + 1,
                "placement_id": placement,
                "account_id": account,
                "created_at": at,
            },
            Submission: {"attempt_id": n + 1, "number": 1, "handed_in_at": at, "note": ""},
            Assessment: {
                "submission_id": n + 1,
                "assessor_account_id": 1,
                "feedback": "Good.",
                "saved_at": at,
                "finished_at": at,
            },
            Decision: {
                "submission_id": n + 1,
                "assessment_id": n + 1,
                "outcome": Outcome.DEMONSTRATED,
                "decided_at": at,
                "decided_by_account_id": 1,
            },
            Score: {
                "deployment_pk": 1,
                "registration_id": 1,
                "placement_id": placement,
                "account_id": account,
                "line_item_url": f"https://bench.example.edu/items/{placement}",
                "subject": f"s{account}",
                "decision_id": n + 1,
                "points": Decimal(10),
                "points_possible": Decimal(10),
                "comment": "Clear goals, and evidence for each of them.",
                "scored_at": at,
                "submitted_at": at,
                "state": state,
                "reason": "The course is not published." if state is ScoreState.PARKED else None,
                "finding": finding,
                "shown_points": Decimal(7) if finding is Finding.OVERRIDDEN else None,
                "read_at": at if finding else None,
                "due_at": NOW + timedelta(days=3650),
                "settled_at": None if waits else at,
                "created_at": at,
                "tries": 0 if waits else 1,
            },
            ScoreTry: {
                "score_id": n + 1,
                "at": at,
                "milliseconds": 90,
                "heard": "accepted",
                "status": 200,
                "answer": "{}",
                "verdict": "Canvas accepted the score.",
            },
        }
        for model, values in said.items():
            rows.setdefault(model, []).append({"id": n + 1} | values)
    for model, values in rows.items():
        db.session.execute(insert(model), values)
    db.session.commit()


def put(model: type[Base], rows: Iterator[dict[str, object]]) -> None:
    while some := [row for _, row in zip(range(ROWS_AT_ONCE), rows, strict=False)]:
        db.session.execute(insert(model), some)
    db.session.commit()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
