"""The terms of a platform at the registrar's desk: their dates, and which course is in which."""

from collections.abc import Sequence
from datetime import date

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, func, or_, select

from lti_tool import clock
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.errors import NotHere, TermUnusable
from lti_tool.lti.models import Deployment, Registration
from lti_tool.people import terms
from lti_tool.people.models import Course, DeskAccess, Term
from lti_tool.routes.forms import text, whole
from lti_tool.routes.guards import Visit, Who, allow

blueprint = Blueprint("desk_terms", __name__)
_PAGE_SIZE = 50
_DAYS = ("starts_on", "ends_on")
_UNREAD = "Write the day as year-month-day, for example 2026-12-11, or leave it empty."
_SHARED = (
    "Courses of another deployment are in this term, so only a registrar of both can change it. Make a term of your "
    "own, and put your courses into that."
)


@blueprint.get("/l/<launch>/ledger/terms")
@allow(Who.REGISTRAR)
def overview(visit: Visit) -> ResponseReturnValue:
    """Terms with their dates, and courses to put into them; those without a term unless others are looked for."""
    wanted = request.args.get("course", "").strip()[:100]
    found = select(Course).where(_here(visit))
    if wanted:
        looked_for = wanted.lower()
        found = found.where(
            or_(
                func.lower(Course.label).contains(looked_for, autoescape=True),
                func.lower(Course.title).contains(looked_for, autoescape=True),
            )
        )
    else:
        found = found.where(Course.term_id.is_(None))
    total = db.session.scalar(select(func.count()).select_from(found.subquery())) or 0
    pages = max(1, -(-total // _PAGE_SIZE))
    number = min(max(request.args.get("page", 1, type=whole), 1), pages)
    listed = found.order_by(Course.title, Course.id).limit(_PAGE_SIZE).offset((number - 1) * _PAGE_SIZE)
    rows = db.session.execute(listed.add_columns(Term.name).outerjoin(Term, Term.id == Course.term_id)).all()
    return render_template(
        "ledger/terms.html",
        visit=visit,
        terms=terms.lines(_platform(visit), _here(visit)),
        wanted=wanted,
        courses=rows,
        total=total,
        number=number,
        pages=pages,
        url_for_page=lambda at: visit.url("desk_terms.overview", course=wanted, page=at),
    )


@blueprint.get("/l/<launch>/ledger/terms/<int:term_id>")
@allow(Who.REGISTRAR)
def one(visit: Visit, term_id: int) -> ResponseReturnValue:
    """A term's name and dates, to be changed."""
    return _form(visit, _term(visit, term_id))


@blueprint.post("/l/<launch>/ledger/terms")
@allow(Who.REGISTRAR)
def save(visit: Visit) -> ResponseReturnValue:
    """Make a term, or change one."""
    term_id = request.form.get("term", type=whole)
    term = None if term_id is None else _term(visit, term_id)
    if term is not None and _others_use(visit, term):
        return _form(visit, term, error=_SHARED), 409
    unread = [field for field in _DAYS if request.form.get(field, "").strip() and _day(field) is None]
    if unread:
        return _form(visit, term, unread=unread), 422
    try:
        terms.save(
            _platform(visit),
            term_id,
            name=request.form.get("name", "", type=text),
            starts_on=_day("starts_on"),
            ends_on=_day("ends_on"),
            actor=visit.account.id,
            now=clock.now(),
        )
    except TermUnusable as refused:
        db.session.rollback()
        return _form(visit, term, error=refused.detail), 422
    db.session.commit()
    return redirect(visit.url("desk_terms.overview", done="term-saved"), code=303)


@blueprint.post("/l/<launch>/ledger/terms/courses")
@allow(Who.REGISTRAR)
def put(visit: Visit) -> ResponseReturnValue:
    """Put the ticked courses into a term, or all without one into that of their date."""
    now, actor = clock.now(), visit.account.id
    by_date = request.form.get("how") == "by-date"
    if by_date:
        terms.put_by_date(_platform(visit), _here(visit), actor=actor, now=now)
    else:
        term_id = request.form.get("term", type=whole)
        term = None if term_id is None else _term(visit, term_id).id
        ticked = request.form.getlist("course", type=whole)[:_PAGE_SIZE]
        terms.put(ticked, term, _here(visit), actor=actor, now=now)
    db.session.commit()
    done = "courses-put-by-date" if by_date else "courses-put"
    return redirect(visit.url("desk_terms.overview", done=done), code=303)


def _form(visit: Visit, term: Term | None, error: str | None = None, unread: Sequence[str] = ()) -> str:
    errors = dict.fromkeys(unread, _UNREAD) | ({"name": error} if error else {})
    return render_template("ledger/term.html", visit=visit, term=term, errors=errors, typed=request.form)


def _here(visit: Visit) -> ColumnElement[bool]:
    """Courses of this deployment."""
    return Course.id.in_(select(Placement.course_id).filter_by(deployment_pk=visit.launch.deployment_pk))


def _others_use(visit: Visit, term: Term) -> bool:
    """Whether courses of a deployment whose desk the registrar may not open are in the term."""
    theirs = (
        select(DeskAccess.deployment_pk)
        .join(Deployment, Deployment.id == DeskAccess.deployment_pk)
        .join(Registration, Registration.id == Deployment.registration_id)
        .where(DeskAccess.subject == visit.launch.subject, Registration.platform_id == term.platform_id)
    )
    of_others = (
        select(Placement.id)
        .join(Course, Course.id == Placement.course_id)
        .where(Course.term_id == term.id, Placement.deployment_pk.not_in(theirs))
    )
    return db.session.scalar(of_others.limit(1)) is not None


def _platform(visit: Visit) -> int:
    return visit.launch.deployment.registration.platform_id


def _term(visit: Visit, term_id: int) -> Term:
    term = db.session.scalar(select(Term).filter_by(id=term_id, platform_id=_platform(visit)))
    if term is None:
        raise NotHere
    return term


def _day(field: str) -> date | None:
    try:
        return date.fromisoformat(request.form.get(field, "").strip())
    except ValueError:
        return None
