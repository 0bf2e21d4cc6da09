"""Putting an Open Badge into a PNG, and taking it out of a PNG or an SVG that a stranger sends.

In a PNG the badge is the text of exactly one ``iTXt`` chunk with the keyword ``openbadgecredential``; the picture
itself stays as it is, byte for byte.

Specs: https://www.imsglobal.org/spec/ob/v3p0/#baked-badge, https://www.w3.org/TR/png-3/#11iTXt
"""

import re
import struct
import zlib
from collections.abc import Iterator
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"openbadgecredential"
KEYWORD_OF_VERSION_2 = b"openbadges"
OPEN_BADGES = "https://purl.imsglobal.org/ob/v3p0"
_DECLARED = f' xmlns:openbadges="{OPEN_BADGES}"'
_OPENING = re.compile(r"(<svg\b[^>]*?)(/?>)")
_BAKED = re.compile(r"<openbadges:credential\b.*?</openbadges:credential>", re.DOTALL)
_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff]")

SVG = "http://www.w3.org/2000/svg"
SVG_OF_VERSION_2 = "http://openbadges.org"
MAX_SVG_DEPTH = 200

MAX_IMAGE = 10_000_000
"""Bytes of an image that is read. Our own badges are below 100 kB."""

MAX_TEXT = 2_000_000
"""Bytes of the badge inside, unpacked."""


class ImageUnreadable(ValueError):  # named for what is wrong, as all of ours are
    """No badge can be put into or taken out of this image. The message is fit for the screen."""


class NotPng(ImageUnreadable):
    """The file is no PNG image, or one that begins like it and is not."""


class NotSvg(ImageUnreadable):
    """The file is XML of another kind."""


class ImageTooLarge(ImageUnreadable):
    """The image, or the badge in it, is larger than any real one; unpacking stops there."""


class ImageDamaged(ImageUnreadable):
    """A chunk is cut off, or its checksum does not fit its content."""


class NoBadge(ImageUnreadable):
    """A good image without an Open Badge 3.0 inside."""


class OlderBadge(NoBadge):
    """A badge is inside, of the kind Open Badges 1 or 2."""


class SeveralBadges(ImageUnreadable):
    """More than one badge inside: which one is meant is anybody's guess."""


class BadgeTextUnreadable(ImageUnreadable):
    """There is a badge chunk, but its text cannot be unpacked or is no UTF-8."""


def bake_png(png: bytes, text: str) -> bytes:
    """``png`` with ``text`` as its badge, directly after the header; a badge that was inside is replaced.

    Raises an ``ImageUnreadable`` if ``png`` is no sound PNG, and ``ValueError`` for a text with NUL.
    """
    if "\0" in text:
        raise ValueError("The text of a badge cannot hold the character NUL.")
    baked = [PNG_SIGNATURE]
    for kind, body in _chunks(png):
        if kind == b"iTXt" and body.startswith(KEYWORD + b"\0"):
            continue
        baked.append(_chunk(kind, body))
        if len(baked) == 2:
            # Keyword, not compressed, no language, no translated keyword: as the specification has it.
            baked.append(_chunk(b"iTXt", KEYWORD + b"\0\0\0\0\0" + text.encode()))
    return b"".join(baked)


def bake_svg(svg: str, text: str) -> str:
    """``svg`` with ``text``, JSON or a compact JWS, as its badge, directly after the opening tag; a badge that was
    baked in before is replaced.

    Raises ``NotSvg`` if ``svg`` does not begin with an SVG element, and ``ValueError`` for a text that XML cannot hold.
    Spec: https://www.imsglobal.org/spec/ob/v3p0/#svg
    """
    if _NOT_XML.search(text):
        raise ValueError("The text of a badge cannot hold control characters.")
    plain = _BAKED.sub("", svg, count=1).replace(_DECLARED, "", 1)
    opening = _OPENING.match(plain)
    if opening is None:
        raise NotSvg("This file is not an SVG image.")
    if text.startswith("{"):
        # Inside JSON strings only can either stand, and there an escape means the same.
        safe = text.replace("]]>", "]]\\u003e").replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
        element = f"<openbadges:credential><![CDATA[{safe}]]></openbadges:credential>"
    else:
        element = f"<openbadges:credential verify={quoteattr(text)}></openbadges:credential>"
    return f"{opening[1]}{_DECLARED}{opening[2]}{element}{plain[opening.end() :]}"


def unbake_png(png: bytes) -> str:
    """The text of the one badge inside ``png``. Raises the ``ImageUnreadable`` that says what is wrong."""
    found: list[bytes] = []
    older = False
    for kind, body in _chunks(png):
        if kind == b"iTXt" and body.startswith(KEYWORD + b"\0"):
            found.append(body[len(KEYWORD) + 1 :])
        older = older or (kind in (b"iTXt", b"tEXt") and body.startswith(KEYWORD_OF_VERSION_2 + b"\0"))
    if len(found) > 1:
        raise SeveralBadges("This image holds more than one badge. Ask for the original file.")
    if not found and older:
        raise OlderBadge(_OLDER)
    if not found:
        raise NoBadge(_NONE)
    return _text(found[0])


