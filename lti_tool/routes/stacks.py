"""An activity that is a whole stack, as its earners see it: the map of the way, and where each part begins."""

from flask import Blueprint, redirect, render_template
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.assessment import stacks
from lti_tool.credentials.queries import stack_by_id
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.tasks import wake

blueprint = Blueprint("stacks", __name__)


@blueprint.get("/l/<launch>/stack")
@allow(Who.EARNER)
def overview(visit: Visit) -> ResponseReturnValue:
    """How far the earner is, and what can be worked on now."""
    stack_id = _stack_id(visit)
    way = stacks.way_of(
        visit.person_id, stack_by_id(stack_id), course_id=visit.activity.course_id, rehearsal=visit.rehearsal
    )
    return render_template(
        "stacks/overview.html",
        visit=visit,
        way=way,
        points=visit.activity.points_for(way.version),
        taken=visit.rehearsal or stacks.is_taken(visit.activity.id, visit.account.id),
    )


@blueprint.post("/l/<launch>/stack")
@allow(Who.EARNER)
def take(visit: Visit) -> ResponseReturnValue:
    """Let what was earned elsewhere count here."""
    _stack_id(visit)
    if not visit.rehearsal:
        stacks.take(visit.person_id, visit.activity, visit.account.id, now=clock.now())
        db.session.commit()
        wake()
    return redirect(visit.url("stacks.overview", done="stack-taken"), code=303)


def _stack_id(visit: Visit) -> int:
    if visit.activity.stack_id is None:
        raise NotHere
    return visit.activity.stack_id
