"""Whether rows still say what they said when an event sealed a digest of them. What kind of rows, others know.

The chain of the log (``seals.py``) proves the digests; this proves the rows. Reads only, a batch at a time.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from lti_tool.audit import AuditEvent
from lti_tool.database import db

_BATCH = 500


@dataclass(frozen=True)
class Sealed:
    """Which events hold the digests, under ``payload`` in their details, and the rows that they speak of."""

    subject_type: str
    action: str
    rows: Callable[[], Iterable[Sequence[tuple[int, str]]]]
    """Every row's number with its digest of today, the oldest first, in batches."""
    there: Callable[[set[int]], set[int]]
    """Which of these numbers have a row."""


@dataclass
class Proof:
    """What was found."""

    compared: int = 0
    without: int = 0
    """Rows from before digests were sealed: nothing to compare them with."""
    problems: list[str] = field(default_factory=list)
    """What is not as it was sealed."""


def prove(sealed: Sealed) -> Proof:
    """Compare every row with its digest, and look for digests whose row is gone."""
    proof = Proof()
    since = _compare(sealed, proof)
    if since is not None:
        _look_for_rows(sealed, proof, since)
    return proof


def _compare(sealed: Sealed, proof: Proof) -> int | None:
    """Returns the first event with a digest; None if there is none."""
    since, name = None, sealed.subject_type.capitalize()
    for rows in sealed.rows():
        events = _events(sealed, [number for number, _ in rows])
        for number, today in rows:
            digests = [digest for _, digest in events.get(number, ()) if digest is not None]
            if not digests and since is None:
                proof.without += 1
            elif not digests:
                proof.problems.append(f"{name} {number} is there, and no event says that it was owed.")
            elif digests != [today]:
                proof.problems.append(f"{name} {number} does not say what it said when it was owed.")
            if digests and since is None:
                since = min(event for event, digest in events[number] if digest is not None)
            proof.compared += bool(digests)
        # A long look at one state would keep SQLite's log from shrinking and PostgreSQL from tidying up.
        db.session.rollback()
    return since


def _events(sealed: Sealed, numbers: Sequence[int]) -> dict[int, list[tuple[int, str | None]]]:
    """Of these rows, each event about them, with its digest; None for one without."""
    found: dict[int, list[tuple[int, str | None]]] = {}
    for event, subject, details in db.session.execute(
        select(AuditEvent.id, AuditEvent.subject_id, AuditEvent.details)
        .where(
            AuditEvent.subject_type == sealed.subject_type,
            AuditEvent.subject_id.in_([str(number) for number in numbers]),
            AuditEvent.action == sealed.action,
        )
        .order_by(AuditEvent.id)
    ):
        found.setdefault(int(subject), []).append((event, details.get("payload")))
    return found


def _look_for_rows(sealed: Sealed, proof: Proof, since: int) -> None:
    after, name = since - 1, sealed.subject_type.capitalize()
    while events := db.session.execute(
        select(AuditEvent.id, AuditEvent.subject_id)
        .where(
            AuditEvent.id > after,
            AuditEvent.subject_type == sealed.subject_type,
            AuditEvent.action == sealed.action,
        )
        .order_by(AuditEvent.id)
        .limit(_BATCH)
    ).all():
        named = {int(event.subject_id) for event in events}
        gone = sorted(named - sealed.there(named))
        proof.problems += [f"{name} {number} was owed, and is not there any more." for number in gone]
        after = events[-1].id
        db.session.rollback()
