import pytest

from lti_tool.lti.roles import CourseRole, is_administrator, role_in_course

LIS = "http://purl.imsglobal.org/vocab/lis/v2/"
INSTRUCTOR = LIS + "membership#Instructor"
LEARNER = LIS + "membership#Learner"


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ([INSTRUCTOR], CourseRole.INSTRUCTOR),
        ([LIS + "membership/Instructor#TeachingAssistant"], CourseRole.INSTRUCTOR),
        ([LEARNER], CourseRole.LEARNER),
        ([LIS + "membership/Learner#GuestLearner"], CourseRole.LEARNER),
        ([LIS + "membership#Mentor"], CourseRole.OBSERVER),
        ([LIS + "membership#ContentDeveloper"], CourseRole.DESIGNER),
        ([LIS + "membership#Administrator"], CourseRole.INSTRUCTOR),
        ([LEARNER, LIS + "membership#Mentor"], CourseRole.LEARNER),
        ([LEARNER, INSTRUCTOR], CourseRole.INSTRUCTOR),
        ([LIS + "institution/person#Administrator"], CourseRole.ADMINISTRATOR),
        ([LIS + "system/person#SysAdmin"], CourseRole.ADMINISTRATOR),
        ([LIS + "membership#Janitor"], CourseRole.NONE),
        (["Instructor"], CourseRole.NONE),
        ([INSTRUCTOR + "x"], CourseRole.NONE),
        (["http://evil.example/membership#Instructor"], CourseRole.NONE),
        ([], CourseRole.NONE),
    ],
)
def test_the_membership_decides_who_someone_is_in_the_course(roles: list[str], expected: CourseRole) -> None:
    assert role_in_course(roles) is expected


def test_someone_who_teaches_elsewhere_is_a_learner_here() -> None:
    canvas = [LEARNER, LIS + "institution/person#Instructor", LIS + "system/person#User"]

    assert role_in_course(canvas) is CourseRole.LEARNER
    assert not is_administrator(canvas)


def test_moodle_s_administrator_teaches_the_course_and_is_an_administrator_besides() -> None:
    moodle = [LIS + "institution/person#Administrator", INSTRUCTOR, LIS + "system/person#Administrator"]

    assert role_in_course(moodle) is CourseRole.INSTRUCTOR
    assert is_administrator(moodle)


def test_running_one_course_makes_nobody_an_administrator() -> None:
    assert not is_administrator([LIS + "membership#Administrator", INSTRUCTOR])
