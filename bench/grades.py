"""How long a grade takes from the assessor's click to the LMS's gradebook: real processes, real HTTP, both behaviours.

python bench/grades.py
"""

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from lti_tool.selfcheck import journey as job
from lti_tool.selfcheck import set_up
from lti_tool.selfcheck.scene import Scene

EARNERS = ("Lena Brandt", "Mateo Ruiz", "Aiko Tanaka")


def main() -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tool, platforms = set_up(stack, home)
        for behaviour, lms in platforms.items():
            faculty = Scene(lms, tool, home)
            stack.callback(faculty.close)
            job.faculty_add(faculty)
            if behaviour in job.NEEDS_PUBLISHING:
                job.faculty_publish(faculty)
            seconds = [one_grade(faculty, earner) for earner in EARNERS]
            print(
                f"{behaviour}: {statistics.median(seconds):.2f} s from decision to gradebook, "
                f"at most {max(seconds):.2f} s, of {len(seconds)}"
            )


def one_grade(faculty: Scene, earner: str) -> float:
    """Seconds between the decision being sent and the grade being seen."""
    scene = replace(faculty, earner=earner)
    for step in (job.earner_reads, job.earner_completes, job.earner_hands_in):
        step(scene)
    started = time.monotonic()
    job.assess(scene, met=True)
    job.grade_arrives(scene)
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
