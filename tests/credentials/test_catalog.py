"""The catalogue files: what ships loads, and a mistake is named by file, line and field, with what to do."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from lti_tool.credentials.catalog import Catalog, CatalogErrors, CredentialSpec, Problem, load

CONFIG = Path(__file__).parents[2] / "config"

FRAMEWORK = """\
key: intasc
title: InTASC
publisher: CCSSO
url: https://ccsso.org/
standards:
  - {code: "7", label: Planning}
  - {code: "8", label: Strategies}
"""

# The line numbers in the tests below count from its first line.
CREDENTIAL = """\
key: wait-time
version: 1
shape: digital-promise
title: Wait Time
label: Wait Time
purpose: Waiting lets children answer.
competency: Wait three seconds after a question.
key_method: Count silently.
components: [{title: Count, text: Count to three.}]
research: [{citation: "Rowe, M. B. (1986)."}]
resources: [{title: IRIS Center, url: "https://iris.peabody.vanderbilt.edu/"}]
audience: Candidates.
setting: classroom
effort_hours: {min: 2, max: 4}
turnaround_days: 10
assessed_by: Your instructor.
standards:
  - intasc:7
parts:
  - {key: work, title: Work, intro: Show it.}
tasks:
  - key: plan
    part: work
    title: Plan
    prompt: Write a plan.
    kind: written
    words: {min: 50, max: 100}
  - key: sheet
    part: work
    title: Tally sheet
    prompt: Hand in your tally.
    kind: evidence
    accepts: [upload]
    involves_children: yes
    alternatives: A photo.
rubric:
  - key: waits
    part: work
    title: Waits
    description: Is there a pause?
    levels:
      - {key: not-yet, title: Not yet, text: No pause.}
      - {key: met, title: Met, text: A pause.}
    required_level: met
pass_rule: {kind: all}
badge: {symbol: speech, colour: "#1f5f5b", shape: circle}
"""

STACKS = """\
stacks:
  - key: pair
    title: A Pair
    description: Both.
    parts: [wait-time, other-time]
    badge: {symbol: stack, colour: "#1f5f5b", shape: shield}
