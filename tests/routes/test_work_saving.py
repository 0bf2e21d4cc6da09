"""Nothing that an earner typed is ever lost, whatever comes with it."""

import re
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from lti_tool import clock
from lti_tool.database import db
from lti_tool.lti.models import Launch
from lti_tool.submissions.models import Evidence
from tests.routes.earner import PNG, Earner, key_of, upload
from tests.support.apps import running
from tests.support.cast import Campus, add_placement, build_campus

MEGABYTE = 1024 * 1024
THOUGHTS = "An hour of careful thoughts"


@pytest.fixture
def lena(app: Flask, campus: Campus) -> Earner:
    earner = Earner(app, campus, "lena")
    earner.start(key_of(app, "no-children"))
    return earner


def written(earner: Earner) -> str:
    return next(f"answer-{task.key}" for task in earner.tasks() if task.kind == "written")


def evidence(earner: Earner) -> str:
    return next(task.key for task in earner.tasks() if task.kind == "evidence")


def pieces(app: Flask) -> list[tuple[str, str]]:
    with app.app_context():
        return [
            (row.kind, row.title)
            for row in db.session.scalars(
                select(Evidence).where(Evidence.removed_at.is_(None)).order_by(Evidence.id)
            )
        ]


def test_words_and_files_are_saved_with_one_button(app: Flask, lena: Earner):
    task = evidence(lena)

    answer = lena.save({written(lena): THOUGHTS, f"file-{task}": upload(PNG, "map.png")})

    assert answer.location.endswith("/work/tasks?done=saved")
    page = lena.get("/work/tasks").text
    assert THOUGHTS in page
    assert "map.png" in page


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "empty.pdf", "0 bytes"),
        (b"MZ\x90\x00program", "photo.jpg", "not a kind of file"),
        (b"PK\x03\x04rest", "all.zip", "not a kind of file"),
    ],
)
def test_a_bad_file_costs_only_itself(app: Flask, lena: Earner, content: bytes, name: str, reason: str):
    task = evidence(lena)

    answer = lena.save({written(lena): THOUGHTS, f"file-{task}": upload(content, name)})

    assert answer.status_code == 422
    assert f"{name} was not added" in answer.text
    assert reason in answer.text
    assert f'href="#file-{task}"' in answer.text
    assert THOUGHTS in answer.text
    assert THOUGHTS in lena.get("/work/tasks").text
    assert pieces(app) == []


def test_a_good_file_beside_a_bad_one_is_kept(app: Flask, lena: Earner):
    task = evidence(lena)

    lena.save({f"file-{task}": [upload(b"", "empty.pdf"), upload(PNG, "../../map.png")]})

    assert pieces(app) == [("upload", "map.png")]


@pytest.mark.parametrize("megabytes", [2, 8])
def test_a_file_of_any_size_leaves_the_words_alone(home: Path, megabytes: int):
    """8 MB is more than the whole form may have elsewhere (4 files of 1 MB and 2 MB of words)."""
    with running(home, MAX_UPLOAD_MB="1") as app:
        with app.app_context():
            campus = build_campus()
        lena = Earner(app, campus, "lena")
        lena.start(key_of(app, "no-children"))
        task = evidence(lena)

        answer = lena.save(
            {written(lena): THOUGHTS, f"file-{task}": upload(PNG + bytes(megabytes * MEGABYTE), "long.png")}
        )

        assert answer.status_code == 422
        assert "long.png was not added: it is too large" in answer.text
        assert "at most 1 MB" in answer.text
        assert THOUGHTS in lena.get("/work/tasks").text
        assert pieces(app) == []


def test_a_file_of_exactly_the_limit_is_taken(home: Path):
    with running(home, MAX_UPLOAD_MB="1") as app:
        with app.app_context():
            campus = build_campus()
        lena = Earner(app, campus, "lena")
        lena.start(key_of(app, "no-children"))

        lena.save({f"file-{evidence(lena)}": upload(PNG + bytes(MEGABYTE - len(PNG)), "exact.png")})

        assert pieces(app) == [("upload", "exact.png")]


