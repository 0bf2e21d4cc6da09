"""What only faculty in Canvas' Student View meet: the sample badge at the end, and beginning afresh."""

from flask import Blueprint, redirect, render_template
from flask.typing import ResponseReturnValue

from lti_tool import clock, errors
from lti_tool.assessment.rehearsal import restart
from lti_tool.badges import images
from lti_tool.credentials.queries import full_version
from lti_tool.database import db
from lti_tool.routes.choice import attempt_of
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.settings import current
from lti_tool.submissions.models import Attempt, AttemptState

blueprint = Blueprint("rehearsal", __name__)


@blueprint.get("/l/<launch>/rehearsal/badge")
@allow(Who.EARNER)
def sample(visit: Visit) -> ResponseReturnValue:
    """What an earner would hold now. There is no badge behind it: nothing is signed, and nothing can be checked."""
    version = full_version(_demonstrated(visit).version_id)
    return render_template(
        "rehearsal/sample.html", visit=visit, version=version, issuer_name=current().issuer_name
    )


@blueprint.get("/l/<launch>/rehearsal/badge.svg")
@allow(Who.EARNER)
def picture(visit: Visit) -> ResponseReturnValue:
    """The look of the badge with SAMPLE written across it."""
    version = full_version(_demonstrated(visit).version_id)
    drawing = images.sample(
        symbol=version.badge_symbol, colour=version.badge_colour, shape=version.badge_shape
    )
    return drawing, {"Content-Type": "image/svg+xml"}


@blueprint.get("/l/<launch>/rehearsal/restart")
@allow(Who.EARNER)
def ask(visit: Visit) -> ResponseReturnValue:
    """What beginning afresh takes away, before it does."""
    _in_student_view(visit)
    return render_template("rehearsal/restart.html", visit=visit)


@blueprint.post("/l/<launch>/rehearsal/restart")
@allow(Who.EARNER)
def begin_again(visit: Visit) -> ResponseReturnValue:
    """Empty the rehearsal."""
    _in_student_view(visit)
    restart(visit.person_id, visit.activity.id, account_id=visit.account.id, now=clock.now())
    db.session.commit()
    return redirect(visit.url("work.overview", done="rehearsal-emptied"), code=303)


def _in_student_view(visit: Visit) -> None:
    if not visit.rehearsal:
        raise errors.NotHere


def _demonstrated(visit: Visit) -> Attempt:
    _in_student_view(visit)
    attempt = attempt_of(visit)
    if attempt is None or attempt.state is not AttemptState.DEMONSTRATED:
        raise errors.NotHere
    return attempt
