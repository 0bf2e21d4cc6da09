import json

import pytest

from lti_tool.lti.platforms import Next, behaviour
from tests.lti.conftest import RECORDINGS


def canvas_error(message: str) -> str:
    return json.dumps({"errors": {"type": "unprocessable_entity", "message": message}})


@pytest.mark.parametrize(
    ("product", "status", "body", "expected", "words"),
    [
        ("canvas", 200, '{"resultUrl": "https://x"}', Next.ACCEPTED, "accepted"),
        ("moodle", 200, "", Next.ACCEPTED, "Moodle accepted"),
        ("openedx", 201, "{}", Next.ACCEPTED, "Open edX accepted"),
        ("canvas", 403, "403 Forbidden (Rate Limit Exceeded)\n", Next.RETRY, "slow down"),
        ("canvas", 429, "429 Forbidden (Rate Limit Exceeded)", Next.RETRY, "slow down"),
        ("other", 429, "", Next.RETRY, "The LMS is busy"),
        ("canvas", 504, "file url timed out", Next.RETRY, "problem of its own"),
        ("moodle", 500, "<html>", Next.RETRY, "problem of its own"),
        ("canvas", 401, canvas_error("Access token expired"), Next.NEW_TOKEN, "token"),
        ("canvas", 401, canvas_error("Insufficient permissions"), Next.REFUSED, "enable the score scope"),
        ("canvas", 401, canvas_error("Unknown or inactive Developer Key"), Next.REFUSED, "developer key"),
        (
            "canvas",
            401,
            canvas_error("Access Token not linked to a Tool associated with this Context"),
            Next.REFUSED,
            "not installed",
        ),
        ("canvas", 403, "no", Next.REFUSED, "administrator"),
        ("canvas", 404, "The specified resource does not exist.", Next.GONE, "does not exist any more"),
        ("canvas", 412, "", Next.REFUSED, "another tool"),
        (
            "canvas",
            422,
            canvas_error("This assignment is still unpublished"),
            Next.REFUSED,
            "The course or assignment is not published in Canvas. Publish it, then press Send again.",
        ),
        (
            "canvas",
            422,
            canvas_error("User not found in course or is not a student"),
            Next.REFUSED,
            "check the enrollment, then press Send again.",
        ),
        (
            "canvas",
            422,
            canvas_error(
                "This course has concluded. AGS requests will no longer be accepted for this course."
            ),
            Next.REFUSED,
            "has concluded",
        ),
        (
            "canvas",
            422,
            canvas_error("The maximum number of allowed attempts has been reached for this submission"),
            Next.REFUSED,
            "number of attempts",
        ),
        (
            "canvas",
            422,
            canvas_error("Cannot grade this submission at this time: grading period is closed"),
            Next.REFUSED,
            "grading period",
        ),
        (
            "canvas",
            400,
            canvas_error(
                "Provided timestamp of 2026-11-21T20:00:00Z before last updated timestamp of 2026-11-21 20:00:01 UTC"
            ),
            Next.CONFLICT,
            "newer score",
        ),
        (
            "canvas",
            400,
            canvas_error("Provided submitted_at timestamp of 2026-11-21T20:05:00Z in the future"),
            Next.RETRY,
            "clock",
        ),
        ("canvas", 422, canvas_error("something new"), Next.REFUSED, "status 422"),
        ("moodle", 409, "[]", Next.CONFLICT, "same time or newer"),
        ("moodle", 400, "[]", Next.REFUSED, "Check that they are a student in the course"),
        ("moodle", 403, "", Next.REFUSED, "Moodle does not allow"),
        ("openedx", 403, "", Next.NEW_TOKEN, "token"),
        (
            "openedx",
            400,
            '{"timestamp": ["Score timestamp can only be updated to a later point in time"]}',
            Next.CONFLICT,
            "same time or newer",
        ),
        ("openedx", 400, "{}", Next.REFUSED, "enrolled"),
        ("other", 302, "", Next.REFUSED, "has moved"),
        ("other", 410, "", Next.GONE, "any more"),
        ("blackbird", 418, "", Next.REFUSED, "The LMS refused the score (status 418)"),
    ],
)
def test_each_answer_has_one_consequence_and_says_it_in_words(
    product: str, status: int, body: str, expected: Next, words: str
) -> None:
    verdict = behaviour(product).classify(status, body)

    assert verdict.next is expected
    assert words in verdict.reason
    assert "{" not in verdict.reason


def test_every_refusal_says_what_to_do_next() -> None:
    for product in ("canvas", "moodle", "openedx", "other"):
        for rule in behaviour(product).rules:
            if rule.verdict.next is Next.REFUSED:
                assert rule.verdict.reason.rstrip(".").endswith(("press Send again", "to the course again"))


def test_silence_is_tried_again_and_looked_at_first_if_the_score_may_have_arrived() -> None:
    canvas = behaviour("canvas")

    late = canvas.classify(None, "No answer in time.", timed_out=True)
    down = canvas.classify(None, "Could not connect.")

    assert (late.next, late.read_first) == (Next.RETRY, True)
    assert (down.next, down.read_first) == (Next.RETRY, False)


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        (400, '{"error": "invalid_scope"}', Next.REFUSED, "allow grade services"),
        (401, '{"error": "invalid_client"}', Next.REFUSED, "client id"),
        (
            400,
            '{"error":"invalid_request","error_description":"JWS signature invalid."}',
            Next.REFUSED,
            "key address",
        ),
        (403, "403 Forbidden (Rate Limit Exceeded)", Next.RETRY, "busy"),
        (502, "", Next.RETRY, "busy"),
    ],
)
def test_a_refused_token_is_told_from_a_refused_score(
    status: int, body: str, expected: Next, words: str
) -> None:
    verdict = behaviour("canvas").classify(status, body, at_token=True)

    assert verdict.next is expected
    assert words in verdict.reason


def test_what_the_recorded_moodle_answered_is_classified() -> None:
    calls = json.loads((RECORDINGS / "services.json").read_text(encoding="utf-8"))
    answers = {call["label"]: call["response"] for call in calls}
    moodle = behaviour("moodle")

    verdicts = {
        label: moodle.classify(answers[label]["status"], answers[label]["body"] or "").next
        for label in (
            "score-ok",
            "score-same-ts",
            "score-no-user",
            "score-bad-token",
            "score-no-ct",
            "score-on-deleted",
        )
    }

    assert verdicts == {
        "score-ok": Next.ACCEPTED,
        "score-same-ts": Next.CONFLICT,
        "score-no-user": Next.REFUSED,
        "score-bad-token": Next.NEW_TOKEN,
        "score-no-ct": Next.REFUSED,
        "score-on-deleted": Next.GONE,
    }


def test_an_assessed_score_changes_canvas_attempt_and_never_yields_to_an_earlier_grade() -> None:
    extensions = behaviour("canvas").score_extensions()

    assert extensions == {"https://canvas.instructure.com/lti/submission": {"new_submission": False}}


def test_other_products_need_nothing_besides_the_standard_fields() -> None:
    assert [behaviour(product).score_extensions() for product in ("moodle", "openedx", "other")] == [
        {},
        {},
        {},
    ]
