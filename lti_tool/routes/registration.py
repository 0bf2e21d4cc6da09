"""Dynamic registration in an LMS's window: what is asked, the button that asks it, and what to press next.

The pages work without our cookie, which some browsers keep back inside a frame: what the button needs stands sealed in
its form. Looking at the first page sends nothing, so neither a prefetch nor a frame registers anything.
"""

import logging
from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer

from lti_tool import clock
from lti_tool.database import db
from lti_tool.errors import ConfigurationUnusable, RegistrationStale
from lti_tool.lti import by_hand, dynamic_registration, invitations, platforms
from lti_tool.lti.models import Registration
from lti_tool.lti.scopes import SCOPES
from lti_tool.routes.guards import Who, allow
from lti_tool.settings import current

blueprint = Blueprint("registration", __name__)
log = logging.getLogger(__name__)

_OPEN_SECONDS = 3600


@blueprint.get("/lti/register")
@allow(Who.PLATFORM)
def ask() -> ResponseReturnValue:
    """What the LMS is and what it would be asked for; the button sends it."""
    address = request.args.get("openid_configuration", "")
    token = request.args.get("registration_token")
    code = request.args.get("invitation")
    if not address:
        raise ConfigurationUnusable
    found = dynamic_registration.look(address, token)
    g.framers = found.framers
    ticket = _sealer("ask").dumps([address, token, code])
    return render_template(
        "registration/ask.html",
        found=found,
        product=platforms.behaviour(found.product).product_name,
        scopes=[SCOPES[address] for address in found.scopes],
        placements=_placements(found),
        invited=invitations.valid(code, now=clock.now()) is not None,
        code_given=bool(code),
        ticket=ticket,
    )


@blueprint.post("/lti/register")
@allow(Who.PLATFORM)
def register() -> ResponseReturnValue:
    """The button: ask the platform, remember what it answers, and show what comes next."""
    address, token, code = _open("ask", request.form.get("ticket", ""))
    found = dynamic_registration.look(address, token)
    registration = dynamic_registration.register(found, token, invitation=code, now=clock.now())
    ticket = _sealer("done").dumps([registration.id, list(found.framers)])
    log.info("platform registered", extra={"registration": registration.id, "state": registration.state})
    db.session.commit()
    return redirect(url_for("registration.done", ticket=ticket), code=303)


@blueprint.get("/lti/registered/<ticket>")
@allow(Who.PLATFORM)
def done(ticket: str) -> ResponseReturnValue:
    """What to press next in this very LMS, and who has to approve it here."""
    registration_id, framers = _open("done", ticket)
    registration = db.session.get(Registration, registration_id)
    if registration is None:
        raise RegistrationStale
    g.framers = framers
    behaviour = platforms.behaviour(registration.platform.product)
    return render_template(
        "registration/done.html",
        registration=registration,
        product=behaviour.product_name,
        guide=behaviour.guide,
        steps=[step.format(client_id=registration.client_id) for step in behaviour.next_steps],
    )


@blueprint.get("/lti/canvas.json")
@allow(Who.ANYONE)
def canvas() -> ResponseReturnValue:
    """The configuration of a Canvas developer key, for its field “Enter URL”."""
    answer = jsonify(by_hand.canvas_configuration(current()))
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer


def _placements(found: dynamic_registration.Configuration) -> list[str]:
    messages = platforms.behaviour(found.product).registration_messages(found.messages, "", "")
    return [place.replace("_", " ") for message in messages for place in message.get("placements", ())]


def _sealer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current().secret_key, salt=f"registration {purpose}")


def _open(purpose: str, ticket: str) -> Any:
    try:
        return _sealer(purpose).loads(ticket, max_age=_OPEN_SECONDS)
    except BadSignature:
        raise RegistrationStale from None
