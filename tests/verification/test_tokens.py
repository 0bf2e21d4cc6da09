"""Badges as signed text (VC-JWT): the key has to be bound to the issuer, and the text may not say two things."""

import json
import random

import pytest

from lti_tool.badges import open_badge
from lti_tool.issuers import proof
from lti_tool.verification import verdict as checks
from lti_tool.verification.verdict import Outcome, Standing
from tests.verification.elsewhere import number, unpadded

KID = "/issuers/7/keys/1"


def header(foreign, alg="RS256", **more):
    return {"alg": alg, "typ": "JWT", "kid": foreign.site.origin + KID, **more}


def listed(foreign, *keys):
    foreign.site.put("/.well-known/jwks.json", {"keys": list(keys)}, kind="application/jwk-set+json")


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_a_token_is_believed_when_the_issuers_key_set_has_its_key(ask, foreign, unsigned, alg):
    listed(foreign, foreign.jwk(alg, kid=foreign.site.origin + KID, iss=foreign.did))

    verdict = ask(foreign.token(unsigned, header(foreign, alg)), email="a@example.com")

    assert verdict.ok, verdict.reason
    assert verdict.shown.name == "Shared Reading With Young Children"


def test_a_key_at_its_own_address_below_the_issuers_name_is_the_issuers(ask, foreign, unsigned):
    foreign.site.put(KID, foreign.jwk())

    assert ask(foreign.token(unsigned, header(foreign))).ok


def test_a_key_set_may_name_the_key_otherwise_as_long_as_it_is_the_key(ask, foreign, unsigned):
    foreign.site.put("/elsewhere", foreign.jwk())
    listed(foreign, foreign.jwk(kid="main"))

    assert ask(foreign.token(unsigned, header(foreign, kid=foreign.site.origin + "/elsewhere"))).ok


def test_a_key_in_the_did_document_is_the_issuers(ask, foreign, unsigned):
    entry = {
        "id": f"{foreign.did}#jwt",
        "type": "JsonWebKey",
        "controller": foreign.did,
        "publicKeyJwk": foreign.jwk(),
    }
    document = foreign.did_document(verificationMethod=[entry], assertionMethod=[entry["id"]])
    foreign.site.put("/issuers/7/did.json", document)

    assert ask(foreign.token(unsigned, header(foreign, kid=entry["id"]))).ok
    brought = {"alg": "RS256", "jwk": foreign.jwk()}
    assert ask(foreign.token(unsigned, brought)).ok


def test_a_key_that_comes_with_the_badge_proves_nothing_unless_the_issuer_publishes_it(
    ask, foreign, unsigned
):
    token = foreign.token(unsigned, {"alg": "RS256", "jwk": foreign.jwk()})
    listed(foreign)

    refused = ask(token)
    assert refused.standing is Standing.REFUSED
    assert "not among those" in refused.reason

    listed(foreign, foreign.jwk(iss=f"{foreign.site.did_host}:issuers:8"))
    assert ask(token).standing is Standing.REFUSED

    listed(foreign, foreign.jwk(iss=foreign.did))
    assert ask(token).ok


def test_the_key_of_a_neighbour_on_the_same_host_is_not_the_issuers(ask, foreign, unsigned):
    neighbours = header(foreign, kid=foreign.site.origin + "/issuers/8/keys/1")
    foreign.site.put("/issuers/8/keys/1", foreign.jwk())

    verdict = ask(foreign.token(unsigned, neighbours))

    assert verdict.standing is Standing.UNDECIDED
    assert "others may be able to put a key there" in verdict.reason
    foreign.site.put("/issuers/8/keys/1", foreign.jwk(iss=f"{foreign.site.did_host}:issuers:8"))
    assert ask(foreign.token(unsigned, neighbours)).standing is Standing.REFUSED


def test_a_key_does_not_become_the_issuers_by_naming_the_issuer(ask, foreign, unsigned):
    """Whoever can upload a file to the issuer's host can write the issuer's name into it."""
    kid = foreign.site.put("/uploads/mallory/key.json", foreign.jwk(iss=foreign.did))
    token = foreign.token(unsigned, header(foreign, kid=kid))

    assert ask(token).standing is Standing.UNDECIDED

    foreign.site.put("/.well-known/jwks.json", b"<html>Not found</html>", kind="text/html")
    assert ask(token).standing is Standing.UNDECIDED

    foreign.site.put("/issuers/7/did.json", b"", status=404)
    assert ask(token).standing is Standing.UNDECIDED


def test_a_key_in_no_list_is_refused_where_the_issuer_lists_another_for_tokens(ask, foreign, unsigned):
    entry = {
        "id": f"{foreign.did}#jwt",
        "type": "JsonWebKey",
        "controller": foreign.did,
        "publicKeyJwk": foreign.jwk("ES256"),
    }
    document = foreign.did_document(verificationMethod=[entry], assertionMethod=[entry["id"]])
    foreign.site.put("/issuers/7/did.json", document)
    foreign.site.put(KID, foreign.jwk(iss=foreign.did))

    verdict = ask(foreign.token(unsigned, header(foreign)))

    assert verdict.standing is Standing.REFUSED
    assert "not among those" in verdict.reason


