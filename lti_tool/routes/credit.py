"""The credit statement of an earner, for themselves and for the registrar of a deployment."""

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue
from sqlalchemy import Select

from lti_tool import clock
from lti_tool.errors import NotHere
from lti_tool.registrar.holdings import decided_within, earner_of
from lti_tool.routes.guards import Holder, Visit, Who, allow
from lti_tool.settings import current

blueprint = Blueprint("credit", __name__)


@blueprint.get("/l/<launch>/credit-statement.pdf")
@blueprint.get("/b/<stay>/credit-statement.pdf")
@allow(Who.HOLDER)
def mine(holder: Holder) -> ResponseReturnValue:
    """Everything that was entered for this person, whatever course it came from."""
    return _file(holder.person_id)


@blueprint.get("/l/<launch>/ledger/<int:score_id>/credit-statement.pdf")
@allow(Who.REGISTRAR)
def of_earner(visit: Visit, score_id: int) -> ResponseReturnValue:
    """What was entered for the person of a score, as far as it was decided in the registrar's own deployment."""
    deployment_pk = visit.launch.deployment_pk
    person_id = earner_of(score_id, deployment_pk)
    if person_id is None:
        raise NotHere
    return _file(person_id, decided_within(deployment_pk))


def _file(person_id: int, within: Select[int] | None = None) -> Response:
    # What draws PDFs takes long to load, and few visits need it.
    from lti_tool.backpack.statements import credit_statement  # noqa: PLC0415  # said above

    settings = current()
    drawn = credit_statement(
        person_id, issuer=settings.issuer_name, fonts=settings.fonts, within=within, now=clock.now()
    )
    answer = Response(drawn, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = 'attachment; filename="credit-statement.pdf"'
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
