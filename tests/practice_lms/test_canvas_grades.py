import re
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from lti_tool.practice_lms import sign

from .helpers import AGS, CLAIM, LAUNCH_URL, LINE_ITEM_TYPE, Browser, Tool, ask_token, line_item, user_ids

EXTENSION = "https://canvas.instructure.com/lti/submission"
SUBMITTED = {"submission": {"submittedAt": "2026-11-21T09:00:00.000Z"}}


def at(second):
    return f"2026-11-21T10:00:{second:02}.000Z"


@pytest.fixture
def tool(canvas):
    return Tool(canvas, Browser(canvas).become("Ingrid Okafor"))


@pytest.fixture
def column(tool):
    return line_item(tool.add("Universal design", maximum=10))


@pytest.fixture
def lena(canvas):
    return user_ids(canvas)["Lena Brandt"]


def cell(tool):
    """Lena's only cell in the gradebook."""
    cells = tool.teacher.get("/gradebook.json").json()
    assert len(cells) == 1
    return cells[0]


def message(answer):
    return answer.json()["errors"]["message"]


def lineitems(tool):
    return tool.teacher.launch("/frame/add")[f"{AGS}claim/endpoint"]["lineitems"]


def test_a_score_is_answered_with_200_and_the_address_of_the_result(tool, column, lena):
    answer = tool.score(column, lena, timestamp=at(1))

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/vnd.ims.lis.v1.score+json"
    assert answer.json()["resultUrl"].startswith(f"{column}/results/")
    assert "X-Rate-Limit-Remaining" in answer.headers


def test_a_score_for_an_unpublished_activity_is_refused_until_it_is_published(tool, lena):
    activity = tool.add(publish=False)

    before = tool.score(line_item(activity), lena, timestamp=at(1))
    tool.teacher.post(f"/activity/{activity['number']}/publish", {"published": "1"})
    after = tool.score(line_item(activity), lena, timestamp=at(1))

    assert (before.status_code, message(before)) == (422, "This assignment is still unpublished")
    assert after.status_code == 200


def test_an_unpublished_course_has_no_students(tool, column, lena):
    tool.teacher.post("/course/state", {"state": "unpublished"})

    answer = tool.score(column, lena, timestamp=at(1))

    assert (answer.status_code, message(answer)) == (422, "User not found in course or is not a student")


def test_a_concluded_course_answers_nothing_not_even_reads(tool, column, lena):
    tool.teacher.post("/course/state", {"state": "concluded"})

    for answer in (
        tool.score(column, lena, timestamp=at(1)),
        tool.call("GET", column),
        tool.call("GET", f"{column}/results"),
    ):
        assert answer.status_code == 422
        assert message(answer).startswith("This course has concluded.")


@pytest.mark.parametrize("name", ["Ingrid Okafor", "Ada Whitfield"])
def test_only_students_can_be_graded(tool, column, canvas, name):
    answer = tool.score(column, user_ids(canvas)[name], timestamp=at(1))

    assert (answer.status_code, message(answer)) == (422, "User not found in course or is not a student")


def test_a_learner_who_left_the_course_cannot_be_graded(tool, column, lena):
    tool.teacher.post("/people/3/enrolment", {"enrolled": "0"})

    assert tool.score(column, lena, timestamp=at(1)).status_code == 422


def test_the_numeric_user_id_is_taken_as_well(tool, column, lena):
    tool.score(column, "3", timestamp=at(1))

    assert cell(tool)["user_id"] == lena


@pytest.mark.parametrize("name", ["activityProgress", "gradingProgress", "timestamp"])
def test_a_score_that_lacks_a_field_is_refused_by_its_name(tool, column, lena, name):
    answer = tool.score(column, lena, **{"timestamp": at(1), name: None})

    assert answer.status_code == 400
    assert answer.json() == {"errors": [{"message": f"{name} is missing"}]}


@pytest.mark.parametrize("name", ["activityProgress", "gradingProgress"])
def test_an_unknown_progress_is_refused_and_grades_nothing(tool, column, lena, name):
    answer = tool.score(column, lena, **{"timestamp": at(1), name: "Nearly"})

    assert answer.status_code == 422
    assert tool.results(column) == []


def test_an_older_score_is_refused_with_400_and_an_equal_one_accepted(tool, column, lena):
    tool.score(column, lena, timestamp=at(5))

    older = tool.score(column, lena, timestamp=at(4))
    equal = tool.score(column, lena, timestamp=at(5))

    assert older.status_code == 400
    assert "before last updated timestamp of" in message(older)
    assert equal.status_code == 200


