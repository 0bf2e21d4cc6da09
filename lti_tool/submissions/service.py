"""The verbs of an earner's work: begin, save, add evidence, hand in; and hiding what nobody may see.

Everything flushes; the edge commits. Of two tabs, or an earner and an assessor, who act at the same moment,
the conditional UPDATE of the attempt lets one through and tells the other why not.
"""

import os
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, BinaryIO

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from lti_tool import audit
from lti_tool.credentials.models import Placement, PlacementChoice, Task, Version
from lti_tool.credentials.service import current_version
from lti_tool.database import db
from lti_tool.errors import (
    AlreadyDecided,
    ChangedElsewhere,
    CredentialRetired,
    EvidenceHidden,
    LinkInvalid,
    NewerWork,
    NotHere,
    SubmissionWithdrawn,
    TooManyFiles,
    UploadEmpty,
    UploadKind,
    UploadTooLarge,
    WorkClosed,
    WorkIncomplete,
)
from lti_tool.people.models import Person
from lti_tool.settings import current
from lti_tool.submissions import rules, store
from lti_tool.submissions.models import (
    Attempt,
    AttemptPlacement,
    AttemptState,
    Evidence,
    PrivacyReport,
    Rehearsal,
    Response,
    StackEarner,
    Submission,
    SubmittedAnswer,
    SubmittedEvidence,
    SubmittedStatement,
)
from lti_tool.submissions.rules import Missing

OPEN_STATES = (AttemptState.DRAFT, AttemptState.NOT_YET)
"""In which the earner may change the work."""
_FRESH = {"populate_existing": True}
Link = AttemptPlacement | Rehearsal


def open_attempt(
    person_id: int,
    credential_id: int,
    placement_id: int,
    account_id: int,
    *,
    rehearsal: bool = False,
    anew: bool = False,
    now: datetime,
) -> Attempt:
    """The person's work on a micro-credential, whatever course it was begun in; begun now if there is none.

    Work that was begun stays on its version. The activity is linked to it, so that a decision reaches this
    course's gradebook; where the activity offers a choice, a draft of another one is unlinked (and kept). In an
    activity that is a whole stack the parts are earned side by side.

    :param rehearsal: by the test student; such work and work that counts never meet.
    :param anew: what the person has demonstrated in another course is left there, and done again for this one.
    :raises NotHere: the activity does not offer this micro-credential.
    :raises WorkClosed: another one of the activity's choice was handed in already.
    :raises CredentialRetired: nobody begins it any more, and this person has not begun it before.
    """
    if db.session.get(PlacementChoice, (placement_id, credential_id)) is None:
        raise NotHere
    one_at_a_time(person_id)
    link = Rehearsal if rehearsal else AttemptPlacement
    in_stack = db.session.get_one(Placement, placement_id).stack_id is not None
    if not in_stack:
        _leave_others(link, person_id, credential_id, placement_id, account_id=account_id, now=now)
    attempt = _linked(link, person_id, credential_id, placement_id)
    if attempt is not None:
        return attempt
    attempt = _attempt_of(person_id, credential_id, rehearsal)
    if attempt is None or (anew and attempt.state is AttemptState.DEMONSTRATED):
        attempt = _begin(person_id, credential_id, account_id, rehearsal, now)
    _link(link, attempt.id, placement_id, account_id, in_stack=in_stack, now=now)
    return attempt


def take_stack(person_id: int, placement_id: int, account_id: int, *, now: datetime) -> None:
    """Note that the person takes the stack of this activity; a second time changes nothing."""
    one_at_a_time(person_id)
    if db.session.get(StackEarner, (placement_id, account_id)) is not None:
        return
    db.session.add(StackEarner(placement_id=placement_id, account_id=account_id, created_at=now))
    db.session.flush()
    audit.record("stack taken", "placement", placement_id, now=now, actor=account_id)


def one_at_a_time(person_id: int) -> None:
    """What a person starts, switches and hands in happens one after the other: two tabs that choose differently would
    both stay linked, or hand in what the other has just unlinked."""
    db.session.execute(
        update(Person)
        .where(Person.id == person_id)
        .values(created_at=Person.created_at)
        .execution_options(synchronize_session=False)
    )


