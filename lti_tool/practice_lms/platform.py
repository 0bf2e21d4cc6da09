"""What a practice LMS is: its configuration, addresses, keys and faults, and what a behaviour must answer."""

import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any, Literal, cast

import jwt
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Response, current_app

from lti_tool.practice_lms import courses, store
from lti_tool.practice_lms.store import Store
from lti_tool.practice_lms.throttle import Bucket

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/"
DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/"
_GRADE_SCOPES = tuple(
    f"{AGS}scope/{name}" for name in ("lineitem", "lineitem.readonly", "result.readonly", "score")
)
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/"
NOTICE_SCOPE = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
NRPS_SCOPE = f"{NRPS}scope/contextmembership.readonly"
SCOPES = (*_GRADE_SCOPES, NRPS_SCOPE, NOTICE_SCOPE)
SCHOOL = "Northfield University"
COURSE_TITLE = "SPED 4500 · Assessment and Inclusive Practice"
COURSE_LABEL = "SPED4500"
SECTION_SOURCEDID = "SIS-SPED4500-01"
TERM = "Fall 2026"

CUSTOM = {
    "context_history": "$Context.id.history",
    "term_name": "$Canvas.term.name",
    "person_sis": "$Person.sourcedId",
    "section_sis": "$CourseSection.sourcedId",
    "due_at": "$ResourceLink.submission.endDateTime",
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class LmsConfig:
    """One practice LMS, and the one tool that its administrator has installed."""

    behaviour: Literal["canvas", "moodle"]
    port: int
    """The addresses are made of it; 0, a free one, only for ``serve``."""
    home: Path
    """Where its SQLite file lives; made if missing."""
    tool_login_url: str = ""
    """Without it no tool is connected, until one registers itself."""
    tool_launch_url: str = ""
    """The redirect URI, and the target link URI of a link that has no address of its own."""
    tool_jwks_url: str = ""
    """Fetched by the LMS itself, so at 127.0.0.1: only browsers resolve ``*.localhost``."""
    tool_deep_link_url: str = ""
    client_id: str = ""
    deployment_id: str = ""
    tool_name: str = "Tessera"
    public_host: str = "lms.localhost"
    custom: Mapping[str, str] = field(default_factory=lambda: dict(CUSTOM))
    """Tool-level custom parameters; ``$Variables`` are substituted where the product would."""
    scopes: tuple[str, ...] = SCOPES
    """What the tool is allowed."""
    names: bool = True
    """Whether it is told names and e-mail addresses."""
    offered: bool = True
    """Whether instructors find it: pending tools and those outside the activity chooser they do not."""
    tool_jwks: Mapping[str, Any] | None = None
    """Given in tests instead of fetching ``tool_jwks_url``."""
    storage: bool = True
    """Whether the pages keep data for the tool, where the product does that. Canvas's mobile apps do not."""
    rate_limit: bool = False
    """Whether services have Canvas's rate limit. Off by default: it makes people who try things out wait."""
    clock: Callable[[], datetime] = _utc_now

    def __post_init__(self) -> None:
        canvas = self.behaviour == "canvas"
        defaults = {
            "tool_deep_link_url": self.tool_launch_url,
            "client_id": "10000000000042" if canvas else "LobiPractice01",
            "deployment_id": "106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb" if canvas else "1",
        }
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)


@dataclass
class Faults:
    """What the LMS has been told to do wrong, for tests that kill or starve the tool at a chosen moment."""

    delay: float = 0.0
    """Seconds between the arrival of a score and its being stored."""
    delay_after: float = 0.0
    """Seconds between a score being stored and the answer."""
    fail: list[int] = field(default_factory=list)
    """Statuses to answer the next scores with, storing nothing."""
    throttle: int = 0
    """How many service requests from now on are told that the rate limit is exceeded."""
    throttle_status: int = 403
    """Canvas has answered with 403 and with 429."""


@dataclass(frozen=True)
class Launch:
    """One opening of the tool that a person has begun in the LMS."""

    handle: str
    kind: Literal["resource", "deep_linking", "administration", "review"]
    """``review`` opens the tool for a look at what one learner has handed in there."""
    person: Row
    activity: Row | None
    started_at: datetime
    learner: Row | None = None
    """Whose work is to be reviewed."""
    address: str | None = None
    """Where in the tool, if not at the activity's own address."""


