"""Connections: the platforms that Tessera knows, who may come in from where, and who may open the desk there.

Every page exists twice: inside a launch, for an administrator of that platform who is on the access list of their
deployment; and behind the operator's one-time link. Whoever came by a launch sees and changes one platform only.
"""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.lti import approvals, connection, keys, platforms, registrations
from lti_tool.lti.models import ConnectionTest, Deployment, Platform, Product, Registration, Standing
from lti_tool.lti.scopes import SCOPES, missing
from lti_tool.people import doors, queries
from lti_tool.people.models import Purpose
from lti_tool.people.service import grant_desk, withdraw_desk
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Who, allow, browser
from lti_tool.routes.stays import Administrator

blueprint = Blueprint("admin", __name__)
entrance = Blueprint("admin_entrance", __name__)

_PAGE = 25


@entrance.get("/admin/enter/<secret>")
@allow(Who.ANYONE)
def knock(secret: str) -> ResponseReturnValue:
    """A one-time link. Looking uses nothing up; the button does."""
    doors.look(secret, Purpose.ADMINISTRATOR, now=clock.now())
    return render_template("admin/enter.html", secret=secret)


@entrance.post("/admin/enter/<secret>")
@allow(Who.ANYONE)
def enter(secret: str) -> ResponseReturnValue:
    """The button: use the link up and go in."""
    stay = doors.enter(secret, Purpose.ADMINISTRATOR, browser=browser(), now=clock.now()).id
    db.session.commit()
    return redirect(url_for("admin.overview", stay=stay), code=303)


@blueprint.get("/")
@allow(Who.ADMINISTRATOR)
def overview(admin: Administrator) -> ResponseReturnValue:
    """Every platform, those first that wait; whoever looks after one goes straight there."""
    if admin.platform_id is not None:
        return redirect(admin.url("admin.platform", platform_id=admin.platform_id), code=303)
    number = max(1, request.args.get("page", 1, type=whole))
    lines, pages = registrations.platform_lines(page=number, size=_PAGE)
    return render_template(
        "admin/overview.html",
        admin=admin,
        lines=lines,
        page=number,
        pages=pages,
        url_for_page=lambda at: admin.url("admin.overview", page=at),
        products=_products(),
        own_keys=_own_keys(),
    )


@blueprint.get("/platforms/<int:platform_id>")
@allow(Who.ADMINISTRATOR)
def platform(admin: Administrator, platform_id: int) -> ResponseReturnValue:
    """One platform: its registrations with what they allow, its deployments, the last connection test."""
    found = db.session.get(Platform, platform_id) if admin.platform_id in (None, platform_id) else None
    if found is None:
        raise NotHere
    registered = registrations.registrations_of(platform_id)
    tests = connection.latest(one.id for one in registered)
    number = max(1, request.args.get("page", 1, type=whole))
    deployments, pages = registrations.deployments_of(platform_id, page=number, size=_PAGE)
    return render_template(
        "admin/platform.html",
        admin=admin,
        platform=found,
        product=platforms.behaviour(found.product).product_name,
        guide=platforms.behaviour(found.product).guide,
        registered=[_told(one, tests.get(one.id)) for one in registered],
        joinable={one.id: approvals.can_join(one) for one in registered if one.state == Standing.PENDING},
        deployments=deployments,
        page=number,
        pages=pages,
        url_for_page=lambda at: admin.url("admin.platform", platform_id=platform_id, page=at),
        own_keys=_own_keys(),
    )


@blueprint.post("/registrations/<int:registration_id>/state")
@allow(Who.ADMINISTRATOR)
def decide(admin: Administrator, registration_id: int) -> ResponseReturnValue:
    """Approve a registration, switch it off, or decline one that waits. The operator's alone."""
    found = _registration(admin, registration_id)
    if not admin.sees_all:
        raise NotHere
    now, platform_id = clock.now(), found.platform_id
    match request.form.get("decision"):
        case "approve":
            joins = request.form.get("joins", type=whole)
            if joins is not None and joins not in {one.id for one in approvals.can_join(found)}:
                raise NotHere
            try:
                approvals.approve(found, by=admin.by, now=now, joins=joins)
            except registrations.RegistrationConflict:
                # A colleague was quicker, or another tab.
                raise NotHere from None
            platform_id, done = found.platform_id, "approved"
        case "disable":
            approvals.disable(found, by=admin.by, now=now)
            done = "switched-off"
        case "decline" if found.state == Standing.PENDING:
            approvals.decline(found, by=admin.by, now=now)
            db.session.commit()
            return redirect(admin.url("admin.overview", done="declined"), code=303)
        case _:
            raise NotHere
    db.session.commit()
    return redirect(admin.url("admin.platform", platform_id=platform_id, done=done), code=303)


@blueprint.post("/registrations/<int:registration_id>/policy")
@allow(Who.ADMINISTRATOR)
def set_policy(admin: Administrator, registration_id: int) -> ResponseReturnValue:
    """Whether deployments wait for an approval when they appear. The operator's alone."""
    found = _registration(admin, registration_id)
    asked = request.form.get("new_deployments")
    if not admin.sees_all or asked not in (Standing.ACTIVE, Standing.PENDING):
        raise NotHere
    approvals.new_deployments(found, Standing(asked), by=admin.by, now=clock.now())
    where = admin.url("admin.platform", platform_id=found.platform_id, done="policy-set")
    db.session.commit()
    return redirect(where, code=303)


