from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy import event

from lti_tool.database import db
from lti_tool.registrar import queries
from lti_tool.registrar.queries import Filter, Shown
from tests.registrar.rows import NOT_PUBLISHED, owe, send
from tests.support.cast import Campus, add_placement, build_campus, simple_key


@contextmanager
def counted() -> Iterator[list[str]]:
    """Statements that reach the database meanwhile."""
    statements: list[str] = []

    def note(*said: object) -> None:
        statements.append(str(said[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def test_a_page_takes_as_many_queries_for_fifty_rows_as_for_one(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena", decision=1)
        with counted() as for_one:
            queries.page(campus.deployment, Filter(), 1)
        for n in range(2, 52):
            owe(campus, "lena", decision=n)
        with counted() as for_fifty:
            page = queries.page(campus.deployment, Filter(), 1)

    assert len(page.rows) == 50
    assert len(for_fifty) == len(for_one) <= 4


def test_pages_show_the_newest_first_and_every_row_once(app: Flask, campus: Campus):
    with app.app_context():
        ids = [owe(campus, "lena", decision=n).id for n in range(1, 8)]

        pages = [queries.page(campus.deployment, Filter(), number, size=3) for number in (1, 2, 3)]

    assert [row.id for page in pages for row in page.rows] == ids[::-1]
    assert {page.pages for page in pages} == {3}


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-5, 1), (99, 2)])
def test_a_page_that_does_not_exist_becomes_the_nearest(app: Flask, campus: Campus, asked: int, given: int):
    with app.app_context():
        for n in range(1, 5):
            owe(campus, "lena", decision=n)

        assert queries.page(campus.deployment, Filter(), asked, size=2).number == given


def test_counts_say_how_much_is_behind_each_filter(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        send()
        owe(campus, "mateo")
        owe(campus, "aiko", column=None)

        counts = queries.page(campus.deployment, Filter(), 1).counts

    assert counts == {Shown.ALL: 3, Shown.WAITING: 1, Shown.ATTENTION: 1, Shown.ACCEPTED: 1}


@pytest.mark.parametrize(
    ("search", "found"), [("4700", 1), ("practicum", 1), ("sped", 2), ("100%", 0), ("_", 0)]
)
def test_a_course_is_found_by_part_of_its_name(app: Flask, campus: Campus, search: str, found: int):
    with app.app_context():
        other = add_placement(campus.deployment, campus.other_course, "link-2", simple_key())
        owe(campus, "lena")
        owe(campus, "mateo", placement=other)

        page = queries.page(campus.deployment, Filter(course=search), 1)

    assert len(page.rows) == page.counts[Shown.ALL] == found


def test_another_deployments_scores_are_never_shown(app: Flask, campus: Campus):
    with app.app_context():
        elsewhere = build_campus("moodle")
        score = owe(campus, "lena")

        assert queries.page(elsewhere.deployment, Filter(), 1).rows == ()
        assert queries.story(elsewhere.deployment, score.id) is None


def test_a_story_tells_every_try_and_the_other_scores_of_the_cell(app: Flask, campus: Campus):
    with app.app_context():
        older = owe(campus, "lena", "4").id
        newer = owe(campus, "lena", "10", decision=7).id
        send(NOT_PUBLISHED)

        story = queries.story(campus.deployment, newer)

    assert story is not None
    assert [(one.status, one.verdict) for one in story.tries] == [(422, NOT_PUBLISHED.reason)]
    assert [one.id for one in story.siblings] == [older]


def test_a_score_whose_decision_is_unknown_is_still_shown(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena", decision=999_999)

        (row,) = queries.page(campus.deployment, Filter(), 1).rows

    assert (row.credential, row.decided_at, row.activity) == (None, None, "Micro-credential")
