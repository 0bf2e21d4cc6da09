"""What an operator does with badges that stand, and what is left of them when the tool is gone."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import select

from lti_tool import clock
from lti_tool.badges import queries, service, signing
from lti_tool.badges.models import Badge
from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.verification.service import verify
from lti_tool.verification.verdict import Standing, Verdict
from lti_tool.verification.web import Web
from tests.outside.operators import said_no, types
from tests.support.apps import NOON, fill, running
from tests.support.cast import build_campus
from tests.support.endorsers import endorsement

UDL = "http://tool.localhost:8700/credentials/udl-variability/1"


def issue(home: Path, *people: str, **more: str) -> dict[str, dict[str, str]]:
    """Badges of these people, as their files: format -> text."""
    with running(home, **more) as app, app.app_context():
        campus = build_campus()
        version = db.session.scalars(
            select(Version).join(Version.credential).filter_by(key="udl-variability")
        ).one()
        ids = {}
        for who in people:
            badge = service.award(
                person_id=campus.persons[who],
                version=version,
                decision_id=1,
                source="Example University",
                email=f"{who}@example.edu",
                evidence=[],
                now=NOON,
            )
            ids[who] = badge.id
        db.session.commit()
        signing.sign_due(now=clock.now())
        forms = (signing.EMBEDDED_PROOF, signing.VC_JWT)
        return {
            who: {form: queries.document(badge_id, form) for form in forms} for who, badge_id in ids.items()
        }


def standing(home: Path) -> list[tuple[bool, str | None]]:
    with running(home) as app, app.app_context():
        rows = db.session.scalars(select(Badge).order_by(Badge.revoked_at.is_(None), Badge.id)).all()
        return [(row.revoked_at is None, row.revocation_reason) for row in rows]


def test_a_badge_is_taken_back_by_the_id_in_its_file(home: Path):
    badge = json.loads(issue(home, "lena")["lena"][signing.EMBEDDED_PROOF])

    done = types(home, "badges", "revoke", badge["id"], "--reason", "Awarded by mistake.")
    again = types(home, "badges", "revoke", badge["id"], "--reason", "Twice.")
    unknown = types(home, "badges", "revoke", "urn:uuid:none", "--reason", "x")
    silent = types(home, "badges", "revoke", badge["id"], "--reason", " ")

    assert "Revoked: " in done.output
    assert "revoked, or issued again, before" in said_no(again)
    assert "There is no badge of this id" in said_no(unknown)
    assert "Say why" in said_no(silent)
    assert standing(home) == [(False, "Awarded by mistake.")]


def test_a_badge_is_issued_again_for_another_address(home: Path):
    badge = json.loads(issue(home, "lena")["lena"][signing.EMBEDDED_PROOF])

    both = types(home, "badges", "reissue", badge["id"], "--email", "l@example.net", "--unnamed")
    done = types(home, "badges", "reissue", badge["id"], "--email", "l@example.net")

    assert "Give either" in said_no(both)
    assert "Issued again: " in done.output
    assert badge["id"] not in done.output
    assert standing(home) == [(False, "Re-issued"), (True, None)]


def test_keys_are_rotated_and_named(home: Path):
    done = types(home, "badges", "rotate-keys")

    assert "ed25519: did:web:tool.localhost%3A8700:issuers:1#z6Mk" in done.output
    assert "rs256: http://tool.localhost:8700/issuers/1/keys/" in done.output


def test_an_endorsement_is_accepted_only_with_a_key_that_its_endorser_publishes(home: Path, tmp_path: Path):
    file = tmp_path / "endorsement.json"
    file.write_text(json.dumps(endorsement(UDL, issuer={"id": "urn:x", "type": ["Profile"], "name": "X"})))
    assert "somebody else's key" in said_no(types(home, "badges", "endorse", str(file)))

    file.write_text(json.dumps(endorsement(UDL)))
    assert "could not be found out" in said_no(types(home, "badges", "endorse", str(file)))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder behind a plain web server; its address. The folder may be filled later."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Requests are not news in a test."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.long
def test_badges_verify_against_a_plain_folder_when_the_tool_is_gone(tmp_path: Path):
    folder = tmp_path / "copy"
    folder.mkdir()
    with served(folder) as origin:
        home = tmp_path / "home"
        with running(home, PUBLIC_URL=origin) as app:
            fill(app)
        files = issue(home, "lena", "mateo", PUBLIC_URL=origin)
        gone = json.loads(files["mateo"][signing.EMBEDDED_PROOF])["id"]
        types(home, "badges", "revoke", gone, "--reason", "Mistake.", PUBLIC_URL=origin)
        done = types(home, "badges", "export-static", str(folder), "--years", "30", PUBLIC_URL=origin)
        assert "README.txt says how" in done.output, done.output

        def ask(text: str) -> Verdict:
            """As somebody who knows nothing but the file and the Internet, years later."""
            web = Web(allowed_origins={origin}, resolve=lambda *_: ["127.0.0.1"])
            later = clock.now() + timedelta(days=20 * 365)
            return verify(text.encode(), records=lambda *_: None, web=web, now=later)

        for text in files["lena"].values():
            assert ask(text).ok, ask(text)
        for text in files["mateo"].values():
            assert ask(text).standing is Standing.REFUSED
            assert ask(text).headline == "This badge was revoked"

    page = (folder / "credentials/udl-variability/1/index.html").read_text()
    assert "Universal Design" in page
    assert "<script" not in page
    assert "/verify" not in page
    assert (folder / "credentials/udl-variability/1/badge.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "static/tessera.css").exists()
    assert list((folder / "static/fonts").iterdir())
    assert list((folder / "stacks").glob("*/index.html"))
    assert "udl-variability/1/" in (folder / "index.html").read_text()
    everything = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert not any(word in everything for word in (b"PRIVATE KEY", b"Lena", b"lena@", gone.encode()))


@pytest.mark.parametrize("command", ["revoke", "reissue", "rotate-keys", "endorse", "export-static"])
def test_each_command_explains_itself(command: str, tmp_path: Path):
    assert types(tmp_path, "badges", command, "--help").output.count("\n") > 4
