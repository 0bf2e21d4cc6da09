"""The form of the work page: an hour of writing, and files that may be anything.

The words come first and by themselves; no file, link, second tab or visit that is over may cost them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, cast

from flask import g, request
from werkzeug.datastructures import FileStorage
from werkzeug.formparser import FormDataParser

from lti_tool import clock, errors
from lti_tool.database import db
from lti_tool.routes.forms import whole
from lti_tool.settings import current
from lti_tool.submissions import rules, service
from lti_tool.submissions.queries import Draft, TaskView

LARGEST_BODY = 2 * 1024**3
"""Bytes. Beyond this even the words are refused: some hours of a telephone's video."""
_IN_MEMORY = 500 * 1024
_WHY_NOT = {
    errors.UploadEmpty: "it is empty (0 bytes). Check it on your computer, then choose it again.",
    errors.UploadTooLarge: "it is too large. Make it smaller, for example a lower video quality.",
    errors.UploadKind: (
        "this is not a kind of file that is taken here, or it is not what its name says. "
        "Open it on your computer to see."
    ),
    errors.TooManyFiles: "the task is full. Remove something first.",
    errors.EvidenceHidden: "it is the very same file.",
}


@dataclass
class Sent:
    """What came with the form, and what of it could not be kept."""

    answers: dict[str, str] = field(default_factory=dict)
    """By task key, as typed."""
    note: str | None = None
    links: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Address and name of each link that was refused, by task key."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Form field and message."""
    conflict: bool = False
    """Another tab had saved other words, so these were not written."""

    was: dict[str, str] = field(default_factory=dict)
    """Fingerprints of the answers as they stood when this page was loaded, by task key."""

    def kept_back(self, saved: Mapping[str, str]) -> dict[str, str]:
        """What the form must show instead of what is saved: what was typed, but for fields that only the other tab
        has changed."""
        if not self.conflict:
            return self.answers
        return {
            key: text
            for key, text in self.answers.items()
            if rules.fingerprint(rules.tidy(text)) != self.was.get(key) or rules.tidy(text) == saved[key]
        }

    def changed_twice(self, saved: Mapping[str, str]) -> list[str]:
        """Keys of the answers that both tabs have changed, each in its own way."""
        return [
            key
            for key, text in self.kept_back(saved).items()
            if self.conflict
            and rules.tidy(text) != saved[key]
            and rules.fingerprint(saved[key]) != self.was.get(key)
        ]

    @property
    def kept(self) -> bool:
        return not self.problems and not self.conflict


def prepare() -> None:
    """Read the whole body of this request, but of each file only as much as shows that it is too large.

    Werkzeug answers a body above the limit with a bare 413 and never looks at the words in it. To be called
    before anything reads the form.
    """
    request.max_content_length = LARGEST_BODY
    request.form_data_parser_class = _CappedFiles


def save(draft: Draft) -> Sent:
    """Save the words, then each file and link, and commit each, so that a bad one costs only itself.

    :raises WorkClosed: the work is with an assessor, or demonstrated.
    """
    tasks = [task for part in draft.parts for task in part.tasks]
    sent = Sent(
        answers={
            task.key: request.form[rules.answer_field(task.key)]
            for task in tasks
            if rules.answer_field(task.key) in request.form
        },
        note=request.form.get("note", draft.attempt.note),
        was={task.key: request.form.get(f"was-{task.key}", "") for task in tasks},
    )
    attempt_id = draft.attempt.id
    revision = request.form.get("revision", -1, type=whole)
    try:
        service.save_draft(attempt_id, sent.answers, sent.note or "", revision, now=clock.now())
        db.session.commit()
    except errors.ChangedElsewhere:
        db.session.rollback()
        sent.conflict = True
    for task in tasks:
        if not task.written:
            for file in request.files.getlist(rules.file_field(task.key)):
                _add_file(attempt_id, task, file, sent)
            _add_link(attempt_id, task, sent)
    return sent


def _add_file(attempt_id: int, task: TaskView, file: FileStorage, sent: Sent) -> None:
    if not file.filename:
        return
    try:
        service.add_upload(attempt_id, task.key, file.filename, cast(BinaryIO, file.stream), now=clock.now())
        db.session.commit()
    except tuple(_WHY_NOT) as refusal:
        db.session.rollback()
        name = rules.clean_filename(file.filename)
        detail = refusal.detail if isinstance(refusal, errors.Refused) else ""
        message = f"{name} was not added: {_WHY_NOT[type(refusal)]} {detail}".strip()
        sent.problems.append((f"task-{task.key}" if task.room == 0 else rules.file_field(task.key), message))


def _add_link(attempt_id: int, task: TaskView, sent: Sent) -> None:
    name = rules.link_field(task.key)
    url, title = request.form.get(name, "").strip(), request.form.get(f"{name}-title", "")
    if not url:
        return
    try:
        service.add_link(attempt_id, task.key, url, title, now=clock.now())
        db.session.commit()
    except (errors.LinkInvalid, errors.TooManyFiles, errors.UploadKind, errors.EvidenceHidden) as refusal:
        db.session.rollback()
        sent.problems.append((name if task.accepts_link else f"task-{task.key}", _about_link(refusal)))
        sent.links[task.key] = (url, title)


def _about_link(refusal: errors.Refused) -> str:
    return f"The link was not added. {refusal.detail}".strip()


class _Capped(SpooledTemporaryFile[bytes]):
    """Drops what comes after ``most`` bytes, and says that it was written."""

    def __init__(self, most: int) -> None:
        super().__init__(max_size=_IN_MEMORY, mode="w+b")
        self._room = most

    def write(self, data: Any) -> int:
        kept = data[: self._room]
        self._room -= len(kept)
        super().write(kept)
        return len(data)


class _CappedFiles(FormDataParser):
    def __init__(self, stream_factory: Callable[..., IO[bytes]] | None = None, **options: Any) -> None:
        del stream_factory  # Werkzeug's own keeps everything.
        super().__init__(_one_byte_too_many, **options)


def _one_byte_too_many(*_about: Any, **_file: Any) -> IO[bytes]:
    # Before a visit stands open nobody has shown who they are, and only the words may cost us anything.
    return _Capped(current().max_upload_bytes + 1 if "visit" in g else 0)
