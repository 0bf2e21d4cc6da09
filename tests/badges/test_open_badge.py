import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft201909Validator

from lti_tool.badges import open_badge
from lti_tool.issuers import did as dids
from lti_tool.issuers import proof

SCHEMAS = (
    "ob_v3p0_achievementcredential_schema.2024-09.formal.json",
    "ob_v3p0_achievementcredential_schema.2026-07.json",
)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_full_badge_satisfies_the_old_strict_and_the_new_schema(published, badge, schema):
    rules = json.loads((published / "schemas" / schema).read_text())

    Draft201909Validator(rules).validate(badge)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_badge_with_the_bare_minimum_satisfies_both_schemas(published, facts, schema):
    rules = json.loads((published / "schemas" / schema).read_text())

    Draft201909Validator(rules).validate(open_badge.build(bare(facts)))


@pytest.mark.parametrize("strip", [False, True])
def test_an_independent_library_verifies_what_we_sign(facts, key, method, now, strip):
    from openbadgeslib.ob3 import ldp  # noqa: PLC0415  # only this test needs it

    document = proof.sign(open_badge.build(bare(facts) if strip else facts), key, method, now)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    ldp.verify_data_integrity_proof(document, pem)
    with pytest.raises(ldp.OB3VerificationError):
        ldp.verify_data_integrity_proof({**document, "name": "Other"}, pem)


def test_the_contexts_are_exactly_three_and_in_order(badge):
    assert badge["@context"] == [
        "https://www.w3.org/ns/credentials/v2",
        "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",
        "https://purl.imsglobal.org/spec/ob/v3p0/extensions.json",
    ]


def test_a_badge_says_what_was_asked_and_who_assessed(badge):
    achievement = badge["credentialSubject"]["achievement"]

    assert achievement["achievementType"] == "MicroCredential"
    assert achievement["version"] == "2"
    assert achievement["criteria"]["id"] == achievement["id"] + "#criteria"
    assert achievement["criteria"]["narrative"].endswith(
        "Assessed by: course instructor (one rating). No agreement evidence."
    )


def test_every_criterion_names_the_level_that_was_required(badge):
    achievement = badge["credentialSubject"]["achievement"]

    criteria = [each for each in achievement["resultDescription"] if "rubricCriterionLevel" in each]
    assert [each["name"] for each in criteria] == ["Planning", "Prompting", "Reflection"]
    for described in criteria:
        levels = {level["id"] for level in described["rubricCriterionLevel"]}
        assert described["id"].startswith(achievement["id"] + "#")
        assert described["requiredLevel"] in levels
        assert described["resultType"] == "RubricCriterionLevel"


def test_the_e_mail_address_is_in_the_badge_only_as_the_standard_hashes_it(badge):
    (identity,) = badge["credentialSubject"]["identifier"]

    assert identity["identityHash"] == (
        "sha256$b5809d8a92f8858436d7e6b87c12ebc0ae1eac4baecc2c0b913aee2c922ef399"
    )
    assert identity["identityType"] == "emailAddress"
    assert "a@example.com" not in json.dumps(badge)


def test_evidence_is_described_and_can_be_recognised_but_leads_nowhere(badge):
    video, reflection = badge["evidence"]

    assert hashlib.sha256(b"test").hexdigest() in video["narrative"]
    assert [video["id"], reflection["id"]] == [f"{badge['id']}#evidence-1", f"{badge['id']}#evidence-2"]
    assert "http" not in json.dumps(badge["evidence"])


def test_a_standard_without_an_address_points_to_its_place_on_the_criteria_page(badge):
    listed, other = badge["credentialSubject"]["achievement"]["alignment"]

    assert listed["targetUrl"] == "https://standards.example.org/intasc/4a"
    assert other["targetUrl"].endswith("/credentials/shared-reading/2#standard-CEC%203.1")


def test_the_badge_of_a_stack_names_its_parts_in_words_and_by_address(facts, key, method, now):
    part = open_badge.PartFacts(id="https://badges.example.edu/credentials/songs/1", name="Songs", version=1)
    stack = replace(facts, achievement=replace(facts.achievement, parts=(part,), criteria=()))

    signed = proof.sign(open_badge.build(stack), key, method, now)

    achievement = signed["credentialSubject"]["achievement"]
    assert "related" not in achievement
    assert f"- Songs (version 1): {part.id}" in achievement["criteria"]["narrative"]
    assert [each["name"] for each in achievement["resultDescription"]] == ["How it was judged"]


