"""Deep linking: faculty choose what to put into the course, and the choice goes back to the platform."""

from collections.abc import Sequence

from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import audit, clock
from lti_tool.credentials import queries
from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.errors import SelectionRefused
from lti_tool.lti.claims import LaunchMessage
from lti_tool.lti.deep_linking import LinkItem, response_jwt
from lti_tool.routes.forms import whole
from lti_tool.routes.guards import Visit, Who, allow

blueprint = Blueprint("picker", __name__)
PAGE_SIZE = 20


@blueprint.get("/l/<launch>/select")
@allow(Who.PICKER)
def choose(visit: Visit) -> ResponseReturnValue:
    """The catalogue, as far as this course's platform takes it."""
    return _page(visit, error=None)


@blueprint.post("/l/<launch>/select")
@allow(Who.PICKER)
def send(visit: Visit) -> ResponseReturnValue:
    """Hand the choice, or the news that nothing was chosen, back to the platform."""
    message = LaunchMessage.from_map(visit.launch.claims)
    if "cancel" in request.form:
        return _hand_back(visit, message, [])
    keys = [key for key in request.form.getlist("credential") if "\0" not in key]
    if not keys:
        return _page(visit, error="Choose a micro-credential first."), 422
    settings = message.deep_linking
    if settings is None or (len(keys) > 1 and not settings.accept_multiple):
        raise SelectionRefused("Your course takes one micro-credential at a time.")
    versions = [queries.version_by_key(key) for key in keys[:PAGE_SIZE]]
    return _hand_back(visit, message, versions)


def _page(visit: Visit, error: str | None) -> str:
    message = LaunchMessage.from_map(visit.launch.claims)
    page = max(1, request.args.get("page", 1, type=whole))
    versions, total = queries.page_of_current(page, PAGE_SIZE)
    return render_template(
        "picker/choose.html",
        visit=visit,
        versions=versions,
        page=page,
        pages=-(-total // PAGE_SIZE),
        several=message.deep_linking is not None and message.deep_linking.accept_multiple,
        chosen=request.form.getlist("credential"),
        error=error,
    )


def _hand_back(visit: Visit, message: LaunchMessage, versions: Sequence[Version]) -> str:
    now = clock.now()
    settings = message.deep_linking
    assert settings is not None
    items = [
        LinkItem(
            title=version.title,
            text=version.purpose,
            credential_key=version.credential.key,
            label=version.label,
            points=version.points,
            resource_id=f"tessera:{version.credential.key}",
        )
        for version in versions
    ]
    token = response_jwt(visit.launch, items, now=now)
    audit.record(
        "selection sent",
        "deployment",
        visit.launch.deployment_pk,
        now=now,
        actor=visit.account.id,
        versions=[version.id for version in versions],
    )
    db.session.commit()
    g.posts_to_platform = True
    return render_template("picker/send.html", return_url=settings.return_url, token=token, chosen=versions)
