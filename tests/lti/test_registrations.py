from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool import errors
from lti_tool.database import db
from lti_tool.lti import registrations
from lti_tool.lti.models import Platform, Registration
from tests.lti.conftest import NOW

CANVAS: dict[str, Any] = {
    "name": "Northfield",
    "product": "canvas",
    "issuer": "https://canvas.instructure.com",
    "client_id": "10000000000042",
    "auth_url": "https://sso.canvaslms.com/api/lti/authorize_redirect",
    "token_url": "https://northfield.instructure.com/login/oauth2/token",
    "jwks_url": "https://sso.canvaslms.com/api/lti/security/jwks",
    "deployment_ids": ["106:8865aa05"],
    "now": NOW,
}


def add(**changes: Any) -> Registration:
    return registrations.add_platform(**(CANVAS | changes))


def test_adding_the_same_platform_twice_changes_nothing(app: Flask) -> None:
    first = add()

    assert add() is first
    assert len(registrations.list_platforms()) == 1


def test_a_further_deployment_is_added_and_none_taken_away(app: Flask) -> None:
    add()

    add(deployment_ids=["107:bb", "107:bb"])

    assert registrations.list_platforms()[0].deployment_ids == ("106:8865aa05", "107:bb")


def test_a_second_client_id_belongs_to_the_same_platform(app: Flask) -> None:
    add(product="openedx")
    add(product="openedx", client_id="block-2")

    assert [view.client_id for view in registrations.list_platforms()] == ["10000000000042", "block-2"]
    assert db.session.scalar(select(func.count()).select_from(Platform)) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token_url": "https://other.example/token"}, "token_url is 'https://northfield"),
        ({"token_audience": "https://x.example"}, "token_audience is None"),
        ({"name": "Southfield"}, "name is 'Northfield'"),
        ({"product": "moodle"}, "already known as canvas"),
        ({"product": "blackbird"}, "canvas, moodle, openedx, other"),
        ({"jwks_url": "northfield/jwks"}, "not a web address"),
        ({"issuer": " "}, "issuer is missing"),
        ({"deployment_ids": ["é"]}, "not a deployment id"),
    ],
)
def test_a_contradiction_or_an_impossible_value_is_refused_in_one_clear_line(
    app: Flask, changes: dict[str, Any], words: str
) -> None:
    add()

    with pytest.raises(registrations.RegistrationConflict) as refused:
        add(**changes)

    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(registrations.list_platforms()) == 1


def test_two_schools_of_hosted_canvas_share_an_issuer_and_need_their_client_ids(app: Flask) -> None:
    first = add()
    second = add(name="Southfield", client_id="10000000000099")

    assert registrations.find("https://canvas.instructure.com", "10000000000042") is first
    assert registrations.find("https://canvas.instructure.com", "10000000000099") is second
    with pytest.raises(errors.PlatformUnknown):
        registrations.find("https://canvas.instructure.com", None)


def test_the_list_holds_everything_an_operator_typed(app: Flask) -> None:
    add(token_audience="https://northfield.example")

    [view] = registrations.list_platforms()

    assert (view.name, view.product, view.token_audience) == (
        "Northfield",
        "canvas",
        "https://northfield.example",
    )
