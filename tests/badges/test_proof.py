import copy
import hashlib
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lti_tool.badges import open_badge
from lti_tool.issuers import proof

AT = datetime(2026, 11, 2, 15, 30, 59, 999, tzinfo=UTC)


def test_a_signature_stands_for_the_key_that_made_it_and_no_other(badge, key):
    proof.verify_proof(badge, badge["proof"][0], key.public_key())

    with pytest.raises(proof.SignatureMismatch):
        proof.verify_proof(badge, badge["proof"][0], proof.new_signing_key().public_key())


def test_the_proof_is_a_list_of_one_and_says_how_it_was_made(badge, method):
    (only,) = badge["proof"]

    assert {name: part for name, part in only.items() if name != "proofValue"} == {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-rdfc-2022",
        "created": "2026-11-02T15:30:00Z",
        "verificationMethod": method,
        "proofPurpose": "assertionMethod",
    }
    assert only["proofValue"].startswith("z")


def test_signing_leaves_the_document_that_was_given_alone(facts, key, method):
    document = open_badge.build(facts)
    before = copy.deepcopy(document)

    proof.sign(document, key, method, AT)

    assert document == before


def test_a_document_is_not_signed_twice(badge, key, method):
    with pytest.raises(proof.BadProof, match="signed already"):
        proof.sign(badge, key, method, AT)


def test_the_same_document_signed_at_the_same_time_gives_the_same_signature(facts, key, method):
    one, other = (proof.sign(open_badge.build(facts), key, method, AT) for _ in range(2))

    assert one == other


def test_the_order_of_members_does_not_matter_to_a_signature(badge, key):
    shuffled = json.loads(json.dumps(badge, sort_keys=True))

    proof.verify_proof(shuffled, shuffled["proof"][0], key.public_key())


def test_times_are_written_in_utc_and_need_a_zone():
    denver = timezone(timedelta(hours=-7))

    assert proof.timestamp(datetime(2026, 11, 2, 8, 30, tzinfo=denver)) == "2026-11-02T15:30:00Z"
    with pytest.raises(ValueError, match="time zone"):
        proof.timestamp(datetime(2026, 11, 2))  # noqa: DTZ001  # the very mistake


def test_a_key_survives_the_way_to_multikey_and_back(key):
    text = proof.multikey(key.public_key())

    assert text.startswith("z6Mk")
    assert proof.multikey(proof.key_from_multikey(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "z", "z6Mk", "u7QE", "z0OIl", "z" + "1" * 40, "z" + "6" * 5000, "z6LSbysY2xFMRpGMhb7tFTLMpeu"],
)
def test_what_is_no_ed25519_multikey_is_refused(text):
    with pytest.raises(proof.BadKey):
        proof.key_from_multikey(text)


def test_multibase_keeps_leading_zeros():
    raw = b"\0\0\1\2\3"

    assert proof.from_multibase(proof.multibase(raw), limit=20) == raw


@pytest.mark.parametrize(
    ("spoil", "refusal", "reason"),
    [
        (lambda d: d.update(name="Reading\x0b"), proof.ControlCharacter, "name: .*control character"),
        (lambda d: d.update(name="Reading\x7f"), proof.ControlCharacter, "control character"),
        (lambda d: d.update(name="Reading\ud800"), proof.ControlCharacter, "control character"),
        (
            lambda d: d["credentialSubject"].update(creditsEarned=33.333333333333336),
            proof.OddNumber,
            r"credentialSubject\.creditsEarned: .*two decimals",
        ),
        (lambda d: d["credentialSubject"].update(creditsEarned=float("nan")), proof.OddNumber, "number"),
        (lambda d: d["credentialSubject"].update(creditsEarned=2**53 + 1), proof.OddNumber, "too large"),
        (lambda d: d.update(description=None), proof.EmptyValue, "description: .*empty"),
        (lambda d: d.update(evidence=[]), proof.EmptyValue, "evidence: .*empty"),
        (
            lambda d: d["credentialSubject"]["achievement"]["image"].update(id="/badge.png"),
            proof.RelativeAddress,
            "image.*no complete address|image.*not a complete address",
        ),
        (lambda d: d.update(id="urn:with space"), proof.RelativeAddress, "not a complete address"),
        (lambda d: d["credentialSubject"].update(id="_:b0"), proof.RelativeAddress, "_:b0"),
        (lambda d: d.update(honours="summa cum laude"), proof.UndefinedTerm, "honours: .*no such member"),
        (
            lambda d: d["credentialSubject"]["achievement"].update(level="5"),
            proof.UndefinedTerm,
            r"credentialSubject\.achievement\.level",
        ),
        (
            lambda d: d.update({"https://www.w3.org/2018/credentials#validUntil": d.pop("validUntil")}),
            proof.UndefinedTerm,
            "full address",
        ),
        (lambda d: d["type"].append("Diploma"), proof.RelativeAddress, "Diploma"),
        (lambda d: d.update(name=[["a"]]), proof.UndefinedTerm, "list inside a list|inside a list"),
        (lambda d: d.update(name={"@value": "Reading"}), proof.ForeignContext, "@value"),
        (
            lambda d: d["issuer"].update({"@context": "https://example.org/c"}),
            proof.ForeignContext,
            "@context",
        ),
        (lambda d: d["@context"].append("https://example.org/c"), proof.ForeignContext, "not one this tool"),
        (lambda d: d["@context"].pop(), proof.RelativeAddress, "1EdTechJsonSchemaValidator2019"),
    ],
)
def test_what_a_signature_would_not_cover_is_refused_by_name(facts, key, method, *, spoil, refusal, reason):
    document = open_badge.build(facts)
    spoil(document)

    with pytest.raises(refusal, match=reason):
        proof.sign(document, key, method, AT)


