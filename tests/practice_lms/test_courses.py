"""People, copies and limits, as Canvas and Moodle have them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
import requests

from lti_tool.practice_lms import RunningLms

from .helpers import AGS, CLAIM, Browser, Tool, ask_token, line_item

NRPS = "https://purl.imsglobal.org/spec/lti-nrps/"
NRPS_SCOPE = f"{NRPS}scope/contextmembership.readonly"
NOTICE_SCOPE = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
MEMBERS = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"


def token(lms: RunningLms, scope: str) -> str:
    return str(ask_token(lms, scope).json()["access_token"])


def members(lms: RunningLms, address: str, **query: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token(lms, NRPS_SCOPE)}", "Accept": MEMBERS}
    return requests.get(address, params=query, headers=headers, timeout=10)


def list_of(launch: dict[str, Any]) -> str:
    return str(launch[f"{NRPS}claim/namesroleservice"]["context_memberships_url"])


def test_a_launch_says_where_the_people_are_listed_and_the_list_needs_its_own_scope(
    lms: RunningLms, tool: Tool
):
    address = list_of(tool.add())

    allowed, refused = members(lms, address), tool.call("GET", address, Accept=MEMBERS)

    listed = {member["name"]: member for member in allowed.json()["members"]}
    assert {"Ingrid Okafor", "Lena Brandt"} <= set(listed)
    assert "Ada Whitfield" not in listed
    assert refused.status_code == 401


def test_who_has_left_is_missing_in_canvas_and_inactive_in_moodle(lms: RunningLms, tool: Tool):
    address, people = list_of(tool.add()), tool.teacher.get("/people").text
    number = people.split("Lena Brandt")[1].split("/people/")[1].split("/")[0]
    tool.teacher.post(f"/people/{number}/enrolment", {"enrolled": "0"})

    listed = {member["name"]: member["status"] for member in members(lms, address).json()["members"]}

    assert listed.get("Lena Brandt") == (None if lms.config.behaviour == "canvas" else "Inactive")
    assert listed["Mateo Ruiz"] == "Active"


def test_the_list_comes_in_pages_and_canvas_counts_on_capital_letters(lms: RunningLms, tool: Tool):
    address = list_of(tool.add())
    first = members(lms, address, limit="2")
    following = first.links["next"]["url"]

    second = members(lms, following)
    wrong = members(lms, following.lower().replace(address.lower(), address))

    names = [member["name"] for member in first.json()["members"] + second.json()["members"]]
    assert len(set(names)) == 4
    if lms.config.behaviour == "canvas":
        assert wrong.json()["members"] == first.json()["members"]


def test_moodle_lists_a_teacher_without_editing_rights_as_a_learner(start: Callable[..., RunningLms]):
    moodle = start("moodle")
    tim = Browser(moodle).become("Tim Verne")
    launch = Tool(moodle, Browser(moodle).become("Ingrid Okafor")).add()

    listed = {
        member["name"]: member["roles"] for member in members(moodle, list_of(launch)).json()["members"]
    }

    assert tim.launch(f"/frame/activity/{launch['number']}")[f"{CLAIM}roles"][0].endswith("#Instructor")
    assert listed["Tim Verne"] == ["Learner"]


def test_a_copy_has_links_and_columns_of_its_own_that_say_what_the_original_said(lms: RunningLms, tool: Tool):
    original = tool.add()
    tool.score(line_item(original), original["sub"])
    copied = copy_of(tool, "keep")

    assert copied[f"{CLAIM}context"]["id"] != original[f"{CLAIM}context"]["id"]
    assert copied[f"{CLAIM}resource_link"]["id"] != original[f"{CLAIM}resource_link"]["id"]
    assert copied[f"{CLAIM}resource_link"]["title"] == original[f"{CLAIM}resource_link"]["title"]
    assert copied[f"{CLAIM}custom"]["credential"] == "udl"
    assert copied[f"{CLAIM}custom"]["context_history"] == original[f"{CLAIM}context"]["id"]
    assert line_item(copied) != line_item(original)
    assert tool.results(line_item(copied)) == []
    listed = tool.call("GET", copied[f"{AGS}claim/endpoint"]["lineitems"], Accept="*/*").json()
    assert [item["id"] for item in listed] == [line_item(copied)]


def copy_of(tool: Tool, custom: str) -> dict[str, Any]:
    """Copy the course; the claims of the teacher's launch of the one activity in the copy."""
    page = tool.teacher.post("/course/copy", {"custom": custom}).text
    number = page.split('href="/activity/')[1].split('"')[0]
    return tool.teacher.launch(f"/frame/activity/{number}")


