"""The filter of the registrar's desk, as its links and forms carry it: ids and names of courses, of nobody."""

from collections.abc import Callable
from typing import Any

from flask import request

from lti_tool.registrar.queries import Filter, LedgerRow, Shown
from lti_tool.registrar.stories import Names
from lti_tool.routes.forms import text, whole

_LONGEST = 100


def wanted() -> Filter:
    """What the address asks for; nonsense narrows nothing."""
    asked = request.values.get("show", "")
    return Filter(
        shown=Shown(asked) if asked in set(Shown) else Shown.ALL,
        course=request.values.get("course", "", type=text)[:_LONGEST],
        section=request.values.get("section", "", type=text)[:_LONGEST],
        term=request.values.get("term", type=whole),
        credential=request.values.get("credential", type=whole),
        person=request.values.get("person", type=whole),
        course_id=request.values.get("course_id", type=whole),
    )


def as_seen(row: LedgerRow) -> bool:
    """Whether the gradebook shows what it showed on the page that the form comes from."""
    return request.form.get("seen") == row.seen


def query_of(wanted: Filter, **other: Any) -> dict[str, Any]:
    """The same as a query, with ``other`` in place of what it says; None leaves something out."""
    shown = None if wanted.shown is Shown.ALL else wanted.shown.value
    query = {
        "show": shown,
        "course": wanted.course or None,
        "section": wanted.section or None,
        "term": wanted.term,
        "credential": wanted.credential,
        "person": wanted.person,
        "course_id": wanted.course_id,
    } | other
    return {name: value for name, value in query.items() if value is not None}


def chips(wanted: Filter, names: Names, address: Callable[..., str]) -> list[tuple[str, str, str]]:
    """What narrows the list besides the state: its kind, its value in words, and where the same is without it.

    :param address: of a page of the desk, from a query.
    """
    unknown = "not known here"
    said = {
        "term": (wanted.term, "Term", names.term or unknown),
        "course_id": (wanted.course_id, "Course", names.course or unknown),
        "course": (wanted.course or None, "Course’s name has", f"“{wanted.course}”"),
        "section": (wanted.section or None, "Section", wanted.section),
        "credential": (wanted.credential, "Micro-credential", names.credential or unknown),
        "person": (wanted.person, "Person", names.person or unknown),
    }
    return [
        (kind, value, address(**query_of(wanted, **{name: None})))
        for name, (asked, kind, value) in said.items()
        if asked is not None
    ]