def test_credits_of_two_decimals_are_signed(facts, key, method):
    document = open_badge.build(facts)
    document["credentialSubject"]["creditsEarned"] = 0.75

    signed = proof.sign(document, key, method, AT)

    proof.verify_proof(signed, signed["proof"][0], key.public_key())


def test_a_member_of_the_proof_that_nothing_covers_is_refused(badge, key):
    crafted = {**badge["proof"][0], "comment": "trust me"}

    with pytest.raises(proof.UndefinedTerm, match=r"proof\.comment"):
        proof.verify_proof(badge, crafted, key.public_key())


@pytest.mark.parametrize(
    "value", [None, 5, "", "z", "zzz0", "u" + "A" * 86, "z" + "1" * 64, "z" + "2" * 100_000]
)
def test_a_malformed_signature_value_is_refused(badge, key, value):
    crafted = {**badge["proof"][0], "proofValue": value}

    with pytest.raises(proof.BadProof):
        proof.verify_proof(badge, crafted, key.public_key())


def test_many_parts_that_are_all_alike_are_refused_before_they_cost_time(facts, key, method):
    document = open_badge.build(facts)
    document["evidence"] = [{"type": ["Evidence"], "name": "Same"} for _ in range(40)]

    with pytest.raises(proof.TooComplex):
        proof.sign(document, key, method, AT)


def test_two_pieces_of_evidence_with_the_same_words_can_be_signed(facts, key, method):
    document = open_badge.build(facts)
    document["evidence"] = [{"type": ["Evidence"], "name": "Same"} for _ in range(2)]

    signed = proof.sign(document, key, method, AT)

    proof.verify_proof(signed, signed["proof"][0], key.public_key())


def test_eight_threads_may_sign_at_once(facts, key: Ed25519PrivateKey, method):
    document = open_badge.build(facts)

    def sign_ten(worker: int) -> list[dict]:
        return [
            proof.sign({**document, "name": f"Badge {worker}-{number}"}, key, method, AT)
            for number in range(10)
        ]

    with ThreadPoolExecutor(8) as pool:
        signed = [one for batch in pool.map(sign_ten, range(8)) for one in batch]

    assert len({one["name"] for one in signed}) == 80
    for one in signed:
        proof.verify_proof(one, one["proof"][0], key.public_key())


def test_nothing_is_fetched_while_signing_or_verifying(badge, key, monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setattr(urllib.request, "urlopen", no_network)

    proof.verify_proof(badge, badge["proof"][0], key.public_key())


@pytest.mark.parametrize("name", ["1edtech-did-web.json", "1edtech-simple.json", "ob-impl-guide.json"])
def test_badges_that_others_signed_verify(published, name):
    document = json.loads((published / "vectors" / name).read_text())
    found = document["proof"]
    one = found[0] if isinstance(found, list) else found

    proof.verify_proof(document, one, proof.key_from_multikey(one["verificationMethod"].partition("#")[2]))


def test_the_w3c_vector_verifies_once_its_example_context_is_known(published, monkeypatch):
    from lti_tool.issuers import contexts  # noqa: PLC0415  # only this test adds to what is pinned

    url = "https://www.w3.org/ns/credentials/examples/v2"
    path = published / "contexts" / "test-only" / "credentials-examples-v2.json"
    pinned = contexts.Pinned(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(contexts, "PINNED", {**contexts.PINNED, url: pinned})
    monkeypatch.setitem(contexts._documents, url, json.loads(path.read_text()))
    document = json.loads((published / "vectors" / "w3c-vc-di-eddsa.json").read_text())
    one = document["proof"]

    proof.verify_proof(document, one, proof.key_from_multikey(one["verificationMethod"].partition("#")[2]))
