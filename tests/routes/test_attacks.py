"""What hostile learners, faculty of other courses, curious administrators and strangers try, and do not get."""

import gzip
import json
import logging
import socketserver
import struct
import tempfile
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.routing import Rule

from lti_tool import clock, errors, http
from lti_tool.assessment.models import Outcome
from lti_tool.assessment.service import decide
from lti_tool.backpack import addresses, consents, sharing
from lti_tool.badges.models import Badge
from lti_tool.badges.signing import sign_due
from lti_tool.credentials.models import Credential, Placement, Stack
from lti_tool.database import db
from lti_tool.lti.addresses import may_carry_token
from lti_tool.lti.models import LoginState
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Account
from lti_tool.routes import verify
from lti_tool.routes.guards import Who
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import (
    AttemptPlacement,
    Evidence,
    PrivacyReport,
    Submission,
)
from tests.lti.platform_double import AGS, ISSUER, PUBLIC_URL, FakePlatform
from tests.registrar.rows import owe
from tests.routes.earner import PNG, Earner, key_of, upload
from tests.routes.test_entry import INSTRUCTOR, LEARNER, Person, key, person, platform
from tests.support.apps import NOON, fill, running
from tests.support.cast import Campus, add_placement, build_campus
from tests.support.postgres import empty_database
from tests.support.submitted import PDF, begin_work, hand_in_work, marks_for, version_of
from tests.support.visits import Browser, visit_as

__all__ = ["key", "person", "platform"]

ROOT = "https://tool.localhost"
MARK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
ALLOWED = {
    "lena": {Who.VISITOR, Who.HOLDER, Who.EARNER},
    "ingrid": {Who.VISITOR, Who.STAFF, Who.HOLDER, Who.FACULTY},
    "otto": {Who.VISITOR, Who.STAFF, Who.HOLDER, Who.FACULTY},
    "ada": {Who.VISITOR, Who.STAFF, Who.HOLDER},
}


class Scene:
    """Lena's decided work with a badge and a score, and a privacy report on a piece of it."""

    def __init__(self, app: Flask, campus: Campus) -> None:
        self.app, self.campus = app, campus
        with app.app_context():
            submission = hand_in_work(campus, "lena")
            decision = decide(
                submission.id,
                campus.accounts["ingrid"],
                marks_for(version_of(submission)),
                "Clear.",
                Outcome.DEMONSTRATED,
                now=NOON,
            )
            self.submission, self.decision = submission.id, decision.id
            self.evidence = submission.evidence[0].evidence_id
            report = submissions.report_privacy_problem(
                submission.evidence[1].evidence_id, campus.accounts["ingrid"], "A face.", now=NOON
            )
            self.report, self.hidden = report.id, report.evidence_id
            self.badge = db.session.scalars(select(Badge.id)).one()
            self.key = version_of(submission).credential.key
            self.attempt = submission.attempt_id
            lena = campus.persons["lena"]
            self.address = addresses.ask(lena, "lena@example.org", now=NOON).id
            sharing.share(self.badge, person_id=lena, name=None, now=NOON)
            self.consent = consents.of_badge(self.badge)[0].id
            sharing.unshare(self.badge, person_id=lena, now=NOON)
            db.session.commit()
            sign_due(now=NOON)
            self.other = add_placement(campus.deployment, campus.other_course, "link-9", self.key).id
            db.session.commit()

    def path(self, rule: Rule, browser: Browser) -> str:
        """An address of this rule with ids that stand."""
        values = {
            "launch": browser.launch_id,
            "submission_id": self.submission,
            "evidence_id": self.evidence,
            "report_id": self.report,
            "badge_id": self.badge,
            "score_id": 1,
            "term_id": 1,
            "person_id": self.campus.persons["lena"],
            "number": 1,
            "key": self.key,
            "attempt_id": self.attempt,
            "consent_id": self.consent,
            "address_id": self.address,
            "platform_id": self.campus.registration,
            "registration_id": self.campus.registration,
            "deployment_pk": self.campus.deployment,
            "product": "canvas",
            "invitation_id": 1,
            "listed": 1,
            "link_id": 1,
            "ticket": "invented",
            "name": "invented",
        }
        with self.app.test_request_context():
            return self.app.url_map.bind("tool.localhost").build(
                rule.endpoint, {name: values[name] for name in rule.arguments}
            )

    def rules(self) -> list[tuple[Rule, str, Who]]:
        return [
            (rule, method, self.app.view_functions[rule.endpoint].allowed)
            for rule in self.app.url_map.iter_rules()
            if "launch" in rule.arguments
            for method in (rule.methods or set()) & {"GET", "POST"}
        ]


