"""The stage of the walk: whose browsers there are, what one step leaves for the next, and how a step insists."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from lti_tool.practice_lms import RunningLms
from lti_tool.selfcheck.browser import Browser, Page, Unexpected

FACULTY, EARNER, REGISTRAR = "Ingrid Okafor", "Lena Brandt", "Ada Whitfield"
OTHER_EARNER = "Mateo Ruiz"
GRADE_SECONDS = 20.0


@dataclass
class Scene:
    """What one step leaves for the next. ``tool`` and ``out`` are the tool's address and the folder to fill."""

    lms: RunningLms
    tool: str
    out: Path
    earner: str = EARNER
    browsers: dict[str, Browser] = field(default_factory=dict)
    activity: str = ""
    """The activity's page in the LMS."""
    credential: str = ""
    """Title of the micro-credential."""
    badge_page: str = ""
    badge: bytes = b""
    revocation: str = ""
    """Where faculty take back the badge of the other earner."""

    def browser(self, who: str) -> Browser:
        return self.browsers.setdefault(who, Browser())

    def at_lms(self, path: str) -> str:
        return f"{self.lms.url}{path}"

    def keep(self, name: str, content: bytes) -> None:
        """Leave what was received for whoever wants to look at it."""
        (self.out / name).write_bytes(content)

    def close(self) -> None:
        for browser in self.browsers.values():
            browser.close()


Step = Callable[[Scene], None]
Seen = TypeVar("Seen")


def expect(condition: bool, otherwise: str) -> None:
    """Insist on something.

    :raises Unexpected: with what is wrong.
    """
    if not condition:
        raise Unexpected(otherwise)


def soon(look: Callable[[], Seen | None], otherwise: str) -> Seen:
    """What a look shows as soon as the worker has done its part.

    :raises Unexpected: it has not, in GRADE_SECONDS.
    """
    deadline = time.monotonic() + GRADE_SECONDS
    while (seen := look()) is None:
        expect(time.monotonic() < deadline, f"After {GRADE_SECONDS:.0f} seconds {otherwise}.")
        time.sleep(0.2)
    return seen


def become(scene: Scene, who: str) -> Page:
    """Sign in at the LMS as one of its people."""
    browser = scene.browser(who)
    return browser.press(browser.get(scene.at_lms("/")), who)


def opened(scene: Scene, who: str) -> Page:
    """Open the activity from the course; what its frame shows."""
    browser = scene.browser(who)
    return browser.frame(browser.get(scene.activity))


def has_link(page: Page, text: str) -> bool:
    """Whether a link begins with these words."""
    return any(link.text.startswith(text) for link in page.links)


def has_button(page: Page, text: str) -> bool:
    """Whether a button contains these words."""
    return any(text in button.text for form in page.forms for button in form.buttons)
