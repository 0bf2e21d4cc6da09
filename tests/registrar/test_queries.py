from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy import event, select

from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.passback.models import Finding, Score, ScoreState
from lti_tool.people.models import Course, Membership, Term
from lti_tool.registrar import queries, stories
from lti_tool.registrar.queries import NO_TERM, Filter, Shown
from tests.registrar.rows import NOT_PUBLISHED, owe, send
from tests.support.apps import NOON
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

    there = {shown: count for shown, count in counts.items() if count}
    assert there == {Shown.ALL: 3, Shown.WAITING: 1, Shown.ATTENTION: 1, Shown.ACCEPTED: 1}


def found(score_id: int, state: ScoreState, finding: Finding | None, *, settled: bool = False) -> None:
    score = db.session.get_one(Score, score_id)
    score.state, score.finding = state, finding
    score.dealt_with_at = NOON if settled else None
    db.session.commit()


def test_every_score_is_behind_one_link_whatever_has_become_of_it(app: Flask, campus: Campus):
    with app.app_context():
        for n, state in enumerate(ScoreState):
            for m, finding in enumerate([None, *Finding]):
                for settled in (False, True):
                    number = 1000 + 100 * n + 10 * m + settled
                    activity = add_placement(campus.deployment, campus.course, f"link-{number}", simple_key())
                    score = owe(campus, "lena", placement=activity, decision=number)
                    found(score.id, state, finding, settled=settled)

        counts = queries.page(campus.deployment, Filter(), 1).counts
        listed = {
            shown: queries.page(campus.deployment, Filter(shown), 1, size=1000).rows
            for shown in Shown
            if shown is not Shown.ALL
        }

    assert {shown: len(rows) for shown, rows in listed.items()} | {Shown.ALL: counts[Shown.ALL]} == counts
    assert sum(len(rows) for rows in listed.values()) == counts[Shown.ALL]
    assert all({row.shown for row in rows} == {shown} for shown, rows in listed.items())


def test_what_the_platform_shows_otherwise_stands_apart_until_a_person_has_settled_it(
    app: Flask, campus: Campus
):
    with app.app_context():
        score_id = owe(campus, "lena").id
        found(score_id, ScoreState.OVERRIDDEN, Finding.OVERRIDDEN)
        before = queries.page(campus.deployment, Filter(Shown.DIFFERS), 1).rows
        found(score_id, ScoreState.OVERRIDDEN, Finding.OVERRIDDEN, settled=True)
        after = queries.page(campus.deployment, Filter(Shown.SETTLED), 1).rows

    assert [row.id for row in before] == [row.id for row in after] == [score_id]


def filters(campus: Campus) -> list[tuple[Filter, set[str]]]:
    """Narrowings, and whose scores each of them leaves."""
    term = db.session.scalars(select(Term.id)).one()
    credential = db.session.scalars(select(Version.credential_id).order_by(Version.id)).first()
    return [
        (Filter(), {"lena", "mateo"}),
        (Filter(term=term), {"lena"}),
        (Filter(term=NO_TERM), {"mateo"}),
        (Filter(term=999), set()),
        (Filter(section="sped-4500-A"), {"lena"}),
        (Filter(section="B"), set()),
        (Filter(person=campus.persons["mateo"]), {"mateo"}),
        (Filter(credential=credential), {"lena", "mateo"}),
        (Filter(credential=999), set()),
        (Filter(term=term, person=campus.persons["mateo"]), set()),
    ]


def test_the_ledger_is_narrowed_by_term_section_micro_credential_and_person(app: Flask, campus: Campus):
    with app.app_context():
        other = add_placement(campus.deployment, campus.other_course, "link-2", simple_key())
        owe(campus, "lena")
        owe(campus, "mateo", placement=other)
        course = db.session.get_one(Course, campus.course)
        course.term = Term(platform_id=course.platform_id, name="Fall 2026", starts_on=None, ends_on=None)
        membership = select(Membership).filter_by(account_id=campus.accounts["lena"])
        db.session.scalars(membership).one().section_sis_id = "SPED-4500-a"
        db.session.commit()

        left = [
            ({row.subject for row in page.rows}, page.counts[Shown.ALL], whose)
            for wanted, whose in filters(campus)
            for page in [queries.page(campus.deployment, wanted, 1)]
        ]

    assert [(shown, counted) for shown, counted, _ in left] == [(whose, len(whose)) for _, _, whose in left]


def test_narrowing_takes_no_more_queries(app: Flask, campus: Campus):
    with app.app_context():
        for n in range(1, 52):
            owe(campus, "lena", decision=n)
        with counted() as plain:
            queries.page(campus.deployment, Filter(), 1)
        with counted() as narrowed:
            queries.page(
                campus.deployment,
                Filter(
                    Shown.REPLACED, "sped", "A", term=NO_TERM, credential=1, person=campus.persons["lena"]
                ),
                1,
            )

    assert len(narrowed) <= len(plain)


def test_a_persons_page_takes_as_many_queries_for_twenty_activities_as_for_one(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        with counted() as for_one:
            stories.person(campus.deployment, campus.persons["lena"])
        for n in range(20):
            activity = add_placement(campus.deployment, campus.course, f"more-{n}", simple_key())
            owe(campus, "lena", placement=activity, decision=n + 100)
        with counted() as for_many:
            page = stories.person(campus.deployment, campus.persons["lena"])

    assert page is not None
    assert len(page.standings) == 21
    assert len(for_many) == len(for_one)


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
        assert stories.story(elsewhere.deployment, score.id) is None


def test_a_story_tells_every_try_and_the_other_scores_of_the_cell(app: Flask, campus: Campus):
    with app.app_context():
        older = owe(campus, "lena", "4").id
        newer = owe(campus, "lena", "10", decision=7).id
        send(NOT_PUBLISHED)

        story = stories.story(campus.deployment, newer)

    assert story is not None
    assert [(one.status, one.verdict) for one in story.tries] == [(422, NOT_PUBLISHED.reason)]
    assert [one.id for one in story.siblings] == [older]


def test_a_score_whose_decision_is_unknown_is_still_shown(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena", decision=999_999)

        (row,) = queries.page(campus.deployment, Filter(), 1).rows

    assert (row.credential, row.decided_at, row.activity) == (None, None, "Micro-credential")
