"""How Moodle's grade services behave: a 409 within one second, wiped grades, a teacher's grade that stays."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from sqlite3 import Connection, Row
from typing import Any

from flask import Response, request

from lti_tool.practice_lms import courses, store
from lti_tool.practice_lms.products.members import MoodleMembers
from lti_tool.practice_lms.services import (
    LINE_ITEM_TYPE,
    LINE_ITEMS_TYPE,
    MEMBERS_TYPE,
    NEEDED_SCOPES,
    RESULTS_TYPE,
    SCORE_TYPE,
    ServiceRefusal,
    bearer,
    body,
    is_number,
    reply,
)

ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")
MEDIA_TYPES = {
    "items GET": LINE_ITEMS_TYPE,
    "items POST": LINE_ITEM_TYPE,
    "item GET": LINE_ITEM_TYPE,
    "item PUT": LINE_ITEM_TYPE,
    "scores POST": SCORE_TYPE,
    "results GET": RESULTS_TYPE,
    "members GET": MEMBERS_TYPE,
}


def typed(media_type: str) -> str:
    return f"{media_type}; charset=utf-8"


def _php(value: object) -> str:
    """JSON as PHP writes it, with escaped slashes."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("/", "\\/")


def _number(value: float) -> float:
    """8, not 8.0: PHP drops the fraction of a whole number."""
    return int(value) if float(value).is_integer() else round(value, 5)


