"""Gradebook columns that the platform leaves to us: noting that it does, looking, making, and once making anew.

The order is: the column that a launch names, else the one we know, else one that we find, else one that we make. It
commits, as the courier does: nothing is held while a platform thinks, and the lease lets one worker ask at a time.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool import audit
from lti_tool.credentials.models import Placement
from lti_tool.credentials.service import current_version
from lti_tool.database import db
from lti_tool.lti import line_items, pace, paging, platforms
from lti_tool.lti.answers import ServiceAnswer
from lti_tool.lti.claims import GradesClaim
from lti_tool.lti.deep_linking import resource_id, short_label
from lti_tool.lti.line_items import Column
from lti_tool.lti.models import Deployment, Platform, Registration
from lti_tool.lti.scopes import LINE_ITEMS
from lti_tool.passback import service
from lti_tool.passback.models import ColumnState, GradebookColumn, Score, ScoreState, ScoreTry
from lti_tool.passback.rules import Heard
from lti_tool.settings import current

log = logging.getLogger(__name__)

RESULT = "result"
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
_MOST_TRIES = 24
_MOST_SCORES = 5000


@dataclass(frozen=True)
class _Taken:
    """A column in this worker's hands until ``lease_until``."""

    column_id: int
    placement_id: int
    registration_id: int
    line_items_url: str
    wanted: Column
    may_create: bool
    tries: int
    lease_until: datetime


def note(placement: Placement, grades: GradesClaim | None, *, product: str, now: datetime) -> bool:
    """Take in what a launch says of the activity's gradebook column. True if one is to be looked for now.

    Nothing is noted where the platform lets us do nothing about columns.
    """
    if grades is None or grades.lineitems is None or LINE_ITEMS not in grades.scopes:
        return False
    row = column_of(placement.id)
    if row is None:
        row = GradebookColumn(
            placement_id=placement.id,
            purpose=RESULT,
            line_items_url=grades.lineitems,
            state=ColumnState.SETTLED,
            may_create=platforms.behaviour(product).columns_unasked,
            due_at=now,
        )
        try:
            with db.session.begin_nested():
                db.session.add(row)
        except IntegrityError:
            # Somebody else opened the activity at the same moment.
            return False
    if row.line_items_url != grades.lineitems:
        row.line_items_url = grades.lineitems
    if grades.lineitem is not None:
        row.state, row.reason = ColumnState.SETTLED, None
    elif placement.line_item_url is None and row.state in (ColumnState.SETTLED, ColumnState.REFUSED):
        row.state, row.tries, row.due_at = ColumnState.WANTED, 0, now
    return row.state is ColumnState.WANTED


def ask_for(placement_id: int, actor: int, *, now: datetime) -> bool:
    """Make a column after all, since faculty say so. False if that is not for them to say now."""
    asked = db.session.scalar(
        update(GradebookColumn)
        .where(
            GradebookColumn.placement_id == placement_id,
            GradebookColumn.state.in_((ColumnState.OFFERED, ColumnState.REFUSED)),
        )
        .values(state=ColumnState.WANTED, may_create=True, tries=0, reason=None, due_at=now)
        .returning(GradebookColumn.id)
        .execution_options(synchronize_session=False)
    )
    if asked is not None:
        audit.record("gradebook column asked for", "placement", placement_id, now=now, actor=actor)
    return asked is not None


def lost(placement_id: int, line_item_url: str, *, now: datetime) -> None:
    """The platform says that the column is gone. It is made again once; after that faculty are asked, since somebody
    seems to delete it on purpose. In the caller's transaction."""
    gone = db.session.scalar(
        update(Placement)
        .where(Placement.id == placement_id, Placement.line_item_url == line_item_url)
        .values(line_item_url=None)
        .returning(Placement.id)
        .execution_options(synchronize_session=False)
    )
    row = column_of(placement_id)
    if gone is None or row is None:
        return
    again = row.may_create and not row.remade
    row.state = ColumnState.WANTED if again else ColumnState.OFFERED
    row.remade, row.tries, row.due_at = True, 0, now


