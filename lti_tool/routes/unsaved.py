"""Words that could not be saved are handed back to the person who typed them, and kept nowhere."""

import re

from flask import request

from lti_tool import errors

NOT_SAVED = (errors.SessionOver, errors.StayOver, errors.FormStale, errors.WorkClosed, errors.NewerWork)
_WRITING = {
    "answer": "{}",
    "comment": "Comment on {}",
    "feedback": "Feedback",
    "level": "Level chosen for {}",
    "link": "Link for {}",
    "note": "Note",
    "why": "Reason for the change",
}
"""How fields that cost people work are called, by the first part of their name."""
_SPACE = re.compile(r"\s")


def typed_words() -> list[tuple[str, str]]:
    """Label and text of what was written into the form that is being refused.

    Nothing where another site sent the form: its words would stand on our page as if somebody had typed them here.
    """
    if request.method != "POST" or request.headers.get("Sec-Fetch-Site") == "cross-site":
        return []
    return [
        (_label(name), text.replace("\r\n", "\n").replace("\x00", "").strip())
        for name, text in request.form.items()
        if text.strip() and (name.partition("-")[0] in _WRITING or _SPACE.search(text.strip()))
    ]


def _label(name: str) -> str:
    kind, _, of = name.partition("-")
    words = of.replace("-", " ")
    label = _WRITING.get(kind, name.replace("-", " ").replace("_", " ")).format(words)
    return label[:1].upper() + label[1:]
