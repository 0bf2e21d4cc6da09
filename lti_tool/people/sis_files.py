"""A file of SIS ids as a registrar's system or spreadsheet writes it: whatever its letters and separator, it is read
line by line, or refused in words that say what to do next."""

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lti_tool.errors import SisFileUnusable

MAX_BYTES = 10 * 1024 * 1024
MOST_LINES = 200_000
"""More than any term of a large university has enrolments; what is in one file is saved in one go."""
MOST_COLUMNS = 100
_LONGEST_LINE = 100_000
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SAVE_AS = "In the spreadsheet, choose “Save as” and “CSV UTF-8”, and upload that file."
_DEFUSED = re.compile(r"'\s*[=+\-@＝＋－＠]")
"""An apostrophe that our own files put before what a spreadsheet would take for a formula."""


@dataclass(frozen=True)
class Table:
    """A file whose every line can be read. ``letters`` and ``separator`` say in words how it was."""

    columns: tuple[str, ...]
    lines: int
    letters: str
    separator: str
    digest: str
    _text: str
    _dialect: str
    _skip: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The lines below the names of the columns, with their numbers in the file. Empty ones are left out."""
        found = _rows(self._text, self._dialect)
        return (row for at, row in enumerate(found) if at > self._skip)


def cell(row: list[str], column: int | None) -> str:
    """What stands in a column, without blanks around it; nothing where the line is too short."""
    if column is None or column >= len(row):
        return ""
    text = row[column].strip()
    return text[1:].lstrip() if _DEFUSED.match(text) else text


def read(content: bytes) -> Table:
    """Read a file once to its end, so that whatever is wrong is said at once.

    :raises SisFileUnusable: with what is wrong and what to do next.
    """
    text, letters = _decoded(content)
    dialect = _separator(text)
    rows = _rows(text, dialect)
    header_at, header = 0, next(rows, (0, []))[1]
    if len(header) == 1 and header[0].startswith("sep="):
        header_at, header = 1, next(rows, (0, []))[1]
    if len(header) < 2:
        raise SisFileUnusable(
            "Only one column was found. Columns have to be separated by commas, semicolons or tabs, and the first "
            "line has to name them."
        )
    if len(header) > MOST_COLUMNS:
        raise SisFileUnusable(
            f"The file has more than {MOST_COLUMNS} columns. Save one with the columns that are needed."
        )
    lines = 0
    for _ in rows:
        lines += 1
        if lines > MOST_LINES:
            raise SisFileUnusable(
                f"The file has more than {MOST_LINES:,} lines. Split it, for example by term, and upload one after "
                "the other."
            )
    if lines == 0:
        raise SisFileUnusable(
            "There are no lines below the names of the columns. Look whether it is the right file."
        )
    return Table(
        columns=_names(header),
        lines=lines,
        letters=letters,
        separator=_SEPARATORS[dialect],
        digest=hashlib.sha256(content).hexdigest(),
        _text=text,
        _dialect=dialect,
        _skip=header_at,
    )


def _decoded(content: bytes) -> tuple[str, str]:
    if not content.strip():
        raise SisFileUnusable("The file is empty. Choose the CSV file that you saved.")
    if len(content) > MAX_BYTES:
        raise SisFileUnusable(
            f"The file is larger than {MAX_BYTES // 1_000_000} MB. Keep only the columns that are needed, or split "
            "it, and upload one after the other."
        )
    if content.startswith(_WORKBOOKS):
        raise SisFileUnusable(f"This is a workbook, not a CSV file. {_SAVE_AS}")
    for codec, words in _codecs(content):
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            raise SisFileUnusable(f"Line {line} holds a NUL, which no text does. {_SAVE_AS}")
        return text.removeprefix("\ufeff"), words
    raise SisFileUnusable(f"The file is no text in UTF-8, UTF-16 or Windows-1252. {_SAVE_AS}")


def _codecs(content: bytes) -> tuple[tuple[str, str], ...]:
    """How the letters may be written, the likeliest first."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return (("utf-16", "UTF-16"),)
    start = content[:2000]
    # Text in Latin letters has a NUL in every second place of UTF-16.
    if start[1::2].count(0) > len(start) // 4:
        return (("utf-16-le", "UTF-16"),)
    if start[::2].count(0) > len(start) // 4:
        return (("utf-16-be", "UTF-16"),)
    return (("utf-8-sig", "UTF-8"), ("cp1252", "Windows-1252"))


def _separator(text: str) -> str:
    """What separates most columns in the line that names them."""
    lines = (line for line in io.StringIO(text[:_LONGEST_LINE], newline="") if line.strip())
    first = next(lines, "")
    told = re.fullmatch(r"sep=([,;\t])\s*", first)
    if told is not None:
        return told[1]
    return max(_SEPARATORS, key=lambda separator: len(next(csv.reader([first], delimiter=separator), [])))


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_physical_lines(text), delimiter=separator, strict=True)
    while True:
        begun = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error:
            raise SisFileUnusable(
                f"The quotation marks are wrong in or after line {begun}: one is missing, or stands inside a text. "
                f"Mend that line, or save the file anew. {_SAVE_AS}"
            ) from None
        if row is None:
            return
        if any(text.strip() for text in row):
            yield begun, row


def _physical_lines(text: str) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if len(line) > _LONGEST_LINE:
            raise SisFileUnusable(f"Line {number} is far too long to be one of a CSV file. {_SAVE_AS}")
        yield line


def _names(header: list[str]) -> tuple[str, ...]:
    """What the columns are called, each differently."""
    said = [cell(header, at)[:60] for at in range(len(header))]
    return tuple(
        f"{name or 'without a name'} (column {at})" if not name or said.count(name) > 1 else name
        for at, name in enumerate(said, start=1)
    )
