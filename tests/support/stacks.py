"""Stacks of the shipped micro-credentials, activities for them, and parts that are earned in no time."""

from dataclasses import replace
from datetime import datetime
from functools import cache

from sqlalchemy import select

from lti_tool.assessment import service, stacks
from lti_tool.assessment.models import Decision, Outcome
from lti_tool.credentials import catalog
from lti_tool.credentials.catalog import Catalog, StackSpec
from lti_tool.credentials.models import Credential, Placement, PlacementChoice, Stack
from lti_tool.database import db
from lti_tool.stacks.rules import Group, Opening, Rule
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import Attempt
from tests.support.apps import CONFIG, NOON
from tests.support.cast import Campus, add_placement
from tests.support.submitted import hand_in_attempt, marks_for, version_of

UDL, PROMPTS, ROUTINES, FAMILY = (
    "udl-variability",
    "fading-prompts",
    "routines-conversation",
    "family-voice-iep",
)
PAIR, PRACTICE = "family-partnership", "inclusive-practice"
"""Shipped: all of ROUTINES and FAMILY; UDL, then two of the other three."""


@cache
def shipped() -> Catalog:
    return catalog.load(CONFIG / "catalog", CONFIG / "frameworks")


def stack(key: str, *groups: Group, version: int = 1, opens: tuple[Opening, ...] = (), **more) -> StackSpec:
    """A stack with this rule, and the words of a shipped one."""
    rule = Rule(groups, openings=opens)
    return replace(shipped().stacks[0], key=key, version=version, title=f"Stack {key}", rule=rule, **more)


def add_stack_activity(campus: Campus, key: str, *, link: str = "stack", course: int | None = None) -> int:
    """An activity that is a whole stack; returns its id."""
    found = db.session.scalars(select(Stack).where(Stack.key == key)).one()
    placement = add_placement(campus.deployment, course or campus.course, link)
    placement.stack_id, placement.title = found.id, found.title
    placement.choices = [
        PlacementChoice(credential_id=part.credential_id, position=at) for at, part in enumerate(found.parts)
    ]
    db.session.flush()
    return placement.id


def begin(campus: Campus, who: str, key: str, placement: int, *, at: datetime = NOON) -> Attempt:
    """Begin a micro-credential in an activity: of the whole stack, or of itself."""
    activity = db.session.get_one(Placement, placement)
    credential = db.session.scalars(select(Credential).where(Credential.key == key)).one()
    verb = stacks.begin_part if activity.stack_id is not None else submissions.open_attempt
    return verb(campus.persons[who], credential.id, placement, campus.accounts[who], now=at)


def earn(
    campus: Campus, who: str, key: str, placement: int, *, at: datetime = NOON, assessor: str = "ingrid"
) -> Decision:
    """Begin, hand in, and have it demonstrated. Commits."""
    submission = hand_in_attempt(begin(campus, who, key, placement, at=at), campus, who, at=at)
    decision = service.decide(
        submission.id,
        campus.accounts[assessor],
        marks_for(version_of(submission)),
        "Clear.",
        Outcome.DEMONSTRATED,
        now=at,
    )
    db.session.commit()
    return decision
