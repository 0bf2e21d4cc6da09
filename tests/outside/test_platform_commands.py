"""Looking after connections from the command line: approving, inviting, testing, and the keys of the tool."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lti.platform_double import FakePlatform, Key, Reply
from tests.outside.operators import said_no, types

OTHER = (
    "platform",
    "add",
    "--name",
    "Northfield",
    "--product",
    "other",
    "--issuer",
    "https://lms.example.edu",
)


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    double = FakePlatform()
    yield double
    double.close()


def added(home: Path, platform: FakePlatform, client_id: str = "AbCd", *more: str) -> None:
    result = types(
        home,
        *OTHER,
        *("--client-id", client_id, "--auth-url", f"{platform.url}/auth"),
        *("--token-url", f"{platform.url}/token", "--jwks-url", f"{platform.url}/jwks"),
        *more,
    )
    assert result.exit_code == 0, result.output


def execute(home: Path, statement: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(home / "tessera.db")
    try:
        found = database.execute(statement).fetchall()
        database.commit()
    finally:
        database.close()
    return found


def test_a_platform_needs_no_deployment_id_and_says_what_to_do_next(prepared: Path, platform: FakePlatform):
    result = types(
        prepared,
        *("platform", "add", "--name", "Northfield", "--product", "moodle"),
        *("--issuer", "https://moodle.example.edu", "--client-id", "AbCd", "--new-deployments", "pending"),
    )

    assert "Public keyset: http://tool.localhost:8700/lti/jwks" in result.output
    assert "lti-tool platform test --registration 1" in result.output
    listed = types(prepared, "platform", "list").output
    assert "registration 1: active" in listed
    assert "deployments none yet" in listed


def test_a_connection_is_tested_line_by_line_and_a_problem_shows_in_the_exit_status(
    prepared: Path, platform: FakePlatform
):
    added(prepared, platform)

    bad = types(prepared, "platform", "test", "--platform", "Northfield")
    platform.publish(Key.make("theirs").jwk())
    good = types(prepared, "platform", "test", "--registration", "1")

    assert bad.exit_code == 1
    assert "PROBLEM  Can Tessera fetch the keys of the LMS?" in bad.output
    assert "status 404" in bad.output
    assert good.exit_code == 0, good.output
    assert "ok       Does the LMS know Tessera and give it access?" in good.output
    assert "unknown  Can Tessera read who is in a course?" in good.output
    assert "token-" not in good.output


def test_a_platform_that_waits_is_approved_switched_off_and_one_that_is_a_stranger_declined(
    prepared: Path, platform: FakePlatform
):
    added(prepared, platform, "AbCd", "--deployment", "7")
    execute(prepared, "UPDATE registration SET state = 'pending'")
    execute(prepared, "UPDATE deployment SET state = 'pending'")
    listed = types(prepared, "platform", "list").output
    assert "registration 1: pending" in listed
    assert "waiting for an approval: 7" in listed

    types(prepared, "platform", "approve", "--registration", "1")
    types(prepared, "platform", "approve", "--registration", "1", "--deployment", "7")
    assert execute(prepared, "SELECT state FROM registration UNION SELECT state FROM deployment") == [
        ("active",)
    ]
    types(prepared, "platform", "disable", "--platform", "1", "--deployment", "7")
    assert execute(prepared, "SELECT state FROM deployment") == [("disabled",)]
    types(prepared, "platform", "disable", "--registration", "1")
    assert "only be switched off" in said_no(types(prepared, "platform", "decline", "--registration", "1"))
    execute(prepared, "UPDATE registration SET state = 'pending'")

    assert types(prepared, "platform", "decline", "--registration", "1").exit_code == 0
    assert execute(prepared, "SELECT id FROM platform UNION SELECT id FROM registration") == []


def test_which_registration_is_meant_has_to_be_clear(prepared: Path, platform: FakePlatform):
    added(prepared, platform)
    added(prepared, platform, "second")

    for arguments, words in (
        ((), "--registration or with --platform"),
        (("--registration", "9"), "no such registration"),
        (("--platform", "Northfield"), "several registrations; name one with --registration: 1, 2"),
        (("--registration", "1", "--deployment", "x"), "no deployment x"),
    ):
        assert words in said_no(types(prepared, "platform", "approve", *arguments))


def test_an_invitation_and_an_administrators_link_are_addresses(prepared: Path, platform: FakePlatform):
    added(prepared, platform, "AbCd", "--deployment", "7")

    invitation = types(prepared, "platform", "invite", "--for", "Dana", "--days", "3").output
    everything = types(prepared, "admin", "link").output
    one = types(prepared, "admin", "link", "--platform", "Northfield", "--hours", "2").output

    assert re.search(r"^http://tool\.localhost:8700/lti/register\?invitation=[\w-]{20,}$", invitation, re.M)
    for link in (everything, one):
        assert re.fullmatch(r"http://tool\.localhost:8700/admin/enter/[\w-]{40,}\n", link)
    assert execute(prepared, "SELECT deployment_pk FROM one_time_link ORDER BY id") == [(None,), (1,)]
    assert "no platform 9" in said_no(types(prepared, "platform", "invite", "--for", "x", "--joins", "9"))


def test_keys_are_rotated_ahead_of_use_and_one_that_became_known_at_once(prepared: Path):
    first = types(prepared, "keys", "list").output.split()[0]

    ahead = types(prepared, "keys", "rotate").output
    again = said_no(types(prepared, "keys", "rotate"))
    at_once = types(prepared, "keys", "rotate", "--at-once").output
    withdrawn = types(prepared, "keys", "withdraw", first)

    assert "published, signs from" in ahead
    assert "published already" in again
    assert at_once.strip().endswith(": signs.")
    assert withdrawn.exit_code == 0
    assert first not in types(prepared, "keys", "list").output
    assert "There is no key" in said_no(types(prepared, "keys", "withdraw", first))


def test_a_platform_that_throttles_or_says_nothing_is_told_in_words(prepared: Path, platform: FakePlatform):
    added(prepared, platform)
    platform.answers["/token"] = lambda _: Reply(429)

    assert "busy" in types(prepared, "platform", "test", "--registration", "1").output
    execute(prepared, "UPDATE registration SET token_url = 'http://127.0.0.1:9/token'")
    assert "Could not connect." in types(prepared, "platform", "test", "--registration", "1").output


@pytest.mark.parametrize(
    "command",
    [
        ("platform", "approve"), ("platform", "disable"), ("platform", "decline"), ("platform", "test"),
        ("platform", "invite"), ("admin", "link"), ("keys", "rotate"), ("keys", "withdraw"),
    ],
)  # fmt: skip
def test_every_command_explains_itself(tmp_path: Path, command: tuple[str, ...]):
    result = types(tmp_path, *command, "--help")

    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4
