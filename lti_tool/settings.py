"""One frozen object with every setting, read once from config/*.toml and the environment.

Nothing else reads the environment. An unknown name or an impossible value stops the start with one line that says
which setting, where it was found, and what it should be.
"""

import base64
import os
import secrets
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app

_PACKAGE = Path(__file__).parent
_SERVICE_SCHEMES = {
    "database_url": ("sqlite", "postgresql", "postgresql+psycopg"),
    "evidence_url": ("file",),
    "queue_url": ("sqlite", "postgresql", "redis", "rediss", "memory"),
}
_EARLIER_RESULTS = ("ask", "reuse", "anew")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(Exception):
    """A setting is unknown, missing or impossible. Its text is one line for an operator."""


def config_dir() -> Path:
    """The shipped config folder: inside the installed package, or beside it in a source tree."""
    inside = _PACKAGE / "config"
    return inside if inside.is_dir() else _PACKAGE.parent / "config"


def docs_dir() -> Path:
    """The guides: inside the installed package, or beside it in a source tree."""
    inside = _PACKAGE / "docs"
    return inside if inside.is_dir() else _PACKAGE.parent / "docs"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting; config/default.toml says what each means. Units stand in the names."""

    public_url: str
    service_url: str
    home: Path
    database_url: str
    evidence_url: str
    queue_url: str
    secret_key: str
    issuer_name: str
    issuer_url: str
    word_for_learners_in_evidence: str
    launch_hours: float
    platform_timeout: float
    lease_seconds: float
    sweep_seconds: float
    max_upload_mb: int
    key_rotation_days: int
    mail_url: str
    mail_from: str
    alert_mail_to: str
    alert_webhook_url: str
    alert_webhook_secret: str
    fonts_folder: str
    outgoing_allowed: str
    earlier_results: str
    read_back_after: str
    log_level: str

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1024 * 1024

    @property
    def read_back_waits(self) -> tuple[timedelta, ...]:
        """How long after it was accepted a score's result is read, time after time; the last wait repeats itself."""
        return tuple(_wait(each) for each in self.read_back_after.split())

    @property
    def outgoing_origins(self) -> frozenset[str]:
        """Origins that ``http.fetch_public`` may reach although they are not public, as the operator wants."""
        return frozenset(self.outgoing_allowed.split())

    def passphrase(self, purpose: str) -> bytes:
        """What encrypts private keys at rest, one for each purpose, derived from secret_key."""
        return _derived(self.secret_key, purpose)

    @property
    def fonts(self) -> Path | None:
        """The operator's folder of further fonts."""
        return Path(self.fonts_folder).expanduser() if self.fonts_folder else None

    @property
    def evidence_folder(self) -> Path:
        return Path(unquote(urlsplit(self.evidence_url).path))


@lru_cache(maxsize=8)
def _derived(secret: str, purpose: str) -> bytes:
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=f"tessera {purpose}".encode()).derive(secret.encode())
    return base64.urlsafe_b64encode(derived)


def load(env: Mapping[str, str] | None = None) -> Settings:
    """Read default.toml, then the operator's file, then the environment.

    :raises SettingsError: one line that names the setting and what is wrong with it.
    """
    env = os.environ if env is None else env
    values: dict[str, Any] = _read_toml(config_dir() / "default.toml")
    known = {field.name for field in fields(Settings)}
    if own := env.get("TESSERA_CONFIG"):
        given = _read_toml(Path(own))
        if unknown := sorted(set(given) - known):
            raise SettingsError(
                f"{own}: unknown setting {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
            )
        values |= given
    for name in known:
        variable = "TESSERA_HOME" if name == "home" else name.upper()
        if variable in env:
            values[name] = env[variable]
    return _checked(values)


def origin(url: str) -> str:
    """Scheme, host and port of a web address, the port only where it is not the usual one.

    Raises ``ValueError`` for a port that is none.
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, usual) else "")


def clean_environment() -> dict[str, str]:
    """This process's environment without any setting of ours: for children that are given settings of their own."""
    ours = {"TESSERA_CONFIG", "TESSERA_HOME"} | {field.name.upper() for field in fields(Settings)}
    return {name: value for name, value in os.environ.items() if name not in ours}


def current() -> Settings:
    """The settings of the running application."""
    settings: Settings = current_app.extensions["settings"]
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such settings file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}.") from None


