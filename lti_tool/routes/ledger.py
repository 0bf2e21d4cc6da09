"""The registrar's desk: what was sent to the gradebooks of this deployment, and what came back."""

from collections.abc import Iterable
from functools import partial

from flask import Blueprint, Response, redirect, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue

from lti_tool import clock, mail
from lti_tool.alerts import rules as alert_rules
from lti_tool.alerts import watch
from lti_tool.backpack import letters
from lti_tool.database import db
from lti_tool.errors import AddressUnusable, MailMissing, NotHere
from lti_tool.lti.platforms import behaviour
from lti_tool.registrar import export, queries, stories, words
from lti_tool.registrar.queries import Shown
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.routes.ledger_form import chips, query_of, wanted

blueprint = Blueprint("ledger", __name__)
_WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@blueprint.get("/l/<launch>/ledger")
@allow(Who.REGISTRAR)
def overview(visit: Visit) -> ResponseReturnValue:
    """All scores of the deployment, a page at a time."""
    asked = wanted()
    page = queries.page(visit.launch.deployment_pk, asked, request.args.get("page", 1, type=whole))
    deployment = visit.launch.deployment
    active = chips(asked, stories.names_of(deployment, asked), partial(visit.url, "ledger.overview"))
    return render_template(
        "ledger/overview.html",
        visit=visit,
        deployment=deployment,
        wanted=asked,
        chips=active,
        ledger=page,
        alerts=watch.standing(visit.launch.deployment_pk),
        alert_rules=alert_rules,
        choices=queries.choices(deployment),
        filters=[(one, visit.url("ledger.overview", **query_of(asked, show=one.value))) for one in Shown],
        query_of=query_of,
        url_for_page=lambda at: visit.url("ledger.overview", **query_of(asked), page=at),
        words=words,
    )


@blueprint.get("/l/<launch>/ledger.csv")
@allow(Who.REGISTRAR)
def as_csv(visit: Visit) -> ResponseReturnValue:
    """The same rows as a file, however many there are."""
    batches = queries.every(visit.launch.deployment_pk, wanted())
    return _file("csv", "text/csv; charset=utf-8", stream_with_context(export.lines(batches)))


@blueprint.get("/l/<launch>/ledger.xlsx")
@allow(Who.REGISTRAR)
def as_workbook(visit: Visit) -> ResponseReturnValue:
    """The same rows as a workbook, with numbers and dates as such."""
    batches = queries.every(visit.launch.deployment_pk, wanted())
    return _file("xlsx", _WORKBOOK, stream_with_context(export.workbook(batches)))


@blueprint.get("/l/<launch>/ledger/<int:score_id>")
@allow(Who.REGISTRAR)
def story(visit: Visit, score_id: int) -> ResponseReturnValue:
    """One score: what it says, where it comes from, and every try to send it."""
    return story_page(visit, score_id)


def story_page(
    visit: Visit, score_id: int, *, error: str | None = None, unsure: bool = False, changed: bool = False
) -> str:
    """The page of one score.

    :param error: what is wrong with the address for a personal link.
    :param unsure: the box was not ticked that says that a grade may be replaced.
    :param changed: nothing was done, as the LMS shows something else than the form's page did.
    """
    found = stories.story(visit.launch.deployment_pk, score_id)
    if found is None:
        raise NotHere
    return render_template(
        "ledger/story.html",
        visit=visit,
        story=found,
        words=words,
        now=clock.now(),
        lms=behaviour(visit.launch.deployment.registration.platform.product).product_name,
        mail=mail.possible(),
        error=error,
        unsure=unsure,
        changed=changed,
        typed=request.form.get("address", ""),
    )


@blueprint.post("/l/<launch>/ledger/<int:score_id>/personal-link")
@allow(Who.REGISTRAR)
def restore(visit: Visit, score_id: int) -> ResponseReturnValue:
    """Bring somebody who has left back to their badges: a letter with a link, which nobody here gets to see."""
    found = stories.story(visit.launch.deployment_pk, score_id)
    if found is None:
        raise NotHere
    if not mail.possible():
        raise MailMissing
    typed = request.form.get("address", "")
    try:
        letters.ask_to_restore(found.row.person_id, typed, actor=visit.account.id, now=clock.now())
    except AddressUnusable as refused:
        error = refused.detail or "This is no complete e-mail address."
        return story_page(visit, score_id, error=error), 422
    db.session.commit()
    return redirect(visit.url("ledger.story", score_id=score_id, done="link-sent"), code=303)


def _file(ending: str, content_type: str, pieces: Iterable[str] | Iterable[bytes]) -> Response:
    name = f"tessera-ledger-{clock.now():%Y-%m-%d}.{ending}"
    return Response(
        pieces,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )
