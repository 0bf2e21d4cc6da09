"""What a registrar does about scores: one at a time from a score's story, or many after a preview."""

from functools import partial

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, tasks
from lti_tool.database import db
from lti_tool.errors import NotHere, OwnWork, ReasonMissing
from lti_tool.passback import readback, service
from lti_tool.passback.rules import Cause
from lti_tool.registrar import holdings, resending, stories, words
from lti_tool.registrar.queries import LedgerRow, Shown, rows_of
from lti_tool.routes.forms import text, whole
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.routes.ledger import story_page
from lti_tool.routes.ledger_form import as_seen, chips, query_of, wanted

blueprint = Blueprint("desk_sending", __name__)


@blueprint.post("/l/<launch>/ledger/<int:score_id>/send")
@allow(Who.REGISTRAR)
def send_again(visit: Visit, score_id: int) -> ResponseReturnValue:
    """Send a score once more; leads to the row that takes its place."""
    row = _others(visit, score_id)
    instead = request.form.get("instead") == "yes"
    if instead and not as_seen(row):
        return story_page(visit, score_id, changed=True), 409
    if row.cause is Cause.UNSEEN and not instead:
        return story_page(visit, score_id, unsure=True), 422
    seen = (row.shown_points, row.shown_possible) if instead else None
    score = service.resend(score_id, visit.account.id, now=clock.now(), overwrites=instead, seen=seen)
    if score is None:
        return redirect(visit.url("ledger.story", score_id=score_id, done="not-parked"), code=303)
    successor = score.id
    db.session.commit()
    tasks.wake()
    return redirect(visit.url("ledger.story", score_id=successor, done="sent-again"), code=303)


@blueprint.post("/l/<launch>/ledger/<int:score_id>/read")
@allow(Who.REGISTRAR)
def read_now(visit: Visit, score_id: int) -> ResponseReturnValue:
    """Have a worker read what the gradebook shows now."""
    if not stories.is_here(visit.launch.deployment_pk, score_id):
        raise NotHere
    done = "read-asked" if readback.ask(score_id, now=clock.now()) else "read-lately"
    db.session.commit()
    tasks.read_back_later()
    return redirect(visit.url("ledger.story", score_id=score_id, done=done, _anchor="shown"), code=303)


@blueprint.post("/l/<launch>/ledger/<int:score_id>/settle")
@allow(Who.REGISTRAR)
def settle(visit: Visit, score_id: int) -> ResponseReturnValue:
    """Leave what the LMS shows, with a note why or without, or give up a score that waits."""
    row, verb = _others(visit, score_id), request.form.get("verb")
    if verb in ("leave", "note") and not as_seen(row):
        return story_page(visit, score_id, changed=True), 409
    seen = row.shown_points, row.shown_possible
    now, actor, note = clock.now(), visit.account.id, request.form.get("note", "", type=text)
    try:
        match verb:
            case "leave":
                done = service.accept_shown(score_id, actor, now=now, seen=seen)
            case "note":
                done = service.note(score_id, actor, note, now=now, seen=seen)
            case "abandon":
                done = service.abandon(score_id, actor, note, now=now)
            case _:
                done = False
    except ReasonMissing:
        db.session.rollback()
        return redirect(visit.url("ledger.story", score_id=score_id, done="say-why"), code=303)
    db.session.commit()
    key = "settled" if done else "not-parked"
    return redirect(visit.url("ledger.story", score_id=score_id, done=key), code=303)


@blueprint.get("/l/<launch>/ledger/send")
@allow(Who.REGISTRAR)
def preview(visit: Visit) -> ResponseReturnValue:
    """Exactly what would be sent again, and what would not."""
    return _preview(visit)


@blueprint.post("/l/<launch>/ledger/send")
@allow(Who.REGISTRAR)
def send_many(visit: Visit) -> ResponseReturnValue:
    """Send what the preview showed, unless that has changed meanwhile."""
    asked = wanted()
    plan = resending.plan(visit.launch.deployment_pk, asked, besides=visit.person_id)
    if request.form.get("digest", "") != plan.digest:
        return _preview(visit, changed=True), 409
    ticked = request.form.getlist("also", type=whole)
    if not plan.ids and not ticked:
        return redirect(visit.url("desk_sending.preview", **query_of(asked)), code=303)
    for _ in resending.send(plan, ticked, visit.account.id, now=clock.now()):
        db.session.commit()
    tasks.wake()
    if plan.total > len(plan.ids):
        return redirect(visit.url("desk_sending.preview", **query_of(asked), done="sent-a-step"), code=303)
    on_the_way = query_of(asked, show=Shown.WAITING.value)
    return redirect(visit.url("ledger.overview", **on_the_way, done="sent-many"), code=303)


def _preview(visit: Visit, *, changed: bool = False) -> str:
    asked = wanted()
    plan = resending.plan(visit.launch.deployment_pk, asked, besides=visit.person_id)
    number = min(max(request.args.get("page", 1, type=whole), 1), plan.pages)
    return render_template(
        "ledger/sending.html",
        visit=visit,
        wanted=asked,
        chips=chips(
            asked,
            stories.names_of(visit.launch.deployment, asked),
            partial(visit.url, "desk_sending.preview"),
        ),
        query=query_of(asked),
        plan=plan,
        rows=plan.page(number),
        number=number,
        url_for_page=lambda at: visit.url("desk_sending.preview", **query_of(asked), page=at),
        overwrites=resending.overwrites,
        changed=changed,
        words=words,
    )


def _others(visit: Visit, score_id: int) -> LedgerRow:
    """The score. Registrars may be earners as well: nobody says what becomes of their own."""
    whose = holdings.earner_of(score_id, visit.launch.deployment_pk)
    if whose is None:
        raise NotHere
    if whose == visit.person_id:
        raise OwnWork
    return rows_of([score_id])[0]
