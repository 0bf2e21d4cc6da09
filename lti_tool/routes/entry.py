"""Where a platform sends people: login, launch, our public keys, and the way on from there."""

import logging
from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.assessment.queries import submission_in_course
from lti_tool.credentials.models import Placement
from lti_tool.credentials.service import place
from lti_tool.database import db
from lti_tool.errors import ActivityUnlinked, ActivityUnset, NotHere, Refused, RoleRefused
from lti_tool.lti import arrivals, keys, notices
from lti_tool.lti.addresses import NOTICES_PATH, submission_named_by
from lti_tool.lti.claims import DATA_PRIVACY, DEEP_LINKING, RESOURCE_LINK, SUBMISSION_REVIEW, LaunchMessage
from lti_tool.lti.launch import receive
from lti_tool.lti.login import begin
from lti_tool.lti.models import Launch
from lti_tool.lti.roles import CourseRole
from lti_tool.lti.sessions import COOKIE_NAME, keep
from lti_tool.passback import columns
from lti_tool.people.copies import note_origins
from lti_tool.people.doors import desk_doors
from lti_tool.people.service import account_of, enter, may_open_desk
from lti_tool.routes.guards import Visit, Who, allow, browser
from lti_tool.submissions.models import Submission
from lti_tool.submissions.queries import attempt_here
from lti_tool.tasks import wake

blueprint = Blueprint("entry", __name__)
log = logging.getLogger(__name__)
_PAGE_OF = {DEEP_LINKING: "picker.choose", DATA_PRIVACY: "entry.privacy"}
"""Of messages that are about no activity."""
_LONGEST_NOTICES = 200_000
"""Bytes of one post of notices. Anybody may post here."""


@blueprint.route("/lti/login", methods=["GET", "POST"])
@allow(Who.PLATFORM)
def login() -> ResponseReturnValue:
    """Step 1 of a launch: the platform names itself; we send the browser back to it with state and nonce.

    Where the browser brings no cookie and the platform keeps data for tools, by way of a page that asks it to.
    That page says nothing and may be framed by anyone: nobody knows yet where the platform shows us.
    """
    fresh = request.cookies.get(COOKIE_NAME) is None
    onward = begin(request.values, browser=browser(), fresh=fresh, now=clock.now())
    db.session.commit()
    if onward.storage is None:
        return redirect(onward.url, code=302)
    g.frame_anywhere = True
    return render_template("arriving/login.html", onward=onward.url, offer=onward.storage)


@blueprint.post("/lti/launch")
@allow(Who.PLATFORM)
def launch() -> ResponseReturnValue:
    """Step 3: the signed message arrives. Answered by a redirect, so that a reload never posts it again."""
    now = clock.now()
    # Not every browser says where its answer will be shown.
    framed = request.headers.get("Sec-Fetch-Dest") != "document"
    visit, message = receive(request.form, browser=request.cookies.get(COOKIE_NAME), framed=framed, now=now)
    enter(visit, message, now=now)
    placement = place(visit, message, now=now)
    keep(visit)
    product = visit.deployment.registration.platform.product
    column_wanted = placement is not None and columns.note(placement, message.ags, product=product, now=now)
    handler_wanted = notices.note(visit.deployment_pk, message.notices, now=now)
    if not visit.browser:
        arrival = arrivals.wait(visit, state=request.form["state"], framed=framed, now=now)
        db.session.commit()
        browser()
        log.info(
            "launch waits for its browser",
            extra={
                "reference": arrivals.reference(arrival),
                "deployment": visit.deployment_pk,
                "framed": framed,
            },
        )
        return redirect(url_for("arriving.ask", arrival_id=arrival.id), code=303)
    first_page = _straight_on(visit, placement, message)
    launched = {"deployment": visit.deployment_pk, "role": visit.role, "placement": visit.placement_id}
    db.session.commit()
    if column_wanted or handler_wanted:
        wake()
    log.info("launched", extra=launched)
    return redirect(first_page, code=303)


@blueprint.post(NOTICES_PATH)
@allow(Who.PLATFORM)
def notice() -> ResponseReturnValue:
    """What a platform tells us without anybody's click. It does not try again, so one bad notice spoils no other."""
    request.max_content_length = _LONGEST_NOTICES
    now, refused = clock.now(), None
    for token in notices.tokens_of(_posted()):
        try:
            copied = notices.receive(token, now=now)
        except Refused as problem:
            db.session.rollback()
            refused = problem
            continue
        if copied is not None:
            note_origins(copied.platform_id, copied.context_id, copied.origins, now=now)
        db.session.commit()
    if refused is not None:
        raise refused
    return "", 204


def _posted() -> Any:
    """What was posted as JSON; None where it is none, or nested deeper than anything that makes sense."""
    try:
        return request.get_json(force=True, silent=True)
    except RecursionError:
        return None


