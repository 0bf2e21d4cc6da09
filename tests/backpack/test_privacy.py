"""Nothing that Tessera answers, logs or signs tells of a badge that its earner has not shared: not that it exists, not
whose it is. Every address of the application is asked, as a stranger, as another earner and as faculty elsewhere, once
with ids that stand and once with ids that never were; the answers must be the same bytes."""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from lti_tool import clock
from lti_tool.backpack import addresses, letters, sharing
from lti_tool.backpack.models import Consent
from lti_tool.badges.baking import unbake_png
from lti_tool.badges.models import Badge, BadgeDocument, Share
from lti_tool.database import db
from lti_tool.people import doors
from lti_tool.people.models import Account, Purpose
from lti_tool.submissions.models import Attempt
from tests.backpack.conftest import ROOT, Mailbox, earn, standing_badge, work
from tests.support.cast import Campus, add_placement
from tests.support.visits import Browser, visit_as

NAME, MAIL, OWN_MAIL = "Lena Quillfeather", "quillfeather@example.edu", "q.feather@example.org"
LMS_ID, SIS_ID = "lms-user-7d3f", "sis-person-55e1"
SECRETS = (NAME, "Quillfeather", MAIL, OWN_MAIL, LMS_ID, SIS_ID, "lena@example.edu")
NEVER = {
    "badge_id": "00000000-0000-4000-8000-000000000000",
    "stay": "neverAStayOfAnybodyAtAllNeverEver",
    "token": "neverAPageAtAllNeverEv",
    "number": 900001,
    "listed": 900001,
}
"""Every other id is a number that no row has."""


@dataclass
class Hidden:
    """Lena's badge, which nobody knows of, and all ids that belong to it."""

    badge: str
    ids: dict[str, Any]


def known_as(app: Flask, campus: Campus) -> None:
    """Lena under a name and ids that nothing else here contains by chance."""
    with app.app_context():
        account = db.session.get_one(Account, campus.accounts["lena"])
        account.name, account.email, account.subject, account.sis_id = NAME, MAIL, LMS_ID, SIS_ID
        db.session.commit()


@pytest.fixture
def hidden(app: Flask, campus: Campus, badge: str) -> Hidden:
    """A badge that was shared once, and is not any more."""
    known_as(app, campus)
    lena = visit_as(app, campus, "lena")
    with app.app_context():
        person, now = campus.persons["lena"], clock.now()
        sharing.share(badge, person_id=person, name=NAME, now=now)
        sharing.unshare(badge, person_id=person, now=now)
        letters.ask_to_confirm(person, OWN_MAIL, now=now)
        secret = doors.invite(Purpose.BACKPACK, person_id=person, lasts=timedelta(days=1), now=now)
        stay = doors.enter(secret, Purpose.BACKPACK, browser=lena.cookie, now=now)
        db.session.commit()
        ids = {
            "launch": lena.launch_id,
            "stay": stay.id,
            "badge_id": badge,
            "token": db.session.scalars(select(Share.token)).one(),
            "consent_id": db.session.scalars(select(Consent.id)).first(),
            "address_id": addresses.addresses_of(person)[0].id,
            "attempt_id": db.session.scalars(select(Attempt.id)).one(),
            "submission_id": 1,
            "evidence_id": 1,
            "score_id": 1,
        }
    return Hidden(badge, ids)


def kept_apart(app: Flask, hidden: Hidden, own: dict[str, Any]) -> Iterator[tuple[Rule, str, str, str]]:
    """Every address that names something of the earner, with its ids and with ids that never were.

    ``own``: what the visitor may name because it is theirs, such as their own visit."""
    theirs = hidden.ids.keys() - own.keys()
    builder = app.url_map.bind("tool.localhost")
    for rule in app.url_map.iter_rules():
        if not rule.arguments & theirs or rule.endpoint in ("static", "bootstrap.static"):
            continue
        same = {
            "key": "udl-variability",
            "number": 1,
            "listed": 0,
            "name": "no-key",
            "secret": "no-secret",
        } | own
        real = {name: hidden.ids.get(name, 1) for name in rule.arguments} | same
        # A visit may be told from none: its platform may frame what says that it is over. It tells of no badge.
        never = {name: NEVER.get(name, 900001) for name in rule.arguments & theirs - {"launch"}}
        for method in (rule.methods or set()) & {"GET", "POST"}:
            made = [
                builder.build(rule.endpoint, {name: ids[name] for name in rule.arguments}, method=method)
                for ids in (real, real | never)
            ]
            yield rule, method, made[0], made[1]


