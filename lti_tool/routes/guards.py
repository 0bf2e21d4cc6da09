"""Who may open which page. Every view carries exactly one guard; a test walks the URL map and finds those that do not.

A guard opens the visit (the launch named in the path, in the browser it was bound to), checks the role, checks the
form token of every POST, and hands the view a ``Visit`` instead of the launch id.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import Any, TypeVar

from flask import g, request, url_for
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.errors import ActivityUnset, DeskClosed, FormStale, RoleRefused
from lti_tool.lti.claims import DEEP_LINKING
from lti_tool.lti.models import Launch
from lti_tool.lti.roles import CourseRole
from lti_tool.lti.sessions import COOKIE_NAME, new_browser_cookie, open_launch
from lti_tool.people.models import Account, Course
from lti_tool.people.service import may_open_desk
from lti_tool.settings import current

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])


class Who(StrEnum):
    """Who a page is for."""

    ANYONE = "anyone"
    PLATFORM = "platform"
    """A message of a platform, which proves itself by its signature and state instead of our form token."""
    VISITOR = "visitor"
    """Whoever came by a launch, in any role."""
    EARNER = "earner"
    FACULTY = "faculty"
    PICKER = "picker"
    REGISTRAR = "registrar"


@dataclass(frozen=True)
class Visit:
    """A person here by a launch. ``placement`` is None outside an activity, ``course`` outside a course."""

    launch: Launch
    account: Account
    course: Course | None
    placement: Placement | None

    @property
    def launch_id(self) -> str:
        return self.launch.id

    @property
    def person_id(self) -> int:
        return self.account.person_id

    @property
    def role(self) -> str:
        return self.launch.role

    @property
    def activity(self) -> Placement:
        """The activity, on pages that a guard keeps to activities."""
        assert self.placement is not None
        return self.placement

    def url(self, endpoint: str, **values: Any) -> str:
        """An address inside this visit."""
        return url_for(endpoint, launch=self.launch.id, **values)


def allow(who: Who) -> Callable[[View], View]:
    """Guard a view. Views of a launch get the ``Visit`` as their first argument."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(**path: Any) -> ResponseReturnValue:
            if who is Who.PLATFORM:
                return view(**path)
            if who is Who.ANYONE:
                _check_form()
                return view(**path)
            visit = _visit(path.pop("launch"))
            g.visit = visit
            _admit(who, visit)
            _check_form()
            return view(visit, **path)

        guarded.allowed = who  # type: ignore[attr-defined]  # read by the test that walks the URL map
        return guarded  # type: ignore[return-value]  # the launch id became a Visit, which no type variable can say

    return guard


def browser() -> str:
    """This browser's one random cookie; a fresh one is set with the answer."""
    value = request.cookies.get(COOKIE_NAME) or g.get("new_browser")
    if value is None:
        value = g.new_browser = new_browser_cookie()
    return str(value)


def form_token() -> str:
    """What a form must send back: only a page that this browser got from us can know it."""
    key = current().secret_key.encode()
    return hmac.new(key, b"form:" + browser().encode(), hashlib.sha256).hexdigest()


def _check_form() -> None:
    if request.method != "POST":
        return
    # As bytes: compared as text, a letter outside ASCII would be a fault of ours instead of a stale form.
    if not hmac.compare_digest(request.form.get("csrf_token", "").encode(), form_token().encode()):
        raise FormStale


def _visit(launch_id: str) -> Visit:
    launch = open_launch(launch_id, browser_cookie=request.cookies.get(COOKIE_NAME), now=clock.now())
    account = db.session.get(Account, launch.account_id)
    assert account is not None
    return Visit(
        launch=launch,
        account=account,
        course=None if launch.course_id is None else db.session.get(Course, launch.course_id),
        placement=None if launch.placement_id is None else db.session.get(Placement, launch.placement_id),
    )


def _admit(who: Who, visit: Visit) -> None:
    match who:
        case Who.EARNER:
            _need_role(visit, CourseRole.LEARNER)
            _need_activity(visit)
        case Who.FACULTY:
            _need_role(visit, CourseRole.INSTRUCTOR)
            _need_activity(visit)
        case Who.PICKER:
            _need_role(visit, CourseRole.INSTRUCTOR, CourseRole.DESIGNER, CourseRole.ADMINISTRATOR)
            if visit.launch.message_type != DEEP_LINKING:
                raise RoleRefused
        case Who.REGISTRAR:
            if not visit.launch.administrator:
                raise RoleRefused
            if not may_open_desk(visit.launch):
                raise DeskClosed


def _need_role(visit: Visit, *roles: CourseRole) -> None:
    if visit.role not in roles:
        raise RoleRefused


def _need_activity(visit: Visit) -> None:
    if visit.placement is None:
        raise ActivityUnset