def _attempt_of(person_id: int, credential_id: int, rehearsal: bool) -> Attempt | None:
    return db.session.scalars(
        select(Attempt)
        .join(Attempt.version)
        .where(
            Attempt.person_id == person_id,
            Attempt.rehearsal == rehearsal,
            Version.credential_id == credential_id,
        )
        .order_by(Version.number.desc(), Attempt.round.desc())
        .limit(1)
    ).first()


def _linked(link: type[Link], person_id: int, credential_id: int, placement_id: int) -> Attempt | None:
    """The person's work on it that this activity has already, whatever they have done elsewhere since."""
    return db.session.scalars(
        select(Attempt)
        .join(Attempt.version)
        .join(link, link.attempt_id == Attempt.id)
        .where(
            link.placement_id == placement_id,
            Attempt.person_id == person_id,
            Version.credential_id == credential_id,
        )
        .order_by(link.id.desc())
        .limit(1)
    ).first()


def _leave_others(
    link: type[Link],
    person_id: int,
    credential_id: int,
    placement_id: int,
    *,
    account_id: int,
    now: datetime,
) -> None:
    others = db.session.scalars(
        select(link.attempt_id)
        .join(Attempt, Attempt.id == link.attempt_id)
        .join(Attempt.version)
        .where(
            link.placement_id == placement_id,
            Attempt.person_id == person_id,
            Version.credential_id != credential_id,
        )
    ).all()
    if not others:
        return
    handed_in = exists().where(Submission.attempt_id.in_(others), Submission.withdrawn_at.is_(None))
    if db.session.scalar(select(handed_in)):
        raise WorkClosed
    db.session.execute(delete(link).where(link.placement_id == placement_id, link.attempt_id.in_(others)))
    audit.record(
        "choice switched", "placement", placement_id,
        now=now, actor=account_id, left=list(others), credential=credential_id,
    )  # fmt: skip


def _begin(person_id: int, credential_id: int, account_id: int, rehearsal: bool, now: datetime) -> Attempt:
    version = current_version(credential_id)
    if version.credential.retired_at is not None:
        raise CredentialRetired
    mine = {"person_id": person_id, "version_id": version.id, "rehearsal": rehearsal}
    done = db.session.scalar(
        select(func.max(Attempt.round)).filter_by(**mine, state=AttemptState.DEMONSTRATED)
    )
    attempt = Attempt(
        **mine, round=(done or 0) + 1, state=AttemptState.DRAFT, created_at=now, saved_at=now
    )  # fmt: skip
    try:
        with db.session.begin_nested():
            db.session.add(attempt)
    except IntegrityError:
        # The other tab began it.
        same = select(Attempt).filter_by(**mine, round=(done or 0) + 1)
        return db.session.scalars(same).one()
    audit.record("work started", "attempt", attempt.id, now=now, actor=account_id, version=version.id)
    return attempt


def _link(
    link: type[Link], attempt_id: int, placement_id: int, account_id: int, *, in_stack: bool, now: datetime
) -> None:
    query = select(link.id).filter_by(attempt_id=attempt_id, placement_id=placement_id)
    if db.session.scalar(query) is not None:
        return
    row = link(
        attempt_id=attempt_id,
        placement_id=placement_id,
        account_id=account_id,
        in_stack=in_stack,
        created_at=now,
    )
    try:
        with db.session.begin_nested():
            db.session.add(row)
    except IntegrityError:
        return  # The other tab linked it.


