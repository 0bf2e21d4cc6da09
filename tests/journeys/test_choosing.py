"""Several activities, a choice that is switched and handed in once, and a rehearsal to the sample badge, all of it in
the cross-site frame of an LMS that behaves like Canvas."""

import json
import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.conftest import Town
from tests.journeys.people import Someone, somebody
from tests.journeys.test_main_job import LABEL, TITLE, assess, do_the_work, hand_in, wait_for_grade

pytestmark = pytest.mark.browser
FADING = "Fading Prompts"
CHOICE = "Your choice"


def picking(ingrid: Someone, entrance: str, *titles: str) -> None:
    """From the course into the catalogue, and on with these ticked."""
    ingrid.page.goto(f"{ingrid.town.lms.url}/course")
    ingrid.press(ingrid.page, "link", entrance)
    for title in titles:
        ingrid.choose(ingrid.tool.get_by_role("checkbox", name=re.compile(title)).first)
    ingrid.press(ingrid.tool, "button", "Continue")
    expect(ingrid.tool.get_by_role("heading", name="Add to your course")).to_be_visible()


def three_go_in_together(ingrid: Someone) -> None:
    picking(ingrid, "Add several from Tessera", "Universal Design", FADING, "Partnership")
    expect(ingrid.tool.get_by_role("link", name="3 activities")).not_to_be_visible()
    expect(ingrid.tool.get_by_label("Time zone of the due dates")).to_have_value("America/Denver")
    ingrid.write(ingrid.tool.locator("#due-0"), "2099-05-01T23:59")
    ingrid.look()
    ingrid.press(ingrid.tool, "button", "Add to course")
    expect(ingrid.page.get_by_role("link", name=LABEL)).to_be_visible()
    assert ingrid.page.locator(".activities li").count() == 3
    expect(ingrid.page.get_by_text("Due 2099-05-02T05:59:00Z")).to_be_visible()


def two_go_in_as_a_choice(ingrid: Someone) -> None:
    picking(ingrid, "Add from Tessera", "Universal Design", FADING)
    expect(ingrid.tool.get_by_text("these become a choice")).to_be_visible()
    ingrid.write(ingrid.tool.locator("#label-0"), CHOICE)
    ingrid.write(ingrid.tool.locator("#points-0"), "40")
    ingrid.look()
    ingrid.press(ingrid.tool, "button", "Add to course")
    expect(ingrid.page.get_by_role("link", name=CHOICE)).to_be_visible()
    ingrid.press(ingrid.page, "button", f"Publish {CHOICE}")
    expect(ingrid.page.get_by_role("button", name=f"Unpublish {CHOICE}")).to_be_visible()


def choose_and_start(earner: Someone, title: str, button: str) -> None:
    earner.press(earner.tool, "link", title)
    earner.press(earner.tool, "button", button)
    expect(earner.tool.get_by_role("heading", name="Your work", exact=True)).to_be_visible()


def earner_picks_switches_and_hands_in(lena: Someone) -> None:
    lena.open_activity(CHOICE)
    expect(lena.tool.get_by_role("heading", name="Choose a micro-credential")).to_be_visible()
    lena.look()
    choose_and_start(lena, FADING, "Start")
    lena.open_activity(CHOICE)
    lena.press(lena.tool, "link", "See the other choices")
    expect(lena.tool.get_by_role("heading", name="Choose a micro-credential")).to_be_visible()
    choose_and_start(lena, TITLE, "Switch to this one")
    do_the_work(lena)
    lena.press(lena.tool, "button", "Save, then check and hand in")
    hand_in(lena)


def it_is_graded_once(ingrid: Someone) -> None:
    ingrid.open_activity(CHOICE)
    row = ingrid.tool.get_by_role("row", name="Lena Brandt")
    expect(row).to_contain_text(TITLE)
    ingrid.press(ingrid.tool, "link", "Assess the work of Lena Brandt")
    assess(ingrid, "proficient", "Demonstrated")
    wait_for_grade(ingrid.page, ingrid.town, "Lena Brandt", "40 of 40")
    ingrid.page.goto(f"{ingrid.town.lms.url}/gradebook.json")
    scored = json.loads(ingrid.page.locator("body").inner_text())
    assert [(cell["activity"], cell["learner"], cell["score"]) for cell in scored] == [
        (CHOICE, "Lena Brandt", 40)
    ]


def faculty_rehearse_to_the_sample_badge(ingrid: Someone) -> None:
    student_view(ingrid.page, True)
    ingrid.open_activity(CHOICE)
    expect(ingrid.tool.get_by_text("Student View: a rehearsal.")).to_be_visible()
    choose_and_start(ingrid, TITLE, "Start")
    ingrid.look()
    do_the_work(ingrid)
    ingrid.press(ingrid.tool, "button", "Save, then check and hand in")
    hand_in(ingrid)
    student_view(ingrid.page, False)
    ingrid.open_activity(CHOICE)
    ingrid.look()
    ingrid.press(ingrid.tool, "link", "Assess the rehearsal")
    expect(ingrid.tool.get_by_role("heading", name="Your assessment")).to_be_visible()
    ingrid.look()
    assess(ingrid, "proficient", "Demonstrated")
    expect(ingrid.tool.get_by_text("Nothing was posted or issued.")).to_be_visible()
    student_view(ingrid.page, True)
    ingrid.open_activity(CHOICE)
    ingrid.press(ingrid.tool, "link", "See the sample badge")
    picture = ingrid.tool.get_by_role("img", name=re.compile("SAMPLE"))
    expect(picture).to_be_visible()
    # Decoded, not only referred to: rejects when the picture cannot be shown.
    picture.evaluate("picture => picture.decode()")
    ingrid.look()
    ingrid.press(ingrid.tool, "link", "Start the rehearsal again")
    ingrid.press(ingrid.tool, "button", "Empty it and start again")
    expect(ingrid.tool.get_by_role("heading", name="Choose a micro-credential")).to_be_visible()
    student_view(ingrid.page, False)


def student_view(page: Page, wanted: bool) -> None:
    page.goto(f"{page.url.split('/', 3)[0]}//{page.url.split('/', 3)[2]}/course")
    page.get_by_role("button", name="Student View" if wanted else "Leave Student View", exact=True).click()
    expect(page.get_by_role("button", name="Leave Student View")).to_be_visible(visible=wanted)


@pytest.mark.parametrize("town", ["canvas"], indirect=True)
@pytest.mark.long
def test_several_activities_a_choice_that_is_switched_and_a_rehearsal(town: Town, chromium: Browser) -> None:
    with (
        somebody(chromium, town, "Ingrid Okafor", timezone="America/Denver") as ingrid,
        somebody(chromium, town, "Lena Brandt") as lena,
    ):
        three_go_in_together(ingrid)
        two_go_in_as_a_choice(ingrid)
        faculty_rehearse_to_the_sample_badge(ingrid)
        earner_picks_switches_and_hands_in(lena)
        it_is_graded_once(ingrid)