def moved(placement_id: int, line_item_url: str) -> bool:
    """Whether the activity has another column by now."""
    known = db.session.scalar(select(Placement.line_item_url).where(Placement.id == placement_id))
    return known is not None and known != line_item_url


def column_of(placement_id: int) -> GradebookColumn | None:
    """What is known of an activity's column; None where the platform leaves nothing to us."""
    return db.session.scalar(select(GradebookColumn).filter_by(placement_id=placement_id, purpose=RESULT))


def due(now: datetime) -> set[int]:
    """The registrations with columns that are wanted, but for those whose platforms are to be left in peace."""
    waiting = _due(now)
    found = db.session.scalars(
        select(Deployment.registration_id)
        .join(Placement, Placement.deployment_pk == Deployment.id)
        .join(GradebookColumn, GradebookColumn.placement_id == Placement.id)
        .where(*waiting)
        .distinct()
    )
    return set(found) - pace.resting(now).keys()


def settle_due(
    registration_id: int,
    *,
    now_fn: Callable[[], datetime],
    wait: Callable[[float], object],
    stopping: Callable[[], bool] = lambda: False,
    limit: int = 20,
) -> int:
    """Look for the columns that are wanted on that platform, and make those that are missing. Returns how many were
    tried. Commits."""
    tried = 0
    while tried < limit and not stopping() and (taken := _take(registration_id, now_fn())) is not None:
        _settle(taken, now_fn, wait)
        tried += 1
    return tried


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    free = or_(GradebookColumn.lease_until.is_(None), GradebookColumn.lease_until <= now)
    return (GradebookColumn.state == ColumnState.WANTED, GradebookColumn.due_at <= now, free)


def _take(registration_id: int, now: datetime) -> _Taken | None:
    """The column that has waited longest. The lease is committed first: one of which nothing can be read holds up none
    of the others."""
    waiting = _due(now)
    until = now + timedelta(seconds=current().lease_seconds)
    try:
        if registration_id in pace.resting(now):
            return None
        oldest = (
            select(GradebookColumn.id)
            .join(Placement, Placement.id == GradebookColumn.placement_id)
            .join(Deployment, Deployment.id == Placement.deployment_pk)
            .where(Deployment.registration_id == registration_id, *waiting)
            .order_by(GradebookColumn.due_at, GradebookColumn.id)
            .limit(1)
        )
        column_id = db.session.scalar(
            update(GradebookColumn)
            .where(GradebookColumn.id == oldest.scalar_subquery(), *waiting)
            .values(lease_until=until, tries=GradebookColumn.tries + 1)
            .returning(GradebookColumn.id)
            .execution_options(synchronize_session=False)
        )
        db.session.commit()
        if column_id is None:
            return None
        row = db.session.get_one(GradebookColumn, column_id)
        placement = db.session.get_one(Placement, row.placement_id)
        return _Taken(
            column_id=row.id,
            placement_id=placement.id,
            registration_id=registration_id,
            line_items_url=row.line_items_url,
            wanted=_wanted(placement),
            may_create=row.may_create,
            tries=row.tries,
            lease_until=until,
        )
    finally:
        db.session.remove()


def _wanted(placement: Placement) -> Column:
    keys = [choice.credential.key for choice in placement.choices]
    version = current_version(placement.choices[0].credential_id)
    return Column(
        resource_link_id=placement.resource_link_id,
        resource_id=resource_id(keys, None if placement.stack is None else placement.stack.key),
        tag=f"tessera-activity-{placement.id}",
        label=short_label(version.label if len(placement.choices) == 1 else placement.title),
        maximum=placement.points_for(version),
    )


