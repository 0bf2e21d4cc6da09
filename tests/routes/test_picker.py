"""Choosing from the catalogue: what goes back to the platform, and what does not."""

import re
from typing import Any

import jwt
import pytest
from flask import Flask

from tests.support.cast import Campus
from tests.support.visits import Browser, visit_as

RETURN = "https://canvas.example.edu/deep_linking_response?data=abc"
ITEMS = "https://purl.imsglobal.org/spec/lti-dl/claim/content_items"


def choosing(app: Flask, campus: Campus, who: str = "ingrid", **settings: Any) -> Browser:
    """A deep linking visit, as a launch leaves it."""
    wanted = {"return_url": RETURN, "accept_types": ["ltiResourceLink"], "targets": ["iframe"]} | settings
    claims = {
        "message_type": "deep_linking",
        "issuer": "https://canvas.example.edu",
        "client_id": "10000000000042",
        "deployment_id": "1",
        "subject": who,
        "roles": [],
        "custom": {},
        "target_link_uri": "http://tool.localhost:8700/lti/launch",
        "deep_linking": wanted,
    }
    return visit_as(app, campus, who, message_type="deep_linking", claims=claims)


def handed_back(page: str) -> list[dict[str, Any]]:
    """What the page posts to the platform."""
    assert f'action="{RETURN}"' in page
    token = re.search(r'name="JWT" value="([^"]+)"', page)
    assert token is not None
    items: list[dict[str, Any]] = jwt.decode(token[1], options={"verify_signature": False})[ITEMS]
    return items


@pytest.fixture
def picker(app: Flask, campus: Campus) -> Browser:
    return choosing(app, campus)


def test_the_whole_catalogue_is_offered_with_hours_and_whether_children_are_involved(picker: Browser) -> None:
    page = picker.get("/select").text

    assert page.count('type="radio"') == 4
    assert "children are involved" in page
    assert "can be done without children" in page


def test_a_choice_goes_back_with_its_column_and_its_name_in_two_places(picker: Browser) -> None:
    answer = picker.post("/select", {"credential": "udl-variability"})

    (item,) = handed_back(answer.text)
    assert item["custom"]["credential"] == "udl-variability"
    assert item["url"].endswith("/lti/launch?credential=udl-variability")
    assert item["lineItem"]["scoreMaximum"] == 10
    assert len(item["lineItem"]["label"]) <= 30
    assert "form-action" not in answer.headers["Content-Security-Policy"]


def test_cancel_hands_back_nothing_politely(picker: Browser) -> None:
    assert handed_back(picker.post("/select", {"cancel": "1", "credential": "udl-variability"}).text) == []


def test_choosing_nothing_is_told_on_the_page_itself(picker: Browser) -> None:
    answer = picker.post("/select")

    assert answer.status_code == 422
    assert "Choose a micro-credential first." in answer.text


def test_several_are_offered_only_where_the_platform_takes_several(app: Flask, campus: Campus) -> None:
    keys = ["udl-variability", "fading-prompts"]
    one, many = choosing(app, campus), choosing(app, campus, accept_multiple=True)

    assert 'type="checkbox"' in many.get("/select").text
    assert len(handed_back(many.post("/select", {"credential": keys}).text)) == 2
    refused = one.post("/select", {"credential": keys})
    assert refused.status_code == 422
    assert "one" in refused.text


def test_an_unknown_micro_credential_is_not_there(picker: Browser) -> None:
    assert picker.post("/select", {"credential": "no-such-thing"}).status_code == 404


def test_a_learner_cannot_add_anything(app: Flask, campus: Campus) -> None:
    lena = choosing(app, campus, "lena")

    assert lena.get("/select").status_code == 403
    assert lena.post("/select", {"credential": "udl-variability"}).status_code == 403


def test_an_ordinary_visit_adds_nothing(app: Flask, campus: Campus) -> None:
    assert visit_as(app, campus, "ingrid").get("/select").status_code == 403
