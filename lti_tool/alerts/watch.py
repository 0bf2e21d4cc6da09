"""Looking at what needs a person, and noting whom to tell. Workers do it, a minute apart; pages read the result."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import case, func, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool.alerts import rules
from lti_tool.alerts.models import EVERYWHERE, Alert, AlertKind, AlertNotice
from lti_tool.badges.models import Badge
from lti_tool.database import db
from lti_tool.passback.models import DRIFT, Score, ScoreState, ScoreTry
from lti_tool.passback.rules import Heard

Found = dict[tuple[AlertKind, int], int]
"""How many, by kind and deployment."""
_SILENCE = (Heard.FAILING, Heard.UNKNOWN)
_MOST = 1000


def look(channels: Sequence[str], *, now: datetime) -> int:
    """Compare what is wrong with what was known, and note what is to be told. Commits. Returns how many alerts began
    or ended or are to be told."""
    found = _found(now)
    known = {(row.kind, row.deployment_pk): row for row in db.session.scalars(select(Alert).limit(_MOST))}
    changed = 0
    for kind, deployment_pk in sorted(found.keys() | known.keys()):
        try:
            row, count = known.get((kind, deployment_pk)), found.get((kind, deployment_pk), 0)
            changed += _note(row, kind, deployment_pk, count=count, channels=channels, now=now)
            db.session.commit()
        except IntegrityError:
            # Another worker noted the same for the first time at the same moment.
            db.session.rollback()
    return changed


def standing(deployment_pk: int) -> Sequence[Alert]:
    """What is wrong now in this deployment and in the whole installation, for the desk."""
    return db.session.scalars(
        select(Alert)
        .where(Alert.deployment_pk.in_((deployment_pk, EVERYWHERE)), Alert.raised_at.is_not(None))
        .order_by(Alert.raised_at, Alert.id)
    ).all()


def _note(
    row: Alert | None,
    kind: AlertKind,
    deployment_pk: int,
    *,
    count: int,
    channels: Iterable[str],
    now: datetime,
) -> int:
    before = rules.Standing()
    if row is not None:
        before = rules.Standing(row.count, row.raised_at, row.told_at, row.told_count)
    step = rules.look(before, count, now)
    if step.standing == before:
        return 0
    after = step.standing
    values = {
        "count": after.count,
        "raised_at": after.raised_at,
        "told_at": after.told_at,
        "told_count": after.told_count,
    }
    if row is None:
        new = Alert(kind=kind, deployment_pk=deployment_pk, looks=1, **values)
        db.session.add(new)
        db.session.flush()
        alert_id = new.id
    else:
        alert_id = row.id
        ours = db.session.scalar(
            update(Alert)
            .where(Alert.id == alert_id, Alert.looks == row.looks)
            .values(looks=row.looks + 1, **values)
            .returning(Alert.id)
            .execution_options(synchronize_session=False)
        )
        if ours is None:
            return 0
    if step.tell:
        db.session.add_all(
            AlertNotice(alert_id=alert_id, channel=channel, count=count, asked_at=now, due_at=now, tries=0)
            for channel in channels
        )
    return int(step.tell or (before.raised_at is None) != (after.raised_at is None))


def _found(now: datetime) -> Found:
    return _scores() | _silent() | _unsigned(now)


def _scores() -> Found:
    parked = Score.state == ScoreState.PARKED
    differs = Score.finding.in_(DRIFT) & Score.dealt_with_at.is_(None)
    rows = db.session.execute(
        select(
            Score.deployment_pk, func.sum(case((parked, 1), else_=0)), func.sum(case((parked, 0), else_=1))
        )
        .where(parked | differs)
        .group_by(Score.deployment_pk)
        .limit(_MOST)
    )
    found: Found = {}
    for deployment_pk, parked_count, differing in rows:
        found[AlertKind.PARKED, deployment_pk] = int(parked_count)
        found[AlertKind.DIFFERS, deployment_pk] = int(differing)
    return {key: count for key, count in found.items() if count}


def _silent() -> Found:
    """Deployments of platforms that left many tries in a row unanswered: those of scores that still wait, since
    the platform last answered anything."""
    waiting = Score.state.in_((ScoreState.OWED, ScoreState.SENDING))
    suspects = set(
        db.session.scalars(
            select(Score.registration_id)
            .join(ScoreTry, ScoreTry.score_id == Score.id)
            .where(waiting, ScoreTry.heard.in_(_SILENCE))
            .group_by(Score.registration_id)
            .having(func.count() >= rules.FAILURES_IN_A_ROW)
        )
    )
    if not suspects:
        return {}
    answered = (
        select(Score.registration_id, func.max(ScoreTry.id).label("last"))
        .join(ScoreTry, ScoreTry.score_id == Score.id)
        .where(Score.registration_id.in_(suspects), ScoreTry.heard.not_in(_SILENCE))
        .group_by(Score.registration_id)
        .subquery()
    )
    rows = db.session.execute(
        select(Score.registration_id, Score.deployment_pk, func.count())
        .join(ScoreTry, ScoreTry.score_id == Score.id)
        .outerjoin(answered, answered.c.registration_id == Score.registration_id)
        .where(
            waiting,
            Score.registration_id.in_(suspects),
            ScoreTry.heard.in_(_SILENCE),
            ScoreTry.id > func.coalesce(answered.c.last, 0),
        )
        .group_by(Score.registration_id, Score.deployment_pk)
        .limit(_MOST)
    ).all()
    in_a_row: dict[int, int] = {}
    for registration_id, _, count in rows:
        in_a_row[registration_id] = in_a_row.get(registration_id, 0) + count
    return {
        (AlertKind.DOWN, deployment_pk): in_a_row[registration_id]
        for registration_id, deployment_pk, _ in rows
        if in_a_row[registration_id] >= rules.FAILURES_IN_A_ROW
    }


def _unsigned(now: datetime) -> Found:
    count = db.session.scalar(
        select(func.count())
        .select_from(Badge)
        .where(Badge.to_sign_since < now - rules.UNSIGNED_FOR, Badge.revoked_at.is_(None))
    )
    return {(AlertKind.UNSIGNED, EVERYWHERE): count} if count else {}
