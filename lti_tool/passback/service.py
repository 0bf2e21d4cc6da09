"""Owing the gradebook a score. Nothing is sent here: what these verbs leave behind is the courier's queue."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool import audit
from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Deployment
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Account

NO_COLUMN = (
    "This activity has no gradebook column, so there is nowhere to send the score. Ask the instructor to add"
    " the activity again with points, open it once, and then press “Send again”."
)
_WAITING = (ScoreState.OWED, ScoreState.PARKED)
_RACES = 5


@dataclass(frozen=True)
class PlacementCell:
    """The gradebook column of an activity, as it is known at the decision."""

    placement_id: int
    deployment_pk: int
    registration_id: int
    line_item_url: str | None


def owe(
    *,
    placement: PlacementCell,
    account_id: int,
    subject: str,
    decision_id: int,
    points: Decimal,
    points_possible: Decimal,
    comment: str,
    submitted_at: datetime,
    hold: str | None = None,
    now: datetime,
) -> Score:
    """Owe one gradebook cell a score, in the caller's transaction. 0 points is a score like any other.

    A score of the same cell that still waits gives way at once; one that is being sent right now goes first,
    and this one follows it. Without a gradebook column the row is parked from the start, so that somebody
    sees it.

    :param subject: ``sub`` under which the platform knows the earner.
    :param submitted_at: when the work was handed in; sent as ``submission.submittedAt``.
    :param hold: why a person has to agree before it is sent, in words for that person; None sends it.
    """
    _one_at_a_time(account_id)
    return _insert(
        Score(
            reason=hold,
            deployment_pk=placement.deployment_pk,
            registration_id=placement.registration_id,
            placement_id=placement.placement_id,
            account_id=account_id,
            line_item_url=placement.line_item_url or "",
            subject=subject,
            decision_id=decision_id,
            points=points,
            points_possible=points_possible,
            comment=comment,
            submitted_at=submitted_at,
        ),
        now=now,
    )


def resend(score_id: int, actor: int | None, *, now: datetime) -> Score | None:
    """Send a score that needs attention once more, as a row of its own with the column as it is known today.

    What the old row says and what became of it stays as it was. None if it no longer needs attention, for
    example because somebody else has just pressed the same button.
    """
    account_id = db.session.scalar(select(Score.account_id).where(Score.id == score_id))
    if account_id is None:
        return None
    _one_at_a_time(account_id)
    parked = db.session.scalar(
        update(Score)
        .where(Score.id == score_id, Score.state == ScoreState.PARKED)
        .values(state=ScoreState.SUPERSEDED, settled_at=now)
        .returning(Score)
    )
    if parked is None:
        return None
    column, deployment_pk, registration_id = db.session.execute(
        select(Placement.line_item_url, Deployment.id, Deployment.registration_id)
        .join(Deployment, Deployment.id == Placement.deployment_pk)
        .where(Placement.id == parked.placement_id)
    ).one()
    score = _insert(
        Score(
            deployment_pk=deployment_pk,
            registration_id=registration_id,
            placement_id=parked.placement_id,
            account_id=parked.account_id,
            line_item_url=column or parked.line_item_url,
            subject=parked.subject,
            decision_id=parked.decision_id,
            points=parked.points,
            points_possible=parked.points_possible,
            comment=parked.comment,
            submitted_at=parked.submitted_at,
        ),
        now=now,
    )
    audit.record("score sent again", "score", parked.id, now=now, actor=actor, replaced_by=score.id)
    return score


def was_owed(placement_id: int, account_id: int) -> bool:
    """Whether this gradebook cell was ever owed a score."""
    cell = select(Score.id).where(Score.placement_id == placement_id, Score.account_id == account_id)
    return db.session.scalar(cell.limit(1)) is not None


def _one_at_a_time(account_id: int) -> None:
    """Those who owe the same person wait here for each other; in the unique indexes they would deadlock on
    PostgreSQL. SQLite lets one write at a time anyway."""
    db.session.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))


def _insert(score: Score, *, now: datetime) -> Score:
    """Give the row its time and its place in the cell. A score that a worker puts back at the same moment makes
    the insert fail; then look again."""
    if not score.line_item_url:
        score.reason = NO_COLUMN
    goes = score.reason is None
    score.state = ScoreState.OWED if goes else ScoreState.PARKED
    score.settled_at = None if goes else now
    score.due_at = score.created_at = now
    cell = (Score.placement_id == score.placement_id, Score.account_id == score.account_id)
    with db.session.no_autoflush:
        for race in range(_RACES):
            replaced = db.session.scalars(
                update(Score)
                .where(*cell, Score.state.in_(_WAITING))
                .values(state=ScoreState.SUPERSEDED, settled_at=now)
                .returning(Score.id)
            ).all()
            newest = db.session.scalar(select(func.max(Score.scored_at)).where(*cell))
            score.scored_at = _strictly_after(newest, now)
            try:
                with db.session.begin_nested():
                    db.session.add(score)
            except IntegrityError:
                if race == _RACES - 1:
                    raise
            else:
                break
    audit.record(
        "score owed",
        "score",
        score.id,
        now=now,
        decision=score.decision_id,
        state=score.state,
        replaces=list(replaced),
    )
    return score


def _strictly_after(newest: datetime | None, now: datetime) -> datetime:
    """Whole seconds, because Moodle compares whole seconds and refuses an equal one."""
    second = now.replace(microsecond=0)
    return second if newest is None else max(second, newest + timedelta(seconds=1))
