import json
import random
import time
from datetime import UTC, datetime, timedelta

import pytest

from lti_tool.badges import baking, images, open_badge, proof, verification
from lti_tool.badges.verification import CHECKS, Outcome, Standing

PICTURE = images.render(symbol="path", colour="#2d6a4f", shape="circle")


def test_our_own_badge_is_genuine_and_every_check_but_the_status_passed(judge, badge):
    verdict = judge(badge)

    assert verdict.ok
    assert tuple(check.name for check in verdict.checks) == CHECKS
    assert {check.name for check in verdict.checks if check.outcome is not Outcome.PASSED} == {
        verification.STATUS
    }
    assert verdict.reason.startswith("This badge is genuine")


def test_a_baked_badge_is_checked_like_its_json(judge, badge):
    baked = baking.bake_png(PICTURE, json.dumps(badge))

    assert judge(baked).checks == judge(badge).checks


def test_the_verdict_shows_what_the_badge_says_but_never_whom_it_names(judge, badge):
    shown = judge(badge).shown

    assert shown.name == "Shared Reading With Young Children"
    assert shown.issuer_name == "Department of Special Education"
    assert shown.criteria.startswith("Plan, lead and reflect")
    assert shown.valid_until == datetime(2031, 11, 2, tzinfo=UTC)
    assert "e-mail address" in shown.recipient
    assert "sha256" not in shown.recipient


def test_another_layout_of_the_same_json_is_still_genuine(judge, badge):
    assert judge(b"\xef\xbb\xbf" + json.dumps(badge, indent=4, sort_keys=True).encode()).ok


def rename(part, old, new):
    part[new] = part.pop(old)


ELSEWHERE = "https://www.w3.org/2018/credentials#validUntil"

