"""What faculty set for each activity before it goes into the course: names, points and how they count, a due date."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from werkzeug.datastructures import MultiDict

from lti_tool.credentials.lint import free_label, label_doubt
from lti_tool.credentials.offering import Offer
from lti_tool.credentials.rules import ScorePolicy
from lti_tool.lti.claims import MOST_POINTS
from lti_tool.lti.deep_linking import LONGEST_LABEL, LinkItem, short_label

LONGEST_TITLE = 200
EACH, CHOICE = "each", "choice"


@dataclass
class Setup:
    """One activity in the making. The texts are as typed, or our proposal."""

    place: int
    offers: tuple[Offer, ...]
    title: str
    label: str
    points: str
    due: str = ""
    policies: tuple[ScorePolicy, ...] = (ScorePolicy.FULL,)
    """The score policies that make sense for it."""
    policy: str = ScorePolicy.FULL

    @property
    def one_of(self) -> bool:
        """Whether the earner chooses among several."""
        return len(self.offers) > 1

    @property
    def text(self) -> str:
        if not self.one_of:
            return self.offers[0].text
        return "Choose one of these: " + "; ".join(offer.title for offer in self.offers) + "."


@dataclass(frozen=True)
class Accepts:
    """What is worth asking, since the platform takes it."""

    column: bool
    dates: bool
    title: bool


@dataclass
class Read:
    """What came of a form. ``problems`` and ``doubts`` are (form field, what to do)."""

    items: list[LinkItem] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    doubts: list[tuple[str, str]] = field(default_factory=list)
    """What may be sent all the same, if faculty say so."""


def proposal(
    offers: Sequence[Offer], way: str, taken: Collection[str], with_points: Collection[int]
) -> list[Setup]:
    """One activity for each, or one for all of them, with names that nothing in the course has yet.

    :param with_points: ids of the versions whose rubric's levels have points.
    """
    groups = [tuple(offers)] if way == CHOICE else [(offer,) for offer in offers]
    names, setups = list(taken), []
    for place, group in enumerate(groups):
        first = group[0]
        title = first.title if len(group) == 1 else _choice_title(group)
        label = free_label(first.label if len(group) == 1 else f"Choose 1 of {len(group)}", names)
        names.append(label)
        setups.append(
            Setup(place, group, title, label, f"{first.points:g}", policies=_policies(group, with_points))
        )
    return setups


def _policies(group: Sequence[Offer], with_points: Collection[int]) -> tuple[ScorePolicy, ...]:
    versions = [offer.version for offer in group if offer.version is not None]
    if len(versions) < len(group):
        return (ScorePolicy.FULL,)
    every = all(version.id in with_points for version in versions)
    return tuple(policy for policy in ScorePolicy if every or policy is not ScorePolicy.RUBRIC)


def _choice_title(group: Sequence[Offer]) -> str:
    both = " or ".join(offer.title for offer in group)
    return (
        both
        if len(group) == 2 and len(both) <= LONGEST_TITLE
        else f"Choose 1 of {len(group)} micro-credentials"
    )


def read(
    form: MultiDict[str, str],
    setups: Sequence[Setup],
    accepts: Accepts,
    taken: Collection[str],
    *,
    now: datetime,
) -> Read:
    """Take what was typed into the setups, and make what the platform is to be told."""
    result, names = Read(), list(taken)
    for setup in setups:
        for name in ("title", "label", "points", "due"):
            setattr(setup, name, _tidy(form.get(f"{name}-{setup.place}", getattr(setup, name))))
        points = _points(setup, result) if accepts.column else None
        if accepts.column:
            _check_label(setup, names, form.getlist("anyway"), result)
            names.append(setup.label)
        setup.policy = _policy(setup, form)
        if accepts.title and not 0 < len(setup.title) <= LONGEST_TITLE:
            what = f"Give it a title of at most {LONGEST_TITLE} characters."
            result.problems.append((f"title-{setup.place}", what))
        due = _due(setup, form.get("zone", ""), now, result) if accepts.dates else None
        result.items.append(_item(setup, points, due))
    return result


def _item(setup: Setup, points: Decimal | None, due: datetime | None) -> LinkItem:
    stack = setup.offers[0].stack
    return LinkItem(
        title=setup.title,
        text=setup.text,
        credential_keys=tuple(offer.pick for offer in setup.offers) if stack is None else (),
        stack_key=None if stack is None else stack.key,
        label=setup.label,
        points=points,
        score_policy=setup.policy if len(setup.policies) > 1 else None,
        due_at=due,
    )


def _check_label(setup: Setup, names: Collection[str], anyway: Collection[str], result: Read) -> None:
    place = f"label-{setup.place}"
    if not setup.label:
        result.problems.append((place, "Give the gradebook column a name."))
    elif len(setup.label) > LONGEST_LABEL:
        over = len(setup.label) - LONGEST_LABEL
        what = f"The name is {over} characters too long: {LONGEST_LABEL} fit, such as “{short_label(setup.label)}”."
        result.problems.append((place, what))
    elif setup.label not in anyway and (doubt := label_doubt(setup.label, names)) is not None:
        result.doubts.append((place, doubt))


def _points(setup: Setup, result: Read) -> Decimal | None:
    try:
        points = Decimal(setup.points.replace(",", "."))
        # Compared only once it is known to be a number: NaN refuses to be.
        good = points.is_finite() and 0 < points <= MOST_POINTS and points == points.quantize(Decimal("0.01"))
    except InvalidOperation:
        good = False
    if good:
        return points
    what = f"Write the points as a number above 0 and at most {MOST_POINTS}."
    result.problems.append((f"points-{setup.place}", what))
    return None


def _policy(setup: Setup, form: MultiDict[str, str]) -> ScorePolicy:
    asked = form.get(f"policy-{setup.place}", "")
    return ScorePolicy(asked) if asked in setup.policies else ScorePolicy.FULL


def _due(setup: Setup, zone: str, now: datetime, result: Read) -> datetime | None:
    if not setup.due:
        return None
    place = f"due-{setup.place}"
    try:
        local = datetime.fromisoformat(setup.due)
    except ValueError:
        result.problems.append((place, "Write the due date as day and time, for example 2027-03-15T23:59."))
        return None
    if zone not in zones():
        if not any(name == "zone" for name, _ in result.problems):
            result.problems.append(("zone", "Choose the time zone that the due dates are meant in."))
        return None
    due = local.replace(tzinfo=ZoneInfo(zone))
    try:
        due = due.astimezone(UTC)
    except OverflowError:
        due = now
    if due <= now:
        result.problems.append((place, "This moment is over. Choose a later one, or leave it empty."))
        return None
    return due


@cache
def zones() -> Mapping[str, str]:
    """Every time zone by its name, in words, the most wanted first."""
    named = {
        "America/New_York": "Eastern Time (US)",
        "America/Chicago": "Central Time (US)",
        "America/Denver": "Mountain Time (US)",
        "America/Phoenix": "Arizona",
        "America/Los_Angeles": "Pacific Time (US)",
        "America/Anchorage": "Alaska",
        "Pacific/Honolulu": "Hawaii",
        "UTC": "UTC",
    }
    places = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    return named | {name: name.replace("_", " ") for name in places if name not in named}


def _tidy(text: str) -> str:
    """One line, without marks that nobody sees."""
    visible = "".join(" " if unicodedata.category(c).startswith(("C", "Z")) else c for c in text)
    return " ".join(visible.split())
