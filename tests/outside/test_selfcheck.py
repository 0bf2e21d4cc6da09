"""`lti-tool selfcheck`: from the source tree here, from an installed wheel in test_wheel.py."""

import csv
import io
import json
from pathlib import Path

import pytest

from lti_tool import selfcheck
from lti_tool.selfcheck import journey
from lti_tool.selfcheck.scene import Scene
from tests.outside.operators import starts

PNG = b"\x89PNG\r\n\x1a\n"


def check_what_was_received(out: Path) -> None:
    """Every file is what the person who received it would need."""
    for behaviour in ("canvas", "moodle"):
        folder = out / behaviour
        assert sorted(path.name for path in folder.iterdir()) == [
            "badge.json",
            "badge.jwt",
            "badge.png",
            "badge.svg",
            "did.json",
            "gradebook.json",
            "jwks.json",
            "ledger.csv",
            "revoked.json",
            "status.json",
        ]
        badge = json.loads((folder / "badge.json").read_bytes())
        did = json.loads((folder / "did.json").read_bytes())
        assert badge["issuer"]["id"] == did["id"]
        assert (folder / "badge.png").read_bytes().startswith(PNG)
        cells = json.loads((folder / "gradebook.json").read_bytes())
        cell = next(cell for cell in cells if cell["learner"] == "Lena Brandt")
        assert (cell["learner"], cell["score"], cell["maximum"]) == ("Lena Brandt", 10.0, 10.0)
        text = (folder / "ledger.csv").read_text(encoding="utf-8-sig")
        [row] = csv.DictReader(io.StringIO(text))
        assert "Lena Brandt" in row.values()


def test_the_whole_main_job_works_in_both_behaviours(tmp_path: Path):
    process = starts("selfcheck", "--out", "received", cwd=tmp_path)
    said, _ = process.communicate(timeout=200)

    assert process.returncode == 0, said
    assert said.count("  ok  ") == 2 + 21 + 20, said
    check_what_was_received(tmp_path / "received")


@pytest.mark.long
def test_it_says_which_step_failed_and_ends_with_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def impossible(scene: Scene) -> None:
        scene.browser("anyone").get(f"{scene.tool}/healthz").link("A link that is not there")

    steps = (journey.STEPS[0], ("Something impossible", impossible))

    status = selfcheck.run(tmp_path / "received", steps)

    said = capsys.readouterr().out
    assert status == 1
    assert "FAILED  Something impossible" in said
    assert "There is no link “A link that is not there”" in said