@pytest.fixture
def scene(app: Flask, campus: Campus) -> Scene:
    return Scene(app, campus)


def ask(browser: Browser, method: str, path: str, **data: Any) -> Any:
    if method == "POST":
        return browser.post(path, data, buffered=True)
    return browser.get(path, buffered=True)


# Roles, ids and browsers


@pytest.mark.parametrize("who", ALLOWED)
def test_no_role_opens_a_page_of_another_role(scene: Scene, who: str):
    browser = visit_as(scene.app, scene.campus, who)

    answers = {
        (method, rule.rule): ask(browser, method, scene.path(rule, browser)).status_code
        for rule, method, allowed in scene.rules()
        if allowed not in ALLOWED[who]
    }

    assert len(answers) > 10
    assert set(answers.values()) <= {403, 404}, answers


def test_no_address_of_a_visit_opens_in_another_browser(scene: Scene):
    hers, his = visit_as(scene.app, scene.campus, "ingrid"), visit_as(scene.app, scene.campus, "mateo")

    answers = {
        (method, rule.rule): ask(his, method, scene.path(rule, hers)).status_code
        for rule, method, _ in scene.rules()
    }

    assert set(answers.values()) == {401}, answers


def test_a_form_with_the_token_of_another_browser_is_refused_everywhere(scene: Scene):
    stranger = visit_as(scene.app, scene.campus, "mateo").token()
    actors = {
        Who.VISITOR: "lena",
        Who.STAFF: "ingrid",
        Who.EARNER: "lena",
        Who.FACULTY: "ingrid",
        Who.REGISTRAR: "rita",
    }
    posts = [(rule, actors[who]) for rule, method, who in scene.rules() if method == "POST" and who in actors]

    for rule, who in posts:
        browser = visit_as(scene.app, scene.campus, who)
        path = scene.path(rule, browser)
        for token in (stranger, "", "é", browser.token()[:-1]):
            assert browser.post(path, {"csrf_token": token}).status_code == 400, (rule.rule, token)


@pytest.mark.parametrize(
    "path",
    [
        "/review/{submission}",
        "/review/{submission}/change",
        "/review/{submission}/evidence/{evidence}",
        "/review/{submission}/evidence/{evidence}/problem",
        "/course/reports/{report}",
        "/course/reports/{report}/evidence",
    ],
)
def test_faculty_of_another_course_find_nothing_of_this_one(scene: Scene, path: str):
    with scene.app.app_context():
        other = Campus(**(vars(scene.campus) | {"course": scene.campus.other_course}))
    otto = visit_as(scene.app, other, "otto", placement=scene.other)

    assert otto.get(path.format(**vars(scene))).status_code == 404
    assert otto.post(path.format(**vars(scene)), {"resolution": "restored"}).status_code in (404, 405)
    with scene.app.app_context():
        assert db.session.get_one(PrivacyReport, scene.report).resolved_at is None


@pytest.mark.parametrize(
    "path",
    [
        "/work/evidence/{evidence}",
        "/work/evidence/{evidence}/privacy",
        "/work/submissions/1",
        "/badges/{badge}",
        "/badges/{badge}/badge.json",
        "/badges/{badge}/badge.png",
        "/badges/{badge}/picture.svg",
    ],
)
def test_another_learner_finds_nothing_under_ids_that_stand(scene: Scene, path: str):
    mateo = visit_as(scene.app, scene.campus, "mateo")

    assert mateo.get(path.format(**vars(scene))).status_code == 404


