"""The way to a stack: where somebody is on it, what they may begin, and what its completion owes.

Here what is held (badges), what is worked on (submissions) and what is asked (credentials) meet.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from lti_tool.assessment.service import owe_stack_here
from lti_tool.badges.queries import Held, held_by
from lti_tool.credentials import queries as credentials
from lti_tool.credentials.models import Placement, PlacementChoice, Stack, StackVersion
from lti_tool.database import db
from lti_tool.errors import NotHere, PartLocked
from lti_tool.passback.models import Score, ScoreState
from lti_tool.people.models import Account
from lti_tool.stacks import rules as stacking
from lti_tool.stacks.rules import PartState, StackProgress
from lti_tool.submissions import service as submissions
from lti_tool.submissions.models import Attempt, AttemptPlacement, AttemptState, StackEarner
from lti_tool.submissions.queries import Work, work_of

MOST_STACKS = 20
"""More stacks that one person is on the way to than a page could show."""
MOST_SUGGESTIONS = 3


@dataclass(frozen=True)
class Tile:
    """A part of a stack, as the map shows it."""

    key: str
    title: str
    state: PartState | None
    """None where the map speaks of nobody."""
    why: str
    """What stands in the way, or what is going on, as a sentence; empty where the state says it all."""
    needed: bool
    work: AttemptState | None
    activity: str | None
    """What the activity of this course is called in which the part can be worked on by itself."""


@dataclass(frozen=True)
class Leg:
    """A group of parts under its heading."""

    heading: str
    tiles: tuple[Tile, ...]
    missing: int | None
    """How many more it takes; None where the map speaks of nobody."""


@dataclass(frozen=True)
class Suggestion:
    """What to do next, and why."""

    key: str
    """Of the stack."""
    text: str
    why: str


@dataclass(frozen=True)
class Way:
    """A stack and, unless the map speaks of nobody, how far a person is."""

    version: StackVersion
    rule: str
    """In words."""
    legs: tuple[Leg, ...]
    found: StackProgress | None
    badge_id: str | None
    """Of the stack's standing badge, if this person holds it."""
    suggestion: Suggestion | None

    @property
    def stack(self) -> Stack:
        """The stack itself."""
        return self.version.stack

    @property
    def held(self) -> int:
        """How many of the micro-credentials that it takes are earned; all of them once the badge stands."""
        if self.found is None:
            return 0
        return self.found.needed - (0 if self.badge_id is not None else self.found.more)

    def tile(self, key: str) -> Tile | None:
        """A part by its key; None if this version of the stack has none such."""
        return next((tile for leg in self.legs for tile in leg.tiles if tile.key == key), None)


@dataclass(frozen=True)
class _Person:
    """What the map has to know of somebody."""

    held: Held
    work: Mapping[str, Work]

    @property
    def begun(self) -> dict[str, datetime]:
        return {key: work.began for key, work in self.work.items()}


def way_for_anybody(stack: Stack, number: int | None = None) -> Way:
    """The map of a stack without anybody on it, in the current version or the one of that number.

    :raises NotHere: no such version.
    """
    version = stack.current if number is None else stack.numbered(number)
    if version is None:
        raise NotHere
    return _drawn(version, None, None, credentials.titles_of([version]), {})


def ways_on_offer() -> list[Way]:
    """The stacks that anybody may begin, as the catalogue shows them."""
    versions = [stack.current for stack in credentials.stacks_on_offer()]
    titles = credentials.titles_of(versions)
    return [_drawn(version, None, None, titles, {}) for version in versions]


def way_of(person_id: int, stack: Stack, *, course_id: int | None = None, rehearsal: bool = False) -> Way:
    """How far a person is on the way to this stack.

    :param course_id: names the activities of this course beside the parts that they offer.
    :param rehearsal: of the test student, as if what they have demonstrated were held.
    """
    person = _rehearsing(person_id) if rehearsal else _persons([person_id])[person_id]
    activities = {} if course_id is None else _activities(course_id, stack)
    return _ways([stack], person, activities)[0]


def stack_progress(person_id: int) -> list[Way]:
    """The stacks that a person is on the way to (they hold or work on a part, and do not hold its badge), those that
    are nearest first. A constant number of queries; at most MOST_STACKS."""
    person = _persons([person_id])[person_id]
    touched = {*person.held.parts, *person.work}
    if not touched:
        return []
    stacks = [stack for stack in credentials.stacks_with_keys(touched) if stack.id not in person.held.stacks]
    ways = [way for way in _ways(stacks, person, {}) if _concerns(way, person)]
    return sorted(ways, key=_nearness)[:MOST_STACKS]


