"""SIS ids from a registrar's file: upload it, say what its columns are, look at what would change, and save that.

Nothing of the file stands in an address: between the steps it waits for its owner in the database.
"""

from flask import Blueprint, Response, redirect, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, select

from lti_tool import clock
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.errors import SisFileUnusable
from lti_tool.people import sis_files, sis_ids
from lti_tool.people.models import Course, SisFile
from lti_tool.people.sis_ids import Columns, Key, Part
from lti_tool.registrar import export
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Visit, Who, allow

blueprint = Blueprint("desk_sis", __name__)
_GONE = "sis-file-gone"
_SAMPLE = 3


@blueprint.before_request
def _take_large_files() -> None:
    """Read a file that is too large as well, and say so in words; a bare 413 would not."""
    request.max_content_length = 4 * sis_files.MAX_BYTES


@blueprint.get("/l/<launch>/ledger/sis-ids")
@allow(Who.REGISTRAR)
def overview(visit: Visit) -> ResponseReturnValue:
    """What this is for, and where to put the file."""
    return _overview(visit)


@blueprint.post("/l/<launch>/ledger/sis-ids")
@allow(Who.REGISTRAR)
def upload(visit: Visit) -> ResponseReturnValue:
    """Put a file aside that can be read."""
    file = request.files.get("file")
    try:
        if file is None or not file.filename:
            raise SisFileUnusable("Choose the CSV file that you want to upload.")
        with file.stream as stream:
            content = stream.read(sis_files.MAX_BYTES + 1)
        sis_files.read(content)
    except SisFileUnusable as refused:
        return _overview(visit, error=refused.detail), 422
    sis_ids.keep(visit.launch.deployment_pk, visit.account.id, content, now=clock.now())
    db.session.commit()
    return redirect(visit.url("desk_sis.columns"), code=303)


@blueprint.post("/l/<launch>/ledger/sis-ids/forget")
@allow(Who.REGISTRAR)
def forget(visit: Visit) -> ResponseReturnValue:
    """Delete the file that was put aside."""
    sis_ids.forget(visit.launch.deployment_pk, visit.account.id)
    db.session.commit()
    return redirect(visit.url("desk_sis.overview", done="sis-file-forgotten"), code=303)


@blueprint.get("/l/<launch>/ledger/sis-ids/columns")
@allow(Who.REGISTRAR)
def columns(visit: Visit) -> ResponseReturnValue:
    """Which column says what."""
    file = _kept(visit)
    return _gone(visit) if file is None else _columns(visit, sis_files.read(file.content))


@blueprint.get("/l/<launch>/ledger/sis-ids/preview")
@allow(Who.REGISTRAR)
def preview(visit: Visit) -> ResponseReturnValue:
    """Exactly what would change, and what would not and why."""
    file = _kept(visit)
    return _gone(visit) if file is None else _preview(visit, file.content)


@blueprint.post("/l/<launch>/ledger/sis-ids/preview")
@allow(Who.REGISTRAR)
def save(visit: Visit) -> ResponseReturnValue:
    """Save what the preview showed, unless that has changed meanwhile. Of two presses, one does."""
    deployment_pk, actor = visit.launch.deployment_pk, visit.account.id
    file = _kept(visit)
    if file is None:
        return _gone(visit)
    content = file.content
    table, chosen = sis_files.read(content), _chosen()
    try:
        sis_ids.check(table, chosen)
    except SisFileUnusable as refused:
        return _columns(visit, table, error=refused.detail), 422
    if not sis_ids.forget(deployment_pk, actor):
        return _gone(visit)
    plan = sis_ids.plan(table, chosen, _platform(visit), _here(visit))
    if request.form.get("digest", "") != plan.digest:
        db.session.rollback()
        return _preview(visit, content, changed=True)
    sis_ids.save(plan, deployment_pk, actor=actor, now=clock.now())
    db.session.commit()
    return redirect(visit.url("desk_sis.overview", done="sis-saved"), code=303)


@blueprint.get("/l/<launch>/ledger/people.csv")
@allow(Who.REGISTRAR)
def people(visit: Visit) -> ResponseReturnValue:
    """Everybody in the courses of this deployment, to fill SIS ids in."""
    batches = sis_ids.listed(_platform(visit), _here(visit))
    return Response(
        stream_with_context(export.people(batches)),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="tessera-people-{clock.now():%Y-%m-%d}.csv"',
            "Cache-Control": "no-store",
        },
    )


