"""The badge: downloaded, shared, and checked by people who know only the file."""

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urljoin

from lti_tool.selfcheck.browser import Page
from lti_tool.selfcheck.scene import FACULTY, OTHER_EARNER, Scene, expect, has_link, opened, soon

_FILES = {
    "badge.json": "application/json",
    "badge.png": "image/png",
    "badge.svg": "image/svg+xml",
    "badge.jwt": "text/plain",
}
_REASON = "Awarded for the wrong micro-credential."
_PNG = b"\x89PNG\r\n\x1a\n"


def badge_is_signed(scene: Scene) -> None:
    browser = scene.browser(scene.earner)
    badges = browser.get(opened(scene, scene.earner).link("See your badge"))
    badges.says("My badges", scene.credential)
    scene.badge_page = badges.link(scene.credential)

    def signed() -> Page | None:
        page = browser.get(scene.badge_page)
        return page if has_link(page, "Download as JSON") else None

    page = soon(signed, "the badge is not signed")
    scene.badge = browser.get(page.link("Download as JSON")).content
    scene.keep("badge.json", scene.badge)
    document = json.loads(scene.badge)
    expect("OpenBadgeCredential" in document["type"], f"The badge says it is {document['type']}.")
    expect(
        document["credentialSubject"]["achievement"]["name"] == scene.credential,
        "The badge has another name.",
    )
    picture = browser.get(page.link("Download as PNG")).content
    expect(picture.startswith(_PNG) and b"openbadgecredential" in picture, "The picture holds no badge.")
    drawing = browser.get(page.link("Download as SVG")).content
    expect(
        drawing.startswith(b"<svg") and b"<openbadges:credential>" in drawing, "The drawing holds no badge."
    )
    token = browser.get(page.link("Download as JWT")).content
    expect(token.count(b".") == 2, "The JWT does not have three parts.")
    for name, content in (("badge.png", picture), ("badge.svg", drawing), ("badge.jwt", token)):
        scene.keep(name, content)


def badge_is_shared(scene: Scene) -> None:
    browser = scene.browser(scene.earner)
    page = browser.get(scene.badge_page)
    expect("/shared/" not in page.text, "The badge was public before it was shared.")
    shared = browser.press(page, "Share this badge", {"show_name": True})
    address = shared.link(scene.tool)
    public = scene.browser("anyone").get(address)
    expect(public.status == 200, f"The public page does not open. {public.summary()}")
    public.says(scene.credential, scene.earner, "This badge is genuine")


def verifier_fetches_keys(scene: Scene) -> None:
    document = json.loads(scene.badge)
    issuer = document["issuer"]["id"]
    page = scene.browser("verifier").get(_did_address(issuer))
    scene.keep("did.json", page.content)
    did = json.loads(page.content)
    expect(did["id"] == issuer, f"The badge names {issuer}, the document {did['id']}.")
    proof = document["proof"]
    proof = proof[0] if isinstance(proof, list) else proof
    known = [method["id"] for method in did["verificationMethod"]]
    expect(proof["verificationMethod"] in known, f"The key {proof['verificationMethod']} is not published.")
    _fetch_key_set(scene)
    expect(not _listed(scene, document), "The badge is listed as revoked.")


def _fetch_key_set(scene: Scene) -> None:
    """The key of the signed text: at its own address, and in the set of its host."""
    browser = scene.browser("verifier")
    header = (scene.out / "badge.jwt").read_bytes().partition(b".")[0]
    kid = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))["kid"]
    page = browser.get(urljoin(kid, "/.well-known/jwks.json"))
    scene.keep("jwks.json", page.content)
    listed = json.loads(page.content)["keys"]
    expect(json.loads(browser.get(kid).content) in listed, f"The key {kid} is not published.")


def _listed(scene: Scene, document: Mapping[str, Any]) -> bool:
    """Whether the list that a badge names has its place set; the list is kept as the latest."""
    status = document["credentialStatus"]
    page = scene.browser("verifier").get(status["statusListCredential"])
    scene.keep("status.json", page.content)
    encoded = json.loads(page.content)["credentialSubject"]["encodedList"].removeprefix("u")
    bits = gzip.decompress(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    place = int(status["statusListIndex"])
    return bool(bits[place // 8] & 0x80 >> place % 8)


def _did_address(did: str) -> str:
    """Where did:web says that the issuer's keys lie."""
    host, *path = did.removeprefix("did:web:").split(":")
    # The specification says https; on this machine there is only http.
    return f"http://{unquote(host)}/{'/'.join(path) or '.well-known'}/did.json"


def verify_accepts(scene: Scene) -> None:
    for name, kind in _FILES.items():
        content = (scene.out / name).read_bytes()
        _verify(scene, name, content, kind).says("This badge is genuine", scene.credential)


def verify_refuses(scene: Scene) -> None:
    title = scene.credential.encode()
    tampered = scene.badge.replace(title, b"Advanced " + title)
    expect(tampered != scene.badge, "The badge does not contain its title as it stands on the pages.")
    page = _verify(scene, "badge.json", tampered, "application/json")
    page.says("Do not rely on this badge")
    expect("This badge is genuine" not in page.text, "A tampered badge was called genuine.")


def badge_is_revoked(scene: Scene) -> None:
    """The other earner has the file already: what they hold has to be refused everywhere."""
    earner, faculty = scene.browser(OTHER_EARNER), scene.browser(FACULTY)
    address = earner.get(opened(scene, OTHER_EARNER).link("See your badge")).link(scene.credential)

    def signed() -> Page | None:
        page = earner.get(address)
        return page if has_link(page, "Download as JSON") else None

    badge = earner.get(soon(signed, "the badge is not signed").link("Download as JSON")).content
    _verify(scene, "badge.json", badge, "application/json").says("This badge is genuine")
    look = faculty.get(scene.revocation)
    form, _ = look.button("Revoke the badge")
    names = [field.name for field in form.fields]
    reason, sure = (next(name for name in names if name.startswith(start)) for start in ("reason-", "sure-"))
    faculty.press(look, "Revoke the badge", {reason: _REASON, sure: True}).says("Revoked", _REASON)
    refused = _verify(scene, "badge.json", badge, "application/json")
    refused.says("This badge was revoked", _REASON)
    expect("This badge is genuine" not in refused.text, "A revoked badge was called genuine.")
    soon(
        lambda: _listed(scene, json.loads(badge)) or None, "the list does not say that the badge was revoked"
    )
    scene.keep("revoked.json", badge)
    _verify(scene, "badge.json", scene.badge, "application/json").says("This badge is genuine")


def _verify(scene: Scene, name: str, content: bytes, kind: str) -> Page:
    browser = scene.browser("verifier")
    return browser.press(
        browser.get(f"{scene.tool}/verify"), "Check the badge", {"badge": (name, content, kind)}
    )
