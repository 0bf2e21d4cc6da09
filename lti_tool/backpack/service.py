"""What earners do with a badge beyond looking at it, and what faculty do about a badge that should not stand.

Every way to a badge that is issued again goes through here, so that what its earner agreed to goes with it.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select

from lti_tool.backpack import consents, queries, sharing
from lti_tool.backpack.models import Act, Consent
from lti_tool.badges import service as badges
from lti_tool.badges.models import Badge
from lti_tool.badges.service import Reissue, badge_of
from lti_tool.credit import service as credit
from lti_tool.database import db
from lti_tool.errors import NotHere, OwnBadge
from lti_tool.people.models import Person

LONGEST_REASON = 300
_BADGE_REVOKED = "Withdrawn, because the badge was revoked."


def renew(badge_id: str, person_id: int, *, change: Reissue, actor: int | None, now: datetime) -> Badge:
    """Issue this person's badge again as they wish: under another address, or with more or less in it. A shared page
    goes on under the same address, without its name if the person is called otherwise by now.

    :param actor: the account by which they are here; None for somebody who came by a personal link.
    :raises NotHere: not this person's badge.
    :raises BadgeRevoked: it does not stand any more.
    """
    old = badge_of(badge_id, person_id)
    change = _as_agreed(old, change, now)
    new = _reissued(old, change, actor, now)
    for act, wanted, detail in (
        (Act.RESULTS, change.results, ""),
        (Act.EVIDENCE, change.evidence, ", ".join(queries.linked_evidence(new))),
    ):
        if wanted is True and act not in consents.standing(new.id, now=now):
            consents.give(act, new.id, person_id, detail=detail, now=now)
        elif wanted is False:
            consents.end(new.id, act, now=now)
    return new


def take_back(consent_id: int, person_id: int, *, actor: int | None, now: datetime) -> Act:
    """End something that this person had agreed to, and what was shown by it. Returns what it was.

    :raises NotHere: they never agreed to such a thing.
    """
    consent = db.session.get(Consent, consent_id)
    if consent is None or consent.person_id != person_id:
        raise NotHere
    act, badge = Act(consent.act), consent.badge
    if consent.revoked_at is not None:
        return act
    match act:
        case Act.PAGE:
            sharing.unshare(badge.id, person_id=person_id, now=now)
        case Act.NAME:
            sharing.name_on_page(badge.id, person_id=person_id, name=None, now=now)
        case Act.RESULTS if badge.revoked_at is None:
            renew(badge.id, person_id, change=Reissue(results=False), actor=actor, now=now)
        case Act.EVIDENCE if badge.revoked_at is None:
            renew(badge.id, person_id, change=Reissue(evidence=False), actor=actor, now=now)
        case Act.RESULTS | Act.EVIDENCE:
            _stop_showing(badge, now)
    # Also where nothing was shown any more.
    consents.end(badge.id, act, now=now)
    return act


def revoke(badge_id: str, *, reason: str, actor: int | None, now: datetime) -> Badge:
    """Take a badge back as faculty of the course where it was earned, or as an operator (``actor`` None), and with it
    the credit that was entered for it.

    :raises NotHere: there is no such badge.
    :raises OwnBadge: it is the actor's own.
    :raises ReasonMissing, BadgeRevoked: as ``badges.service.revoke``.
    """
    _not_own(badge_id, actor)
    badge = badges.revoke(
        badge_id, reason=" ".join(reason.split())[:LONGEST_REASON], by_account_id=actor, now=now
    )
    if badge.credential_id is not None:
        # A stack's badge shares its decision with the part that completed it, and gives no credit of its own.
        credit.withdraw(
            badge.decision_id, person_id=badge.person_id, why=_BADGE_REVOKED, actor=actor, now=now
        )
    return badge


def issue_again(badge_id: str, *, actor: int | None, change: Reissue | None = None, now: datetime) -> Badge:
    """Mend an error as faculty or operator: a badge that was taken back by mistake is issued again, and so is one
    that stands, for instance because its file is damaged. What it says and its date of award stay, but for what its
    earner does not agree to any more.

    :param change: what shall be said otherwise of whom it names; an operator may know another address.
    :raises NotHere: there is no such badge.
    :raises OwnBadge: it is the actor's own.
    :raises BadgeRevoked: another one stands in its place.
    :raises BadgeStands: it was revoked, and the person has earned another one for the same since.
    """
    _not_own(badge_id, actor)
    old = db.session.get_one(Badge, badge_id)
    change = change or Reissue()
    agreed = _as_agreed(old, change, now)
    if old.revoked_at is None:
        new = _reissued(old, agreed, actor, now)
    else:
        new = badges.reinstate(
            old.id, results=agreed.results, evidence=agreed.evidence, by_account_id=actor, now=now
        )
        _carry_over(old, new, now)
        if old.credential_id is not None:
            credit.restore(old.decision_id, person_id=old.person_id, actor=actor, now=now)
        if change != Reissue():
            new = _reissued(new, agreed, actor, now)
    if not agreed.evidence:
        consents.end(new.id, Act.EVIDENCE, now=now)
    return new


def hide_evidence(evidence_id: int, *, actor: int | None, now: datetime) -> list[Badge]:
    """After a piece of evidence was hidden: no badge that came from work with it goes on saying where evidence is seen.
    One that stands is issued again without, one that was revoked is not handed out any more, and the earner's
    agreement ends; they may agree again once nothing is hidden. Returns the new badges."""
    new = []
    for badge in queries.badges_showing(evidence_id):
        if badge.revoked_at is None:
            new.append(renew(badge.id, badge.person_id, change=Reissue(evidence=False), actor=actor, now=now))
        else:
            _stop_showing(badge, now)
            consents.end(badge.id, Act.EVIDENCE, now=now)
    return new


def _as_agreed(badge: Badge, change: Reissue, now: datetime) -> Reissue:
    """The change, and what its earner agrees to being written beyond it: what they took back is not signed again, and
    no evidence once a piece of it was hidden."""
    # Whoever hides evidence waits for the same row, and finds what is issued here.
    db.session.execute(select(Person.id).where(Person.id == badge.person_id).with_for_update())
    agreed = consents.standing(badge.id, now=now)
    results = Act.RESULTS in agreed if change.results is None else change.results
    evidence = Act.EVIDENCE in agreed if change.evidence is None else change.evidence
    return replace(change, results=results, evidence=evidence and bool(queries.linked_evidence(badge)))


def _stop_showing(badge: Badge, now: datetime) -> None:
    """A revoked badge is not signed again with less in it, so its page goes, and the file with it. Its status stays
    public in the list."""
    sharing.unshare(badge.id, person_id=badge.person_id, now=now)


def _reissued(old: Badge, change: Reissue, actor: int | None, now: datetime) -> Badge:
    # Whatever name the page shows, its earner agreed to it: issuing again puts no other one there.
    new = badges.reissue(old.id, change=replace(change, name=None), by_account_id=actor, now=now)
    _carry_over(old, new, now, change.name)
    return new


def _carry_over(old: Badge, new: Badge, now: datetime, called: str | None = None) -> None:
    """What was agreed to holds for the new badge. If the person is called otherwise by now, as their platform or
    ``called`` says, the name on the page is hidden until the earner, who is shown the new one beside it, agrees."""
    consents.follow(old.id, new.id)
    page = sharing.live(new.id, now=now)
    called = called or queries.name_of(new.person_id)
    if page is not None and page.name is not None and called is not None and page.name != called:
        sharing.name_on_page(new.id, person_id=new.person_id, name=None, now=now)


def _not_own(badge_id: str, actor: int | None) -> None:
    owner = queries.owner_of(badge_id)
    if actor is not None and queries.person_of(actor) == owner:
        raise OwnBadge
