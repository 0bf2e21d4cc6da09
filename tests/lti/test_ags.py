import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from threading import Event
from typing import Any

import pytest

from lti_tool.database import db
from lti_tool.lti import ags
from lti_tool.lti.ags import Result, ScorePayload
from lti_tool.lti.answers import ServiceAnswer
from lti_tool.lti.models import Registration
from tests.lti.conftest import NOW, RECORDINGS
from tests.lti.platform_double import Asked, FakePlatform, Reply

ITEM = "/mod/lti/services.php/2/lineitems/2/lineitem"
PAYLOAD = ScorePayload(
    user_id="5",
    timestamp=NOW + timedelta(microseconds=123456),
    score_given=Decimal("8.000"),
    score_maximum=Decimal("10.000"),
    comment="Clear and complete.",
    submitted_at=datetime(2026, 11, 20, 9, 30, tzinfo=timezone(timedelta(hours=-7))),
)


def post(
    registration: Registration, platform: FakePlatform, payload: ScorePayload = PAYLOAD
) -> ServiceAnswer:
    return ags.post_score(registration.id, platform.url + ITEM + "?type_id=1", payload, now=NOW, timeout=5)


def read(registration: Registration, platform: FakePlatform) -> tuple[ServiceAnswer, Result | None]:
    return ags.read_results(
        registration.id, platform.url + ITEM + "?type_id=1", user_id="5", now=NOW, timeout=5
    )


def test_a_score_goes_below_the_path_and_the_query_stays(
    registration: Registration, platform: FakePlatform
) -> None:
    platform.answers[ITEM + "/scores"] = lambda _: Reply()

    answer = post(registration, platform)

    assert (answer.status, answer.sent, answer.timed_out) == (200, True, False)
    [asked] = platform.asked_at(ITEM + "/scores")
    assert asked.path == ITEM + "/scores?type_id=1"
    assert asked.headers["Content-Type"] == "application/vnd.ims.lis.v1.score+json"
    assert asked.headers["Authorization"] == "Bearer token-1"
    assert json.loads(asked.body) == {
        "userId": "5",
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
        "timestamp": "2026-11-21T20:00:00.123+00:00",
        "scoreGiven": 8,
        "scoreMaximum": 10,
        "comment": "Clear and complete.",
        "submission": {"submittedAt": "2026-11-20T16:30:00.000+00:00"},
    }


@pytest.mark.parametrize(
    ("given", "sent"), [(0, 0), (Decimal("0"), 0), (2.5, 2.5), (Decimal("6.6666667"), 6.6667)]
)
def test_zero_is_a_score_and_fractions_are_rounded_only_here(given: Any, sent: float) -> None:
    body = ScorePayload(user_id="5", timestamp=NOW, score_given=given, score_maximum=10).to_json()

    assert body["scoreGiven"] == sent


def test_no_score_is_not_zero() -> None:
    body = ScorePayload(user_id="5", timestamp=NOW, activity_progress="Submitted").to_json()

    assert not {"scoreGiven", "scoreMaximum", "comment", "submission"} & set(body)


def test_scores_share_one_token(registration: Registration, platform: FakePlatform) -> None:
    platform.answers[ITEM + "/scores"] = lambda _: Reply()

    for _ in range(3):
        post(registration, platform)

    assert len(platform.asked_at("/token")) == 1


def test_a_token_that_the_platform_dropped_is_replaced_once(
    registration: Registration, platform: FakePlatform
) -> None:
    platform.answers[ITEM + "/scores"] = lambda asked: Reply(
        200 if asked.headers["Authorization"] == "Bearer token-2" else 401
    )

    assert post(registration, platform).status == 200
    assert post(registration, platform).status == 200
    assert len(platform.asked_at("/token")) == 2


def test_a_platform_that_refuses_every_token_is_not_asked_for_ever(
    registration: Registration, platform: FakePlatform
) -> None:
    platform.answers[ITEM + "/scores"] = lambda _: Reply(401, b"no")

    answer = post(registration, platform)

    assert answer.status == 401
    assert len(platform.asked_at(ITEM + "/scores")) == 2


def test_a_refusal_that_no_token_mends_is_not_repeated(
    registration: Registration, platform: FakePlatform
) -> None:
    registration.platform.product = "canvas"
    db.session.commit()
    platform.answers[ITEM + "/scores"] = lambda _: Reply(
        401, {"errors": {"type": "unauthorized", "message": "Insufficient permissions"}}
    )

    post(registration, platform)

    assert len(platform.asked_at(ITEM + "/scores")) == 1


def test_no_connection_is_held_while_the_platform_thinks(
    registration: Registration, platform: FakePlatform
) -> None:
    pool: Any = db.engine.pool
    held: list[int] = []

    def answer(_: Asked) -> Reply:
        held.append(pool.checkedout())
        return Reply()

    platform.answers[ITEM + "/scores"] = answer
    post(registration, platform)
    post(registration, platform)

    assert held == [0, 0]


