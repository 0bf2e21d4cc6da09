"""What `lti-tool audit verify` finds when somebody with the keys to the database has been at the log."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError

from lti_tool import audit, tasks
from lti_tool.audit import AuditEvent, seals
from lti_tool.database import db, schema
from tests.outside.operators import said_no, settings_of, types
from tests.support.apps import NOON

Verify = Callable[..., Result]


def write(app: Flask, *subjects: object, **details: object) -> None:
    """What requests do, in one transaction."""
    with app.app_context():
        for subject in subjects:
            audit.record("badge awarded", "badge", str(subject), now=NOON, actor=7, **details)
        db.session.commit()


@pytest.fixture
def verify(app: Flask, address: str, tmp_path: Path) -> Verify:
    def typed(*more: str) -> Result:
        return types(tmp_path / "home", "audit", "verify", *more, DATABASE_URL=address)

    return typed


@pytest.fixture
def sealed(app: Flask) -> Flask:
    """A log of ten sealed events."""
    write(app, *range(1, 11), decision=3, words="naïve ✓", share=0.1)
    assert tasks.seal_audit(app) == 10
    return app


def newest(result: Result) -> str:
    return next(line for line in result.output.splitlines() if line.startswith("Newest seal: ")).removeprefix(
        "Newest seal: "
    )


def behind_the_back(app: Flask, *statements: str) -> None:
    """What the owner of the database can do: without the triggers, as if they had never been."""
    with app.app_context(), db.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        else:
            for name in connection.scalars(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            ).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            connection.execute(text(statement))
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = origin"))


def test_a_log_that_nobody_touched_is_sound(sealed: Flask, verify: Verify):
    result = verify()

    assert result.exit_code == 0
    assert "10 sealed events read." in result.output
    assert newest(result).startswith("10:")


def test_an_empty_log_is_sound(verify: Verify):
    assert verify().exit_code == 0


def test_events_that_no_worker_has_come_to_are_said_to_wait(sealed: Flask, verify: Verify):
    write(sealed, "new")

    result = verify()

    assert result.exit_code == 0
    assert "1 more wait for a worker to seal them, the oldest of 2026-10-05 12:00 UTC." in result.output


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE audit_event SET actor_account_id = 8 WHERE position = 4",
            "Event 4 at position 4 is not what was",
        ),
        (
            "UPDATE audit_event SET details = '{}' WHERE position = 10",
            "Event 10 at position 10 is not what was",
        ),
        ("DELETE FROM audit_event WHERE position = 4", "Position 4 is missing"),
        ("DELETE FROM audit_event WHERE position IN (1, 2)", "Positions 1 to 2 are missing"),
        ("DELETE FROM audit_event WHERE position > 7", "Positions 8 to 10 are missing"),
        ("DELETE FROM audit_event", "Positions 1 to 10 are missing"),
        ("UPDATE audit_head SET position = 8", "Positions 9 to 10 stand behind the newest seal"),
        ("UPDATE audit_head SET seal = '0'", "The newest seal is not the one of position 10"),
        (
            "INSERT INTO audit_event (id, at, action, subject_type, subject_id, details, position, seal)"
            " SELECT 99, at, action, subject_type, '99', details, 11, seal FROM audit_event WHERE id = 10",
            "Positions 11 to 11 stand behind the newest seal",
        ),
    ],
)
def test_what_was_changed_removed_or_put_in_is_named(
    sealed: Flask, verify: Verify, statement: str, said: str
):
    behind_the_back(sealed, statement)

    result = verify()

    assert result.exit_code == 1
    assert said in result.stderr
    assert "Newest seal" not in result.output


def test_events_that_changed_places_are_named(sealed: Flask, verify: Verify):
    behind_the_back(
        sealed,
        "UPDATE audit_event SET position = 99 WHERE id = 3",
        "UPDATE audit_event SET position = 3 WHERE id = 6",
        "UPDATE audit_event SET position = 6 WHERE id = 3",
    )

    result = verify()

    assert result.exit_code == 1
    assert "Event 6 at position 3 is not" in result.stderr
    assert "Event 3 at position 6 is not" in result.stderr


def test_an_event_put_in_with_an_earlier_date_is_pointed_out_until_its_seal_is_expected(
    sealed: Flask, verify: Verify
):
    with sealed.app_context():
        facts = {"action": "x", "subject_type": "badge", "subject_id": "1", "details": {}}
        db.session.execute(insert(AuditEvent).values(at=NOON - timedelta(days=90), **facts))
        db.session.commit()
    tasks.seal_audit(sealed)

    result = verify()

    assert result.exit_code == 3
    assert "Event 11 at position 11 is dated 2026-07-07 12:00, long before event 1" in result.stderr
    assert verify("--expect", newest(result)).exit_code == 0


def test_a_log_made_anew_with_its_chain_is_found_out_by_a_seal_that_was_kept(sealed: Flask, verify: Verify):
    kept = newest(verify())
    behind_the_back(
        sealed,
        "DELETE FROM audit_event WHERE id = 5",
        "UPDATE audit_event SET position = NULL, seal = NULL",
        "DELETE FROM audit_head",
    )
    write(sealed, "eleventh")
    tasks.seal_audit(sealed)

    assert verify().exit_code == 0
    result = verify("--expect", kept)
    assert result.exit_code == 1
    assert "The expected seal does not stand at position 10" in result.stderr


def test_a_log_that_only_grew_still_contains_the_seal_that_was_kept(sealed: Flask, verify: Verify):
    kept = newest(verify())
    write(sealed, "eleventh")
    tasks.seal_audit(sealed)

    result = verify("--expect", kept)

    assert result.exit_code == 0
    assert newest(result).startswith("11:")


def test_a_log_cut_off_together_with_its_head_is_found_out_by_a_seal_that_was_kept(
    sealed: Flask, verify: Verify
):
    kept = newest(verify())
    behind_the_back(
        sealed,
        "DELETE FROM audit_event WHERE position > 7",
        "UPDATE audit_head SET position = 7, seal = (SELECT seal FROM audit_event WHERE position = 7)",
    )

    assert verify().exit_code == 0
    assert verify("--expect", kept).exit_code == 1


def test_what_is_no_seal_is_refused(app: Flask, verify: Verify):
    assert "--expect takes a seal as" in said_no(verify("--expect", "yesterday"))


def test_the_chain_can_be_computed_by_whoever_reads_its_description(sealed: Flask):
    before = "0" * 64
    with sealed.app_context():
        for event in db.session.scalars(select(AuditEvent).order_by(AuditEvent.position)):
            words = json.dumps(
                [
                    event.position,
                    before,
                    event.id,
                    "2026-10-05T12:00:00.000000Z",
                    7,
                    "badge awarded",
                    "badge",
                    str(event.position),
                    {"decision": 3, "share": 0.1, "words": "naïve ✓"},
                ],
                separators=(",", ":"),
                ensure_ascii=False,
            )
            before = hashlib.sha256(words.encode()).hexdigest()
            assert event.seal == before


def test_events_from_before_there_were_seals_are_sealed_too(app: Flask, verify: Verify):
    with app.app_context():
        schema.downgrade("2026_11_22_11")
        with db.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO audit_event (at, action, subject_type, subject_id, details)"
                    " VALUES (:at, 'x', 'badge', '1', '{}')"
                ),
                [{"at": NOON - timedelta(days=day)} for day in (3, 2, 1)],
            )
        schema.upgrade()
    tasks.seal_audit(app)

    result = verify()

    assert result.exit_code == 0
    assert "3 sealed events read." in result.output


@pytest.mark.parametrize(
    "values", [{"seal": "x", "position": 3}, {"action": "nothing"}, {"seal": None, "position": None}]
)
def test_a_sealed_event_is_never_touched_again(sealed: Flask, values: dict[str, object]):
    with (
        sealed.app_context(),
        pytest.raises(DBAPIError, match="append-only"),
        db.engine.begin() as connection,
    ):
        connection.execute(update(AuditEvent).where(AuditEvent.id == 3).values(**values))


def test_nothing_but_the_seal_may_be_written_with_the_sealing(app: Flask):
    write(app, "one")
    with app.app_context(), pytest.raises(DBAPIError, match="append-only"), db.engine.begin() as connection:
        connection.execute(update(AuditEvent).values(seal="x", position=1, subject_id="two"))


def test_an_event_that_was_committed_after_a_later_one_gets_its_place_too(app: Flask, verify: Verify):
    """On PostgreSQL a number is taken long before the commit; here the late one is written with its number."""
    write(app, *range(1, 4))
    with app.app_context():
        db.session.execute(
            insert(AuditEvent).values(
                id=9, at=NOON, action="x", subject_type="badge", subject_id="1", details={}
            )
        )
        db.session.commit()
    tasks.seal_audit(app)
    with app.app_context():
        db.session.execute(
            insert(AuditEvent).values(
                id=5, at=NOON, action="x", subject_type="badge", subject_id="1", details={}
            )
        )
        db.session.commit()

    assert tasks.seal_audit(app) == 1
    assert verify().exit_code == 0


_WRITER = """
import sys
from lti_tool import audit, clock
from lti_tool.app import create_app
from lti_tool.audit import seals
from lti_tool.database import db

app = create_app()
with app.app_context():
    for number in range(60):
        audit.record("written", "process", sys.argv[1], now=clock.now(), number=number)
        db.session.flush()
        audit.record("written too", "process", sys.argv[1], now=clock.now(), number=number)
        if number % 10 == 9:
            db.session.rollback()
        else:
            db.session.commit()
        if number % 5 == 0:
            seals.seal_committed()
"""


def test_four_processes_that_write_and_seal_at_once_leave_a_sound_log(
    app: Flask, address: str, verify: Verify, tmp_path: Path
):
    env = settings_of(tmp_path / "home", DATABASE_URL=address)
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(number)], env=env, stderr=subprocess.PIPE)
        for number in range(4)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors.decode()) == (0, "")
    tasks.seal_audit(app)

    result = verify()

    assert result.exit_code == 0
    assert "432 sealed events read." in result.output
    with app.app_context():
        assert seals.verify().newest.position == 432
