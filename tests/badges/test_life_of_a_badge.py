"""What happens to a badge after its award: it is signed, named, taken back, issued again, and listed."""

import base64
import gzip
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select

from lti_tool.backpack import sharing
from lti_tool.badges import open_badge, queries, service, signing
from lti_tool.badges.models import Badge, BadgeDocument, Share
from lti_tool.badges.signing import EMBEDDED_PROOF, VC_JWT, revoked_places
from lti_tool.credentials.models import Version
from lti_tool.database import db
from lti_tool.errors import BadgeRevoked, NotHere, ReasonMissing, SubjectChosen
from lti_tool.issuers import keys, status
from lti_tool.issuers.models import IssuerKey, StatusList
from lti_tool.passback.models import Score
from tests.support.apps import NOON
from tests.support.cast import Campus

LATER = NOON + timedelta(hours=1)
Award = Callable[..., Badge]


@pytest.fixture
def award(app: Flask, campus: Campus) -> Award:
    def awarded(
        who: str = "lena", *, email: str | None = "lena@example.edu", key: str = "udl-variability"
    ) -> Badge:
        version = (
            db.session.scalars(select(Version).join(Version.credential).filter_by(key=key)).unique().one()
        )
        criterion = version.criteria[0]
        badge = service.award(
            person_id=campus.persons[who],
            version=version,
            decision_id=1,
            source="Example University",
            email=email,
            evidence=[
                service.EvidenceFact(title="A page", kind="link", digest=None, url="https://example.org/page")
            ],
            results=[(criterion.key, criterion.levels[-1].key)],
            now=NOON,
        )
        db.session.commit()
        return badge

    return awarded


def document(badge: Badge) -> dict:
    return json.loads(queries.document(badge.id))


