"""One-time links and the stays they open."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool import errors
from lti_tool.audit import AuditEvent
from lti_tool.database import db
from lti_tool.people import doors
from lti_tool.people.models import OneTimeLink, Purpose, Stay
from tests.support.apps import NOON

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def a_link(purpose: Purpose = Purpose.ADMINISTRATOR) -> str:
    return doors.invite(purpose, lasts=HOUR, now=NOON)


def test_a_link_opens_a_stay_that_only_its_browser_can_use_until_it_ends():
    stay = doors.enter(a_link(), Purpose.ADMINISTRATOR, browser="mine", now=NOON)

    opened = doors.open_stay(stay.id, Purpose.ADMINISTRATOR, browser_cookie="mine", now=NOON + 7 * HOUR)

    assert opened is stay
    for cookie, at in (("theirs", NOON), ("", NOON), (None, NOON), ("mine", NOON + 8 * HOUR)):
        with pytest.raises(errors.StayOver):
            doors.open_stay(stay.id, Purpose.ADMINISTRATOR, browser_cookie=cookie, now=at)


def test_a_link_opens_once():
    secret = a_link()
    doors.look(secret, Purpose.ADMINISTRATOR, now=NOON)
    doors.look(secret, Purpose.ADMINISTRATOR, now=NOON)

    doors.enter(secret, Purpose.ADMINISTRATOR, browser="mine", now=NOON)

    with pytest.raises(errors.LinkUsed):
        doors.enter(secret, Purpose.ADMINISTRATOR, browser="mine", now=NOON)
    with pytest.raises(errors.LinkUsed):
        doors.look(secret, Purpose.ADMINISTRATOR, now=NOON + 2 * HOUR)
    assert db.session.scalar(select(func.count()).select_from(Stay)) == 1


@pytest.mark.parametrize("verb", ["look", "enter"])
def test_a_link_of_another_kind_too_old_or_made_up_opens_nothing(verb: str):
    def attempt(secret: str, purpose: Purpose, after: timedelta) -> None:
        if verb == "look":
            doors.look(secret, purpose, now=NOON + after)
        else:
            doors.enter(secret, purpose, browser="mine", now=NOON + after)

    secret = a_link()

    for given in (
        (secret, Purpose.BACKPACK, timedelta(0)),
        (secret, Purpose.ADMINISTRATOR, HOUR),
        ("made up ü", Purpose.ADMINISTRATOR, timedelta(0)),
    ):
        with pytest.raises(errors.LinkUnknown):
            attempt(*given)
    doors.enter(secret, Purpose.ADMINISTRATOR, browser="mine", now=NOON)


def test_a_stay_for_one_purpose_opens_no_page_of_another():
    stay = doors.enter(a_link(Purpose.BACKPACK), Purpose.BACKPACK, browser="mine", now=NOON)

    for stay_id in (stay.id, "unknown", "nul\0"):
        with pytest.raises(errors.StayOver):
            doors.open_stay(stay_id, Purpose.ADMINISTRATOR, browser_cookie="mine", now=NOON)


def test_a_copy_of_the_database_opens_nothing():
    secret = a_link()
    stay = doors.enter(secret, Purpose.ADMINISTRATOR, browser="mine", now=NOON)

    link = db.session.scalars(select(OneTimeLink)).one()

    assert secret not in link.secret_hash
    assert stay.browser != "mine"


def test_the_log_says_that_a_link_was_made_and_used_but_not_the_link():
    secret = a_link()
    doors.enter(secret, Purpose.ADMINISTRATOR, browser="mine", now=NOON)
    db.session.flush()

    told = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_type == "one_time_link")).all()

    assert [event.action for event in told] == ["one-time link made", "one-time link used"]
    assert not any(secret in str(event.details) for event in told)


def test_the_sweep_takes_what_is_over_and_keeps_the_answer_for_a_late_click():
    secret = a_link()
    doors.enter(secret, Purpose.ADMINISTRATOR, browser="mine", now=NOON)

    assert doors.sweep(NOON + 7 * HOUR) == 0
    assert doors.sweep(NOON + timedelta(days=2)) == 1
    with pytest.raises(errors.LinkUsed):
        doors.look(secret, Purpose.ADMINISTRATOR, now=NOON + timedelta(days=2))
    assert doors.sweep(NOON + timedelta(days=40)) == 1