@pytest.mark.parametrize("way", ["..", "%2e%2e", "..;", "x/..", ".", "", "..%2f.."])
def test_a_key_outside_is_not_the_issuers_by_a_path_that_begins_inside(ask, foreign, unsigned, way):
    for path in ("/uploads/key", "/issuers/uploads/key", f"/issuers/7/{way}/uploads/key"):
        foreign.site.put(path, foreign.jwk())
    kid = f"{foreign.site.origin}/issuers/7/{way}/uploads/key"

    assert ask(foreign.token(unsigned, header(foreign, kid=kid))).standing is Standing.UNDECIDED


@pytest.mark.parametrize("path", ["/key", "/.well-known/key", "/issuers/7/key"])
def test_an_issuer_that_is_a_whole_host_has_to_list_its_keys(ask, foreign, unsigned, path):
    """Anybody with a page on the host could otherwise sign for it."""
    name = foreign.site.did_host
    foreign.site.put("/.well-known/did.json", {"id": name})
    kid = foreign.site.put(path, foreign.jwk())
    token = foreign.token(foreign.named(unsigned, name), header(foreign, kid=kid))

    assert ask(token).standing is Standing.UNDECIDED

    listed(foreign, foreign.jwk())
    assert ask(token).ok


@pytest.mark.parametrize(
    ("page", "kid", "standing"),
    [
        ("/school", "/school/key", Standing.GENUINE),
        ("/school", "/schoolyard/key", Standing.UNDECIDED),
        ("/school?id=7", "/school/key", Standing.UNDECIDED),
        ("/school/did.json", "/school/key", Standing.UNDECIDED),
        ("/", "/key", Standing.UNDECIDED),
    ],
)
def test_of_an_issuer_with_an_https_name_only_keys_below_it_count(
    ask, foreign, unsigned, page, kid, standing
):
    name = foreign.site.put(page, b"<html>Welcome</html>", kind="text/html")
    address = foreign.site.put(kid, foreign.jwk(iss=name))

    verdict = ask(foreign.token(foreign.named(unsigned, name), header(foreign, kid=address)))

    assert verdict.standing is standing, verdict.reason


def test_a_host_that_does_not_answer_leaves_the_verdict_open(ask, foreign, unsigned):
    foreign.site.put(KID, foreign.jwk())
    foreign.site.put("/.well-known/jwks.json", b"", status=503)

    verdict = ask(foreign.token(unsigned, header(foreign)))

    assert verdict.standing is Standing.UNDECIDED
    assert "error 503" in verdict.reason


def test_a_token_that_was_changed_by_a_letter_is_refused(ask, foreign, unsigned):
    foreign.site.put(KID, foreign.jwk())
    start, _, signature = foreign.token(unsigned, header(foreign)).rpartition(b".")
    payload = {**unsigned, "name": "Brain Surgery", **{"iss": foreign.did, "jti": unsigned["id"]}}
    _, other = foreign.token(payload, header(foreign)).split(b".")[:2]

    verdict = ask(start.split(b".")[0] + b"." + other + b"." + signature)

    assert verdict.standing is Standing.REFUSED
    assert "changed after it was signed" in verdict.reason


CLAIMS = {
    "another issuer": {"iss": "did:web:mallory.example"},
    "another badge": {"jti": "urn:uuid:other"},
    "another holder": {"sub": "urn:uuid:other"},
    "an earlier beginning": {"nbf": 0},
    "a later end": {"exp": 4102444800},
    "an end that is no number": {"exp": "never"},
    "no issuer": {"iss": None},
    "no end": {"exp": None},
}


@pytest.mark.parametrize("what", CLAIMS)
def test_a_token_that_says_two_things_at_once_is_refused(ask, foreign, unsigned, what):
    foreign.site.put(KID, foreign.jwk())

    verdict = ask(foreign.token(unsigned, header(foreign), **CLAIMS[what]))

    assert verdict.standing is Standing.REFUSED
    assert [each.name for each in verdict.checks if each.outcome is Outcome.FAILED] == [checks.FORM]
    assert next(iter(CLAIMS[what])) in verdict.reason