def bit(badge: Badge) -> int:
    """The badge's bit in the list that is served, read as the specification says."""
    listed = json.loads(status.published(badge.issuer_id, badge.status_index // status.ENTRIES))
    encoded = listed["credentialSubject"]["encodedList"]
    packed = base64.urlsafe_b64decode(encoded[1:] + "=" * (-len(encoded[1:]) % 4))
    bits, index = gzip.decompress(packed), badge.status_index % status.ENTRIES
    assert (encoded[0], len(bits) * 8) == ("u", status.ENTRIES)
    return bits[index // 8] >> (7 - index % 8) & 1


def payload(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_badge_is_signed_once_in_both_formats_which_say_the_same(app, award):
    with app.app_context():
        badge = award()

        assert signing.sign_due(now=NOON) == 1
        first = {row.format: row.text for row in db.session.scalars(select(BadgeDocument))}
        assert signing.sign_due(now=LATER) == 0

        assert first.keys() == {EMBEDDED_PROOF, VC_JWT}
        assert {row.format: row.text for row in db.session.scalars(select(BadgeDocument))} == first
        claims = payload(first[VC_JWT])
        credential = document(badge)
        del credential["proof"]
        assert claims == credential | {
            "iss": credential["issuer"]["id"],
            "jti": credential["id"],
            "sub": credential["credentialSubject"]["id"],
            "nbf": int(NOON.timestamp()),
        }


def test_a_badge_that_an_older_version_signed_stays_as_it_is_and_gets_its_second_format(app, award):
    with app.app_context():
        badge = award()
        signing.sign_due(now=NOON)
        row = db.session.get_one(BadgeDocument, (badge.id, EMBEDDED_PROOF))
        older = row.text
        db.session.delete(db.session.get_one(BadgeDocument, (badge.id, VC_JWT)))
        db.session.get_one(Badge, badge.id).to_sign_since = NOON
        db.session.commit()

        signing.sign_due(now=LATER)

        assert queries.document(badge.id) == older
        assert payload(queries.document(badge.id, VC_JWT))["id"] == json.loads(older)["id"]


def test_facts_from_before_there_were_status_lists_are_signed_with_one(app, award):
    with app.app_context():
        badge = award()
        old = dict(badge.facts)
        for name in ("status", "issued_at", "results", "shows_results", "shows_evidence"):
            del old[name]
        for name in ("credits", "asked", "passing"):
            old["achievement"] = {key: part for key, part in old["achievement"].items() if key != name}
        badge.facts = old
        db.session.commit()

        signing.sign_due(now=NOON)

        assert document(badge)["credentialStatus"]["statusListIndex"] == str(
            badge.status_index % status.ENTRIES
        )


def test_without_an_address_a_badge_waits_until_its_earner_has_chosen_whom_it_names(app, award, campus):
    with app.app_context():
        by_address, by_number = award("lena", email=None), award("mateo", email=None)
        assert signing.sign_due(now=NOON) == 0

        service.choose_subject(by_address.id, campus.persons["lena"], email="lena@example.net", now=LATER)
        service.choose_subject(by_number.id, campus.persons["mateo"], email=None, now=LATER)
        db.session.commit()
        assert signing.sign_due(now=LATER) == 2

        assert document(by_address)["credentialSubject"]["identifier"][0]["hashed"] is True
        assert "identifier" not in document(by_number)["credentialSubject"]
        assert document(by_address)["awardedDate"] == "2026-10-05T12:00:00Z"
        with pytest.raises(SubjectChosen):
            service.choose_subject(by_address.id, campus.persons["lena"], email=None, now=LATER)
        with pytest.raises(NotHere):
            service.choose_subject(by_number.id, campus.persons["lena"], email=None, now=LATER)


def test_a_revoked_badge_is_listed_as_soon_as_the_worker_has_looked(app, award):
    with app.app_context():
        badge, other = award("lena"), award("mateo")
        signing.sign_due(now=NOON)
        assert (bit(badge), bit(other)) == (0, 0)

        service.revoke(badge.id, reason="Awarded by mistake.", by_account_id=None, now=LATER)
        db.session.commit()
        signing.sign_due(now=LATER)

        assert (bit(badge), bit(other)) == (1, 0)
        stands = queries.status_of(document(badge)["id"])
        assert stands == queries.BadgeStatus(revoked_at=LATER, reason="Awarded by mistake.", reissued=False)


def test_a_badge_is_taken_back_once_and_never_without_a_reason(app, award):
    with app.app_context():
        badge = award()

        with pytest.raises(ReasonMissing):
            service.revoke(badge.id, reason=" ", by_account_id=None, now=NOON)
        service.revoke(badge.id, reason="Mistake.", by_account_id=None, now=NOON)
        for again in (service.revoke, service.reissue):
            more = {"reason": "Twice."} if again is service.revoke else {"change": service.Reissue()}
            with pytest.raises(BadgeRevoked):
                again(badge.id, by_account_id=None, now=LATER, **more)
        with pytest.raises(NotHere):
            service.revoke("no such badge", reason="x", by_account_id=None, now=NOON)

        assert badge.revocation_reason == "Mistake."
        assert signing.sign_due(now=LATER) == 0


def test_a_reissued_badge_takes_the_place_of_the_old_one_and_links_nothing_to_it(app, award, campus):
    with app.app_context():
        old = award()
        signing.sign_due(now=NOON)
        shared = sharing.share(old.id, person_id=campus.persons["lena"], name="Lena Brandt", now=NOON)
        db.session.commit()

        change = service.Reissue(email="lena@example.net", name="Lena Okafor")
        new = service.reissue(old.id, change=change, by_account_id=campus.accounts["ingrid"], now=LATER)
        db.session.commit()
        signing.sign_due(now=LATER)

        before, after = document(old), document(new)
        assert (after["awardedDate"], after["validFrom"]) == ("2026-10-05T12:00:00Z", "2026-10-05T13:00:00Z")
        assert before["credentialSubject"]["achievement"] == after["credentialSubject"]["achievement"]
        assert before["credentialSubject"]["id"] != after["credentialSubject"]["id"]
        assert before["credentialSubject"]["identifier"] != after["credentialSubject"]["identifier"]
        assert (bit(old), bit(new)) == (1, 0)
        assert queries.status_of(before["id"]).reissued
        assert queries.shared(shared.token, now=LATER).badge_id == new.id
        assert [share.name for share in db.session.scalars(select(Share))] == ["Lena Okafor"]
        assert db.session.scalars(select(Badge).where(Badge.revoked_at.is_(None))).all() == [new]
        assert db.session.scalars(select(Score)).all() == []


def test_results_and_links_are_written_only_into_a_badge_that_was_issued_again_for_it(app, award):
    with app.app_context():
        first = award()
        second = service.reissue(
            first.id, change=service.Reissue(results=True, evidence=True), by_account_id=None, now=LATER
        )
        third = service.reissue(
            second.id, change=service.Reissue(unnamed=True), by_account_id=None, now=LATER
        )
        fourth = service.reissue(
            third.id, change=service.Reissue(results=False, evidence=False), by_account_id=None, now=LATER
        )
        texts = [json.dumps(built(each)) for each in (first, second, third, fourth)]

        assert ["achievedLevel" in text for text in texts] == [False, True, True, False]
        assert ["https://example.org/page" in text for text in texts] == [False, True, True, False]
        assert ["identityHash" in text for text in texts] == [True, True, False, False]


def built(badge: Badge) -> dict:
    return open_badge.build(open_badge.from_map(badge.facts))


def test_a_list_is_renewed_well_before_it_ends_and_not_with_every_look(app, award):
    with app.app_context():
        badge = award()
        signing.sign_due(now=NOON)
        first = status.published(badge.issuer_id, badge.status_index // status.ENTRIES)

        signing.sign_due(now=LATER)
        assert status.published(badge.issuer_id, badge.status_index // status.ENTRIES) == first
        signing.sign_due(now=NOON + timedelta(days=3))

        renewed = json.loads(status.published(badge.issuer_id, badge.status_index // status.ENTRIES))
        assert renewed["validFrom"] == "2026-10-08T12:00:00Z"
        assert json.loads(first)["validUntil"] == "2026-10-12T12:00:00Z"


def test_a_worker_that_was_slow_never_puts_an_older_list_over_a_newer_one(app, award):
    with app.app_context():
        badge = award()
        signing.sign_due(now=NOON)
        row = db.session.scalars(select(StatusList)).one()
        row.due_at = NOON
        db.session.commit()

        def looked_before_the_revocation(issuer_id: int, first: int, last: int) -> list[int]:
            seen = list(revoked_places(issuer_id, first, last))
            with app.app_context():
                # While this worker is at it, the badge is revoked and another worker signs the list.
                service.revoke(badge.id, reason="Mistake.", by_account_id=None, now=LATER)
                db.session.commit()
                signing.sign_due(now=LATER)
            return seen

        status.sign_due(looked_before_the_revocation, now=LATER + timedelta(minutes=1))

        db.session.expire_all()
        assert bit(badge) == 1


def test_a_revocation_while_a_list_is_being_signed_has_it_signed_again(app, award):
    with app.app_context():
        badge = award()

        def revoked_meanwhile(issuer_id: int, first: int, last: int) -> list[int]:
            seen = list(revoked_places(issuer_id, first, last))
            with app.app_context():
                service.revoke(badge.id, reason="Mistake.", by_account_id=None, now=NOON)
                db.session.commit()
            return seen

        status.sign_due(revoked_meanwhile, now=NOON)
        db.session.expire_all()
        assert bit(badge) == 0

        signing.sign_due(now=LATER)
        assert bit(badge) == 1


def test_a_badge_that_is_revoked_while_it_waits_its_turn_is_not_signed(app, award):
    with app.app_context():
        badges = {award("lena").id, award("mateo").id}

        @event.listens_for(db.session, "after_commit")
        def revoked_once_the_other_is_signed(_session: object) -> None:
            with app.app_context():
                signed = set(db.session.scalars(select(BadgeDocument.badge_id)))
                standing = set(db.session.scalars(select(Badge.id).where(Badge.revoked_at.is_(None))))
                if signed and standing == badges:
                    for late in badges - signed:
                        service.revoke(late, reason="Mistake.", by_account_id=None, now=NOON)
                    db.session.commit()

        try:
            assert signing.sign_due(now=NOON) == 1
        finally:
            event.remove(db.session, "after_commit", revoked_once_the_other_is_signed)

        db.session.expire_all()
        revoked = db.session.scalars(select(Badge).where(Badge.revoked_at.is_not(None))).one()
        assert revoked.documents == []


def test_new_keys_sign_from_now_on_and_old_ones_stay_published(app, award):
    client = app.test_client()
    with app.app_context():
        before = award("lena")
        signing.sign_due(now=NOON)
        issuer = keys.ensure_issuer(now=LATER)
        keys.rotate(issuer, now=LATER)
        db.session.commit()
        after = award("mateo")
        signing.sign_due(now=LATER)

        methods = [document(each)["proof"][0]["verificationMethod"] for each in (before, after)]
        tokens = [queries.document(each.id, VC_JWT) for each in (before, after)]
        named = [json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "==="))["kid"] for token in tokens]
        assert len(db.session.scalars(select(IssuerKey).where(IssuerKey.retired_at.is_(None))).all()) == 2

    published = client.get("/issuers/1/did.json").json
    assert len(set(methods)) == 2
    assert set(methods) == set(published["assertionMethod"])
    listed = {key["kid"]: key for key in client.get("/.well-known/jwks.json").json["keys"]}
    assert set(named) == set(listed)
    for kid in named:
        bare = client.get(kid.removeprefix("http://tool.localhost:8700"))
        assert (bare.mimetype, bare.json) == ("application/jwk+json", listed[kid])
        assert bare.json.keys() == {"kty", "n", "e", "kid", "alg", "use", "iss"}


def test_what_verifiers_fetch_may_be_read_from_any_site_and_is_kept_for_minutes_only(app, award):
    client = app.test_client()
    with app.app_context():
        award()
        assert client.get("/issuers/1/status/0").status_code == 409
        signing.sign_due(now=NOON)

    for path, kind in {
        "/issuers/1/did.json": "application/did+json",
        "/issuers/1": "application/did+json",
        "/.well-known/jwks.json": "application/jwk-set+json",
        "/issuers/1/status/0": "application/vc+ld+json",
    }.items():
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (200, kind)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "public, max-age=300"
    for path in ("/issuers/9", "/issuers/1/status/9", "/issuers/1/keys/none"):
        assert client.get(path).status_code == 404
    assert client.get("/lti/jwks").json != client.get("/.well-known/jwks.json").json
