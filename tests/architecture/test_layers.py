"""Which way things point, and that what the layers promise holds for files that come later."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from flask import Flask

from tests.architecture.sources import PACKAGE, ROOT, modules

NOT_OF_THE_DOMAIN = {"lti", "practice_lms", "routes"}
"""A protocol, a product of its own, and one module per group of pages: they count otherwise."""
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}


def test_every_import_points_downwards():
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout


def test_every_rules_module_is_among_those_that_must_be_pure():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [pure] = [contract for contract in contracts if contract["name"] == "Rules are pure"]

    there = {f"lti_tool.{path.parent.name}.rules" for path in PACKAGE.glob("*/rules.py")}

    assert set(pure["source_modules"]) == there


def test_only_settings_read_the_environment():
    readers = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {"environ", "getenv"} & names_of(node)
        )
    }

    # Gunicorn's configuration and everything else gets its values handed to it.
    assert readers <= {"lti_tool/settings.py"} | wsgi_environments()


def names_of(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


def wsgi_environments() -> set[str]:
    """Modules where ``environ`` is that of a request."""
    return {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "environ"
        and isinstance(node.value, ast.Name)
        and node.value.id == "request"
    }


def test_every_model_is_known_once_the_application_is_made(app: Flask):
    there = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PACKAGE.glob("*/models.py")}

    assert there <= set(sys.modules)


def test_nothing_has_a_name_that_says_nothing():
    vague = [str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.stem in VAGUE]

    assert vague == []


def test_a_domain_package_has_at_most_nine_files():
    for package in PACKAGE.iterdir():
        if not (package / "__init__.py").exists() or package.name in NOT_OF_THE_DOMAIN:
            continue
        files = sorted(path.name for path in package.glob("*.py") if path.name != "__init__.py")
        assert len(files) <= 9, f"{package.name}: {files}"


def test_every_exception_from_a_lint_rule_gives_its_reason():
    silent = re.compile(r"(# noqa(: ?[A-Z0-9, ]+)?|# type: ignore(\[[^\]]*\])?)\s*$", re.MULTILINE)

    without = [
        str(path.relative_to(ROOT))
        for folder in ("lti_tool", "tests", "bench", "config")
        for path in (ROOT / folder).rglob("*.py")
        if silent.search(path.read_text(encoding="utf-8"))
    ]

    assert without == []
