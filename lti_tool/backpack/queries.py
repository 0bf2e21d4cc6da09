"""Read models of an earner's badges, and of the badges that came from an attempt."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import aliased, joinedload, selectinload

from lti_tool.assessment.models import Decision
from lti_tool.badges.models import Badge, Share
from lti_tool.badges.queries import counted, stacks_resting_on
from lti_tool.credentials.models import Placement, StackPart, StackVersion, Version
from lti_tool.database import db
from lti_tool.errors import NotHere
from lti_tool.people.models import Account, Person
from lti_tool.submissions.models import Attempt, AttemptPlacement, Evidence, Submission, SubmittedEvidence

_LONGEST_CHAIN = 50


class Standing(StrEnum):
    """How a badge stands, as its earner reads it."""

    UNNAMED = "unnamed"
    """It waits for the earner to choose how it names them."""
    UNSIGNED = "unsigned"
    PRIVATE = "private"
    SHARED = "shared"
    REVOKED = "revoked"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Held:
    """One badge on the earner's page."""

    badge: Badge
    standing: Standing
    page: Share | None
    """The public page, if there is one now."""
    again: bool
    """Whether it was issued in place of an earlier one."""


@dataclass(frozen=True)
class Earned:
    """Badges that came from an attempt, as faculty see them."""

    attempt: Attempt
    account: Account
    badges: Sequence[Held]
    """Those that came from it, and those of its stacks that were earned by it or completed in the same course."""
    resting: Mapping[str, Sequence[Badge]]
    """Of a standing badge: the standing badges of stacks that name it as a part."""
    decided_here: Collection[str]
    """Ids of those whose own decision was about work that belongs to this course: after a revocation, only its
    faculty issue them again."""


def shelf(person_id: int, *, page: int, size: int, now: datetime) -> tuple[list[Held], int]:
    """One page (from 1) of a person's badges, newest first, and how many there are. Those that another one was
    issued for are left out; the page of the new one names them."""
    mine = (Badge.person_id == person_id) & Badge.superseded_by_id.is_(None)
    total = db.session.scalar(select(func.count()).select_from(Badge).where(mine)) or 0
    old = aliased(Badge)
    again = select(old.id).where(old.superseded_by_id == Badge.id).exists()
    rows = db.session.execute(
        select(Badge, again)
        .where(mine)
        .options(selectinload(Badge.documents), selectinload(Badge.shares), joinedload(Badge.issuer))
        .order_by(Badge.awarded_at.desc(), Badge.id)
        .limit(size)
        .offset((page - 1) * size)
    ).all()
    return [_held(badge, replaced, now) for badge, replaced in rows], total


def held(badge: Badge, *, now: datetime) -> Held:
    """How one badge stands."""
    return _held(badge, bool(earlier(badge)), now)


def earlier(badge: Badge) -> list[Badge]:
    """What this badge was issued in place of, the last one first."""
    chain: list[Badge] = []
    while len(chain) < _LONGEST_CHAIN:
        newest = chain[-1] if chain else badge
        before = db.session.scalars(select(Badge).where(Badge.superseded_by_id == newest.id)).first()
        if before is None:
            break
        chain.append(before)
    return chain


def name_of(person_id: int) -> str | None:
    """What the platform that saw this person last calls them; None where none of them says a name."""
    return db.session.scalars(
        select(Account.name)
        .where(Account.person_id == person_id, Account.name.is_not(None))
        .order_by(Account.seen_at.desc(), Account.id.desc())
        .limit(1)
    ).first()


def last_account(person_id: int) -> Account | None:
    """The account by which this person was here last."""
    return db.session.scalars(
        select(Account)
        .where(Account.person_id == person_id)
        .order_by(Account.seen_at.desc(), Account.id.desc())
        .limit(1)
    ).first()


def person_of(account_id: int) -> int:
    """Whose account that is."""
    return db.session.get_one(Account, account_id).person_id


def owner_of(badge_id: str) -> int:
    """Whose badge that is.

    :raises NotHere: there is none.
    """
    owner = db.session.scalar(select(Badge.person_id).where(Badge.id == badge_id))
    if owner is None:
        raise NotHere
    return owner


def linked_evidence(badge: Badge) -> list[str]:
    """Titles of the evidence that this badge could lead to: links that the earner gave, for tasks without children.
    None at all once one of them was hidden for privacy, since a badge names all or none."""
    linked = [piece for piece in badge.facts["evidence"] if piece.get("url")]
    if not linked:
        return []
    hidden = db.session.scalar(
        select(func.count())
        .select_from(Decision)
        .join(SubmittedEvidence, SubmittedEvidence.submission_id == Decision.submission_id)
        .join(SubmittedEvidence.evidence)
        .where(Decision.id == badge.decision_id, Evidence.hidden_at.is_not(None))
    )
    return [] if hidden else [f"{piece['name']} ({piece['url']})" for piece in linked]


