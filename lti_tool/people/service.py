"""Taking in what a launch says about a person and a course."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, String, and_, bindparam, case, delete, func, insert, select, update

from lti_tool import audit
from lti_tool.database import db, insert_into, on_sqlite, plain_rows, table_of
from lti_tool.database.rows import found_or_added
from lti_tool.lti.claims import CourseClaim, LaunchMessage
from lti_tool.lti.models import Deployment, Launch, Platform
from lti_tool.lti.registrations import COMMAND_LINE, By
from lti_tool.lti.roles import CourseRole
from lti_tool.people import copies, rosters, terms
from lti_tool.people.models import (
    Account,
    Course,
    DeskAccess,
    Membership,
    Person,
    Roster,
    RosterMember,
    Term,
)

SEEN_AGAIN = timedelta(minutes=5)
"""Who was last seen less than this ago is not noted anew: people go in and out of an activity, and each note is a
write."""
_KNOWN = (
    select(
        Account.id.label("account_id"),
        Account.name,
        Account.email,
        Account.sis_id,
        Account.sis_by_file,
        Account.seen_at,
        Course.id.label("course_id"),
        Course.label,
        Course.title,
        Course.term_by_hand,
        Term.name.label("term"),
        Membership.role,
        Membership.section_sis_id.label("section"),
        Membership.section_by_file,
        Membership.seen_at.label("there_at"),
        Roster.address,
        Roster.deployment_pk,
        RosterMember.status,
    )
    .select_from(Platform)
    .outerjoin(Account, (Account.platform_id == Platform.id) & (Account.subject == bindparam("subject")))
    .outerjoin(Course, (Course.platform_id == Platform.id) & (Course.context_id == bindparam("context_id")))
    .outerjoin(Term, Term.id == Course.term_id)
    .outerjoin(Membership, (Membership.course_id == Course.id) & (Membership.account_id == Account.id))
    .outerjoin(Roster, Roster.course_id == Course.id)
    .outerjoin(
        RosterMember,
        (RosterMember.course_id == Course.id) & (RosterMember.subject == bindparam("subject")),
    )
    .where(Platform.id == bindparam("platform_id"))
)
"""All that is known of who comes where, by the keys that a launch brings."""
_NEW_PERSON = insert(table_of(Person)).returning(Person.id)
_SAID_SIS = bindparam("said_sis", type_=String())
_ACCOUNT = (
    update(table_of(Account))
    .where(Account.id == bindparam("this"))
    .values(
        sis_id=func.coalesce(_SAID_SIS, case((Account.sis_by_file, Account.sis_id))),
        sis_by_file=and_(Account.sis_by_file, _SAID_SIS.is_(None)),
        name=bindparam("said_name"),
        email=bindparam("said_email"),
        seen_at=bindparam("said_at"),
    )
)
"""In the statement itself, since a registrar may save a file of SIS ids at the same moment."""


def enter(launch: Launch, message: LaunchMessage, *, now: datetime) -> None:
    """Note who came, to which course and in which role, on the launch and in the people's own tables.

    A name that the platform stops sending is forgotten: its privacy setting has changed.
    """
    platform_id, claim = launch.deployment.registration.platform_id, message.course
    values = {
        "platform_id": platform_id,
        "subject": message.subject,
        "context_id": None if claim is None else claim.id,
    }
    known = plain_rows(_KNOWN, values).one()
    account_id = _note_account(platform_id, message, known, now)
    launch.account_id = account_id
    if claim is None:
        return
    course_id = _note_course(platform_id, claim, message, known, now)
    launch.course_id = course_id
    # The test student of Canvas' Student View is nobody, so no list of a course's people holds it.
    if not message.is_test_user:
        in_section = _stands(known.section, known.section_by_file, message.section_sis)
        same = known.role == launch.role and in_section
        if not same or now - known.there_at >= SEEN_AGAIN:
            _note_membership(course_id, account_id, message.section_sis, launch.role, now)
    listed = (known.address, known.deployment_pk, known.status)
    rosters.take_in(course_id, launch.deployment_pk, message.nrps, message.subject, listed, now=now)
    if message.origins:
        copies.note_origins(platform_id, claim.id, message.origins, now=now)


def from_list(platform_id: int, subject: str, name: str | None, *, now: datetime) -> Account:
    """The account of somebody whom a platform lists in a course, made if they never came here: their gradebook cell
    needs one. If they come later, it is theirs, and their launch says the rest."""

    def fresh() -> Account:
        person = Person(created_at=now)
        db.session.add(person)
        db.session.flush()
        return Account(
            platform_id=platform_id,
            person_id=person.id,
            subject=subject,
            name=name,
            email=None,
            sis_id=None,
            created_at=now,
            seen_at=now,
        )

    return found_or_added(Account, {"platform_id": platform_id, "subject": subject}, fresh)


def grant_desk(
    deployment: Deployment, subject: str, *, now: datetime, by: By = COMMAND_LINE, invited: bool = False
) -> bool:
    """Put an administrator, or whoever was ``invited``, on the access list. False if they stand on it already."""
    listed = db.session.scalar(select(DeskAccess).filter_by(deployment_pk=deployment.id, subject=subject))
    if listed is not None and (listed.invited or not invited):
        return False
    if listed is not None:
        listed.invited = True
    else:
        db.session.add(
            DeskAccess(deployment_pk=deployment.id, subject=subject, granted_at=now, invited=invited)
        )
    _record("desk access granted", deployment, subject, by, now)
    return True


def withdraw_desk(deployment: Deployment, subject: str, *, now: datetime, by: By = COMMAND_LINE) -> bool:
    """Take an administrator off the access list. False if they did not stand on it."""
    gone = db.session.scalars(
        delete(DeskAccess)
        .where(DeskAccess.deployment_pk == deployment.id, DeskAccess.subject == subject)
        .returning(DeskAccess.id)
    ).all()
    if gone:
        _record("desk access withdrawn", deployment, subject, by, now)
    return bool(gone)


def _record(action: str, deployment: Deployment, subject: str, by: By, now: datetime) -> None:
    audit.record(
        action, "deployment", deployment.id, now=now, actor=by.account_id, via=by.via, subject=subject
    )
    db.session.flush()


def look_out_for(course_id: int, account_id: int, *, now: datetime) -> None:
    """Have this person's next launch in the course noted however soon it comes: something waits for them there."""
    before = now - SEEN_AGAIN
    db.session.execute(
        update(Membership)
        .where(
            Membership.course_id == course_id,
            Membership.account_id == account_id,
            Membership.seen_at > before,
        )
        .values(seen_at=before)
        .execution_options(synchronize_session=False)
    )


