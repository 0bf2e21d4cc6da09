"""The ledger as CSV that a spreadsheet opens right: UTF-8 with a byte order mark, ISO dates, and no cell that
a spreadsheet would take for a formula."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from lti_tool.assessment.models import Outcome
from lti_tool.registrar.queries import LedgerRow
from lti_tool.registrar.words import STATE_WORDS, number

COLUMNS = (
    "Ledger number",
    "Owed since (UTC)",
    "Name",
    "SIS id",
    "LMS user id",
    "Course",
    "Course title",
    "Term",
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
)
_DECISIONS = {Outcome.DEMONSTRATED: "Demonstrated", Outcome.NOT_YET: "Not yet demonstrated"}
# The wide forms count as well: spreadsheets in Japanese and Chinese settings read them as the narrow ones.
_STARTS_A_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
Cell = str | int | Decimal | datetime | None


def lines(batches: Iterable[Sequence[LedgerRow]]) -> Iterator[str]:
    """The file in pieces, a batch of rows at a time."""
    yield "\ufeff" + _written([COLUMNS])
    for rows in batches:
        yield _written(_cells(row) for row in rows)


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
        row.activity,
        row.credential,
        row.version,
        None if row.outcome is None else _DECISIONS[row.outcome],
        row.decided_at,
        row.submitted_at,
        row.points,
        row.points_possible,
        row.comment,
        row.scored_at,
        STATE_WORDS[row.state],
        row.reason,
        row.tries,
        None if last is None else last.at,
        None if last is None else last.status,
        None if last is None else last.verdict,
        None if last is None else last.answer,
        row.settled_at,
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
            return cell.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case Decimal():
            return number(cell)
        case str():
            return defused(cell)
    return str(cell)