def test_links_of_some_copies_have_lost_what_they_said(lms: RunningLms, tool: Tool):
    tool.add()
    copied = copy_of(tool, "lose")

    assert "credential" not in copied[f"{CLAIM}custom"]
    assert "?" not in copied[f"{CLAIM}target_link_uri"]


def test_one_goes_from_course_to_course_and_sees_only_what_is_there(lms: RunningLms, tool: Tool):
    tool.add("First")
    copy_of(tool, "keep")
    tool.add("Second")

    in_copy = tool.teacher.get("/course").text
    back = tool.teacher.post(f"/courses/{1 if lms.config.behaviour == 'canvas' else 2}").text

    assert "First" in in_copy
    assert "Second" in in_copy
    assert "Second" not in back.split("Courses</h2>")[0]


@pytest.fixture
def received() -> Any:
    """A tool's address for notices, and what came there."""
    bodies: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Tests look at what came instead."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.handle_request)
    thread.start()
    yield server.server_port, bodies, thread
    server.server_close()


def test_canvas_tells_who_has_asked_for_it_that_a_course_was_copied(
    start: Callable[..., RunningLms], received: Any
):
    port, bodies, thread = received
    canvas = start("canvas", tool_jwks_url=f"http://127.0.0.1:{port}/lti/jwks")
    tool = Tool(canvas, Browser(canvas).become("Ingrid Okafor"))
    original = tool.add()
    service = original[f"{CLAIM}platformnotificationservice"]
    address = service["platform_notification_service_url"]
    headers = {"Authorization": f"Bearer {token(canvas, NOTICE_SCOPE)}"}

    def ask(handler: str, kind: str = "LtiContextCopyNotice") -> int:
        asked = {"notice_type": kind, "handler": handler}
        return requests.put(address, json=asked, headers=headers, timeout=10).status_code

    assert "LtiContextCopyNotice" in service["notice_types_supported"]
    assert ask("http://elsewhere.example/lti/notices") == 400
    assert ask("http://tool.localhost:8700/lti/notices", "Anything") == 400
    assert ask("http://tool.localhost:8700/lti/notices") == 200
    copied = copy_of(tool, "keep")
    thread.join(10)

    [(path, body)] = bodies
    claims = jwt.decode(json.loads(body)["notices"][0]["jwt"], options={"verify_signature": False})
    assert path == "/lti/notices"
    assert claims[f"{CLAIM}context"]["id"] == copied[f"{CLAIM}context"]["id"]
    assert claims[f"{CLAIM}origin_contexts"] == [original[f"{CLAIM}context"]["id"]]
    assert claims[f"{CLAIM}notice"]["type"] == "LtiContextCopyNotice"
    assert "sub" not in claims


def test_tokens_fill_canvas_s_bucket_and_time_empties_it(start: Callable[..., RunningLms]):
    now = [datetime(2026, 11, 21, 12, tzinfo=UTC)]
    canvas = start("canvas", rate_limit=True, clock=lambda: now[0])

    answers = [ask_token(canvas) for _ in range(4)]
    now[0] += timedelta(seconds=30)
    later = ask_token(canvas)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 403]
    assert "Rate Limit Exceeded" in answers[3].text
    assert "Retry-After" not in answers[3].headers
    assert float(answers[0].headers["X-Rate-Limit-Remaining"]) == 400
    assert later.status_code == 200


def test_what_an_earlier_version_made_is_in_the_first_course(start: Callable[..., RunningLms]):
    lms = start("moodle")
    Tool(lms, Browser(lms).become("Ingrid Okafor")).add()
    with lms.app.extensions["practice_lms"].store.transaction() as db:
        db.execute("UPDATE activity SET course_id = NULL")
    again = start("moodle")

    assert "Universal design" in Browser(again).become("Ingrid Okafor").get("/course").text
