"""Badges that another implementation signed, with its own keys, lists and pictures, as they arrive at our door."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from openbadgeslib.ob3 import status_list
from openbadgeslib.ob3.credential import Achievement, IdentityObject, Issuer, OpenBadgeCredential
from openbadgeslib.ob3.ldp import OB3LdpSigner
from openbadgeslib.ob3.signer import OB3Signer

from lti_tool.badges import images
from lti_tool.verification.verdict import Standing

SVG = images.svg(symbol="path", colour="#2d6a4f", shape="circle").encode()
PNG = images.render(symbol="path", colour="#2d6a4f", shape="circle")


def pem(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def given(foreign, now):
    """A credential of the other issuer; ``revoked`` are the places set in the list that it names."""

    def make(*revoked: int) -> OpenBadgeCredential:
        address = foreign.site.origin + "/status/lib"
        listed = status_list.build_status_list_credential(
            foreign.did, address, "revocation", revoked, valid_until=now + timedelta(days=3650)
        )
        listed["validFrom"] = "2026-11-01T00:00:00Z"
        signed = status_list.sign_status_list_credential(listed, pem(foreign.rsa), "RS256")
        foreign.site.put("/status/lib", signed.encode(), kind="application/vc+jwt")
        foreign.site.put("/.well-known/jwks.json", {"keys": [foreign.jwk(iss=foreign.did)]})
        return OpenBadgeCredential(
            issuer=Issuer(id=foreign.did, name="Elsewhere College", url="https://college.example"),
            recipient_id="mailto:a@example.com",
            achievement=Achievement(
                id="https://college.example/badges/reading",
                name="Reading Aloud",
                description="Reads to a class.",
                criteria_narrative="Read to a class, twice.",
            ),
            issuance_date=now - timedelta(days=2),
            identifiers=[IdentityObject.create("a@example.com", "Kosher")],
            credential_status=[status_list.status_entry(address, "revocation", 94_567)],
        )

    return make


def test_both_formats_and_all_carriers_are_read(ask, foreign, given, now):
    embedded = OB3LdpSigner(pem(foreign.key), foreign.method)
    compact = OB3Signer(pem(foreign.rsa))
    badge = given(5)

    for content in (
        embedded.sign_to_json(badge, created=now).encode(),
        embedded.sign_into_png(badge, PNG),
        embedded.sign_into_svg(badge, SVG),
        compact.sign(badge).encode(),
        compact.sign_into_png(badge, PNG),
        compact.sign_into_svg(badge, SVG),
    ):
        verdict = ask(content, email="a@example.com", when=datetime.now(UTC))

        assert verdict.ok, verdict.reason
        assert verdict.shown.name == "Reading Aloud"


def test_its_revocations_are_seen(ask, foreign, given, now):
    badge = given(94_567)

    for content in (
        OB3LdpSigner(pem(foreign.key), foreign.method).sign_to_json(badge, created=now).encode(),
        OB3Signer(pem(foreign.rsa)).sign(badge).encode(),
    ):
        assert ask(content).headline == "This badge was revoked"


def test_a_key_that_it_brings_along_is_not_taken_for_the_issuers(ask, foreign, given):
    token = OB3Signer(pem(foreign.rsa)).sign(given())
    foreign.site.put("/.well-known/jwks.json", {"keys": []})

    assert ask(token.encode()).standing is Standing.REFUSED


def test_a_badge_under_the_name_of_its_own_key_is_not_called_genuine(ask, foreign, given, now):
    signer = OB3LdpSigner(pem(foreign.key))
    badge = given()
    badge.issuer.id = signer.verification_method.partition("#")[0]
    badge.credential_status = []

    verdict = ask(signer.sign_to_json(badge, created=now).encode())

    assert verdict.standing is Standing.UNDECIDED
    assert "under any name" in verdict.reason
