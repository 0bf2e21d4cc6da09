"""Puts Tessera together: the only module that knows every part."""

import json
import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request, url_for
from flask.templating import Environment
from flask_bootstrap import Bootstrap5
from werkzeug.routing import IntegerConverter

from lti_tool import clock, tasks
from lti_tool import settings as settings_module
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.issuers import contexts
from lti_tool.lti.roles import ROLE_LABELS, CourseRole
from lti_tool.lti.sessions import COOKIE_ATTRIBUTES, COOKIE_NAME
from lti_tool.people import doors
from lti_tool.people.service import may_open_desk
from lti_tool.routes import (
    activity,
    addresses,
    admin,
    arriving,
    backpack,
    badge_files,
    changing,
    choice,
    close_out,
    connecting,
    course,
    credit,
    desk_people,
    desk_sending,
    desk_sis,
    desk_terms,
    entry,
    grades,
    guards,
    help,
    inviting,
    issuers,
    ledger,
    naming,
    notices,
    picker,
    public,
    refusals,
    registration,
    rehearsal,
    results,
    review,
    revocation,
    stacks,
    verify,
    work,
)
from lti_tool.routes.stays import Administrator, Return
from lti_tool.settings import Settings

_BLUEPRINTS = (
    public,
    help,
    issuers,
    verify,
    entry,
    registration,
    arriving,
    activity,
    picker,
    changing,
    choice,
    work,
    stacks,
    rehearsal,
    results,
    course,
    grades,
    review,
    ledger,
    credit,
    desk_people,
    desk_sending,
    desk_sis,
    desk_terms,
    close_out,
    backpack,
    badge_files,
    naming,
    addresses,
    revocation,
)
_AT_THE_DESK = frozenset(
    {
        "ledger",
        "desk_people",
        "desk_sending",
        "desk_sis",
        "desk_terms",
        "admin_in_lms",
        "connecting_in_lms",
        "inviting_in_lms",
    }
)
_LOGGED = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def create_app(settings: Settings | None = None) -> Flask:
    """The web application, ready to serve; workers and the command line use it for its database and settings.

    :raises SettingsError: one line for the operator.
    """
    settings = settings_module.load() if settings is None else settings
    _configure_logging(settings.log_level)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    contexts.check()
    app = _Tool(__name__)
    app.extensions["settings"] = settings
    app.config.update(
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        # A database error must not carry what people typed into whatever log prints it.
        SQLALCHEMY_ENGINE_OPTIONS={"hide_parameters": True},
        # One form may carry a few files; each is checked on its own with a better message than a bare 413.
        MAX_CONTENT_LENGTH=4 * settings.max_upload_bytes + 2_000_000,
        MAX_FORM_MEMORY_SIZE=4_000_000,
        MAX_FORM_PARTS=2_000,
        BOOTSTRAP_SERVE_LOCAL=True,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
    )
    app.url_map.converters["int"] = _RowId
    app.before_request(_refuse_nul)
    db.init_app(app)
    Bootstrap5(app)
    app.jinja_env.globals["csrf_token"] = guards.form_token
    app.jinja_env.globals["notices"] = _notices
    app.jinja_env.globals["asset"] = _asset
    app.context_processor(_here)
    for module in _BLUEPRINTS:
        app.register_blueprint(module.blueprint)
    for module in (admin, inviting):
        app.register_blueprint(module.entrance)
    for module in (admin, connecting, inviting):
        blueprint = module.blueprint
        app.register_blueprint(blueprint, url_prefix="/admin/<stay>")
        # The same pages inside a launch, for an administrator who came by one.
        inside = f"{blueprint.name}_in_lms"
        app.register_blueprint(blueprint, url_prefix="/l/<launch>/connections", name=inside)
    refusals.register(app)
    app.after_request(_protect)
    tasks.register(app)
    return app


class _Pages(Environment):
    """Every ``{% from ... import %}`` asks whether it knows of other globals than the page around it does. All of ours
    stand before the first page is made, so a plain dict will do, and answers in a tenth of the time."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return {**self.globals, **(d or {})}


class _Tool(Flask):
    jinja_environment = _Pages


class _RowId(IntegerConverter):
    """A number in a path that a database takes as an id; any other is no page of ours."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"max": 2**31 - 1} | options)


def _refuse_nul() -> None:
    """PostgreSQL takes no NUL in a text, so no address of ours can hold one."""
    if "\0" in request.path or any("\0" in value for value in request.args.values()):
        raise NotHere


def _asset(name: str) -> str:
    """The address of a file of ours. Every page names a dozen."""
    return _asset_under(request.script_root, name)


@lru_cache(maxsize=500)
def _asset_under(_prefix: str, name: str) -> str:
    return url_for("static", filename=name)


def _notices() -> list[tuple[str, str]]:
    """Stands in for Flask's flashes, which would need a second cookie."""
    return notices.shown(request.args.get("done"))


