"""The end of a term: many learners of one course are owed scores, and the LMS's own record says what became of them."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select

from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti import keys
from lti_tool.lti.models import Platform, Registration
from lti_tool.passback import service
from lti_tool.passback.models import ColumnState, GradebookColumn, Score, ScoreState
from lti_tool.practice_lms import LmsConfig, RunningLms, courses, serve, store
from tests.faults.machines import eventually
from tests.faults.wire import Wire
from tests.support.cast import Campus, add_account

DONE = (ScoreState.ACCEPTED, ScoreState.CONFIRMED)
_OPEN = (ScoreState.OWED, ScoreState.SENDING)


@dataclass
class Term:
    """A course with so many learners, who are all in the LMS and known here."""

    app: Flask
    campus: Campus
    lms: RunningLms
    wire: Wire
    accounts: dict[str, int]
    """By ``sub``."""
    owed: dict[str, list[Decimal]] = field(default_factory=dict)
    """What was decided for each learner, oldest first."""
    set_by_hand: dict[str, float] = field(default_factory=dict)

    @property
    def inside(self) -> Any:
        return self.lms.app.extensions["practice_lms"]

    def owe(self, learners: list[str], points: str) -> None:
        """Decide for these learners and commit, as a web process does."""
        now = datetime.now(UTC)
        with self.app.app_context():
            column = db.session.get_one(Placement, self.campus.placement).line_item_url
            cell = service.PlacementCell(
                self.campus.placement, self.campus.deployment, self.campus.registration, column
            )
            for learner in learners:
                service.owe(
                    placement=cell,
                    account_id=self.accounts[learner],
                    subject=learner,
                    decision_id=len(self.owed.setdefault(learner, [])) + 1,
                    points=Decimal(points),
                    points_possible=Decimal(10),
                    comment=f"{points} points.",
                    submitted_at=now,
                    now=now,
                )
                self.owed[learner].append(Decimal(points))
            db.session.commit()

    def set_grade(self, learner: str, points: float) -> None:
        """A teacher sets a grade by hand, in the LMS."""
        self.set_by_hand[learner] = points
        with self.inside.store.transaction() as lms_db:
            person = lms_db.execute("SELECT id FROM person WHERE sub = ?", (learner,)).fetchone()["id"]
            cell = next(one for one in store.grades(lms_db) if one["person_id"] == person)
            self.inside.behaviour.override(lms_db, cell, points, "")

    def states(self) -> Counter[ScoreState]:
        with self.app.app_context():
            return Counter(db.session.scalars(select(Score.state)))

    def rows(self) -> dict[str, list[Score]]:
        """The ledger by learner, oldest first."""
        with self.app.app_context():
            found: dict[str, list[Score]] = {}
            for score in db.session.scalars(select(Score).order_by(Score.id)):
                found.setdefault(score.subject, []).append(score)
            db.session.expunge_all()
            return found

    def settled(self, seconds: float = 120) -> None:
        """Wait until nothing is owed or on its way."""

        def nothing_open() -> bool:
            states = self.states()
            return not any(states[state] for state in _OPEN)

        eventually(nothing_open, "every score is settled", seconds)

    def cells(self) -> dict[str, dict[str, Any]]:
        """What the gradebook shows, by learner; columns that were deleted are not shown."""
        with self.inside.store.transaction() as lms_db:
            people = {row["id"]: row["sub"] for row in lms_db.execute("SELECT id, sub FROM person")}
            alive = {row["id"] for row in lms_db.execute("SELECT id FROM line_item WHERE NOT deleted")}
            return {
                people[cell["person_id"]]: cell
                for cell in store.grades(lms_db)
                if cell["line_item_id"] in alive and cell["score"] is not None
            }

    def stored(self) -> Counter[tuple[str, str]]:
        """How often the LMS took a score, by column and learner, and by the score's time: from its own record."""
        with self.inside.store.transaction() as lms_db:
            record = store.records(lms_db)
        return Counter(
            (one["path"], one["body"]["userId"] + one["body"]["timestamp"])
            for one in record
            if one["method"] == "POST" and "/scores" in one["path"] and one["status"] == 200
        )

    def is_true(self) -> None:
        """Every score ended in effect exactly once, or with a true reason; none lost, none twice, no older over newer,
        no person's grade lost."""
        shown, rows = self.cells(), self.rows()
        assert set(rows) == set(self.owed)
        for learner, decided in self.owed.items():
            last = rows[learner][-1]
            if learner in self.set_by_hand:
                assert shown[learner]["score"] == self.set_by_hand[learner]
                assert last.state is ScoreState.OVERRIDDEN
                continue
            assert last.points == decided[-1]
            assert last.state in DONE, (last.state, last.reason)
            assert shown[learner]["score"] == float(decided[-1])
        assert max(self.stored().values()) == 1

    def delete_column(self) -> None:
        with self.inside.store.transaction() as lms_db:
            lms_db.execute("UPDATE line_item SET deleted = 1")

    def forget_tokens(self) -> None:
        """As after a change of keys: no token that was given out is good any more."""
        with self.inside.store.transaction() as lms_db:
            lms_db.execute("DELETE FROM token")


