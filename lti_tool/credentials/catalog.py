"""The catalogue that faculty write: micro-credentials, stacks and frameworks of standards, as YAML files.

Parsed into frozen values and checked as a whole, so that what :func:`load` returns needs no further checking.
One micro-credential per file in the catalogue folder, all stacks in its ``stacks.yaml``, those whose file is gone in
its ``retired.yaml``, one framework of standards per file in the frameworks folder. The files themselves explain their
fields to their authors.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar

from lti_tool.credentials import lint
from lti_tool.marked_yaml import Problem, Section, hint_for, read
from lti_tool.stacks import reading as stack_rule
from lti_tool.stacks import rules as stacking

__all__ = [
    "BadgeSpec",
    "Catalog",
    "CatalogErrors",
    "ComponentSpec",
    "CredentialSpec",
    "CreditSpec",
    "CriterionSpec",
    "EffortSpec",
    "FrameworkSpec",
    "LevelSpec",
    "PartSpec",
    "PassRuleSpec",
    "Problem",
    "ResearchSpec",
    "ResourceSpec",
    "RetiredSpec",
    "StackSpec",
    "StandardRef",
    "StandardSpec",
    "TaskSpec",
    "WordsSpec",
    "load",
]

Shape = Literal["digital-promise", "nea", "learning-designed"]
Setting = Literal["classroom", "early-intervention", "no-children"]
TaskKind = Literal["written", "evidence"]
EvidenceKind = Literal["upload", "link"]
PassKind = Literal["all", "share"]
Symbol = Literal["book", "blocks", "hands", "path", "speech", "home", "compass", "stack"]
Outline = Literal["circle", "hexagon", "shield", "square"]

SHAPES: tuple[Shape, ...] = ("digital-promise", "nea", "learning-designed")
SETTINGS: tuple[Setting, ...] = ("classroom", "early-intervention", "no-children")
TASK_KINDS: tuple[TaskKind, ...] = ("written", "evidence")
EVIDENCE_KINDS: tuple[EvidenceKind, ...] = ("upload", "link")
PASS_KINDS: tuple[PassKind, ...] = ("all", "share")
SYMBOLS: tuple[Symbol, ...] = ("book", "blocks", "hands", "path", "speech", "home", "compass", "stack")
OUTLINES: tuple[Outline, ...] = ("circle", "hexagon", "shield", "square")

STACKS_FILE = "stacks.yaml"
RETIRED_FILE = "retired.yaml"
MAX_FILES = 200
MAX_STACKS = 100
POINTS = 10
"""Of a gradebook column, where the file says nothing: so many for each micro-credential that it takes."""
TITLE = 100
LABEL = 30
"""Infinite Campus, and others behind it, cut gradebook names off after 30 characters."""
SENTENCE = 300
PARAGRAPH = 1200
LONG = 4000

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.()/_-]{0,39}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_SHARE = "{kind: share, percent: 80, level: proficient}"
_LEAST_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3: the badge's white symbol and lettering stand on this colour."""

Keyed = TypeVar("Keyed", "FrameworkSpec", "CredentialSpec")
Listed = TypeVar("Listed", "StackSpec", "RetiredSpec")
Parsed = TypeVar("Parsed")


@dataclass(frozen=True, kw_only=True)
class StandardSpec:
    """One standard of a framework, by its official code and a short label in our words."""

    code: str
    label: str


@dataclass(frozen=True, kw_only=True)
class FrameworkSpec:
    """A set of standards that a publisher answers for, such as InTASC."""

    key: str
    title: str
    publisher: str
    url: str
    """Where the publisher's own text stands."""
    note: str | None
    """What a reader must know about the codes and labels."""
    standards: tuple[StandardSpec, ...]


