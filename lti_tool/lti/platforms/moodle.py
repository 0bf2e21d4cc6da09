"""Moodle: refuses without a reason, compares whole seconds, and wipes a grade with every message that is not
final."""

from lti_tool.lti.platforms.generic import AGAIN, Addresses, Generic, Next, rule


class Moodle(Generic):
    """As measured on Moodle 4.5."""

    product_name = "Moodle"
    tells_of_storage = False
    guide = "moodle"
    column_scopes = (
        *Generic.column_scopes,
        "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly",
    )
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
            away=True,
        ),
        rule(
            (403,),
            "",
            Next.REFUSED,
            "Moodle does not allow Tessera to send scores. Ask the administrator to set the tool's grade "
            f"service to allow it, {AGAIN}",
        ),
    )

    override_note = (
        "Moodle keeps a grade that was set in its gradebook, whatever Tessera sends, until the override is taken away "
        "there: in the grader report, edit the grade and untick “Overridden”."
    )
    family_codes = frozenset({"moodle"})
    selection_placements = ("ContentArea",)
    next_steps = (
        "Back in Moodle, on Site administration → Plugins → Activity modules → External tool → Manage tools, Tessera "
        "stands there as pending. Press Activate on it.",
        "Press the cog on Tessera’s card. Under Tool configuration usage choose “Show in activity chooser and as a "
        "preconfigured tool”, else instructors do not find it. Save.",
        "On the same page, under Services, grade sync has to be “Use this service for grade sync and column "
        "management” and names and roles “Use this service to retrieve members’ information”; under Privacy, name and "
        "e-mail “Always”. Moodle has set these by itself; compare them.",
        "In a course, an instructor presses Add an activity, chooses Tessera, then Select content.",
    )

    def registration_variables(self, listed: frozenset[str]) -> dict[str, str]:
        """The tool's own parameters are lines of key=value there, so neither sign may stand in one."""
        wanted = {
            **self.custom_variables,
            "person_sis": "$Person.sourcedId",
            "section_sis": "$CourseSection.sourcedId",
        }
        return {name: variable for name, variable in wanted.items() if not listed or variable[1:] in listed}

    def explain_token(self, status: int, body: str) -> str:
        """It says invalid_request whatever is wrong with an assertion."""
        if status == 400 and "invalid_scope" not in body:
            return (
                "Moodle did not accept Tessera’s signature. Most often Moodle may not fetch Tessera’s keys: on Site "
                "administration → General → Security → HTTP security, Tessera’s host must not be in “cURL blocked "
                "hosts list” and its port must be in “cURL allowed ports list”. Then compare the tool’s settings: "
                "Public key type is Keyset URL, Public keyset is {keys}, and the client id is {client_id}."
            )
        return super().explain_token(status, body)

    def takes_dates(self, placement_name: str | None) -> bool:  # noqa: ARG002 - one answer for all
        """An external tool activity of Moodle has no due date."""
        return False

    def addresses(self, issuer: str) -> Addresses | None:
        """The issuer of a Moodle is the address of its site."""
        root = f"{issuer.rstrip('/')}/mod/lti"
        return Addresses(f"{root}/auth.php", f"{root}/token.php", f"{root}/certs.php")