def test_a_learner_who_teaches_under_another_account_does_not_judge_or_clear_their_own_work(scene: Scene):
    with scene.app.app_context():
        theirs = db.session.get_one(Account, scene.campus.accounts["otto"])
        theirs.person_id = scene.campus.persons["lena"]
        db.session.commit()
    otto = visit_as(scene.app, scene.campus, "otto")

    assert otto.get(f"/review/{scene.submission}").status_code == 403
    assert otto.post(f"/course/reports/{scene.report}", {"resolution": "restored"}).status_code == 403
    with scene.app.app_context():
        assert db.session.get_one(Evidence, scene.hidden).hidden_at is not None


def test_a_learner_does_not_see_their_own_hidden_evidence_by_its_old_address(scene: Scene):
    lena = visit_as(scene.app, scene.campus, "lena")

    assert lena.get(f"/work/evidence/{scene.hidden}").status_code == 404
    assert lena.get(f"/work/evidence/{scene.evidence}", buffered=True).status_code == 200


def test_a_hidden_piece_keeps_its_name_to_itself(app: Flask, campus: Campus):
    lena = Earner(app, campus, "lena")
    lena.start(key_of(app, "no-children"))
    task = next(task.key for task in lena.tasks() if task.accepts_upload)
    lena.save({f"file-{task}": upload(PNG, "Timmy Miller reading.png")})
    with app.app_context():
        piece = db.session.scalars(select(Evidence.id)).one()
    assert "Timmy" in lena.get("/work/tasks").text

    lena.post(f"/work/evidence/{piece}/privacy")

    assert "Timmy" not in lena.get("/work/tasks").text


def test_faculty_who_assess_themselves_in_student_view_are_issued_nothing(app: Flask, campus: Campus):
    # The test student is nobody's own account, so the rule against judging own work does not see it.
    student = Earner(app, campus, "aiko")
    student.browser = visit_as(app, campus, "aiko", claims={"is_test_user": True})
    student.start(key_of(app, "no-children"))
    student.complete()
    student.hand_in()
    with app.app_context():
        handed_in = db.session.scalars(select(Submission)).one()
        marks = marks_for(version_of(handed_in))
        decide(handed_in.id, campus.accounts["ingrid"], marks, "Mine.", Outcome.DEMONSTRATED, now=NOON)
        db.session.commit()

        assert sign_due(now=NOON) == 0
        assert db.session.scalar(select(func.count()).select_from(Badge)) == 0
        assert db.session.scalar(select(func.count()).select_from(Score)) == 0
    # Nor later, when the same account comes by a launch that says nothing of a test.
    later = visit_as(app, campus, "aiko")
    later.post("/work/start", {"credential": key_of(app, "no-children")})
    assert "badge-card" not in later.get("/badges").text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Score)) == 0


# What a launch says


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example; script-src *",
        "https://evil.example;script-src/x",
        "https://evil.example https://x.example/",
        "https://evil.example\r\nSet-Cookie: a=b",
        "https://*/",
        "https://*.example/",
        "https://evil.example'unsafe-inline'/",
        "//evil.example",
        "data:text/html,x",
        "*",
    ],
)
def test_no_address_in_a_launch_writes_into_our_headers(person: Person, address: str):
    presentation = {"return_url": address}
    answer = person.launch(
        LEARNER, **{"https://purl.imsglobal.org/spec/lti/claim/launch_presentation": presentation}
    )

    page = person.open(answer)

    policy = page.headers["Content-Security-Policy"]
    framers = next(rule for rule in policy.split("; ") if rule.startswith("frame-ancestors"))
    assert policy.count("script-src") == 1
    assert "*" not in framers
    assert set(framers.split()[1:]) <= {ISSUER, "https://evil.example"}
    assert "a=b" not in str(page.headers)


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("http://169.254.169.254/latest/meta-data", False),
        ("https://169.254.169.254/latest", False),
        ("http://127.0.0.1:5432/", False),
        ("https://10.0.0.5/items/1", False),
        ("https://[::1]/items/1", False),
        ("https://2130706433/items/1", False),
        ("https://redis/items/1", False),
        ("https://metadata.internal/items/1", False),
        ("http://school.example.edu/items/1", False),
        ("https://school.example.edu/items/1", True),
        (f"{ISSUER}/mod/lti/services.php/2/lineitems/1/lineitem", True),
    ],
)
def test_a_launch_does_not_send_our_server_or_its_token_to_an_inner_address(
    app: Flask, person: Person, address: str, kept: bool
):
    person.launch(LEARNER, **{AGS: {"scope": [], "lineitem": address}})

    with app.app_context():
        assert db.session.scalars(select(Placement.line_item_url)).one() == (address if kept else None)


