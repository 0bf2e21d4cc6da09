"""Gradebook columns that the platform leaves to us: found before made, made once, and made anew once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Barrier, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import delete, select

from lti_tool import tasks
from lti_tool.assessment import service as assessment
from lti_tool.assessment.models import Outcome
from lti_tool.credentials.models import Placement, PlacementChoice
from lti_tool.database import db
from lti_tool.lti.claims import GradesClaim
from lti_tool.lti.models import Platform, Registration
from lti_tool.passback import columns, courier
from lti_tool.passback.models import ColumnState, GradeNote, NoteKind, Score, ScoreState
from lti_tool.passback.rules import ENDED
from lti_tool.people.models import Term
from tests.lti.platform_double import Asked, FakePlatform, Reply
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement, simple_key
from tests.support.submitted import hand_in_work, marks_for, version_of

ITEMS = "/lineitems"
ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
SCOPES = frozenset(f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}" for name in ("lineitem", "score"))


@dataclass
class Course:
    """A gradebook over HTTP, as a platform with line items keeps it, and an activity without a column."""

    app: Flask
    platform: FakePlatform
    campus: Campus
    items: list[dict[str, Any]] = field(default_factory=list)
    filters: bool = True
    create_status: int = 201

    def __post_init__(self) -> None:
        self.platform.answers[ITEMS] = self.answer

    @property
    def address(self) -> str:
        return f"{self.platform.url}{ITEMS}?type_id=1"

    @property
    def made(self) -> list[Asked]:
        return [asked for asked in self.platform.asked_at(ITEMS) if asked.method == "POST"]

    def answer(self, asked: Asked) -> Reply:
        if asked.method == "POST":
            if self.create_status != 201:
                return Reply(self.create_status)
            return Reply(201, self.add(**json.loads(asked.body)))
        query = parse_qs(urlsplit(asked.path).query)
        assert "limit" not in query
        names = {"resource_link_id": "resourceLinkId", "tag": "tag"}
        wanted = {names[name]: values[0] for name, values in query.items() if name in names}
        shown = [
            item
            for item in self.items
            if not self.filters or all(item.get(name) == value for name, value in wanted.items())
        ]
        return Reply(body=shown)

    def add(self, **facts: Any) -> dict[str, Any]:
        number = len(self.items) + 1
        path = f"{ITEMS}/{number}/lineitem"
        item = {**facts, "id": f"{self.platform.url}{path}?type_id=1"}
        self.items.append(item)
        self.platform.answers[path + "/scores"] = lambda _: Reply()
        return item

    def delete(self, item: dict[str, Any]) -> None:
        # Its number is not given away again.
        self.items[self.items.index(item)] = {"id": "deleted"}
        self.platform.answers[urlsplit(item["id"]).path + "/scores"] = lambda _: Reply(404)

    def claim(self, **more: Any) -> GradesClaim:
        return replace(GradesClaim(scopes=SCOPES, lineitems=self.address), **more)

    def opened(self, at: datetime = NOON, **more: Any) -> bool:
        """Somebody opens the activity."""
        wanted = columns.note(self.placement, self.claim(**more), product=self.product, now=at)
        db.session.commit()
        return wanted

    def settle(self, at: datetime = NOON) -> int:
        return columns.settle_due(self.campus.registration, now_fn=lambda: at, wait=lambda _: None)

    @property
    def placement(self) -> Placement:
        return db.session.get_one(Placement, self.campus.placement)

    @property
    def product(self) -> str:
        return db.session.scalars(select(Platform.product)).one()

    @property
    def state(self) -> ColumnState | None:
        row = columns.column_of(self.campus.placement)
        return row and row.state

    def decide(self, who: str = "lena") -> None:
        submission = hand_in_work(self.campus, who)
        assessment.decide(
            submission.id,
            self.campus.accounts["ingrid"],
            marks_for(version_of(submission)),
            "Thank you.",
            Outcome.DEMONSTRATED,
            now=NOON,
        )
        db.session.commit()

    def scores(self) -> list[tuple[str, str]]:
        return [
            (row.state, row.line_item_url) for row in db.session.scalars(select(Score).order_by(Score.id))
        ]


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    double = FakePlatform()
    yield double
    double.close()


@pytest.fixture
def course(app: Flask, campus: Campus, platform: FakePlatform) -> Iterator[Course]:
    with app.app_context():
        db.session.scalars(select(Platform)).one().product = "moodle"
        db.session.get_one(Registration, campus.registration).token_url = platform.url + "/token"
        db.session.get_one(Placement, campus.placement).line_item_url = None
        db.session.commit()
        yield Course(app, platform, campus)
        db.session.rollback()


def test_a_link_that_names_no_column_gets_one_of_its_own(course: Course):
    assert course.opened()
    assert course.settle() == 1

    [made] = course.made
    assert made.path == f"{ITEMS}?type_id=1"
    assert made.headers["Content-Type"] == ITEM_TYPE
    asked = json.loads(made.body)
    assert 0 < len(asked.pop("label")) <= 30
    assert asked == {
        "scoreMaximum": 10,
        "resourceId": "tessera:udl-variability",
        "tag": f"tessera-activity-{course.campus.placement}",
        "resourceLinkId": "link-1",
    }
    assert course.placement.line_item_url == course.items[0]["id"]
    assert course.state is ColumnState.SETTLED
    assert course.settle() == 0


def test_a_column_that_the_launch_names_is_not_looked_for(course: Course):
    course.opened(lineitem="https://lms.example.edu/items/7")

    assert course.settle() == 0
    assert course.platform.asked == []


@pytest.mark.parametrize(
    "more",
    [{"lineitems": None}, {"scopes": frozenset({"https://purl.imsglobal.org/spec/lti-ags/scope/score"})}],
)
def test_nothing_is_done_where_the_platform_leaves_nothing_to_us(course: Course, more: dict[str, Any]):
    assert not course.opened(**more)
    assert course.state is None


@pytest.mark.parametrize(
    ("there", "ours"),
    [
        ([{"resourceLinkId": "link-1"}], 0),
        (
            [
                {"resourceLinkId": "link-1"},
                {"resourceLinkId": "link-1", "resourceId": "tessera:udl-variability"},
            ],
            1,
        ),
        ([{"resourceLinkId": "link-2"}, {"resourceLinkId": "link-1"}], 1),
        ([{"tag": "tessera-activity-1"}], 0),
    ],
)
@pytest.mark.parametrize("filters", [True, False])
def test_a_column_that_is_there_is_found_and_none_made(
    course: Course, there: list[dict[str, Any]], ours: int, filters: bool
):
    assert course.campus.placement == 1
    course.filters = filters
    for item in there:
        course.add(label="x", **item)

    course.opened()
    course.settle()

    assert course.placement.line_item_url == course.items[ours]["id"]
    assert course.made == []


@pytest.mark.parametrize(
    "there",
    [
        [{"resourceLinkId": "link-2", "resourceId": "tessera:udl-variability"}],
        [{"resourceLinkId": "link-1"}, {"resourceLinkId": "link-1"}],
        [{"tag": "tessera-activity-2"}],
    ],
)
def test_a_column_that_may_be_another_s_is_never_taken(course: Course, there: list[dict[str, Any]]):
    """A copied course has columns with the same resource id; only one of this very link is ours."""
    course.filters = False
    for item in there:
        course.add(label="x", **item)

    course.opened()
    course.settle()

    assert len(course.made) == 1
    assert course.placement.line_item_url == course.items[-1]["id"]


def test_a_column_at_another_origin_is_neither_used_nor_made_twice(course: Course):
    course.add(label="x", resourceLinkId="link-1")["id"] = "https://elsewhere.example/items/1"

    course.opened()
    course.settle()

    assert course.placement.line_item_url is None
    assert (course.state, course.made) == (ColumnState.REFUSED, [])


def test_workers_that_look_at_the_same_moment_make_one_column(course: Course):
    course.opened()
    together = Barrier(4)

    def work() -> None:
        with course.app.app_context():
            together.wait()
            course.settle()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(course.made) == 1


def test_a_column_whose_making_was_never_confirmed_is_found_afterwards(course: Course):
    def lost_answer(asked: Asked) -> Reply:
        reply = course.answer(asked)
        return Reply(502) if asked.method == "POST" else reply

    course.platform.answers[ITEMS] = lost_answer
    course.opened()
    course.settle()
    course.platform.answers[ITEMS] = course.answer
    course.settle(NOON + timedelta(minutes=1))

    assert len(course.made) == 1
    assert course.placement.line_item_url == course.items[0]["id"]


def test_what_was_decided_before_there_was_a_column_is_sent_once_there_is(course: Course):
    course.decide()
    course.opened()
    course.settle()

    courier.deliver_due(now_fn=lambda: NOON)

    assert course.scores() == [
        (ScoreState.SUPERSEDED, ""),
        (ScoreState.ACCEPTED, course.items[0]["id"]),
    ]


def test_after_the_course_has_ended_a_column_sends_nothing_by_itself_and_faculty_are_asked(course: Course):
    course.decide()
    course.opened()
    teaching = db.session.get_one(Placement, course.campus.placement).course
    teaching.term = Term(platform_id=teaching.platform_id, name="Fall", ends_on=NOON.date())
    db.session.commit()

    course.settle(NOON + timedelta(days=3))

    assert course.scores() == [(ScoreState.PARKED, "")]
    assert db.session.scalars(select(Score.reason)).one() == ENDED


def test_a_score_that_waits_for_somebody_s_agreement_goes_on_waiting(course: Course):
    """A result from another course is for faculty to take over, column or no column."""
    submission = hand_in_work(course.campus, "lena")
    marks = marks_for(version_of(submission))
    assessment.decide(
        submission.id, course.campus.accounts["otto"], marks, "Fine.", Outcome.DEMONSTRATED, now=NOON
    )
    db.session.commit()
    course.opened()
    course.settle()

    assert course.scores() == [(ScoreState.PARKED, "")]


def test_a_column_that_was_deleted_is_made_anew_once_and_then_faculty_are_asked(course: Course):
    course.opened()
    course.settle()
    course.decide()
    course.platform.answers[f"{ITEMS}/1/lineitem/scores"] = lambda _: Reply(404)
    course.items.clear()
    courier.deliver_due(now_fn=lambda: NOON)
    course.settle()
    courier.deliver_due(now_fn=lambda: NOON + timedelta(minutes=1))

    assert [state for state, _ in course.scores()] == [ScoreState.SUPERSEDED, ScoreState.ACCEPTED]
    course.platform.answers[f"{ITEMS}/1/lineitem/scores"] = lambda _: Reply(404)
    course.items.clear()
    course.decide("mateo")
    courier.deliver_due(now_fn=lambda: NOON + timedelta(minutes=2))

    assert course.settle(NOON + timedelta(minutes=3)) == 0
    assert (course.state, course.placement.line_item_url) == (ColumnState.OFFERED, None)
    assert len(course.made) == 2


def test_a_score_that_set_out_for_the_old_column_while_a_new_one_was_made_goes_to_the_new_one(course: Course):
    course.opened()
    course.settle()
    course.decide()
    course.platform.answers[f"{ITEMS}/1/lineitem/scores"] = lambda _: Reply(404)
    course.items.clear()
    columns.lost(course.placement.id, course.placement.line_item_url or "", now=NOON)
    db.session.commit()
    course.items.append({"id": "taken"})
    course.settle()
    courier.deliver_due(now_fn=lambda: NOON)
    courier.deliver_due(now_fn=lambda: NOON + timedelta(minutes=1))

    assert [state for state, _ in course.scores()] == [ScoreState.SUPERSEDED, ScoreState.ACCEPTED]
    assert course.scores()[1][1] == course.placement.line_item_url


def test_in_canvas_a_column_is_an_assignment_so_faculty_are_asked_first(course: Course):
    db.session.scalars(select(Platform)).one().product = "canvas"
    db.session.commit()

    course.opened()
    course.settle()
    before = (course.state, len(course.made))
    asked = columns.ask_for(course.campus.placement, course.campus.accounts["ingrid"], now=NOON)
    db.session.commit()
    course.settle()

    assert before == (ColumnState.OFFERED, 0)
    assert asked
    assert "resourceLinkId" not in json.loads(course.made[0].body)
    assert course.placement.line_item_url == course.items[0]["id"]


def test_an_assignment_that_was_deleted_in_canvas_comes_back_once_with_its_column_and_its_link(
    course: Course,
):
    db.session.scalars(select(Platform)).one().product = "canvas"
    assignment = course.add(label="x", resourceLinkId="link-1")
    course.placement.line_item_url = assignment["id"]
    course.opened(lineitem=assignment["id"])
    course.decide()
    course.delete(assignment)

    def made_with_an_assignment(asked: Asked) -> Reply:
        reply = course.answer(asked)
        if asked.method == "POST":
            reply.body["resourceLinkId"] = "link-2"
        return reply

    course.platform.answers[ITEMS] = made_with_an_assignment
    courier.deliver_due(now_fn=lambda: NOON)
    course.settle()
    courier.deliver_due(now_fn=lambda: NOON + timedelta(minutes=1))

    [made] = course.made
    asked = json.loads(made.body)
    assert "resourceLinkId" not in asked
    assert asked["https://canvas.instructure.com/lti/submission_type"] == {
        "type": "external_tool",
        "external_tool_url": "http://tool.localhost:8700/lti/launch?credential=udl-variability",
    }
    assert course.scores() == [
        (ScoreState.SUPERSEDED, assignment["id"]),
        (ScoreState.ACCEPTED, course.items[-1]["id"]),
    ]
    assert course.placement.resource_link_id == "link-2"

    course.delete(course.items[-1])
    course.decide("mateo")
    courier.deliver_due(now_fn=lambda: NOON + timedelta(minutes=2))

    assert course.settle(NOON + timedelta(minutes=3)) == 0
    assert (course.state, len(course.made)) == (ColumnState.OFFERED, 1)


def test_a_column_of_which_nothing_can_be_read_holds_up_neither_the_next_one_nor_a_note(course: Course):
    course.opened()
    campus = course.campus
    db.session.execute(delete(PlacementChoice).where(PlacementChoice.placement_id == campus.placement))
    sound = add_placement(campus.deployment, campus.course, "link-2", simple_key(), line_item=False)
    columns.note(sound, course.claim(), product=course.product, now=NOON + timedelta(seconds=1))
    said = {"subject": "lena", "text": "There is feedback.", "said_at": NOON, "due_at": NOON, "ref": 1}
    db.session.add(
        GradeNote(
            kind=NoteKind.NOT_YET,
            placement_id=sound.id,
            account_id=campus.accounts["lena"],
            registration_id=campus.registration,
            line_item_url=f"{course.platform.url}/items/9",
            **said,
        )
    )
    db.session.commit()
    course.platform.answers["/items/9/scores"] = lambda _: Reply()

    for _ in range(2):
        tasks.run_errands(course.app, campus.registration)

    assert course.state is ColumnState.WANTED
    assert db.session.get_one(Placement, sound.id, populate_existing=True).line_item_url is not None
    assert len(course.platform.asked_at("/items/9/scores")) == 1


def test_a_platform_that_is_busy_is_asked_again_later_and_one_that_says_no_is_not(course: Course):
    course.create_status = 503
    course.opened()
    course.settle()
    busy = (course.state, course.settle(NOON + timedelta(seconds=30)))
    course.create_status = 403
    course.settle(NOON + timedelta(minutes=2))
    refused = columns.column_of(course.campus.placement)

    assert busy == (ColumnState.WANTED, 0)
    assert refused is not None
    assert (refused.state, refused.reason) == (
        ColumnState.REFUSED,
        "Moodle did not let Tessera make one (status 403).",
    )
    assert course.settle(NOON + timedelta(days=1)) == 0


def test_when_somebody_opens_the_activity_again_a_refusal_is_tried_anew(course: Course):
    course.create_status = 403
    course.opened()
    course.settle()
    course.create_status = 201

    assert course.opened(NOON + timedelta(days=1))
    course.settle(NOON + timedelta(days=1))

    assert course.state is ColumnState.SETTLED


def test_moodle_is_asked_under_both_scopes_and_others_under_the_one_they_need(course: Course):
    course.opened()
    course.settle()

    [token] = course.platform.asked_at("/token")
    assert [scope.rpartition("/")[2] for scope in token.form["scope"].split()] == [
        "lineitem",
        "lineitem.readonly",
    ]
