"""What persons may do about a score that waits, is refused, or is not what the gradebook shows."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from lti_tool.audit import AuditEvent
from lti_tool.database import db
from lti_tool.errors import ReasonMissing
from lti_tool.passback import service
from lti_tool.passback.models import Finding, Score, ScoreState
from tests.passback.conftest import ON_BOTH
from tests.passback.gradebooks import REFUSED, FakeGradebook, deliver, ledger, owe
from tests.support.apps import NOON
from tests.support.cast import Campus

pytestmark = ON_BOTH

LATER = NOON + timedelta(hours=1)


def drifted(here: Campus, finding: Finding, *, shown: str | None = "4") -> int:
    """A score that was accepted, and of which the gradebook was found to show something else."""
    score_id = owe(here)
    deliver(FakeGradebook())
    score = ledger(score_id)
    score.state = ScoreState.OVERRIDDEN if finding is Finding.OVERRIDDEN else ScoreState.ACCEPTED
    score.finding, score.read_at, score.read_due_at = finding, NOON, NOON + timedelta(days=1)
    score.shown_points = None if shown is None else Decimal(shown)
    db.session.commit()
    return score_id


def said(action: str) -> list[tuple[int | None, str]]:
    events = db.session.scalars(select(AuditEvent).filter_by(action=action))
    return [(event.actor_account_id, event.subject_id) for event in events]


def open_findings() -> list[int]:
    return list(db.session.scalars(select(Score.id).where(service.open_finding())))


def test_what_somebody_set_is_replaced_only_if_a_person_says_so(here: Campus):
    score_id = drifted(here, Finding.OVERRIDDEN)

    again = service.resend(score_id, here.accounts["rita"], now=LATER, overwrites=True)
    db.session.commit()

    assert again is not None
    assert (again.state, again.overwrites, again.points) == (ScoreState.OWED, True, Decimal(10))
    old = ledger(score_id)
    assert (old.state, old.dealt_with_at, old.read_due_at) == (ScoreState.SUPERSEDED, LATER, None)
    assert said("score sent again") == [(here.accounts["rita"], str(score_id))]


def test_a_score_that_the_gradebook_lost_is_sent_again_and_the_old_one_stays_accepted(here: Campus):
    score_id = drifted(here, Finding.MISSING, shown=None)

    again = service.resend(score_id, here.accounts["rita"], now=LATER)
    db.session.commit()

    assert again is not None
    assert not again.overwrites
    assert again.scored_at > ledger(score_id).scored_at
    assert ledger(score_id).state is ScoreState.ACCEPTED
    assert open_findings() == []


@pytest.mark.parametrize("finding", [Finding.OVERRIDDEN, Finding.MISSING, Finding.DIFFERENT])
def test_pressing_send_again_twice_on_a_difference_sends_once(here: Campus, finding: Finding):
    score_id = drifted(here, finding)

    first = service.resend(score_id, None, now=LATER, overwrites=True)
    second = service.resend(score_id, None, now=LATER, overwrites=True)

    assert first is not None
    assert second is None


def test_an_older_score_is_never_sent_again_over_a_newer_one(here: Campus):
    older = drifted(here, Finding.OVERRIDDEN)
    owe(here, "7", decision=2, now=LATER)

    assert service.resend(older, None, now=LATER, overwrites=True) is None


def test_a_score_that_is_as_it_should_be_is_not_sent_again(here: Campus):
    score_id = owe(here)
    deliver(FakeGradebook())

    assert service.resend(score_id, None, now=LATER) is None


def test_leaving_the_gradebook_as_it_is_settles_the_difference_once(here: Campus):
    score_id = drifted(here, Finding.OVERRIDDEN)

    first = service.accept_shown(score_id, here.accounts["ingrid"], now=LATER)
    second = service.accept_shown(score_id, here.accounts["rita"], now=LATER)
    db.session.commit()

    assert (first, second) == (True, False)
    assert (ledger(score_id).state, open_findings()) == (ScoreState.OVERRIDDEN, [])
    assert said("gradebook left as it is") == [(here.accounts["ingrid"], str(score_id))]


def test_whoever_left_the_gradebook_as_it_is_may_still_send_the_score(here: Campus):
    score_id = drifted(here, Finding.OVERRIDDEN)
    service.accept_shown(score_id, here.accounts["ingrid"], now=NOON)

    again = service.resend(score_id, here.accounts["ingrid"], now=LATER, overwrites=True)

    assert again is not None
    assert ledger(score_id).dealt_with_at == NOON


def test_a_difference_can_be_explained(here: Campus):
    score_id = drifted(here, Finding.DIFFERENT, shown="9")

    assert service.note(score_id, here.accounts["ingrid"], "  Late, as agreed.  ", now=LATER)
    assert not service.note(score_id, here.accounts["ingrid"], "Late, as agreed.", now=LATER)
    db.session.commit()

    assert (ledger(score_id).dealt_with_note, open_findings()) == ("Late, as agreed.", [])
    assert said("difference explained") == [(here.accounts["ingrid"], str(score_id))]


def test_an_explanation_says_something(here: Campus):
    score_id = drifted(here, Finding.DIFFERENT)

    with pytest.raises(ReasonMissing):
        service.note(score_id, here.accounts["ingrid"], "  ", now=LATER)


def test_a_score_that_waits_is_not_sent_any_more_if_a_person_says_why(here: Campus):
    score_id = owe(here)

    first = service.abandon(score_id, here.accounts["rita"], "Entered by hand.", now=LATER)
    second = service.abandon(score_id, here.accounts["rita"], "Entered by hand.", now=LATER)
    db.session.commit()
    canvas = FakeGradebook()
    deliver(canvas, LATER)

    assert (first, second, canvas.received) == (True, False, [])
    score = ledger(score_id)
    assert (score.state, score.reason) == (ScoreState.ABANDONED, "Entered by hand.")
    assert said("score abandoned") == [(here.accounts["rita"], str(score_id))]


def test_one_that_needs_attention_can_be_given_up_and_one_that_arrived_cannot(here: Campus):
    refused, arrived = owe(here, who="lena"), owe(here, who="mateo")
    deliver(FakeGradebook(REFUSED))

    assert service.abandon(refused, here.accounts["rita"], "Left the course.", now=LATER)
    assert not service.abandon(arrived, here.accounts["rita"], "Left the course.", now=LATER)


def test_a_newer_score_that_was_given_up_does_not_stand_in_the_way_of_the_older_one(here: Campus):
    older = drifted(here, Finding.MISSING, shown=None)
    newer = owe(here, "8", decision=2, now=NOON + timedelta(minutes=1))
    assert service.abandon(newer, here.accounts["rita"], "The first decision stands.", now=LATER)

    again = service.resend(older, here.accounts["rita"], now=LATER)

    assert again is not None
    assert (again.state, again.points) == (ScoreState.OWED, Decimal(10))


def test_giving_up_asks_for_a_reason(here: Campus):
    score_id = owe(here)

    with pytest.raises(ReasonMissing):
        service.abandon(score_id, here.accounts["rita"], "", now=LATER)