class Lms:
    """A practice LMS as its requests see it. One per Flask application."""

    def __init__(self, config: LmsConfig, behaviour: "Callable[[Lms], Behaviour]") -> None:
        config.home.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.url = f"http://{config.public_host}:{config.port}"
        self.service_url = f"http://127.0.0.1:{config.port}"
        self.store = Store(config.home / f"practice-lms-{config.behaviour}.db")
        self.behaviour = behaviour(self)
        with self.store.transaction() as db:
            if store.setting(db, "context_id") is None:
                self._seed(db)
            first = store.setting(db, "context_id") or ""
            courses.ensure_first(db, self.behaviour.first_course, first, COURSE_LABEL, COURSE_TITLE)
            self.settings = {row["name"]: row["value"] for row in db.execute("SELECT * FROM setting")}
        # Checking a key of its own making would cost each start forty milliseconds.
        key = serialization.load_pem_private_key(
            self.settings["private_key"].encode(), None, unsafe_skip_rsa_key_validation=True
        )
        self.key = cast(rsa.RSAPrivateKey, key)
        self.kid = self.settings["kid"]
        self.secret_key = self.settings["secret_key"]
        self.context_id = self.settings["context_id"]
        self.account_id = self.settings["account_id"]
        self.guid = self.settings["guid"]
        self.bucket = Bucket(config.clock) if config.rate_limit else None
        self.faults = Faults()
        self.fault_lock = threading.Lock()
        self.stopping = threading.Event()

    def _seed(self, db: Connection) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        settings = {
            "private_key": pem.decode(),
            "secret_key": uuid.uuid4().hex,
            "course_state": "published",
            "guid": uuid.uuid4().hex,
            **self.behaviour.seed(db),
        }
        for name, value in settings.items():
            store.set_setting(db, name, value)

    @property
    def registration(self) -> dict[str, str | None]:
        """What the administrator of a tool has to type in to connect this LMS."""
        return {
            "issuer": self.url,
            "client_id": self.config.client_id,
            "auth_url": self.behaviour.auth_url,
            "token_url": f"{self.service_url}/token",
            "jwks_url": f"{self.service_url}/jwks",
            "deployment_id": self.config.deployment_id,
            "product": self.config.behaviour,
            "authorization_server": None,
        }

    def now(self) -> datetime:
        return self.config.clock()

    def wait(self, seconds: float) -> None:
        """Sleep, but wake when the LMS is closed."""
        self.stopping.wait(min(seconds, 60))

    def sign(self, claims: Mapping[str, Any], headers: Mapping[str, Any] | None = None) -> str:
        return jwt.encode(
            dict(claims), self.key, algorithm="RS256", headers={"kid": self.kid, **(headers or {})}
        )

    def jwks(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        public.pop("key_ops", None)
        return {"keys": [{**public, "kid": self.kid, "alg": "RS256", "use": "sig"}]}

    def tool_claims(self, token: str) -> dict[str, Any]:
        """Check the signature of something that the tool sent. Times and audience are left to the caller.

        Raises ``jwt.PyJWTError`` for a bad token and ``requests.RequestException`` when the tool's keys
        cannot be fetched.
        """
        kid = jwt.get_unverified_header(token).get("kid")
        jwks = self.config.tool_jwks
        if jwks is None:
            answer = requests.get(self.config.tool_jwks_url, timeout=5)
            answer.raise_for_status()
            jwks = answer.json()
        for key in jwks["keys"]:
            if key.get("kid") == kid:
                unchecked = {
                    f"verify_{name}": False for name in ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")
                }
                claims: dict[str, Any] = jwt.decode(
                    token,
                    jwt.PyJWK(key, algorithm="RS256").key,
                    algorithms=["RS256"],
                    options=cast(Any, unchecked),
                )
                return claims
        raise jwt.InvalidKeyError(f"The tool publishes no key called {kid!r}.")

    def course_state(self, db: Connection) -> str:
        return store.setting(db, "course_state") or "published"

    def late_percent(self, db: Connection) -> int:
        """What the late policy takes off for each day, in percent of all the points; 0 is no policy."""
        return int(store.setting(db, "late_percent") or 0)


class Behaviour(ABC):
    """What Canvas and Moodle do differently."""

    return_path: str
    """Where the tool's picker sends its answer."""
    leave_path: str
    """Where the tool may send somebody who has finished there."""
    roots: Mapping[str, str]
    """URL rules of the services: ``items``, ``item``, ``scores``, ``results``, ``members`` and what else there is."""
    first_course: int
    """Number of the course that the LMS begins with."""
    known_scopes: tuple[str, ...] = (*_GRADE_SCOPES, NRPS_SCOPE)
    """What the product can grant at all."""

    def __init__(self, lms: Lms) -> None:
        self.lms = lms

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the tool was granted here."""
        return tuple(scope for scope in self.known_scopes if scope in self.lms.config.scopes)

    @property
    def grade_scopes(self) -> list[str]:
        """Those of them that the gradebook's claim names."""
        return [scope for scope in self.scopes if scope in _GRADE_SCOPES]

    @property
    def auth_url(self) -> str:
        """Where a tool sends a browser that wants to come in."""
        return f"{self.lms.url}/auth"

    @property
    def storage_frame(self) -> str | None:
        """Address of the frame that takes what tools want to have kept; None where the product keeps nothing."""
        return None

    @abstractmethod
    def review(self, item: Row, cell: Mapping[str, Any]) -> str | None:
        """The address in the tool at which the work behind a grade is reviewed; None where there is none."""

    @abstractmethod
    def seed(self, db: Connection) -> dict[str, str]:
        """Make the people; return the settings ``kid``, ``context_id`` and ``account_id``."""

    @abstractmethod
    def new_handle(self, activity_id: int | None) -> str: ...

    @abstractmethod
    def login_fields(self, launch: Launch, target_link_uri: str) -> dict[str, str]:
        """The form of the third-party initiated login."""

    @abstractmethod
    def handle_of(self, message_hint: str) -> str | None:
        """Find the launch that a message hint stands for; None if the hint is broken or too old."""

    @abstractmethod
    def auth_error(self, params: Mapping[str, str], person: Row) -> tuple[str, str] | None:
        """The ``error`` and ``error_description`` to post to the tool instead of an id_token."""

    @abstractmethod
    def expired_error(self) -> tuple[str, str]: ...

    @abstractmethod
    def claims(self, db: Connection, launch: Launch, nonce: str) -> dict[str, Any]: ...

    @abstractmethod
    def answer_fields(self) -> dict[str, str]:
        """Form fields that the product posts along with the id_token."""

    @abstractmethod
    def return_refusal(self, db: Connection, args: Mapping[str, str], person: Row | None) -> Response | None:
        """Refuse a deep-linking answer because of its address."""

    @abstractmethod
    def jwt_refusal(self, problem: str) -> Response:
        """Refuse a deep-linking answer because of its JWT."""

    @abstractmethod
    def add_content_items(
        self, db: Connection, items: list[dict[str, Any]], args: Mapping[str, str]
    ) -> list[str]:
        """Turn accepted content items into activities; return their titles. ``args``: of the return address."""

    def test_student(self, db: Connection) -> Row | None:  # noqa: ARG002 - Canvas has one
        """Whom an instructor becomes to see the course as a student; None where the product has no such person."""
        return None

    @abstractmethod
    def token(self, form: Mapping[str, str]) -> Response: ...

    @abstractmethod
    def serve(self, db: Connection, operation: str, course: str, item_id: int | None) -> Response:
        """Answer one grade service request. ``operation`` is ``"items GET"``, ``"scores POST"`` and so on."""

    def copy_course(self, db: Connection, row: Row, *, keep_custom: bool) -> Row:
        """Make a copy of a course: new ids for it and its links, new columns, and nobody's grades."""
        return courses.copy(
            db,
            row,
            context_id=self.new_context_id(),
            link_id=self.new_link_id,
            keep_custom=keep_custom,
            plain_url=self.lms.config.tool_launch_url,
        )

    @abstractmethod
    def new_context_id(self) -> str | None:
        """For a copied course; None where its number is its id."""

    @abstractmethod
    def new_link_id(self) -> str | None:
        """For a copied link; None where its number is its id."""

    @abstractmethod
    def copied(self, db: Connection, row: Row) -> None:
        """Tell the tool that a course was copied, where the product does."""

    @abstractmethod
    def override(self, db: Connection, cell: dict[str, Any], score: float | None, comment: str) -> None:
        """Set a grade by hand, as a teacher does in the gradebook."""


def current() -> Lms:
    """The LMS of the request being answered."""
    return cast(Lms, current_app.extensions["practice_lms"])


def substituted(custom: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Put in what the LMS knows; what it does not know stays literally ``$Name``."""
    return {name: variables.get(value, value) for name, value in custom.items()}
