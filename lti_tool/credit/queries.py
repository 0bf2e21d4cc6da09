"""What an earner has by credit rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, select
from sqlalchemy.orm import joinedload

from lti_tool.credentials.models import Credential, Version
from lti_tool.credit.models import CreditEntry, CreditRule
from lti_tool.database import db, plain_rows

_MOST_TOTALS = 200
_MOST_RULES = 1000
_SAID = (
    select(
        CreditRule.authority,
        CreditRule.value,
        CreditRule.unit,
        CreditRule.approval_number,
        CreditRule.audience,
        CreditRule.note,
        CreditRule.active,
    )
    .where(CreditRule.version_id == bindparam("version_id"))
    .order_by(CreditRule.id)
)


@dataclass(frozen=True)
class CreditRow:
    """One entry, with what it was given for."""

    entry: CreditEntry
    title: str


@dataclass(frozen=True)
class CreditTotal:
    """What counts in one cycle of an authority; without a cycle, in all."""

    authority: str
    unit: str
    first: date | None
    last: date | None
    counted: Decimal


@dataclass(frozen=True)
class ListedRule:
    """A rule, and the version of a micro-credential that it is about."""

    rule: CreditRule
    key: str
    number: int


def said_of(version_id: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """What authorities say about a version, active or not, for pages: rows with the columns of a rule."""
    return plain_rows(_SAID, {"version_id": version_id}).all()


def entries_of(
    person_id: int, *, page: int, size: int, within: Select[int] | None = None
) -> tuple[Sequence[CreditRow], int]:
    """One page (from 1) of a person's credit entries, newest first, and how many there are.

    :param within: ids of the decisions that may be looked at; None is all of them.
    """
    mine = _mine(person_id, within)
    total = db.session.scalar(select(func.count()).select_from(CreditEntry).where(*mine)) or 0
    rows = db.session.execute(
        select(CreditEntry, Version.title)
        .join(CreditEntry.rule)
        .join(Version, Version.id == CreditRule.version_id)
        .where(*mine)
        .options(joinedload(CreditEntry.rule))
        .order_by(CreditEntry.entered_at.desc(), CreditEntry.id.desc())
        .limit(size)
        .offset((page - 1) * size)
    )
    return [CreditRow(entry, title) for entry, title in rows], total


def totals_of(person_id: int, *, within: Select[int] | None = None) -> list[CreditTotal]:
    """What counts by authority, unit and cycle, the newest cycle of each first."""
    rows = db.session.execute(
        select(
            CreditRule.authority,
            CreditEntry.unit,
            CreditEntry.cycle_first,
            CreditEntry.cycle_last,
            func.sum(CreditEntry.counted),
        )
        .join(CreditEntry.rule)
        .where(*_mine(person_id, within), CreditEntry.withdrawn_at.is_(None))
        .group_by(CreditRule.authority, CreditEntry.unit, CreditEntry.cycle_first, CreditEntry.cycle_last)
        .order_by(CreditRule.authority, CreditEntry.unit, CreditEntry.cycle_first.desc())
        .limit(_MOST_TOTALS)
    )
    return [CreditTotal(*row) for row in rows]


def listed_rules() -> list[ListedRule]:
    """Every rule, by micro-credential, newest version first."""
    rows = db.session.execute(
        select(CreditRule, Credential.key, Version.number)
        .join(Version, Version.id == CreditRule.version_id)
        .join(Credential, Credential.id == Version.credential_id)
        .order_by(Credential.key, Version.number.desc(), CreditRule.id)
        .limit(_MOST_RULES)
    )
    return [ListedRule(rule, key, number) for rule, key, number in rows]


def _mine(person_id: int, within: Select[int] | None) -> list[Any]:
    mine: list[Any] = [CreditEntry.person_id == person_id]
    return mine if within is None else [*mine, CreditEntry.decision_id.in_(within)]
