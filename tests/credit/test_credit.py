"""Credit from an operator's rule to an earner's statement."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pypdfium2
import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from lti_tool.assessment.models import Outcome
from lti_tool.assessment.service import decide
from lti_tool.audit import AuditEvent
from lti_tool.credit.models import CreditEntry
from lti_tool.credit.rules import plain
from lti_tool.database import db
from lti_tool.lti.models import Deployment
from lti_tool.passback.models import Score
from lti_tool.people.models import Account
from lti_tool.submissions.models import Attempt, AttemptPlacement
from tests.backpack.conftest import standing_badge
from tests.outside.operators import said_no, types
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement
from tests.support.submitted import hand_in_work, marks_for, version_of
from tests.support.visits import visit_as

APPROVED = (
    "--approval-number",
    "PTSB-77",
    "--audience",
    "Wyoming educators renewing a license",
    "--activate",
)
YEARLY = ("--cap", "0.75", "--cycle-months", "12", "--cycle-from", "2024-09-01")
KEYS = ("udl-variability", "family-voice-iep", "routines-conversation")
Types = Callable[..., Result]


@pytest.fixture
def operator(app: Flask, home: Path) -> Types:
    return lambda *arguments: types(home, "credit", *arguments)


def earn(app: Flask, campus: Campus, who: str, key: str = "udl-variability", *, later: int = 0) -> None:
    """The person's work on a micro-credential is decided "Demonstrated"."""
    at = NOON + timedelta(days=later)
    with app.app_context():
        placement = add_placement(campus.deployment, campus.course, f"link-{who}-{key}", key)
        submission = hand_in_work(campus, who, placement=placement.id, at=at)
        marks = marks_for(version_of(submission))
        decide(submission.id, campus.accounts["ingrid"], marks, "Clear.", Outcome.DEMONSTRATED, now=at)
        db.session.commit()


def entries(app: Flask) -> list[tuple[str, str | None]]:
    with app.app_context():
        rows = db.session.scalars(select(CreditEntry).order_by(CreditEntry.id)).all()
        return [(plain(row.counted), row.why) for row in rows if row.withdrawn_at is None]


def text_of(answer: TestResponse) -> tuple[int, str]:
    """Pages, and the words on all of them."""
    document = pypdfium2.PdfDocument(answer.data)
    said = []
    for number in range(len(document)):
        page = document[number]
        words = page.get_textpage()
        said.append(words.get_text_bounded())
        words.close()
        page.close()
    count = len(document)
    document.close()
    return count, " ".join(" ".join(said).split())


def revoke(app: Flask, campus: Campus, who: str) -> str:
    with app.app_context():
        badge = standing_badge(campus, who)
        attempt = db.session.scalars(select(Attempt.id).where(Attempt.person_id == campus.persons[who])).one()
        linked = db.session.scalars(
            select(AttemptPlacement.placement_id).where(AttemptPlacement.attempt_id == attempt)
        ).first()
    ingrid = visit_as(app, campus, "ingrid", placement=linked)
    path = f"/course/attempts/{attempt}/badges/{badge}"
    form = {f"reason-{badge}": "Awarded by mistake.", f"sure-{badge}": "yes"}
    assert ingrid.post(f"{path}/revoke", form).status_code == 303
    return path


def test_the_sample_of_wyoming_enters_nothing_until_it_is_complete_and_active(
    app: Flask, campus: Campus, operator: Types
):
    listed = operator("list").output
    assert "0.5 PTSB renewal credit; not active (lacks approval number, audience)" in listed

    refused = operator("set", "udl-variability", "--activate")

    assert "only with its authority, approval number and audience" in said_no(refused)
    earn(app, campus, "lena")
    assert entries(app) == []
    page = app.test_client().get("/credentials/udl-variability/1").text
    assert "not approved for PTSB renewal credit" in page
    assert "it does not count toward a first licence" in page


