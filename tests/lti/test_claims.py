from typing import Any

import pytest

from lti_tool.lti.claims import LaunchMessage, from_claims
from tests.lti.platform_double import AGS, DEEP_LINKING, LTI, PUBLIC_URL

CANVAS: dict[str, Any] = {
    "iss": "https://canvas.instructure.com",
    "aud": "10000000000042",
    "sub": "a445ca99-1a64-4697-9bfa-508a118245ea",
    LTI + "version": "1.3.0",
    LTI + "message_type": "LtiResourceLinkRequest",
    LTI + "deployment_id": "106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb",
    LTI + "target_link_uri": PUBLIC_URL + "/lti/launch?credential=udl-1",
    LTI + "roles": [
        "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner",
        "http://purl.imsglobal.org/vocab/lti/system/person#TestUser",
    ],
    LTI + "context": {
        "id": "4dde05e8ca1973bcca9bffc13e1548820eee93a3",
        "label": "SPED4500",
        "title": "Assistive Technology",
        "type": ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"],
        "validation_context": None,
        "errors": {"errors": {}},
    },
    LTI + "resource_link": {
        "id": "66dd0f6c-2b9b-4a0f-9d0b-2c3d0a3f1f77",
        "title": "UDL",
        "description": None,
        "validation_context": None,
        "errors": {"errors": {}},
    },
    LTI + "lis": {"person_sourcedid": "$Person.sourcedId", "course_offering_sourcedid": "SIS-4500"},
    LTI + "launch_presentation": {
        "document_target": "iframe",
        "return_url": "https://northfield.instructure.com/courses/7/external_content/success",
        "locale": "en-US",
        "validation_context": None,
    },
    LTI + "custom": {
        "assignment": 1234,
        "published": True,
        "term_name": "Fall 2026",
        "term_start": "2026-08-24T06:00:00Z",
        "term_end": "$Canvas.term.endAt",
        "price": "$5 for all",
        "nothing": None,
        "nested": {"a": 1},
    },
    "https://www.instructure.com/placement": None,
}


def understood(**changes: Any) -> LaunchMessage:
    return from_claims(CANVAS | changes, client_id="10000000000042")


def test_a_canvas_launch_without_names_and_with_leftovers_is_understood() -> None:
    message = understood()

    assert message.name is None
    assert message.email is None
    assert message.course is not None
    assert message.course.title == "Assistive Technology"
    assert message.locale == "en-US"
    assert message.is_test_user


def test_custom_values_are_texts_and_what_canvas_could_not_fill_in_is_absent() -> None:
    assert understood().custom == {
        "assignment": "1234",
        "published": "true",
        "term_name": "Fall 2026",
        "term_start": "2026-08-24T06:00:00Z",
        "price": "$5 for all",
    }


def test_the_term_and_the_sis_ids_come_from_wherever_the_platform_has_them() -> None:
    message = understood()

    assert (message.term_name, message.term_start, message.term_end) == (
        "Fall 2026",
        "2026-08-24T06:00:00Z",
        None,
    )
    assert message.person_sis is None
    assert message.section_sis == "SIS-4500"
    assert understood(**{LTI + "custom": {"person_sis": "S1"}}).person_sis == "S1"


def test_a_link_that_canvas_cannot_tell_from_the_course_is_no_link() -> None:
    same_id = {"id": CANVAS[LTI + "context"]["id"], "title": "Assistive Technology"}

    claims = CANVAS | {LTI + "resource_link": same_id}

    assert from_claims(claims, client_id="10000000000042", course_as_link=True).resource_link is None


def test_elsewhere_a_link_may_have_the_number_of_its_course() -> None:
    numbered = {LTI + "context": {"id": "2"}, LTI + "resource_link": {"id": "2", "title": "UDL"}}

    link = understood(**numbered).resource_link

    assert link is not None
    assert link.id == "2"


def test_the_micro_credential_is_found_in_the_address_when_canvas_loses_the_parameter() -> None:
    assert understood().credential_key == "udl-1"
    assert understood(**{LTI + "custom": {"credential": "from-custom"}}).credential_key == "from-custom"
    assert understood(**{LTI + "target_link_uri": PUBLIC_URL + "/lti/launch"}).credential_key is None


def test_a_stack_is_named_by_the_parameter_or_by_the_address() -> None:
    address = {LTI + "target_link_uri": PUBLIC_URL + "/lti/launch?stack=family-partnership"}

    assert understood().stack_key is None
    assert understood(**address).stack_key == "family-partnership"
    assert understood(**address, **{LTI + "custom": {"stack": "from-custom"}}).stack_key == "from-custom"


