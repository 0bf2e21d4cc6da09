"""Platform Notification Service: asking a platform to tell us of course copies, and what it then sends.

Canvas cannot say in a launch that an activity is a copy, but sends a notice when it copies a course, once and without
trying again. So what a notice says is a help and never the only way. A notice is signed like a launch and counts once.
Spec: https://www.imsglobal.org/spec/lti-pns/v1p0
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from lti_tool import settings
from lti_tool.database import db
from lti_tool.errors import DeploymentUnknown, LaunchMalformed
from lti_tool.lti import calls, claims, platforms, registrations, scopes, signed
from lti_tool.lti.addresses import NOTICES_PATH
from lti_tool.lti.calls import Call
from lti_tool.lti.models import Deployment, Notice, NoticeHandler

log = logging.getLogger(__name__)

MOST_AT_ONCE = 20
_OLDEST = timedelta(hours=2)
"""Canvas gives a notice an hour."""
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=6)
_MOST_TRIES = 12
_BATCH = 500


@dataclass(frozen=True)
class CourseCopied:
    """A course was made by copying others."""

    platform_id: int
    context_id: str
    origins: tuple[str, ...]


def note(deployment_pk: int, address: str | None, *, now: datetime) -> bool:
    """Remember that a deployment's platform can send notices. True if it is still to be asked to."""
    if address is None:
        return False
    row = db.session.get(NoticeHandler, deployment_pk)
    if row is None:
        row = NoticeHandler(deployment_pk=deployment_pk, address=address, due_at=now)
        try:
            with db.session.begin_nested():
                db.session.add(row)
        except IntegrityError:
            # Another launch of the deployment was quicker.
            return False
    elif row.address != address:
        row.address, row.due_at, row.tries, row.problem = address, now, 0, None
    return row.due_at is not None and row.due_at <= now


def due(now: datetime) -> set[int]:
    """The registrations with deployments that have not been asked yet."""
    waiting = select(Deployment.registration_id).join(
        NoticeHandler, NoticeHandler.deployment_pk == Deployment.id
    )
    return set(db.session.scalars(waiting.where(NoticeHandler.due_at <= now).distinct()))


def ask_due(
    registration_id: int,
    *,
    now_fn: Callable[[], datetime],
    stopping: Callable[[], bool] = lambda: False,
    limit: int = 20,
) -> int:
    """Ask that platform for the deployments that have not been asked yet. Returns for how many. Commits."""
    asked = 0
    while asked < limit and not stopping() and (taken := _take(registration_id, now_fn())) is not None:
        deployment_pk, address, tries = taken
        body = {"notice_type": claims.CONTEXT_COPY, "handler": settings.current().public_url + NOTICES_PATH}
        call = Call(
            method="PUT",
            url=address,
            scopes=(scopes.NOTICES,),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            body=json.dumps(body).encode(),
        )
        answer, reply = calls.make(
            call, registration_id, now=now_fn(), timeout=settings.current().platform_timeout
        )
        product = db.session.get_one(Deployment, deployment_pk).registration.platform.product
        row = db.session.get_one(NoticeHandler, deployment_pk)
        now = now_fn()
        if reply is not None and 200 <= reply.status < 300:
            row.registered_at, row.due_at, row.problem = now, None, None
        else:
            behaviour = platforms.behaviour(product)
            verdict = behaviour.classify(
                answer.status, answer.body, answer.timed_out, at_token=answer.at_token
            )
            again = verdict.next in (platforms.Next.RETRY, platforms.Next.NEW_TOKEN) and tries < _MOST_TRIES
            row.due_at = now + min(_FIRST_WAIT * (1 << (tries - 1)), _LONGEST_WAIT) if again else None
            status = "no answer" if answer.status is None else f"status {answer.status}"
            row.problem = f"The platform does not send notices of course copies ({status})."
        log.info("notices asked for", extra={"deployment": deployment_pk, "status": answer.status})
        db.session.commit()
        asked += 1
    return asked


def receive(token: str, *, now: datetime) -> CourseCopied | None:
    """Check a notice, count it, and say what it tells. None for one that came before or tells nothing that we use.

    Lets go of the database connection before waiting for a platform's keys. Flushed, not committed.

    :raises Refused: LaunchForged, LaunchMalformed, LaunchExpired, PlatformUnknown, DeploymentUnknown or PlatformSilent.
    """
    message = signed.take_apart(token)
    told = message.claims
    registration = signed.addressed_to(told)[0]
    signed.check_party(told, registration)
    signed.check_signature(message, registration, now=now)
    ends = signed.check_times(told, now=now, oldest=_OLDEST)
    notice = claims.notice_from_claims(told)
    deployment = registrations.find_deployment(registration.id, notice.deployment_id)
    if deployment is None:
        raise DeploymentUnknown(notice.deployment_id)
    registrations.check_open(registration.state, deployment.state)
    if not _first_time(registration.id, notice, ends):
        return None
    log.info("notice received", extra={"registration": registration.id, "kind": notice.kind})
    if notice.kind != claims.CONTEXT_COPY or notice.context_id is None or not notice.origins:
        return None
    return CourseCopied(registration.platform_id, notice.context_id, notice.origins)


def tokens_of(document: Any) -> list[str]:
    """The signed notices of what a platform posts.

    :raises LaunchMalformed: not a list of notices, or too many at once.
    """
    listed = document.get("notices") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_AT_ONCE:
        raise LaunchMalformed("notices")
    tokens = [one.get("jwt") if isinstance(one, dict) else None for one in listed]
    if not all(isinstance(token, str) for token in tokens):
        raise LaunchMalformed("notices")
    return [str(token) for token in tokens]


def sweep(now: datetime) -> int:
    """Forget notices whose own time is over, a batch at most. Returns how many."""
    over = select(Notice.id).where(Notice.expires_at < now - signed.LEEWAY).limit(_BATCH)
    return len(db.session.scalars(delete(Notice).where(Notice.id.in_(over)).returning(Notice.id)).all())


def _first_time(registration_id: int, notice: claims.NoticeMessage, ends: datetime) -> bool:
    try:
        with db.session.begin_nested():
            db.session.add(
                Notice(
                    registration_id=registration_id,
                    notice_id=notice.id,
                    kind=notice.kind,
                    expires_at=ends,
                )
            )
    except IntegrityError:
        return False
    return True


def _take(registration_id: int, now: datetime) -> tuple[int, str, int] | None:
    """Deployment, address and how many tries with this one; another worker waits for a minute."""
    oldest = (
        select(NoticeHandler.deployment_pk)
        .join(Deployment, Deployment.id == NoticeHandler.deployment_pk)
        .where(Deployment.registration_id == registration_id, NoticeHandler.due_at <= now)
        .order_by(NoticeHandler.due_at)
        .limit(1)
    )
    row = db.session.execute(
        update(NoticeHandler)
        .where(NoticeHandler.deployment_pk == oldest.scalar_subquery(), NoticeHandler.due_at <= now)
        .values(
            due_at=now + timedelta(seconds=settings.current().lease_seconds), tries=NoticeHandler.tries + 1
        )
        .returning(NoticeHandler.deployment_pk, NoticeHandler.address, NoticeHandler.tries)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        db.session.rollback()
        return None
    db.session.commit()
    return row.deployment_pk, row.address, row.tries
