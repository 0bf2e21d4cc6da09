"""What faculty say about an activity: which micro-credential it is, where its grades go, what earlier results count."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, tasks
from lti_tool.credentials import queries, relinking
from lti_tool.credentials.rules import EarlierResults, ScorePolicy
from lti_tool.credentials.service import place
from lti_tool.database import db
from lti_tool.lti.claims import LaunchMessage
from lti_tool.passback import columns
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Visit, Who, allow

blueprint = Blueprint("activity", __name__)
PAGE_SIZE = 20


@blueprint.get("/l/<launch>/activity")
@allow(Who.PLACER)
def choose(visit: Visit) -> ResponseReturnValue:
    """Ask which micro-credential a link is that does not say so itself."""
    if _placed(visit):
        return redirect(visit.url("course.overview"), code=303)
    return _page(visit, error=None)


@blueprint.post("/l/<launch>/activity")
@allow(Who.PLACER)
def relink(visit: Visit) -> ResponseReturnValue:
    """Make the link what they chose. If a colleague was quicker, the page of the activity shows what it is."""
    if not _placed(visit):
        now, message = clock.now(), LaunchMessage.from_map(visit.launch.claims)
        made_for = request.form.get("made_for", "")
        if "\0" in made_for or relinking.relink(visit.launch, message, made_for, now=now) is None:
            return _page(visit, error="Choose what this activity is."), 422
        placement = place(visit.launch, message, now=now)
        assert placement is not None
        product = visit.launch.deployment.registration.platform.product
        columns.note(placement, message.ags, product=product, now=now)
        db.session.commit()
        tasks.wake()
    return redirect(visit.url("course.overview", done="relinked"), code=303)


@blueprint.post("/l/<launch>/course/earlier-results")
@allow(Who.FACULTY)
def earlier_results(visit: Visit) -> ResponseReturnValue:
    """Say what becomes of results that earners bring from other courses."""
    asked = request.form.get("earlier_results", "")
    policy = EarlierResults(asked) if asked in set(EarlierResults) else None
    relinking.set_earlier_results(visit.activity, policy, visit.account.id, now=clock.now())
    db.session.commit()
    return redirect(visit.url("course.overview", done="earlier-results"), code=303)


@blueprint.post("/l/<launch>/course/score-policy")
@allow(Who.FACULTY)
def score_policy(visit: Visit) -> ResponseReturnValue:
    """Say how many points a demonstration gets here from now on. A whole stack always gets all of them."""
    asked = request.form.get("score_policy", "")
    if visit.activity.stack_id is not None or asked not in set(ScorePolicy):
        return redirect(visit.url("course.overview"), code=303)
    relinking.set_score_policy(visit.activity, ScorePolicy(asked), visit.account.id, now=clock.now())
    db.session.commit()
    return redirect(visit.url("course.overview", done="score-policy"), code=303)


@blueprint.post("/l/<launch>/course/column")
@allow(Who.FACULTY)
def make_column(visit: Visit) -> ResponseReturnValue:
    """Have a gradebook column made for an activity that the LMS gave none."""
    asked = columns.ask_for(visit.activity.id, visit.account.id, now=clock.now())
    db.session.commit()
    if asked:
        tasks.wake()
    return redirect(visit.url("course.overview"), code=303)


def _placed(visit: Visit) -> bool:
    """Whether the link is an activity by now: a colleague may have said so since this visit began."""
    if visit.placement is not None:
        return True
    placed = place(visit.launch, LaunchMessage.from_map(visit.launch.claims), now=clock.now()) is not None
    db.session.commit()
    return placed


def _page(visit: Visit, error: str | None) -> str:
    message = LaunchMessage.from_map(visit.launch.claims)
    page = max(1, request.args.get("page", 1, type=whole))
    versions, total = queries.page_of_current(page, PAGE_SIZE)
    course, link = visit.course, message.resource_link
    assert course is not None
    assert link is not None
    return render_template(
        "activity/choose.html",
        visit=visit,
        link_title=link.title,
        suggestions=relinking.suggestions(course, link.title),
        versions=versions,
        page=page,
        pages=-(-total // PAGE_SIZE),
        chosen=request.form.get("made_for"),
        error=error,
    )
