"""Changing a decision that was wrong: what follows from it everywhere, and who hears of it."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from threading import Barrier, Thread

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool import clock, errors
from lti_tool.assessment import changing
from lti_tool.assessment.models import Assessment, Decision, Outcome
from lti_tool.audit import AuditEvent
from lti_tool.backpack import service as backpack
from lti_tool.badges.models import Badge
from lti_tool.badges.service import Reissue
from lti_tool.credentials.models import Placement
from lti_tool.credit.models import CreditEntry, CreditRule
from lti_tool.database import db
from lti_tool.passback import courier
from lti_tool.passback.models import GradeNote, Score, ScoreState
from lti_tool.passback.rules import Shown
from lti_tool.people.models import Course, Term
from lti_tool.submissions.models import AttemptState, Submission
from tests.passback.gradebooks import CONFLICT, DOWN, TIMED_OUT, FakeGradebook
from tests.routes.earner import Earner
from tests.routes.test_review import Desk, words
from tests.support.cast import Campus
from tests.support.stacks import FAMILY, PAIR, ROUTINES, add_stack_activity, earn
from tests.support.submitted import hand_in_work, marks_for, version_of
from tests.support.visits import visit_as

WHY = "The second barrier was overlooked."


class Changing(Desk):
    """Lena's work before Ingrid, and the form that changes what was decided about it."""

    def __init__(self, app: Flask, campus: Campus) -> None:
        super().__init__(app, campus)
        self.canvas, self.hours = FakeGradebook(), 0
        self.change_path = f"{self.path}/change"

    def decide(self, outcome: str, *, below: int = 0) -> None:
        answer = self.ingrid.post(self.path, self.decision(outcome, below=below))
        assert answer.status_code == 303

    def form(self, outcome: str, *, below: int = 0, **more: str) -> dict[str, str]:
        """As the page that is open now would send it."""
        page = self.ingrid.get(self.change_path).text
        [shown] = re.findall(r'name="decision" value="(\d+)"', page)
        return self.decision(outcome, below=below) | {"decision": shown, "why": WHY} | more

    def change(self, outcome: str, *, below: int = 0, **more: str) -> int:
        return self.ingrid.post(self.change_path, self.form(outcome, below=below, **more)).status_code

    def deliver(self) -> None:
        """The next time that a worker gets through; in the meantime nobody reached the gradebook."""
        self.hours += 2
        with self.app.app_context():
            courier.deliver_due(
                now_fn=lambda: clock.now() + timedelta(hours=self.hours), gradebook=self.canvas
            )

    def scores(self) -> list[tuple[float, ScoreState]]:
        with self.app.app_context():
            return [
                (float(row.points), row.state) for row in db.session.scalars(select(Score).order_by(Score.id))
            ]

    def decisions(self) -> list[tuple[Outcome, bool]]:
        """What was decided, in order, and whether it stands."""
        with self.app.app_context():
            rows = db.session.scalars(select(Decision).order_by(Decision.id))
            return [(row.outcome, row.superseded_at is None) for row in rows]

    def ends(self) -> None:
        with self.app.app_context():
            course = db.session.get_one(Course, self.campus.course)
            ended = (clock.now() - timedelta(days=20)).date()
            course.term = Term(platform_id=course.platform_id, name="Summer", ends_on=ended)
            db.session.commit()

    def to_look_at(self) -> str:
        return words(self.ingrid.get("/course/grades"))

    def newest(self) -> int:
        with self.app.app_context():
            return db.session.scalars(select(Score.id).order_by(Score.id.desc())).first() or 0

    def policy(self, policy: str) -> None:
        with self.app.app_context():
            db.session.get_one(Placement, self.campus.placement).score_policy = policy
            db.session.commit()


@pytest.fixture
def desk(app: Flask, campus: Campus) -> Changing:
    return Changing(app, campus)