def test_where_the_operator_registered_an_inner_platform_it_is_called():
    assert may_carry_token("http://127.0.0.1:8600/items/1", ["http://127.0.0.1:8600/token"])
    assert not may_carry_token("http://127.0.0.1:8601/items/1", ["http://127.0.0.1:8600/token"])


def test_what_a_platform_cannot_spell_is_left_out_and_no_fault(app: Flask, person: Person):
    answer = person.launch(
        LEARNER,
        name="Lena \ud800\x00Brandt",
        **{
            "https://purl.imsglobal.org/spec/lti/claim/custom": {
                "credential": "udl-variability",
                "x": "\ud800",
            }
        },
    )

    assert answer.status_code == 303
    with app.app_context():
        assert db.session.scalars(select(Account.name)).one() == "Lena Brandt"
    onward = person.login()
    assert person.post(onward, person.claims(LEARNER, onward, exp=10**400)).status_code == 400


@pytest.mark.parametrize("name", ["target_link_uri", "login_hint", "lti_message_hint", "client_id", "iss"])
def test_a_stranger_stores_no_books_by_beginning_logins(app: Flask, person: Person, name: str):
    values = {"target_link_uri": f"{PUBLIC_URL}/lti/launch?" + "x" * 100_000}

    answer = person.login(**{name: values.get(name, "x" * 100_000)})

    assert answer.status_code == 400
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(LoginState)) == 0


def test_what_people_and_courses_are_called_never_becomes_markup(app: Flask, person: Person):
    named = {
        "name": MARK,
        "https://purl.imsglobal.org/spec/lti/claim/context": {"id": "7", "title": MARK, "label": MARK},
        "https://purl.imsglobal.org/spec/lti/claim/resource_link": {"id": "7", "title": MARK},
    }
    learner = person.open(person.launch(LEARNER, **named))
    launch = learner.request.path.split("/")[2]
    with app.app_context():
        activity = db.session.scalars(select(Placement)).one()
        earner = db.session.scalars(select(Account)).one()
        choice = activity.choices[0].credential_id
        submissions.open_attempt(earner.person_id, choice, activity.id, earner.id, now=clock.now())
        db.session.commit()
    faculty = person.open(person.launch(INSTRUCTOR, **(named | {"sub": "99"})))

    assert "&lt;script&gt;" in faculty.text
    for page in (learner, faculty, person.client.get(f"/l/{launch}/badges", base_url=ROOT)):
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text


def test_a_forged_host_or_scheme_changes_no_address_of_ours(person: Person):
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "Host": "evil.example"}
    login = person.client.get(
        "/lti/login",
        query_string={"iss": ISSUER, "login_hint": "5", "target_link_uri": f"{PUBLIC_URL}/lti/launch"},
        headers=forged,
    )
    home = person.client.get("/", headers=forged)

    assert login.headers["Location"].startswith(ISSUER)
    assert "evil" not in login.headers["Location"]
    assert "evil" not in home.text


