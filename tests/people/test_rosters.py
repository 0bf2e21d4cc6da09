"""Who is in a course, as its platform lists them: who came, who left, who came back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from lti_tool.database import db
from lti_tool.lti.models import Registration
from lti_tool.people import rosters
from lti_tool.people.models import Membership, Roster, RosterMember
from tests.lti.platform_double import Asked, FakePlatform, Reply
from tests.support.apps import NOON
from tests.support.cast import Campus

ROSTER = "/names_and_roles"


@dataclass
class Listed:
    """A course whose list a test can change, and Tessera reading it."""

    app: Flask
    platform: FakePlatform
    campus: Campus
    course: int
    people: list[dict[str, Any]] = field(default_factory=list)
    page: int = 50
    broken_after: int | None = None
    """Number of the page on which the platform fails."""
    during: Callable[[int], None] = lambda _: None

    def answer(self, asked: Asked) -> Reply:
        at = int(asked.path.partition("page=")[2] or 1)
        self.during(at)
        if self.broken_after is not None and at > self.broken_after:
            return Reply(404)
        shown = self.people[(at - 1) * self.page : at * self.page]
        more = len(self.people) > at * self.page
        link = {"Link": f'<{self.platform.url}{ROSTER}?page={at + 1}>; rel="next"'} if more else {}
        return Reply(body={"members": shown}, headers=link)

    def read(self, at: datetime = NOON, **more: Any) -> bool:
        return rosters.refresh(self.course, clock=lambda: at, wait=lambda _: None, **more)

    def read_elsewhere(self, at: datetime) -> bool:
        """Another worker reads, in a thread of its own."""
        with self.app.app_context():
            return self.read(at, stale_after=timedelta(0))

    def standing(self) -> dict[str, str]:
        rows = db.session.scalars(select(RosterMember).where(RosterMember.course_id == self.course))
        return {
            row.subject: "came back" if row.returned and row.status == "active" else row.status
            for row in rows
        }


def person(subject: str, role: str = "Learner", **more: Any) -> dict[str, Any]:
    return {"user_id": subject, "roles": [role], "name": subject.title(), **more}


@pytest.fixture
def listed(app: Flask, campus: Campus, platform: FakePlatform):
    with app.app_context():
        registration = db.session.get_one(Registration, campus.registration)
        registration.token_url = platform.url + "/token"
        rosters.note(campus.course, campus.deployment, platform.url + ROSTER, "ingrid", now=NOON)
        db.session.commit()
        course = Listed(
            app, platform, campus, campus.course, [person("lena"), person("mateo"), person("zoe")]
        )
        platform.answers[ROSTER] = course.answer
        yield course
        db.session.rollback()


def test_who_is_listed_is_kept_though_most_have_never_been_here(listed: Listed):
    assert listed.read()

    assert listed.standing() == {"lena": "active", "mateo": "active", "zoe": "active"}
    assert db.session.get_one(Roster, listed.course).read_at == NOON


def test_who_is_listed_no_more_has_left_and_may_come_back(listed: Listed):
    listed.read()
    zoe = listed.people.pop()
    listed.read(NOON + timedelta(days=1))
    gone = listed.standing()
    since = db.session.scalars(select(RosterMember.since).where(RosterMember.subject == "zoe")).one()
    listed.people.append(zoe)
    listed.read(NOON + timedelta(days=2))

    assert gone == {"lena": "active", "mateo": "active", "zoe": "left"}
    assert since == NOON + timedelta(days=1)
    assert listed.standing()["zoe"] == "came back"


def test_who_is_listed_as_inactive_has_left(listed: Listed):
    listed.read()
    listed.people[0]["status"] = "Inactive"
    listed.read(NOON + timedelta(days=1))

    assert listed.standing()["lena"] == "left"


def test_a_list_that_breaks_off_halfway_marks_nobody_as_gone_and_says_why(listed: Listed):
    listed.page = 1
    listed.read()
    listed.people.insert(0, person("new"))
    listed.broken_after = 2

    assert not listed.read(NOON + timedelta(days=1))

    assert listed.standing() == {"lena": "active", "mateo": "active", "zoe": "active", "new": "active"}
    roster = db.session.get_one(Roster, listed.course)
    assert (roster.read_at, roster.problem) == (NOON, "Canvas keeps the list of people somewhere else now.")


def test_a_list_that_is_suddenly_empty_is_not_believed(listed: Listed):
    listed.read()
    listed.people.clear()

    assert not listed.read(NOON + timedelta(days=1))
    assert set(listed.standing().values()) == {"active"}


def test_a_worker_that_is_told_to_end_leaves_everybody_as_they_were(listed: Listed):
    listed.read()
    listed.people.pop()

    assert not listed.read(NOON + timedelta(days=1), stopping=lambda: True)
    assert listed.standing()["zoe"] == "active"
    assert listed.read(NOON + timedelta(days=2))


def test_a_reading_that_another_has_overtaken_writes_nothing_more(listed: Listed):
    listed.page = 1
    late = NOON + timedelta(hours=1)

    def overtake(page: int) -> None:
        if page == 2:
            listed.during = lambda _: None
            everybody, listed.people = listed.people, [person("lena"), person("new")]
            assert listed.read_elsewhere(late)
            listed.people = everybody

    listed.during = overtake

    assert not listed.read()

    db.session.expire_all()
    assert listed.standing() == {"lena": "active", "new": "active"}


def test_two_workers_do_not_read_the_same_list_at_once_nor_one_that_was_just_read(listed: Listed):
    seen: list[bool] = []
    listed.during = lambda _: seen.append(listed.read_elsewhere(NOON + timedelta(seconds=1)))

    assert listed.read()
    assert seen == [False]
    assert not listed.read(NOON + timedelta(minutes=4), stale_after=rosters.STALE_FOR_FACULTY)
    assert listed.read(NOON + timedelta(minutes=5), stale_after=rosters.STALE_FOR_FACULTY)


def test_a_launch_brings_back_who_was_thought_to_have_left(listed: Listed):
    listed.read()
    listed.people.pop()
    listed.read(NOON + timedelta(days=1))

    rosters.note(listed.course, listed.campus.deployment, None, "zoe", now=NOON + timedelta(days=2))

    assert listed.standing()["zoe"] == "came back"


def test_a_course_of_five_thousand_is_written_in_bounded_batches(listed: Listed):
    listed.people = [person(f"s{number}") for number in range(5000)]
    sizes: list[int] = []

    def note(_connection, _cursor, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("INSERT INTO roster_member"):
            sizes.append(len(parameters) // 8)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        assert listed.read()
        listed.page = 5000
        assert listed.read(NOON + timedelta(days=1))
    finally:
        event.remove(db.engine, "before_cursor_execute", note)

    assert len(listed.standing()) == 5000
    assert max(sizes) <= 200
    assert len(listed.platform.asked_at("/token")) == 2


def test_a_name_that_the_platform_hides_from_now_on_is_forgotten(listed: Listed):
    listed.read()
    listed.people = [{"user_id": "lena", "roles": ["Learner"]}]
    listed.read(NOON + timedelta(days=1))

    assert db.session.scalars(select(RosterMember.name).where(RosterMember.subject == "lena")).one() is None


def test_only_courses_in_use_are_read_in_the_background_and_those_the_longest_unread_first(listed: Listed):
    campus, now = listed.campus, NOON + timedelta(days=13)
    rosters.note(campus.other_course, campus.deployment, "https://lms.example.edu/roster", "otto", now=NOON)
    listed.read(NOON + timedelta(hours=1))
    both = rosters.due(now=now)
    fresh = rosters.due(now=NOON + timedelta(hours=2))
    for membership in db.session.scalars(select(Membership).where(Membership.course_id == campus.course)):
        membership.seen_at = NOON - timedelta(days=2)

    assert list(both) == [campus.other_course, campus.course]
    assert list(fresh) == [campus.other_course]
    assert list(rosters.due(now=now)) == [campus.other_course]
