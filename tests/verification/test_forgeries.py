"""Badges of ours that somebody worked on, in every form in which they travel. With those in test_verdicts (JSON)
there are well over forty; each is refused for its own reason."""

import base64
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lti_tool.badges import baking, images, open_badge
from lti_tool.issuers import vc_jwt
from lti_tool.verification import verdict as checks
from lti_tool.verification.verdict import Outcome
from tests.verification.elsewhere import number
from tests.verification.test_revocation import BITS, SET, entry
from tests.verification.test_verdicts import TAMPERINGS

KID = "https://badges.example.edu/issuers/1/keys/a"
LOOK = {"symbol": "path", "colour": "#2d6a4f", "shape": "circle"}
TITLE = "Shared Reading With Young Children"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Forms:
    """One badge of ours as JSON and as signed text."""

    text: str
    token: str

    def png(self, text: str | None = None) -> bytes:
        return baking.bake_png(images.render(**LOOK), text or self.text)

    def svg(self, text: str | None = None) -> str:
        return baking.bake_svg(images.svg(**LOOK), text or self.text)

    def with_header(self, **more: object) -> str:
        head, rest = self.token.split(".", 1)
        return f"{packed(unpacked(head) | more)}.{rest}"

    def with_payload(self, **more: object) -> str:
        head, body, signature = self.token.split(".")
        return f"{head}.{packed(unpacked(body) | more)}.{signature}"


@pytest.fixture
def forms(facts, badge) -> Forms:
    return Forms(json.dumps(badge), vc_jwt.sign(open_badge.build(facts), RSA, KID))


@pytest.fixture
def ours(keys):
    public = RSA.public_key().public_numbers()
    return keys | {KID: {"kty": "RSA", "n": number(public.n), "e": number(public.e)}}