def test_the_platform_s_words_are_kept_up_to_a_limit_and_its_wish_to_wait_is_read(
    registration: Registration, platform: FakePlatform
) -> None:
    platform.answers[ITEM + "/scores"] = lambda _: Reply(503, b"x" * 5000, {"Retry-After": "120"})
    in_seconds = post(registration, platform)
    platform.answers[ITEM + "/scores"] = lambda _: Reply(
        429, b"", {"Retry-After": "Sat, 21 Nov 2026 20:05:00 GMT"}
    )
    as_date = post(registration, platform)
    platform.answers[ITEM + "/scores"] = lambda _: Reply(429, b"", {"Retry-After": "later"})
    as_nonsense = post(registration, platform)

    assert (in_seconds.status, len(in_seconds.body), in_seconds.retry_after) == (503, 2000, 120.0)
    assert as_date.retry_after == 300.0
    assert as_nonsense.retry_after is None


def test_silence_after_sending_is_told_from_not_getting_through(
    registration: Registration, platform: FakePlatform
) -> None:
    def stall(asked: Asked) -> Reply:
        platform_is_done.wait(5)
        return Reply()

    platform_is_done = Event()
    platform.answers[ITEM + "/scores"] = stall
    slow = ags.post_score(registration.id, platform.url + ITEM, PAYLOAD, now=NOW, timeout=0.3)
    platform_is_done.set()
    down = ags.post_score(registration.id, "http://127.0.0.1:9/item", PAYLOAD, now=NOW, timeout=1)

    assert (slow.status, slow.sent, slow.timed_out) == (None, True, True)
    assert (down.status, down.sent, down.timed_out) == (None, False, False)


def test_a_refused_token_is_the_answer_and_the_score_is_not_sent(
    registration: Registration, platform: FakePlatform
) -> None:
    platform.answers["/token"] = lambda _: Reply(400, {"error": "invalid_scope"})

    answer = post(registration, platform)

    assert (answer.status, answer.at_token, answer.sent) == (400, True, False)
    assert platform.asked_at(ITEM + "/scores") == []


def test_what_the_recorded_moodle_showed_after_each_score_is_read_back(
    registration: Registration, platform: FakePlatform
) -> None:
    sequence = json.loads((RECORDINGS / "score-sequence.json").read_text(encoding="utf-8"))
    shown = []

    def showing(listed: list[dict[str, Any]], _: Asked) -> Reply:
        return Reply(body=listed)

    for step in sequence:
        listed = [one | {"userId": "5"} for one in step["result_after"]]
        platform.answers[ITEM + "/results"] = partial(showing, listed)
        shown.append(read(registration, platform)[1])

    assert [result and (result.score, result.comment) for result in shown] == [
        (8.0, "first"),
        None,
        (0.0, "zero"),
        None,
        (7.0, None),
        None,
        (5.0, "half"),
        (10.0, None),
    ]


def test_results_are_asked_for_one_person_and_never_with_a_limit(
    registration: Registration, platform: FakePlatform
) -> None:
    platform.answers[ITEM + "/results"] = lambda _: Reply(body=[])

    read(registration, platform)

    [asked] = platform.asked_at(ITEM + "/results")
    assert asked.path == ITEM + "/results?type_id=1&user_id=5"
    assert asked.headers["Accept"] == "application/vnd.ims.lis.v2.resultcontainer+json"


def test_a_platform_that_answers_for_everybody_is_filtered(
    registration: Registration, platform: FakePlatform
) -> None:
    platform.answers[ITEM + "/results"] = lambda _: Reply(
        body=[{"userId": "4", "resultScore": 1}, {"userId": "5", "resultScore": 7, "resultMaximum": 10}]
    )

    assert read(registration, platform)[1] == Result(score=7.0, maximum=10.0, comment=None)


@pytest.mark.parametrize("body", [b"", b"<html>We are back at noon.", b"{}"])
def test_what_is_no_list_of_results_was_not_read_and_is_not_an_empty_gradebook(
    registration: Registration, platform: FakePlatform, body: bytes
) -> None:
    platform.answers[ITEM + "/results"] = lambda _: Reply(body=body)

    answer, result = read(registration, platform)

    assert (answer.status, answer.timed_out, result) == (None, False, None)


@pytest.mark.parametrize("body", [b"[3]", b'[{"userId": "5", "resultScore": "x"}]'])
def test_results_that_make_no_sense_are_unknown_and_never_zero(
    registration: Registration, platform: FakePlatform, body: bytes
) -> None:
    platform.answers[ITEM + "/results"] = lambda _: Reply(body=body)

    answer, result = read(registration, platform)

    assert answer.status == 200
    assert result is None or result.score is None
