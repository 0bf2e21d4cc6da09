"""Where in a platform the tool was put: deployments appear with their first valid launch, and may be switched off."""

from typing import Any

import pytest
from sqlalchemy import select

from lti_tool import errors
from lti_tool.audit import AuditEvent
from lti_tool.database import db
from lti_tool.lti import approvals, registrations, sessions
from lti_tool.lti.models import Deployment, LoginState, Registration, Standing
from lti_tool.lti.registrations import COMMAND_LINE
from lti_tool.lti.scopes import LINE_ITEMS, LINE_ITEMS_READ, RESULTS, ROSTER, SCORE, missing
from tests.lti.conftest import LTI, NOW, Door
from tests.lti.platform_double import AGS, FakePlatform

Claims = dict[str, Any]


def at(deployment_id: str) -> Any:
    return lambda claims: claims.update({LTI + "deployment_id": deployment_id})


def test_a_deployment_appears_with_its_first_valid_launch(door: Door, learner_claims: Claims) -> None:
    first, _ = door.launch(learner_claims, at("2"))
    again, _ = door.launch(learner_claims, at("2"))

    assert first.deployment.deployment_id == "2"
    assert first.deployment.state == Standing.ACTIVE
    assert again.deployment_pk == first.deployment_pk


def test_where_new_deployments_wait_they_appear_and_are_told_so_until_somebody_approves_them(
    door: Door, registration: Registration, learner_claims: Claims
) -> None:
    approvals.new_deployments(registration, Standing.PENDING, by=COMMAND_LINE, now=NOW)
    db.session.commit()

    for _ in range(2):
        with pytest.raises(errors.DeploymentPending):
            door.launch(learner_claims, at("2"))
    deployment = registrations.find_deployment(registration.id, "2")
    assert deployment is not None
    approvals.set_deployment(deployment, Standing.ACTIVE, by=COMMAND_LINE, now=NOW)
    db.session.commit()

    assert door.launch(learner_claims, at("2"))[0].deployment is deployment
    assert door.launch(learner_claims)[0].deployment.deployment_id == "1"


def test_a_message_that_is_not_valid_brings_no_deployment(
    door: Door, registration: Registration, learner_claims: Claims
) -> None:
    for change in (at(""), at("é"), lambda claims: claims.update({"nonce": "x"})):
        with pytest.raises(errors.Refused):
            door.launch(learner_claims, lambda claims, change=change: (at("3")(claims), change(claims)))

    assert registrations.find_deployment(registration.id, "3") is None


@pytest.mark.parametrize(
    ("state", "refusal"),
    [(Standing.PENDING, errors.PlatformPending), (Standing.DISABLED, errors.PlatformDisabled)],
)
def test_nobody_comes_in_through_a_registration_that_is_not_active_and_nothing_is_fetched_for_it(
    door: Door,
    registration: Registration,
    platform: FakePlatform,
    learner_claims: Claims,
    state: Standing,
    refusal: type[errors.Refused],
) -> None:
    begun = door.login()
    registration.state = state
    db.session.commit()

    with pytest.raises(refusal):
        door.login()
    with pytest.raises(refusal):
        door.post(learner_claims, begun)

    assert platform.asked == []
    assert len(db.session.scalars(select(LoginState)).all()) == 1


def test_switching_off_ends_the_visits_that_are_open(door: Door, learner_claims: Claims) -> None:
    visit, _ = door.launch(learner_claims)
    approvals.set_deployment(visit.deployment, Standing.DISABLED, by=COMMAND_LINE, now=NOW)

    with pytest.raises(errors.DeploymentDisabled):
        sessions.open_launch(visit.id, browser_cookie=door.browser, now=NOW)
    with pytest.raises(errors.DeploymentDisabled):
        door.launch(learner_claims)


def test_launches_tell_which_permissions_were_granted(
    door: Door, registration: Registration, learner_claims: Claims
) -> None:
    assert registration.granted_scopes is None
    assert missing(registration.requested_scopes, registration.granted_scopes) == []

    door.launch(learner_claims)
    assert registration.granted_scopes == [LINE_ITEMS, LINE_ITEMS_READ, RESULTS, SCORE, ROSTER]

    door.launch(learner_claims, lambda claims: claims[AGS].update(scope=[LINE_ITEMS, RESULTS, "x", 7]))
    assert registration.granted_scopes == [LINE_ITEMS, RESULTS, ROSTER]
    [lost] = missing(registration.requested_scopes, registration.granted_scopes)
    assert (lost.address, "No grade reaches the gradebook" in lost.lost) == (SCORE, True)

    door.launch(learner_claims, lambda claims: claims.pop(AGS))
    assert registration.granted_scopes == [LINE_ITEMS, RESULTS, ROSTER]


def test_who_decided_stands_in_the_log(registration: Registration) -> None:
    approvals.disable(registration, by=registrations.By(7, "launch"), now=NOW)
    approvals.approve(registration, by=COMMAND_LINE, now=NOW)

    told = db.session.scalars(
        select(AuditEvent).where(AuditEvent.action.like("registration %")).order_by(AuditEvent.id)
    ).all()
    assert [(event.action, event.actor_account_id, event.details["via"]) for event in told] == [
        ("registration disabled", 7, "launch"),
        ("registration approved", None, "command line"),
    ]
    assert db.session.scalars(select(Deployment.state)).all() == [Standing.ACTIVE]
