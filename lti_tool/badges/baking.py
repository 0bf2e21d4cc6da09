"""Putting an Open Badge into a PNG, and taking it out of one that a stranger sends.

The badge is the text of exactly one ``iTXt`` chunk with the keyword ``openbadgecredential``; the picture
itself stays as it is, byte for byte.

Specs: https://www.imsglobal.org/spec/ob/v3p0/#baked-badge, https://www.w3.org/TR/png-3/#11iTXt
"""

import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"openbadgecredential"
KEYWORD_OF_VERSION_2 = b"openbadges"

MAX_IMAGE = 10_000_000
"""Bytes of an image that is read. Our own badges are below 100 kB."""

MAX_TEXT = 2_000_000
"""Bytes of the badge inside, unpacked."""


class ImageUnreadable(ValueError):  # named for what is wrong, as all of ours are
    """No badge can be put into or taken out of this image. The message is fit for the screen."""


class NotPng(ImageUnreadable):
    """The file is no PNG image, or one that begins like it and is not."""


class ImageTooLarge(ImageUnreadable):
    """The image, or the badge in it, is larger than any real one; unpacking stops there."""


class ImageDamaged(ImageUnreadable):
    """A chunk is cut off, or its checksum does not fit its content."""


class NoBadge(ImageUnreadable):
    """A good image without an Open Badge 3.0 inside."""


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
        raise NoBadge(
            "This image holds a badge of the older kind Open Badges 1 or 2. "
            "Only Open Badges 3.0 can be checked here."
        )
    if not found:
        raise NoBadge(
            "There is no badge inside this image. Photo apps, chats and screenshots drop it: "
            "use the file as it was downloaded, or the badge's JSON file."
        )
    return _text(found[0])


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
