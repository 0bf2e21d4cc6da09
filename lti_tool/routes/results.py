"""What an earner reads after handing in: the frozen copy, and the feedback."""

from datetime import date, timedelta
from typing import Any

from flask import Blueprint, redirect, render_template
from flask.typing import ResponseReturnValue

from lti_tool import clock, errors, tasks
from lti_tool.assessment import queries as assessment
from lti_tool.assessment import stacks
from lti_tool.assessment.service import mark_opened
from lti_tool.credentials.queries import full_version
from lti_tool.database import db
from lti_tool.lti.platforms import behaviour
from lti_tool.passback import service as passback
from lti_tool.registrar import receipts, words
from lti_tool.routes.choice import attempt_of
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.submissions import queries, rules
from lti_tool.submissions.models import AttemptState

blueprint = Blueprint("results", __name__)


@blueprint.get("/l/<launch>/work/submissions/<int:number>")
@allow(Who.EARNER)
def submission(visit: Visit, number: int) -> ResponseReturnValue:
    """What was handed in, as it was, and when feedback can be expected."""
    attempt = attempt_of(visit)
    if attempt is None:
        raise errors.NotHere
    row = queries.own_submission(visit.person_id, attempt.id, number)
    frozen = queries.frozen(row.id)
    due = rules.feedback_due(row.handed_in_at.date(), frozen.version.turnaround_days)
    waiting = attempt.state is AttemptState.SUBMITTED and attempt.submissions[-1].id == row.id
    return render_template(
        "results/submission.html",
        visit=visit,
        frozen=frozen,
        waiting=waiting,
        due=due,
        # Late only once the day is over everywhere: the earner's zone is not known here.
        late=(clock.now() - timedelta(hours=12)).date() > due,
        step=3,
    )


@blueprint.get("/l/<launch>/work/feedback")
@blueprint.get("/l/<launch>/work/feedback/<int:number>")
@allow(Who.EARNER)
def feedback(visit: Visit, number: int | None = None) -> ResponseReturnValue:
    """What the assessor decided and wrote, unmet criteria first. Faculty see that it was opened."""
    attempt = attempt_of(visit)
    decided = assessment.history(attempt.id) if attempt is not None else []
    shown = next((item for item in decided if number in (None, item.submission_number)), None)
    if attempt is None or shown is None:
        if number is not None:
            raise errors.NotHere
        return redirect(visit.url("work.tasks" if attempt is not None else "work.overview"), code=303)
    if mark_opened(shown.decision_id, person_id=visit.person_id, now=clock.now()):
        db.session.commit()
    version = full_version(attempt.version_id)
    unmet = {item.key for item in shown.criteria if not item.met}
    rubric = queries.rubric_of(version)
    latest = shown is decided[0]
    earned = latest and shown.met and not visit.rehearsal
    return render_template(
        "results/feedback.html",
        visit=visit,
        version=version,
        attempt=attempt,
        shown=shown,
        latest=latest,
        ratings={item.key: item for item in shown.criteria},
        unmet=[row for row in rubric if row.key in unmet],
        met=[row for row in rubric if row.key not in unmet],
        decided={item.submission_number: item for item in decided},
        taken_back=queries.taken_back(attempt),
        step=4 if shown.met else 3,
        completed=stacks.completed_with(visit.person_id, shown.decision_id) if earned else [],
        suggestions=stacks.suggestions(visit.person_id, about=version.credential.key) if earned else [],
        can_work=latest and attempt.state is AttemptState.NOT_YET,
        **_receipt(visit),
    )


@blueprint.post("/l/<launch>/work/grade")
@allow(Who.EARNER)
def ask_again(visit: Visit) -> ResponseReturnValue:
    """Have one's own score sent once more, where the gradebook refused or lost it."""
    row, now = receipts.of_cell(visit.activity.id, visit.account.id), clock.now()
    sent = None
    if row is not None and receipts.may_ask(row, ends_on=_ends_on(visit), now=now):
        sent = passback.resend(row.id, visit.account.id, now=now, for_themselves=True)
        db.session.commit()
        tasks.wake()
    done = "not-parked" if sent is None else "asked-again"
    return redirect(visit.url("results.feedback", done=done), code=303)


def _ends_on(visit: Visit) -> date | None:
    """The last day of the course's term, if it has one."""
    term = visit.activity.course.term
    return None if term is None else term.ends_on


def _receipt(visit: Visit) -> dict[str, Any]:
    """What became of the score in this activity's gradebook column."""
    row = None if visit.rehearsal else receipts.of_cell(visit.activity.id, visit.account.id)
    return {
        "receipt_row": row,
        "may_ask": row is not None and receipts.may_ask(row, ends_on=_ends_on(visit), now=clock.now()),
        "lms": behaviour(visit.launch.deployment.registration.platform.product).product_name,
        "words": words,
    }
