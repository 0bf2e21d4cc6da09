"""How an instructor gets from the gradebook to the work behind a grade."""

import re

from .helpers import AGS, CLAIM, LAUNCH_URL, Browser, Tool, line_item, user_ids

EXTENSION = "https://canvas.instructure.com/lti/submission"
WORK = f"{LAUNCH_URL}/activities/1/submissions/2"


def frame_of(teacher: Browser) -> str:
    """The frame of the only review that the gradebook offers."""
    [address] = re.findall(r'href="(/gradebook/\d+/\d+/review)"', teacher.get("/gradebook").text)
    found = re.search(r'<iframe src="([^"]+)"', teacher.get(address).text)
    assert found is not None
    return found[1]


def test_moodle_asks_for_a_review_of_every_learner_where_the_tool_has_declared_it(moodle):
    teacher = Browser(moodle).become("Ingrid Okafor")
    tool = Tool(moodle, teacher)
    tool.add("Not declared")
    activity = tool.add(submissionReview={"reviewableStatus": ["Completed"]})

    pages = re.findall(r'href="(/gradebook/\d+/\d+/review)"', teacher.get("/gradebook").text)
    lena = next(page for page in pages if "Lena Brandt" in teacher.get(page).text)
    claims = teacher.launch(lena.replace("/gradebook/", "/frame/review/").removesuffix("/review"))

    assert len(pages) == 3
    assert claims[f"{CLAIM}message_type"] == "LtiSubmissionReviewRequest"
    assert claims[f"{CLAIM}for_user"] == {"user_id": user_ids(moodle)["Lena Brandt"]}
    assert claims["sub"] == user_ids(moodle)["Ingrid Okafor"]
    assert line_item(claims) == line_item(activity)
    assert claims[f"{CLAIM}target_link_uri"] == f"{LAUNCH_URL}?credential=udl"


def test_canvas_launches_the_address_that_came_with_the_submission(canvas):
    teacher = Browser(canvas).become("Ingrid Okafor")
    tool = Tool(canvas, teacher)
    activity = tool.add()
    assert "/review" not in teacher.get("/gradebook").text
    handed_in = {"submission_type": "basic_lti_launch", "submission_data": WORK, "preserve_score": True}
    tool.score(
        line_item(activity),
        user_ids(canvas)["Lena Brandt"],
        timestamp="2026-11-21T10:00:00Z",
        activityProgress="Submitted",
        gradingProgress="PendingManual",
        scoreGiven=None,
        **{EXTENSION: handed_in},
    ).raise_for_status()

    claims = teacher.launch(frame_of(teacher))

    assert claims[f"{CLAIM}message_type"] == "LtiResourceLinkRequest"
    assert claims[f"{CLAIM}target_link_uri"] == WORK
    assert f"{CLAIM}for_user" not in claims
    assert claims[f"{AGS}claim/endpoint"]["lineitem"] == line_item(activity)


def test_a_learner_opens_no_review(moodle):
    teacher = Browser(moodle).become("Ingrid Okafor")
    Tool(moodle, teacher).add(submissionReview={"reviewableStatus": ["Completed"]})
    [page, *_] = re.findall(r'href="(/gradebook/\d+/\d+/review)"', teacher.get("/gradebook").text)
    lena = Browser(moodle).become("Lena Brandt")

    assert lena.get(page).status_code == 403
    assert lena.get(page.replace("/gradebook/", "/frame/review/").removesuffix("/review")).status_code == 404
    assert "/review" not in lena.get("/gradebook").text
