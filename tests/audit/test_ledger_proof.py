"""What `lti-tool audit verify` finds when somebody with the keys to the database has been at the ledger of scores."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError

from lti_tool import tasks
from lti_tool.audit import AuditEvent
from lti_tool.database import db
from lti_tool.passback import service
from lti_tool.passback.models import Score, ScoreState
from tests.audit.test_verifying import behind_the_back
from tests.outside.operators import types
from tests.support.apps import NOON
from tests.support.cast import build_bare_campus

Verify = Callable[[], Result]
WHO = ("lena", "mateo", "aiko", "otto", "ada")


@pytest.fixture
def owed(app: Flask) -> Flask:
    """Five scores, numbered from 1."""
    with app.app_context():
        campus = build_bare_campus()
        cell = service.PlacementCell(
            campus.placement, campus.deployment, campus.registration, "https://lms.example"
        )
        for number, who in enumerate(WHO, start=1):
            service.owe(
                placement=cell,
                account_id=campus.accounts[who],
                subject=who,
                decision_id=number,
                points=Decimal(20) / 3,
                points_possible=Decimal(10),
                comment="Très bien ✓",
                submitted_at=NOON - timedelta(microseconds=1),
                now=NOON,
            )
        db.session.commit()
    return app


@pytest.fixture
def verify(app: Flask, address: str, tmp_path: Path) -> Verify:
    return lambda: types(tmp_path / "home", "audit", "verify", DATABASE_URL=address)


def test_a_ledger_that_nobody_touched_is_sound_whatever_has_become_of_its_scores(owed: Flask, verify: Verify):
    tasks.seal_audit(owed)
    with owed.app_context():
        db.session.execute(update(Score).values(state=ScoreState.ABANDONED, reason="So.", tries=3))
        with pytest.raises(DBAPIError, match="What a score says never changes"), db.session.begin_nested():
            db.session.execute(update(Score).values(points=Decimal(9)))
        db.session.commit()

        row = db.session.get_one(Score, 1)
        event = db.session.scalars(select(AuditEvent).filter_by(action="score owed", subject_id="1")).one()
        # As docs/audit-log.md describes it.
        said = {
            "account": row.account_id,
            "activityProgress": "Completed",
            "comment": "Très bien ✓",
            "decision": 1,
            "gradingProgress": "FullyGraded",
            "idempotencyKey": f"decision:1/cell:{row.placement_id}.{row.account_id}",
            "lineItem": "https://lms.example",
            "placement": row.placement_id,
            "points": "6.667",
            "pointsPossible": "10.000",
            "scoredAt": "2026-10-05T12:00:00.000000Z",
            "subject": "lena",
            "submittedAt": "2026-10-05T11:59:59.999999Z",
        }
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert event.details["payload"] == hashlib.sha256(text.encode()).hexdigest()

    result = verify()

    assert result.exit_code == 0, result.output
    assert "5 scores compared with what was sealed when they were owed." in result.output


def test_what_was_changed_removed_or_put_in_is_named(owed: Flask, verify: Verify):
    with owed.app_context():
        copied = db.session.execute(select(Score.__table__).where(Score.id == 5)).one()._asdict()
        db.session.execute(
            insert(Score).values(copied | {"id": 99, "account_id": 7, "idempotency_key": "mine"})
        )
        db.session.commit()
    behind_the_back(
        owed,
        "UPDATE score SET points = 9 WHERE id IN (1, 5)",
        "UPDATE score SET comment = '' WHERE id = 2",
        "DELETE FROM score WHERE id = 3",
    )
    with owed.app_context():
        # Somebody who knows how, and writes another event with the digest of what they have made of the row.
        event = db.session.scalars(select(AuditEvent).filter_by(action="score owed", subject_id="5")).one()
        details = event.details | {"payload": db.session.get_one(Score, 5).digest()}
        same = {"action": event.action, "subject_type": "score", "subject_id": "5", "at": event.at}
        db.session.add(AuditEvent(**same, actor_account_id=None, details=details))
        db.session.commit()
    tasks.seal_audit(owed)

    result = verify()

    assert result.exit_code == 1
    for said in (
        "Score 1 does not say what it said when it was owed.",
        "Score 2 does not say what it said when it was owed.",
        "Score 5 does not say what it said when it was owed.",
        "Score 3 was owed, and is not there any more.",
        "Score 99 is there, and no event says that it was owed.",
        "The chain is whole.",
        "The ledger of scores was tampered with.",
    ):
        assert said in result.output
    assert "Score 4" not in result.output


def test_scores_from_before_there_were_digests_are_counted_and_prove_nothing(owed: Flask, verify: Verify):
    behind_the_back(
        owed, "UPDATE audit_event SET details = '{}' WHERE action = 'score owed' AND subject_id IN ('1', '2')"
    )
    tasks.seal_audit(owed)

    result = verify()

    assert result.exit_code == 0, result.output
    assert "3 scores compared" in result.output
    assert "2 more were owed before that was sealed" in result.output
