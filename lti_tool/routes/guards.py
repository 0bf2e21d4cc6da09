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
from sqlalchemy import bindparam, select
from sqlalchemy.orm import lazyload

from lti_tool import clock, errors
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.addresses import origin_of
from lti_tool.lti.claims import DEEP_LINKING
from lti_tool.lti.models import Deployment, Launch
from lti_tool.lti.registrations import By
from lti_tool.lti.roles import CourseRole
from lti_tool.lti.sessions import (
    COOKIE_NAME,
    belongs,
    find_launch,
    is_launch_id,
    new_browser_cookie,
    open_launch,
)
from lti_tool.people.doors import open_stay
from lti_tool.people.models import Account, Course, Purpose
from lti_tool.people.service import may_open_desk
from lti_tool.routes.stays import Administrator, Return
from lti_tool.settings import current
from lti_tool.submissions.models import Attempt

JUST_OPENED = "opened"
"""In the query of the first page after a launch was bound to a new cookie. If none comes with that, none is kept."""
View = TypeVar("View", bound=Callable[..., ResponseReturnValue])
_ABOUT_WORK = frozenset({"choice", "work", "results", "rehearsal"})
"""Groups of pages about one piece of work, of which an activity that is a whole stack has several."""
_WORKED = select(Attempt.id).where(Attempt.person_id == Account.person_id).exists()
_VISIT = (
    select(Launch, Account, Course, Placement, _WORKED.label("worked"))
    .outerjoin(Account, Account.id == Launch.account_id)
    .outerjoin(Course, Course.id == Launch.course_id)
    .outerjoin(Placement, Placement.id == Launch.placement_id)
    .where(Launch.id == bindparam("launch_id"))
    .options(lazyload(Placement.course), lazyload(Launch.deployment))
)


class Who(StrEnum):
    """Who a page is for."""

    ANYONE = "anyone"
    PLATFORM = "platform"
    """A message of a platform, which proves itself by its signature and state instead of our form token."""
    ARRIVING = "arriving"
    """Someone whose launch was checked and who has no cookie yet, so no form token either: what they post must come
    from a page of ours, as ``Origin`` tells."""
    VISITOR = "visitor"
    """Whoever came by a launch, in any role."""
    STAFF = "staff"
    """Whoever came by a launch in another role than a learner's."""
    HOLDER = "holder"
    """Whoever may hold badges: here by a launch in any role, or by a personal link, in a stay."""
    EARNER = "earner"
    FACULTY = "faculty"
    PLACER = "placer"
    """Faculty whose link does not say which activity it is."""
    PICKER = "picker"
    REGISTRAR = "registrar"
    ADMINISTRATOR = "administrator"
    """Of one platform, by a launch; or of all of them, by the operator's one-time link."""


@dataclass(frozen=True)
class Visit:
    """A person here by a launch. ``placement`` is None outside an activity, ``course`` outside a course."""

    launch: Launch
    account: Account
    course: Course | None
    placement: Placement | None
    part: str | None = None
    """In an activity that is a whole stack: the key of the part that the page is about, where it is about one."""
    newcomer: bool = False
    """The person has never begun anything, so there is no work to look for."""

    @property
    def launch_id(self) -> str:
        return self.launch.id

    @property
    def person_id(self) -> int:
        return self.account.person_id

    @property
    def account_id(self) -> int | None:
        return self.account.id

    @property
    def role(self) -> str:
        return self.launch.role

    @property
    def rehearsal(self) -> bool:
        """Faculty in Canvas' Student View: may try everything, and nothing of it counts."""
        return self.launch.claims.get("is_test_user") is True

    @property
    def activity(self) -> Placement:
        """The activity, on pages that a guard keeps to activities."""
        assert self.placement is not None
        return self.placement

    def url(self, endpoint: str, **values: Any) -> str:
        """An address inside this visit; a page about a part of a stack leads on to pages about that part."""
        if self.part is not None and endpoint.partition(".")[0] in _ABOUT_WORK:
            values.setdefault("part", self.part)
        return url_for(endpoint, launch=self.launch.id, **values)


Holder = Visit | Return
"""Who looks at their badges. Both say whose they are and where the next page is."""