def save_draft(
    attempt_id: int, answers: Mapping[str, str], note: str, revision: int, *, now: datetime
) -> Attempt:
    """Keep what was typed.

    :param answers: text by key of the written task; a task that is not named keeps its answer.
    :param note: what the earner says has changed since the last feedback.
    :param revision: of the work that the earner had before them.
    :raises ChangedElsewhere: it has been saved since, with other words; nothing was written.
    :raises WorkClosed: it is with an assessor, or demonstrated.
    """
    typed = {key: rules.tidy(text) for key, text in answers.items()}
    attempt = _take(attempt_id, now, Attempt.revision == revision, note=rules.tidy(note))
    if attempt is None:
        return _unless_changed(attempt_id, typed, rules.tidy(note))
    rows = _responses(attempt_id)
    written = select(Task).where(Task.version_id == attempt.version_id, Task.kind == "written")
    for task in db.session.scalars(written):
        if task.key not in typed:
            continue
        row = rows.get(task.key)
        if row is None and typed[task.key]:
            db.session.add(
                Response(attempt_id=attempt_id, task_id=task.id, text=typed[task.key], saved_at=now)
            )
        elif row is not None and row.text != typed[task.key]:
            row.text, row.saved_at = typed[task.key], now
    db.session.flush()
    return attempt


def _unless_changed(attempt_id: int, typed: Mapping[str, str], note: str) -> Attempt:
    """A second click sends the same words again: nothing to save, and nothing to complain of."""
    attempt = _standing(attempt_id)
    if attempt.state not in OPEN_STATES:
        raise WorkClosed
    rows = _responses(attempt_id)
    saved = {key: rows[key].text if key in rows else "" for key in typed}
    if saved != typed or attempt.note != note:
        raise ChangedElsewhere
    return attempt


def _responses(attempt_id: int) -> dict[str, Response]:
    rows = db.session.execute(
        select(Task.key, Response)
        .join(Task, Task.id == Response.task_id)
        .where(Response.attempt_id == attempt_id)
        .execution_options(**_FRESH)
    )
    return {key: row for key, row in rows}  # noqa: C416  # a Row is a tuple, which dict() takes but its types do not say


def add_upload(attempt_id: int, task_key: str, filename: str, stream: BinaryIO, *, now: datetime) -> Evidence:
    """Keep a file as evidence. The same file a second time is the piece that is there.

    :param stream: seekable, from its start.
    :raises UploadEmpty: 0 bytes.
    :raises UploadTooLarge: above ``max_upload_mb``.
    :raises UploadKind: the task takes no files, or not of this kind.
    :raises TooManyFiles: the task is full.
    :raises WorkClosed: it is with an assessor, or demonstrated.
    """
    task = _evidence_task(attempt_id, task_key)
    size = stream.seek(0, os.SEEK_END)
    if not task.accepts_upload:
        raise UploadKind("This task takes no files.")
    if size == 0:
        raise UploadEmpty
    if size > current().max_upload_bytes:
        raise UploadTooLarge(f"A file may have at most {current().max_upload_mb} MB.")
    title = rules.clean_filename(filename)
    stream.seek(0)
    kind = rules.media_type(stream.read(rules.HEAD), title)
    if kind is None:
        raise UploadKind(f"Tessera takes {rules.KINDS_IN_WORDS}.")
    stream.seek(0)
    digest, size = store.put(stream)
    return _add(task, attempt_id, now, kind="upload", title=title, media_type=kind, size=size, digest=digest)


def add_link(attempt_id: int, task_key: str, url: str, title: str, *, now: datetime) -> Evidence:
    """Keep a link as evidence.

    :raises UploadKind: the task takes no links, as every task in which children may appear.
    :raises LinkInvalid: with the reason as its detail.
    :raises TooManyFiles: the task is full.
    :raises WorkClosed: it is with an assessor, or demonstrated.
    """
    task = _evidence_task(attempt_id, task_key)
    url = url.strip()
    if not task.accepts_link:
        raise UploadKind("This task takes no links.")
    problem = rules.link_problem(url)
    if problem is not None:
        raise LinkInvalid(problem)
    named = " ".join(rules.tidy(title).split())[: rules.LONGEST_TITLE] or url[: rules.LONGEST_TITLE]
    return _add(task, attempt_id, now, kind="link", title=named, url=url)


def _evidence_task(attempt_id: int, task_key: str) -> Task:
    task = db.session.scalar(
        select(Task)
        .join(Attempt, Attempt.version_id == Task.version_id)
        .where(Attempt.id == attempt_id, Task.key == task_key, Task.kind == "evidence")
    )
    if task is None:
        raise NotHere
    return task