def test_the_form_holds_what_was_decided_and_asks_for_a_reason_and_a_difference(desk: Changing):
    desk.decide("not_yet", below=3)

    decided = words(desk.ingrid.get(desk.path))
    page = words(desk.ingrid.get(desk.change_path))
    nothing_new = desk.ingrid.post(desk.change_path, desk.form("not_yet", below=3))
    no_reason = desk.ingrid.post(desk.change_path, desk.form("demonstrated", why=" "))
    too_long = desk.ingrid.post(desk.change_path, desk.form("demonstrated", why="long " * 201))
    disagrees = desk.ingrid.post(desk.change_path, desk.form("demonstrated", below=3, feedback="Kept words."))

    assert "Change this decision" in decided
    assert page.count(" checked") == 11
    assert "Thoughtful work." in page
    assert "This is what was decided already" in words(nothing_new)
    assert "Write why it is changed" in words(no_reason)
    assert "By your ratings this is not yet demonstrated" in words(disagrees)
    assert "Kept words." in words(disagrees)
    assert "Say it in 1000 characters" in words(too_long)
    answers = (nothing_new, no_reason, too_long, disagrees)
    assert {one.status_code for one in answers} == {422}
    assert desk.decisions() == [(Outcome.NOT_YET, True)]


def test_not_yet_in_place_of_demonstrated_takes_everything_back_that_had_not_left(desk: Changing, app: Flask):
    with app.app_context():
        rule = db.session.scalars(select(CreditRule)).all()
        for one in rule:
            one.active, one.approval_number, one.audience = True, "77", "Educators"
        db.session.commit()
    desk.decide("demonstrated")

    assert desk.change("not_yet", below=3) == 303
    desk.deliver()

    assert desk.decisions() == [(Outcome.DEMONSTRATED, False), (Outcome.NOT_YET, True)]
    assert desk.state() is AttemptState.NOT_YET
    assert desk.scores() == [(10.0, ScoreState.ABANDONED)]
    assert desk.canvas.received == []
    with app.app_context():
        badge = db.session.scalars(select(Badge)).one()
        assert (badge.revoked_at is not None, badge.revocation_reason) == (
            True,
            "The decision that it was awarded for was changed.",
        )
        assert {entry.withdrawn_at is None for entry in db.session.scalars(select(CreditEntry))} == {False}
        old, new = db.session.scalars(select(Decision).order_by(Decision.id)).all()
        assert (new.supersedes_id, new.why) == (old.id, WHY)
        first, second = db.session.scalars(select(Assessment).order_by(Assessment.id)).all()
        assert len(first.ratings) == len(second.ratings) == 10
        event = db.session.scalars(select(AuditEvent).filter_by(action="decision changed")).one()
        assert event.details["supersedes"] == old.id
        assert WHY not in str(event.details)
    assert "Lena Brandt" in desk.ingrid.get("/course/close-out").text


def test_the_earner_reads_the_newer_decision_what_it_replaces_and_why(desk: Changing, app: Flask):
    desk.decide("demonstrated")
    desk.change("not_yet", below=3, feedback="Please look at it once more.")

    page = words(visit_as(app, desk.campus, "lena").get("/work/feedback"))
    shown = words(desk.ingrid.get(desk.path))
    rita = visit_as(app, desk.campus, "rita")
    story = words(rita.get(f"/ledger/{desk.newest()}"))

    assert "This decision replaces an earlier one" in page
    assert (WHY in page, "Please look at it once more." in page, "Work on it again" in page) == (True,) * 3
    assert "The badge that came with it does not stand any more." in page
    assert "Thoughtful work." not in page
    assert "Before: demonstrated" in shown
    assert "changed later" in story
    assert f"In place of an earlier decision: {WHY}" in story


