"""Taking a badge out of what somebody sent: a JSON file, signed text (JWS), a PNG or an SVG image.

Strict where readers could differ, since a file that two programs read in two ways is two badges. Whatever is no
badge gets an answer that says what it is and what to use instead.

Spec: https://www.imsglobal.org/spec/ob/v3p0/#badge-baking
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from lti_tool.badges import baking
from lti_tool.verification.verdict import FILE, Outcome, Standing, Stop

MAX_JSON = 2_000_000
"""Bytes of a badge as JSON. Ours are below 20 kB; foreign ones may carry pictures."""

_JWS = re.compile(rb"\s*(ey[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)\s*")
_KINDS = (
    (b"%PDF", "a PDF document. A certificate is for reading; what can be checked is the badge itself"),
    (b"PK\x03\x04", "an archive or an office document. Unpack it first, if a badge is inside"),
    (b"\xff\xd8\xff", "a JPEG photo, and no badge can be inside one"),
    (b"GIF8", "a GIF picture, and no badge can be inside one"),
    (b"RIFF", "a picture or sound of a kind that no badge can be inside"),
)
OLDER = (
    "This is an Open Badge 1 or 2, the kind that was common until 2024. It may be perfectly good, but this page "
    "checks Open Badges 3.0 only. Use the checking page that its issuer names."
)
OLD_FORM = (
    "The badge is written in the older form of such credentials (version 1.1), which is not checked here. "
    "Ask the issuer, or use its checking page."
)


class MeantTwice(ValueError):  # named for what is wrong, as all of ours are
    """An object says the same name twice. Programs differ in which one they take."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key[:60]


def content(upload: bytes) -> bytes:
    """The badge's own text, taken out of its picture if it came in one. Raises ``Stop`` for what holds no badge."""
    upload = upload.removeprefix(b"\xef\xbb\xbf")
    if not upload.strip():
        raise _no_badge("The file is empty.")
    for start, kind in _KINDS:
        if upload.startswith(start):
            raise _no_badge(f"This is not a badge file but {kind}.")
    if upload.startswith(baking.PNG_SIGNATURE):
        upload = _unbaked(baking.unbake_png, upload)
    elif upload.lstrip().startswith(b"<"):
        if b"<svg" not in upload[:20_000] and b":svg" not in upload[:20_000]:
            raise _no_badge(
                "This is a web page or another document, not a badge file. On the page of a badge, look for "
                "“Download” and choose the file that it gives you."
            )
        upload = _unbaked(baking.unbake_svg, upload)
    if len(upload) > MAX_JSON:
        raise _no_badge(f"The file is larger than {MAX_JSON // 1_000_000} MB, which no real badge is.")
    return upload


def compact(text: bytes) -> bytes | None:
    """The compact JWS that ``text`` is, without the white space around it; None if it is none."""
    found = _JWS.fullmatch(text)
    return None if found is None else found[1]


def document(text: bytes) -> dict[str, Any]:
    """The credential in ``text``. Raises ``Stop`` for what is none."""
    try:
        found = parsed(text)
    except MeantTwice as cause:
        raise Stop(
            FILE, f"The file says “{cause.key}” twice, so programs would read different badges in it."
        ) from cause
    except ValueError as cause:
        if text.lstrip()[:1] == b"{":
            raise _no_badge(
                "This looks like a badge file that is cut off or damaged: it is not complete JSON. Use the file "
                "exactly as it was downloaded."
            ) from cause
        raise _no_badge("This is not a badge file: there is neither a badge nor a picture in it.") from cause
    if not isinstance(found, dict):
        raise _no_badge("The file is JSON, but not a badge.")
    return as_credential(found)


def as_credential(found: Mapping[str, Any]) -> dict[str, Any]:
    """``found`` if it says that it is a credential. Raises ``Stop``."""
    if _older(found):
        raise Stop(FILE, OLDER, Standing.NO_BADGE)
    if "vc" in found and "credentialSubject" not in found:
        raise Stop(FILE, OLD_FORM, Outcome.NOT_CHECKED)
    if "credentialSubject" not in found and "VerifiableCredential" not in _listed(found.get("type")):
        raise _no_badge("There is data in it, but none that says that it is an Open Badge 3.0.")
    return dict(found)


def parsed(text: bytes) -> Any:
    """``text`` as JSON without names said twice, NaN and halves of characters. Raises ``ValueError``."""
    try:
        found = json.loads(
            text.decode("utf-8-sig"), object_pairs_hook=_without_doubles, parse_constant=_no_constant
        )
        if b"\\u" in text:
            # Half a character (\ud800) can be written, but neither shown nor stored nor looked up.
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as cause:
        raise ValueError("nested too deeply") from cause
    return found


def _older(found: Mapping[str, Any]) -> bool:
    contexts = [each for each in _listed(found.get("@context")) if isinstance(each, str)]
    named = any("w3id.org/openbadges/v" in each or "openbadgespec.org" in each for each in contexts)
    unnamed = not contexts and "badge" in found and "recipient" in found
    return (named or unnamed) and "credentialSubject" not in found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _unbaked(unbake: Any, image: bytes) -> bytes:
    try:
        text: str = unbake(image)
    except baking.OlderBadge as cause:
        raise Stop(FILE, OLDER, Standing.NO_BADGE) from cause
    except baking.SeveralBadges as cause:
        raise Stop(FILE, str(cause)) from cause
    except (baking.ImageDamaged, baking.BadgeTextUnreadable) as cause:
        raise Stop(FILE, str(cause), Outcome.NOT_CHECKED) from cause
    except baking.ImageUnreadable as cause:
        raise _no_badge(str(cause)) from cause
    return text.encode("utf-8", "surrogatepass")


def _no_badge(explanation: str) -> Stop:
    return Stop(FILE, explanation, Standing.NO_BADGE)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise MeantTwice(key)
        members[key] = value
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
