"""Badges of other issuers: whose key it is has to be proved by the issuer's own host, and nothing else counts."""

import json

import pytest

from lti_tool.issuers import proof
from lti_tool.verification import verdict as checks
from lti_tool.verification.verdict import Outcome, Standing
from lti_tool.verification.web import Web
from tests.verification.elsewhere import unpadded


def outcome(verdict, name):
    return next(check.outcome for check in verdict.checks if check.name == name)


def test_a_did_web_issuer_that_publishes_its_key_is_believed_and_named_by_its_host(
    ask, foreign, unsigned, now
):
    verdict = ask(foreign.sign(unsigned, now), email="a@example.com")

    assert verdict.ok, verdict.reason
    assert verdict.vouched_by == foreign.site.origin.removeprefix("http://")
    assert verdict.headline == f"This badge comes from {verdict.vouched_by}"
    assert "is the badge’s own word" in verdict.reason
    assert foreign.site.asked == ["/issuers/7/did.json"]


def test_a_changed_badge_of_another_issuer_is_refused(ask, foreign, unsigned, now):
    signed = foreign.sign(unsigned, now)

    verdict = ask({**signed, "name": "Brain Surgery"})

    assert verdict.standing is Standing.REFUSED
    assert "changed after it was signed" in verdict.reason


DID_DOCUMENTS = {
    "another key": (lambda f: f.did_document(verificationMethod=[], assertionMethod=[]), "publishes no keys"),
    "the key for other purposes": (lambda f: f.did_document(assertionMethod=[]), "not among those"),
    "the key of another controller": (
        lambda f: f.did_document(
            verificationMethod=[
                {**f.did_document()["verificationMethod"][0], "controller": "did:web:mallory.example"}
            ]
        ),
        "not among those",
    ),
    "a key that was taken back": (
        lambda f: f.did_document(
            verificationMethod=[
                {**f.did_document()["verificationMethod"][0], "revoked": "2026-11-01T00:00:00Z"}
            ]
        ),
        "taken back",
    ),
    "somebody else's document": (
        lambda f: f.did_document(id="did:web:mallory.example"),
        "about somebody else",
    ),
    "a page for people": (lambda _: b"<html></html>", "a page for people"),
    "a list": (lambda _: b"[]", "a page for people"),
}


@pytest.mark.parametrize("what", DID_DOCUMENTS)
def test_a_key_that_the_issuer_does_not_publish_as_its_own_proves_nothing(ask, foreign, unsigned, now, what):
    document, reason = DID_DOCUMENTS[what]
    foreign.site.put("/issuers/7/did.json", document(foreign))

    verdict = ask(foreign.sign(unsigned, now))

    assert not verdict.ok
    assert reason in verdict.reason


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_an_issuer_that_cannot_be_asked_leaves_the_verdict_open(ask, foreign, unsigned, now, status):
    foreign.site.put("/issuers/7/did.json", b"", status=status, headers={"Location": "/elsewhere"})

    verdict = ask(foreign.sign(unsigned, now))

    assert verdict.standing is Standing.UNDECIDED
    assert "could not be asked for its keys" in verdict.reason
    # The key stands in the name of the signature, so a change would still be seen.
    assert outcome(verdict, checks.SIGNATURE) is Outcome.PASSED
    assert ask({**foreign.sign(unsigned, now), "name": "Brain Surgery"}).standing is Standing.REFUSED


def test_an_entry_may_be_written_short_or_as_a_jwk(ask, foreign, unsigned, now):
    raw = foreign.key.public_key().public_bytes_raw()
    entry = {
        "id": "#key-1",
        "type": "JsonWebKey",
        "controller": foreign.did,
        "publicKeyJwk": {"kty": "OKP", "crv": "Ed25519", "x": unpadded(raw).decode()},
    }
    foreign.site.put(
        "/issuers/7/did.json", foreign.did_document(verificationMethod=[entry], assertionMethod=["#key-1"])
    )

    assert ask(proof.sign(unsigned, foreign.key, f"{foreign.did}#key-1", now)).ok


def test_an_issuer_with_an_https_name_is_believed_by_its_profile(ask, foreign, unsigned, now):
    name = foreign.site.origin + "/profile"
    badge = foreign.named(unsigned, name)
    entry = {"type": "Multikey", "controller": name, "publicKeyMultibase": foreign.multikey}
    method = f"{name}#{foreign.multikey}"
    foreign.site.put("/profile", {"id": name, "type": "Profile", "name": "Elsewhere College"})
    assert "publishes no keys" in ask(proof.sign(badge, foreign.key, method, now)).reason

    foreign.site.put(
        "/profile",
        {"id": name, "verificationMethod": [{"id": method, **entry}], "assertionMethod": [method]},
    )

    assert ask(proof.sign(badge, foreign.key, method, now)).ok


@pytest.fixture
def beside(foreign, unsigned, now):
    """A badge of an issuer with an https name, signed with a key whose document lies at ``path``."""

    def put(path):
        name = foreign.site.origin + "/profile"
        method = f"{foreign.site.origin}{path}#key"
        entry = {"type": "Multikey", "controller": name, "publicKeyMultibase": foreign.multikey}
        foreign.site.put(path, {"id": method, **entry})
        return proof.sign(foreign.named(unsigned, name), foreign.key, method, now), method

    return put


