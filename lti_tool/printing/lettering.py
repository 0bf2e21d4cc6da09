"""Words on a PDF page, in whatever script they are written.

Latin letters come from our own fonts and are text like any other. What those lack (Greek, Cyrillic, Arabic, Hebrew and
more from DejaVu Sans, anything else from the operator's folder of fonts) is shaped by HarfBuzz, drawn as outlines, and
carries its characters as ActualText, so that it can be read aloud and copied.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import uharfbuzz as hb
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.pdfgen.pathobject import PDFPathObject

SERIF, SANS, STRONG = "TesseraSerifSemiBold", "TesseraSansRegular", "TesseraSansSemiBold"
_FOLDER = Path(__file__).parent / "fonts"
_EVERY_SCRIPT = _FOLDER / "DejaVuSans.ttf"
_KINDS = {".ttf", ".otf"}
_MOST_FONTS = 50
_MISSING = 0
"""The glyph of a letter that a font does not have."""


@dataclass(frozen=True)
class _Shaped:
    """A line as one font draws it. Lengths are in units of that font."""

    font: hb.Font
    units: int
    glyphs: tuple[tuple[int, int, int], ...]
    """Each glyph with where it begins (right, up)."""
    width: int


class Lettering:
    """Writes on one page. ``more`` is a folder with further fonts, or None."""

    def __init__(self, canvas: Canvas, more: Path | None) -> None:
        self._canvas = canvas
        self._more = more
        for name in (SERIF, SANS, STRONG):
            _register(name)

    def width(self, text: str, font: str, size: float) -> float:
        """Points that a line takes."""
        if _covers(font, text):
            return float(pdfmetrics.stringWidth(text, font, size))
        shaped = _shape(text, self._more)
        return 0.0 if shaped is None else shaped.width * size / shaped.units

    def line(self, x: float, y: float, text: str, font: str, size: float) -> None:
        """Write a line from ``x`` on; nothing where no font has its letters."""
        if _covers(font, text):
            self._canvas.setFont(font, size)
            self._canvas.drawString(x, y, text)
        elif (shaped := _shape(text, self._more)) is not None:
            self._outlines(x, y, text, shaped, size)

    def lines(self, text: str, font: str, size: float, room: float) -> list[str]:
        """The text broken into lines of at most ``room`` points, between words."""
        broken: list[str] = []
        for word in text.split():
            longer = f"{broken[-1]} {word}" if broken else word
            if broken and self.width(longer, font, size) <= room:
                broken[-1] = longer
            else:
                broken.append(word)
        return broken

    def _outlines(self, x: float, y: float, text: str, shaped: _Shaped, size: float) -> None:
        scale = size / shaped.units
        actual = ("\ufeff" + text).encode("utf-16-be").hex().upper()
        self._canvas.addLiteral(f"/Span <</ActualText <{actual}>>> BDC")
        path = self._canvas.beginPath()
        for glyph, right, up in shaped.glyphs:
            shaped.font.draw_glyph_with_pen(glyph, _Pen(path, x + right * scale, y + up * scale, scale))
        self._canvas.drawPath(path, stroke=0, fill=1)
        self._canvas.addLiteral("EMC")


def printable(text: str, more: Path | None) -> bool:
    """Whether some font has all letters of this text."""
    return _covers(SERIF, text) or _shape(text, more) is not None


class _Pen:
    """Takes the outline of a glyph over into a path of the page. Its methods are named as font tools name them."""

    def __init__(self, path: PDFPathObject, x: float, y: float, scale: float) -> None:
        self._path, self._x, self._y, self._scale = path, x, y, scale
        self._at = (0.0, 0.0)

    def moveTo(self, to: tuple[float, float]) -> None:  # noqa: N802 - the name that HarfBuzz calls
        self._at = to
        self._path.moveTo(*self._placed(to))

    def lineTo(self, to: tuple[float, float]) -> None:  # noqa: N802 - the same
        self._at = to
        self._path.lineTo(*self._placed(to))

    def curveTo(self, *points: tuple[float, float]) -> None:  # noqa: N802 - the same
        self._at = points[-1]
        self._path.curveTo(*(value for point in points for value in self._placed(point)))

    def qCurveTo(self, bend: tuple[float, float], to: tuple[float, float]) -> None:  # noqa: N802 - the same
        # PDF has cubic curves only; every quadratic one is one of them.
        near, far = (
            tuple(end + 2 / 3 * (middle - end) for end, middle in zip(point, bend, strict=True))
            for point in (self._at, to)
        )
        self.curveTo((near[0], near[1]), (far[0], far[1]), to)

    def closePath(self) -> None:  # noqa: N802 - the same
        self._path.close()

    def _placed(self, point: tuple[float, float]) -> tuple[float, float]:
        return self._x + point[0] * self._scale, self._y + point[1] * self._scale


def _register(name: str) -> TTFont:
    if name not in pdfmetrics.getRegisteredFontNames():
        # Shaping is ours to do, where a script needs it.
        pdfmetrics.registerFont(TTFont(name, str(_FOLDER / f"{name}.ttf"), shapable=False))
    return pdfmetrics.getFont(name)


def _covers(name: str, text: str) -> bool:
    letters = _register(name).face.charToGlyph
    return all(ord(letter) in letters for letter in text)


def _shape(text: str, more: Path | None) -> _Shaped | None:
    """The line in the first font that has all its letters."""
    for path in _fonts(more):
        font, units = _opened(path)
        buffer = hb.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        hb.shape(font, buffer)
        if any(info.codepoint == _MISSING for info in buffer.glyph_infos):
            continue
        glyphs, pen = [], 0
        for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            glyphs.append((info.codepoint, pen + place.x_offset, place.y_offset))
            pen += place.x_advance
        return _Shaped(font, units, tuple(glyphs), pen)
    return None


def _fonts(more: Path | None) -> Iterator[Path]:
    yield _EVERY_SCRIPT
    if more is not None and more.is_dir():
        yield from sorted(path for path in more.iterdir() if path.suffix.lower() in _KINDS)[:_MOST_FONTS]


@lru_cache(maxsize=_MOST_FONTS + 1)
def _opened(path: Path) -> tuple[hb.Font, int]:
    face = hb.Face(hb.Blob.from_file_path(str(path)))
    return hb.Font(face), face.upem
