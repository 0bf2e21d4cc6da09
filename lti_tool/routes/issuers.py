"""What verifiers fetch from an issuer: its DID document, keys and status lists. Machines read it, from any site."""

from flask import Blueprint, Response, json
from flask.typing import ResponseReturnValue

from lti_tool.issuers import keys, status
from lti_tool.routes.guards import Who, allow

blueprint = Blueprint("issuers", __name__)
_SECONDS = 300
"""How long an answer may be kept: a revocation is seen everywhere after that."""


@blueprint.get("/issuers/<int:number>")
@blueprint.get("/issuers/<int:number>/did.json")
@allow(Who.ANYONE)
def did(number: int) -> ResponseReturnValue:
    """The issuer's DID document: the keys that its badges are checked with, also those no longer used.

    At both addresses, because the implementation guide resolves the first and did:web the second.
    """
    return _answer(json.dumps(keys.did_document(keys.issuer_numbered(number))), "application/did+json")


@blueprint.get("/issuers/<int:number>/keys/<name>")
@allow(Who.ANYONE)
def key(number: int, name: str) -> ResponseReturnValue:
    """One RS256 key as a bare JWK, at the address that VC-JWTs name as their key id."""
    return _answer(json.dumps(keys.published(keys.rs256_key_named(number, name))), "application/jwk+json")


@blueprint.get("/.well-known/jwks.json")
@allow(Who.ANYONE)
def key_set() -> ResponseReturnValue:
    """All RS256 keys of all issuers here, where verifiers make sure that a key id is one of ours.

    Not to be taken for /lti/jwks, whose keys speak to learning platforms.
    """
    return _answer(json.dumps(keys.key_set()), "application/jwk-set+json")


@blueprint.get("/issuers/<int:number>/status/<int:listed>")
@allow(Who.ANYONE)
def status_list(number: int, listed: int) -> ResponseReturnValue:
    """A signed list of which badges were revoked, by their places in it."""
    return _answer(status.published(number, listed), "application/vc+ld+json")


def _answer(text: str, media_type: str) -> Response:
    answer = Response(text, mimetype=media_type)
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cache-Control"] = f"public, max-age={_SECONDS}"
    return answer