class MoodleGrades(MoodleMembers):
    """The server side of the Moodle behaviour."""

    roots: Mapping[str, str] = {
        "items": "/mod/lti/services.php/<course>/lineitems",
        "item": "/mod/lti/services.php/<course>/lineitems/<int:item_id>/lineitem",
        "scores": "/mod/lti/services.php/<course>/lineitems/<int:item_id>/lineitem/scores",
        "results": "/mod/lti/services.php/<course>/lineitems/<int:item_id>/lineitem/results",
        "members": "/mod/lti/services.php/CourseSection/<course>/bindings/1/memberships",
    }

    def _url(self, item_id: int | None = None, suffix: str = "") -> str:
        item = "" if item_id is None else f"/{item_id}/lineitem{suffix}"
        return f"{self.lms.service_url}/mod/lti/services.php/{courses.here()['id']}/lineitems{item}?type_id=1"

    def serve(self, db: Connection, operation: str, course: str, item_id: int | None) -> Response:
        self._find_handler(operation)
        self._check_token(db, operation)
        row = courses.course(db, course)
        if row is None:
            raise self._refusal(404, "Not Found: Course doesn't exist")
        courses.enter(row)
        if operation == "members GET":
            return self.members(db)
        if item_id is None:
            return {"items GET": self._list_items, "items POST": self._create_item}[operation](db)
        item = store.line_item(db, item_id)
        if item is None or item["course"] != courses.here()["id"]:
            raise self._refusal(404, f"Not Found: Grade item {item_id} doesn't exist")
        return {
            "item GET": self._show_item,
            "item PUT": self._change_item,
            "item DELETE": self._delete_item,
            "scores POST": self._score,
            "results GET": self._results,
        }[operation](db, item)

    def _find_handler(self, operation: str) -> None:
        """Moodle picks the code for a request by its media type, before it looks at the token."""
        sent = (request.content_type or "").partition(";")[0]
        wanted = MEDIA_TYPES.get(operation, "")
        reads = operation.endswith("GET")
        accept = request.headers.get("Accept", "*/*")
        suits = not wanted or (wanted in accept or "*/*" in accept if reads else sent == wanted)
        if operation not in NEEDED_SCOPES or not suits:
            path = request.path.removeprefix("/mod/lti/services.php")
            raise self._refusal(400, f"No handler found for {path} {accept if reads else ''} {sent}")

    def _check_token(self, db: Connection, operation: str) -> None:
        row = db.execute("SELECT * FROM token WHERE value = ?", (bearer() or "",)).fetchone()
        needed = set(NEEDED_SCOPES[operation])
        alive = row is not None and datetime.fromisoformat(row["expires_at"]) > self.lms.now()
        if not alive or not needed & set(row["scopes"].split()):
            raise self._refusal(401, "Unauthorized")

    def _refusal(self, status: int, reason: str) -> ServiceRefusal:
        told = {
            "method": request.method,
            "url": request.full_path.rstrip("?"),
            "accept": request.headers.get("Accept", ""),
            "contentType": request.content_type or "",
        }
        return ServiceRefusal(
            status, json.dumps({"status": status, "reason": reason, "request": told}, indent=4)
        )

    def _item_json(self, item: Row) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": self._url(item["id"]),
            "label": item["label"],
            "scoreMaximum": _number(item["maximum"]),
        }
        if item["resource_id"] is not None:
            shown["resourceId"] = item["resource_id"]
        if item["tag"] is not None:
            shown["tag"] = item["tag"]
        if item["resource_link_id"] is not None:
            shown |= {"resourceLinkId": item["resource_link_id"], "ltiLinkId": item["resource_link_id"]}
        return shown

    def _list_items(self, db: Connection) -> Response:
        items = store.line_items(db, courses.here()["id"])
        for parameter, column in (
            ("resource_link_id", "resource_link_id"),
            ("resource_id", "resource_id"),
            ("tag", "tag"),
        ):
            if wanted := request.args.get(parameter):
                items = [item for item in items if item[column] == wanted]
        headers = {}
        limit = request.args.get("limit", 0, type=int)
        if limit > 0:
            start = max(0, request.args.get("from", 0, type=int))
            headers["Link"] = self._link_header(limit, start, len(items))
            items = items[start : start + limit]
        return reply(200, _php([self._item_json(i) for i in items]), typed(LINE_ITEMS_TYPE), headers)

    def _link_header(self, limit: int, start: int, count: int) -> str:
        """Escaped as HTML and with typographic quotes, which no parser of links understands."""

        def link(offset: int, rel: str) -> str:
            address = escape(f"{self._url()}&limit={limit}&from={offset}")
            # WSGI wants Latin-1; these are the bytes of the UTF-8 quotes, as Moodle sends them.
            return f"<{address}>; rel=“{rel}”".encode().decode("latin-1")

        links = [link(0, "first"), link(start, "canonical"), link(count, "last")]
        if start + limit < count:
            links.insert(1, link(start + limit, "next"))
        return ", ".join(links)

    def _show_item(self, _db: Connection, item: Row) -> Response:
        return reply(200, _php(self._item_json(item)), typed(LINE_ITEM_TYPE))

    def _item_values(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was sent, and the columns that it sets."""
        sent = body()
        if not isinstance(sent, dict) or not sent.get("label") or not is_number(sent.get("scoreMaximum")):
            raise self._refusal(400, "Bad Request")
        return sent, {
            "label": str(sent["label"]),
            "maximum": float(sent["scoreMaximum"]),
            "resource_id": sent.get("resourceId"),
            "tag": sent.get("tag"),
        }

    def _echo(self, status: int, sent: Mapping[str, Any], item_id: int) -> Response:
        text = json.dumps({**sent, "id": self._url(item_id)}, separators=(",", ":"))
        return reply(status, text, typed(LINE_ITEM_TYPE))

    def _create_item(self, db: Connection) -> Response:
        sent, values = self._item_values()
        link = db.execute(
            "SELECT id FROM activity WHERE resource_link_id = ? AND course_id = ? AND NOT deleted",
            (sent.get("resourceLinkId"), courses.here()["id"]),
        ).fetchone()
        if sent.get("resourceLinkId") and link is None:
            raise self._refusal(403, "Forbidden")
        item_id = store.add_line_item(
            db,
            activity_id=None if link is None else link["id"],
            course_id=courses.here()["id"],
            **values,
        )
        return self._echo(201, sent, item_id)

    def _change_item(self, db: Connection, item: Row) -> Response:
        sent, values = self._item_values()
        db.execute(
            "UPDATE line_item SET label = :label, maximum = :maximum, resource_id = :resource_id, tag = :tag"
            " WHERE id = :id",
            {**values, "id": item["id"]},
        )
        return self._echo(200, sent, item["id"])

    def _delete_item(self, db: Connection, item: Row) -> Response:
        db.execute("UPDATE line_item SET deleted = 1 WHERE id = ?", (item["id"],))
        return reply(204, "", typed("text/html"))

    def _score(self, db: Connection, item: Row) -> Response:
        def refused(status: int) -> ServiceRefusal:
            # Moodle gives no reason.
            return ServiceRefusal(status, "[]", typed(SCORE_TYPE))

        sent = body()
        needed = ("userId", "activityProgress", "gradingProgress", "timestamp")
        if not isinstance(sent, dict) or not all(isinstance(sent.get(name), str) for name in needed):
            raise refused(400)
        given, maximum = sent.get("scoreGiven"), sent.get("scoreMaximum")
        at = _second(sent["timestamp"])
        if at is None or (given is not None and not _is_positive(maximum)):
            raise refused(400)
        person = db.execute("SELECT * FROM person WHERE sub = ?", (sent["userId"],)).fetchone()
        if person is None or person["role"] != "learner" or not person["enrolled"]:
            raise refused(400)
        cell = store.grade(db, item["id"], person["id"])
        if cell["sent_at"] is not None and datetime.fromisoformat(cell["sent_at"]) >= at:
            raise refused(409)
        score = None
        if sent["gradingProgress"] == "FullyGraded" and is_number(given):
            score = min(max(given * item["maximum"] / maximum, 0.0), item["maximum"])
        comment = sent.get("comment") or None
        cell |= {"sent_score": score, "sent_maximum": item["maximum"], "sent_comment": comment}
        cell |= {"sent_at": at.isoformat(), "submitted_at": (sent.get("submission") or {}).get("submittedAt")}
        if not cell["overridden"]:
            cell |= {"score": score, "comments": [comment] if comment else [], "changed_at": at.isoformat()}
        store.save_grade(db, cell)
        return reply(200, "", typed(SCORE_TYPE))

    def _results(self, db: Connection, item: Row) -> Response:
        if "limit" in request.args:
            page = (
                '<!DOCTYPE html>\n<html lang="en"><head><title>Error | NU</title></head><body></body></html>'
            )
            return reply(404, page, typed("text/html"))
        wanted = request.args.get("user_id")
        rows = db.execute("SELECT * FROM person ORDER BY id").fetchall()
        subs = {row["id"]: row["sub"] for row in rows if wanted in (None, row["sub"])}
        shown = []
        for cell in store.grades(db):
            if cell["line_item_id"] != item["id"] or cell["score"] is None or cell["person_id"] not in subs:
                continue
            sub = subs[cell["person_id"]]
            comment = {"comment": cell["comments"][-1]} if cell["comments"] else {}
            shown.append(
                {
                    "id": f"{self._url(item['id'], '/results')}&user_id={sub}",
                    "userId": sub,
                    "resultScore": _number(cell["score"]),
                    "resultMaximum": _number(item["maximum"]),
                    **comment,
                    "scoreOf": self._url(item["id"]),
                    "timestamp": cell["changed_at"],
                }
            )
        return reply(200, _php(shown), typed(RESULTS_TYPE))

    def override(self, db: Connection, cell: dict[str, Any], score: float | None, comment: str) -> None:
        """A grade set by hand stands against every later score; an empty one lets the tool's back in."""
        at = self.lms.now().replace(microsecond=0).isoformat()
        if score is None:
            sent = cell["sent_comment"]
            cell |= {"score": cell["sent_score"], "comments": [sent] if sent else [], "overridden": 0}
        else:
            cell |= {"score": score, "comments": [comment] if comment else [], "overridden": 1}
        # Moodle dates the grade itself, so a score older than the teacher's change meets a 409.
        cell |= {"changed_at": at, "sent_at": max(at, cell["sent_at"] or at)}
        store.save_grade(db, cell)


def _is_positive(value: Any) -> bool:
    return is_number(value) and bool(value > 0)


def _second(text: str) -> datetime | None:
    """A moment as Moodle keeps it, in whole seconds."""
    if not ISO_8601.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)
    except ValueError:
        return None
