"""Launches in a cross-site iframe, in browsers that make them hard: no cookies, two roles, reload, back, the end.

One tool and one LMS of each kind for all of it. The browser that refuses cookies is a real one with a site setting, as
somebody would make it: nothing of ours is kept inside the LMS's pages, partitioned or not.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect
from sqlalchemy import select, update

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti.models import Launch, Platform
from lti_tool.practice_lms import serve
from tests.journeys.conftest import Town, connect, town_with
from tests.journeys.people import Someone, somebody
from tests.journeys.test_main_job import WORDS, add_activity, link_name

pytestmark = pytest.mark.browser
COOKIE = "__Host-tessera"
KEPT = "Object.keys(sessionStorage).filter((key) => key.startsWith('platform_storage'))"


@pytest.fixture(scope="module")
def towns(
    filled_home: Path, tmp_path_factory: pytest.TempPathFactory, chromium: Browser
) -> Iterator[dict[str, Town]]:
    """A Canvas, which keeps data for tools, and a Moodle, which does not, around one tool, with an activity in each."""
    folder = tmp_path_factory.mktemp("launching")
    with town_with("canvas", filled_home, folder, busy=False) as canvas:
        config = replace(canvas.lms.config, behaviour="moodle", port=0, home=folder / "moodle")
        config = replace(config, client_id="LobiPractice01", deployment_id="1")
        with serve(config) as lms:
            connect(canvas.app, lms, "Practice Moodle")
            found = {"canvas": canvas, "moodle": replace(canvas, behaviour="moodle", lms=lms)}
            for town in found.values():
                with somebody(chromium, town, "Ingrid Okafor") as ingrid:
                    add_activity(ingrid)
            yield found


@pytest.fixture(scope="module")
def canvas(towns: dict[str, Town]) -> Town:
    return towns["canvas"]


@pytest.fixture(scope="module")
def refusing(
    chromium: Browser,
    chromium_options: dict[str, Any],
    towns: dict[str, Town],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BrowserContext]:
    """A browser told to keep no cookie of ours inside the pages of either LMS."""
    profile = tmp_path_factory.mktemp("refusing")
    refused = {f"{town.tool},{town.lms.url}": {"setting": 2} for town in towns.values()}
    settings = {"profile": {"content_settings": {"exceptions": {"cookies": refused}}}}
    (profile / "Default").mkdir()
    (profile / "Default" / "Preferences").write_text(json.dumps(settings), encoding="utf-8")
    context = chromium.browser_type.launch_persistent_context(
        profile, viewport={"width": 1280, "height": 900}, **chromium_options
    )
    context.set_default_timeout(15_000)
    yield context
    context.close()


@contextmanager
def visitor(context: BrowserContext, town: Town, name: str) -> Iterator[Someone]:
    """Somebody at that browser, in a tab that is closed afterwards."""
    page = context.new_page()
    try:
        yield Someone(page, town, name)
    finally:
        for tab in context.pages:
            tab.close()


def open_in_tab(who: Someone) -> Page:
    """Press the button that Tessera shows in the frame; the tab that it opens."""
    with who.page.context.expect_page() as opening:
        who.press(who.tool, "button", "in a new tab")
    opening.value.wait_for_load_state()
    return opening.value


def works_in(tab: Page) -> None:
    """Somebody begins, writes, saves and comes back."""
    tab.get_by_role("button", name="Start").first.click()
    tab.locator("#answer-learners-and-goal").fill("Thoughts in a tab of its own.")
    tab.get_by_role("button", name="Save", exact=True).first.click()
    expect(tab.get_by_text("Saved. You can leave and come back any time.")).to_be_visible()
    tab.reload()
    expect(tab.locator("#answer-learners-and-goal")).to_have_value("Thoughts in a tab of its own.")


def lose_cookie_on_the_way(who: Someone) -> None:
    """Our cookie is gone when the launch arrives, and kept from then on."""

    def lose(route: Route) -> None:
        who.page.context.clear_cookies(name=COOKIE)
        route.continue_()

    who.page.route("**/lti/launch", lose)


# Browsers that keep no cookie inside the LMS


def test_with_all_cookies_refused_the_activity_opens_in_a_new_tab_and_works_there(
    towns: dict[str, Town], refusing: BrowserContext
) -> None:
    town = towns["moodle"]
    with visitor(refusing, town, "Lena Brandt") as lena:
        lena.open_activity(link_name("moodle"))
        expect(lena.tool.get_by_role("heading", name="Open the activity in a new tab")).to_be_visible()
        expect(lena.tool.get_by_text("Is this somebody else?")).to_be_visible()
        expect(lena.tool.get_by_role("button")).to_have_text("Continue as Lena Brandt in a new tab")
        lena.look()
        lena.frame.evaluate("location.reload()")
        expect(lena.tool.get_by_role("heading", name="Open the activity in a new tab")).to_be_visible()
        expect(lena.tool.get_by_role("button", name="in a new tab")).to_be_visible()
        for width in (360, 1280):
            lena.page.set_viewport_size({"width": width, "height": 900})
            lena.look()

        lena.keyboard = True
        tab = open_in_tab(lena)

        works_in(tab)
        assert "code" not in tab.url
        expect(lena.tool.get_by_text("The activity is open in a new tab.")).to_be_visible()
        expect(lena.tool.get_by_role("button")).to_have_count(0)
        lena.look()
        assert [cookie["name"] for cookie in refusing.cookies(town.tool)] == [COOKIE]


def test_the_platform_s_storage_proves_a_browser_that_keeps_no_cookie(
    canvas: Town, refusing: BrowserContext
) -> None:
    refusing.clear_cookies(name=COOKIE)
    with visitor(refusing, canvas, "Mateo Ruiz") as mateo:
        mateo.open_activity(link_name("canvas"))
        expect(mateo.tool.get_by_role("heading", name="Open the activity in a new tab")).to_be_visible()
        expect(mateo.tool.get_by_text("Is this somebody else?")).to_have_count(0)
        assert mateo.page.evaluate(KEPT) == []

        tab = open_in_tab(mateo)

        expect(tab.get_by_role("button", name="Start").first).to_be_visible()


def test_a_storage_of_which_only_the_platform_s_page_tells_is_found(canvas: Town, chromium: Browser) -> None:
    """Blackboard's logins do not name it."""

    def unnamed(route: Route) -> None:
        form = parse_qsl(route.request.post_data or "")
        route.continue_(post_data=urlencode([pair for pair in form if pair[0] != "lti_storage_target"]))

    with canvas.app.app_context():
        row = db.session.scalars(select(Platform).where(Platform.product == "canvas")).one()
        row.product = "other"
        db.session.commit()
    try:
        with somebody(chromium, canvas, "Lena Brandt") as lena:
            lena.page.route("**/lti/login", unnamed)
            lose_cookie_on_the_way(lena)

            lena.open_activity(link_name("canvas"))

            expect(lena.tool.get_by_role("heading", name="The rubric")).to_be_visible()
            assert lena.page.evaluate(KEPT) == []
    finally:
        with canvas.app.app_context():
            db.session.scalars(select(Platform).where(Platform.product == "other")).one().product = "canvas"
            db.session.commit()


