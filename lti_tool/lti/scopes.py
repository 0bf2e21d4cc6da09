"""What we ask platforms to let us do, and what does not work where they do not.

Administrators of Canvas may take scopes away at any time, and Moodle grants by its own service settings. What was
granted is learnt from the answer to a registration, from launches and from tokens.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

LINE_ITEMS = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"
LINE_ITEMS_READ = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly"
RESULTS = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly"
SCORE = "https://purl.imsglobal.org/spec/lti-ags/scope/score"
ROSTER = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
NOTICES = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"

USUAL = (LINE_ITEMS, LINE_ITEMS_READ, RESULTS, SCORE, ROSTER)
"""What every platform is asked for; Moodle wants both scopes of line items."""
_GRADES = frozenset((LINE_ITEMS, LINE_ITEMS_READ, RESULTS, SCORE))


@dataclass(frozen=True)
class Scope:
    """One permission in words: what it lets us do, and what is lost without."""

    address: str
    does: str
    lost: str


SCOPES = {
    scope.address: scope
    for scope in (
        Scope(
            LINE_ITEMS,
            "Make and change gradebook columns",
            "An activity that has no gradebook column gets none. Those added with “Add from Tessera” have theirs.",
        ),
        Scope(
            LINE_ITEMS_READ,
            "See gradebook columns",
            "The gradebook column of a copied activity cannot be looked up.",
        ),
        Scope(
            RESULTS,
            "Read grades back",
            "After an answer that got lost, nobody can ask the gradebook whether the grade arrived.",
        ),
        Scope(SCORE, "Send grades", "No grade reaches the gradebook. Each waits and needs attention."),
        Scope(
            ROSTER,
            "See who is in a course",
            "Faculty see only the people who have opened an activity, not who is still missing or has left.",
        ),
        Scope(
            NOTICES,
            "Hear that a course was copied",
            "A copied course is noticed only when somebody opens an activity in it.",
        ),
    )
}


def known(said: Iterable[object]) -> list[str]:
    """Those scopes that mean something to us, in our order; whatever else a platform says is left out."""
    listed = {scope for scope in said if isinstance(scope, str)}
    return [address for address in SCOPES if address in listed]


def after_launch(
    granted: Collection[str] | None, grades: Collection[str] | None, *, roster: bool, of_activity: bool
) -> list[str] | None:
    """What is granted, as a launch tells it.

    ``grades`` is None where the launch says nothing of grade services; that may be the place it was opened in, so what
    was known stays. That the roster is not offered counts only for an activity (``of_activity``) with grade services.
    """
    if grades is None or not (roster or of_activity):
        return None if granted is None else list(granted)
    now = (set(granted or ()) - _GRADES) | (_GRADES & set(grades))
    if roster:
        now.add(ROSTER)
    else:
        now.discard(ROSTER)
    return known(now)


def missing(requested: Collection[str], granted: Collection[str] | None) -> list[Scope]:
    """What was asked for and not granted; nothing while the platform has not said what it grants."""
    if granted is None:
        return []
    held = set(granted)
    if LINE_ITEMS in held:
        held.add(LINE_ITEMS_READ)
    return [SCOPES[address] for address in known(requested) if address not in held]
