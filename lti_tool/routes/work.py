"""The earner's pages: where they are, the work itself, checking and handing in."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, errors
from lti_tool.assessment import queries as assessment
from lti_tool.assessment.service import tell_handed_in
from lti_tool.backpack.service import hide_evidence
from lti_tool.credentials.queries import offered_in
from lti_tool.database import db
from lti_tool.routes import work_form
from lti_tool.routes.choice import about_page, attempt_of, switched_from
from lti_tool.routes.files import send_evidence
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.routes.work_form import Sent
from lti_tool.settings import current
from lti_tool.submissions import queries, rules, service
from lti_tool.submissions.models import AttemptState
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
    attempt = None if visit.newcomer else attempt_of(visit)
    if attempt is None:
        offered = [one for one in offered_in(visit.activity) if visit.part in (None, one.credential.key)]
        if len(offered) != 1:
            return redirect(visit.url("choice.choose"), code=303)
        return about_page(visit, offered[0].credential, None, version_id=offered[0].version_id)
    match attempt.state:
        case AttemptState.SUBMITTED:
            number = attempt.submissions[-1].number
            return redirect(visit.url("results.submission", number=number, **_notice()), code=303)
        case AttemptState.NOT_YET | AttemptState.DEMONSTRATED:
            return redirect(visit.url("results.feedback", **_notice()), code=303)
    return about_page(visit, attempt.version.credential, attempt)


@blueprint.get("/l/<launch>/work/tasks")
@allow(Who.EARNER)
def tasks(visit: Visit) -> ResponseReturnValue:
    """Every task on one page."""
    draft = _open_draft(visit)
    if draft is None:
        return redirect(visit.url("work.overview", **_notice()), code=303)
    return _tasks_page(visit, draft, Sent())


@blueprint.post("/l/<launch>/work/tasks")
@allow(Who.EARNER)
def save(visit: Visit) -> ResponseReturnValue:
    """Keep everything that was typed, whichever button was pressed; then do what the button says."""
    # By its id, since in a choice the other tab may have switched the activity to another micro-credential.
    draft = queries.draft(request.form.get("attempt", 0, type=whole))
    attempt_id = draft.attempt.id
    if draft.attempt.person_id != visit.person_id or draft.attempt.rehearsal != visit.rehearsal:
        raise errors.NotHere
    sent = work_form.save(draft)
    action, _, about_id = request.form.get("action", "save").partition("-")
    piece = whole(about_id) if about_id.isdecimal() and len(about_id) < 10 else None
    if action == "remove" and piece is not None:
        service.remove_evidence(attempt_id, piece, now=clock.now())
        db.session.commit()
    if not sent.kept:
        return _tasks_page(visit, queries.draft(attempt_id), sent), 409 if sent.conflict else 422
    if switched_from(visit, attempt_id):
        return redirect(visit.url("choice.choose", done="switched"), code=303)
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
    typed = saved | sent.kept_back(saved)
    note = draft.attempt.note if sent.note is None else sent.note
    return render_template(
        "work/tasks.html",
        visit=visit,
        draft=draft,
        typed=typed,
        note=note,
        sent=sent,
        wrong=dict(reversed(sent.problems)),
        elsewhere={key: saved[key] for key in sent.changed_twice(saved)},
        fingerprints={key: rules.fingerprint(text) for key, text in saved.items()},
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
    attempt = attempt_of(visit)
    if attempt is None or attempt.id != request.form.get("attempt", 0, type=whole):
        # Another tab has switched the activity to another micro-credential.
        return redirect(visit.url("work.check", done="changed"), code=303)
    keys = {key for key in (rules.OWN_WORK, rules.NO_NAMES) if key in request.form}
    keys |= {request.form.get("people", "")} & set(rules.PEOPLE)
    try:
        handed = service.hand_in(attempt.id, visit.person_id, keys, now=clock.now(), actor=visit.account.id)
        number, told = handed.number, tell_handed_in(handed)
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
    if told:
        wake()
    return redirect(visit.url("results.submission", number=number, done="handed-in"), code=303)


def _check_page(
    visit: Visit, draft: Draft, keys: frozenset[str] | set[str], open_statements: tuple[rules.Missing, ...]
) -> str:
    lacking = {item.field: item for item in service.missing(draft.attempt)}
    asked: list[tuple[str, bool, str | None, str]] = []
    for part in draft.parts:
        for task in part.tasks:
            fields = (rules.answer_field(task.key), rules.file_field(task.key), rules.link_field(task.key))
            at = next((name for name in fields if name in lacking), None)
            if at is not None:
                asked.append((lacking[at].text, False, visit.url("work.tasks", _anchor=at), lacking[at].word))
            elif task.answer or task.pieces:
                asked.append((task.title, True, None, "Complete"))
    return render_template(
        "work/check.html",
        visit=visit,
        draft=draft,
        asked=asked,
        missing=len(lacking),
        only_missing=all(item.word != "Too long" for item in lacking.values()),
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
    hide_evidence(piece.id, actor=visit.account.id, now=clock.now())
    db.session.commit()
    wake()
    return redirect(visit.url("work.tasks", done="hidden"), code=303)


def _draft(visit: Visit) -> Draft | None:
    attempt = attempt_of(visit)
    return None if attempt is None else queries.draft(attempt.id)


def _open_draft(visit: Visit) -> Draft | None:
    draft = _draft(visit)
    return draft if draft is not None and draft.open else None


def _notice() -> dict[str, str]:
    """Carry the notice of the page before over one more redirect."""
    done = request.args.get("done")
    return {} if done is None else {"done": done}