def bare(answer: TestResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """The answer without what differs each time: our reference number, a cookie that is set at random, and how many
    seconds the visitor's own visit still lasts (that it says so at all is compared)."""
    body = re.sub(rb"Reference: <code>[0-9a-f]{8}</code>", b"", answer.data)
    body = re.sub(rb'(<body [^>]*data-visit-seconds=")\d+"', rb'\1"', body)
    head = [(name, value) for name, value in answer.headers if name != "Set-Cookie"]
    return answer.status_code, head, body


def asked(client: FlaskClient, method: str, path: str, token: str) -> TestResponse:
    data = {"csrf_token": token} if method == "POST" else None
    return client.open(path, method=method, data=data, base_url=ROOT, buffered=True)


def viewer(app: Flask, campus: Campus, who: str) -> tuple[FlaskClient, str, dict[str, Any]]:
    """A browser, the form token that it has, and what it may name because it is its own."""
    if who == "stranger":
        return app.test_client(), "", {}
    place = None
    if who == "otto":
        with app.app_context():
            place = add_placement(campus.deployment, campus.other_course, "link-7", "udl-variability").id
            db.session.commit()
    browser: Browser = visit_as(app, campus, who, placement=place)
    return browser.client, browser.token(), {"launch": browser.launch_id}


@pytest.mark.parametrize("who", ["stranger", "mateo", "otto"])
def test_whoever_asks_for_something_of_an_unshared_badge_is_answered_as_if_it_never_was(
    app: Flask, campus: Campus, hidden: Hidden, logged: list[str], who: str
):
    client, token, own = viewer(app, campus, who)
    compared = 0

    for rule, method, real, never in kept_apart(app, hidden, own):
        answers = [bare(asked(client, method, path, token)) for path in (real, never)]

        assert answers[0] == answers[1], f"{method} {rule.rule}"
        assert answers[0][0] >= 400, f"{method} {rule.rule}"
        whole = json.dumps(answers[0][1]).encode() + answers[0][2]
        assert not [secret for secret in (*SECRETS, hidden.badge) if secret.encode() in whole], rule.rule
        compared += 1

    assert compared > 30
    written = "\n".join(logged)
    assert written
    assert not [secret for secret in SECRETS if secret in written]
    assert not [
        value
        for name, value in hidden.ids.items()
        if name in ("badge_id", "token", "launch") and value in written
    ]


def test_no_line_that_is_logged_over_a_badges_life_names_it_or_its_earner(
    app: Flask, campus: Campus, logged: list[str]
):
    known_as(app, campus)
    first = earn(app, campus, "lena", email=MAIL)
    lena, ingrid = visit_as(app, campus, "lena"), visit_as(app, campus, "ingrid")
    with app.app_context():
        place = f"/course/attempts/{db.session.scalars(select(Attempt.id)).one()}/badges"

    done = [
        lena.post(f"/badges/{first}/share", {"show_name": "yes"}),
        lena.post(f"/badges/{first}/unshare"),
        lena.post(f"/badges/{first}/contents", {"results": "yes"}),
    ]
    work(app)
    with app.app_context():
        second = standing_badge(campus, "lena")
    done += [
        ingrid.post(f"{place}/{second}/revoke", {f"reason-{second}": "An error.", f"sure-{second}": "yes"}),
        ingrid.post(f"{place}/{second}/again"),
    ]
    with app.app_context():
        third = standing_badge(campus, "lena")
        # As if another version had left what this one cannot sign.
        db.session.execute(delete(BadgeDocument).where(BadgeDocument.badge_id == third))
        spoilt = {"facts": {}, "to_sign_since": clock.now()}
        db.session.execute(update(Badge).where(Badge.id == third).values(spoilt))
        db.session.commit()
    work(app)

    assert [answer.status_code for answer in done] == [303] * 5
    written = "\n".join(logged)
    assert "badge unsignable" in written
    with app.app_context():
        ids = [*db.session.scalars(select(Badge.id)), *db.session.scalars(select(Share.token))]
    assert {first, second, third} < set(ids)
    assert [each for each in (*SECRETS, *ids, lena.launch_id, ingrid.launch_id) if each in written] == []


@pytest.mark.parametrize("who", ["stranger", "mateo", "otto"])
def test_no_page_that_opens_for_others_speaks_of_it(app: Flask, campus: Campus, hidden: Hidden, who: str):
    client, _, own = viewer(app, campus, who)
    builder = app.url_map.bind("tool.localhost")
    values = {"key": "udl-variability", "number": 1, "listed": 0, "credential": "udl-variability"} | own
    opened = 0

    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.arguments - values.keys() or "static" in rule.endpoint:
            continue
        answer = asked(
            client, "GET", builder.build(rule.endpoint, {n: values[n] for n in rule.arguments}), ""
        )
        whole = str(answer.headers).encode() + answer.data
        found = [
            secret for secret in (*SECRETS, hidden.badge, hidden.ids["token"]) if secret.encode() in whole
        ]
        assert found == [], rule.rule
        opened += answer.status_code == 200

    assert opened >= 8


def test_the_signed_badge_says_nothing_of_the_person(app: Flask, campus: Campus):
    known_as(app, campus)
    badge_id = earn(app, campus, "lena", email=MAIL)
    lena = visit_as(app, campus, "lena")
    files = {
        name: lena.get(f"/badges/{badge_id}/badge.{name}").data for name in ("json", "jwt", "png", "svg")
    }
    payload = files["jwt"].split(b".")[1]
    said = [
        files["json"],
        base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)),
        unbake_png(files["png"]).encode(),
        files["svg"],
        lena.get(f"/badges/{badge_id}/certificate.pdf").data,
    ]

    for text in said:
        assert not [secret for secret in (*SECRETS, "lms.example.edu", "canvas") if secret.encode() in text]
    badge = json.loads(files["json"])
    assert "result" not in badge["credentialSubject"]
    assert all("url" not in each and each["id"].startswith("urn:uuid:") for each in badge["evidence"])


