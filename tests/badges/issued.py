"""Badges of every shape that a catalogue can produce, issued by the whole application, and what it publishes about
them. All of it as a stranger would receive it."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lti_tool import clock
from lti_tool.badges import endorsements, queries, service, signing
from lti_tool.badges.achievements import address
from lti_tool.badges.models import Badge
from lti_tool.cli.operator import prepare, publish
from lti_tool.credentials import catalog
from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.issuers import contexts
from lti_tool.issuers import did as dids
from tests.support.apps import CONFIG
from tests.support.cast import Campus, build_campus
from tests.support.endorsers import ACCREDITOR, KEY, endorsement, key_of

JS = Path(__file__).parent / "js"
HOST = "https://badges.example.edu"


@dataclass
class Issued:
    """Ids of badges by what is special about them, and what is published, by address."""

    badges: dict[str, str] = field(default_factory=dict)
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    """Badge id -> format -> the signed text."""
    published: dict[str, Any] = field(default_factory=dict)
    looks: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Badge id -> symbol, colour and shape."""


def variants(shipped: catalog.Catalog) -> catalog.Catalog:
    """The shipped catalogue, and each shape of definition in the extremes that its rules allow."""
    base = shipped.credentials[0]
    rule = catalog.CreditSpec(
        authority="Example Board",
        value=Decimal("0.5"),
        unit="renewal credit",
        approval_number="17",
        audience="licensed educators",
        note="",
        active=True,
    )
    made = []
    for shape in ("digital-promise", "nea", "learning-designed"):
        spare = replace(
            base,
            key=f"spare-{shape}",
            shape=shape,
            title=f"Ünïcode “quoted” <b>&amp;</b> ]]> {shape}",
            standards=(),
            rubric=base.rubric[:1],
            tasks=base.tasks[:1],
            pass_rule=catalog.PassRuleSpec(kind="share", percent=80, level=base.rubric[0].required_level),
            credit=(),
        )
        rich = replace(base, key=f"rich-{shape}", shape=shape, credit=(rule,))
        made += [spare, rich]
    two = replace(base, key="two-authorities", credit=(rule, replace(rule, authority="Another Board")))
    return replace(shipped, credentials=(*shipped.credentials, *made, two))


def issue(app: Flask) -> Issued:
    """Fill the application and let it award, sign, revoke and issue again."""
    now = clock.now()
    issued = Issued()
    with app.app_context():
        prepare(now)
        publish(variants(catalog.load(CONFIG / "catalog", CONFIG / "frameworks")), now=now)
        db.session.commit()
        campus = build_campus()
        _award_all(issued, campus, now)
        db.session.commit()
        assert signing.sign_due(now=now, limit=500) > 0
        _change_some(issued, campus, now)
        db.session.commit()
        signing.sign_due(now=clock.now(), limit=500)
        for badge in db.session.scalars(select(Badge)):
            issued.texts[badge.id] = {
                form: queries.document(badge.id, form) for form in (signing.EMBEDDED_PROOF, signing.VC_JWT)
            }
            issued.looks[badge.id] = (badge.symbol, badge.colour, badge.shape)
    issued.published = fetched(app.test_client(), issued)
    return issued


def _award_all(issued: Issued, campus: Campus, now: datetime) -> None:
    versions = db.session.scalars(select(Version).order_by(Version.id)).unique().all()
    endorsed = address(versions[0].credential.key, versions[0].number)
    for number in (1, 2):
        text = json.dumps(endorsement(endorsed, number=number)).encode()
        endorsements.accept(text, keys=key_of, now=now)
    for version in versions:
        key = version.credential.key
        issued.badges[key] = _award(version, campus.persons["lena"], "lena@example.edu", now)
    issued.badges["by a random identifier"] = _award(versions[0], campus.persons["mateo"], None, now)
    service.choose_subject(
        issued.badges["by a random identifier"], campus.persons["mateo"], email=None, now=now
    )
    issued.badges["by a confirmed address"] = _award(versions[1], campus.persons["mateo"], None, now)
    service.choose_subject(
        issued.badges["by a confirmed address"], campus.persons["mateo"], email="m@example.net", now=now
    )
    for stack in _stacks(campus.persons["lena"], versions, now):
        issued.badges[f"stack {stack.title}"] = stack.id