@dataclass(frozen=True, kw_only=True)
class StandardRef:
    """Points into a framework; written ``framework:code`` in the files. Always resolvable in its Catalog."""

    framework: str
    code: str


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """One component of the key method."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ResearchSpec:
    """A work that the method rests on."""

    citation: str
    url: str | None


@dataclass(frozen=True, kw_only=True)
class ResourceSpec:
    """Something free to learn from."""

    title: str
    url: str | None
    note: str | None


@dataclass(frozen=True, kw_only=True)
class EffortSpec:
    """Whole hours that an earner should expect to need."""

    min: int
    max: int


@dataclass(frozen=True, kw_only=True)
class WordsSpec:
    """How long a written answer should be; at least one of the two is set."""

    min: int | None
    max: int | None


@dataclass(frozen=True, kw_only=True)
class PartSpec:
    """A group of tasks and criteria with a heading."""

    key: str
    title: str
    intro: str
    passing: str | None
    """What passes this part, in words; always there in the NEA shape. The rubric decides, this explains."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """Something the earner writes or hands in."""

    key: str
    part: str
    title: str
    prompt: str
    kind: TaskKind
    required: bool
    words: WordsSpec | None
    """Only for written tasks."""
    accepts: tuple[EvidenceKind, ...]
    """Empty for written tasks; ("upload",) alone where children are involved."""
    involves_children: bool
    alternatives: str | None
    """Other forms in which the same thing may be shown."""
    max_files: int
    """Most pieces of evidence, files and links together; 0 for written tasks."""


@dataclass(frozen=True, kw_only=True)
class LevelSpec:
    """One level of a criterion."""

    key: str
    title: str
    text: str
    points: int | None
    """Either every level of a criterion has points, rising, or none has. The pass rule never uses them."""


@dataclass(frozen=True, kw_only=True)
class CriterionSpec:
    """One row of the rubric."""

    key: str
    part: str
    title: str
    description: str
    levels: tuple[LevelSpec, ...]
    """From low to high, at least two."""
    required_level: str
    """The key of the lowest level that meets the criterion; never the first level."""
    feedback_hint: str | None
    """For the assessor: what feedback helps when the criterion is not met."""


@dataclass(frozen=True, kw_only=True)
class PassRuleSpec:
    """When the rubric's ratings demonstrate the competency."""

    kind: PassKind
    percent: int | None
    """Only for "share": of the criteria, how many percent must be at the required level or above."""
    level: str | None
    """Only for "share": the required level's key, the same in every criterion."""

    def needed(self, criteria: int) -> int:
        """How many of so many criteria must be at their required level or above."""
        return criteria if self.percent is None else -(-criteria * self.percent // 100)


@dataclass(frozen=True, kw_only=True)
class BadgeSpec:
    """How the badge looks: a white symbol on a coloured outline."""

    symbol: Symbol
    colour: str
    """#rrggbb in small letters, dark enough for white lettering (4.5:1)."""
    shape: Outline


@dataclass(frozen=True, kw_only=True)
class CreditSpec:
    """What an authority says the micro-credential counts for; never our promise."""

    authority: str
    value: Decimal
    unit: str
    """In the authority's own words, such as "PTSB renewal credit"."""
    approval_number: str | None
    audience: str | None
    note: str
    active: bool
    """Only an active one is ever entered for an earner; it always has an approval number and an audience."""


@dataclass(frozen=True, kw_only=True)
class CredentialSpec:
    """One version of a micro-credential, as its authors wrote it."""

    key: str
    version: int
    shape: Shape
    title: str
    label: str
    """The gradebook column's name, at most 30 characters."""
    purpose: str
    competency: str
    key_method: str
    components: tuple[ComponentSpec, ...]
    research: tuple[ResearchSpec, ...]
    resources: tuple[ResourceSpec, ...]
    audience: str
    setting: Setting
    effort_hours: EffortSpec
    turnaround_days: int
    """Business days from handing in to a decision."""
    assessed_by: str
    standards: tuple[StandardRef, ...]
    parts: tuple[PartSpec, ...]
    tasks: tuple[TaskSpec, ...]
    rubric: tuple[CriterionSpec, ...]
    pass_rule: PassRuleSpec
    points: int
    """Points possible in the gradebook."""
    badge: BadgeSpec
    credit: tuple[CreditSpec, ...]
    retired: bool
    """Nobody begins it any more. That says nothing about its wording, so it needs no new version."""
    replaced_by: str | None
    """Only of a retired one: the key of the micro-credential to take instead."""

    @property
    def involves_children(self) -> bool:
        """Whether any task does: such a micro-credential needs a placement."""
        return any(task.involves_children for task in self.tasks)

    def digest(self) -> str:
        """SHA-256 (hex) of all that a version says, to notice one that was edited in place."""
        return _digest(self, leave_out=("retired", "replaced_by"))


@dataclass(frozen=True, kw_only=True)
class RetiredSpec:
    """A micro-credential that was published once and has no file any more."""

    key: str
    replaced_by: str | None
    """The key of the micro-credential to take instead."""


@dataclass(frozen=True, kw_only=True)
class StackSpec:
    """One version of a stack: micro-credentials that together earn a further badge."""

    key: str
    version: int
    title: str
    label: str
    """The gradebook column's name, at most 30 characters."""
    description: str
    rule: stacking.Rule
    """In keys of micro-credentials. At least two parts, none twice, and all of them open in time."""
    points: int
    """Points possible in the gradebook."""
    badge: BadgeSpec
    retired: bool
    """Offered to nobody new; whoever completes it still gets its badge."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Keys of its micro-credentials, in the order in which they are written."""
        return self.rule.parts

    def digest(self) -> str:
        """SHA-256 (hex) of all that a version says, to notice one that was edited in place."""
        return _digest(self, leave_out=("retired",))


def _digest(spec: CredentialSpec | StackSpec, *, leave_out: Collection[str]) -> str:
    said = {name: value for name, value in asdict(spec).items() if name not in leave_out}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything on offer, consistent in itself."""

    frameworks: tuple[FrameworkSpec, ...]
    credentials: tuple[CredentialSpec, ...]
    stacks: tuple[StackSpec, ...]
    retired: tuple[RetiredSpec, ...]
    """Those whose file is gone; a file may also say of itself that it is retired."""
    warnings: tuple[Problem, ...]
    """Advice to authors, mostly where a micro-credential looks like a whole module. It refuses nothing."""


class CatalogErrors(Exception):
    """The catalogue cannot be used; ``problems`` holds every reason found, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def load(folder_catalog: Path, folder_frameworks: Path) -> Catalog:
    """Read both folders.

    Raises CatalogErrors with every problem in every file; nothing is returned in part.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    frameworks = _each(folder_frameworks, "framework", _framework, problems)
    codes = {spec.key: [standard.code for standard in spec.standards] for spec in frameworks}
    # A standard that could not be read is no reason to complain of all that refer to it.
    known = None if problems else codes
    tops: list[tuple[Section, CredentialSpec]] = []

    def credential(top: Section) -> CredentialSpec:
        spec = _credential(top, known)
        tops.append((top, spec))
        warnings.extend(top.located(hint.field, hint.message) for hint in lint.hints(spec))
        return spec

    credentials = _each(
        folder_catalog, "micro-credential", credential, problems, leave_out=(STACKS_FILE, RETIRED_FILE)
    )
    unread = {problem.file for problem in problems if not problem.field}
    keys = None if unread else {spec.key: spec.retired for spec in credentials}
    for top, spec in tops:
        if message := _cannot_replace(spec.replaced_by, keys):
            problems.append(top.located("replaced_by", message))
    stacks = _stacks(folder_catalog / STACKS_FILE, keys, problems, warnings)
    retired = _retired(folder_catalog / RETIRED_FILE, keys, problems)
    if problems:
        raise CatalogErrors(problems)
    return Catalog(
        frameworks=tuple(frameworks),
        credentials=tuple(credentials),
        stacks=stacks,
        retired=retired,
        warnings=tuple(sorted(warnings)),
    )


def _each(
    folder: Path,
    what: str,
    parse: Callable[[Section], Keyed],
    problems: list[Problem],
    *,
    leave_out: Collection[str] = (),
) -> list[Keyed]:
    """Parse every YAML file of the folder, by name; keys are unique among them."""
    files = sorted(
        file
        for file in folder.glob("*")
        if file.suffix in {".yaml", ".yml"} and not file.name.startswith(".") and file.name not in leave_out
    )
    if not files:
        problems.append(Problem(str(folder), 0, "", f"holds no {what}; add one as a .yaml file"))
    if len(files) > MAX_FILES:
        problems.append(
            Problem(str(folder), 0, "", f"holds {len(files)} files; at most {MAX_FILES} are read")
        )
    specs: list[Keyed] = []
    first_in: dict[str, str] = {}
    for file in files[:MAX_FILES]:
        top, notes = read(file)
        if top is not None:
            spec = parse(top)
            top.close()
            if spec.key and spec.key in first_in:
                top.problem("key", f'"{spec.key}" is already the key in {first_in[spec.key]}; choose another')
            first_in.setdefault(spec.key, file.name)
            specs.append(spec)
        problems.extend(notes.problems)
    return specs


def _framework(top: Section) -> FrameworkSpec:
    spec = FrameworkSpec(
        key=top.slug("key"),
        title=top.line_of_text("title", TITLE),
        publisher=top.line_of_text("publisher", TITLE),
        url=top.url("url"),
        note=top.optional_text("note", PARAGRAPH),
        standards=_every(top, "standards", _standard, least=1, most=200),
    )
    _no_twins(top, "standards", [standard.code for standard in spec.standards], "code")
    return spec


def _standard(entry: Section) -> StandardSpec:
    code = entry.line_of_text("code", 40, needs='the official code, in quotes, as in "7"')
    if code and not _CODE.fullmatch(code):
        entry.problem("code", "must begin with a letter or digit and hold only those and . - _ / ( )")
    return StandardSpec(code=code, label=entry.line_of_text("label", 160))


def _credential(top: Section, known: Mapping[str, Sequence[str]] | None) -> CredentialSpec:
    shape = top.choice("shape", SHAPES)
    # The Learning Designed shape is carried by its rubric; the other two by their anatomy.
    anatomy = 0 if shape == "learning-designed" else 1
    retired = top.truth("retired", default=False)
    is_replaced = top.fits("replaced_by", retired, only_with="retired: yes")
    spec = CredentialSpec(
        key=top.slug("key"),
        version=top.whole("version", 1, 9999),
        shape=shape,
        title=top.line_of_text("title", TITLE),
        label=top.line_of_text("label", LABEL, needs=f"a gradebook name of at most {LABEL} characters"),
        purpose=top.text("purpose", PARAGRAPH, needs="a paragraph that says what it is for"),
        competency=top.text("competency", PARAGRAPH, needs="a sentence that says what an earner can do"),
        key_method=top.text("key_method", LONG),
        components=_every(top, "components", _component, least=anatomy),
        research=_every(top, "research", _research, least=anatomy),
        resources=_every(top, "resources", _resource, least=anatomy),
        audience=top.text("audience", SENTENCE),
        setting=top.choice("setting", SETTINGS),
        effort_hours=_effort(top),
        turnaround_days=top.whole("turnaround_days", 1, 60),
        assessed_by=top.text("assessed_by", SENTENCE, needs="a sentence that says who assesses"),
        standards=_standard_refs(top, known),
        parts=_parts(top, shape),
        tasks=_every(top, "tasks", _task, least=1, most=30),
        rubric=_every(top, "rubric", _criterion, least=1, most=30),
        pass_rule=_pass_rule(top),
        points=top.whole("points", 1, 1000, default=POINTS),
        badge=_badge(top),
        credit=_every(top, "credit", _credit, most=20),
        retired=retired,
        replaced_by=top.optional_slug("replaced_by") if is_replaced else None,
    )
    _agree(top, spec)
    return spec


def _every(
    top: Section, name: str, parse: Callable[[Section], Parsed], *, least: int = 0, most: int = 50
) -> tuple[Parsed, ...]:
    """A list of groups of fields, each read by ``parse`` and closed."""
    found: list[Parsed] = []
    for entry in top.sections(name, what=name, least=least, most=most):
        found.append(parse(entry))
        entry.close()
    return tuple(found)


def _component(entry: Section) -> ComponentSpec:
    return ComponentSpec(title=entry.line_of_text("title", TITLE), text=entry.text("text", PARAGRAPH))


def _research(entry: Section) -> ResearchSpec:
    return ResearchSpec(citation=entry.text("citation", SENTENCE * 2), url=entry.optional_url("url"))


def _resource(entry: Section) -> ResourceSpec:
    return ResourceSpec(
        title=entry.line_of_text("title", SENTENCE),
        url=entry.optional_url("url"),
        note=entry.optional_text("note", SENTENCE * 2),
    )


def _effort(top: Section) -> EffortSpec:
    hours = top.section("effort_hours", needs="min and max hours, as in {min: 6, max: 10}")
    spec = EffortSpec(min=hours.whole("min", 1, 200), max=hours.whole("max", 1, 200))
    hours.close()
    if spec.min > spec.max and hours.has("min") and hours.has("max"):
        hours.problem("max", f"is {spec.max}, less than min ({spec.min}); exchange them")
    return spec


def _standard_refs(top: Section, known: Mapping[str, Sequence[str]] | None) -> tuple[StandardRef, ...]:
    found: list[StandardRef] = []
    for text, path, line in top.texts("standards", what="standards", least=1, most=30):
        framework, colon, code = text.partition(":")
        if not text:
            continue
        ref = StandardRef(framework=framework, code=code)
        if not colon:
            top.note(line, path, f'"{text}" must be framework:code, as in intasc:7')
        elif known is not None and framework not in known:
            top.note(
                line, path, f'no framework has the key "{framework}"; {hint_for(framework, list(known))}'
            )
        elif known is not None and code not in known[framework]:
            hint = hint_for(code, known[framework])
            top.note(line, path, f'"{framework}" has no standard with the code "{code}"; {hint}')
        elif ref in found:
            top.note(line, path, f'"{text}" stands here twice; keep one')
        else:
            found.append(ref)
    return tuple(found)


def _parts(top: Section, shape: Shape) -> tuple[PartSpec, ...]:
    def part(entry: Section) -> PartSpec:
        nea = "the passing criteria of this part, in words"
        return PartSpec(
            key=entry.slug("key"),
            title=entry.line_of_text("title", TITLE),
            intro=entry.text("intro", PARAGRAPH),
            passing=entry.text("passing", PARAGRAPH, needs=nea)
            if shape == "nea"
            else entry.optional_text("passing", PARAGRAPH),
        )

    return _every(top, "parts", part, least=1, most=10)


def _task(entry: Section) -> TaskSpec:
    kind = entry.choice("kind", TASK_KINDS)
    children = entry.truth("involves_children", default=False)

    def takes(name: str) -> bool:
        return entry.fits(name, kind == "evidence", only_with="kind: evidence")

    spec = TaskSpec(
        key=entry.slug("key"),
        part=entry.slug("part", needs="the key of one of the parts"),
        title=entry.line_of_text("title", TITLE),
        prompt=entry.text("prompt", LONG),
        kind=kind,
        required=entry.truth("required", default=True),
        words=_words(entry) if entry.fits("words", kind == "written", only_with="kind: written") else None,
        accepts=entry.choices("accepts", EVIDENCE_KINDS) if takes("accepts") else (),
        involves_children=children,
        alternatives=entry.optional_text("alternatives", PARAGRAPH),
        max_files=entry.whole("max_files", 1, 20, default=3) if takes("max_files") else 0,
    )
    if children and "link" in spec.accepts:
        entry.problem(
            "accepts",
            "must be [upload] alone, because the task involves children: their pictures, voices and work "
            "must not lie on other sites",
        )
    return spec


def _words(entry: Section) -> WordsSpec | None:
    words = entry.optional_section("words")
    if words is None:
        return None
    spec = WordsSpec(min=words.optional_whole("min", 1, 10_000), max=words.optional_whole("max", 1, 10_000))
    words.close()
    if not words.has("min") and not words.has("max"):
        words.problem("", "needs min, max or both, as in {min: 150, max: 300}")
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        words.problem("max", f"is {spec.max}, less than min ({spec.min}); exchange them")
    return spec


def _criterion(entry: Section) -> CriterionSpec:
    spec = CriterionSpec(
        key=entry.slug("key"),
        part=entry.slug("part", needs="the key of one of the parts"),
        title=entry.line_of_text("title", TITLE),
        description=entry.text("description", PARAGRAPH),
        levels=_levels(entry),
        required_level=entry.slug("required_level", needs="the key of the level that meets this criterion"),
        feedback_hint=entry.optional_text("feedback_hint", PARAGRAPH),
    )
    keys = [level.key for level in spec.levels]
    if spec.required_level and len(keys) > 1 and spec.required_level not in keys:
        hint = hint_for(spec.required_level, keys)
        entry.problem("required_level", f'"{spec.required_level}" is none of the levels above; {hint}')
    elif len(keys) > 1 and spec.required_level == keys[0]:
        message = "is the lowest level, so every rating would meet it; choose a higher one"
        entry.problem("required_level", message)
    return spec


def _levels(criterion: Section) -> tuple[LevelSpec, ...]:
    def level(entry: Section) -> LevelSpec:
        return LevelSpec(
            key=entry.slug("key"),
            title=entry.line_of_text("title", 40),
            text=entry.text("text", PARAGRAPH, needs="what an assessor sees at this level"),
            points=entry.optional_whole("points", 0, 1000),
        )

    levels = _every(criterion, "levels", level, least=2, most=6)
    _no_twins(criterion, "levels", [spec.key for spec in levels], "key")
    points = [spec.points for spec in levels if spec.points is not None]
    if points and len(points) != len(levels):
        criterion.problem("levels", "have points only in part; give every level points, or none")
    elif any(low >= high for low, high in pairwise(points)):
        criterion.problem("levels", "must stand from low to high, with points that rise from level to level")
    return levels


def _pass_rule(top: Section) -> PassRuleSpec:
    rule = top.section("pass_rule", needs=f"{{kind: all}} or {_SHARE}")
    kind = rule.choice("kind", PASS_KINDS)

    def takes(name: str) -> bool:
        return rule.fits(name, kind == "share", only_with="kind: share")

    spec = PassRuleSpec(
        kind=kind,
        percent=rule.whole("percent", 1, 100) if takes("percent") else None,
        level=rule.slug("level", needs="the key of the level to reach") if takes("level") else None,
    )
    rule.close()
    return spec


def _badge(top: Section) -> BadgeSpec:
    badge = top.section("badge", needs="symbol, colour and shape")
    colour = badge.line_of_text("colour", 40, needs='a colour in quotes, as in "#1f5f5b"')
    spec = BadgeSpec(
        symbol=badge.choice("symbol", SYMBOLS), colour=colour.lower(), shape=badge.choice("shape", OUTLINES)
    )
    badge.close()
    if colour and not _COLOUR.fullmatch(colour):
        badge.problem("colour", 'must be # and six hexadecimal digits in quotes, as in "#1f5f5b"')
    elif colour and (contrast := _contrast_with_white(colour)) < _LEAST_CONTRAST:
        badge.problem(
            "colour",
            f"is too light for the white symbol on it (contrast {contrast:.1f}:1); "
            f"darken it to at least {_LEAST_CONTRAST}:1",
        )
    return spec


def _contrast_with_white(colour: str) -> float:
    """WCAG contrast ratio of #rrggbb with white, 1 to 21."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _credit(entry: Section) -> CreditSpec:
    spec = CreditSpec(
        authority=entry.line_of_text("authority", TITLE),
        value=entry.number("value", Decimal("0.01"), Decimal(1000)),
        unit=entry.line_of_text("unit", 60, needs="the authority's own word for what is counted"),
        approval_number=entry.optional_text("approval_number", 60),
        audience=entry.optional_text("audience", SENTENCE),
        note=entry.text("note", SENTENCE * 2, needs="what earners must know about it"),
        active=entry.truth("active", default=False),
    )
    for name, value in (("approval_number", spec.approval_number), ("audience", spec.audience)):
        if spec.active and value is None:
            entry.problem(name, "is missing, so the credit cannot be active; add it, or set active: no")
    return spec


def _agree(top: Section, spec: CredentialSpec) -> None:
    """What must hold between the fields of one micro-credential."""
    parts = [part.key for part in spec.parts]
    _no_twins(top, "parts", parts, "key")
    _no_twins(top, "tasks", [task.key for task in spec.tasks], "key")
    _no_twins(top, "rubric", [criterion.key for criterion in spec.rubric], "key")
    pointing: tuple[tuple[str, Sequence[TaskSpec | CriterionSpec]], ...] = (
        ("tasks", spec.tasks),
        ("rubric", spec.rubric),
    )
    for name, entries in pointing:
        for place, entry in enumerate(entries):
            if entry.part and parts and entry.part not in parts:
                hint = hint_for(entry.part, parts)
                top.problem_in(name, place, "part", f'"{entry.part}" is none of the parts; {hint}')
    for place, part in enumerate(parts):
        if spec.tasks and part and all(task.part != part for task in spec.tasks):
            message = f'no task belongs to the part "{part}"; add one or remove the part'
            top.problem_in("parts", place, "key", message)
    if spec.tasks and not any(task.required for task in spec.tasks):
        top.problem("tasks", "are all optional; at least one must be required, or nothing need be handed in")
    for place, task in enumerate(spec.tasks):
        if task.involves_children and spec.setting == "no-children":
            message = "is yes, but the setting says no-children; change the one or the other"
            top.problem_in("tasks", place, "involves_children", message)
    if spec.pass_rule.kind == "share":
        for place, criterion in enumerate(spec.rubric):
            asked, counted = criterion.required_level, spec.pass_rule.level
            if asked and counted and asked != counted:
                message = f'is "{asked}", but pass_rule counts "{counted}"; make them equal'
                top.problem_in("rubric", place, "required_level", message)
    elif spec.shape == "learning-designed":
        top.problem("pass_rule", f"of the learning-designed shape must be a share, as in {_SHARE}")


def _no_twins(top: Section, name: str, keys: Sequence[str], what: str) -> None:
    for place, key in enumerate(keys):
        if key and key in keys[:place]:
            top.problem_in(name, place, what, f'"{key}" is already taken by entry [{keys.index(key) + 1}]')


def _stacks(
    file: Path, credentials: Mapping[str, bool] | None, problems: list[Problem], warnings: list[Problem]
) -> tuple[StackSpec, ...]:
    """An institution may well have no stacks, and then needs no file.

    :param credentials: key -> whether it is retired; None where some file could not be read.
    """

    def stack(entry: Section) -> StackSpec:
        spec = _stack(entry, credentials)
        warnings.extend(entry.located(hint.field, hint.message) for hint in lint.stack_hints(spec))
        return spec

    return _list_file(file, "stacks", stack, problems, most=MAX_STACKS)


def _list_file(
    file: Path, name: str, parse: Callable[[Section], Listed], problems: list[Problem], *, most: int
) -> tuple[Listed, ...]:
    """The entries of a file that holds one list; none where there is no such file. Keys are unique among them."""
    if not file.exists():
        return ()
    top, notes = read(file)
    if top is None:
        problems.extend(notes.problems)
        return ()
    entries = _every(top, name, parse, most=most)
    top.close()
    _no_twins(top, name, [entry.key for entry in entries], "key")
    problems.extend(notes.problems)
    return entries


def _stack(entry: Section, credentials: Mapping[str, bool] | None) -> StackSpec:
    rule = stack_rule.read(entry, credentials)
    title = entry.line_of_text("title", TITLE)
    spec = StackSpec(
        key=entry.slug("key"),
        version=entry.whole("version", 1, 9999, default=1),
        title=title,
        label=entry.line_of_text("label", LABEL, needs=f"a gradebook name of at most {LABEL} characters")
        if entry.has("label") or len(title) > LABEL
        else entry.optional_text("label", LABEL) or title,
        description=entry.text("description", PARAGRAPH),
        rule=rule,
        points=entry.whole("points", 1, 10_000, default=POINTS * max(1, rule.needed)),
        badge=_badge(entry),
        retired=entry.truth("retired", default=False),
    )
    gone = [
        part for part in (*rule.parts, *rule.outside) if credentials is not None and credentials.get(part)
    ]
    if gone and not spec.retired and not stacking.possible(rule, retired=gone):
        names = stacking.listed([f'"{key}"' for key in gone])
        entry.problem(
            "rule" if entry.has("rule") else "parts",
            f"can be completed by nobody new, since {names} "
            f"{'is' if len(gone) == 1 else 'are'} retired; publish a new version that takes one of the old and what "
            "replaces it, as in {take: 1, of: [old-key, new-key]}, or set retired: yes",
        )
    return spec


def _retired(
    file: Path, credentials: Mapping[str, bool] | None, problems: list[Problem]
) -> tuple[RetiredSpec, ...]:
    def retired(entry: Section) -> RetiredSpec:
        spec = RetiredSpec(key=entry.slug("key"), replaced_by=entry.optional_slug("replaced_by"))
        if credentials is not None and spec.key in credentials:
            entry.problem("key", f'"{spec.key}" still has its file; say "retired: yes" there instead')
        if message := _cannot_replace(spec.replaced_by, credentials):
            entry.problem("replaced_by", message)
        return spec

    return _list_file(file, "retired", retired, problems, most=MAX_FILES)


def _cannot_replace(key: str | None, credentials: Mapping[str, bool] | None) -> str | None:
    """Why this cannot be what replaces a retired micro-credential: it must be one that can still be begun."""
    if not key or credentials is None:
        return None
    if key not in credentials:
        return f'no micro-credential has the key "{key}"; {hint_for(key, list(credentials))}'
    return f'"{key}" is retired itself; name one that can be begun' if credentials[key] else None
