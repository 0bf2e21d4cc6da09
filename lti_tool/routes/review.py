"""Assessing one submission: evidence and rubric side by side, ratings, feedback, and the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from lti_tool import clock, tasks
from lti_tool.assessment import queries, service
from lti_tool.assessment.models import Outcome
from lti_tool.assessment.rules import Mark, judgement
from lti_tool.backpack.service import hide_evidence
from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.errors import (
    AlreadyDecided,
    DecisionDisagrees,
    NotHere,
    OwnWork,
    RatingsMissing,
    SubmissionWithdrawn,
)
from lti_tool.registrar.words import number
from lti_tool.routes.files import send_evidence
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import AttemptState, Evidence, Submission, SubmittedEvidence
from lti_tool.submissions.queries import frozen, rubric_of

blueprint = Blueprint("review", __name__)


@dataclass(frozen=True)
class Typed:
    """What an assessor has typed or chosen, complete or not."""

    marks: Mapping[str, Mark]
    feedback: str
    outcome: Outcome | None


@blueprint.get("/l/<launch>/review/<int:submission_id>")
@allow(Who.FACULTY)
def read(visit: Visit, submission_id: int) -> ResponseReturnValue:
    """One submission, to be rated; or, once it is decided, what was decided."""
    submission = readable(visit, submission_id)
    if submission.attempt.state is AttemptState.SUBMITTED and submissions.is_newest(submission):
        marks, feedback = queries.draft_of(submission_id, visit.account.id)
        return _form(visit, submission, Typed(marks, feedback, None))
    history = queries.history(submission.attempt_id)
    decided = next((item for item in history if item.submission_id == submission_id), None)
    if decided is None:
        raise AlreadyDecided
    handed_in = frozen(submission_id)
    return render_template(
        "review/decided.html",
        visit=visit,
        submission=submission,
        work=handed_in,
        rubric=rubric_of(handed_in.version),
        decided=decided,
        changeable=submissions.is_newest(submission),
        ratings={criterion.key: criterion for criterion in decided.criteria},
    )


@blueprint.post("/l/<launch>/review/<int:submission_id>")
@allow(Who.FACULTY)
def record(visit: Visit, submission_id: int) -> ResponseReturnValue:
    """Keep the draft, or record the decision; refused ones come back with everything that was typed."""
    submission = readable(visit, submission_id)
    typed = typed_in(request.form)
    if request.form.get("intent") != "decide":
        service.save_assessment(submission_id, visit.account.id, typed.marks, typed.feedback, now=clock.now())
        db.session.commit()
        return redirect(visit.url("review.read", submission_id=submission_id, done="rated"), code=303)
    try:
        _decide(visit, submission, typed)
    except RatingsMissing as refused:
        return _refused(visit, submission_id, typed, refused.missing)
    except DecisionDisagrees as refused:
        return _refused(visit, submission_id, typed, [("outcome", refused.detail)])
    except AlreadyDecided:
        if not _same_again(visit, submission, typed):
            raise
    return redirect(visit.url("course.overview", done=_news(visit, submission, typed)), code=303)


@blueprint.get("/l/<launch>/review/<int:submission_id>/evidence/<int:evidence_id>")
@allow(Who.FACULTY)
def evidence(visit: Visit, submission_id: int, evidence_id: int) -> ResponseReturnValue:
    """A file of the submission."""
    return send_evidence(_piece(visit, submission_id, evidence_id), visit)


@blueprint.get("/l/<launch>/review/<int:submission_id>/evidence/<int:evidence_id>/problem")
@allow(Who.FACULTY)
def problem(visit: Visit, submission_id: int, evidence_id: int) -> ResponseReturnValue:
    """What happens when a privacy problem is reported, before it happens."""
    piece = _piece(visit, submission_id, evidence_id)
    submission = db.session.get_one(Submission, submission_id)
    return render_template(
        "review/problem.html",
        visit=visit,
        piece=piece,
        submission=submission,
        waiting=submission.attempt.state is AttemptState.SUBMITTED,
    )


@blueprint.post("/l/<launch>/review/<int:submission_id>/evidence/<int:evidence_id>/problem")
@allow(Who.FACULTY)
def report(visit: Visit, submission_id: int, evidence_id: int) -> ResponseReturnValue:
    """Hide the piece at once."""
    _piece(visit, submission_id, evidence_id)
    note = tidy(request.form.get("note", ""))
    submissions.report_privacy_problem(evidence_id, visit.account.id, note, now=clock.now())
    hide_evidence(evidence_id, actor=visit.account.id, now=clock.now())
    db.session.commit()
    tasks.wake()
    return redirect(visit.url("course.overview", done="privacy-reported"), code=303)


def _decide(visit: Visit, submission: Submission, typed: Typed) -> None:
    if typed.outcome is None:
        version = frozen(submission.id).version
        choose = ("outcome", "Choose a decision: demonstrated, or not yet demonstrated.")
        raise RatingsMissing((*service.lacking(version, typed.marks, typed.feedback), choose))
    service.decide(
        submission.id, visit.account.id, typed.marks, typed.feedback, typed.outcome, now=clock.now()
    )
    db.session.commit()
    tasks.wake()


def _refused(
    visit: Visit, submission_id: int, typed: Typed, errors: Sequence[tuple[str, str]]
) -> ResponseReturnValue:
    db.session.rollback()
    return _form(visit, readable(visit, submission_id), typed, errors), 422


def _same_again(visit: Visit, submission: Submission, typed: Typed) -> bool:
    """Whether the very decision stands already, by the same person: a double click, not a second opinion."""
    db.session.rollback()
    standing = queries.standing_decision(submission.id)
    return (
        standing is not None
        and standing.decided_by_account_id == visit.account.id
        and standing.outcome is typed.outcome
    )


def _news(visit: Visit, submission: Submission, typed: Typed) -> str:
    if submission.attempt.rehearsal:
        return "decided-rehearsal"
    if typed.outcome is Outcome.NOT_YET:
        return "decided-not-yet"
    if visit.activity.stack_id is not None:
        return "decided-part"
    return "decided" if visit.activity.line_item_url is not None else "decided-without-column"


def _form(visit: Visit, submission: Submission, typed: Typed, errors: Sequence[tuple[str, str]] = ()) -> str:
    handed_in = frozen(submission.id)
    version = handed_in.version
    return render_template(
        "review/rate.html",
        visit=visit,
        submission=submission,
        work=handed_in,
        rubric=rubric_of(version),
        typed=typed,
        errors=errors,
        needed=service.pass_rule(version).needed(len(version.criteria)),
        judged=judged_by(version, typed.marks),
        score=score_by(visit, version, typed.marks),
        earlier=[
            item for item in queries.history(submission.attempt_id) if item.submission_id != submission.id
        ],
    )


def judged_by(version: Version, marks: Mapping[str, Mark]) -> str | None:
    """What the ratings mean so far; nothing before the first."""
    if not any(mark.level for mark in marks.values()):
        return None
    judged = judgement(service.pass_rule(version), service.rubric_of(version), marks)
    return judged.reason


def score_by(visit: Visit, version: Version, marks: Mapping[str, Mark]) -> str | None:
    """What the gradebook gets by the ratings so far; nothing before the last of them."""
    if any(criterion.key not in marks or not marks[criterion.key].level for criterion in version.criteria):
        return None
    judged = judgement(service.pass_rule(version), service.rubric_of(version), marks)
    score = service.would_score(visit.activity, version, marks, demonstrated=judged.demonstrated)
    return None if score is None else number(score)


def readable(visit: Visit, submission_id: int) -> Submission:
    """The submission, if this person may judge it and there is something to judge."""
    submission = queries.submission_in_course(submission_id, visit.activity.course_id)
    if submission.attempt.person_id == visit.person_id:
        raise OwnWork
    if submission.withdrawn_at is not None:
        raise SubmissionWithdrawn
    return submission


def _piece(visit: Visit, submission_id: int, evidence_id: int) -> Evidence:
    """A piece of the submission that nobody has hidden."""
    readable(visit, submission_id)
    piece = db.session.get(SubmittedEvidence, (submission_id, evidence_id))
    if piece is None or piece.evidence.hidden_at is not None:
        raise NotHere
    return piece.evidence


def typed_in(form: MultiDict[str, str]) -> Typed:
    """What an assessor's form brings."""
    keys = {name.partition("-")[2] for name in form if name.startswith(("level-", "comment-"))}
    marks = {
        key: Mark(form.get(f"level-{key}") or None, tidy(form.get(f"comment-{key}", ""))) for key in keys
    }
    chosen = form.get("outcome")
    outcome = Outcome(chosen) if chosen in set(Outcome) else None
    return Typed(marks, tidy(form.get("feedback", "")), outcome)


def tidy(text: str) -> str:
    """As it is kept."""
    # Browsers send CRLF; PostgreSQL takes no NUL.
    return text.replace("\r\n", "\n").replace("\x00", "").strip()
