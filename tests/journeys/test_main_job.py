"""The main job, from the catalogue to grade and badge, in a cross-site iframe with third-party cookies blocked."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.conftest import Behaviour, Town, lti_tool
from tests.journeys.people import Someone, somebody

pytestmark = pytest.mark.browser
TITLE = "Universal Design for Learning: Planning With Variability in Mind"
LABEL = "UDL: Plan for Variability"
WORDS = "Learners differ, and the plan expects that from the start. " * 30
CRITERIA = [f"a{group}-{place}" for group in range(1, 6) for place in (1, 2)]
SECONDS = 1000


def link_name(behaviour: Behaviour) -> str:
    """Canvas names an activity after its gradebook column, Moodle after the item."""
    return LABEL if behaviour == "canvas" else TITLE


def add_activity(ingrid: Someone) -> None:
    ingrid.page.goto(f"{ingrid.town.lms.url}/course")
    ingrid.press(ingrid.page, "link", "Add from Tessera")
    expect(ingrid.tool.get_by_role("heading", name="Add a micro-credential")).to_be_visible()
    ingrid.look()
    ingrid.choose(ingrid.tool.get_by_label(TITLE))
    ingrid.press(ingrid.tool, "button", "Continue")
    expect(ingrid.tool.get_by_role("heading", name="Add to your course")).to_be_visible()
    ingrid.look()
    ingrid.press(ingrid.tool, "button", "Add to course")
    name = link_name(ingrid.town.behaviour)
    expect(ingrid.page.get_by_role("link", name=name)).to_be_visible()
    if ingrid.town.behaviour == "canvas":
        ingrid.press(ingrid.page, "button", f"Publish {name}")
        expect(ingrid.page.get_by_role("button", name=f"Unpublish {name}")).to_be_visible()


def do_the_work(lena: Someone) -> None:
    tool = lena.tool
    lena.write(tool.locator("#answer-learners-and-goal"), WORDS)
    lena.attach(tool.locator("#file-barrier-map"), "barriers.txt", b"Line 3 needs reading aloud.")
    lena.write(tool.locator("#link-redesigned-lesson"), "https://example.edu/lesson")
    lena.write(tool.locator("#answer-design-rationale"), WORDS)


def hand_in(lena: Someone) -> None:
    tool = lena.tool
    expect(tool.get_by_text("Everything is there.")).to_be_visible()
    lena.look()
    for statement in tool.locator("#hand-in input[type=checkbox]").all():
        lena.choose(statement)
    lena.choose(tool.locator("#hand-in input[value=no_one_else]"))
    lena.press(tool, "button", "Hand in", exact=True)
    expect(tool.get_by_text("Handed in").first).to_be_visible()


def assess(ingrid: Someone, level: str, outcome: str) -> None:
    """Rate every criterion the same, and decide."""
    tool = ingrid.tool
    for key in CRITERIA:
        ingrid.choose(tool.locator(f"input[name=level-{key}][value={level}]"))
        if level != "proficient":
            ingrid.write(tool.locator(f"#comment-{key}"), "Name the learners and what they bring.")
    ingrid.write(tool.locator("#feedback"), "Clear goal. Say more about how learners differ.")
    ingrid.choose(tool.get_by_label(outcome, exact=True))
    ingrid.press(tool, "button", "Record decision")
    expect(tool.get_by_role("heading", name="Who is where")).to_be_visible()


def cell_of(page: Page, town: Town, learner: str) -> str:
    page.goto(f"{town.lms.url}/gradebook")
    return page.get_by_role("row", name=learner).inner_text()


def wait_for_grade(page: Page, town: Town, learner: str, text: str) -> str:
    """Seconds, not minutes: the worker posts what the decision owes."""
    for _ in range(40):
        if text in (cell := cell_of(page, town, learner)):
            return cell
        page.wait_for_timeout(0.5 * SECONDS)
    raise AssertionError(f"No {text} in the gradebook: {cell}")


def open_waiting(ingrid: Someone) -> None:
    ingrid.open_activity(link_name(ingrid.town.behaviour))
    ingrid.press(ingrid.tool, "link", "Assess the work of Lena Brandt")
    expect(ingrid.tool.get_by_role("heading", name="Your assessment")).to_be_visible()


def walk(town: Town, chromium: Browser, folder: Path, *, keyboard: bool) -> None:
    with (
        somebody(chromium, town, "Ingrid Okafor", keyboard=keyboard) as ingrid,
        somebody(chromium, town, "Lena Brandt", keyboard=keyboard) as lena,
    ):
        faculty_adds_it(ingrid)
        earner_hands_in(lena)
        assessor_says_not_yet(ingrid)
        earner_reads_and_hands_in_again(lena)
        assessor_says_demonstrated(ingrid)
        earner_takes_the_badge(lena, chromium, folder)
    with somebody(chromium, town, "Ada Whitfield", keyboard=keyboard) as ada:
        ledger(ada, folder)


def faculty_adds_it(ingrid: Someone) -> None:
    add_activity(ingrid)
    ingrid.open_activity(link_name(ingrid.town.behaviour))
    expect(ingrid.tool.get_by_text("Nobody has begun yet")).to_be_visible()
    ingrid.look()


def earner_hands_in(lena: Someone) -> None:
    name = link_name(lena.town.behaviour)
    lena.open_activity(name)
    expect(lena.tool.get_by_role("heading", name="The rubric")).to_be_visible()
    expect(lena.tool.get_by_text("No agreement evidence").first).to_be_visible()
    lena.look()
    lena.press(lena.tool, "button", "Start")
    expect(lena.tool.get_by_role("heading", name="Your work")).to_be_visible()
    lena.look()
    lena.write(lena.tool.locator("#answer-learners-and-goal"), "First thoughts.")
    lena.press(lena.tool, "button", "Save, then check and hand in")
    expect(lena.tool.get_by_text("still missing")).to_be_visible()
    lena.look()

    lena.open_activity(name)
    lena.press(lena.tool, "link", "Continue")
    expect(lena.tool.locator("#answer-learners-and-goal")).to_have_value("First thoughts.")
    do_the_work(lena)
    lena.press(lena.tool, "button", "Save, then check and hand in")
    hand_in(lena)
    lena.look()


def assessor_says_not_yet(ingrid: Someone) -> None:
    ingrid.open_activity(link_name(ingrid.town.behaviour))
    expect(ingrid.tool.get_by_text(re.compile(r"1\s+waiting"))).to_be_visible()
    ingrid.look()
    open_waiting(ingrid)
    assert "Lena" not in ingrid.tool.locator("body").inner_text()
    ingrid.look()
    assess(ingrid, "developing", "Not yet demonstrated")
    expect(ingrid.tool.get_by_role("row", name="Lena Brandt")).to_contain_text("Feedback not opened")
    assert "of 10" not in cell_of(ingrid.page, ingrid.town, "Lena Brandt")


def earner_reads_and_hands_in_again(lena: Someone) -> None:
    lena.open_activity(link_name(lena.town.behaviour))
    expect(lena.tool.get_by_role("heading", name="Not yet demonstrated")).to_be_visible()
    lena.look()
    lena.press(lena.tool, "link", "Work on it again")
    lena.write(lena.tool.locator("#note"), "I name the learners now.")
    lena.write(lena.tool.locator("#answer-learners-and-goal"), WORDS + "Two of them read below grade level.")
    lena.press(lena.tool, "button", "Save, then check and hand in")
    hand_in(lena)


def assessor_says_demonstrated(ingrid: Someone) -> None:
    open_waiting(ingrid)
    expect(ingrid.tool.get_by_text("I name the learners now.")).to_be_visible()
    assess(ingrid, "proficient", "Demonstrated")
    cell = wait_for_grade(ingrid.page, ingrid.town, "Lena Brandt", "10 of 10")
    assert "Clear goal" in cell


def earner_takes_the_badge(lena: Someone, chromium: Browser, folder: Path) -> None:
    town = lena.town
    document, path = take_badge(lena, link_name(town.behaviour), folder)
    assert document["type"] == ["VerifiableCredential", "OpenBadgeCredential"]
    look_at_shared(chromium, lena, path)
    verify(chromium, town, folder / "badge.json", "This badge is genuine")
    verify(chromium, town, folder / "badge.png", "This badge is genuine")
    tampered = folder / "tampered.json"
    tampered.write_text((folder / "badge.json").read_text().replace("Planning", "Mastering", 1))
    verify(chromium, town, tampered, "Do not rely on this badge")


def take_badge(lena: Someone, name: str, folder: Path) -> tuple[dict[str, object], str]:
    lena.open_activity(name)
    lena.press(lena.tool, "link", "See your badge")
    expect(lena.tool.get_by_role("heading", name="My badges")).to_be_visible()
    lena.look()
    lena.press(lena.tool, "link", TITLE)
    expect(lena.tool.get_by_role("link", name="Download as JSON")).to_be_visible()
    lena.look()
    for kind in ("JSON", "PNG"):
        with lena.page.expect_download() as arriving:
            lena.press(lena.tool, "link", f"Download as {kind}")
        arriving.value.save_as(folder / f"badge.{kind.lower()}")
    lena.press(lena.tool, "button", "Share this badge")
    link = lena.tool.get_by_role("link", name="/shared/")
    expect(link).to_be_visible()
    lena.look()
    address = link.get_attribute("href")
    assert address is not None
    document: dict[str, object] = json.loads((folder / "badge.json").read_text())
    return document, lena.town.tool + address


def look_at_shared(chromium: Browser, lena: Someone, address: str) -> None:
    """A stranger's browser."""
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_text("This badge is genuine", exact=True)).to_be_visible()
        expect(page.get_by_text("The earner has chosen not to show a name")).to_be_visible()
        assert "Lena" not in page.content()
    finally:
        context.close()


