import json
from pathlib import Path

import pytest
import requests

from .helpers import (
    AGS,
    LINE_ITEM_TYPE,
    SCORE_TYPE,
    Browser,
    Tool,
    ask_token,
    line_item,
)

RECORDED = Path(__file__).parent.parent / "fixtures" / "moodle-4.5"
LENA, MATEO, TEACHER = "5", "6", "3"
AT = "2026-11-21T10:00:0{}.500Z"


@pytest.fixture
def tool(moodle):
    return Tool(moodle, Browser(moodle).become("Ingrid Okafor"))


@pytest.fixture
def column(tool):
    return line_item(tool.add("Universal design", maximum=10))


def recorded_scores():
    calls = json.loads((RECORDED / "services.json").read_text())
    return [call for call in calls if call["label"].startswith("score-") and call["request"]["body"]]


def result(tool, column, user_id=LENA):
    rows = tool.results(column, user_id=user_id)
    return rows[0] if rows else None


def lineitems(tool):
    return tool.teacher.launch("/frame/add")[f"{AGS}claim/endpoint"]["lineitems"]


def test_eight_recorded_scores_leave_the_results_that_moodle_left(tool, column):
    for step in json.loads((RECORDED / "score-sequence.json").read_text()):
        sent = {"scoreGiven": None, "scoreMaximum": None, **step["sent"]}

        answer = tool.score(column, sent.pop("userId"), **sent)

        assert (answer.status_code, answer.text) == (step["status"], "")
        expected = [
            {key: value for key, value in row.items() if key not in ("id", "scoreOf")}
            for row in step["result_after"]
        ]
        left = tool.results(column, user_id=MATEO)
        assert [{key: row[key] for key in row if key not in ("id", "scoreOf")} for row in left] == expected


@pytest.mark.parametrize("call", recorded_scores(), ids=lambda call: call["label"])
def test_a_recorded_score_gets_the_answer_that_moodle_gave(tool, column, call):
    if call["label"] == "score-same-ts":
        tool.score(column, LENA, timestamp="2026-11-21T00:00:00Z")
    address, _, query = column.partition("?")

    answer = tool.call("POST", f"{address}/scores?{query}", call["request"]["body"], SCORE_TYPE)

    assert answer.status_code == call["response"]["status"]
    assert answer.text == call["response"]["body"]
    assert answer.headers["Content-Type"] == call["response"]["headers"]["Content-Type"]


def test_two_scores_within_one_second_the_second_is_lost(tool, column):
    first = tool.score(column, LENA, timestamp="2026-11-21T10:00:00.100Z", scoreGiven=3)

    second = tool.score(column, LENA, timestamp="2026-11-21T10:00:00.900Z", scoreGiven=9)

    assert (first.status_code, second.status_code, second.text) == (200, 409, "[]")
    assert result(tool, column)["resultScore"] == 3


def test_an_older_score_is_refused(tool, column):
    tool.score(column, LENA, timestamp=AT.format(5))

    assert tool.score(column, LENA, timestamp=AT.format(4)).status_code == 409


@pytest.mark.parametrize("progress", ["NotReady", "Failed", "Pending", "PendingManual"])
def test_whatever_is_not_fully_graded_wipes_a_standing_grade(tool, column, progress):
    tool.score(column, LENA, timestamp=AT.format(1), scoreGiven=8)

    answer = tool.score(column, LENA, timestamp=AT.format(2), scoreGiven=7, gradingProgress=progress)

    assert answer.status_code == 200
    assert result(tool, column) is None


def test_a_score_without_a_comment_erases_the_earlier_one(tool, column):
    tool.score(column, LENA, timestamp=AT.format(1), comment="Well argued.")

    tool.score(column, LENA, timestamp=AT.format(2))

    assert "comment" not in result(tool, column)


@pytest.mark.parametrize(("given", "maximum", "stored"), [(40, 50, 8), (12, 10, 10), (0, 10, 0), (-1, 10, 0)])
def test_scores_are_scaled_to_the_column_and_kept_within_it(tool, column, given, maximum, stored):
    tool.score(column, LENA, timestamp=AT.format(1), scoreGiven=given, scoreMaximum=maximum)

    assert result(tool, column)["resultScore"] == stored


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": "yesterday"},
        {"timestamp": None},
        {"activityProgress": None},
        {"gradingProgress": None},
        {"scoreMaximum": None},
        {"scoreMaximum": 0},
    ],
    ids=str,
)
def test_an_incomplete_score_is_refused_without_a_reason(tool, column, changes):
    answer = tool.score(column, LENA, **{"timestamp": AT.format(1), **changes})

    assert (answer.status_code, answer.text) == (400, "[]")
    assert result(tool, column) is None


@pytest.mark.parametrize("user_id", [TEACHER, "99999"])
def test_a_score_for_somebody_who_is_no_student_is_refused(tool, column, user_id):
    assert tool.score(column, user_id, timestamp=AT.format(1)).status_code == 400


def test_a_learner_who_left_the_course_cannot_be_graded_until_back(tool, column):
    tool.teacher.post(f"/people/{LENA}/enrolment", {"enrolled": "0"})
    away = tool.score(column, LENA, timestamp=AT.format(1))
    tool.teacher.post(f"/people/{LENA}/enrolment", {"enrolled": "1"})

    back = tool.score(column, LENA, timestamp=AT.format(2))

    assert (away.status_code, back.status_code) == (400, 200)