HEADERS = {
    "an address for the key": {"jku": "https://mallory.example/jwks"},
    "what must be understood": {"crit": ["exp"]},
    "certificates": {"x5c": ["MII"]},
    "another type": {"typ": "JWE"},
    "a key id that is no text": {"kid": 5},
    "a private key": {"jwk": {"kty": "RSA", "d": "AQ"}},
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_with_anything_that_the_standard_does_not_allow_is_refused(ask, foreign, unsigned, what):
    verdict = ask(foreign.token(unsigned, header(foreign) | HEADERS[what]))

    assert verdict.standing is Standing.REFUSED
    assert next(iter(HEADERS[what])) in verdict.reason


@pytest.mark.parametrize(
    ("alg", "standing"),
    [
        ("none", Standing.REFUSED),
        ("HS256", Standing.REFUSED),
        ("EdDSA", Standing.UNDECIDED),
        ("PS256", Standing.UNDECIDED),
        ("ES256", Standing.REFUSED),
    ],
)
def test_another_algorithm_is_never_believed(ask, foreign, unsigned, alg, standing):
    """The last says ES256 and is signed with RSA: the key decides, not the header."""
    foreign.site.put(KID, foreign.jwk())
    parts = foreign.token(unsigned, header(foreign)).split(b".")
    parts[0] = unpadded(json.dumps(header(foreign, alg)).encode())

    assert ask(b".".join(parts)).standing is standing


@pytest.mark.parametrize(
    "jwk", [{"n": number(2**1023 + 1)}, {"n": number(2**9000 + 1)}, {"e": number(2**40 + 1)}, {"e": "AQ"}]
)
def test_a_key_of_an_unsafe_size_is_not_used(ask, foreign, unsigned, jwk):
    foreign.site.put(KID, foreign.jwk() | jwk)

    verdict = ask(foreign.token(unsigned, header(foreign)))

    assert verdict.standing is Standing.UNDECIDED
    assert "kind that is not known" in verdict.reason


def test_our_own_tokens_are_checked_with_the_keys_in_the_database(judge, facts, foreign, did):
    document = open_badge.build(facts)
    document.pop("credentialStatus", None)
    kid = "https://badges.example.edu/issuers/1/keys/x"

    token = foreign.token(document, {"alg": "RS256", "typ": "JWT", "kid": kid})

    assert judge(token, ours={kid: foreign.jwk()}).ok
    assert "never had the key" in judge(token).reason
    assert foreign.site.asked == []


def test_a_token_may_be_pasted_with_line_breaks_around_it_but_not_inside(ask, foreign, unsigned):
    foreign.site.put(KID, foreign.jwk())
    token = foreign.token(unsigned, header(foreign))

    assert ask(b"\n  " + token + b"\r\n").ok
    assert ask(token[:40] + b"\n" + token[40:]).standing is Standing.NO_BADGE


def test_a_member_said_twice_inside_a_token_is_refused(ask, foreign, unsigned):
    payload = json.dumps(unsigned).replace('"name"', '"name": "Brain Surgery", "name"', 1)
    token = b".".join([unpadded(json.dumps(header(foreign)).encode()), unpadded(payload.encode()), b"c2ln"])

    verdict = ask(token)

    assert not verdict.ok
    assert "twice" in verdict.reason


def test_a_did_key_token_names_nobody(ask, foreign, unsigned):
    name = f"did:key:{proof.multikey(foreign.key.public_key())}"

    verdict = ask(foreign.token(foreign.named(unsigned, name), {"alg": "RS256", "jwk": foreign.jwk()}))

    assert verdict.standing is Standing.UNDECIDED
    assert "under any name" in verdict.reason


def test_no_spoilt_token_ever_raises_or_says_another_thing_and_passes(ask, foreign, unsigned):
    """Sixty tokens that the issuer did sign, each with one part replaced somewhere by something odd."""
    dice = random.Random(20261122)
    odd = [None, True, 10**400, 1e300, "", "\0", [], {}, [[]], [None], {"id": 5}, ["x"], "2026-11-21", 7]
    foreign.site.put(KID, foreign.jwk())

    def spoil(part):
        at = dice.choice(list(part) if isinstance(part, dict) else range(len(part)))
        inner = part[at]
        if isinstance(inner, dict | list) and inner and dice.random() < 0.6:
            spoil(inner)
        else:
            part[at] = dice.choice(odd)

    for _ in range(60):
        claims = {"iss": foreign.did, "jti": unsigned["id"], "sub": unsigned["credentialSubject"]["id"]}
        payload = json.loads(json.dumps({**unsigned, **claims, "nbf": 1793633400, "exp": 1951344000}))
        spoil(payload)
        verdict = ask(foreign.signed(payload, header(foreign)))
        assert verdict.reason
        assert verdict.shown is None or verdict.shown.issuer_id == foreign.did or not verdict.ok


@pytest.mark.parametrize("name", ["\\u0000", "\\ud800", "did:web:a\\u0000b"])
def test_names_that_no_database_takes_are_not_looked_up(ask, unsigned, name):
    text = json.dumps(unsigned).replace(json.dumps(unsigned["issuer"]["id"]), f'"{name}"')

    assert not ask(text.encode()).ok


@pytest.mark.parametrize(
    "document",
    [
        {"verificationMethod": [{"id": ["x"], "publicKeyJwk": []}], "assertionMethod": [["x"], {"id": 5}]},
        {"verificationMethod": "x", "assertionMethod": 5},
        {"publicKeyJwk": {"kty": ["RSA"], "n": 5}, "id": {}},
        {"keys": [5, {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}]},
        {"keys": {"kty": "RSA"}},
    ],
)
def test_nonsense_that_an_issuer_publishes_is_no_fault_of_ours(ask, foreign, unsigned, now, document):
    foreign.site.put("/issuers/7/did.json", {"id": foreign.did, **document})
    foreign.site.put("/.well-known/jwks.json", document)
    foreign.site.put(KID, document)

    assert not ask(foreign.token(unsigned, header(foreign))).ok
    assert not ask(foreign.sign(unsigned, now)).ok
