"""Agreeing, act by act, and taking it back."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload

from lti_tool import audit
from lti_tool.backpack.models import Act, Consent
from lti_tool.database import db

AUDIENCES = {
    Act.PAGE: "Anyone who has the address of the page",
    Act.NAME: "Anyone who has the address of the page",
    Act.RESULTS: "Anyone who gets the badge file",
    Act.EVIDENCE: "Anyone who gets the badge file",
}
WORDS = {
    Act.PAGE: "A public page shows this badge, what it stands for, who issued it and whether it still holds. "
    "My work, my feedback and my ratings are not on the page.",
    Act.NAME: "The public page says that it was earned by {detail}.",
    Act.RESULTS: "The signed badge says which level I reached in each criterion.",
    Act.EVIDENCE: "The signed badge says where these pieces of my evidence can be seen: {detail}.",
}
"""What an earner reads before agreeing, and what is kept of it."""
PURPOSES = {
    Act.PAGE: "So that whoever I give the address to can see what I earned, and check that it is genuine.",
    Act.NAME: "So that whoever sees the page knows that the badge is mine.",
    Act.RESULTS: "So that whoever I give the badge to can see how well I met each criterion.",
    Act.EVIDENCE: "So that whoever I give the badge to can look at the work behind it.",
}
"""What each is for, read and kept with the words: nothing that was agreed to is used for anything else."""


def give(
    act: Act,
    badge_id: str,
    person_id: int,
    *,
    detail: str = "",
    ends_at: datetime | None = None,
    now: datetime,
) -> Consent:
    """Note that the earner agrees. An agreement to the same act that stood before ends with it."""
    end(badge_id, act, now=now)
    consent = Consent(
        person_id=person_id,
        badge_id=badge_id,
        act=act.value,
        audience=AUDIENCES[act],
        words=WORDS[act].format(detail=detail),
        purpose=PURPOSES[act],
        given_at=now,
        ends_at=ends_at,
    )
    db.session.add(consent)
    db.session.flush()
    audit.record("consent given", "badge", badge_id, now=now, consent=consent.id, act=act.value)
    return consent


def end(badge_id: str, *acts: Act, now: datetime) -> bool:
    """Take back what the earner had agreed to. False if nothing of it stood."""
    ended = db.session.scalars(
        update(Consent)
        .where(
            Consent.badge_id == badge_id,
            Consent.act.in_([act.value for act in acts]),
            Consent.revoked_at.is_(None),
        )
        .values(revoked_at=now)
        .returning(Consent.id)
    ).all()
    for consent_id in ended:
        audit.record("consent ended", "badge", badge_id, now=now, consent=consent_id)
    return bool(ended)


def standing(badge_id: str, *, now: datetime) -> dict[Act, Consent]:
    """What the earner agrees to at this moment."""
    rows = db.session.scalars(
        select(Consent).where(
            Consent.badge_id == badge_id,
            Consent.revoked_at.is_(None),
            Consent.ends_at.is_(None) | (Consent.ends_at > now),
        )
    )
    return {Act(row.act): row for row in rows}


def of_person(person_id: int, *, page: int, size: int) -> tuple[Sequence[Consent], int]:
    """One page (from 1) of all that a person ever agreed to, newest first, and how many there are."""
    theirs = Consent.person_id == person_id
    total = db.session.scalar(select(func.count()).select_from(Consent).where(theirs)) or 0
    rows = db.session.scalars(
        select(Consent)
        .where(theirs)
        .options(joinedload(Consent.badge))
        .order_by(Consent.given_at.desc(), Consent.id.desc())
        .limit(size)
        .offset((page - 1) * size)
    ).all()
    return rows, total


def of_badge(badge_id: str) -> Sequence[Consent]:
    """All that was ever agreed to for one badge, newest first."""
    return db.session.scalars(
        select(Consent).where(Consent.badge_id == badge_id).order_by(Consent.id.desc()).limit(50)
    ).all()


def follow(old_badge_id: str, new_badge_id: str) -> None:
    """Carry what stands over to the badge that was issued anew."""
    db.session.execute(
        update(Consent)
        .where(Consent.badge_id == old_badge_id, Consent.revoked_at.is_(None))
        .values(badge_id=new_badge_id)
    )
