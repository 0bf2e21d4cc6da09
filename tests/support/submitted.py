"""Work that was handed in, made by the verbs that an earner's pages use; and ratings for it."""

from datetime import datetime
from io import BytesIO

from sqlalchemy import select

from lti_tool.assessment.rules import Mark
from lti_tool.credentials.models import Placement, Version
from lti_tool.credentials.queries import full_version
from lti_tool.database import db
from lti_tool.submissions import service
from lti_tool.submissions.models import Attempt, Submission
from lti_tool.submissions.rules import NO_NAMES, NO_ONE_ELSE, OWN_WORK
from tests.support.apps import NOON
from tests.support.cast import Campus

PDF = b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"


def begin_work(
    campus: Campus, who: str, *, placement: int | None = None, at: datetime = NOON, rehearsal: bool = False
) -> Attempt:
    """The person opens the activity and begins."""
    activity = db.session.get_one(Placement, placement or campus.placement)
    return service.open_attempt(
        campus.persons[who],
        activity.choices[0].credential_id,
        activity.id,
        campus.accounts[who],
        rehearsal=rehearsal,
        now=at,
    )


def hand_in_work(
    campus: Campus,
    who: str,
    *,
    placement: int | None = None,
    at: datetime = NOON,
    note: str = "",
    rehearsal: bool = False,
) -> Submission:
    """The person answers and uploads all that is required, and hands it in. Does not commit."""
    attempt = begin_work(campus, who, placement=placement, at=at, rehearsal=rehearsal)
    return hand_in_attempt(attempt, campus, who, at=at, note=note)


def hand_in_attempt(
    attempt: Attempt, campus: Campus, who: str, *, at: datetime = NOON, note: str = ""
) -> Submission:
    """As :func:`hand_in_work`, with work that was begun already."""
    version = full_version(attempt.version_id)
    written = [task for task in version.tasks if task.kind == "written"]
    answers = {task.key: "thought " * (task.words_min or 20) for task in written}
    service.save_draft(attempt.id, answers, note, attempt.revision, now=at)
    for task in version.tasks:
        if task.kind == "evidence" and task.required:
            name, stream = f"{task.key}.pdf", BytesIO(PDF + task.key.encode())
            service.add_upload(attempt.id, task.key, name, stream, now=at)
    db.session.expire_all()
    return service.hand_in(
        attempt.id, campus.persons[who], {OWN_WORK, NO_NAMES, NO_ONE_ELSE}, now=at, actor=campus.accounts[who]
    )


def marks_for(version: Version, *, below: int = 0) -> dict[str, Mark]:
    """Every criterion at the level needed to pass, but for the last ``below``, which get the lowest with a comment."""
    marks = {}
    for at, criterion in enumerate(version.criteria):
        required = next(level.key for level in criterion.levels if level.required)
        unmet = at >= len(version.criteria) - below
        marks[criterion.key] = (
            Mark(criterion.levels[0].key, f"Show more of {criterion.title}.") if unmet else Mark(required, "")
        )
    return marks


def form_of(marks: dict[str, Mark], **more: str) -> dict[str, str]:
    """The marks as the assessor's form sends them."""
    levels = {f"level-{key}": mark.level for key, mark in marks.items() if mark.level}
    return levels | {f"comment-{key}": mark.comment for key, mark in marks.items()} | more


def version_of(submission: Submission) -> Version:
    """The version that a submission was made under."""
    return full_version(
        db.session.scalars(select(Attempt.version_id).where(Attempt.id == submission.attempt_id)).one()
    )
