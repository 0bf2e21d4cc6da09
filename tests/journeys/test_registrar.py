"""A registrar is asked why Lena's grade is missing, finds out, and mends it, by what the pages say alone."""

import shlex

import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Town, lti_tool
from tests.journeys.people import Someone, somebody
from tests.journeys.test_main_job import (
    add_activity,
    assess,
    cell_of,
    do_the_work,
    hand_in,
    link_name,
    open_desk,
    open_waiting,
    wait_for_grade,
)

pytestmark = pytest.mark.browser


def work_is_decided_while_the_activity_is_hidden(ingrid: Someone, lena: Someone) -> None:
    """The usual way in which a grade goes missing on Canvas."""
    name = link_name(ingrid.town.behaviour)
    add_activity(ingrid)
    lena.open_activity(name)
    lena.press(lena.tool, "button", "Start")
    do_the_work(lena)
    lena.press(lena.tool, "button", "Save, then check and hand in")
    hand_in(lena)
    open_waiting(ingrid)
    ingrid.page.context.new_page()
    other = ingrid.page.context.pages[-1]
    other.goto(f"{ingrid.town.lms.url}/course")
    other.get_by_role("button", name=f"Unpublish {name}").click()
    expect(other.get_by_role("button", name=f"Publish {name}", exact=True)).to_be_visible()
    assess(ingrid, "proficient", "Demonstrated")


def open_the_desk_for_the_first_time(ada: Someone) -> None:
    open_desk(ada)
    command = shlex.split(ada.tool.locator("code", has_text="lti-tool registrar add").inner_text())
    lti_tool(ada.town.home, *command[1:])
    open_desk(ada)
    expect(ada.tool.get_by_role("heading", name="Ledger of scores")).to_be_visible()


def find_out_why(ada: Someone) -> None:
    """By the name of the person who asked."""
    ada.press(ada.tool, "link", "Find a person")
    expect(ada.tool.get_by_role("heading", name="Find a person")).to_be_visible()
    ada.look()
    ada.write(ada.tool.get_by_label("Name or SIS id"), "brandt")
    ada.press(ada.tool, "button", "Find the person")
    expect(ada.tool.get_by_role("row", name="Lena Brandt")).to_be_visible()
    ada.look()
    assert "brandt" not in ada.frame.url.lower()
    ada.press(ada.tool, "link", "Lena Brandt")
    expect(ada.tool.get_by_role("heading", name="Lena Brandt")).to_be_visible()
    row = ada.tool.get_by_role("row", name="SPED")
    expect(row).to_contain_text("Demonstrated")
    # The worker tells it within seconds.
    for _ in range(20):
        if "Needs attention" in row.inner_text():
            break
        ada.page.wait_for_timeout(500)
        with ada.page.expect_response(lambda answer: "/ledger/people/" in answer.url):
            ada.frame.evaluate("setTimeout(() => location.reload())")
        expect(row).to_be_visible()
    expect(row).to_contain_text("not published in Canvas. Publish it")
    ada.look()


@pytest.mark.parametrize("town", ["canvas"], indirect=True)
def test_a_registrar_finds_a_missing_grade_learns_why_and_mends_it(town: Town, chromium: Browser) -> None:
    with somebody(chromium, town, "Ingrid Okafor") as ingrid, somebody(chromium, town, "Lena Brandt") as lena:
        work_is_decided_while_the_activity_is_hidden(ingrid, lena)
        assert "10 of 10" not in cell_of(ingrid.page, town, "Lena Brandt")

        with somebody(chromium, town, "Ada Whitfield") as ada:
            open_the_desk_for_the_first_time(ada)
            find_out_why(ada)
            ada.press(ada.tool, "link", "The whole story")
            expect(ada.tool.get_by_text("This score needs attention")).to_be_visible()
            ada.look()

            # What the page asks for; the instructor does it.
            ingrid.page.goto(f"{town.lms.url}/course")
            ingrid.press(ingrid.page, "button", f"Publish {link_name(town.behaviour)}", exact=True)
            ada.press(ada.tool, "button", "Send again")

            expect(ada.tool.get_by_text("takes the place of the old one")).to_be_visible()
            ada.look()
            cell = wait_for_grade(ingrid.page, town, "Lena Brandt", "10 of 10")
            assert "Clear goal" in cell
            for _ in range(20):
                if ada.tool.get_by_text("On its way").count() == 0:
                    break
                ada.press(ada.tool, "link", "Look again")
                ada.page.wait_for_timeout(500)
            expect(ada.tool.get_by_text("accepted the score").first).to_be_visible()
