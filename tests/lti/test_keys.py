import base64
import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
from flask import Flask
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from lti_tool import clock, tasks
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

    kid, private = keys.signing_key(NOW)
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


def test_the_next_key_is_published_a_day_before_it_signs() -> None:
    first = keys.ensure_key(NOW)

    second = keys.rotate(NOW)

    assert {jwk["kid"] for jwk in keys.public_jwks()["keys"]} == {first.kid, second.kid}
    assert keys.signing_key(NOW + timedelta(hours=23, minutes=59))[0] == first.kid
    assert keys.signing_key(NOW + timedelta(hours=24))[0] == second.kid


def test_only_one_key_waits_for_its_time() -> None:
    keys.ensure_key(NOW)
    keys.rotate(NOW)

    with pytest.raises(keys.KeyConflict, match="published already"):
        keys.rotate(NOW + timedelta(hours=1))


def test_a_key_that_has_become_known_is_replaced_at_once_and_withdrawn() -> None:
    known = keys.ensure_key(NOW)
    with pytest.raises(keys.KeyConflict, match="signs now"):
        keys.withdraw(known.kid, NOW)

    fresh = keys.rotate(NOW, at_once=True)
    keys.withdraw(known.kid, NOW)

    assert keys.signing_key(NOW)[0] == fresh.kid
    assert [jwk["kid"] for jwk in keys.public_jwks()["keys"]] == [fresh.kid]


def test_by_schedule_a_new_key_comes_in_time_and_the_old_one_goes_a_week_after_its_last_signature() -> None:
    old = keys.ensure_key(NOW).kid
    days = [NOW + timedelta(days=day) for day in range(100)]

    story = []
    for day in days:
        keys.tend(day, rotation_days=90)
        published = {jwk["kid"] for jwk in keys.public_jwks()["keys"]}
        story.append((keys.signing_key(day)[0] == old, old in published, len(published)))

    assert story[88] == (True, True, 1)
    assert story[89] == (True, True, 2)
    assert story[90] == (False, True, 2)
    assert story[96] == (False, True, 2)
    assert story[97] == (False, False, 1)


def test_two_workers_that_make_the_next_key_at_once_make_one(app: Flask) -> None:
    keys.ensure_key(NOW)
    number = keys.rotate(NOW).number

    db.session.add(
        ToolKey(number=number, kid="twin", private_pem="", public_jwk={}, created_at=NOW, signs_from=NOW)
    )
    with pytest.raises(IntegrityError):
        db.session.flush()


def test_the_key_object_is_kept_and_not_read_for_each_signature() -> None:
    keys.ensure_key(NOW)

    assert keys.signing_key(NOW)[1] is keys.signing_key(NOW)[1]


def test_a_private_key_lies_encrypted_in_the_database_and_opens_with_its_own_secret_only(app: Flask) -> None:
    key = keys.ensure_key(NOW)
    db.session.commit()
    assert "ENCRYPTED PRIVATE KEY" in key.private_pem
    app.extensions["settings"] = replace(app.extensions["settings"], secret_key="x" * 64)

    with pytest.raises(keys.KeyUnreadable, match="another secret_key"):
        keys.signing_key(NOW)


def test_without_any_key_the_operator_is_told_what_to_do() -> None:
    with pytest.raises(keys.KeyUnreadable, match="no tool key"):
        keys.signing_key(NOW)


def test_a_worker_makes_the_next_key_by_itself(app: Flask) -> None:
    keys.ensure_key(clock.now() - timedelta(days=40))
    db.session.commit()
    own = app.extensions["settings"]

    app.extensions["settings"] = replace(own, key_rotation_days=60)
    assert tasks.tend_keys(app) == 0
    app.extensions["settings"] = replace(own, key_rotation_days=30)
    assert (tasks.tend_keys(app), tasks.tend_keys(app)) == (1, 0)

    assert [keys.story(key, clock.now()).partition(",")[0] for key in keys.list_keys()] == [
        "published",
        "signs",
    ]