def _add(task: Task, attempt_id: int, now: datetime, **facts: Any) -> Evidence:
    if _take(attempt_id, now) is None:
        raise WorkClosed
    standing = db.session.scalars(
        select(Evidence).where(
            Evidence.attempt_id == attempt_id, Evidence.task_id == task.id, Evidence.removed_at.is_(None)
        )
    ).all()
    if _was_hidden(attempt_id, facts.get("digest"), facts.get("url")):
        raise EvidenceHidden("It is hidden after a privacy report. Add another that shows nobody.")
    for piece in standing:
        same = (piece.digest, piece.url) == (facts.get("digest"), facts.get("url"))
        if same and piece.hidden_at is None:
            return piece
    if sum(piece.hidden_at is None for piece in standing) >= task.max_files:
        raise TooManyFiles(f"This task takes at most {task.max_files}.")
    evidence = Evidence(
        attempt_id=attempt_id, task_id=task.id, added_at=now,
        **({"url": None, "media_type": None, "size": None, "digest": None} | facts),
    )  # fmt: skip
    db.session.add(evidence)
    db.session.flush()
    return evidence


def _was_hidden(attempt_id: int, digest: str | None, url: str | None) -> bool:
    """Whether the very thing is hidden after a privacy report: adding it anew would show it again."""
    same = Evidence.digest == digest if digest is not None else Evidence.url == url
    hidden = select(Evidence.id).where(
        Evidence.attempt_id == attempt_id, Evidence.hidden_at.is_not(None), same
    )
    return db.session.scalar(hidden.limit(1)) is not None


def remove_evidence(attempt_id: int, evidence_id: int, *, now: datetime) -> None:
    """Take a piece out of the draft; what was handed in before keeps it. Removing it twice is no error.

    :raises NotHere: no such piece in this work.
    :raises WorkClosed: it is with an assessor, or demonstrated.
    """
    if _take(attempt_id, now) is None:
        raise WorkClosed
    evidence = db.session.get(Evidence, evidence_id)
    if evidence is None or evidence.attempt_id != attempt_id:
        raise NotHere
    if evidence.removed_at is None:
        evidence.removed_at = now
        db.session.flush()


def missing(attempt: Attempt) -> tuple[Missing, ...]:
    """What the work lacks before it can be handed in, in the order of the page."""
    tasks = sorted(attempt.version.tasks, key=lambda task: (task.part.position, task.position))
    keys = {task.id: task.key for task in tasks}
    return rules.missing(
        [
            rules.Asked(
                task.key, task.title, task.kind == "written", task.required, task.words_min, task.words_max
            )
            for task in tasks
        ],
        words={keys[row.task_id]: rules.count_words(row.text) for row in attempt.responses},
        pieces=Counter(keys[piece.task_id] for piece in _shown(attempt)),
        link_only={task.key for task in tasks if not task.accepts_upload},
    )


def _shown(attempt: Attempt) -> list[Evidence]:
    return [piece for piece in attempt.evidence if piece.removed_at is None and piece.hidden_at is None]


def hand_in(
    attempt_id: int,
    person_id: int,
    statements: Collection[str],
    *,
    now: datetime,
    actor: int | None = None,
) -> Submission:
    """Freeze the work and give it to the assessors, once.

    :param statements: keys of the statements that the earner confirmed (:func:`rules.statements`).
    :param actor: the account, for the audit.
    :raises WorkIncomplete: with the list; nothing was written.
    :raises WorkClosed: it is with an assessor already, or demonstrated.
    :raises ChangedElsewhere: it was changed in this very moment.
    """
    one_at_a_time(person_id)
    attempt = _standing(attempt_id)
    if attempt.person_id != person_id:
        raise NotHere
    if attempt.state not in OPEN_STATES:
        raise WorkClosed
    link = Rehearsal if attempt.rehearsal else AttemptPlacement
    if db.session.scalar(select(link.id).where(link.attempt_id == attempt_id).limit(1)) is None:
        raise ChangedElsewhere
    lacking = missing(attempt) + rules.unconfirmed(statements)
    if lacking:
        raise WorkIncomplete(tuple(item.text for item in lacking))
    # The revision is the one that was just found complete.
    taken = _take(attempt_id, now, Attempt.revision == attempt.revision, state=AttemptState.SUBMITTED)
    if taken is None:
        raise ChangedElsewhere if _standing(attempt_id).state in OPEN_STATES else WorkClosed
    submission = _frozen(attempt, statements, now)
    db.session.add(submission)
    db.session.flush()
    audit.record(
        "work handed in", "submission", submission.id,
        now=now, actor=actor, attempt=attempt_id, number=submission.number,
    )  # fmt: skip
    return submission


