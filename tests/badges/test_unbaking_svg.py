"""Badges inside SVG images that strangers send: found, or refused without opening anything else."""

import pytest

from lti_tool.badges import baking

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:{0}="https://purl.imsglobal.org/ob/v3p0">'


@pytest.mark.parametrize("prefix", ["openbadges", "ob"])
def test_signed_text_and_json_come_out_whatever_the_prefix_is_called(prefix):
    head = "<?xml version='1.0'?>\n<!-- drawn by hand -->\n" + HEAD.format(prefix)
    json = '{"name": "<Reading> & ]]\\u003e"}'

    assert baking.unbake_svg(f'{head}<{prefix}:credential verify="ey.a.b"/><g/></svg>'.encode()) == "ey.a.b"
    boxed = f"{head}<{prefix}:credential>\n<![CDATA[{json}]]>\n</{prefix}:credential><g>words</g></svg>"
    assert baking.unbake_svg(boxed.encode()) == json


def test_a_document_type_without_entities_as_drawing_programs_write_it_is_let_pass():
    kind = (
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    )
    image = kind + HEAD.format("openbadges") + "<openbadges:credential>{}</openbadges:credential></svg>"

    assert baking.unbake_svg(image.encode()) == "{}"


LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
REFUSED = {
    "no badge": (HEAD.format("openbadges") + "</svg>", baking.NoBadge),
    "an older badge": (
        '<svg xmlns:openbadges="http://openbadges.org"><openbadges:assertion verify="x"/></svg>',
        baking.OlderBadge,
    ),
    "two badges": (
        HEAD.format("o") + "<o:credential>{}</o:credential><o:credential>{}</o:credential></svg>",
        baking.SeveralBadges,
    ),
    "another document": ("<html></html>", baking.NotSvg),
    "cut off": (HEAD.format("openbadges"), baking.ImageDamaged),
    "a billion laughs": (
        f'<!DOCTYPE svg [<!ENTITY l0 "ha">{LAUGHS}]>{HEAD.format("o")}<o:credential>&l9;</o:credential></svg>',
        baking.ImageUnreadable,
    ),
    "a file of ours": (
        f'<!DOCTYPE svg [<!ENTITY f SYSTEM "file:///etc/passwd">]>{HEAD.format("o")}'
        "<o:credential>&f;</o:credential></svg>",
        baking.ImageUnreadable,
    ),
    "depth": (HEAD.format("o") + "<g>" * 5_000, baking.ImageTooLarge),
    "a badge without end": (
        HEAD.format("o") + "<o:credential>" + "x" * (baking.MAX_TEXT + 9) + "</o:credential></svg>",
        baking.ImageTooLarge,
    ),
    "a picture without end": ("<svg>" + " " * baking.MAX_IMAGE, baking.ImageTooLarge),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_image_without_one_sound_badge_is_refused(what):
    image, reason = REFUSED[what]

    with pytest.raises(reason):
        baking.unbake_svg(image.encode())
