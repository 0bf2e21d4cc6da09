"""Taking in what a launch says about a person and a course."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, TypeVar

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from lti_tool import audit
from lti_tool.database import Base, db
from lti_tool.lti.claims import LaunchMessage
from lti_tool.lti.models import Deployment, Launch
from lti_tool.people.models import Account, Course, DeskAccess, Membership, Person, Term

Row = TypeVar("Row", bound=Base)


def enter(launch: Launch, message: LaunchMessage, *, now: datetime) -> Account:
    """Note who came, to which course and in which role, on the launch and in the people's own tables.

    A name that the platform stops sending is forgotten: its privacy setting has changed.
    """
    platform_id = launch.deployment.registration.platform_id
    account = _account(platform_id, message.subject, now)
    account.name, account.email, account.sis_id = message.name, message.email, message.person_sis
    account.seen_at = now
    launch.account_id = account.id
    if message.course is not None:
        course = _course(platform_id, message, now)
        launch.course_id = course.id
        _note_membership(course.id, account.id, message.section_sis, launch.role, now)
    db.session.flush()
    return account


def grant_desk(deployment: Deployment, subject: str, *, now: datetime) -> bool:
    """Put an administrator on the access list. False if they stand on it already."""
    listed = select(DeskAccess).filter_by(deployment_pk=deployment.id, subject=subject)
    if db.session.scalar(listed) is not None:
        return False
    db.session.add(DeskAccess(deployment_pk=deployment.id, subject=subject, granted_at=now))
    audit.record("desk access granted", "deployment", deployment.id, now=now)
    db.session.flush()
    return True


def withdraw_desk(deployment: Deployment, subject: str, *, now: datetime) -> bool:
    """Take an administrator off the access list. False if they did not stand on it."""
    gone = db.session.scalars(
        delete(DeskAccess)
        .where(DeskAccess.deployment_pk == deployment.id, DeskAccess.subject == subject)
        .returning(DeskAccess.id)
    ).all()
    if gone:
        audit.record("desk access withdrawn", "deployment", deployment.id, now=now)
    return bool(gone)


def may_open_desk(launch: Launch) -> bool:
    """An administrator of the platform who is also on the deployment's access list."""
    return launch.administrator and (
        db.session.scalar(
            select(DeskAccess.id).where(
                DeskAccess.deployment_pk == launch.deployment_pk, DeskAccess.subject == launch.subject
            )
        )
        is not None
    )


def _account(platform_id: int, subject: str, now: datetime) -> Account:
    def fresh() -> Account:
        person = Person(created_at=now)
        db.session.add(person)
        db.session.flush()
        return Account(
            platform_id=platform_id,
            subject=subject,
            person_id=person.id,
            created_at=now,
            seen_at=now,
            name=None,
            email=None,
            sis_id=None,
        )

    return _found_or_added(Account, {"platform_id": platform_id, "subject": subject}, fresh)


def _course(platform_id: int, message: LaunchMessage, now: datetime) -> Course:
    claim = message.course
    assert claim is not None
    course = _found_or_added(
        Course,
        {"platform_id": platform_id, "context_id": claim.id},
        lambda: Course(
            platform_id=platform_id, context_id=claim.id, label="", title="", term_id=None, created_at=now
        ),
    )
    course.label, course.title = claim.label or "", claim.title or claim.label or "Your course"
    if message.term_name is not None:
        course.term_id = _term(platform_id, message).id
    return course


def _term(platform_id: int, message: LaunchMessage) -> Term:
    name = message.term_name
    assert name is not None
    return _found_or_added(
        Term,
        {"platform_id": platform_id, "name": name},
        lambda: Term(
            platform_id=platform_id,
            name=name,
            starts_on=_day(message.term_start),
            ends_on=_day(message.term_end),
        ),
    )


def _day(text: str | None) -> date | None:
    """Canvas sends a moment such as 2026-08-24T06:00:00Z, or nothing."""
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


def _note_membership(course_id: int, account_id: int, section: str | None, role: str, now: datetime) -> None:
    membership = _found_or_added(
        Membership,
        {"course_id": course_id, "account_id": account_id},
        lambda: Membership(
            course_id=course_id, account_id=account_id, role=role, section_sis_id=section, seen_at=now
        ),
    )
    membership.role, membership.section_sis_id, membership.seen_at = role, section, now


def _found_or_added(model: type[Row], key: Mapping[str, Any], fresh: Any) -> Row:
    """The row with this key; two launches that arrive together both get the one that was first."""
    query = select(model).filter_by(**key)
    row = db.session.scalar(query)
    if row is not None:
        return row
    try:
        with db.session.begin_nested():
            added: Row = fresh()
            db.session.add(added)
        return added
    except IntegrityError:
        return db.session.scalars(query).one()