# Evidence


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<!doctype html><script>alert(document.domain)</script>", "a.html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "a.svg"),
        (b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><script/></html>", "a.xhtml"),
        (b"GIF89a/*<script>alert(1)</script>*/=1;", "a.gif"),
        (b"%PDF-1.7\n<html><script>alert(1)</script>", "a.pdf"),
        (b"\xff\xd8\xff<script>alert(1)</script>", "a.jpg.html"),
        (b"/* a script */ alert(1)", "a.js"),
    ],
)
def test_no_file_runs_as_a_page_or_script_of_ours(app: Flask, campus: Campus, content: bytes, name: str):
    lena = Earner(app, campus, "lena")
    lena.start(key_of(app, "no-children"))
    task = next(task.key for task in lena.tasks() if task.accepts_upload)
    lena.save({f"file-{task}": upload(content, name)})
    with app.app_context():
        piece = db.session.scalars(select(Evidence.id)).one()

    answer = lena.get(f"/work/evidence/{piece}")

    assert answer.mimetype in {"text/plain", "image/gif", "image/jpeg", "application/pdf"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert "sandbox" in policy if answer.mimetype != "application/pdf" else "script-src 'none'" in policy
    assert answer.data == content


def test_a_file_name_from_another_folder_stays_a_name(app: Flask, home: Path, campus: Campus):
    lena = Earner(app, campus, "lena")
    lena.start(key_of(app, "no-children"))
    task = next(task.key for task in lena.tasks() if task.accepts_upload)

    lena.save({f"file-{task}": upload(PNG, "../../../tessera.db.png")})

    assert {path.parent.parent for path in (home / "evidence").rglob("*") if path.is_file()} == {
        home / "evidence"
    }
    with app.app_context():
        assert db.session.scalars(select(Evidence.title)).one() == "tessera.db.png"


def test_a_stranger_fills_no_disk_through_the_door_for_large_files(
    app: Flask, campus: Campus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lena = visit_as(app, campus, "lena")
    head = b'--x\r\nContent-Disposition: form-data; name="answer-a"\r\n\r\nmy words\r\n'
    head += b'--x\r\nContent-Disposition: form-data; name="file-a"; filename="a.png"\r\n\r\n'
    body = head + PNG * 10_000 + b"\r\n--x--\r\n"
    # Whoever writes a temporary file now fails.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))

    answer = app.test_client().post(
        f"/l/{lena.launch_id}/work/tasks",
        data=body,
        content_type="multipart/form-data; boundary=x",
        base_url=ROOT,
    )

    assert answer.status_code == 401
    assert "my words" in answer.text


# Odd numbers and letters, on both databases


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Flask, Campus]]:
    """A filled application on either database."""
    if request.param == "sqlite":
        app, campus = request.getfixturevalue("app"), request.getfixturevalue("campus")
        yield app, campus
        return
    with empty_database() as address, running(tmp_path, DATABASE_URL=address) as app:
        fill(app)
        with app.app_context():
            campus = build_campus()
        yield app, campus


HUGE = 10**25


def test_numbers_and_letters_that_no_database_takes_are_refused_and_no_fault(either: tuple[Flask, Campus]):
    app, campus = either
    lena, ingrid, rita = (visit_as(app, campus, who) for who in ("lena", "ingrid", "rita"))
    earner = Earner(app, campus, "lena")
    earner.start(key_of(app, "no-children"))
    tried: list[tuple[Browser, str]] = [(lena, f"{ROOT}{path}") for path in PUBLIC_ODD]
    tried += [
        (browser, path) for browser, paths in ((lena, EARNER_ODD), (ingrid, FACULTY_ODD)) for path in paths
    ]
    tried += [(rita, path) for path in DESK_ODD]
    posts = [
        ("/work/start", {"credential": "\0"}),
        ("/work/tasks", {"attempt": str(HUGE)}),
        ("/work/tasks", {"attempt": "3000000000"}),
        ("/work/tasks", earner.form() | {"revision": str(HUGE)}),
        ("/work/tasks", earner.form() | {"action": f"remove-{HUGE}"}),
        ("/work/tasks", earner.form() | {"action": "remove-3000000000"}),
        ("/badges/%00/share", {}),
    ]

    case = {f"case:{campus.placement}-{campus.accounts['lena']}": "zero"}
    with app.app_context():
        score_id, parked_id = (owe(campus, who).id for who in ("lena", "mateo"))
        for each in (score_id, parked_id):
            db.session.get_one(Score, each).state = ScoreState.PARKED
        db.session.commit()
    typed = [
        (rita, f"/connections/deployments/{campus.deployment}/invitations", {"for": "x\0"}),
        (rita, "/ledger/people", {"who": "\0"}),
        (rita, "/ledger/terms", {"name": "A\0"}),
        (rita, "/ledger/send", {"course": "\0", "section": "\0"}),
        (rita, f"/ledger/{score_id}/settle", {"verb": "abandon", "note": "x\0"}),
        (ingrid, f"/course/grades/{parked_id}", {"do": "drop", "reason": "x\0"}),
        (ingrid, "/course/close-out", case | {"reason": "x\0"}),
        (ingrid, "/course/close-out", case | {"reason": "x\0", "step": "confirm"}),
    ]

    answers = {path: browser.get(path, buffered=True).status_code for browser, path in tried}
    answers |= {f"{path} {data}": earner.post(path, data).status_code for path, data in posts}
    answers |= {f"{path} {data}": browser.post(path, data).status_code for browser, path, data in typed}

    assert {path: status for path, status in answers.items() if status >= 500} == {}


