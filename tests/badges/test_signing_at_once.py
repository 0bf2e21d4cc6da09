"""Many at once: the JSON-LD library keeps caches for the whole process, and several workers see the same badge due."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask
from sqlalchemy import select

from lti_tool.badges import service, signing
from lti_tool.badges.models import BadgeDocument
from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.issuers import contexts, proof, vc_jwt
from tests.badges.conftest import AWARDED
from tests.support.apps import NOON
from tests.support.cast import Campus

THREADS, EACH = 8, 60


def test_four_hundred_and_eighty_signings_by_eight_threads_give_as_many_valid_badges(key, method):
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsigned = [small(number) for number in range(THREADS * EACH)]

    def sign(share: list[dict]) -> list[tuple[dict, str]]:
        return [
            (proof.sign(each, key, method, AWARDED), vc_jwt.sign(each, rsa_key, "urn:k")) for each in share
        ]

    patience = sys.getswitchinterval()
    # Threads take turns in the middle of things, as they do on a busy machine.
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            shares = [unsigned[start::THREADS] for start in range(THREADS)]
            signed = [pair for share in pool.map(sign, shares) for pair in share]
    finally:
        sys.setswitchinterval(patience)

    # The same key makes the same signature of the same badge: what one thread alone signs is what has to be there.
    alone = {each["id"]: proof.sign(each, key, method, AWARDED) for each in unsigned}
    assert len(alone) == THREADS * EACH
    assert {badge["id"]: badge for badge, _ in signed} == alone
    for badge, _ in signed[::20]:
        proof.verify_proof(badge, badge["proof"][0], key.public_key())
    for _, token in signed:
        text, _, signature = token.rpartition(".")
        raw = vc_jwt.jwt.utils.base64url_decode(signature)
        rsa_key.public_key().verify(raw, text.encode(), padding.PKCS1v15(), SHA256())


def small(number: int) -> dict:
    """The least that an Open Badge 3.0 has to say."""
    page = "https://badges.example.edu/credentials/x/1"
    return {
        "@context": [contexts.CREDENTIALS_V2, contexts.OPEN_BADGES],
        "id": f"urn:uuid:00000000-0000-4000-8000-{number:012}",
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "issuer": {"id": "did:web:badges.example.edu:issuers:1", "type": ["Profile"], "name": "X"},
        "validFrom": "2026-11-02T15:30:00Z",
        "credentialSubject": {
            "id": f"urn:uuid:10000000-0000-4000-8000-{number:012}",
            "type": ["AchievementSubject"],
            "achievement": {
                "id": page,
                "type": ["Achievement"],
                "criteria": {"narrative": "Do it."},
                "description": "Does it.",
                "name": "It",
            },
        },
    }


def test_workers_that_see_the_same_badges_due_sign_each_once(app: Flask, campus: Campus):
    with app.app_context():
        versions = db.session.scalars(select(Version)).unique().all()
        for version in versions:
            service.award(
                person_id=campus.persons["lena"],
                version=version,
                decision_id=1,
                source="Example University",
                email="lena@example.edu",
                evidence=[],
                now=NOON,
            )
        db.session.commit()

    def work(number: int) -> int:
        with app.app_context():
            try:
                return signing.sign_due(now=NOON + timedelta(seconds=number))
            finally:
                db.session.remove()

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, range(4)))

    with app.app_context():
        rows = db.session.scalars(select(BadgeDocument)).all()
        assert len(rows) == 2 * len(versions) == 2 * sum(done)
        ids = {json.loads(row.text)["id"] for row in rows if row.format == signing.EMBEDDED_PROOF}
        assert ids == {f"urn:uuid:{row.badge_id}" for row in rows}