def unbake_svg(svg: bytes) -> str:
    """The text of the one badge inside ``svg``. Raises the ``ImageUnreadable`` that says what is wrong.

    Nothing is expanded or fetched: an image that declares entities of its own is refused.
    Spec: https://www.imsglobal.org/spec/ob/v3p0/#svg
    """
    if len(svg) > MAX_IMAGE:
        raise ImageTooLarge(f"The image is larger than {MAX_IMAGE // 1_000_000} MB.")
    reader = _SvgReader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.begins
    parser.EndElementHandler = reader.ends
    parser.CharacterDataHandler = reader.says
    parser.EntityDeclHandler = reader.declares
    parser.ExternalEntityRefHandler = reader.declares
    parser.buffer_text = True
    try:
        parser.Parse(svg, True)
    except (expat.ExpatError, UnicodeError, LookupError) as cause:
        raise ImageDamaged("The image is damaged: it is not complete SVG.") from cause
    if not reader.is_svg:
        raise NotSvg("This file is not an SVG image.")
    if len(reader.found) > 1:
        raise SeveralBadges("This image holds more than one badge. Ask for the original file.")
    if not reader.found:
        raise OlderBadge(_OLDER) if reader.older else NoBadge(_NONE)
    return reader.found[0].strip()


class _SvgReader:
    """What expat calls while it reads: it keeps the badge and forgets the picture."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.is_svg = False
        self.older = False
        self._depth = 0
        self._inside = 0

    def begins(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_SVG_DEPTH:
            raise ImageTooLarge("The image is nested more deeply than any real one.")
        self.is_svg = self.is_svg or (self._depth == 1 and name in (f"{SVG} svg", "svg"))
        self.older = self.older or name == f"{SVG_OF_VERSION_2} assertion"
        if name == f"{OPEN_BADGES} credential" and not self._inside:
            self._inside = self._depth
            self.found.append(attributes.get("verify", ""))

    def ends(self, _name: str) -> None:
        if self._depth == self._inside:
            self._inside = 0
        self._depth -= 1

    def says(self, text: str) -> None:
        if self._inside:
            self.found[-1] += text
            if len(self.found[-1]) > MAX_TEXT:
                raise ImageTooLarge("The badge inside this image is too large to be a real one.")

    def declares(self, *_: object) -> int:
        raise ImageUnreadable("This image declares entities, which no badge needs and attackers use.")


_OLDER = "This image holds a badge of the older kind Open Badges 1 or 2."
_NONE = (
    "There is no badge inside this image. Photo apps, chats and screenshots drop it: "
    "use the file as it was downloaded, or the badge's JSON file."
)


def _text(body: bytes) -> str:
    compressed, method = body[:1], body[1:2]
    rest = body[2:].split(b"\0", 2)
    if len(rest) != 3 or compressed not in (b"\0", b"\1") or method != b"\0":
        raise BadgeTextUnreadable("The badge inside this image is damaged. Ask for the original file.")
    raw = rest[2] if compressed == b"\0" else _unpack(rest[2])
    if len(raw) > MAX_TEXT:
        raise ImageTooLarge("The badge inside this image is too large to be a real one.")
    try:
        return raw.decode()
    except UnicodeDecodeError as cause:
        raise BadgeTextUnreadable("The badge inside this image is not readable as text.") from cause


def _unpack(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, MAX_TEXT + 1)
    except zlib.error as cause:
        raise BadgeTextUnreadable("The badge inside this image cannot be unpacked.") from cause
    if len(raw) <= MAX_TEXT and not unpacker.eof:
        raise BadgeTextUnreadable("The badge inside this image is cut off.")
    return raw


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk up to IEND, every checksum compared. What follows IEND is not the image."""
    if len(png) > MAX_IMAGE:
        raise ImageTooLarge(f"The image is larger than {MAX_IMAGE // 1_000_000} MB.")
    if not png.startswith(PNG_SIGNATURE):
        raise NotPng("This file is not a PNG image.")
    at, first = len(PNG_SIGNATURE), True
    while True:
        if at + 12 > len(png):
            raise ImageDamaged("The image is cut off before its end.")
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        if at + 12 + length > len(png):
            raise ImageDamaged("The image is cut off before its end.")
        (stored,) = struct.unpack(">I", png[at + 8 + length : at + 12 + length])
        if zlib.crc32(kind + body) != stored:
            raise ImageDamaged("The image is damaged: a checksum in it does not fit its content.")
        if first and kind != b"IHDR":
            raise NotPng("This file begins like a PNG image but is not one.")
        yield kind, body
        if kind == b"IEND":
            return
        at, first = at + 12 + length, False


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
