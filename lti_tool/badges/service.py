"""Awarding badges with a decision, taking them back, issuing them again, and showing them only as far as their earner
wants. Signing follows after the commit, see ``signing``."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from sqlalchemy import func, select, update

from lti_tool import audit
from lti_tool.badges import achievements, open_badge
from lti_tool.badges.models import Badge, Share
from lti_tool.badges.open_badge import (
    AchievementFacts,
    BadgeFacts,
    BodyFacts,
    CreditFacts,
    EvidenceFacts,
    ResultFacts,
    StatusFacts,
)
from lti_tool.credentials.models import Version
from lti_tool.credentials.queries import full_version, keys_of, stacks_with
from lti_tool.database import db
from lti_tool.errors import BadgeRevoked, BadgeStands, NotHere, ReasonMissing, SubjectChosen
from lti_tool.issuers import keys, status
from lti_tool.issuers.models import Issuer
from lti_tool.people.models import Person

REISSUED = "Re-issued"
"""The reason that a badge is revoked for when another takes its place."""


class Worn(Protocol):
    """How a badge looks; micro-credential versions and stacks both say."""

    badge_symbol: str
    badge_colour: str
    badge_shape: str


@dataclass(frozen=True, kw_only=True)
class EvidenceFact:
    """A piece of evidence. ``title`` is its task's: file names have held the names of children."""

    title: str
    kind: str
    digest: str | None
    url: str | None = None
    """Of a link, for a task that involves no children. It is written only by the earner's consent."""


@dataclass(frozen=True, kw_only=True)
class CreditFact:
    """What an active rule of an authority gives for this version."""

    authority: str
    value: Decimal
    unit: str


@dataclass(frozen=True, kw_only=True)
class Reissue:
    """What a badge says otherwise when it is issued again; what is left out stays as it was."""

    email: str | None = None
    """Another address, confirmed by the earner; the badge carries its hash."""
    unnamed: bool = False
    """Name nobody by an address any more, only by a random identifier."""
    name: str | None = None
    """What a shared page calls the earner from now on, where it shows a name. No badge holds a name."""
    results: bool | None = None
    """Whether the earner agreed to the level reached in each criterion being written."""
    evidence: bool | None = None
    """Whether the earner agreed to the addresses of evidence being written."""


def award(
    *,
    person_id: int,
    version: Version,
    decision_id: int,
    source: str,
    email: str | None,
    evidence: Sequence[EvidenceFact],
    now: datetime,
    results: Sequence[tuple[str, str]] = (),
    credits: Sequence[CreditFact] = (),
) -> Badge:
    """Award the badge of a micro-credential, in the decision's own transaction. Signing follows after the commit.

    :param source: the body that assessed, never a person.
    :param email: whom the badge names by a hash; None where no launch brought an address, and then the badge waits
        for :func:`choose_subject`.
    :param results: (criterion, level) by key; kept, and written only once the earner agrees.
    :param credits: what the rules give that are active now.

    Somebody who holds the badge already (under an earlier version) keeps that one.
    """
    # One award of a person after the other: two at once, each blind to the other, would both miss a stack.
    db.session.execute(select(Person.id).where(Person.id == person_id).with_for_update())
    standing = select(Badge).where(
        Badge.person_id == person_id, Badge.credential_id == version.credential_id, Badge.revoked_at.is_(None)
    )
    held = db.session.scalars(standing).first()
    if held is not None:
        return held
    return _award(
        person_id,
        version,
        achievements.of_version(full_version(version.id), [_credit(each) for each in credits]),
        credential_id=version.credential_id,
        stack_id=None,
        decision_id=decision_id,
        source=source,
        email=email,
        evidence=tuple(_evidence(item) for item in evidence),
        results=tuple(ResultFacts(criterion=criterion, level=level) for criterion, level in results),
        now=now,
    )


