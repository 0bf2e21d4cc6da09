"""Testing the connection to a platform, and saying what is wrong in words that an administrator can act on.

A worker does it (or the command line), never a page: the platform may keep us waiting. Plain values are taken out of
the database before each call, so that no connection waits with us.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool import http, settings
from lti_tool.database import db
from lti_tool.lti import paging, platforms, rosters, scopes, tokens
from lti_tool.lti.addresses import may_carry_token
from lti_tool.lti.models import ConnectionTest, Deployment, Launch, Registration, Standing
from lti_tool.lti.platforms import Generic

_LONGEST = 60.0
"""Seconds for all calls together."""
_GIVEN_UP = timedelta(minutes=5)
_CLOCKS_DIFFER = timedelta(seconds=30)
_LAUNCHES = 50
_SCOPE = re.compile(r"https://[\w./-]+[\w]")
_LINE_ITEMS = "application/vnd.ims.lis.v2.lineitemcontainer+json"

_NOT_YET = "Not known yet. Open an activity in a course once, then test again."
_IN_LAST_COURSE = "Yes, in the course that was opened last."
_OTHER_COURSE = (
    "The course that was opened last may have been deleted or concluded, or Tessera was removed from it. Open an "
    "activity in another course and test again."
)

Clock = Callable[[], datetime]


class Mark(StrEnum):
    """How a question of the test was answered."""

    GOOD = "good"
    PROBLEM = "problem"
    OPEN = "open"
    """Not to be known yet; the answer says what it needs."""


@dataclass(frozen=True)
class Finding:
    """One line of the test."""

    question: str
    mark: Mark
    answer: str


def ask(registration_id: int, *, now: datetime) -> None:
    """Have a worker test this connection; what an earlier test found is forgotten."""
    again = (
        update(ConnectionTest)
        .where(ConnectionTest.registration_id == registration_id)
        .values(asked_at=now, taken_at=None, finished_at=None, findings=[])
        .returning(ConnectionTest.id)
        .execution_options(synchronize_session="fetch")
    )
    if db.session.scalar(again) is not None:
        return
    try:
        with db.session.begin_nested():
            db.session.add(ConnectionTest(registration_id=registration_id, asked_at=now))
    except IntegrityError:
        db.session.scalar(again)


def latest(registration_ids: Iterable[int]) -> dict[int, ConnectionTest]:
    """The last test of each of these registrations that has one."""
    wanted = select(ConnectionTest).where(ConnectionTest.registration_id.in_(list(registration_ids)))
    return {test.registration_id: test for test in db.session.scalars(wanted)}


def findings_of(test: ConnectionTest) -> tuple[Finding, ...]:
    return tuple(Finding(one["question"], Mark(one["mark"]), one["answer"]) for one in test.findings)


def run_due(*, clock: Clock, stopping: Callable[[], bool]) -> int:
    """Make the tests that somebody waits for. Commits. Returns how many were made."""
    made = 0
    while not stopping():
        taken = _take(clock())
        if taken is None:
            break
        test_id, registration_id = taken
        findings = [asdict(finding) for finding in examine(registration_id, clock=clock)]
        db.session.execute(
            update(ConnectionTest)
            .where(ConnectionTest.id == test_id)
            .values(findings=findings, finished_at=clock())
        )
        db.session.commit()
        made += 1
    return made


def waiting(now: datetime) -> bool:
    """Whether a test is asked for and nobody makes it."""
    free = or_(ConnectionTest.taken_at.is_(None), ConnectionTest.taken_at < now - _GIVEN_UP)
    due = select(ConnectionTest.id).where(ConnectionTest.finished_at.is_(None), free).limit(1)
    return db.session.scalar(due) is not None


def _take(now: datetime) -> tuple[int, int] | None:
    """One test that nobody makes now, for this worker alone. Commits."""
    free = or_(ConnectionTest.taken_at.is_(None), ConnectionTest.taken_at < now - _GIVEN_UP)
    due = select(ConnectionTest.id).where(ConnectionTest.finished_at.is_(None), free).limit(1)
    taken = db.session.execute(
        update(ConnectionTest)
        .where(ConnectionTest.id == due.scalar_subquery(), ConnectionTest.finished_at.is_(None), free)
        .values(taken_at=now)
        .returning(ConnectionTest.id, ConnectionTest.registration_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    db.session.commit()
    return None if taken is None else (taken[0], taken[1])


def examine(registration_id: int, *, clock: Clock) -> list[Finding]:
    """Test a connection: its keys, a token, the permissions, a gradebook, a roster, the clocks. Commits before it
    waits. What is granted is remembered."""
    registration = db.session.get_one(Registration, registration_id)
    if registration.state != Standing.ACTIVE:
        return [
            Finding(
                "Is the connection switched on?",
                Mark.PROBLEM,
                "No. Approve it first: until then Tessera calls none of its addresses.",
            )
        ]
    test = _Test(registration, clock)
    findings = test.keys()
    token, granted, more = test.token()
    findings += more
    if granted is not None:
        db.session.get_one(Registration, registration_id).granted_scopes = granted
        findings += test.permissions(granted)
        findings += test.services(token, granted)
    db.session.commit()
    return findings


class _Test:
    """One test on its way."""

    def __init__(self, registration: Registration, clock: Clock) -> None:
        self.id = registration.id
        self.client_id = registration.client_id
        self.jwks_url, self.token_url = registration.jwks_url, registration.token_url
        self.known = (registration.issuer, registration.auth_url, registration.token_url, self.jwks_url)
        self.behaviour: Generic = platforms.behaviour(registration.platform.product)
        self.requested = scopes.known(registration.requested_scopes) or list(self.behaviour.wanted_scopes)
        self.clock = clock
        self.ends = time.monotonic() + _LONGEST

    @property
    def lms(self) -> str:
        name = self.behaviour.product_name
        return name[0].upper() + name[1:]

    @property
    def timeout(self) -> float:
        return max(0.5, min(settings.current().platform_timeout, self.ends - time.monotonic()))

    def keys(self) -> list[Finding]:
        """Whether we can check what the platform signs, and whether its clock and ours agree."""
        question = "Can Tessera fetch the keys of the LMS?"
        db.session.commit()
        asked_at = self.clock()
        try:
            answer = http.send("GET", self.jwks_url, timeout=self.timeout)
        except http.NoAnswer as silence:
            return [
                Finding(
                    question,
                    Mark.PROBLEM,
                    f"No: {silence} Without them nobody can come in. Check the key set address, {self.jwks_url}, "
                    "and that the server that runs Tessera may reach it.",
                )
            ]
        findings = [self._clock(answer.headers.get("Date"), asked_at)]
        number = _key_count(answer)
        if number:
            words = "1 key" if number == 1 else f"{number} keys"
            return [Finding(question, Mark.GOOD, f"Yes, {words}."), *findings]
        return [
            Finding(
                question,
                Mark.PROBLEM,
                f"No: {self.jwks_url} answered with status {answer.status} and no usable key. Compare the key set "
                "address with the one that the LMS shows.",
            ),
            *findings,
        ]

    def _clock(self, date: str | None, asked_at: datetime) -> Finding:
        question = "Do the clocks agree?"
        try:
            theirs = parsedate_to_datetime(date or "")
        except ValueError:
            return Finding(question, Mark.OPEN, "The LMS does not say what time it has.")
        theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
        apart = theirs - asked_at
        if abs(apart) <= _CLOCKS_DIFFER:
            return Finding(question, Mark.GOOD, "Yes, to within half a minute.")
        seconds = abs(int(apart.total_seconds()))
        ahead = "ahead" if apart > timedelta(0) else "behind"
        return Finding(
            question,
            Mark.PROBLEM,
            f"No: the LMS is {seconds} seconds {ahead}. Links and grades are refused when clocks differ by more than a "
            "minute. Check the clock of the server that runs Tessera, then that of the LMS.",
        )

    def token(self) -> tuple[str, list[str] | None, list[Finding]]:
        """A token for as much as is granted: the token, what it is for, and how it came about."""
        question = "Does the LMS know Tessera and give it access?"
        try:
            token, granted = self._granted(self.requested)
        except tokens.NoToken as refused:
            return "", None, [Finding(question, Mark.PROBLEM, self._why_no_token(refused))]
        if not granted:
            nothing = "It knows Tessera, and allows it nothing. Grades and rosters do not work."
            return "", [], [Finding(question, Mark.PROBLEM, nothing)]
        return token, granted, [Finding(question, Mark.GOOD, "Yes.")]

    def _granted(self, wanted: list[str]) -> tuple[str, list[str]]:
        """Ask for everything; where that is refused for a scope, for what is left. Each token costs a third of what
        Canvas lets us ask within a short time, so not one by one unless the platform does not say which it refuses."""
        try:
            return self._ask(wanted)
        except tokens.NoToken as refused:
            if "invalid_scope" not in refused.answer.body:
                raise
            named = set(_SCOPE.findall(refused.answer.body)) & set(wanted)
        left = [scope for scope in wanted if scope not in named]
        if named:
            return self._ask(left) if left else ("", [])
        token, granted = "", []
        for scope in wanted:
            try:
                token, more = self._ask([scope])
            except tokens.NoToken:
                continue
            granted += more
        return (self._ask(granted)[0] if len(granted) > 1 else token), granted

    def _ask(self, wanted: list[str]) -> tuple[str, list[str]]:
        registration = db.session.get_one(Registration, self.id)
        token, said = tokens.ask_anew(registration, wanted, now=self.clock(), timeout=self.timeout)
        return token, [scope for scope in wanted if said is None or scope in said]

    def _why_no_token(self, refused: tokens.NoToken) -> str:
        answer = refused.answer
        if answer.status is None:
            return (
                f"No: {answer.body} Check the access token address, {self.token_url}, and that the server that runs "
                "Tessera may reach it."
            )
        said = self.behaviour.explain_token(answer.status, answer.body)
        keys = f"{settings.current().service_url}/lti/jwks"
        return f"No. {said.format(keys=keys, client_id=self.client_id)}"

    def permissions(self, granted: list[str]) -> list[Finding]:
        """One line for each permission that was asked for and not granted."""
        lost = scopes.missing(self.requested, granted)
        if not lost:
            return [Finding("Is everything allowed that Tessera asked for?", Mark.GOOD, "Yes.")]
        return [
            Finding(
                f"Is it allowed to: {scope.does[0].lower()}{scope.does[1:]}?",
                Mark.PROBLEM,
                f"No. {scope.lost} Allow it in the settings of Tessera in the LMS.",
            )
            for scope in lost
        ]

    def services(self, token: str, granted: list[str]) -> list[Finding]:
        """Whether a gradebook and a roster can be read, of the course that was opened last."""
        grades, roster = self._last_course()
        findings = []
        if scopes.LINE_ITEMS in granted or scopes.LINE_ITEMS_READ in granted:
            findings.append(self._gradebook(grades, token))
        if scopes.ROSTER in granted:
            findings.append(self._roster(roster))
        return findings

    def _last_course(self) -> tuple[str | None, str | None]:
        claims = db.session.scalars(
            select(Launch.claims)
            .join(Deployment, Launch.deployment_pk == Deployment.id)
            .where(Deployment.registration_id == self.id)
            .order_by(Launch.created_at.desc())
            .limit(_LAUNCHES)
        ).all()
        grades = (one["ags"].get("lineitems") for one in claims if one.get("ags"))
        rosters = (one.get("nrps") for one in claims)
        return next(filter(None, grades), None), next(filter(None, rosters), None)

    def _roster(self, address: str | None) -> Finding:
        """By the very way on which rosters are read later, as far as the first page."""
        question = "Can Tessera read who is in a course?"
        if address is None or not may_carry_token(address, self.known):
            return Finding(question, Mark.OPEN, _NOT_YET)
        manner = paging.Manner(clock=self.clock, timeout=self.timeout, wait=lambda _: None, patient=False)
        try:
            next(rosters.members(self.id, address, manner), None)
        except paging.NotRead as problem:
            why = rosters.why_not_read(self.id, problem)
            return Finding(question, Mark.PROBLEM, f"No: {why} {_OTHER_COURSE}")
        return Finding(question, Mark.GOOD, _IN_LAST_COURSE)

    def _gradebook(self, address: str | None, token: str) -> Finding:
        question = "Can Tessera read the columns of a gradebook?"
        if address is None or not may_carry_token(address, self.known):
            return Finding(question, Mark.OPEN, _NOT_YET)
        db.session.commit()
        headers = {"Accept": _LINE_ITEMS, "Authorization": f"Bearer {token}"}
        try:
            answer = http.send("GET", address, timeout=self.timeout, headers=headers)
        except http.NoAnswer as silence:
            return Finding(question, Mark.PROBLEM, f"No: {silence}")
        number = _entries(answer)
        if answer.status == 200 and number is not None:
            return Finding(question, Mark.GOOD, _IN_LAST_COURSE)
        said = f"No: {self.lms} answered with status {answer.status}."
        return Finding(question, Mark.PROBLEM, f"{said} {_OTHER_COURSE}")


def _key_count(answer: http.Answer) -> int:
    document = _document(answer)
    listed = document.get("keys") if answer.status == 200 and isinstance(document, Mapping) else None
    return sum(isinstance(one, dict) and "kid" in one for one in listed) if isinstance(listed, list) else 0


def _entries(answer: http.Answer) -> int | None:
    document = _document(answer)
    listed = document.get("members") if isinstance(document, Mapping) else document
    return len(listed) if isinstance(listed, list) else None


def _document(answer: http.Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
