"""Moodle: refuses without a reason, compares whole seconds, and wipes a grade with every message that is not
final."""

from lti_tool.lti.platforms.generic import AGAIN, Addresses, Generic, Next, rule


class Moodle(Generic):
    """As measured on Moodle 4.5."""

    product_name = "Moodle"
    rules = (
        rule(
            (400,),
            "no handler found",
            Next.REFUSED,
            "Moodle offers no grade service at this address. Open the activity once from the course, "
            + AGAIN,
        ),
        # The body is "[]" whatever the cause. Ours is complete, so it is the person.
        rule(
            (400,),
            "",
            Next.REFUSED,
            "Moodle did not take a score for this person. Check that they are a student in the course, "
            + AGAIN,
        ),
        rule(
            (403,),
            "",
            Next.REFUSED,
            "Moodle does not allow Tessera to send scores. Ask the administrator to set the tool's grade "
            f"service to allow it, {AGAIN}",
        ),
    )

    def addresses(self, issuer: str) -> Addresses | None:
        """The issuer of a Moodle is the address of its site."""
        root = f"{issuer.rstrip('/')}/mod/lti"
        return Addresses(f"{root}/auth.php", f"{root}/token.php", f"{root}/certs.php")
