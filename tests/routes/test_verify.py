"""The page where anybody checks a badge: what it takes, what it says, and what it keeps to itself."""

import dataclasses
import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser as Chromium
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from lti_tool.badges import baking, images, queries, service
from lti_tool.database import db
from lti_tool.routes import verify
from lti_tool.settings import Settings
from tests.routes.test_public import award, shared_path
from tests.support.apps import NOON
from tests.support.cast import Campus
from tests.support.visits import Browser, visit_as
from tests.verification.elsewhere import Foreign, Site, site

ROOT = "https://tool.localhost"


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Requests are not news in a test."""


@pytest.fixture
def badge(app: Flask, campus: Campus) -> str:
    with app.app_context():
        return award(campus, "lena", "udl-variability")[0]


@pytest.fixture
def lena(app: Flask, campus: Campus) -> Browser:
    return visit_as(app, campus, "lena")


@pytest.fixture
def text(app: Flask, badge: str) -> str:
    """A badge of ours as it was signed."""
    with app.app_context():
        return queries.document(badge)


@pytest.fixture
def place(app: Flask) -> Iterator[Site]:
    """Somebody else's server, which the operator has allowed."""
    settings: Settings = app.extensions["settings"]
    with site() as there:
        app.extensions["settings"] = dataclasses.replace(settings, outgoing_allowed=there.origin)
        yield there
        app.extensions["settings"] = settings


@pytest.fixture
def theirs(place: Site, text: str) -> dict[str, Any]:
    """A badge of another issuer, signed."""
    foreign = Foreign(place)
    foreign.publish()
    return foreign.sign(foreign.named(json.loads(text)), NOON)


def post(app: Flask, **fields: Any) -> TestResponse:
    verify._recent.clear()
    visitor = app.test_client()
    page = visitor.get("/verify", base_url=ROOT).text
    token = re.search(r'name="csrf_token" value="(\w+)"', page)
    assert token is not None
    return visitor.post("/verify", base_url=ROOT, data={"csrf_token": token[1], **fields})


def test_a_file_its_text_and_its_address_come_to_the_same_verdict(
    app: Flask, place: Site, theirs: dict[str, Any]
) -> None:
    content = json.dumps(theirs)
    drawn = images.svg(symbol="path", colour="#2d6a4f", shape="circle")
    painted = images.render(symbol="path", colour="#2d6a4f", shape="circle")
    baked = place.put("/badge.svg", baking.bake_svg(drawn, content).encode(), kind="image/svg+xml")
    plain = place.put("/badge.json", content.encode(), kind="application/vc+ld+json")

    answers = [
        post(app, badge=(io.BytesIO(content.encode()), "badge.json")),
        post(app, badge=(io.BytesIO(baking.bake_png(painted, content)), "badge.png")),
        post(app, text=content),
        post(app, text=f"  {plain}\n"),
        post(app, address=plain),
        post(app, address=baked),
    ]

    for answer in answers:
        assert answer.status_code == 200
        assert "This badge comes from 127.0.0.1" in answer.text
        assert "Elsewhere College" in answer.text


def test_the_page_of_a_shared_badge_is_checked_without_asking_ourselves_over_the_network(
    app: Flask, badge: str, lena: Browser
) -> None:
    lena.post(f"/badges/{badge}/share")
    address = "http://tool.localhost:8700" + shared_path(lena.get(f"/badges/{badge}").text)

    assert "This badge is genuine" in post(app, address=address).text
    assert "This badge is genuine" in post(app, address=f"{address}/badge.png").text
    lena.post(f"/badges/{badge}/unshare")
    for gone in (
        address,
        "http://tool.localhost:8700/credentials",
        "http://tool.localhost:8700/shared/x/../y",
    ):
        answer = post(app, address=gone).text
        assert "There is no shared badge at that address" in answer
        assert "Do not rely" not in answer


