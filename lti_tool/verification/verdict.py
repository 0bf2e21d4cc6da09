"""What checking a badge comes to, in words that a layperson understands and that never say more than was found."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FILE = "The file can be read"
FORM = "It is an Open Badge 3.0"
SIGNER = "It is signed in its issuer's name"
ISSUER = "The key is its issuer's"
COVERED = "Everything in it is signed"
SIGNATURE = "The signature fits"
DATES = "It is valid today"
STATUS = "It was not revoked"
RECIPIENT = "It belongs to the person you ask about"
CHECKS = (FILE, FORM, SIGNER, ISSUER, COVERED, SIGNATURE, DATES, STATUS, RECIPIENT)

_SKIPPED = "A check before it has to pass first."


class Outcome(StrEnum):
    """What became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"
    """It matters, and could not be found out."""
    NOTHING = "does not apply"
    """The badge (or the person who asks) gives nothing that could be checked here."""


class Standing(StrEnum):
    """The verdict in one word."""

    GENUINE = "genuine"
    REFUSED = "refused"
    """Something is wrong: do not rely on it."""
    UNDECIDED = "undecided"
    """Nothing is wrong, yet something that matters could not be checked here."""
    NO_BADGE = "no badge"
    """There is nothing to judge: a file of another kind, or of a kind this page does not check."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question about the badge, in plain words, and its answer."""

    name: str
    outcome: Outcome
    explanation: str


class Stop(Exception):  # not an error: the answer is known, and later checks need what is missing
    """A check that ends the examination, with its answer.

    ``foreign`` is what it comes to for a badge of another issuer, where we cannot tell a way of signing that we
    do not know from a bad one. Our own badges are all made in one way, so anything else is FAILED.
    """

    def __init__(self, check: str, explanation: str, foreign: Outcome | Standing = Outcome.FAILED) -> None:
        super().__init__(explanation)
        self.check = check
        self.explanation = explanation
        self.foreign = foreign


class Answers:
    """The checks made so far. Each is answered once."""

    def __init__(self) -> None:
        self._made: dict[str, Check] = {}

    def put(self, name: str, outcome: Outcome, explanation: str) -> None:
        self._made[name] = Check(name=name, outcome=outcome, explanation=explanation)

    def passed(self, name: str) -> bool:
        """Whether the check was made, and passed."""
        return name in self._made and self._made[name].outcome is Outcome.PASSED

    def first(self, outcome: Outcome) -> Check | None:
        """The first of those that were made which came to that."""
        return next(
            (
                self._made[name]
                for name in CHECKS
                if name in self._made and self._made[name].outcome is outcome
            ),
            None,
        )

    def all(self) -> tuple[Check, ...]:
        """Every check in order; those that were not reached are "not checked"."""
        return tuple(
            self._made.get(name, Check(name=name, outcome=Outcome.NOT_CHECKED, explanation=_SKIPPED))
            for name in CHECKS
        )


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the file says. Only as true as the verdict: show it as a claim unless the badge is genuine."""

    credential_id: str
    achievement_id: str
    name: str
    description: str
    issuer_id: str
    issuer_name: str
    recipient: str
    """Who holds it, as far as a stranger may know: a kind of identity in words, never an address."""
    criteria: str
    """Markdown as the issuer wrote it. Empty if the badge gives only ``criteria_url``."""
    criteria_url: str
    version: str
    valid_from: datetime
    valid_until: datetime | None
    awarded_at: datetime | None


_REFUSED = {
    STATUS: "This badge was revoked",
    DATES: "This badge is not valid today",
    RECIPIENT: "This badge was not given to that e-mail address",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer on one badge."""

    standing: Standing
    checks: tuple[Check, ...]
    """All of them in the order in which they were made; after a failure, later ones may be "not checked"."""
    reason: str
    """The one sentence to put first."""
    shown: Shown | None
    """None if the file could not be read as an Open Badge 3.0."""
    vouched_by: str = ""
    """The host that publishes the key of a foreign issuer: who it is, as far as the Internet can tell."""

    @property
    def ok(self) -> bool:
        """Whether the badge is genuine: signed with a key known to be its issuer's, complete, in date, standing."""
        return self.standing is Standing.GENUINE

    @property
    def confirmed(self) -> bool:
        """Whether its issuer did say what the badge says, valid today or not."""
        passed = {check.name for check in self.checks if check.outcome is Outcome.PASSED}
        return passed >= {FORM, ISSUER, COVERED, SIGNATURE}

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        if self.standing is Standing.GENUINE:
            return f"This badge comes from {self.vouched_by}" if self.vouched_by else "This badge is genuine"
        if self.standing is Standing.NO_BADGE:
            return "There is no badge to check here"
        if self.standing is Standing.UNDECIDED:
            return "This badge could not be fully checked"
        failed = next(check for check in self.checks if check.outcome is Outcome.FAILED)
        return _REFUSED.get(failed.name, "Do not rely on this badge")