@blueprint.get("/deployments/<int:deployment_pk>")
@allow(Who.ADMINISTRATOR)
def deployment(admin: Administrator, deployment_pk: int) -> ResponseReturnValue:
    """One deployment: its state, and who may open the registrar's desk there."""
    return deployment_page(admin, deployment_of(admin, deployment_pk))


@blueprint.post("/deployments/<int:deployment_pk>/state")
@allow(Who.ADMINISTRATOR)
def set_deployment(admin: Administrator, deployment_pk: int) -> ResponseReturnValue:
    """Approve a deployment or switch it off; not the one that this person came by. What is switched off, maybe by the
    operator, the operator alone switches on again."""
    found = deployment_of(admin, deployment_pk)
    asked = request.form.get("state")
    if asked not in (Standing.ACTIVE, Standing.DISABLED) or admin.deployment == found:
        raise NotHere
    if found.state == Standing.DISABLED and not admin.sees_all:
        raise NotHere
    approvals.set_deployment(found, Standing(asked), by=admin.by, now=clock.now())
    done = "deployment-on" if asked == Standing.ACTIVE else "deployment-off"
    where = admin.url("admin.platform", platform_id=found.registration.platform_id, done=done)
    db.session.commit()
    return redirect(where, code=303)


@blueprint.post("/deployments/<int:deployment_pk>/desk")
@allow(Who.ADMINISTRATOR)
def change_desk(admin: Administrator, deployment_pk: int) -> ResponseReturnValue:
    """Put an administrator on the access list of the desk, or take one off; nobody takes themselves off."""
    found = deployment_of(admin, deployment_pk)
    if not is_own(admin, found):
        raise NotHere
    if (subject := request.form.get("add")) in {line.subject for line in queries.could_be(found.id)}:
        grant_desk(found, subject, now=clock.now(), by=admin.by)
        done = "desk-granted"
    elif (subject := request.form.get("remove")) and subject != admin.subject:
        withdraw_desk(found, subject, now=clock.now(), by=admin.by)
        done = "desk-withdrawn"
    else:
        raise NotHere
    where = admin.url("admin.deployment", deployment_pk=found.id, done=done)
    db.session.commit()
    return redirect(where, code=303)


@blueprint.post("/deployments/<int:deployment_pk>/frames")
@allow(Who.ADMINISTRATOR)
def change_frames(admin: Administrator, deployment_pk: int) -> ResponseReturnValue:
    """Let a further site show Tessera in a frame, or no longer."""
    found = deployment_of(admin, deployment_pk)
    if not is_own(admin, found):
        raise NotHere
    if removed := request.form.get("remove"):
        registrations.remove_frame_origin(found, removed, now=clock.now(), by=admin.by)
    else:
        typed = request.form.get("site", "").strip()
        try:
            registrations.add_frame_origin(found, typed, now=clock.now(), by=admin.by)
        except registrations.RegistrationConflict as conflict:
            return deployment_page(admin, found, typed, str(conflict)), 422
    where = admin.url("admin.deployment", deployment_pk=found.id, done="frames-changed")
    db.session.commit()
    return redirect(where, code=303)


def is_own(admin: Administrator, deployment: Deployment) -> bool:
    """Whether this person says who and what may come to that deployment; of others they see the state only."""
    return admin.sees_all or admin.deployment == deployment


def deployment_page(
    admin: Administrator,
    deployment: Deployment,
    typed: str = "",
    problem: str = "",
    *,
    invitation: str | None = None,
    unnamed: bool = False,
) -> str:
    """
    :param invitation: the address of one that was just made; it is shown this once.
    :param unnamed: one was asked for without saying for whom.
    """
    own = is_own(admin, deployment)
    return render_template(
        "admin/deployment.html",
        admin=admin,
        deployment=deployment,
        own=own,
        listed=queries.on_the_list(deployment.id) if own else [],
        others=queries.could_be(deployment.id) if own else [],
        invitations=doors.invitations(deployment.id, now=clock.now()) if own else [],
        invitation=invitation,
        unnamed=unnamed,
        typed=typed,
        problem=problem,
    )


def _registration(admin: Administrator, registration_id: int) -> Registration:
    """:raises NotHere: there is none, or this person may not know of it."""
    found = db.session.get(Registration, registration_id)
    if found is None or admin.platform_id not in (None, found.platform_id):
        raise NotHere
    return found


def deployment_of(admin: Administrator, deployment_pk: int) -> Deployment:
    """:raises NotHere: there is none, or this person may not know of it."""
    found = db.session.get(Deployment, deployment_pk)
    if found is None or admin.platform_id not in (None, found.registration.platform_id):
        raise NotHere
    return found


def _told(registration: Registration, test: ConnectionTest | None) -> dict[str, object]:
    """A registration as its part of the page shows it."""
    return {
        "row": registration,
        "requested": [SCOPES[one] for one in registration.requested_scopes if one in SCOPES],
        "missing": missing(registration.requested_scopes, registration.granted_scopes),
        "test": test,
        "findings": connection.findings_of(test) if test is not None else (),
    }


def _products() -> dict[str, str]:
    return {str(one): platforms.behaviour(one).product_name for one in Product}


def _own_keys() -> list[tuple[str, str]]:
    """The tool's keys and what each is doing."""
    now = clock.now()
    return [(key.kid, keys.story(key, now)) for key in keys.list_keys()]
