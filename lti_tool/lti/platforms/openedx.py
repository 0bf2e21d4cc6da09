"""Open edX: a token that has ended is a 403, and a score that is not newer a 400."""

from math import ceil

from lti_tool.lti.platforms.generic import AGAIN, Generic, Next, rule


class OpenEdx(Generic):
    """As its lti-consumer package behaves."""

    product_name = "Open edX"
    tells_of_storage = False
    family_codes = frozenset({"openedx", "edx"})
    reviews_submissions = False
    rules = (
        rule((403,), "", Next.NEW_TOKEN, "{lms} did not accept the access token."),
        rule(
            (400,), "timestamp|point in time", Next.CONFLICT, "{lms} has a score of the same time or newer."
        ),
        # A person it does not know makes it fail with 500, so this is tried again like any other failure.
        rule(
            (400,),
            "",
            Next.REFUSED,
            f"Open edX did not take the score. Check that the person is enrolled in the course, {AGAIN}",
            away=True,
        ),
    )

    def takes_dates(self, placement_name: str | None) -> bool:  # noqa: ARG002 - one answer for all
        """Due dates are those of the course's sections."""
        return False

    def column_maximum(self, points: float) -> float:
        """Whole points only."""
        return ceil(points)
