"""Advice to authors: does it look like one micro-credential, or like a whole module? And to faculty: does the name of
a gradebook column tell what it is for?

A micro-credential is granular: one competency, shown in days or weeks. What is said here refuses nothing;
it is what a colleague would ask before the catalogue, or the course, goes live.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lti_tool.lti.deep_linking import LONGEST_LABEL, short_label

if TYPE_CHECKING:
    from lti_tool.credentials.catalog import CredentialSpec, StackSpec

MOST_HOURS = 20
WIDEST_RANGE = 3
MOST_EVIDENCE = 4
MOST_WORDS = 2500
MOST_CRITERIA = 10
MOST_COMPETENCY_WORDS = 45
MOST_TURNAROUND = 14
"""Business days; waiting longer cools interest."""


@dataclass(frozen=True)
class Hint:
    """A question about one field of a micro-credential."""

    field: str
    message: str


def hints(spec: "CredentialSpec") -> Iterator[Hint]:
    """What a colleague would ask about this micro-credential, in the order of the fields."""
    words = spec.competency.split()
    if len(words) > MOST_COMPETENCY_WORDS:
        yield Hint("competency", f"has {len(words)} words; can it be said as one thing that an earner does?")
    if spec.competency.rstrip(".").count(". ") or ";" in spec.competency:
        yield Hint("competency", "has more than one sentence; is it one competency, or would two be clearer?")
    effort = spec.effort_hours
    if effort.max > MOST_HOURS:
        yield Hint("effort_hours", f"reaches {effort.max} hours; that is a module, so consider a stack")
    if effort.max > WIDEST_RANGE * effort.min:
        yield Hint(
            "effort_hours", f"is a wide range ({effort.min} to {effort.max}); narrow it for the earner"
        )
    if spec.turnaround_days > MOST_TURNAROUND:
        yield Hint(
            "turnaround_days",
            f"is {spec.turnaround_days} business days; earners wait, so aim for {MOST_TURNAROUND}",
        )
    evidence = [task for task in spec.tasks if task.kind == "evidence"]
    if len(evidence) > MOST_EVIDENCE:
        yield Hint("tasks", f"ask for {len(evidence)} kinds of evidence; {MOST_EVIDENCE} are usually enough")
    if any(task.alternatives is None for task in evidence):
        yield Hint("tasks", "ask for evidence in one form only; name other forms under alternatives")
    longest = sum(task.words.max or 0 for task in spec.tasks if task.words is not None)
    if longest > MOST_WORDS:
        yield Hint("tasks", f"ask for up to {longest} words of writing; {MOST_WORDS} are usually enough")
    if len(spec.rubric) > MOST_CRITERIA:
        yield Hint(
            "rubric", f"has {len(spec.rubric)} criteria; more than {MOST_CRITERIA} are hard to rate well"
        )


_SAYS_NOTHING = frozenset(
    {
        "activity", "an", "assessment", "assignment", "badge", "column", "credential", "exercise", "grade", "item",
        "link", "lti", "micro", "new", "of", "part", "points", "score", "task", "tessera", "test", "the", "tool",
        "untitled", "work",
    }
)  # fmt: skip


def label_doubt(label: str, taken: Collection[str]) -> str | None:
    """What a colleague would ask about the name of a gradebook column; None if nothing.

    :param taken: names that are in the course already.
    """
    words = re.findall(r"[^\W\d_]+", label.casefold())
    if not any(len(word) > 1 and word not in _SAYS_NOTHING for word in words):
        return "The name does not tell which micro-credential it is."
    if label.strip().casefold() in {name.strip().casefold() for name in taken}:
        return "Something in this course has the same name already."
    return None


def free_label(label: str, taken: Collection[str]) -> str:
    """The name, or the name with the first number that nothing in the course has yet; never longer than it may be."""
    names = {name.strip().casefold() for name in taken}
    candidate, number = short_label(label), 1
    while candidate.casefold() in names:
        number += 1
        ending = f" ({number})"
        candidate = label[: LONGEST_LABEL - len(ending)].rstrip() + ending
    return candidate


def stack_hints(spec: "StackSpec") -> Iterator[Hint]:
    """What a colleague would ask about this stack."""
    if spec.rule.groups and spec.rule.needed < 2:
        yield Hint(
            "rule", "is met by one micro-credential, whose own badge says as much; ask for two, or more"
        )
