from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from lti_tool import errors
from lti_tool.database import db
from lti_tool.lti import arrivals, sessions
from lti_tool.lti.models import AccessToken, Arrival, Launch, LoginState, Registration
from tests.lti.conftest import NOW, Door


def test_a_visit_opens_in_its_own_browser_until_it_ends(door: Door, learner_claims: dict[str, Any]) -> None:
    visit, _ = door.launch(learner_claims)

    opened = sessions.open_launch(visit.id, browser_cookie="browser-one", now=NOW + timedelta(hours=7))

    assert (opened.id, opened.account_id, opened.claims) == (visit.id, visit.account_id, visit.claims)
    assert len(visit.id) >= 22


@pytest.mark.parametrize("cookie", [None, "", "browser-two"])
def test_a_visit_does_not_open_in_another_browser(
    door: Door, learner_claims: dict[str, Any], cookie: str | None
) -> None:
    visit, _ = door.launch(learner_claims)

    with pytest.raises(errors.SessionOver):
        sessions.open_launch(visit.id, browser_cookie=cookie, now=NOW)


def test_a_visit_that_is_over_or_unknown_does_not_open(door: Door, learner_claims: dict[str, Any]) -> None:
    visit, _ = door.launch(learner_claims)

    for launch_id, moment in ((visit.id, NOW + timedelta(hours=8)), ("unknown", NOW), ("nul\0", NOW)):
        with pytest.raises(errors.SessionOver):
            sessions.open_launch(launch_id, browser_cookie="browser-one", now=moment)


def test_two_visits_of_one_browser_keep_their_own_course_and_role(
    door: Door, learner_claims: dict[str, Any]
) -> None:
    learner, _ = door.launch(learner_claims)
    teacher, _ = door.launch(
        learner_claims,
        lambda claims: claims.update(
            {
                "sub": "9",
                "https://purl.imsglobal.org/spec/lti/claim/roles": [
                    "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"
                ],
            }
        ),
    )

    opened = [
        sessions.open_launch(visit.id, browser_cookie="browser-one", now=NOW) for visit in (learner, teacher)
    ]

    assert [(visit.subject, visit.role) for visit in opened] == [("5", "learner"), ("9", "instructor")]


def test_only_a_digest_of_the_cookie_is_stored(door: Door, learner_claims: dict[str, Any]) -> None:
    door.browser = sessions.new_browser_cookie()
    visit, _ = door.launch(learner_claims)

    assert visit.browser == sessions.browser_hash(door.browser)
    assert door.browser not in visit.browser


def test_the_sweep_takes_what_nobody_can_use_and_leaves_the_rest(
    door: Door, registration: Registration, learner_claims: dict[str, Any]
) -> None:
    visit, _ = door.launch(learner_claims)
    arrivals.wait(visit, state="its state", framed=True, now=NOW)
    db.session.add(
        AccessToken(registration_id=registration.id, token_url="t", scopes="s", token="x", expires_at=NOW)
    )

    def left() -> list[int | None]:
        return [
            db.session.scalar(select(func.count()).select_from(kind))
            for kind in (LoginState, AccessToken, Arrival, Launch)
        ]

    soon, next_day, next_month = (
        (sessions.sweep(NOW + passed), left())
        for passed in (timedelta(hours=1), timedelta(days=2), timedelta(days=31))
    )

    assert soon == (1, [1, 0, 1, 1])
    assert next_day == (2, [0, 0, 0, 1])
    assert next_month == (1, [0, 0, 0, 0])
