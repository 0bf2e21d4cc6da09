"""However many rows there are, a page of the desk asks the database as often."""

from flask import Flask

from lti_tool.database import db
from lti_tool.people.models import Course, Term
from tests.registrar.rows import NOT_PUBLISHED, owe, send
from tests.registrar.test_queries import counted
from tests.support.cast import Campus, add_account, add_placement, simple_key
from tests.support.submitted import begin_work
from tests.support.visits import visit_as


def grow(campus: Campus, times: int, start: int) -> None:
    """More scores of Lena's in one cell and in others, with tries, and more people with work under way."""
    platform_id = db.session.get_one(Course, campus.course).platform_id
    for n in range(start, start + times):
        activity = add_placement(campus.deployment, campus.course, f"more-{n}", simple_key())
        owe(campus, "lena", decision=1000 + n)
        owe(campus, "lena", placement=activity, decision=2000 + n, column=None)
        account = add_account(platform_id, f"more-{n}", f"More {n}")
        more = Campus(**(vars(campus) | {"accounts": {"x": account.id}, "persons": {"x": account.person_id}}))
        begin_work(more, "x")
    send(NOT_PUBLISHED)
    db.session.commit()


def test_no_page_of_the_desk_asks_more_often_for_more_rows(app: Flask, campus: Campus):
    with app.app_context():
        course = db.session.get_one(Course, campus.course)
        course.term = Term(platform_id=course.platform_id, name="Fall 2026", starts_on=None, ends_on=None)
        grow(campus, 1, 0)
    rita, ingrid = visit_as(app, campus, "rita"), visit_as(app, campus, "ingrid")
    narrowed = f"term=1&course_id={campus.course}&course=sped&credential=1&person={campus.persons['lena']}"
    pages = [
        (rita, "/ledger"),
        (rita, f"/ledger?{narrowed}&section=x"),
        (rita, "/ledger?show=attention"),
        (rita, "/ledger/send"),
        (rita, "/ledger/1"),
        (rita, f"/ledger/people/{campus.persons['lena']}"),
        (rita, "/ledger/terms/1/close-out"),
        (ingrid, "/course/close-out"),
        (ingrid, "/course/grades?show=all"),
    ]

    def statements() -> dict[str, int]:
        found = {}
        for browser, path in pages:
            # Once before it is counted: the first look at a version is kept by the process.
            assert browser.get(path).status_code == 200
            with app.app_context(), counted() as asked:
                browser.get(path)
            found[path] = len(asked)
        return found

    for_few = statements()
    with app.app_context():
        grow(campus, 12, 1)
    for_many = statements()

    assert for_many == for_few
    assert max(for_many.values()) <= 15
