import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lti_tool.badges import baking, images, open_badge
from lti_tool.badges.queries import BadgeStatus
from lti_tool.issuers import did as dids
from lti_tool.issuers import proof
from lti_tool.verification import verdict as checks
from lti_tool.verification.verdict import CHECKS, Outcome, Standing

PICTURE = images.render(symbol="path", colour="#2d6a4f", shape="circle")


def test_our_own_badge_is_genuine_and_passes_every_check(judge, badge):
    verdict = judge(badge, email="a@example.com")

    assert verdict.ok
    assert tuple(check.name for check in verdict.checks) == CHECKS
    assert {check.outcome for check in verdict.checks} == {Outcome.PASSED}
    assert verdict.headline == "This badge is genuine"


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
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "another holder": (
        lambda d: d["credentialSubject"].update(id="urn:uuid:00000000-0000-0000-0000-000000000000"),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "a longer life": (
        lambda d: d.update(validUntil="2099-01-01T00:00:00Z"),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "no end": (lambda d: d.pop("validUntil"), checks.SIGNATURE, "changed after it was signed"),
    "another e-mail address": (
        lambda d: d["credentialSubject"]["identifier"][0].update(
            identityHash=open_badge.identity_hash("mallory@example.com", "Kosher")
        ),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "more evidence": (
        lambda d: d["evidence"].append({"type": ["Evidence"], "name": "Prize"}),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "another signing date": (
        lambda d: d["proof"][0].update(created="2026-11-03T00:00:00Z"),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "a broken signature": (
        lambda d: d["proof"][0].update(proofValue="z" + "2" * 87),
        checks.SIGNATURE,
        "",
    ),
    "no signature value": (lambda d: d["proof"][0].pop("proofValue"), checks.SIGNATURE, "proofValue"),
    "the end hidden under its full address": (
        lambda d: rename(d, "validUntil", ELSEWHERE),
        checks.COVERED,
        "a full address stands where a plain name is read",
    ),
    "honours that nothing signed": (
        lambda d: d.update(honours="summa cum laude"),
        checks.COVERED,
        "honours",
    ),
    "a term of the issuer's that does not exist": (
        lambda d: d["issuer"].update(accredited=True),
        checks.COVERED,
        "issuer.accredited",
    ),
    "a remark in the signature": (
        lambda d: d["proof"][0].update(remark="verified by the state"),
        checks.COVERED,
        "proof.remark",
    ),
    "a vocabulary inside": (
        lambda d: d["credentialSubject"].update({"@context": {"honours": "https://example.org/h"}}),
        checks.COVERED,
        "@context",
    ),
    "the description moved to where it is not looked for": (
        lambda d: d["credentialSubject"]["achievement"].update(
            related=[{"id": d["credentialSubject"]["achievement"]["id"], "type": ["Achievement"]}]
        ),
        checks.COVERED,
        "in two places",
    ),
    "the issuer's name moved to the assessors": (
        lambda d: d["issuer"].pop("name"),
        checks.COVERED,
        "in two places",
    ),
    "a control character": (
        lambda d: d.update(description="\x08"),
        checks.COVERED,
        "control character",
    ),
    "contexts in another order": (
        lambda d: d["@context"].reverse(),
        checks.FORM,
        "not in the order",
    ),
    "a vocabulary that anyone could write": (
        lambda d: d["@context"].append("https://example.org/context"),
        checks.FORM,
        "not known here: https://example.org/context",
    ),
    "the unversioned context": (
        lambda d: d["@context"].__setitem__(1, "https://purl.imsglobal.org/spec/ob/v3p0/context.json"),
        checks.FORM,
        "a vocabulary that is not known here",
    ),
    "another kind of credential": (
        lambda d: d.update(type=["VerifiableCredential"]),
        checks.FORM,
        "not an Open Badge",
    ),
    "no beginning": (lambda d: d.pop("validFrom"), checks.FORM, "“validFrom”"),
    "a date without a zone": (
        lambda d: d.update(validUntil="2031-11-02T00:00:00"),
        checks.FORM,
        "“validUntil” cannot be read",
    ),
    "dates in a list": (
        lambda d: d.update(validUntil=[d["validUntil"]]),
        checks.FORM,
        "“validUntil” cannot be read",
    ),
    "an issuer without a description": (
        lambda d: d.update(issuer=d["issuer"]["id"]),
        checks.FORM,
        "“issuer”",
    ),
    "nobody as its holder": (
        lambda d: [d["credentialSubject"].pop(name) for name in ("id", "identifier")],
        checks.FORM,
        "whom it was given to",
    ),
    "no criteria": (
        lambda d: d["credentialSubject"]["achievement"].update(criteria={"type": "Criteria"}),
        checks.FORM,
        "what had to be done",
    ),
    "no signature": (lambda d: d.pop("proof"), checks.SIGNER, "not signed"),
    "an empty list of signatures": (lambda d: d.update(proof=[]), checks.SIGNER, "not signed"),
    "two signatures": (lambda d: d["proof"].append(d["proof"][0]), checks.SIGNER, "several signatures"),
    "another purpose": (
        lambda d: d["proof"][0].update(proofPurpose="authentication"),
        checks.SIGNER,
        "another purpose",
    ),
    "another way of signing": (
        lambda d: d["proof"][0].update(cryptosuite="eddsa-jcs-2022"),
        checks.SIGNER,
        "cannot be checked here",
    ),
    "another issuer": (
        lambda d: d["issuer"].update(id="did:web:university.example"),
        checks.SIGNER,
        "somebody else's key",
    ),
    "somebody else's key": (
        lambda d: d["proof"][0].update(verificationMethod="did:web:mallory.example#key"),
        checks.SIGNER,
        "somebody else's key",
    ),
    "no key named": (
        lambda d: d["proof"][0].update(verificationMethod=d["issuer"]["id"]),
        checks.SIGNER,
        "with which key",
    ),
    "a key that the issuer never had": (
        lambda d: d["proof"][0].update(verificationMethod=d["issuer"]["id"] + "#other"),
        checks.ISSUER,
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
    method = dids.verification_method(did, forged.public_key())

    verdict = judge(proof.sign(open_badge.build(facts), forged, method, now))

    assert verdict.standing is Standing.REFUSED
    assert "never had the key" in verdict.reason


def test_a_key_that_is_not_the_one_in_its_own_name_is_refused(judge, badge, method):
    other = proof.multikey(proof.new_signing_key().public_key())

    verdict = judge(badge, ours={method: other})

    assert verdict.standing is Standing.REFUSED
    assert "another key" in verdict.reason


def test_a_member_written_twice_is_refused_because_programs_would_disagree(judge, badge):
    text = json.dumps(badge).replace('"name"', '"name": "Brain Surgery", "name"', 1)

    verdict = judge(text.encode())

    assert "twice" in verdict.reason


def test_a_badge_from_elsewhere_is_neither_accepted_nor_called_forged(judge, facts, now):
    key = proof.new_signing_key()
    elsewhere = dids.issuer_did("https://other.example.org", 3)
    document = open_badge.build(facts)
    document["issuer"]["id"] = elsewhere
    signed = proof.sign(document, key, dids.verification_method(elsewhere, key.public_key()), now)

    verdict = judge(signed)

    assert verdict.standing is Standing.UNDECIDED
    assert "could not be asked for its keys: other.example.org does not answer" in verdict.reason
    assert judge({**signed, "honours": "all"}).standing is Standing.REFUSED
    assert judge({**signed, "name": "Brain Surgery"}).standing is Standing.REFUSED


def test_a_did_key_badge_fits_its_signature_but_proves_nobody(judge, facts, now):
    key = proof.new_signing_key()
    name = proof.multikey(key.public_key())
    document = open_badge.build(facts)
    document["issuer"]["id"] = f"did:key:{name}"
    signed = proof.sign(document, key, f"did:key:{name}#{name}", now)

    verdict = judge(signed)

    outcomes = {check.name: check.outcome for check in verdict.checks}
    assert outcomes[checks.SIGNATURE] is Outcome.PASSED
    assert outcomes[checks.ISSUER] is Outcome.NOT_CHECKED
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
def test_a_badge_outside_its_dates_is_refused_with_the_date(judge, badge, when, reason):
    verdict = judge(badge, when=when)

    assert verdict.standing is Standing.REFUSED
    assert reason in verdict.reason
    assert verdict.headline == "This badge is not valid today"


def test_an_issuers_clock_may_be_five_minutes_ahead(judge, badge):
    assert judge(badge, when=datetime(2026, 11, 2, 15, 26, tzinfo=UTC)).ok


def test_a_signature_from_the_future_is_refused(facts, key, method, judge, now):
    verdict = judge(proof.sign(open_badge.build(facts), key, method, now + timedelta(days=2)))

    assert "a date that has not come yet: 23 November 2026" in verdict.reason


def test_a_signature_that_was_good_for_a_while_only_is_refused_afterwards(judge, changed):
    verdict = judge(changed(lambda d: d["proof"][0].update(expires="2026-11-20T00:00:00Z")))

    assert verdict.standing is Standing.REFUSED


def test_a_badge_of_ours_that_was_revoked_says_when_and_why(judge, badge):
    revoked = BadgeStatus(
        revoked_at=datetime(2026, 11, 20, tzinfo=UTC), reason="Awarded in error.", reissued=False
    )

    verdict = judge(badge, status=revoked)

    assert verdict.standing is Standing.REFUSED
    assert verdict.headline == "This badge was revoked"
    assert verdict.reason == "Revoked on 20 November 2026 because: Awarded in error."
    again = judge(badge, status=replace(revoked, reason="Re-issued", reissued=True))
    assert "A newer one was issued in its place" in again.reason


def test_a_badge_of_ours_without_a_record_is_not_called_genuine(judge, badge):
    verdict = judge(badge, status=None)

    assert verdict.standing is Standing.UNDECIDED
    assert "no record" in verdict.reason


def test_a_tampered_badge_does_not_tell_whether_the_true_one_was_revoked(judge, changed):
    revoked = BadgeStatus(revoked_at=datetime(2026, 11, 20, tzinfo=UTC), reason="Private", reissued=False)

    verdict = judge(changed(lambda d: d.update(name="Brain Surgery")), status=revoked)

    assert "Private" not in str(verdict)


@pytest.mark.parametrize("typed", ["a@example.com", " a@example.com ", "A@Example.com"])
def test_the_address_that_somebody_types_is_compared_with_the_hashed_one(judge, badge, typed):
    assert judge(badge, email=typed).ok

    other = judge(badge, email="mallory@example.com")

    assert other.standing is Standing.REFUSED
    assert other.headline == "This badge was not given to that e-mail address"
    assert "mallory" not in str(other)


@pytest.mark.parametrize(
    ("hashed", "typed"),
    [
        ("Lena@X.edu", "Lena@X.edu"),
        ("Lena@X.edu", "lena@x.edu"),
        ("Lena.Roth@x.edu", "lena.roth@x.edu"),
        ("LRoth@x.edu", "LRoth@X.EDU"),
        ("lena@x.edu", "LENA@X.EDU"),
    ],
)
def test_an_address_with_other_capitals_is_not_called_somebody_elses(
    judge, facts, key, method, hashed, typed
):
    badge = proof.sign(open_badge.build(replace(facts, email=hashed)), key, method, facts.awarded_at)

    assert judge(badge, email=typed).ok

    other = judge(badge, email="mallory@x.edu")
    assert other.standing is Standing.REFUSED
    assert "other capital letters" in other.reason


def test_an_address_that_cannot_be_compared_is_not_called_wrong(judge, facts, key, method, now):
    document = open_badge.build(facts)
    document["credentialSubject"]["identifier"][0]["identityType"] = "sisSourcedId"

    verdict = judge(proof.sign(document, key, method, now), email="a@example.com")

    assert verdict.standing is Standing.UNDECIDED
    assert "proves nothing either way" in verdict.reason


NO_BADGES = {
    "nothing": (b"", "The file is empty"),
    "blanks": (b"  \n ", "The file is empty"),
    "noise": (b"\xff\xfe\x00noise", "not a badge file"),
    "words": (b"hello", "not a badge file"),
    "half a file": (b'{"@context": [', "cut off or damaged"),
    "not a number": (b'{"a": NaN}', "cut off or damaged"),
    "a number without end": (b'{"a": ' + b"9" * 10_000 + b"}", "cut off or damaged"),
    "a list": (b"[]", "not a badge"),
    "null": (b"null", "not a badge"),
    "an empty object": (b"{}", "none that says that it is an Open Badge 3.0"),
    "an svg without a badge": (b"<svg/>", "no badge inside this image"),
    "a web page": (b"<!DOCTYPE html><html>", "a web page"),
    "a certificate": (b"%PDF-1.7 ...", "a PDF document"),
    "a photo": (b"\xff\xd8\xff\xe0", "a JPEG photo"),
    "an archive": (b"PK\x03\x04", "an archive"),
    "a picture without a badge": (PICTURE, "no badge inside this image"),
    "too much": (b'{"a": "' + b"x" * 2_000_001 + b'"}', "larger than 2 MB"),
    "depth": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "cut off or damaged"),
    "an open badge 2": (
        b'{"@context": "https://w3id.org/openbadges/v2", "type": "Assertion"}',
        "This is an Open Badge 1 or 2",
    ),
    "a signed open badge 2": (
        b"eyJhbGciOiJSUzI1NiJ9.eyJAY29udGV4dCI6Imh0dHBzOi8vdzNpZC5vcmcvb3BlbmJhZGdlcy92MiJ9.c2lnbmF0dXJl",
        "This is an Open Badge 1 or 2",
    ),
    "another token": (
        b"eyJhbGciOiJSUzI1NiJ9.eyJpZCI6InVybjp4In0.c2lnbmF0dXJl\n",
        "none that says that it is",
    ),
    "half a token": (b"eyJhbGciOiJSUzI1NiJ9.eyJpZCI6In.c2", "cut off or damaged"),
    "another credential": (
        b'{"@context": ["https://www.w3.org/ns/credentials/v2"], "type": ["VerifiableCredential"],'
        b'"issuer": "did:web:example.org", "credentialSubject": {}}',
        "of some other kind",
    ),
}


@pytest.mark.parametrize("what", NO_BADGES)
def test_a_file_that_is_no_badge_is_called_just_that(judge, what):
    upload, reason = NO_BADGES[what]

    verdict = judge(upload)

    assert verdict.standing is Standing.NO_BADGE
    assert verdict.headline == "There is no badge to check here"
    assert reason in verdict.reason
    assert verdict.shown is None


UNSURE = {
    "a picture cut off": (PICTURE[:2000], "cut off"),
    "an older token": (b"eyJhbGciOiJSUzI1NiJ9.eyJ2YyI6e319.c2lnbmF0dXJl", "older form"),
    "an older credential": (
        b'{"@context": ["https://www.w3.org/2018/credentials/v1", "https://purl.imsglobal.org/spec/ob/v3p0/context.json"],'
        b'"type": ["VerifiableCredential", "OpenBadgeCredential"], "credentialSubject": {}}',
        "older form",
    ),
}


@pytest.mark.parametrize("what", UNSURE)
def test_what_may_be_a_good_badge_elsewhere_is_not_called_bad(judge, what):
    upload, reason = UNSURE[what]

    verdict = judge(upload)

    assert verdict.standing is Standing.UNDECIDED
    assert reason in verdict.reason


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
    verdict = judge(changed(POISON[what]))

    assert verdict.standing is Standing.REFUSED


def test_the_largest_document_that_is_let_through_is_checked_within_the_time_it_gets(judge, changed):
    many = [{"type": ["Evidence"], "name": str(k), "genre": "Text"} for k in range(500)]

    verdict = judge(changed(lambda d: d.update(evidence=many)))

    assert verdict.reason.startswith("The badge was changed")


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
