"""Finding a person at the registrar's desk. What is typed is posted, since names have no place in an address."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool.errors import NotHere
from lti_tool.registrar import stories, words
from lti_tool.routes.forms import text
from lti_tool.routes.guards import Visit, Who, allow

blueprint = Blueprint("desk_people", __name__)
_LONGEST = 100


@blueprint.route("/l/<launch>/ledger/people", methods=["GET", "POST"])
@allow(Who.REGISTRAR)
def search(visit: Visit) -> ResponseReturnValue:
    """Everybody of this deployment whose name or SIS id holds what was typed."""
    typed = request.form.get("who", "", type=text)[:_LONGEST]
    found = stories.search(visit.launch.deployment_pk, typed)
    return render_template(
        "ledger/people.html",
        visit=visit,
        typed=typed,
        found=found[: stories.FOUND],
        more=len(found) > stories.FOUND,
        asked=bool(typed),
    )


@blueprint.get("/l/<launch>/ledger/people/<int:person_id>")
@allow(Who.REGISTRAR)
def one(visit: Visit, person_id: int) -> ResponseReturnValue:
    """Somebody's grade in every activity, and why it is not there where it is not."""
    found = stories.person(visit.launch.deployment_pk, person_id)
    if found is None:
        raise NotHere
    return render_template("ledger/person.html", visit=visit, person=found, words=words)