def _overview(visit: Visit, error: str | None = None) -> str:
    return render_template(
        "ledger/sis_ids.html", visit=visit, waiting=_kept(visit), error=error, max_bytes=sis_files.MAX_BYTES
    )


def _columns(visit: Visit, table: sis_files.Table, error: str | None = None) -> str:
    sample = [
        [sis_files.cell(row, at)[:40] for at in range(len(table.columns))]
        for (_, row), _ in zip(table.rows(), range(_SAMPLE), strict=False)
    ]
    return render_template(
        "ledger/sis_columns.html",
        visit=visit,
        table=table,
        sample=sample,
        guessed=_guessed(table.columns) | {key: text for key, text in request.values.items() if text},
        error=error,
    )


def _preview(visit: Visit, content: bytes, *, changed: bool = False) -> tuple[str, int]:
    table, chosen = sis_files.read(content), _chosen()
    try:
        sis_ids.check(table, chosen)
    except SisFileUnusable as refused:
        return _columns(visit, table, error=refused.detail), 422
    plan = sis_ids.plan(table, chosen, _platform(visit), _here(visit))
    query = {name: value for name, value in vars(chosen).items() if value is not None}
    asked = request.values.get("show", "")
    counts = plan.counts
    shown = Part(asked) if asked in set(Part) else next((part for part in Part if counts[part]), Part.PEOPLE)
    listed = plan.of(shown)
    pages = max(1, -(-len(listed) // sis_ids.PAGE_SIZE))
    number = min(max(request.args.get("page", 1, type=whole), 1), pages)
    page = render_template(
        "ledger/sis_preview.html",
        visit=visit,
        table=table,
        plan=plan,
        counts=counts,
        query=query,
        shown=shown,
        listed=listed[(number - 1) * sis_ids.PAGE_SIZE : number * sis_ids.PAGE_SIZE],
        number=number,
        pages=pages,
        url_for_page=lambda at: visit.url("desk_sis.preview", **query, show=shown.value, page=at),
        changed=changed,
    )
    return page, 409 if changed else 200


def _chosen() -> Columns:
    """The columns that the address or the form names."""
    by = request.values.get("by", "")
    return Columns(
        by=Key(by) if by in set(Key) else Key.SUBJECT,
        key=request.values.get("key", -1, type=whole),
        sis=request.values.get("sis", type=whole),
        course=request.values.get("course", type=whole),
        section=request.values.get("section", type=whole),
    )


_OFTEN_CALLED = {
    "key": ("lms user id", "lti user id", "lti_user_id", "sub", "lti id", "canvas lti id", "lms id"),
    "sis": (
        "sis id",
        "sis user id",
        "sis_user_id",
        "user_id",
        "student id",
        "student_id",
        "idnumber",
        "id number",
    ),
    "course": ("lms course id", "context_id", "context id", "course", "course_id", "short_name", "shortname"),
    "section": ("section", "section sis id", "section_sis_id", "section_id", "sis_section_id"),
}


def _guessed(names: tuple[str, ...]) -> dict[str, str]:
    """Which column is likely which, by its name."""
    at = {name.lower(): str(number) for number, name in enumerate(names)}
    found = {
        field: next((at[name] for name in often if name in at), "") for field, often in _OFTEN_CALLED.items()
    }
    if not found["key"] and found["section"] and found["sis"]:
        # An extract of enrolments: people are named by their SIS ids, and only sections are new.
        return found | {"by": Key.SIS.value, "key": found["sis"], "sis": ""}
    return found if found["section"] else found | {"course": ""}


def _kept(visit: Visit) -> SisFile | None:
    return sis_ids.kept(visit.launch.deployment_pk, visit.account.id, now=clock.now())


def _gone(visit: Visit) -> ResponseReturnValue:
    return redirect(visit.url("desk_sis.overview", done=_GONE), code=303)


def _here(visit: Visit) -> ColumnElement[bool]:
    """Courses of this deployment."""
    return Course.id.in_(select(Placement.course_id).filter_by(deployment_pk=visit.launch.deployment_pk))


def _platform(visit: Visit) -> int:
    return visit.launch.deployment.registration.platform_id
