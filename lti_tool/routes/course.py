"""An activity as its faculty see it: who is where, what it asks, and privacy problems to look at."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import audit, clock, tasks
from lti_tool.assessment import enrolment, queries, stacks
from lti_tool.assessment.enrolment import Beside, Roll
from lti_tool.assessment.queries import Filter, ReportRow, Standing
from lti_tool.assessment.rehearsal import rehearsals_of
from lti_tool.badges.achievements import ASSESSED_BY_ONE
from lti_tool.closing import queries as closing
from lti_tool.credentials import queries as credentials
from lti_tool.credentials.models import Placement, Version
from lti_tool.credentials.rules import ScorePolicy, policy_of
from lti_tool.credit.queries import said_of
from lti_tool.database import db
from lti_tool.errors import AlreadyDecided, NotHere, OwnWork
from lti_tool.lti.platforms import behaviour
from lti_tool.passback import columns
from lti_tool.passback import service as passback
from lti_tool.passback.models import Score
from lti_tool.passback.rules import Cause
from lti_tool.people import rosters
from lti_tool.registrar import receipts
from lti_tool.routes.files import send_evidence
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.settings import current
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import Attempt

blueprint = Blueprint("course", __name__)
PAGE_SIZE = 25
REPORTS_SHOWN = 25


@blueprint.get("/l/<launch>/course")
@allow(Who.FACULTY)
def overview(visit: Visit) -> ResponseReturnValue:
    """Who is where in this activity, who waits for an assessor, and what needs attention."""
    activity, now = visit.activity, clock.now()
    if rosters.wants_reading(activity.course_id, now=now, stale_after=rosters.STALE_FOR_FACULTY):
        tasks.read_roster_later(activity.course_id)
    only, standing, roll = _filter(), queries.standing_of(activity.id), enrolment.roll_of(activity)
    if isinstance(only, Beside) and roll is None:
        only = Filter.EVERYONE
    pages = max(1, -(-_length(only, standing, roll) // PAGE_SIZE))
    page = min(max(1, request.args.get("page", 1, type=int)), pages)
    offered = credentials.current_of([choice.credential_id for choice in activity.choices])
    rows, enrolled, unsettled = [], [], {}
    if isinstance(only, Beside):
        enrolled = enrolment.enrolled(activity, only, page=page, size=PAGE_SIZE)
    else:
        rows = queries.earners_of(
            activity.id, only, assessor_account_id=visit.account.id, page=page, size=PAGE_SIZE
        )
        unsettled = enrolment.unsettled(activity, [row.account_id for row in rows])
    versions = [offered[choice.credential_id] for choice in activity.choices]
    return render_template(
        "course/overview.html",
        visit=visit,
        activity=activity,
        versions=versions,
        standing=standing,
        roll=roll,
        only=only,
        filters=list(Filter),
        beside=list(Beside),
        rows=rows,
        enrolled=enrolled,
        unsettled=unsettled,
        page=page,
        pages=pages,
        rehearsals=rehearsals_of(activity.id),
        reports=queries.open_reports(activity.id, limit=REPORTS_SHOWN),
        lms=behaviour(visit.launch.deployment.registration.platform.product),
        program_results=current().earlier_results,
        column=columns.column_of(activity.id),
        close_out_asked=closing.asked_of(activity.course_id, visit.person_id),
        now=now,
        to_look_at=receipts.in_course(activity.course_id),
        **_policies(activity, versions),
        **_stack(visit),
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
        credit=said_of(version.id),
        stacks=credentials.stacks_asking(version.credential_id),
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
    if score.cause is Cause.UNSEEN:
        # It may replace somebody's grade, which that page asks about.
        return redirect(visit.url("grades.one", score_id=score_id), code=303)
    sent = passback.resend(score_id, visit.account.id, now=clock.now())
    db.session.commit()
    tasks.wake()
    return redirect(visit.url("course.overview", done="sent-again" if sent else "not-parked"), code=303)


def _policies(activity: Placement, versions: Sequence[Version]) -> dict[str, Any]:
    """How many of the points a demonstration gets here, of each choice, and what else faculty may choose."""
    pointed = credentials.with_points([version.id for version in versions])
    every = len(pointed) == len(versions)
    chosen = policy_of(activity.score_policy, has_points=bool(pointed))
    return {
        "policies": {
            version.id: policy_of(activity.score_policy, has_points=version.id in pointed)
            for version in versions
        },
        "chosen_policy": chosen,
        "offered_policies": [
            one for one in ScorePolicy if one in (ScorePolicy.FULL, ScorePolicy.CRITERIA, chosen) or every
        ],
    }


def _stack(visit: Visit) -> dict[str, Any]:
    """Who is where on the way, where the activity is a whole stack."""
    if visit.activity.stack_id is None:
        return {"way": None}
    at = max(1, request.args.get("earners", 1, type=whole))
    earners, total = stacks.earners_of_stack(visit.activity, page=at, size=PAGE_SIZE)
    return {
        "way": stacks.way_for_anybody(credentials.stack_by_id(visit.activity.stack_id)),
        "earners": earners,
        "earners_page": at,
        "earners_pages": -(-total // PAGE_SIZE),
    }


def _filter() -> Filter | Beside:
    """What the address asks for; an unknown word shows everyone."""
    asked = request.args.get("show", "")
    known: list[Filter | Beside] = [*Filter, *Beside]
    return next((one for one in known if one.value == asked), Filter.EVERYONE)


def _length(only: Filter | Beside, standing: Standing, roll: Roll | None) -> int:
    if isinstance(only, Beside):
        return 0 if roll is None else roll.rows(only)
    return standing.count(only)


def _report(visit: Visit, report_id: int) -> ReportRow:
    """The report, unless it speaks of this person's own work: somebody else must look at that."""
    report = queries.report_in_course(report_id, visit.activity.course_id)
    if db.session.get_one(Attempt, report.evidence.attempt_id).person_id == visit.person_id:
        raise OwnWork
    return report
