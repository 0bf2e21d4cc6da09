"""Entering credit with a decision. Only an active rule enters anything."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select

from lti_tool.credentials.catalog import CreditSpec
from lti_tool.credit.models import CreditEntry, CreditRule
from lti_tool.database import db


def store_rules(version_id: int, specs: Collection[CreditSpec]) -> None:
    """Keep what authorities say about a version that was just published."""
    db.session.add_all(
        CreditRule(
            version_id=version_id,
            authority=spec.authority,
            value=spec.value,
            unit=spec.unit,
            approval_number=spec.approval_number,
            audience=spec.audience,
            note=spec.note,
            active=spec.active,
        )
        for spec in specs
    )
    db.session.flush()


def rules_of(version_id: int) -> Sequence[CreditRule]:
    """What authorities say about a version, active or not."""
    return db.session.scalars(
        select(CreditRule).where(CreditRule.version_id == version_id).order_by(CreditRule.id)
    ).all()


def enter(*, person_id: int, version_id: int, decision_id: int, now: datetime) -> list[CreditEntry]:
    """Write what the active rules give for a version that was just demonstrated; never twice for one rule."""
    held = set(db.session.scalars(select(CreditEntry.rule_id).where(CreditEntry.person_id == person_id)))
    entries = [
        CreditEntry(
            person_id=person_id,
            rule_id=rule.id,
            decision_id=decision_id,
            value=rule.value,
            unit=rule.unit,
            entered_at=now,
        )
        for rule in rules_of(version_id)
        if rule.active and rule.id not in held
    ]
    db.session.add_all(entries)
    db.session.flush()
    return entries
