import csv
import io

import pytest
from flask import Flask

from lti_tool.registrar import export, queries
from lti_tool.registrar.queries import Filter, Shown
from tests.registrar.rows import NOT_PUBLISHED, owe, send
from tests.support.cast import Campus


def read(text: str) -> list[dict[str, str]]:
    """As a spreadsheet reads it."""
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def exported(campus: Campus, wanted: Filter | None = None) -> list[dict[str, str]]:
    return read("".join(export.lines(queries.every(campus.deployment, wanted or Filter()))))


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+49 30 1234", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "-", '=HYPERLINK("x")'],
)
def test_text_that_a_spreadsheet_would_take_for_a_formula_stays_text(text: str):
    assert export.defused(text) == "'" + text


@pytest.mark.parametrize("text", ["", "10", "Lena Brandt", "a=b", "8 - 10", "it's"])
def test_other_text_stays_as_it_is(text: str):
    assert export.defused(text) == text


def test_the_file_says_who_what_when_and_what_came_back(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        send(NOT_PUBLISHED)

        (row,) = exported(campus)

    assert row["Name"] == "Lena Brandt"
    assert row["SIS id"] == "S-lena"
    assert row["Course"] == "SPED 4500"
    assert (row["Points"], row["Points possible"]) == ("10", "10")
    assert row["Owed since (UTC)"] == "2026-10-05 12:00:00"
    assert (row["Decision"], row["State"]) == ("Demonstrated", "Needs attention")
    assert row["HTTP status"] == "422"
    assert row["What it needs"] == "The course is not published in Canvas. Publish it."


def test_what_the_earner_or_the_platform_wrote_cannot_become_a_formula(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena", comment="=cmd|' /C calc'!A0")

        (row,) = exported(campus)

    assert row["Comment"] == "'=cmd|' /C calc'!A0"


def test_commas_quotes_and_lines_in_a_comment_stay_in_one_cell(app: Flask, campus: Campus):
    comment = 'Well done, "really".\nSecond line.'
    with app.app_context():
        owe(campus, "lena", comment=comment)

        (row,) = exported(campus)

    assert row["Comment"] == comment


def test_the_file_keeps_to_the_filter(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        owe(campus, "mateo", column=None)

        rows = exported(campus, Filter(shown=Shown.ATTENTION))

    assert [row["Name"] for row in rows] == ["Mateo Ruiz"]


def test_a_long_ledger_comes_in_batches_and_each_row_once(
    app: Flask, campus: Campus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(queries, "_BATCH", 3)
    with app.app_context():
        ids = [owe(campus, "lena", decision=n).id for n in range(1, 9)]

        batches = list(queries.every(campus.deployment, Filter()))

    assert [len(batch) for batch in batches] == [3, 3, 2]
    assert [row.id for batch in batches for row in batch] == ids[::-1]


def test_a_file_of_an_empty_ledger_has_its_headings(app: Flask, campus: Campus):
    with app.app_context():
        text = "".join(export.lines(queries.every(campus.deployment, Filter())))

    assert text.removeprefix("\ufeff").startswith("Ledger number,")
