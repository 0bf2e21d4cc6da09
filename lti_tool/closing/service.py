"""The verbs of a close-out: a registrar reminds, the instructor of record chooses."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select

from lti_tool import audit
from lti_tool.closing.models import Choice, CloseOut, Reminder
from lti_tool.closing.queries import Case, case_of, open_cases
from lti_tool.credentials.models import Placement, Version
from lti_tool.database import db, insert_into
from lti_tool.errors import ReasonMissing
from lti_tool.lti.models import Deployment
from lti_tool.passback import notes
from lti_tool.passback import service as passback
from lti_tool.passback.models import NoteKind
from lti_tool.people.models import Account
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
    wanted = {tuple(int(part) for part in key.split("-")): choice for key, choice in choices.items()}
    meant = (
        AttemptPlacement.placement_id.in_([placement for placement, _ in wanted]),
        AttemptPlacement.account_id.in_([account for _, account in wanted]),
    )
    # Whoever confirms the same, or decides about the work, at the same moment waits here or is waited for: a 0 must
    # not follow the points of a decision that we did not see.
    db.session.execute(
        select(AttemptPlacement.id, Attempt.id)
        .join(Attempt, Attempt.id == AttemptPlacement.attempt_id)
        .where(*meant)
        .order_by(AttemptPlacement.id)
        .with_for_update()
    )
    passback.one_at_a_time(*sorted({account for _, account in wanted}))
    recorded = []
    for case in [case_of(row) for row in db.session.execute(open_cases(course_id, teacher).where(*meant))]:
        choice = wanted.get((case.placement_id, case.account_id))
        if choice is None or (case.choice, case.reason) == (choice, reason):
            continue
        _record(case, choice, reason, actor, now)
        recorded.append(case)
    return recorded


def _record(case: Case, choice: Choice, reason: str, actor: int, now: datetime) -> None:
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
        case.key,
        now=now,
        actor=actor,
        choice=str(choice),
        placement=case.placement_id,
        account=case.account_id,
    )


def _owe_nothing(case: Case, reason: str, now: datetime) -> None:
    """0 of all the points, with no decision behind it: the instructor's word, and the reason beside it."""
    placement, cell, subject = _cell(case)
    passback.owe(
        placement=cell,
        account_id=case.account_id,
        subject=subject,
        decision_id=None,
        points=Decimal(0),
        points_possible=Decimal(str(placement.points_for(db.session.get_one(Version, case.version_id)))),
        comment=reason,
        submitted_at=case.handed_in_at or now,
        now=now,
    )


def _tell_incomplete(case: Case, reason: str, now: datetime) -> None:
    """A comment without a number, where the gradebook takes that without harm; elsewhere the instructor enters it."""
    _, cell, subject = _cell(case)
    notes.owe(
        cell,
        account_id=case.account_id,
        subject=subject,
        text=f"Recorded as Incomplete; there is no grade yet. {reason}".rstrip(),
        kind=NoteKind.INCOMPLETE,
        ref=case.version_id,
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