def suggestions(person_id: int, *, about: str | None = None) -> list[Suggestion]:
    """What a person may do next, at most MOST_SUGGESTIONS, nearest first: only about stacks that they hold or work on
    a part of.

    :param about: key of a micro-credential; only stacks that it is a part of.
    """
    return [
        way.suggestion
        for way in stack_progress(person_id)
        if way.suggestion is not None and (about is None or way.tile(about) is not None)
    ][:MOST_SUGGESTIONS]


def begin_part(
    person_id: int,
    credential_id: int,
    placement_id: int,
    account_id: int,
    *,
    rehearsal: bool = False,
    now: datetime,
) -> Attempt:
    """Begin a part of a stack from its activity, or go on with it; from then on the person takes the stack here.

    :param rehearsal: by the test student, who takes nothing.
    :raises NotHere: it is no part of the stack, in the version that this person is judged by.
    :raises PartLocked: something else comes first; the detail says what.
    :raises CredentialRetired: nobody begins it any more.
    """
    placement = db.session.get_one(Placement, placement_id)
    assert placement.stack_id is not None
    if not rehearsal:
        take(person_id, placement, account_id, now=now)
    way = way_of(person_id, credentials.stack_by_id(placement.stack_id), rehearsal=rehearsal)
    key = next((one.credential.key for one in placement.choices if one.credential_id == credential_id), "")
    tile = way.tile(key)
    if tile is None:
        raise NotHere
    if tile.state is PartState.LOCKED:
        raise PartLocked(tile.why)
    return submissions.open_attempt(
        person_id, credential_id, placement_id, account_id, rehearsal=rehearsal, now=now
    )


def take(person_id: int, placement: Placement, account_id: int, *, now: datetime) -> None:
    """Take the stack in this activity: its faculty see how far the person is, and completing it owes the gradebook. If
    it is complete already, that is owed now, or held until somebody agrees."""
    submissions.take_stack(person_id, placement.id, account_id, now=now)
    owe_stack_here(person_id, placement.id, now=now)


def is_taken(placement_id: int, account_id: int) -> bool:
    """Whether this account takes the stack in this activity."""
    return db.session.get(StackEarner, (placement_id, account_id)) is not None


@dataclass(frozen=True)
class StackEarnerRow:
    """An earner in the activity of a stack, as its faculty see them."""

    name: str
    attempt_id: int | None
    """Of work that was demonstrated from this activity: where badges are looked at."""
    way: Way
    working_on: tuple[str, ...]
    """Titles of parts that are begun and not held."""
    score_id: int | None
    score_state: ScoreState | None
    """Of the last score of this activity's gradebook cell."""
    score_reason: str | None

    @property
    def shaken(self) -> bool:
        """The badge of the stack stands, and that of a part it names was revoked since: somebody has to decide
        whether the stack is revoked as well."""
        return self.way.badge_id is not None and self.way.found is not None and not self.way.found.complete


def earners_of_stack(placement: Placement, *, page: int, size: int) -> tuple[list[StackEarnerRow], int]:
    """One page (from 1) of those who take the stack in this activity, by name, and how many they are."""
    assert placement.stack_id is not None
    here = StackEarner.placement_id == placement.id
    total = db.session.scalar(select(func.count()).select_from(StackEarner).where(here)) or 0
    last = (
        select(func.max(Score.id))
        .where(Score.placement_id == placement.id, Score.account_id == StackEarner.account_id)
        .correlate(StackEarner)
        .scalar_subquery()
    )
    shown = (
        select(func.max(Attempt.id))
        .join(AttemptPlacement, AttemptPlacement.attempt_id == Attempt.id)
        .where(
            AttemptPlacement.placement_id == placement.id,
            AttemptPlacement.account_id == StackEarner.account_id,
            Attempt.state == AttemptState.DEMONSTRATED,
        )
        .correlate(StackEarner)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Account, shown, Score.id, Score.state, Score.reason)
        .join(StackEarner, StackEarner.account_id == Account.id)
        .outerjoin(Score, Score.id == last)
        .where(here)
        .order_by(func.lower(func.coalesce(Account.name, "")), Account.id)
        .limit(size)
        .offset((page - 1) * size)
    ).all()
    ways = _standings({row[0].person_id for row in rows}, credentials.stack_by_id(placement.stack_id))
    found = []
    for account, attempt_id, score_id, score_state, score_reason in rows:
        way = ways[account.person_id]
        tiles = [tile for leg in way.legs for tile in leg.tiles]
        under_way = (tile for tile in tiles if tile.state is PartState.OPEN)
        working = tuple(
            tile.title for tile in under_way if tile.work not in (None, AttemptState.DEMONSTRATED)
        )
        found.append(
            StackEarnerRow(account.shown_name, attempt_id, way, working, score_id, score_state, score_reason)
        )
    return found, total