def badges_showing(evidence_id: int) -> Sequence[Badge]:
    """The badges, standing or revoked, that came from work with this piece of evidence and say where evidence is
    seen. Their owners' rows are locked, so that none of them is issued again meanwhile."""
    came = (
        select(Decision.id)
        .join(SubmittedEvidence, SubmittedEvidence.submission_id == Decision.submission_id)
        .where(SubmittedEvidence.evidence_id == evidence_id)
    )
    owners = select(Badge.person_id).where(Badge.decision_id.in_(came))
    db.session.execute(select(Person.id).where(Person.id.in_(owners)).order_by(Person.id).with_for_update())
    found = db.session.scalars(
        select(Badge)
        .where(Badge.decision_id.in_(came), Badge.superseded_by_id.is_(None))
        .execution_options(populate_existing=True)
    )
    return [badge for badge in found if badge.facts["shows_evidence"]]


def earned_by(attempt_id: int, course_id: int, *, now: datetime) -> Earned:
    """The badges that came from an attempt which belongs to this course, and those of its stacks that were earned by
    what was demonstrated in it, or completed in this course; replaced ones too, newest first.

    :raises NotHere: no such attempt in this course.
    """
    row = db.session.execute(
        select(Attempt, Account)
        .join(AttemptPlacement, AttemptPlacement.attempt_id == Attempt.id)
        .join(Placement, Placement.id == AttemptPlacement.placement_id)
        .join(Account, Account.id == AttemptPlacement.account_id)
        .where(Attempt.id == attempt_id, Placement.course_id == course_id)
        .limit(1)
    ).first()
    if row is None:
        raise NotHere
    attempt, account = row
    stacks = Badge.stack_id.in_(
        select(StackVersion.stack_id)
        .join(StackPart, StackPart.stack_version_id == StackVersion.id)
        .join(Version, Version.credential_id == StackPart.credential_id)
        .where(Version.id == attempt.version_id)
    )
    decisions = select(Decision.id).join(Decision.submission).where(Submission.attempt_id == attempt_id)
    came = Badge.decision_id.in_(decisions)
    found = db.session.execute(
        select(Badge, came)
        .where(came | ((Badge.person_id == attempt.person_id) & stacks))
        .options(selectinload(Badge.documents), selectinload(Badge.shares), joinedload(Badge.issuer))
        .order_by(Badge.superseded_by_id.is_not(None), Badge.awarded_at.desc(), Badge.id)
        .limit(_LONGEST_CHAIN)
    ).all()
    own = [badge for badge, from_it in found if from_it]
    here = _decided_in(course_id, {badge.decision_id for badge, _ in found})
    rows = [
        badge
        for badge, from_it in found
        if from_it or badge.decision_id in here or any(counted(part, badge) for part in own)
    ]
    resting = {
        badge.id: stacks_resting_on(badge.id)
        for badge in rows
        if badge.credential_id is not None and badge.revoked_at is None
    }
    decided_here = [badge.id for badge in rows if badge.decision_id in here]
    return Earned(attempt, account, [_held(badge, False, now) for badge in rows], resting, decided_here)


def _decided_in(course_id: int, decision_ids: Collection[int]) -> set[int]:
    """Those of the decisions that were about work which belongs to the course."""
    return set(
        db.session.scalars(
            select(Decision.id)
            .join(Decision.submission)
            .join(AttemptPlacement, AttemptPlacement.attempt_id == Submission.attempt_id)
            .join(Placement, Placement.id == AttemptPlacement.placement_id)
            .where(Decision.id.in_(decision_ids), Placement.course_id == course_id)
        )
    )


def _held(badge: Badge, again: bool, now: datetime) -> Held:
    page = next((each for each in badge.shares if _shown(each, now)), None)
    return Held(badge, _standing(badge, page), page, again)


def _shown(page: Share, now: datetime) -> bool:
    return page.ended_at is None and (page.expires_at is None or page.expires_at > now)


def _standing(badge: Badge, page: Share | None) -> Standing:
    if badge.superseded_by_id is not None:
        return Standing.REPLACED
    if badge.revoked_at is not None:
        return Standing.REVOKED
    if badge.subject_kind is None:
        return Standing.UNNAMED
    if not badge.documents:
        return Standing.UNSIGNED
    return Standing.SHARED if page is not None else Standing.PRIVATE
