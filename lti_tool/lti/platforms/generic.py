"""A platform that keeps to LTI 1.3 Advantage, and the questions that every platform must answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar

from lti_tool.lti.addresses import origin_of
from lti_tool.lti.scopes import USUAL


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
    away: bool = False
    """Refused because the person, or the course, is not active there now: it goes once they are."""
    throttled: bool = False
    """We are too fast. Says nothing about the score."""


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
    statuses: range | tuple[int, ...],
    text: str,
    step: Next,
    reason: str,
    *,
    read_first: bool = False,
    away: bool = False,
    throttled: bool = False,
) -> Rule:
    return Rule(statuses, re.compile(text, re.IGNORECASE), Verdict(step, reason, read_first, away, throttled))


AGAIN = "then press Send again."
_ANY = ""


class Generic:
    """Answers by the specification. A product's class overrides what the product does otherwise."""

    product_name: ClassVar[str] = "the LMS"

    guide: ClassVar[str] = "troubleshooting"
    """Name of the guide for its administrators."""

    rules: ClassVar[tuple[Rule, ...]] = ()
    """A product's own answers, looked through before the common ones."""

    sends_course_as_link: ClassVar[bool] = False
    """Whether a launch from the course's menu comes with the course's id as that of its link. Elsewhere equal
    ids mean nothing: Moodle counts courses and links from 1 each."""

    reviews_submissions: ClassVar[bool] = True
    """Whether the product opens what was handed in by LtiSubmissionReviewRequest, so that an activity's gradebook
    column declares it."""

    custom_variables: ClassVar[Mapping[str, str]] = {"context_history": "$Context.id.history"}
    """Asked for with every activity that is put into a course. What a platform does not know arrives
    literally and is dropped."""

    names_activity_after_column: ClassVar[bool] = False
    """Whether an added activity is called what its gradebook column is called, whatever its own title."""

    family_codes: ClassVar[frozenset[str]] = frozenset()
    """``product_family_code`` of its registration configuration."""

    wanted_scopes: ClassVar[tuple[str, ...]] = USUAL

    names_audience: ClassVar[bool] = True
    """Whether ``authorization_server`` of its configuration is the audience of our client assertions."""

    selection_placements: ClassVar[tuple[str, ...]] = ()
    """Where the picker is wanted; without any, wherever the platform puts it."""

    next_steps: ClassVar[tuple[str, ...]] = (
        "In your LMS, switch Tessera on if it lists it as new or inactive.",
        "Allow it to receive names and e-mail addresses, to use the gradebook and to see who is in a course, if your "
        "LMS asks.",
        "Add Tessera to the places where instructors choose activities or external tools.",
    )
    """What an administrator has to press there after a dynamic registration; ``{client_id}`` is put in."""

    def speaks_for(self, issuer: str, configuration_url: str) -> bool:
        """Whether the server that a configuration came from may name this issuer: its own origin only."""
        origin = origin_of(issuer)
        return origin is not None and origin == origin_of(configuration_url)

    def registration_variables(self, listed: frozenset[str]) -> dict[str, str]:
        """Custom parameters to register. ``listed`` are the variables that the platform says it knows; empty if it says
        nothing."""
        return {
            name: variable
            for name, variable in self.custom_variables.items()
            if not listed or variable.removeprefix("$") in listed
        }

    def registration_messages(
        self, offered: Mapping[str, frozenset[str]], target: str, label: str
    ) -> list[dict[str, Any]]:
        """The messages to register.

        :param offered: the placements of each message type that the platform supports.
        """
        picker: dict[str, Any] = {
            "type": "LtiDeepLinkingRequest",
            "target_link_uri": target,
            "label": label,
        }
        places = offered.get("LtiDeepLinkingRequest", frozenset())
        wanted = [place for place in self.selection_placements if not places or place in places]
        if wanted:
            picker["placements"] = wanted
        return [picker] if "LtiDeepLinkingRequest" in offered or not offered else []

    def registration_extras(self) -> dict[str, Any]:
        """What the tool configuration of a registration carries besides the standard fields."""
        return {}

    def explain_token(self, status: int, body: str) -> str:
        """Why a token was refused, and what an administrator can do; ``{keys}`` and ``{client_id}`` are put in."""
        if status == 403:
            return (
                f"{self._name} or a firewall before it turned Tessera away. Tessera says who it is as “Tessera/… (LTI "
                "1.3 tool)” in the User-Agent header: allow requests with it."
            )
        if status == 429 or status >= 500:
            return f"{self._name} is busy or has a problem of its own. Try again in a few minutes."
        if status in (404, 405) or 300 <= status < 400:
            return (
                "There is no token service at that address. Compare the access token address with the one that the LMS "
                "shows."
            )
        if "invalid_client" in body:
            return f"{self._name} does not know the client id {{client_id}}. Compare it with the one shown by the LMS."
        return (
            f"{self._name} did not accept Tessera’s signature. Check that its key set address is {{keys}}, that "
            f"{self.product_name} can reach that address, and that the client id is {{client_id}}."
        )

    def takes_dates(self, placement_name: str | None) -> bool:  # noqa: ARG002 - a question that products answer
        """Whether a due date sent with an activity is kept. ``placement_name``: from where it is added, in Canvas."""
        return True

    at_once: ClassVar[int] = 8
    """How many requests one process of ours may have on their way at the same time."""

    at_once_everywhere: ClassVar[int | None] = None
    """How many scores all our processes together may have on their way, where the platform counts that."""

    tells_of_storage: ClassVar[bool] = True
    """Whether its pages may keep data for tools though its logins do not say so: Blackboard's tell only who asks them,
    with ``lti.capabilities``. Asking costs somebody without a cookie half a second where nobody answers."""

    due_note: ClassVar[str] = ""
    """What faculty should know of due dates there, in a sentence or two."""

    roster_page: ClassVar[int] = 100
    """How many people to ask for at a time."""

    results_page: ClassVar[int | None] = None
    """How many results to ask for at a time; None asks for none in particular, as some fail on any number."""

    override_note: ClassVar[str] = ""
    """What to know, in a sentence for faculty, before a score is sent over a grade that somebody has set."""

    late_policies: ClassVar[bool] = False
    """Whether the product may take points off a score by itself when it comes in, because the work was late."""

    column_scopes: ClassVar[tuple[str, ...]] = ("https://purl.imsglobal.org/spec/lti-ags/scope/lineitem",)
    """What it takes to look for a gradebook column and to make one."""

    columns_unasked: ClassVar[bool] = True
    """Whether a column that a link lacks may be made without asking faculty. One that was deleted is made anew once
    without asking, everywhere."""

    remade_note: ClassVar[str] = ""
    """What else came of it when a deleted column was made anew, in a sentence or two for faculty."""

    column_note: ClassVar[str] = ""
    """What else happens when a column is made, in a sentence for faculty."""

    columns_belong_to_links: ClassVar[bool] = True
    """Whether a column that we make can be given to the link that lacks one."""

    def column_maximum(self, points: float) -> float:
        """What a column is out of, as the platform takes it."""
        return int(points) if float(points).is_integer() else points

    def column_with_link(self, launch_url: str) -> dict[str, Any]:  # noqa: ARG002 - a question that products answer
        """What to send with a column that is made in place of a deleted one, so that the activity opens from it.

        :param launch_url: the address of the activity's launches.
        """
        return {}

    def pause(self, headers: Mapping[str, str]) -> float:  # noqa: ARG002 - a question that products answer
        """Seconds to leave between this answer and the next request, for all that we ask of that platform."""
        return 0.0

    def addresses(self, issuer: str) -> Addresses | None:  # noqa: ARG002 - a question that products answer
        """Where every installation of the product with this issuer answers; None where each has its own."""
        return None

    def handed_in(self, review_url: str) -> dict[str, Any] | None:  # noqa: ARG002 - a question that products answer
        """What to post besides the standard fields when work was handed in and waits for its assessor; None where
        anything that is posted before the decision could harm a grade, or would show nobody anything.

        :param review_url: where the assessor's launch opens the very submission.
        """
        return None

    def comment_alone(self) -> dict[str, Any] | None:
        """What to post besides the standard fields with a comment for the earner that comes without a score; None where
        that could harm a grade, or would show nobody anything."""
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
                return replace(candidate.verdict, reason=candidate.verdict.reason.format(lms=self._name))
        return Verdict(
            Next.REFUSED, f"{self._name} refused the score (status {status}). Check the link, {AGAIN}"
        )

    @property
    def _name(self) -> str:
        return self.product_name[0].upper() + self.product_name[1:]

    def _at_token(self, status: int, body: str) -> Verdict:
        throttled = status == 429 or "rate limit exceeded" in body.lower()
        if throttled or status >= 500:
            return Verdict(Next.RETRY, f"{self._name} is busy.", throttled=throttled)
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
    rule((429,), _ANY, Next.RETRY, "{lms} is busy.", throttled=True),
    rule((408, 425), _ANY, Next.RETRY, "{lms} is busy."),
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
