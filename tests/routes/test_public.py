"""Pages that anyone may open, and the badges that earners share there."""

import io
import json
import re

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool.badges import service, signing
from lti_tool.badges.models import Badge
from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.routes import verify
from tests.support.apps import NOON
from tests.support.cast import Campus
from tests.support.visits import Browser, visit_as


def award(campus: Campus, who: str, *keys: str) -> list[str]:
    """Badges as a decision would leave them, signed."""
    ids = []
    for key in keys:
        version = db.session.scalars(select(Version).join(Version.credential).filter_by(key=key)).one()
        badge = service.award(
            person_id=campus.persons[who],
            version=version,
            decision_id=1,
            source="Example University",
            email=f"{who}@example.edu",
            now=NOON,
            evidence=[service.EvidenceFact(title="Lesson plan", kind="upload", digest="0" * 64)],
        )
        ids.append(badge.id)
        service.award_stacks(
            person_id=campus.persons[who],
            credential_id=version.credential_id,
            decision_id=1,
            source="Example University",
            email=f"{who}@example.edu",
            now=NOON,
        )
    db.session.commit()
    signing.sign_due(now=NOON)
    return ids


@pytest.fixture
def badge(app: Flask, campus: Campus) -> str:
    with app.app_context():
        return award(campus, "lena", "udl-variability")[0]


@pytest.fixture
def lena(app: Flask, campus: Campus) -> Browser:
    return visit_as(app, campus, "lena")


def shared_path(page: str) -> str:
    found = re.search(r"/shared/[\w-]+", page)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/credentials",
        "/credentials/fading-prompts",
        "/credentials/udl-variability/1",
        "/stacks/family-partnership",
        "/verify",
        "/healthz",
    ],
)
def test_public_pages_open_without_a_launch(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)

    assert answer.status_code == 200


def test_the_public_page_shows_the_very_rubric_and_who_assesses(app: Flask) -> None:
    page = app.test_client().get("/credentials/routines-conversation").text

    assert page.count("Needed to pass") >= 7
    assert "Assessed by: course instructor (one rating). No agreement evidence." in page
    assert "does not count toward a first licence" in page


def test_an_unknown_page_says_so_with_a_reference(app: Flask) -> None:
    answer = app.test_client().get("/credentials/no-such-thing")

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
    assert re.search(r"Reference: <code>[0-9a-f]{8}</code>", answer.text)


def test_the_same_refusal_comes_as_json_where_json_is_asked_for(app: Flask) -> None:
    answer = app.test_client().get("/credentials/no-such-thing", headers={"Accept": "application/json"})

    assert answer.status_code == 404
    assert set(answer.json) == {"error", "happened", "next", "reference"}


def test_nothing_inline_may_run_and_nobody_may_frame_a_public_page(app: Flask) -> None:
    policy = app.test_client().get("/verify").headers["Content-Security-Policy"]

    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_the_did_document_names_the_key_that_signs(app: Flask, badge: str, lena: Browser) -> None:
    document = json.loads(lena.get(f"/badges/{badge}/badge.json").data)

    did = app.test_client().get("/issuers/1/did.json").json

    method = document["proof"][0]["verificationMethod"]
    assert method in did["assertionMethod"]
    assert document["issuer"]["id"] == did["id"]


def test_a_badge_is_nowhere_until_its_earner_shares_it(app: Flask, badge: str, lena: Browser) -> None:
    outside = app.test_client()
    assert outside.get(f"/shared/{badge}").status_code == 404

    lena.post(f"/badges/{badge}/share")

    path = shared_path(lena.get(f"/badges/{badge}").text)
    page = outside.get(path)
    assert "This badge is genuine" in page.text
    assert "Lena" not in page.text
    assert outside.get(f"{path}/badge.png").data.startswith(b"\x89PNG")


def test_a_shared_page_shows_the_name_only_if_the_earner_agreed(
    app: Flask, badge: str, lena: Browser
) -> None:
    lena.post(f"/badges/{badge}/share", {"show_name": "yes"})

    page = app.test_client().get(shared_path(lena.get(f"/badges/{badge}").text)).text

    assert "Lena Brandt" in page


def test_a_page_taken_back_is_gone_and_sharing_again_makes_another_address(
    app: Flask, badge: str, lena: Browser
) -> None:
    lena.post(f"/badges/{badge}/share")
    first = shared_path(lena.get(f"/badges/{badge}").text)

    lena.post(f"/badges/{badge}/unshare")
    gone = app.test_client().get(first)
    lena.post(f"/badges/{badge}/share")
    second = shared_path(lena.get(f"/badges/{badge}").text)

    assert gone.status_code == 404
    assert second != first


def test_sharing_twice_makes_one_page(app: Flask, badge: str, lena: Browser) -> None:
    lena.post(f"/badges/{badge}/share")
    lena.post(f"/badges/{badge}/share", {"show_name": "yes"})

    with app.app_context():
        assert len(db.session.get_one(Badge, badge).shares) == 1


