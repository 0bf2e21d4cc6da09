"""Whose key is it? From an issuer's name to the keys that are provably its own.

A signature proves that somebody holds a key; a badge is only worth what ties that key to the issuer it names. For
``did:web`` and ``https`` names that is the host, which alone can publish under it; for ``did:key`` it is nothing. Our
own keys are read from the database, never over HTTP.

Specs: https://w3c-ccg.github.io/did-method-web/#read-resolve, https://www.w3.org/TR/cid-1.0/#retrieve-verification-method,
https://www.imsglobal.org/spec/ob/v3p0/impl/#key-provenance
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lti_tool.issuers import proof
from lti_tool.settings import origin
from lti_tool.verification.signatures import (
    PublicKey,
    entry_key,
    jwk_key,
    multikey,
    published,
    readable,
    vouching,
)
from lti_tool.verification.verdict import ISSUER, SIGNER, Outcome, Stop
from lti_tool.verification.web import Unreachable, Web, host_of

OwnKeys = Mapping[str, str | Mapping[str, Any]]
"""What our database knows of one of our issuers: key id -> Multikey text or JWK, retired ones too."""

_DID_WEB = re.compile(
    r"did:web:((?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+)(?:%3[Aa](\d{1,5}))?((?::[A-Za-z0-9._~%-]+)*)"
)
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~:@+=-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9._~:@+=-]*)*")
_NEVER_HAD = "The issuer never had the key that signed this badge, so it is not from the issuer it names."


@dataclass(frozen=True, kw_only=True)
class Found:
    """The key to check with, and what is known about whose it is."""

    key: PublicKey | None
    outcome: Outcome
    """PASSED: the issuer's, by its own word. NOT_CHECKED: the badge's own word only."""
    explanation: str
    host: str = ""
    """Who gave that word; "" for ourselves or nobody."""


class Signer:
    """The issuer that a document names, and how its keys are found: for the badge, and for its status list."""

    def __init__(self, name: str, own: OwnKeys | None, web: Web, now: datetime) -> None:
        self.name = name
        self.own = own
        self._web = web
        self._now = now
        self._document_url, self._origin, self.port = _place(name, web)

    @property
    def host(self) -> str:
        """Host and port that the issuer's name stands for; "" for a name that is no place."""
        return host_of(self._origin) if self._origin else ""

    def proof_key(self, method: str) -> Found:
        """The Ed25519 key that a Data Integrity proof names as ``method``.

        :raises Stop: the issuer has said that it has no such key.
        """
        embedded = multikey(method.partition("#")[2])
        if self.own is not None:
            found = self._own(method)
        elif self.name.startswith("did:key:"):
            found = _self_made(multikey(self.name.removeprefix("did:key:")))
        elif not self._document_url:
            found = self._unknown_kind(embedded)
        else:
            try:
                found = self._published(method)
            except Unreachable as cause:
                return self._unreached(cause, embedded)
        if embedded is not None and found.key is not None and embedded != found.key:
            raise Stop(SIGNER, "The signature names another key than its issuer's.")
        return found

    def token_key(self, kid: str, jwk: Mapping[str, Any] | None) -> Found:
        """The key that the header of a VC-JWT names by its address, or brings with it.

        The key has to be among those that the issuer publishes as its own: a key that comes with the badge, or
        from an address that merely looks right, proves nothing.

        :raises Stop: the issuer has said that it has no such key, or the header names none.
        """
        brought = None if jwk is None else readable(jwk)
        if not kid and brought is None:
            raise Stop(SIGNER, "The signature does not say with which key it was made (kid).")
        if self.own is not None:
            return self._own(kid, brought)
        if self.name.startswith("did:key:"):
            return Found(key=brought, outcome=Outcome.NOT_CHECKED, explanation=_ANYBODY)
        if not self._document_url:
            return self._unknown_kind(brought)
        return self._token_key(kid, brought)

    def _own(self, kid: str, brought: PublicKey | None = None) -> Found:
        keys = {name: _of_ours(value) for name, value in (self.own or {}).items()}
        key = keys.get(kid) if kid else next((each for each in keys.values() if each == brought), None)
        if key is None:
            raise Stop(ISSUER, _NEVER_HAD)
        return Found(
            key=key,
            outcome=Outcome.PASSED,
            explanation="The key belongs to an issuer that uses this service.",
        )

    def _published(self, method: str) -> Found:
        """From the DID document, or for an https name from the profile or the key's own document.

        :raises Unreachable: the issuer could not be asked, or publishes nothing that we understand.
        """
        if self._document_url != self.name or method.partition("#")[0] == self.name:
            return self._listed_in(self._document_url, method)
        try:
            listed = vouching(self._web.json(self._document_url, port=self.port))
        except Unreachable as cause:
            if not cause.missing:
                raise
            listed = frozenset()
        if listed and method not in listed:
            raise Stop(ISSUER, self._disowned())
        found = self._listed_in(method.partition("#")[0], method)
        return found if listed else self._by_place(method, found)

    def _listed_in(self, address: str, method: str) -> Found:
        entries = self._entries(address)
        if not entries:
            raise Unreachable(f"{self.host} publishes no keys under that name", missing=True)
        for entry, vouches in entries:
            if vouches and entry.get("id", method) == method and entry.get("controller") == self.name:
                return self._vouched(entry_key(entry), entry)
        raise Stop(ISSUER, self._disowned())

    def _entries(self, address: str) -> list[tuple[Mapping[str, Any], bool]]:
        document = self._web.json(address, port=self.port)
        if self.name.startswith("did:") and document.get("id") != self.name:
            raise Unreachable(f"what {self.host} publishes there is about somebody else", missing=True)
        return list(published(document))

    def _token_key(self, kid: str, brought: PublicKey | None) -> Found:
        if kid.startswith("did:") or kid.partition("#")[0] == self.name:
            if kid.partition("#")[0] != self.name:
                raise Stop(SIGNER, "The badge names one issuer, but was signed with somebody else's key.")
            try:
                return self._published(kid)
            except Unreachable as cause:
                return self._unreached(cause, brought)
        return self._listed_key(kid, brought)

    def _listed_key(self, kid: str, brought: PublicKey | None) -> Found:
        listed: list[tuple[str, PublicKey]] = []
        silent: dict[str, Unreachable] = {}
        for where, source in (("key set", self._key_set), ("document", self._in_document)):
            try:
                listed += source()
            except Unreachable as cause:
                silent[where] = cause
        if brought is None and (named := [key for name, key in listed if name == kid]):
            return self._vouched(named[0], {})
        try:
            jwk = {} if brought is not None else self._web.json(kid, port=self.port)
        except Unreachable as cause:
            return self._unreached(cause, None)
        key = brought if brought is not None else readable(jwk)
        if any(key == each for _, each in listed):
            return self._vouched(key, {})
        unsure = [cause for cause in silent.values() if not cause.missing]
        # Only an issuer that lists no key for signed texts anywhere may have one that stands for itself.
        fitting = any(not isinstance(each, Ed25519PublicKey) for _, each in listed)
        if jwk and not unsure and "key set" in silent and not fitting:
            return self._alone(kid, jwk, key)
        if unsure or len(silent) == 2:
            return self._unreached((unsure or list(silent.values()))[0], key)
        raise Stop(ISSUER, self._disowned())

    def _key_set(self) -> list[tuple[str, PublicKey]]:
        """The issuer's keys in the key set of its host; those of others there are told by ``iss``."""
        listed = self._web.json(f"{self._origin}/.well-known/jwks.json", port=self.port).get("keys")
        return [
            (str(jwk.get("kid")), key)
            for jwk in _listed(listed)
            if isinstance(jwk, dict) and jwk.get("iss", self.name) == self.name
            if (key := readable(jwk)) is not None
        ]

    def _in_document(self) -> list[tuple[str, PublicKey]]:
        return [
            (str(entry.get("id")), key)
            for entry, vouches in self._entries(self._document_url)
            if vouches and entry.get("controller") == self.name and (key := entry_key(entry)) is not None
        ]

    def _alone(self, kid: str, jwk: Mapping[str, Any], key: PublicKey | None) -> Found:
        """A key that is in no list: still the issuer's if it lies where only the issuer can put it.

        What the key says of itself (``iss``) can speak against it only: whoever wrote the file wrote that too.
        """
        if not kid.startswith(f"{self._origin}/"):
            raise Stop(SIGNER, "The badge names one issuer, but the key of another site.")
        if jwk.get("iss", self.name) != self.name or "d" in jwk:
            raise Stop(ISSUER, self._disowned())
        return self._by_place(kid, self._vouched(key, {}))

    def _by_place(self, address: str, found: Found) -> Found:
        """``found`` if only the issuer can publish at ``address``, which is on its host; else left open."""
        if self._is_below(address):
            return found
        return replace(
            found,
            outcome=Outcome.NOT_CHECKED,
            explanation=f"The key that signed this badge lies at {self.host}, but the issuer does not list it, "
            "and others may be able to put a key there too. Ask the issuer whether it is theirs.",
            host="",
        )

    def _is_below(self, address: str) -> bool:
        """Whether the address lies inside the issuer's own folder. Who has the root shares it with everybody."""
        document = urlsplit(self._document_url)
        folder = document.path.removesuffix("/did.json") if self.name.startswith("did:") else document.path
        below = folder.rstrip("/") + "/"
        if below in ("/", "/.well-known/") or document.query:
            return False
        path = urlsplit(address).path
        # Servers differ in what "..", its encoded forms and "..;" lead to, so only plain names count.
        return path.startswith(below) and _PLAIN_PATH.fullmatch(path.removeprefix(below)) is not None

    def _disowned(self) -> str:
        return (
            f"The key that signed this badge is not among those that {self.host} publishes for the issuer. "
            "Either the badge is not from the issuer it names, or the issuer took the key back."
        )

    def _vouched(self, key: PublicKey | None, entry: Mapping[str, Any]) -> Found:
        if key is None:
            raise Stop(ISSUER, "The issuer's key is of a kind that is not known here.", Outcome.NOT_CHECKED)
        ends = [entry[name] for name in ("revoked", "expires") if name in entry]
        if any(not isinstance(end, str) or _moment(end, self._now) <= self._now for end in ends):
            raise Stop(ISSUER, "The issuer has taken back the key that signed this badge.")
        return Found(
            key=key,
            outcome=Outcome.PASSED,
            explanation=f"The key is published by {self.host}. It is for you to judge whether that is the "
            "address of the issuer that the badge names.",
            host=self.host,
        )

    def _unreached(self, cause: Unreachable, key: PublicKey | None) -> Found:
        return Found(
            key=key,
            outcome=Outcome.NOT_CHECKED,
            explanation=f"The issuer could not be asked for its keys: {cause}. Try again later, or ask the issuer.",
        )

    def _unknown_kind(self, key: PublicKey | None) -> Found:
        return Found(
            key=key,
            outcome=Outcome.NOT_CHECKED,
            explanation="The issuer goes by a name that its keys cannot be looked up under here "
            f"({self.name[:80]}). Ask the issuer.",
        )


