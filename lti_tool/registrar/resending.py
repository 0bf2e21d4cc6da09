"""Sending many scores again: which of them, what stays out and why, and whether that is still so when it is confirmed.

A preview and its confirmation are two visits, and between them workers deliver and colleagues press buttons. So the
preview says by a digest what it has shown, and nothing is sent if that has changed.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select

from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.passback import service
from lti_tool.passback.models import Finding, Score, ScoreState
from lti_tool.passback.rules import Cause
from lti_tool.people.models import Account
from lti_tool.registrar.queries import Filter, LedgerRow, Shown, chosen, rows_of

STEP = 500
"""Most that one press of the button sends, so that no request takes minutes."""
PAGE_SIZE = 50
ONE_BY_ONE = 50
"""Most that are offered to be ticked; whoever wants more narrows the filter."""
_BATCH = 50


@dataclass(frozen=True)
class Plan:
    """What a press of the button would do. ``ids`` go without more ado, the oldest first, at most a step of them."""

    total: int
    ids: tuple[int, ...]
    one_by_one: tuple[LedgerRow, ...]
    """Go only if somebody ticks them: they would take a person's place in the LMS, or wait for somebody's agreement."""
    more_one_by_one: int
    without_column: int
    """Cannot go anywhere: their activity has no gradebook column."""

    @property
    def digest(self) -> str:
        """The same for as long as the same is shown."""
        shown = [self.total, *self.ids, "|", *map(_seen, self.one_by_one)]
        return hashlib.sha256(repr(shown).encode()).hexdigest()

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.ids) // PAGE_SIZE))

    def page(self, number: int) -> tuple[LedgerRow, ...]:
        """Some of what goes, in the words of the desk."""
        first = (min(max(number, 1), self.pages) - 1) * PAGE_SIZE
        return rows_of(self.ids[first : first + PAGE_SIZE])


def _seen(row: LedgerRow) -> tuple[object, ...]:
    """What whoever ticks a row has seen of it: another grade in the gradebook is another question."""
    return row.id, str(row.state), row.seen


def overwrites(row: LedgerRow) -> bool:
    """Whether sending it takes the place of what the LMS shows, or may do so where nobody could look."""
    if row.shown is Shown.ATTENTION:
        return row.cause is Cause.UNSEEN
    return row.shown in (Shown.DIFFERS, Shown.SETTLED) and row.finding is not Finding.MISSING


def plan(deployment_pk: int, wanted: Filter, *, besides: int | None = None) -> Plan:
    """What can be sent again of what a filter asks for. Only what needs attention or differs can be meant.

    :param besides: the person who presses the button, whose own scores are for others.
    """
    among = chosen(deployment_pk, replace(wanted, shown=Shown.ALL)).where(_meant(wanted.shown))
    if besides is not None:
        among = among.where(Score.account_id.not_in(select(Account.id).where(Account.person_id == besides)))
    goes = among.where(_goes())
    asks = among.where(_asks())
    waits = list(db.session.scalars(asks.order_by(Score.id).limit(ONE_BY_ONE)))
    counted = [
        db.session.scalar(select(func.count()).select_from(each.subquery())) or 0
        for each in (goes, asks, among.where(_nowhere()))
    ]
    return Plan(
        total=counted[0],
        ids=tuple(db.session.scalars(goes.order_by(Score.id).limit(STEP))),
        one_by_one=rows_of(waits),
        more_one_by_one=counted[1] - len(waits),
        without_column=counted[2],
    )


def send(
    plan: Plan, ticked: Sequence[int], actor: int, *, now: datetime, commit_each: int = _BATCH
) -> Iterator[int]:
    """Send what the plan says and what was ticked of the rest. Yields after every batch how many have gone since the
    last; whoever asks commits then, so that no transaction is large."""
    also = {row.id: overwrites(row) for row in plan.one_by_one if row.id in ticked}
    everything = dict.fromkeys(plan.ids, False) | also
    score_ids = list(everything)
    for at in range(0, len(score_ids), commit_each):
        batch = score_ids[at : at + commit_each]
        service.one_at_a_time_for(batch)
        yield sum(
            service.resend(score_id, actor, now=now, overwrites=everything[score_id]) is not None
            for score_id in batch
        )


def _meant(shown: Shown) -> ColumnElement[bool]:
    parked = Score.state == ScoreState.PARKED
    match shown:
        case Shown.ATTENTION:
            return parked
        case Shown.DIFFERS:
            return service.open_finding()
    return or_(parked, service.open_finding())


def _goes() -> ColumnElement[bool]:
    return or_(
        and_(Score.state == ScoreState.PARKED, ~_held(), ~_nowhere()),
        and_(Score.state != ScoreState.PARKED, Score.finding == Finding.MISSING),
    )


def _asks() -> ColumnElement[bool]:
    taken = and_(Score.state != ScoreState.PARKED, Score.finding != Finding.MISSING)
    return or_(taken, and_(Score.state == ScoreState.PARKED, _held()))


def _held() -> ColumnElement[bool]:
    """Parked from the start although there is a column, or because nobody could look what the gradebook shows, or
    because the course has ended: somebody has to agree before it goes."""
    from_the_start = and_(Score.tries == 0, Score.line_item_url != "")
    somebody_s = (Score.cause.is_not_distinct_from(cause) for cause in (Cause.UNSEEN, Cause.ENDED))
    return or_(from_the_start, *somebody_s)


def _nowhere() -> ColumnElement[bool]:
    without = select(Placement.id).where(Placement.line_item_url.is_(None))
    return and_(Score.state == ScoreState.PARKED, Score.line_item_url == "", Score.placement_id.in_(without))