def test_a_link_is_kept_with_what_the_earner_calls_it(app: Flask, lena: Earner):
    task = next(task.key for task in lena.tasks() if task.accepts_link)

    lena.save({f"link-{task}": " https://video.example.edu/1 ", f"link-{task}-title": "My lesson"})

    assert pieces(app) == [("link", "My lesson")]
    assert 'href="https://video.example.edu/1"' in lena.get("/work/tasks").text


def test_a_bad_link_is_explained_and_stays_in_its_field(app: Flask, lena: Earner):
    task = next(task.key for task in lena.tasks() if task.accepts_link)

    answer = lena.save({written(lena): THOUGHTS, f"link-{task}": "www.example.org/lesson"})

    assert answer.status_code == 422
    assert "must begin with https://" in answer.text
    assert 'value="www.example.org/lesson"' in answer.text
    assert THOUGHTS in lena.get("/work/tasks").text
    assert pieces(app) == []


def test_a_link_that_runs_script_is_never_kept(app: Flask, lena: Earner):
    task = next(task.key for task in lena.tasks() if task.accepts_link)

    assert lena.save({f"link-{task}": "javascript:alert(1)"}).status_code == 422
    assert pieces(app) == []


def test_where_children_are_involved_no_link_is_offered_or_taken(app: Flask, campus: Campus):
    key = key_of(app, "classroom")
    with app.app_context():
        placement = add_placement(campus.deployment, campus.course, "link-children", key).id
        db.session.commit()
    lena = Earner(app, campus, "lena", placement=placement)
    lena.start(key)
    task = evidence(lena)

    page = lena.get("/work/tasks").text
    answer = lena.save({written(lena): THOUGHTS, f"link-{task}": "https://video.example.edu/1"})

    assert f'name="link-{task}"' not in page
    assert "No links here" in page
    assert answer.status_code == 422
    assert "takes no links" in answer.text
    assert THOUGHTS in lena.get("/work/tasks").text
    assert pieces(app) == []


def test_more_pieces_than_the_task_takes_are_refused_one_by_one(app: Flask, lena: Earner):
    task = next(task for task in lena.tasks() if task.kind == "evidence")
    files = [upload(PNG + bytes([n]), f"{n}.png") for n in range(task.max_files + 1)]

    answer = lena.save({written(lena): THOUGHTS, f"file-{task.key}": files})

    assert answer.status_code == 422
    assert f"{task.max_files}.png was not added: the task is full" in answer.text
    assert len(pieces(app)) == task.max_files
    assert THOUGHTS in lena.get("/work/tasks").text


def test_removing_a_piece_saves_what_was_typed(app: Flask, lena: Earner):
    lena.save({f"file-{evidence(lena)}": upload(PNG, "map.png")})
    piece = re.search(r'value="remove-(\d+)"', lena.get("/work/tasks").text)
    assert piece is not None

    lena.save({written(lena): THOUGHTS, "action": f"remove-{piece[1]}"})

    assert pieces(app) == []
    assert THOUGHTS in lena.get("/work/tasks").text


def test_pressing_privacy_problem_saves_what_was_typed(app: Flask, lena: Earner):
    lena.save({f"file-{evidence(lena)}": upload(PNG, "map.png")})
    piece = re.search(r'value="privacy-(\d+)"', lena.get("/work/tasks").text)
    assert piece is not None

    answer = lena.save({written(lena): THOUGHTS, "action": f"privacy-{piece[1]}"})

    assert answer.location.endswith(f"/work/evidence/{piece[1]}/privacy")
    assert THOUGHTS in lena.get("/work/tasks").text


def test_checking_saves_first(lena: Earner):
    answer = lena.save({written(lena): THOUGHTS, "action": "check"})

    assert answer.location.endswith("/work/check")
    assert THOUGHTS in lena.get("/work/tasks").text


