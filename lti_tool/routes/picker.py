"""Deep linking: faculty choose what to put into the course, set it up on one page, and it goes back to the platform."""

from collections.abc import Sequence

from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import audit, clock
from lti_tool.credentials import offering, queries
from lti_tool.credentials.offering import Offer
from lti_tool.database import db
from lti_tool.lti import deep_linking, platforms
from lti_tool.lti.claims import DeepLinkingSettings, LaunchMessage
from lti_tool.lti.deep_linking import LONGEST_LABEL, LinkItem, response_jwt
from lti_tool.routes import picker_form
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.routes.picker_form import CHOICE, EACH, Accepts, Read, Setup

blueprint = Blueprint("picker", __name__)
PAGE_SIZE = 20
MOST_PICKED = 20
_LONGEST_SEARCH = 100


@blueprint.get("/l/<launch>/select")
@allow(Who.PICKER)
def choose(visit: Visit) -> ResponseReturnValue:
    """The catalogue, to search and pick from. What was picked stays picked on every page of it."""
    wanted = deep_linking.settings_of(visit.launch)
    if not deep_linking.takes_activities(wanted):
        return render_template("picker/impossible.html", visit=visit)
    return _catalogue(visit, wanted)


@blueprint.get("/l/<launch>/select/details")
@allow(Who.PICKER)
def details(visit: Visit) -> ResponseReturnValue:
    """One page with everything that can be set, filled in: a look, and it can be sent."""
    wanted = deep_linking.settings_of(visit.launch)
    offers = offering.offers_of(_picked())
    if problem := _unfit(wanted, offers):
        return _catalogue(visit, wanted, problem), 422
    way, ways = _way(wanted, offers)
    return _details(visit, way, ways, _proposal(visit, offers, way), Read())


@blueprint.post("/l/<launch>/select/details")
@allow(Who.PICKER)
def send(visit: Visit) -> ResponseReturnValue:
    """Hand the activities over to the platform, or say what is still wrong with them."""
    wanted = deep_linking.settings_of(visit.launch)
    offers = offering.offers_of(_picked())
    if problem := _unfit(wanted, offers):
        return _catalogue(visit, wanted, problem), 422
    way, ways = _way(wanted, offers)
    taken = offering.placed_in(visit.launch.course_id).titles
    setups = _proposal(visit, offers, way)
    read = picker_form.read(request.form, setups, _accepts(visit), taken, now=clock.now())
    if read.problems or read.doubts:
        return _details(visit, way, ways, setups, read), 422
    return _hand_back(visit, wanted, read.items)


@blueprint.post("/l/<launch>/select/cancel")
@allow(Who.PICKER)
def cancel(visit: Visit) -> ResponseReturnValue:
    """Go back without anything; where nothing could be added from the start, the platform is told why."""
    wanted = deep_linking.settings_of(visit.launch)
    error = None
    if not deep_linking.takes_activities(wanted):
        error = "Tessera adds activities, which this place in the course does not take. Nothing was added."
    return _hand_back(visit, wanted, [], error)


def _proposal(visit: Visit, offers: Sequence[Offer], way: str) -> list[Setup]:
    taken = offering.placed_in(visit.launch.course_id).titles
    with_points = queries.with_points([offer.version.id for offer in offers if offer.version is not None])
    return picker_form.proposal(offers, way, taken, with_points)


def _catalogue(visit: Visit, wanted: DeepLinkingSettings, problem: str | None = None) -> str:
    search = request.values.get("q", "")[:_LONGEST_SEARCH]
    page = max(1, request.args.get("page", 1, type=whole))
    found, total = offering.offers(search, page, PAGE_SIZE)
    picked = _picked()
    shown = {offer.pick for offer in found}
    return render_template(
        "picker/choose.html",
        visit=visit,
        offers=found,
        total=total,
        search=search,
        page=page,
        pages=-(-total // PAGE_SIZE),
        several=wanted.accept_multiple,
        picked=picked,
        elsewhere=offering.offers_of([pick for pick in picked if pick not in shown]),
        placed=offering.placed_in(visit.launch.course_id).picks,
        problem=problem,
    )


def _details(visit: Visit, way: str, ways: Sequence[str], setups: Sequence[Setup], read: Read) -> str:
    return render_template(
        "picker/details.html",
        visit=visit,
        picked=_picked(),
        way=way,
        ways=ways,
        setups=setups,
        accepts=_accepts(visit),
        platform_name=_behaviour(visit).product_name,
        due_note=_behaviour(visit).due_note,
        zones=picker_form.zones(),
        zone=request.form.get("zone", ""),
        problems=read.problems,
        doubts=read.doubts,
        longest_label=LONGEST_LABEL,
    )


def _picked() -> list[str]:
    picks = [pick for pick in request.values.getlist("pick") if "\0" not in pick]
    return list(dict.fromkeys(picks))[: MOST_PICKED + 1]


def _unfit(wanted: DeepLinkingSettings, offers: Sequence[Offer]) -> str | None:
    """Why these cannot go into the course together."""
    if not offers:
        return "Choose a micro-credential or a stack first."
    if len(offers) > MOST_PICKED:
        return f"Choose at most {MOST_PICKED} at a time."
    if not _ways(wanted, offers):
        return (
            "From here your course takes one activity. Choose one stack alone, or only micro-credentials: "
            "several of these become one activity with a choice."
        )
    return None


def _way(wanted: DeepLinkingSettings, offers: Sequence[Offer]) -> tuple[str, list[str]]:
    ways = _ways(wanted, offers)
    asked = request.values.get("as", "")
    return asked if asked in ways else ways[0], ways


def _ways(wanted: DeepLinkingSettings, offers: Sequence[Offer]) -> list[str]:
    if len(offers) == 1:
        return [EACH]
    ways = [EACH] if wanted.accept_multiple else []
    return [*ways, CHOICE] if all(offer.stack is None for offer in offers) else ways


def _behaviour(visit: Visit) -> platforms.Generic:
    return platforms.behaviour(visit.launch.deployment.registration.platform.product)


def _accepts(visit: Visit) -> Accepts:
    message = LaunchMessage.from_map(visit.launch.claims)
    column = deep_linking.takes_column(deep_linking.settings_of(visit.launch))
    behaviour = _behaviour(visit)
    return Accepts(
        column=column,
        dates=behaviour.takes_dates(message.placement_name),
        title=not (column and behaviour.names_activity_after_column),
    )


def _hand_back(
    visit: Visit, wanted: DeepLinkingSettings, items: Sequence[LinkItem], error: str | None = None
) -> str:
    now = clock.now()
    token = response_jwt(visit.launch, items, now=now, error=error)
    audit.record(
        "selection sent",
        "deployment",
        visit.launch.deployment_pk,
        now=now,
        actor=visit.account.id,
        items=[item.resource_id for item in items],
    )
    db.session.commit()
    g.posts_to_platform = True
    return render_template("picker/send.html", return_url=wanted.return_url, token=token, chosen=items)
