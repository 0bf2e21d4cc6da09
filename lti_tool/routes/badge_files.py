"""A badge's files, for its earner: the signed document in every form, a certificate to print, and the bare picture."""

import re

from flask import Blueprint, Response, request, url_for
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.backpack import queries, sharing
from lti_tool.badges import baking, images
from lti_tool.badges.models import Badge
from lti_tool.badges.queries import document
from lti_tool.badges.service import badge_of
from lti_tool.badges.signing import VC_JWT
from lti_tool.routes.guards import Holder, Who, allow
from lti_tool.settings import current

blueprint = Blueprint("badge_files", __name__)


@blueprint.get("/l/<launch>/badges/<badge_id>/badge.json")
@blueprint.get("/b/<stay>/badges/<badge_id>/badge.json")
@allow(Who.HOLDER)
def as_json(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The signed badge as a file."""
    return json_file(badge_of(badge_id, holder.person_id))


@blueprint.get("/l/<launch>/badges/<badge_id>/badge.jwt")
@blueprint.get("/b/<stay>/badges/<badge_id>/badge.jwt")
@allow(Who.HOLDER)
def as_jwt(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The signed badge in its compact form, which some wallets ask for."""
    badge = badge_of(badge_id, holder.person_id)
    return _file(document(badge.id, VC_JWT).encode(), "text/plain", badge, "jwt")


@blueprint.get("/l/<launch>/badges/<badge_id>/badge.png")
@blueprint.get("/b/<stay>/badges/<badge_id>/badge.png")
@allow(Who.HOLDER)
def as_png(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The signed badge inside its picture."""
    return png_file(badge_of(badge_id, holder.person_id))


@blueprint.get("/l/<launch>/badges/<badge_id>/badge.svg")
@blueprint.get("/b/<stay>/badges/<badge_id>/badge.svg")
@allow(Who.HOLDER)
def as_svg(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The signed badge inside its drawing."""
    badge = badge_of(badge_id, holder.person_id)
    drawing = images.svg(symbol=badge.symbol, colour=badge.colour, shape=badge.shape, title=badge.title)
    return _file(baking.bake_svg(drawing, document(badge.id)).encode(), "image/svg+xml", badge, "svg")


@blueprint.get("/l/<launch>/badges/<badge_id>/certificate.pdf")
@blueprint.get("/b/<stay>/badges/<badge_id>/certificate.pdf")
@allow(Who.HOLDER)
def as_certificate(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """A page to print or send, with the earner's name only if they tick it."""
    from lti_tool.printing import certificate  # noqa: PLC0415  # as in printed_name

    badge = badge_of(badge_id, holder.person_id)
    # Nothing to check by the code before that.
    document(badge.id)
    page = sharing.live(badge.id, now=clock.now())
    settings = current()
    path = url_for("verify.page") if page is None else url_for("public.shared", token=page.token)
    drawn = certificate.draw(
        certificate.Certificate(
            title=badge.title,
            description=badge.facts["achievement"]["description"],
            issuer=badge.issuer.name,
            awarded_at=badge.awarded_at,
            judged=badge.facts["achievement"]["assessment_mode"],
            name=printed_name(holder.person_id) if request.args.get("name") == "yes" else None,
            address=f"{settings.public_url}{path}",
            shared=page is not None,
            picture=images.render(symbol=badge.symbol, colour=badge.colour, shape=badge.shape),
        ),
        fonts=settings.fonts,
    )
    return _file(drawn, "application/pdf", badge, "pdf")


@blueprint.get("/l/<launch>/badges/<badge_id>/picture.svg")
@blueprint.get("/b/<stay>/badges/<badge_id>/picture.svg")
@allow(Who.HOLDER)
def picture(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """What the badge looks like, with nothing in it."""
    badge = badge_of(badge_id, holder.person_id)
    return svg_picture(badge.symbol, badge.colour, badge.shape)


def printed_name(person_id: int) -> str | None:
    """The name as a certificate can show it; None where there is none, or no font here has its letters."""
    # What draws PDFs takes 10 MB of every process that loads it, and few ever draw one.
    from lti_tool.printing.lettering import printable  # noqa: PLC0415  # said above

    name = queries.name_of(person_id)
    return name if name is not None and printable(name, current().fonts) else None


def json_file(badge: Badge) -> Response:
    """A badge's signed document to keep; the bytes are those that were signed."""
    return _file(document(badge.id).encode(), "application/vc+ld+json", badge, "json")


def png_file(badge: Badge) -> Response:
    """A badge's picture with the signed document baked in."""
    drawn = images.render(symbol=badge.symbol, colour=badge.colour, shape=badge.shape)
    return _file(baking.bake_png(drawn, document(badge.id)), "image/png", badge, "png")


def svg_picture(symbol: str, colour: str, shape: str) -> Response:
    """A badge's look alone. It depends on nothing but these words, so browsers may keep it."""
    answer = Response(images.svg(symbol=symbol, colour=colour, shape=shape), mimetype="image/svg+xml")
    answer.headers["Cache-Control"] = "private, max-age=86400"
    return answer


def _file(content: bytes, media_type: str, badge: Badge, kind: str) -> Response:
    """To be saved, under the badge's own title: people keep several, and a folder of "badge.json" helps nobody."""
    title = re.sub(r"[^a-z0-9]+", "-", badge.title.lower()).strip("-")[:60].strip("-") or "badge"
    answer = Response(content, mimetype=media_type)
    answer.headers["Content-Disposition"] = f'attachment; filename="{title}.{kind}"'
    # Signed anew when its earner wishes so; a kept copy would be the old one.
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
