import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import datetime

import pytest
from flask import Flask
from openpyxl import load_workbook
from openpyxl.cell import Cell

from lti_tool.database import db
from lti_tool.people.models import Account
from lti_tool.registrar import export, queries, workbook
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


def cells_of(content: bytes) -> list[list[tuple[Cell, ...]]]:
    """The workbook as another library reads it."""
    return [
        [tuple(row) for row in sheet.iter_rows()] for sheet in load_workbook(io.BytesIO(content)).worksheets
    ]


def sheets(campus: Campus) -> list[list[tuple[Cell, ...]]]:
    return cells_of(b"".join(export.workbook(queries.every(campus.deployment, Filter()))))


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


def test_an_id_that_looks_like_a_number_keeps_its_zeros_in_the_workbook(app: Flask, campus: Campus):
    with app.app_context():
        owe(campus, "lena")
        db.session.get_one(Account, campus.accounts["lena"]).sis_id = "0012"
        db.session.commit()

        ((titles, cells),) = sheets(campus)

    assert cells[[title.value for title in titles].index("SIS id")].value == "0012"
    assert all(title.font.bold for title in titles)


def test_what_one_sheet_does_not_hold_goes_on_in_the_next():
    several = cells_of(b"".join(workbook.pieces(["n"], [(n,) for n in range(1, 6)], sheet_rows=2)))

    assert [[cells[0].value for cells in sheet] for sheet in several] == [["n", 1, 2], ["n", 3, 4], ["n", 5]]


@pytest.mark.parametrize("count", [0, 2])
def test_a_sheet_that_is_just_full_or_empty_has_no_empty_one_behind_it(count: int):
    [sheet] = cells_of(b"".join(workbook.pieces(["n"], [(n,) for n in range(count)], sheet_rows=2)))

    assert len(sheet) == count + 1


def test_a_workbook_begins_before_its_rows_are_read_and_goes_out_while_they_are():
    read = 0

    def rows() -> Iterator[tuple[str, int]]:
        nonlocal read
        for n in range(20_000):
            read += 1
            yield f"{n * 7919 % 100_003:x} {n * n}", n

    pieces = workbook.pieces(["a", "b"], rows())

    first = next(pieces)
    at_first, behind = read, []
    parts = [first]
    for piece in pieces:
        parts.append(piece)
        behind.append(read)

    assert first
    assert at_first == 0
    assert len(behind) > 3
    assert behind[0] < 10_000
    assert max(map(len, parts)) < 300_000
    [sheet] = cells_of(b"".join(parts))
    assert len(sheet) == 20_001


def test_a_workbook_is_known_as_one_and_readable_from_front_to_back():
    content = b"".join(workbook.pieces(["n"], [(1,)]))

    assert content[30:41] == b"_rels/.rels"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == len(archive.namelist())
