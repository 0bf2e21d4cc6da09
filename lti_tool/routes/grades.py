"""The scores of a course as its faculty see them: what needs attention, what the gradebook shows, and what to do."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, tasks
from lti_tool.database import db
from lti_tool.errors import NotHere, OwnWork, ReasonMissing
from lti_tool.lti.platforms import behaviour
from lti_tool.passback import readback, service
from lti_tool.passback.models import Score
from lti_tool.registrar import receipts, resending, stories, words
from lti_tool.registrar.receipts import Wanted
from lti_tool.registrar.stories import Story
from lti_tool.routes.forms import text, whole
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.routes.ledger_form import as_seen

blueprint = Blueprint("grades", __name__)
_ABOUT_WHAT_IS_SHOWN = ("leave", "explain")


@blueprint.get("/l/<launch>/course/grades")
@allow(Who.FACULTY)
def overview(visit: Visit) -> ResponseReturnValue:
    """The scores of the course, those that ask for somebody first of all."""
    asked = request.args.get("show", "")
    wanted = Wanted(asked) if asked in set(Wanted) else Wanted.ATTENTION
    page = receipts.of_course(visit.activity.course_id, wanted, request.args.get("page", 1, type=whole))
    return render_template("grades/overview.html", visit=visit, wanted=wanted, page=page, words=words)


@blueprint.get("/l/<launch>/course/grades/<int:score_id>")
@allow(Who.FACULTY)
def one(visit: Visit, score_id: int) -> ResponseReturnValue:
    """All about one score."""
    return _page(visit, _story(visit, score_id))


@blueprint.post("/l/<launch>/course/grades/<int:score_id>")
@allow(Who.FACULTY)
def deal(visit: Visit, score_id: int) -> ResponseReturnValue:
    """Have it read what the gradebook shows now; or send it again, leave the gradebook as it is, say why it differs, or
    do not send it."""
    story = _story(visit, score_id)
    asked = request.form.get("do", "")
    if asked == "read":
        done = "read-asked" if readback.ask(score_id, now=clock.now()) else "read-lately"
        db.session.commit()
        tasks.read_back_later()
        return redirect(visit.url("grades.one", score_id=score_id, done=done, _anchor="shown"), code=303)
    if story.row.person_id == visit.person_id:
        raise OwnWork
    replaces = resending.overwrites(story.row)
    if (asked in _ABOUT_WHAT_IS_SHOWN or (asked == "send" and replaces)) and not as_seen(story.row):
        return _page(visit, story, changed=True), 409
    if asked == "send" and replaces and request.form.get("sure") != "yes":
        error = ("sure", "Tick the box to say that the grade in the gradebook is to be replaced.")
        return _page(visit, story, error=error), 422
    try:
        done, leads_to = _do(asked, story, visit.account.id)
    except ReasonMissing:
        db.session.rollback()
        field = "why" if asked == "explain" else "reason"
        return _page(
            visit, _story(visit, score_id), error=(field, "Write a sentence: it is read years later.")
        ), 422
    db.session.commit()
    tasks.wake()
    return redirect(visit.url("grades.one", score_id=leads_to, done=done), code=303)


def _do(asked: str, story: Story, actor: int) -> tuple[str, int]:
    """The notice that says what was done, and the row that the page then shows."""
    now, score_id = clock.now(), story.row.id
    seen = story.row.shown_points, story.row.shown_possible
    match asked:
        case "send":
            overwrites = resending.overwrites(story.row)
            sent = service.resend(score_id, actor, now=now, overwrites=overwrites, seen=seen)
            return ("not-parked", score_id) if sent is None else ("sent-again", sent.id)
        case "leave":
            done = service.accept_shown(score_id, actor, now=now, seen=seen)
            return "left-as-it-is" if done else "not-parked", score_id
        case "explain":
            done = service.note(score_id, actor, request.form.get("why", "", type=text), now=now, seen=seen)
            return "explained" if done else "not-parked", score_id
        case "keep":
            kept = service.keep(score_id, actor, request.form.get("note", "", type=text), now=now)
            return "left-as-it-is" if kept else "not-parked", score_id
        case "zero":
            zero = service.take_back(score_id, actor, request.form.get("reason", "", type=text), now=now)
            return ("not-parked", score_id) if zero is None else ("zero-owed", zero.id)
        case "drop":
            done = service.abandon(score_id, actor, request.form.get("reason", "", type=text), now=now)
            return "not-sent" if done else "not-parked", score_id
    raise NotHere


def _story(visit: Visit, score_id: int) -> Story:
    """The score, if it belongs to an activity of this course."""
    score = db.session.get(Score, score_id)
    here = visit.activity
    if score is None or receipts.course_of(score.placement_id) != here.course_id:
        raise NotHere
    story = stories.story(score.deployment_pk, score_id)
    if story is None:
        raise NotHere
    return story


def _page(visit: Visit, story: Story, *, error: tuple[str, str] | None = None, changed: bool = False) -> str:
    product = behaviour(visit.launch.deployment.registration.platform.product)
    return render_template(
        "grades/one.html",
        visit=visit,
        story=story,
        words=words,
        now=clock.now(),
        lms=product.product_name,
        override_note=product.override_note,
        to_review=story.row.id in receipts.zero_under_badge([story.row.id]),
        revoked=story.row.id in receipts.points_without_badge([story.row.id]),
        called_off=story.row.id in receipts.points_called_off([story.row.id]),
        own=story.row.person_id == visit.person_id,
        error=error,
        changed=changed,
        replaces=resending.overwrites(story.row),
    )