def _settle(taken: _Taken, now_fn: Callable[[], datetime], wait: Callable[[float], object]) -> None:
    """Ask the platform, then write down what came of it."""
    timeout = current().platform_timeout
    manner = paging.Manner(clock=now_fn, timeout=timeout, wait=wait)
    answer, url, unread = None, None, None
    try:
        url = line_items.find(taken.registration_id, taken.line_items_url, taken.wanted, manner)
        if url is None and taken.may_create:
            answer, url = line_items.create(
                taken.registration_id, taken.line_items_url, taken.wanted, now=now_fn(), timeout=timeout
            )
    except paging.NotRead as problem:
        db.session.rollback()
        answer, unread = problem.answer, problem.reason
    try:
        now = now_fn()
        if url is not None:
            _found(taken, url, now)
        elif answer is not None:
            _refused(taken, answer, now)
        elif unread is not None:
            _close(taken, ColumnState.REFUSED, unread, now)
        else:
            _close(taken, ColumnState.OFFERED, None, now)
        db.session.commit()
    finally:
        db.session.remove()


def _found(taken: _Taken, url: str, now: datetime) -> None:
    """The column is there: what had nowhere to go, or went where nothing is any more, sets out anew."""
    if not _close(taken, ColumnState.SETTLED, None, now):
        return
    db.session.execute(
        update(Placement)
        .where(Placement.id == taken.placement_id, Placement.line_item_url.is_(None))
        .values(line_item_url=url)
        .execution_options(synchronize_session=False)
    )
    audit.record("gradebook column settled", "placement", taken.placement_id, now=now)
    went_nowhere = exists().where(ScoreTry.score_id == Score.id, ScoreTry.heard == Heard.GONE)
    stranded = select(Score.id).where(
        Score.placement_id == taken.placement_id,
        Score.state == ScoreState.PARKED,
        or_(Score.reason == service.NO_COLUMN, went_nowhere),
    )
    for score_id in db.session.scalars(stranded.order_by(Score.id).limit(_MOST_SCORES)).all():
        service.go_on(score_id, now=now)


def _refused(taken: _Taken, answer: ServiceAnswer, now: datetime) -> None:
    product = db.session.scalar(
        select(Platform.product)
        .join(Registration, Registration.platform_id == Platform.id)
        .where(Registration.id == taken.registration_id)
    )
    behaviour = platforms.behaviour(product or "")
    verdict = behaviour.classify(answer.status, answer.body, answer.timed_out, at_token=answer.at_token)
    lms = behaviour.product_name[0].upper() + behaviour.product_name[1:]
    if verdict.next in (platforms.Next.RETRY, platforms.Next.NEW_TOKEN) and taken.tries < _MOST_TRIES:
        wait = min(_FIRST_WAIT * (1 << min(taken.tries - 1, 10)), _LONGEST_WAIT)
        _close(taken, ColumnState.WANTED, None, now, due_at=now + wait)
    elif verdict.next is platforms.Next.RETRY:
        _close(taken, ColumnState.REFUSED, f"{lms} did not answer in most of a day.", now)
    else:
        status = "" if answer.status is None else f" (status {answer.status})"
        _close(taken, ColumnState.REFUSED, f"{lms} did not let Tessera make one{status}.", now)


def _close(
    taken: _Taken, state: ColumnState, reason: str | None, now: datetime, *, due_at: datetime | None = None
) -> bool:
    """Let go of the lease. False if another worker has taken over, or a launch has named the column meanwhile."""
    held = db.session.scalar(
        update(GradebookColumn)
        .where(
            GradebookColumn.id == taken.column_id,
            GradebookColumn.state == ColumnState.WANTED,
            GradebookColumn.lease_until == taken.lease_until,
        )
        .values(state=state, reason=reason, due_at=due_at or now, lease_until=None)
        .returning(GradebookColumn.id)
        .execution_options(synchronize_session=False)
    )
    log.info(
        "gradebook column", extra={"column": taken.column_id, "state": state.value, "held": held is not None}
    )
    return held is not None
