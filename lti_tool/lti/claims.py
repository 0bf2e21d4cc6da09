"""What a launch says, in our words. No other module knows the address of a claim.

Platforms send more than the specification and sometimes less tidy: Canvas leaves ``validation_context`` and
``errors`` inside claims, null descriptions and the literal ``$Variable`` where it has no value; Open edX
sends no names. So nothing is refused for what is too much; what is absent, empty or of the wrong kind is
None.

Spec: https://www.imsglobal.org/spec/lti/v1p3/#resource-link-launch-request-message,
https://www.imsglobal.org/spec/lti-dl/v2p0/#deep-linking-request-message and
https://www.imsglobal.org/spec/lti-sr/v1p0
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lti_tool.errors import LaunchAnonymous, LaunchMalformed
from lti_tool.lti.addresses import origin_of, submission_named_by
from lti_tool.lti.roles import TEST_USER, CourseRole, is_administrator, role_in_course
from lti_tool.lti.scopes import NOTICES

_LTI = "https://purl.imsglobal.org/spec/lti/claim/"
_AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
_NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
_CANVAS_PLACEMENT = "https://www.instructure.com/placement"
_NOTICES = _LTI + "platformnotificationservice"
CONTEXT_COPY = "LtiContextCopyNotice"
_DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"

RESOURCE_LINK = "resource_link"
DEEP_LINKING = "deep_linking"
SUBMISSION_REVIEW = "submission_review"
DATA_PRIVACY = "data_privacy"
_MESSAGE_TYPES = {
    "LtiResourceLinkRequest": RESOURCE_LINK,
    "LtiDeepLinkingRequest": DEEP_LINKING,
    "LtiSubmissionReviewRequest": SUBMISSION_REVIEW,
    "DataPrivacyLaunchRequest": DATA_PRIVACY,
}
_UNSUBSTITUTED = re.compile(r"\$[A-Za-z][\w.]*")
_LONGEST_NAME = 255
_NAMES = frozenset({"name", "given_name", "family_name", "email"})
"""Of a launch, what belongs to the account alone."""
MOST_POINTS = 1000
"""No gradebook column of a micro-credential needs more."""
_NO_COURSE = ("truncated", "timed out")
_MOST_ORIGINS = 20
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
IDENTIFIER = re.compile(r"[\x20-\x7e]{1,255}")
"""What LTI lets an id be."""


@dataclass(frozen=True, kw_only=True)
class CourseClaim:
    """The course, as the platform names it. ``id`` is unique within the deployment's platform at best."""

    id: str
    label: str | None = None
    title: str | None = None
    type: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ResourceLinkClaim:
    """The link that was opened."""

    id: str
    title: str | None = None