def test_a_badge_carries_no_status_and_no_empty_member(facts):
    document = open_badge.build(bare(facts))

    assert "credentialStatus" not in document
    assert not {"evidence", "validUntil"} & document.keys()
    assert not {"identifier", "source"} & document["credentialSubject"].keys()


def test_an_assessing_body_within_the_issuer_is_told_apart_from_it(facts, did):
    within = replace(facts, source=open_badge.BodyFacts(id=did, name="Field Office", url=facts.issuer_url))

    document = open_badge.build(within)

    assert document["credentialSubject"]["source"]["id"] == f"{did}#assessing-body"
    assert open_badge.build(facts)["credentialSubject"]["source"] == document["issuer"]


def test_control_characters_from_file_names_and_word_processors_do_not_stop_a_badge(facts, key, method, now):
    pasted = replace(
        facts,
        achievement=replace(facts.achievement, criteria_narrative="First\vsecond\x00"),
        evidence=(open_badge.EvidenceFacts(name="video\x08.mp4", narrative="Eight\ud800 minutes"),),
    )

    signed = proof.sign(open_badge.build(pasted), key, method, now)

    assert signed["credentialSubject"]["achievement"]["criteria"]["narrative"].startswith("First\nsecond\n")
    assert signed["evidence"][0]["name"] == "video.mp4"
    assert signed["evidence"][0]["narrative"] == "Eight minutes"


def test_facts_survive_being_kept_as_json(facts):
    stored = json.loads(json.dumps(open_badge.as_map(facts)))

    assert open_badge.from_map(stored) == facts
    assert open_badge.build(open_badge.from_map(stored)) == open_badge.build(facts)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda f: replace(f, salt=None), "hashed with a salt"),
        (lambda f: replace(f, salt=""), "hashed with a salt"),
        (lambda f: replace(f, email=None), "hashed with a salt"),
        (lambda f: replace(f, issuer_name=" "), "the issuer's name"),
        (lambda f: replace(f, achievement=replace(f.achievement, criteria_narrative="")), "the criteria"),
        (lambda f: replace(f, achievement=replace(f.achievement, id="/credentials/x")), "achievement id"),
        (lambda f: replace(f, achievement=replace(f.achievement, language="english please")), "language tag"),
        (lambda f: replace(f, valid_until=f.awarded_at - timedelta(days=1)), "end before it begins"),
        (
            lambda f: replace(
                f,
                achievement=replace(
                    f.achievement, criteria=(replace(f.achievement.criteria[0], required_level="gold"),)
                ),
            ),
            "planning requires a level",
        ),
    ],
)
def test_facts_that_cannot_be_a_badge_are_refused_with_the_reason(facts, spoil, reason):
    with pytest.raises(open_badge.FactsUnusable, match=reason):
        open_badge.build(spoil(facts))


@pytest.mark.parametrize(
    ("public_url", "did"),
    [
        ("http://tool.localhost:8700", "did:web:tool.localhost%3A8700:issuers:7"),
        ("https://badges.example.edu/", "did:web:badges.example.edu:issuers:7"),
        ("https://Example.EDU/tessera", "did:web:example.edu:tessera:issuers:7"),
    ],
)
def test_an_issuers_did_follows_from_the_public_address(public_url, did):
    assert dids.issuer_did(public_url, 7) == did


@pytest.mark.parametrize("public_url", ["", "tool.localhost", "ftp://example.edu", "http://[::1]:8700"])
def test_an_address_without_a_host_name_gives_no_did(public_url):
    with pytest.raises(dids.AddressUnusable):
        dids.issuer_did(public_url, 1)


def test_the_did_document_lists_every_key_under_its_exact_url(did, key):
    retired = proof.new_signing_key().public_key()

    document = dids.did_document(did, [retired, key.public_key()])

    assert document["id"] == did
    assert document["assertionMethod"] == [entry["id"] for entry in document["verificationMethod"]]
    for entry in document["verificationMethod"]:
        assert entry["id"] == f"{did}#{entry['publicKeyMultibase']}"
        assert (entry["type"], entry["controller"]) == ("Multikey", did)
    assert dids.verification_method(did, key.public_key()) in document["assertionMethod"]


def bare(facts: open_badge.BadgeFacts) -> open_badge.BadgeFacts:
    achievement = replace(
        facts.achievement, image_url=None, alignments=(), criteria=(), tags=(), assessment_mode=""
    )
    return replace(
        facts, achievement=achievement, valid_until=None, email=None, salt=None, source=None, evidence=()
    )
