"""Connecting further platforms: by hand, by invitation; and testing those that are connected."""

from datetime import timedelta

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, tasks
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.lti import by_hand, connection, invitations, platforms, registrations
from lti_tool.lti.models import Product, Registration, Standing
from lti_tool.routes.guards import Who, allow
from lti_tool.routes.stays import Administrator
from lti_tool.settings import current

blueprint = Blueprint("connecting", __name__)

_FIELDS = (
    "name",
    "issuer",
    "client_id",
    "deployment",
    "auth_url",
    "token_url",
    "jwks_url",
    "token_audience",
)
_DAYS = (7, 30, 90)


@blueprint.post("/registrations/<int:registration_id>/test")
@allow(Who.ADMINISTRATOR)
def test(admin: Administrator, registration_id: int) -> ResponseReturnValue:
    """Ask a worker to test the connection; the page shows what it found."""
    found = db.session.get(Registration, registration_id)
    if found is None or admin.platform_id not in (None, found.platform_id):
        raise NotHere
    connection.ask(registration_id, now=clock.now())
    where = admin.url("admin.platform", platform_id=found.platform_id, _anchor=f"test-{registration_id}")
    db.session.commit()
    tasks.test_connections_soon()
    return redirect(where, code=303)


@blueprint.get("/connect")
@allow(Who.ADMINISTRATOR)
def choose(admin: Administrator) -> ResponseReturnValue:
    """The two ways to connect a platform; by hand, which product it runs."""
    _operator(admin)
    return render_template(
        "admin/connect.html",
        admin=admin,
        register_url=f"{current().public_url}/lti/register",
        products=[(str(one), _name(one)) for one in Product],
    )


@blueprint.get("/connect/<product>")
@allow(Who.ADMINISTRATOR)
def form(admin: Administrator, product: str) -> ResponseReturnValue:
    """What to enter in the LMS, and what the LMS says in return."""
    return _form(admin, _product(product), {}, None)


@blueprint.post("/connect/<product>")
@allow(Who.ADMINISTRATOR)
def add(admin: Administrator, product: str) -> ResponseReturnValue:
    """Connect a platform by hand."""
    chosen = _product(product)
    _operator(admin)
    given = {name: request.form.get(name, "").strip() for name in _FIELDS}
    usual = platforms.behaviour(chosen).addresses(given["issuer"])
    known = {} if usual is None else vars(usual)
    try:
        added = registrations.add_platform(
            name=given["name"],
            product=chosen,
            issuer=given["issuer"],
            client_id=given["client_id"],
            auth_url=given["auth_url"] or known.get("auth_url", ""),
            token_url=given["token_url"] or known.get("token_url", ""),
            jwks_url=given["jwks_url"] or known.get("jwks_url", ""),
            token_audience=given["token_audience"] or None,
            deployment_ids=[given["deployment"]] if given["deployment"] else [],
            new_deployments=Standing.PENDING if request.form.get("ask_first") else Standing.ACTIVE,
            by=admin.by,
            now=clock.now(),
        )
    except registrations.RegistrationConflict as conflict:
        db.session.rollback()
        return _form(admin, chosen, given, str(conflict)), 422
    where = admin.url("admin.platform", platform_id=added.platform_id, done="connected")
    db.session.commit()
    return redirect(where, code=303)


@blueprint.get("/invitations")
@allow(Who.ADMINISTRATOR)
def invited(admin: Administrator) -> ResponseReturnValue:
    """The invitations that were made, and a form for another one."""
    _operator(admin)
    return _invitations(admin, None)


@blueprint.post("/invitations")
@allow(Who.ADMINISTRATOR)
def invite(admin: Administrator) -> ResponseReturnValue:
    """Make an invitation. Its address is on this page and nowhere else, so this is no redirect."""
    _operator(admin)
    days = request.form.get("days", 7, type=int)
    code = invitations.invite(
        request.form.get("note", ""),
        lasts=timedelta(days=days if days in _DAYS else _DAYS[0]),
        by=admin.by,
        now=clock.now(),
    )
    db.session.commit()
    return _invitations(admin, f"{current().public_url}/lti/register?invitation={code}")


@blueprint.post("/invitations/<int:invitation_id>/withdraw")
@allow(Who.ADMINISTRATOR)
def withdraw(admin: Administrator, invitation_id: int) -> ResponseReturnValue:
    """End an invitation that nobody has used."""
    _operator(admin)
    if not invitations.withdraw(invitation_id, by=admin.by, now=clock.now()):
        raise NotHere
    db.session.commit()
    return redirect(admin.url("connecting.invited", done="invitation-withdrawn"), code=303)


def _operator(admin: Administrator) -> None:
    """Whoever looks after one platform connects no others."""
    if not admin.sees_all:
        raise NotHere


def _product(name: str) -> Product:
    if name not in set(Product):
        raise NotHere
    return Product(name)


def _name(product: Product) -> str:
    name = platforms.behaviour(product).product_name
    return "Another LMS" if product is Product.OTHER else name


def _form(admin: Administrator, product: Product, given: dict[str, str], problem: str | None) -> str:
    _operator(admin)
    return render_template(
        "admin/by_hand.html",
        admin=admin,
        product=product,
        product_name=_name(product),
        values=by_hand.values(product, current()),
        given=given,
        problem=problem,
    )


def _invitations(admin: Administrator, fresh: str | None) -> str:
    return render_template(
        "admin/invitations.html",
        admin=admin,
        fresh=fresh,
        invitations=invitations.newest(),
        now=clock.now(),
        days=_DAYS,
    )
