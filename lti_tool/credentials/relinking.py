"""Activities whose link does not say what it is, mostly after a course was copied: what it could be, and saying so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import selectinload

from lti_tool import audit
from lti_tool.credentials.models import Credential, Placement, PlacementChoice, Version
from lti_tool.credentials.rules import EarlierResults, ScorePolicy
from lti_tool.credentials.service import new_placement
from lti_tool.database import db
from lti_tool.lti.claims import LaunchMessage
from lti_tool.lti.models import Launch
from lti_tool.people.copies import origins_of
from lti_tool.people.models import Course

_MOST = 5
_LOOKED_AT = 200


@dataclass(frozen=True)
class Suggestion:
    """What a link could be."""

    made_for: str
    """As ``service.link_key`` writes it."""
    title: str
    course_title: str | None
    """Of the copied course where it was this; None where only the name fits."""
    same_title: bool


def suggestions(course: Course, title: str | None) -> Sequence[Suggestion]:
    """What a link of that title in that course could be: the activities of the courses that it was copied from, those
    with the same title first; else what has the same name in the catalogue. At most five."""
    found: dict[str, Suggestion] = {}
    for origin in origins_of(course):
        rows = db.session.scalars(
            select(Placement)
            .where(Placement.course_id == origin.id)
            .options(
                selectinload(Placement.choices).joinedload(PlacementChoice.credential),
                selectinload(Placement.stack),
            )
            .order_by(Placement.id)
            .limit(_LOOKED_AT)
        )
        for row in rows:
            one = Suggestion(row.made_for, row.title, origin.title, _same(row.title, title))
            if one.made_for not in found or (one.same_title and not found[one.made_for].same_title):
                found[one.made_for] = one
    if title is not None and not any(one.same_title for one in found.values()):
        for one in _by_name(title):
            found.setdefault(one.made_for, one)
    return sorted(found.values(), key=lambda one: not one.same_title)[:_MOST]


def relink(launch: Launch, message: LaunchMessage, made_for: str, *, now: datetime) -> Placement | None:
    """Make the link what faculty say that it is. How the copied activity treats earlier results is taken over.

    None where we know nothing of what they chose. If a colleague was quicker, what they chose stands.
    """
    placement = new_placement(launch, message, made_for, now=now)
    if placement is None:
        return None
    course = db.session.get_one(Course, placement.course_id)
    origins = [origin.id for origin in origins_of(course)]
    before = db.session.scalars(
        select(Placement)
        .where(Placement.course_id.in_(origins), Placement.earlier_results.is_not(None))
        .options(selectinload(Placement.choices).joinedload(PlacementChoice.credential))
        .limit(_LOOKED_AT)
    )
    placement.earlier_results = next(
        (row.earlier_results for row in before if row.made_for == made_for), None
    )
    audit.record("activity relinked", "placement", placement.id, now=now, actor=launch.account_id)
    db.session.flush()
    return placement


def set_earlier_results(
    placement: Placement, policy: EarlierResults | None, actor: int, *, now: datetime
) -> None:
    """Say what becomes of results from other courses in this activity; None follows the program."""
    placement.earlier_results = None if policy is None else str(policy)
    audit.record(
        "earlier results", "placement", placement.id, now=now, actor=actor, policy=placement.earlier_results
    )
    db.session.flush()


def set_score_policy(placement: Placement, policy: ScorePolicy, actor: int, *, now: datetime) -> None:
    """Say how many points a demonstration gets in this activity, from the next decision on: what is owed stays."""
    placement.score_policy = str(policy)
    audit.record(
        "score policy", "placement", placement.id, now=now, actor=actor, policy=placement.score_policy
    )
    db.session.flush()


def _same(one: str, other: str | None) -> bool:
    return other is not None and " ".join(one.lower().split()) == " ".join(other.lower().split())


def _by_name(title: str) -> list[Suggestion]:
    """Deep linking names a link after its micro-credential, and copying a course keeps the name."""
    name = " ".join(title.lower().split())
    rows = db.session.execute(
        select(Credential.key, Version.title)
        .join(Version, Version.credential_id == Credential.id)
        .where(or_(func.lower(Version.title) == name, func.lower(Version.label) == name))
        .order_by(Version.number.desc())
        .limit(_MOST)
    )
    return [Suggestion(f"credential={key}", found, None, True) for key, found in rows]
