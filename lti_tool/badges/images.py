"""The picture of a badge: an outline laid with tesserae, and a white symbol on the micro-credential's colour.

There are no letters in it: a machine without fonts must draw the same picture, and the name stands beside it
anyway. No ids, styles or scripts either, so that several can stand on one page under a strict content policy.
The same arguments give the same bytes.

Format: https://www.w3.org/TR/SVG2/
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise
from types import MappingProxyType

import resvg_py

SIZE = 512
"""Pixels of the PNG, each way."""

Point = tuple[float, float]

_COLOUR = re.compile(r"#[0-9a-f]{6}")
_CENTRE = SIZE / 2
_REACH = 232.0
"""From the centre to the farthest point of an outline."""

_TILE = 0.165
"""Length of a tessera along the outline, as a share of ``_REACH``."""

_JOINT = 0.011
_BAND = (0.945, 0.815)
_FIELD = 0.765
_TINTS = (0.30, 0.52, 0.20, 0.42, 0.62, 0.26, 0.48, 0.36)
"""How much white is in the tesserae of the band. Hand-laid stones are never quite alike."""

_SHEEN = (0.0, 0.07, 0.0, 0.11, 0.04, 0.0, 0.08, 0.03, 0.0, 0.05, 0.09)
"""How much light the stones of the field catch."""

_STONE = 26.0
"""Size of a stone of the field, in pixels."""


def svg(*, symbol: str, colour: str, shape: str, title: str = "") -> str:
    """The badge as SVG. ``title`` is what a screen reader says; without one, the picture is decoration.

    ``symbol`` is one of ``SYMBOLS``, ``shape`` one of ``SHAPES``, ``colour`` ``#rrggbb``.
    Raises ``ValueError``.
    """
    if symbol not in _DRAWINGS:
        raise ValueError(f"There is no badge symbol {symbol}; there are {', '.join(SYMBOLS)}.")
    if shape not in _OUTLINES:
        raise ValueError(f"There is no badge shape {shape}; there are {', '.join(SHAPES)}.")
    colour = colour.lower()
    if not _COLOUR.fullmatch(colour):
        raise ValueError(f"{colour} is no colour such as #1f4e79.")
    outline = _OUTLINES[shape]
    dark = _mix(colour, "#000000", 0.45)
    spoken = f'role="img" aria-label="{escape(title)}"' if title else 'aria-hidden="true"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" {spoken}>',
        _closed(outline, 0.985, f'fill="{dark}" stroke="{dark}" stroke-width="14" stroke-linejoin="round"'),
        *_band(outline, colour),
        _closed(
            outline, _FIELD, f'fill="{colour}" stroke="#ffffff" stroke-width="7" stroke-linejoin="round"'
        ),
        *_field(outline),
        f'<g fill="#ffffff" stroke-linejoin="round" stroke-linecap="round">{_DRAWINGS[symbol](colour)}</g>',
        "</svg>",
    ]
    return "".join(parts)


def render(*, symbol: str, colour: str, shape: str) -> bytes:
    """The badge as a PNG of ``SIZE`` pixels, transparent around it. Raises ``ValueError`` as ``svg`` does."""
    drawing = svg(symbol=symbol, colour=colour, shape=shape)
    # Reading the machine's fonts takes longer than drawing, and nothing here is written.
    return bytes(resvg_py.svg_to_bytes(svg_string=drawing, width=SIZE, height=SIZE, skip_system_fonts=True))


_SAMPLE = {
    "S": ((1, 0), (0, 0), (0, 0.5), (1, 0.5), (1, 1), (0, 1)),
    "A": ((0, 1), (0.5, 0), (1, 1), (0.8, 0.6), (0.2, 0.6)),
    "M": ((0, 1), (0, 0), (0.5, 0.55), (1, 0), (1, 1)),
    "P": ((0, 1), (0, 0), (1, 0), (1, 0.5), (0, 0.5)),
    "L": ((0, 0), (0, 1), (1, 1)),
    "E": ((1, 0), (0, 0), (0, 0.5), (0.8, 0.5), (0, 0.5), (0, 1), (1, 1)),
}
"""The letters of one word as pen strokes in a box of 1 by 1."""


def sample(*, symbol: str, colour: str, shape: str) -> str:
    """How a badge would look, as SVG, with SAMPLE on a band right across it: nobody can take it for one.

    Raises ``ValueError`` as ``svg`` does.
    """
    wide, high, gap = 48, 68, 24
    left = _CENTRE - (6 * wide + 5 * gap) / 2
    strokes = []
    for place, letter in enumerate("SAMPLE"):
        points = (
            f"{left + place * (wide + gap) + x * wide:.1f} {_CENTRE + (y - 0.5) * high:.1f}"
            for x, y in _SAMPLE[letter]
        )
        strokes.append("M" + "L".join(points))
    band = (
        f'<g transform="rotate(-28 {_CENTRE} {_CENTRE})">'
        f'<rect x="-60" y="{_CENTRE - 66}" width="{SIZE + 120}" height="132" fill="#ffffff" fill-opacity="0.93"/>'
        f'<path d="{"".join(strokes)}" fill="none" stroke="#97271f" stroke-width="13" '
        'stroke-linejoin="round" stroke-linecap="round"/></g></svg>'
    )
    drawing = svg(symbol=symbol, colour=colour, shape=shape, title="A sample, not a badge")
    return drawing.removesuffix("</svg>") + band


# Outlines: a list of sides, each a line of points around (0, 0), the farthest about 1 away


def _circle() -> list[list[Point]]:
    quarters = []
    for quarter in range(4):
        turns = [math.tau * (quarter + step / 24) / 4 for step in range(25)]
        quarters.append([(math.sin(turn), -math.cos(turn)) for turn in turns])
    return quarters


def _polygon(corners: Sequence[Point]) -> list[list[Point]]:
    return [[corner, corners[(place + 1) % len(corners)]] for place, corner in enumerate(corners)]


def _hexagon() -> list[list[Point]]:
    return _polygon([(math.sin(math.tau * k / 6), -math.cos(math.tau * k / 6)) for k in range(6)])


def _square() -> list[list[Point]]:
    return _polygon([(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)])


def _shield() -> list[list[Point]]:
    def curve(start: Point, pull: Point, end: Point) -> list[Point]:
        line = []
        for step in range(25):
            at = step / 24
            line.append(
                (
                    (1 - at) ** 2 * start[0] + 2 * at * (1 - at) * pull[0] + at**2 * end[0],
                    (1 - at) ** 2 * start[1] + 2 * at * (1 - at) * pull[1] + at**2 * end[1],
                )
            )
        return line

    return [
        [(-0.84, -0.90), (0.84, -0.90)],
        [(0.84, -0.90), (0.84, 0.05)],
        curve((0.84, 0.05), (0.80, 0.66), (0.0, 1.0)),
        curve((0.0, 1.0), (-0.80, 0.66), (-0.84, 0.05)),
        [(-0.84, 0.05), (-0.84, -0.90)],
    ]


_OUTLINES: Mapping[str, list[list[Point]]] = MappingProxyType(
    {"circle": _circle(), "hexagon": _hexagon(), "shield": _shield(), "square": _square()}
)
SHAPES = tuple(_OUTLINES)


def _band(outline: list[list[Point]], colour: str) -> list[str]:
    tiles = []
    laid = 0
    for side in outline:
        outer, inner = _scaled(side, _BAND[0]), _scaled(side, _BAND[1])
        length = _length(inner)
        count = max(1, round(length / _TILE))
        joint = _JOINT / length
        for place in range(count):
            shares = [(place + step / 4) / count for step in range(5)]
            shares[0] += joint
            shares[4] -= joint
            below = [_along(inner, share) for share in shares]
            above = [_opposite(outer, inner, share, joint) for share in shares]
            tint = _mix(colour, "#ffffff", _TINTS[(laid * 3) % len(_TINTS)])
            tiles.append(f'<path fill="{tint}" d="{_line([*above, *reversed(below)])}Z"/>')
            laid += 1
    return tiles


def _opposite(outer: Sequence[Point], inner: Sequence[Point], share: float, joint: float) -> Point:
    """Where the joint that leaves ``inner`` at ``share`` meets ``outer``.

    Square to a straight side, as a mason lays it, but mitred at its corners.
    """
    if len(outer) > 2 or share <= joint or share >= 1 - joint:
        return _along(outer, share)
    (ax, ay), (bx, by) = outer
    x, y = _along(inner, share)
    return _along(outer, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / math.dist(outer[0], outer[1]) ** 2)


def _scaled(line: Sequence[Point], by: float) -> list[Point]:
    return [(x * by, y * by) for x, y in line]


def _field(outline: list[list[Point]]) -> list[str]:
    """The joints of larger stones, faintly: seen close by, gone at the size of a list."""
    border = [(x * _FIELD * 0.985, y * _FIELD * 0.985) for side in outline for x, y in side]
    step = _STONE / _REACH
    reach = math.ceil(1 / step)
    stones = []
    for row in range(-reach, reach):
        for column in range(-reach, reach):
            left, top = column * step, row * step
            corners = [
                (left + step * dx, top + step * dy) for dx, dy in ((0, 0), (0.93, 0), (0.93, 0.93), (0, 0.93))
            ]
            sheen = _SHEEN[(row * 7 + column * 3 + row * column) % len(_SHEEN)]
            if sheen and all(_inside(corner, border) for corner in corners):
                stones.append(f'<path fill="#ffffff" fill-opacity="{sheen}" d="{_line(corners)}Z"/>')
    return stones


def _closed(outline: list[list[Point]], scale: float, paint: str) -> str:
    points = [point for side in outline for point in _scaled(side[:-1], scale)]
    return f'<path {paint} d="{_line(points)}Z"/>'


def _line(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_CENTRE + x * _REACH:.1f} {_CENTRE + y * _REACH:.1f}" for x, y in points)


def _length(line: Sequence[Point]) -> float:
    return sum(math.dist(one, other) for one, other in pairwise(line))


def _along(line: Sequence[Point], share: float) -> Point:
    """The point at ``share`` (0 to 1) of the way along ``line``."""
    left = share * _length(line)
    for (x, y), (next_x, next_y) in pairwise(line):
        piece = math.dist((x, y), (next_x, next_y))
        if left <= piece:
            at = left / piece
            return (x + (next_x - x) * at, y + (next_y - y) * at)
        left -= piece
    return line[-1]


def _inside(point: Point, border: Sequence[Point]) -> bool:
    x, y = point
    odd = False
    for place, (ax, ay) in enumerate(border):
        bx, by = border[place - 1]
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            odd = not odd
    return odd


def _mix(colour: str, other: str, share: float) -> str:
    """``colour`` with ``share`` (0 to 1) of ``other``."""
    mixed = [
        round(int(colour[at : at + 2], 16) * (1 - share) + int(other[at : at + 2], 16) * share)
        for at in (1, 3, 5)
    ]
    return "#" + "".join(f"{part:02x}" for part in mixed)


# Symbols: white pieces around (256, 256), about 210 wide; details are cut in the badge's own colour


def _book(colour: str) -> str:
    lines = "".join(
        f'<path d="M286 {y}Q314 {y - 13} 338 {y - 12}M226 {y}Q198 {y - 13} 174 {y - 12}"/>'
        for y in (232, 264, 296)
    )
    return (
        '<path d="M249 199C225 178 186 172 150 178V328C186 322 225 328 249 350Z"/>'
        '<path d="M263 199C287 178 326 172 362 178V328C326 322 287 328 263 350Z"/>'
        f'<g fill="none" stroke="{colour}" stroke-width="11">{lines}</g>'
    )


def _blocks(colour: str) -> str:
    return (
        '<rect x="208" y="154" width="96" height="96" rx="12"/>'
        '<rect x="154" y="262" width="96" height="96" rx="12"/>'
        '<rect x="262" y="262" width="96" height="96" rx="12"/>'
        f'<g fill="{colour}"><circle cx="256" cy="202" r="23"/><path d="M202 285L227 330H177Z"/>'
        '<rect x="289" y="289" width="42" height="42" rx="4"/></g>'
    )


def _hands(colour: str) -> str:
    hand = (
        "M150 236C150 224 166 220 172 232L190 268C196 280 206 286 218 290C236 297 248 312 248 336V368H206"
        "V350C174 332 154 302 150 262Z"
    )
    return (
        f'<path d="{hand}"/><path transform="translate(512 0) scale(-1 1)" d="{hand}"/>'
        '<path d="M256 140L310 194L256 248L202 194Z"/>'
        f'<path fill="none" stroke="{colour}" stroke-width="9" d="M229 167L283 221M283 167L229 221"/>'
    )


def _path(colour: str) -> str:
    road = (
        "M176 350H292C330 350 340 330 340 314S326 278 296 278H218C190 278 178 262 178 246S192 212 220 212H262"
    )
    return (
        f'<path fill="none" stroke="#ffffff" stroke-width="40" d="{road}"/>'
        f'<path fill="none" stroke="{colour}" stroke-width="7" stroke-dasharray="15 17" d="{road}"/>'
        '<path d="M322 130C350 130 370 150 370 177C370 203 340 222 322 248C304 222 274 203 274 177'
        'C274 150 294 130 322 130Z" '
        f'stroke="{colour}" stroke-width="8"/>'
        f'<rect x="306" y="160" width="32" height="32" rx="4" fill="{colour}"/>'
    )


def _speech(colour: str) -> str:
    return (
        '<g transform="translate(20 22) scale(0.92)">'
        '<path d="M166 158H346C359 158 368 167 368 180V282C368 295 359 304 346 304H264L208 358V304H166'
        'C153 304 144 295 144 282V180C144 167 153 158 166 158Z"/>'
        f'<g fill="{colour}"><rect x="184" y="214" width="34" height="34" rx="5"/>'
        '<rect x="239" y="214" width="34" height="34" rx="5"/>'
        '<rect x="294" y="214" width="34" height="34" rx="5"/></g></g>'
    )


def _home(colour: str) -> str:
    return (
        '<path d="M256 142L376 246L354 270L256 186L158 270L136 246Z"/>'
        '<path d="M256 206L336 274V362H176V274Z"/>'
        f'<rect x="226" y="284" width="27" height="27" rx="3" fill="{colour}"/>'
        f'<rect x="259" y="284" width="27" height="27" rx="3" fill="{colour}"/>'
        f'<rect x="226" y="317" width="27" height="27" rx="3" fill="{colour}"/>'
        f'<rect x="259" y="317" width="27" height="27" rx="3" fill="{colour}"/>'
    )


def _compass(colour: str) -> str:
    return (
        '<circle cx="256" cy="256" r="100" fill="none" stroke="#ffffff" stroke-width="24"/>'
        '<path d="M316 196L280 280L196 316L232 232Z"/>'
        f'<circle cx="256" cy="256" r="12" fill="{colour}"/>'
    )


def _stack(colour: str) -> str:
    return (
        '<path d="M256 136L368 198L256 260L144 198Z"/>'
        '<path d="M172 234L256 281L340 234L368 250L256 312L144 250Z"/>'
        '<path d="M172 286L256 333L340 286L368 302L256 364L144 302Z"/>'
        f'<path fill="none" stroke="{colour}" stroke-width="7" d="M200 167L312 229M312 167L200 229"/>'
    )


_DRAWINGS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "book": _book,
        "blocks": _blocks,
        "hands": _hands,
        "path": _path,
        "speech": _speech,
        "home": _home,
        "compass": _compass,
        "stack": _stack,
    }
)
SYMBOLS = tuple(_DRAWINGS)