"""

Load = Callable[..., Catalog]


@pytest.fixture
def load_files(tmp_path: Path) -> Load:
    """Load a catalogue of just these files; without arguments, a correct one."""

    def run(
        credential: str | bytes = CREDENTIAL, *, framework: str = FRAMEWORK, **more: str | bytes
    ) -> Catalog:
        catalog, frameworks = tmp_path / "catalog", tmp_path / "frameworks"
        catalog.mkdir()
        frameworks.mkdir()
        (frameworks / "intasc.yaml").write_text(framework, "utf-8")
        for name, text in {"microcredential": credential, **more}.items():
            (catalog / f"{name}.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return load(catalog, frameworks)

    return run


def refusal(load_files: Load, *args: str | bytes, **more: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(CatalogErrors) as refused:
        load_files(*args, **more)
    return refused.value.problems


def changed(old: str, new: str, text: str = CREDENTIAL) -> str:
    assert text.count(old) == 1, f"{old!r} must stand once in the sample"
    return text.replace(old, new)


def shipped() -> Catalog:
    return load(CONFIG / "catalog", CONFIG / "frameworks")


def shipped_credential(key: str) -> CredentialSpec:
    return next(spec for spec in shipped().credentials if spec.key == key)


# What ships


def test_the_shipped_catalogue_loads_without_a_problem_or_a_warning() -> None:
    catalog = shipped()

    assert [spec.key for spec in catalog.credentials] == [
        "fading-prompts",
        "family-voice-iep",
        "routines-conversation",
        "udl-variability",
    ]
    assert catalog.warnings == ()


def test_the_shipped_catalogue_has_each_of_the_three_shapes_and_settings() -> None:
    credentials = shipped().credentials

    assert {spec.shape for spec in credentials} == {"digital-promise", "nea", "learning-designed"}
    assert {spec.setting for spec in credentials} == {"classroom", "early-intervention", "no-children"}


def test_the_shipped_stack_joins_two_micro_credentials_of_the_nea_shape() -> None:
    stack = shipped().stacks[0]

    assert stack.parts == ("routines-conversation", "family-voice-iep")
    assert {shipped_credential(key).shape for key in stack.parts} == {"nea"}


def test_the_shipped_learning_designed_one_passes_with_eight_of_ten_components_and_needs_no_child() -> None:
    spec = shipped_credential("udl-variability")

    assert len(spec.rubric) == 10
    assert spec.pass_rule.needed(len(spec.rubric)) == 8
    assert {tuple(level.title for level in row.levels) for row in spec.rubric} == {
        ("Not Yet", "Developing", "Proficient")
    }
    assert not spec.involves_children


def test_every_shipped_micro_credential_names_standards_of_a_state_and_of_the_profession() -> None:
    for spec in shipped().credentials:
        frameworks = {standard.framework for standard in spec.standards}

        assert {"intasc", "wy-ptsb"} <= frameworks
        assert frameworks & {"cec-k12", "cec-eiecse"}


def test_no_shipped_credit_is_promised_and_each_says_for_whom_it_would_be() -> None:
    for spec in shipped().credentials:
        (credit,) = spec.credit

        assert credit.value == Decimal("0.5")
        assert not credit.active
        assert "Renewal credit is for licensed educators." in credit.note


# What is read


def test_a_correct_file_becomes_what_its_author_wrote(load_files: Load) -> None:
    (spec,) = load_files().credentials

    written, evidence = spec.tasks
    assert (spec.key, spec.version, spec.points) == ("wait-time", 1, 10)
    assert written.words is not None
    assert (written.words.min, written.words.max, written.accepts, written.max_files) == (50, 100, (), 0)
    assert (evidence.accepts, evidence.required, evidence.max_files) == (("upload",), True, 3)
    assert spec.involves_children
    assert spec.rubric[0].required_level == "met"


def test_the_digest_changes_with_any_word_and_only_then(load_files: Load, tmp_path: Path) -> None:
    before = load_files().credentials[0].digest()
    file = tmp_path / "catalog" / "microcredential.yaml"

    file.write_text("# a remark\n" + CREDENTIAL, "utf-8")
    with_a_comment = load(file.parent, tmp_path / "frameworks").credentials[0].digest()
    file.write_text(changed("No pause.", "No pause at all."), "utf-8")
    with_a_word = load(file.parent, tmp_path / "frameworks").credentials[0].digest()

    assert with_a_comment == before
    assert with_a_word != before


def test_a_share_of_the_criteria_rounds_up() -> None:
    rule = shipped_credential("udl-variability").pass_rule

    assert [rule.needed(n) for n in (1, 4, 5, 9, 10)] == [1, 4, 4, 8, 8]


def test_a_credit_value_is_read_exactly_as_written(load_files: Load) -> None:
    credit = "credit: [{authority: PTSB, value: 0.1, unit: credit, note: An example.}]\n"

    (spec,) = load_files(CREDENTIAL + credit).credentials

    assert spec.credit[0].value == Decimal("0.1")


def test_a_file_saved_by_windows_notepad_is_read(load_files: Load) -> None:
    (spec,) = load_files(b"\xef\xbb\xbf" + CREDENTIAL.replace("\n", "\r\n").encode()).credentials

    assert spec.title == "Wait Time"


def test_a_catalogue_without_stacks_needs_no_file_for_them(load_files: Load) -> None:
    assert load_files().stacks == ()


# What is refused

MISTAKES = [
    ("title: Wait Time\n", "", 1, "title", "is missing; add text"),
    ("title: Wait Time\n", "titel: Wait Time\n", 4, "titel", 'did you mean "title"?'),
    ("title: Wait Time\n", "title: Wait Time\ncolor: red\n", 5, "color", "is not a field known here"),
    (
        "title: Wait Time\n",
        "title: Wait Time\ntitle: Other\n",
        5,
        "title",
        "stands here twice (first on line 4)",
    ),
    ("title: Wait Time\n", "title: Yes\n", 4, "title", "YAML reads yes or no; put it in quotes"),
    ("title: Wait Time\n", "title: 2026\n", 4, "title", "YAML reads a whole number; put it in quotes"),
    ("title: Wait Time\n", "title: [Wait]\n", 4, "title", "must be text, but YAML reads a list"),
    ("title: Wait Time\n", 'title: "  "\n', 4, "title", "is empty; add text"),
    ("title: Wait Time\n", "title:\n", 4, "title", "is empty; add text"),
    ("title: Wait Time\n", 'title: "Wait\\nTime"\n', 4, "title", "must stand on one line"),
    (
        "title: Wait Time\n",
        f"title: {'x' * 101}\n",
        4,
        "title",
        "has 101 characters; shorten it to at most 100",
    ),
    ("title: Wait Time\n", 'title: "Wait\\aTime"\n', 4, "title", "invisible control character"),
    ("title: Wait Time\n", 'title: "Wait\\u202eTime"\n', 4, "title", "invisible control character"),
    ("title: Wait Time\n", 'title: "Wait\\ud800"\n', 4, "title", "invisible control character"),
    ("label: Wait Time", f"label: {'x' * 31}", 5, "label", "shorten it to at most 30"),
    ("key: wait-time", "key: Wait Time", 1, "key", "must be small letters, digits and single hyphens"),
    ("version: 1", "version: 0", 2, "version", "is 0; choose a number from 1 to 9999"),
    ("version: 1", "version: 1.5", 2, "version", "must be a whole number"),
    ("version: 1", "version: yes", 2, "version", "must be a whole number"),
    ("shape: digital-promise", "shape: digital", 3, "shape", '"digital" is not possible here'),
    ("shape: digital-promise", "shape: digital-promis", 3, "shape", 'did you mean "digital-promise"?'),
    ("shape: digital-promise", "shape: nea", 20, "parts[1].passing", "is missing; add the passing criteria"),
    ("shape: digital-promise", "shape: learning-designed", 45, "pass_rule", "must be a share"),
    ("components: [{title: Count, text: Count to three.}]\n", "", 1, "components", "is missing"),
    (
        "components: [{title: Count, text: Count to three.}]",
        "components: Count",
        9,
        "components",
        "must be a list",
    ),
    (
        "components: [{title: Count, text: Count to three.}]",
        "components: [x]",
        9,
        "components[1]",
        "must be fields",
    ),
    ("https://iris.peabody.vanderbilt.edu/", "javascript:alert(1)", 11, "resources[1].url", "web address"),
    ("https://iris.peabody.vanderbilt.edu/", "https://a b/", 11, "resources[1].url", "web address"),
    ("https://iris.peabody.vanderbilt.edu/", "https://[", 11, "resources[1].url", "web address"),
    ("setting: classroom", "setting: home", 13, "setting", "there are: classroom"),
    (
        "setting: classroom",
        "setting: no-children",
        34,
        "tasks[2].involves_children",
        "setting says no-children",
    ),
    ("{min: 2, max: 4}", "{min: 5, max: 4}", 14, "effort_hours.max", "less than min (5)"),
    ("{min: 2, max: 4}", "4", 14, "effort_hours", "must be fields"),
    ("turnaround_days: 10", "turnaround_days: soon", 15, "turnaround_days", "must be a whole number"),
    ("  - intasc:7\n", "", 17, "standards", "is empty; add a list of standards"),
    ("  - intasc:7\n", "  []\n", 18, "standards", "has 0 standards; it needs at least 1"),
    ("- intasc:7", "- intasc:70", 18, "standards[1]", 'did you mean "7"?'),
    ("- intasc:7", "- intask:7", 18, "standards[1]", 'did you mean "intasc"?'),
    ("- intasc:7", "- 7", 18, "standards[1]", "must be text"),
    ("- intasc:7", "- intasc-7", 18, "standards[1]", "must be framework:code, as in intasc:7"),
    ("- intasc:7", "- intasc:7\n  - intasc:7", 19, "standards[2]", "stands here twice"),
    ("- {key: work, title: Work, intro: Show it.}", "[]", 20, "parts", "has 0 parts"),
    (
        "- {key: work, title: Work, intro: Show it.}",
        "- {key: work, title: Work, intro: Show it.}\n  - {key: end, title: End, intro: Done.}",
        21,
        "parts[2].key",
        'no task belongs to the part "end"',
    ),
    (
        "part: work\n    title: Plan",
        "part: wrk\n    title: Plan",
        23,
        "tasks[1].part",
        'did you mean "work"?',
    ),
    ("key: sheet", "key: plan", 28, "tasks[2].key", "is already taken by entry [1]"),
    ("kind: written", "kind: oral", 26, "tasks[1].kind", "there are: written, evidence"),
    ("words: {min: 50, max: 100}", "words: {min: 200, max: 100}", 27, "tasks[1].words.max", "less than min"),
    ("words: {min: 50, max: 100}", "words: {}", 27, "tasks[1].words", "needs min, max or both"),
    ("words: {min: 50, max: 100}", "accepts: [upload]", 27, "tasks[1].accepts", "fits only kind: evidence"),
    ("alternatives: A photo.", "words: {max: 9}", 35, "tasks[2].words", "fits only kind: written"),
    ("accepts: [upload]", "accepts: [upload, link]", 33, "tasks[2].accepts", "must be [upload] alone"),
    ("accepts: [upload]", "accepts: [upload, upload]", 33, "tasks[2].accepts[2]", "stands here twice"),
    ("accepts: [upload]", "accepts: [uplaod]", 33, "tasks[2].accepts[1]", 'did you mean "upload"?'),
    ("    accepts: [upload]\n", "", 28, "tasks[2].accepts", "is missing"),
    (
        "involves_children: yes",
        "involves_children: maybe",
        34,
        "tasks[2].involves_children",
        "must be yes or no",
    ),
    ("part: work\n    title: Waits", "part: x\n    title: Waits", 38, "rubric[1].part", "none of the parts"),
    ("      - {key: met, title: Met, text: A pause.}\n", "", 42, "rubric[1].levels", "needs at least 2"),
    (
        "text: A pause.}",
        "text: A pause.}\n      - {key: met, title: Long, text: A long pause.}",
        44,
        "rubric[1].levels[3].key",
        "already taken by entry [2]",
    ),
    ("required_level: met", "required_level: meet", 44, "rubric[1].required_level", 'did you mean "met"?'),
    ("required_level: met", "required_level: not-yet", 44, "rubric[1].required_level", "is the lowest level"),
    ("text: A pause.", "text: A pause., points: 1", 42, "rubric[1].levels", "points only in part"),
    ("{kind: all}", "{kind: share, percent: 80}", 45, "pass_rule.level", "is missing"),
    ("{kind: all}", "{kind: share, percent: 101, level: met}", 45, "pass_rule.percent", "is 101"),
    ("{kind: all}", "{kind: all, percent: 80}", 45, "pass_rule.percent", "fits only kind: share"),
    (
        "{kind: all}",
        "{kind: share, percent: 80, level: not-yet}",
        44,
        "rubric[1].required_level",
        "make them equal",
    ),
    ("symbol: speech", "symbol: cat", 46, "badge.symbol", "there are: book"),
    ('"#1f5f5b"', '"teal"', 46, "badge.colour", "six hexadecimal digits"),
    ('"#1f5f5b"', '"#ffee00"', 46, "badge.colour", "too light"),
]


@pytest.mark.parametrize(("old", "new", "line", "field", "message"), MISTAKES)
def test_a_mistake_is_named_by_file_line_and_field(
    load_files: Load, old: str, new: str, line: int, field: str, message: str
) -> None:
    (problem,) = refusal(load_files, changed(old, new))

    assert (problem.file, problem.line, problem.field) == ("microcredential.yaml", line, field)
    assert message in problem.message
    assert str(problem) == f"microcredential.yaml:{line}: {field}: {problem.message}"


def test_a_missing_group_is_one_problem_and_not_one_for_each_field_in_it(load_files: Load) -> None:
    (problem,) = refusal(load_files, changed("effort_hours: {min: 2, max: 4}\n", ""))

    assert (
        str(problem)
        == "microcredential.yaml:1: effort_hours: is missing; add min and max hours, as in {min: 6, max: 10}"
    )


def test_several_mistakes_in_several_files_are_reported_together_in_order(load_files: Load) -> None:
    first = changed("version: 1", "version: none").replace("required_level: met", "required_level: best")
    second = changed("key: wait-time", "key: other-time").replace("  - intasc:7", "  - intasc:9")

    problems = refusal(load_files, first, other=second, stacks=STACKS.replace("other-time]", "third]"))

    assert [(problem.file, problem.line, problem.field) for problem in problems] == [
        ("microcredential.yaml", 2, "version"),
        ("microcredential.yaml", 44, "rubric[1].required_level"),
        ("other.yaml", 18, "standards[1]"),
        ("stacks.yaml", 5, "stacks[1].parts[2]"),
    ]


def test_what_refers_to_an_unreadable_file_is_not_blamed_for_it(load_files: Load) -> None:
    problems = refusal(load_files, framework="key: [", other="key: [", stacks=STACKS)

    assert [(problem.file, problem.line) for problem in problems] == [("intasc.yaml", 1), ("other.yaml", 1)]


def test_the_refusal_as_text_has_one_line_for_each_problem(load_files: Load) -> None:
    with pytest.raises(CatalogErrors) as refused:
        load_files(changed("version: 1", "version: 0").replace("title: Met", 'title: "x\\ny"'))

    assert str(refused.value).splitlines() == [str(problem) for problem in refused.value.problems]
    assert len(refused.value.problems) == 2


def test_two_files_with_one_key_name_each_other(load_files: Load) -> None:
    (problem,) = refusal(load_files, second=CREDENTIAL)

    assert (problem.file, problem.line, problem.field) == ("second.yaml", 1, "key")
    assert "already the key in microcredential.yaml" in problem.message


def test_all_optional_tasks_are_refused(load_files: Load) -> None:
    text = CREDENTIAL.replace("    kind: ", "    required: no\n    kind: ")

    (problem,) = refusal(load_files, text)

    assert (problem.line, problem.field) == (22, "tasks")
    assert "at least one must be required" in problem.message


@pytest.mark.parametrize(
    ("missing", "field"),
    [("approval_number", "credit[1].approval_number"), ("audience", "credit[1].audience")],
)
def test_a_credit_is_active_only_with_its_approval_number_and_audience(
    load_files: Load, missing: str, field: str
) -> None:
    fields = {"approval_number": '"12-3"', "audience": "Licensed educators"}
    given = ", ".join(f"{name}: {value}" for name, value in fields.items() if name != missing)
    credit = (
        f"credit: [{{authority: PTSB, value: 0.5, unit: credit, note: Renewal., active: yes, {given}}}]\n"
    )

    (problem,) = refusal(load_files, CREDENTIAL + credit)

    assert (problem.line, problem.field) == (47, field)
    assert "set active: no" in problem.message


@pytest.mark.parametrize("value", ["-1", "0.005", "1e3", "half", ".inf", "0", "1001"])
def test_a_credit_value_that_is_no_plain_amount_is_refused(load_files: Load, value: str) -> None:
    credit = f"credit: [{{authority: PTSB, value: {value}, unit: credit, note: Renewal.}}]\n"

    (problem,) = refusal(load_files, CREDENTIAL + credit)

    assert (problem.line, problem.field) == (47, "credit[1].value")


STACK_MISTAKES = [
    ("[wait-time, other-time]", "[wait-time]", "stacks[1].parts", "needs at least 2"),
    ("[wait-time, other-time]", "[wait-time, wait-time]", "stacks[1].parts[2]", "stands here twice"),
    ("[wait-time, other-time]", "[wait-time, other-tim]", "stacks[1].parts[2]", 'did you mean "other-time"?'),
]


@pytest.mark.parametrize(("old", "new", "field", "message"), STACK_MISTAKES)
def test_a_mistake_in_a_stack_is_named_by_file_line_and_field(
    load_files: Load, old: str, new: str, field: str, message: str
) -> None:
    other = changed("key: wait-time", "key: other-time")

    (problem,) = refusal(load_files, other=other, stacks=changed(old, new, STACKS))

    assert (problem.file, problem.line, problem.field) == ("stacks.yaml", 5, field)
    assert message in problem.message


def test_a_stack_of_two_is_read(load_files: Load) -> None:
    (stack,) = load_files(other=changed("key: wait-time", "key: other-time"), stacks=STACKS).stacks

    assert (stack.key, stack.parts) == ("pair", ("wait-time", "other-time"))


FRAMEWORK_MISTAKES = [
    ('code: "7"', "code: 7", 6, "standards[1].code", "put it in quotes"),
    ('code: "8"', 'code: "7"', 7, "standards[2].code", "is already taken by entry [1]"),
    ('code: "8"', 'code: "8 a"', 7, "standards[2].code", "must begin with a letter or digit"),
    ("https://ccsso.org/", "ccsso.org", 4, "url", "must be one web address"),
]


@pytest.mark.parametrize(("old", "new", "line", "field", "message"), FRAMEWORK_MISTAKES)
def test_a_mistake_in_a_framework_is_named_by_file_line_and_field(
    load_files: Load, old: str, new: str, line: int, field: str, message: str
) -> None:
    (problem,) = refusal(load_files, framework=changed(old, new, FRAMEWORK))

    assert (problem.file, problem.line, problem.field) == ("intasc.yaml", line, field)
    assert message in problem.message


UNREADABLE = [
    (
        changed("title: Wait Time\n", "title: Wait: Time\n"),
        4,
        'a text that contains ": " must stand in quotes',
    ),
    (
        changed("    part: work\n    title: Plan", "\tpart: work\n    title: Plan"),
        23,
        "spaces, not with tabs",
    ),
    (changed("    kind: written\n", "  kind: written\n"), 26, "check the indentation"),
    (changed("    kind: written\n", "     kind: written\n"), 26, "must stand in quotes"),
    (changed('"#1f5f5b"', '"#1f5f5b'), 47, "check the indentation and the quotes"),
    (changed("title: Wait Time\n", "title: *other\n"), 4, "references (*name) are not used here"),
    (changed("title: Wait Time\n", "title: !!bool Wait\n"), 4, "are not used here; put the text in quotes"),
    (changed("label: Wait Time\n", "---\nlabel: Wait Time\n"), 5, "keep one document per file"),
    (changed("title: Wait Time\n", f"title: {'[' * 1000}\n"), 4, "nested too deeply"),
    ("", 1, "the file is empty"),
    ("# only a remark\n", 1, "the file is empty"),
    ("- a\n- b\n", 1, "must be fields"),
    ("just words\n", 1, "must be fields"),
    (CREDENTIAL.replace("Count silently.", "Count \x07."), 8, "control character U+0007"),
    (
        CREDENTIAL.encode().replace(b"Count silently.", "Zähle.".encode("latin-1")),
        8,
        "is not UTF-8 text here",
    ),
    (CREDENTIAL.encode("utf-16"), 1, "is not UTF-8 text here"),
    ("# x\n" * 70_000, 0, "is larger than 256 KB"),
]


@pytest.mark.parametrize(("text", "line", "message"), UNREADABLE)
def test_a_file_that_cannot_be_read_at_all_names_the_line_and_what_to_do(
    load_files: Load, text: str | bytes, line: int, message: str
) -> None:
    (problem,) = refusal(load_files, text)

    assert (problem.file, problem.line, problem.field) == ("microcredential.yaml", line, "")
    assert message in problem.message


def test_yaml_that_would_run_code_is_refused_and_not_run(load_files: Load, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"

    (problem,) = refusal(
        load_files, changed("title: Wait Time\n", f'title: !!python/name:os.mkdir "{trap}"\n')
    )

    assert problem.line == 4
    assert "are not used here" in problem.message
    assert not trap.exists()


def test_a_file_that_grows_by_references_is_refused_at_once(load_files: Load) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
    )

    (problem,) = refusal(load_files, bomb)

    assert problem.line == 2


def test_folders_without_any_file_say_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(CatalogErrors) as refused:
        load(tmp_path / "catalog", tmp_path / "frameworks")

    assert [problem.message for problem in refused.value.problems] == [
        "holds no micro-credential; add one as a .yaml file",
        "holds no framework; add one as a .yaml file",
    ]


# What is advised


ADVICE = [
    ("{min: 2, max: 4}", "{min: 20, max: 45}", 14, "effort_hours", "that is a module, so consider a stack"),
    ("{min: 2, max: 4}", "{min: 2, max: 12}", 14, "effort_hours", "is a wide range"),
    ("Wait three seconds after a question.", "Wait. And listen.", 7, "competency", "is it one competency"),
    ("Wait three seconds after a question.", "wait " * 50, 7, "competency", "has 50 words"),
    ("turnaround_days: 10", "turnaround_days: 30", 15, "turnaround_days", "earners wait"),
    ("words: {min: 50, max: 100}", "words: {min: 50, max: 4000}", 22, "tasks", "4000 words of writing"),
    ("    alternatives: A photo.\n", "", 22, "tasks", "in one form only"),
]


@pytest.mark.parametrize(("old", "new", "line", "field", "message"), ADVICE)
def test_what_looks_like_a_module_loads_with_a_warning(
    load_files: Load, old: str, new: str, line: int, field: str, message: str
) -> None:
    catalog = load_files(changed(old, new))

    (warning,) = catalog.warnings
    assert (warning.file, warning.line, warning.field) == ("microcredential.yaml", line, field)
    assert message in warning.message
