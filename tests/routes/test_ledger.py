import csv
import html
import io
import re
from decimal import Decimal

import pytest
from flask import Flask
from openpyxl import load_workbook
from sqlalchemy import select

from lti_tool.database import db
from lti_tool.lti.models import Launch
from lti_tool.passback.models import Finding, Score, ScoreState
from lti_tool.people.models import Account, Course, Membership, Term
from lti_tool.registrar import queries
from tests.registrar.rows import NOT_PUBLISHED, owe, send
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement, build_campus, simple_key
from tests.support.submitted import begin_work, hand_in_work
from tests.support.visits import visit_as

ADDRESSES = ("/ledger", "/ledger.csv", "/ledger.xlsx", "/ledger/1", "/ledger/people", "/ledger/people/2")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("who", ["ingrid", "lena"])
def test_a_role_in_a_course_never_opens_the_desk(app: Flask, campus: Campus, who: str, address: str):
    assert visit_as(app, campus, who).get(address).status_code == 403


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_administrator_who_is_not_on_the_list_is_told_the_command(
    app: Flask, campus: Campus, address: str
):
    answer = visit_as(app, campus, "ada").get(address)

    assert answer.status_code == 403
    assert "lti-tool registrar add" in answer.text
    assert "--deployment 1 --subject ada" in answer.text


def test_a_course_role_called_administrator_does_not_open_the_desk(app: Flask, campus: Campus):
    assert visit_as(app, campus, "ingrid", role="administrator").get("/ledger").status_code == 403


def test_an_administrator_on_another_deployments_list_stays_outside(app: Flask, campus: Campus):
    with app.app_context():
        elsewhere = build_campus("moodle")
    rita = visit_as(app, campus, "rita")
    with app.app_context():
        db.session.get_one(Launch, rita.launch_id).deployment_pk = elsewhere.deployment
        db.session.get_one(Launch, rita.launch_id).subject = "rita from elsewhere"
        db.session.commit()

    assert rita.get("/ledger").status_code == 403


def test_an_empty_desk_says_what_will_fill_it(app: Flask, campus: Campus):
    page = visit_as(app, campus, "rita").get("/ledger")

    assert page.status_code == 200
    assert "Nothing has been sent yet" in page.text
    assert "Example canvas" in page.text


