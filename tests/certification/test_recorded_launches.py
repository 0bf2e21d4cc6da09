"""What a real Moodle sent, signed again with a key of ours and dated now, is accepted and understood."""

import pytest

from lti_tool.lti.claims import DEEP_LINKING, RESOURCE_LINK, LaunchMessage
from lti_tool.lti.roles import CourseRole
from tests.lti.conftest import Door, recorded


@pytest.mark.parametrize(
    ("recording", "subject", "role", "administrator"),
    [
        ("launch-learner.json", "5", CourseRole.LEARNER, False),
        ("launch-instructor.json", "3", CourseRole.INSTRUCTOR, False),
        ("launch-deep-linking.json", "3", CourseRole.INSTRUCTOR, False),
        ("claims-after-course-copy.json", "2", CourseRole.INSTRUCTOR, True),
        ("claims-non-editing-teacher.json", "4", CourseRole.INSTRUCTOR, False),
        ("claims-site-admin.json", "2", CourseRole.INSTRUCTOR, True),
    ],
)
def test_every_recorded_launch_is_accepted(
    door: Door, recording: str, subject: str, role: CourseRole, administrator: bool
) -> None:
    visit, message = door.launch(recorded(recording))

    assert (visit.subject, visit.role, visit.administrator) == (subject, role, administrator)
    assert message.is_administrator is administrator


def test_a_learner_s_launch_says_all_that_the_tool_needs(door: Door) -> None:
    visit, message = door.launch(recorded("launch-learner.json"))

    assert visit.message_type == RESOURCE_LINK
    assert (message.name, message.email, message.person_sis) == (
        "Sam1 Student1",
        "stud1@example.edu",
        "S1001",
    )
    assert message.section_sis == "SIS-SPED4500-01"
    assert message.course is not None
    assert (message.course.id, message.course.label) == ("2", "SPED4500")
    assert message.resource_link is not None
    assert (message.resource_link.id, message.resource_link.title) == ("1", "UDL micro-credential")
    assert message.credential_key == "udl-1"
    assert message.ags is not None
    assert message.ags.lineitem == (
        "http://moodle.localhost:8080/mod/lti/services.php/2/lineitems/2/lineitem?type_id=1"
    )
    assert visit.frame_ancestors == ["http://moodle.localhost:8080"]


def test_a_variable_that_moodle_did_not_substitute_is_absent_and_an_empty_one_is_empty(door: Door) -> None:
    _, message = door.launch(recorded("launch-learner.json"))

    assert "rl_history" not in message.custom
    assert message.custom["ctx_history"] == ""


def test_a_copied_course_still_names_the_micro_credential_and_its_origin(door: Door) -> None:
    _, message = door.launch(recorded("claims-after-course-copy.json"))

    assert message.credential_key == "udl-1"
    assert message.custom["ctx_history"] == "2"
    assert message.course is not None
    assert message.course.id == "3"


def test_a_deep_linking_launch_keeps_the_return_address_byte_for_byte(door: Door) -> None:
    visit, message = door.launch(recorded("launch-deep-linking.json"))

    assert visit.message_type == DEEP_LINKING
    assert message.deep_linking is not None
    assert message.deep_linking.return_url == (
        "http://moodle.localhost:8080/mod/lti/contentitem_return.php?course=2&id=1&sesskey=dLSPlfGqUn"
    )
    assert message.deep_linking.data is None
    assert message.deep_linking.accept_lineitem is None


def test_names_and_e_mail_are_not_stored_with_the_visit_and_everything_else_comes_back(door: Door) -> None:
    visit, message = door.launch(recorded("launch-learner.json"))

    stored = LaunchMessage.from_map(visit.claims)

    assert "Sam1" not in str(visit.claims)
    assert "example.edu" not in str(visit.claims)
    assert stored.course == message.course
    assert stored.ags == message.ags
    assert stored.roles == message.roles
