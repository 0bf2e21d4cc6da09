"""Templates hold words and macros. The Content-Security-Policy forbids the rest, and so does this."""

import re
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGE, ROOT

TEMPLATES = sorted(PACKAGE.rglob("templates/**/*.html"))
FORBIDDEN = {
    "text that is not escaped": r"\|\s*safe\b|\bautoescape\s+false|\bMarkup\(",
    "an inline style": r"\sstyle\s*=|<style\b",
    "an inline script": r"<script(?![^>]*\bsrc=)(?! type=\"application/ld\+json\">)|\son[a-z]+\s*=\s*[\"']|javascript:",
    "something fetched from another site": r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[\"']https?:",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_template_has(what: str):
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in TEMPLATES
        for match in re.finditer(FORBIDDEN[what], path.read_text(encoding="utf-8"))
    ]

    assert found == []


def test_every_form_that_posts_to_us_carries_its_token():
    for path in TEMPLATES:
        for form in forms(path):
            to_platform = "data-onward" in form
            without_cookie = "data-arriving" in form  # Its origin is checked: test_arriving.py
            # Inside a registration window our cookie may be kept back, so what the form needs is sealed in it.
            sealed = 'name="ticket"' in form
            assert to_platform or without_cookie or sealed or "csrf()" in form, (
                f"{path.relative_to(ROOT)}: {form[:80]}"
            )


def forms(path: Path) -> list[str]:
    """Forms of the tool's own templates that post; the practice LMS is no part of it."""
    if "practice_lms" in path.parts:
        return []
    found = re.findall(r"<form\b.*?</form>", path.read_text(encoding="utf-8"), re.DOTALL)
    return [form for form in found if re.search(r"method=[\"']post", form, re.IGNORECASE)]


def test_there_are_templates_to_look_at():
    assert len(TEMPLATES) > 20
