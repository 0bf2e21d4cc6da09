"""Names and Role Provisioning: who is in a course, as the platform lists them.

Spec: https://www.imsglobal.org/spec/lti-nrps/v2p0/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from lti_tool.database import db
from lti_tool.lti import paging, platforms
from lti_tool.lti.calls import Call
from lti_tool.lti.claims import IDENTIFIER, one_line
from lti_tool.lti.models import Registration
from lti_tool.lti.roles import TEST_USER, CourseRole, role_among_members
from lti_tool.lti.scopes import ROSTER as SCOPE

_MEMBERS = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"


@dataclass(frozen=True, kw_only=True)
class Member:
    """Somebody on the list. Moodle lists its non-editing teachers as learners, so a launch knows the role better."""

    subject: str
    """``sub`` of their launches."""
    role: CourseRole
    name: str | None
    """None where the platform's privacy setting hides names, as most do."""
    active: bool
    """False for those whom the platform lists as inactive or deleted."""


def members(registration_id: int, address: str, manner: paging.Manner) -> Iterator[tuple[Member, ...]]:
    """The people of a course, page by page. Commits before each request. Canvas' test student is left out.

    :param address: ``context_memberships_url`` of a launch.
    :raises paging.NotRead: before the end of the list.
    """
    behaviour = platforms.behaviour(db.session.get_one(Registration, registration_id).platform.product)
    first = Call(
        url=_with_limit(address, behaviour.roster_page), scopes=(SCOPE,), headers={"Accept": _MEMBERS}
    )
    for page in paging.read(first, registration_id, manner):
        listed = page.get("members") if isinstance(page, dict) else None
        if not isinstance(listed, list):
            raise paging.NotRead("The answer is not a list of people.")
        yield tuple(member for one in listed if (member := _member(one)) is not None)


def why_not_read(registration_id: int, problem: paging.NotRead) -> str:
    """What kept us from reading the list, in a sentence for faculty and administrators."""
    behaviour = platforms.behaviour(db.session.get_one(Registration, registration_id).platform.product)
    answer = problem.answer
    if answer is None:
        return problem.reason
    verdict = behaviour.classify(answer.status, answer.body, answer.timed_out, at_token=answer.at_token)
    lms = behaviour.product_name
    if verdict.next is platforms.Next.RETRY:
        return f"{lms[0].upper()}{lms[1:]} is busy or did not answer."
    if verdict.next is platforms.Next.GONE:
        return f"{lms[0].upper()}{lms[1:]} keeps the list of people somewhere else now."
    return (
        f"{lms[0].upper()}{lms[1:]} does not let Tessera read who is in the course. Ask the administrator to allow"
        " names and roles for this tool."
    )


def _with_limit(address: str, limit: int) -> str:
    """Without a limit Moodle sends a whole university at once."""
    parts = urlsplit(address)
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != "limit"]
    return urlunsplit(parts._replace(query=urlencode([*kept, ("limit", str(limit))]), fragment=""))


def _member(listed: Any) -> Member | None:
    if not isinstance(listed, dict):
        return None
    subject = listed.get("user_id")
    subject = str(subject) if isinstance(subject, int) and not isinstance(subject, bool) else subject
    if not isinstance(subject, str) or not IDENTIFIER.fullmatch(subject):
        return None
    roles = listed.get("roles")
    roles = [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []
    if TEST_USER in roles:
        return None
    status = listed.get("status")
    return Member(
        subject=subject,
        role=role_among_members(roles),
        name=_name(listed),
        active=not isinstance(status, str) or status.lower() == "active",
    )


def _name(listed: Mapping[str, Any]) -> str | None:
    whole = one_line(listed.get("name"))
    if whole is not None:
        return whole
    pieces = (one_line(listed.get("given_name")), one_line(listed.get("family_name")))
    return " ".join(piece for piece in pieces if piece) or None
