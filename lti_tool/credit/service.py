"""Entering credit with a decision, and withdrawing it when what it was given for does not stand any more.

Only an active rule enters anything. Callers hold the row of the person (an award and a revocation lock it), so two
entries of one person never count against the same room under a cap.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import select

from lti_tool import audit
from lti_tool.credentials.catalog import CreditSpec
from lti_tool.credentials.models import Credential, Version
from lti_tool.credit import rules
from lti_tool.credit.models import CreditEntry, CreditRule
from lti_tool.database import db
from lti_tool.errors import NotHere


class RuleIncomplete(Exception):
    """What an authority has not said yet, so that the rule cannot enter anything. Its text is one line."""


@dataclass(frozen=True, kw_only=True)
class RuleChange:
    """What an operator writes into a rule; None leaves it as it is."""

    value: Decimal | None = None
    approval_number: str | None = None
    audience: str | None = None
    note: str | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    cap: Decimal | None = None
    cycle_months: int | None = None
    cycle_from: date | None = None
    active: bool | None = None


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


def active_rules(version_id: int, *, on: date) -> list[CreditRule]:
    """Those that enter something for a decision of that day."""
    return [
        rule
        for rule in rules_of(version_id)
        if rule.active and rules.valid(on, first=rule.valid_from, last=rule.valid_until)
    ]


def change_rule(rule_id: int, change: RuleChange, *, now: datetime) -> CreditRule:
    """Write down what an authority has decided. Entries that stand keep what was said when they were written.

    :raises NotHere: there is no such rule.
    :raises RuleIncomplete: it would be active without all that an authority has to say first, or makes no sense.
    """
    rule = db.session.get(CreditRule, rule_id)
    if rule is None:
        raise NotHere
    for name, value in asdict(change).items():
        if value is not None:
            setattr(rule, name, value)
    if problem := _problem(rule):
        db.session.rollback()
        raise RuleIncomplete(problem)
    changed = sorted(name for name, value in asdict(change).items() if value is not None)
    audit.record("credit rule changed", "credit_rule", rule.id, now=now, changed=changed, active=rule.active)
    db.session.flush()
    return rule


def enter(*, person_id: int, version_id: int, decision_id: int, now: datetime) -> list[CreditEntry]:
    """Write what the active rules give for a version that was just demonstrated; never twice for one micro-credential
    by the same authority and unit. What goes beyond a cap is entered as well, and does not count."""
    held = _held(person_id, version_id)
    entries = []
    for rule in active_rules(version_id, on=now.date()):
        if (rule.authority, rule.unit) in held:
            continue
        cycle = _cycle(rule, now.date())
        entry = CreditEntry(
            person_id=person_id,
            rule=rule,
            decision_id=decision_id,
            value=rule.value,
            unit=rule.unit,
            entered_at=now,
            approval_number=rule.approval_number,
            cap=rule.cap,
            cycle_first=cycle and cycle.first,
            cycle_last=cycle and cycle.last,
            counted=rule.value,
        )
        db.session.add(entry)
        db.session.flush()
        _count_anew(entry)
        audit.record("credit entered", "credit_entry", entry.id, now=now, rule=rule.id, decision=decision_id)
        entries.append(entry)
    return entries


def withdraw(decision_id: int, *, person_id: int, why: str, actor: int | None, now: datetime) -> int:
    """Take back what was entered with a decision: its badge was revoked, or it was overturned. Returns how many.

    :param why: a sentence for the earner's statement.
    """
    entries = _of_decision(decision_id, person_id, standing=True)
    for entry in entries:
        entry.withdrawn_at, entry.withdrawn_why = now, why
        audit.record("credit withdrawn", "credit_entry", entry.id, now=now, actor=actor, decision=decision_id)
        db.session.flush()
        # Room under the cap is free again for what came later.
        _count_anew(entry)
    return len(entries)


def restore(decision_id: int, *, person_id: int, actor: int | None, now: datetime) -> int:
    """Let stand again what was withdrawn by mistake, unless the person has the same by another decision since."""
    restored = 0
    for entry in _of_decision(decision_id, person_id, standing=False):
        if (entry.rule.authority, entry.unit) in _held(person_id, entry.rule.version_id):
            continue
        entry.withdrawn_at = entry.withdrawn_why = None
        audit.record("credit restored", "credit_entry", entry.id, now=now, actor=actor, decision=decision_id)
        db.session.flush()
        _count_anew(entry)
        restored += 1
    return restored


def _problem(rule: CreditRule) -> str | None:
    if rule.active and not (rule.authority and rule.approval_number and rule.audience):
        return "A rule becomes active only with its authority, approval number and audience."
    if rule.cap is not None and (rule.cycle_months is None or rule.cycle_from is None):
        return "A cap needs the length of its cycle in months and a day on which one begins."
    if rule.cycle_from is not None and rule.cycle_from.day > 28:
        return "A cycle begins on a day that every month has, 1 to 28."
    if rule.valid_from and rule.valid_until and rule.valid_until < rule.valid_from:
        return "It would end before it begins."
    return None


def _held(person_id: int, version_id: int) -> set[tuple[str, str]]:
    """What the person has for the micro-credential of this version, in whatever version."""
    same = select(Version.credential_id).where(Version.id == version_id).scalar_subquery()
    rows = db.session.execute(
        select(CreditRule.authority, CreditRule.unit)
        .join(CreditEntry, CreditEntry.rule_id == CreditRule.id)
        .join(Version, Version.id == CreditRule.version_id)
        .join(Credential, Credential.id == Version.credential_id)
        .where(
            CreditEntry.person_id == person_id,
            CreditEntry.withdrawn_at.is_(None),
            Credential.id == same,
        )
    )
    return {(authority, unit) for authority, unit in rows}


def _of_decision(decision_id: int, person_id: int, *, standing: bool) -> Sequence[CreditEntry]:
    stands = CreditEntry.withdrawn_at.is_(None)
    return db.session.scalars(
        select(CreditEntry)
        .where(
            CreditEntry.decision_id == decision_id,
            CreditEntry.person_id == person_id,
            stands if standing else ~stands,
        )
        .order_by(CreditEntry.id)
    ).all()


def _cycle(rule: CreditRule, day: date) -> rules.Cycle | None:
    if rule.cycle_months is None or rule.cycle_from is None:
        return None
    return rules.cycle_of(day, months=rule.cycle_months, start=rule.cycle_from)


def _count_anew(entry: CreditEntry) -> None:
    """How much counts of each entry in the same cycle, in the order in which they were entered."""
    if entry.cycle_first is None:
        return
    same_cycle = db.session.scalars(
        select(CreditEntry)
        .join(CreditEntry.rule)
        .where(
            CreditEntry.person_id == entry.person_id,
            CreditEntry.unit == entry.unit,
            CreditRule.authority == entry.rule.authority,
            CreditEntry.cycle_first == entry.cycle_first,
            CreditEntry.cycle_last == entry.cycle_last,
            CreditEntry.withdrawn_at.is_(None),
        )
        .order_by(CreditEntry.entered_at, CreditEntry.id)
    ).all()
    used = Decimal(0)
    for one in same_cycle:
        counted = rules.count(one.value, cap=one.cap, used=used, unit=one.unit)
        one.counted, one.why = counted.value, counted.why
        used += counted.value
    db.session.flush()