def test_where_the_storage_is_full_the_person_is_asked_instead(
    canvas: Town, refusing: BrowserContext
) -> None:
    """Canvas keeps 4096 characters for a tool, and says so with an error."""
    with visitor(refusing, canvas, "Aiko Tanaka") as aiko:
        aiko.page.evaluate(
            "origin => sessionStorage.setItem(`platform_storage|${origin}|old`, 'x'.repeat(4050))",
            canvas.tool,
        )
        aiko.open_activity(link_name("canvas"))

        expect(aiko.tool.get_by_text("Is this somebody else?")).to_be_visible()
        assert len(aiko.page.evaluate(KEPT)) == 1


@pytest.mark.parametrize(
    "forwarding", [True, False], ids=["by Canvas's frame", "by the page around, as in its editor"]
)
def test_a_cookie_lost_on_the_way_costs_nothing_where_the_platform_keeps_data(
    canvas: Town, chromium: Browser, forwarding: bool
) -> None:
    with somebody(chromium, canvas, "Lena Brandt") as lena:
        lose_cookie_on_the_way(lena)
        if not forwarding:
            lena.page.route("**/post_message_forwarding", lambda route: route.abort())

        lena.open_activity(link_name("canvas"))

        expect(lena.tool.get_by_role("heading", name="The rubric")).to_be_visible()
        assert lena.page.evaluate(KEPT) == []


