"""What may be handed in: words, files, links, statements; and when feedback can be expected."""

import hashlib
import ipaddress
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlsplit

LONGEST_URL = 2000
LONGEST_TITLE = 120
HEAD = 4096
"""Bytes from the start of a file that are enough to tell its kind."""


@dataclass(frozen=True)
class Missing:
    """One thing that stands between the work and handing it in; ``field`` is the form field that mends it."""

    field: str
    text: str
    word: str = "Missing"
    """What is wrong, in a word or two."""


@dataclass(frozen=True)
class Asked:
    """What a task asks for, as far as completeness goes. ``words_*`` only for written tasks."""

    key: str
    title: str
    written: bool
    required: bool
    words_min: int | None = None
    words_max: int | None = None


@dataclass(frozen=True)
class Statement:
    """Something the earner confirms when handing in, in the words they see."""

    key: str
    wording: str


OWN_WORK = "own_work"
NO_NAMES = "no_names"
PERMISSION = "permission"
NO_ONE_ELSE = "no_one_else"
PEOPLE = (PERMISSION, NO_ONE_ELSE)
"""Exactly one of these two is true of any evidence."""


def answer_field(task_key: str) -> str:
    """The form field of a written task."""
    return f"answer-{task_key}"


def file_field(task_key: str) -> str:
    """The form field for the files of an evidence task."""
    return f"file-{task_key}"


def link_field(task_key: str) -> str:
    """The form field for a link of an evidence task."""
    return f"link-{task_key}"


def tidy(text: str) -> str:
    """What a form sent, as it is kept: browsers send CRLF, and PostgreSQL takes no NUL."""
    return text.replace("\r\n", "\n").replace("\x00", "").rstrip()


