"""An administrator types in one address, somebody here approves, and the first instructor comes in."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lti_tool import clock
from lti_tool.database import db
from lti_tool.people import doors
from lti_tool.people.models import Purpose
from tests.journeys.conftest import BEHAVIOURS, Town, town_with
from tests.journeys.people import Someone, somebody, violations

pytestmark = pytest.mark.browser


@pytest.fixture(params=BEHAVIOURS)
def strangers(request: pytest.FixtureRequest, filled_home: Path, tmp_path: Path) -> Iterator[Town]:
    with town_with(request.param, filled_home, tmp_path, connected=False) as built:
        yield built


def look(page: Page) -> None:
    """No violation that axe can find, and nothing that sticks out on a telephone."""
    problems = violations(page)
    assert not problems, f"{page.url}: {json.dumps(problems)}"
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    page.set_viewport_size({"width": 1280, "height": 900})


def one_time_link(town: Town) -> str:
    with town.app.app_context():
        secret = doors.invite(Purpose.ADMINISTRATOR, lasts=timedelta(hours=1), now=clock.now())
        db.session.commit()
    return f"{town.tool}/admin/enter/{secret}"


def register(ada: Someone) -> None:
    """Ada types in one address, looks at what is asked for, and presses one button."""
    page, canvas = ada.page, ada.town.behaviour == "canvas"
    page.goto(f"{ada.town.lms.url}/administration/tools")
    ada.write(page.get_by_label("Registration address"), f"{ada.town.tool}/lti/register")
    ada.press(page, "button", "Continue" if canvas else "Add LTI Advantage")
    tool = ada.tool if canvas else page
    expect(tool.get_by_text("Nothing has been sent yet.")).to_be_visible()
    if not canvas:
        look(page)
    ada.press(tool, "button", "Register")
    expect(tool.get_by_text("It waits for an approval")).to_be_visible()
    expect(tool.get_by_text("press Enable" if canvas else "Press Activate")).to_be_visible()
    if canvas:
        ada.look()
        ada.press(tool, "button", "Close this window")
        page.wait_for_url("**/administration/tools")
        ada.press(page, "button", "Enable")
    else:
        look(page)
        page.goto(f"{ada.town.lms.url}/administration/tools")
        ada.choose(page.get_by_label("Show in activity chooser"))
        ada.press(page, "button", "Activate")
    expect(page.get_by_text("Tessera is enabled.")).to_be_visible()


def approve(operator: Page) -> None:
    operator.reload()
    look(operator)
    operator.locator("main").get_by_role("row").filter(has_text="Waits for an approval").get_by_role(
        "link"
    ).click()
    look(operator)
    operator.get_by_role("button", name="Approve", exact=True).click()
    expect(operator.get_by_text("Approved. People can come in from there now.")).to_be_visible()
    operator.get_by_role("button", name="Test the connection").click()
    operator.wait_for_url("**/platforms/*")
    for _ in range(40):
        if operator.get_by_text("Being made").count() == 0:
            break
        operator.wait_for_timeout(250)
        operator.reload()
    expect(operator.get_by_role("row", name="Does the LMS know Tessera").get_by_text("Good")).to_be_visible()
    look(operator)


def test_from_one_typed_address_to_the_first_instructor(strangers: Town, chromium: Browser):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    operator = context.new_page()
    operator.goto(one_time_link(strangers))
    look(operator)
    operator.get_by_role("button", name="Open").click()
    expect(operator.get_by_text("No platform is connected yet")).to_be_visible()
    with (
        somebody(chromium, strangers, "Ada Whitfield") as ada,
        somebody(chromium, strangers, "Ingrid Okafor", keyboard=True) as ingrid,
    ):
        register(ada)
        ingrid.page.goto(f"{strangers.lms.url}/course")
        ingrid.press(ingrid.page, "link", "Add from Tessera")
        expect(ingrid.tool.get_by_text("is waiting to be approved")).to_be_visible()

        approve(operator)
        ingrid.page.goto(f"{strangers.lms.url}/course")
        ingrid.press(ingrid.page, "link", "Add from Tessera")
        expect(ingrid.tool.get_by_role("heading", name="Add a micro-credential")).to_be_visible()
    context.close()