@dataclass(frozen=True, kw_only=True)
class GradesClaim:
    """Assignment and Grade Services. ``lineitem`` is None unless the link has exactly one gradebook
    column."""

    scopes: frozenset[str] = frozenset()
    lineitems: str | None = None
    lineitem: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeepLinkingSettings:
    """What the platform lets someone choose, and where the choice goes."""

    return_url: str
    """Byte for byte what the platform sent: Canvas keeps its own state in the query."""
    data: Any = None
    """To be sent back as it came, or not at all if None."""
    accept_types: frozenset[str] = frozenset()
    accept_multiple: bool = False
    accept_lineitem: bool | None = None
    """None is "not said", which Canvas and Moodle mean as yes."""
    targets: tuple[str, ...] = ()
    title: str | None = None
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class LaunchMessage:
    """One launch. Every identifier means something only together with issuer and client id."""

    message_type: str
    issuer: str
    client_id: str
    deployment_id: str
    subject: str
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    email: str | None = None
    roles: frozenset[str] = frozenset()
    course: CourseClaim | None = None
    resource_link: ResourceLinkClaim | None = None
    """None too where its id is the course's: Canvas sends that for links that it cannot tell apart."""
    custom: Mapping[str, str]
    ags: GradesClaim | None = None
    nrps: str | None = None
    """Address of Names and Role Provisioning."""
    notices: str | None = None
    """Address of the Platform Notification Service, where it would tell us of course copies."""
    deep_linking: DeepLinkingSettings | None = None
    for_user: str | None = None
    """Whose work is to be reviewed, as ``sub`` would name them; ``subject`` is who came to review it."""
    return_url: str | None = None
    locale: str | None = None
    target_link_uri: str
    person_sis: str | None = None
    section_sis: str | None = None
    term_name: str | None = None
    term_start: str | None = None
    """As the platform writes it, most often ISO 8601."""
    term_end: str | None = None
    term_sis: str | None = None
    placement_name: str | None = None
    """From where in Canvas somebody adds something: ``assignment_selection``, ``course_assignments_menu``, ..."""
    is_test_user: bool = False
    """Canvas' Student View: may try everything, is never graded."""

    @property
    def role(self) -> CourseRole:
        return role_in_course(self.roles)

    @property
    def is_administrator(self) -> bool:
        return is_administrator(self.roles)

    @property
    def credential_key(self) -> str | None:
        """The micro-credential that the link was made for; several, separated by commas, are a choice."""
        return self._said_of_link("credential")

    @property
    def stack_key(self) -> str | None:
        """The stack that the link was made for."""
        return self._said_of_link("stack")

    @property
    def says_itself(self) -> bool:
        """Whether custom parameters say what the link was made for, which only who made the link can write."""
        return any(self.custom.get(name) for name in ("credential", "stack"))

    @property
    def points(self) -> float | None:
        """What the gradebook column is out of, as it was said when the link was made; None where that makes no
        sense."""
        try:
            said = float(self.custom.get("points", ""))
        except ValueError:
            return None
        return said if 0 < said <= MOST_POINTS else None

    @property
    def score_policy(self) -> str | None:
        """How many of the points a demonstration gets, as it was said when the link was made."""
        return self.custom.get("score_policy") or None

    @property
    def submission(self) -> tuple[int, int] | None:
        """Our activity and our submission, where the launch goes to the address of one (SpeedGrader does)."""
        return submission_named_by(self.target_link_uri)

    def _said_of_link(self, name: str) -> str | None:
        """From the custom parameter, else from the link's own address, since Canvas does not always keep custom
        parameters. Where they say what the link is, the address adds nothing: whoever opens a link may write it."""
        if self.says_itself:
            return self.custom.get(name) or None
        query = parse_qs(urlsplit(self.target_link_uri).query)
        return UNSTORABLE.sub("", next(iter(query.get(name, [])), "")) or None

    @property
    def origins(self) -> tuple[str, ...]:
        """Ids of the courses that this one was copied from, the nearest first, as far as the platform says."""
        said = (part.strip() for part in self.custom.get("context_history", "").split(","))
        # Canvas ends a list that is too long with a word of its own, and says so where it gave up.
        return tuple(dict.fromkeys(part for part in said if part and part not in _NO_COURSE))[:_MOST_ORIGINS]

    def to_map(self) -> dict[str, Any]:
        """For ``launch.claims``: everything but names and e-mail, which belong to the account alone."""
        return {
            key: _plain(value) for key, value in vars(self).items() if value is not None and key not in _NAMES
        }

    @classmethod
    def from_map(cls, stored: Mapping[str, Any]) -> "LaunchMessage":
        """The inverse of to_map."""
        values = dict(stored)
        values["roles"] = frozenset(values["roles"])
        if course := values.get("course"):
            values["course"] = CourseClaim(**{**course, "type": tuple(course["type"])})
        if link := values.get("resource_link"):
            values["resource_link"] = ResourceLinkClaim(**link)
        if ags := values.get("ags"):
            values["ags"] = GradesClaim(**{**ags, "scopes": frozenset(ags["scopes"])})
        if settings := values.get("deep_linking"):
            accepted = frozenset(settings["accept_types"])
            targets = tuple(settings["targets"])
            values["deep_linking"] = DeepLinkingSettings(
                **{**settings, "accept_types": accepted, "targets": targets}
            )
        return cls(**values)


