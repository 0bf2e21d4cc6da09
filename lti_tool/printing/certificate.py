"""A certificate to print: one page that says what was earned and where it can be checked.

It proves nothing by itself, and says so; the signed badge does. The name of its earner is on it only if they want that.
"""

import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import segno
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import LETTER, landscape
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from lti_tool.printing.lettering import SANS, SERIF, STRONG, Lettering

_WIDTH, _HEIGHT = landscape(LETTER)
_MARGIN = 54.0
_LEFT = 236.0
"""Where the words begin, right of the picture."""
_ROOM = _WIDTH - _LEFT - _MARGIN
_PICTURE = 150.0
_CODE = 92.0
"""Side of the QR code in points: about 3.2 cm, which any phone reads from paper."""
_INK, _SOFT, _TEAL = HexColor("#17292d"), HexColor("#4b5d62"), HexColor("#14595d")
_TILES = (("#0d4347", 0.46), ("#2f7f7a", 0.26), ("#dba13f", 0.16), ("#b4532a", 0.12))


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What the page says."""

    title: str
    description: str
    issuer: str
    awarded_at: datetime
    judged: str
    """A whole sentence on who assessed."""
    name: str | None
    """The earner's, if they want it there."""
    address: str
    """Where it can be checked: the shared page, or the page that checks files."""
    shared: bool
    """Whether ``address`` shows this very badge."""
    picture: bytes
    """PNG."""


def draw(certificate: Certificate, *, fonts: Path | None) -> bytes:
    """The certificate as a PDF of one page. ``fonts``: a folder with fonts beyond our own, or None."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(_WIDTH, _HEIGHT), pageCompression=1, invariant=1, lang="en-US")
    canvas.setTitle(certificate.title)
    canvas.setAuthor(certificate.issuer)
    canvas.setSubject("Certificate of a badge")
    canvas.setCreator("Tessera")
    canvas.setViewerPreference("DisplayDocTitle", "true")
    _frame(canvas)
    picture = ImageReader(io.BytesIO(certificate.picture))
    canvas.drawImage(picture, _MARGIN + 6, _HEIGHT - 250, _PICTURE, _PICTURE, mask="auto")
    words = Lettering(canvas, fonts)
    _say(canvas, words, certificate)
    _point(canvas, words, certificate)
    canvas.showPage()
    canvas.save()
    return file.getvalue()


def _frame(canvas: Canvas) -> None:
    """A row of tiles at the top, as on every page of ours, and a quiet line around."""
    left = 0.0
    for colour, share in _TILES:
        canvas.setFillColor(HexColor(colour))
        canvas.rect(left, _HEIGHT - 12, share * _WIDTH, 12, stroke=0, fill=1)
        left += share * _WIDTH
    canvas.setStrokeColor(HexColor("#dcd8cd"))
    canvas.setLineWidth(1)
    canvas.rect(_MARGIN / 2, _MARGIN / 2, _WIDTH - _MARGIN, _HEIGHT - _MARGIN - 6, stroke=1, fill=0)


def _say(canvas: Canvas, words: Lettering, certificate: Certificate) -> None:
    """What was earned, by whom if they want it said, from whom and when."""
    y = _HEIGHT - 96.0
    canvas.setFillColor(_TEAL)
    y = _paragraph(words, certificate.issuer, STRONG, 13, y, most=2)
    canvas.setFillColor(_INK)
    if certificate.name is None:
        y = _paragraph(words, "This badge stands for:", SANS, 14, y - 16)
    else:
        y = _paragraph(words, certificate.name, SERIF, 26, y - 26, most=2)
        y = _paragraph(words, "has earned the badge", SANS, 14, y - 6)
    y = _paragraph(words, certificate.title, SERIF, 24, y - 18, most=3)
    canvas.setFillColor(_SOFT)
    y = _paragraph(words, certificate.description, SANS, 11.5, y - 10, most=5)
    canvas.setFillColor(_INK)
    awarded = certificate.awarded_at
    y = _paragraph(words, f"Awarded {awarded:%B} {awarded.day}, {awarded.year}", STRONG, 12, y - 16)
    _paragraph(words, certificate.judged, SANS, 11.5, y - 4, most=2)


def _point(canvas: Canvas, words: Lettering, certificate: Certificate) -> None:
    """Where to check it: as a code for phones, and as an address for everybody else."""
    bottom = _MARGIN
    _code(canvas, certificate.address, _MARGIN + 6, bottom)
    x, y = _MARGIN + 6 + _CODE + 18, bottom + _CODE - 26
    canvas.setFillColor(_INK)
    asked = (
        "See and check this badge:"
        if certificate.shared
        else "Check the badge file that belongs to this page:"
    )
    words.line(x, y, asked, STRONG, 12)
    canvas.setFillColor(_TEAL)
    words.line(x, y - 18, certificate.address, SANS, 12)
    canvas.linkURL(certificate.address, (x, y - 22, x + words.width(certificate.address, SANS, 12), y - 8))
    canvas.setFillColor(_SOFT)
    words.line(
        x, y - 38, "Paper can be copied by anyone. Only the signed badge proves what stands here.", SANS, 10.5
    )


def _paragraph(words: Lettering, text: str, font: str, size: float, y: float, *, most: int = 1) -> float:
    """Lines from ``y`` downwards; smaller letters where more than ``most`` lines would be needed. Returns the y of
    where the next paragraph may begin."""
    broken = words.lines(text, font, size, _ROOM)
    while size > 8 and (len(broken) > most or any(words.width(line, font, size) > _ROOM for line in broken)):
        size -= 0.5
        broken = words.lines(text, font, size, _ROOM)
    for line in broken:
        y -= size * 1.28
        words.line(_LEFT, y, line, font, size)
    return y


def _code(canvas: Canvas, text: str, x: float, y: float) -> None:
    """A QR code as one path of squares: sharp at any size, and no picture to compress."""
    rows = list(segno.make_qr(text, error="m").matrix_iter(border=4))
    module = _CODE / len(rows)
    canvas.setFillColor(HexColor("#ffffff"))
    canvas.rect(x, y, _CODE, _CODE, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#000000"))
    path = canvas.beginPath()
    for down, row in enumerate(rows):
        for right, dark in enumerate(row):
            if dark:
                path.rect(x + right * module, y + _CODE - (down + 1) * module, module, module)
    canvas.drawPath(path, stroke=0, fill=1)