def test_a_rule_that_an_operator_has_filled_in_is_entered_with_the_decision(
    app: Flask, campus: Campus, operator: Types
):
    done = operator("set", "udl-variability", *APPROVED)

    assert "approval PTSB-77; for Wyoming educators renewing a license; active" in done.output
    earn(app, campus, "lena")
    assert entries(app) == [("0.5", None)]
    page = app.test_client().get("/credentials/udl-variability/1").text
    assert "0.50 PTSB renewal credit, for Wyoming educators renewing a license (approval PTSB-77)" in page
    with app.app_context():
        actions = db.session.scalars(select(AuditEvent.action).where(AuditEvent.action.like("credit%"))).all()
        assert actions == ["credit rule changed", "credit entered"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("udl-variability", "--cap", "1"), "A cap needs the length of its cycle"),
        (("udl-variability", *YEARLY[:-1], "2024-01-31"), "a day that every month has"),
        (
            ("udl-variability", "--valid-from", "2026-01-02", "--valid-until", "2026-01-01"),
            "before it begins",
        ),
        (("nothing-like-it", "--activate"), "has no such rule"),
        (("udl-variability", "nothing-like-it", *APPROVED), "has no such rule"),
        (("udl-variability", "--version", "9", "--activate"), "has no such rule"),
    ],
)
def test_what_makes_no_sense_changes_nothing(operator: Types, options: tuple[str, ...], said: str):
    before = operator("list").output

    assert said in said_no(operator("set", *options))
    assert operator("list").output == before


def test_decisions_outside_the_validity_enter_nothing(app: Flask, campus: Campus, operator: Types):
    tomorrow = (NOON + timedelta(days=1)).date().isoformat()
    operator("set", *KEYS, *APPROVED, "--valid-from", tomorrow, "--valid-until", tomorrow)

    for at, key in enumerate(KEYS):
        earn(app, campus, "lena", key, later=at)

    assert entries(app) == [("0.5", None)]


def test_what_goes_beyond_the_cap_of_a_cycle_is_entered_and_does_not_count(
    app: Flask, campus: Campus, operator: Types
):
    operator("set", *KEYS, *APPROVED, *YEARLY)

    for at, key in enumerate(KEYS):
        earn(app, campus, "lena", key, later=at)
    earn(app, campus, "mateo")

    counted, reasons = zip(*entries(app), strict=True)
    assert counted == ("0.5", "0.25", "0", "0.5")
    assert "so 0.25 of 0.5 count" in str(reasons[1])
    assert "that was reached" in str(reasons[2])
    page = visit_as(app, campus, "lena").get("/badges").text
    assert "0.75 PTSB renewal credit in the cycle from September 1, 2026 to August 31, 2027" in page
    assert "that was reached" in page


def test_the_next_cycle_begins_with_its_whole_room(app: Flask, campus: Campus, operator: Types):
    operator("set", *KEYS, *APPROVED, *YEARLY)

    for at, key in zip((0, 1, 400), KEYS, strict=True):
        earn(app, campus, "lena", key, later=at)

    assert [counted for counted, _ in entries(app)] == ["0.5", "0.25", "0.5"]


def test_a_revoked_badge_takes_its_credit_along_and_gives_room_to_what_came_later(
    app: Flask, campus: Campus, operator: Types
):
    operator("set", *KEYS, *APPROVED, "--cap", "0.5", *YEARLY[2:])
    earn(app, campus, "lena")
    path = revoke(app, campus, "lena")

    assert entries(app) == []
    lena = visit_as(app, campus, "lena")
    assert "Withdrawn, because the badge was revoked." in lena.get("/badges").text
    assert "withdrawn" in text_of(lena.get("/credit-statement.pdf"))[1]

    earn(app, campus, "lena", "family-voice-iep", later=1)
    assert entries(app) == [("0.5", None)]

    # Issued again after all: the earlier one counts first, as it would have.
    with app.app_context():
        linked = db.session.scalars(select(Score.placement_id).order_by(Score.id)).first()
    assert visit_as(app, campus, "ingrid", placement=linked).post(f"{path}/again").status_code == 303
    assert [counted for counted, _ in entries(app)] == ["0.5", "0"]


def test_an_earner_without_credit_sees_no_part_about_it(app: Flask, campus: Campus):
    assert "What counts for credit" not in visit_as(app, campus, "lena").get("/badges").text


