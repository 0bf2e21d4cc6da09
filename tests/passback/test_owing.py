from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from lti_tool.audit import AuditEvent
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.passback import service
from lti_tool.passback.models import Score, ScoreState
from tests.passback.gradebooks import REFUSED, FakeGradebook, deliver, ledger, owe
from tests.support.apps import NOON
from tests.support.cast import Campus

SECOND = timedelta(seconds=1)


def test_an_owed_score_waits_to_be_sent(here: Campus):
    score = ledger(owe(here))

    assert (score.state, score.due_at, score.reason) == (ScoreState.OWED, NOON, None)


def test_a_newer_score_takes_the_place_of_one_that_still_waits(here: Campus):
    older = owe(here, "4", decision=1)
    newer = owe(here, "10", decision=2)

    assert ledger(older).state is ScoreState.SUPERSEDED
    assert ledger(newer).state is ScoreState.OWED


def test_a_decision_owes_a_cell_once_however_often_it_is_asked_to(here: Campus):
    first = owe(here, "10", decision=1)
    corrected = owe(here, "4", decision=2)
    again = [owe(here, "10", decision=1), owe(here, "4", decision=2)]

    assert again == [first, corrected]
    assert (ledger(first).state, ledger(corrected).state) == (ScoreState.SUPERSEDED, ScoreState.OWED)
    assert len(db.session.scalars(select(AuditEvent).filter_by(action="score owed")).all()) == 2


def test_every_row_of_a_cell_says_by_what_it_is_owed(here: Campus):
    first = owe(here, column=None, decision=7)
    again = service.resend(first, None, now=NOON)
    assert again is not None
    again.state = ScoreState.PARKED
    db.session.commit()
    once_more = service.resend(again.id, here.accounts["rita"], now=NOON)
    assert once_more is not None

    cell = f"cell:{here.placement}.{here.accounts['lena']}"
    keys = [ledger(one).idempotency_key for one in (first, again.id, once_more.id)]
    assert keys == [f"decision:7/{cell}", f"again:{first}/{cell}", f"again:{again.id}/{cell}"]


def test_the_database_refuses_two_rows_for_the_same_reason(here: Campus):
    first = ledger(owe(here))
    first.state = ScoreState.ACCEPTED
    db.session.commit()

    with pytest.raises(IntegrityError, match="idempotency_key"):
        _copy_into_ledger(first, ScoreState.OWED, idempotency_key=first.idempotency_key)


@pytest.mark.parametrize(
    ("column", "value"),
    [("points", 9), ("comment", "Better."), ("grading_progress", "Pending"), ("idempotency_key", "another")],
)
def test_what_a_score_says_cannot_be_changed(here: Campus, column: str, value: object):
    score_id = owe(here)

    with pytest.raises(DBAPIError, match="What a score says never changes"):
        db.session.execute(update(Score).values({column: value}))
    db.session.rollback()

    assert getattr(ledger(score_id), column) != value


def test_scores_of_other_people_are_left_alone(here: Campus):
    lenas = owe(here, who="lena")
    owe(here, who="mateo")

    assert ledger(lenas).state is ScoreState.OWED


def test_timestamps_of_a_cell_are_whole_seconds_and_strictly_newer(here: Campus):
    instant = NOON + timedelta(milliseconds=700)

    times = [ledger(owe(here, decision=n, now=instant)).scored_at for n in range(3)]

    assert times == [NOON, NOON + SECOND, NOON + 2 * SECOND]


def test_a_clock_that_was_set_back_does_not_make_a_score_older(here: Campus):
    owe(here, decision=1, now=NOON)
    score = ledger(owe(here, decision=2, now=NOON - timedelta(hours=1)))

    assert score.scored_at == NOON + SECOND


def test_the_database_refuses_two_waiting_scores_of_one_cell(here: Campus):
    first = ledger(owe(here))

    with pytest.raises(IntegrityError):
        _copy_into_ledger(first, ScoreState.OWED)


def test_the_database_refuses_two_scores_of_one_cell_on_their_way(here: Campus):
    first = ledger(owe(here))
    first.state = ScoreState.SENDING
    db.session.commit()

    with pytest.raises(IntegrityError):
        _copy_into_ledger(first, ScoreState.SENDING)


def test_without_a_gradebook_column_somebody_is_told_what_to_do(here: Campus):
    score = ledger(owe(here, column=None))

    assert score.state is ScoreState.PARKED
    assert score.reason is not None
    assert "no gradebook column" in score.reason
    assert "Send again" in score.reason


def test_nothing_is_sent_without_a_gradebook_column(here: Campus):
    owe(here, column=None)
    canvas = FakeGradebook()

    deliver(canvas)

    assert canvas.received == []


def test_a_parked_score_is_sent_again_with_the_column_of_today(here: Campus):
    parked = owe(here, column=None)
    db.session.get_one(Placement, here.placement).line_item_url = "https://lms.example.edu/line_items/new"

    again = service.resend(parked, here.accounts["rita"], now=NOON + timedelta(days=1))
    db.session.commit()

    assert again is not None
    canvas = FakeGradebook()
    deliver(canvas, NOON + timedelta(days=1))
    assert [score.line_item_url for score in canvas.received] == ["https://lms.example.edu/line_items/new"]
    assert ledger(parked).state is ScoreState.SUPERSEDED


def test_sending_again_keeps_what_the_old_row_says(here: Campus):
    parked = owe(here, "0")
    deliver(FakeGradebook(REFUSED))
    before = ledger(parked).scored_at

    again = service.resend(parked, here.accounts["rita"], now=NOON + timedelta(days=1))

    assert again is not None
    old = ledger(parked)
    assert (old.points, old.scored_at, [one.status for one in old.history]) == (Decimal(0), before, [422])
    assert (again.points, again.state) == (Decimal(0), ScoreState.OWED)
    assert again.scored_at > before


def test_pressing_send_again_twice_sends_once(here: Campus):
    parked = owe(here, column=None)

    first = service.resend(parked, None, now=NOON)
    second = service.resend(parked, None, now=NOON)

    assert first is not None
    assert second is None


def test_who_sent_a_score_again_is_on_record(here: Campus):
    parked = owe(here, column=None)

    service.resend(parked, here.accounts["rita"], now=NOON)
    db.session.commit()

    event = db.session.scalars(select(AuditEvent).filter_by(action="score sent again")).one()
    assert (event.actor_account_id, event.subject_id) == (here.accounts["rita"], str(parked))


def test_what_was_not_committed_is_not_owed(here: Campus):
    service.owe(
        placement=service.PlacementCell(
            here.placement, here.deployment, here.registration, "https://x.example"
        ),
        account_id=here.accounts["lena"],
        subject="lena",
        decision_id=1,
        points=Decimal(1),
        points_possible=Decimal(1),
        comment="",
        submitted_at=NOON,
        now=NOON,
    )
    db.session.rollback()

    assert db.session.scalars(select(Score)).all() == []


def _copy_into_ledger(score: Score, state: ScoreState, *, idempotency_key: str = "another reason") -> None:
    values = {column.key: getattr(score, column.key) for column in Score.__table__.columns}
    values |= {"id": None, "state": state, "scored_at": score.scored_at + SECOND}
    values["idempotency_key"] = idempotency_key
    db.session.add(Score(**values))
    db.session.flush()