def test_our_own_badge_in_both_formats_and_a_revoked_one_with_its_reason(
    app: Flask, badge: str, text: str
) -> None:
    with app.app_context():
        token = queries.document(badge, "vc-jwt")
    assert "This badge is genuine" in post(app, badge=(io.BytesIO(token.encode()), "badge.jwt")).text

    with app.app_context():
        service.revoke(badge, reason="Awarded in error", by_account_id=None, now=NOON)
        db.session.commit()

    for given in (text, token):
        page = post(app, text=given).text
        assert "This badge was revoked" in page
        assert "Revoked on 5 October 2026 because: Awarded in error." in page
    changed = text.replace("Lesson plan", "Lesson plot", 1)
    assert changed != text
    assert "Awarded in error" not in post(app, text=changed).text


def test_a_typed_address_is_compared_and_stands_nowhere_afterwards(
    app: Flask, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    theirs = post(app, text=text, email="lena@example.edu")
    other = post(app, text=text, email="zebedee@example.edu")

    assert "is the one the badge was given to" in theirs.text
    assert "This badge was not given to that e-mail address" in other.text
    for answer in (theirs, other):
        assert "@example.edu" not in answer.text
        assert "@example.edu" not in str(answer.headers)
    assert "zebedee" not in caplog.text


def test_what_is_no_badge_gets_advice_instead_of_a_verdict(app: Flask) -> None:
    for content, name in (
        (b"Shopping list", "list.txt"),
        (b"%PDF-1.7", "certificate.pdf"),
        (b"{}", "x.json"),
    ):
        page = post(app, badge=(io.BytesIO(content), name)).text

        assert "There is no badge to check here" in page
        assert "What to try" in page
        assert "Do not rely on" not in page
    assert (
        "This is an Open Badge 1 or 2"
        in post(app, text='{"@context": "https://w3id.org/openbadges/v2"}').text
    )


@pytest.mark.parametrize(
    "address",
    [
        "https://169.254.169.254/latest",
        "https://localhost/x",
        "http://example.org/badge.json",
        "badge",
        "file:///etc/passwd",
    ],
)
def test_an_address_that_may_not_be_opened_is_not(app: Flask, address: str) -> None:
    page = post(app, address=address).text

    assert "nothing is fetched from such an address" in page


@pytest.mark.parametrize(
    "fields",
    [{}, {"text": "{}", "address": "https://example.org"}, {"text": " ", "address": "", "email": "a@b.c"}],
)
def test_one_of_the_three_has_to_be_given(app: Flask, fields: dict[str, str]) -> None:
    answer = post(app, **fields)

    assert answer.status_code == 422
    assert "a@b.c" not in answer.text


class Watched(dict[str, Any]):
    """The pages of a site, where somebody stands by whenever one is fetched."""

    def __init__(self, pages: dict[str, Any], stand_by: Callable[[], object]) -> None:
        super().__init__(pages)
        self.stand_by = stand_by

    def get(self, key: str, default: Any = None) -> Any:
        self.stand_by()
        return super().get(key, default)


def test_no_connection_of_the_database_is_held_while_another_server_is_asked(
    app: Flask, place: Site, theirs: dict[str, Any]
) -> None:
    with app.app_context():
        pool: Any = db.engine.pool
    held = []
    place.pages = Watched(place.pages, lambda: held.append(pool.checkedout()))

    assert "This badge comes from" in post(app, text=json.dumps(theirs)).text
    assert held
    assert set(held) == {0}


def test_servers_that_do_not_answer_hold_up_no_page_of_others(
    app: Flask, place: Site, theirs: dict[str, Any]
) -> None:
    """Three checks that wait leave room: the fourth is told to try again, and every other page opens."""
    waiting, go = threading.Barrier(4), threading.Event()
    place.pages = Watched(place.pages, lambda: (waiting.wait(10), go.wait(10)))
    given = json.dumps(theirs)
    threads = [threading.Thread(target=post, args=(app,), kwargs={"text": given}) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting.wait(10)
    try:
        assert post(app, text=given).status_code == 503
        assert app.test_client().get("/credentials").status_code == 200
    finally:
        go.set()
        for thread in threads:
            thread.join()


def test_there_is_an_end_to_how_many_are_checked_in_a_minute(app: Flask) -> None:
    post(app, text="x")
    visitor = app.test_client()
    page = visitor.get("/verify", base_url=ROOT).text
    token = re.search(r'name="csrf_token" value="(\w+)"', page)
    assert token is not None
    verify._recent.extend([verify._recent[-1]] * verify.A_MINUTE)

    answer = visitor.post("/verify", base_url=ROOT, data={"csrf_token": token[1], "text": "x"})

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "60"
    verify._recent.clear()


# What a shared page says elsewhere


def meta(page: str) -> dict[str, str]:
    return dict(re.findall(r'<meta (?:property|name)="([\w:]+)" content="([^"]*)"', page))


def data(page: str) -> dict[str, Any] | None:
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', page)
    return None if found is None else json.loads(found[1])


def test_a_shared_link_looks_right_and_names_only_who_agreed_to_it(
    app: Flask, badge: str, lena: Browser
) -> None:
    lena.post(f"/badges/{badge}/share")
    path = shared_path(lena.get(f"/badges/{badge}").text)

    page = app.test_client().get(path).text

    tags = meta(page)
    assert tags["og:url"] == f"http://tool.localhost:8700{path}"
    assert tags["og:title"] == tags["twitter:title"]
    assert tags["og:image"].startswith("http://tool.localhost:8700/credentials/udl-variability/1/badge.png")
    assert (
        app.test_client().get(tags["og:image"].removeprefix("http://tool.localhost:8700")).mimetype
        == "image/png"
    )
    assert tags["og:description"]
    said = data(page)
    assert said is not None
    assert said["@type"] == "EducationalOccupationalCredential"
    assert said["recognizedBy"]["name"]
    assert "Lena" not in page
    assert "example.edu" not in page.replace("http://tool.localhost:8700", "")

    lena.post(f"/badges/{badge}/unshare")
    lena.post(f"/badges/{badge}/share", {"show_name": "yes"})
    named = app.test_client().get(shared_path(lena.get(f"/badges/{badge}").text)).text
    assert "Lena Brandt" in meta(named)["og:title"]
    holder = data(named)
    assert holder is not None
    assert (holder["@type"], holder["name"]) == ("Person", "Lena Brandt")


def test_a_revoked_badge_is_recommended_nowhere(app: Flask, badge: str, lena: Browser) -> None:
    lena.post(f"/badges/{badge}/share")
    path = shared_path(lena.get(f"/badges/{badge}").text)
    with app.app_context():
        service.revoke(badge, reason="Awarded in error", by_account_id=None, now=NOON)
        db.session.commit()

    page = app.test_client().get(path).text

    assert "This badge was revoked" in page
    assert meta(page)["og:description"].startswith("This badge was revoked.")
    assert data(page) is None


@pytest.mark.browser
def test_in_a_browser_the_shared_page_breaks_no_policy_and_fits_a_phone(
    app: Flask, badge: str, lena: Browser, chromium: Chromium
) -> None:
    lena.post(f"/badges/{badge}/share")
    path = shared_path(lena.get(f"/badges/{badge}").text)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    page = chromium.new_page(viewport={"width": 360, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}{path}")
        read = page.locator('script[type="application/ld+json"]').text_content()
        width = page.evaluate("document.documentElement.scrollWidth")
        ticks = page.locator(".checks .state").all_text_contents()
    finally:
        page.close()
        server.shutdown()
        thread.join()
        server.server_close()

    assert said == []
    assert json.loads(read or "")["name"]
    assert width == 360
    assert ticks[:8] == ["Passed"] * 8
