from pathlib import Path

import pytest

from lti_tool.issuers import contexts


def test_every_pinned_context_is_the_one_that_was_pinned():
    contexts.check()

    assert contexts.document(contexts.CREDENTIALS_V2)["@context"]["@protected"] is True


def test_a_context_that_is_not_pinned_is_refused_instead_of_fetched():
    with pytest.raises(contexts.UnknownContext, match=r"https://example\.org/mine"):
        contexts.loader("https://example.org/mine", {})


def test_the_unversioned_open_badges_context_is_refused_because_it_redefines_terms():
    with pytest.raises(contexts.UnknownContext):
        contexts.document("https://purl.imsglobal.org/spec/ob/v3p0/context.json")


def test_a_missing_context_file_stops_the_start_with_one_line_that_names_it(tmp_path: Path):
    pinned = contexts.PINNED[contexts.OPEN_BADGES]

    with pytest.raises(contexts.ContextsUnusable, match=r"ob-v3p0-context-3\.0\.3\.json is missing") as stop:
        contexts.read(pinned, tmp_path)

    assert "\n" not in str(stop.value)


def test_a_context_file_that_differs_by_one_letter_stops_the_start(tmp_path: Path):
    pinned = contexts.PINNED[contexts.EXTENSIONS]
    (tmp_path / pinned.file).write_text('{"@context": {}}')

    with pytest.raises(contexts.ContextsUnusable, match="is not the pinned one"):
        contexts.read(pinned, tmp_path)
