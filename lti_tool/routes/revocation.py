"""Taking a badge back as faculty, with a reason that everybody may read, and issuing one again after an error."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, tasks
from lti_tool.backpack import queries, service
from lti_tool.backpack.queries import Earned, Standing
from lti_tool.database import db
from lti_tool.errors import NotHere, OwnBadge, ReasonMissing
from lti_tool.routes.guards import Visit, Who, allow

blueprint = Blueprint("revocation", __name__)


@blueprint.get("/l/<launch>/course/attempts/<int:attempt_id>/badges")
@allow(Who.FACULTY)
def look(visit: Visit, attempt_id: int) -> ResponseReturnValue:
    """The badges that came from an attempt, how each stands, and what can be done about it."""
    return _page(visit, _earned(visit, attempt_id))


@blueprint.post("/l/<launch>/course/attempts/<int:attempt_id>/badges/<badge_id>/revoke")
@allow(Who.FACULTY)
def revoke(visit: Visit, attempt_id: int, badge_id: str) -> ResponseReturnValue:
    """Take one back. No grade changes: that is another decision."""
    earned = _earned(visit, attempt_id, badge_id)
    reason = request.form.get(f"reason-{badge_id}", "")
    try:
        if request.form.get(f"sure-{badge_id}") != "yes":
            error = (f"sure-{badge_id}", "Tick the box to say that you mean it.")
            return _page(visit, earned, error=error, typed=reason), 422
        resting = earned.resting.get(badge_id, ())
        answers = {badge.id: request.form.get(f"stack-{badge.id}") for badge in resting}
        if unsaid := [one for one, answer in answers.items() if answer not in ("leave", "revoke")]:
            error = (f"stack-{unsaid[0]}", "Say what becomes of the badge of the stack.")
            return _page(visit, earned, error=error, typed=reason), 422
        service.revoke(badge_id, reason=reason, actor=visit.account.id, now=clock.now())
        for stack_badge, answer in answers.items():
            if answer == "revoke":
                service.revoke(stack_badge, reason=reason, actor=visit.account.id, now=clock.now())
    except ReasonMissing:
        db.session.rollback()
        error = (f"reason-{badge_id}", "Write the reason. Whoever checks the badge reads it.")
        return _page(visit, _earned(visit, attempt_id, badge_id), error=error), 422
    db.session.commit()
    tasks.wake()
    return redirect(visit.url("revocation.look", attempt_id=attempt_id, done="revoked"), code=303)


@blueprint.post("/l/<launch>/course/attempts/<int:attempt_id>/badges/<badge_id>/again")
@allow(Who.FACULTY)
def again(visit: Visit, attempt_id: int, badge_id: str) -> ResponseReturnValue:
    """Issue one again, after an error. Where it was taken back, that is for those who may act on its decision."""
    earned = _earned(visit, attempt_id, badge_id)
    revoked = any(item.badge.id == badge_id and item.standing is Standing.REVOKED for item in earned.badges)
    if revoked and badge_id not in earned.decided_here:
        raise NotHere
    service.issue_again(badge_id, actor=visit.account.id, now=clock.now())
    db.session.commit()
    tasks.wake()
    return redirect(visit.url("revocation.look", attempt_id=attempt_id, done="issued-again"), code=303)


def _earned(visit: Visit, attempt_id: int, badge_id: str | None = None) -> Earned:
    """The attempt of this course with its badges; the named one must be among them."""
    earned = queries.earned_by(attempt_id, visit.activity.course_id, now=clock.now())
    if earned.attempt.person_id == visit.person_id:
        raise OwnBadge
    if badge_id is not None and badge_id not in {item.badge.id for item in earned.badges}:
        raise NotHere
    return earned


def _page(visit: Visit, earned: Earned, *, error: tuple[str, str] | None = None, typed: str = "") -> str:
    return render_template(
        "revocation/badges.html",
        visit=visit,
        earned=earned,
        error=error,
        typed=typed,
        longest=service.LONGEST_REASON,
    )