def test_a_timestamp_in_the_future_blocks_all_earlier_ones(tool, column, lena):
    assert tool.score(column, lena, timestamp="2099-01-01T00:00:00Z").status_code == 200

    assert tool.score(column, lena, timestamp=at(1)).status_code == 400


def test_a_timestamp_that_is_none_is_refused(tool, column, lena):
    answer = tool.score(column, lena, timestamp="yesterday")

    assert (answer.status_code, message(answer)) == (
        400,
        "Provided timestamp of yesterday not a valid timestamp",
    )


@pytest.mark.parametrize(
    ("points", "text"),
    [
        ({"scoreMaximum": None}, "ScoreMaximum not supplied when ScoreGiven present."),
        ({"scoreMaximum": -1}, "ScoreMaximum must be greater than or equal to 0"),
        ({"scoreMaximum": 0}, "ScoreMaximum cannot be zero if line item's maximum is not zero"),
        ({"scoreGiven": -1}, "ScoreGiven must be greater than or equal to 0"),
    ],
)
def test_impossible_points_are_refused(tool, column, lena, points, text):
    answer = tool.score(column, lena, **{"timestamp": at(1), **points})

    assert (answer.status_code, message(answer)) == (422, text)


@pytest.mark.parametrize(("points", "stored"), [((40, 50), 8), ((12, 10), 12), ((0, 10), 0)])
def test_scores_are_scaled_to_the_activity_but_not_capped(tool, column, lena, points, stored):
    given, maximum = points

    tool.score(column, lena, timestamp=at(1), scoreGiven=given, scoreMaximum=maximum)

    assert cell(tool)["score"] == stored
    assert tool.results(column)[0]["resultScore"] == given


@pytest.mark.parametrize("progress", ["NotReady", "Failed", "Pending"])
def test_a_score_that_is_not_final_clears_a_standing_grade(tool, column, lena, progress):
    tool.score(column, lena, timestamp=at(1))

    answer = tool.score(column, lena, timestamp=at(2), gradingProgress=progress, scoreGiven=7)

    assert answer.status_code == 200
    assert cell(tool)["score"] is None


def test_a_message_without_a_score_clears_a_standing_grade(tool, column, lena):
    tool.score(column, lena, timestamp=at(1))

    tool.score(
        column,
        lena,
        timestamp=at(2),
        activityProgress="Submitted",
        gradingProgress="PendingManual",
        scoreGiven=None,
    )

    assert cell(tool)["score"] is None


def test_preserve_score_keeps_a_standing_grade(tool, column, lena):
    tool.score(column, lena, timestamp=at(1))

    tool.score(
        column,
        lena,
        timestamp=at(2),
        activityProgress="Submitted",
        gradingProgress="PendingManual",
        scoreGiven=None,
        **{EXTENSION: {"preserve_score": True}},
    )

    assert cell(tool)["score"] == 8


def test_every_finished_post_counts_one_more_attempt(tool, column, lena):
    tool.score(column, lena, timestamp=at(1))
    tool.score(column, lena, timestamp=at(2))

    assert cell(tool)["attempt"] == 2


@pytest.mark.parametrize("progress", ["Initialized", "Started", "InProgress"])
def test_unfinished_work_counts_no_attempt(tool, column, lena, progress):
    tool.score(column, lena, timestamp=at(1), activityProgress=progress)

    assert cell(tool)["attempt"] == 0


def test_the_same_submitted_at_counts_no_further_attempt(tool, column, lena):
    tool.score(column, lena, timestamp=at(1), **SUBMITTED)
    tool.score(column, lena, timestamp=at(2), **SUBMITTED)

    assert cell(tool)["attempt"] == 1
    assert cell(tool)["submitted_at"].startswith("2026-11-21T09:00:00")


def test_new_submission_false_counts_no_attempt(tool, column, lena):
    tool.score(column, lena, timestamp=at(1), **{EXTENSION: {"new_submission": False}})

    assert cell(tool)["attempt"] == 0
    assert cell(tool)["score"] == 8


def test_when_the_attempts_are_used_up_only_a_score_without_a_new_one_is_taken(tool, lena):
    activity = tool.add()
    tool.teacher.post(f"/activity/{activity['number']}/attempts", {"attempts": "1"})
    tool.score(line_item(activity), lena, timestamp=at(1))

    again = tool.score(line_item(activity), lena, timestamp=at(2), scoreGiven=9)
    corrected = tool.score(
        line_item(activity), lena, timestamp=at(3), scoreGiven=9, **{EXTENSION: {"new_submission": False}}
    )

    assert again.status_code == 422
    assert message(again) == "The maximum number of allowed attempts has been reached for this submission"
    assert corrected.status_code == 200
    assert cell(tool)["score"] == 9