TAMPERINGS = {
    "another name": (
        lambda d: d["credentialSubject"]["achievement"].update(name="Brain Surgery"),
        verification.SIGNATURE,
        "changed after it was signed",
    ),
    "another holder": (
        lambda d: d["credentialSubject"].update(id="urn:uuid:00000000-0000-0000-0000-000000000000"),
        verification.SIGNATURE,
        "changed after it was signed",
    ),
    "a longer life": (
        lambda d: d.update(validUntil="2099-01-01T00:00:00Z"),
        verification.SIGNATURE,
        "changed after it was signed",
    ),
    "no end": (lambda d: d.pop("validUntil"), verification.SIGNATURE, "changed after it was signed"),
    "another e-mail address": (
        lambda d: d["credentialSubject"]["identifier"][0].update(
            identityHash=open_badge.identity_hash("mallory@example.com", "Kosher")
        ),
        verification.SIGNATURE,
        "changed after it was signed",
    ),
    "more evidence": (
        lambda d: d["evidence"].append({"type": ["Evidence"], "name": "Prize"}),
        verification.SIGNATURE,
        "changed after it was signed",
    ),
    "another signing date": (
        lambda d: d["proof"][0].update(created="2026-11-03T00:00:00Z"),
        verification.SIGNATURE,
        "changed after it was signed",
    ),
    "a broken signature": (
        lambda d: d["proof"][0].update(proofValue="z" + "2" * 87),
        verification.SIGNATURE,
        "",
    ),
    "no signature value": (lambda d: d["proof"][0].pop("proofValue"), verification.SIGNATURE, "proofValue"),
    "the end hidden under its full address": (
        lambda d: rename(d, "validUntil", ELSEWHERE),
        verification.COVERED,
        "a full address stands where a plain name is read",
    ),
    "honours that nothing signed": (
        lambda d: d.update(honours="summa cum laude"),
        verification.COVERED,
        "honours",
    ),
    "a term of the issuer's that does not exist": (
        lambda d: d["issuer"].update(accredited=True),
        verification.COVERED,
        "issuer.accredited",
    ),
    "a remark in the signature": (
        lambda d: d["proof"][0].update(remark="verified by the state"),
        verification.COVERED,
        "proof.remark",
    ),
    "a vocabulary inside": (
        lambda d: d["credentialSubject"].update({"@context": {"honours": "https://example.org/h"}}),
        verification.COVERED,
        "@context",
    ),
    "the description moved to where it is not looked for": (
        lambda d: d["credentialSubject"]["achievement"].update(
            related=[{"id": d["credentialSubject"]["achievement"]["id"], "type": ["Achievement"]}]
        ),
        verification.COVERED,
        "in two places",
    ),
    "the issuer's name moved to the assessors": (
        lambda d: d["issuer"].pop("name"),
        verification.COVERED,
        "in two places",
    ),
    "a control character": (
        lambda d: d.update(description="\x08"),
        verification.COVERED,
        "control character",
    ),
    "contexts in another order": (
        lambda d: d["@context"].reverse(),
        verification.FORM,
        "not in the order",
    ),
    "a vocabulary that anyone could write": (
        lambda d: d["@context"].append("https://example.org/context"),
        verification.FORM,
        "not known here: https://example.org/context",
    ),
    "the unversioned context": (
        lambda d: d["@context"].__setitem__(1, "https://purl.imsglobal.org/spec/ob/v3p0/context.json"),
        verification.FORM,
        "not those of Open Badges 3.0",
    ),
    "another kind of credential": (
        lambda d: d.update(type=["VerifiableCredential"]),
        verification.FORM,
        "not an Open Badge",
    ),
    "no beginning": (lambda d: d.pop("validFrom"), verification.FORM, "“validFrom”"),
    "a date without a zone": (
        lambda d: d.update(validUntil="2031-11-02T00:00:00"),
        verification.FORM,
        "“validUntil” cannot be read",
    ),
    "dates in a list": (
        lambda d: d.update(validUntil=[d["validUntil"]]),
        verification.FORM,
        "“validUntil” cannot be read",
    ),
    "an issuer without a description": (
        lambda d: d.update(issuer=d["issuer"]["id"]),
        verification.FORM,
        "“issuer”",
    ),
    "nobody as its holder": (
        lambda d: [d["credentialSubject"].pop(name) for name in ("id", "identifier")],
        verification.FORM,
        "whom it was given to",
    ),
    "no criteria": (
        lambda d: d["credentialSubject"]["achievement"].update(criteria={"type": "Criteria"}),
        verification.FORM,
        "what had to be done",
    ),
    "no signature": (lambda d: d.pop("proof"), verification.SIGNER, "not signed"),
    "an empty list of signatures": (lambda d: d.update(proof=[]), verification.SIGNER, "not signed"),
    "two signatures": (lambda d: d["proof"].append(d["proof"][0]), verification.SIGNER, "several signatures"),
    "another purpose": (
        lambda d: d["proof"][0].update(proofPurpose="authentication"),
        verification.SIGNER,
        "another purpose",
    ),
    "another way of signing": (
        lambda d: d["proof"][0].update(cryptosuite="eddsa-jcs-2022"),
        verification.SIGNER,
        "not accepted here",
    ),
    "another issuer": (
        lambda d: d["issuer"].update(id="did:web:university.example"),
        verification.SIGNER,
        "somebody else's key",
    ),
    "somebody else's key": (
        lambda d: d["proof"][0].update(verificationMethod="did:web:mallory.example#key"),
        verification.SIGNER,
        "somebody else's key",
    ),
    "no key named": (
        lambda d: d["proof"][0].update(verificationMethod=d["issuer"]["id"]),
        verification.SIGNER,
        "with which key",
    ),
    "a key that the issuer never had": (
        lambda d: d["proof"][0].update(verificationMethod=d["issuer"]["id"] + "#other"),
        verification.ISSUER,
        "never had the key",
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_tampered_badge_is_refused_with_its_reason(judge, changed, what):
    work, check, reason = TAMPERINGS[what]

    verdict = judge(changed(work))

    assert not verdict.ok
    assert verdict.standing is Standing.REFUSED
    assert [each.name for each in verdict.checks if each.outcome is Outcome.FAILED] == [check]
    assert reason in verdict.reason


def test_a_badge_that_a_forger_signs_for_our_issuer_is_refused(judge, facts, did, now):
    forged = proof.new_signing_key()
    method = open_badge.verification_method(did, forged.public_key())

    verdict = judge(proof.sign(open_badge.build(facts), forged, method, now))

    assert verdict.standing is Standing.REFUSED
    assert "never had the key" in verdict.reason


def test_a_key_that_is_not_the_one_in_its_own_name_is_refused(badge, now):
    other = proof.new_signing_key().public_key()

    verdict = verification.verify(json.dumps(badge).encode(), keys=lambda *_: other, now=now)

    assert verdict.standing is Standing.REFUSED
    assert "another key" in verdict.reason


def test_a_member_written_twice_is_refused_because_programs_would_disagree(judge, badge):
    text = json.dumps(badge).replace('"name"', '"name": "Brain Surgery", "name"', 1)

    verdict = judge(text.encode())

    assert "twice" in verdict.reason


def test_a_badge_from_elsewhere_is_neither_accepted_nor_called_forged(judge, facts, now):
    key = proof.new_signing_key()
    elsewhere = open_badge.issuer_did("https://other.example.org", 3)
    document = open_badge.build(facts)
    document["issuer"]["id"] = elsewhere
    signed = proof.sign(document, key, open_badge.verification_method(elsewhere, key.public_key()), now)

    verdict = judge(signed)

    assert verdict.standing is Standing.UNDECIDED
    assert "could not be looked up here" in verdict.reason
    assert judge({**signed, "honours": "all"}).standing is Standing.REFUSED


def test_a_did_key_badge_fits_its_signature_but_proves_nobody(judge, facts, now):
    key = proof.new_signing_key()
    name = proof.multikey(key.public_key())
    document = open_badge.build(facts)
    document["issuer"]["id"] = f"did:key:{name}"
    signed = proof.sign(document, key, f"did:key:{name}#{name}", now)

    verdict = judge(signed)

    outcomes = {check.name: check.outcome for check in verdict.checks}
    assert outcomes[verification.SIGNATURE] is Outcome.PASSED
    assert outcomes[verification.ISSUER] is Outcome.NOT_CHECKED
    assert verdict.standing is Standing.UNDECIDED
    assert "under any name" in verdict.reason


def test_a_did_key_badge_signed_with_another_key_is_refused(judge, facts, now):
    key = proof.new_signing_key()
    name = proof.multikey(proof.new_signing_key().public_key())
    document = open_badge.build(facts)
    document["issuer"]["id"] = f"did:key:{name}"

    verdict = judge(proof.sign(document, key, f"did:key:{name}#{name}", now))

    assert verdict.standing is Standing.REFUSED


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (datetime(2026, 11, 2, 15, 20, tzinfo=UTC), "begins on 2 November 2026"),
        (datetime(2031, 11, 2, tzinfo=UTC), "valid until 2 November 2031"),
    ],
)
def test_a_badge_outside_its_dates_is_refused_with_the_date(badge, keys, when, reason):
    verdict = verification.verify(json.dumps(badge).encode(), keys=keys, now=when)

    assert verdict.standing is Standing.REFUSED
    assert reason in verdict.reason