def verify(chromium: Browser, town: Town, file: Path, verdict: str) -> None:
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(f"{town.tool}/verify")
        page.get_by_label("The badge’s file").set_input_files(file)
        page.get_by_role("button", name="Check the badge").click()
        expect(page.get_by_text(verdict, exact=True)).to_be_visible()
    finally:
        context.close()


def ledger(ada: Someone, folder: Path) -> None:
    """The door is closed until the operator runs the command that the page names."""
    open_desk(ada)
    expect(ada.tool.get_by_role("heading", name="You are not on the list")).to_be_visible()
    ada.look()
    command = shlex.split(ada.tool.locator("code", has_text="lti-tool registrar add").inner_text())
    lti_tool(ada.town.home, *command[1:])
    open_desk(ada)
    row = ada.tool.get_by_role("row", name="Lena Brandt")
    expect(row).to_contain_text("10 of 10")
    expect(row).to_contain_text("Sent and accepted")
    ada.look()
    with ada.page.expect_download() as arriving:
        ada.press(ada.tool, "link", "Download these as CSV")
    arriving.value.save_as(folder / "ledger.csv")
    rows = list(csv.DictReader(io.StringIO((folder / "ledger.csv").read_text(encoding="utf-8-sig"))))
    assert len(rows) == 1
    assert "Lena Brandt" in rows[0].values()
    ada.press(ada.tool, "link", "Lena Brandt")
    expect(ada.tool.get_by_role("heading", level=1)).not_to_contain_text("Ledger of scores")
    ada.look()


