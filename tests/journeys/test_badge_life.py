"""A badge's life as people see it: earned in private, shared, taken back by faculty, and issued again."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.journeys.conftest import Town
from tests.journeys.people import Someone, somebody
from tests.journeys.test_main_job import (
    CRITERIA,
    SECONDS,
    TITLE,
    add_activity,
    do_the_work,
    hand_in,
    link_name,
    open_waiting,
    verify,
)

pytestmark = pytest.mark.browser
REASON = "Awarded for the wrong micro-credential."


def earn(ingrid: Someone, lena: Someone) -> None:
    add_activity(ingrid)
    name = link_name(ingrid.town.behaviour)
    lena.open_activity(name)
    lena.press(lena.tool, "button", "Start")
    do_the_work(lena)
    lena.press(lena.tool, "button", "Save, then check and hand in")
    hand_in(lena)
    ingrid.open_activity(name)
    open_waiting(ingrid)
    for key in CRITERIA:
        ingrid.choose(ingrid.tool.locator(f"input[name=level-{key}][value=proficient]"))
    ingrid.write(ingrid.tool.locator("#feedback"), "Clear goal.")
    ingrid.choose(ingrid.tool.get_by_label("Demonstrated", exact=True))
    ingrid.press(ingrid.tool, "button", "Record decision")
    expect(ingrid.tool.get_by_role("heading", name="Who is where")).to_be_visible()


def open_badge(lena: Someone) -> str:
    """The earner's page of the badge; returns its id."""
    lena.open_activity(link_name(lena.town.behaviour))
    lena.press(lena.tool, "link", "My badges")
    expect(lena.tool.get_by_role("heading", name="My badges")).to_be_visible()
    lena.press(lena.tool, "link", TITLE)
    expect(lena.tool.get_by_role("heading", name=TITLE)).to_be_visible()
    found = re.search(r"/badges/([0-9a-f-]{36})", lena.frame.url)
    assert found is not None
    return found[1]


def download(lena: Someone, file: Path) -> Path:
    link = lena.tool.get_by_role("link", name="Download as JSON")
    for _ in range(20):
        if link.is_visible():
            break
        # Being signed: a person would look again as well.
        lena.page.wait_for_timeout(0.5 * SECONDS)
        lena.press(lena.tool, "link", "Look again")
    with lena.page.expect_download() as arriving:
        lena.press(lena.tool, "link", "Download as JSON")
    arriving.value.save_as(file)
    return file


def share(lena: Someone) -> str:
    lena.choose(lena.tool.get_by_label("Show my name on the page: Lena Brandt"))
    lena.choose(lena.tool.get_by_label("One year"))
    lena.press(lena.tool, "button", "Share this badge")
    link: Locator = lena.tool.get_by_role("link", name="/shared/")
    expect(link).to_be_visible()
    expect(lena.tool.get_by_role("link", name="Add to LinkedIn")).to_be_visible()
    lena.look()
    address = lena.town.tool + str(link.get_attribute("href"))
    lena.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lena.press(lena.tool, "button", "Copy the link")
    expect(lena.tool.get_by_role("button", name="Copied")).to_be_visible()
    assert lena.page.evaluate("navigator.clipboard.readText()") == address
    return address


def privately(chromium: Browser, address: str, *, shows: str, hides: str = "Internal") -> None:
    """What a private window shows."""
    context = chromium.new_context()
    try:
        page = context.new_page()
        for _ in range(20):
            page.goto(address)
            if page.get_by_text(shows).first.is_visible():
                break
            page.wait_for_timeout(0.5 * SECONDS)
        expect(page.get_by_text(shows).first).to_be_visible()
        expect(page.get_by_text(hides)).to_have_count(0)
    finally:
        context.close()


def open_revocation(ingrid: Someone) -> None:
    ingrid.open_activity(link_name(ingrid.town.behaviour))
    ingrid.press(ingrid.tool, "link", "See decision about Lena Brandt")
    ingrid.press(ingrid.tool, "link", "The badge that came from it")
    expect(ingrid.tool.get_by_role("heading", name="Badges of Lena Brandt")).to_be_visible()


def revoke(ingrid: Someone) -> None:
    open_revocation(ingrid)
    ingrid.tool.locator("summary", has_text="Revoke this badge").click()
    ingrid.look()
    ingrid.write(ingrid.tool.get_by_label("Reason, for everybody to read"), REASON)
    ingrid.choose(ingrid.tool.get_by_label("I want to revoke this badge."))
    ingrid.press(ingrid.tool, "button", "Revoke the badge")
    expect(ingrid.tool.get_by_text(REASON)).to_be_visible()


@pytest.mark.parametrize("town", ["canvas"], indirect=True)
@pytest.mark.long
def test_earned_in_private_then_shared_revoked_and_issued_again(
    town: Town, chromium: Browser, tmp_path: Path
) -> None:
    with (
        somebody(chromium, town, "Ingrid Okafor") as ingrid,
        somebody(chromium, town, "Lena Brandt") as lena,
    ):
        earn(ingrid, lena)
        badge = open_badge(lena)
        first = download(lena, tmp_path / "first.json")
        for path in (f"/shared/{badge}", f"/badges/{badge}", f"/verify?badge={badge}"):
            privately(chromium, f"{town.tool}{path}", shows="Tessera", hides="Planning With Variability")

        address = share(lena)
        privately(chromium, address, shows="Lena Brandt")
        privately(chromium, address, shows="This badge is genuine")
        verify(chromium, town, first, "This badge is genuine")

        revoke(ingrid)
        privately(chromium, address, shows=REASON, hides="This badge is genuine")
        verify(chromium, town, first, "This badge was revoked")
        lena.open_activity(link_name(town.behaviour))
        lena.press(lena.tool, "link", "My badges")
        expect(lena.tool.get_by_text(REASON)).to_be_visible()
        lena.look()

        open_revocation(ingrid)
        ingrid.press(ingrid.tool, "button", "Issue it again")
        expect(ingrid.tool.get_by_text("Replaced by a newer one")).to_be_visible()
        assert open_badge(lena) != badge
        second = download(lena, tmp_path / "second.json")
        privately(chromium, address, shows="This badge is genuine")
        verify(chromium, town, second, "This badge is genuine")
        verify(chromium, town, first, "This badge was revoked")
