import time

import pytest

from .helpers import AGS, CLAIM, DEEP_LINKING, LAUNCH_URL, Browser, Tool, line_item

ITEM = {
    "type": "ltiResourceLink",
    "title": "Co-teaching",
    "url": LAUNCH_URL,
    "lineItem": {"scoreMaximum": 20},
}


def settings_of(claims):
    return claims[f"{DEEP_LINKING}deep_linking_settings"]


def send(tool, items, **changes):
    claims = tool.teacher.launch("/frame/add")
    address = settings_of(claims)["deep_link_return_url"]
    return tool.teacher.post(address, {"JWT": tool.picked(claims, items, **changes)})


def test_canvas_offers_one_item_and_keeps_its_state_in_the_return_address(canvas):
    claims = Browser(canvas).become("Ingrid Okafor").launch("/frame/add")

    settings = settings_of(claims)

    assert settings["accept_multiple"] is False
    assert "accept_lineitem" not in settings
    assert "data" not in settings
    assert "?data=" in settings["deep_link_return_url"]
    assert isinstance(settings["accept_media_types"], str)


def test_moodle_offers_several_items_and_a_session_key_in_the_return_address(moodle):
    claims = Browser(moodle).become("Ingrid Okafor").launch("/frame/add")

    settings = settings_of(claims)

    assert settings["accept_multiple"] is True
    assert "sesskey=" in settings["deep_link_return_url"]
    assert "lineitem" not in claims[f"{AGS}claim/endpoint"]


def test_a_picked_item_becomes_an_activity_with_a_gradebook_column(lms, tool):
    activity = tool.add("Universal design", maximum=25)

    column = tool.call("GET", line_item(activity), Accept="*/*").json()

    assert (column["label"], column["scoreMaximum"]) == ("Universal design", 25)
    assert (column["resourceId"], column["tag"]) == ("udl", "microcredential")
    assert column["resourceLinkId"] == activity[f"{CLAIM}resource_link"]["id"]


def test_canvas_hides_a_new_activity_from_learners_until_a_person_publishes_it(canvas):
    tool = Tool(canvas, Browser(canvas).become("Ingrid Okafor"))
    learner = Browser(canvas).become("Lena Brandt")

    activity = tool.add("Universal design", publish=False)
    before = learner.get("/course").text, learner.get(f"/activity/{activity['number']}").status_code
    tool.teacher.post(f"/activity/{activity['number']}/publish", {"published": "1"})

    assert "Universal design" not in before[0]
    assert before[1] == 404
    assert "Universal design" in learner.get("/course").text


def test_moodle_shows_a_new_activity_at_once(moodle):
    Tool(moodle, Browser(moodle).become("Ingrid Okafor")).add("Universal design", publish=False)

    assert "Universal design" in Browser(moodle).become("Lena Brandt").get("/course").text


def test_moodle_takes_several_items_and_canvas_the_first(lms, tool):
    send(tool, [ITEM, {**ITEM, "title": "Transition planning"}])

    course = tool.teacher.get("/course").text

    assert "Co-teaching" in course
    assert ("Transition planning" in course) == (lms.config.behaviour == "moodle")


def test_nothing_picked_adds_nothing(lms, tool):
    page = send(tool, [])

    assert "Nothing was added." in page.text
    assert "No activities yet" in tool.teacher.get("/course").text


def test_what_the_tool_says_is_shown(lms, tool):
    page = send(tool, [], **{f"{DEEP_LINKING}errormsg": "The catalogue is empty."})

    assert "The catalogue is empty." in page.text


def test_content_of_another_type_is_left_out(lms, tool):
    send(tool, [{"type": "html", "html": "<b>hello</b>"}])

    assert "No activities yet" in tool.teacher.get("/course").text


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "someone"},
        {"aud": "http://127.0.0.1"},
        {"exp": 1},
        {"iat": int(time.time()) - 4000},
        {"nonce": None},
        {f"{CLAIM}deployment_id": "other"},
        {f"{CLAIM}message_type": "LtiResourceLinkRequest"},
        {f"{CLAIM}version": None},
    ],
    ids=lambda changes: next(iter(changes)).rsplit("/", 1)[-1],
)
def test_an_answer_with_a_wrong_claim_is_refused_and_adds_nothing(lms, tool, changes):
    answer = send(tool, [ITEM], **changes)

    assert answer.status_code == 400
    assert "Co-teaching" not in tool.teacher.get("/course").text


