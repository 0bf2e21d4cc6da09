from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import jwt
import pytest
from flask import Flask

from lti_tool import errors
from lti_tool.database import db
from lti_tool.lti import keys
from lti_tool.lti.deep_linking import LinkItem, response_jwt, settings_of
from lti_tool.lti.models import Launch
from tests.lti.conftest import NOW, Door, recorded
from tests.lti.platform_double import CLIENT_ID, DEEP_LINKING, ISSUER, LTI, PUBLIC_URL

DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
ITEM = LinkItem(
    title="Universal Design for Learning in one lesson",
    text="Plan and reflect on one lesson.",
    credential_keys=("udl-1",),
    label="UDL in one lesson",
    points=10,
)


def picking(door: Door, **changes: Any) -> Launch:
    visit, _ = door.launch(
        recorded("launch-deep-linking.json"), lambda claims: claims[DEEP_LINKING].update(changes)
    )
    return visit


def opened(token: str) -> dict[str, Any]:
    """The answer as the platform reads it, with the key that we publish."""
    published = {jwk["kid"]: jwk for jwk in keys.public_jwks()["keys"]}
    kid = jwt.get_unverified_header(token)["kid"]
    return jwt.decode(
        token,
        jwt.PyJWK(published[kid]),
        ["RS256"],
        audience=ISSUER,
        issuer=CLIENT_ID,
        options={"verify_exp": False, "verify_iat": False},
    )


def test_a_choice_becomes_an_activity_with_a_gradebook_column(door: Door) -> None:
    answer = opened(response_jwt(picking(door), [ITEM], now=NOW))

    assert answer[LTI + "message_type"] == "LtiDeepLinkingResponse"
    assert answer[LTI + "version"] == "1.3.0"
    assert answer[LTI + "deployment_id"] == "1"
    assert answer["nonce"]
    assert 0 < answer["exp"] - answer["iat"] <= 300
    assert answer[DL + "content_items"] == [
        {
            "type": "ltiResourceLink",
            "title": "Universal Design for Learning in one lesson",
            "text": "Plan and reflect on one lesson.",
            "url": PUBLIC_URL + "/lti/launch?credential=udl-1",
            "custom": {"credential": "udl-1", "context_history": "$Context.id.history", "points": "10"},
            "lineItem": {
                "scoreMaximum": 10.0,
                "label": "UDL in one lesson",
                "resourceId": "tessera:udl-1",
                "submissionReview": {
                    "reviewableStatus": ["Submitted", "Completed"],
                    "label": "Review in Tessera",
                },
            },
        }
    ]


def test_the_activity_that_was_made_is_recognized_when_it_is_opened(
    door: Door, learner_claims: dict[str, Any]
) -> None:
    [item] = opened(response_jwt(picking(door), [ITEM], now=NOW))[DL + "content_items"]

    _, message = door.launch(
        learner_claims,
        lambda claims: claims.update({LTI + "target_link_uri": item["url"], LTI + "custom": {}}),
    )

    assert message.credential_key == "udl-1"


def test_a_choice_is_one_activity_that_names_every_micro_credential(
    door: Door, learner_claims: dict[str, Any]
) -> None:
    choice = replace(ITEM, credential_keys=("udl-1", "fading-prompts"), points=Decimal("12.50"))

    [item] = opened(response_jwt(picking(door), [choice], now=NOW))[DL + "content_items"]

    assert item["custom"]["credential"] == "udl-1,fading-prompts"
    assert item["custom"]["points"] == "12.5"
    assert item["lineItem"]["scoreMaximum"] == 12.5
    assert item["lineItem"]["resourceId"].startswith("tessera:choice:")
    _, message = door.launch(
        learner_claims,
        lambda claims: claims.update({LTI + "target_link_uri": item["url"], LTI + "custom": {}}),
    )
    assert message.credential_key == "udl-1,fading-prompts"


def test_a_choice_has_the_same_name_in_whatever_order_it_was_picked() -> None:
    there, back = (LinkItem(title="", credential_keys=keys) for keys in (("a", "b"), ("b", "a")))

    assert there.resource_id == back.resource_id


