"""The chain of seals over the audit log: each row's seal covers the row and the seal before it.

**Why after the commit.** To chain a row while it is written, a transaction would have to hold the chain's end until it
commits, and every request of the institution would queue behind the slowest one. So requests only insert, and a worker
links what has been committed, seconds later and in batches. The price is stated plainly: a row is not protected by
the chain until it is sealed, and rows are chained in the order in which the sealer finds them. Ids may have gaps (a
transaction was rolled back) and may arrive late (a lower one committed after a higher one); neither matters, because
a row's place in the chain is a number of its own.

**One sealer at a time**, without a lock that anybody else could wait for: whoever moves the head from the position it
read (a conditional UPDATE of one row) has the turn; others notice, and leave it to them.

**How to check it with other software.** Sort the rows by ``position``. A seal is the lower-case hexadecimal SHA-256 of
the UTF-8 text of this JSON array, without white space, keys of objects sorted, and letters beyond ASCII as they are::

    [position, seal of the row before, id, at, actor_account_id, action, subject_type, subject_id, details]

``at`` is a text such as ``2026-11-22T05:30:00.000000Z``; the seal before the first row is 64 times the digit 0.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool.audit import AuditEvent, AuditHead
from lti_tool.database import db

NOTHING = "0" * 64
"""Stands for the seal before the first row."""
_BATCH = 500
_BACKDATED = timedelta(hours=1)
"""A row dated so long before rows that were sealed earlier was not written by a page: those commit within seconds."""

_FACTS = (
    AuditEvent.id,
    AuditEvent.at,
    AuditEvent.actor_account_id,
    AuditEvent.action,
    AuditEvent.subject_type,
    AuditEvent.subject_id,
    AuditEvent.details,
)


@dataclass(frozen=True)
class Seal:
    """A link of the chain, as it is printed and kept elsewhere: ``1234:`` and 64 hexadecimal digits."""

    position: int
    value: str

    def __str__(self) -> str:
        return f"{self.position}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> "Seal":
        """Read what was printed.

        :raises ValueError: it is no seal.
        """
        position, _, value = text.strip().partition(":")
        if not position.isdecimal() or len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise ValueError(text)
        return cls(int(position), value)


@dataclass
class Verdict:
    """What verifying found."""

    sealed: int = 0
    waiting: int = 0
    """Rows that no sealer has come to yet."""
    waiting_since: datetime | None = None
    newest: Seal = field(default_factory=lambda: Seal(0, NOTHING))
    problems: list[str] = field(default_factory=list)
    """What proves that the log was tampered with, and where."""
    doubts: list[str] = field(default_factory=list)
    """What a person should look at: it may be somebody's hand or a clock that was wrong."""


def canonical(position: int, before: str, facts: tuple[Any, ...]) -> bytes:
    """What a seal is the hash of."""
    number, at, *rest = facts
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    values = [position, before, number, moment, *rest]
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal_of(position: int, before: str, facts: tuple[Any, ...]) -> str:
    return hashlib.sha256(canonical(position, before, facts)).hexdigest()


def seal_committed(*, stopping: Callable[[], bool] = lambda: False) -> int:
    """Link every committed row that has no seal yet, in batches. Commits. Returns how many were sealed here."""
    total = 0
    while not stopping():
        done = _seal_batch()
        total += done
        if done < _BATCH:
            break
    return total


def _seal_batch() -> int:
    head = _head()
    position, seal = head.position, head.value
    unsealed = select(*_FACTS).where(AuditEvent.seal.is_(None)).order_by(AuditEvent.id).limit(_BATCH)
    links = []
    for facts in db.session.execute(unsealed).all():
        position, seal = position + 1, seal_of(position + 1, seal, tuple(facts))
        links.append({"id": facts.id, "position": position, "seal": seal})
    if not links or not _take_turn(head, Seal(position, seal)):
        db.session.rollback()
        return 0
    # Only the sealer whose turn it is gets here, so these rows are as they were read.
    db.session.execute(update(AuditEvent), links)
    db.session.commit()
    return len(links)