_ANYBODY = (
    "The badge brings its own key (did:key). Anyone can make such a badge under any name, so ask the issuer it "
    "names whether the key is theirs."
)


def _place(name: str, web: Web) -> tuple[str, str, int]:
    """Where an issuer of that name publishes its keys: address of its document, origin and port; "" for nowhere."""
    if found := _DID_WEB.fullmatch(name):
        host, port, path = found[1].lower(), found[2] or "", found[3].replace(":", "/")
        place = f"{host}:{port}" if port else host
        # The method says https. Only an operator can say otherwise, for servers of the own network.
        plain = f"http://{place}" in web.allowed_origins and f"https://{place}" not in web.allowed_origins
        start = f"{'http' if plain else 'https'}://{place}"
        if any(unquote(piece) in ("", ".", "..") or "/" in unquote(piece) for piece in path.split("/")[1:]):
            return "", "", 443
        return f"{start}{path or '/.well-known'}/did.json", start, int(port or 443)
    try:
        parts = urlsplit(name)
        start, number = origin(name), parts.port or 443
    except ValueError:
        return "", "", 443
    if (parts.scheme == "https" and parts.hostname) or start in web.allowed_origins:
        return name, start, number
    return "", "", 443


def _self_made(key: PublicKey | None) -> Found:
    if key is None:
        raise Stop(SIGNER, "The key that the badge brings cannot be read.")
    return Found(key=key, outcome=Outcome.NOT_CHECKED, explanation=_ANYBODY)


def _of_ours(value: str | Mapping[str, Any]) -> PublicKey:
    return proof.key_from_multikey(value) if isinstance(value, str) else jwk_key(value)


def _moment(text: str, now: datetime) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=now.tzinfo)
    except ValueError:
        return now


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