def award_stacks(
    *,
    person_id: int,
    credential_id: int,
    decision_id: int,
    source: str,
    email: str | None,
    now: datetime,
    begun: Mapping[str, datetime] | None = None,
) -> list[Badge]:
    """Award every stack that this micro-credential completes, in the same transaction.

    :param begun: what the person ever worked on: key of the micro-credential -> when they began. Who began under an
        earlier version of a stack may finish under it.

    A stack badge that was taken back does not return with the next part: somebody decided against it, and only
    :func:`reinstate` undoes that. It is awarded anew where every part that counts was earned after that day.
    """
    theirs = db.session.scalars(
        select(Badge)
        .where(Badge.person_id == person_id, Badge.superseded_by_id.is_(None))
        .order_by(Badge.awarded_at)
    ).all()
    standing = [badge for badge in theirs if badge.revoked_at is None]
    has = {badge.stack_id for badge in standing}
    taken_back: dict[int, datetime] = {}
    for badge in theirs:
        if badge.stack_id is not None and badge.revoked_at is not None:
            taken_back[badge.stack_id] = max(
                badge.revoked_at, taken_back.get(badge.stack_id, badge.revoked_at)
            )
    parts = {badge.credential_id: badge for badge in standing if badge.credential_id is not None}
    named = keys_of(parts)
    held = {named[at]: badge for at, badge in parts.items()}
    awarded = []
    for stack in stacks_with([credential_id]):
        version, found = stack.standing({key: badge.awarded_at for key, badge in held.items()}, begun or {})
        if stack.id in has or not found.complete:
            continue
        since = taken_back.get(stack.id)
        if since is not None and any(held[key].awarded_at <= since for key in found.counted):
            continue
        badge = _award(
            person_id,
            version,
            achievements.of_stack(version, [held[key] for key in found.counted]),
            credential_id=None,
            stack_id=stack.id,
            decision_id=decision_id,
            source=source,
            email=email,
            evidence=(),
            results=(),
            now=now,
        )
        awarded.append(badge)
    return awarded


def restate(badge_id: str, results: Sequence[tuple[str, str]]) -> bool:
    """Keep other levels with a badge, because the ratings behind it were changed.

    :param results: (criterion, level) by key.
    :returns: whether the badge shows levels, and so has to be issued again.
    """
    badge = _locked(badge_id)
    facts = open_badge.from_map(badge.facts)
    levels = tuple(ResultFacts(criterion=criterion, level=level) for criterion, level in results)
    if levels == facts.results:
        return False
    badge.facts = open_badge.as_map(replace(facts, results=levels))
    db.session.flush()
    return facts.shows_results


def choose_subject(badge_id: str, person_id: int, *, email: str | None, now: datetime) -> Badge:
    """Say whom a badge names that no launch brought an address for, so that it can be signed.

    :param email: an address that the earner has confirmed; None names nobody, only a random identifier.
    :raises NotHere: not this person's badge.
    :raises SubjectChosen: it is settled already; :func:`reissue` changes it.
    """
    badge = badge_of(badge_id, person_id)
    facts = _naming(open_badge.from_map(badge.facts), email)
    chosen = db.session.scalar(
        update(Badge)
        .where(Badge.id == badge.id, Badge.subject_kind.is_(None), Badge.revoked_at.is_(None))
        .values(facts=open_badge.as_map(facts), subject_kind=_kind(email), to_sign_since=now)
        .returning(Badge.id)
    )
    if chosen is None:
        raise SubjectChosen
    audit.record("badge subject chosen", "badge", badge.id, now=now, kind=_kind(email))
    return badge


def revoke(badge_id: str, *, reason: str, by_account_id: int | None, now: datetime) -> Badge:
    """Take a badge back. Its status list says so as soon as the worker has signed it anew; no grade changes.

    :param reason: in words that a verifier may read.
    :param by_account_id: who does it; None is an operator.
    :raises NotHere: there is no such badge.
    :raises ReasonMissing: nobody could tell why.
    :raises BadgeRevoked: somebody did so before.
    """
    if not reason.strip():
        raise ReasonMissing
    badge = _revoked(badge_id, reason.strip(), now)
    audit.record("badge revoked", "badge", badge.id, now=now, actor=by_account_id)
    return badge


def reissue(badge_id: str, *, change: Reissue, by_account_id: int | None, now: datetime) -> Badge:
    """Issue a badge again that says something otherwise: the old one is revoked and the new one stands in its place,
    with the date of the award, and under the same shared page. No grade changes.

    :param by_account_id: who does it; None is an operator.
    :raises NotHere: there is no such badge.
    :raises BadgeRevoked: it was taken back, or issued again, before.
    """
    old = _revoked(badge_id, REISSUED, now)
    facts = open_badge.from_map(old.facts)
    email, kind = facts.email, old.subject_kind
    if change.email is not None or change.unnamed:
        email = None if change.unnamed else change.email
        kind = _kind(email)
    facts = _showing(_naming(facts, email), change.results, change.evidence, now)
    new = _instead(old, facts, kind, now)
    shared = _live_share(old.id)
    if shared is not None and shared.show_name and change.name is not None:
        shared.name = change.name
    _follow(old, new)
    audit.record("badge re-issued", "badge", new.id, now=now, actor=by_account_id, instead_of=old.id)
    return new


