"""Whether the ledger still says what was owed: each row is compared with the digest that the audit log sealed for it.

The chain of the log (``audit/seals.py``) proves the digests; this proves the rows. Reads only, a batch at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from lti_tool.audit import AuditEvent
from lti_tool.database import db
from lti_tool.passback.models import Score

OWED = "score owed"
_BATCH = 500


@dataclass
class Proof:
    """What was found."""

    compared: int = 0
    without: int = 0
    """Rows from before digests were sealed: nothing to compare them with."""
    problems: list[str] = field(default_factory=list)
    """What is not as it was owed."""


def prove() -> Proof:
    """Compare every row of the ledger with its digest, and look for digests whose row is gone."""
    proof = Proof()
    since = _compare_rows(proof)
    if since is not None:
        _look_for_rows(proof, since)
    return proof


def _compare_rows(proof: Proof) -> int | None:
    """Returns the first event with a digest; None if there is none."""
    after, since = 0, None
    while rows := db.session.scalars(
        select(Score).where(Score.id > after).order_by(Score.id).limit(_BATCH)
    ).all():
        sealed = _digests([row.id for row in rows])
        for row in rows:
            digests = [digest for _, digest in sealed.get(row.id, ()) if digest is not None]
            if not digests and since is None:
                proof.without += 1
            elif not digests:
                proof.problems.append(f"Score {row.id} is in the ledger, and no event says that it was owed.")
            elif digests != [row.digest()]:
                proof.problems.append(f"Score {row.id} does not say what it said when it was owed.")
            if digests and since is None:
                since = min(event for event, digest in sealed[row.id] if digest is not None)
            proof.compared += bool(digests)
        after = rows[-1].id
        # A long look at one state would keep SQLite's log from shrinking and PostgreSQL from tidying up.
        db.session.rollback()
    return since


def _digests(ids: Sequence[int]) -> dict[int, list[tuple[int, str | None]]]:
    """Of these rows, each event that says that they were owed, with its digest; None for one without."""
    found: dict[int, list[tuple[int, str | None]]] = {}
    for event, score, details in db.session.execute(
        select(AuditEvent.id, AuditEvent.subject_id, AuditEvent.details)
        .where(
            AuditEvent.subject_type == "score",
            AuditEvent.subject_id.in_([str(one) for one in ids]),
            AuditEvent.action == OWED,
        )
        .order_by(AuditEvent.id)
    ):
        found.setdefault(int(score), []).append((event, details.get("payload")))
    return found


def _look_for_rows(proof: Proof, since: int) -> None:
    after = since - 1
    while events := db.session.execute(
        select(AuditEvent.id, AuditEvent.subject_id)
        .where(AuditEvent.id > after, AuditEvent.subject_type == "score", AuditEvent.action == OWED)
        .order_by(AuditEvent.id)
        .limit(_BATCH)
    ).all():
        named = {int(event.subject_id) for event in events}
        gone = named - set(db.session.scalars(select(Score.id).where(Score.id.in_(named))))
        proof.problems += [
            f"Score {number} was owed, and is not in the ledger any more." for number in sorted(gone)
        ]
        after = events[-1].id
        db.session.rollback()
