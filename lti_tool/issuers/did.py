"""The issuer's name in the world: a did:web, and the document that it resolves to.

Specs: https://w3c-ccg.github.io/did-method-web/, https://www.w3.org/TR/did-1.0/
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lti_tool.issuers.proof import multikey


class AddressUnusable(ValueError):  # named for what is wrong, as all of ours are
    """No did:web can be made of this address."""


def issuer_did(public_url: str, issuer_number: int) -> str:
    """The did:web of issuer ``issuer_number`` at ``public_url``; resolves to ``…/issuers/<number>/did.json``.

    The path matters: verifiers decode the ``%3A`` of a port only where a path follows.
    :raises AddressUnusable: an address that cannot carry one.
    """
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or ":" in parts.hostname:
        raise AddressUnusable(f"{public_url} is no address with a host name, so it cannot name an issuer.")
    host = parts.hostname if parts.port is None else f"{parts.hostname}%3A{parts.port}"
    path = [quote(piece, safe="") for piece in parts.path.split("/") if piece]
    return ":".join(["did:web", host, *path, "issuers", str(issuer_number)])


def verification_method(did: str, key: Ed25519PublicKey) -> str:
    """The DID URL of an issuer's key. Its fragment is the key itself, so it never comes to mean another."""
    return f"{did}#{multikey(key)}"


def did_document(did: str, keys: Sequence[Ed25519PublicKey]) -> dict[str, Any]:
    """The DID document of an issuer. ``keys`` are all it ever signed with, so that old badges still verify.

    Spec: https://www.w3.org/TR/did-1.0/#verification-methods
    """
    methods = [verification_method(did, key) for key in keys]
    return {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": did,
        "verificationMethod": [
            {"id": method, "type": "Multikey", "controller": did, "publicKeyMultibase": multikey(key)}
            for method, key in zip(methods, keys, strict=True)
        ],
        "assertionMethod": methods,
    }
