"""The earner's pages: what is asked, the work itself, checking and handing in, waiting, feedback."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, errors
from lti_tool.assessment import queries as assessment
from lti_tool.assessment.service import owe_here
from lti_tool.badges.service import ASSESSED_BY_ONE
from lti_tool.credentials.models import Credential
from lti_tool.credentials.queries import current_of, full_version, stacks_with
from lti_tool.credentials.rules import PassRule
from lti_tool.credit.service import rules_of
from lti_tool.database import db
from lti_tool.routes import work_form
from lti_tool.routes.files import send_evidence
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.routes.work_form import Sent
from lti_tool.settings import current
from lti_tool.submissions import queries, rules, service
from lti_tool.submissions.models import Attempt, AttemptState
from lti_tool.submissions.queries import Draft
from lti_tool.tasks import wake

blueprint = Blueprint("work", __name__)


@blueprint.before_request
def receive_words_first() -> None:
    """A file that is too large must not cost the words typed beside it."""
    if request.endpoint == "work.save":
        work_form.prepare()


@blueprint.get("/l/<launch>/work")
@allow(Who.EARNER)
def overview(visit: Visit) -> ResponseReturnValue:
    """Where the earner is: reading and working, waiting, or with feedback to read."""
    attempt = queries.attempt_here(visit.person_id, visit.activity.id)
    if attempt is None:
        choices = [choice.credential for choice in visit.activity.choices]
        if len(choices) != 1:
            return redirect(visit.url("work.choose"), code=303)
        return _about(visit, choices[0], None)
    match attempt.state:
        case AttemptState.SUBMITTED:
            number = attempt.submissions[-1].number
            return redirect(visit.url("results.submission", number=number, **_notice()), code=303)
        case AttemptState.NOT_YET | AttemptState.DEMONSTRATED:
            return redirect(visit.url("results.feedback", **_notice()), code=303)
    return _about(visit, attempt.version.credential, attempt)


@blueprint.get("/l/<launch>/work/choose")
@allow(Who.EARNER)
def choose(visit: Visit) -> ResponseReturnValue:
    """What this activity offers, and what the earner has of it."""
    ids = [choice.credential_id for choice in visit.activity.choices]
    here = queries.attempt_here(visit.person_id, visit.activity.id)
    return render_template(
        "work/choose.html",
        visit=visit,
        versions=[version for _, version in sorted(current_of(ids).items(), key=lambda at: ids.index(at[0]))],
        attempts=queries.attempts_of(visit.person_id, ids),
        here=here,
        fixed=here is not None and any(row.withdrawn_at is None for row in here.submissions),
    )


@blueprint.get("/l/<launch>/work/about/<key>")
@allow(Who.EARNER)
def about(visit: Visit, key: str) -> ResponseReturnValue:
    """Everything there is to know before starting, and again at any time."""
    return _about(visit, _offered(visit, key), queries.attempt_here(visit.person_id, visit.activity.id))


@blueprint.post("/l/<launch>/work/start")
@allow(Who.EARNER)
def start(visit: Visit) -> ResponseReturnValue:
    """Begin, or go on here with what was begun in another course."""
    chosen, now = _offered(visit, request.form.get("credential", "")), clock.now()
    attempt = service.open_attempt(visit.person_id, chosen.id, visit.activity.id, visit.account.id, now=now)
    begun, is_open = attempt.created_at == now, attempt.state in service.OPEN_STATES
    owe_here(attempt.id, visit.activity.id, now=now)
    db.session.commit()
    wake()
    if is_open:
        return redirect(visit.url("work.tasks", **({"done": "started"} if begun else {})), code=303)
    return redirect(visit.url("work.overview"), code=303)


@blueprint.get("/l/<launch>/work/tasks")
@allow(Who.EARNER)
def tasks(visit: Visit) -> ResponseReturnValue:
    """Every task on one page."""
    draft = _open_draft(visit)
    if draft is None:
        return redirect(visit.url("work.overview", **_notice()), code=303)
    return _tasks_page(visit, draft, Sent())


@blueprint.post("/l/<launch>/work/tasks")
@work_form.keeping_words
@allow(Who.EARNER)
def save(visit: Visit) -> ResponseReturnValue:
    """Keep everything that was typed, whichever button was pressed; then do what the button says."""
    # By its id, since in a choice the other tab may have switched the activity to another micro-credential.
    draft = queries.draft(request.form.get("attempt", 0, type=whole))
    attempt_id = draft.attempt.id
    if draft.attempt.person_id != visit.person_id:
        raise errors.NotHere
    sent = work_form.save(draft)
    action, _, about_id = request.form.get("action", "save").partition("-")
    piece = whole(about_id) if about_id.isdecimal() and len(about_id) < 10 else None
    if action == "remove" and piece is not None:
        service.remove_evidence(attempt_id, piece, now=clock.now())
        db.session.commit()
    if not sent.kept:
        return _tasks_page(visit, queries.draft(attempt_id), sent), 409 if sent.conflict else 422
    match action:
        case "check":
            return redirect(visit.url("work.check"), code=303)
        case "privacy" if piece is not None:
            return redirect(visit.url("work.privacy", evidence_id=piece), code=303)
        case "remove":
            return redirect(visit.url("work.tasks", done="removed"), code=303)
    return redirect(visit.url("work.tasks", done="saved"), code=303)


def _tasks_page(visit: Visit, draft: Draft, sent: Sent) -> str:
    saved = {task.key: task.answer for part in draft.parts for task in part.tasks}
    typed = saved | sent.answers
    note = draft.attempt.note if sent.note is None else sent.note
    return render_template(
        "work/tasks.html",
        visit=visit,
        draft=draft,
        typed=typed,
        note=note,
        sent=sent,
        wrong=dict(reversed(sent.problems)),
        elsewhere={
            key: saved[key]
            for key, text in sent.answers.items()
            if sent.conflict and rules.tidy(text) != saved[key]
        },
        note_elsewhere=draft.attempt.note if rules.tidy(note) != draft.attempt.note else None,
        step=1,
        learner=current().word_for_learners_in_evidence,
        kinds=rules.KINDS_IN_WORDS,
        max_bytes=current().max_upload_bytes,
        taken_back=queries.taken_back(draft.attempt),
        feedback=assessment.feedback_for(draft.attempt.id) if draft.again else None,
    )


@blueprint.get("/l/<launch>/work/check")
@allow(Who.EARNER)
def check(visit: Visit) -> ResponseReturnValue:
    """What is complete, what is missing, and the statements."""
    draft = _open_draft(visit)
    if draft is None:
        return redirect(visit.url("work.overview"), code=303)
    return _check_page(visit, draft, frozenset(), ())


@blueprint.post("/l/<launch>/work/check")
@allow(Who.EARNER)
def hand_in(visit: Visit) -> ResponseReturnValue:
    """Hand in, once; a second click finds it done."""
    attempt = queries.attempt_here(visit.person_id, visit.activity.id)
    if attempt is None or attempt.id != request.form.get("attempt", 0, type=whole):
        # Another tab has switched the activity to another micro-credential.
        return redirect(visit.url("work.check", done="changed"), code=303)
    if visit.launch.claims.get("is_test_user"):
        # Or faculty could assess themselves: the test student is somebody else, and the badge would be real.
        return redirect(visit.url("work.check", done="student-view"), code=303)
    keys = {key for key in (rules.OWN_WORK, rules.NO_NAMES) if key in request.form}
    keys |= {request.form.get("people", "")} & set(rules.PEOPLE)
    try:
        handed = service.hand_in(attempt.id, visit.person_id, keys, now=clock.now(), actor=visit.account.id)
        number = handed.number
        db.session.commit()
    except errors.WorkIncomplete:
        db.session.rollback()
        page = _check_page(visit, queries.draft(attempt.id), keys, rules.unconfirmed(keys))
        return page, 422
    except errors.ChangedElsewhere:
        db.session.rollback()
        return redirect(visit.url("work.check", done="changed"), code=303)
    except errors.WorkClosed:
        db.session.rollback()
        return redirect(visit.url("work.overview"), code=303)
    return redirect(visit.url("results.submission", number=number, done="handed-in"), code=303)


def _check_page(
    visit: Visit, draft: Draft, keys: frozenset[str] | set[str], open_statements: tuple[rules.Missing, ...]
) -> str:
    lacking = {item.field: item.text for item in service.missing(draft.attempt)}
    asked: list[tuple[str, bool, str | None]] = []
    for part in draft.parts:
        for task in part.tasks:
            fields = (rules.answer_field(task.key), rules.file_field(task.key), rules.link_field(task.key))
            at = next((name for name in fields if name in lacking), None)
            if at is not None:
                asked.append((lacking[at], False, visit.url("work.tasks", _anchor=at)))
            elif task.answer or task.pieces:
                asked.append((task.title, True, None))
    return render_template(
        "work/check.html",
        visit=visit,
        draft=draft,
        asked=asked,
        missing=len(lacking),
        statements={
            item.key: item.wording for item in rules.statements(current().word_for_learners_in_evidence)
        },
        keys=keys,
        problems=[(item.field, item.text) for item in open_statements],
        step=2,
    )


@blueprint.get("/l/<launch>/work/evidence/<int:evidence_id>")
@allow(Who.EARNER)
def evidence(visit: Visit, evidence_id: int) -> ResponseReturnValue:
    """A file that the earner added themselves, unless it is hidden."""
    piece = queries.own_evidence(visit.person_id, evidence_id)
    if piece.hidden_at is not None:
        raise errors.NotHere
    return send_evidence(piece, visit)


@blueprint.get("/l/<launch>/work/evidence/<int:evidence_id>/privacy")
@allow(Who.EARNER)
def privacy(visit: Visit, evidence_id: int) -> ResponseReturnValue:
    """Ask before hiding: it cannot be undone by the person who asked for it."""
    piece = queries.own_evidence(visit.person_id, evidence_id)
    if piece.hidden_at is not None:
        return redirect(visit.url("work.overview", done="hidden"), code=303)
    return render_template("work/privacy.html", visit=visit, piece=piece)


@blueprint.post("/l/<launch>/work/evidence/<int:evidence_id>/privacy")
@allow(Who.EARNER)
def report_privacy(visit: Visit, evidence_id: int) -> ResponseReturnValue:
    """Hide it at once."""
    piece = queries.own_evidence(visit.person_id, evidence_id)
    service.report_privacy_problem(
        piece.id, visit.account.id, request.form.get("note", "")[:2000], now=clock.now()
    )
    db.session.commit()
    return redirect(visit.url("work.tasks", done="hidden"), code=303)


def _about(visit: Visit, credential: Credential, here: Attempt | None) -> str:
    mine = queries.attempts_of(visit.person_id, [credential.id]).get(credential.id)
    version = full_version(
        (mine.version_id if mine else None) or current_of([credential.id])[credential.id].id
    )
    linked = here is not None and mine is not None and here.id == mine.id
    return render_template(
        "work/about.html",
        visit=visit,
        version=version,
        attempt=mine,
        linked=linked,
        choice=len(visit.activity.choices) > 1,
        needed=PassRule(version.pass_kind, version.pass_percent).needed(len(version.criteria)),
        credit=rules_of(version.id),
        stacks=stacks_with([credential.id]),
        assessed_by_one=ASSESSED_BY_ONE,
        taken_back=queries.taken_back(mine) if mine else None,
        step=0 if mine is None else 1,
    )


def _offered(visit: Visit, key: str) -> Credential:
    for choice in visit.activity.choices:
        if choice.credential.key == key:
            return choice.credential
    raise errors.NotHere


def _draft(visit: Visit) -> Draft | None:
    attempt = queries.attempt_here(visit.person_id, visit.activity.id)
    return None if attempt is None else queries.draft(attempt.id)


def _open_draft(visit: Visit) -> Draft | None:
    draft = _draft(visit)
    return draft if draft is not None and draft.open else None


def _notice() -> dict[str, str]:
    """Carry the notice of the page before over one more redirect."""
    done = request.args.get("done")
    return {} if done is None else {"done": done}
