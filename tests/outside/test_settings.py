"""Settings: where they come from, and that a bad one stops the start with one clear line."""

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lti_tool import settings
from tests.outside.operators import said_no, types
from tests.support.apps import settings_for


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("PUBLIC_URL", "http://tessera.example.edu", "public_url must begin with https://"),
        ("PUBLIC_URL", "https://tessera.example.edu/tool", "public_url must be an address such as"),
        ("PUBLIC_URL", "tessera.example.edu", "public_url must be an address such as"),
        ("PUBLIC_URL", "https://tessera.example.edu:http", "public_url must be an address such as"),
        ("SERVICE_URL", "ftp://tessera.example.edu", "service_url must be an address such as"),
        ("DATABASE_URL", "mysql://db/tessera", "database_url must begin with"),
        ("DATABASE_URL", "postgresql://db:port/tessera", "database_url cannot be read"),
        ("EVIDENCE_URL", "s3://bucket", "evidence_url must begin with file://"),
        ("QUEUE_URL", "amqp://queue", "queue_url must begin with"),
        ("SECRET_KEY", "short", "secret_key must have at least 32 characters"),
        ("LAUNCH_HOURS", "-1", "launch_hours must be above 0"),
        ("LAUNCH_HOURS", "all day", "launch_hours must be a number, not 'all day'"),
        ("MAX_UPLOAD_MB", "2.5", "max_upload_mb must be a whole number, not '2.5'"),
        ("READ_BACK_AFTER", "soon", "read_back_after must be growing waits"),
        ("READ_BACK_AFTER", "", "read_back_after must be growing waits"),
        ("READ_BACK_AFTER", "1d 2m", "read_back_after must be growing waits"),
        ("LEASE_SECONDS", "0", "lease_seconds must be above 0"),
        ("MAIL_URL", "mail.example.edu", "mail_url must look like smtp://"),
        ("MAIL_URL", "smtp://mail.example.edu", "mail_from must be an address"),
        ("FONTS_FOLDER", "nowhere", "fonts_folder: 'nowhere' is no folder"),
        ("LOG_LEVEL", "CHATTY", "log_level must be one of DEBUG"),
        ("TESSERA_CONFIG", "nowhere.toml", "nowhere.toml: there is no such settings file"),
    ],
)
def test_an_impossible_value_stops_the_start_and_is_named(
    prepared: Path, setting: str, value: str, expected: str
):
    assert expected in said_no(types(prepared, "keys", "list", **{setting: value}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('publik_url = "https://tessera.example.edu"', "unknown setting publik_url. Known: "),
        ("public_url = https://tessera.example.edu", "not valid TOML"),
        ("issuer_name = 5", "issuer_name must be text in quotes, not 5"),
    ],
)
def test_a_file_with_a_mistake_stops_the_start_and_is_named(prepared: Path, text: str, expected: str):
    file = prepared / "tessera.toml"
    file.write_text(text, encoding="utf-8")

    assert expected in said_no(types(prepared, "keys", "list", TESSERA_CONFIG=str(file)))


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder", encoding="ascii")

    said = said_no(types(tmp_path / "file" / "home", "keys", "list", SECRET_KEY=""))

    assert "cannot be written" in said


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path):
    file = tmp_path / "tessera.toml"
    file.write_text('issuer_name = "From the file"\nlaunch_hours = 2\nmax_upload_mb = 3\n', encoding="utf-8")

    found = settings_for(tmp_path, TESSERA_CONFIG=str(file), LAUNCH_HOURS="5")

    assert (found.issuer_name, found.launch_hours, found.max_upload_mb) == ("From the file", 5.0, 3)
    assert found.lease_seconds == settings_for(tmp_path).lease_seconds


def test_an_example_for_production_stands_in_the_shipped_folder_and_is_valid(tmp_path: Path):
    example = settings.config_dir() / "production.example.toml"

    found = settings_for(
        tmp_path, TESSERA_CONFIG=str(example), PUBLIC_URL="https://tessera.example.edu", SECRET_KEY="k" * 64
    )

    assert found.issuer_name == "College of Education, Example University"


@pytest.mark.parametrize("queue", ["postgresql", "redis"])
def test_what_the_example_suggests_for_several_machines_is_valid(tmp_path: Path, queue: str):
    lines = (settings.config_dir() / "production.example.toml").read_text(encoding="utf-8").splitlines()
    suggested = [line.removeprefix("# ") for line in lines if re.match(r"# \w+ = ", line)]
    chosen = {line.partition(" = ")[0]: line for line in suggested}
    chosen["queue_url"] = next(line for line in suggested if line.startswith(f'queue_url = "{queue}'))
    given = [line for line in lines if re.match(r"\w+ = ", line)]
    (tmp_path / "tessera.toml").write_text("\n".join([*given, *chosen.values()]), encoding="utf-8")

    env = {"TESSERA_CONFIG": str(tmp_path / "tessera.toml"), "SECRET_KEY": "k" * 64}
    found = settings.load(env | {"TESSERA_HOME": str(tmp_path)})

    assert found.database_url.startswith("postgresql+psycopg://")
    assert found.queue_url.startswith(queue)
    assert found.alert_mail_to == "registrar@example.edu"


def test_the_secret_is_made_once_for_its_owner_only(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        secrets = {
            each.secret_key for each in pool.map(lambda _: settings_for(tmp_path, SECRET_KEY=""), range(8))
        }

    assert len(secrets) == 1
    assert stat.S_IMODE(os.stat(tmp_path / "secret.key").st_mode) == 0o600


def test_an_emptied_secret_is_not_replaced_by_a_new_one(prepared: Path):
    (prepared / "secret.key").write_text("", encoding="ascii")

    assert "secret.key is empty. Restore it" in said_no(types(prepared, "keys", "list", SECRET_KEY=""))
