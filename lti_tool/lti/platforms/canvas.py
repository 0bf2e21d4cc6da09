"""Canvas: scores make attempts unless told otherwise, and every refusal comes with a sentence."""

from typing import Any

from lti_tool.lti.platforms.generic import AGAIN, Addresses, Generic, Next, rule

_HOSTED = {
    "https://canvas.instructure.com": "https://sso.canvaslms.com",
    "https://canvas.beta.instructure.com": "https://sso.beta.canvaslms.com",
    "https://canvas.test.instructure.com": "https://sso.test.canvaslms.com",
}
"""Issuer and login host of hosted Canvas, shared by all its schools."""
_SUBMISSION = "https://canvas.instructure.com/lti/submission"


class Canvas(Generic):
    """As its published source behaves; see docs of Score API and ``scores_controller.rb``."""

    product_name = "Canvas"
    sends_course_as_link = True
    custom_variables = {  # noqa: RUF012 - a ClassVar, declared by the parent
        **Generic.custom_variables,
        "term_name": "$Canvas.term.name",
        "term_start": "$Canvas.term.startAt",
        "term_end": "$Canvas.term.endAt",
        "person_sis": "$Person.sourcedId",
        "section_sis": "$CourseSection.sourcedId",
    }
    rules = (
        # Throttling is a 403 with this text, in newer installations a 429; neither comes with Retry-After.
        rule((403, 429), "rate limit exceeded", Next.RETRY, "{lms} asked us to slow down."),
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
        ),
        rule(
            (422,),
            "not found in course or is not a student",
            Next.REFUSED,
            "Canvas does not take a score for this person now: the course is not published, or the person is "
            f"not an active student in it. Publish the course and check the enrollment, {AGAIN}",
        ),
        rule(
            (422,),
            "has concluded",
            Next.REFUSED,
            f"The course has concluded in Canvas. Reopen it, {AGAIN}",
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

    def score_extensions(self) -> dict[str, Any]:
        """An assessed score changes the attempt that stands. ``prioritize_non_tool_grade`` is never sent: it
        keeps our own earlier score, too, so that a correction would be accepted and not shown."""
        return {_SUBMISSION: {"new_submission": False}}

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