def completed_with(person_id: int, decision_id: int) -> list[Way]:
    """The stacks whose badges were awarded with this decision."""
    person = _persons([person_id])[person_id]
    ids = [at for at, badge in person.held.stacks.items() if badge.decision_id == decision_id]
    return _ways(credentials.stacks_by_id(ids), person, {}) if ids else []


def _standings(person_ids: Collection[int], stack: Stack) -> dict[int, Way]:
    """How far each of these persons is on the way to this stack; a constant number of queries for all of them."""
    persons = _persons(person_ids)
    titles = credentials.titles_of(stack.versions)
    return {
        person_id: _drawn(*stack.standing(person.held.parts, person.begun), person, titles, {})
        for person_id, person in persons.items()
    }


def _persons(person_ids: Collection[int]) -> dict[int, _Person]:
    held, work = held_by(person_ids), work_of(person_ids)
    return {person_id: _Person(held[person_id], work[person_id]) for person_id in person_ids}


def _rehearsing(person_id: int) -> _Person:
    work = work_of([person_id], rehearsal=True)[person_id]
    done = {key: one.began for key, one in work.items() if one.state is AttemptState.DEMONSTRATED}
    return _Person(Held(done, {}), work)


def _ways(stacks: Sequence[Stack], person: _Person, activities: Mapping[str, str]) -> list[Way]:
    titles = credentials.titles_of([version for stack in stacks for version in stack.versions])
    return [
        _drawn(*stack.standing(person.held.parts, person.begun), person, titles, activities)
        for stack in stacks
    ]


def _concerns(way: Way, person: _Person) -> bool:
    """Whether the person is on this way: a part only of another version of the stack is not enough."""
    return any(
        tile.state is PartState.DONE or tile.key in person.work for leg in way.legs for tile in leg.tiles
    )


def _nearness(way: Way) -> tuple[bool, int, str]:
    assert way.found is not None
    return not way.found.possible, way.found.more, way.version.title.casefold()


def _drawn(
    version: StackVersion,
    found: StackProgress | None,
    person: _Person | None,
    titles: Mapping[str, str],
    activities: Mapping[str, str],
) -> Way:
    rule = version.rule
    waiting = (
        {key for key, work in person.work.items() if work.state is AttemptState.SUBMITTED}
        if person is not None
        else set()
    )
    badge = person.held.stacks.get(version.stack_id) if person is not None else None
    advice = None
    if found is not None and badge is None:
        advice = stacking.suggestion(found, version.title, rule, titles, waiting=waiting)
    legs = []
    for place, group in enumerate(rule.groups):
        tiles = []
        for key in group.parts:
            part = found.part(key) if found is not None else None
            work = person.work.get(key) if person is not None else None
            tiles.append(
                Tile(
                    key=key,
                    title=titles[key],
                    state=None if part is None else part.state,
                    why="" if part is None else _why(part, work, rule, titles),
                    needed=part is not None and part.needed,
                    work=None if work is None else work.state,
                    activity=activities.get(key),
                )
            )
        legs.append(
            Leg(
                stacking.group_in_words(rule, place),
                tuple(tiles),
                None if found is None else found.groups[place].missing,
            )
        )
    return Way(
        version=version,
        rule=stacking.in_words(rule, titles),
        legs=tuple(legs),
        found=found,
        badge_id=None if badge is None else badge.id,
        suggestion=None if advice is None else Suggestion(version.stack.key, *advice),
    )


def _why(
    part: stacking.PartProgress, work: Work | None, rule: stacking.Rule, titles: Mapping[str, str]
) -> str:
    if part.state is PartState.LOCKED:
        return stacking.why_locked(part, rule, titles)
    if part.state is PartState.CLOSED:
        return "It has been retired, and nobody can begin it any more."
    if part.state is PartState.OPEN and work is not None and work.state is AttemptState.DEMONSTRATED:
        return "It was demonstrated, and its badge was revoked. Ask your instructor."
    return ""


def _activities(course_id: int, stack: Stack) -> dict[str, str]:
    """Key of the part -> title of an activity of this course that offers it by itself or in a choice."""
    ids = {part.credential_id: part.credential.key for one in stack.versions for part in one.parts}
    rows = db.session.execute(
        select(PlacementChoice.credential_id, Placement.title)
        .join(Placement, Placement.id == PlacementChoice.placement_id)
        .where(
            Placement.course_id == course_id,
            Placement.stack_id.is_(None),
            PlacementChoice.credential_id.in_(ids),
        )
        .order_by(Placement.id.desc())
    )
    return {ids[at]: title for at, title in rows}
