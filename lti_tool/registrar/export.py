"""The ledger as a file that a spreadsheet opens right, and in which no cell is taken for a formula.

The workbook is for people: it says of each cell what it is, so that an id such as 0012 stays one. CSV is for programs:
UTF-8 with a byte order mark, ISO dates, and the ids as they are, of which a spreadsheet that opens it makes numbers.
Neither is ever held in memory as a whole.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from lti_tool.assessment.models import Outcome
from lti_tool.registrar.queries import LedgerRow
from lti_tool.registrar.words import number, state_of
from lti_tool.registrar.workbook import Cell, pieces

COLUMNS = (
    "Ledger number",
    "Owed since (UTC)",
    "Name",
    "SIS id",
    "LMS user id",
    "Course",
    "Course title",
    "Term",
    "Section",
    "Activity",
    "Micro-credential",
    "Version",
    "Decision",
    "Decided (UTC)",
    "Handed in (UTC)",
    "Points",
    "Points possible",
    "Comment",
    "Timestamp sent (UTC)",
    "State",
    "What it needs",
    "Tries",
    "Last try (UTC)",
    "HTTP status",
    "What the platform's answer means",
    "Platform's answer",
    "Settled (UTC)",
    "The LMS shows",
    "The LMS shows, out of",
    "Read back (UTC)",
    "Difference dealt with (UTC)",
    "Note on the difference",
    "Progress sent",
    "Idempotency key",
)
PEOPLE = ("LMS user id", "Name", "SIS id", "LMS course id", "Course", "Section")
_DECISIONS = {Outcome.DEMONSTRATED: "Demonstrated", Outcome.NOT_YET: "Not yet demonstrated"}
# The wide forms count as well: spreadsheets in Japanese and Chinese settings read them as the narrow ones.
_STARTS_A_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def lines(batches: Iterable[Sequence[LedgerRow]]) -> Iterator[str]:
    """The file in pieces, a batch of rows at a time."""
    yield "\ufeff" + _written([COLUMNS])
    for rows in batches:
        yield _written(_cells(row) for row in rows)


def people(batches: Iterable[Iterable[Row[*tuple[Any, ...]]]]) -> Iterator[str]:
    """The people of courses, one line per course that they are in, for a registrar to fill SIS ids in."""
    yield "\ufeff" + _written([PEOPLE])
    for rows in batches:
        yield _written(tuple(row)[1:] for row in rows)


def workbook(batches: Iterable[Sequence[LedgerRow]]) -> Iterator[bytes]:
    """The same as a workbook, in pieces."""
    return pieces(COLUMNS, (_cells(row) for rows in batches for row in rows))


def defused(text: str) -> str:
    """Text that a spreadsheet shows as it is. An apostrophe keeps it from being read as a formula."""
    clean = text.replace("\x00", "")
    return "'" + clean if clean.lstrip(" ").startswith(_STARTS_A_FORMULA) else clean


def _cells(row: LedgerRow) -> tuple[Cell, ...]:
    last = row.last
    return (
        row.id,
        row.owed_at,
        row.person,
        row.sis_id,
        row.subject,
        row.course,
        row.course_title,
        row.term,
        row.section,
        row.activity,
        row.credential,
        row.version,
        None
        if row.outcome is None
        else _DECISIONS[row.outcome] + (", changed later" if row.called_off_at else ""),
        row.decided_at,
        row.submitted_at,
        row.points,
        row.points_possible,
        row.comment,
        row.scored_at,
        state_of(row)[0],
        row.reason,
        row.tries,
        None if last is None else last.at,
        None if last is None else last.status,
        None if last is None else last.verdict,
        None if last is None else last.answer,
        row.settled_at,
        row.shown_points,
        row.shown_possible,
        row.read_at,
        row.dealt_with_at,
        row.dealt_with_note,
        f"{row.activity_progress}, {row.grading_progress}",
        row.idempotency_key,
    )


def _written(rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_text(cell) for cell in row] for row in rows)
    return text.getvalue()


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case datetime():
            # With a space, which ISO 8601 readers and spreadsheets both take for a date.
            return cell.astimezone(UTC).isoformat(" ", "seconds")[:19]
        case Decimal():
            return number(cell)
        case str():
            return defused(cell)
    return str(cell)
