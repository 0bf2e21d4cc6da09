"""Badges as VC-JWT: the credential as the payload of a compact JWS, signed with RS256.

Nothing has to be put in a canonical order, so that small programs can check it; but it is no JSON file that a person
can open. The header holds three members and no others, and the key id is the address of the key itself.

Spec: https://www.imsglobal.org/spec/ob/v3p0/#jwt-proof
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ALGORITHM = "RS256"


def sign(credential: Mapping[str, Any], key: RSAPrivateKey, kid: str) -> str:
    """``credential``, which carries no proof of its own, as a compact JWS. ``kid`` is an https address."""
    return jwt.encode(claims(credential), key, algorithm=ALGORITHM, headers={"typ": "JWT", "kid": kid})


def claims(credential: Mapping[str, Any]) -> dict[str, Any]:
    """The credential with the registered claims that repeat it in the words of JWT."""
    registered: dict[str, Any] = {
        "iss": credential["issuer"]["id"],
        "jti": credential["id"],
        "sub": credential["credentialSubject"]["id"],
        "nbf": _seconds(credential["validFrom"]),
    }
    if "validUntil" in credential:
        registered["exp"] = _seconds(credential["validUntil"])
    return {**credential, **registered}


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())
