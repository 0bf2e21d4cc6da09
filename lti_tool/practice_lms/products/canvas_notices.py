"""Canvas's Platform Notification Service: who wants to hear of course copies, and telling them once.

As its documentation says: one handler of a kind, at the tool's own host; no second try.
"""

import logging
import threading
import uuid
from sqlite3 import Connection, Row
from typing import Any
from urllib.parse import urlsplit

import requests
from flask import Response, request

from lti_tool.practice_lms import courses
from lti_tool.practice_lms.platform import CLAIM, NOTICE_SCOPE, Behaviour
from lti_tool.practice_lms.services import ServiceRefusal, body, reply

log = logging.getLogger(__name__)
JSON = "application/json; charset=utf-8"
COPY = "LtiContextCopyNotice"
TYPES = ("LtiHelloWorldNotice", COPY)


class CanvasNotices(Behaviour):
    """The part of Canvas that sends notices."""

    def notices_claim(self) -> dict[str, Any]:
        """Of a launch: where handlers are registered. The number is the tool's, the first of its deployment id."""
        number = self.lms.config.deployment_id.partition(":")[0]
        return {
            f"{CLAIM}platformnotificationservice": {
                "service_versions": ["1.0"],
                "platform_notification_service_url": f"{self.lms.service_url}/api/lti/notice-handlers/{number}",
                "scope": [NOTICE_SCOPE],
                "notice_types_supported": list(TYPES),
            }
        }

    def handlers(self, db: Connection, number: int) -> Response:
        """List the handlers, or set one; an empty address takes it away."""
        if str(number) != self.lms.config.deployment_id.partition(":")[0]:
            raise ServiceRefusal(403, {"errors": {"type": "forbidden", "message": "permission denied"}})
        if request.method == "PUT":
            sent = body()
            kind, address = (
                (sent.get(name) for name in ("notice_type", "handler")) if isinstance(sent, dict) else (0, 0)
            )
            tool = urlsplit(self.lms.config.tool_launch_url).hostname
            if kind not in TYPES or not isinstance(address, str):
                raise ServiceRefusal(
                    400, {"errors": {"type": "bad_request", "message": "invalid notice type"}}
                )
            if address and urlsplit(address).hostname != tool:
                raise ServiceRefusal(400, {"errors": {"type": "bad_request", "message": "invalid handler"}})
            db.execute(
                "INSERT INTO handler VALUES (?, ?) ON CONFLICT (notice_type) DO UPDATE SET address = excluded.address",
                (kind, address),
            )
            return reply(200, {"notice_type": kind, "handler": address}, JSON)
        rows = {row["notice_type"]: row["address"] for row in db.execute("SELECT * FROM handler")}
        listed = [{"notice_type": kind, "handler": rows.get(kind, "")} for kind in TYPES]
        config = self.lms.config
        told = {
            "client_id": config.client_id,
            "deployment_id": config.deployment_id,
            "notice_handlers": listed,
        }
        return reply(200, told, JSON)

    def copied(self, db: Connection, row: Row) -> None:
        """Send the notice of a copy, from a thread of its own and without a second try."""
        found = db.execute("SELECT address FROM handler WHERE notice_type = ?", (COPY,)).fetchone()
        if found is None or not found["address"]:
            return
        lms, now = self.lms, int(self.lms.now().timestamp())
        claims = {
            "iss": lms.url,
            "aud": lms.config.client_id,
            "azp": lms.config.client_id,
            "iat": now,
            "exp": now + 3600,
            "nonce": str(uuid.uuid4()),
            f"{CLAIM}version": "1.3.0",
            f"{CLAIM}deployment_id": lms.config.deployment_id,
            f"{CLAIM}notice": {
                "id": str(uuid.uuid4()),
                "timestamp": lms.now().isoformat(timespec="seconds"),
                "type": COPY,
            },
            f"{CLAIM}context": {"id": row["context_id"], "label": row["label"], "title": row["title"]},
            f"{CLAIM}origin_contexts": courses.history(db, row)[:1],
        }
        # Only browsers resolve *.localhost: the tool's host is where its keys are fetched from.
        service = urlsplit(lms.config.tool_jwks_url)
        address = urlsplit(found["address"])._replace(scheme=service.scheme, netloc=service.netloc).geturl()
        threading.Thread(target=_post, args=(address, lms.sign(claims)), daemon=True).start()


def _post(address: str, token: str) -> None:
    try:
        requests.post(address, json={"notices": [{"jwt": token}]}, timeout=10)
    except requests.RequestException:
        log.warning("notice not delivered")
