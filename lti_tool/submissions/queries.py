"""Read models of the earner's pages. Each is a constant number of queries, however long the work is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.sql import Select

from lti_tool.credentials.models import Credential, Criterion, Level, Part, Task, Version
from lti_tool.credentials.queries import full_version
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.submissions import rules
from lti_tool.submissions.models import (
    Attempt,
    AttemptPlacement,
    AttemptState,
    Evidence,
    Rehearsal,
    Submission,
)
from lti_tool.submissions.service import OPEN_STATES

_ORDER = (rules.OWN_WORK, rules.NO_NAMES, *rules.PEOPLE)


@dataclass(frozen=True)
class Piece:
    """One piece of evidence as a page shows it."""

    id: int
    filename: str
    kind: str
    """``file`` or ``link``."""
    size: int | None
    """Bytes; None for a link."""
    url: str | None
    """Where a link leads; None for a file, whose address depends on the visit."""
    hidden: bool
    shown_as: str | None
    """How a page can show it in itself (rules.way_to_show); None where it can only be saved."""


@dataclass(frozen=True)
class TaskView:
    """A task with what stands under it."""

    id: int
    key: str
    title: str
    prompt: str
    written: bool
    required: bool
    words_min: int | None
    words_max: int | None
    accepts_upload: bool
    accepts_link: bool
    involves_children: bool
    alternatives: str
    max_files: int
    answer: str
    words: int
    pieces: tuple[Piece, ...]

    @property
    def room(self) -> int:
        """How many more pieces of evidence the task takes."""
        return max(0, self.max_files - sum(not piece.hidden for piece in self.pieces))


@dataclass(frozen=True)
class CriterionView:
    """A row of the rubric, as components/rubric.html wants it."""

    key: str
    title: str
    description: str
    part_title: str | None
    levels: Sequence[Level]
    feedback_hint: str | None
    """For the assessor only."""


@dataclass(frozen=True)
class PartView:
    """A part of the work with its tasks and its own rows of the rubric."""

    key: str
    title: str
    intro: str
    passing: str
    tasks: tuple[TaskView, ...]
    criteria: tuple[CriterionView, ...]


@dataclass(frozen=True)
class Draft:
    """The work as it stands now."""

    attempt: Attempt
    version: Version
    parts: tuple[PartView, ...]
    last_saved: datetime | None
    """None before anything was typed or added."""

    @property
    def open(self) -> bool:
        """Whether the earner may change it."""
        return self.attempt.state in OPEN_STATES

    @property
    def again(self) -> bool:
        """Whether an assessor has seen an earlier submission."""
        return self.attempt.state is AttemptState.NOT_YET


@dataclass(frozen=True)
class Work:
    """That somebody worked on a micro-credential: since when, and how it stands."""

    began: datetime
    state: AttemptState


@dataclass(frozen=True)
class Frozen:
    """A submission as it was handed in."""

    submission: Submission
    version: Version
    parts: tuple[PartView, ...]
    statements: tuple[str, ...]


def _linked(link: type[Rehearsal | AttemptPlacement]) -> Select[Attempt]:
    return (
        select(Attempt)
        .join(link, link.attempt_id == Attempt.id)
        .where(Attempt.person_id == bindparam("person_id"), link.placement_id == bindparam("placement_id"))
        .options(joinedload(Attempt.version), selectinload(Attempt.submissions))
        .order_by(link.id.desc())
        .limit(1)
    )


_HERE = {False: _linked(AttemptPlacement), True: _linked(Rehearsal)}
_ON_THESE = (
    select(Attempt)
    .join(Attempt.version)
    .where(
        Attempt.person_id == bindparam("person_id"),
        Attempt.rehearsal == bindparam("rehearsal"),
        Version.credential_id.in_(bindparam("credential_ids", expanding=True)),
    )
    .options(joinedload(Attempt.version), selectinload(Attempt.submissions))
    .order_by(Version.number, Attempt.round)
)


def attempt_here(
    person_id: int, placement_id: int, *, rehearsal: bool = False, part: str | None = None
) -> Attempt | None:
    """The work that the person opened from this activity, if any.

    :param part: in an activity that is a whole stack, the key of the part that is meant.
    """
    query, values = _HERE[rehearsal], {"person_id": person_id, "placement_id": placement_id}
    if part is not None:
        query = query.join(Attempt.version).join(Version.credential).where(Credential.key == part)
    return db.session.scalars(query, values).first()


def work_of(person_ids: Collection[int], *, rehearsal: bool = False) -> dict[int, dict[str, Work]]:
    """What these persons ever worked on: person -> key of the micro-credential -> the work, in whatever version."""
    rows = db.session.execute(
        select(Attempt.person_id, Credential.key, Attempt.created_at, Attempt.state)
        .join(Attempt.version)
        .join(Version.credential)
        .where(Attempt.person_id.in_(person_ids), Attempt.rehearsal == rehearsal)
        .order_by(Version.number)
    )
    found: dict[int, dict[str, Work]] = {person_id: {} for person_id in person_ids}
    for person_id, key, began, state in rows:
        before = found[person_id].get(key)
        found[person_id][key] = Work(began if before is None else min(began, before.began), state)
    return found


def attempts_of(
    person_id: int, credential_ids: Collection[int], *, rehearsal: bool = False
) -> dict[int, Attempt]:
    """The person's work on each of these micro-credentials, from whatever course, by the credential's id."""
    values = {
        "person_id": person_id,
        "rehearsal": rehearsal,
        "credential_ids": list(credential_ids),
    }
    rows = db.session.scalars(_ON_THESE, values)
    return {row.version.credential_id: row for row in rows}


def draft(attempt_id: int) -> Draft:
    """The work with its tasks, answers and evidence.

    :raises NotHere: no such work.
    """
    attempt = db.session.scalars(
        select(Attempt)
        .where(Attempt.id == attempt_id)
        .options(
            selectinload(Attempt.responses), selectinload(Attempt.evidence), selectinload(Attempt.submissions)
        )
        .execution_options(populate_existing=True)
    ).first()
    if attempt is None:
        raise NotHere
    version = full_version(attempt.version_id)
    answers = {row.task_id: row.text for row in attempt.responses}
    pieces = [_piece(row, row.title, row.url) for row in attempt.evidence if row.removed_at is None]
    at = [row.saved_at for row in attempt.responses] + [row.added_at for row in attempt.evidence]
    return Draft(
        attempt,
        version,
        parts_of(version, answers, _by_task(attempt.evidence, pieces)),
        max(at, default=None),
    )


def frozen(submission_id: int) -> Frozen:
    """A submission with the answers and evidence that were handed in, hidden pieces marked.

    :raises NotHere: no such submission.
    """
    submission = db.session.scalars(
        select(Submission)
        .where(Submission.id == submission_id)
        .options(
            joinedload(Submission.attempt),
            selectinload(Submission.answers),
            selectinload(Submission.evidence),
            selectinload(Submission.statements),
        )
        .execution_options(populate_existing=True)
    ).first()
    if submission is None:
        raise NotHere
    version = full_version(submission.attempt.version_id)
    answers = {row.task_id: row.text for row in submission.answers}
    evidence = [row.evidence for row in submission.evidence]
    pieces = [_piece(row.evidence, row.title, row.url) for row in submission.evidence]
    return Frozen(
        submission,
        version,
        parts_of(version, answers, _by_task(evidence, pieces)),
        tuple(row.wording for row in sorted(submission.statements, key=lambda row: _ORDER.index(row.key))),
    )


def own_submission(person_id: int, attempt_id: int, number: int) -> Submission:
    """By its number.

    :raises NotHere: no such submission, or another person's.
    """
    submission = db.session.scalar(
        select(Submission)
        .join(Attempt)
        .where(Attempt.person_id == person_id, Attempt.id == attempt_id, Submission.number == number)
    )
    if submission is None:
        raise NotHere
    return submission


def own_evidence(person_id: int, evidence_id: int) -> Evidence:
    """A piece that this person added, hidden or not.

    :raises NotHere: no such piece, or another person's.
    """
    evidence = db.session.scalar(
        select(Evidence).join(Attempt).where(Attempt.person_id == person_id, Evidence.id == evidence_id)
    )
    if evidence is None:
        raise NotHere
    return evidence


def rubric_of(version: Version) -> tuple[CriterionView, ...]:
    """The whole rubric in the order of its parts."""
    return tuple(
        _criterion(row, row.part.title)
        for row in sorted(version.criteria, key=lambda row: (row.part.position, row.position))
    )


def parts_of(
    version: Version,
    answers: Mapping[int, str] | None = None,
    pieces: Mapping[int, Sequence[Piece]] | None = None,
) -> tuple[PartView, ...]:
    """The parts of a version, with answers and evidence by task id where there are any."""
    return tuple(_part(part, version, answers or {}, pieces or {}) for part in version.parts)


def _part(
    part: Part, version: Version, answers: Mapping[int, str], pieces: Mapping[int, Sequence[Piece]]
) -> PartView:
    return PartView(
        key=part.key,
        title=part.title,
        intro=part.intro,
        passing=part.passing,
        tasks=tuple(
            _task(task, answers.get(task.id, ""), tuple(pieces.get(task.id, ())))
            for task in version.tasks
            if task.part_id == part.id
        ),
        criteria=tuple(_criterion(row, None) for row in version.criteria if row.part_id == part.id),
    )


def _task(task: Task, answer: str, pieces: tuple[Piece, ...]) -> TaskView:
    return TaskView(
        id=task.id,
        key=task.key,
        title=task.title,
        prompt=task.prompt,
        written=task.kind == "written",
        required=task.required,
        words_min=task.words_min,
        words_max=task.words_max,
        accepts_upload=task.accepts_upload,
        accepts_link=task.accepts_link,
        involves_children=task.involves_children,
        alternatives=task.alternatives,
        max_files=task.max_files,
        answer=answer,
        words=rules.count_words(answer),
        pieces=pieces,
    )


def _criterion(row: Criterion, part_title: str | None) -> CriterionView:
    return CriterionView(row.key, row.title, row.description, part_title, row.levels, row.feedback_hint)


def _piece(row: Evidence, title: str, url: str | None) -> Piece:
    return Piece(
        id=row.id,
        # What must not be seen may stand in its name or address as well.
        filename=title if row.hidden_at is None else "Hidden evidence",
        kind="link" if row.kind == "link" else "file",
        size=row.size,
        url=url if row.hidden_at is None else None,
        hidden=row.hidden_at is not None,
        shown_as=rules.way_to_show(row.media_type),
    )


def _by_task(evidence: Sequence[Evidence], pieces: Sequence[Piece]) -> dict[int, list[Piece]]:
    tasks = {row.id: row.task_id for row in evidence}
    grouped: dict[int, list[Piece]] = {}
    for piece in pieces:
        grouped.setdefault(tasks[piece.id], []).append(piece)
    return grouped


def taken_back(attempt: Attempt) -> Submission | None:
    """The last submission, if it came back unjudged because of a privacy problem."""
    last = attempt.submissions[-1] if attempt.submissions else None
    return last if last is not None and last.withdrawn_at is not None else None