def from_claims(claims: Mapping[str, Any], *, client_id: str, course_as_link: bool = False) -> LaunchMessage:
    """Translate the claims of an id_token whose signature, audience and times were checked.

    ``client_id`` is the one of our registration: ``aud`` may be a list. ``course_as_link``: the platform sends
    the course itself as the link where there is none (``Generic.sends_course_as_link``).

    :raises LaunchMalformed: naming the claim that is missing or wrong.
    :raises LaunchAnonymous: there is no ``sub``, which LTI allows and an assessment cannot do without.
    """
    if claims.get(_LTI + "version") != "1.3.0":
        raise LaunchMalformed("version")
    message_type = _MESSAGE_TYPES.get(_text(claims.get(_LTI + "message_type")) or "")
    if message_type is None:
        raise LaunchMalformed("message_type")
    deployment_id = _identifier(claims.get(_LTI + "deployment_id"), "deployment_id")
    target_link_uri = _text(claims.get(_LTI + "target_link_uri"))
    if target_link_uri is None:
        raise LaunchMalformed("target_link_uri")
    roles = claims.get(_LTI + "roles")
    if not isinstance(roles, list):
        raise LaunchMalformed("roles")
    held = frozenset(role for role in roles if isinstance(role, str))
    course = _course(claims.get(_LTI + "context"))
    link = _resource_link(claims.get(_LTI + "resource_link"))
    if message_type == RESOURCE_LINK and link is None:
        raise LaunchMalformed("resource_link.id")
    if course_as_link and link is not None and course is not None and link.id == course.id:
        link = None
    settings = _deep_linking(claims.get(_DEEP_LINKING)) if message_type == DEEP_LINKING else None
    grades = _grades(claims.get(_AGS))
    for_user = None
    if message_type == SUBMISSION_REVIEW:
        for_user = _identifier(_map(claims.get(_LTI + "for_user")).get("user_id"), "for_user.user_id")
        if grades is None or grades.lineitem is None:
            raise LaunchMalformed("lineitem")
    if claims.get("sub") in (None, ""):
        raise LaunchAnonymous
    presentation = _map(claims.get(_LTI + "launch_presentation"))
    lis = _map(claims.get(_LTI + "lis"))
    custom = _custom(claims.get(_LTI + "custom"))
    return LaunchMessage(
        message_type=message_type,
        issuer=str(claims["iss"]),
        client_id=client_id,
        deployment_id=deployment_id,
        subject=_identifier(claims.get("sub"), "sub"),
        name=one_line(claims.get("name")),
        given_name=_known(claims.get("given_name")),
        family_name=_known(claims.get("family_name")),
        email=_known(claims.get("email")),
        roles=held,
        course=course,
        resource_link=link,
        custom=custom,
        ags=grades,
        nrps=_address(_map(claims.get(_NRPS)).get("context_memberships_url")),
        notices=_notices(_map(claims.get(_NOTICES))),
        deep_linking=settings,
        for_user=for_user,
        return_url=_address(presentation.get("return_url")),
        locale=_known(presentation.get("locale")) or _known(claims.get("locale")),
        target_link_uri=target_link_uri,
        person_sis=_known(lis.get("person_sourcedid")) or custom.get("person_sis") or None,
        # What was asked for by name first: in Canvas the others are of the course.
        section_sis=custom.get("section_sis")
        or _known(lis.get("course_section_sourcedid"))
        or _known(lis.get("course_offering_sourcedid")),
        term_name=custom.get("term_name") or None,
        term_start=custom.get("term_start") or None,
        term_end=custom.get("term_end") or None,
        term_sis=custom.get("term_sis") or None,
        placement_name=_known(claims.get(_CANVAS_PLACEMENT)),
        is_test_user=TEST_USER in held,
    )


def deployment_named(claims: Mapping[str, Any]) -> str | None:
    """The deployment of a message that nobody has checked yet, for looking it up; None where it can be none."""
    named = claims.get(_LTI + "deployment_id")
    return named if isinstance(named, str) and IDENTIFIER.fullmatch(named) else None


@dataclass(frozen=True, kw_only=True)
class NoticeMessage:
    """One notice of a platform. ``context_id`` and ``origins`` are of a course that was copied."""

    id: str
    kind: str
    deployment_id: str
    context_id: str | None
    origins: tuple[str, ...]


