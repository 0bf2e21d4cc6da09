"""SIS ids of persons and of their sections where the platform sends none: from a registrar's file, after a preview.

What a platform says counts: a launch that brings a SIS id takes the place of the file's, and a file changes nothing
that a launch has brought. A launch without one leaves what the file said.

Between the preview and its confirmation people come in and colleagues upload. So the preview says by a digest what it
has shown, and nothing is saved if that has changed.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, delete, or_, select, update

from lti_tool import audit
from lti_tool.database import db, table_of
from lti_tool.errors import SisFileUnusable
from lti_tool.people.models import Account, Course, Membership, SisFile
from lti_tool.people.sis_files import Table, cell

KEPT = timedelta(hours=1)
PAGE_SIZE = 50
_LONGEST = 100
_MOST_SECTIONS = 20
_BATCH = 500
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class Key(StrEnum):
    """By what a file says who is meant."""

    SUBJECT = "sub"
    SIS = "sis"


class Part(StrEnum):
    """What a preview lists."""

    PEOPLE = "people"
    SECTIONS = "sections"
    NOBODY = "nobody"
    UNCLEAR = "unclear"
    KEPT = "kept"
    AGAIN = "again"


@dataclass(frozen=True)
class Columns:
    """Which column says what, counted from 0."""

    by: Key
    key: int
    sis: int | None
    course: int | None
    section: int | None


@dataclass(frozen=True)
class Change:
    """A SIS id that would be set: of somebody, or of their section in a course."""

    line: int
    account_id: int
    course_id: int | None
    who: str
    course: str
    before: str | None
    after: str


@dataclass(frozen=True)
class Remark:
    """A line that changes nothing, or not all that it says, and why."""

    line: int
    who: str
    why: str


@dataclass
class Plan:
    """What saving a file would do."""

    people: list[Change] = field(default_factory=list)
    sections: list[Change] = field(default_factory=list)
    remarks: dict[Part, list[Remark]] = field(default_factory=lambda: defaultdict(list))
    unchanged: int = 0
    """SIS ids that stand here already as the file has them."""
    file: str = ""

    @cached_property
    def digest(self) -> str:
        """The same for as long as the same would be saved."""
        shown = [
            (one.account_id, one.course_id, one.before, one.after) for one in self.people + self.sections
        ]
        return hashlib.sha256(repr((self.file, shown)).encode()).hexdigest()

    @property
    def counts(self) -> dict[Part, int]:
        return {part: len(self.of(part)) for part in Part}

    def of(self, part: Part) -> Sequence[Change | Remark]:
        match part:
            case Part.PEOPLE:
                return self.people
            case Part.SECTIONS:
                return self.sections
        return self.remarks[part]

    def remark(self, part: Part, line: int, who: str, why: str) -> None:
        self.remarks[part].append(Remark(line, who[:_LONGEST], why))


def keep(deployment_pk: int, account_id: int, content: bytes, *, now: datetime) -> None:
    """Put a file aside until it is confirmed; an earlier one of the same registrar goes."""
    forget(deployment_pk, account_id)
    db.session.add(
        SisFile(
            deployment_pk=deployment_pk,
            account_id=account_id,
            content=content,
            created_at=now,
            expires_at=now + KEPT,
        )
    )
    db.session.flush()


def kept(deployment_pk: int, account_id: int, *, now: datetime) -> SisFile | None:
    """The file that somebody has put aside here, while its hour lasts."""
    return db.session.scalars(
        select(SisFile)
        .filter_by(deployment_pk=deployment_pk, account_id=account_id)
        .where(SisFile.expires_at > now)
        .order_by(SisFile.id.desc())
    ).first()


def forget(deployment_pk: int, account_id: int) -> bool:
    """Delete what somebody has put aside. Of two that try at once, one has done it."""
    gone = db.session.scalars(
        delete(SisFile)
        .where(SisFile.deployment_pk == deployment_pk, SisFile.account_id == account_id)
        .returning(SisFile.id)
        .execution_options(synchronize_session=False)
    )
    return bool(gone.all())


def sweep(now: datetime) -> int:
    """Delete files whose hour is over, at most a batch. Returns how many."""
    over = select(SisFile.id).where(SisFile.expires_at < now).limit(_BATCH)
    gone = db.session.scalars(
        delete(SisFile).where(SisFile.id.in_(over)).returning(SisFile.id),
        execution_options={"synchronize_session": False},
    )
    return len(gone.all())


def check(table: Table, columns: Columns) -> None:
    """See that the chosen columns say something.

    :raises SisFileUnusable: with what is missing.
    """
    chosen = [at for at in (columns.key, columns.sis, columns.course, columns.section) if at is not None]
    if any(not 0 <= at < len(table.columns) for at in chosen):
        raise SisFileUnusable("Choose columns that the file has.")
    if columns.sis is None and columns.section is None:
        raise SisFileUnusable("Choose the column of the SIS ids, or that of the sections, or both.")
    if columns.section is not None and columns.course is None:
        raise SisFileUnusable(
            "A section belongs to a course: choose the column that names the course as well."
        )
    if columns.course is not None and columns.section is None:
        raise SisFileUnusable(
            "A course alone changes nothing: choose the column of the section, or no course."
        )
    if len(set(chosen)) < len(chosen):
        raise SisFileUnusable("Each column can say one thing only: choose different ones.")


def plan(table: Table, columns: Columns, platform_id: int, courses: ColumnElement[bool]) -> Plan:
    """What a file would change, among the people of some courses of a platform."""
    made = Plan(file=f"{table.digest} {columns}")
    reading = _Reading(made, _People(platform_id, courses, columns))
    for line, row in table.rows():
        reading.take(line, row, columns)
    reading.settle()
    return made


def save(plan: Plan, deployment_pk: int, *, actor: int, now: datetime) -> None:
    """Save what a plan says. What a launch has brought in this very moment stays."""
    people, there = table_of(Account), table_of(Membership)
    of_person = (
        update(people)
        .where(people.c.id == bindparam("this"), or_(people.c.sis_id.is_(None), people.c.sis_by_file))
        .values(sis_id=bindparam("said"), sis_by_file=True)
    )
    of_section = (
        update(there)
        .where(there.c.account_id == bindparam("this"), there.c.course_id == bindparam("at"))
        .where(or_(there.c.section_sis_id.is_(None), there.c.section_by_file))
        .values(section_sis_id=bindparam("said"), section_by_file=True)
    )
    for some in _batches(plan.people):
        db.session.execute(of_person, [{"this": one.account_id, "said": one.after} for one in some])
        _record(deployment_pk, "SIS ids set from file", some, actor, now)
    for some in _batches(plan.sections):
        values = [{"this": one.account_id, "at": one.course_id, "said": one.after} for one in some]
        db.session.execute(of_section, values)
        _record(deployment_pk, "sections set from file", some, actor, now)
    audit.record(
        "file of SIS ids saved",
        "deployment",
        deployment_pk,
        now=now,
        actor=actor,
        **{part.value: count for part, count in plan.counts.items()},
        unchanged=plan.unchanged,
    )
    db.session.flush()


def listed(platform_id: int, courses: ColumnElement[bool]) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    """Everybody in these courses, a batch at a time, with what is known of SIS ids: what a registrar may fill in."""
    after = 0
    while True:
        rows = db.session.execute(
            select(
                Membership.id,
                Account.subject,
                Account.name,
                Account.sis_id,
                Course.context_id,
                Course.label,
                Membership.section_sis_id,
            )
            .join(Account, Account.id == Membership.account_id)
            .join(Course, Course.id == Membership.course_id)
            .where(Account.platform_id == platform_id, courses, Membership.id > after)
            .order_by(Membership.id)
            .limit(_BATCH)
        ).all()
        if not rows:
            return
        after = rows[-1].id
        yield rows


def _batches(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    return (changes[at : at + _BATCH] for at in range(0, len(changes), _BATCH))


def _record(deployment_pk: int, action: str, some: Sequence[Change], actor: int, now: datetime) -> None:
    ids = [one.account_id for one in some]
    audit.record(action, "deployment", deployment_pk, now=now, actor=actor, accounts=ids)


class _People:
    """Who can be meant: the accounts of some courses, these courses, and who is in which."""

    def __init__(self, platform_id: int, courses: ColumnElement[bool], columns: Columns) -> None:
        here = select(Membership.account_id).join(Course, Course.id == Membership.course_id).where(courses)
        found = db.session.execute(
            select(
                Account.id,
                Account.person_id,
                Account.subject,
                Account.name,
                Account.sis_id,
                Account.sis_by_file,
            ).where(Account.platform_id == platform_id, Account.id.in_(here))
        ).all()
        self.accounts = {row.id: row for row in found}
        self.by_key: dict[str, list[int]] = defaultdict(list)
        for row in found:
            known = row.subject if columns.by is Key.SUBJECT else row.sis_id
            if known:
                self.by_key[known].append(row.id)
        self.courses: dict[str, set[int]] = defaultdict(set)
        self.titles: dict[int, str] = {}
        self.members: dict[tuple[int, int], tuple[str | None, bool]] = {}
        if columns.section is not None:
            self._read_courses(platform_id, courses)

    def _read_courses(self, platform_id: int, courses: ColumnElement[bool]) -> None:
        for row in db.session.execute(
            select(Course.id, Course.context_id, Course.label, Course.title).where(
                Course.platform_id == platform_id, courses
            )
        ):
            self.titles[row.id] = row.label or row.title
            for name in {row.context_id, row.label} - {""}:
                self.courses[name].add(row.id)
        for there in db.session.execute(
            select(
                Membership.account_id,
                Membership.course_id,
                Membership.section_sis_id,
                Membership.section_by_file,
            )
            .join(Course, Course.id == Membership.course_id)
            .where(Course.platform_id == platform_id, courses)
        ):
            self.members[there.account_id, there.course_id] = (there.section_sis_id, there.section_by_file)

    def called(self, account_id: int) -> str:
        row = self.accounts[account_id]
        return row.name or f"Person {row.person_id}"


class _Reading:
    """Takes in a file line by line; only at its end it is known what contradicts what."""

    def __init__(self, plan: Plan, people: _People) -> None:
        self.plan, self.people = plan, people
        self.ids: dict[int, tuple[int, str]] = {}
        """Of each account, in which line the file first says its SIS id, and which."""
        self.torn: set[int] = set()
        self.sections: dict[tuple[int, int], tuple[int, list[str]]] = {}

    def take(self, line: int, row: list[str], columns: Columns) -> None:
        key = cell(row, columns.key)
        found = self.people.by_key.get(key, [])
        if len(found) != 1:
            self._unknown(line, key, len(found), columns.by)
            return
        account_id, sis = found[0], cell(row, columns.sis)
        course, section = cell(row, columns.course), cell(row, columns.section)
        said = []
        if sis:
            said.append(self._take_id(line, account_id, sis))
        if section:
            said.append(self._take_section(line, account_id, course, section))
        if not said:
            self.plan.remark(Part.NOBODY, line, key, "The line gives neither a SIS id nor a section.")
        elif not any(said):
            self.plan.remark(
                Part.AGAIN, line, self.people.called(account_id), "An earlier line says the same."
            )

    def _unknown(self, line: int, key: str, found: int, by: Key) -> None:
        known_by = "LMS user id" if by is Key.SUBJECT else "SIS id"
        if not key:
            self.plan.remark(Part.NOBODY, line, "", f"The line gives no {known_by}.")
        elif not found:
            self.plan.remark(Part.NOBODY, line, key, f"Nobody here has this {known_by}.")
        else:
            self.plan.remark(Part.UNCLEAR, line, key, f"{found} accounts here have this {known_by}.")

    def _take_id(self, line: int, account_id: int, sis: str) -> bool:
        """False if an earlier line said the same."""
        wrong = _unusable(sis, "SIS id")
        if wrong is not None:
            self.plan.remark(Part.UNCLEAR, line, self.people.called(account_id), wrong)
            return True
        first, said = self.ids.setdefault(account_id, (line, sis))
        if said != sis:
            self.torn.add(account_id)
            why = f"Line {first} gives {said}, this line {sis}. Neither is saved."
            self.plan.remark(Part.UNCLEAR, line, self.people.called(account_id), why)
            return True
        return first == line

    def _take_section(self, line: int, account_id: int, course: str, section: str) -> bool:
        """False if earlier lines said the same."""
        who, found = self.people.called(account_id), self.people.courses.get(course, set())
        names = [name.strip() for name in section.split(",") if name.strip()]
        wrong = next((why for why in (_unusable(name, "section") for name in names) if why), None)
        if wrong is None and not course:
            wrong = "The line gives a section and no course."
        if wrong is None and len(found) > 1:
            wrong = (
                f"{len(found)} courses here are called {course}. Use the id that the LMS gives the course."
            )
        if wrong is not None:
            self.plan.remark(Part.UNCLEAR, line, who, wrong)
            return True
        if not found:
            self.plan.remark(Part.NOBODY, line, who, f"No course here has the id or short name {course}.")
            return True
        at = (account_id, next(iter(found)))
        if at not in self.people.members:
            self.plan.remark(Part.NOBODY, line, who, f"Not seen in {course} so far.")
            return True
        _, all_of_them = self.sections.setdefault(at, (line, []))
        fresh = [name for name in dict.fromkeys(names) if name not in all_of_them]
        if len(all_of_them) + len(fresh) > _MOST_SECTIONS:
            self.plan.remark(Part.UNCLEAR, line, who, f"More than {_MOST_SECTIONS} sections of one course.")
            return True
        all_of_them += fresh
        return bool(fresh)

    def settle(self) -> None:
        """Say what would change, now that everything is read."""
        changes: dict[int, Change] = {}
        for account_id, (line, sis) in self.ids.items():
            row = self.people.accounts[account_id]
            if account_id in self.torn:
                continue
            if self._changes(line, account_id, row.sis_id, row.sis_by_file, sis, same=row.sis_id == sis):
                who = self.people.called(account_id)
                changes[account_id] = Change(line, account_id, None, who, "", row.sis_id, sis)
        self._drop_shared(changes)
        self.plan.people = list(changes.values())
        for (account_id, course_id), (line, names) in self.sections.items():
            before, by_file = self.people.members[account_id, course_id]
            same = set((before or "").split(",")) == set(names)
            if names and self._changes(line, account_id, before, by_file, ",".join(names), same=same):
                who, title = self.people.called(account_id), self.people.titles[course_id]
                change = Change(line, account_id, course_id, who, title, before, ",".join(names))
                self.plan.sections.append(change)
        for remarks in self.plan.remarks.values():
            remarks.sort(key=lambda one: one.line)

    def _changes(
        self, line: int, account_id: int, before: str | None, by_file: bool, after: str, *, same: bool
    ) -> bool:
        if same:
            self.plan.unchanged += 1
        elif before is not None and not by_file:
            why = f"The LMS says {before}; the file says {after}."
            self.plan.remark(Part.KEPT, line, self.people.called(account_id), why)
        else:
            return True
        return False

    def _drop_shared(self, changes: dict[int, Change]) -> None:
        """Leave out what would give two people one SIS id. Who then keeps theirs may stand in the way of others."""
        holders: dict[str, set[int]] = defaultdict(set)
        for row in self.people.accounts.values():
            after = changes[row.id].after if row.id in changes else row.sis_id
            if after is not None:
                holders[after].add(row.id)
        to_see = [change.after for change in changes.values()]
        while to_see:
            sis = to_see.pop()
            if len({self.people.accounts[each].person_id for each in holders[sis]}) < 2:
                continue
            for account_id in sorted(holders[sis] & changes.keys()):
                if changes[account_id].after != sis:
                    continue
                change = changes.pop(account_id)
                holders[sis].discard(account_id)
                why = f"{sis} is or would be the SIS id of somebody else here as well."
                self.plan.remark(Part.UNCLEAR, change.line, change.who, why)
                if change.before is not None:
                    holders[change.before].add(account_id)
                    to_see.append(change.before)


def _unusable(text: str, what: str) -> str | None:
    if len(text) > _LONGEST:
        return f"The {what} is longer than {_LONGEST} characters."
    if not text.isprintable():
        return f"The {what} holds a character that cannot be seen. Type it anew in the file."
    if _SHORTENED.fullmatch(text):
        return (
            f"{text}: a spreadsheet has shortened this number. Format the column as text, and save it again."
        )
    if _ADDRESS.fullmatch(text):
        return f"The {what} is an e-mail address. Those are not asked for, and not kept."
    return None
