"""Sending notices: by mail and by webhook, after the commit that asked for them, again while that fails.

What is sent holds counts and numbers of deployments, never a person. A webhook gets JSON whose signature its receiver
can check: ``X-Tessera-Signature: sha256=`` and the HMAC-SHA256, in hexadecimal, of the header ``X-Tessera-Timestamp``,
a dot, and the body, with the secret of the settings.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from lti_tool import http, mail
from lti_tool.alerts import rules
from lti_tool.alerts.models import EVERYWHERE, Alert, AlertNotice
from lti_tool.database import db
from lti_tool.lti.models import Deployment
from lti_tool.settings import Settings, current

log = logging.getLogger(__name__)

MAIL, WEBHOOK = "mail", "webhook"
_MOST_TRIES = 8
_LEASE = timedelta(minutes=5)
_KEPT = timedelta(days=30)
_TIMEOUT = 10.0
_PORTS = (443, 8443)


def channels(settings: Settings) -> list[str]:
    """How somebody can be told, by the settings. Each address is a channel of its own, known by its place among them:
    one that fails is tried again, and the others hear nothing twice."""
    mails = [f"{MAIL} {place}" for place, _ in enumerate(settings.alert_mail_to.split(), start=1)]
    return mails + [WEBHOOK] * bool(settings.alert_webhook_url)


def waiting(now: datetime) -> bool:
    """Whether a notice is due."""
    due = select(AlertNotice.id).where(AlertNotice.done_at.is_(None), AlertNotice.due_at <= now)
    found = db.session.scalars(due.limit(1)).first() is not None
    db.session.rollback()
    return found


def send_due(*, now_fn: Callable[[], datetime], stopping: Callable[[], bool]) -> int:
    """Send what is due. Commits before and after each; no connection is held meanwhile. Returns how many were tried."""
    done = 0
    while not stopping() and (notice_id := _claim(now_fn())) is not None:
        _send(notice_id, now_fn())
        done += 1
    return done


def sweep(now: datetime) -> int:
    """Forget notices of last month."""
    gone = db.session.scalars(
        delete(AlertNotice).where(AlertNotice.asked_at < now - _KEPT).returning(AlertNotice.id)
    ).all()
    return len(gone)


def _claim(now: datetime) -> int | None:
    """Take the notice that waits longest, unless another worker is quicker."""
    due = (
        select(AlertNotice.id)
        .where(AlertNotice.done_at.is_(None), AlertNotice.due_at <= now)
        .order_by(AlertNotice.due_at, AlertNotice.id)
        .limit(1)
        .scalar_subquery()
    )
    taken = db.session.scalar(
        update(AlertNotice)
        .where(AlertNotice.id == due, AlertNotice.done_at.is_(None), AlertNotice.due_at <= now)
        .values(due_at=now + _LEASE, tries=AlertNotice.tries + 1)
        .returning(AlertNotice.id)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    return taken


def _send(notice_id: int, now: datetime) -> None:
    notice = db.session.get_one(AlertNotice, notice_id, populate_existing=True)
    alert = db.session.get_one(Alert, notice.alert_id)
    deployment = None
    if alert.deployment_pk != EVERYWHERE:
        deployment = db.session.get(Deployment, alert.deployment_pk)
    where = _where(deployment)
    facts: dict[str, object] = {
        "id": notice.id,
        "event": "raised" if notice.count else "all clear",
        "kind": alert.kind.value,
        "count": notice.count,
        "platform": None if deployment is None else deployment.registration.platform_id,
        "deployment": None if deployment is None else deployment.deployment_id,
        "asked_at": f"{notice.asked_at:%Y-%m-%dT%H:%M:%SZ}",
        "url": current().public_url,
    }
    channel, kind, count, tries = notice.channel, alert.kind.value, notice.count, notice.tries
    db.session.rollback()  # Nothing is held while somebody else thinks.
    problem = (
        _by_webhook(facts, now) if channel == WEBHOOK else _by_mail(_address(channel), kind, count, where)
    )
    _record(notice_id, problem, tries, now)
    log.info("alert told", extra={"notice": notice_id, "channel": channel, "outcome": problem or "sent"})


def _record(notice_id: int, problem: str | None, tries: int, now: datetime) -> None:
    notice = db.session.get_one(AlertNotice, notice_id)
    notice.outcome = problem or "sent"
    if problem is None or tries >= _MOST_TRIES:
        notice.done_at = now
    else:
        notice.due_at = now + timedelta(minutes=2**tries)
    db.session.commit()


def _where(deployment: Deployment | None) -> str:
    if deployment is None:
        return "this installation"
    return f"{deployment.registration.platform.name}, deployment {deployment.deployment_id}"


def _address(channel: str) -> str | None:
    """None if the settings have fewer by now."""
    place = int(channel.removeprefix(MAIL) or 1)
    addresses = current().alert_mail_to.split()
    return addresses[place - 1] if place <= len(addresses) else None


def _by_mail(address: str | None, kind: str, count: int, where: str) -> str | None:
    """Returns what went wrong, in words without any address."""
    if address is None:
        return "The settings name no such address any more."
    settings = current()
    said = rules.in_words(kind, count) if count else "All clear"
    about = "" if count else f" It was about: {rules.TOPICS[kind]}."
    text = (
        f"{said}: {where}.{about}\n\n"
        + (f"{rules.next_step(kind)}\n\n" if count else "")
        + f"Tessera at {settings.public_url}. Registrars open their desk from a course.\n"
    )
    try:
        mail.send(address, f"Tessera: {said}", text)
    except mail.NotSent as problem:
        return str(problem)
    return None


def _by_webhook(facts: dict[str, object], now: datetime) -> str | None:
    """Returns what went wrong, in words without any address."""
    settings = current()
    body = json.dumps(facts, sort_keys=True).encode()
    moment = str(int(now.timestamp()))
    signed = hmac.new(settings.alert_webhook_secret.encode(), f"{moment}.".encode() + body, hashlib.sha256)
    try:
        answer = http.fetch_public(
            settings.alert_webhook_url,
            method="POST",
            body=body,
            headers={
                "Content-Type": "application/json",
                "X-Tessera-Timestamp": moment,
                "X-Tessera-Signature": f"sha256={signed.hexdigest()}",
            },
            timeout=_TIMEOUT,
            max_bytes=65_536,
            ports=_PORTS,
            allowed_origins=settings.outgoing_origins,
        )
    except http.NoAnswer as problem:
        return str(problem)
    return None if 200 <= answer.status < 300 else f"The webhook answered {answer.status}."