def test_comments_pile_up(tool, column, lena):
    tool.score(column, lena, timestamp=at(1), comment="Well argued.")
    tool.score(column, lena, timestamp=at(2), comment="Well argued.")

    assert cell(tool)["comments"] == ["Well argued.", "Well argued."]


def test_a_submission_in_the_future_is_refused(tool, column, lena):
    soon = (datetime.now(UTC) + timedelta(minutes=3)).isoformat()

    answer = tool.score(column, lena, timestamp=at(1), submission={"submittedAt": soon})

    assert answer.status_code == 400
    assert message(answer).endswith("in the future")


def test_a_grade_set_by_hand_is_overwritten_by_the_next_score(tool, column, lena):
    tool.score(column, lena, timestamp=at(1), scoreGiven=8)
    tool.teacher.post("/gradebook/1/3", {"score": "4", "comment": "From the teacher."})
    shown = tool.results(column)[0]["resultScore"]

    tool.score(column, lena, timestamp=at(2), scoreGiven=9)

    assert shown == 4
    assert cell(tool)["score"] == 9


def test_a_grade_that_only_a_teacher_gave_is_no_result(tool, column):
    tool.teacher.post("/gradebook/1/3", {"score": "4"})

    assert tool.results(column) == []


def test_prioritize_non_tool_grade_keeps_the_tools_own_score_too(tool, column, lena):
    tool.score(column, lena, timestamp=at(1), scoreGiven=5)

    answer = tool.score(
        column, lena, timestamp=at(2), scoreGiven=9, **{EXTENSION: {"prioritize_non_tool_grade": True}}
    )

    assert answer.status_code == 200
    assert cell(tool)["score"] == 5


def test_results_of_an_unknown_person_are_empty(tool, column):
    assert tool.results(column, user_id="nobody") == []


def test_a_wrong_resource_link_is_refused(tool, column, lena):
    answer = tool.score(column, lena, timestamp=at(1), resourceLinkId="another")

    assert answer.status_code == 412


def test_a_second_line_item_has_no_column_in_the_gradebook(tool, lena):
    activity = tool.add()
    sent = {"scoreMaximum": 5, "label": "Extra", "resourceLinkId": activity[f"{CLAIM}resource_link"]["id"]}
    extra = tool.call("POST", lineitems(tool), sent, LINE_ITEM_TYPE).json()["id"]

    answer = tool.score(extra, lena, timestamp=at(1))

    assert answer.status_code == 200
    assert len(tool.results(extra)) == 1
    assert tool.teacher.get("/gradebook.json").json() == []


def test_a_line_item_for_an_unknown_link_or_the_course_itself_is_not_found(tool):
    context_id = tool.teacher.launch("/frame/add")[f"{CLAIM}context"]["id"]
    sent = {"scoreMaximum": 5, "label": "Extra", "resourceLinkId": context_id}

    assert tool.call("POST", lineitems(tool), sent, LINE_ITEM_TYPE).status_code == 404


def test_a_column_made_by_deep_linking_cannot_be_deleted_by_the_tool(tool, column):
    answer = tool.call("DELETE", column)

    assert (answer.status_code, answer.text) == (401, "")


def test_a_column_made_by_the_tool_is_deleted_with_its_activity(tool):
    made = tool.call("POST", lineitems(tool), {"scoreMaximum": 5, "label": "Extra"}, LINE_ITEM_TYPE)
    assert made.status_code == 201

    assert tool.call("DELETE", made.json()["id"]).status_code == 204
    assert "Extra" not in tool.teacher.get("/course").text
    assert tool.call("GET", made.json()["id"]).status_code == 404


def test_a_partial_change_keeps_the_rest(tool, column):
    changed = tool.call("PUT", column, {"scoreMaximum": 20}, LINE_ITEM_TYPE).json()

    assert (changed["scoreMaximum"], changed["label"], changed["tag"]) == (
        20,
        "Universal design",
        "microcredential",
    )


def test_a_deleted_activity_takes_its_column_away(tool, lena):
    activity = tool.add()
    tool.teacher.post(f"/activity/{activity['number']}/delete")

    assert tool.score(line_item(activity), lena, timestamp=at(1)).status_code == 404


def test_the_list_shows_ten_and_a_link_to_the_next(tool):
    for number in range(11):
        tool.call("POST", lineitems(tool), {"scoreMaximum": 5, "label": str(number)}, LINE_ITEM_TYPE)

    first = tool.call("GET", lineitems(tool))
    second = tool.call("GET", first.links["next"]["url"])

    assert (len(first.json()), len(second.json())) == (10, 1)
    assert "next" not in second.links


