"""YAML read by people who are not programmers: every complaint says where and what to do.

``yaml.safe_load`` would lose the line numbers, keep the last of two equal keys without a word, and turn
``title: Yes`` into ``True``. So the tree is composed here and read field by field through :class:`Section`,
which notes each problem and goes on, so that an author sees all mistakes at once.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import yaml

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
MAX_URL = 500
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
MAX_SLUG = 60

# What YAML itself calls printable; looked for before parsing, because PyYAML names no line for it.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# They reorder the text around them, so that a page shows something else than what the file says.
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_KINDS = {
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:int": "a whole number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:bool": "yes or no",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:timestamp": "a date",
}
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,2})?", re.ASCII)
_TRUTH = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}

Choice = TypeVar("Choice", bound=str)


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to mend, or (among the warnings) one thing to think about."""

    file: str
    line: int
    """Counted from 1; 0 when no single line is to blame."""
    field: str
    """Such as ``rubric[2].levels``, where [2] is the second entry; empty when it is the file itself."""
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


@dataclass
class Notes:
    """The problems found so far in one file."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def add(self, line: int, path: str, message: str) -> None:
        self.problems.append(Problem(self.file, line, path, message))


class _Refused(yaml.MarkedYAMLError):
    """YAML that a parser would take and we do not."""


def _refused(event: yaml.Event, why: str) -> _Refused:
    return _Refused(problem=why, problem_mark=cast("Any", event.start_mark))


class _Composer(yaml.SafeLoader):
    """Composes without aliases (which can blow a small file up to gigabytes) and without deep nesting."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it bare
        if isinstance(event, yaml.AliasEvent):
            raise _refused(event, "references (*name) are not used here; write the text out")
        if (tag := getattr(event, "tag", None)) is not None:
            raise _refused(event, f"marks such as {_shown(tag)} are not used here; put the text in quotes")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(event, "lists and fields are nested too deeply")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _described(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a group of fields"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return _KINDS.get(node.tag, "a mark of its own")


def _closest(name: str, known: Sequence[str]) -> str | None:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return found[0] if found else None


def hint_for(name: str, known: Sequence[str]) -> str:
    """What an author may have meant by a name that is none of ``known``; else a few that there are."""
    if not known:
        return "there is none yet"
    if (meant := _closest(name, known)) is not None:
        return f'did you mean "{meant}"?'
    return f"there are: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}"


def _must_be_fields(node: yaml.Node) -> str:
    return f'must be fields ("name: value"), but YAML reads {_described(node)}'


def _shown(value: str) -> str:
    """A value as it may stand in a message: short, on one line."""
    flat = " ".join(value.split())
    return flat if len(flat) <= 40 else flat[:39] + "…"


class Section:
    """One group of fields. Each reader returns a usable value of its type even after noting a problem."""

    def __init__(self, notes: Notes, path: str, node: yaml.MappingNode | None, line: int) -> None:
        self._notes = notes
        self._path = path
        self._start = line
        self._values: dict[str, yaml.Node] = {}
        self._names: dict[str, int] = {}
        self._asked: list[str] = []
        self._missing: dict[str, Problem] = {}
        for name_node, value in node.value if node is not None else ():
            self._enter(name_node, value)

    def _enter(self, name_node: yaml.Node, value: yaml.Node) -> None:
        if not isinstance(name_node, yaml.ScalarNode):
            self._notes.add(_line(name_node), self._path, "a field's name must be one plain word")
            return
        name = str(name_node.value)
        if name in self._values:
            first = self._names[name]
            self.problem(
                _shown(name), f"stands here twice (first on line {first}); keep one", line=_line(name_node)
            )
            return
        self._values[name] = value
        self._names[name] = _line(name_node)

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def line(self, name: str = "") -> int:
        """Where the field's value starts; the start of the group when the field is missing."""
        return _line(self._values[name]) if name in self._values else self._start

    def problem(self, name: str, message: str, *, line: int | None = None) -> None:
        path = self.path(name) if name else self._path
        self._notes.add(self.line(name) if line is None else line, path, message)

    def problem_in(self, name: str, place: int, inner: str, message: str) -> None:
        """Note a problem with the field ``inner`` of the group at ``place`` (from 0) in the list ``name``."""
        listed = self._values[name].value
        groups = [(n, node) for n, node in enumerate(listed, 1) if isinstance(node, yaml.MappingNode)]
        number, group = groups[place]
        values = [value for key, value in group.value if key.value == inner]
        self._notes.add(
            _line(values[0] if values else group), f"{self.path(name)}[{number}].{inner}", message
        )

    def located(self, name: str, message: str) -> Problem:
        """A remark about the field, for whoever collects remarks; it is not noted as a problem."""
        return Problem(self._notes.file, self.line(name), self.path(name), message)

    def has(self, name: str) -> bool:
        return name in self._values

    def fits(self, name: str, when: bool, *, only_with: str) -> bool:
        """Whether to read the field; where it is given without fitting, that is a problem."""
        if not when and self.has(name):
            self._asked.append(name)
            self.problem(name, f"fits only {only_with}; remove it")
        return when

    def close(self) -> None:
        """Refuse what nobody asked for: a misspelt field must not be dropped without a word."""
        for name in self._values:
            if name not in self._asked:
                free = [known for known in self._asked if known not in self._values]
                hint = f"the fields here are: {', '.join(self._asked)}"
                if (meant := _closest(name, free)) is not None:
                    hint = f'did you mean "{meant}"?'
                    self._forget_missing(meant)
                self.problem(_shown(name), f"is not a field known here; {hint}", line=self._names[name])

    def _forget_missing(self, name: str) -> None:
        """A misspelt field is one mistake, not two: do not also say that the right one is missing."""
        problem = self._missing.pop(name, None)
        if problem is not None:
            self._notes.problems.remove(problem)

    def _value(self, name: str, *, required: bool, needs: str) -> yaml.Node | None:
        self._asked.append(name)
        node = self._values.get(name)
        if node is None or node.tag == "tag:yaml.org,2002:null":
            if required:
                state = "is empty" if node is not None else "is missing"
                self.problem(name, f"{state}; add {needs}")
                self._missing[name] = self._notes.problems[-1]
            return None
        return node

    def _text_of(self, node: yaml.Node, path: str, limit: int) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
            help_ = "; put it in quotes" if isinstance(node, yaml.ScalarNode) else ""
            self._notes.add(_line(node), path, f"must be text, but YAML reads {_described(node)}{help_}")
            return ""
        text = str(node.value).strip()
        if not text:
            self._notes.add(_line(node), path, "is empty; add text")
        if len(text) > limit:
            self._notes.add(_line(node), path, f"has {len(text)} characters; shorten it to at most {limit}")
        if any((unicodedata.category(c) in {"Cc", "Cs"} and c != "\n") or c in _REORDERING for c in text):
            message = "contains a tab or an invisible control character; retype the text without it"
            self._notes.add(_line(node), path, message)
        return text

    def text(self, name: str, limit: int, *, needs: str = "text") -> str:
        node = self._value(name, required=True, needs=needs)
        return "" if node is None else self._text_of(node, self.path(name), limit)

    def optional_text(self, name: str, limit: int) -> str | None:
        node = self._value(name, required=False, needs="text")
        return None if node is None else self._text_of(node, self.path(name), limit)

    def line_of_text(self, name: str, limit: int, *, needs: str = "text") -> str:
        """Text that a heading or a gradebook shows: one line of it."""
        text = self.text(name, limit, needs=needs)
        if "\n" in text:
            self.problem(name, 'must stand on one line; use ">" instead of "|" for long lines')
        return text

    def _slug_of(self, node: yaml.Node, path: str) -> str:
        text = self._text_of(node, path, MAX_SLUG)
        if text and not SLUG.fullmatch(text):
            message = f'"{_shown(text)}" must be small letters, digits and single hyphens, as in my-key'
            self._notes.add(_line(node), path, message)
        return text

    def slug(self, name: str, *, needs: str = "a short name, as in my-key") -> str:
        node = self._value(name, required=True, needs=needs)
        return "" if node is None else self._slug_of(node, self.path(name))

    def optional_slug(self, name: str) -> str | None:
        node = self._value(name, required=False, needs="a key")
        return None if node is None else self._slug_of(node, self.path(name))

    def url(self, name: str) -> str:
        return self._checked_url(name, self.line_of_text(name, MAX_URL, needs="an address, as in https://…"))

    def optional_url(self, name: str) -> str | None:
        text = self.optional_text(name, MAX_URL)
        return None if text is None else self._checked_url(name, text)

    def _checked_url(self, name: str, text: str) -> str:
        try:
            parts = urlsplit(text)
            web = parts.scheme in {"https", "http"} and bool(parts.hostname)
        except ValueError:
            web = False
        if text and (not web or re.search(r"[\s<>\"]", text)):
            self.problem(name, "must be one web address that starts with https:// or http://")
        return text

    def choice(self, name: str, options: Sequence[Choice], *, default: Choice | None = None) -> Choice:
        node = self._value(name, required=default is None, needs=f"one of: {', '.join(options)}")
        if node is None:
            return options[0] if default is None else default
        return self._choice_of(node, self.path(name), options)

    def _choice_of(self, node: yaml.Node, path: str, options: Sequence[Choice]) -> Choice:
        text = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
        for option in options:
            if option == text:
                return option
        got = f'"{_shown(text)}"' if text else _described(node)
        self._notes.add(_line(node), path, f"{got} is not possible here; {hint_for(text, options)}")
        return options[0]

    def choices(self, name: str, options: Sequence[Choice]) -> tuple[Choice, ...]:
        """A list of one or more of the options, each at most once."""
        found: list[Choice] = []
        for path, node in self._entries(name, 1, len(options), "entries"):
            option = self._choice_of(node, path, options)
            if option in found and str(node.value) == option:
                self._notes.add(_line(node), path, f'"{option}" stands here twice; keep one')
            elif option not in found:
                found.append(option)
        return tuple(found)

    def truth(self, name: str, *, default: bool) -> bool:
        node = self._value(name, required=False, needs="yes or no")
        if node is None:
            return default
        if node.tag != "tag:yaml.org,2002:bool":
            self.problem(name, f"must be yes or no, but YAML reads {_described(node)}")
            return default
        return _TRUTH[str(node.value).lower()]

    def whole(self, name: str, low: int, high: int, *, default: int | None = None) -> int:
        number = self._whole(name, low, high, required=default is None)
        return number if number is not None else low if default is None else default

    def optional_whole(self, name: str, low: int, high: int) -> int | None:
        return self._whole(name, low, high, required=False)

    def whole_or(self, name: str, word: str, low: int, high: int) -> int | None:
        """A whole number, or None for the word that may stand instead. After a problem it is ``low``."""
        node = self._values.get(name)
        if isinstance(node, yaml.ScalarNode) and str(node.value) == word:
            self._asked.append(name)
            return None
        number = self._whole(name, low, high, required=True, instead=f"{word} or ")
        return low if number is None else number

    def _whole(self, name: str, low: int, high: int, *, required: bool, instead: str = "") -> int | None:
        wanted = f"{instead}a whole number from {low} to {high}"
        node = self._value(name, required=required, needs=wanted)
        if node is None:
            return None
        # Also the tag "int" covers 0x1f, 1_000 and 1:30 (which is 90), none of which an author means.
        if not isinstance(node, yaml.ScalarNode) or not re.fullmatch(r"-?[0-9]{1,9}", str(node.value)):
            self.problem(name, f"must be {wanted}, but YAML reads {_described(node)}")
            return None
        number = int(str(node.value))
        if not low <= number <= high:
            self.problem(name, f"is {number}; choose {instead}a number from {low} to {high}")
            return None
        return number

    def number(self, name: str, low: Decimal, high: Decimal) -> Decimal:
        """A decimal exactly as written: 0.1 stays 0.1. At most two places."""
        node = self._value(name, required=True, needs=f"a number from {low} to {high}")
        if node is None:
            return low
        if not isinstance(node, yaml.ScalarNode) or not _DECIMAL.fullmatch(str(node.value)):
            self.problem(name, "must be a plain number with at most two decimal places, as in 0.5")
            return low
        number = Decimal(str(node.value))
        if not low <= number <= high:
            self.problem(name, f"is {number}; choose a number from {low} to {high}")
        return number

    def _entries(self, name: str, least: int, most: int, what: str) -> Iterator[tuple[str, yaml.Node]]:
        count = f"at least {least} {what}" if least > 1 else f"a list of {what}"
        node = self._value(name, required=least > 0, needs=count)
        if node is None:
            return
        if not isinstance(node, yaml.SequenceNode):
            self.problem(name, f'must be a list (each entry after "- "), but YAML reads {_described(node)}')
            return
        found = len(node.value)
        if found < least:
            self.problem(name, f"has {found} {what}; it needs at least {least}, so add {least - found} more")
        if found > most:
            self.problem(name, f"has {found} {what}; at most {most} are allowed")
        for place, entry in enumerate(node.value[:most], start=1):
            yield f"{self.path(name)}[{place}]", entry

    def texts(self, name: str, *, what: str, least: int, most: int) -> list[tuple[str, str, int]]:
        """A list of short texts, each with its path and line for :meth:`note`."""
        entries = self._entries(name, least, most, what)
        return [(self._text_of(node, path, 200), path, _line(node)) for path, node in entries]

    def note(self, line: int, path: str, message: str) -> None:
        self._notes.add(line, path, message)

    def sections(self, name: str, *, what: str, least: int = 0, most: int = 50) -> "list[Section]":
        """A list whose entries are groups of fields; ``what`` names the entries in messages."""
        found: list[Section] = []
        for path, node in self._entries(name, least, most, what):
            if isinstance(node, yaml.MappingNode):
                found.append(Section(self._notes, path, node, _line(node)))
            else:
                self._notes.add(_line(node), path, _must_be_fields(node))
        return found

    def section(self, name: str, *, needs: str) -> "Section":
        """A required group of fields; an empty one, its absence noted, when it is missing."""
        found = self._section(name, required=True, needs=needs)
        return Section(Notes(""), self.path(name), None, self.line(name)) if found is None else found

    def optional_section(self, name: str) -> "Section | None":
        return self._section(name, required=False, needs="")

    def _section(self, name: str, *, required: bool, needs: str) -> "Section | None":
        node = self._value(name, required=required, needs=needs)
        if node is None:
            return None
        if not isinstance(node, yaml.MappingNode):
            self.problem(name, _must_be_fields(node))
            return None
        return Section(self._notes, self.path(name), node, _line(node))


def read(file: Path) -> tuple[Section | None, Notes]:
    """The file's top group of fields, or None with the reason in the notes when it cannot be read at all."""
    notes = Notes(file.name)
    text = _decoded(file, notes)
    if text is None:
        return None, notes
    try:
        node: Any = _compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        notes.add(int(mark.line) + 1 if mark is not None else 0, "", _explained(error))
        return None, notes
    if node is None:
        notes.add(1, "", "the file is empty; copy another file of this folder to start from")
        return None, notes
    if not isinstance(node, yaml.MappingNode):
        notes.add(_line(node), "", _must_be_fields(node))
        return None, notes
    return Section(notes, "", node, _line(node)), notes


def _compose(text: str) -> yaml.Node | None:
    composer = _Composer(text)
    try:
        return composer.get_single_node()
    finally:
        composer.dispose()


def _decoded(file: Path, notes: Notes) -> str | None:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        notes.add(0, "", f"cannot be read: {error.strerror}")
        return None
    if len(raw) > MAX_BYTES:
        notes.add(0, "", f"is larger than {MAX_BYTES // 1024} KB; split it or shorten it")
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        notes.add(line, "", "is not UTF-8 text here; save the file as UTF-8 in your editor")
        return None
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        code = f"U+{ord(found.group()):04X}"
        notes.add(line, "", f"contains the invisible control character {code}; delete it")
        return None
    return text


def _explained(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read as YAML"
    if isinstance(error, _Refused):
        return problem
    advice = "check the indentation and the quotes on this line and the one above"
    if "\\t" in problem:
        advice = "indent with spaces, not with tabs"
    elif "mapping values are not allowed" in problem:
        advice = 'a text that contains ": " must stand in quotes'
    elif "single document" in (error.context or ""):
        advice = 'keep one document per file: remove the line "---" here'
    return f"YAML cannot be read: {problem}; {advice}"