@pytest.mark.parametrize(("said", "points"), [("20", 20), ("12.5", 12.5), ("1000", 1000)])
def test_what_an_activity_is_worth_is_what_was_said_when_it_was_added(said: str, points: float) -> None:
    assert understood(**{LTI + "custom": {"points": said}}).points == points


@pytest.mark.parametrize("said", ["0", "-5", "", "ten", "nan", "inf", "1001", "1e400", "$Points"])
def test_points_that_make_no_gradebook_column_are_not_said(said: str) -> None:
    assert understood(**{LTI + "custom": {"points": said}}).points is None


def test_what_no_database_can_look_for_is_dropped_from_an_address() -> None:
    address = {LTI + "target_link_uri": PUBLIC_URL + "/lti/launch?credential=udl%00-1&stack=%00"}

    assert understood(**address).credential_key == "udl-1"
    assert understood(**address).stack_key is None


@pytest.mark.parametrize("junk", [None, [], "text", 3, {"lineitem": "javascript:alert(1)", "scope": None}])
def test_a_grade_service_that_makes_no_sense_is_none(junk: Any) -> None:
    ags = understood(**{AGS: junk}).ags

    assert ags is None or (ags.lineitem, ags.lineitems, ags.scopes) == (None, None, frozenset())


def test_deep_linking_settings_of_canvas_and_of_the_specification_are_both_read() -> None:
    canvas = {
        "deep_link_return_url": "https://northfield.instructure.com/courses/7/deep_linking_response?data=eyJ0%2B",
        "accept_types": ["ltiResourceLink"],
        "accept_presentation_document_targets": ["iframe", "window"],
        "accept_media_types": "image/*,text/html",
        "accept_multiple": False,
        "validation_context": None,
    }
    request = {LTI + "message_type": "LtiDeepLinkingRequest"}

    settings = understood(**request, **{DEEP_LINKING: canvas}).deep_linking
    other = understood(
        **request,
        **{
            DEEP_LINKING: canvas
            | {"data": "", "accept_lineitem": False, "accept_types": "link, ltiResourceLink"}
        },
    ).deep_linking

    assert settings is not None
    assert settings.return_url == canvas["deep_link_return_url"]
    assert (settings.data, settings.accept_lineitem, settings.accept_multiple) == (None, None, False)
    assert settings.targets == ("iframe", "window")
    assert other is not None
    assert (other.data, other.accept_lineitem) == ("", False)
    assert other.accept_types == {"link", "ltiResourceLink"}


def test_what_is_stored_with_a_visit_comes_back_whole() -> None:
    message = understood(
        **{
            LTI + "message_type": "LtiDeepLinkingRequest",
            DEEP_LINKING: {
                "deep_link_return_url": "https://northfield.instructure.com/r",
                "accept_types": ["ltiResourceLink"],
                "data": {"any": ["thing"]},
            },
            AGS: {"scope": ["a", "b"], "lineitems": "https://northfield.instructure.com/l"},
        }
    )

    assert LaunchMessage.from_map(message.to_map()) == message


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (None, None),
        ({"notice_types_supported": ["LtiHelloWorldNotice"]}, None),
        ({"scope": []}, None),
        ({"platform_notification_service_url": "javascript:alert(1)"}, None),
        ({}, "https://canvas.example.edu/api/lti/notice-handlers/106"),
    ],
)
def test_notices_of_course_copies_are_offered_only_with_type_scope_and_address(
    service: dict[str, Any] | None, expected: str | None, learner_claims: dict[str, Any]
) -> None:
    whole = {
        "service_versions": ["1.0"],
        "platform_notification_service_url": "https://canvas.example.edu/api/lti/notice-handlers/106",
        "scope": ["https://purl.imsglobal.org/spec/lti/scope/noticehandlers"],
        "notice_types_supported": ["LtiHelloWorldNotice", "LtiContextCopyNotice"],
    }
    if service is not None:
        learner_claims[LTI + "platformnotificationservice"] = whole | service

    assert from_claims(learner_claims, client_id="x").notices == expected


@pytest.mark.parametrize(
    ("said", "origins"),
    [
        (None, ()),
        ("", ()),
        ("$Context.id.history", ()),
        ("2", ("2",)),
        ("b,a,b, c", ("b", "a", "c")),
        ("b,truncated", ("b",)),
        ("timed out", ()),
    ],
)
def test_what_a_course_was_copied_from_is_read_from_the_history(
    said: str | None, origins: tuple[str, ...], learner_claims: dict[str, Any]
) -> None:
    learner_claims[LTI + "custom"] = {} if said is None else {"context_history": said}

    assert from_claims(learner_claims, client_id="x").origins == origins
