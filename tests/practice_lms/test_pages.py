import threading
import time

import pytest
import requests

from .helpers import Browser, Tool, line_item, user_ids

AT = "2026-11-21T10:00:00.000Z"


def control(lms, **faults):
    return requests.post(f"{lms.service_url}/control", json=faults, timeout=10)


def record(lms):
    return requests.get(f"{lms.service_url}/record", timeout=10).json()


@pytest.fixture
def graded(lms, tool):
    """An activity in which Lena has 8 of 10."""
    activity = tool.add("Universal design", maximum=10)
    lena = user_ids(lms)["Lena Brandt"]
    assert tool.score(line_item(activity), lena, timestamp=AT, comment="Well argued.").status_code == 200
    return activity


def test_a_learner_sees_only_their_own_grades(lms, graded):
    lena = Browser(lms).become("Lena Brandt").get("/gradebook").text
    mateo = Browser(lms).become("Mateo Ruiz").get("/gradebook").text

    assert "8 of 10" in lena
    assert "Well argued." in lena
    assert "8 of 10" not in mateo
    assert "Lena" not in mateo


def test_the_instructor_sees_everybodys_grades(teacher, graded):
    page = teacher.get("/gradebook").text

    assert "Lena Brandt" in page
    assert "Mateo Ruiz" in page
    assert "8 of 10" in page


def test_the_grades_as_json_are_for_staff_and_for_programs_on_this_machine(lms, graded):
    browser_name = {"Host": lms.url.removeprefix("http://")}

    stranger = requests.get(f"{lms.service_url}/gradebook.json", headers=browser_name, timeout=10)
    program = requests.get(f"{lms.service_url}/gradebook.json", timeout=10)

    assert stranger.status_code == 403
    assert program.json()[0]["learner"] == "Lena Brandt"
    assert program.json()[0]["score"] == 8


def test_nobody_gets_in_without_choosing_a_person(lms):
    assert [Browser(lms).get(path).status_code for path in ("/course", "/people", "/gradebook")] == [403] * 3


@pytest.mark.parametrize(
    "path", ["/people", "/course/add", "/gradebook/1/5", "/administration", "/administration/open"]
)
def test_a_learner_has_no_way_into_the_instructors_pages(lms, path):
    assert Browser(lms).become("Lena Brandt").get(path).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/activity/1/publish", "/activity/1/delete", "/people/5/enrolment", "/gradebook/1/5", "/course/state"],
)
def test_a_learner_changes_nothing(lms, path):
    assert (
        Browser(lms).become("Lena Brandt").post(path, {"state": "concluded", "score": "1"}).status_code == 403
    )


def test_a_learner_who_left_sees_no_activity(lms, tool):
    activity = tool.add("Universal design")
    number = {"canvas": 3, "moodle": 5}[lms.config.behaviour]

    tool.teacher.post(f"/people/{number}/enrolment", {"enrolled": "0"})
    learner = Browser(lms).become("Lena Brandt")

    assert "Universal design" not in learner.get("/course").text
    assert learner.get(f"/frame/activity/{activity['number']}").status_code == 404


def test_a_grade_that_is_no_number_changes_nothing(lms, teacher, graded):
    number = {"canvas": 3, "moodle": 5}[lms.config.behaviour]

    page = teacher.post(f"/gradebook/1/{number}", {"score": "very good"}).text

    assert "is not a number" in page
    assert "8 of 10" in teacher.get("/gradebook").text


def test_one_browser_is_one_person_at_a_time(lms):
    browser = Browser(lms).become("Lena Brandt")

    browser.become("Ada Whitfield")

    assert "Ada Whitfield, administrator" in browser.get("/course").text
    assert browser.get("/administration").status_code == 200


def test_the_frame_has_a_title_and_knows_the_only_origin_it_listens_to(teacher):
    page = teacher.get("/course/add").text

    assert 'title="Add from Tessera"' in page
    assert 'data-tool-origin="http://tool.localhost:8700"' in page


def test_what_arrived_is_on_record_with_its_answer_and_without_credentials(lms, graded):
    arrived = record(lms)

    assert [row["status"] for row in arrived] == [200, 200]
    assert set(arrived[0]["body"]) == {"grant_type", "scope"}
    assert arrived[1]["path"].partition("?")[0].endswith("/scores")
    assert arrived[1]["body"]["comment"] == "Well argued."


def test_the_record_outlives_a_restart(start):
    first = start("moodle")
    Tool(first, Browser(first).become("Ingrid Okafor"))
    first.close()

    assert [row["path"] for row in record(start("moodle"))] == ["/token"]


def test_scores_fail_as_often_as_told_and_store_nothing(lms, tool):
    activity, lena = tool.add(), user_ids(lms)["Lena Brandt"]
    control(lms, fail=[500, 503])

    answers = [tool.score(line_item(activity), lena, timestamp=AT).status_code for _ in range(3)]

    assert answers == [500, 503, 200]


@pytest.mark.parametrize("status", [403, 429])
def test_a_throttled_request_gets_text_and_no_hint_when_to_come_back(lms, tool, status):
    activity = tool.add()
    control(lms, throttle=1, throttle_status=status)

    refused = tool.call("GET", line_item(activity), Accept="*/*")
    accepted = tool.call("GET", line_item(activity), Accept="*/*")

    assert (refused.status_code, accepted.status_code) == (status, 200)
    assert "Rate Limit Exceeded" in refused.text
    assert "Retry-After" not in refused.headers


def test_a_delayed_score_is_on_record_before_it_is_stored(lms, tool):
    activity, lena = tool.add(), user_ids(lms)["Lena Brandt"]
    control(lms, delay=0.6)
    sending = threading.Thread(target=tool.score, args=(line_item(activity), lena), kwargs={"timestamp": AT})

    sending.start()
    while not (waiting := [row for row in record(lms) if "/scores" in row["path"]]):
        assert sending.is_alive()
    stored = requests.get(f"{lms.service_url}/gradebook.json", timeout=10).json()
    sending.join()

    assert waiting[0]["status"] is None
    assert stored == []


def test_a_delay_after_storing_leaves_the_score_stored_though_nobody_waited(lms, tool):
    activity, lena = tool.add(), user_ids(lms)["Lena Brandt"]
    control(lms, delay_after=30)
    sending = threading.Thread(target=tool.score, args=(line_item(activity), lena), kwargs={"timestamp": AT})

    sending.start()
    deadline = time.monotonic() + 10
    while not (stored := requests.get(f"{lms.service_url}/gradebook.json", timeout=10).json()):
        assert time.monotonic() < deadline
    lms.close()
    sending.join()

    assert stored[0]["score"] == 8


def test_an_unknown_fault_is_named(lms):
    answer = control(lms, explode=True)

    assert answer.status_code == 400
    assert "explode" in answer.text


@pytest.mark.parametrize("headers", [{"Host": "lms.localhost"}, {"Origin": "http://lms.localhost"}])
def test_record_and_control_are_closed_to_browsers(lms, headers):
    read = requests.get(f"{lms.service_url}/record", headers=headers, timeout=10)
    write = requests.post(f"{lms.service_url}/control", json={}, headers=headers, timeout=10)

    assert (read.status_code, write.status_code) == (403, 403)
