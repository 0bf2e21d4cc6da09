"""Stacks and retired micro-credentials as authors write them, and what loading them again changes."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool.credentials.catalog import Catalog, CatalogErrors, RetiredSpec, load
from lti_tool.credentials.models import Credential, Stack, StackVersion
from lti_tool.credentials.queries import page_of_current, stacks_on_offer
from lti_tool.credentials.service import CatalogConflict, store
from lti_tool.database import db
from lti_tool.stacks.rules import Group, Opening, Rule
from tests.credentials.test_catalog import CREDENTIAL, FRAMEWORK
from tests.support.apps import NOON
from tests.support.stacks import FAMILY, PAIR, PRACTICE, PROMPTS, ROUTINES, UDL, shipped, stack

KEYS = ("one", "two", "three", "four", "five")
LATER = NOON + timedelta(days=1)
STACK = """\
stacks:
  - key: mixed
    version: 3
    title: A Mixed Stack
    description: Some of each.
    rule:
      - take: all
        of: [one]
      - {take: 2, of: [two, three, four]}
    in_order: yes
    opens:
      - part: three
        after: [two]
        after_outside: [five]
    badge: {symbol: stack, colour: "#1f5f5b", shape: shield}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalogue of five micro-credentials, one to five."""
    (tmp_path / "frameworks").mkdir()
    (tmp_path / "frameworks" / "intasc.yaml").write_text(FRAMEWORK, "utf-8")
    (tmp_path / "catalog").mkdir()
    for key in KEYS:
        text = CREDENTIAL.replace("key: wait-time", f"key: {key}")
        (tmp_path / "catalog" / f"{key}.yaml").write_text(text, "utf-8")
    return tmp_path


def read(folder: Path, stacks: str = STACK, **more: str) -> Catalog:
    for name, text in {"stacks": stacks, **more}.items():
        (folder / "catalog" / f"{name}.yaml").write_text(text, "utf-8")
    return load(folder / "catalog", folder / "frameworks")


def only_problem(folder: Path, stacks: str = STACK, **more: str) -> str:
    with pytest.raises(CatalogErrors) as refused:
        read(folder, stacks, **more)
    (problem,) = refused.value.problems
    return str(problem)


def but(old: str, new: str) -> str:
    assert STACK.count(old) == 1
    return STACK.replace(old, new)


def test_a_rule_is_read_as_it_is_written(folder: Path):
    (found,) = read(folder).stacks

    assert found.rule == Rule(
        (Group(1, ("one",)), Group(2, ("two", "three", "four"))),
        in_order=True,
        openings=(Opening("three", ("two", "five")),),
    )
    assert (found.version, found.label, found.points) == (3, "A Mixed Stack", 30)


def test_parts_in_order_are_one_group_in_order(folder: Path):
    text = (
        STACK[: STACK.index("    rule:")]
        + "    parts: [one, two]\n    in_order: yes\n    badge: "
        + ('{symbol: stack, colour: "#1f5f5b", shape: shield}\n')
    )

    assert read(folder, text).stacks[0].rule == Rule((Group(2, ("one", "two"), in_order=True),))


MISTAKES = [
    ("take: 2", "take: 4", "9: stacks[1].rule[2].take: is 4, but of names only 3"),
    ("take: 2", "take: 0", "9: stacks[1].rule[2].take: is 0; choose all or a number from 1 to 20"),
    ("take: 2", "take: some", "9: stacks[1].rule[2].take: must be all or a whole number"),
    ("take: 2", "tkae: 2", '9: stacks[1].rule[2].tkae: is not a field known here; did you mean "take"?'),
    ("[two, three, four]", "[two, three, one]", '9: stacks[1].rule[2].of[3]: "one" stands here twice'),
    ("[two, three, four]", "[two, three, fur]", 'of[3]: no micro-credential has the key "fur"; did you mean'),
    ("take: 2,", "take: 2, in_order: yes,", "9: stacks[1].rule[2].in_order: fits only take: all"),
    ("    rule:", "    parts: [one, two]\n    rule:", "6: stacks[1].parts: fits only where there is no rule"),
    ("part: three", "part: six", '12: stacks[1].opens[1].part: "six" is no part of this stack'),
    ("after: [two]", "after: [five]", '13: stacks[1].opens[1].after[1]: "five" is no part of this stack'),
    ("after: [two]", "after: [three]", '13: stacks[1].opens[1].after[1]: "three" cannot wait for itself'),
    ("[five]", "[four]", '14: stacks[1].opens[1].after_outside[1]: "four" is a part of this stack'),
    ("[five]", "[six]", '14: stacks[1].opens[1].after_outside[1]: no micro-credential has the key "six"'),
    (
        "        after: [two]\n        after_outside: [five]\n",
        "",
        "12: stacks[1].opens[1].after: is missing; add the keys of micro-credentials that must be held first",
    ),
    (
        "part: three",
        "part: one",
        '12: stacks[1].opens: never lets everything open: "one" waits for "two", and "two" waits for "one"',
    ),
    ("A Mixed Stack", "A Stack Whose Title No Gradebook Shows", "stacks[1].label: is missing"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[case[2][:60] for case in MISTAKES])
def test_a_rule_that_cannot_be_meant_is_refused_with_its_line(folder: Path, old: str, new: str, message: str):
    problem = only_problem(folder, but(old, new))

    assert problem.startswith("stacks.yaml:")
    assert message in problem


def test_a_stack_of_one_is_questioned_and_not_refused(folder: Path):
    text = but("      - take: all\n        of: [one]\n", "").replace("take: 2", "take: 1")

    (warning,) = read(folder, text).warnings

    assert "is met by one micro-credential" in str(warning)


def test_a_stack_that_nobody_new_can_complete_is_refused_until_it_says_what_takes_the_place(folder: Path):
    old = (folder / "catalog" / "one.yaml").read_text("utf-8") + "retired: yes\nreplaced_by: five\n"

    assert 'since "one" is retired; publish a new version' in only_problem(folder, one=old)
    assert (
        read(folder, STACK.replace("version: 3", "retired: yes\n    version: 3"), one=old).stacks[0].retired
    )
    replaced = but("take: all\n        of: [one]", "take: 1\n        of: [one, five]").replace(
        "after_outside", "after"
    )
    assert read(folder, replaced.replace("after: [two]\n        after: [five]", "after: [two]"), one=old)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"retired": "retired: [{key: one}]\n"}, 'retired.yaml:1: retired[1].key: "one" still has its file'),
        (
            {"retired": "retired: [{key: gone, replaced_by: twoo}]\n"},
            'retired.yaml:1: retired[1].replaced_by: no micro-credential has the key "twoo"; did you mean "two"?',
        ),
        (
            {"retired": "retired: [{key: gone}, {key: gone}]\n"},
            'retired.yaml:1: retired[2].key: "gone" is already taken',
        ),
        ({"five": CREDENTIAL.replace("wait-time", "five") + "replaced_by: two\n"}, "fits only retired: yes"),
        (
            {"five": CREDENTIAL.replace("wait-time", "five") + "retired: yes\nreplaced_by: five\n"},
            'replaced_by: "five" is retired itself',
        ),
    ],
    ids=["file there", "replaced by nothing", "twice", "replaced and not retired", "replaced by itself"],
)
def test_mistakes_about_what_is_retired(folder: Path, files: dict[str, str], message: str):
    text = "stacks: []\n" if "five" in files else STACK

    assert message in only_problem(folder, text, **files)


def test_retiring_is_no_change_of_the_words(folder: Path):
    before = {spec.key: spec.digest() for spec in read(folder, "stacks: []\n").credentials}
    old = (folder / "catalog" / "one.yaml").read_text("utf-8")
    after = read(folder, "stacks: []\n", one=old + "retired: yes\n").credentials

    assert {spec.key: spec.digest() for spec in after} == before


# Loading


def test_a_published_rule_never_changes_in_place(app: Flask):
    catalog = shipped()
    changed = [stack(PAIR, Group(2, (ROUTINES, UDL)))]

    with app.app_context():
        with pytest.raises(CatalogConflict, match=r"version 1 of this stack is published.*Set `version: 2`"):
            store(replace(catalog, stacks=tuple(changed)), now=LATER)
        db.session.rollback()
        loaded = store(replace(catalog, stacks=(replace(changed[0], version=2),)), now=LATER)

        found = db.session.scalars(select(Stack).where(Stack.key == PAIR)).one()
        assert [version.number for version in loaded.stacks] == [2]
        assert [[part.credential.key for part in one.parts] for one in found.versions] == [
            [ROUTINES, FAMILY],
            [ROUTINES, UDL],
        ]
        with pytest.raises(CatalogConflict, match="older than version 2"):
            store(replace(catalog, stacks=(stack(PAIR, Group(2, (ROUTINES, UDL)), version=0),)), now=LATER)


def test_every_shape_of_a_rule_comes_back_from_the_database_as_it_went_in(app: Flask):
    spec = stack(
        "all-of-it",
        Group(2, (UDL, PROMPTS), in_order=True),
        Group(1, (ROUTINES,)),
        opens=(Opening(UDL, (ROUTINES, FAMILY)),),
    )

    with app.app_context():
        store(replace(shipped(), stacks=(spec,)), now=LATER)
        db.session.expire_all()

        found = db.session.scalars(select(StackVersion).join(Stack).where(Stack.key == "all-of-it")).one()
        assert found.rule.groups == spec.rule.groups
        (opening,) = found.rule.openings
        assert (opening.part, set(opening.after)) == (UDL, {ROUTINES, FAMILY})


def test_a_stack_older_than_versions_has_its_words_fixed_by_the_next_load_and_its_rule_before(app: Flask):
    with app.app_context():
        old = db.session.scalars(select(StackVersion).join(Stack).where(Stack.key == PAIR)).one()
        old.digest, old.points = "", 5

        loaded = store(shipped(), now=LATER)
        assert (loaded.stacks, old.points) == ((), 20)
        assert old.digest

        old.digest = ""
        with pytest.raises(CatalogConflict, match="Set `version: 2`"):
            store(replace(shipped(), stacks=(stack(PAIR, Group(1, (ROUTINES, FAMILY))),)), now=LATER)


def test_what_is_retired_is_offered_to_nobody_new_and_may_come_back(app: Flask):
    catalog = shipped()
    kept = tuple(spec for spec in catalog.credentials if spec.key != UDL)
    stacks = tuple(replace(spec, retired=spec.key == PRACTICE) for spec in catalog.stacks)

    with app.app_context():
        left_out = store(replace(catalog, credentials=kept), now=LATER).left_out
        assert left_out == (UDL,)
        assert page_of_current(1, 20)[1] == 4

        gone = (RetiredSpec(key=UDL, replaced_by=PROMPTS), RetiredSpec(key="never-was", replaced_by=None))
        loaded = store(replace(catalog, credentials=kept, stacks=stacks, retired=gone), now=LATER)
        row = db.session.scalars(select(Credential).where(Credential.key == UDL)).one()
        assert loaded.left_out == ()
        assert row.replaced_by is not None
        assert (row.retired_at, row.replaced_by.key) == (LATER, PROMPTS)
        assert UDL not in {version.credential.key for version in page_of_current(1, 20)[0]}
        assert [one.key for one in stacks_on_offer()] == [PAIR]

        store(catalog, now=LATER)
        db.session.flush()
        assert (row.retired_at, row.replaced_by_id) == (None, None)
        assert len(stacks_on_offer()) == 2
        assert db.session.scalar(select(func.count()).select_from(StackVersion)) == 2
