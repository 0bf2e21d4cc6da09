"""Canvas: scores make attempts unless told otherwise, and every refusal comes with a sentence."""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from lti_tool.lti.platforms.generic import AGAIN, Addresses, Generic, Next, rule
from lti_tool.lti.scopes import NOTICES, USUAL

_HOSTED = {
    "https://canvas.instructure.com": "https://sso.canvaslms.com",
    "https://canvas.beta.instructure.com": "https://sso.beta.canvaslms.com",
    "https://canvas.test.instructure.com": "https://sso.test.canvaslms.com",
}
"""Issuer and login host of hosted Canvas, shared by all its schools."""
_MAKES_ASSIGNMENTS = ("course_assignments_menu", "module_index_menu_modal", "module_menu_modal")
_HOSTED_AT = (".instructure.com", ".canvaslms.com")
"""Where hosted Canvas serves the configuration that names one of its issuers."""
_OURS = "https://canvas.instructure.com/lti/"
_TOKEN_TEXTS = (
    (
        "unknown client",
        "Canvas does not know the client id {client_id}. Compare it with the number under “Details” in the list of "
        "developer keys; it has to be the one of an LTI key.",
    ),
    (
        "developer key|inactive",
        "Tessera’s developer key is switched off in Canvas. Set its state to On under Admin → Developer Keys.",
    ),
    (
        "aud",
        "Tessera asked at another address than Canvas expects. Set the access token address to the one of your "
        "Canvas, for example https://sso.canvaslms.com/login/oauth2/token.",
    ),
    (
        "iat|exp|expired|future",
        "The clocks differ too much. Check the clock of the server that runs Tessera.",
    ),
    (
        "JWK|JWS|signature|kid",
        "Canvas could not check Tessera’s signature. In the developer key, the method has to be Public JWK URL with "
        "{keys}, and Canvas must be able to reach it from the Internet.",
    ),
)
_LOW_WATER, _REFILL, _LONGEST_PAUSE = 180.0, 10.0, 30.0
_SUBMISSION = "https://canvas.instructure.com/lti/submission"


