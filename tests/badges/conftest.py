"""One badge with everything in it, its issuer, and a way to change what was signed."""

import copy
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lti_tool.badges import open_badge
from lti_tool.badges.queries import BadgeStatus
from lti_tool.issuers import did as dids
from lti_tool.issuers import proof
from lti_tool.verification.service import Own, verify
from lti_tool.verification.verdict import Verdict
from lti_tool.verification.web import Web

AWARDED = datetime(2026, 11, 2, 15, 30, tzinfo=UTC)
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PUBLIC_URL = "https://badges.example.edu"


@pytest.fixture
def now() -> datetime:
    return NOON


@pytest.fixture
def did() -> str:
    return dids.issuer_did(PUBLIC_URL, 1)


@pytest.fixture(scope="session")
def key() -> Ed25519PrivateKey:
    return proof.new_signing_key()


@pytest.fixture
def achievement() -> open_badge.AchievementFacts:
    page = f"{PUBLIC_URL}/credentials/shared-reading/2"
    return open_badge.AchievementFacts(
        id=page,
        name="Shared Reading With Young Children",
        description="Plans and leads dialogic reading so that every child takes part.",
        criteria_narrative="Plan, lead and reflect on two reading sessions – “small group” and one-to-one.",
        version=2,
        assessment_mode="Assessed by: course instructor (one rating). No agreement evidence.",
        image_url=f"{page}/badge.png",
        alignments=(
            open_badge.AlignmentFacts(
                code="InTASC 4(a)",
                label="Content knowledge: ways into the content",
                framework="InTASC Model Core Teaching Standards",
                url="https://standards.example.org/intasc/4a",
            ),
            open_badge.AlignmentFacts(code="CEC 3.1", label="Curriculum", framework="CEC"),
        ),
        criteria=tuple(
            open_badge.CriterionFacts(
                key=name,
                name=name.title(),
                levels=(
                    open_badge.LevelFacts(
                        key="not-yet", name="Not Yet", description="Little is visible so far."
                    ),
                    open_badge.LevelFacts(key="developing", name="Developing"),
                    open_badge.LevelFacts(
                        key="proficient", name="Proficient", description="All of it is seen."
                    ),
                ),
                required_level="proficient",
            )
            for name in ("planning", "prompting", "reflection")
        ),
        tags=("early literacy", "dialogic reading"),
    )


@pytest.fixture
def facts(did: str, achievement: open_badge.AchievementFacts) -> open_badge.BadgeFacts:
    return open_badge.BadgeFacts(
        credential_id="urn:uuid:6f8c2c34-3d0c-4d6e-9a55-0e8f5a1f6d11",
        issuer_did=did,
        issuer_name="Department of Special Education",
        issuer_url=PUBLIC_URL,
        awarded_at=AWARDED,
        valid_until=datetime(2031, 11, 2, tzinfo=UTC),
        subject_id="urn:uuid:0b6ce0f4-6a39-47d2-bb26-0cb3b4fdfb4f",
        achievement=achievement,
        email="a@example.com",
        salt="Kosher",
        source=open_badge.BodyFacts(id=did, name="Department of Special Education", url=PUBLIC_URL),
        evidence=(
            open_badge.EvidenceFacts(
                name="Video of a session",
                narrative="Eight minutes; kept by the program, not published.",
                genre="Video",
                sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
            open_badge.EvidenceFacts(name="Reflection", narrative="Two pages.", genre="Text"),
        ),
    )


@pytest.fixture
def method(did: str, key: Ed25519PrivateKey) -> str:
    return dids.verification_method(did, key.public_key())


@pytest.fixture
def badge(facts: open_badge.BadgeFacts, key: Ed25519PrivateKey, method: str) -> dict[str, Any]:
    return proof.sign(open_badge.build(facts), key, method, AWARDED)


STANDS = BadgeStatus(revoked_at=None, reason=None, reissued=False)


@pytest.fixture
def keys(key: Ed25519PrivateKey, method: str) -> dict[str, Any]:
    """What our database knows of the issuer."""
    return {method: proof.multikey(key.public_key())}


Judge = Callable[..., Verdict]


@pytest.fixture
def judge(did: str, keys: dict[str, Any], now: datetime) -> Judge:
    """The verdict on bytes, or on a document written as JSON. The issuer ``did`` is ours; nobody else can be asked."""

    def judged(
        given: Any,
        *,
        when: datetime = now,
        email: str = "",
        status: BadgeStatus | None = STANDS,
        ours: dict[str, Any] | None = None,
        web: Web | None = None,
    ) -> Verdict:
        return verify(
            given if isinstance(given, bytes) else json.dumps(given).encode(),
            records=lambda issuer, _: Own(keys=ours or keys, status=status) if issuer == did else None,
            web=Web(resolve=lambda *_: []) if web is None else web,
            now=when,
            email=email,
        )

    return judged


@pytest.fixture
def changed(badge: dict[str, Any]) -> Callable[[Callable[[dict[str, Any]], object]], dict[str, Any]]:
    """A copy of the signed badge after somebody worked on it."""

    def change(work: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        other = copy.deepcopy(badge)
        work(other)
        return other

    return change


@pytest.fixture
def published() -> Path:
    """The folder with 1EdTech's schemas and with badges that others signed."""
    named = os.environ.get("TESSERA_OPENBADGES")
    folder = Path(named) if named else Path(__file__).parents[1] / "fixtures" / "openbadges"
    if not folder.is_dir():
        pytest.skip("TESSERA_OPENBADGES names no folder with the Open Badges schemas and vectors")
    return folder