def _here() -> dict[str, Any]:
    """Where the person is, for the header of every page inside a visit."""
    if returned := g.get("returned"):
        return {"here": _back(returned)}
    visit: guards.Visit | None = g.get("visit")
    if visit is None:
        return _here_by_link()
    links: list[tuple[str, str]] = []
    if visit.placement is not None and visit.role == "learner":
        links = [("My work", visit.url("work.overview"))]
        if visit.placement.stack_id is not None:
            links = [("The whole stack", visit.url("stacks.overview"))]
        if visit.part:
            links.append(("This part", visit.url("work.overview")))
    elif visit.placement is not None and visit.role == "instructor":
        links = [("Activity", visit.url("course.overview"))]
    if not visit.rehearsal:
        # People who teach earn badges too; the test student never will.
        links.append(("My badges", visit.url("backpack.mine")))
    links += _to_the_desk(visit)
    nav = [(label, url, request.path.startswith(url)) for label, url in links] if len(links) > 1 else []
    at_desk = request.blueprint in _AT_THE_DESK or request.endpoint == "close_out.of_term"
    return {
        "here": {
            "course_title": "" if at_desk or visit.course is None else visit.course.title,
            "role_label": "Registrar"
            if at_desk
            else "Test student"
            if visit.rehearsal
            else ROLE_LABELS.get(visit.role, "Guest"),
            "rehearsal": visit.rehearsal and visit.placement is not None,
            "home_url": url_for("entry.arrive", launch=visit.launch_id),
            "nav": nav,
            "restart_url": visit.url("rehearsal.ask"),
            "seconds": int((visit.launch.expires_at - clock.now()).total_seconds()),
        }
    }


def _to_the_desk(visit: guards.Visit) -> list[tuple[str, str]]:
    """The desk for administrators and invited registrars; where an invitation is open, the page that takes it."""
    launch = visit.launch
    if visit.role == CourseRole.LEARNER and not launch.administrator:
        return []
    listed, invitation = doors.desk_doors(launch, now=clock.now())
    links = []
    if launch.administrator or listed:
        links.append(("Registrar’s desk", visit.url("ledger.overview")))
    if launch.administrator:
        links.append(("Connections", visit.url("admin_in_lms.overview")))
    if invitation and not may_open_desk(launch):
        links.append(("I have an invitation", visit.url("inviting_entrance.claim")))
    return links


def _here_by_link() -> dict[str, Any]:
    """The same for whoever came by a one-time link."""
    admin: Administrator | None = g.get("administrator")
    if admin is None:
        return {}
    links: list[tuple[str, str, bool]] = []
    if admin.sees_all:
        pages = (
            ("Connections", "admin.overview"),
            ("Connect a platform", "connecting.choose"),
            ("Invitations", "connecting.invited"),
        )
        links = [(label, admin.url(page), request.path == admin.url(page)) for label, page in pages]
    return {
        "here": {
            "course_title": "",
            "role_label": "Operator" if admin.sees_all else "Administrator",
            "home_url": admin.url("admin.overview"),
            "nav": links,
        }
    }


def _back(returned: Return) -> dict[str, Any]:
    """The header for somebody who came back by a personal link, outside any course."""
    home = returned.url("backpack.mine")
    links = [("My badges", home), ("My addresses", returned.url("addresses.mine"))]
    return {
        "course_title": "",
        "role_label": "the owner of these badges",
        "home_url": home,
        "nav": [(label, url, request.path.startswith(url)) for label, url in links],
    }


def _protect(response: Response) -> Response:
    """Headers of every answer. Nothing inline ever runs, and only this visit's platform may frame this visit."""
    if g.get("new_browser"):
        response.set_cookie(COOKIE_NAME, g.new_browser, **COOKIE_ATTRIBUTES)
    framers = "*" if g.get("frame_anywhere") else " ".join(g.get("framers", ())) or "'none'"
    rules = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",
        "base-uri 'none'",
        f"frame-ancestors {framers}",
    ]
    # The page that hands a selection back to the platform posts to the platform, which form-action would block.
    if not g.get("posts_to_platform"):
        rules.append("form-action 'self'")
    response.headers.setdefault("Content-Security-Policy", "; ".join(rules))
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    # Public pages too: most hold a form token, and some set the cookie, neither of which a proxy may hand to another.
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


class _JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event and the ids given with it. Never text that a person typed."""

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        facts |= {key: value for key, value in record.__dict__.items() if key not in _LOGGED}
        if record.exc_info and record.exc_info[0] is not None:
            # Where, but never the message: that of an unknown error may quote what a person typed.
            facts["error"] = record.exc_info[0].__name__
            steps = traceback.extract_tb(record.exc_info[2])[-12:]
            facts["where"] = [f"{Path(step.filename).name}:{step.lineno} {step.name}" for step in steps]
        return json.dumps(facts, default=str)


def _configure_logging(level: str) -> None:
    logger = logging.getLogger("lti_tool")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonLines())
        logger.addHandler(handler)
        logger.propagate = False