def test_points_that_the_gradebook_has_are_asked_about_and_stay_with_a_note_or_give_way_to_0(desk: Changing):
    desk.decide("demonstrated")
    desk.deliver()

    desk.change("not_yet", below=3)
    desk.deliver()
    asked, score = desk.to_look_at(), desk.newest()
    one = words(desk.ingrid.get(f"/course/grades/{score}"))
    desk.ingrid.post(f"/course/grades/{score}", {"do": "keep", "note": "The registrar has them already."})
    kept = desk.to_look_at()
    rita = visit_as(desk.app, desk.campus, "rita")
    desk_says = words(rita.get(f"/ledger/people/{desk.campus.persons['lena']}"))
    noted = words(desk.ingrid.get(f"/course/grades/{score}"))

    assert "For you to look at (1)" in asked
    assert "The decision was changed: say what becomes of the points" in asked
    assert "The decision was changed, and the gradebook keeps the points" in one
    assert "For you to look at (0)" in kept
    assert "The registrar has them already." in noted
    assert "the faculty of the course have left the points as they are" in desk_says
    assert "Demonstrated, changed later" in rita.get("/ledger.csv").text
    assert desk.canvas.points == [10]

    desk.ingrid.post(f"/course/grades/{score}", {"do": "zero", "reason": "Not yet demonstrated."})
    desk.deliver()

    assert desk.canvas.points == [10, 0]


def test_the_points_are_not_sent_again_once_their_decision_was_changed(desk: Changing):
    desk.decide("demonstrated")
    desk.deliver()
    desk.change("not_yet", below=3)
    desk.canvas.shows = None

    desk.ingrid.post(f"/course/grades/{desk.newest()}", {"do": "send"})

    assert desk.scores() == [(10.0, ScoreState.ACCEPTED)]


@pytest.mark.parametrize(
    ("reply", "state", "asked"),
    [
        (None, ScoreState.ACCEPTED, "(1)"),
        (DOWN, ScoreState.ABANDONED, "(0)"),
        (CONFLICT, ScoreState.ABANDONED, "(0)"),
        (TIMED_OUT, ScoreState.ACCEPTED, "(1)"),
    ],
)
def test_a_score_that_is_on_its_way_when_its_decision_is_changed_is_sent_no_second_time(
    desk: Changing, reply, state: ScoreState, asked: str
):
    desk.decide("demonstrated")
    form = desk.form("not_yet", below=3)

    def meanwhile() -> None:
        desk.canvas.meanwhile = lambda: None
        assert desk.ingrid.post(desk.change_path, form).status_code == 303

    desk.canvas.meanwhile = meanwhile
    desk.canvas.replies = [] if reply is None else [reply]
    desk.deliver()
    if reply is TIMED_OUT:
        desk.canvas.shows = Shown(Decimal(10), Decimal(10))
    desk.deliver()

    assert desk.canvas.points == [10]
    assert desk.scores() == [(10.0, state)]
    assert f"For you to look at {asked}" in desk.to_look_at()


def test_demonstrated_in_place_of_not_yet_gives_what_a_first_decision_gives(desk: Changing, app: Flask):
    desk.decide("not_yet", below=3)
    with app.app_context():
        told = len(db.session.scalars(select(GradeNote)).all())

    assert desk.change("demonstrated") == 303

    assert told == 1
    assert desk.count(GradeNote) == 0
    assert desk.state() is AttemptState.DEMONSTRATED
    assert desk.scores() == [(10.0, ScoreState.OWED)]
    assert desk.count(Badge) == 1
    desk.deliver()
    assert "For you to look at (0)" in desk.to_look_at()


def test_a_decision_that_goes_back_and_forth_ends_with_one_badge_and_one_grade(desk: Changing, app: Flask):
    desk.decide("demonstrated")
    desk.deliver()
    desk.change("not_yet", below=3)
    desk.change("demonstrated", why="It was there all along.")
    desk.deliver()

    assert [stands for _, stands in desk.decisions()] == [False, False, True]
    assert desk.canvas.points == [10, 10]
    assert "For you to look at (0)" in desk.to_look_at()
    with app.app_context():
        assert [
            one.revoked_at is None for one in db.session.scalars(select(Badge).order_by(Badge.awarded_at))
        ] == [
            False,
            True,
        ]


def test_other_points_take_the_place_of_a_score_that_waits(desk: Changing):
    desk.policy("criteria")
    desk.decide("demonstrated", below=2)

    desk.change("demonstrated", below=1)
    desk.deliver()

    assert desk.scores() == [(8.0, ScoreState.SUPERSEDED), (9.0, ScoreState.ACCEPTED)]
    assert desk.canvas.points == [Decimal(9)]