def _frozen(attempt: Attempt, statements: Collection[str], now: datetime) -> Submission:
    newest = db.session.scalar(select(func.max(Submission.number)).where(Submission.attempt_id == attempt.id))
    return Submission(
        attempt_id=attempt.id,
        number=(newest or 0) + 1,
        handed_in_at=now,
        note=attempt.note,
        withdrawn_at=None,
        answers=[
            SubmittedAnswer(task_id=row.task_id, text=row.text) for row in attempt.responses if row.text
        ],
        evidence=[
            SubmittedEvidence(evidence_id=piece.id, title=piece.title, url=piece.url, digest=piece.digest)
            for piece in _shown(attempt)
        ],
        statements=[
            SubmittedStatement(key=item.key, wording=item.wording)
            for item in rules.statements(current().word_for_learners_in_evidence)
            if item.key in statements
        ],
    )


def settle(submission_id: int, state: AttemptState, *, now: datetime) -> Attempt:
    """Let a decision about the waiting submission take effect on the work, once.

    After "not yet" the work is open again, with an empty note for what will change.

    :raises NotHere: no such submission.
    :raises SubmissionWithdrawn: it was taken back because of a privacy problem.
    :raises AlreadyDecided: somebody was quicker, or a newer submission waits.
    """
    submission = db.session.get(Submission, submission_id, populate_existing=True)
    if submission is None:
        raise NotHere
    if submission.withdrawn_at is not None:
        raise SubmissionWithdrawn
    newer = aliased(Submission)
    attempt = db.session.scalar(
        update(Attempt)
        .where(
            Attempt.id == submission.attempt_id,
            Attempt.state == AttemptState.SUBMITTED,
            ~exists().where(newer.attempt_id == submission.attempt_id, newer.number > submission.number),
        )
        .values(state=state, revision=Attempt.revision + 1, saved_at=now, note="")
        .returning(Attempt)
        .execution_options(**_FRESH)
    )
    if attempt is None:
        raise AlreadyDecided
    return attempt


def is_newest(submission: Submission) -> bool:
    """Whether nothing newer was handed in of the same work, but for what was taken back."""
    standing = [one.number for one in submission.attempt.submissions if one.withdrawn_at is None]
    return submission.number == max(standing, default=0)


def resettle(submission_id: int, before: AttemptState, after: AttemptState, *, now: datetime) -> Attempt:
    """Let a decision that takes an earlier one's place take effect on the work.

    :param before: where the earlier decision left the work.
    :raises NewerWork: the earner has handed in again since.
    """
    submission, newer = db.session.get_one(Submission, submission_id), aliased(Submission)
    changed = {"revision": Attempt.revision + 1, "saved_at": now, "note": ""} if after is not before else {}
    attempt = db.session.scalar(
        update(Attempt)
        .where(
            Attempt.id == submission.attempt_id,
            Attempt.state == before,
            ~exists().where(
                newer.attempt_id == submission.attempt_id,
                newer.number > submission.number,
                newer.withdrawn_at.is_(None),
            ),
        )
        .values(state=after, **changed)
        .returning(Attempt)
        .execution_options(**_FRESH)
    )
    if attempt is None:
        raise NewerWork
    return attempt