def unpacked(part: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def confused(forms: Forms) -> str:
    """Signed with the public key as if it were a shared secret, which careless readers believe."""
    secret = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body = packed({"alg": "HS256", "typ": "JWT", "kid": KID}), forms.token.split(".")[1]
    return f"{head}.{body}.{base64.urlsafe_b64encode(secret[:32]).rstrip(b'=').decode()}"


def another(forms: Forms, **more: object) -> str:
    """Signed by a forger whose key we never had, but who names one that we have."""
    forger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    payload = unpacked(forms.token.split(".")[1])
    return jwt.encode(payload, forger, algorithm="RS256", headers={"kid": KID} | more)


FORGERIES: dict[str, tuple[Callable[[Forms], object], str, str]] = {
    "png: a word of the badge": (
        lambda f: f.png(f.text.replace(TITLE, "Brain Surgery")),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "png: a byte without its checksum": (
        lambda f: f.png().replace(b"Shared Reading", b"Reading Shared"),
        checks.FILE,
        "checksum",
    ),
    "png: a second badge": (
        lambda f: f.png()[:-12] + chunk(b"iTXt", b"openbadgecredential\0\0\0\0\0{}") + f.png()[-12:],
        checks.FILE,
        "more than one badge",
    ),
    "png: a badge cut short": (lambda f: f.png(f.text[:-40]), checks.FILE, "cut off or damaged"),
    "png: the end of the file": (lambda f: f.png()[:2000], checks.FILE, "cut off"),
    "png: signed text with a changed word": (
        lambda f: f.png(f.with_payload(name="Brain Surgery")),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "svg: a word of the badge": (
        lambda f: f.svg().replace(TITLE, "Brain Surgery"),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "svg: a second badge": (
        lambda f: f.svg().replace("</svg>", "<openbadges:credential>{}</openbadges:credential></svg>"),
        checks.FILE,
        "more than one badge",
    ),
    "svg: one badge to read and another to check": (
        lambda f: f.svg().replace("<openbadges:credential>", f'<openbadges:credential verify="{f.token}">'),
        checks.FILE,
        "neither a badge nor a picture",
    ),
    "svg: an entity": (
        lambda f: f'<!DOCTYPE svg [<!ENTITY x "y">]>{f.svg()}',
        checks.FILE,
        "declares entities",
    ),
    "svg: no end": (lambda f: f.svg().removesuffix("</svg>"), checks.FILE, "not complete SVG"),
    "svg: signed text with another end": (
        lambda f: f.svg(f.with_payload(validUntil="2099-01-01T00:00:00Z", exp=4070908800)),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "jwt: another name": (
        lambda f: f.with_payload(name="Brain Surgery"),
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "jwt: another holder, in one place only": (
        lambda f: f.with_payload(sub="urn:uuid:another"),
        checks.FORM,
        "sub",
    ),
    "jwt: a longer life, in one place only": (lambda f: f.with_payload(exp=4070908800), checks.FORM, "exp"),
    "jwt: an issuer of the forger's": (
        lambda f: f.with_payload(iss="did:web:mallory.example"),
        checks.FORM,
        "iss",
    ),
    "jwt: no algorithm": (lambda f: f.with_header(alg="none"), checks.SIGNER, "would prove anything"),
    "jwt: a shared secret": (confused, checks.SIGNER, "would prove anything"),
    "jwt: a key of the forger's": (another, checks.SIGNATURE, "changed after it was signed"),
    "jwt: a key that the issuer never had": (
        lambda f: another(f, kid="https://badges.example.edu/issuers/1/keys/b"),
        checks.ISSUER,
        "never had the key",
    ),
    "jwt: an address for the key": (
        lambda f: f.with_header(jku="https://mallory.example"),
        checks.FILE,
        "jku",
    ),
    "jwt: no signature": (
        lambda f: f.token.rpartition(".")[0] + ".",
        checks.SIGNATURE,
        "changed after it was signed",
    ),
    "jwt: the signature of another text": (
        lambda f: f.token.rpartition(".")[0] + "." + another(f).rpartition(".")[2],
        checks.SIGNATURE,
        "changed after it was signed",
    ),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forgery_is_refused_with_its_reason(judge, forms, ours, what):
    work, check, reason = FORGERIES[what]
    forged = work(forms)

    verdict = judge(forged.encode() if isinstance(forged, str) else forged, ours=ours)

    assert not verdict.ok
    assert next(each.name for each in verdict.checks if each.outcome is not Outcome.PASSED) == check, verdict
    assert reason in verdict.reason


def test_the_forms_themselves_are_genuine(judge, forms, ours):
    for form in (forms.text, forms.token, forms.svg(), forms.svg(forms.token)):
        assert judge(form.encode(), ours=ours).ok
    for picture in (forms.png(), forms.png(forms.token)):
        assert judge(picture, ours=ours).ok


LISTS = {
    "the bit cleared under the old signature": lambda d, _: d["credentialSubject"].update(encodedList=_),
    "another validity": lambda d, _: d.update(validUntil="2099-01-01T00:00:00Z"),
    "another issuer": lambda d, _: d.update(issuer="did:web:mallory.example"),
    "another purpose": lambda d, _: d["credentialSubject"].update(statusPurpose="suspension"),
    "no signature": lambda d, _: d.pop("proof"),
    "another list": lambda d, _: d.update(id="https://mallory.example/status/1"),
}


@pytest.mark.parametrize("what", LISTS)
def test_a_forged_status_list_never_makes_a_revoked_badge_stand(ask, foreign, unsigned, now, what):
    address = foreign.site.origin + "/status/1"
    badge = foreign.sign({**unsigned, "credentialStatus": entry(foreign)}, now)
    clear = foreign.status_list(address, BITS, now)["credentialSubject"]["encodedList"]
    forged = foreign.sign(foreign.status_list(address, SET, now), now)
    LISTS[what](forged, clear)
    foreign.site.put("/status/1", forged)

    assert not ask(badge).ok


def test_there_are_at_least_forty_and_every_form_is_among_them():
    forms = {what.partition(":")[0] for what in FORGERIES}

    assert forms == {"png", "svg", "jwt"}
    assert len(TAMPERINGS) + len(FORGERIES) + len(LISTS) >= 40
    assert len({reason for _, _, reason in (*TAMPERINGS.values(), *FORGERIES.values())}) >= 30