def _take_turn(head: Seal, to: Seal) -> bool:
    """Move the chain's end to where this batch will end, unless another sealer has moved it meanwhile."""
    if head.position == 0:
        db.session.add(AuditHead(id=1, position=to.position, seal=to.value))
        try:
            db.session.flush()
        except IntegrityError:
            return False
        return True
    moved = db.session.scalar(
        update(AuditHead)
        .where(AuditHead.id == 1, AuditHead.position == head.position)
        .values(position=to.position, seal=to.value)
        .returning(AuditHead.id)
        .execution_options(synchronize_session=False)
    )
    return moved is not None


def verify(expected: Seal | None = None) -> Verdict:
    """Compute the whole chain anew and say what does not fit. Reads only; requests and sealers go on meanwhile.

    :param expected: a seal that was printed earlier and kept elsewhere. Without one, somebody who may change every
        table can make the log, and the chain with it, anew: that is what the kept seal is for.
    """
    verdict = Verdict()
    head = _head()
    position, seal = 0, NOTHING
    known = expected is None or expected.position == 0
    latest: tuple[datetime, int] | None = None
    for row in _chain(head.position):
        if row.position != position + 1:
            _missing(verdict, position + 1, row.position - 1)
        elif row.seal != seal_of(row.position, seal, tuple(row)[: len(_FACTS)]):
            verdict.problems.append(
                f"Event {row.id} at position {row.position} is not what was sealed there: changed, moved or put in."
            )
        if expected and row.position == expected.position:
            known = row.seal == expected.value
        checked_before = expected is not None and row.position <= expected.position
        if latest and row.at < latest[0] - _BACKDATED and not checked_before:
            verdict.doubts.append(
                f"Event {row.id} at position {row.position} is dated {row.at:%Y-%m-%d %H:%M}, long before event "
                f"{latest[1]}, which was sealed earlier: put in later, or a clock was wrong."
            )
        if latest is None or row.at > latest[0]:
            latest = (row.at, row.id)
        position, seal = row.position, row.seal
        verdict.sealed += 1
    _end(verdict, head, Seal(position, seal))
    if expected and not known:
        verdict.problems.append(
            f"The expected seal does not stand at position {expected.position}: the log was cut off before it, "
            "or made anew."
        )
    return verdict


def _end(verdict: Verdict, head: Seal, last: Seal) -> None:
    """Whether the log ends where the sealers left it, and what is still to be sealed."""
    verdict.newest = head
    if last.position < head.position:
        _missing(verdict, last.position + 1, head.position)
    elif last.value != head.value:
        verdict.problems.append(f"The newest seal is not the one of position {last.position}.")
    # In this order: a sealer that goes on meanwhile moves the head together with the rows.
    furthest = db.session.scalar(select(func.max(AuditEvent.position))) or 0
    db.session.rollback()
    now = _head()
    if furthest > now.position:
        verdict.problems.append(
            f"Positions {now.position + 1} to {furthest} stand behind the newest seal: put in by hand, "
            "or the newest seal was set back."
        )
    verdict.waiting, verdict.waiting_since = db.session.execute(
        select(func.count(), func.min(AuditEvent.at)).where(AuditEvent.seal.is_(None))
    ).one()


def _missing(verdict: Verdict, first: int, last: int) -> None:
    where = f"Position {first} is" if first == last else f"Positions {first} to {last} are"
    verdict.problems.append(f"{where} missing: sealed once, and gone now.")


def _head() -> Seal:
    row = db.session.execute(select(AuditHead.position, AuditHead.seal)).one_or_none()
    return Seal(row.position, row.seal) if row else Seal(0, NOTHING)


def _chain(until: int) -> Iterator[Row[Any]]:
    """Every sealed row up to a position, in order, a batch in memory at a time."""
    after = None
    while True:
        rows = db.session.execute(_page(after, until)).all()
        yield from rows
        if len(rows) < _BATCH:
            return
        after = rows[-1].position
        # A long look at one state would keep SQLite's log from shrinking and PostgreSQL from tidying up.
        db.session.rollback()


def _page(after: int | None, until: int) -> Select[Any]:
    query = select(*_FACTS, AuditEvent.position, AuditEvent.seal).where(AuditEvent.position <= until)
    if after is not None:
        query = query.where(AuditEvent.position > after)
    return query.order_by(AuditEvent.position).limit(_BATCH)
