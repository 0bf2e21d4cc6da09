"""The guides, as pages: complete, linked with each other, with this Tessera's own address in their fields."""

import re
from html import unescape

import pytest
from flask import Flask

from lti_tool.settings import docs_dir
from tests.routes.test_admin import Operator, operator
from tests.support.cast import Campus

__all__ = ["operator"]

ROOT = "https://tool.localhost"
NAMES = sorted(path.stem for path in docs_dir().glob("*.md"))


def read(app: Flask, path: str) -> str:
    answer = app.test_client().get(path, base_url=ROOT)
    assert answer.status_code == 200, path
    return answer.text


def test_every_guide_is_listed_and_opens(app: Flask):
    listed = re.findall(r'href="/help/([\w-]+)"', read(app, "/help"))

    assert sorted(listed) == NAMES
    assert {"canvas", "moodle", "data-flow", "troubleshooting"} <= set(NAMES)
    for name in NAMES:
        page = read(app, f"/help/{name}")
        assert page.count("<h1>") == 1
        assert "|---" not in page


def test_a_guide_names_the_address_of_this_tessera_in_its_fields(app: Flask):
    for name in ("canvas", "moodle"):
        page = read(app, f"/help/{name}")
        assert "http://tool.localhost:8700/lti/jwks" in page
        assert "tessera.example.edu" not in page


@pytest.mark.parametrize("name", NAMES)
def test_every_link_of_a_guide_leads_somewhere(app: Flask, name: str):
    for href in re.findall(r"<article.*</article>", read(app, f"/help/{name}"), re.DOTALL):
        for link in re.findall(r'href="([^"]+)"', href):
            if link.startswith(("https:", "http:")):
                continue
            path, _, part = unescape(link).partition("#")
            page = read(app, path or f"/help/{name}")
            assert not part or f'id="{part}"' in page, link


@pytest.mark.parametrize("name", ["nothing", "README", "..%2Fcanvas", "canvas.md", "x" * 100])
def test_nothing_but_the_guides_can_be_read(app: Flask, name: str):
    assert app.test_client().get(f"/help/{name}", base_url=ROOT).status_code == 404


def test_the_pages_of_administrators_lead_to_the_guide_of_their_platform(
    app: Flask, operator: Operator, campus: Campus
):
    assert 'href="/help/canvas"' in operator.get("/platforms/1").text
    choose = operator.get("/connect").text
    assert 'href="/help/canvas"' in choose
    assert 'href="/help/moodle"' in choose
    assert 'href="/help/moodle"' in operator.get("/connect/moodle").text


def test_a_refusal_leads_to_where_the_symptom_stands(app: Flask):
    """In a tab of its own: the page of a refusal may sit in the platform's frame, a guide never does."""
    answer = app.test_client().post("/lti/login", data={"iss": "https://nobody.example.edu"}, base_url=ROOT)

    assert 'href="/help/troubleshooting#opening-an-activity" target="_blank"' in answer.text
    guide = app.test_client().get("/help/troubleshooting", base_url=ROOT)
    assert 'id="opening-an-activity"' in guide.text
    assert 'id="connecting"' in guide.text
    assert "frame-ancestors 'none'" in guide.headers["Content-Security-Policy"]
