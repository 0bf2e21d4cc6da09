"""How the refusals read that somebody meets on the way in, by a launch or by a one-time link."""

from dataclasses import dataclass

from lti_tool import errors

_OPENING, _CONNECTING = "opening-an-activity", "connecting"
_BACK = "Go back to your course and open the activity again."


@dataclass(frozen=True)
class Page:
    """How a refusal reads. ``next_step`` says what the person can do now."""

    status: int
    title: str
    happened: str
    next_step: str
    symptoms: str | None = None
    """The part of the guide to troubleshooting where this stands."""


ARRIVING: dict[type[errors.Refused], Page] = {
    errors.PlatformUnknown: Page(
        400,
        "This learning platform is not connected",
        "The link came from a learning platform that this Tessera does not know.",
        "Ask your LMS administrator to connect it: Tessera’s guides for Canvas and Moodle say how.",
        symptoms=_CONNECTING,
    ),
    errors.DeploymentUnknown: Page(
        403,
        "Nobody has come from there yet",
        "The platform is known, and nobody has opened Tessera from this place in it.",
        "Open Tessera there once.",
    ),
    errors.PlatformPending: Page(
        403,
        "Your learning platform is waiting to be approved",
        "Your LMS administrator has registered Tessera, and whoever runs Tessera has not approved it yet.",
        "Tell your LMS administrator. Whoever runs Tessera approves it on the page “Connections” or with the command "
        "“lti-tool platform approve”. After that, open the activity again.",
        symptoms=_CONNECTING,
    ),
    errors.PlatformDisabled: Page(
        403,
        "Your learning platform is switched off here",
        "Tessera knows your learning platform, but whoever runs Tessera has switched the connection off.",
        "Ask your LMS administrator, who can ask whoever runs Tessera. Nothing that you did is lost.",
        symptoms=_CONNECTING,
    ),
    errors.DeploymentPending: Page(
        403,
        "Tessera is waiting to be approved here",
        "This is the first time that Tessera was opened from this part of your learning platform, and new parts need "
        "an approval.",
        "Tell your LMS administrator. It can be approved on Tessera’s page “Connections” or with the command "
        "“lti-tool platform approve”. After that, open the activity again.",
        symptoms=_CONNECTING,
    ),
    errors.DeploymentDisabled: Page(
        403,
        "Tessera is switched off here",
        "Tessera has been switched off for this part of your learning platform.",
        "Ask your LMS administrator to switch it on again. Nothing that you did is lost.",
        symptoms=_CONNECTING,
    ),
    errors.LaunchForged: Page(
        400,
        "This link could not be trusted",
        "The message that should have come from your learning platform was changed, or was not made for this browser.",
        _BACK + " If it happens again, give the reference below to your LMS administrator.",
        symptoms=_OPENING,
    ),
    errors.LaunchUsed: Page(
        400,
        "This link was already used",
        "Each click in your course opens Tessera once. The page was reloaded, or opened a second time.",
        _BACK + " Your work is safe.",
        symptoms=_OPENING,
    ),
    errors.LaunchExpired: Page(
        400,
        "This took too long",
        "Too much time passed between the click in your course and the arrival here, "
        "or the clocks of the two systems differ.",
        _BACK,
        symptoms=_OPENING,
    ),
    errors.LaunchMalformed: Page(
        400,
        "The link from your learning platform is incomplete",
        "The message did not say everything that Tessera needs.",
        _BACK + " If it happens again, give the reference below to your LMS administrator.",
        symptoms=_OPENING,
    ),
    errors.LaunchAnonymous: Page(
        403,
        "Please sign in to your course first",
        "Your learning platform did not say who you are, and work here must belong to somebody.",
        "Sign in to your learning platform, then open the activity again.",
        symptoms=_OPENING,
    ),
    errors.CookieBlocked: Page(
        400,
        "Your browser kept a cookie back",
        "Tessera needs one cookie to know that it is still you. "
        "Your browser did not return it, not even in a tab of its own.",
        "Allow cookies for this site in your browser's settings. " + _BACK,
        symptoms=_OPENING,
    ),
    errors.PlatformSaidNo: Page(
        400,
        "Your learning platform did not open the activity",
        "It answered the sign-in with an error. Most often the link was used twice or you were signed out.",
        "Sign in to your course again, then open the activity once more.",
        symptoms=_OPENING,
    ),
    errors.PlatformSilent: Page(
        503,
        "Your learning platform does not answer",
        "Tessera must fetch the platform's public keys to check the link, and could not.",
        "Wait a minute, then open the activity again. Nothing is lost.",
        symptoms=_OPENING,
    ),
    errors.SessionOver: Page(
        401,
        "This visit is over",
        "The page was opened too long ago, in another browser, or its address was copied.",
        _BACK + " What you saved is there.",
        symptoms=_OPENING,
    ),
    errors.LinkUnknown: Page(
        404,
        "This link does not work",
        "It was not copied whole, or its time is over.",
        "Copy the whole address once more, or ask for a new link where you got this one.",
    ),
    errors.LinkUsed: Page(
        410,
        "This link was already used",
        "It opens once. If it was not you who used it, tell whoever gave it to you.",
        "If you opened it in this browser, go back to that tab. Otherwise ask for a new link.",
    ),
    errors.LinkElsewhere: Page(
        409,
        "This invitation is for another place",
        "It opens the desk of another learning platform, or of another part of this one, than you came from.",
        "Open Tessera in a course there and use it then. It is still good.",
    ),
    errors.StayOver: Page(
        401,
        "This visit is over",
        "The page was opened too long ago, in another browser, or its address was copied.",
        "Ask for a new link where you got the one that brought you here.",
    ),
    errors.ConfigurationUnusable: Page(
        400,
        "Tessera cannot be registered from this link",
        "What the LMS says of itself could not be used, so nothing was sent to it.",
        "Open this address from your LMS, where it asks for a registration or tool URL; it cannot be opened by itself. "
        "Tessera’s guides for Canvas and Moodle show where. Connecting by hand works as well.",
        symptoms=_CONNECTING,
    ),
    errors.RegistrationRefused: Page(
        502,
        "The LMS did not register Tessera",
        "Tessera asked to be registered, and the LMS did not do it. Nothing was stored here.",
        "Close this window and begin again in your LMS. If it happens again, connect by hand: Tessera’s guides for "
        "Canvas and Moodle say how.",
        symptoms=_CONNECTING,
    ),
    errors.RegistrationExists: Page(
        409,
        "This LMS is connected already",
        "The LMS answered with a client id that Tessera knows already. What stands was not changed.",
        "If you meant to connect it anew, delete Tessera in the LMS, ask whoever runs Tessera to remove the old "
        "connection, and begin again.",
    ),
    errors.RegistrationBusy: Page(
        503,
        "Too many at once",
        "More learning platforms than usual are being connected, or wait for an approval.",
        "Wait a few minutes and begin again in your LMS. Whoever runs Tessera can make an invitation, with which you "
        "need not wait.",
    ),
    errors.RegistrationStale: Page(
        400,
        "This page was open for too long",
        "Nothing was sent to your LMS.",
        "Close this window and begin again in your LMS.",
    ),
    errors.RoleRefused: Page(
        403,
        "This page is for somebody else",
        "Your role in this course does not open it.",
        "Go back to your course. If your role is wrong, ask the instructor or your LMS administrator.",
        symptoms=_OPENING,
    ),
    errors.DeskClosed: Page(
        403,
        "You are not on the list for the registrar's desk",
        "You are an administrator of the learning platform. The desk shows grades, "
        "so it opens only for the people on its access list.",
        "Ask the operator of Tessera to run the command below, then open Tessera again.",
    ),
    errors.SelectionRefused: Page(
        422,
        "Please choose again",
        "Nothing was chosen, or your course does not accept the choice.",
        "Go back and choose a micro-credential from the list.",
    ),
}