def test_a_cookie_lost_on_the_way_is_a_press_of_a_button_elsewhere(
    towns: dict[str, Town], chromium: Browser
) -> None:
    with somebody(chromium, towns["moodle"], "Mateo Ruiz") as mateo:
        lose_cookie_on_the_way(mateo)
        mateo.open_activity(link_name("moodle"))
        expect(mateo.tool.get_by_role("heading", name="Is this you?")).to_be_visible()
        mateo.look()

        mateo.press(mateo.tool, "button", "Continue as Mateo Ruiz")

        expect(mateo.tool.get_by_role("heading", name="The rubric")).to_be_visible()


# One browser, many tabs


def test_two_tabs_with_two_roles_never_mix(canvas: Town, chromium: Browser) -> None:
    with somebody(chromium, canvas, "Ingrid Okafor") as ingrid:
        ingrid.open_activity(link_name("canvas"))
        lena = Someone(ingrid.page.context.new_page(), canvas, "Lena Brandt")
        lena.open_activity(link_name("canvas"))

        for _ in range(2):
            ingrid.page.bring_to_front()
            ingrid.press(ingrid.tool, "link", "Tessera")
            expect(ingrid.tool.get_by_role("heading", name="Who is where")).to_be_visible()
            expect(ingrid.tool.get_by_text("You are here as Instructor")).to_be_visible()
            lena.page.bring_to_front()
            lena.press(lena.tool, "link", "Tessera")
            expect(lena.tool.get_by_text("You are here as Learner")).to_be_visible()
            expect(lena.tool.get_by_role("heading", name="Who is where")).to_have_count(0)


def test_reload_and_back_never_post_a_launch_again(towns: dict[str, Town], chromium: Browser) -> None:
    posted: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/lti/launch"):
            posted.append(request.url)

    with somebody(chromium, towns["moodle"], "Aiko Tanaka") as aiko:
        aiko.page.on("request", note)
        aiko.open_activity(link_name("moodle"))
        expect(aiko.tool.get_by_role("heading", name="The rubric")).to_be_visible()
        for _ in range(2):
            aiko.frame.evaluate("location.reload()")
            expect(aiko.tool.get_by_role("heading", name="The rubric")).to_be_visible()
        aiko.press(aiko.tool, "link", "My badges")
        expect(aiko.tool.get_by_role("heading", name="My badges")).to_be_visible()
        aiko.page.evaluate("history.back()")
        expect(aiko.tool.get_by_role("heading", name="The rubric")).to_be_visible()
        assert len(posted) == 1

        aiko.page.reload()
        expect(aiko.tool.get_by_role("heading", name="The rubric")).to_be_visible()
        aiko.page.goto(f"{towns['moodle'].lms.url}/gradebook")
        aiko.page.go_back()
        expect(aiko.tool.get_by_role("heading", name="The rubric")).to_be_visible()
        expect(aiko.page.get_by_text("already used")).to_have_count(0)


def test_a_visit_that_ends_warns_and_hands_back_what_was_typed(canvas: Town, chromium: Browser) -> None:
    def ends_in(left: timedelta) -> None:
        with canvas.app.app_context():
            db.session.execute(update(Launch).values(expires_at=clock.now() + left))
            db.session.commit()

    with somebody(chromium, canvas, "Lena Brandt") as lena:
        lena.open_activity(link_name("canvas"))
        ends_in(timedelta(minutes=4))
        lena.press(lena.tool, "button", "Start")
        expect(lena.tool.get_by_text("This visit ends at")).to_be_visible()
        lena.write(lena.tool.locator("#answer-learners-and-goal"), WORDS)
        lena.look()
        ends_in(timedelta(seconds=-1))

        lena.press(lena.tool, "button", "Save", exact=True)

        expect(lena.tool.get_by_role("heading", name="Not saved, but not lost")).to_be_visible()
        expect(lena.tool.get_by_label("Learners and goal")).to_have_value(WORDS.strip())
        lena.look()
        with lena.page.context.expect_page() as opening:
            lena.press(lena.tool, "link", "Back to your course")
        opening.value.wait_for_url("**/course")
        opening.value.close()
        lena.page.bring_to_front()
        lena.open_activity(link_name("canvas"))
        lena.press(lena.tool, "link", "Continue")
        expect(lena.tool.locator("#answer-learners-and-goal")).to_have_value("")
