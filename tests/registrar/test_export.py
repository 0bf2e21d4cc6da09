import csv
import io
from datetime import datetime

import pytest
from flask import Flask
from openpyxl import load_workbook
from openpyxl.cell import Cell

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


def sheets(campus: Campus, sheet_rows: int = export.SHEET_ROWS) -> list[list[tuple[Cell, ...]]]:
    """The workbook as another library reads it."""
    pieces = export.workbook(queries.every(campus.deployment, Filter()), sheet_rows=sheet_rows)
    book = load_workbook(io.BytesIO(b"".join(pieces)))
    return [[tuple(row) for row in sheet.iter_rows()] for sheet in book.worksheets]


def test_the_workbook_has_numbers_and_dates_as_such(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena", "8.5")
        send(NOT_PUBLISHED)

        ((titles, cells),) = sheets(campus)

    row = {title.value: cell for title, cell in zip(titles, cells, strict=True)}
    assert (row["Points"].value, row["Points"].data_type) == (8.5, "n")
    assert row["HTTP status"].value == 422
    assert row["Owed since (UTC)"].value == datetime(2026, 10, 5, 12, 0)  # noqa: DTZ001  # as spreadsheets have it
    assert row["Owed since (UTC)"].is_date
    assert (row["SIS id"].value, row["Settled (UTC)"].data_type) == ("S-lena", "d")
    assert row["The LMS shows"].value is None


@pytest.mark.parametrize(
    "text",
    ["=1+1", "{=SUM(A1)}", "https://example.edu/x", "0012", "internal:Sheet1!A1", "\x01=1", "x" * 40_000],
)
def test_text_is_text_in_the_workbook_whatever_it_looks_like(app: Flask, campus: Campus, text: str):
    with app.app_context():
        owe(campus, "lena", comment=text)

        ((titles, cells),) = sheets(campus)

    comment = cells[[title.value for title in titles].index("Comment")]
    assert comment.data_type == "s"
    assert comment.hyperlink is None
    assert comment.value.removeprefix("_x0001_") == text.removeprefix("\x01")[:32_767]


def test_what_one_sheet_does_not_hold_goes_on_in_the_next(app: Flask, campus: Campus):
    with app.app_context():
        for n in range(1, 6):
            owe(campus, "lena", decision=n)

        several = sheets(campus, sheet_rows=2)

    assert [len(sheet) for sheet in several] == [3, 3, 2]
    assert [cells[0].value for sheet in several for cells in sheet[1:]] == [5, 4, 3, 2, 1]
    assert len({tuple(cell.value for cell in sheet[0]) for sheet in several}) == 1