@contextmanager
def term_end(app: Flask, campus: Campus, folder: Path, learners: int) -> Iterator[Term]:
    """A practice LMS as Moodle, whose every service is reached over a wire."""
    with app.app_context():
        jwks = keys.public_jwks()
    config = LmsConfig(
        behaviour="moodle",
        port=0,
        home=folder / "lms",
        tool_login_url="http://tool.localhost:8700/lti/login",
        tool_launch_url="http://tool.localhost:8700/lti/launch",
        tool_jwks_url="http://127.0.0.1:8700/lti/jwks",
        tool_jwks=jwks,
    )
    with serve(config) as lms, Wire(lms.service_url) as wire:
        lms.app.extensions["practice_lms"].service_url = wire.url
        accounts = _connect(app, campus, lms, learners)
        yield Term(app, campus, lms, wire, accounts)


def _connect(app: Flask, campus: Campus, lms: RunningLms, learners: int) -> dict[str, int]:
    inside = lms.app.extensions["practice_lms"]
    subs = [f"10{number:04}" for number in range(learners)]
    with inside.store.transaction() as lms_db:
        course = courses.courses(lms_db)[0]
        activity = store.add_activity(
            lms_db,
            course_id=course["id"],
            resource_link_id="link-1",
            title="Micro-credential",
            url=lms.config.tool_launch_url,
        )
        item = store.add_line_item(lms_db, activity_id=activity, label="Micro-credential", maximum=10)
        for number, sub in enumerate(subs):
            store.add_person(lms_db, _person(1000 + number, sub))
    with lms.app.app_context():
        courses.enter(course)
        column, columns = inside.behaviour._url(item), inside.behaviour._url()
    facts = lms.registration
    with app.app_context():
        registration = db.session.get_one(Registration, campus.registration)
        registration.issuer, registration.client_id = str(facts["issuer"]), str(facts["client_id"])
        registration.token_url = str(facts["token_url"])
        platform = db.session.get_one(Platform, registration.platform_id)
        platform.product = lms.config.behaviour
        db.session.get_one(Placement, campus.placement).line_item_url = column
        db.session.add(
            GradebookColumn(
                placement_id=campus.placement,
                purpose="result",
                line_items_url=columns,
                state=ColumnState.SETTLED,
                may_create=True,
                due_at=datetime.now(UTC),
            )
        )
        accounts = {sub: add_account(platform.id, sub, None).id for sub in subs}
        db.session.commit()
    return accounts


def _person(number: int, sub: str) -> dict[str, object]:
    return {
        "id": number,
        "role": "learner",
        "sub": sub,
        "login_hint": sub,
        "given": "Learner",
        "family": sub,
        "username": sub,
        "email": f"{sub}@example.edu",
        "sourcedid": sub,
        "enrolled": 1,
    }


def chosen(seed: int) -> random.Random:
    """Chance that is the same in every run."""
    return random.Random(seed)