def test_an_answer_signed_with_nobodys_key_is_refused(lms, tool):
    address = settings_of(tool.teacher.launch("/frame/add"))["deep_link_return_url"]

    assert tool.teacher.post(address, {"JWT": "a.b.c"}).status_code == 400
    assert (
        tool.teacher.post(settings_of(tool.teacher.launch("/frame/add"))["deep_link_return_url"]).status_code
        == 400
    )


def test_canvas_takes_its_return_address_once(canvas):
    tool = Tool(canvas, Browser(canvas).become("Ingrid Okafor"))
    claims = tool.teacher.launch("/frame/add")
    address = settings_of(claims)["deep_link_return_url"]
    tool.teacher.post(address, {"JWT": tool.picked(claims, [ITEM])})

    second = tool.teacher.post(address, {"JWT": tool.picked(claims, [ITEM])})

    assert second.status_code == 400
    assert second.json()["errors"]["data_jwt"][0]["type"] == "already_used"


@pytest.mark.parametrize(
    ("query", "kind"), [("", "presence_required"), ("?data=x.y.z", "invalid_or_malformed")]
)
def test_canvas_refuses_a_changed_return_address(canvas, query, kind):
    tool = Tool(canvas, Browser(canvas).become("Ingrid Okafor"))
    claims = tool.teacher.launch("/frame/add")
    address = settings_of(claims)["deep_link_return_url"].partition("?")[0] + query

    answer = tool.teacher.post(address, {"JWT": tool.picked(claims, [ITEM])})

    assert answer.status_code == 400
    assert answer.json()["errors"]["data_jwt"][0]["type"] == kind


def test_moodle_refuses_a_return_without_its_session_key(moodle):
    tool = Tool(moodle, Browser(moodle).become("Ingrid Okafor"))
    claims = tool.teacher.launch("/frame/add")

    answer = tool.teacher.post(
        "/mod/lti/contentitem_return.php?course=2&id=1", {"JWT": tool.picked(claims, [ITEM])}
    )

    assert answer.status_code == 403


def test_a_learner_cannot_add_activities(lms, tool):
    learner = Browser(lms).become("Lena Brandt")
    claims = tool.teacher.launch("/frame/add")
    address = settings_of(claims)["deep_link_return_url"]

    assert learner.get("/frame/add").status_code == 403
    assert learner.post(address, {"JWT": tool.picked(claims, [ITEM])}).status_code == 403


def test_a_return_without_the_cookie_is_asked_for_again_from_the_lms_itself(lms, tool):
    claims = tool.teacher.launch("/frame/add")
    address = settings_of(claims)["deep_link_return_url"]

    page = Browser(lms).post(address, {"JWT": tool.picked(claims, [ITEM])})

    assert 'name="retried" value="true"' in page.text
    assert "Co-teaching" not in tool.teacher.get("/course").text


def test_canvas_takes_several_with_their_dates_from_the_assignments_menu_only(canvas):
    tool = Tool(canvas, Browser(canvas).become("Ingrid Okafor"))
    dated = ITEM | {"submission": {"endDateTime": "2027-03-01T06:59:00Z"}}
    claims = tool.teacher.launch("/frame/add?several=1")

    tool.teacher.post(
        settings_of(claims)["deep_link_return_url"],
        {"JWT": tool.picked(claims, [dated, ITEM | {"title": "Fading prompts"}])},
    )
    send(tool, [dated | {"title": "From the form"}, ITEM])

    page = tool.teacher.get("/course").text
    assert claims["https://www.instructure.com/placement"] == "course_assignments_menu"
    assert settings_of(claims)["accept_multiple"] is True
    assert page.count('class="name"') == 3
    assert page.count("Due 2027-03-01T06:59:00Z") == 1


def test_in_student_view_canvas_sends_a_student_whom_no_list_knows(canvas):
    ingrid = Browser(canvas).become("Ingrid Okafor")
    Tool(canvas, ingrid).add("Co-teaching")
    ingrid.post("/activity/1/publish", {"published": "1"})

    page = ingrid.post("/student-view").text
    claims = ingrid.launch("/frame/activity/1")
    ingrid.post("/student-view/leave")

    assert "Leave Student View" in page
    assert claims[f"{CLAIM}roles"] == [
        "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner",
        "http://purl.imsglobal.org/vocab/lti/system/person#TestUser",
    ]
    assert claims["name"] == "Test Student"
    assert "Test Student" not in ingrid.get("/people").text + ingrid.get("/gradebook").text
    assert "Test Student" not in ingrid.get("/").text


def test_moodle_has_no_student_view(moodle):
    ingrid = Browser(moodle).become("Ingrid Okafor")

    assert "Student View" not in ingrid.get("/course").text
    assert ingrid.post("/student-view").status_code == 404
