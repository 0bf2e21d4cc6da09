"""The earner's badges: see them, share them, take back what was agreed to. By a launch, or by a personal link."""

from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from lti_tool import clock, tasks
from lti_tool.assessment.stacks import stack_progress
from lti_tool.backpack import addresses, consents, queries, service, sharing
from lti_tool.backpack.models import Act
from lti_tool.badges.models import Badge
from lti_tool.badges.service import badge_of
from lti_tool.credit.queries import entries_of, totals_of
from lti_tool.credit.rules import plain, total_in_words
from lti_tool.database import db
from lti_tool.people import doors
from lti_tool.routes.badge_files import printed_name
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Holder, Who, allow
from lti_tool.routes.stays import Return
from lti_tool.settings import current

blueprint = Blueprint("backpack", __name__)
PAGE_SIZE = 20
CREDIT_SIZE = 20
_LASTS = {"30": timedelta(days=30), "365": timedelta(days=365)}
_LONGEST_SHARE = timedelta(days=3653)


@blueprint.get("/l/<launch>/badges")
@blueprint.get("/b/<stay>/badges")
@allow(Who.HOLDER)
def mine(holder: Holder) -> ResponseReturnValue:
    """All badges of this person, the stacks on their way, and what counts for credit."""
    page = max(1, request.args.get("page", 1, type=whole))
    credit_page = max(1, request.args.get("credit", 1, type=whole))
    shelf, total = queries.shelf(holder.person_id, page=page, size=PAGE_SIZE, now=clock.now())
    credit, credits_total = entries_of(holder.person_id, page=credit_page, size=CREDIT_SIZE)
    confirmed = [row for row in addresses.addresses_of(holder.person_id) if row.confirmed_at is not None]
    return render_template(
        "backpack/mine.html",
        visit=holder,
        shelf=shelf,
        page=page,
        pages=-(-total // PAGE_SIZE),
        stacks=stack_progress(holder.person_id),
        credit=credit,
        totals=totals_of(holder.person_id),
        plain=plain,
        total_in_words=total_in_words,
        credit_page=credit_page,
        credit_pages=-(-credits_total // CREDIT_SIZE),
        confirmed=confirmed,
        way_back=f"{current().public_url}{url_for('addresses.ask')}",
        returned=isinstance(holder, Return),
    )


@blueprint.get("/l/<launch>/badges/<badge_id>")
@blueprint.get("/b/<stay>/badges/<badge_id>")
@allow(Who.HOLDER)
def one(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """One badge: what it says, its files, and whether anybody else can see it."""
    return _page(holder, badge_of(badge_id, holder.person_id))


@blueprint.post("/l/<launch>/badges/<badge_id>/share")
@blueprint.post("/b/<stay>/badges/<badge_id>/share")
@allow(Who.HOLDER)
def share(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The earner agrees to a public page, with or without their name, for as long as they choose."""
    badge = badge_of(badge_id, holder.person_id)
    now = clock.now()
    try:
        ends_at = _end(request.form.get("lasts", ""), request.form.get("until", ""), now)
    except ValueError as problem:
        return _page(holder, badge, error=str(problem)), 422
    name = queries.name_of(holder.person_id) if request.form.get("show_name") == "yes" else None
    sharing.share(badge_id, person_id=holder.person_id, name=name, ends_at=ends_at, now=now)
    db.session.commit()
    return redirect(holder.url("backpack.one", badge_id=badge_id, done="shared"), code=303)


@blueprint.post("/l/<launch>/badges/<badge_id>/unshare")
@blueprint.post("/b/<stay>/badges/<badge_id>/unshare")
@allow(Who.HOLDER)
def unshare(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The earner takes the public page back."""
    sharing.unshare(badge_id, person_id=holder.person_id, now=clock.now())
    db.session.commit()
    return redirect(holder.url("backpack.one", badge_id=badge_id, done="unshared"), code=303)


@blueprint.post("/l/<launch>/badges/<badge_id>/name")
@blueprint.post("/b/<stay>/badges/<badge_id>/name")
@allow(Who.HOLDER)
def name(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The earner shows the name that they have now on the page, or none."""
    shown = queries.name_of(holder.person_id) if request.form.get("show_name") == "yes" else None
    sharing.name_on_page(badge_id, person_id=holder.person_id, name=shown, now=clock.now())
    db.session.commit()
    done = "name-hidden" if shown is None else "name-shown"
    return redirect(holder.url("backpack.one", badge_id=badge_id, done=done), code=303)


@blueprint.get("/l/<launch>/badges/agreed")
@blueprint.get("/b/<stay>/badges/agreed")
@allow(Who.HOLDER)
def agreed(holder: Holder) -> ResponseReturnValue:
    """Everything that this person ever agreed to show: what, to whom, in which words, and whether it still holds."""
    page = max(1, request.args.get("page", 1, type=whole))
    rows, total = consents.of_person(holder.person_id, page=page, size=PAGE_SIZE)
    return render_template(
        "backpack/agreed.html",
        visit=holder,
        consents=rows,
        page=page,
        pages=-(-total // PAGE_SIZE),
        now=clock.now(),
    )


@blueprint.post("/l/<launch>/badges/agreed/<int:consent_id>")
@blueprint.post("/b/<stay>/badges/agreed/<int:consent_id>")
@allow(Who.HOLDER)
def take_back(holder: Holder, consent_id: int) -> ResponseReturnValue:
    """The earner takes back one thing that they had agreed to."""
    act = service.take_back(consent_id, holder.person_id, actor=holder.account_id, now=clock.now())
    db.session.commit()
    tasks.wake()
    inside = act in (Act.RESULTS, Act.EVIDENCE)
    return redirect(
        holder.url("backpack.agreed", done="taken-back-inside" if inside else "taken-back"), code=303
    )


@blueprint.post("/b/<stay>/close")
@allow(Who.HOLDER)
def close(holder: Holder) -> ResponseReturnValue:
    """End a stay before its time, as on somebody else's computer."""
    assert isinstance(holder, Return)
    doors.leave(holder.stay, now=clock.now())
    db.session.commit()
    return redirect(url_for("addresses.ask", done="closed"), code=303)


def _page(holder: Holder, badge: Badge, *, error: str | None = None) -> str:
    now = clock.now()
    held = queries.held(badge, now=now)
    page = held.page
    return render_template(
        "backpack/one.html",
        visit=holder,
        badge=badge,
        held=held,
        share=page,
        name=queries.name_of(holder.person_id),
        printed_name=printed_name(holder.person_id),
        agreed={act.value for act in consents.standing(badge.id, now=now)},
        words={act.value: words for act, words in consents.WORDS.items()},
        purposes={act.value: purpose for act, purpose in consents.PURPOSES.items()},
        earlier=queries.earlier(badge),
        public_url=current().public_url,
        linkedin=None if page is None or badge.revoked_at is not None else _linkedin(badge, page.token),
        error=error,
        lasts=request.form.get("lasts", "never"),
        until=request.form.get("until", ""),
        tomorrow=(now + timedelta(days=1)).date().isoformat(),
    )


def _end(lasts: str, until: str, now: datetime) -> datetime | None:
    """When a page shall go.

    :raises ValueError: no such choice, or a day that is not to come; with what to say.
    """
    if lasts in ("", "never"):
        return None
    if lasts in _LASTS:
        return now + _LASTS[lasts]
    try:
        day = date.fromisoformat(until)
    except ValueError:
        raise ValueError("Choose the last day of the page, such as 2027-06-30.") from None
    ends_at = datetime.combine(day, time(23, 59, 59), UTC)
    if not now < ends_at < now + _LONGEST_SHARE:
        raise ValueError("Choose a day from today on, within ten years.")
    return ends_at


def _linkedin(badge: Badge, token: str) -> str:
    """LinkedIn's own form for a certification, filled in. Nothing goes there before the earner follows the link.

    Parameters: https://addtoprofile.linkedin.com
    """
    fields = {
        "startTask": "CERTIFICATION_NAME",
        "name": badge.title,
        "organizationName": badge.issuer.name,
        "issueYear": badge.awarded_at.year,
        "issueMonth": badge.awarded_at.month,
        "certUrl": f"{current().public_url}{url_for('public.shared', token=token)}",
        "certId": badge.id,
    }
    return f"https://www.linkedin.com/profile/add?{urlencode(fields)}"
