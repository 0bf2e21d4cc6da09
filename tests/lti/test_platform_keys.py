from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask

from lti_tool import errors, http
from lti_tool.database import db
from lti_tool.lti import platform_keys
from tests.lti.conftest import NOW, Door
from tests.lti.platform_double import Asked, FakePlatform, Key, Reply, fresh

Find = Callable[..., int]


@pytest.fixture
def find(platform: FakePlatform) -> Iterator[Find]:
    """How many keys with that id the platform has, looked up at a moment."""

    def look(kid: str, now: datetime = NOW) -> int:
        keys = platform_keys.keys_for(
            platform.url + "/jwks", kid, now=now, timeout=5, before_waiting=lambda: None
        )
        return len(keys)

    yield look
    http.close()


def test_keys_are_fetched_once_for_many_launches(platform: FakePlatform, key: Key, find: Find) -> None:
    platform.publish(key.jwk())

    for _ in range(5):
        find(key.kid)

    assert len(platform.asked_at("/jwks")) == 1


def test_a_key_set_nested_beyond_sense_is_none(platform: FakePlatform, key: Key, find: Find) -> None:
    platform.answers["/jwks"] = lambda _: Reply(body=b"[" * 100_000)

    with pytest.raises(errors.PlatformSilent):
        find(key.kid)


def test_the_platform_is_told_who_asks(platform: FakePlatform, key: Key, find: Find) -> None:
    platform.publish(key.jwk())

    find(key.kid)

    assert platform.asked[0].headers["User-Agent"].startswith("Tessera/")


def test_a_rotated_key_is_found_by_looking_again(
    platform: FakePlatform, key: Key, other_key: Key, find: Find
) -> None:
    platform.publish(key.jwk())
    find(key.kid)
    platform.publish(other_key.jwk())

    assert find(other_key.kid, NOW + timedelta(minutes=1)) == 1


def test_invented_key_ids_make_us_look_once_a_minute_at_most(
    platform: FakePlatform, key: Key, find: Find
) -> None:
    platform.publish(key.jwk())
    find(key.kid)

    for second in range(0, 120, 10):
        with pytest.raises(errors.LaunchForged):
            find(f"invented-{second}", NOW + timedelta(seconds=second))

    assert len(platform.asked_at("/jwks")) == 2


def test_a_launch_with_a_rotated_key_gets_in_and_keeps_no_transaction_while_it_waits(
    app: Flask, door: Door, platform: FakePlatform, other_key: Key, learner_claims: dict[str, Any]
) -> None:
    door.launch(learner_claims)
    door.now = NOW + timedelta(minutes=2)
    begun = door.login()
    pool: Any = db.engine.pool
    held: list[int] = []

    def answer(_: Asked) -> Reply:
        held.append(pool.checkedout())
        return Reply(body={"keys": [other_key.jwk()]})

    platform.answers["/jwks"] = answer

    visit, _ = door.post(fresh(learner_claims, nonce=begun.nonce, now=door.now), begun, key=other_key)

    assert visit.subject == "5"
    assert held == [0]


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        (None, 600),
        ("public, max-age=300", 300),
        ("max-age=1", 60),
        ("max-age=86400", 3600),
        ("no-store", 600),
    ],
)
def test_keys_are_kept_as_long_as_the_platform_says_within_a_minute_and_an_hour(
    platform: FakePlatform, key: Key, find: Find, cache_control: str | None, seconds: int
) -> None:
    platform.publish(key.jwk(), cache_control=cache_control)
    find(key.kid)

    find(key.kid, NOW + timedelta(seconds=seconds - 1))
    before = len(platform.asked_at("/jwks"))
    find(key.kid, NOW + timedelta(seconds=seconds))

    assert (before, len(platform.asked_at("/jwks"))) == (1, 2)


def test_known_keys_are_used_on_while_the_platform_is_down(
    platform: FakePlatform, key: Key, find: Find
) -> None:
    platform.publish(key.jwk())
    find(key.kid)
    platform.answers["/jwks"] = lambda _: Reply(503)

    assert find(key.kid, NOW + timedelta(hours=2)) == 1
    assert find(key.kid, NOW + timedelta(hours=2, seconds=30)) == 1
    assert len(platform.asked_at("/jwks")) == 2


@pytest.mark.parametrize(
    "reply",
    [Reply(500), Reply(200, b"<html>"), Reply(200, b"[]"), Reply(200, {"keys": 3}), Reply(302)],
    ids=["error", "a page", "a list", "no list", "a redirect"],
)
def test_a_platform_without_usable_keys_is_called_silent_and_asked_again_soon(
    platform: FakePlatform, key: Key, find: Find, reply: Reply
) -> None:
    platform.answers["/jwks"] = lambda _: reply
    for second in range(3):
        with pytest.raises(errors.PlatformSilent):
            find(key.kid, NOW + timedelta(seconds=second))
    asked_while_down = len(platform.asked_at("/jwks"))
    platform.publish(key.jwk())

    assert find(key.kid, NOW + timedelta(seconds=11)) == 1
    assert asked_while_down == 1


def test_an_unreachable_platform_is_called_silent(app: Flask) -> None:
    with pytest.raises(errors.PlatformSilent):
        platform_keys.keys_for(
            "http://127.0.0.1:9/jwks", "k", now=NOW, timeout=5, before_waiting=lambda: None
        )


def test_keys_that_do_not_sign_are_left_out_and_twins_are_kept(
    platform: FakePlatform, key: Key, other_key: Key, find: Find
) -> None:
    platform.publish(
        key.jwk(use="enc"),
        key.jwk(alg="RS512"),
        {**key.jwk(), "kty": "EC"},
        {**key.jwk(), "n": "!"},
        {"kty": "RSA"},
        key.jwk(),
        {**other_key.jwk(), "kid": key.kid},
    )

    assert find(key.kid) == 2


def test_a_key_too_short_to_trust_is_left_out(platform: FakePlatform, find: Find) -> None:
    short = Key("short", rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505 - the point
    platform.publish(short.jwk())

    with pytest.raises(errors.LaunchForged):
        find("short")


def test_many_launches_at_the_start_ask_once(platform: FakePlatform, key: Key) -> None:
    platform.publish(key.jwk())

    def look(_: int) -> int:
        try:
            return len(
                platform_keys.keys_for(
                    platform.url + "/jwks", key.kid, now=NOW, timeout=5, before_waiting=lambda: None
                )
            )
        finally:
            http.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(look, range(8))) == [1] * 8

    assert len(platform.asked_at("/jwks")) == 1
