"""What an operator types, and what they are told when it cannot be."""

import shutil
import socket
import sqlite3
from pathlib import Path

import pytest

from lti_tool.settings import config_dir
from tests.outside.operators import said_no, starts, types
from tests.support.ports import free_port

MOODLE = (
    "platform", "add", "--name", "Northfield", "--product", "moodle", "--issuer", "https://moodle.example.edu",
    "--client-id", "AbCd", "--deployment", "1",
)  # fmt: skip


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A copy of the shipped catalogue, to be spoiled."""
    return Path(shutil.copytree(config_dir() / "catalog", tmp_path / "catalog"))


def rows(home: Path, table: str) -> int:
    database = sqlite3.connect(home / "tessera.db")
    try:
        query = f"SELECT count(*) FROM {table}"  # noqa: S608 - the tests themselves say what to count
        return int(database.execute(query).fetchone()[0])
    finally:
        database.close()


# The database


def test_upgrading_says_what_it_did_and_does_it_once(tmp_path: Path):
    first, second = types(tmp_path, "db", "upgrade"), types(tmp_path, "db", "upgrade")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "Tables: from none to 20" in first.output
    assert " made." in first.output
    assert "did:web:tool.localhost%3A8700:issuers:1" in first.output
    assert "already" in second.output
    assert " stands." in second.output
    assert (rows(tmp_path, "tool_key"), rows(tmp_path, "issuer")) == (1, 1)


def test_two_that_upgrade_at_the_same_moment_take_turns(tmp_path: Path):
    home = str(tmp_path / "home")

    both = [starts("db", "upgrade", cwd=tmp_path, TESSERA_HOME=home) for _ in range(2)]
    said = [process.communicate(timeout=90)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert rows(tmp_path / "home", "issuer") == 1


def test_the_password_of_the_database_is_not_printed(tmp_path: Path):
    address = "postgresql://tessera:hunter2@127.0.0.1:1/tessera"

    result = types(tmp_path, "db", "upgrade", DATABASE_URL=address)

    assert "does not answer" in said_no(result)
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    "command",
    [
        ("platform", "list"),
        ("registrar", "list"),
        ("keys", "list"),
        ("catalog", "load"),
        ("run",),
        ("worker",),
    ],
)
def test_before_the_first_upgrade_every_command_says_how_to_begin(tmp_path: Path, command: tuple[str, ...]):
    assert "lti-tool db upgrade" in said_no(types(tmp_path, *command))


def test_tables_of_a_newer_version_are_left_alone(prepared: Path):
    database = sqlite3.connect(prepared / "tessera.db")
    database.execute("UPDATE alembic_version SET version_num = '2099_01_01_1'")
    database.commit()
    database.close()

    assert "2099_01_01_1, which this version of Tessera does not know" in said_no(
        types(prepared, "keys", "list")
    )
    assert "2099_01_01_1" in said_no(types(prepared, "db", "upgrade"))


# The catalogue


def test_the_shipped_catalogue_has_no_problems_and_needs_no_database(tmp_path: Path):
    result = types(tmp_path / "nothing", "catalog", "check")

    assert result.exit_code == 0, result.output
    assert "No problems" in result.output
    assert not (tmp_path / "nothing").exists()


def test_the_catalogue_is_counted_in_words(tmp_path: Path, catalogue: Path):
    stacks = (catalogue / "stacks.yaml").read_text("utf-8")
    (catalogue / "stacks.yaml").write_text(stacks[: stacks.index("  - key: inclusive-practice")], "utf-8")

    result = types(tmp_path / "nothing", "catalog", "check", "--catalog", str(catalogue))

    assert result.output == "No problems: 4 micro-credentials, 1 stack, 4 frameworks.\n"


def test_what_has_no_file_any_more_is_named_until_it_is_retired(prepared: Path, catalogue: Path):
    types(prepared, "catalog", "load", "--catalog", str(catalogue))
    (catalogue / "fading-prompts.yaml").unlink()
    stacks = (catalogue / "stacks.yaml").read_text("utf-8")
    (catalogue / "stacks.yaml").write_text(stacks[: stacks.index("  - key: inclusive-practice")], "utf-8")
    told = types(prepared, "catalog", "load", "--catalog", str(catalogue)).output
    (catalogue / "retired.yaml").write_text("retired: [{key: fading-prompts}]\n", "utf-8")

    silent = types(prepared, "catalog", "load", "--catalog", str(catalogue)).output

    assert "fading-prompts has no file any more and stays on offer" in told
    assert "0 published" in told
    assert "fading-prompts" not in silent


def test_a_broken_catalogue_is_told_file_line_and_field_and_nothing_is_loaded(
    prepared: Path, catalogue: Path
):
    broken = catalogue / "udl-variability.yaml"
    text = broken.read_text(encoding="utf-8")
    broken.write_text(text.replace("turnaround_days: 10", "turnaround_days: soon"), encoding="utf-8")
    line = next(
        n for n, words in enumerate(text.splitlines(), start=1) if words.startswith("turnaround_days")
    )

    for verb in ("check", "load"):
        result = types(prepared, "catalog", verb, "--catalog", str(catalogue))

        assert result.exit_code == 1
        problem, summary = result.stderr.strip().splitlines()
        assert f"udl-variability.yaml:{line}: turnaround_days: " in problem
        assert "nothing was changed" in summary
    assert rows(prepared, "version") == 0


def test_loading_again_publishes_nothing_twice(prepared: Path):
    first, second = types(prepared, "catalog", "load"), types(prepared, "catalog", "load")

    count = rows(prepared, "version") + rows(prepared, "stack_version")
    assert rows(prepared, "version") >= 3
    assert rows(prepared, "stack_version") >= 1
    assert first.output.count("Published ") == count
    assert f"0 published, {count} stood already." in second.output
    assert rows(prepared, "credit_rule") > 0


def test_new_words_under_a_published_number_are_refused(prepared: Path, catalogue: Path):
    types(prepared, "catalog", "load", "--catalog", str(catalogue))
    changed = catalogue / "udl-variability.yaml"
    text = changed.read_text(encoding="utf-8")
    changed.write_text(text.replace("turnaround_days: 10", "turnaround_days: 11"), encoding="utf-8")

    said = said_no(types(prepared, "catalog", "load", "--catalog", str(catalogue)))

    assert "udl-variability: version 1 is published" in said
    assert "version: 2" in said


def test_a_folder_that_is_not_there_is_named(prepared: Path):
    result = types(prepared, "catalog", "check", "--catalog", "nowhere")

    assert result.exit_code == 2
    assert "nowhere" in result.stderr


# Platforms


def test_of_moodle_and_hosted_canvas_the_addresses_are_known(prepared: Path):
    canvas = (
        "platform", "add", "--name", "Our Canvas", "--product", "canvas", "--issuer", "https://canvas.instructure.com",
        "--client-id", "10000000000042", "--deployment", "106:aa", "--deployment", "107:bb",
    )  # fmt: skip

    for command in (MOODLE, canvas):
        result = types(prepared, *command)
        assert result.exit_code == 0, result.output
        assert "http://tool.localhost:8700/lti/login" in result.output

    database = sqlite3.connect(prepared / "tessera.db")
    known = dict(database.execute("SELECT issuer, token_url FROM registration").fetchall())
    database.close()
    assert known == {
        "https://moodle.example.edu": "https://moodle.example.edu/mod/lti/token.php",
        "https://canvas.instructure.com": "https://sso.canvaslms.com/login/oauth2/token",
    }
    listed = types(prepared, "platform", "list").output
    assert "1  Northfield (moodle)" in listed
    assert "deployments 106:aa, 107:bb" in listed


def test_of_other_platforms_the_missing_addresses_are_asked_for(prepared: Path):
    other = [word.replace("moodle", "other") if word == "moodle" else word for word in MOODLE]

    said = said_no(types(prepared, *other, "--token-url", "https://moodle.example.edu/token"))

    assert said.startswith("Give --auth-url, --jwks-url as well")


def test_adding_a_platform_again_only_adds_what_is_new(prepared: Path):
    types(prepared, *MOODLE)

    assert types(prepared, *MOODLE, "--deployment", "2").exit_code == 0
    assert "deployments 1, 2" in types(prepared, "platform", "list").output
    assert "is registered already" in said_no(
        types(prepared, *MOODLE, "--token-url", "https://elsewhere.example/t")
    )


def test_an_impossible_address_is_refused(prepared: Path):
    assert "not a web address" in said_no(types(prepared, *MOODLE, "--auth-url", "moodle.example.edu/auth"))
    assert rows(prepared, "platform") == 0


def test_a_school_s_own_domain_is_let_frame_us_and_taken_off_again(prepared: Path):
    types(prepared, *MOODLE)
    site = ("--platform", "Northfield", "https://Learn.example.edu/courses/1")

    added = types(prepared, "platform", "frame-origin", "add", *site)
    listed = types(prepared, "platform", "frame-origin", "list", "--platform", "1")
    removed = types(prepared, "platform", "frame-origin", "remove", *site)
    again = types(prepared, "platform", "frame-origin", "remove", *site)

    assert "https://learn.example.edu may frame Tessera" in added.output
    assert listed.output == "https://learn.example.edu\n"
    assert removed.exit_code == 0
    assert "does not stand on that list" in said_no(again)
    none = types(prepared, "platform", "frame-origin", "list", "--platform", "1")
    assert none.output.startswith("None")
    wrong = types(prepared, "platform", "frame-origin", "add", "--platform", "1", "learn.example.edu")
    assert "not a web address" in said_no(wrong)


# The registrar's list


def test_registrars_are_listed_by_deployment_and_taken_off_again(prepared: Path):
    types(prepared, *MOODLE)

    added = types(prepared, "registrar", "add", "--platform", "1", "--deployment", "1", "--subject", "2")
    again = types(prepared, "registrar", "add", "--platform", "Northfield", "--subject", "2")
    listed = types(prepared, "registrar", "list")
    removed = types(prepared, "registrar", "remove", "--platform", "Northfield", "--subject", "2")

    assert "Added" in added.output
    assert "already" in again.output
    assert "Northfield, deployment 1: 2 since" in listed.output
    assert "Removed" in removed.output
    assert rows(prepared, "desk_access") == 0
    assert rows(prepared, "audit_event WHERE action LIKE 'desk access%'") == 2


def test_an_unknown_platform_deployment_or_registrar_is_named(prepared: Path):
    types(prepared, *MOODLE, "--deployment", "2")
    add = ("registrar", "add", "--subject", "2")

    assert "'Southfield'" in said_no(types(prepared, *add, "--platform", "Southfield"))
    assert "'9'" in said_no(types(prepared, *add, "--platform", "1", "--deployment", "9"))
    assert "--deployment: 1, 2" in said_no(types(prepared, *add, "--platform", "1"))
    remove = ("registrar", "remove", "--subject", "2", "--platform", "1", "--deployment", "2")
    assert "does not stand on that list" in said_no(types(prepared, *remove))


# Starting


def test_a_port_that_is_taken_is_named_with_the_option_that_changes_it(prepared: Path, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])

        run = said_no(types(prepared, "run", "--port", port))
        demo = said_no(
            types(
                prepared,
                "demo",
                "--home",
                str(tmp_path / "demo"),
                "--lms-port",
                port,
                "--tool-port",
                str(free_port()),
            )
        )

    assert f"Port {port} at 127.0.0.1 is taken" in run
    assert "--port" in run
    assert "--lms-port" in demo
    assert not (tmp_path / "demo").exists()


def test_keys_are_listed_with_the_address_where_platforms_fetch_them(prepared: Path):
    result = types(prepared, "keys", "list", SERVICE_URL="https://tessera.example.edu")

    assert "signs" in result.output
    assert "https://tessera.example.edu/lti/jwks" in result.output


def test_the_version_can_be_asked_for(tmp_path: Path):
    assert "lti-tool, version" in types(tmp_path, "--version").output


@pytest.mark.parametrize(
    "command",
    [
        ("demo",), ("run",), ("worker",), ("selfcheck",), ("db", "upgrade"), ("platform", "add"), ("platform", "list"),
        ("registrar", "add"), ("registrar", "list"), ("registrar", "remove"), ("catalog", "load"),
        ("catalog", "check"), ("keys", "list"),
    ],
)  # fmt: skip
def test_every_command_explains_itself(tmp_path: Path, command: tuple[str, ...]):
    result = types(tmp_path, *command, "--help")

    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4