def _checked(values: dict[str, Any]) -> Settings:
    hints = get_type_hints(Settings)
    typed = {name: _typed(name, hints[name], value) for name, value in values.items()}
    for name in (
        "launch_hours",
        "platform_timeout",
        "lease_seconds",
        "sweep_seconds",
        "max_upload_mb",
        "key_rotation_days",
    ):
        if typed[name] <= 0:
            raise SettingsError(f"{name} must be above 0, not {typed[name]}.")
    if typed["lease_seconds"] < 4 * typed["platform_timeout"]:
        # Less than a token and a post can take. A longer exchange than the lease costs at worst a comment twice in
        # Canvas: the time-stamp of a score keeps an older one from landing over a newer.
        least = 4 * typed["platform_timeout"]
        raise SettingsError(f"lease_seconds must be at least 4 times platform_timeout, that is {least:g}.")
    if typed["earlier_results"] not in _EARLIER_RESULTS:
        known = ", ".join(_EARLIER_RESULTS)
        raise SettingsError(f"earlier_results must be one of {known}, not {typed['earlier_results']!r}.")
    _check_waits(typed["read_back_after"])
    if typed["log_level"] not in _LOG_LEVELS:
        raise SettingsError(f"log_level must be one of {', '.join(_LOG_LEVELS)}, not {typed['log_level']!r}.")
    typed["public_url"] = _web_address("public_url", typed["public_url"])
    typed["service_url"] = _web_address("service_url", typed["service_url"] or typed["public_url"])
    typed["outgoing_allowed"] = " ".join(_allowed(each) for each in typed["outgoing_allowed"].split())
    home: Path = typed["home"].expanduser().absolute()
    typed["home"] = home
    typed["database_url"] = typed["database_url"] or f"sqlite:///{home / 'tessera.db'}"
    typed["evidence_url"] = typed["evidence_url"] or (home / "evidence").as_uri()
    typed["queue_url"] = typed["queue_url"] or f"sqlite:///{home / 'queue.db'}"
    if typed["fonts_folder"] and not Path(typed["fonts_folder"]).expanduser().is_dir():
        raise SettingsError(f"fonts_folder: {typed['fonts_folder']!r} is no folder.")
    _check_mail(typed["mail_url"], typed["mail_from"])
    _check_alerts(typed)
    for name, schemes in _SERVICE_SCHEMES.items():
        scheme = urlsplit(typed[name]).scheme
        if scheme not in schemes:
            raise SettingsError(
                f"{name} must begin with {' or '.join(s + '://' for s in schemes)}, not {scheme!r}."
            )
    if typed["database_url"].startswith("postgresql:"):
        # Plain postgresql:// would ask SQLAlchemy for psycopg2, which is not what is installed.
        typed["database_url"] = "postgresql+psycopg:" + typed["database_url"].removeprefix("postgresql:")
    typed["issuer_url"] = typed["issuer_url"] or typed["public_url"]
    typed["secret_key"] = typed["secret_key"] or _kept_secret(home)
    if len(typed["secret_key"]) < 32:
        raise SettingsError("secret_key must have at least 32 characters; `openssl rand -hex 32` makes one.")
    return Settings(**typed)


def _typed(name: str, kind: type, value: Any) -> Any:
    try:
        if kind is Path:
            return Path(value)
        if kind is str and not isinstance(value, str):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        words = {int: "a whole number", float: "a number", str: "text in quotes", Path: "a path"}[kind]
        raise SettingsError(f"{name} must be {words}, not {value!r}.") from None


def _check_waits(text: str) -> None:
    try:
        waits = [_wait(each) for each in text.split()]
    except (KeyError, ValueError, OverflowError):
        waits = []
    if not waits or waits != sorted(waits) or waits[0] <= timedelta():
        raise SettingsError(
            f"read_back_after must be growing waits such as '2m 1d 7d 30d' (s, m, h or d), not {text!r}."
        )


def _wait(text: str) -> timedelta:
    return float(text[:-1]) * _UNITS[text[-1]]


def _check_mail(url: str, sender: str) -> None:
    """Both or none; and never in plain text with a password over somebody else's wire by mistake."""
    if not url:
        return
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.path not in ("", "/") or parts.query not in ("", "starttls=yes", "starttls=no"):
        # Its password must not be repeated here.
        raise SettingsError(
            "mail_url must look like smtp://user:password@mail.example.edu:587, "
            "smtps://... for TLS from the start, or end in ?starttls=no for a server that has none."
        )
    if "@" not in sender:
        raise SettingsError(f"mail_from must be an address such as badges@example.edu, not {sender!r}.")


def _check_alerts(typed: Mapping[str, Any]) -> None:
    """Whoever asks to be told must be reachable, and a webhook must be able to tell us from others."""
    addresses = typed["alert_mail_to"].split()
    if wrong := [each for each in addresses if "@" not in each.strip("@") or "," in each]:
        raise SettingsError(f"alert_mail_to must be addresses separated by spaces, not {wrong[0]!r}.")
    if addresses and not typed["mail_url"]:
        raise SettingsError("alert_mail_to needs a mail server: set mail_url and mail_from as well.")
    url = typed["alert_webhook_url"]
    if not url:
        return
    try:
        allowed = origin(url) in typed["outgoing_allowed"].split()
        usable = bool(urlsplit(url).hostname) and (allowed or urlsplit(url).scheme == "https")
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(
            "alert_webhook_url must begin with https://. For a server on your own network, name it in outgoing_allowed."
        )
    if len(typed["alert_webhook_secret"]) < 32:
        raise SettingsError(
            "alert_webhook_secret must have at least 32 characters; `openssl rand -hex 32` makes one."
        )


def _web_address(name: str, value: str) -> str:
    parts = urlsplit(value)
    try:
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingsError(f"{name} must be an address such as https://tessera.example.edu, not {value!r}.")
    host = parts.hostname or ""
    if parts.scheme == "http" and host not in ("localhost", "127.0.0.1") and not host.endswith(".localhost"):
        raise SettingsError(f"{name} must begin with https://, since browsers drop our cookies on {value!r}.")
    return f"{parts.scheme}://{parts.netloc}"


def _allowed(value: str) -> str:
    parts = urlsplit(value)
    try:
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        found = origin(value)
    except ValueError:
        valid = False
    if not valid or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingsError(
            f"outgoing_allowed must be addresses such as https://badges.campus.example, not {value!r}."
        )
    return found


def _kept_secret(home: Path) -> str:
    """Made at the first start, and kept."""
    path = home / "secret.key"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make_secret(path)
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SettingsError(f"home {str(home)!r} cannot be written: {error.strerror}.") from None
    if not text:
        raise SettingsError(f"{path} is empty. Restore it from a backup, or set SECRET_KEY.")
    return text


def _make_secret(path: Path) -> None:
    """Complete or not there at all, so that two processes that start together take the same one."""
    handle, draft = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