def test_after_the_course_has_ended_every_change_is_a_request_to_its_faculty(desk: Changing):
    desk.policy("criteria")
    desk.decide("not_yet", below=3)
    desk.ends()

    desk.change("demonstrated", below=2)
    desk.deliver()
    first, page = desk.newest(), desk.to_look_at()
    desk.ingrid.post(f"/course/grades/{first}", {"do": "send"})
    desk.deliver()
    desk.change("demonstrated", below=1, why="One more is met.")
    desk.deliver()
    waits = desk.newest()
    desk.ingrid.post(f"/course/grades/{waits}", {"do": "drop", "reason": "The transcript is written."})
    desk.deliver()

    assert "The course has ended" in page
    assert desk.canvas.points == [8]
    assert desk.scores() == [
        (8.0, ScoreState.SUPERSEDED),
        (8.0, ScoreState.ACCEPTED),
        (9.0, ScoreState.ABANDONED),
    ]


def test_after_the_end_the_same_points_ask_nobody(desk: Changing):
    desk.decide("demonstrated", below=2)
    desk.deliver()
    desk.ends()

    desk.change("demonstrated", below=1)

    assert desk.scores() == [(10.0, ScoreState.ACCEPTED)]
    assert "For you to look at (0)" in desk.to_look_at()


def test_a_badge_that_was_revoked_after_a_change_still_asks_about_the_points(desk: Changing, app: Flask):
    desk.decide("demonstrated", below=2)
    desk.change("demonstrated", below=1)
    desk.deliver()
    with app.app_context():
        badge = db.session.scalars(select(Badge)).one()
        backpack.revoke(badge.id, reason="By mistake.", actor=None, now=clock.now())
        db.session.commit()

    assert "The badge was revoked: say what becomes of the points" in desk.to_look_at()


def test_a_badge_that_shows_levels_is_issued_again_with_those_that_hold_now(desk: Changing, app: Flask):
    desk.decide("demonstrated", below=2)
    with app.app_context():
        badge = db.session.scalars(select(Badge)).one()
        lena = desk.campus.persons["lena"]
        backpack.renew(badge.id, lena, change=Reissue(results=True), actor=None, now=clock.now())
        db.session.commit()

    desk.change("demonstrated")

    with app.app_context():
        [standing] = db.session.scalars(select(Badge).where(Badge.revoked_at.is_(None)))
        needed = {key: mark.level for key, mark in marks_for(_version(desk)).items()}
        assert standing.facts["shows_results"]
        assert {one["criterion"]: one["level"] for one in standing.facts["results"]} == needed
        assert desk.count(Badge) == 3


def test_of_two_tabs_the_later_one_is_told_and_loses_nothing(desk: Changing, app: Flask):
    desk.decide("not_yet", below=3)
    mine, other = desk.form("demonstrated"), desk.form("demonstrated", below=1, feedback="In the other tab.")

    assert desk.ingrid.post(desk.change_path, mine).status_code == 303
    late = desk.ingrid.post(desk.change_path, other)
    again = desk.ingrid.post(desk.change_path, mine)
    [shown] = re.findall(r'name="decision" value="(\d+)"', late.text)

    assert late.status_code == 409
    assert "Somebody has changed this decision meanwhile" in words(late)
    assert "In the other tab." in late.text
    assert WHY in late.text
    assert again.status_code == 303
    assert len(desk.decisions()) == 2
    assert desk.ingrid.post(desk.change_path, other | {"decision": shown}).status_code == 303
    assert (len(desk.decisions()), desk.count(Badge)) == (3, 1)


def test_newer_work_keeps_the_decision_about_the_older_one_and_hands_the_words_back(
    desk: Changing, app: Flask
):
    desk.decide("not_yet", below=3)
    form = desk.form("demonstrated", feedback="These words took an hour.")
    with app.app_context():
        hand_in_work(desk.campus, "lena", at=clock.now(), note="More.")
        db.session.commit()

    refused = desk.ingrid.post(desk.change_path, form)

    assert refused.status_code == 409
    assert "Newer work was handed in" in refused.text
    assert "These words took an hour." in refused.text
    assert desk.ingrid.get(desk.change_path).status_code == 409
    assert "this decision is not changed any more" in words(desk.ingrid.get(desk.path))
    assert desk.decisions() == [(Outcome.NOT_YET, True)]


