from datetime import date

import pytest

from lti_tool.submissions import rules
from lti_tool.submissions.rules import Asked

MONDAY, FRIDAY, SATURDAY = date(2026, 10, 5), date(2026, 10, 9), date(2026, 10, 10)
ESSAY = Asked("essay", "Essay", written=True, required=True, words_min=3, words_max=5)
PHOTO = Asked("photo", "Photo", written=False, required=True)


def test_words_are_what_stands_between_white_space():
    assert rules.count_words("  One two,\nthree\u00a0four – five ") == 6


def test_an_unanswered_task_is_missing_and_its_field_is_named():
    (missing,) = rules.missing([ESSAY], {}, {})

    assert missing.field == "answer-essay"
    assert missing.text == "Essay: not answered yet"


@pytest.mark.parametrize(
    ("words", "complaints"), [(0, ["Missing"]), (2, ["Too short"]), (3, []), (5, []), (6, ["Too long"])]
)
def test_an_answer_must_be_within_its_word_limits(words: int, complaints: list[str]):
    assert [item.word for item in rules.missing([ESSAY], {"essay": words}, {})] == complaints


def test_an_optional_answer_may_be_left_out_but_not_be_too_long():
    optional = Asked("more", "More", written=True, required=False, words_max=5)

    assert rules.missing([optional], {}, {}) == ()
    assert len(rules.missing([optional], {"more": 6}, {})) == 1


def test_missing_evidence_leads_to_the_field_that_the_task_has():
    (upload,) = rules.missing([PHOTO], {}, {})
    (link,) = rules.missing([PHOTO], {}, {}, link_only={"photo"})

    assert (upload.field, link.field) == ("file-photo", "link-photo")


def test_feedback_is_due_in_business_days():
    assert rules.feedback_due(MONDAY, 10) == date(2026, 10, 19)
    assert rules.feedback_due(FRIDAY, 1) == date(2026, 10, 12)
    assert rules.feedback_due(SATURDAY, 1) == date(2026, 10, 12)


def test_both_statements_and_one_word_about_other_people_are_needed():
    assert [item.field for item in rules.unconfirmed([])] == ["own_work", "no_names", "people"]
    assert rules.unconfirmed(["own_work", "no_names", "permission"]) == ()


def test_that_others_appear_and_do_not_appear_cannot_both_be_true():
    both = ["own_work", "no_names", "permission", "no_one_else"]

    assert [item.field for item in rules.unconfirmed(both)] == ["people"]


def test_the_statements_use_the_institution_s_word_for_children():
    wordings = " ".join(item.wording for item in rules.statements("child"))

    assert "every child" in wordings
    assert "pupil" not in wordings


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"%PDF-1.7", "plan.pdf", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n", "a.png", "image/png"),
        (b"RIFF\0\0\0\0WEBP", "a.webp", "image/webp"),
        (b"\0\0\0\x20ftypmp42", "a.mp4", "video/mp4"),
        (b"\0\0\0\x20ftypheic", "a.heic", "image/heic"),
        (b"ID3\x04", "a.mp3", "audio/mpeg"),
        (b"PK\x03\x04rest", "plan.docx", rules._ZIPPED["docx"]),
        ("Ein Plan für Köln".encode("latin-1"), "plan.txt", "text/plain"),
    ],
)
def test_a_file_s_kind_is_read_from_its_content(head: bytes, name: str, kind: str):
    assert rules.media_type(head, name) == kind


def test_a_page_of_html_is_nothing_but_text():
    assert rules.media_type(b"<script>alert(1)</script>", "page.html") == "text/plain"


@pytest.mark.parametrize("name", ["plan.pdf", "photo.PNG", "plan.docx", "lesson.mp4"])
def test_a_page_that_was_saved_under_the_name_of_a_document_is_not_taken(name: str):
    assert rules.media_type(b"<!doctype html><title>Sign in</title>", name) is None


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"MZ\x90\x00", "setup.exe"),
        (b"MZ\x90\x00", "photo.jpg"),
        (b"\x7fELF\x02\x01", "tool"),
        (b"#!/bin/sh\n", "notes.txt"),
        (b"PK\x03\x04rest", "everything.zip"),
        (b"\x00\x01\x02\x03", "data.bin"),
    ],
)
def test_programs_archives_and_unknown_bytes_are_no_evidence(head: bytes, name: str):
    assert rules.media_type(head, name) is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\lena\\plan.pdf", "plan.pdf"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("line\nbreak\x00.txt", "linebreak.txt"),
        (" . . ", "file"),
        ("", "file"),
        ("x" * 300 + ".docx", "x" * 114 + "….docx"),
    ],
)
def test_a_file_name_keeps_nothing_that_misleads(sent: str, kept: str):
    assert rules.clean_filename(sent) == kept
    assert len(kept) <= rules.LONGEST_TITLE


@pytest.mark.parametrize(
    "url",
    ["https://video.example.edu/watch?v=1", "http://example.org", "https://example.org:8443/a#b"],
)
def test_a_link_that_anyone_can_open_is_taken(url: str):
    assert rules.link_problem(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "www.example.org/lesson",
        "javascript:alert(1)",
        "file:///home/lena/plan.pdf",
        "https://",
        "https:///lesson",
        "https://lena:secret@example.org/",
        "https://localhost/plan",
        "http://192.168.1.20/plan",
        "http://[::1]/",
        "https://[broken",
        "https://example.org:99999/",
        "https://example.org/a b",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_a_link_that_an_assessor_could_not_open_is_refused_with_a_reason(url: str):
    assert rules.link_problem(url)
