"""Is this badge genuine? Every check on what somebody gave us, each with an answer that a layperson understands.

The signature is checked over the bytes that were given, for our own badges too: the database supplies only keys, and
whether a badge was revoked. A badge is read in two ways, as JSON by people's programs and as JSON-LD by the signature,
so it is accepted only if both readings are the same (see ``issuers.proof``).

Specs: https://www.imsglobal.org/spec/ob/v3p0/#verification-and-validation,
https://www.w3.org/TR/vc-data-integrity/#verify-proof
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from lti_tool.badges import baking
from lti_tool.badges.queries import BadgeStatus
from lti_tool.issuers import proof
from lti_tool.verification import carriers, form, revocation, sandbox, signatures
from lti_tool.verification.signers import Found, OwnKeys, Signer
from lti_tool.verification.verdict import (
    COVERED,
    DATES,
    FILE,
    FORM,
    ISSUER,
    RECIPIENT,
    SIGNATURE,
    SIGNER,
    STATUS,
    Answers,
    Outcome,
    Shown,
    Standing,
    Stop,
    Verdict,
)
from lti_tool.verification.web import Unreachable, Web

_COVERED = "There is nothing in the file that the signature leaves out."
_NO_KEY = "Without the issuer’s key it cannot be checked."
_UNPROVEN = "As long as the signature is not checked, what the file says about this means nothing."
_CHANGED = (
    "The badge was changed after it was signed, or was signed with another key. "
    "Do not rely on it; ask for the original file."
)


@dataclass(frozen=True, kw_only=True)
class Own:
    """What our database knows when the issuer that a badge names is ours."""

    keys: OwnKeys
    status: BadgeStatus | None
    """None: there is no such badge."""


class Records(Protocol):
    """Our database, asked once for each badge and before anything is fetched."""

    def __call__(self, issuer: str, credential_id: str) -> Own | None:
        """What we know, None if the issuer is none of ours."""


def verify(
    upload: bytes,
    *,
    records: Records,
    web: Web,
    now: datetime,
    email: str = "",
    box: sandbox.Sandbox = sandbox.shared,
) -> Verdict:
    """The verdict on a badge given as JSON, signed text, PNG or SVG. Never raises for what is in ``upload``.

    ``now`` is aware. ``email`` is compared with whom the badge was given to, and goes nowhere else.
    ``box`` is where the document is brought into order: strangers' files share one.
    """
    case = _Case(records, web, now, email.strip(), box)
    try:
        case.examine(upload)
    except Stop as stop:
        return case.stopped(stop)
    return case.verdict()


def verify_address(url: str, *, records: Records, web: Web, now: datetime, email: str = "") -> Verdict:
    """The verdict on the badge, plain or inside a picture, that stands at ``url`` on another server."""
    accept = (
        "application/vc+ld+json, application/vc+jwt, application/ld+json, application/json;q=0.9, "
        "image/png;q=0.8, image/svg+xml;q=0.8, text/plain;q=0.7, */*;q=0.1"
    )
    try:
        answer = web.get(url, accept=accept, max_bytes=baking.MAX_IMAGE)
    except Unreachable as cause:
        return no_badge(f"The address could not be opened: {cause}. Download the badge and choose the file.")
    return verify(answer.body, records=records, web=web, now=now, email=email)


def no_badge(explanation: str) -> Verdict:
    """The verdict where there is nothing to check, and why."""
    answers = Answers()
    answers.put(FILE, Outcome.NOT_CHECKED, explanation)
    return Verdict(standing=Standing.NO_BADGE, checks=answers.all(), reason=explanation, shown=None)


class _Case:
    """One examination: what was found so far."""

    def __init__(self, records: Records, web: Web, now: datetime, email: str, box: sandbox.Sandbox) -> None:
        self.records, self.web, self.now, self.email, self.box = records, web, now, email, box
        self.answers = Answers()
        self.shown: Shown | None = None
        self.own: Own | None = None
        self.host = ""

    def examine(self, upload: bytes) -> None:
        """Make every check. Raises ``Stop`` where later ones need what is missing."""
        content = carriers.content(upload)
        compact = carriers.compact(content)
        token = None if compact is None else _token(compact)
        document = carriers.document(content) if token is None else carriers.as_credential(token.payload)
        self.answers.put(FILE, Outcome.PASSED, "The file is complete and holds one badge.")
        issuer, own_id = form.names(document)
        # What cannot be printed is no name of ours, and some databases take no NUL.
        self.own = self.records(issuer, own_id) if f"{issuer}{own_id}".isprintable() else None
        self.shown = form.read(document)
        if token is None:
            self._read_form()
            method = self._embedded(document)
        else:
            form.check_claims(token.payload, self.shown)
            self._read_form()
            method = {}
            self._token(token)
        self._dates(method)
        self._status(document)
        if self.email and not self.answers.passed(SIGNATURE):
            self.answers.put(RECIPIENT, Outcome.NOT_CHECKED, _UNPROVEN)
        else:
            self.answers.put(RECIPIENT, *form.given_to(document["credentialSubject"], self.email))

    def _read_form(self) -> None:
        self.answers.put(
            FORM, Outcome.PASSED, "It has the form and all the parts that the standard requires."
        )

    def _issuer(self) -> Signer:
        assert self.shown is not None
        keys = None if self.own is None else self.own.keys
        return Signer(self.shown.issuer_id, keys, self.web, self.now)

    def _embedded(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Check a badge that carries its signature inside; gives the signature."""
        issuer = self._issuer()
        signature = signatures.embedded(document, issuer.name, "badge", SIGNER)
        self._signer()
        found = self._key(issuer.proof_key(signature["verificationMethod"]))
        try:
            signatures.check_embedded(document, signature, found.key, ours=self.own is not None, box=self.box)
        except proof.NotCovered as cause:
            where = f" (“{cause.where[:120]}”)" if cause.where else ""
            raise Stop(
                COVERED,
                f"A part of the badge is outside its signature or cannot be checked{where}: {cause.reason}.",
                # Other issuers may write so in good faith; only, nobody could tell.
                Outcome.NOT_CHECKED if isinstance(cause, proof.DescribedTwice) else Outcome.FAILED,
            ) from cause
        except proof.BadProof as cause:
            raise Stop(SIGNATURE, str(cause)) from cause
        except signatures.Mismatch as cause:
            self.answers.put(COVERED, Outcome.PASSED, _COVERED)
            raise Stop(SIGNATURE, _CHANGED) from cause
        except sandbox.Unavailable:
            self._fits(None, "It could not be checked just now. Try again in a minute.")
            return signature
        self.answers.put(COVERED, Outcome.PASSED, _COVERED)
        self._fits(found)
        return signature

    def _token(self, token: signatures.Token) -> None:
        """Check a badge that is a signed text."""
        if token.algorithm not in signatures.ALGORITHMS:
            known = token.algorithm not in ("none", "None") and not token.algorithm.startswith("HS")
            raise Stop(
                SIGNER,
                f"The badge is signed in a way that cannot be checked here ({token.algorithm[:40]})."
                if known
                else "The badge is not signed in a way that would prove anything, so anyone could have written it.",
                Outcome.NOT_CHECKED if known else Outcome.FAILED,
            )
        issuer = self._issuer()
        self._signer()
        found = self._key(issuer.token_key(token.header.get("kid", ""), token.header.get("jwk")))
        self.answers.put(COVERED, Outcome.PASSED, "The signature covers every letter of the text.")
        try:
            if found.key is not None:
                signatures.check_token(token, found.key)
        except signatures.Mismatch as cause:
            raise Stop(SIGNATURE, _CHANGED) from cause
        self._fits(found)

    def _signer(self) -> None:
        self.answers.put(
            SIGNER, Outcome.PASSED, "The signature names a key of the issuer that the badge names."
        )

    def _key(self, found: Found) -> Found:
        self.answers.put(ISSUER, found.outcome, found.explanation)
        self.host = found.host
        return found

    def _fits(self, found: Found | None, otherwise: str = _NO_KEY) -> None:
        if found is None or found.key is None:
            self.answers.put(SIGNATURE, Outcome.NOT_CHECKED, otherwise)
        elif found.outcome is Outcome.PASSED:
            self.answers.put(
                SIGNATURE, Outcome.PASSED, "Not a letter was changed since the issuer signed it."
            )
        else:
            self.answers.put(
                SIGNATURE,
                Outcome.PASSED,
                "Not a letter was changed since somebody signed it with the key that the badge names.",
            )

    def _dates(self, signature: Mapping[str, Any]) -> None:
        shown = self.shown
        assert shown is not None
        created = form.moment(signature, "created", SIGNER)
        expires = form.moment(signature, "expires", SIGNER)
        latest = self.now + form.SKEW
        if shown.valid_from > latest:
            wrong = f"The badge is not valid yet: it begins on {form.day(shown.valid_from)}."
        elif shown.valid_until is not None and shown.valid_until <= self.now:
            wrong = (
                f"The badge was valid until {form.day(shown.valid_until)}. "
                "Ask the issuer whether it was renewed."
            )
        elif created is not None and created > latest:
            wrong = f"The signature bears a date that has not come yet: {form.day(created)}."
        elif expires is not None and expires <= self.now:
            wrong = f"The signature was good until {form.day(expires)}. Ask the issuer for a newer file."
        else:
            self.answers.put(DATES, Outcome.PASSED, _period(shown))
            return
        self.answers.put(DATES, Outcome.FAILED, wrong)

    def _status(self, document: Mapping[str, Any]) -> None:
        if not self.answers.passed(SIGNATURE):
            self.answers.put(STATUS, Outcome.NOT_CHECKED, _UNPROVEN)
        elif self.own is not None:
            self.answers.put(STATUS, *_own_status(self.own.status))
        else:
            self.answers.put(STATUS, *revocation.check(document, self._issuer(), self.web, self.now))

    def stopped(self, stop: Stop) -> Verdict:
        """The verdict when a check ended the examination."""
        foreign = Outcome.FAILED if self.own is not None else stop.foreign
        if isinstance(foreign, Standing):
            self.answers.put(stop.check, Outcome.NOT_CHECKED, stop.explanation)
            return Verdict(standing=foreign, checks=self.answers.all(), reason=stop.explanation, shown=None)
        self.answers.put(stop.check, foreign, stop.explanation)
        return self.verdict()

    def verdict(self) -> Verdict:
        """The verdict of the answers as they are."""
        if failed := self.answers.first(Outcome.FAILED):
            standing, reason = Standing.REFUSED, failed.explanation
        elif unsure := self.answers.first(Outcome.NOT_CHECKED):
            standing, reason = Standing.UNDECIDED, unsure.explanation
        else:
            standing = Standing.GENUINE
            reason = (
                f"It was signed with a key that {self.host} publishes, and nothing in it was changed since. "
                f"What the issuer is called is the badge’s own word: if {self.host} is that issuer’s address, "
                "the badge is genuine."
                if self.host
                else "Its issuer signed it, and nothing in it was changed since."
            )
        return Verdict(
            standing=standing,
            checks=self.answers.all(),
            reason=reason,
            shown=self.shown,
            vouched_by=self.host,
        )


def _token(compact: bytes) -> signatures.Token:
    try:
        token = signatures.token(compact)
    except signatures.Unreadable as cause:
        raise Stop(FILE, str(cause), Standing.NO_BADGE) from cause
    if odd := signatures.odd_header(token.header):
        raise Stop(
            FORM, f"The signed text begins with something that the standard does not allow there: “{odd}”."
        )
    return token


def _own_status(status: BadgeStatus | None) -> tuple[Outcome, str]:
    if status is None:
        return Outcome.NOT_CHECKED, "The issuer has no record of this badge any more. Ask the issuer."
    if status.revoked_at is None:
        return Outcome.PASSED, "It stands today, says the issuer’s own record."
    reason = (status.reason or "").strip().rstrip(".")
    said = f" because: {reason}." if reason else "."
    newer = " A newer one was issued in its place; ask its holder for that." if status.reissued else ""
    return Outcome.FAILED, f"Revoked on {form.day(status.revoked_at)}{said}{newer}"


def _period(shown: Shown) -> str:
    if shown.valid_until is None:
        return f"It is valid since {form.day(shown.valid_from)} and has no end date."
    return f"It is valid from {form.day(shown.valid_from)} until {form.day(shown.valid_until)}."