def test_the_desk_shows_who_what_and_what_the_platform_answered(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        send(NOT_PUBLISHED)

    page = visit_as(app, campus, "rita").get("/ledger").text

    for words in (
        "Lena Brandt",
        "S-lena",
        "SPED 4500",
        "10 of 10",
        "Needs attention",
        "Publish it.",
        "status 422",
    ):
        assert words in page


@pytest.mark.parametrize(
    ("query", "seen", "unseen"),
    [
        ("?show=waiting", "Mateo Ruiz", "Lena Brandt"),
        ("?show=accepted", "Lena Brandt", "Mateo Ruiz"),
        ("?show=attention", "Aiko Tanaka", "Lena Brandt"),
        ("?show=nonsense&page=x", "Lena Brandt", "Nobody"),
        ("?course=sped%204500", "Lena Brandt", "Nobody"),
        ("?course=history", "No scores here", "Lena Brandt"),
    ],
)
def test_filters_are_links(app: Flask, campus: Campus, query: str, seen: str, unseen: str):
    with app.app_context():
        owe(campus, "lena")
        send()
        owe(campus, "mateo")
        owe(campus, "aiko", column=None)

    page = visit_as(app, campus, "rita").get(f"/ledger{query}").text

    assert seen in page
    assert unseen not in page


def test_fifty_scores_make_a_page_and_the_rest_the_next(app: Flask, campus: Campus):
    with app.app_context():
        for n in range(1, 54):
            owe(campus, "lena", decision=n)
    rita = visit_as(app, campus, "rita")

    first, second = rita.get("/ledger"), rita.get("/ledger?page=2")

    assert first.text.count("SIS id S-lena") == 50
    assert second.text.count("SIS id S-lena") == 3
    assert "Page 2 of 2" in second.text


def test_a_story_shows_the_payload_every_try_and_the_decision(app: Flask, campus: Campus):
    with app.app_context():
        score_id = owe(campus, "lena").id
        send(NOT_PUBLISHED)

    page = visit_as(app, campus, "rita").get(f"/ledger/{score_id}").text

    for words in ("10 of 10", "Clear goals", "422", "unpublished", "Ingrid Okafor", "Send again"):
        assert words in page


def test_what_people_and_platforms_wrote_is_shown_as_text(app: Flask, campus: Campus):
    with app.app_context():
        score_id = owe(campus, "lena", comment="<script>alert(1)</script>").id

    page = visit_as(app, campus, "rita").get(f"/ledger/{score_id}").text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_score_of_another_deployment_is_not_there(app: Flask, campus: Campus):
    with app.app_context():
        elsewhere = build_campus("moodle")
        score_id = owe(elsewhere, "lena", column=None).id
    rita = visit_as(app, campus, "rita")

    assert rita.get(f"/ledger/{score_id}").status_code == 404
    assert rita.post(f"/ledger/{score_id}/send").status_code == 404
    with app.app_context():
        assert db.session.get_one(Score, score_id).state is ScoreState.PARKED


def test_send_again_leads_to_the_row_that_takes_the_old_ones_place(app: Flask, campus: Campus):
    with app.app_context():
        parked = owe(campus, "lena").id
        send(NOT_PUBLISHED)
    rita = visit_as(app, campus, "rita")

    answer = rita.post(f"/ledger/{parked}/send", follow_redirects=True)

    assert "takes the place of the old one" in answer.text
    assert f"/ledger/{parked}" in answer.text
    assert "Send again</button>" not in rita.get(f"/ledger/{parked}").text


def test_send_again_needs_the_pages_own_form(app: Flask, campus: Campus):
    with app.app_context():
        parked = owe(campus, "lena", column=None).id

    answer = visit_as(app, campus, "rita").post(f"/ledger/{parked}/send", {"csrf_token": "forged"})

    assert answer.status_code == 400
    with app.app_context():
        assert db.session.get_one(Score, parked).state is ScoreState.PARKED


def test_send_again_on_a_score_that_was_accepted_changes_nothing(app: Flask, campus: Campus):
    with app.app_context():
        score_id = owe(campus, "lena").id
        send()

    answer = visit_as(app, campus, "rita").post(f"/ledger/{score_id}/send", follow_redirects=True)

    assert "Nothing to do" in answer.text


def test_the_csv_opens_in_a_spreadsheet_and_keeps_to_the_filter(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        send()
        owe(campus, "mateo", column=None)

    answer = visit_as(app, campus, "rita").get("/ledger.csv?show=accepted")

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="tessera-ledger-')
    assert answer.data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))
    assert [(row["Name"], row["State"]) for row in rows] == [("Lena Brandt", "Sent and accepted")]