def test_a_stack_is_named_in_the_parameter_and_in_the_address(
    door: Door, learner_claims: dict[str, Any]
) -> None:
    stack = LinkItem(title="Family Partnership", stack_key="family-partnership", points=10)

    [item] = opened(response_jwt(picking(door), [stack], now=NOW))[DL + "content_items"]

    assert item["custom"]["stack"] == "family-partnership"
    assert "credential" not in item["custom"]
    _, message = door.launch(
        learner_claims,
        lambda claims: claims.update({LTI + "target_link_uri": item["url"], LTI + "custom": {}}),
    )
    assert message.stack_key == "family-partnership"


def test_a_due_date_goes_out_in_utc(door: Door) -> None:
    due = datetime(2026, 12, 1, 23, 59, tzinfo=timezone(timedelta(hours=-7)))

    [item] = opened(response_jwt(picking(door), [replace(ITEM, due_at=due)], now=NOW))[DL + "content_items"]

    assert item["submission"] == {"endDateTime": "2026-12-02T06:59:00Z"}


@pytest.mark.parametrize(
    ("targets", "window"),
    [(["iframe", "window"], False), (["window"], True), ([], False), (["embed", "window"], False)],
)
def test_an_activity_opens_in_a_window_of_its_own_only_where_no_frame_is_offered(
    door: Door, targets: list[str], window: bool
) -> None:
    visit = picking(door, accept_presentation_document_targets=targets)

    [item] = opened(response_jwt(visit, [ITEM], now=NOW))[DL + "content_items"]

    assert ("window" in item) is window


@pytest.mark.parametrize(("said", "has_column"), [(None, True), (True, True), (False, False)])
def test_a_column_is_left_out_only_where_the_platform_says_no(
    door: Door, said: bool | None, has_column: bool
) -> None:
    changes = {} if said is None else {"accept_lineitem": said}

    [item] = opened(response_jwt(picking(door, **changes), [ITEM], now=NOW))[DL + "content_items"]

    assert ("lineItem" in item) is has_column
    assert ("points" in item["custom"]) is has_column


@pytest.mark.parametrize("data", ["", "opaque=1&é", "csrftoken:c7fbba78-7b75-46e3-9201-11e6d5f36f53"])
def test_data_goes_back_exactly_as_it_came(door: Door, data: str) -> None:
    assert opened(response_jwt(picking(door, data=data), [ITEM], now=NOW))[DL + "data"] == data


def test_data_that_did_not_come_does_not_go_back(door: Door) -> None:
    assert DL + "data" not in opened(response_jwt(picking(door), [ITEM], now=NOW))


def test_choosing_nothing_is_an_answer_too_and_may_say_why(door: Door) -> None:
    answer = opened(response_jwt(picking(door), [], now=NOW, message="Nothing added.", error="No luck."))

    assert answer[DL + "content_items"] == []
    assert (answer[DL + "msg"], answer[DL + "errormsg"]) == ("Nothing added.", "No luck.")


def test_a_long_column_name_is_cut(door: Door) -> None:
    unnamed = LinkItem(title="A micro-credential with quite a long title", credential_keys=("x",), points=1)

    [item] = opened(response_jwt(picking(door), [unnamed], now=NOW))[DL + "content_items"]

    assert item["lineItem"]["label"] == "A micro-credential with quite…"


def test_canvas_is_asked_for_its_term(door: Door) -> None:
    visit = picking(door)
    visit.deployment.registration.platform.product = "canvas"
    db.session.commit()

    [item] = opened(response_jwt(visit, [ITEM], now=NOW))[DL + "content_items"]

    assert "submissionReview" not in item["lineItem"]  # It launches an address of the submission instead.
    assert item["custom"]["term_name"] == "$Canvas.term.name"
    assert all(isinstance(value, str) for value in item["custom"].values())


@pytest.mark.parametrize(
    ("changes", "items", "words"),
    [
        ({"accept_multiple": False}, [ITEM, ITEM], "one activity at a time"),
        ({"accept_types": ["file", "html"]}, [ITEM], "does not accept activities"),
    ],
)
def test_what_the_platform_would_not_take_is_refused_before_it_is_sent(
    door: Door, changes: dict[str, Any], items: list[LinkItem], words: str
) -> None:
    visit = picking(door, **changes)

    with pytest.raises(errors.SelectionRefused, match=words):
        response_jwt(visit, items, now=NOW)


def test_an_ordinary_visit_cannot_choose(app: Flask, door: Door, learner_claims: dict[str, Any]) -> None:
    visit, _ = door.launch(learner_claims)

    with pytest.raises(errors.SelectionRefused):
        settings_of(visit)
