"""The JSON-LD contexts a badge names, from pinned files and never from the network.

A signature covers what a document *means*, and the contexts decide that. Were one fetched while signing or
verifying, whoever serves it could change what old signatures say, and forgers could make us call any address.
So each context is a file of an installed package, compared with the hash written here; any other is refused.

Spec: https://www.w3.org/TR/vc-data-integrity/#validating-contexts
"""

import hashlib
import importlib.util
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CREDENTIALS_V2 = "https://www.w3.org/ns/credentials/v2"
OPEN_BADGES = "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json"
EXTENSIONS = "https://purl.imsglobal.org/spec/ob/v3p0/extensions.json"

CARRIER = "openbadgeslib"
"""The distribution whose data files are read. It is located, not imported."""


@dataclass(frozen=True)
class Pinned:
    """One context file: its name inside the carrier and the hash it must have."""

    file: str
    sha256: str


PINNED: Mapping[str, Pinned] = {
    CREDENTIALS_V2: Pinned(
        "credentials-v2.json", "59955ced6697d61e03f2b2556febe5308ab16842846f5b586d7f1f7adec92734"
    ),
    OPEN_BADGES: Pinned(
        "ob-v3p0-context-3.0.3.json", "3d34f4d4ef1bce691106e63798beb5e7b862ba841423f5ee1e53ab7ddf3bca84"
    ),
    "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.2.json": Pinned(
        "ob-v3p0-context-3.0.2.json", "00666ad080ba407687ed1846b7f5e7495f5019042b202a727de47c48a1755c53"
    ),
    "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.1.json": Pinned(
        "ob-v3p0-context-3.0.1.json", "5f3d9dd6288ef437ff8286cf95ffbff609c748a66f24a1e9450c45ca64be1571"
    ),
    EXTENSIONS: Pinned(
        "ob-v3p0-extensions.json", "87c06c81bc2317663bf288d740d94fddd2818c4342b186270ff6371dfaa63f93"
    ),
    "https://w3id.org/security/data-integrity/v2": Pinned(
        "security-data-integrity-v2.json", "67f21e6e33a6c14e5ccfd2fc7865f7474fb71a04af7e94136cb399dfac8ae8f4"
    ),
    "https://w3id.org/security/multikey/v1": Pinned(
        "security-multikey-v1.json", "ba2c182de2d92f7e47184bcca8fcf0beaee6d3986c527bf664c195bbc7c58597"
    ),
}
"""Context address -> file. The unversioned Open Badges ``context.json`` is left out on purpose: its older
content redefines protected terms of the credentials context."""


class ContextsUnusable(RuntimeError):  # named for what is wrong, as all of ours are
    """A context file is missing or is not the one that was pinned, so nothing may be signed or verified."""


class UnknownContext(ValueError):  # named for what is wrong, as all of ours are
    """A document names a JSON-LD context that is not pinned here."""

    def __init__(self, url: str) -> None:
        super().__init__(f"The context {url} is not one this tool carries, and none is ever fetched.")
        self.url = url


_documents: dict[str, Any] = {}
_reading = threading.Lock()


def check() -> None:
    """Read every context and compare it with its pinned hash; call once when the program starts.

    Raises ``ContextsUnusable`` with one line that names the file and what to do.
    """
    for url in PINNED:
        document(url)


def document(url: str) -> Any:
    """The parsed context for ``url``. It is shared: read it, never change it.

    Raises ``UnknownContext`` for an address that is not pinned, ``ContextsUnusable`` for a bad installation.
    """
    if url not in PINNED:
        raise UnknownContext(url)
    with _reading:
        if url not in _documents:
            _documents[url] = json.loads(read(PINNED[url], _folder()))
        return _documents[url]


def read(pinned: Pinned, folder: Path) -> bytes:
    """The bytes of one pinned file in ``folder``; raises ``ContextsUnusable`` if it is missing or differs."""
    remedy = f"Reinstall it: pip install --force-reinstall {CARRIER}"
    try:
        content = (folder / pinned.file).read_bytes()
    except OSError as cause:
        raise ContextsUnusable(
            f"The Open Badges context {pinned.file} is missing from the package {CARRIER}. {remedy}"
        ) from cause
    if hashlib.sha256(content).hexdigest() != pinned.sha256:
        raise ContextsUnusable(
            f"The Open Badges context {pinned.file} in the package {CARRIER} is not the pinned one. {remedy}"
        )
    return content


def loader(url: str, _options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A pyld document loader that knows the pinned contexts only.

    pyld wraps what this raises; ``__cause__`` leads back to ``UnknownContext``.
    """
    return {
        "contentType": "application/ld+json",
        "contextUrl": None,
        "documentUrl": url,
        "document": document(url),
        # pyld may keep what it made of it: a pinned context never changes.
        "tag": "static",
    }


def _folder() -> Path:
    found = importlib.util.find_spec(CARRIER)
    if found is None or not found.submodule_search_locations:
        raise ContextsUnusable(
            f"The package {CARRIER}, which carries the Open Badges contexts, is not installed. "
            f"Install it: pip install {CARRIER}"
        )
    return Path(found.submodule_search_locations[0]) / "ob3" / "contexts"