def test_somebody_elses_badge_is_not_there(app: Flask, campus: Campus, badge: str) -> None:
    mateo = visit_as(app, campus, "mateo")

    for path in (f"/badges/{badge}", f"/badges/{badge}/badge.json", f"/badges/{badge}/badge.png"):
        assert mateo.get(path).status_code == 404
    assert mateo.post(f"/badges/{badge}/share").status_code == 404


def test_a_form_from_another_site_is_refused_and_changes_nothing(
    app: Flask, badge: str, lena: Browser
) -> None:
    answer = lena.post(f"/badges/{badge}/share", {"csrf_token": "made up"})

    assert answer.status_code == 400
    assert "too old" in answer.text
    with app.app_context():
        assert db.session.get_one(Badge, badge).shares == []


def test_a_visit_does_not_open_in_another_browser(app: Flask, badge: str, lena: Browser) -> None:
    answer = app.test_client().get(f"{lena.base}/badges", base_url="https://tool.localhost")

    assert answer.status_code == 401
    assert "This visit is over" in answer.text


def test_the_last_part_of_a_stack_brings_the_stack_badge_which_names_its_parts(
    app: Flask, campus: Campus, lena: Browser
) -> None:
    with app.app_context():
        award(campus, "lena", "routines-conversation")
        assert not db.session.scalars(select(Badge).where(Badge.stack_id.is_not(None))).all()

        award(campus, "lena", "family-voice-iep")

        stack = db.session.scalars(select(Badge).where(Badge.stack_id.is_not(None))).one()
        document = json.loads(stack.documents[0].text)
    narrative = document["credentialSubject"]["achievement"]["criteria"]["narrative"]
    assert "/credentials/routines-conversation/1" in narrative
    assert "/credentials/family-voice-iep/1" in narrative
    assert "stack" in lena.get("/badges").text


def check(app: Flask, content: bytes, name: str) -> str:
    visitor = app.test_client()
    page = visitor.get("/verify", base_url="https://tool.localhost").text
    token = re.search(r'name="csrf_token" value="(\w+)"', page)
    assert token is not None
    return visitor.post(
        "/verify",
        base_url="https://tool.localhost",
        data={"csrf_token": token[1], "badge": (io.BytesIO(content), name)},
    ).text


def test_verify_accepts_both_files_of_a_badge(app: Flask, badge: str, lena: Browser) -> None:
    for name in ("badge.json", "badge.png"):
        verdict = check(app, lena.get(f"/badges/{badge}/{name}").data, name)

        assert "This badge is genuine" in verdict


def test_verify_refuses_a_changed_copy_with_the_reason(app: Flask, badge: str, lena: Browser) -> None:
    content = lena.get(f"/badges/{badge}/badge.json").text
    changed = content.replace("Universal Design", "Superb Design", 1) if "Universal Design" in content else (
        content.replace("UDL", "UDX", 1)
    )  # fmt: skip
    assert changed != content

    verdict = check(app, changed.encode(), "badge.json")

    assert "Do not rely on this badge" in verdict
    assert "signature" in verdict


def test_verify_without_a_file_says_what_to_do(app: Flask) -> None:
    visitor = app.test_client()
    page = visitor.get("/verify", base_url="https://tool.localhost").text
    token = re.search(r'name="csrf_token" value="(\w+)"', page)
    assert token is not None

    answer = visitor.post("/verify", base_url="https://tool.localhost", data={"csrf_token": token[1]})

    assert answer.status_code == 422
    assert "Choose a file, paste the text of a badge, or give its address." in answer.text


def test_a_badge_for_many_links_under_one_task_is_signed(app: Flask, campus: Campus) -> None:
    with app.app_context():
        version = db.session.scalars(
            select(Version).join(Version.credential).filter_by(key="udl-variability")
        ).one()
        links = [
            service.EvidenceFact(title="The redesigned lesson", kind="link", digest=None) for _ in range(20)
        ]
        badge = service.award(
            person_id=campus.persons["lena"],
            version=version,
            decision_id=1,
            source="Example University",
            email="lena@example.edu",
            evidence=links,
            now=NOON,
        )
        db.session.commit()

        assert signing.sign_due(now=NOON) == 1
        assert verify.own(badge.documents[0].text).ok


def test_a_badge_that_cannot_be_signed_holds_up_no_other(app: Flask, campus: Campus) -> None:
    with app.app_context():
        (broken,) = award(campus, "lena", "udl-variability")
        row = db.session.get_one(Badge, broken)
        db.session.delete(row.documents[0])
        row.facts = {"written": "by another version"}
        db.session.commit()

        (whole,) = award(campus, "mateo", "udl-variability")

        assert db.session.get_one(Badge, whole).documents
        assert signing.sign_due(now=NOON, limit=1) == 0
