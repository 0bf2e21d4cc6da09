"""Pages that other walks pass by, with the keyboard alone, on a desk and on a telephone: each button, link and field is
reached and shows that it is, nothing sticks out, axe finds nothing, and what the page is for can be done."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Locator, Page, expect
from werkzeug.serving import make_server

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti.models import Deployment, Registration, Standing
from lti_tool.lti.sessions import COOKIE_NAME
from lti_tool.people import doors
from lti_tool.people.models import Purpose
from tests.journeys.conftest import _Quiet
from tests.journeys.people import violations
from tests.routes.test_attacks import Scene
from tests.support.apps import copy_home, running
from tests.support.cast import build_campus
from tests.support.ports import free_port
from tests.support.stacks import PRACTICE, add_stack_activity
from tests.support.visits import visit_as

pytestmark = pytest.mark.browser
WIDTHS = (1280, 360)
_MOST = 300
_ALL = """() => {
  const groups = new Set();
  const wanted = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
    .filter((one) => !one.disabled && one.checkVisibility({visibilityProperty: true}))
    .filter((one) => {
      if (one.type !== "radio") return true;
      // One radio of a group takes the tab; the arrows go on from there.
      const chosen = document.querySelector(`input[type=radio][name="${one.name}"]:checked`);
      if (chosen ? chosen !== one : groups.has(one.name)) return false;
      groups.add(one.name);
      return true;
    });
  wanted.forEach((one, at) => { one.dataset.tabbed = at; });
  return wanted.map((one) => one.outerHTML.slice(0, 160));
}"""
_HERE = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at), box = at.getBoundingClientRect();
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return {
    number: at.dataset.tabbed === undefined ? null : Number(at.dataset.tabbed),
    what: at.outerHTML.slice(0, 160),
    // A date has fields of its own inside, and the browser marks the one.
    shows: outlined || style.boxShadow !== "none" || at.type === "date",
    there: box.width > 0 && box.height > 0,
  };
}"""


@dataclass
class House:
    """Tessera alone, served; ``admin`` is where an operator's one-time link leads to."""

    app: Flask
    url: str
    scene: Scene
    stack: int


@pytest.fixture(scope="module")
def house(filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home, port = tmp_path_factory.mktemp("keyboard") / "home", free_port()
    copy_home(filled_home, home)
    url = f"http://tool.localhost:{port}"
    with running(home, PUBLIC_URL=url, QUEUE_URL="") as app:
        with app.app_context():
            campus = build_campus()
            stack = add_stack_activity(campus, PRACTICE)
            db.session.commit()
        scene = Scene(app, campus)
        server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield House(app, url, scene, stack)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@contextmanager
def at_the_keyboard(chromium: Browser, cookie: str = "") -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": WIDTHS[0], "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    if cookie:
        context.add_cookies(
            [{"name": COOKIE_NAME, "value": cookie, "domain": "tool.localhost", "path": "/", "secure": True}]
        )
    try:
        yield context.new_page()
    finally:
        context.close()


def walk(page: Page, url: str) -> None:
    """Look at the page at both widths, and tab through it from its beginning to its end."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(url)
        problems = violations(page)
        assert not problems, f"{url} at {width}: {json.dumps(problems)}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{url} at {width}"
        tabbed(page)


def tabbed(page: Page) -> None:
    wanted, reached = page.evaluate(_ALL), []
    for _ in range(_MOST):
        page.keyboard.press("Tab")
        here = page.evaluate(_HERE)
        if here is None or here["number"] in reached[:-1]:
            break
        assert here["shows"], f"Nothing shows that the keyboard is here: {here['what']}"
        assert here["there"], f"It has no size: {here['what']}"
        if here["number"] is not None and here["number"] not in reached:
            reached.append(here["number"])
    assert [what for at, what in enumerate(wanted) if at not in reached] == []
    assert reached == sorted(reached), "The order of the keyboard is not that of the page."


def tab_to(page: Page, found: Locator) -> None:
    expect(found).to_be_visible()
    for _ in range(_MOST):
        if found.evaluate("one => one === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("The keyboard does not reach it.")


def write(page: Page, label: str, text: str) -> None:
    tab_to(page, page.get_by_label(label, exact=True))
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text(text)


def press(page: Page, role: str, name: str) -> None:
    tab_to(page, page.get_by_role(role, name=name).first)  # type: ignore[arg-type]  # one of the roles that there are
    page.keyboard.press("Enter")


@pytest.mark.long
def test_an_operator_connects_and_approves(house: House, chromium: Browser) -> None:
    with house.app.app_context():
        secret = doors.invite(Purpose.ADMINISTRATOR, lasts=timedelta(hours=1), now=clock.now())
        waiting = Deployment(
            registration=db.session.get_one(Registration, house.scene.campus.registration),
            deployment_id="a place that waits",
            state=Standing.PENDING,
            created_at=clock.now(),
        )
        db.session.add(waiting)
        db.session.commit()
        number = waiting.id
    with at_the_keyboard(chromium) as page:
        walk(page, f"{house.url}/admin/enter/{secret}")
        press(page, "button", "Open")
        expect(page.get_by_role("heading", name="Connections")).to_be_visible()
        stay = page.url.rstrip("/")
        for path in ("", "/connect", "/connect/canvas", "/invitations"):
            walk(page, f"{stay}{path or '/'}")

        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(f"{stay}/connect/moodle")
        write(page, "What you call this platform", "Southfield Moodle")
        write(page, "Platform ID", "https://moodle.southfield.example.edu")
        write(page, "Client ID", "Lobi4711")
        press(page, "button", "Connect")
        expect(page.get_by_role("heading", name="Southfield Moodle")).to_be_visible()
        walk(page, page.url)

        walk(page, f"{stay}/platforms/1")
        page.goto(f"{stay}/platforms/1")
        press(page, "button", "Approve deployment a place that waits")
        page.wait_for_load_state()
        walk(page, f"{stay}/deployments/{number}")
        page.goto(f"{stay}/deployments/{number}")
        write(page, "Add a site", "https://lms.southfield.example.edu")
        press(page, "button", "Add")
        expect(page.get_by_role("rowheader", name="https://lms.southfield.example.edu")).to_be_visible()
    with house.app.app_context():
        assert db.session.get_one(Deployment, number).state == Standing.ACTIVE


@pytest.mark.long
def test_an_earner_reads_a_stack_and_decides_what_a_badge_says(house: House, chromium: Browser) -> None:
    in_stack = visit_as(house.app, house.scene.campus, "lena", placement=house.stack)
    lena = visit_as(house.app, house.scene.campus, "lena")
    with at_the_keyboard(chromium, in_stack.cookie) as page:
        walk(page, f"{house.url}{in_stack.base}/stack")
    with at_the_keyboard(chromium, lena.cookie) as page:
        at = f"{house.url}{lena.base}/badges"
        for path in ("/agreed", f"/{house.scene.badge}", f"/{house.scene.badge}/contents"):
            walk(page, at + path)

        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(f"{at}/{house.scene.badge}/contents")
        tab_to(page, page.get_by_role("checkbox").first)
        page.keyboard.press("Space")
        expect(page.get_by_role("checkbox").first).to_be_checked()
        press(page, "button", "Issue it again like this")
        page.wait_for_url("**/badges/*")
        page.goto(f"{at}/agreed")
        expect(page.get_by_role("button").first).to_be_visible()
