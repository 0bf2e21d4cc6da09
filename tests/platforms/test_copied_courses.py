"""A course is copied in the practice LMS, and Tessera finds its way in the copy: the whole story, over HTTP."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select
from werkzeug.serving import make_server

from lti_tool import tasks
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.sessions import COOKIE_NAME
from lti_tool.people import rosters
from lti_tool.people.models import Course, CourseOrigin, RosterMember
from lti_tool.practice_lms import LmsConfig, RunningLms, serve
from tests.journeys.conftest import connect
from tests.platforms.conftest import _Quiet, form_of, picked
from tests.practice_lms.helpers import Browser as AtLms
from tests.support.apps import copy_home, running
from tests.support.ports import free_port

KEY = "udl-variability"


@dataclass
class Town:
    app: Flask
    lms: RunningLms
    tool: str

    def person(self, name: str) -> "Person":
        return Person(self, name)


class Person:
    """Somebody with a browser without a screen, at the LMS and in Tessera."""

    def __init__(self, town: Town, name: str) -> None:
        self.town = town
        self.lms = AtLms(town.lms).become(name)
        self.cookie = ""

    def launch(self, frame: str) -> requests.Response:
        """Open a frame of the LMS; the page of Tessera that this leads to."""
        action, fields = form_of(self.lms.get(frame).text)
        onward = self.tool("POST", action, fields).headers["Location"]
        _, answer = form_of(self.lms.get(f"/auth?{urlsplit(onward).query}").text)
        return self.follow(self.tool("POST", "/lti/launch", answer))

    def follow(self, answer: requests.Response) -> requests.Response:
        while answer.status_code == 303:
            answer = self.tool("GET", answer.headers["Location"])
        return answer

    def press(self, page: requests.Response, data: dict[str, str]) -> requests.Response:
        """Send the form of a page of Tessera that posts to its own address."""
        token = re.search(r'name="csrf_token" value="([^"]*)"', page.text)
        assert token, page.text
        return self.follow(self.tool("POST", page.url, {"csrf_token": token[1]} | data))

    def tool(self, method: str, url: str, data: dict[str, Any] | None = None) -> requests.Response:
        parts = urlsplit(url)
        address = f"http://127.0.0.1:{urlsplit(self.town.tool).port}{parts.path}"
        headers = {"Cookie": f"{COOKIE_NAME}={self.cookie}"} if self.cookie else {}
        params = dict(parse_qsl(parts.query))
        answer = requests.request(
            method, address, params=params, data=data, headers=headers, timeout=20, allow_redirects=False
        )
        if found := re.search(rf"{COOKIE_NAME}=([^;]+)", answer.headers.get("Set-Cookie", "")):
            self.cookie = found[1]
        return answer

    def activity(self) -> str:
        """The frame of the newest activity in the course where this person is."""
        return "/frame" + re.findall(r"/activity/[0-9]+", self.lms.get("/course").text)[-1]


@pytest.fixture(params=["canvas", "moodle"])
def town(request: pytest.FixtureRequest, filled_home: Path, tmp_path: Path) -> Iterator[Town]:
    port = free_port()
    tool = f"http://tool.localhost:{port}"
    copy_home(filled_home, tmp_path / "tool")
    config = LmsConfig(
        behaviour=request.param,
        storage=False,
        port=0,
        home=tmp_path / "lms",
        tool_login_url=f"{tool}/lti/login",
        tool_launch_url=f"{tool}/lti/launch",
        tool_jwks_url=f"http://127.0.0.1:{port}/lti/jwks",
    )
    with serve(config) as lms, running(tmp_path / "tool", PUBLIC_URL=tool, QUEUE_URL="") as app:
        connect(app, lms)
        server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield Town(app, lms, tool)
        server.shutdown()
        thread.join()
        server.server_close()


def place_activity(ingrid: Person) -> None:
    """Choose a micro-credential in Tessera's picker, and let the LMS make an activity of it."""
    catalogue = ingrid.launch("/frame/add")
    details = ingrid.tool("GET", f"{catalogue.url}/details?pick={KEY}")
    sent = ingrid.tool("POST", details.url, picked(details.text))
    action, fields = form_of(sent.text)
    added = ingrid.lms.post(action, fields)
    assert added.status_code == 200, added.text
    publish(ingrid)


def publish(ingrid: Person) -> None:
    number = re.findall(r"/activity/([0-9]+)", ingrid.lms.get("/course").text)[-1]
    ingrid.lms.post(f"/activity/{number}/publish", {"published": "1"})


def copy_course(ingrid: Person, custom: str) -> int:
    """Copy the course and go there; its number."""
    page = ingrid.lms.post("/course/copy", {"custom": custom}).text
    publish(ingrid)
    return max(int(number) for number in re.findall(r'action="/courses/([0-9]+)"', page)) + 1


def test_in_a_copy_whose_links_say_nothing_faculty_relink_in_one_click(town: Town):
    ingrid, lena = town.person("Ingrid Okafor"), town.person("Lena Brandt")
    place_activity(ingrid)
    assert "Who is where" in ingrid.launch(ingrid.activity()).text
    tasks.deliver_scores(town.app)  # Canvas is asked to tell of copies.

    number = copy_course(ingrid, "lose")
    lena.lms.post(f"/courses/{number}")
    too_early = lena.launch(lena.activity())
    if town.lms.config.behaviour == "canvas":
        wait_for_notice(town)
    asked = ingrid.launch(ingrid.activity())
    suggested = re.search(r'name="made_for" id="suggestion-1" value="([^"]*)"', asked.text)
    assert suggested, asked.text
    done = ingrid.press(asked, {"made_for": unescape(suggested[1])})
    ready = lena.launch(lena.activity())

    assert "This activity is not ready yet" in too_early.text
    assert "from which this course was copied" in asked.text
    assert "Who is where" in done.text
    assert "Universal Design for Learning" in ready.text
    with town.app.app_context():
        original, copied = db.session.scalars(select(Placement).order_by(Placement.id))
        assert suggested[1] == f"credential={KEY}"
        assert copied.course_id != original.course_id
        assert copied.line_item_url not in (None, original.line_item_url)


def wait_for_notice(town: Town) -> None:
    """It comes from a thread of the LMS, within milliseconds."""
    ends = time.monotonic() + 20
    with town.app.app_context():
        while db.session.scalar(select(func.count()).select_from(CourseOrigin)) == 0:
            assert time.monotonic() < ends, "no notice came"
            db.session.rollback()
            time.sleep(0.05)


def test_a_copy_with_its_links_intact_asks_nobody_and_its_people_are_listed(town: Town):
    ingrid, lena = town.person("Ingrid Okafor"), town.person("Lena Brandt")
    place_activity(ingrid)
    ingrid.launch(ingrid.activity())
    number = copy_course(ingrid, "keep")
    lena.lms.post(f"/courses/{number}")

    work, course = lena.launch(lena.activity()), ingrid.launch(ingrid.activity())

    assert "Universal Design for Learning" in work.text
    assert "Who is where" in course.text
    with town.app.app_context():
        copied = db.session.scalars(select(Course).order_by(Course.id.desc()).limit(1)).one().id
    tasks.read_roster(town.app, copied, rosters.STALE_FOR_FACULTY)
    with town.app.app_context():
        listed = {row.name: row.role for row in db.session.scalars(select(RosterMember))}
    assert listed["Lena Brandt"] == "learner"
    again = ingrid.tool("GET", course.url + "?show=not-begun")
    assert "Mateo Ruiz" in again.text
