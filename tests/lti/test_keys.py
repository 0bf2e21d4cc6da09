import base64
import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
from flask import Flask
from sqlalchemy import delete

from lti_tool.database import db
from lti_tool.lti import keys
from lti_tool.lti.models import ToolKey
from tests.lti.conftest import NOW


@pytest.fixture(autouse=True)
def _without_any_key(app: Flask) -> None:
    db.session.execute(delete(ToolKey))


def test_a_key_is_made_once() -> None:
    first = keys.ensure_key(NOW)

    assert keys.ensure_key(NOW + timedelta(days=1)).kid == first.kid
    assert len(keys.list_keys()) == 1


def test_what_the_key_signs_can_be_checked_with_what_is_published() -> None:
    keys.ensure_key(NOW)

    kid, private = keys.signing_key()
    token = jwt.encode({"iss": "us"}, private, "RS256", headers={"kid": kid})

    published = {jwk["kid"]: jwk for jwk in keys.public_jwks()["keys"]}
    assert jwt.decode(token, jwt.PyJWK(published[kid]), ["RS256"]) == {"iss": "us"}


def test_a_published_key_holds_no_secret_and_is_named_by_its_thumbprint() -> None:
    keys.ensure_key(NOW)

    [jwk] = keys.public_jwks()["keys"]

    assert set(jwk) == {"kty", "n", "e", "alg", "use", "kid"}
    assert (jwk["alg"], jwk["use"]) == ("RS256", "sig")
    canonical = json.dumps({"e": jwk["e"], "kty": "RSA", "n": jwk["n"]}, separators=(",", ":")).encode()
    digest = hashlib.sha256(canonical).digest()
    assert jwk["kid"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_the_newest_key_signs_and_the_old_one_stays_published() -> None:
    old = keys.create_key(NOW)
    new = keys.create_key(NOW + timedelta(days=1))

    assert keys.signing_key()[0] == new.kid
    assert {jwk["kid"] for jwk in keys.public_jwks()["keys"]} == {old.kid, new.kid}


def test_a_retired_key_does_not_sign() -> None:
    old = keys.create_key(NOW)
    keys.create_key(NOW + timedelta(days=1)).retired_at = NOW + timedelta(days=2)

    assert keys.signing_key()[0] == old.kid


def test_the_key_object_is_kept_and_not_read_for_each_signature() -> None:
    keys.ensure_key(NOW)

    assert keys.signing_key()[1] is keys.signing_key()[1]


def test_a_private_key_lies_encrypted_in_the_database_and_opens_with_its_own_secret_only(app: Flask) -> None:
    key = keys.ensure_key(NOW)
    db.session.commit()
    assert "ENCRYPTED PRIVATE KEY" in key.private_pem
    app.extensions["settings"] = replace(app.extensions["settings"], secret_key="x" * 64)

    with pytest.raises(keys.KeyUnreadable, match="another secret_key"):
        keys.signing_key()


def test_without_any_key_the_operator_is_told_what_to_do() -> None:
    with pytest.raises(keys.KeyUnreadable, match="no tool key"):
        keys.signing_key()
