"""How many badges one core signs in a second, beside what the cryptography and the canonical form alone cost.

python bench/badges.py
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pyld import jsonld

from lti_tool.badges import open_badge
from lti_tool.badges.open_badge import AchievementFacts, CriterionFacts, LevelFacts
from lti_tool.credentials import catalog
from lti_tool.issuers import contexts, did, proof, vc_jwt
from lti_tool.settings import config_dir

SECONDS = 3.0
"""Of each measurement."""
PUBLIC_URL = "https://badges.example.edu"
NOW = datetime(2026, 11, 2, 15, 30, tzinfo=UTC)


def main() -> None:
    issuer = did.issuer_did(PUBLIC_URL, 1)
    key = proof.new_signing_key()
    method = did.verification_method(issuer, key.public_key())
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    badge = open_badge.build(_facts(issuer))
    token = f"{PUBLIC_URL}/issuers/1/keys/sample"
    text = json.dumps(badge).encode()
    digest = hashlib.sha256(text).digest() * 2
    print(f"A badge of the shipped catalogue, {len(text) / 1000:.1f} kB; one process, one core")
    in_both = _per_second(lambda: (proof.sign(badge, key, method, NOW), vc_jwt.sign(badge, rsa_key, token)))
    rows: list[tuple[str, Callable[[], object]]] = [
        ("eddsa-rdfc-2022, checked and signed", lambda: proof.sign(badge, key, method, NOW)),
        ("  expanding and canonicalising alone (pyld)", lambda: _canonical(badge)),
        ("  Ed25519 alone (cryptography)", lambda: key.sign(digest)),
        ("VC-JWT RS256, signed", lambda: vc_jwt.sign(badge, rsa_key, token)),
        ("  RSA-2048 alone (cryptography)", lambda: rsa_key.sign(text, padding.PKCS1v15(), hashes.SHA256())),
    ]
    print(f"{'badges in both formats':<46}{in_both:>10.0f} a second")
    for label, work in rows:
        print(f"{label:<46}{_per_second(work):>10.0f} a second")


def _facts(issuer: str) -> open_badge.BadgeFacts:
    """The first micro-credential of the shipped catalogue, with all its criteria and levels."""
    shipped = catalog.load(config_dir() / "catalog", config_dir() / "frameworks").credentials[0]
    page = f"{PUBLIC_URL}/credentials/{shipped.key}/{shipped.version}"
    criteria = tuple(
        CriterionFacts(
            key=row.key,
            name=row.title,
            levels=tuple(
                LevelFacts(key=each.key, name=each.title, description=each.text) for each in row.levels
            ),
            required_level=row.required_level,
        )
        for row in shipped.rubric
    )
    return open_badge.BadgeFacts(
        credential_id="urn:uuid:6f8c2c34-3d0c-4d6e-9a55-0e8f5a1f6d11",
        issuer_did=issuer,
        issuer_name="Example University",
        issuer_url=PUBLIC_URL,
        awarded_at=NOW,
        subject_id="urn:uuid:0b6ce0f4-6a39-47d2-bb26-0cb3b4fdfb4f",
        email="a@example.com",
        salt="0" * 32,
        status=open_badge.StatusFacts(list_url=f"{PUBLIC_URL}/issuers/1/status/0", index=4711),
        achievement=AchievementFacts(
            id=page,
            name=shipped.title,
            description=shipped.competency,
            criteria_narrative=shipped.purpose,
            version=shipped.version,
            assessment_mode="Assessed by: course instructor (one rating). No agreement evidence.",
            image_url=f"{page}/badge.png",
            criteria=criteria,
        ),
    )


def _canonical(document: Mapping[str, Any]) -> None:
    settings = {"documentLoader": contexts.loader, "algorithm": "URDNA2015", "format": "application/n-quads"}
    jsonld.normalize(dict(document), settings)


def _per_second(work: Callable[[], object]) -> float:
    """How often in a second of this process's own time, after a warm-up."""
    work()
    done, started = 0, time.process_time()
    while (spent := time.process_time() - started) < SECONDS:
        work()
        done += 1
    return done / spent


if __name__ == "__main__":
    sys.exit(main())