def allow(who: Who) -> Callable[[View], View]:
    """Guard a view. Views of a launch get the ``Visit`` as their first argument, those of the administrators' pages
    the ``Administrator``."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(**path: Any) -> ResponseReturnValue:
            if who is Who.ARRIVING:
                _check_origin()
            if who is Who.ANYONE:
                _check_form()
            if who in (Who.PLATFORM, Who.ARRIVING, Who.ANYONE):
                return view(**path)
            if who is Who.ADMINISTRATOR:
                administrator = g.administrator = _administrator(path)
                _check_form()
                return view(administrator, **path)
            if who is Who.HOLDER and "stay" in path:
                g.returned = _return(path.pop("stay"))
                _check_form()
                return view(g.returned, **path)
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
        raise errors.FormStale


def _check_origin() -> None:
    ours = origin_of(current().public_url)
    same = request.headers.get("Origin") == ours or request.headers.get("Sec-Fetch-Site") == "same-origin"
    if request.method == "POST" and not same:
        raise errors.FormStale


def _visit(launch_id: str) -> Visit:
    cookie = request.cookies.get(COOKIE_NAME)
    # Read in one go. Whoever asks for one of them by its id, as everything below does, finds it in the session, which
    # keeps what somebody holds.
    together = None
    if is_launch_id(launch_id):
        together = db.session.execute(_VISIT, {"launch_id": launch_id}).one_or_none()
    try:
        launch = open_launch(launch_id, browser_cookie=cookie, now=clock.now())
    except errors.SessionOver:
        _part_with(launch_id, cookie)
        raise
    g.framers = launch.frame_ancestors
    account = db.session.get(Account, launch.account_id)
    assert account is not None
    placement = None if launch.placement_id is None else db.session.get(Placement, launch.placement_id)
    course = None if launch.course_id is None else db.session.get(Course, launch.course_id)
    newcomer = together is not None and not together.worked
    return Visit(launch, account, course, placement, _part(placement), newcomer)


def _part(placement: Placement | None) -> str | None:
    key = request.args.get("part")
    if key is None or placement is None or placement.stack_id is None:
        return None
    if key not in {choice.credential.key for choice in placement.choices}:
        raise errors.NotHere
    return key


def _administrator(path: dict[str, Any]) -> Administrator:
    """By a launch only as the desk is: an administrator who is on the access list, which is asked each time."""
    if "launch" in path:
        visit = _visit(path.pop("launch"))
        g.visit = visit
        if not visit.launch.administrator:
            # An invited registrar reads and sends grades; who may do so is not theirs to say.
            raise errors.RoleRefused
        _admit(Who.REGISTRAR, visit)
        launch = visit.launch
        return Administrator(
            By(visit.account.id, "launch"), launch.deployment, launch.id, None, launch.subject
        )
    stay = open_stay(
        path.pop("stay"),
        Purpose.ADMINISTRATOR,
        browser_cookie=request.cookies.get(COOKIE_NAME),
        now=clock.now(),
    )
    deployment = None if stay.deployment_pk is None else db.session.get_one(Deployment, stay.deployment_pk)
    return Administrator(By(None, "one-time link"), deployment, None, stay.id, None)


def _part_with(launch_id: str, cookie: str | None) -> None:
    """What the page that says "over" may still know: who may frame it, and for its own browser the way back."""
    if cookie is None and JUST_OPENED in request.args:
        raise errors.CookieBlocked
    launch = find_launch(launch_id)
    if launch is not None:
        g.framers = launch.frame_ancestors
        if belongs(launch, cookie):
            # Moodle's address holds its session key, so nobody who merely has the address of the visit gets it.
            g.way_back = launch.claims.get("return_url")


def _return(stay_id: str) -> Return:
    cookie = request.cookies.get(COOKIE_NAME)
    stay = open_stay(stay_id, Purpose.BACKPACK, browser_cookie=cookie, now=clock.now())
    assert stay.person_id is not None
    return Return(stay, stay.person_id)


def _admit(who: Who, visit: Visit) -> None:
    match who:
        case Who.EARNER:
            _need_role(visit, CourseRole.LEARNER)
            _need_activity(visit)
        case Who.FACULTY:
            _need_role(visit, CourseRole.INSTRUCTOR)
            _need_activity(visit)
        case Who.PLACER:
            _need_role(visit, CourseRole.INSTRUCTOR)
            if visit.course is None or visit.launch.claims.get("resource_link") is None:
                raise errors.ActivityUnset
        case Who.PICKER:
            _need_role(visit, CourseRole.INSTRUCTOR, CourseRole.DESIGNER, CourseRole.ADMINISTRATOR)
            if visit.launch.message_type != DEEP_LINKING:
                raise errors.RoleRefused
        case Who.REGISTRAR:
            if not may_open_desk(visit.launch):
                raise errors.DeskClosed if visit.launch.administrator else errors.RoleRefused
        case Who.STAFF:
            if visit.role == CourseRole.LEARNER:
                raise errors.RoleRefused


def _need_role(visit: Visit, *roles: CourseRole) -> None:
    if visit.role not in roles:
        raise errors.RoleRefused


def _need_activity(visit: Visit) -> None:
    if visit.placement is None:
        raise errors.ActivityUnset