@blueprint.get("/l/<launch>/")
@allow(Who.VISITOR)
def arrive(visit: Visit) -> ResponseReturnValue:
    """The way on, by what the link is and who opened it."""
    claims = visit.launch.claims
    if visit.launch.message_type == SUBMISSION_REVIEW or submission_named_by(
        claims.get("target_link_uri", "")
    ):
        return redirect(_to_review(visit, LaunchMessage.from_map(claims)), code=303)
    activity = visit.placement
    if activity is None and visit.launch.message_type == RESOURCE_LINK and visit.course is not None:
        # Faculty may have said what the link is since this visit began.
        activity = place(visit.launch, LaunchMessage.from_map(claims), now=clock.now())
        db.session.commit()
    return redirect(visit.url(_first_page(visit.launch, activity)), code=303)


def _straight_on(visit: Launch, activity: Placement | None, message: LaunchMessage) -> str:
    """The page that ``arrive`` would lead to, where that is plain: most people are spared a redirect."""
    plain = message.message_type == RESOURCE_LINK and message.submission is None
    if plain and activity is not None and visit.role in (CourseRole.INSTRUCTOR, CourseRole.LEARNER):
        return url_for(_first_page(visit, activity), launch=visit.id)
    return url_for("entry.arrive", launch=visit.id)


def _to_review(visit: Visit, message: LaunchMessage) -> str:
    """The page of the work that an assessor came to look at, or its own earner.

    :raises NotHere: the launch names work that is not of this activity, or that is somebody else's.
    """
    if visit.placement is None:
        raise NotHere
    found = _submission(visit, message)
    match visit.role:
        case CourseRole.INSTRUCTOR:
            if found is None:
                return visit.url("course.overview", done="nothing-to-review")
            return visit.url("review.read", submission_id=found.id)
        case CourseRole.LEARNER:
            if message.for_user not in (None, visit.launch.subject):
                raise NotHere
            if found is None:
                return visit.url("work.overview")
            if found.attempt.person_id != visit.person_id:
                raise NotHere
            return visit.url("results.submission", number=found.number)
    raise RoleRefused


def _submission(visit: Visit, message: LaunchMessage) -> Submission | None:
    """By its own id in the address, or the last one of the person whom the message names."""
    if message.submission is not None:
        return submission_in_course(message.submission[1], visit.activity.course_id)
    platform_id = visit.launch.deployment.registration.platform_id
    account = account_of(platform_id, message.for_user or "")
    attempt = None if account is None else attempt_here(account.person_id, visit.activity.id)
    standing = [] if attempt is None else [row for row in attempt.submissions if row.withdrawn_at is None]
    return max(standing, key=lambda row: row.number, default=None)


def _first_page(visit: Launch, activity: Placement | None) -> str:
    if visit.message_type in _PAGE_OF:
        return _PAGE_OF[visit.message_type]
    if activity is None:
        return _page_to_place(visit)
    match visit.role:
        case CourseRole.INSTRUCTOR:
            return "course.overview"
        case CourseRole.LEARNER:
            return "work.overview" if activity.stack_id is None else "stacks.overview"
        case CourseRole.ADMINISTRATOR:
            return _page_of_desk(visit) or "ledger.overview"
    if (page := _page_of_desk(visit)) is not None:
        return page
    raise RoleRefused


def _page_of_desk(visit: Launch) -> str | None:
    """The desk for whoever may open it; where an invitation to it is open, the page that takes one."""
    if may_open_desk(visit):
        return "ledger.overview"
    if visit.role == CourseRole.LEARNER:
        return None
    _, invitation = desk_doors(visit, now=clock.now())
    return "inviting_entrance.claim" if invitation else None


def _page_to_place(visit: Launch) -> str:
    """For a link that does not say what it is, as after some course copies."""
    if visit.administrator:
        return _page_of_desk(visit) or "ledger.overview"
    linked = visit.course_id is not None and visit.claims.get("resource_link") is not None
    if linked and visit.role == CourseRole.INSTRUCTOR:
        return "activity.choose"
    if linked and visit.role == CourseRole.LEARNER:
        raise ActivityUnlinked
    if (page := _page_of_desk(visit)) is not None:
        return page
    raise ActivityUnset


@blueprint.get("/l/<launch>/privacy")
@allow(Who.VISITOR)
def privacy(visit: Visit) -> ResponseReturnValue:
    """What is kept of whoever asks. A platform has a message of its own for the question, which needs no course."""
    return render_template("arriving/privacy.html", visit=visit)


@blueprint.get("/lti/jwks")
@allow(Who.PLATFORM)
def jwks() -> ResponseReturnValue:
    """Our public keys. Platforms fetch them while they answer us, so this waits for nobody."""
    answer = jsonify(keys.public_jwks())
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer
