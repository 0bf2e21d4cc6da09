"""Confirmed addresses, and the way back to one's badges by them after leaving the institution."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from lti_tool import clock, mail
from lti_tool.backpack import addresses, letters, queries
from lti_tool.database import db
from lti_tool.errors import AddressUnusable, MailMissing
from lti_tool.people import doors
from lti_tool.people.models import Purpose
from lti_tool.routes.guards import Holder, Visit, Who, allow, browser
from lti_tool.routes.stays import Return
from lti_tool.settings import current

blueprint = Blueprint("addresses", __name__)


@blueprint.get("/l/<launch>/addresses")
@blueprint.get("/b/<stay>/addresses")
@allow(Who.HOLDER)
def mine(holder: Holder) -> ResponseReturnValue:
    """This person's addresses: add one, see what waits for its button, delete one."""
    return _page(holder)


@blueprint.post("/l/<launch>/addresses")
@blueprint.post("/b/<stay>/addresses")
@allow(Who.HOLDER)
def add(holder: Holder) -> ResponseReturnValue:
    """Ask for a letter that confirms an address."""
    if not mail.possible():
        raise MailMissing
    typed = request.form.get("address", "")
    try:
        asked = letters.ask_to_confirm(holder.person_id, typed, now=clock.now())
    except AddressUnusable as refused:
        db.session.rollback()
        return _page(holder, typed=typed, error=refused.detail or "This is no complete e-mail address."), 422
    db.session.commit()
    done = "letter-asked" if asked else "address-known"
    return redirect(
        holder.url("addresses.mine", done=done, badge=request.form.get("badge") or None), code=303
    )


@blueprint.post("/l/<launch>/addresses/<int:address_id>/delete")
@blueprint.post("/b/<stay>/addresses/<int:address_id>/delete")
@allow(Who.HOLDER)
def delete(holder: Holder, address_id: int) -> ResponseReturnValue:
    """Forget an address."""
    addresses.forget(address_id, holder.person_id, now=clock.now())
    db.session.commit()
    return redirect(holder.url("addresses.mine", done="address-deleted"), code=303)


@blueprint.get("/badges")
@allow(Who.ANYONE)
def ask() -> ResponseReturnValue:
    """Open my badges: for whoever has no course to come from any more."""
    return render_template(
        "addresses/ask.html", mail=mail.possible(), issuer=current().issuer_name, error=None, typed=""
    )


@blueprint.post("/badges")
@allow(Who.ANYONE)
def asked() -> ResponseReturnValue:
    """A letter is on its way, or there is nobody to write to: the answer does not tell which."""
    if not mail.possible():
        raise MailMissing
    typed = request.form.get("address", "")
    try:
        letters.ask_to_open(typed, now=clock.now())
    except AddressUnusable as refused:
        db.session.rollback()
        error = refused.detail or "This is no complete e-mail address."
        page = render_template(
            "addresses/ask.html", mail=True, issuer=current().issuer_name, error=error, typed=typed
        )
        return page, 422
    db.session.commit()
    return redirect(url_for("addresses.sent"), code=303)


@blueprint.get("/badges/sent")
@allow(Who.ANYONE)
def sent() -> ResponseReturnValue:
    """What happens now, for everybody alike."""
    return render_template("addresses/sent.html")


@blueprint.get("/badges/open/<secret>")
@allow(Who.ANYONE)
def door(secret: str) -> ResponseReturnValue:
    """The page behind a letter's link. Looking at it uses nothing up, since mail programs open every link."""
    doors.look(secret, Purpose.BACKPACK, now=clock.now())
    return render_template("addresses/door.html")


@blueprint.post("/badges/open/<secret>")
@allow(Who.ANYONE)
def open_door(secret: str) -> ResponseReturnValue:
    """The button was pressed: a stay begins in this browser, and the link is used up."""
    stay = doors.enter(secret, Purpose.BACKPACK, browser=browser(), now=clock.now())
    db.session.commit()
    return redirect(url_for("backpack.mine", stay=stay.id), code=303)


@blueprint.get("/badges/confirm/<secret>")
@allow(Who.ANYONE)
def look(secret: str) -> ResponseReturnValue:
    """What confirming means, before it is done."""
    row = addresses.look(secret, now=clock.now())
    return render_template(
        "addresses/confirm.html", address=row.address, issuer=current().issuer_name, done=False
    )


@blueprint.post("/badges/confirm/<secret>")
@allow(Who.ANYONE)
def confirm(secret: str) -> ResponseReturnValue:
    """The address belongs to whoever typed it. Works in any browser: the mailbox is what counts."""
    addresses.confirm(secret, now=clock.now())
    db.session.commit()
    return redirect(url_for("addresses.confirmed"), code=303)


@blueprint.get("/badges/confirmed")
@allow(Who.ANYONE)
def confirmed() -> ResponseReturnValue:
    """What can be done now."""
    return render_template("addresses/confirm.html", address=None, issuer=current().issuer_name, done=True)


def _page(holder: Holder, *, typed: str | None = None, error: str | None = None) -> str:
    known = addresses.addresses_of(holder.person_id)
    account = holder.account if isinstance(holder, Visit) else queries.last_account(holder.person_id)
    # What the platform says is only proposed: it has not been confirmed, and university mail ends.
    proposed = "" if known or account is None else account.email or ""
    return render_template(
        "addresses/mine.html",
        visit=holder,
        addresses=known,
        mail=mail.possible(),
        typed=proposed if typed is None else typed,
        error=error,
        badge=request.args.get("badge", ""),
        returned=isinstance(holder, Return),
        most=addresses.MOST_ADDRESSES,
    )
