"""What a badge vouches for: a version of a micro-credential, or a stack, in the words of the facts that are signed."""

from collections.abc import Sequence

from lti_tool.badges import open_badge
from lti_tool.badges.models import Badge
from lti_tool.badges.open_badge import AchievementFacts, CreditFacts
from lti_tool.credentials.models import StackVersion, Version
from lti_tool.credentials.queries import titles_of
from lti_tool.settings import current
from lti_tool.stacks.rules import in_words

ASSESSED_BY_ONE = "Assessed by: course instructor (one rating). No agreement evidence."


def address(key: str, number: int) -> str:
    """The public page of a version: the id of what is achieved, for good."""
    return f"{current().public_url}/credentials/{key}/{number}"


def of_version(version: Version, credits: Sequence[CreditFacts] = ()) -> AchievementFacts:
    """A version, and what it counts for by the rules that are active today."""
    page = address(version.credential.key, version.number)
    return AchievementFacts(
        id=page,
        name=version.title,
        description=version.competency,
        criteria_narrative=_narrative(version),
        version=version.number,
        assessment_mode=ASSESSED_BY_ONE,
        passing=_passing(version),
        asked=tuple(task.title for task in version.tasks if task.required),
        credits=tuple(credits),
        image_url=f"{page}/badge.png",
        alignments=tuple(
            open_badge.AlignmentFacts(
                code=standard.code,
                label=standard.label,
                framework=standard.framework.title,
                url=standard.framework.url,
            )
            for standard in version.standards
        ),
        criteria=tuple(
            open_badge.CriterionFacts(
                key=criterion.key,
                name=criterion.title,
                levels=tuple(
                    open_badge.LevelFacts(key=level.key, name=level.title, description=level.text)
                    for level in criterion.levels
                ),
                required_level=next(level.key for level in criterion.levels if level.required),
            )
            for criterion in version.criteria
        ),
    )


def stack_address(key: str, number: int) -> str:
    """The public page of a version of a stack, for good as well."""
    return f"{current().public_url}/stacks/{key}/{number}"


def of_stack(version: StackVersion, parts: Sequence[Badge]) -> AchievementFacts:
    """Names the parts that counted, in the versions that this earner demonstrated."""
    page = stack_address(version.stack.key, version.number)
    earned = [open_badge.from_map(badge.facts).achievement for badge in parts]
    return AchievementFacts(
        id=page,
        name=version.title,
        description=version.description,
        criteria_narrative=f"{version.description.strip()}\n\n{in_words(version.rule, titles_of([version]))}",
        version=version.number,
        assessment_mode=ASSESSED_BY_ONE,
        image_url=f"{page}/badge.png",
        parts=tuple(
            open_badge.PartFacts(id=part.id, name=part.name, version=part.version) for part in earned
        ),
    )


def _narrative(version: Version) -> str:
    """What had to be done, as an employer would want to read it."""
    asked = "\n".join(f"- {task.title}" for task in version.tasks if task.required)
    return f"{version.purpose.strip()}\n\nThe earner handed in:\n\n{asked}\n\n{_passing(version)}"


def _passing(version: Version) -> str:
    if version.pass_kind == "all":  # noqa: S105 - the kind of a rule, no password
        return f"Every one of the {len(version.criteria)} criteria had to reach its required level."
    return (
        f"At least {version.pass_percent} % of the {len(version.criteria)} criteria "
        "had to reach their required level."
    )
