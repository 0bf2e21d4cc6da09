"""The one place where a refusal becomes a page: what happened, what to do next, and a reference for support.

A page says nothing of anybody and has nothing to press but links back, so it may be shown in any frame: a person
whose launch failed sits in one.
"""

import logging
import secrets
from dataclasses import dataclass

from flask import Flask, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from lti_tool import errors
from lti_tool.database import db

log = logging.getLogger(__name__)
_BACK = "Go back to your course and open the activity again."


@dataclass(frozen=True)
class Page:
    """How a refusal reads. ``next_step`` says what the person can do now."""

    status: int
    title: str
    happened: str
    next_step: str


PAGES: dict[type[errors.Refused], Page] = {
    errors.PlatformUnknown: Page(
        400,
        "This learning platform is not connected",
        "The link came from a learning platform that this Tessera does not know.",
        "Ask your LMS administrator to connect it. They will need the command “lti-tool platform add”.",
    ),
    errors.DeploymentUnknown: Page(
        403,
        "Tessera is not switched on here",
        "Your learning platform is known, but this place in it (the deployment) has not been allowed.",
        "Ask your LMS administrator to add the deployment with “lti-tool platform add”.",
    ),
    errors.LaunchForged: Page(
        400,
        "This link could not be trusted",
        "The message that should have come from your learning platform was changed, or was not made for this browser.",
        _BACK + " If it happens again, give the reference below to your LMS administrator.",
    ),
    errors.LaunchUsed: Page(
        400,
        "This link was already used",
        "Each click in your course opens Tessera once. The page was reloaded, or opened a second time.",
        _BACK + " Your work is safe.",
    ),
    errors.LaunchExpired: Page(
        400,
        "This took too long",
        "Too much time passed between the click in your course and the arrival here, "
        "or the clocks of the two systems differ.",
        _BACK,
    ),
    errors.LaunchMalformed: Page(
        400,
        "The link from your learning platform is incomplete",
        "The message did not say everything that Tessera needs.",
        _BACK + " If it happens again, give the reference below to your LMS administrator.",
    ),
    errors.LaunchAnonymous: Page(
        403,
        "Please sign in to your course first",
        "Your learning platform did not say who you are, and work here must belong to somebody.",
        "Sign in to your learning platform, then open the activity again.",
    ),
    errors.CookieBlocked: Page(
        400,
        "Your browser kept a cookie back",
        "Tessera needs one cookie to know that it is still you. Your browser did not return it.",
        "Allow cookies for this site, or open the activity in a new window, then try again.",
    ),
    errors.PlatformSaidNo: Page(
        400,
        "Your learning platform did not open the activity",
        "It answered the sign-in with an error. Most often the link was used twice or you were signed out.",
        "Sign in to your course again, then open the activity once more.",
    ),
    errors.PlatformSilent: Page(
        503,
        "Your learning platform does not answer",
        "Tessera must fetch the platform's public keys to check the link, and could not.",
        "Wait a minute, then open the activity again. Nothing is lost.",
    ),
    errors.SessionOver: Page(
        401,
        "This visit is over",
        "The page was opened too long ago, in another browser, or its address was copied.",
        _BACK + " What you saved is there.",
    ),
    errors.RoleRefused: Page(
        403,
        "This page is for somebody else",
        "Your role in this course does not open it.",
        "Go back to your course. If your role is wrong, ask the instructor or your LMS administrator.",
    ),
    errors.DeskClosed: Page(
        403,
        "You are not on the list for the registrar's desk",
        "You are an administrator of the learning platform. The desk shows grades, "
        "so it opens only for the people on its access list.",
        "Ask the operator of Tessera to run the command below, then open Tessera again.",
    ),
    errors.NotHere: Page(
        404,
        "There is nothing here",
        "The page does not exist, or it is not yours to see.",
        "Check the address, or go back to where you came from.",
    ),
    errors.FormStale: Page(
        400,
        "The form was too old",
        "The page had been open too long, or the browser did not return its cookie, so nothing was changed.",
        "Go back, copy what you typed, reload the page and send it again.",
    ),
    errors.ActivityUnset: Page(
        404,
        "This activity has no micro-credential yet",
        "The link in the course does not name a micro-credential that Tessera knows.",
        "As faculty, delete the activity and add it again with “Add from Tessera”. "
        "As a student, tell your instructor.",
    ),
    errors.ChangedElsewhere: Page(
        409,
        "Changed in another tab",
        "Your work was saved in another tab or window meanwhile.",
        "Go back, compare, and save again.",
    ),
    errors.WorkClosed: Page(
        409,
        "This work cannot be changed now",
        "It is with the assessor, or it has been decided.",
        "Open the activity again to see where it stands.",
    ),
    errors.WorkIncomplete: Page(
        422,
        "Something is still missing",
        "The work was not handed in, because a required part is missing.",
        "Go back and complete what the list names. Everything you saved is there.",
    ),
    errors.UploadEmpty: Page(
        422,
        "That file is empty",
        "It has 0 bytes, so nothing was added.",
        "Check the file on your computer and choose it again.",
    ),
    errors.UploadTooLarge: Page(
        413,
        "That is too large",
        "What you sent is larger than Tessera takes, so nothing of it was stored.",
        "Go back, make the file smaller (for example a lower video quality), and choose it again.",
    ),
    errors.UploadKind: Page(
        422,
        "This task does not take that",
        "The task asks for another kind of evidence.",
        "Go back and read what the task accepts.",
    ),
    errors.LinkInvalid: Page(
        422,
        "That link cannot be opened",
        "It is not a full web address.",
        "Go back and copy the whole address, beginning with https://.",
    ),
    errors.EvidenceHidden: Page(
        422,
        "That was hidden for privacy",
        "The very same file or link is hidden after a privacy report, so it was not added again.",
        "Go back and add another that shows and names nobody who must not be seen.",
    ),
    errors.TooManyFiles: Page(
        422,
        "That is more than the task takes",
        "The task has as many pieces of evidence as it can hold.",
        "Go back and remove one before adding another.",
    ),
    errors.AlreadyDecided: Page(
        409,
        "Already decided",
        "A decision about this work was recorded in the meantime, here in another tab or by a colleague.",
        "Open the activity again to see it.",
    ),
    errors.OwnWork: Page(
        403,
        "This is your own work",
        "Nobody assesses their own work.",
        "Ask a colleague to assess it.",
    ),
    errors.SubmissionWithdrawn: Page(
        409,
        "This work was taken back",
        "Somebody reported a privacy problem in it, so it went back to the earner unjudged. No try was used up.",
        "Go back to the activity. The work appears there again when it is handed in again.",
    ),
    errors.RatingsMissing: Page(
        422,
        "The assessment is not complete",
        "A criterion has no rating, or feedback is missing.",
        "Go back and complete it. Nothing was decided.",
    ),
    errors.DecisionDisagrees: Page(
        422,
        "The decision and the rubric disagree",
        "The ratings lead to another decision than the one you chose.",
        "Go back and change the ratings or the decision. Nothing was decided.",
    ),
    errors.BadgeUnsigned: Page(
        409,
        "The badge is being signed",
        "It was awarded; its signature follows within seconds.",
        "Reload the page in a moment.",
    ),
    errors.SelectionRefused: Page(
        422,
        "Please choose again",
        "Nothing was chosen, or your course does not accept the choice.",
        "Go back and choose a micro-credential from the list.",
    ),
}

