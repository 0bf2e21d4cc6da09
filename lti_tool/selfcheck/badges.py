"""The badge: downloaded, shared, and checked by people who know only the file."""

import json
from urllib.parse import unquote

from lti_tool.selfcheck.browser import Page
from lti_tool.selfcheck.scene import Scene, expect, has_link, opened, soon

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
    scene.keep("badge.png", picture)
    expect(picture.startswith(_PNG) and b"openbadgecredential" in picture, "The picture holds no badge.")


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


def _did_address(did: str) -> str:
    """Where did:web says that the issuer's keys lie."""
    host, *path = did.removeprefix("did:web:").split(":")
    # The specification says https; on this machine there is only http.
    return f"http://{unquote(host)}/{'/'.join(path) or '.well-known'}/did.json"


def verify_accepts(scene: Scene) -> None:
    for name, kind in (("badge.json", "application/json"), ("badge.png", "image/png")):
        content = (scene.out / name).read_bytes()
        _verify(scene, name, content, kind).says("This badge is genuine", scene.credential)


def verify_refuses(scene: Scene) -> None:
    title = scene.credential.encode()
    tampered = scene.badge.replace(title, b"Advanced " + title)
    expect(tampered != scene.badge, "The badge does not contain its title as it stands on the pages.")
    page = _verify(scene, "badge.json", tampered, "application/json")
    page.says("Do not rely on this badge")
    expect("This badge is genuine" not in page.text, "A tampered badge was called genuine.")


def _verify(scene: Scene, name: str, content: bytes, kind: str) -> Page:
    browser = scene.browser("verifier")
    return browser.press(
        browser.get(f"{scene.tool}/verify"), "Check the badge", {"badge": (name, content, kind)}
    )
