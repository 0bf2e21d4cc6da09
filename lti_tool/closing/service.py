"""The verbs of a close-out: a registrar reminds, the instructor of record chooses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select

from lti_tool import audit
from lti_tool.closing import queries
from lti_tool.closing.models import Choice, CloseOut, Reminder
from lti_tool.closing.queries import Case
from lti_tool.credentials import service as credentials
from lti_tool.credentials.models import Placement, StackVersion, Version
from lti_tool.database import db, insert_into
from lti_tool.errors import ReasonMissing
from lti_tool.lti.models import Deployment
from lti_tool.passback import notes
from lti_tool.passback import service as passback
from lti_tool.passback.models import NoteKind
from lti_tool.people import service as people
from lti_tool.people.models import Account, Course
from lti_tool.submissions.models import Attempt, AttemptPlacement

LONGEST_REASON = 500


def remind(course_id: int, actor: int, *, now: datetime) -> None:
    """Ask the instructors of a course to close it out: their page of the course says so from now on."""
    values = {"asked_by_account_id": actor, "asked_at": now}
    insert = insert_into(Reminder).values(course_id=course_id, **values)
    db.session.execute(insert.on_conflict_do_update(index_elements=[Reminder.course_id], set_=values))
    audit.record("close-out asked for", "course", course_id, now=now, actor=actor)


def choose(
    course_id: int, choices: Mapping[str, Choice], reason: str, *, teacher: int, actor: int, now: datetime
) -> list[Case]:
    """Record an instructor's choices, and owe a score of 0 or a comment where that follows. Returns those that were
    recorded: work that was decided meanwhile, or has that choice already, is passed over.

    :param choices: by the key of a case.
    :param reason: sent as the comment of every 0, and of every Incomplete where that may go alone.
    :param teacher: the person who chooses.
    :raises ReasonMissing: a 0 without a reason.
    """
    reason = reason.strip()[:LONGEST_REASON]
    if not reason and Choice.ZERO in choices.values():
        raise ReasonMissing
    _one_at_a_time([one for one in queries.named(course_id, teacher, choices).values() if one.account_id])
    recorded = []
    for key, case in queries.named(course_id, teacher, choices).items():
        choice = choices[key]
        if (case.choice, case.reason) == (choice, reason):
            continue
        known = case if case.account_id is not None else _taken_in(course_id, case, now)
        _record(known, choice, reason, actor, now)
        recorded.append(known)
    return recorded


def _one_at_a_time(cases: Sequence[Case]) -> None:
    """Whoever confirms the same, or decides about the work, at the same moment waits here or is waited for: a 0 must
    not follow the points of a decision that we did not see."""
    db.session.execute(
        select(AttemptPlacement.id, Attempt.id)
        .join(Attempt, Attempt.id == AttemptPlacement.attempt_id)
        .where(
            AttemptPlacement.placement_id.in_([one.placement_id for one in cases]),
            AttemptPlacement.account_id.in_([one.account_id for one in cases]),
        )
        .order_by(AttemptPlacement.id)
        .with_for_update()
    )
    # Who has not begun has no work to wait at, but an account.
    passback.one_at_a_time(*sorted({one.account_id for one in cases if one.account_id is not None}))


def _taken_in(course_id: int, case: Case, now: datetime) -> Case:
    """Somebody whom the platform lists and who never came here, from now on known by their account: a gradebook cell
    has one."""
    course = db.session.get_one(Course, course_id)
    account = people.from_list(course.platform_id, case.subject, case.name if case.named else None, now=now)
    return replace(case, account_id=account.id)


def _record(case: Case, choice: Choice, reason: str, actor: int, now: datetime) -> None:
    assert case.account_id is not None
    values = {"choice": choice, "reason": reason, "chosen_by_account_id": actor, "chosen_at": now}
    insert = insert_into(CloseOut).values(
        placement_id=case.placement_id, account_id=case.account_id, **values
    )
    cell = [CloseOut.placement_id, CloseOut.account_id]
    db.session.execute(
        insert.on_conflict_do_update(index_elements=cell, set_=values),
        execution_options={"synchronize_session": False},
    )
    notes.take_back(case.placement_id, case.account_id, NoteKind.INCOMPLETE)
    if choice is Choice.ZERO:
        _owe_nothing(case, reason, now)
    elif choice is Choice.INCOMPLETE:
        _tell_incomplete(case, reason, now)
    audit.record(
        "closed out",
        "close_out",
        f"{case.placement_id}-{case.account_id}",
        now=now,
        actor=actor,
        choice=str(choice),
        placement=case.placement_id,
        account=case.account_id,
    )


def _owe_nothing(case: Case, reason: str, now: datetime) -> None:
    """0 of all the points, with no decision behind it: the instructor's word, and the reason beside it."""
    assert case.account_id is not None
    placement, cell, subject = _cell(case)
    passback.owe(
        placement=cell,
        account_id=case.account_id,
        subject=subject,
        decision_id=None,
        points=Decimal(0),
        points_possible=Decimal(str(_worth(placement, case.version_id))),
        comment=reason,
        submitted_at=case.handed_in_at or now,
        now=now,
    )


def _worth(placement: Placement, version_id: int | None) -> float:
    """What the activity is out of: of the version that was begun; where none was, of what would be begun now."""
    if version_id is not None:
        return placement.points_for(db.session.get_one(Version, version_id))
    newest: Version | StackVersion | None
    if placement.stack_id is not None:
        newest = db.session.scalar(
            select(StackVersion)
            .filter_by(stack_id=placement.stack_id)
            .order_by(StackVersion.number.desc())
            .limit(1)
        )
    else:
        newest = credentials.current_version(placement.choices[0].credential_id)
    assert newest is not None
    return placement.points_for(newest)


def _tell_incomplete(case: Case, reason: str, now: datetime) -> None:
    """A comment without a number, where the gradebook takes that without harm; elsewhere the instructor enters it."""
    assert case.account_id is not None
    _, cell, subject = _cell(case)
    notes.owe(
        cell,
        account_id=case.account_id,
        subject=subject,
        text=f"Recorded as Incomplete; there is no grade yet. {reason}".rstrip(),
        kind=NoteKind.INCOMPLETE,
        ref=case.version_id or 0,
        now=now,
        by_letter=False,
    )


def _cell(case: Case) -> tuple[Placement, passback.PlacementCell, str]:
    """The activity, its gradebook cell, and who the platform says the earner is."""
    placement, deployment, subject = db.session.execute(
        select(Placement, Deployment, Account.subject)
        .join(Deployment, Deployment.id == Placement.deployment_pk)
        .join(Account, Account.id == case.account_id)
        .where(Placement.id == case.placement_id)
    ).one()
    cell = passback.PlacementCell(
        placement.id, deployment.id, deployment.registration_id, placement.line_item_url
    )
    return placement, cell, subject
