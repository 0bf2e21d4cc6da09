"""Pages that need no launch: what Tessera is, what can be earned, and badges that earners share."""

from flask import Blueprint, Response, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import text

from lti_tool import clock
from lti_tool.assessment.stacks import way_for_anybody, ways_on_offer
from lti_tool.badges import endorsements, images
from lti_tool.badges import queries as badges
from lti_tool.badges.achievements import ASSESSED_BY_ONE, address, stack_address
from lti_tool.credentials import queries
from lti_tool.credit.queries import said_of
from lti_tool.database import db
from lti_tool.routes import badge_files, previews, verify
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Who, allow

blueprint = Blueprint("public", __name__)
PAGE_SIZE = 20


@blueprint.get("/")
@allow(Who.ANYONE)
def home() -> ResponseReturnValue:
    """What this is, for whoever typed the address."""
    return render_template("public/home.html")


@blueprint.get("/healthz")
@allow(Who.ANYONE)
def health() -> ResponseReturnValue:
    """For load balancers: can this process serve, that is, does the database answer?"""
    db.session.execute(text("SELECT 1"))
    return jsonify({"status": "ok"})


@blueprint.get("/credentials")
@allow(Who.ANYONE)
def catalogue() -> ResponseReturnValue:
    """Everything that can be earned here."""
    page = max(1, request.args.get("page", 1, type=whole))
    versions, total = queries.page_of_current(page, PAGE_SIZE)
    return render_template(
        "public/catalogue.html",
        versions=versions,
        page=page,
        pages=-(-total // PAGE_SIZE),
        stacks=ways_on_offer() if page == 1 else [],
    )


@blueprint.get("/credentials/<key>")
@blueprint.get("/credentials/<key>/<int:number>")
@allow(Who.ANYONE)
def credential(key: str, number: int | None = None) -> ResponseReturnValue:
    """A micro-credential with everything an earner or an employer may want to know; the id of what a badge says."""
    version = queries.version_by_key(key, number)
    return render_template(
        "public/credential.html",
        version=version,
        credit=said_of(version.id),
        stacks=queries.stacks_asking(version.credential_id),
        assessed_by_one=ASSESSED_BY_ONE,
        endorsements=endorsements.standing([address(key, version.number)], now=clock.now()),
    )


@blueprint.get("/credentials/<key>/<int:number>/badge.png")
@allow(Who.ANYONE)
def credential_picture(key: str, number: int) -> ResponseReturnValue:
    """What the badge of a version looks like; nobody's badge is in it."""
    version = queries.version_by_key(key, number)
    return _picture(version.badge_symbol, version.badge_colour, version.badge_shape)


@blueprint.get("/stacks/<key>")
@blueprint.get("/stacks/<key>/<int:number>")
@allow(Who.ANYONE)
def stack(key: str, number: int | None = None) -> ResponseReturnValue:
    """A stack and the micro-credentials it asks for; the id of what its badge says."""
    found = queries.stack_by_key(key)
    way = way_for_anybody(found, number)
    return render_template(
        "public/stack.html",
        stack=found,
        way=way,
        endorsements=endorsements.standing([stack_address(key, way.version.number)], now=clock.now()),
    )


@blueprint.get("/stacks/<key>/badge.png")
@blueprint.get("/stacks/<key>/<int:number>/badge.png")
@allow(Who.ANYONE)
def stack_picture(key: str, number: int | None = None) -> ResponseReturnValue:
    """What the badge of a stack looks like."""
    version = way_for_anybody(queries.stack_by_key(key), number).version
    return _picture(version.badge_symbol, version.badge_colour, version.badge_shape)


@blueprint.get("/shared/<token>")
@allow(Who.ANYONE)
def shared(token: str) -> ResponseReturnValue:
    """A badge that its earner shows to the world, checked anew each time."""
    consent = badges.shared(token, now=clock.now())
    document = badges.document(consent.badge_id)
    verdict = verify.own(document)
    page = current_app.make_response(
        render_template(
            "public/shared.html",
            share=consent,
            badge=consent.badge,
            verdict=verdict,
            preview=previews.of_shared(consent, verdict),
        )
    )
    return _unlisted(page)


@blueprint.get("/shared/<token>/badge.json")
@allow(Who.ANYONE)
def shared_json(token: str) -> ResponseReturnValue:
    """The shared badge as a file."""
    return _unlisted(badge_files.json_file(badges.shared(token, now=clock.now()).badge))


@blueprint.get("/shared/<token>/badge.png")
@allow(Who.ANYONE)
def shared_png(token: str) -> ResponseReturnValue:
    """The shared badge inside its picture."""
    return _unlisted(badge_files.png_file(badges.shared(token, now=clock.now()).badge))


@blueprint.get("/shared/<token>/picture.svg")
@allow(Who.ANYONE)
def shared_picture(token: str) -> ResponseReturnValue:
    """What the shared badge looks like."""
    badge = badges.shared(token, now=clock.now()).badge
    return _unlisted(badge_files.svg_picture(badge.symbol, badge.colour, badge.shape))


def _unlisted(answer: Response) -> Response:
    """Shared with whoever has the address, which search engines are not meant to spread; gone once taken back."""
    answer.headers["X-Robots-Tag"] = "noindex"
    answer.headers["Cache-Control"] = "private, no-cache"
    return answer


def _picture(symbol: str, colour: str, shape: str) -> Response:
    answer = Response(images.render(symbol=symbol, colour=colour, shape=shape), mimetype="image/png")
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer
