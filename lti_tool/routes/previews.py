"""How a shared page looks elsewhere: the card that a social network shows, and what search engines and programs read.

It says what the page says and no more: the earner's name stands in it only where they agreed to show it, and nothing
is claimed of a badge that does not pass its checks.

Specs: https://ogp.me/, https://schema.org/EducationalOccupationalCredential
"""

from dataclasses import dataclass
from typing import Any

from flask import url_for

from lti_tool.badges.models import Share
from lti_tool.settings import current
from lti_tool.verification.verdict import Verdict

_MAX = 200
"""Characters of a description: what the cards show of it."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """All addresses are complete, since they are read elsewhere."""

    title: str
    description: str
    url: str
    image: str
    image_text: str
    data: dict[str, Any] | None
    """JSON-LD in the words of schema.org; None for a badge that is not genuine."""


def of_shared(share: Share, verdict: Verdict) -> Preview:
    """The preview of the page of a shared badge."""
    badge = share.badge
    achievement = badge.facts["achievement"]
    url = current().public_url + url_for("public.shared", token=share.token)
    name = share.name if share.show_name else None
    description = _short(
        achievement["description"] if verdict.ok else f"{verdict.headline}. {verdict.reason}"
    )
    image = achievement["image_url"] or f"{url}/badge.png"
    credential = {
        "@type": "EducationalOccupationalCredential",
        "url": url,
        "name": badge.title,
        "description": achievement["description"],
        "image": image,
        "credentialCategory": "badge",
        "competencyRequired": achievement["id"],
        "recognizedBy": {"@type": "Organization", "name": badge.issuer.name, "url": badge.issuer.url},
        "dateCreated": badge.awarded_at.date().isoformat(),
    }
    about = credential if name is None else {"@type": "Person", "name": name, "hasCredential": credential}
    return Preview(
        title=badge.title if name is None else f"{badge.title} – {name}",
        description=description,
        url=url,
        image=image,
        image_text=f"Badge: {badge.title}",
        data={"@context": "https://schema.org", **about} if verdict.ok else None,
    )


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _MAX else words[: _MAX - 1].rsplit(" ", 1)[0] + "…"
