"""The one place where a refusal becomes a page: what happened, what to do next, and a reference for support.

Somebody whose launch failed sits in a frame. Where the visit or the waiting launch is known, its platform alone
may frame the page. Before that nobody can say whose frame it is, and a blank one would help nobody: such a page
says nothing of anybody and has nothing to press but links, so any site may frame it. Pages that no platform
shows are framed by none.
"""

import logging
import secrets
from typing import Any

from flask import Flask, current_app, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from lti_tool import errors
from lti_tool.database import db
from lti_tool.routes.guards import Who
from lti_tool.routes.refusals_arriving import ARRIVING, Page
from lti_tool.routes.unsaved import NOT_SAVED, typed_words

log = logging.getLogger(__name__)

PAGES: dict[type[errors.Refused], Page] = {
    **ARRIVING,
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
    errors.ActivityUnlinked: Page(
        404,
        "This activity is not ready yet",
        "It was probably copied from another course, and your instructor still has to say which micro-credential it "
        "is.",
        "Tell your instructor to open it once; it takes one click. What you did in other courses is safe.",
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
    errors.PartLocked: Page(
        409,
        "This part is not open yet",
        "The stack opens its parts one after the other.",
        "Go back to the map of the stack; it says what comes first.",
    ),
    errors.CredentialRetired: Page(
        409,
        "This micro-credential has been retired",
        "Nobody can begin it any more. Work that was begun may be finished, and badges that were earned stay good.",
        "Ask your instructor what takes its place.",
    ),
    errors.AlreadyDecided: Page(
        409,
        "Already decided",
        "A decision about this work was recorded in the meantime, here in another tab or by a colleague.",
        "Open the activity again to see it.",
    ),
    errors.NewerWork: Page(
        409,
        "Newer work was handed in",
        "The earner has handed in again, so what is decided about the earlier work counts for nothing any more.",
        "Open the activity again and decide about the newer work.",
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
    errors.BadgeRevoked: Page(
        409,
        "This badge has been taken back",
        "It was revoked, or another one was issued in its place, perhaps in another tab.",
        "Reload the page to see how it stands.",
    ),
    errors.ReasonMissing: Page(
        422,
        "Please say why",
        "A badge is taken back only with a reason. Whoever checks the badge later reads it.",
        "Go back, write the reason, and try again.",
    ),
    errors.SubjectChosen: Page(
        409,
        "This is settled already",
        "It has been chosen whom the badge names, perhaps in another tab.",
        "Reload the page. If it should name another address, ask for it to be issued again.",
    ),
    errors.BadgeStands: Page(
        409,
        "There is nothing to mend",
        "The badge stands, or its earner holds another one for the same by now.",
        "Reload the page to see how things are.",
    ),
    errors.OwnBadge: Page(
        403,
        "This is your own badge",
        "As faculty, nobody takes back or re-issues a badge that they earned themselves.",
        "Ask a colleague. What you show of it, you choose under “My badges”.",
    ),
    errors.AddressUnusable: Page(
        422,
        "That address cannot be used",
        "It is not a complete e-mail address, or you have as many here as anybody needs.",
        "Go back and check it.",
    ),
    errors.TooManyLetters: Page(
        429,
        "Too many letters just now",
        "More letters were asked for in the last minutes than anybody needs.",
        "Look into your mailbox, the folder for spam as well, and try again in an hour.",
    ),
    errors.TermUnusable: Page(
        422,
        "This term cannot be saved",
        "A term needs a name of its own, and does not end before it begins.",
        "Go back, change it, and save again.",
    ),
    errors.SisFileUnusable: Page(
        422,
        "This file cannot be used",
        "It is no CSV file with columns that say who has which SIS id.",
        "Go back, choose “CSV UTF-8” when you save it, and upload it again.",
    ),
    errors.MailMissing: Page(
        503,
        "No mail can be sent from here",
        "This Tessera has no mail server, so it cannot send you a link.",
        "Ask the program that awarded the badge: its operator can give you a personal link.",
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
        page, kind = PAGES[type(error)], type(error).__name__
        typed = typed_words() if isinstance(error, NOT_SAVED) else []
        if typed:
            return _refused(page, kind, "unsaved.html", typed=typed)
        return _answer(page, kind, error.detail)

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
    visit = g.get("visit")
    desk = visit.launch if visit is not None and kind == errors.DeskClosed.__name__ else None
    return _refused(page, kind, "refusal.html", fault=fault, detail=detail, desk=desk)


def _refused(
    page: Page, kind: str, template: str, *, fault: Exception | None = None, **facts: Any
) -> ResponseReturnValue:
    """The page, with a reference under which the log has what happened."""
    db.session.rollback()
    reference = secrets.token_hex(4)
    logged = {"reference": reference, "kind": kind, "status": page.status, "endpoint": request.endpoint}
    if fault is not None:
        log.error("fault", extra=logged, exc_info=fault)
    else:
        log.info("refused", extra=logged)
    g.frame_anywhere = "framers" not in g and _sits_in_a_frame()
    if request.accept_mimetypes.best_match(("text/html", "application/json")) == "application/json":
        body = {
            "error": page.title,
            "happened": page.happened,
            "next": page.next_step,
            "reference": reference,
        }
        return jsonify(body), page.status
    return render_template(
        template, page=page, reference=reference, way_back=g.get("way_back"), **facts
    ), page.status


def _sits_in_a_frame() -> bool:
    """Whether a platform may have shown this address: one of a launch or of a visit, or none of ours at all."""
    view = current_app.view_functions.get(request.endpoint or "")
    on_the_way = getattr(view, "allowed", None) in (Who.PLATFORM, Who.ARRIVING)
    return view is None or on_the_way or "launch" in (request.view_args or {})