PUBLIC_ODD = [
    f"/credentials?page={HUGE}",
    "/credentials?page=4000000000000000000",
    f"/issuers/{HUGE}",
    "/issuers/3000000000",
    "/credentials/%00",
    "/credentials/x%00y/1",
    f"/credentials/udl-variability/{HUGE}",
    "/stacks/%00",
    "/stacks/%00/badge.png",
    "/shared/%00",
    "/shared/%00/badge.json",
    "/l/%00/",
]
EARNER_ODD = [
    f"/work/evidence/{HUGE}",
    "/work/evidence/3000000000",
    f"/work/submissions/{HUGE}",
    "/work/about/%00",
    "/badges/%00",
    f"/badges?page={HUGE}",
]
FACULTY_ODD = [
    f"/review/{HUGE}",
    "/review/3000000000",
    f"/course/reports/{HUGE}",
    f"/course?page={HUGE}",
    "/course?show=%00",
]
DESK_ODD = [f"/ledger/{HUGE}", "/ledger/3000000000", f"/ledger?page={HUGE}", "/ledger?course=%00"]


# Two things at once


@pytest.mark.postgres
def test_two_decisions_at_once_that_complete_a_stack_bring_its_badge(tmp_path: Path):
    with empty_database() as address, running(tmp_path, DATABASE_URL=address) as app:
        fill(app)
        with app.app_context():
            campus = build_campus()
            stack = db.session.scalars(select(Stack)).first()
            assert stack is not None
            keys = [db.session.get_one(Credential, part.credential_id).key for part in stack.parts]
            activities = [
                add_placement(campus.deployment, campus.course, f"part-{key}", key).id for key in keys
            ]
            waiting = [hand_in_work(campus, "lena", placement=one).id for one in activities]
            db.session.commit()
        together = threading.Barrier(len(waiting))

        def judge(submission_id: int) -> None:
            with app.app_context():
                submission = db.session.get_one(Submission, submission_id)
                marks = marks_for(version_of(submission))
                together.wait()
                decide(
                    submission_id, campus.accounts["ingrid"], marks, "Clear.", Outcome.DEMONSTRATED, now=NOON
                )
                together_or_alone(together)
                db.session.commit()

        threads = [threading.Thread(target=judge, args=(one,)) for one in waiting]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        with app.app_context():
            badges = db.session.scalars(select(Badge)).all()
            assert sum(badge.stack_id is not None for badge in badges) == 1
            assert len(badges) == len(waiting) + 1