class Canvas(Generic):
    """As its published source behaves; see docs of Score API and ``scores_controller.rb``."""

    product_name = "Canvas"
    guide = "canvas"
    sends_course_as_link = True
    names_activity_after_column = True
    # SpeedGrader launches the address that came with the submission instead.
    reviews_submissions = False
    due_note = (
        "Do not rely on Canvas’s automatic late policy here: it is not made for work that comes through a tool. "
        "Often it takes nothing off; where it does, the gradebook shows another grade than the one that was decided."
    )
    # Its logins name the frame; those of its mobile apps do not, where no page is that could answer.
    tells_of_storage = False
    # Every request on its way takes 50 of some 600 points from a bucket that all schools of our key share.
    at_once = 3
    at_once_everywhere = 3
    roster_page = 50
    # Ten, if it is not asked.
    results_page = 100
    late_policies = True
    # Its assignments always name their column. A column for any other link is an assignment of its own in the course,
    # which is for faculty to want; given the id of such a link, Canvas answers 404. An assignment that was deleted took
    # its column and its link along: a new one brings both back, and Canvas names the new link in its answer.
    columns_unasked = False
    column_note = "In Canvas that is an assignment of its own, which students see but hand nothing in to."
    remade_note = (
        "In Canvas it is a new assignment, from which students open this activity as before. Set its dates as you want "
        "them, and see that it is published."
    )
    columns_belong_to_links = False
    custom_variables = {  # noqa: RUF012 - a ClassVar, declared by the parent
        **Generic.custom_variables,
        "term_name": "$Canvas.term.name",
        "term_start": "$Canvas.term.startAt",
        "term_end": "$Canvas.term.endAt",
        "person_sis": "$Person.sourcedId",
        # In Canvas, CourseSection.sourcedId is that of the course.
        "section_sis": "$Canvas.course.sectionSisSourceIds",
    }
    rules = (
        # Throttling is a 403 with this text, in newer installations a 429; neither comes with Retry-After.
        rule(
            (403, 429),
            "rate limit exceeded",
            Next.RETRY,
            "{lms} asked us to slow down.",
            throttled=True,
        ),
        rule(
            (401,),
            "insufficient permissions",
            Next.REFUSED,
            "Canvas does not allow Tessera to send scores. Ask the Canvas administrator to enable the score "
            f"scope in Tessera's developer key, {AGAIN}",
        ),
        rule(
            (401,),
            "developer key",
            Next.REFUSED,
            "Tessera's developer key is switched off in Canvas. Ask the Canvas administrator to enable it, "
            + AGAIN,
        ),
        rule(
            (401,),
            "not linked to a tool",
            Next.REFUSED,
            f"Tessera is not installed in this Canvas course any more. Add it to the course, {AGAIN}",
        ),
        rule(
            (400,),
            "before last updated timestamp",
            Next.CONFLICT,
            "Canvas has a newer score for this person.",
        ),
        rule((400,), "in the future", Next.RETRY, "The clock of Canvas is behind ours."),
        rule(
            (422,),
            "unpublished",
            Next.REFUSED,
            f"The course or assignment is not published in Canvas. Publish it, {AGAIN}",
            away=True,
        ),
        rule(
            (422,),
            "not found in course or is not a student",
            Next.REFUSED,
            "Canvas does not take a score for this person now: the course is not published, or the person is "
            f"not an active student in it. Publish the course and check the enrollment, {AGAIN}",
            away=True,
        ),
        rule(
            (422,),
            "has concluded",
            Next.REFUSED,
            f"The course has concluded in Canvas. Reopen it, {AGAIN}",
            away=True,
        ),
        rule(
            (422,),
            "maximum number of allowed attempts",
            Next.REFUSED,
            "The assignment in Canvas allows no further attempt. Raise its number of attempts, " + AGAIN,
        ),
        rule(
            (422,),
            "cannot grade this submission|must be enrolled|grading period",
            Next.REFUSED,
            "Canvas does not let this grade be changed now, for example because the grading period is "
            f"closed. Open it, {AGAIN}",
        ),
        rule(
            (412,),
            "",
            Next.REFUSED,
            "The gradebook column belongs to another tool or link. Add the activity to the course again.",
        ),
    )

    family_codes = frozenset({"canvas"})
    wanted_scopes = (*USUAL, NOTICES)
    names_audience = False
    """It wants the very address that is asked, and names a host there that it would refuse."""
    selection_placements = (
        "assignment_selection",
        "link_selection",
        "course_assignments_menu",
        "module_menu_modal",
    )
    next_steps = (
        "Canvas shows its own pages now. Leave all permissions and placements switched on, leave the privacy level at "
        "Public (else people appear as numbers), and press Enable.",
        "If Canvas asks where the app is to be used, choose your account. If it does not ask: open Admin → your "
        "account → Settings → Apps → View App Configurations → + App, choose By Client ID, type {client_id} and "
        "press Submit.",
        "In a course, an instructor makes an assignment, chooses the submission type External Tool, presses Find and "
        "picks Tessera.",
        "For registrars: Tessera stands in the account’s navigation, for administrators only.",
    )

    def speaks_for(self, issuer: str, configuration_url: str) -> bool:
        """All schools of hosted Canvas share an issuer, which the host of the account or of sign-in may name."""
        if super().speaks_for(issuer, configuration_url):
            return True
        host = urlsplit(configuration_url).hostname or ""
        return issuer in _HOSTED and configuration_url.startswith("https://") and host.endswith(_HOSTED_AT)

    def registration_variables(self, listed: frozenset[str]) -> dict[str, str]:  # noqa: ARG002 - it lists none of its own
        return dict(self.custom_variables)

    def registration_messages(
        self, offered: Mapping[str, frozenset[str]], target: str, label: str
    ) -> list[dict[str, Any]]:
        """Canvas takes placements with and without its prefix, and lists them either way."""
        bare = {
            kind: frozenset(place.rpartition("/")[2] for place in places) for kind, places in offered.items()
        }
        desk = {
            "type": "LtiResourceLinkRequest",
            "target_link_uri": target,
            "label": label,
            "placements": ["account_navigation"],
            f"{_OURS}visibility": "admins",
        }
        places = bare.get("LtiResourceLinkRequest", frozenset())
        desks = [desk] if not places or "account_navigation" in places else []
        return super().registration_messages(bare, target, label) + desks

    def registration_extras(self) -> dict[str, Any]:
        """Without a privacy level Canvas would send no names."""
        return {f"{_OURS}privacy_level": "public"}

    def explain_token(self, status: int, body: str) -> str:
        if status in (400, 401):
            for pattern, text in _TOKEN_TEXTS:
                if re.search(pattern, body, re.IGNORECASE):
                    return text
        return super().explain_token(status, body)

    def handed_in(self, review_url: str) -> dict[str, Any] | None:
        """SpeedGrader then says that work waits, and opens it here. A grade that stands, whoever gave it, stays."""
        return {
            _SUBMISSION: {
                "submission_type": "basic_lti_launch",
                "submission_data": review_url,
                "preserve_score": True,
            }
        }

    def comment_alone(self) -> dict[str, Any] | None:
        """Canvas shows it beside the grade, and leaves a grade that stands alone."""
        return {_SUBMISSION: {"new_submission": False, "preserve_score": True}}

    def score_extensions(self) -> dict[str, Any]:
        """An assessed score changes the attempt that stands. ``prioritize_non_tool_grade`` is never sent: it
        keeps our own earlier score, too, so that a correction would be accepted and not shown."""
        return {_SUBMISSION: {"new_submission": False}}

    def column_with_link(self, launch_url: str) -> dict[str, Any]:
        """Without it the new assignment could be graded and not opened."""
        return {f"{_OURS}submission_type": {"type": "external_tool", "external_tool_url": launch_url}}

    def takes_dates(self, placement_name: str | None) -> bool:
        """Where Canvas makes the assignments itself. Elsewhere its own form follows, which asks for the dates."""
        return placement_name in _MAKES_ASSIGNMENTS

    def pause(self, headers: Mapping[str, str]) -> float:
        """Ten points a second come back. Below what all hands at once take for a moment, and a little more, we wait for
        that: then the bucket is never empty, and never idle either."""
        try:
            left = float(headers.get("X-Rate-Limit-Remaining", ""))
        except ValueError:
            return 0.0
        return min(max((_LOW_WATER - left) / _REFILL, 0.0), _LONGEST_PAUSE) if isfinite(left) else 0.0

    def addresses(self, issuer: str) -> Addresses | None:
        """Hosted Canvas only; a school that runs its own has its own."""
        host = _HOSTED.get(issuer)
        if host is None:
            return None
        return Addresses(
            f"{host}/api/lti/authorize_redirect",
            f"{host}/login/oauth2/token",
            f"{host}/api/lti/security/jwks",
        )