def notice_from_claims(claims: Mapping[str, Any]) -> NoticeMessage:
    """Translate the claims of a notice whose signature, audience and times were checked.

    :raises LaunchMalformed: naming the claim that is missing or wrong.
    """
    if claims.get(_LTI + "version") != "1.3.0":
        raise LaunchMalformed("version")
    notice = _map(claims.get(_LTI + "notice"))
    origins = claims.get(_LTI + "origin_contexts")
    context = _course(claims.get(_LTI + "context"))
    return NoticeMessage(
        id=_identifier(notice.get("id"), "notice.id"),
        kind=_identifier(notice.get("type"), "notice.type"),
        deployment_id=_identifier(claims.get(_LTI + "deployment_id"), "deployment_id"),
        context_id=context.id if context is not None else None,
        origins=tuple(
            one for one in (origins if isinstance(origins, list) else []) if _text(one) == one and one
        )[:_MOST_ORIGINS],
    )


def _plain(value: Any) -> Any:
    """Sets become sorted lists, so that the same launch is stored the same way."""
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    return list(value) if isinstance(value, tuple) else value


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    """Text without what no database stores: NUL, and halves of surrogate pairs, which JSON can spell."""
    return UNSTORABLE.sub("", value) or None if isinstance(value, str) else None


def _known(value: Any) -> str | None:
    """Text that says something: neither empty nor a variable that the platform could not fill in."""
    text = _text(value)
    return None if text is None or _UNSUBSTITUTED.fullmatch(text) else text


def one_line(value: Any) -> str | None:
    """A name on one line, without the invisible marks that turn text around: it stands in tables beside others."""
    text = _known(value)
    if text is None:
        return None
    visible = "".join(" " if unicodedata.category(c).startswith(("C", "Z")) else c for c in text)
    return " ".join(visible.split())[:_LONGEST_NAME] or None


def _address(value: Any) -> str | None:
    text = _text(value)
    return text if origin_of(text) else None


def _identifier(value: Any, claim: str) -> str:
    if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
        raise LaunchMalformed(claim)
    return value


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts; Canvas writes some of them as one text with commas."""
    if isinstance(value, str):
        return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    return tuple(part for part in value if isinstance(part, str)) if isinstance(value, list) else ()


def _course(value: Any) -> CourseClaim | None:
    context = _map(value)
    course_id = _text(context.get("id"))
    if course_id is None:
        return None
    return CourseClaim(
        id=course_id,
        label=_known(context.get("label")),
        title=_known(context.get("title")),
        type=_texts(context.get("type")),
    )


def _resource_link(value: Any) -> ResourceLinkClaim | None:
    link = _map(value)
    link_id = _text(link.get("id"))
    return None if link_id is None else ResourceLinkClaim(id=link_id, title=_known(link.get("title")))


def _custom(value: Any) -> dict[str, str]:
    """Texts only. An empty one is known to be empty; a literal ``$Variable`` is absent."""
    texts: dict[str, str] = {}
    for key, given in _map(value).items():
        if isinstance(given, bool):
            texts[key] = "true" if given else "false"
        elif isinstance(given, str | int | float) and not _UNSUBSTITUTED.fullmatch(str(given)):
            texts[key] = UNSTORABLE.sub("", str(given))
    return texts


def _grades(value: Any) -> GradesClaim | None:
    if not isinstance(value, dict):
        return None
    return GradesClaim(
        scopes=frozenset(_texts(value.get("scope"))),
        lineitems=_address(value.get("lineitems")),
        lineitem=_address(value.get("lineitem")),
    )


def _notices(service: Mapping[str, Any]) -> str | None:
    types, scopes = (_texts(service.get(name)) for name in ("notice_types_supported", "scope"))
    if CONTEXT_COPY not in types or NOTICES not in scopes:
        return None
    return _address(service.get("platform_notification_service_url"))


def _deep_linking(value: Any) -> DeepLinkingSettings:
    settings = _map(value)
    if not settings:
        raise LaunchMalformed("deep_linking_settings")
    return_url = _address(settings.get("deep_link_return_url"))
    if return_url is None:
        raise LaunchMalformed("deep_link_return_url")
    wants_column = settings.get("accept_lineitem")
    return DeepLinkingSettings(
        return_url=return_url,
        data=settings.get("data"),
        accept_types=frozenset(_texts(settings.get("accept_types"))),
        accept_multiple=settings.get("accept_multiple") is True,
        accept_lineitem=wants_column if isinstance(wants_column, bool) else None,
        targets=_texts(settings.get("accept_presentation_document_targets")),
        title=_known(settings.get("title")),
        text=_known(settings.get("text")),
    )
