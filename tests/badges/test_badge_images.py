import io
import struct
import xml.etree.ElementTree as ET
from itertools import combinations, product

import pytest
from PIL import Image, ImageChops, ImageStat

from lti_tool.badges import images

LOOKS = list(product(images.SYMBOLS, images.SHAPES))


@pytest.mark.parametrize(("symbol", "shape"), LOOKS)
def test_every_symbol_in_every_shape_is_drawn_without_letters_ids_or_styles(symbol, shape):
    drawing = images.svg(symbol=symbol, colour="#1f4e79", shape=shape)

    for element in ET.fromstring(drawing).iter():  # noqa: S314  # our own drawing
        assert element.tag.rpartition("}")[2] in {"svg", "g", "path", "circle", "rect"}
        assert not {"id", "style", "class", "href", "onload"} & element.attrib.keys()


def test_a_picture_is_512_pixels_square_and_always_the_same():
    one, other = (images.render(symbol="hands", colour="#7B2D43", shape="shield") for _ in range(2))

    assert one == other
    assert one.startswith(b"\x89PNG")
    assert struct.unpack(">II", one[16:24]) == (512, 512)
    assert len(one) < 100_000


def test_pictures_of_different_looks_differ():
    looks = {images.render(symbol=symbol, colour="#1f4e79", shape=shape) for symbol, shape in LOOKS}

    assert len(looks) == len(LOOKS)


def test_a_title_is_said_by_screen_readers_and_cannot_break_out():
    drawing = images.svg(symbol="book", colour="#1f4e79", shape="circle", title='"><script>alert(1)</script>')

    root = ET.fromstring(drawing)  # noqa: S314  # our own drawing
    assert root.get("role") == "img"
    assert root.get("aria-label") == '"><script>alert(1)</script>'


def test_without_a_title_a_picture_is_decoration():
    assert 'aria-hidden="true"' in images.svg(symbol="book", colour="#1f4e79", shape="circle")


@pytest.mark.parametrize(
    "look",
    [
        {"symbol": "skull", "colour": "#1f4e79", "shape": "circle"},
        {"symbol": "book", "colour": "navy", "shape": "circle"},
        {"symbol": "book", "colour": '#000"/>', "shape": "circle"},
        {"symbol": "book", "colour": "#1f4e79", "shape": "star"},
    ],
)
def test_a_look_that_is_not_drawn_here_is_refused(look):
    with pytest.raises(ValueError, match=r"is no|There is no"):
        images.render(**look)


def small_and_grey(symbol: str, shape: str) -> Image.Image:
    """As on a crowded page, printed in black and white: 64 pixels, in grey, on paper. Only the symbol's part."""
    picture = Image.open(io.BytesIO(images.render(symbol=symbol, colour="#5a4a00", shape=shape)))
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture)
    return paper.convert("L").resize((64, 64), Image.Resampling.LANCZOS).crop((12, 12, 52, 52))


@pytest.mark.parametrize("shape", images.SHAPES)
def test_at_64_pixels_and_in_grey_every_symbol_stands_out_and_is_no_other(shape):
    grey = {symbol: small_and_grey(symbol, shape) for symbol in images.SYMBOLS}

    for symbol, picture in grey.items():
        counted = picture.histogram()
        assert sum(counted[200:]) > 0.15 * 40 * 40, symbol
        assert sum(counted[:120]) > 0.3 * 40 * 40, symbol
    for one, other in combinations(images.SYMBOLS, 2):
        apart = ImageStat.Stat(ImageChops.difference(grey[one], grey[other])).mean[0]
        assert apart > 15, (one, other)