def open_desk(ada: Someone) -> None:
    ada.page.goto(f"{ada.town.lms.url}/administration")
    ada.press(ada.page, "link", "Open Tessera (administration)")
    ada.arrive()


@pytest.mark.long
def test_the_main_job_from_catalogue_to_grade_and_badge(
    town: Town, chromium: Browser, tmp_path: Path
) -> None:
    walk(town, chromium, tmp_path, keyboard=False)


@pytest.mark.parametrize("town", ["moodle"], indirect=True)
def test_the_main_job_with_the_keyboard_alone(town: Town, chromium: Browser, tmp_path: Path) -> None:
    walk(town, chromium, tmp_path, keyboard=True)


@pytest.mark.parametrize("town", ["canvas"], indirect=True)
def test_this_browser_blocks_third_party_cookies(town: Town, chromium: Browser) -> None:
    """Otherwise the journeys above would prove nothing about the partitioned cookie."""
    with somebody(chromium, town, "Ingrid Okafor") as ingrid:
        add_activity(ingrid)
        ingrid.open_activity(link_name(town.behaviour))

        kept = ingrid.page.context.cookies()

        ours = [cookie for cookie in kept if cookie["name"] == "__Host-tessera"]
        assert [bool(cookie.get("partitionKey")) for cookie in ours] == [True]
        assert ingrid.frame.evaluate("document.hasStorageAccess()") is False
