"""Whom a badge names and what stands in it: the earner chooses, and what is signed already is issued again."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock, mail, tasks
from lti_tool.backpack import addresses, consents, queries, service
from lti_tool.backpack.models import Act
from lti_tool.badges.models import Badge
from lti_tool.badges.service import Reissue, badge_of, choose_subject
from lti_tool.database import db
from lti_tool.errors import BadgeRevoked
from lti_tool.routes.guards import Holder, Who, allow

blueprint = Blueprint("naming", __name__)
UNNAMED = "unnamed"


@blueprint.get("/l/<launch>/badges/<badge_id>/naming")
@blueprint.get("/b/<stay>/badges/<badge_id>/naming")
@allow(Who.HOLDER)
def choose(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The two ways in which a badge can name its earner, in everyday words."""
    return _page(holder, _standing(holder, badge_id))


@blueprint.post("/l/<launch>/badges/<badge_id>/naming")
@blueprint.post("/b/<stay>/badges/<badge_id>/naming")
@allow(Who.HOLDER)
def settle(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The choice: for a badge that waits for it, or for one that is signed and is issued again with it."""
    badge = _standing(holder, badge_id)
    chosen = request.form.get("choice", "")
    if chosen == UNNAMED:
        email = None
    elif chosen.startswith("address-") and chosen[8:].isdecimal() and len(chosen) < 20:
        email = addresses.confirmed(holder.person_id, int(chosen[8:])).address
    else:
        return _page(holder, badge, error="Choose one of these first."), 422
    if badge.subject_kind is None:
        choose_subject(badge.id, holder.person_id, email=email, now=clock.now())
        done, standing = "named", badge
    elif _same(badge, email):
        return redirect(holder.url("backpack.one", badge_id=badge.id, done="named-already"), code=303)
    else:
        change = Reissue(email=email, unnamed=email is None)
        standing = service.renew(
            badge.id, holder.person_id, change=change, actor=holder.account_id, now=clock.now()
        )
        done = "renamed"
    db.session.commit()
    tasks.wake()
    return redirect(holder.url("backpack.one", badge_id=standing.id, done=done), code=303)


@blueprint.get("/l/<launch>/badges/<badge_id>/contents")
@blueprint.get("/b/<stay>/badges/<badge_id>/contents")
@allow(Who.HOLDER)
def contents(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """What could stand in the signed badge besides what was earned, and what does."""
    badge = _standing(holder, badge_id)
    if badge.subject_kind is None:
        return redirect(holder.url("naming.choose", badge_id=badge.id), code=303)
    return render_template(
        "backpack/contents.html",
        visit=holder,
        badge=badge,
        results=_results(badge),
        evidence=queries.linked_evidence(badge),
        agreed={act.value for act in consents.standing(badge.id, now=clock.now())},
        words={act.value: words for act, words in consents.WORDS.items()},
        purposes={act.value: purpose for act, purpose in consents.PURPOSES.items()},
    )


@blueprint.post("/l/<launch>/badges/<badge_id>/contents")
@blueprint.post("/b/<stay>/badges/<badge_id>/contents")
@allow(Who.HOLDER)
def change(holder: Holder, badge_id: str) -> ResponseReturnValue:
    """The earner agrees to more in the badge, or takes it back. It is issued again if that changes anything."""
    badge = _standing(holder, badge_id)
    if badge.subject_kind is None:
        return redirect(holder.url("naming.choose", badge_id=badge.id), code=303)
    now = clock.now()
    agreed = consents.standing(badge.id, now=now)
    wanted = {
        Act.RESULTS: request.form.get("results") == "yes" and bool(_results(badge)),
        Act.EVIDENCE: request.form.get("evidence") == "yes" and bool(queries.linked_evidence(badge)),
    }
    changed = {act: yes for act, yes in wanted.items() if yes is not (act in agreed)}
    if not changed:
        return redirect(holder.url("backpack.one", badge_id=badge.id, done="contents-same"), code=303)
    new = service.renew(
        badge.id,
        holder.person_id,
        change=Reissue(results=changed.get(Act.RESULTS), evidence=changed.get(Act.EVIDENCE)),
        actor=holder.account_id,
        now=now,
    )
    db.session.commit()
    tasks.wake()
    return redirect(holder.url("backpack.one", badge_id=new.id, done="contents-changed"), code=303)


def _standing(holder: Holder, badge_id: str) -> Badge:
    """This person's badge, if anything can still be chosen about it."""
    badge = badge_of(badge_id, holder.person_id)
    if badge.revoked_at is not None:
        raise BadgeRevoked
    return badge


def _same(badge: Badge, email: str | None) -> bool:
    held: str | None = badge.facts["email"]
    return held == email


def _results(badge: Badge) -> list[tuple[str, str]]:
    """Criterion and level reached, in words: what the badge would say."""
    criteria = {row["key"]: row for row in badge.facts["achievement"]["criteria"]}
    said = []
    for result in badge.facts.get("results", ()):
        criterion = criteria[result["criterion"]]
        level = next(row["name"] for row in criterion["levels"] if row["key"] == result["level"])
        said.append((criterion["name"], level))
    return said


def _page(holder: Holder, badge: Badge, *, error: str | None = None) -> str:
    known = addresses.addresses_of(holder.person_id)
    return render_template(
        "backpack/naming.html",
        visit=holder,
        badge=badge,
        email=badge.facts["email"],
        confirmed=[row for row in known if row.confirmed_at is not None],
        waiting=[row for row in known if row.confirmed_at is None],
        mail=mail.possible(),
        error=error,
    )
