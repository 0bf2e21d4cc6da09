"""Invited registrars: an administrator on the list makes an invitation, and whoever has it uses it up in a launch of
their own. From then on that account opens the desk, in whatever course it comes from."""

from datetime import timedelta

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, errors
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.lti.models import Deployment
from lti_tool.people import doors
from lti_tool.people.models import Purpose
from lti_tool.people.service import may_open_desk
from lti_tool.routes.admin import deployment_of, deployment_page, is_own
from lti_tool.routes.forms import text
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.routes.stays import Administrator
from lti_tool.settings import current

blueprint = Blueprint("inviting", __name__)
entrance = Blueprint("inviting_entrance", __name__)

LASTS = timedelta(days=7)
_WRONG = {
    errors.LinkUnknown: "It was not copied whole, or its time is over. Copy it once more, or ask for a new one.",
    errors.LinkUsed: "This invitation was used already. If it was not you, tell whoever sent it to you.",
    errors.LinkElsewhere: "This invitation is for another learning platform, or for another part of this one, than "
    "you came from. It is still good there.",
}


@blueprint.post("/deployments/<int:deployment_pk>/invitations")
@allow(Who.ADMINISTRATOR)
def invite(admin: Administrator, deployment_pk: int) -> ResponseReturnValue:
    """Make an invitation. Its address is on this page and nowhere else, so this is no redirect."""
    found = _own(admin, deployment_pk)
    note = request.form.get("for", "", type=text)
    if not note:
        return deployment_page(admin, found, unnamed=True), 422
    secret = doors.invite(
        Purpose.REGISTRAR, deployment_pk=found.id, note=note, lasts=LASTS, now=clock.now(), by=admin.by
    )
    db.session.commit()
    return deployment_page(admin, found, invitation=f"{current().public_url}/desk/invitation/{secret}")


@blueprint.post("/deployments/<int:deployment_pk>/invitations/<int:link_id>/withdraw")
@allow(Who.ADMINISTRATOR)
def withdraw(admin: Administrator, deployment_pk: int, link_id: int) -> ResponseReturnValue:
    """End an invitation that nobody has used."""
    found = _own(admin, deployment_pk)
    if not doors.withdraw(link_id, found.id, by=admin.by, now=clock.now()):
        raise NotHere
    where = admin.url("admin.deployment", deployment_pk=found.id, done="invitation-withdrawn")
    db.session.commit()
    return redirect(where, code=303)


@entrance.get("/desk/invitation/<secret>")
@allow(Who.ANYONE)
def explain(secret: str) -> ResponseReturnValue:
    """What to do with an invitation. Looking uses nothing up: only a launch says who somebody is."""
    link = doors.look(secret, Purpose.REGISTRAR, now=clock.now())
    deployment = db.session.get_one(Deployment, link.deployment_pk)
    return render_template(
        "inviting/explain.html",
        secret=secret,
        platform=deployment.registration.platform.name,
        until=link.expires_at,
    )


@entrance.get("/l/<launch>/desk-invitation")
@allow(Who.STAFF)
def claim(visit: Visit) -> ResponseReturnValue:
    """Where an invitation is put in."""
    if may_open_desk(visit.launch):
        return redirect(visit.url("ledger.overview"), code=303)
    return render_template("inviting/claim.html", visit=visit, problem=None)


@entrance.post("/l/<launch>/desk-invitation")
@allow(Who.STAFF)
def join(visit: Visit) -> ResponseReturnValue:
    """Put this account on the access list of the desk, and use the invitation up."""
    # Its code, or the whole address of its page.
    secret = request.form.get("invitation", "").strip().rstrip("/").rpartition("/")[2]
    try:
        doors.accept(secret, visit.launch.deployment, visit.account, now=clock.now())
    except tuple(_WRONG) as refused:
        db.session.rollback()
        page = render_template("inviting/claim.html", visit=visit, problem=_WRONG[type(refused)])
        return page, 422
    db.session.commit()
    return redirect(visit.url("ledger.overview", done="desk-joined"), code=303)


def _own(admin: Administrator, deployment_pk: int) -> Deployment:
    found = deployment_of(admin, deployment_pk)
    if not is_own(admin, found):
        raise NotHere
    return found
