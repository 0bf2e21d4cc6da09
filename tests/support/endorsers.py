"""An accreditor who endorses what can be earned here."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lti_tool.issuers import contexts, did, proof
from tests.support.apps import NOON

ACCREDITOR = did.issuer_did("https://accreditor.example.org", 1)
KEY = proof.new_signing_key()


def endorsement(achievement_id: str, *, number: int = 1, **more: Any) -> dict[str, Any]:
    """A signed endorsement of an achievement; ``more`` replaces members before it is signed."""
    document = {
        "@context": [contexts.CREDENTIALS_V2, contexts.OPEN_BADGES],
        "id": f"urn:uuid:00000000-0000-4000-8000-{number:012}",
        "type": ["VerifiableCredential", "EndorsementCredential"],
        "name": "Endorsement",
        "issuer": {"id": ACCREDITOR, "type": ["Profile"], "name": "Example Accreditor"},
        "validFrom": proof.timestamp(NOON),
        "credentialSubject": {
            "id": achievement_id,
            "type": ["EndorsementSubject"],
            "endorsementComment": "Meets our standards for preparation programs.",
        },
    }
    return proof.sign(document | more, KEY, did.verification_method(ACCREDITOR, KEY.public_key()), NOON)


def key_of(endorser: str, verification_method: str) -> Ed25519PublicKey:
    """The accreditor's key, as their own server would give it."""
    return KEY.public_key()
