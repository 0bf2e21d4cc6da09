"""Where a launch waits whose cookie did not come back: the platform's storage is asked, then the person.

lti/arrivals.py says what counts as proof here, and why.
"""

import logging

from flask import Blueprint, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.database import db
from lti_tool.errors import CookieBlocked, LaunchUsed
from lti_tool.lti import arrivals
from lti_tool.lti.models import Arrival
from lti_tool.lti.roles import ROLE_LABELS
from lti_tool.lti.sessions import COOKIE_NAME, belongs
from lti_tool.people.models import Account, Course
from lti_tool.routes.guards import JUST_OPENED, Who, allow, browser

blueprint = Blueprint("arriving", __name__)
log = logging.getLogger(__name__)


@blueprint.get("/lti/arrivals/<arrival_id>")
@allow(Who.ARRIVING)
def ask(arrival_id: str) -> ResponseReturnValue:
    """Ask the platform's page first, where it keeps data for tools; then show the button."""
    arrival = _arrival(arrival_id)
    cookie = request.cookies.get(COOKIE_NAME)
    if arrival.opened_at is not None:
        if not belongs(arrival.launch, cookie):
            raise LaunchUsed
        return redirect(url_for("entry.arrive", launch=arrival.launch_id), code=303)
    offer = None if "asked" in request.args else arrivals.offer_for(arrival)
    if offer is not None:
        page = render_template(
            "arriving/storage.html",
            arrival=arrival,
            offer=offer,
            origins=[offer.origin, *arrival.launch.frame_ancestors],
            without=url_for(".ask", arrival_id=arrival.id, asked=1),
        )
    else:
        page = _button(arrival, keeps_cookies=cookie is not None)
        db.session.commit()
    return page, 200, {"Cache-Control": "no-store"}


@blueprint.post("/lti/arrivals/<arrival_id>")
@allow(Who.ARRIVING)
def prove(arrival_id: str) -> ResponseReturnValue:
    """Take what the platform's storage showed; where this frame keeps cookies, the visit begins at once."""
    arrival, now = _arrival(arrival_id), clock.now()
    if not arrivals.prove(arrival, request.form, now=now):
        return redirect(url_for(".ask", arrival_id=arrival.id, asked=1), code=303)
    log.info("storage proved", extra={"reference": arrivals.reference(arrival)})
    if request.cookies.get(COOKIE_NAME) is not None:
        return _begin(arrival)
    db.session.commit()
    return redirect(url_for(".ask", arrival_id=arrival.id), code=303)


@blueprint.post("/lti/arrivals/<arrival_id>/code")
@allow(Who.ARRIVING)
def code(arrival_id: str) -> ResponseReturnValue:
    """A new code for a page that somebody reads for longer than a code lasts, or has loaded anew."""
    arrival = _arrival(arrival_id)
    if not _may_press(arrival) or not arrivals.shows(arrival, request.form.get("key", "")):
        raise CookieBlocked
    answer = jsonify(code=arrivals.code_for(arrival, now=clock.now()))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.post("/lti/open")
@allow(Who.ARRIVING)
def enter() -> ResponseReturnValue:
    """The button was pressed: the launch belongs to this browser now, most often in a new tab."""
    arrival = arrivals.named_by(request.form.get("code", ""), now=clock.now())
    g.framers = arrival.launch.frame_ancestors
    return _begin(arrival)


def _arrival(arrival_id: str) -> Arrival:
    arrival = arrivals.find(arrival_id, now=clock.now())
    g.framers = arrival.launch.frame_ancestors
    return arrival


def _may_press(arrival: Arrival) -> bool:
    """Not every browser says where its answer will be shown."""
    return arrivals.may_press(arrival, framed=request.headers.get("Sec-Fetch-Dest") != "document")


def _begin(arrival: Arrival) -> ResponseReturnValue:
    launch_id = arrival.launch_id
    arrivals.open_in(arrival, browser(), now=clock.now())
    db.session.commit()
    log.info("launch found its browser", extra={"reference": arrivals.reference(arrival)})
    return redirect(f"{url_for('entry.arrive', launch=launch_id)}?{JUST_OPENED}", code=303)


def _button(arrival: Arrival, *, keeps_cookies: bool) -> str:
    if not _may_press(arrival) or (not arrival.framed and not keeps_cookies):
        raise CookieBlocked
    key, launch = arrivals.page_key(arrival), arrival.launch
    account = db.session.get(Account, launch.account_id)
    course = None if launch.course_id is None else db.session.get(Course, launch.course_id)
    return render_template(
        "arriving/button.html",
        arrival=arrival,
        key=key,
        code="" if key is None else arrivals.code_for(arrival, now=clock.now()),
        shown_here=keeps_cookies,
        proved=arrival.proved_at is not None,
        name=None if account is None else account.name,
        role=ROLE_LABELS.get(launch.role, "Guest"),
        course=None if course is None else course.title,
        platform=launch.deployment.registration.platform.name,
        reference=arrivals.reference(arrival),
    )
