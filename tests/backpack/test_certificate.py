"""The certificate: one page, a code that a phone reads, and a name only if its earner wants one."""

from pathlib import Path

import pypdfium2
import zxingcpp
from flask import Flask
from werkzeug.test import TestResponse

from lti_tool.database import db
from lti_tool.people.models import Account
from lti_tool.printing.lettering import printable
from tests.backpack.conftest import shared_path
from tests.support.cast import Campus
from tests.support.visits import Browser


def read(answer: TestResponse) -> tuple[int, str, list[str]]:
    """Pages, the words on the first one, and what its codes say."""
    document = pypdfium2.PdfDocument(answer.data)
    page = document[0]
    words = page.get_textpage()
    picture = page.render(scale=1.5)
    found = (
        len(document),
        words.get_text_bounded(),
        [each.text for each in zxingcpp.read_barcodes(picture.to_pil())],
    )
    for opened in (picture, words, page, document):
        opened.close()
    return found


def test_it_says_what_was_earned_and_leads_to_the_page_that_checks_files(badge: str, lena: Browser):
    pages, words, codes = read(lena.get(f"/badges/{badge}/certificate.pdf"))

    assert pages == 1
    assert "Universal Design for Learning" in words
    assert "Assessed by: course instructor (one rating). No agreement evidence." in words
    assert "Lena" not in words
    assert codes == ["http://tool.localhost:8700/verify"]


def test_once_the_badge_is_shared_its_code_leads_to_the_shared_page(badge: str, lena: Browser):
    lena.post(f"/badges/{badge}/share")
    path = shared_path(lena.get(f"/badges/{badge}").text)

    pages, words, codes = read(lena.get(f"/badges/{badge}/certificate.pdf?name=yes"))

    assert pages == 1
    assert "Lena Brandt" in words
    assert codes == [f"http://tool.localhost:8700{path}"]


def test_names_show_in_their_own_script(app: Flask, campus: Campus, badge: str, lena: Browser):
    without = lena.get(f"/badges/{badge}/certificate.pdf").data

    for name in ("Łukasz Žižek", "Ελένη Παπαδοπούλου", "محمد الزهراني", "דוד לוי", "Nguyễn Thị Ánh"):
        with app.app_context():
            db.session.get_one(Account, campus.accounts["lena"]).name = name
            db.session.commit()
        answer = lena.get(f"/badges/{badge}/certificate.pdf?name=yes")

        assert printable(name, None), name
        assert len(answer.data) > len(without) + 200, name
        assert read(answer)[0] == 1, name


def test_a_name_that_no_font_has_letters_for_is_left_out_and_the_page_says_so(
    app: Flask, campus: Campus, badge: str, lena: Browser, tmp_path: Path
):
    with app.app_context():
        db.session.get_one(Account, campus.accounts["lena"]).name = "田中 愛子"
        db.session.commit()
    assert not printable("田中 愛子", tmp_path)

    words = read(lena.get(f"/badges/{badge}/certificate.pdf?name=yes"))[1]

    assert "has earned" not in words
    assert "has no font for its letters" in lena.get(f"/badges/{badge}").text


def test_a_long_name_and_title_stay_on_one_page(app: Flask, campus: Campus, badge: str, lena: Browser):
    with app.app_context():
        db.session.get_one(Account, campus.accounts["lena"]).name = "Maximiliana-Alexandrina " * 8
        db.session.commit()

    pages, words, codes = read(lena.get(f"/badges/{badge}/certificate.pdf?name=yes"))

    assert (pages, len(codes)) == (1, 1)
    assert "Awarded" in words
