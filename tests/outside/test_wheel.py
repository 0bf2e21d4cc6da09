"""The wheel in a clean environment: everything is inside, nothing is looked for in the source tree."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.outside.test_selfcheck import check_what_was_received

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, seconds: int = 240) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("*.whl"))


def test_it_carries_everything_that_is_not_python(wheel: Path):
    inside = set(zipfile.ZipFile(wheel).namelist())
    shipped = {
        f"lti_tool/{path.relative_to(ROOT)}"
        for folder in ("config", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    } | {
        str(path.relative_to(ROOT))
        for folder in ("templates", "static", "database/migrations", "practice_lms")
        for path in (ROOT / "lti_tool" / folder).rglob("*")
        if path.is_file()
    }

    wanted = {name for name in shipped if "__pycache__" not in name}
    assert wanted - inside == set()
    assert any(name.endswith("LICENSE") for name in inside)


@pytest.mark.timeout(600)
@pytest.mark.long
def test_installed_in_a_clean_environment_it_does_the_whole_main_job_from_an_empty_folder(
    wheel: Path, tmp_path: Path
):
    python = tmp_path / "clean" / ("Scripts" if os.name == "nt" else "bin") / "python"
    made = run(sys.executable, "-m", "venv", tmp_path / "clean", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    installed = run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path, seconds=400)
    if "No matching distribution" in installed.stderr or "ConnectionError" in installed.stderr:
        pytest.skip("the package index cannot be reached")
    assert installed.returncode == 0, installed.stderr
    consistent = run(python, "-m", "pip", "check", cwd=tmp_path)
    assert consistent.returncode == 0, consistent.stdout
    empty = tmp_path / "empty"
    empty.mkdir()

    checked = run(python.with_name("lti-tool"), "selfcheck", "--out", tmp_path / "received", cwd=empty)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert list(empty.iterdir()) == []
    check_what_was_received(tmp_path / "received")
