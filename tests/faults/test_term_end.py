"""A thousand scores and four workers that keep dying: the LMS shows in the end what was decided last."""

import time
from pathlib import Path

import pytest
from flask import Flask

from tests.faults.nursery import Nursery
from tests.faults.term import chosen, term_end
from tests.support.cast import Campus

LEARNERS, WORKERS, KILLS = 500, 4, 200


@pytest.mark.long
def test_workers_killed_at_two_hundred_moments_lose_nothing_and_send_nothing_twice(
    app: Flask, campus: Campus, home: Path, tmp_path: Path
) -> None:
    chance = chosen(20261122)
    with term_end(app, campus, tmp_path, LEARNERS) as term, Nursery(home) as nursery:
        learners = list(term.accounts)
        nursery.start(WORKERS)
        first = KILLS // 2
        for kill in range(KILLS):
            # Each learner is decided on twice: 4 points at first, then 10.
            share = slice(kill % first * 5, kill % first * 5 + 5)
            term.owe(learners[share], "4" if kill < first else "10")
            time.sleep(chance.uniform(0, 0.15))
            nursery.kill(chance.choice(nursery.workers))
            nursery.start()

        term.settled(240)

        assert sum(len(decided) for decided in term.owed.values()) == 1000
        term.is_true()
