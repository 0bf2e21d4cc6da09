"""A workbook (XLSX) that goes out while its rows are still being read, in constant memory and without a file.

A workbook is an archive of XML parts. The sheets are written here, row by row, into an archive that never looks back;
every other part is written by a library at the end, when it is known how many sheets there are. The order of parts in
an archive is free but for the first, by which programs tell a workbook from any other archive.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from string import ascii_uppercase
from typing import Any

Cell = str | int | Decimal | datetime | None

SHEET_ROWS = 1_000_000
"""A little less than a sheet holds; what is more goes on in the next."""
_SHEET_BYTES = 1_500_000_000
"""From 2 GB on, an archive needs a form that not every spreadsheet reads."""
_LONGEST_TEXT = 32_767
"""What a cell holds."""
_COLUMNS = (*ascii_uppercase, *map("".join, product(ascii_uppercase, repeat=2)))
_PIECE = 64 * 1024
_FIRST = "_rels/.rels"
_BOLD, _MOMENT = ' s="1"', ' s="2"'
"""Cell formats, by the order in which the skeleton uses them."""
_DAY_ZERO = datetime(1899, 12, 30, tzinfo=UTC)
"""What moments are counted from, in days."""
_SECONDS_A_DAY = 86_400
# ECMA-376 part 1, 22.9.2.19 (ST_Xstring): what XML cannot hold is written by its number.
_UNHOLDABLE = (*range(9), 11, 12, 13, *range(14, 32), 0xFFFE, 0xFFFF)
_WRITTEN = {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {chr(code): f"_x{code:04X}_" for code in _UNHOLDABLE}
_WRITTEN["\0"] = ""
_SPECIAL = re.compile("[" + "".join(re.escape(one) for one in _WRITTEN) + "]|_(?=x[0-9A-Fa-f]{4}_)")


class _Pieces(io.RawIOBase):
    """Where the archive goes: what has been written since somebody last took it."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._written.append(bytes(piece))
        self.size += len(piece)
        return len(piece)

    def taken(self) -> bytes:
        piece, self._written, self.size = b"".join(self._written), [], 0
        return piece


def pieces(
    titles: Sequence[str], rows: Iterable[Sequence[Cell]], *, sheet_rows: int = SHEET_ROWS
) -> Iterator[bytes]:
    """The workbook in pieces of some 64 kB, the first of them at once.

    Text is text, whatever it looks like; numbers are numbers, and moments dates in UTC, since spreadsheets know no
    time zones.

    :param titles: the first row of every sheet.
    """
    out, left = _Pieces(), iter(rows)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        skeleton = _skeleton(2)
        archive.writestr(_FIRST, skeleton[_FIRST])
        yield out.taken()
        sheets, row = 0, next(left, None)
        while sheets == 0 or row is not None:
            sheets += 1
            head, foot = _around_the_rows(skeleton[_sheet(min(sheets, 2))])
            with archive.open(_sheet(sheets), "w") as sheet:
                written = sheet.write(head + _row(1, titles, _BOLD))
                at = 0
                while row is not None and at < sheet_rows and written < _SHEET_BYTES:
                    at += 1
                    written += sheet.write(_row(at + 1, row))
                    row = next(left, None)
                    if out.size >= _PIECE:
                        yield out.taken()
                sheet.write(foot)
        for name, part in _skeleton(sheets).items():
            if name != _FIRST and not name.startswith("xl/worksheets/"):
                archive.writestr(name, part)
    yield out.taken()


def _skeleton(sheets: int) -> dict[str, bytes]:
    """The parts of a workbook with that many sheets, whose only cells are one of each format."""
    # Memory for the few processes that ever write one.
    import xlsxwriter  # noqa: PLC0415  # said above

    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        bold, moment = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for _ in range(sheets):
            sheet = book.add_worksheet()
            sheet.set_column(0, len(_COLUMNS) - 1, 18)
            sheet.freeze_panes(1, 0)
            sheet.write_blank(0, 0, None, bold)
            sheet.write_blank(1, 0, None, moment)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _sheet(number: int) -> str:
    return f"xl/worksheets/sheet{number}.xml"


def _around_the_rows(sheet: bytes) -> tuple[bytes, bytes]:
    """What stands before and after the rows of a sheet, without the size that it says it has."""
    head, rows, rest = sheet.partition(b"<sheetData>")
    _, end, foot = rest.partition(b"</sheetData>")
    return re.sub(rb"<dimension [^>]*>", b"", head) + rows, end + foot


def _row(number: int, cells: Sequence[Cell], text_format: str = "") -> bytes:
    written = [
        _cell(f'r="{column}{number}"', cell, text_format)
        for column, cell in zip(_COLUMNS, cells, strict=False)
        if cell is not None
    ]
    return f'<row r="{number}">{"".join(written)}</row>'.encode()


def _cell(where: str, cell: str | int | Decimal | datetime, text_format: str) -> str:
    match cell:
        case str():
            text = _SPECIAL.sub(_by_number, cell[:_LONGEST_TEXT])
            return f'<c {where} t="inlineStr"{text_format}><is><t xml:space="preserve">{text}</t></is></c>'
        case datetime():
            whole = cell.astimezone(UTC).replace(microsecond=0) - _DAY_ZERO
            return f"<c {where}{_MOMENT}><v>{whole.days + whole.seconds / _SECONDS_A_DAY:.15g}</v></c>"
    return f"<c {where}><v>{cell}</v></c>"


def _by_number(found: re.Match[str]) -> str:
    return _WRITTEN.get(found[0], "_x005F_")