def test_two_tabs_lose_neither_text(lena: Earner):
    field, tab = written(lena), lena.form()
    lena.save({field: "Words of the first tab"})

    answer = lena.save({field: "Words of the second tab"}, **tab)

    assert answer.status_code == 409
    assert "Words of the first tab" in answer.text
    assert "Words of the second tab" in answer.text
    assert "Words of the first tab" in lena.get("/work/tasks").text
    again = dict(re.findall(r'name="(attempt|revision)" value="(\d+)"', answer.text))
    assert lena.save({field: "Words of the second tab"}, **again).status_code == 303
    assert "Words of the second tab" in lena.get("/work/tasks").text


def test_of_two_tabs_that_changed_different_answers_both_stand_in_the_fields(lena: Earner):
    field, other = (f"answer-{task.key}" for task in lena.tasks() if task.kind == "written")
    tab = lena.form()
    was = dict(re.findall(r'name="(was-[^"]+)" value="([^"]+)"', lena.get("/work/tasks").text))
    lena.save({field: "Words of the first tab"})

    conflict = lena.save({field: "", other: "Words of the second tab"}, **tab, **was)

    assert conflict.status_code == 409
    assert "What the other tab saved here" not in conflict.text
    again = {"revision": re.findall(r'name="revision" value="(\d+)"', conflict.text)[0]}
    fields = dict(re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n([^<]*)<', conflict.text))
    assert fields[field] == "Words of the first tab"
    assert lena.save(fields, **again).status_code == 303
    assert "Words of the second tab" in lena.get("/work/tasks").text


def test_a_file_sent_from_an_older_tab_is_kept_since_no_form_can_be_refilled_with_it(
    app: Flask, lena: Earner
):
    field, tab = written(lena), lena.form()
    lena.save({field: "Words of the first tab"})

    answer = lena.save(
        {field: "Words of the second tab", f"file-{evidence(lena)}": upload(PNG, "map.png")}, **tab
    )

    assert answer.status_code == 409
    assert pieces(app) == [("upload", "map.png")]


def test_pressing_save_twice_is_no_conflict(lena: Earner):
    field, tab = written(lena), lena.form()

    first = lena.save({field: THOUGHTS}, **tab)
    second = lena.save({field: THOUGHTS}, **tab)

    assert (first.status_code, second.status_code) == (303, 303)


def test_words_typed_while_another_tab_handed_in_are_handed_back(lena: Earner):
    lena.complete()
    field, tab = written(lena), lena.form()
    lena.hand_in()

    answer = lena.post("/work/tasks", tab | {field: THOUGHTS})

    assert answer.status_code == 409
    assert "Not saved, but not lost" in answer.text
    assert THOUGHTS in answer.text
    assert THOUGHTS not in lena.get("/work/submissions/1").text


def test_words_typed_in_a_visit_that_is_over_are_handed_back(app: Flask, lena: Earner):
    field, tab = written(lena), lena.form()
    with app.app_context():
        db.session.execute(update(Launch).values(expires_at=clock.now()))
        db.session.commit()

    answer = lena.post("/work/tasks", tab | {field: "Thoughts with <b>markup</b>"})

    assert answer.status_code == 401
    assert "Thoughts with &lt;b&gt;markup&lt;/b&gt;" in answer.text
    assert "<b>markup" not in answer.text


def test_words_sent_with_an_old_form_token_are_handed_back(lena: Earner):
    field, tab = written(lena), lena.form()

    answer = lena.post("/work/tasks", tab | {field: THOUGHTS, "csrf_token": "old"})

    assert answer.status_code == 400
    assert THOUGHTS in answer.text


def test_a_page_of_html_handed_in_as_evidence_is_served_as_plain_text(app: Flask, lena: Earner):
    lena.save({f"file-{evidence(lena)}": upload(b"<script>alert(1)</script>", "page.html")})
    with app.app_context():
        piece = db.session.scalars(select(Evidence.id)).one()

    answer = lena.get(f"/work/evidence/{piece}")

    assert answer.mimetype == "text/plain"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
