"""What a person may do in a course, from the role URIs of a launch.

Only ``membership`` URIs speak about this course. Canvas also sends what someone is elsewhere in the
institution (a student here who teaches there), Moodle gives a site administrator ``membership#Instructor`` as
well, and Open edX gives its course team ``membership#Administrator``.
Vocabulary: https://www.imsglobal.org/spec/lti/v1p3/#role-vocabularies
"""

import re
from collections.abc import Iterable
from enum import StrEnum

_VOCABULARY = "http://purl.imsglobal.org/vocab/lis/v2/"
_MEMBERSHIP = re.compile(re.escape(_VOCABULARY) + r"membership(?:#(\w+)|/(\w+)#\w+)")
_ADMINISTRATORS = frozenset(
    _VOCABULARY + end
    for end in (
        "institution/person#Administrator",
        "institution/person#SysAdmin",
        "system/person#Administrator",
        "system/person#SysAdmin",
    )
)
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"


class CourseRole(StrEnum):
    """What someone is in one course. The values stand in ``launch.role``."""

    INSTRUCTOR = "instructor"
    DESIGNER = "designer"
    LEARNER = "learner"
    OBSERVER = "observer"
    ADMINISTRATOR = "administrator"
    NONE = "none"


ROLE_LABELS = {
    CourseRole.INSTRUCTOR.value: "Instructor",
    CourseRole.LEARNER.value: "Learner",
    CourseRole.ADMINISTRATOR.value: "Administrator",
    CourseRole.DESIGNER.value: "Course designer",
    CourseRole.OBSERVER.value: "Observer",
}
"""What pages call somebody."""


# Someone with several roles gets the first of these. A context administrator runs the course, as Open edX's
# staff do; that opens no registrar's desk, for which is_administrator and the access list are asked.
_ORDER = (
    ("Instructor", CourseRole.INSTRUCTOR),
    ("TeachingAssistant", CourseRole.INSTRUCTOR),
    ("Administrator", CourseRole.INSTRUCTOR),
    ("ContentDeveloper", CourseRole.DESIGNER),
    ("Learner", CourseRole.LEARNER),
    ("Mentor", CourseRole.OBSERVER),
)


def role_in_course(roles: Iterable[str]) -> CourseRole:
    """The one role that decides in the course; ADMINISTRATOR only for an administrator without any
    membership."""
    roles = frozenset(roles)
    held = {match[1] or match[2] for role in roles if (match := _MEMBERSHIP.fullmatch(role))}
    for name, role in _ORDER:
        if name in held:
            return role
    return CourseRole.ADMINISTRATOR if is_administrator(roles) else CourseRole.NONE


def role_among_members(roles: Iterable[str]) -> CourseRole:
    """The same for a list of people, where platforms may say ``Learner`` for the whole URI (NRPS 2.0, section
    2.2)."""
    return role_in_course(
        role if ":" in role else f"{_VOCABULARY}membership#{role.rpartition('#')[2]}" for role in roles
    )


def is_administrator(roles: Iterable[str]) -> bool:
    """Whether the platform calls this person an administrator of the institution or of the system.

    Kept besides the course role, since Moodle's administrator is an instructor of every course too.
    """
    return not _ADMINISTRATORS.isdisjoint(roles)
