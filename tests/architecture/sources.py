"""The source tree, as the tests of its structure read it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lti_tool"


def modules(folder: Path = PACKAGE) -> Iterator[tuple[str, ast.Module]]:
    """Every Python module below a folder, by its path from the root."""
    for path in sorted(folder.rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))
