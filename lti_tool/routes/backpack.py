"""The earner's badges: see, download, share, take back."""

from flask import Blueprint, Response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.badges import baking, images, queries, service
from lti_tool.badges.models import Badge
from lti_tool.credentials.queries import stacks_with
from lti_tool.database import db
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.settings import current

blueprint = Blueprint("backpack", __name__)
PAGE_SIZE = 20


@blueprint.get("/l/<launch>/badges")
@allow(Who.VISITOR)
def mine(visit: Visit) -> ResponseReturnValue:
    """All badges of this person, and the stacks on their way."""
    page = max(1, request.args.get("page", 1, type=whole))
    badges, total = queries.badges_of(visit.person_id, page=page, size=PAGE_SIZE)
    held = queries.held_credentials(visit.person_id)
    return render_template(
        "backpack/mine.html",
        visit=visit,
        badges=badges,
        page=page,
        pages=-(-total // PAGE_SIZE),
        held=held,
        stacks=stacks_with(held) if held else [],
        stacks_earned={badge.stack_id for badge in badges},
    )


@blueprint.get("/l/<launch>/badges/<badge_id>")
@allow(Who.VISITOR)
def one(visit: Visit, badge_id: str) -> ResponseReturnValue:
    """One badge: what it says, its files, and whether anybody else can see it."""
    badge = service.badge_of(badge_id, visit.person_id)
    live = next((share for share in badge.shares if share.ended_at is None), None)
    return render_template(
        "backpack/one.html", visit=visit, badge=badge, share=live, public_url=current().public_url
    )


@blueprint.get("/l/<launch>/badges/<badge_id>/badge.json")
@allow(Who.VISITOR)
def as_json(visit: Visit, badge_id: str) -> ResponseReturnValue:
    """The signed badge as a file."""
    badge = service.badge_of(badge_id, visit.person_id)
    return json_file(badge)


@blueprint.get("/l/<launch>/badges/<badge_id>/badge.png")
@allow(Who.VISITOR)
def as_png(visit: Visit, badge_id: str) -> ResponseReturnValue:
    """The signed badge inside its picture."""
    badge = service.badge_of(badge_id, visit.person_id)
    return png_file(badge)


@blueprint.get("/l/<launch>/badges/<badge_id>/picture.svg")
@allow(Who.VISITOR)
def picture(visit: Visit, badge_id: str) -> ResponseReturnValue:
    """What the badge looks like, with nothing in it."""
    badge = service.badge_of(badge_id, visit.person_id)
    return svg_picture(badge.symbol, badge.colour, badge.shape)


@blueprint.post("/l/<launch>/badges/<badge_id>/share")
@allow(Who.VISITOR)
def share(visit: Visit, badge_id: str) -> ResponseReturnValue:
    """The earner agrees to a public page."""
    name = visit.account.name if request.form.get("show_name") == "yes" else None
    service.share(badge_id, person_id=visit.person_id, name=name, now=clock.now())
    db.session.commit()
    return redirect(visit.url("backpack.one", badge_id=badge_id, done="shared"), code=303)


@blueprint.post("/l/<launch>/badges/<badge_id>/unshare")
@allow(Who.VISITOR)
def unshare(visit: Visit, badge_id: str) -> ResponseReturnValue:
    """The earner takes the public page back."""
    service.unshare(badge_id, person_id=visit.person_id, now=clock.now())
    db.session.commit()
    return redirect(visit.url("backpack.one", badge_id=badge_id, done="unshared"), code=303)


def json_file(badge: Badge) -> Response:
    """A badge's signed document to keep; the bytes are those that were signed."""
    return _file(queries.document(badge.id).encode(), "application/vc+ld+json", "badge.json")


def png_file(badge: Badge) -> Response:
    """A badge's picture with the signed document baked in."""
    picture = images.render(symbol=badge.symbol, colour=badge.colour, shape=badge.shape)
    return _file(baking.bake_png(picture, queries.document(badge.id)), "image/png", "badge.png")


def svg_picture(symbol: str, colour: str, shape: str) -> Response:
    """A badge's look alone. It depends on nothing but these words, so browsers may keep it."""
    answer = Response(images.svg(symbol=symbol, colour=colour, shape=shape), mimetype="image/svg+xml")
    answer.headers["Cache-Control"] = "private, max-age=86400"
    return answer


def _file(content: bytes, media_type: str, name: str) -> Response:
    answer = Response(content, mimetype=media_type)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