def test_a_grade_set_by_hand_stays_though_a_later_score_gets_200(tool, column, moodle):
    tool.score(column, LENA, timestamp="2026-11-21T10:00:00Z", scoreGiven=8, comment="From the tool.")
    tool.teacher.post(f"/gradebook/1/{LENA}", {"score": "4", "comment": "From the teacher."})

    answer = tool.score(column, LENA, timestamp="2099-01-01T00:00:00Z", scoreGiven=9)

    assert answer.status_code == 200
    assert result(tool, column)["resultScore"] == 4
    assert result(tool, column)["comment"] == "From the teacher."


def test_taking_the_hand_set_grade_away_lets_the_tools_last_score_in(tool, column):
    tool.score(column, LENA, timestamp="2026-11-21T10:00:00Z", scoreGiven=8)
    tool.teacher.post(f"/gradebook/1/{LENA}", {"score": "4"})
    tool.score(column, LENA, timestamp="2099-01-01T00:00:00Z", scoreGiven=9)

    tool.teacher.post(f"/gradebook/1/{LENA}", {"score": ""})

    assert result(tool, column)["resultScore"] == 9


def test_plain_json_finds_no_handler(tool, column):
    address, _, query = column.partition("?")

    answer = tool.call("POST", f"{address}/scores?{query}", {}, "application/json")

    assert answer.status_code == 400
    assert answer.json()["reason"] == "No handler found for /2/lineitems/1/lineitem/scores  application/json"


def test_scores_after_the_question_mark_find_no_handler(tool, column):
    answer = tool.call("POST", f"{column}/scores", {}, SCORE_TYPE)

    assert answer.status_code == 400


def test_a_bad_token_is_unauthorized_and_told_what_was_asked(tool, column):
    tool.token = "nonsense"

    answer = tool.score(column, LENA, timestamp=AT.format(1))

    assert answer.status_code == 401
    assert answer.json()["reason"] == "Unauthorized"
    assert answer.json()["request"]["contentType"] == SCORE_TYPE


def test_a_token_without_the_scope_is_unauthorized(tool, column, moodle):
    tool.token = ask_token(moodle, f"{AGS}scope/result.readonly").json()["access_token"]

    assert tool.score(column, LENA, timestamp=AT.format(1)).status_code == 401
    assert tool.results(column) == []


def test_a_deleted_activity_takes_its_column_away(tool):
    activity = tool.add()
    tool.teacher.post(f"/activity/{activity['number']}/delete")

    answer = tool.score(line_item(activity), LENA, timestamp=AT.format(1))

    assert answer.status_code == 404
    assert answer.json()["reason"] == "Not Found: Grade item 1 doesn't exist"


def test_a_column_is_created_changed_filtered_and_deleted(tool, column):
    items = lineitems(tool)
    sent = {"scoreMaximum": 100, "label": "Extra", "resourceId": "x1", "tag": "stack"}

    created = tool.call("POST", items, sent, LINE_ITEM_TYPE)
    url = created.json()["id"]
    changed = tool.call("PUT", url, {**sent, "scoreMaximum": 50, "label": "Extra2"}, LINE_ITEM_TYPE)
    filtered = tool.call("GET", f"{items}&tag=stack", Accept="*/*").json()
    deleted = tool.call("DELETE", url)

    assert (created.status_code, changed.status_code, deleted.status_code) == (201, 200, 204)
    assert filtered == [
        {"id": url, "label": "Extra2", "scoreMaximum": 50, "resourceId": "x1", "tag": "stack"}
    ]
    assert tool.call("GET", url, Accept="*/*").status_code == 404


def test_a_limit_brings_links_that_no_parser_of_links_understands(tool, column):
    tool.call("POST", lineitems(tool), {"scoreMaximum": 1, "label": "Second"}, LINE_ITEM_TYPE)

    answer = tool.call("GET", f"{lineitems(tool)}&limit=1", Accept="*/*")

    assert len(answer.json()) == 1
    link = answer.headers["Link"].encode("latin-1").decode()
    assert "&amp;limit=1&amp;from=1>; rel=“next”" in link
    assert "next" not in answer.links


def test_without_a_limit_everything_comes_at_once(tool):
    for number in range(12):
        tool.call("POST", lineitems(tool), {"scoreMaximum": 1, "label": str(number)}, LINE_ITEM_TYPE)

    answer = tool.call("GET", lineitems(tool), Accept="*/*")

    assert len(answer.json()) == 12
    assert "Link" not in answer.headers


def test_results_with_a_limit_are_an_error_page(tool, column):
    address, _, query = column.partition("?")

    answer = tool.call("GET", f"{address}/results?{query}&limit=1", Accept="*/*")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_second_column_on_one_activity_hides_both_from_the_launch(tool):
    activity = tool.add()
    sent = {"scoreMaximum": 5, "label": "Second", "resourceLinkId": "2"}

    tool.call("POST", lineitems(tool), sent, LINE_ITEM_TYPE)
    launch = tool.teacher.launch(f"/frame/activity/{activity['number']}")

    assert "lineitem" not in launch[f"{AGS}claim/endpoint"]


def test_slashes_are_escaped_as_php_does(tool, column):
    assert "http:\\/\\/127.0.0.1" in tool.call("GET", column, Accept="*/*").text
    assert requests.get(column, timeout=10).status_code == 401