def _stacks(person_id: int, versions: Sequence[Version], now: datetime) -> list[Badge]:
    last = versions[-1]
    found: dict[str, Badge] = {}
    for version in versions:
        for badge in service.award_stacks(
            person_id=person_id,
            credential_id=version.credential_id,
            decision_id=1,
            source="Example University",
            email="lena@example.edu",
            now=now,
        ):
            found[badge.id] = badge
    assert found, last.title
    return list(found.values())


def _award(version: Version, person_id: int, email: str | None, now: datetime) -> str:
    criterion = version.criteria[0]
    credit = [("Example Board", Decimal("0.50"))]
    if version.credential.key == "two-authorities":
        credit.append(("Another Board", Decimal("10")))
    badge = service.award(
        person_id=person_id,
        version=version,
        decision_id=1,
        source="Example University" if version.id % 2 else "Field Office of Example University",
        email=email,
        evidence=[
            service.EvidenceFact(title=task.title, kind="upload", digest="0" * 64)
            for task in version.tasks[:2]
        ]
        + [
            service.EvidenceFact(title="A page", kind="link", digest=None, url="https://example.org/page"),
            service.EvidenceFact(title="It again", kind="link", digest=None, url="https://example.org/page"),
            service.EvidenceFact(title="Odd", kind="link", digest=None, url="https://example.org/a b\x07"),
        ],
        results=[(criterion.key, criterion.levels[-1].key)],
        credits=[
            service.CreditFact(authority=authority, value=value, unit="renewal credit")
            for authority, value in credit
            if not version.credential.key.startswith("spare")
        ],
        now=now,
    )
    return badge.id


def _change_some(issued: Issued, campus: Campus, now: datetime) -> None:
    full = service.Reissue(results=True, evidence=True, name="Lena B.")
    again = service.reissue(
        issued.badges["fading-prompts"], change=full, by_account_id=campus.accounts["ingrid"], now=now
    )
    issued.badges["issued again, with results and links"] = again.id
    revoked = issued.badges["spare-nea"]
    service.revoke(revoked, reason="Awarded by mistake.", by_account_id=None, now=now)


def fetched(client: FlaskClient, issued: Issued) -> dict[str, Any]:
    """Everything that verifiers ask for, by address, fetched from the application; and the contexts."""
    documents: dict[str, Any] = {url: contexts.document(url) for url in contexts.PINNED}
    badge = json.loads(next(iter(issued.texts.values()))[signing.EMBEDDED_PROOF])
    did = badge["issuer"]["id"]
    paths = {f"{HOST}/issuers/1/did.json": did, f"{HOST}/.well-known/jwks.json": None}
    paths |= {
        each["credentialStatus"]["statusListCredential"]: None for each in documents_of(issued).values()
    }
    for url, name in paths.items():
        answer = client.get(url.removeprefix(HOST), base_url=HOST)
        assert answer.status_code == 200, url
        documents[name or url] = documents[url] = json.loads(answer.data)
    for key in documents[f"{HOST}/.well-known/jwks.json"]["keys"]:
        documents[key["kid"]] = json.loads(client.get(key["kid"].removeprefix(HOST), base_url=HOST).data)
    return documents | {ACCREDITOR: dids.did_document(ACCREDITOR, [KEY.public_key()])}


def documents_of(issued: Issued) -> dict[str, dict[str, Any]]:
    """Badge id -> the badge as JSON."""
    return {badge_id: json.loads(texts[signing.EMBEDDED_PROOF]) for badge_id, texts in issued.texts.items()}


def asked_in_javascript(
    jobs: Sequence[dict[str, Any]], published: dict[str, Any], now: datetime
) -> list[dict[str, Any]]:
    """What the W3C community's JavaScript libraries answer to each job; skips where they are not installed."""
    node = which("node")
    if node is None or not (JS / "node_modules").is_dir():
        pytest.skip("node, or what `npm ci` installs in tests/badges/js, is not there")
    question = {"now": now.isoformat(), "documents": published, "jobs": list(jobs)}
    done = subprocess.run(
        [node, "verify.mjs"],
        cwd=JS,
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers
