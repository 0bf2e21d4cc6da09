"""A platform that keeps to LTI 1.3 Advantage, and the questions that every platform must answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar


class Next(StrEnum):
    """What follows from a platform's answer to a score."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    """Later, with the same payload."""
    NEW_TOKEN = "new_token"  # noqa: S105 - the name of a step, not a secret
    CONFLICT = "conflict"
    """The platform has a score that is as new or newer: read the result, then decide."""
    GONE = "gone"
    """The gradebook column is not there any more."""
    REFUSED = "refused"
    """A person has to do something first; ``reason`` says what."""


@dataclass(frozen=True)
class Verdict:
    """What an answer means, with the reason in words for the ledger."""

    next: Next
    reason: str
    read_first: bool = False
    """The score may have arrived: read the result before sending again."""


@dataclass(frozen=True)
class Rule:
    """One row of a platform's answers: these statuses, with this text in the body, mean that verdict."""

    statuses: range | tuple[int, ...]
    text: re.Pattern[str]
    verdict: Verdict

    def fits(self, status: int, body: str) -> bool:
        return status in self.statuses and self.text.search(body) is not None


@dataclass(frozen=True)
class Addresses:
    """Where a platform answers: logins, tokens, its keys."""

    auth_url: str
    token_url: str
    jwks_url: str


def rule(
    statuses: range | tuple[int, ...], text: str, step: Next, reason: str, *, read_first: bool = False
) -> Rule:
    return Rule(statuses, re.compile(text, re.IGNORECASE), Verdict(step, reason, read_first))


AGAIN = "then press Send again."
_ANY = ""


class Generic:
    """Answers by the specification. A product's class overrides what the product does otherwise."""

    product_name: ClassVar[str] = "the LMS"
    rules: ClassVar[tuple[Rule, ...]] = ()
    """A product's own answers, looked through before the common ones."""

    sends_course_as_link: ClassVar[bool] = False
    """Whether a launch from the course's menu comes with the course's id as that of its link. Elsewhere equal
    ids mean nothing: Moodle counts courses and links from 1 each."""

    custom_variables: ClassVar[Mapping[str, str]] = {"context_history": "$Context.id.history"}
    """Asked for with every activity that is put into a course. What a platform does not know arrives
    literally and is dropped."""

    def addresses(self, issuer: str) -> Addresses | None:  # noqa: ARG002 - a question that products answer
        """Where every installation of the product with this issuer answers; None where each has its own."""
        return None

    def score_extensions(self) -> dict[str, Any]:
        """What an assessed score carries besides the standard fields."""
        return {}

    def classify(
        self, status: int | None, body: str, timed_out: bool = False, *, at_token: bool = False
    ) -> Verdict:
        """What an answer to a score means.

        :param status: None when there was no answer; ``timed_out`` then tells whether it may have arrived.
        :param at_token: the answer came from the token endpoint.
        """
        if status is None:
            if timed_out:
                return Verdict(Next.RETRY, f"{self._name} did not answer in time.", read_first=True)
            return Verdict(Next.RETRY, f"{self._name} could not be reached.")
        if at_token:
            return self._at_token(status, body)
        for candidate in (*self.rules, *_COMMON):
            if candidate.fits(status, body):
                verdict = candidate.verdict
                return Verdict(verdict.next, verdict.reason.format(lms=self._name), verdict.read_first)
        return Verdict(
            Next.REFUSED, f"{self._name} refused the score (status {status}). Check the link, {AGAIN}"
        )

    @property
    def _name(self) -> str:
        return self.product_name[0].upper() + self.product_name[1:]

    def _at_token(self, status: int, body: str) -> Verdict:
        if status == 429 or status >= 500 or "rate limit exceeded" in body.lower():
            return Verdict(Next.RETRY, f"{self._name} is busy.")
        if "invalid_scope" in body:
            return Verdict(
                Next.REFUSED,
                f"{self._name} does not allow Tessera to send scores. "
                f"Ask the administrator to allow grade services for this tool, {AGAIN}",
            )
        return Verdict(
            Next.REFUSED,
            f"{self._name} did not recognize Tessera (status {status}). Ask the administrator to check the "
            f"client id, the key address and that {self.product_name} can reach it, {AGAIN}",
        )


_COMMON = (
    rule(range(200, 300), _ANY, Next.ACCEPTED, "{lms} accepted the score."),
    rule((408, 425, 429), _ANY, Next.RETRY, "{lms} is busy."),
    rule(range(500, 600), _ANY, Next.RETRY, "{lms} had a problem of its own.", read_first=True),
    rule((401,), _ANY, Next.NEW_TOKEN, "{lms} did not accept the access token."),
    rule((409,), _ANY, Next.CONFLICT, "{lms} has a score of the same time or newer."),
    rule(
        (404, 410),
        _ANY,
        Next.GONE,
        "The gradebook column does not exist any more. Add the activity to the course again; when the earner opens "
        "it there and continues, the score goes to the new column.",
    ),
    rule(
        (403,),
        _ANY,
        Next.REFUSED,
        f"{{lms}} does not allow Tessera to send this score. Ask the administrator to allow it, {AGAIN}",
    ),
    rule(
        range(300, 400),
        _ANY,
        Next.REFUSED,
        f"{{lms}} has moved. Open the activity once from the course, {AGAIN}",
    ),
)
