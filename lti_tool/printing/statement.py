"""A credit statement: what authorities say somebody's micro-credentials count for, with totals per cycle.

It promises nothing and says so on every page: whether credit is accepted is for the authority, not for us.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import LETTER
from reportlab.pdfgen.canvas import Canvas

from lti_tool.printing.lettering import SANS, SERIF, STRONG, Lettering

KIND = "Credit statement, not an official transcript"
_WIDTH, _HEIGHT = LETTER
_MARGIN = 54.0
_BOTTOM = 104.0
"""Where the entries end, above what stands at the foot of each page."""
_RIGHT = _WIDTH - _MARGIN
_DATE_ROOM, _CREDIT_ROOM = 78.0, 138.0
_INK, _SOFT, _TEAL = HexColor("#17292d"), HexColor("#4b5d62"), HexColor("#14595d")
_TILES = (("#0d4347", 0.46), ("#2f7f7a", 0.26), ("#dba13f", 0.16), ("#b4532a", 0.12))
_FOOT = (
    "It repeats what each authority named here says about these micro-credentials. It promises nothing: whether credit",
    "is accepted, and for whom, is decided by the authority. For candidates: it does not count toward a first licence.",
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One entry. ``notes`` are sentences below it, such as why it does not count."""

    title: str
    entered_at: datetime
    credit: str
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """What one authority counts in one unit, under the totals of its cycles."""

    authority: str
    unit: str
    totals: Sequence[str]
    lines: Sequence[Line]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What the pages say."""

    name: str | None
    """The earner's; None where no font has its letters, or nobody knows it."""
    person: str
    """What the earner is called where the name cannot stand."""
    issuer: str
    made_at: datetime
    groups: Sequence[Group]
    left_out: int = 0
    """Entries that are too many to be listed; the totals hold them."""


def draw(statement: Statement, *, fonts: Path | None) -> bytes:
    """The statement as a PDF, as many pages as it takes. ``fonts``: a folder with fonts beyond our own, or None."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=LETTER, pageCompression=1, invariant=1, lang="en-US")
    canvas.setTitle("Credit statement")
    canvas.setAuthor(statement.issuer)
    canvas.setSubject(KIND)
    canvas.setCreator("Tessera")
    canvas.setViewerPreference("DisplayDocTitle", "true")
    pages = _Pages(canvas, Lettering(canvas, fonts), statement)
    pages.begin()
    for group in statement.groups:
        pages.group(group)
    if not statement.groups:
        pages.paragraph("Nothing has been entered.", SANS, 12, _INK)
    if statement.left_out:
        pages.paragraph(
            f"{statement.left_out} earlier entries are not listed; the totals hold them.", SANS, 10.5, _SOFT
        )
    pages.end()
    canvas.save()
    return file.getvalue()


def on(day: date) -> str:
    return f"{day:%B} {day.day}, {day.year}"


class _Pages:
    """Writes from the top of a page downwards, and goes on with a new one where a page is full."""

    def __init__(self, canvas: Canvas, words: Lettering, statement: Statement) -> None:
        self._canvas, self._words, self._statement = canvas, words, statement
        self._number, self._y = 0, 0.0

    def begin(self) -> None:
        """The first page: what this is, whose it is, and of when."""
        self._page()
        said = self._statement
        self.paragraph(said.issuer, STRONG, 12, _TEAL)
        self.paragraph("Credit statement", SERIF, 24, _INK, above=6)
        self.paragraph("Not an official transcript", STRONG, 12, _INK, above=2)
        self.paragraph(said.name or said.person, SERIF, 17, _INK, above=14)
        self.paragraph(f"As of {on(said.made_at)}", SANS, 11, _SOFT, above=2)

    def group(self, group: Group) -> None:
        """One authority: who it is, its totals, its entries."""
        self._room_for(90)
        self.paragraph(group.authority, STRONG, 13, _INK, above=22)
        for total in group.totals:
            self.paragraph(total, SANS, 11.5, _INK, above=3)
        self._y -= 8
        for line in group.lines:
            self._line(line)

    def paragraph(
        self, text: str, font: str, size: float, colour: HexColor, *, above: float = 0, left: float = _MARGIN
    ) -> None:
        self._y -= above
        for line in self._words.lines(text, font, size, _RIGHT - left):
            self._room_for(size * 1.3)
            self._y -= size * 1.3
            self._canvas.setFillColor(colour)
            self._words.line(left, self._y, line, font, size)

    def end(self) -> None:
        self._foot()
        self._canvas.showPage()

    def _line(self, line: Line) -> None:
        left = _MARGIN + _DATE_ROOM
        titles = self._words.lines(line.title, SANS, 11, _RIGHT - _CREDIT_ROOM - left)
        self._room_for(14.5 * len(titles) + 14 * len(line.notes) + 8)
        self._canvas.setStrokeColor(HexColor("#dcd8cd"))
        self._canvas.line(_MARGIN, self._y - 2, _RIGHT, self._y - 2)
        top = self._y - 16
        self._canvas.setFillColor(_SOFT)
        self._words.line(_MARGIN, top, f"{line.entered_at:%Y-%m-%d}", SANS, 11)
        self._canvas.setFillColor(_INK)
        size = 11.0
        while size > 7 and self._words.width(line.credit, STRONG, size) > _CREDIT_ROOM - 8:
            size -= 0.5
        width = self._words.width(line.credit, STRONG, size)
        self._words.line(_RIGHT - width, top, line.credit, STRONG, size)
        for at, title in enumerate(titles):
            self._words.line(left, top - 14.5 * at, title, SANS, 11)
        self._y = top - 14.5 * (len(titles) - 1) - 2
        for note in line.notes:
            self.paragraph(note, SANS, 10, _SOFT, left=left)
        self._y -= 5

    def _room_for(self, points: float) -> None:
        if self._y - points < _BOTTOM:
            self.end()
            self._page()

    def _page(self) -> None:
        self._number += 1
        self._y = _HEIGHT - 52
        left = 0.0
        for colour, share in _TILES:
            self._canvas.setFillColor(HexColor(colour))
            self._canvas.rect(left, _HEIGHT - 12, share * _WIDTH, 12, stroke=0, fill=1)
            left += share * _WIDTH

    def _foot(self) -> None:
        self._canvas.setFillColor(_INK)
        self._words.line(_MARGIN, 78, f"{KIND}.", STRONG, 10)
        number = f"Page {self._number}"
        self._words.line(_RIGHT - self._words.width(number, SANS, 10), 78, number, SANS, 10)
        self._canvas.setFillColor(_SOFT)
        for at, line in enumerate(_FOOT):
            self._words.line(_MARGIN, 63 - 13 * at, line, SANS, 9)