def test_a_filter_that_matches_nothing_is_an_empty_list(tool, column):
    assert tool.call("GET", f"{lineitems(tool)}?tag=unknown").json() == []
    assert len(tool.call("GET", f"{lineitems(tool)}?tag=microcredential&limit=5").json()) == 1


def test_without_a_token_the_answer_names_it(tool, column):
    answer = tool.call("GET", column, Authorization="")

    assert answer.status_code == 401
    assert answer.json() == {"errors": {"type": "unauthorized", "message": "Missing access token"}}


def test_a_missing_scope_is_401_and_not_403(tool, column, canvas, lena):
    tool.token = ask_token(canvas, f"{AGS}scope/result.readonly").json()["access_token"]

    answer = tool.score(column, lena, timestamp=at(1))

    assert (answer.status_code, message(answer)) == (401, "Insufficient permissions")


def test_an_expired_or_foreign_token_is_refused_by_name(tool, column, canvas):
    tool.token = sign(canvas, {"exp": 1, "scopes": f"{AGS}scope/lineitem"})
    expired = tool.call("GET", column)
    tool.token = jwt.encode({"exp": 4e9}, "a" * 32, "HS256")
    foreign = tool.call("GET", column)

    assert (expired.status_code, message(expired)) == (401, "Access token expired")
    assert (foreign.status_code, message(foreign)) == (401, "Invalid access token format")


# The late policy


def late_by(tool, hours, percent="10"):
    """The work that SUBMITTED speaks of came so many hours after the due date."""
    due = datetime(2026, 11, 21, 9, tzinfo=UTC) - timedelta(hours=hours)
    number = tool.teacher.get("/course").text.split('href="/activity/')[1].split('"')[0]
    tool.teacher.post(f"/activity/{number}/due", {"due": f"{due:%Y-%m-%dT%H:%M}"})
    tool.teacher.post("/course/late-policy", {"percent": percent})


@pytest.mark.parametrize(("hours", "left"), [(0, 8), (1, 7), (24, 7), (25, 6), (24 * 30, 0)])
def test_each_day_late_costs_a_share_of_all_the_points_and_never_more_than_there_are(
    tool, column, lena, hours, left
):
    late_by(tool, hours)

    tool.score(column, lena, timestamp=at(1), **SUBMITTED)

    assert (cell(tool)["score"], cell(tool)["overridden"]) == (left, False)
    assert [one["resultScore"] for one in tool.results(column)] == [left]


def test_what_was_taken_off_stands_in_the_gradebook(tool, column, lena):
    late_by(tool, 30)
    tool.score(column, lena, timestamp=at(1), **SUBMITTED)

    assert cell(tool)["deducted"] == 2
    assert "late: 2 taken off" in tool.teacher.get("/gradebook").text


def test_a_teacher_s_own_grade_loses_nothing(tool, column, lena):
    late_by(tool, 30)
    tool.score(column, lena, timestamp=at(1), **SUBMITTED)
    tool.teacher.post(f"/gradebook/{cell(tool)['line_item']}/3", {"score": "9"})

    assert (cell(tool)["score"], cell(tool)["deducted"], cell(tool)["overridden"]) == (9, None, True)


@pytest.mark.parametrize("percent", ["-1", "101", "x", ""])
def test_a_late_policy_is_whole_percent(tool, column, lena, percent):
    late_by(tool, 30, percent)
    tool.score(column, lena, timestamp=at(1), **SUBMITTED)

    assert cell(tool)["score"] == 8


@pytest.mark.parametrize(
    ("asked", "status", "launches"),
    [
        (None, 201, False),
        ({"type": "none"}, 201, False),
        ({"type": "external_tool", "external_tool_url": f"{LAUNCH_URL}?credential=udl"}, 201, True),
        ({"type": "online_upload"}, 400, False),
    ],
)
def test_an_assignment_made_by_the_tool_opens_the_tool_only_if_asked_to(tool, asked, status, launches):
    sent = {"scoreMaximum": 5, "label": "Made anew"}
    more = {} if asked is None else {"https://canvas.instructure.com/lti/submission_type": asked}

    made = tool.call("POST", lineitems(tool), sent | more, LINE_ITEM_TYPE)

    course = tool.teacher.get("/course").text
    assert (made.status_code, "Made anew" in course) == (status, status == 201)
    number = re.findall(r'href="/activity/(\d+)"', course)
    assert bool(number) is launches
    if launches:
        launched = tool.teacher.launch(f"/frame/activity/{number[0]}")
        assert launched[f"{CLAIM}target_link_uri"] == asked["external_tool_url"]
        assert launched[f"{CLAIM}resource_link"]["id"] == made.json()["resourceLinkId"]
