"""Changing a decision that was wrong: the whole assessment once more, with a reason that the earner reads."""

from collections.abc import Sequence

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, tasks
from lti_tool.assessment import changing, queries, service
from lti_tool.assessment.models import Decision, Outcome
from lti_tool.assessment.rules import Mark
from lti_tool.backpack import service as backpack
from lti_tool.badges.models import Badge
from lti_tool.badges.queries import stacks_resting_on, standing_from
from lti_tool.badges.service import Reissue
from lti_tool.database import db
from lti_tool.errors import AlreadyDecided, DecisionDisagrees, NewerWork, NotHere, RatingsMissing
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.routes.review import Typed, judged_by, readable, score_by, tidy, typed_in
from lti_tool.submissions.models import Submission
from lti_tool.submissions.queries import frozen, rubric_of
from lti_tool.submissions.service import is_newest

blueprint = Blueprint("changing", __name__)
_LEAVE, _REVOKE = "leave", "revoke"


@blueprint.get("/l/<launch>/review/<int:submission_id>/change")
@allow(Who.FACULTY)
def ask(visit: Visit, submission_id: int) -> ResponseReturnValue:
    """The assessment as it stands, to be changed."""
    submission, standing = _standing(visit, submission_id)
    if not is_newest(submission):
        raise NewerWork
    return _form(visit, submission, standing, _said(submission))


@blueprint.post("/l/<launch>/review/<int:submission_id>/change")
@allow(Who.FACULTY)
def record(visit: Visit, submission_id: int) -> ResponseReturnValue:
    """Put the new decision in place of the one that was shown; what is refused comes back as it was typed."""
    submission, standing = _standing(visit, submission_id)
    shown, typed = request.form.get("decision", "", str), typed_in(request.form)
    why = tidy(request.form.get("why", ""))
    if shown == str(standing.id):
        errors = _lacking(submission, standing, typed, why)
        if errors:
            return _form(visit, submission, standing, typed, errors, why=why), 422
        try:
            _change(visit, standing, typed, why)
        except RatingsMissing as refused:
            return _again(visit, submission_id, typed, why, refused.missing)
        except DecisionDisagrees as refused:
            return _again(visit, submission_id, typed, why, [("outcome", refused.detail)])
        except AlreadyDecided:
            # Somebody was quicker by a moment.
            db.session.rollback()
            submission, standing = _standing(visit, submission_id)
        else:
            return redirect(
                visit.url("review.read", submission_id=submission_id, done="decision-changed"), code=303
            )
    says = (_said(submission), standing.why)
    if says == (typed, why) and _by_the_same(visit, standing, shown):
        return redirect(
            visit.url("review.read", submission_id=submission_id, done="decision-changed"), code=303
        )
    return _form(visit, submission, standing, typed, why=why, overtaken=True), 409


def _change(visit: Visit, standing: Decision, typed: Typed, why: str) -> None:
    assert typed.outcome is not None
    now, actor = clock.now(), visit.account.id
    revoked = [one.id for one in _stacks(standing) if request.form.get(f"stack-{one.id}") == _REVOKE]
    changed = changing.change(
        standing.id, actor, typed.marks, typed.feedback, typed.outcome, why=why, stack_badges=revoked, now=now
    )
    for badge_id in changed.shows_other_levels:
        owner = db.session.get_one(Badge, badge_id).person_id
        backpack.renew(badge_id, owner, change=Reissue(), actor=actor, now=now)
    db.session.commit()
    tasks.wake()


def _lacking(submission: Submission, standing: Decision, typed: Typed, why: str) -> list[tuple[str, str]]:
    """What the form needs before the rules look at it: (field, what to do)."""
    errors = []
    if typed.outcome is None:
        errors.append(("outcome", "Choose a decision: demonstrated, or not yet demonstrated."))
    elif typed == _said(submission):
        errors.append(("outcome", "This is what was decided already. Change what is wrong in it."))
    if not why:
        errors.append(("why", "Write why it is changed. The earner reads it."))
    elif len(why) > changing.LONGEST_WHY:
        errors.append(("why", f"Say it in {changing.LONGEST_WHY} characters; this has {len(why)}."))
    if typed.outcome is Outcome.NOT_YET:
        errors += [
            (f"stack-{one.id}", "Say what becomes of the badge of the stack.")
            for one in _stacks(standing)
            if request.form.get(f"stack-{one.id}") not in (_LEAVE, _REVOKE)
        ]
    return errors


def _again(
    visit: Visit, submission_id: int, typed: Typed, why: str, errors: Sequence[tuple[str, str]]
) -> ResponseReturnValue:
    db.session.rollback()
    return _form(visit, *_standing(visit, submission_id), typed, errors, why=why), 422


def _by_the_same(visit: Visit, standing: Decision, shown: str) -> bool:
    """Whether the same person has changed the decision that was shown: then the same words are a double click."""
    return str(standing.supersedes_id) == shown and standing.decided_by_account_id == visit.account.id


def _standing(visit: Visit, submission_id: int) -> tuple[Submission, Decision]:
    submission = readable(visit, submission_id)
    standing = queries.standing_decision(submission_id)
    if standing is None:
        raise NotHere
    return submission, standing


def _said(submission: Submission) -> Typed:
    """What the decision that stands says, as the form holds it."""
    decided = next(
        one for one in queries.history(submission.attempt_id) if one.submission_id == submission.id
    )
    marks = {one.key: Mark(one.level_key, one.comment) for one in decided.criteria}
    return Typed(marks, decided.feedback, decided.outcome)


def _stacks(standing: Decision) -> list[Badge]:
    """The badges of stacks that name what was awarded with this decision as a part."""
    if standing.outcome is not Outcome.DEMONSTRATED:
        return []
    earlier = queries.decisions_about(standing.submission_id)
    return [whole for badge in standing_from(earlier) for whole in stacks_resting_on(badge.id)]


def _form(
    visit: Visit,
    submission: Submission,
    standing: Decision,
    typed: Typed,
    errors: Sequence[tuple[str, str]] = (),
    *,
    why: str = "",
    overtaken: bool = False,
) -> str:
    handed_in = frozen(submission.id)
    version = handed_in.version
    return render_template(
        "review/change.html",
        visit=visit,
        submission=submission,
        standing=standing,
        work=handed_in,
        rubric=rubric_of(version),
        typed=typed,
        why=why,
        longest=changing.LONGEST_WHY,
        errors=errors,
        overtaken=overtaken,
        stacks=_stacks(standing),
        stack_answers={one.id: request.form.get(f"stack-{one.id}") for one in _stacks(standing)},
        needed=service.pass_rule(version).needed(len(version.criteria)),
        judged=judged_by(version, typed.marks),
        score=score_by(visit, version, typed.marks),
    )
