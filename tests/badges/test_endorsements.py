"""What accreditors sign about our micro-credentials: checked, shown, and carried by badges."""

import json

import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool.badges import endorsements, queries, service, signing
from lti_tool.badges.endorsements import EndorsementRefused
from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.issuers import contexts, proof
from tests.support.apps import NOON
from tests.support.cast import Campus
from tests.support.endorsers import ACCREDITOR, KEY, endorsement, key_of

UDL = "http://tool.localhost:8700/credentials/udl-variability/1"


def accept(document: object) -> None:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    endorsements.accept(raw, keys=key_of, now=NOON)
    db.session.commit()


def test_an_endorsement_stands_on_the_public_page_and_in_badges_signed_afterwards(app: Flask, campus: Campus):
    client = app.test_client()
    assert "Example Accreditor" not in client.get("/credentials/udl-variability/1").text
    with app.app_context():
        accept(endorsement(UDL))
        version = db.session.scalars(
            select(Version).join(Version.credential).filter_by(key="udl-variability")
        ).one()
        badge = service.award(
            person_id=campus.persons["lena"],
            version=version,
            decision_id=1,
            source="Example University",
            email="lena@example.edu",
            evidence=[],
            now=NOON,
        )
        db.session.commit()
        signing.sign_due(now=NOON)

        (carried,) = json.loads(queries.document(badge.id))["credentialSubject"]["achievement"]["endorsement"]

    page = client.get("/credentials/udl-variability/1").text
    assert "Example Accreditor" in page
    assert "Meets our standards for preparation programs." in page
    assert carried == endorsement(UDL)
    proof.verify_proof(carried, carried["proof"][0], KEY.public_key())


def test_an_endorsement_that_has_ended_is_neither_shown_nor_carried(app: Flask):
    with app.app_context():
        accept(endorsement(UDL, validUntil="2026-10-06T00:00:00Z"))

    assert "Example Accreditor" not in app.test_client().get("/credentials/udl-variability/1").text


def resigned(**more: object) -> dict:
    return endorsement(UDL, **more)


def subject(**more: object) -> dict:
    return {"id": UDL, "type": ["EndorsementSubject"], "endorsementComment": "Good."} | more


def unsigned_change() -> dict:
    return endorsement(UDL) | {"name": "Another"}


def another_key() -> dict:
    signed = endorsement(UDL)
    signed["proof"][0]["verificationMethod"] = "did:web:mallory.example#key"
    return signed


REFUSED = {
    "noise": (lambda: b"\xff{", "not readable JSON"),
    "a list": (lambda: [], "no credential"),
    "a book": (lambda: b" " * 200_000, "larger than 100 kB"),
    "other contexts": (
        lambda: resigned(
            **{"@context": [contexts.CREDENTIALS_V2, contexts.OPEN_BADGES.replace("3.0.3", "3.0.2")]}
        ),
        "badges could not carry it",
    ),
    "a badge": (lambda: resigned(type=["VerifiableCredential", "OpenBadgeCredential"]), "some other kind"),
    "nobody": (lambda: resigned(issuer=ACCREDITOR), "who endorses"),
    "nothing": (lambda: resigned(credentialSubject={"id": UDL, "type": ["Profile"]}), "what is endorsed"),
    "more than an endorsement": (
        lambda: resigned(credentialSubject=subject(name="Better")),
        "describes the achievement",
    ),
    "no name": (lambda: resigned(issuer={"id": ACCREDITOR, "type": ["Profile"]}), "lacks “name”"),
    "an odd date": (lambda: resigned(validFrom="2026-10-05T12:00:00"), "lacks its time zone"),
    "not yet": (lambda: resigned(validFrom="2027-01-01T00:00:00Z"), "not valid today"),
    "over": (lambda: resigned(validUntil="2026-01-01T00:00:00Z"), "not valid today"),
    "no signature": (lambda: resigned() | {"proof": []}, "exactly one signature"),
    "a changed word": (unsigned_change, "signature does not hold"),
    "somebody else's key": (another_key, "somebody else's key"),
    "something that is not here": (
        lambda: endorsement("http://tool.localhost:8700/credentials/udl-variability/99"),
        "There is no achievement",
    ),
    "something elsewhere": (
        lambda: endorsement("https://elsewhere.example.org/x"),
        "There is no achievement",
    ),
}


def test_what_is_no_sound_endorsement_is_refused_with_the_reason(app: Flask):
    with app.app_context():
        for what, (make, reason) in REFUSED.items():
            with pytest.raises(EndorsementRefused) as refused:
                accept(make())
            assert reason in str(refused.value), what


def test_the_same_endorsement_is_accepted_once(app: Flask):
    with app.app_context():
        accept(endorsement(UDL))

        with pytest.raises(EndorsementRefused, match="accepted before"):
            accept(endorsement(UDL))


def test_two_that_describe_their_endorser_differently_cannot_be_in_one_badge(app: Flask):
    with app.app_context():
        accept(endorsement(UDL))
        renamed = {"id": ACCREDITOR, "type": ["Profile"], "name": "Example Accreditor, formerly another"}

        with pytest.raises(EndorsementRefused, match="Badges could not carry it"):
            accept(endorsement(UDL, number=2, issuer=renamed))