def test_a_key_beside_a_profile_that_lists_others_is_not_the_issuers(ask, foreign, beside):
    name = foreign.site.origin + "/profile"
    other = {"id": f"{name}#1", "type": "Multikey", "controller": name, "publicKeyMultibase": "z6Mk"}
    foreign.site.put("/profile", {"id": name, "verificationMethod": [other], "assertionMethod": ["#1"]})

    for path in ("/uploads/mallory.json", "/profile/key.json"):
        verdict = ask(beside(path)[0])
        assert verdict.standing is Standing.REFUSED
        assert "not among those" in verdict.reason


def test_a_key_that_the_profile_points_to_is_the_issuers_wherever_it_lies(ask, foreign, beside):
    badge, method = beside("/keys/1")
    foreign.site.put("/profile", {"id": foreign.site.origin + "/profile", "assertionMethod": [method]})

    assert ask(badge).ok


@pytest.mark.parametrize("profile", [{"type": "Profile", "name": "Elsewhere College"}, b"<html></html>"])
def test_a_key_that_no_profile_lists_is_the_issuers_only_below_its_name(ask, foreign, beside, profile):
    foreign.site.put("/profile", profile)

    assert ask(beside("/profile/key.json")[0]).ok
    for path in ("/uploads/mallory.json", "/profile/../uploads/mallory.json", "/profiles/key.json"):
        verdict = ask(beside(path)[0])
        assert verdict.standing is Standing.UNDECIDED, path
    assert verdict.vouched_by == ""
    assert "others may be able to put a key there" in verdict.reason


def test_a_key_beside_a_profile_that_cannot_be_asked_proves_nothing_yet(ask, foreign, beside):
    foreign.site.put("/profile", b"", status=503)

    verdict = ask(beside("/profile/key.json")[0])

    assert verdict.standing is Standing.UNDECIDED
    assert "error 503" in verdict.reason


NAMES = [
    "did:example:123",
    "did:web:",
    "did:web:a:..:b",
    "http://example.org/issuer",
    "urn:uuid:1",
    "did:web:a b",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_key_can_be_looked_up_under_leaves_the_verdict_open(ask, foreign, unsigned, now, name):
    badge = foreign.named(unsigned, name)
    if name == "did:web:a b":
        badge["issuer"]["id"] = "did:web:a%20b"
    name = badge["issuer"]["id"]

    verdict = ask(proof.sign(badge, foreign.key, f"{name}#{foreign.multikey}", now))

    assert verdict.standing is Standing.UNDECIDED
    assert foreign.site.asked == []


PRIVATE = [
    "did:web:localhost",
    "did:web:10.0.0.1",
    "did:web:169.254.169.254",
    "did:web:127.0.0.1%3A6379",
    "did:web:2130706433",
]


@pytest.mark.parametrize("name", PRIVATE)
def test_nobody_can_make_us_call_our_own_network_by_naming_it_as_the_issuer(
    judge, foreign, unsigned, now, name
):
    signed = proof.sign(foreign.named(unsigned, name), foreign.key, f"{name}#{foreign.multikey}", now)

    verdict = judge(signed, web=Web())

    assert verdict.standing is Standing.UNDECIDED
    assert "nothing is fetched from such an address" in verdict.reason


# The published examples


def test_the_published_examples_are_checked_as_far_as_their_issuers_can_be_asked(judge, published):
    for name in ("1edtech-simple", "ob-impl-guide"):
        content = json.loads((published / "vectors" / f"{name}.json").read_text())

        verdict = judge(content)

        assert verdict.standing is Standing.UNDECIDED, verdict.reason
        assert outcome(verdict, checks.SIGNATURE) is Outcome.PASSED
        content["name"] = "Brain Surgery"
        assert judge(content).standing is Standing.REFUSED


def test_a_credential_that_is_no_badge_is_called_so(judge, published):
    verdict = judge((published / "vectors" / "w3c-vc-di-eddsa.json").read_bytes())

    assert verdict.standing is Standing.NO_BADGE
    assert "of some other kind" in verdict.reason


# One thing described in two places


def test_an_issuer_who_is_also_the_creator_may_say_less_there_but_nothing_else(ask, foreign, unsigned, now):
    unsigned["credentialSubject"]["achievement"]["creator"] = {"id": foreign.did, "type": ["Profile"]}
    twice = signed_leniently(foreign, unsigned, now)
    assert ask(twice).ok

    unsigned["credentialSubject"]["achievement"]["creator"]["name"] = "Another College"
    contradicting = signed_leniently(foreign, unsigned, now)

    verdict = ask(contradicting)

    assert verdict.standing is Standing.UNDECIDED
    assert "in two places" in verdict.reason


def signed_leniently(foreign, document, now):
    """As other libraries sign, which do not look for such things."""
    options = {
        "type": "DataIntegrityProof",
        "cryptosuite": proof.CRYPTOSUITE,
        "created": proof.timestamp(now),
        "verificationMethod": foreign.method,
        "proofPurpose": "assertionMethod",
    }
    try:
        data = proof.hash_data(document, options, may_repeat=True)
    except proof.DescribedTwice:
        data = b"whatever it would be"
    value = proof.multibase(foreign.key.sign(data))
    return {**document, "proof": {**options, "proofValue": value}}