def test_the_public_status_list_is_the_same_with_and_without_it(app: Flask, hidden: Hidden):
    listed = app.test_client().get("/issuers/1/status/0", base_url=ROOT).json

    encoded = listed["credentialSubject"]["encodedList"][1:]
    bits = gzip.decompress(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    assert bits == bytes(131_072 // 8)


def test_a_letter_names_nobody_and_no_badge(app: Flask, campus: Campus, mailbox: Mailbox, hidden: Hidden):
    work(app)

    text = str(mailbox.letters[0]) + mailbox.text()
    assert not [
        secret for secret in (NAME, MAIL, LMS_ID, SIS_ID, hidden.badge, "Universal") if secret in text
    ]


def test_this_walk_would_notice_a_page_that_tells(app: Flask, campus: Campus, hidden: Hidden):
    """The badge shared again: now the same comparison must fail, or it proves nothing."""
    with app.app_context():
        db.session.execute(update(Share).values(ended_at=None))
        db.session.commit()
        assert db.session.get_one(Badge, hidden.badge).shares[0].ended_at is None

    differ = [
        rule.rule
        for rule, method, real, never in kept_apart(app, hidden, {})
        if bare(asked(app.test_client(), method, real, ""))
        != bare(asked(app.test_client(), method, never, ""))
    ]

    assert "/shared/<token>" in differ