def test_a_person_is_found_by_name_or_sis_id_and_no_address_holds_either(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
    rita = visit_as(app, campus, "rita")

    for typed in ("brandt", "s-LENA", "lena"):
        page = rita.post("/ledger/people", {"who": typed})
        assert "Lena Brandt" in page.text
        assert "Mateo Ruiz" not in page.text
        assert f"/ledger/people/{campus.persons['lena']}" in page.text

    assert "Nobody found" in rita.post("/ledger/people", {"who": "%"}).text
    assert "Nobody found" not in rita.get("/ledger/people").text


@pytest.mark.parametrize("typed", ["Özdemir", "özdemir", "ÖZDEMIR"])
def test_letters_beyond_a_to_z_are_found_in_either_case(app: Flask, campus: Campus, typed: str):
    with app.app_context():
        db.session.get_one(Account, campus.accounts["lena"]).name = "Elif Özdemir"
        db.session.get_one(Course, campus.course).title = "Éducation inclusive"
        owe(campus, "lena")
        db.session.commit()
    rita = visit_as(app, campus, "rita")

    assert "Elif Özdemir" in rita.post("/ledger/people", {"who": typed}).text
    assert "Elif Özdemir" in rita.get("/ledger", query_string={"course": "éducation"}).text


def test_a_persons_page_says_why_a_grade_is_missing_although_no_score_was_ever_owed(
    app: Flask, campus: Campus
):
    with app.app_context():
        hand_in_work(campus, "lena")
        begin_work(campus, "mateo")
        db.session.commit()
    rita = visit_as(app, campus, "rita")

    pages = {who: rita.get(f"/ledger/people/{campus.persons[who]}").text for who in ("lena", "mateo", "aiko")}

    assert "waits for an assessor" in pages["lena"]
    assert "not handed in yet" in pages["mateo"]
    assert "have not begun" in pages["aiko"]


def test_a_persons_page_leads_to_the_story_of_each_score(app: Flask, campus: Campus):
    with app.app_context():
        score_id = owe(campus, "lena").id
        send(NOT_PUBLISHED)
    rita = visit_as(app, campus, "rita")

    page = rita.get(f"/ledger/people/{campus.persons['lena']}").text

    assert "Needs attention" in page
    assert "Publish it." in page
    assert f"/ledger/{score_id}" in page


def test_people_of_another_deployment_are_neither_found_nor_shown(app: Flask, campus: Campus):
    with app.app_context():
        elsewhere = build_campus("moodle")
        owe(elsewhere, "lena", column=None)
    rita = visit_as(app, campus, "rita")

    assert rita.post("/ledger/people", {"who": "brandt"}).text.count("Lena Brandt") == 1
    assert rita.get(f"/ledger/people/{elsewhere.persons['lena']}").status_code == 404
    assert "No scores here" in rita.get(f"/ledger?person={elsewhere.persons['lena']}").text


def test_a_story_shows_what_the_platform_shows_now_the_work_and_who_did_what(app: Flask, campus: Campus):
    with app.app_context():
        score = owe(campus, "lena")
        score.state, score.finding, score.read_at = ScoreState.OVERRIDDEN, Finding.OVERRIDDEN, NOON
        score.shown_points, score.shown_possible = Decimal(7), Decimal(10)
        db.session.commit()
        score_id = score.id

    page = visit_as(app, campus, "rita").get(f"/ledger/{score_id}").text

    for words in ("7 of 10", "Hand-in 1", "by Tessera itself", "The LMS shows a different grade"):
        assert words in page


def test_the_form_of_the_desk_narrows_by_section_and_keeps_the_state(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        owe(campus, "mateo", column=None)
        membership = select(Membership).filter_by(account_id=campus.accounts["lena"])
        db.session.scalars(membership).one().section_sis_id = "A-1"
        db.session.commit()
    rita = visit_as(app, campus, "rita")

    assert "Lena Brandt" in rita.get("/ledger?section=a-1&term=0").text
    assert "Lena Brandt" not in rita.get("/ledger?section=a-1&show=attention").text
    assert 'name="show" value="attention"' in rita.get("/ledger?section=a-1&show=attention").text


@pytest.fixture
def two_courses(app: Flask, campus: Campus) -> int:
    """A score of Lena's in a term, in two sections, and one of Mateo's in another course; the id of hers."""
    with app.app_context():
        other = add_placement(campus.deployment, campus.other_course, "link-2", simple_key())
        mine = owe(campus, "lena").id
        owe(campus, "mateo", placement=other)
        course = db.session.get_one(Course, campus.course)
        course.term = Term(platform_id=course.platform_id, name="Fall 2026", starts_on=None, ends_on=None)
        membership = select(Membership).filter_by(account_id=campus.accounts["lena"])
        db.session.scalars(membership).one().section_sis_id = "A-1,B-2"
        db.session.commit()
        return mine


def links(page: str) -> dict[str, str]:
    """Addresses by what is read of them, without what only screen readers say."""
    found = re.findall(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', page, re.DOTALL)
    seen = {re.sub(r'<span class="visually-hidden">.*?</span>', "", text): href for href, text in found}
    return {
        " ".join(re.sub(r"<[^>]+>", "", text).split()): html.unescape(href) for text, href in seen.items()
    }


def test_what_is_said_of_a_score_is_a_link_to_all_scores_of_the_same(
    app: Flask, campus: Campus, two_courses: int
):
    rita = visit_as(app, campus, "rita")
    pages = {
        "/ledger": ("SPED 4500", "Fall 2026", "A-1", "B-2", "Only this person"),
        f"/ledger/{two_courses}": (
            "SPED 4500 Inclusive Practice",
            "Fall 2026",
            "A-1",
            "B-2",
            "all their scores",
        ),
    }

    for path, names in pages.items():
        # Mateo's row stands above Lena's and has links of its own: the last of a name is hers.
        found = links(rita.get(path).text)
        for name in names:
            narrowed = rita.get(found[name]).text
            assert f"/ledger/{two_courses}" in narrowed, name
            assert "Mateo Ruiz</a>" not in narrowed, name
            assert 'aria-label="What narrows the list"' in narrowed, name


def test_links_of_rows_add_up_and_each_can_be_taken_away_again(app: Flask, campus: Campus, two_courses: int):
    rita = visit_as(app, campus, "rita")
    in_term = rita.get(links(rita.get("/ledger?show=waiting").text)["Fall 2026"]).text
    both = rita.get(links(in_term)["A-1"])

    chips = {text: href for text, href in links(both.text).items() if text.endswith("×")}
    without = rita.get(chips["Term: Fall 2026 ×"]).text
    everything = rita.get(links(both.text)["Remove all of them"]).text

    assert set(chips) == {"Term: Fall 2026 ×", "Section: A-1 ×"}
    assert all("show=waiting" in href for href in chips.values())
    assert "Section: <strong>A-1</strong>" in without
    assert "Fall 2026</strong>" not in without
    assert "Mateo Ruiz" in everything


def test_no_link_of_the_desk_holds_a_name_an_address_or_an_id_of_a_person(
    app: Flask, campus: Campus, two_courses: int
):
    rita = visit_as(app, campus, "rita")

    for page in ("/ledger", f"/ledger/{two_courses}", f"/ledger?person={campus.persons['lena']}"):
        for href in links(rita.get(page).text).values():
            assert not re.search("brandt|lena|ruiz|mateo|%40|@", href.replace(rita.base, ""), re.IGNORECASE)


def test_a_micro_credential_in_a_row_narrows_to_it(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        title = queries.page(campus.deployment, queries.Filter(), 1).rows[0].credential
    rita = visit_as(app, campus, "rita")

    narrowed = rita.get(links(rita.get("/ledger").text)[title or ""]).text

    assert f"Micro-credential: <strong>{title}</strong>" in narrowed
    assert "Lena Brandt" in narrowed


def test_what_is_narrowed_to_is_named_only_where_it_is_of_this_deployment(app: Flask, campus: Campus):
    with app.app_context():
        elsewhere = build_campus("moodle")
        owe(campus, "lena")
        theirs = db.session.get_one(Course, elsewhere.other_course)
        theirs.title, theirs.term = "Secret", Term(platform_id=theirs.platform_id, name="Theirs")
        db.session.commit()
        course, term = theirs.id, theirs.term_id
    rita = visit_as(app, campus, "rita")

    page = rita.get(f"/ledger?course_id={course}&term={term}&person={elsewhere.persons['lena']}").text

    assert page.count("not known here") == 3
    assert "Secret" not in page
    assert "Theirs" not in page


def test_the_workbook_comes_in_pieces_and_keeps_to_the_filter(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        send()
        owe(campus, "mateo", column=None)

    answer = visit_as(app, campus, "rita").get("/ledger.xlsx?show=attention")

    assert answer.headers["Content-Disposition"].endswith('.xlsx"')
    assert answer.headers["Cache-Control"] == "no-store"
    (sheet,) = load_workbook(io.BytesIO(answer.data)).worksheets
    assert [row[2] for row in sheet.iter_rows(min_row=2, values_only=True)] == ["Mateo Ruiz"]
