import json
import struct
import zlib

import pytest

from lti_tool.badges import baking, images


@pytest.fixture(scope="module")
def picture() -> bytes:
    return images.render(symbol="book", colour="#1f4e79", shape="hexagon")


def test_what_is_baked_in_comes_out_again(picture, badge):
    text = json.dumps(badge, ensure_ascii=False)

    assert baking.unbake_png(baking.bake_png(picture, text)) == text


def test_the_badge_stands_directly_after_the_header_as_the_standard_writes_it(picture):
    kinds = chunks(baking.bake_png(picture, "{}"))

    assert [kind for kind, _ in kinds[:2]] == [b"IHDR", b"iTXt"]
    assert kinds[1][1] == b"openbadgecredential\0\0\0\0\0{}"


def test_baking_again_replaces_the_badge(picture):
    once = baking.bake_png(picture, "first")

    twice = baking.bake_png(once, "second")

    assert baking.unbake_png(twice) == "second"
    assert twice == baking.bake_png(picture, "second")


def test_the_picture_itself_is_left_as_it_is(picture):
    kept = [chunk for chunk in chunks(baking.bake_png(picture, "{}")) if chunk[0] != b"iTXt"]

    assert kept == chunks(picture)


def test_an_independent_library_finds_the_badge(picture):
    from openbadgeslib import baking as other  # noqa: PLC0415  # only this test needs it

    baked = baking.bake_png(picture, '{"id": "urn:x"}')

    assert other.extract_png(baked, keyword=b"openbadgecredential") in ('{"id": "urn:x"}', b'{"id": "urn:x"}')


def test_a_picture_without_a_badge_is_refused_with_advice(picture):
    with pytest.raises(baking.NoBadge, match="use the file as it was downloaded"):
        baking.unbake_png(picture)


def test_a_badge_of_an_older_standard_is_named_as_such(picture):
    old = insert(picture, b"iTXt", b"openbadges\0\0\0\0\0{}")

    with pytest.raises(baking.NoBadge, match="Open Badges 1 or 2"):
        baking.unbake_png(old)


def test_two_badges_in_one_picture_are_refused(picture):
    double = insert(baking.bake_png(picture, "one"), b"iTXt", b"openbadgecredential\0\0\0\0\0two")

    with pytest.raises(baking.SeveralBadges):
        baking.unbake_png(double)


def test_a_chunk_whose_checksum_does_not_fit_is_refused(picture):
    baked = bytearray(baking.bake_png(picture, "first"))
    baked[baked.index(b"first")] ^= 1

    with pytest.raises(baking.ImageDamaged, match="checksum"):
        baking.unbake_png(bytes(baked))


def test_a_picture_that_is_cut_off_is_refused_wherever_it_was_cut(picture):
    baked = baking.bake_png(picture, "first")

    for length in (*range(8, 80), len(baked) - 1):
        with pytest.raises(baking.ImageDamaged):
            baking.unbake_png(baked[:length])


def test_what_is_no_png_is_refused():
    for file in (b"", b"GIF89a", b"\xff\xd8\xff\xe0"):
        with pytest.raises(baking.NotPng):
            baking.unbake_png(file)


def test_a_png_that_does_not_begin_with_its_header_is_refused():
    with pytest.raises(baking.NotPng):
        baking.unbake_png(baking.PNG_SIGNATURE + chunk(b"IEND", b""))


def test_a_compressed_badge_is_read(picture):
    packed = insert(picture, b"iTXt", b"openbadgecredential\0\1\0\0\0" + zlib.compress(b"packed"))

    assert baking.unbake_png(packed) == "packed"


def test_a_compressed_bomb_is_refused_without_unpacking_it(picture):
    bomb = zlib.compress(b"\0" * 200_000_000, 9)

    with pytest.raises(baking.ImageTooLarge):
        baking.unbake_png(insert(picture, b"iTXt", b"openbadgecredential\0\1\0\0\0" + bomb))


@pytest.mark.parametrize(
    "body",
    [
        b"\1\0\0\0not packed",
        b"\1\0\0\0" + zlib.compress(b"x" * 100)[:-6],
        b"\0\0\0\0\xff\xfe",
        b"\7\0\0\0x",
        b"\0",
    ],
)
def test_a_badge_chunk_that_cannot_be_read_is_refused(picture, body):
    with pytest.raises(baking.BadgeTextUnreadable):
        baking.unbake_png(insert(picture, b"iTXt", b"openbadgecredential\0" + body))


def test_an_image_above_the_limit_is_refused():
    with pytest.raises(baking.ImageTooLarge, match="10 MB"):
        baking.unbake_png(baking.PNG_SIGNATURE + b"\0" * baking.MAX_IMAGE)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def insert(png: bytes, kind: bytes, body: bytes) -> bytes:
    """``png`` with one more chunk before its last."""
    return png[:-12] + chunk(kind, body) + png[-12:]