_HTTP_PAGES = {404: PAGES[errors.NotHere], 405: PAGES[errors.NotHere], 413: PAGES[errors.UploadTooLarge]}
_BAD_REQUEST = Page(
    400, "That did not work", "The request could not be understood.", "Go back and try again."
)
_FAULT = Page(
    500,
    "Something went wrong on our side",
    "The fault has been recorded. What you had saved before is safe.",
    "Go back and try again. If it happens again, give the reference below to whoever runs Tessera here.",
)


def register(app: Flask) -> None:
    """Map refusals, HTTP errors and faults to pages, or to JSON where that was asked for."""

    @app.errorhandler(errors.Refused)
    def refused(error: errors.Refused) -> ResponseReturnValue:
        return _answer(PAGES[type(error)], type(error).__name__, error.detail)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        if status < 400:
            return error.get_response()
        page = _HTTP_PAGES.get(status, _FAULT if status >= 500 else _BAD_REQUEST)
        return _answer(Page(status, page.title, page.happened, page.next_step), f"http {status}")

    @app.errorhandler(Exception)
    def fault(error: Exception) -> ResponseReturnValue:
        return _answer(_FAULT, type(error).__name__, fault=error)


def _answer(
    page: Page, kind: str, detail: str = "", *, fault: Exception | None = None
) -> ResponseReturnValue:
    db.session.rollback()
    reference = secrets.token_hex(4)
    facts = {"reference": reference, "kind": kind, "status": page.status, "endpoint": request.endpoint}
    if fault is not None:
        log.error("fault", extra=facts, exc_info=fault)
    else:
        log.info("refused", extra=facts)
    g.frame_anywhere = True
    if request.accept_mimetypes.best_match(("text/html", "application/json")) == "application/json":
        body = {
            "error": page.title,
            "happened": page.happened,
            "next": page.next_step,
            "reference": reference,
        }
        return jsonify(body), page.status
    visit = g.get("visit")
    desk = visit.launch if visit is not None and kind == errors.DeskClosed.__name__ else None
    return render_template(
        "refusal.html", page=page, detail=detail, reference=reference, desk=desk
    ), page.status
