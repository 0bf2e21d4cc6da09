"""The words of an earner's credit statement; what it looks like is in ``printing/statement.py``."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Select

from lti_tool.backpack.queries import name_of
from lti_tool.credit import queries
from lti_tool.credit.queries import CreditRow, CreditTotal
from lti_tool.credit.rules import plain, total_in_words
from lti_tool.printing import statement
from lti_tool.printing.lettering import printable

_MOST_LISTED = 500


def credit_statement(
    person_id: int,
    *,
    issuer: str,
    fonts: Path | None,
    within: Select[int] | None = None,
    now: datetime,
) -> bytes:
    """A person's credit statement as a PDF.

    :param within: ids of the decisions that its reader may know of; None is all of them.
    """
    rows, count = queries.entries_of(person_id, page=1, size=_MOST_LISTED, within=within)
    name = name_of(person_id)
    shown = name if name is not None and printable(name, fonts) else None
    return statement.draw(
        statement.Statement(
            name=shown,
            person=f"Person {person_id}",
            issuer=issuer,
            made_at=now,
            groups=_groups(rows, queries.totals_of(person_id, within=within)),
            left_out=count - len(rows),
        ),
        fonts=fonts,
    )


def _groups(rows: Sequence[CreditRow], totals: Sequence[CreditTotal]) -> list[statement.Group]:
    sums: dict[tuple[str, str], list[str]] = {}
    for total in totals:
        said = total_in_words(total.counted, total.unit, total.first, total.last)
        sums.setdefault((total.authority, total.unit), []).append(f"Total: {said}")
    lines: dict[tuple[str, str], list[statement.Line]] = {}
    for row in rows:
        lines.setdefault((row.entry.rule.authority, row.entry.unit), []).append(_line(row))
    return [
        statement.Group(
            authority=authority, unit=unit, totals=sums.get((authority, unit), ["Total: 0"]), lines=entries
        )
        for (authority, unit), entries in lines.items()
    ]


def _line(row: CreditRow) -> statement.Line:
    entry = row.entry
    withdrawn = entry.withdrawn_at is not None
    notes = []
    if entry.approval_number:
        notes.append(f"Approval {entry.approval_number}, for {entry.rule.audience}.")
    if said := entry.withdrawn_why if withdrawn else entry.why:
        notes.append(said)
    credit = "withdrawn" if withdrawn else f"{plain(entry.counted)} {entry.unit}"
    return statement.Line(title=row.title, entered_at=entry.entered_at, credit=credit, notes=notes)