def may_open_desk(launch: Launch) -> bool:
    """Somebody on the deployment's access list: an administrator of the platform, or one who was invited, in whatever
    role but a learner's."""
    if not launch.administrator and launch.role == CourseRole.LEARNER:
        return False
    invited = db.session.scalar(
        select(DeskAccess.invited).where(
            DeskAccess.deployment_pk == launch.deployment_pk, DeskAccess.subject == launch.subject
        )
    )
    return invited is not None and (launch.administrator or invited)


def account_of(platform_id: int, subject: str) -> Account | None:
    """The account that a platform knows under this ``sub``, if it ever came here."""
    return db.session.scalar(select(Account).filter_by(platform_id=platform_id, subject=subject))


def _note_account(platform_id: int, message: LaunchMessage, known: Any, now: datetime) -> int:
    facts = {"name": message.name, "email": message.email, "sis_id": message.person_sis}
    if known.account_id is None:
        return _new_account({"platform_id": platform_id, "subject": message.subject, **facts}, now)
    account_id: int = known.account_id
    said = (known.name, known.email) == (message.name, message.email)
    said = said and _stands(known.sis_id, known.sis_by_file, message.person_sis)
    if not said or now - known.seen_at >= SEEN_AGAIN:
        new = {
            "said_name": message.name,
            "said_email": message.email,
            "said_sis": message.person_sis,
            "said_at": now,
        }
        db.session.execute(_ACCOUNT, {"this": account_id, **new})
    return account_id


def _stands(known: str | None, by_file: bool | None, said: str | None) -> bool:
    """Whether a launch leaves a SIS id as it is. What the platform says counts; only where it says nothing, what a
    registrar's file says."""
    if said is None:
        return known is None or bool(by_file)
    return known == said and not by_file


def _new_account(facts: dict[str, Any], now: datetime) -> int:
    """For somebody new. Two launches that arrive together both get the one that was first."""
    person_id = db.session.execute(_NEW_PERSON, {"created_at": now}).scalar_one()
    facts |= {"person_id": person_id, "created_at": now, "seen_at": now}
    account_id = db.session.execute(_insert_account(on_sqlite()), facts).scalar_one_or_none()
    if account_id is None:
        db.session.execute(delete(Person).where(Person.id == person_id))
        account = account_of(facts["platform_id"], facts["subject"])
        assert account is not None
        account_id = account.id
    return account_id


@lru_cache
def _insert_account(for_sqlite: bool) -> Executable:
    return insert_into(table_of(Account), for_sqlite).on_conflict_do_nothing().returning(Account.id)


def _note_course(
    platform_id: int, claim: CourseClaim, message: LaunchMessage, known: Any, now: datetime
) -> int:
    label, title = claim.label or "", claim.title or claim.label or "Your course"
    fresh = known.course_id is None
    in_term = not fresh and (known.term_by_hand or message.term_name in (None, known.term))
    if in_term and (known.label, known.title) == (label, title):
        course_id: int = known.course_id
        return course_id
    course = found_or_added(
        Course,
        {"platform_id": platform_id, "context_id": claim.id},
        lambda: Course(
            platform_id=platform_id, context_id=claim.id, label="", title="", term_id=None, created_at=now
        ),
    )
    course.label, course.title = label, title
    if not in_term and not course.term_by_hand:
        terms.note(course, message, now=now)
    return course.id


def _note_membership(course_id: int, account_id: int, section: str | None, role: str, now: datetime) -> None:
    there = {"course_id": course_id, "account_id": account_id}
    noted = {"role": role, "section_sis_id": section, "seen_at": now}
    db.session.execute(_insert_membership(on_sqlite()), there | noted)


@lru_cache
def _insert_membership(for_sqlite: bool) -> Executable:
    insert = insert_into(table_of(Membership), for_sqlite)
    new = insert.excluded
    from_file = case((Membership.section_by_file, Membership.section_sis_id))
    return insert.on_conflict_do_update(
        index_elements=["course_id", "account_id"],
        set_={
            "role": new.role,
            "section_sis_id": func.coalesce(new.section_sis_id, from_file),
            "section_by_file": and_(Membership.section_by_file, new.section_sis_id.is_(None)),
            "seen_at": new.seen_at,
        },
    )