def test_the_statement_says_what_it_is_and_promises_nothing(app: Flask, campus: Campus, operator: Types):
    operator("set", *KEYS, *APPROVED, *YEARLY)
    for at, key in enumerate(KEYS):
        earn(app, campus, "lena", key, later=at)
    lena = visit_as(app, campus, "lena")
    assert "/credit-statement.pdf" in lena.get("/badges").text

    answer = lena.get("/credit-statement.pdf")

    pages, words = text_of(answer)
    assert (answer.status_code, answer.mimetype, pages) == (200, "application/pdf", 1)
    for said in (
        "Lena Brandt",
        "Not an official transcript",
        "Wyoming Professional Teaching Standards Board (PTSB)",
        "Total: 0.75 PTSB renewal credit in the cycle from September 1, 2026 to August 31, 2027",
        "Approval PTSB-77, for Wyoming educators renewing a license.",
        "and that was reached.",
        "It promises nothing",
        "it does not count toward a first licence",
    ):
        assert said in words, words


def test_a_statement_without_entries_says_so(app: Flask, campus: Campus):
    assert (
        "Nothing has been entered." in text_of(visit_as(app, campus, "lena").get("/credit-statement.pdf"))[1]
    )


@pytest.mark.parametrize("name", ["Ελένη Παπαδοπούλου", "محمد الزهراني", "田中 愛子"])
def test_the_statement_takes_names_in_any_script(app: Flask, campus: Campus, operator: Types, name: str):
    operator("set", "udl-variability", *APPROVED)
    earn(app, campus, "lena")
    with app.app_context():
        db.session.get_one(Account, campus.accounts["lena"]).name = name
        db.session.commit()

    pages, words = text_of(visit_as(app, campus, "lena").get("/credit-statement.pdf"))

    assert pages == 1
    assert "Total: 0.5" in words
    if name == "田中 愛子":
        # No font here has its letters: the number by which pages call people stands there instead of nothing.
        assert f"Person {campus.persons['lena']}" in words


def test_a_long_statement_goes_on_over_pages_with_the_same_foot(app: Flask, campus: Campus, operator: Types):
    operator("set", "udl-variability", *APPROVED)
    earn(app, campus, "lena")
    with app.app_context():
        one = db.session.scalars(select(CreditEntry)).one()
        copied = {
            column.name: getattr(one, column.name)
            for column in CreditEntry.__table__.columns
            if column.name != "id"
        }
        gone = {"withdrawn_at": NOON, "withdrawn_why": "Withdrawn to fill pages."}
        db.session.add_all(CreditEntry(**(copied | gone)) for _ in range(60))
        db.session.commit()

    pages, words = text_of(visit_as(app, campus, "lena").get("/credit-statement.pdf"))

    assert pages > 2
    assert words.count("Credit statement, not an official transcript.") == pages


def test_the_registrar_opens_the_statement_from_the_story_of_a_score(
    app: Flask, campus: Campus, operator: Types
):
    operator("set", "udl-variability", *APPROVED)
    earn(app, campus, "lena")
    with app.app_context():
        score = db.session.scalars(select(Score.id)).one()
    rita = visit_as(app, campus, "rita", outside_course=True)
    assert f"/ledger/{score}/credit-statement.pdf" in rita.get(f"/ledger/{score}").text

    words = text_of(rita.get(f"/ledger/{score}/credit-statement.pdf"))[1]

    assert "Lena Brandt" in words
    assert "Total: 0.5 PTSB renewal credit" in words
    assert rita.get("/ledger/99/credit-statement.pdf").status_code == 404
    assert visit_as(app, campus, "lena").get(f"/ledger/{score}/credit-statement.pdf").status_code in (
        403,
        404,
    )


def test_a_registrar_sees_no_credit_from_another_deployment(app: Flask, campus: Campus, operator: Types):
    operator("set", *KEYS, *APPROVED)
    earn(app, campus, "lena")
    with app.app_context():
        other = Deployment(registration_id=campus.registration, deployment_id="2", created_at=NOON)
        db.session.add(other)
        db.session.commit()
        elsewhere = Campus(**(vars(campus) | {"deployment": other.id}))
        score = db.session.scalars(select(Score.id)).one()
    earn(app, elsewhere, "lena", "family-voice-iep", later=1)

    words = text_of(
        visit_as(app, campus, "rita", outside_course=True).get(f"/ledger/{score}/credit-statement.pdf")
    )[1]

    assert "Total: 0.5 PTSB renewal credit" in words
    assert "Total: 1 PTSB" in text_of(visit_as(app, campus, "lena").get("/credit-statement.pdf"))[1]