def test_an_issuers_clock_may_be_five_minutes_ahead(badge, keys):
    when = datetime(2026, 11, 2, 15, 26, tzinfo=UTC)

    assert verification.verify(json.dumps(badge).encode(), keys=keys, now=when).ok


def test_a_signature_from_the_future_is_refused(facts, key, method, judge, now):
    verdict = judge(proof.sign(open_badge.build(facts), key, method, now + timedelta(days=2)))

    assert "a date that has not come yet: 23 November 2026" in verdict.reason


def test_a_signature_that_was_good_for_a_while_only_is_refused_afterwards(judge, changed):
    verdict = judge(changed(lambda d: d["proof"][0].update(expires="2026-11-20T00:00:00Z")))

    assert verdict.standing is Standing.REFUSED


def test_a_status_elsewhere_leaves_the_verdict_open(facts, key, method, judge, now):
    document = open_badge.build(facts)
    document["credentialStatus"] = {
        "id": "https://badges.example.edu/status/1",
        "type": "1EdTechRevocationList",
    }

    verdict = judge(proof.sign(document, key, method, now))

    assert verdict.standing is Standing.UNDECIDED
    assert "taken back" in verdict.reason


HOSTILE = {
    "nothing": (b"", "The file is empty"),
    "blanks": (b"  \n ", "The file is empty"),
    "noise": (b"\xff\xfe\x00noise", "neither a PNG image nor readable JSON"),
    "words": (b"hello", "neither a PNG image nor readable JSON"),
    "half a file": (b'{"@context": [', "neither a PNG image nor readable JSON"),
    "not a number": (b'{"a": NaN}', "neither a PNG image nor readable JSON"),
    "a number without end": (b'{"a": ' + b"9" * 10_000 + b"}", "neither a PNG image nor readable JSON"),
    "a list": (b"[]", "not a badge"),
    "null": (b"null", "not a badge"),
    "an empty object": (b"{}", "does not say that it is an Open Badge 3.0"),
    "an svg": (b"<svg/>", "SVG images and web pages are not read"),
    "a picture without a badge": (PICTURE, "no badge inside this image"),
    "a picture cut off": (PICTURE[:2000], "cut off"),
    "too much": (b'{"a": "' + b"x" * 2_000_001 + b'"}', "larger than 2 MB"),
    "depth": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "neither a PNG image nor readable JSON"),
    "an open badge 2": (
        b'{"@context": "https://w3id.org/openbadges/v2", "type": "Assertion"}',
        "older kind Open Badges 1 or 2",
    ),
    "another credential": (
        b'{"@context": ["https://www.w3.org/2018/credentials/v1", "https://example.org"]}',
        "not those of Open Badges 3.0",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_is_no_badge_gets_an_answer_and_no_error(judge, what):
    upload, reason = HOSTILE[what]

    verdict = judge(upload)

    assert not verdict.ok
    assert reason in verdict.reason
    assert verdict.shown is None


def test_a_badge_in_the_other_signature_format_is_called_unchecked_and_not_false(judge):
    verdict = judge(b"eyJhbGciOiJSUzI1NiJ9.eyJpZCI6InVybjp4In0.c2lnbmF0dXJl\n")

    assert verdict.standing is Standing.UNDECIDED
    assert "VC-JWT" in verdict.reason


def tied(count):
    return [{"id": f"_:n{k}", "type": ["Evidence"], "name": "x"} for k in range(count)]


def deep(levels):
    part = {"type": ["Profile"], "id": "urn:x"}
    for _ in range(levels):
        part = {"type": ["Profile"], "id": "urn:x", "parentOrg": part}
    return part


POISON = {
    "many alike": lambda d: d.update(evidence=[{"type": ["Evidence"], "name": "x"}] * 300),
    "more parts than any badge": lambda d: d.update(
        evidence=[{"type": ["Evidence"], "name": str(k)} for k in range(5_000)]
    ),
    "more words than any badge": lambda d: d["credentialSubject"]["achievement"].update(
        tag=[f"tag {k}" for k in range(20_000)]
    ),
    "labelled nodes": lambda d: d.update(evidence=tied(8)),
    "depth": lambda d: d["issuer"].update(parentOrg=deep(200)),
    "a name as long as a book": lambda d: d.update({"x" * 1_000_000: {str(k): k for k in range(2_000)}}),
    "a graph": lambda d: d.update({"@graph": [{"@id": f"_:b{k}"} for k in range(9)]}),
    "reverse": lambda d: d["issuer"].update({"@reverse": {"proof": tied(8)}}),
}


@pytest.mark.parametrize("what", POISON)
def test_a_document_made_to_keep_us_busy_is_refused_at_once(judge, changed, what):
    started = time.thread_time()

    verdict = judge(changed(POISON[what]))

    assert verdict.standing is Standing.REFUSED
    assert time.thread_time() - started < 2


def test_the_largest_document_that_is_let_through_does_not_keep_us_busy(judge, changed):
    many = [{"type": ["Evidence"], "name": str(k), "genre": "Text"} for k in range(500)]
    started = time.thread_time()

    verdict = judge(changed(lambda d: d.update(evidence=many)))

    assert verdict.reason.startswith("The badge was changed")
    assert time.thread_time() - started < 10


def test_no_spoilt_badge_ever_raises_or_passes(judge, badge):
    """A hundred and fifty badges, each with one part replaced, renamed or dropped somewhere."""
    dice = random.Random(20261121)
    odd = [
        None,
        True,
        0,
        -1,
        1e300,
        "",
        "x",
        [],
        {},
        [[]],
        [None],
        {"id": 5},
        {"@id": "urn:x"},
        "_:b",
        "did:key:z",
    ]

    def spoil(part):
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        at = dice.choice(keys)
        inner = part[at]
        if isinstance(inner, dict | list) and inner and dice.random() < 0.75:
            spoil(inner)
        elif isinstance(part, dict) and dice.random() < 0.3:
            part[dice.choice(["id", "type", "name", "honours", "@id", "proof", "@graph", "x:y"])] = part.pop(
                at
            )
        else:
            part[at] = dice.choice(odd)

    for _ in range(150):
        spoilt = json.loads(json.dumps(badge))
        spoil(spoilt)
        verdict = judge(spoilt)
        assert spoilt == badge or not verdict.ok
        assert verdict.reason
