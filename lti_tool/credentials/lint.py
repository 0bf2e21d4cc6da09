"""Advice to authors: does it look like one micro-credential, or like a whole module?

A micro-credential is granular: one competency, shown in days or weeks. What is said here refuses nothing;
it is what a colleague would ask before the catalogue goes live.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lti_tool.credentials.catalog import CredentialSpec

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
