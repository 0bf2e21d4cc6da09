"""Every refusal by name. What a person reads for each, and what to do next, stands in routes/refusals.py."""


class Refused(Exception):
    """Tessera says no, for a reason that the person can understand. ``detail`` is safe to show to them."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or type(self).__name__)
        self.detail = detail


# Launching


class PlatformUnknown(Refused):
    """No registration for this issuer and client id."""


class DeploymentUnknown(Refused):
    """A notice of the platform comes from a place from which nobody has come to us."""


class PlatformPending(Refused):
    """The platform has registered itself and nobody here has approved it yet."""


class PlatformDisabled(Refused):
    """Somebody here has switched the platform off."""


class DeploymentPending(Refused):
    """The platform is connected; this place in it waits for an approval."""


class DeploymentDisabled(Refused):
    """Somebody here has switched this place of the platform off."""


class LaunchForged(Refused):
    """The message is not one that the platform signed for us, or not for this browser's login."""


class LaunchUsed(Refused):
    """The same message came a second time."""


class LaunchExpired(Refused):
    """Too much time passed between the click in the course and the arrival here."""


class LaunchMalformed(Refused):
    """Signed by the platform, yet without something that LTI 1.3 requires."""


class LaunchAnonymous(Refused):
    """The platform did not say who this is."""


class CookieBlocked(Refused):
    """The browser did not bring back the cookie that the login set."""


class PlatformSaidNo(Refused):
    """The platform answered the login with an error instead of a launch."""


class PlatformSilent(Refused):
    """The platform's keys could not be fetched, so its message could not be checked."""


class SessionOver(Refused):
    """The launch is unknown, over, or opened in another browser."""


class LinkUnknown(Refused):
    """A one-time link that we never made, or whose time is over."""


class LinkUsed(Refused):
    """A one-time link that somebody has used already."""


class LinkElsewhere(Refused):
    """An invitation to the desk of another deployment than the one that somebody came from."""


class StayOver(Refused):
    """A visit by a one-time link that is unknown, over, or opened in another browser."""


class RoleRefused(Refused):
    """The page exists, but not for this role."""


class DeskClosed(Refused):
    """An administrator who is not on the access list of the deployment."""


class NotHere(Refused):
    """No such thing, or not one that this person may know of."""


class FormStale(Refused):
    """The form's protection token is missing or too old."""


class ActivityUnset(Refused):
    """The resource link names no micro-credential that we know."""


class ActivityUnlinked(Refused):
    """The same, for somebody who can only wait until faculty have said what it is."""


# Connecting a platform


class ConfigurationUnusable(Refused):
    """What a platform says of itself cannot be fetched or believed, so nothing was sent to it."""


class RegistrationRefused(Refused):
    """The platform did not register us."""


class RegistrationExists(Refused):
    """The platform answered with a client id that stands for another registration already."""


class RegistrationBusy(Refused):
    """Too many registrations at this moment, or too many that wait for an approval."""


class RegistrationStale(Refused):
    """The page with the button was open for too long, or is not ours."""


# The earner's work


class ChangedElsewhere(Refused):
    """The work was saved in another tab meanwhile."""


class WorkClosed(Refused):
    """The work is with the assessor, or decided, and cannot be changed now."""


class WorkIncomplete(Refused):
    """Something required is missing. ``missing`` lists what, in words."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__("; ".join(missing))
        self.missing = missing


class UploadEmpty(Refused):
    """A file of 0 bytes."""


class UploadTooLarge(Refused):
    """A file above the limit."""


class UploadKind(Refused):
    """This task does not take that kind of evidence."""


class LinkInvalid(Refused):
    """Not a web address that an assessor could open."""


class EvidenceHidden(Refused):
    """The very file or link is hidden after a privacy report."""


class TooManyFiles(Refused):
    """More evidence than the task takes."""


# Stacks


class PartLocked(Refused):
    """A part of a stack that does not open yet. The detail says after what it does."""


class CredentialRetired(Refused):
    """Nobody begins this micro-credential any more."""


# Assessing


class AlreadyDecided(Refused):
    """A colleague, or the same person in another tab, was quicker."""


class NewerWork(Refused):
    """Newer work was handed in, so what is decided about earlier work counts for nothing any more."""


class OwnWork(Refused):
    """Nobody judges their own work."""


class SubmissionWithdrawn(Refused):
    """Taken back because of a privacy problem, so there is nothing to judge until it is handed in again."""


class RatingsMissing(Refused):
    """A criterion has no rating, or words are missing. ``missing`` lists (form field, what to do)."""

    def __init__(self, missing: tuple[tuple[str, str], ...]) -> None:
        super().__init__(" ".join(text for _, text in missing))
        self.missing = missing


class DecisionDisagrees(Refused):
    """The decision and the rubric's own rule say different things."""


# Badges


class BadgeUnsigned(Refused):
    """Awarded, but the worker has not signed it yet."""


class BadgeRevoked(Refused):
    """The badge was taken back, or issued again, so that nothing can be done with this one any more."""


class ReasonMissing(Refused):
    """A badge is not taken back without saying why."""


class SubjectChosen(Refused):
    """It is settled whom the badge names."""


class TermUnusable(Refused):
    """A term without a name of its own, or one that ends before it begins."""


class SisFileUnusable(Refused):
    """A file of SIS ids that cannot be read, or columns that do not say whom it means."""


class BadgeStands(Refused):
    """The badge has not been taken back, so there is nothing to mend."""


class OwnBadge(Refused):
    """Nobody takes back or re-issues their own badge as faculty."""


class AddressUnusable(Refused):
    """Not an e-mail address, or one more than a person may have here."""


class TooManyLetters(Refused):
    """More mail was asked for than anybody needs."""


class MailMissing(Refused):
    """The operator has set no mail server, so no letter can be sent."""


# Deep linking


class SelectionRefused(Refused):
    """Nothing chosen, or something that the platform does not accept."""
