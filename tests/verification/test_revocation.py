"""Whether another issuer's badge was revoked: asked of the list it names, and only a list the issuer signed counts."""

from datetime import timedelta

import pytest

from lti_tool.issuers import proof
from lti_tool.verification import verdict as checks
from lti_tool.verification.verdict import Outcome, Standing

BITS = bytes(16_384)
SET = bytes(11_872) + b"\x08" + bytes(4_511)
"""The list in which place 94980 is set."""


def entry(foreign, **more):
    address = foreign.site.origin + "/status/1"
    return {
        "id": f"{address}#94980",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": "94980",
        "statusListCredential": address,
        **more,
    }


@pytest.fixture
def listed(foreign, unsigned, now):
    """Put a list there, and give a signed badge that names it."""

    def put(bits=BITS, *, change=None, sign=True, **status):
        address = foreign.site.origin + "/status/1"
        document = foreign.status_list(address, bits, now)
        if change is not None:
            change(document)
        foreign.site.put("/status/1", foreign.sign(document, now) if sign else document)
        return foreign.sign({**unsigned, "credentialStatus": entry(foreign, **status)}, now)

    return put


def outcome(verdict):
    return next(check.outcome for check in verdict.checks if check.name == checks.STATUS)


def test_a_badge_whose_place_is_clear_stands(ask, listed, foreign):
    verdict = ask(listed())

    assert verdict.ok, verdict.reason
    assert outcome(verdict) is Outcome.PASSED
    assert foreign.site.asked == ["/issuers/7/did.json", "/status/1"]


def test_a_badge_whose_place_is_set_was_revoked(ask, listed):
    verdict = ask(listed(SET))

    assert verdict.standing is Standing.REFUSED
    assert verdict.headline == "This badge was revoked"


def test_a_suspended_badge_is_refused_with_that_word(ask, listed):
    badge = listed(
        SET,
        change=lambda d: d["credentialSubject"].update(statusPurpose="suspension"),
        statusPurpose="suspension",
    )

    assert "suspended" in ask(badge).reason


def test_only_a_list_that_the_issuer_signed_and_that_holds_today_counts(ask, listed, now):
    earlier, later = proof.timestamp(now - timedelta(days=1)), proof.timestamp(now + timedelta(days=1))
    assert_unsure(ask, listed(sign=False), "not signed")
    assert_unsure(
        ask, listed(change=lambda d: d.update(validUntil=earlier)), "out of date since 20 November 2026"
    )
    assert_unsure(ask, listed(change=lambda d: d.update(validFrom=later)), "not come yet")
    assert_unsure(ask, listed(change=lambda d: d.update(issuer="did:web:mallory.example")), "somebody else")
    assert_unsure(
        ask,
        listed(change=lambda d: d["credentialSubject"].update(statusPurpose="suspension")),
        "another purpose",
    )


def assert_unsure(ask, badge, reason):
    verdict = ask(badge)
    assert verdict.standing is Standing.UNDECIDED, verdict.reason
    assert reason in verdict.reason


def test_a_list_that_was_changed_on_the_way_does_not_count(ask, listed, foreign, now):
    badge = listed(SET)
    address = foreign.site.origin + "/status/1"
    cleared = foreign.status_list(address, BITS, now)
    forged = foreign.sign(foreign.status_list(address, SET, now), now) | {
        "credentialSubject": cleared["credentialSubject"]
    }
    foreign.site.put("/status/1", forged)

    assert_unsure(ask, badge, "its own signature does not fit")


def test_hostile_lists_are_given_up(ask, listed):
    assert_unsure(ask, listed(bytes(20_000_000)), "larger than any real one")
    assert_unsure(ask, listed(bytes(1_000)), "shorter than the standard allows")
    assert_unsure(ask, listed(statusListIndex="131072"), "no place of the number")
    for index in ("-1", "1e3", 94980):
        assert_unsure(ask, listed(statusListIndex=index), "where it stands")
    for encoded in ("uAAAA", "zabc", "u%%%"):
        assert_unsure(
            ask,
            listed(change=lambda d, e=encoded: d["credentialSubject"].update(encodedList=e)),
            "cannot be unpacked",
        )


def test_a_list_that_cannot_be_read_leaves_the_verdict_open(ask, listed, foreign):
    badge = listed()
    foreign.site.put("/status/1", b"", status=500)

    assert_unsure(ask, badge, "error 500")
    assert_unsure(ask, listed(statusListCredential="http://169.254.169.254/latest"), "nothing is fetched")


def test_a_list_as_signed_text_counts_too(ask, listed, foreign, now):
    badge = listed()
    address = foreign.site.origin + "/status/1"
    document = foreign.status_list(address, SET, now) | {"iss": foreign.did}
    listing = {**document, "issuer": {"id": foreign.did}}
    token = foreign.token(listing, {"alg": "ES256", "kid": foreign.site.origin + "/issuers/7/key"}, sub=None)
    foreign.site.put("/issuers/7/key", foreign.jwk("ES256"))
    foreign.site.put("/status/1", token, kind="application/vc+jwt")

    assert ask(badge).headline == "This badge was revoked"


@pytest.mark.parametrize("bits", [BITS, SET])
def test_a_list_signed_with_a_key_that_may_be_anybodys_does_not_count(
    ask, listed, foreign, unsigned, now, bits
):
    """The badge itself is beyond doubt; its list was made by somebody with a page on the issuer's host."""
    badge = listed()
    address = foreign.site.origin + "/status/1"
    document = foreign.status_list(address, bits, now) | {"issuer": {"id": foreign.did}}
    kid = foreign.site.put("/uploads/mallory/key", foreign.jwk(iss=foreign.did))
    token = foreign.token(document, {"alg": "RS256", "kid": kid}, sub=None)
    foreign.site.put("/status/1", token, kind="application/vc+jwt")

    assert_unsure(ask, badge, "its signature could not be checked")


def test_the_plain_list_of_1edtech_names_the_revoked_with_their_reasons(ask, foreign, unsigned, now):
    address = foreign.site.origin + "/revoked"
    status = {"id": address, "type": "1EdTechRevocationList"}
    context = [*unsigned["@context"]]
    badge = foreign.sign({**unsigned, "@context": context, "credentialStatus": status}, now)
    revoked = {"id": unsigned["id"], "revoked": True, "revocationReason": "Awarded in error"}

    foreign.site.put("/revoked", {"revokedCredential": [{"id": "urn:uuid:other"}]})
    assert ask(badge).ok

    foreign.site.put("/revoked", {"revokedCredential": [revoked]})
    assert "because: Awarded in error" in ask(badge).reason

    foreign.site.put("/revoked", {"revokedCredential": [revoked | {"revoked": False}]})
    assert ask(badge).ok

    foreign.site.put("/revoked", {"something": "else"})
    assert_unsure(ask, badge, "no such list")


def test_another_way_of_saying_it_is_called_unknown_and_not_passed(ask, foreign, unsigned, now):
    status = {"id": "https://example.org/x#1", "type": "StatusList2021Entry"}

    try:
        signed = foreign.sign({**unsigned, "credentialStatus": status}, now)
    except proof.NotCovered:
        signed = foreign.sign(
            {**unsigned, "credentialStatus": status | {"type": "1EdTechCredentialRefresh"}}, now
        )

    assert_unsure(ask, signed, "not known here")


def test_a_list_is_not_even_asked_for_a_badge_whose_signature_does_not_fit(ask, listed, foreign):
    assert ask({**listed(), "name": "Brain Surgery"}).standing is Standing.REFUSED
    assert "/status/1" not in foreign.site.asked
