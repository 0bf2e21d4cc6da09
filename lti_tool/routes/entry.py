"""Where a platform sends people: login, launch, our public keys, and the way on from there."""

import logging

from flask import Blueprint, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.credentials.service import place
from lti_tool.database import db
from lti_tool.errors import ActivityUnset, RoleRefused
from lti_tool.lti import keys
from lti_tool.lti.claims import DEEP_LINKING
from lti_tool.lti.launch import receive
from lti_tool.lti.login import begin
from lti_tool.lti.roles import CourseRole
from lti_tool.lti.sessions import COOKIE_NAME
from lti_tool.people.service import enter
from lti_tool.routes.guards import Visit, Who, allow, browser

blueprint = Blueprint("entry", __name__)
log = logging.getLogger(__name__)


@blueprint.route("/lti/login", methods=["GET", "POST"])
@allow(Who.PLATFORM)
def login() -> ResponseReturnValue:
    """Step 1 of a launch: the platform names itself; we send the browser back to it with state and nonce."""
    onward = begin(request.values, browser=browser(), now=clock.now())
    db.session.commit()
    return redirect(onward.url, code=302)


@blueprint.post("/lti/launch")
@allow(Who.PLATFORM)
def launch() -> ResponseReturnValue:
    """Step 3: the signed message arrives. Answered by a redirect, so that a reload never posts it again."""
    now = clock.now()
    visit, message = receive(request.form, browser=request.cookies.get(COOKIE_NAME), now=now)
    enter(visit, message, now=now)
    place(visit, message, now=now)
    db.session.commit()
    log.info(
        "launched",
        extra={"deployment": visit.deployment_pk, "role": visit.role, "placement": visit.placement_id},
    )
    return redirect(url_for("entry.arrive", launch=visit.id), code=303)


@blueprint.get("/l/<launch>/")
@allow(Who.VISITOR)
def arrive(visit: Visit) -> ResponseReturnValue:
    """The way on, by what the link is and who opened it."""
    return redirect(visit.url(_first_page(visit)), code=303)


def _first_page(visit: Visit) -> str:
    if visit.launch.message_type == DEEP_LINKING:
        return "picker.choose"
    if visit.placement is None and visit.launch.administrator:
        return "ledger.overview"
    if visit.placement is None:
        raise ActivityUnset
    match visit.role:
        case CourseRole.INSTRUCTOR:
            return "course.overview"
        case CourseRole.LEARNER:
            return "work.overview"
        case CourseRole.ADMINISTRATOR:
            return "ledger.overview"
    raise RoleRefused


@blueprint.get("/lti/jwks")
@allow(Who.PLATFORM)
def jwks() -> ResponseReturnValue:
    """Our public keys. Platforms fetch them while they answer us, so this waits for nobody."""
    answer = jsonify(keys.public_jwks())
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer
