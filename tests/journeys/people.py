"""Somebody at a browser: finds things by what they are called, with the mouse or with the keyboard alone, and has
every page looked at by axe."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import FileChooser, Frame, FrameLocator, Locator, Page, expect

from tests.journeys.conftest import Town

_AXE = Path(find_spec("axe_playwright_python").submodule_search_locations[0]) / "axe.min.js"  # type: ignore[union-attr,index]  # an installed package has a place
# Without the long lists of what is in order, which take longer to carry over than to find.
_VIOLATIONS = """async () => (
    await axe.run(document, {iframes: false, resultTypes: ['violations']})
).violations.map(one => ({rule: one.id, where: one.nodes.slice(0, 5).map(node => node.target)}))"""
_MOST_TABS = 400
_MOST_WAITS = 200


def violations(target: Frame | Page) -> list[dict[str, Any]]:
    """What axe finds on a page at this moment: ``rule`` and ``where``."""
    target.evaluate(_AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = target.evaluate(_VIOLATIONS)
    return found


class Someone:
    """A person in front of the practice LMS; what they do inside Tessera happens in its iframe."""

    def __init__(self, page: Page, town: Town, name: str, *, keyboard: bool = False) -> None:
        self.page, self.town, self.keyboard = page, town, keyboard
        self.looked_at: set[str] = set()
        # Listening from the start: a listener set just before the key may reach the frame's process after the key.
        self._choosers: list[FileChooser] = []
        if keyboard:
            page.on("filechooser", self._chooser_opened)
        page.goto(town.lms.url)
        self.press(page, "button", name)
        page.wait_for_url(re.compile("/(course|administration)"))

    def _chooser_opened(self, chooser: FileChooser) -> None:
        self._choosers.append(chooser)

    @property
    def tool(self) -> FrameLocator:
        """Tessera, where the LMS shows it."""
        return self.page.frame_locator("iframe").first

    @property
    def frame(self) -> Frame:
        """The same as a frame, for scripts."""
        handle = self.page.locator("iframe").first.element_handle()
        assert handle is not None
        frame = handle.content_frame()
        assert frame is not None
        return frame

    def view(self) -> str:
        """What every frame shows, in words, for the report of a failure."""
        seen = []
        for frame in self.page.frames:
            try:
                seen.append(f"[{frame.url}] {frame.evaluate('document.body.innerText')[:1500]}")
            except PlaywrightError as gone:
                seen.append(f"[{frame.url}] cannot be read: {gone}")
        return "\n".join(seen)

    def press(self, where: Page | FrameLocator, role: Any, name: str, *, exact: bool = False) -> None:
        """Press a button or follow a link, by its name."""
        found = where.get_by_role(role, name=name, exact=exact).first
        if not self.keyboard:
            found.click()
            return
        self.tab_to(found)
        self.page.keyboard.press("Enter")

    def write(self, field: Locator, text: str) -> None:
        if not self.keyboard:
            field.fill(text)
            return
        self.tab_to(field)
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(text)

    def choose(self, found: Locator) -> None:
        """A radio button or a check box."""
        if not self.keyboard:
            found.check()
            return
        # One radio of a group takes the tab; the arrows go on from there.
        kind, group = found.get_attribute("type"), found.get_attribute("name")
        if kind == "checkbox":
            self.tab_to(found)
            self.page.keyboard.press("Space")
        else:
            radios = self.tool.locator(f'input[type=radio][name="{group}"]')
            self._tab_until(lambda: bool(radios.evaluate_all("all => all.includes(document.activeElement)")))
            self.page.keyboard.press("Space")
            for _ in range(radios.count()):
                if found.is_checked():
                    break
                self.page.keyboard.press("ArrowDown")
        expect(found).to_be_checked()

    def attach(self, field: Locator, name: str, content: bytes, media_type: str = "text/plain") -> None:
        file = {"name": name, "mimeType": media_type, "buffer": content}
        if not self.keyboard:
            field.set_input_files(file)  # type: ignore[arg-type]  # a FilePayload, as a literal
            return
        self.tab_to(field)
        self.page.keyboard.press("Space")
        for _ in range(_MOST_WAITS):
            if self._choosers:
                break
            self.page.wait_for_timeout(100)
        assert self._choosers, "The key opened no choice of files."
        self._choosers.pop().set_files(file)  # type: ignore[arg-type]  # the same

    def tab_to(self, found: Locator) -> None:
        expect(found).to_be_visible()
        self._tab_until(lambda: bool(found.evaluate("one => one === one.ownerDocument.activeElement")))

    def _tab_until(self, reached: Any) -> None:
        for _ in range(_MOST_TABS):
            if reached():
                return
            self.page.keyboard.press("Tab")
        raise AssertionError("The keyboard does not reach it.")

    def open_activity(self, title: str) -> None:
        """From the course page into the activity's iframe."""
        self.page.goto(f"{self.town.lms.url}/course")
        self.press(self.page, "link", title)
        self.arrive()

    def arrive(self) -> None:
        """Until the launch has gone through the LMS's own pages and Tessera's stands in the frame."""
        # The pages on the way, which ask the LMS to keep something, look like Tessera as well.
        there = self.tool.locator("body:not(:has([data-storage]))")
        expect(there.get_by_role("link", name="Tessera", exact=True)).to_be_visible()
        self.frame.wait_for_load_state()

    def look(self, *, inside: bool = True) -> None:
        """No violation that axe can find, at this moment, on Tessera's page (or on the LMS's)."""
        target: Frame | Page = self.frame if inside else self.page
        problems = violations(target)
        assert not problems, f"{target.url}: {json.dumps(problems, indent=1)}"
        self.looked_at.add(target.url)


@contextmanager
def somebody(
    chromium: Any,
    town: Town,
    name: str,
    *,
    keyboard: bool = False,
    width: int = 1280,
    timezone: str | None = None,
) -> Iterator[Someone]:
    """A fresh browser profile for one person."""
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, accept_downloads=True, timezone_id=timezone
    )
    context.set_default_timeout(15_000)
    someone = Someone(context.new_page(), town, name, keyboard=keyboard)
    try:
        yield someone
    except BaseException as failure:
        failure.add_note(f"What {name} saw: {someone.view()}")
        raise
    finally:
        context.close()
