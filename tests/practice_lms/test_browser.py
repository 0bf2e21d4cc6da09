"""The LMS's own pages in Chromium, with a tool on another site in the frame."""

import threading
from collections.abc import Iterator
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode

import jwt
import pytest
from axe_playwright_python.sync_playwright import Axe

from .helpers import DEEP_LINKING, Browser, Tool, line_item, user_ids

pytestmark = pytest.mark.browser


class StandIn(BaseHTTPRequestHandler):
    """A tool of three answers: it asks who is there, offers one thing to pick, and reports its height."""

    tool: Tool
    item: dict[str, object]

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        form = {name: values[0] for name, values in sent.items()}
        if self.path == "/lti/login":
            params = {name: form[name] for name in ("client_id", "login_hint", "lti_message_hint")}
            host = f"http://{self.headers['Host']}"
            params |= {"redirect_uri": f"{host}/lti/launch", "scope": "openid", "response_type": "id_token"}
            params |= {"response_mode": "form_post", "prompt": "none", "nonce": "n", "state": "s"}
            self.send_response(302)
            self.send_header("Location", f"{form['iss']}/auth?{urlencode(params)}")
            self.end_headers()
            return
        claims = jwt.decode(form["id_token"], options={"verify_signature": False})
        body = f"<h1>Hello {escape(claims['given_name'])}</h1><script src='/height.js'></script>"
        if settings := claims.get(f"{DEEP_LINKING}deep_linking_settings"):
            address, answer = escape(settings["deep_link_return_url"]), self.tool.picked(claims, [self.item])
            hidden = f"<input type='hidden' name='JWT' value='{answer}'>"
            body = f"<form method='post' action='{address}'>{hidden}<button>Pick</button></form>"
        self._say("text/html", f"<!doctype html><html lang='en'><title>Tool</title>{body}")

    def do_GET(self) -> None:
        message = 'JSON.stringify({subject: "lti.frameResize", height: 321})'
        self._say("text/javascript", f"parent.postMessage({message}, '*')")

    def _say(self, media_type: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def tool_address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://tool.localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["canvas", "moodle"])
def lms(request, start, tool_address):
    launch = f"{tool_address}/lti/launch"
    return start(
        request.param,
        tool_login_url=f"{tool_address}/lti/login",
        tool_launch_url=launch,
        tool_deep_link_url=launch,
    )


@pytest.fixture
def page(chromium):
    page = chromium.new_page()
    yield page
    page.close()


def become(page, lms, name):
    page.goto(lms.url)
    page.get_by_role("button", name=name).press("Enter")
    page.wait_for_url("**/course" if name != "Ada" else "**/administration")


@pytest.mark.long
def test_an_activity_is_added_opened_graded_and_seen_with_the_tool_on_another_site(lms, page):
    problems = []

    def look(name):
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 800})
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                problems.append(f"{name} is wider than {width}")
        problems.extend(f"{name}: {found['id']}" for found in Axe().run(page).response["violations"])

    teacher = Browser(lms).become("Ingrid Okafor")
    tool = StandIn.tool = Tool(lms, teacher)
    StandIn.item = {"type": "ltiResourceLink", "title": "Co-teaching", "lineItem": {"scoreMaximum": 10}}

    page.goto(lms.url)
    look("choice of person")
    become(page, lms, "Ingrid")
    look("empty course")
    page.get_by_role("link", name="Add from Tessera").press("Enter")
    page.frame_locator("iframe").first.get_by_role("button", name="Pick").press("Enter")
    page.wait_for_url("**/course")
    look("course")
    if lms.config.behaviour == "canvas":
        page.get_by_role("button", name="Publish Co-teaching").press("Enter")
        page.get_by_role("button", name="Unpublish").wait_for()
    page.get_by_role("link", name="Co-teaching").press("Enter")
    page.frame_locator("iframe").first.get_by_role("heading", name="Hello Ingrid").wait_for()
    page.wait_for_function("document.querySelector('iframe').offsetHeight === 321")
    look("activity")
    number = page.url.rsplit("/", 1)[1]
    column = line_item(teacher.launch(f"/frame/activity/{number}"))
    tool.score(column, user_ids(lms)["Lena Brandt"], timestamp="2026-11-21T10:00:00Z", comment="Well argued.")
    page.goto(f"{lms.url}/gradebook")
    page.get_by_text("8 of 10").wait_for()
    look("gradebook")
    page.get_by_role("link", name="Set by hand for Lena Brandt").press("Enter")
    page.get_by_label("Grade (of 10)").wait_for()
    look("grade by hand")
    page.goto(f"{lms.url}/people")
    look("people")
    become(page, lms, "Lena")
    page.get_by_role("link", name="My grades").press("Enter")
    page.get_by_text("8 of 10").wait_for()
    look("my grades")
    become(page, lms, "Ada")
    look("administration")
    page.get_by_role("link", name="Open Tessera (administration)").press("Enter")
    page.frame_locator("iframe").first.get_by_role("heading", name="Hello Ada").wait_for()
    look("administrator's launch")

    assert problems == []


def test_a_height_from_another_origin_is_ignored(lms, page):
    StandIn.tool, StandIn.item = Tool(lms, Browser(lms)), {}
    become(page, lms, "Ingrid")
    page.get_by_role("link", name="Add from Tessera").press("Enter")
    page.wait_for_url("**/course/add")
    page.wait_for_load_state()
    before = page.evaluate("document.querySelector('iframe').offsetHeight")

    page.evaluate("""new Promise(heard => {
        addEventListener('message', heard, {once: true});
        postMessage({subject: 'lti.frameResize', height: 999}, '*');
    })""")

    assert page.evaluate("document.querySelector('iframe').offsetHeight") == before
