"""Closing a term: the registrar sees what is open and reminds; the instructor of record chooses and confirms."""

import re

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from lti_tool import clock, tasks
from lti_tool.backpack import letters
from lti_tool.closing import queries, service
from lti_tool.closing.models import Choice
from lti_tool.closing.queries import Case
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.errors import NotHere, ReasonMissing
from lti_tool.lti.platforms import behaviour
from lti_tool.people.models import Term
from lti_tool.registrar import queries as desk
from lti_tool.registrar import words
from lti_tool.routes.forms import text, whole
from lti_tool.routes.guards import Visit, Who, allow

blueprint = Blueprint("close_out", __name__)


@blueprint.get("/l/<launch>/ledger/terms/<int:term_id>/close-out")
@allow(Who.REGISTRAR)
def of_term(visit: Visit, term_id: int) -> ResponseReturnValue:
    """What is open in every course of a term."""
    term = _term(visit, term_id)
    number = request.args.get("page", 1, type=whole)
    lines, pages = queries.courses(visit.launch.deployment_pk, term.id, number)
    return render_template(
        "closing/term.html",
        visit=visit,
        term=term,
        lines=lines,
        number=min(max(number, 1), pages),
        pages=pages,
        url_for_page=lambda at: visit.url("close_out.of_term", term_id=term.id, page=at),
    )


@blueprint.post("/l/<launch>/ledger/terms/<int:term_id>/close-out")
@allow(Who.REGISTRAR)
def remind(visit: Visit, term_id: int) -> ResponseReturnValue:
    """Ask the instructors of a course to close it out."""
    _term(visit, term_id)
    course_id = request.form.get("course", type=whole)
    here = select(Placement.id).filter_by(deployment_pk=visit.launch.deployment_pk, course_id=course_id)
    if db.session.scalar(here.limit(1)) is None:
        raise NotHere
    assert course_id is not None
    now = clock.now()
    service.remind(course_id, visit.account.id, now=now)
    written = letters.ask_to_close_out(course_id, queries.without_choice(course_id), now=now)
    db.session.commit()
    done = "reminded-by-mail" if written else "reminded"
    return redirect(visit.url("close_out.of_term", term_id=term_id, done=done), code=303)


@blueprint.get("/l/<launch>/course/close-out")
@allow(Who.FACULTY)
def of_course(visit: Visit) -> ResponseReturnValue:
    """Undecided work in the activities of the course, with a choice for each earner."""
    return _page(visit)


@blueprint.post("/l/<launch>/course/close-out")
@allow(Who.FACULTY)
def choose(visit: Visit) -> ResponseReturnValue:
    """Show what was chosen; recorded is it only when that is confirmed."""
    course_id, person = visit.activity.course_id, visit.person_id
    chosen, reason = _chosen(), request.form.get("reason", "", type=text)[: service.LONGEST_REASON]
    if request.form.get("step") == "confirm":
        try:
            recorded = service.choose(
                course_id, chosen, reason, teacher=person, actor=visit.account.id, now=clock.now()
            )
        except ReasonMissing:
            db.session.rollback()
            return _page(visit, _NO_REASON), 422
        all_there = len(recorded) == len(chosen)
        db.session.commit()
        tasks.wake()
        done = "closed-out" if all_there else "closed-out-some"
        return redirect(visit.url("close_out.of_course", done=done), code=303)
    if not chosen:
        return _page(visit, "Choose something for at least one person."), 422
    if not reason and Choice.ZERO in chosen.values():
        return _page(visit, _NO_REASON), 422
    named = queries.named(course_id, person, chosen)
    shown: list[tuple[str, Case, Choice]] = [(key, one, chosen[key]) for key, one in named.items()]
    return render_template(
        "closing/review.html", visit=visit, shown=shown, reason=reason, comments=_comments(visit)
    )


_CASE = re.compile(r"case:[0-9]{1,9}-r?[0-9]{1,9}")
_NO_REASON = "Write why: whoever gets 0 reads it in the gradebook."


def _page(visit: Visit, error: str | None = None) -> str:
    number, course_id = request.args.get("page", 1, type=whole), visit.activity.course_id
    cases, pages, total = queries.cases(course_id, visit.person_id, number)
    unseen, not_seen = queries.unseen(course_id)
    return render_template(
        "closing/course.html",
        visit=visit,
        cases=cases,
        total=total,
        number=min(max(number, 1), pages),
        pages=pages,
        url_for_page=lambda at: visit.url("close_out.of_course", page=at),
        asked_at=queries.asked_of(course_id, visit.person_id),
        listing=queries.listing(course_id),
        unseen=desk.rows_of(unseen),
        not_seen=not_seen,
        desk_words=words,
        chosen=_chosen(),
        reason=request.form.get("reason", "", type=text),
        error=error,
        comments=_comments(visit),
    )


def _comments(visit: Visit) -> bool:
    """Whether the gradebook takes a comment without a number."""
    return behaviour(visit.launch.deployment.registration.platform.product).comment_alone() is not None


def _chosen() -> dict[str, Choice]:
    """Choices by the key of their case; whatever else was posted is nothing of ours."""
    found = {
        name.removeprefix("case:"): Choice(value)
        for name, value in request.form.items()
        if _CASE.fullmatch(name) and value in set(Choice)
    }
    return dict(list(found.items())[: queries.PAGE_SIZE])


def _term(visit: Visit, term_id: int) -> Term:
    platform_id = visit.launch.deployment.registration.platform_id
    term = db.session.scalar(select(Term).filter_by(id=term_id, platform_id=platform_id))
    if term is None:
        raise NotHere
    return term