def reinstate(
    badge_id: str,
    *,
    results: bool | None = None,
    evidence: bool | None = None,
    by_account_id: int | None,
    now: datetime,
) -> Badge:
    """Issue a badge again that was taken back by mistake. A revocation is never undone, since verifiers have read it:
    a new badge, with the date of the award, stands in place of the revoked one. No grade changes.

    :param results, evidence: whether the earner agrees to them being written, as in :class:`Reissue`.
    :param by_account_id: who does it; None is an operator.
    :raises NotHere: there is no such badge.
    :raises BadgeStands: it was not taken back, or the person holds another one for the same by now.
    :raises BadgeRevoked: another one was issued in its place before.
    """
    old = _locked(badge_id)
    if old.superseded_by_id is not None:
        raise BadgeRevoked
    same = Badge.credential_id == old.credential_id
    if old.credential_id is None:
        same = Badge.stack_id == old.stack_id
    holds = select(Badge.id).where(Badge.person_id == old.person_id, same, Badge.revoked_at.is_(None))
    if db.session.scalars(holds).first() is not None:
        raise BadgeStands
    facts = open_badge.from_map(old.facts)
    facts = _showing(_naming(facts, facts.email), results, evidence, now)
    new = _instead(old, facts, old.subject_kind, now)
    _follow(old, new)
    audit.record("badge reinstated", "badge", new.id, now=now, actor=by_account_id, instead_of=old.id)
    return new


def badge_of(badge_id: str, person_id: int) -> Badge:
    """A badge of this person.

    :raises NotHere: there is none, or it is somebody else's; which of them is not said.
    """
    badge = db.session.get(Badge, badge_id)
    if badge is None or badge.person_id != person_id:
        raise NotHere
    return badge


def _live_share(badge_id: str) -> Share | None:
    return db.session.scalars(
        select(Share).where(Share.badge_id == badge_id, Share.ended_at.is_(None))
    ).first()


def _award(
    person_id: int,
    worn: Worn,
    achievement: AchievementFacts,
    *,
    credential_id: int | None,
    stack_id: int | None,
    decision_id: int,
    source: str,
    email: str | None,
    evidence: tuple[EvidenceFacts, ...],
    results: tuple[ResultFacts, ...],
    now: datetime,
) -> Badge:
    issuer = keys.ensure_issuer(now=now)
    facts = BadgeFacts(
        credential_id="urn:uuid:",
        issuer_did=issuer.did,
        issuer_name=issuer.name,
        issuer_url=issuer.url,
        awarded_at=now.replace(microsecond=0),
        subject_id="urn:uuid:",
        achievement=achievement,
        source=BodyFacts(id=issuer.did, name=source, url=issuer.url),
        evidence=evidence,
        results=results,
    )
    badge = _stored(
        _naming(facts, email),
        (worn.badge_symbol, worn.badge_colour, worn.badge_shape),
        person_id=person_id,
        credential_id=credential_id,
        stack_id=stack_id,
        decision_id=decision_id,
        subject_kind=None if email is None else _kind(email),
        awarded_at=now,
        now=now,
    )
    audit.record("badge awarded", "badge", badge.id, now=now, decision=decision_id)
    return badge


def _instead(old: Badge, facts: BadgeFacts, subject_kind: str | None, now: datetime) -> Badge:
    """The badge that stands in place of a revoked one."""
    new = _stored(
        facts,
        (old.symbol, old.colour, old.shape),
        person_id=old.person_id,
        credential_id=old.credential_id,
        stack_id=old.stack_id,
        decision_id=old.decision_id,
        subject_kind=subject_kind,
        awarded_at=old.awarded_at,
        now=now,
    )
    old.superseded_by_id = new.id
    db.session.flush()
    return new


def _follow(old: Badge, new: Badge) -> None:
    """The address that people were given goes on leading to the badge."""
    shared = _live_share(old.id)
    if shared is not None:
        shared.badge_id = new.id
    db.session.flush()
    db.session.expire(old, ["shares"])