def fingerprint(text: str) -> str:
    """Tells whether two tidied texts are the same, without carrying one of them about."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def count_words(text: str) -> int:
    """As static/js/words.js counts them: what stands between white space."""
    return len(text.split())


def missing(
    asked: Sequence[Asked],
    words: Mapping[str, int],
    pieces: Mapping[str, int],
    link_only: Collection[str] = (),
) -> tuple[Missing, ...]:
    """What is lacking, in the order of the tasks.

    :param words: of each written answer, by task key; absent is none.
    :param pieces: of visible evidence for each evidence task, by task key.
    :param link_only: keys of the evidence tasks that take no upload.
    """
    found = []
    for task in asked:
        if task.written:
            lacks = _about_words(task, words.get(task.key, 0))
            field = answer_field(task.key)
        else:
            empty = task.required and not pieces.get(task.key, 0)
            lacks = ("Missing", "nothing added yet") if empty else None
            field = link_field(task.key) if task.key in link_only else file_field(task.key)
        if lacks is not None:
            word, text = lacks
            found.append(Missing(field, f"{task.title}: {text}", word))
    return tuple(found)


def _about_words(task: Asked, words: int) -> tuple[str, str] | None:
    if words == 0:
        return ("Missing", "not answered yet") if task.required else None
    so_far = "1 word" if words == 1 else f"{words} words"
    if task.words_min is not None and words < task.words_min:
        return "Too short", f"{so_far} so far, at least {task.words_min} are asked for"
    if task.words_max is not None and words > task.words_max:
        return "Too long", f"{so_far}, at most {task.words_max} are asked for"
    return None


def statements(learner: str) -> tuple[Statement, ...]:
    """All statements. ``learner`` is what the children in evidence are called here, such as "pupil"."""
    return (
        Statement(
            OWN_WORK,
            "This is my own work. Where I used the words, ideas or tools of others, AI tools included,"
            " I say so.",
        ),
        Statement(
            NO_NAMES,
            f"I have left out the name of every {learner}, family member and colleague, and my own: in my"
            " answers, inside my files and in the names of my files.",
        ),
        Statement(
            PERMISSION,
            "Other people can be seen, heard or recognized in my evidence, and I have the written permission"
            f" of everyone; for every {learner}, that of a parent or guardian.",
        ),
        Statement(NO_ONE_ELSE, "No one else appears in my evidence."),
    )


def unconfirmed(keys: Collection[str]) -> tuple[Missing, ...]:
    """Which statements are still open, given the keys of the confirmed ones."""
    found = []
    if OWN_WORK not in keys:
        found.append(Missing(OWN_WORK, "Please confirm that this is your own work."))
    if NO_NAMES not in keys:
        found.append(Missing(NO_NAMES, "Please confirm that names are left out."))
    if sum(key in keys for key in PEOPLE) != 1:
        found.append(Missing("people", "Please say whether other people appear in your evidence."))
    return tuple(found)


def feedback_due(handed_in: date, business_days: int) -> date:
    """The last day of the promised turnaround. Saturdays and Sundays do not count; holidays are unknown."""
    day, left = handed_in, business_days
    while left > 0:
        day += timedelta(days=1)
        if day.weekday() < 5:
            left -= 1
    return day


# Files

_SIGNATURES = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"{\\rtf", "application/rtf"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_MPEG_FRAME = (b"\xfb", b"\xfa", b"\xf3", b"\xf2")
_FTYP = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
    b"avif": "image/avif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
# Inside a ZIP or an old Office container only the name says which program opens it. None is shown inline.
_ZIPPED = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "pages": "application/vnd.apple.pages",
    "key": "application/vnd.apple.keynote",
    "numbers": "application/vnd.apple.numbers",
}
_OLE = {
    "doc": "application/msword",
    "ppt": "application/vnd.ms-powerpoint",
    "xls": "application/vnd.ms-excel",
}
_NEVER_TEXT = frozenset(
    {
        *_ZIPPED,
        *_OLE,
        "pdf",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "webp",
        "heic",
        "mp3",
        "m4a",
        "wav",
        "mp4",
        "mov",
        "webm",
    }
)
# A browser shows these itself and can do nothing else with them.
_INLINE = frozenset(
    {
        "application/pdf", "image/png", "image/jpeg", "image/gif", "image/webp", "text/plain",
        "audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav", "video/mp4", "video/webm",
    }
)  # fmt: skip
KINDS_IN_WORDS = "PDF, Word, PowerPoint, Excel, OpenDocument, pictures, sound, video or plain text"


def media_type(head: bytes, filename: str) -> str | None:
    """What a file is, judged by its first :data:`HEAD` bytes, never by what the sender says.

    :return: None for a kind that assessors are not asked to open: programs, scripts, archives, unknown bytes.
    """
    extension = filename.rpartition(".")[2].lower()
    for signature, known in _SIGNATURES:
        if head.startswith(signature):
            return known
    for container, kind in (
        (head.startswith(b"RIFF"), _RIFF.get(head[8:12])),
        (head[4:8] == b"ftyp", _FTYP.get(head[8:12], "video/mp4")),
        (head.startswith(b"PK\x03\x04"), _ZIPPED.get(extension)),
        (head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), _OLE.get(extension)),
        (head[:1] == b"\xff" and head[1:2] in _MPEG_FRAME, "audio/mpeg"),
    ):
        if container:
            return kind
    # A sign-in page that was saved as plan.pdf: its owner should learn it now, not the assessor later.
    return "text/plain" if _is_text(head) and extension not in _NEVER_TEXT else None


def _is_text(head: bytes) -> bool:
    if head.startswith(b"#!"):
        return False
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    # Old word processors wrote Latin-1, so any byte above 127 passes; control bytes are what text never has.
    return not any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)


def shown_inline(kind: str) -> bool:
    """Whether a browser may show the file in its own window instead of saving it."""
    return kind in _INLINE


def way_to_show(kind: str | None) -> str | None:
    """How a page can show a file of this media type in itself: ``image``, ``sound``, ``film``, ``document``, or not."""
    if kind is None or kind not in _INLINE:
        return None
    return {"image": "image", "audio": "sound", "video": "film"}.get(kind.partition("/")[0], "document")


def clean_filename(name: str) -> str:
    """The last part of whatever path was sent, without characters that mislead, shortened if too long."""
    last = re.split(r"[/\\]", name)[-1]
    # Cc and Cf hold line breaks and the marks that turn "gpj.exe" around on the screen.
    visible = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp"))
    visible = " ".join(visible.split()).strip(". ")
    if len(visible) > LONGEST_TITLE:
        stem, dot, extension = visible.rpartition(".")
        tail = dot + extension if dot and len(extension) <= 10 else ""
        visible = (stem if tail else visible)[: LONGEST_TITLE - len(tail) - 1] + "…" + tail
    return visible or "file"


# Links


def link_problem(url: str) -> str | None:
    """Why an assessor could not open this address, in words; None if nothing speaks against it."""
    if len(url) > LONGEST_URL:
        return f"The address is too long: at most {LONGEST_URL} characters."
    try:
        parts = urlsplit(url)
        valid = parts.port != 0 and not any(c.isspace() or unicodedata.category(c) == "Cc" for c in url)
    except ValueError:
        valid = False
    if not valid:
        return "This is not a web address. Please copy it again from the address bar."
    if parts.scheme not in ("http", "https"):
        return "The address must begin with https:// (or http://)."
    if parts.username is not None or parts.password is not None:
        return "The address contains a user name or password. Please use one that works without."
    if not _is_public(parts.hostname or ""):
        return "An assessor cannot reach this address. Please use one that opens from anywhere."
    return None


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        name, dot, top = host.rstrip(".").rpartition(".")
        return bool(name and dot and top) and top not in ("localhost", "local", "internal")
