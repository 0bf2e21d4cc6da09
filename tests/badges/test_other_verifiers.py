"""Badges as the application issues them, before schemas and verifiers that are not ours."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft201909Validator
from jwt import PyJWK
from openbadgeslib import baking as their_baking
from openbadgeslib.ob3 import OB3LdpVerifier, OB3Verifier

from lti_tool import clock
from lti_tool.badges import baking, images
from lti_tool.badges.signing import EMBEDDED_PROOF, VC_JWT
from tests.badges.issued import HOST, Issued, asked_in_javascript, documents_of, issue
from tests.support.apps import running

SCHEMAS = (
    "ob_v3p0_achievementcredential_schema.2024-09.formal.json",
    "ob_v3p0_achievementcredential_schema.2026-07.json",
)
FORMATS = {"json": EMBEDDED_PROOF, "jwt": VC_JWT}


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issued]:
    with running(tmp_path_factory.mktemp("issuing"), PUBLIC_URL=HOST) as app:
        yield issue(app)


@dataclass(frozen=True)
class Carried:
    """What openbadgeslib took out of a picture of ours."""

    badge_id: str
    form: str
    picture: str
    text: str


@pytest.fixture(scope="module")
def carried(issued: Issued) -> list[Carried]:
    """Every badge, out of either picture, in either format."""
    pictures: dict[tuple[str, str, str], bytes] = {}
    found = []
    for badge_id, texts in issued.texts.items():
        symbol, colour, shape = look = issued.looks[badge_id]
        if look not in pictures:
            pictures[look] = images.render(symbol=symbol, colour=colour, shape=shape)
        drawing = images.svg(symbol=symbol, colour=colour, shape=shape, title="A <badge> & more")
        for form, kept in FORMATS.items():
            svg = baking.bake_svg(drawing, texts[kept]).encode()
            png = baking.bake_png(pictures[look], texts[kept])
            extracted = {
                "svg": their_baking.extract_svg(svg, element="openbadges:credential", text_fallback=True),
                "png": their_baking.extract_png(png, keyword=b"openbadgecredential"),
            }
            for picture, text in extracted.items():
                assert text is not None
                found.append(
                    Carried(badge_id, form, picture, text.decode() if isinstance(text, bytes) else text)
                )
    return found


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_shape_of_badge_satisfies_the_old_strict_and_the_new_schema(issued, published, schema):
    rules = Draft201909Validator(json.loads((published / "schemas" / schema).read_text()))

    for badge in documents_of(issued).values():
        rules.validate(badge)


def test_the_badges_are_of_every_shape(issued):
    badges = {name: documents_of(issued)[badge_id] for name, badge_id in issued.badges.items()}

    full = badges["issued again, with results and links"]
    achievement = full["credentialSubject"]["achievement"]
    assert full["awardedDate"] <= full["validFrom"]
    assert {each.get("achievedLevel") is None for each in full["credentialSubject"]["result"]} == {
        True,
        False,
    }
    assert [each["id"] for each in full["evidence"]].count("https://example.org/page") == 1
    assert achievement["creditsAvailable"] == 0.5
    assert len(achievement["endorsement"]) == 2
    assert not any(
        "result" in badge["credentialSubject"] or "example.org/page" in json.dumps(badge)
        for name, badge in badges.items()
        if badge is not full
    )
    assert "identifier" not in badges["by a random identifier"]["credentialSubject"]
    assert "creditsAvailable" not in badges["two-authorities"]["credentialSubject"]["achievement"]
    assert "alignment" not in badges["spare-nea"]["credentialSubject"]["achievement"]
    assert any("Completed by earning" in json.dumps(badge) for badge in badges.values())


def test_the_javascript_libraries_verify_every_badge_in_both_formats_and_see_which_is_revoked(
    issued, carried
):
    """As it was signed, and as others take it out of its pictures."""
    told = [
        (badge_id, form, texts[kept])
        for badge_id, texts in issued.texts.items()
        for form, kept in FORMATS.items()
    ]
    told += [(one.badge_id, one.form, one.text) for one in carried]
    jobs = [
        {"format": form, "badge": json.loads(text) if form == "json" else text, "id": badge_id}
        for badge_id, form, text in told
    ]
    changed = tampered(issued.texts[issued.badges["udl-variability"]])

    answers = asked_in_javascript([*jobs, *changed], issued.published, clock.now())

    good, bad = answers[: len(jobs)], answers[len(jobs) :]
    assert [answer["error"] for answer in good if answer["error"]] == []
    gone = {issued.badges["fading-prompts"], issued.badges["spare-nea"]}
    assert [answer["revoked"] for answer in good] == [job["id"] in gone for job in jobs]
    assert [answer["verified"] for answer in bad] == [False, False, False]


def tampered(texts: dict[str, str]) -> list[dict[str, Any]]:
    """Another name, a member that no context defines, and a changed token: so that a yes means something."""
    renamed = json.loads(texts[EMBEDDED_PROOF])
    renamed["credentialSubject"]["achievement"]["name"] = "Brain Surgery"
    unknown = json.loads(texts[EMBEDDED_PROOF]) | {"honours": "summa cum laude"}
    header, payload, signature = texts[VC_JWT].split(".")
    return [
        {"format": "json", "badge": renamed},
        {"format": "json", "badge": unknown},
        {"format": "jwt", "badge": f"{header}.{payload[:-8]}AAAAAAAA.{signature}"},
    ]


def test_openbadgeslib_verifies_every_badge_in_both_formats_and_sees_which_is_revoked(issued):
    def download(url: str) -> bytes:
        return json.dumps(issued.published[url]).encode()

    (jwk,) = issued.published[f"{HOST}/.well-known/jwks.json"]["keys"]
    pem = PyJWK(jwk).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    did = next(iter(documents_of(issued).values()))["issuer"]["id"]
    # Their own check of a list's signature wants a JWT; the JavaScript libraries check ours.
    how: dict[str, Any] = {"check_status": True, "verify_status_list": False, "download": download}
    revoked = set()
    for badge_id, texts in issued.texts.items():
        for verifier, form in (
            (OB3LdpVerifier.for_issuer_did(did), EMBEDDED_PROOF),
            (OB3Verifier(pem), VC_JWT),
        ):
            try:
                verifier.verify(texts[form], **how)
            except Exception as problem:
                if "status 'revocation' is set" not in str(problem):
                    raise
                revoked.add((badge_id, form))

    gone = {issued.badges["fading-prompts"], issued.badges["spare-nea"]}
    assert revoked == {(badge_id, form) for badge_id in gone for form in FORMATS.values()}


def test_others_find_every_badge_in_its_pictures_as_it_was_signed(issued, carried):
    assert len(carried) == 4 * len(issued.texts)
    for one in carried:
        text = issued.texts[one.badge_id][FORMATS[one.form]]
        if one.picture == "png" or one.form == "jwt":
            assert one.text == text
        else:
            assert json.loads(one.text) == json.loads(text)
