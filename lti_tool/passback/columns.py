"""Gradebook columns that the platform leaves to us: noting that it does, looking, making, and once making anew.

The order is: the column that a launch names, else the one we know, else one that we find, else one that we make. It
commits, as the courier does: nothing is held while a platform thinks, and the lease lets one worker ask at a time.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool import audit
from lti_tool.credentials.models import Placement
from lti_tool.credentials.service import current_version
from lti_tool.database import db
from lti_tool.lti import line_items, pace, paging, platforms
from lti_tool.lti.addresses import LAUNCH_PATH
from lti_tool.lti.answers import ServiceAnswer
from lti_tool.lti.claims import GradesClaim
from lti_tool.lti.deep_linking import resource_id, short_label
from lti_tool.lti.line_items import Column, Standing
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
_RACES = 5


@dataclass(frozen=True)
class _Taken:
    """A column in this worker's hands until ``lease_until``."""

    column_id: int
    placement_id: int
    registration_id: int
    line_items_url: str
    wanted: Column
    may_create: bool
    anew: bool
    """In place of one that was deleted."""
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
    row.state = ColumnState.OFFERED if row.remade else ColumnState.WANTED
    row.remade, row.tries, row.due_at = True, 0, now


def moved(placement_id: int, line_item_url: str) -> bool:
    """Whether the activity has another column by now. Waits for whoever is just giving it one."""
    known = db.session.scalar(
        select(Placement.line_item_url).where(Placement.id == placement_id).with_for_update(read=True)
    )
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
            # What faculty asked for stands beside a link that is still there.
            wanted=_wanted(placement, with_link=row.remade and not row.may_create),
            may_create=row.may_create or row.remade,
            anew=row.remade,
            tries=row.tries,
            lease_until=until,
        )
    finally:
        db.session.remove()


def _wanted(placement: Placement, *, with_link: bool) -> Column:
    keys = [choice.credential.key for choice in placement.choices]
    version = current_version(placement.choices[0].credential_id)
    return Column(
        resource_link_id=placement.resource_link_id,
        resource_id=resource_id(keys, None if placement.stack is None else placement.stack.key),
        tag=f"tessera-activity-{placement.id}",
        label=short_label(version.label if len(placement.choices) == 1 else placement.title),
        maximum=placement.points_for(version),
        launch_url=_launch_url(placement.made_for) if with_link else None,
    )


def _launch_url(made_for: str) -> str:
    """As the picker writes it."""
    kind, _, named = made_for.partition("=")
    return f"{current().public_url}{LAUNCH_PATH}?{urlencode({kind: named})}"


def _settle(taken: _Taken, now_fn: Callable[[], datetime], wait: Callable[[float], object]) -> None:
    """Ask the platform, then write down what came of it."""
    timeout = current().platform_timeout
    manner = paging.Manner(clock=now_fn, timeout=timeout, wait=wait)
    answer, column, unread = None, None, None
    try:
        column = line_items.find(taken.registration_id, taken.line_items_url, taken.wanted, manner)
        if column is None and taken.may_create:
            answer, column = line_items.create(
                taken.registration_id, taken.line_items_url, taken.wanted, now=now_fn(), timeout=timeout
            )
    except paging.NotRead as problem:
        db.session.rollback()
        answer, unread = problem.answer, problem.reason
    try:
        now = now_fn()
        if column is not None:
            _found(taken, column, now)
        elif answer is not None:
            _refused(taken, answer, now)
        elif unread is not None:
            _close(taken, ColumnState.REFUSED, unread, now)
        else:
            _close(taken, ColumnState.OFFERED, None, now)
        db.session.commit()
    finally:
        db.session.remove()


def _found(taken: _Taken, column: Standing, now: datetime) -> None:
    """The column is there: what had nowhere to go, or went where nothing is any more, sets out anew."""
    stranded = _stranded(taken.placement_id)
    if not _close(taken, ColumnState.SETTLED, None, now):
        return
    db.session.execute(
        update(Placement)
        .where(Placement.id == taken.placement_id, Placement.line_item_url.is_(None))
        .values(line_item_url=column.url)
        .execution_options(synchronize_session=False)
    )
    more = {"anew": True} if taken.anew else {}
    audit.record("gradebook column settled", "placement", taken.placement_id, now=now, **more)
    if taken.wanted.launch_url is not None and column.resource_link_id is not None:
        _follow_link(taken, column.resource_link_id)
    for score_id in stranded:
        service.go_on(score_id, now=now)


def _stranded(placement_id: int) -> list[int]:
    """The scores that have nowhere to go, once nobody can change that: their people are locked, and then the activity.
    Who finds meanwhile that a score went nowhere either is seen here, or waits and sees the new column."""
    went_nowhere = exists().where(ScoreTry.score_id == Score.id, ScoreTry.heard == Heard.GONE)
    parked = (
        select(Score.id, Score.account_id)
        .where(
            Score.placement_id == placement_id,
            Score.state == ScoreState.PARKED,
            or_(Score.reason == service.NO_COLUMN, went_nowhere),
        )
        .order_by(Score.id)
        .limit(_MOST_SCORES)
    )
    for race in range(_RACES):
        people = {row.account_id for row in db.session.execute(parked)}
        service.one_at_a_time(*people)
        db.session.execute(
            select(Placement.id).where(Placement.id == placement_id).with_for_update(key_share=True)
        )
        rows = db.session.execute(parked).all()
        if race == _RACES - 1 or {row.account_id for row in rows} <= people:
            break
        db.session.rollback()
    return [row.id for row in rows if row.account_id in people]


def _follow_link(taken: _Taken, resource_link_id: str) -> None:
    """The activity opens from the link of its new column, since its own was deleted with the old one."""
    try:
        with db.session.begin_nested():
            db.session.execute(
                update(Placement)
                .where(
                    Placement.id == taken.placement_id,
                    Placement.resource_link_id == taken.wanted.resource_link_id,
                )
                .values(resource_link_id=resource_link_id)
                .execution_options(synchronize_session=False)
            )
    except IntegrityError:
        # Somebody has opened the new link already, which is an activity of its own since then.
        log.warning("link of a new column is taken", extra={"placement": taken.placement_id})


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
