"""An activity as its faculty see it: who is where, what it asks, and privacy problems to look at."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import audit, clock, tasks
from lti_tool.assessment import queries
from lti_tool.assessment.queries import Filter, ReportRow
from lti_tool.badges.service import ASSESSED_BY_ONE
from lti_tool.credentials import queries as credentials
from lti_tool.credit.service import rules_of
from lti_tool.database import db
from lti_tool.errors import AlreadyDecided, NotHere, OwnWork
from lti_tool.passback import service as passback
from lti_tool.passback.models import Score
from lti_tool.routes.files import send_evidence
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import Attempt

blueprint = Blueprint("course", __name__)
PAGE_SIZE = 25
REPORTS_SHOWN = 25


@blueprint.get("/l/<launch>/course")
@allow(Who.FACULTY)
def overview(visit: Visit) -> ResponseReturnValue:
    """Who is where in this activity, who waits for an assessor, and what needs attention."""
    activity = visit.activity
    only = _filter()
    standing = queries.standing_of(activity.id)
    pages = max(1, -(-standing.count(only) // PAGE_SIZE))
    page = min(max(1, request.args.get("page", 1, type=int)), pages)
    offered = credentials.current_of([choice.credential_id for choice in activity.choices])
    return render_template(
        "course/overview.html",
        visit=visit,
        activity=activity,
        versions=[offered[choice.credential_id] for choice in activity.choices],
        standing=standing,
        only=only,
        filters=list(Filter),
        rows=queries.earners_of(activity.id, only, page=page, size=PAGE_SIZE),
        page=page,
        pages=pages,
        reports=queries.open_reports(activity.id, limit=REPORTS_SHOWN),
        now=clock.now(),
    )


@blueprint.get("/l/<launch>/course/preview/<key>")
@allow(Who.FACULTY)
def preview(visit: Visit, key: str) -> ResponseReturnValue:
    """A micro-credential of this activity as an earner reads it, rubric included."""
    if key not in {choice.credential.key for choice in visit.activity.choices}:
        raise NotHere
    version = credentials.version_by_key(key)
    return render_template(
        "course/preview.html",
        visit=visit,
        version=version,
        credit=rules_of(version.id),
        stacks=credentials.stacks_with([version.credential_id]),
        assessed_by_one=ASSESSED_BY_ONE,
    )


@blueprint.get("/l/<launch>/course/reports/<int:report_id>")
@allow(Who.FACULTY)
def report(visit: Visit, report_id: int) -> ResponseReturnValue:
    """A privacy problem, and what can be done about it."""
    return render_template("course/report.html", visit=visit, report=_report(visit, report_id))


@blueprint.get("/l/<launch>/course/reports/<int:report_id>/evidence")
@allow(Who.FACULTY)
def reported_evidence(visit: Visit, report_id: int) -> ResponseReturnValue:
    """The hidden piece, for faculty who must judge whether it may be shown. That they looked is recorded."""
    found = _report(visit, report_id)
    if found.resolved:
        raise NotHere
    audit.record(
        "hidden evidence opened",
        "evidence",
        found.evidence.id,
        now=clock.now(),
        actor=visit.account.id,
        report=report_id,
    )
    db.session.commit()
    if found.evidence.url is not None:
        return redirect(found.evidence.url, code=303)
    return send_evidence(found.evidence, visit)


@blueprint.post("/l/<launch>/course/reports/<int:report_id>")
@allow(Who.FACULTY)
def resolve(visit: Visit, report_id: int) -> ResponseReturnValue:
    """Keep the piece hidden for good, or show it again."""
    _report(visit, report_id)
    resolution = request.form.get("resolution", "")
    if resolution not in ("removed", "restored"):
        return redirect(visit.url("course.report", report_id=report_id), code=303)
    try:
        submissions.resolve_privacy_report(report_id, visit.account.id, resolution, now=clock.now())
    except AlreadyDecided:
        # The page of the report says that somebody was quicker.
        db.session.rollback()
        return redirect(visit.url("course.report", report_id=report_id), code=303)
    db.session.commit()
    return redirect(visit.url("course.overview", done=f"evidence-{resolution}"), code=303)


@blueprint.post("/l/<launch>/course/scores/<int:score_id>/send")
@allow(Who.FACULTY)
def send_again(visit: Visit, score_id: int) -> ResponseReturnValue:
    """Send a score of this activity once more, after somebody mended what was wrong."""
    score = db.session.get(Score, score_id)
    if score is None or score.placement_id != visit.activity.id:
        raise NotHere
    sent = passback.resend(score_id, visit.account.id, now=clock.now())
    db.session.commit()
    tasks.wake()
    return redirect(visit.url("course.overview", done="sent-again" if sent else "not-parked"), code=303)


def _filter() -> Filter:
    """What the address asks for; an unknown word shows everyone."""
    try:
        return Filter(request.args.get("show", Filter.EVERYONE))
    except ValueError:
        return Filter.EVERYONE


def _report(visit: Visit, report_id: int) -> ReportRow:
    """The report, unless it speaks of this person's own work: somebody else must look at that."""
    report = queries.report_in_course(report_id, visit.activity.course_id)
    if db.session.get_one(Attempt, report.evidence.attempt_id).person_id == visit.person_id:
        raise OwnWork
    return report