def test_work_that_goes_on_meanwhile_is_closed_and_its_words_come_back(desk: Changing, app: Flask):
    desk.decide("not_yet", below=3)
    lena = Earner(app, desk.campus, "lena")
    words_in_progress = {"answer-learners": "Half a thought that must not be lost.", "action": "save"}
    typed = lena.form() | words_in_progress

    desk.change("demonstrated")
    saved = lena.post("/work/tasks", typed)

    assert saved.status_code == 409
    assert "Half a thought that must not be lost." in saved.text
    assert desk.state() is AttemptState.DEMONSTRATED


def test_nobody_changes_a_decision_about_their_own_work_or_in_another_course(desk: Changing, app: Flask):
    desk.decide("not_yet", below=3)
    form = desk.form("demonstrated")
    as_faculty = visit_as(app, desk.campus, "lena", role="instructor")

    answers = [
        browser.post(desk.change_path, form).status_code
        for browser in (as_faculty, visit_as(app, desk.campus, "lena"), desk.elsewhere())
    ]

    assert answers == [403, 403, 404]
    assert len(desk.decisions()) == 1


def test_the_badge_of_a_stack_is_asked_about_with_its_part(app: Flask, campus: Campus):
    with app.app_context():
        whole = add_stack_activity(campus, PAIR)
        earn(campus, "mateo", ROUTINES, whole)
        submission = earn(campus, "mateo", FAMILY, whole).submission_id
        stack = db.session.scalars(select(Badge.id).where(Badge.stack_id.is_not(None))).one()
    desk = Changing(app, campus)
    desk.submission, desk.ingrid = submission, visit_as(app, campus, "ingrid", placement=whole)
    desk.path = f"/review/{submission}"
    desk.change_path = f"{desk.path}/change"

    unsaid = desk.ingrid.post(desk.change_path, desk.form("not_yet", below=9))
    said = desk.change("not_yet", below=9, **{f"stack-{stack}": "revoke"})

    assert unsaid.status_code == 422
    assert "Say what becomes of the badge of the stack" in unsaid.text
    assert said == 303
    with app.app_context():
        assert db.session.get_one(Badge, stack).revoked_at is not None
        assert db.session.scalars(select(Score.state)).all() == [ScoreState.ABANDONED]
        held = db.session.scalars(select(Badge.credential_id).where(Badge.revoked_at.is_(None))).all()
        assert len(held) == 1


def test_two_who_change_it_at_the_same_moment_leave_one_decision_one_badge_and_one_score(desk: Changing):
    desk.decide("not_yet", below=3)
    with desk.app.app_context():
        standing = db.session.scalars(select(Decision.id)).one()
        marks = marks_for(_version(desk))

    done = _together(desk.app, [_change_to_demonstrated(desk, standing, marks)] * 2)

    assert sorted(done) == ["AlreadyDecided", "done"]
    assert (len(desk.decisions()), desk.count(Assessment), desk.count(Badge), desk.count(Score)) == (
        2,
        2,
        1,
        1,
    )


def _change_to_demonstrated(desk: Changing, standing: int, marks) -> Callable[[], None]:
    ingrid = desk.campus.accounts["ingrid"]

    def change() -> None:
        changing.change(standing, ingrid, marks, "Good.", Outcome.DEMONSTRATED, why=WHY, now=clock.now())

    return change


def _together(app: Flask, acts: list[Callable[[], None]]) -> list[str]:
    """Do these at the same moment, each in a transaction of its own; what came of each."""
    start, came = Barrier(len(acts)), []

    def act(what: Callable[[], None]) -> None:
        with app.app_context():
            start.wait(timeout=30)
            try:
                what()
                db.session.commit()
                came.append("done")
            except errors.Refused as refused:
                db.session.rollback()
                came.append(type(refused).__name__)

    threads = [Thread(target=act, args=(what,)) for what in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def _version(desk: Changing):
    return version_of(db.session.get_one(Submission, desk.submission))
