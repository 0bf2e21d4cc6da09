"""The registrar's desk: what was sent to the gradebooks of this deployment, and what came back."""

from flask import Blueprint, Response, redirect, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue

from lti_tool import clock, tasks
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.passback import service
from lti_tool.registrar import export, queries
from lti_tool.registrar.queries import Filter, Shown
from lti_tool.registrar.words import STATE_TONES, STATE_WORDS, number
from lti_tool.routes.guards import Visit, Who, allow

blueprint = Blueprint("ledger", __name__)


@blueprint.get("/l/<launch>/ledger")
@allow(Who.REGISTRAR)
def overview(visit: Visit) -> ResponseReturnValue:
    """All scores of the deployment, a page at a time."""
    wanted = _wanted()
    page = queries.page(visit.launch.deployment_pk, wanted, request.args.get("page", 1, type=int))
    return render_template(
        "ledger/overview.html",
        visit=visit,
        deployment=visit.launch.deployment,
        wanted=wanted,
        ledger=page,
        filters=[(one, visit.url("ledger.overview", **_query(wanted, one))) for one in Shown],
        url_for_page=lambda at: visit.url("ledger.overview", **_query(wanted), page=at),
        csv_url=visit.url("ledger.as_csv", **_query(wanted)),
        words=STATE_WORDS,
        tones=STATE_TONES,
        number=number,
    )


@blueprint.get("/l/<launch>/ledger.csv")
@allow(Who.REGISTRAR)
def as_csv(visit: Visit) -> ResponseReturnValue:
    """The same rows as a file, however many there are."""
    batches = queries.every(visit.launch.deployment_pk, _wanted())
    name = f"tessera-ledger-{clock.now():%Y-%m-%d}.csv"
    return Response(
        stream_with_context(export.lines(batches)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


@blueprint.get("/l/<launch>/ledger/<int:score_id>")
@allow(Who.REGISTRAR)
def story(visit: Visit, score_id: int) -> ResponseReturnValue:
    """One score: what it says, where it comes from, and every try to send it."""
    found = queries.story(visit.launch.deployment_pk, score_id)
    if found is None:
        raise NotHere
    return render_template(
        "ledger/story.html",
        visit=visit,
        story=found,
        words=STATE_WORDS,
        tones=STATE_TONES,
        number=number,
    )


@blueprint.post("/l/<launch>/ledger/<int:score_id>/send")
@allow(Who.REGISTRAR)
def send_again(visit: Visit, score_id: int) -> ResponseReturnValue:
    """Send a score that needs attention once more; leads to the row that takes its place."""
    if queries.story(visit.launch.deployment_pk, score_id) is None:
        raise NotHere
    score = service.resend(score_id, visit.account.id, now=clock.now())
    if score is None:
        return redirect(visit.url("ledger.story", score_id=score_id, done="not-parked"), code=303)
    successor = score.id
    db.session.commit()
    tasks.wake()
    return redirect(visit.url("ledger.story", score_id=successor, done="sent-again"), code=303)


def _wanted() -> Filter:
    """What the address asks for; nonsense shows everything."""
    asked = request.args.get("show", "")
    shown = Shown(asked) if asked in set(Shown) else Shown.ALL
    return Filter(shown=shown, course=request.args.get("course", "").strip()[:100])


def _query(wanted: Filter, shown: Shown | None = None) -> dict[str, str]:
    shown = wanted.shown if shown is None else shown
    query = {} if shown is Shown.ALL else {"show": shown.value}
    return query | ({"course": wanted.course} if wanted.course else {})