def _stored(
    facts: BadgeFacts,
    look: tuple[str, str, str],
    *,
    person_id: int,
    credential_id: int | None,
    stack_id: int | None,
    decision_id: int,
    subject_kind: str | None,
    awarded_at: datetime,
    now: datetime,
) -> Badge:
    """A new badge of that symbol, colour and shape, under an id and a place in a status list of its own."""
    issuer = keys.ensure_issuer(now=now)
    badge_id = str(uuid.uuid4())
    place = _free_place(issuer, now)
    list_url, index = status.entry(issuer, place)
    facts = replace(
        facts,
        credential_id=f"urn:uuid:{badge_id}",
        status=StatusFacts(list_url=list_url, index=index),
    )
    # Built once here and thrown away: facts that no badge can be made of must stop the decision, not the worker.
    open_badge.build(facts)
    badge = Badge(
        id=badge_id,
        issuer_id=issuer.id,
        person_id=person_id,
        credential_id=credential_id,
        stack_id=stack_id,
        decision_id=decision_id,
        title=facts.achievement.name,
        facts=open_badge.as_map(facts),
        symbol=look[0],
        colour=look[1],
        shape=look[2],
        status_index=place,
        subject_kind=subject_kind,
        to_sign_since=None if subject_kind is None else now,
        awarded_at=awarded_at,
    )
    db.session.add(badge)
    db.session.flush()
    return badge


def _free_place(issuer: Issuer, now: datetime) -> int:
    """A place in the issuer's status lists, random, so that it tells nothing about when a badge was awarded, or after
    whom. Its list is there afterwards."""
    taken = db.session.scalar(select(func.count()).where(Badge.issuer_id == issuer.id)) or 0
    # A further list opens long before one is full, so that a random try soon hits a free place.
    lists = 1 + 2 * taken // status.ENTRIES
    while True:
        place = secrets.randbelow(lists * status.ENTRIES)
        if db.session.scalar(select(Badge.id).filter_by(issuer_id=issuer.id, status_index=place)) is None:
            status.ensure_list(issuer, place // status.ENTRIES, now=now)
            return place


def _locked(badge_id: str) -> Badge:
    """The badge, with its owner's row locked as an award does: while it changes, nobody else looks at what they hold.

    :raises NotHere: there is no such badge.
    """
    owner = db.session.scalar(select(Badge.person_id).where(Badge.id == badge_id))
    if owner is None:
        raise NotHere
    db.session.execute(select(Person.id).where(Person.id == owner).with_for_update())
    return db.session.get_one(Badge, badge_id, populate_existing=True)


def _revoked(badge_id: str, reason: str, now: datetime) -> Badge:
    """Revoke a standing badge, once, however many try at this moment."""
    _locked(badge_id)
    badge: Badge | None = db.session.scalar(
        update(Badge)
        .where(Badge.id == badge_id, Badge.revoked_at.is_(None))
        .values(revoked_at=now, revocation_reason=reason, to_sign_since=None)
        .returning(Badge)
    )
    if badge is None:
        raise BadgeRevoked
    status.note_revocation(badge.issuer_id, badge.status_index, now=now)
    return badge


def _naming(facts: BadgeFacts, email: str | None) -> BadgeFacts:
    """The facts with a new subject. A salt and an identifier are never used twice: they would link badges."""
    return replace(
        facts,
        subject_id=f"urn:uuid:{uuid.uuid4()}",
        email=email,
        salt=None if email is None else secrets.token_hex(16),
    )


def _showing(facts: BadgeFacts, results: bool | None, evidence: bool | None, now: datetime) -> BadgeFacts:
    """The facts as issued now, with what the earner agrees to; None leaves it as it was."""
    return replace(
        facts,
        issued_at=now.replace(microsecond=0),
        shows_results=facts.shows_results if results is None else results,
        shows_evidence=facts.shows_evidence if evidence is None else evidence,
    )


def _kind(email: str | None) -> str:
    return "uuid" if email is None else "email"


def _evidence(given: EvidenceFact) -> EvidenceFacts:
    # An address that no signature can cover must not stop the decision.
    url = given.url if given.url is not None and open_badge.is_address(given.url) else None
    words = "A file, kept by the issuer." if given.kind == "upload" else "A link, kept by the issuer."
    return EvidenceFacts(name=given.title, narrative=words, sha256=given.digest, url=url)


def _credit(given: CreditFact) -> CreditFacts:
    return CreditFacts(authority=given.authority, value=round(float(given.value), 2), unit=given.unit)