def test_two_tabs_that_choose_differently_at_once_leave_one_choice(either: tuple[Flask, Campus]):
    app, campus = either
    with app.app_context():
        ids = dict(db.session.execute(select(Credential.key, Credential.id).limit(2)).all())
        activity = add_placement(campus.deployment, campus.course, "choice", *ids).id
        db.session.commit()
    together = threading.Barrier(2)

    def start(credential_id: int) -> None:
        with app.app_context():
            together.wait()
            submissions.open_attempt(
                campus.persons["lena"], credential_id, activity, campus.accounts["lena"], now=NOON
            )
            together_or_alone(together)
            db.session.commit()

    threads = [threading.Thread(target=start, args=(one,)) for one in ids.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with app.app_context():
        linked = select(func.count()).where(AttemptPlacement.placement_id == activity)
        assert db.session.scalar(linked) == 1


def together_or_alone(barrier: threading.Barrier) -> None:
    """Hold the commit until the other has decided too, or long enough to know that it waits for us."""
    try:
        barrier.wait(timeout=1)
    except threading.BrokenBarrierError:
        """The other stands behind our lock, as it should."""


# Checking badges


def test_a_small_file_with_endless_lists_is_refused_at_once(app: Flask, scene: Scene):
    with visit_as(app, scene.campus, "lena").get(f"/badges/{scene.badge}/badge.json") as answer:
        document = json.loads(answer.data)
    document["credentialSubject"]["achievement"]["tag"] = [f"t{at}" for at in range(2_500)]
    anyone = visit_as(app, scene.campus, "mateo")
    started = time.thread_time()

    page = anyone.post(f"{ROOT}/verify", {"badge": upload(json.dumps(document).encode(), "badge.json")})

    assert "a list has more than 500 entries" in page.text
    assert time.thread_time() - started < 2


def test_checkers_beyond_three_are_asked_to_come_back_so_that_courses_go_on(app: Flask, scene: Scene):
    anyone = visit_as(app, scene.campus, "mateo")
    with verify._places, verify._places, verify._places:
        busy = anyone.post(f"{ROOT}/verify", {"badge": upload(b"{}", "badge.json")})

    assert busy.status_code == 503
    assert verify.BUSY in busy.text
    assert anyone.post(f"{ROOT}/verify", {"badge": upload(b"{}", "badge.json")}).status_code == 200


def test_a_picture_that_unpacks_to_a_flood_is_refused(app: Flask, campus: Campus):
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    text = b"openbadgecredential\0\1\0\0\0" + zlib.compress(b" " * 300_000_000)
    picture = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0" * 13) + chunk(b"iTXt", text) + chunk(b"IEND", b"")

    anyone = visit_as(app, campus, "mateo")

    tracemalloc.start()
    page = anyone.post(f"{ROOT}/verify", {"badge": upload(picture, "badge.png")})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert page.status_code == 200
    assert "too large to be a real one" in page.text
    assert most < 60_000_000


# Other people's servers


@contextmanager
def server(*pieces: bytes, pause: float = 0.0) -> Iterator[str]:
    """Answers every request with these bytes, with a pause before each piece, and hangs up."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(10_000)
            try:
                for piece in pieces:
                    time.sleep(pause)
                    self.request.sendall(piece)
            except OSError:
                """The other side has had enough, as it should."""

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as running_server:
        running_server.daemon_threads = False
        thread = threading.Thread(target=running_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running_server.server_address[1]}/jwks"
        finally:
            running_server.shutdown()
            thread.join()
            http.close()


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((HEAD + b"\r\nabc",), id="cut off"),
        pytest.param((HEAD + b"Content-Encoding: gzip\r\n\r\n" + b"a" * 100,), id="no gzip"),
        pytest.param((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), id="no chunk"),
    ],
)
def test_a_broken_answer_is_no_answer_and_no_fault(pieces: tuple[bytes, ...]):
    with server(*pieces) as address, pytest.raises(http.NoAnswer):
        http.send("GET", address, timeout=2)


def test_an_answer_that_trickles_in_is_given_up_in_time():
    drops = [HEAD + b"\r\n", *[b"a"] * 30]

    with server(*drops, pause=0.1) as address:
        started = time.monotonic()
        with pytest.raises(http.NoAnswer) as silence:
            http.send("GET", address, timeout=0.5)
        waited = time.monotonic() - started

    assert silence.value.sent
    assert waited < 2


def test_a_compressed_flood_is_cut_off():
    flood = gzip.compress(b"\0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(flood)}\r\n\r\n".encode()

    with server(head + flood) as address, pytest.raises(http.NoAnswer, match="too large"):
        http.send("GET", address, timeout=5)


# What stays behind


@pytest.mark.parametrize("path", ["/", "/verify", "/credentials", "/nothing-here", "/shared/guessed"])
def test_no_proxy_keeps_a_page_that_may_carry_a_cookie_or_form_token(app: Flask, path: str):
    answer = app.test_client().get(path, base_url=ROOT)

    assert answer.headers["Cache-Control"].startswith("private")
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_every_page_of_a_visit_is_private_and_sends_no_referrer_away(scene: Scene):
    actors = {who: visit_as(scene.app, scene.campus, who) for who in ("lena", "ingrid", "rita")}
    roles = {
        Who.VISITOR: "lena",
        Who.STAFF: "ingrid",
        Who.EARNER: "lena",
        Who.FACULTY: "ingrid",
        Who.REGISTRAR: "rita",
    }

    for rule, method, who in scene.rules():
        if method == "GET" and who in roles:
            answer = ask(actors[roles[who]], "GET", scene.path(rule, actors[roles[who]]))
            kept = answer.headers["Cache-Control"]
            assert "private" in kept or "no-store" in kept, rule.rule
            assert answer.headers["Referrer-Policy"] == "same-origin", rule.rule
            assert answer.headers["X-Content-Type-Options"] == "nosniff", rule.rule


def test_no_log_at_any_level_holds_a_name_an_address_a_token_or_an_answer(
    app: Flask, person: Person, platform: FakePlatform, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("lti_tool").setLevel(logging.DEBUG)
    logging.getLogger("lti_tool").propagate = True
    try:
        onward = person.login()
        claims = person.claims(LEARNER, onward, name="Zebedee Quill", email="zebedee@example.edu")
        arrived = person.post(onward, claims)
        person.open(arrived)
        person.post(onward, claims)
        base = arrived.headers["Location"]
        person.client.get(f"{base}review/1", base_url=ROOT)
        person.client.post(f"{base}work/tasks", data={"answer-x": "Zebedee Quill"}, base_url=ROOT)
        person.client.get("/credentials/Zebedee%00Quill", base_url=ROOT)
        person.client.post("/lti/launch", data={"id_token": "a.b.Quill", "state": "Quill"}, base_url=ROOT)
    finally:
        logging.getLogger("lti_tool").propagate = False
        logging.getLogger("lti_tool").setLevel(logging.ERROR)

    written = "\n".join(json.dumps(vars(record), default=str) for record in caplog.records)
    assert "launched" in written
    assert "refused" in written
    launch = base.strip("/").split("/")[1]
    cookie = person.client.get_cookie("__Host-tessera", domain="tool.localhost")
    for secret in ("Zebedee", "Quill", "zebedee@", "eyJ", launch, cookie.value if cookie else "?"):
        assert secret not in written, secret


def test_a_database_error_does_not_carry_what_was_typed(app: Flask):
    with app.app_context(), pytest.raises(Exception, match="no such table") as fault:
        db.session.execute(db.text("SELECT 1 FROM nowhere WHERE name = :name"), {"name": "Zebedee Quill"})

    assert "Zebedee" not in str(fault.value)


def test_a_visit_that_is_over_opens_nothing(app: Flask, scene: Scene, monkeypatch: pytest.MonkeyPatch):
    lena = visit_as(app, scene.campus, "lena")
    assert lena.get("/badges").status_code == 200

    later = clock.now() + timedelta(hours=9)
    monkeypatch.setattr(clock, "now", lambda: later)

    assert lena.get("/badges").status_code == 401


def test_a_file_that_is_hidden_for_privacy_cannot_be_added_again(app: Flask, campus: Campus) -> None:
    with app.app_context():
        attempt = begin_work(campus, "lena")
        attempt_id, task = attempt.id, next(row for row in attempt.version.tasks if row.accepts_upload)
        piece = submissions.add_upload(attempt_id, task.key, "class.pdf", BytesIO(PDF), now=NOON)
        submissions.report_privacy_problem(piece.id, campus.accounts["lena"], "", now=NOON)
        db.session.commit()

        with pytest.raises(errors.EvidenceHidden):
            submissions.add_upload(attempt_id, task.key, "renamed.pdf", BytesIO(PDF), now=NOON)


def test_a_name_cannot_turn_the_row_of_a_table_around(person: Person, app: Flask) -> None:
    person.launch(LEARNER, name="Sam\u202e\u2066 Student\u200b\n1")

    with app.app_context():
        assert db.session.scalars(select(Account.name)).one() == "Sam Student 1"