def report_privacy_problem(evidence_id: int, account_id: int, note: str, *, now: datetime) -> PrivacyReport:
    """Hide a piece of evidence from everybody at once; faculty look at it afterwards.

    A submission that waits with it goes back to the earner unjudged and uses up no try. A second report while
    the piece is hidden is the first one.

    :raises NotHere: no such evidence.
    """
    evidence = db.session.scalar(
        update(Evidence)
        .where(Evidence.id == evidence_id, Evidence.hidden_at.is_(None))
        .values(hidden_at=now)
        .returning(Evidence)
        .execution_options(**_FRESH)
    )
    if evidence is None:
        return _report_that_stands(evidence_id)
    report = PrivacyReport(
        evidence_id=evidence_id, reported_by_account_id=account_id, reported_at=now, note=rules.tidy(note)
    )
    db.session.add(report)
    db.session.flush()
    withdrawn = _withdraw(evidence, account_id, now)
    audit.record(
        "privacy problem reported", "evidence", evidence_id,
        now=now, actor=account_id, report=report.id, submission=withdrawn,
    )  # fmt: skip
    return report


def _report_that_stands(evidence_id: int) -> PrivacyReport:
    report = db.session.scalars(
        select(PrivacyReport)
        .where(PrivacyReport.evidence_id == evidence_id)
        .order_by(PrivacyReport.id.desc())
        .limit(1)
    ).first()
    if report is None:
        raise NotHere
    return report


def _withdraw(evidence: Evidence, account_id: int, now: datetime) -> int | None:
    """Take back the submission that waits with this piece. Returns its id, or None if none does."""
    newest = db.session.scalars(
        select(Submission)
        .where(Submission.attempt_id == evidence.attempt_id, Submission.withdrawn_at.is_(None))
        .order_by(Submission.number.desc())
        .limit(2)
    ).all()
    waiting = newest[0] if newest else None
    if waiting is None or db.session.get(SubmittedEvidence, (waiting.id, evidence.id)) is None:
        return None
    # An earlier submission that was not taken back has been judged, or this one could not have followed it.
    before = AttemptState.NOT_YET if len(newest) > 1 else AttemptState.DRAFT
    taken_back = db.session.scalar(
        update(Attempt)
        .where(Attempt.id == evidence.attempt_id, Attempt.state == AttemptState.SUBMITTED)
        .values(state=before, revision=Attempt.revision + 1)
        .returning(Attempt)
        .execution_options(**_FRESH)
    )
    if taken_back is None:
        return None
    waiting.withdrawn_at = now
    db.session.flush()
    audit.record(
        "submission taken back", "submission", waiting.id, now=now, actor=account_id, attempt=taken_back.id
    )
    return waiting.id


def resolve_privacy_report(
    report_id: int, account_id: int, resolution: str, *, now: datetime
) -> PrivacyReport:
    """Faculty have looked: ``removed`` keeps the piece hidden for good, ``restored`` shows it again.

    :raises ValueError: another resolution.
    :raises NotHere: no such report.
    :raises AlreadyDecided: it was resolved before.
    """
    if resolution not in ("removed", "restored"):
        raise ValueError(f"There is no resolution {resolution!r}.")
    report = db.session.scalar(
        update(PrivacyReport)
        .where(PrivacyReport.id == report_id, PrivacyReport.resolved_at.is_(None))
        .values(resolved_at=now, resolved_by_account_id=account_id, resolution=resolution)
        .returning(PrivacyReport)
        .execution_options(**_FRESH)
    )
    if report is None:
        raise AlreadyDecided if db.session.get(PrivacyReport, report_id) is not None else NotHere
    if resolution == "restored":
        db.session.execute(update(Evidence).where(Evidence.id == report.evidence_id).values(hidden_at=None))
    audit.record(
        "privacy problem resolved", "evidence", report.evidence_id,
        now=now, actor=account_id, report=report_id, resolution=resolution,
    )  # fmt: skip
    db.session.flush()
    return report


def _take(attempt_id: int, now: datetime, *conditions: Any, **values: Any) -> Attempt | None:
    """Change the work if it is open and the conditions hold; its row stays locked until the commit."""
    return db.session.scalar(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state.in_(OPEN_STATES), *conditions)
        .values(revision=Attempt.revision + 1, saved_at=now, **values)
        .returning(Attempt)
        .execution_options(**_FRESH)
    )


def _standing(attempt_id: int) -> Attempt:
    attempt = db.session.get(Attempt, attempt_id, populate_existing=True)
    if attempt is None:
        raise NotHere
    return attempt
