"""How Canvas's grade services behave: attempts, cleared scores, 422s, and a teacher's grade overwritten.

The order of the checks is Canvas's own; a tool that makes two mistakes hears of the first.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from sqlite3 import Connection, Row
from typing import Any

import jwt
from flask import Response, request

from lti_tool.practice_lms import courses, store
from lti_tool.practice_lms.products.canvas_notices import CanvasNotices
from lti_tool.practice_lms.products.members import CanvasMembers
from lti_tool.practice_lms.services import (
    LINE_ITEM_TYPE,
    LINE_ITEMS_TYPE,
    NEEDED_SCOPES,
    RESULTS_TYPE,
    SCORE_TYPE,
    ServiceRefusal,
    bearer,
    body,
    is_number,
    reply,
)

EXTENSION = "https://canvas.instructure.com/lti/submission"
SUBMISSION_TYPE = "https://canvas.instructure.com/lti/submission_type"
PAGE = 10
ACTIVITY_PROGRESS = ("Initialized", "Started", "InProgress", "Submitted", "Completed")
GRADING_PROGRESS = ("NotReady", "Failed", "Pending", "PendingManual", "FullyGraded")
NOT_FOUND = {"errors": [{"message": "The specified resource does not exist."}]}


def _refusal(status: int, message: str) -> ServiceRefusal:
    kinds = {400: "bad_request", 401: "unauthorized", 404: "not_found", 412: "precondition_failed"}
    kind = kinds.get(status, "unprocessable_entity")
    return ServiceRefusal(status, {"errors": {"type": kind, "message": message}})


class CanvasGrades(CanvasNotices, CanvasMembers):
    """The server side of the Canvas behaviour."""

    roots: Mapping[str, str] = {
        "items": "/api/lti/courses/<course>/line_items",
        "item": "/api/lti/courses/<course>/line_items/<int:item_id>",
        "scores": "/api/lti/courses/<course>/line_items/<int:item_id>/scores",
        "results": "/api/lti/courses/<course>/line_items/<int:item_id>/results",
        "members": "/api/lti/courses/<course>/names_and_roles",
        "handlers": "/api/lti/notice-handlers/<int:item_id>",
    }

    def _url(self, item_id: int | None = None, suffix: str = "") -> str:
        item = "" if item_id is None else f"/{item_id}{suffix}"
        return f"{self.lms.service_url}/api/lti/courses/{courses.here()['id']}/line_items{item}"

    def serve(self, db: Connection, operation: str, course: str, item_id: int | None) -> Response:
        if operation not in NEEDED_SCOPES:
            raise ServiceRefusal(404, NOT_FOUND)
        self._check_token(operation)
        if operation.startswith("handlers"):
            return self.handlers(db, item_id or 0)
        row = courses.course(db, course)
        if row is None:
            raise _refusal(404, "Context not found")
        courses.enter(row)
        if operation == "members GET":
            return self.members(db)
        if self.lms.course_state(db) == "concluded":
            text = "This course has concluded. AGS requests will no longer be accepted for this course."
            raise _refusal(422, text)
        if item_id is None:
            answer = {"items GET": self._list_items, "items POST": self._create_item}[operation](db)
        else:
            item = store.line_item(db, item_id)
            if item is None or item["course"] != courses.here()["id"]:
                raise ServiceRefusal(404, NOT_FOUND)
            answer = {
                "item GET": self._show_item,
                "item PUT": self._change_item,
                "item DELETE": self._delete_item,
                "scores POST": self._score,
                "results GET": self._results,
            }[operation](db, item)
        answer.headers.setdefault("X-Request-Cost", "0.21")
        answer.headers.setdefault("X-Rate-Limit-Remaining", "599.8")
        return answer

    def _check_token(self, operation: str) -> None:
        token = bearer()
        if token is None:
            raise _refusal(401, "Missing access token")
        try:
            claims = jwt.decode(
                token,
                self.lms.key.public_key(),
                algorithms=["RS256"],
                options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidSignatureError:
            raise _refusal(401, "Invalid access token signature") from None
        except jwt.PyJWTError:
            raise _refusal(401, "Invalid access token format") from None
        if claims.get("exp", 0) <= self.lms.now().timestamp():
            raise _refusal(401, "Access token expired")
        needed = set(NEEDED_SCOPES[operation])
        if not needed & set(str(claims.get("scopes", "")).split()):
            raise _refusal(401, "Insufficient permissions")

    # --- line items

    def _item_json(self, item: Row) -> dict[str, Any]:
        shown = {
            "id": self._url(item["id"]),
            "scoreMaximum": item["maximum"],
            "label": item["label"],
            "resourceId": item["resource_id"],
            "tag": item["tag"],
            "resourceLinkId": item["resource_link_id"],
        }
        if "launch_url" in request.args.getlist("include[]"):
            shown["https://canvas.instructure.com/lti/launch_url"] = item["url"]
        return {name: value for name, value in shown.items() if value is not None}

    def _show_item(self, _db: Connection, item: Row) -> Response:
        return reply(200, self._item_json(item), LINE_ITEM_TYPE)

    def _list_items(self, db: Connection) -> Response:
        items = store.line_items(db, courses.here()["id"])
        for name in ("resource_link_id", "resource_id", "tag"):
            if name in request.args:
                items = [item for item in items if item[name] == request.args[name]]
        return self._paged([self._item_json(item) for item in items], LINE_ITEMS_TYPE)

    def _paged(self, rows: list[dict[str, Any]], media_type: str) -> Response:
        """Ten to a page unless asked otherwise: who does not follow ``next`` misses the eleventh."""
        asked = request.args.get("limit") or request.args.get("per_page") or str(PAGE)
        size = min(max(int(asked) if asked.isdecimal() else PAGE, 1), 100)
        page = max(request.args.get("page", 1, type=int), 1)
        last = max(1, -(-len(rows) // size))
        numbers = {"current": page, "next": page + 1, "prev": page - 1, "first": 1, "last": last}
        filters = "".join(
            f"{name}={value}&"
            for name, value in request.args.items()
            if name in ("resource_link_id", "resource_id", "tag", "user_id")
        )
        address = f"{self.lms.service_url}{request.path}?{filters}"
        links = [
            f'<{address}page={number}&per_page={size}>; rel="{rel}"'
            for rel, number in numbers.items()
            if 1 <= number <= last
        ]
        return reply(200, rows[(page - 1) * size : page * size], media_type, {"Link": ",".join(links)})

    def _create_item(self, db: Connection) -> Response:
        sent = body()
        if not isinstance(sent, dict):
            raise ServiceRefusal(400, {"errors": [{"message": "label is missing"}]})
        for name, present in (
            ("scoreMaximum", is_number(sent.get("scoreMaximum"))),
            ("label", sent.get("label")),
        ):
            if not present:
                raise ServiceRefusal(400, {"errors": [{"message": f"{name} is missing"}]})
        values = {
            "label": str(sent["label"]),
            "maximum": float(sent["scoreMaximum"]),
            "resource_id": sent.get("resourceId"),
            "tag": sent.get("tag"),
        }
        if link_id := sent.get("resourceLinkId"):
            row = db.execute(
                "SELECT id FROM activity WHERE resource_link_id = ? AND NOT deleted", (link_id,)
            ).fetchone()
            if row is None:
                raise ServiceRefusal(404, NOT_FOUND)
            activity_id = row["id"]
        else:
            activity_id = store.add_activity(
                db,
                course_id=courses.here()["id"],
                resource_link_id=str(uuid.uuid4()),
                title=values["label"],
                url=_opens_at(sent.get(SUBMISSION_TYPE)),
            )
        item = store.line_item(db, store.add_line_item(db, activity_id=activity_id, **values))
        assert item is not None
        return reply(201, self._item_json(item), LINE_ITEM_TYPE)

    def _change_item(self, db: Connection, item: Row) -> Response:
        sent = body()
        if not isinstance(sent, dict):
            raise ServiceRefusal(400, {"errors": [{"message": "label is missing"}]})
        label = str(sent.get("label") or item["label"])
        maximum = sent["scoreMaximum"] if is_number(sent.get("scoreMaximum")) else item["maximum"]
        resource_id, tag = sent.get("resourceId", item["resource_id"]), sent.get("tag", item["tag"])
        db.execute(
            "UPDATE line_item SET label = ?, maximum = ?, resource_id = ?, tag = ? WHERE id = ?",
            (label, maximum, resource_id, tag, item["id"]),
        )
        if item["is_main"]:
            db.execute("UPDATE activity SET title = ? WHERE id = ?", (label, item["activity_id"]))
        changed = store.line_item(db, item["id"])
        assert changed is not None
        return reply(200, self._item_json(changed), LINE_ITEM_TYPE)

    def _delete_item(self, db: Connection, item: Row) -> Response:
        if item["coupled"]:
            raise ServiceRefusal(401, "")
        if item["is_main"]:
            store.delete_activity(db, item["activity_id"])
        db.execute("UPDATE line_item SET deleted = 1 WHERE id = ?", (item["id"],))
        return reply(204, "", LINE_ITEM_TYPE)

    # --- scores

    def _score(self, db: Connection, item: Row) -> Response:
        sent = body()
        if not isinstance(sent, dict):
            raise ServiceRefusal(400, {"errors": [{"message": "userId is missing"}]})
        person = self._student(db, item, sent)
        cell = store.grade(db, item["id"], person["id"])
        self._check_order(cell, sent)
        self._check_points(item, sent)
        extension = sent.get(EXTENSION)
        extension = extension if isinstance(extension, dict) else {}
        submitted_at = self._submitted_at(sent, extension)
        if extension.get("submission_type") == "online_upload" and not extension.get("content_items"):
            raise _refusal(422, "Content items must be provided with submission type 'online_upload'")
        self._attempt(item, cell, sent, extension, submitted_at)
        for name, known in (("activityProgress", ACTIVITY_PROGRESS), ("gradingProgress", GRADING_PROGRESS)):
            if sent[name] not in known:
                problem = {"attribute": name, "type": "inclusion", "message": "is not included in the list"}
                raise ServiceRefusal(422, {"errors": {name: [problem]}})
        self._grade(db, item, cell, sent, extension)
        cell["changed_at"] = self.lms.now().isoformat(timespec="seconds")
        store.save_grade(db, cell)
        answer = {
            EXTENSION: {"content_items": []},
            "resultUrl": self._url(item["id"], f"/results/{cell['id']}"),
        }
        return reply(200, answer, SCORE_TYPE)

    def _student(self, db: Connection, item: Row, sent: Mapping[str, Any]) -> Row:
        link = sent.get("resourceLinkId")
        if link is not None and link != item["resource_link_id"]:
            raise _refusal(412, "The specified LTI link ID is not associated with the line item.")
        user = str(sent.get("userId") or "")
        person: Row | None = db.execute(
            "SELECT * FROM person WHERE (sub = ? OR id = ?) AND role = 'learner' AND enrolled", (user, user)
        ).fetchone()
        # A course that is not published has no students yet, so Canvas speaks of the student.
        if user and (person is None or self.lms.course_state(db) != "published"):
            raise _refusal(422, "User not found in course or is not a student")
        for name in ("userId", "activityProgress", "gradingProgress", "timestamp"):
            if not sent.get(name):
                raise ServiceRefusal(400, {"errors": [{"message": f"{name} is missing"}]})
        if not item["published"]:
            raise _refusal(422, "This assignment is still unpublished")
        assert person is not None
        return person

    def _check_order(self, cell: Mapping[str, Any], sent: Mapping[str, Any]) -> None:
        at = _moment(sent["timestamp"])
        if at is None:
            raise _refusal(400, f"Provided timestamp of {sent['timestamp']} not a valid timestamp")
        if cell["sent_at"] is not None and at < datetime.fromisoformat(cell["sent_at"]):
            stored = f"before last updated timestamp of {cell['sent_at']}"
            raise _refusal(400, f"Provided timestamp of {sent['timestamp']} {stored}")

    def _check_points(self, item: Row, sent: Mapping[str, Any]) -> None:
        given, maximum = sent.get("scoreGiven"), sent.get("scoreMaximum")
        if given is None:
            return
        if maximum is None:
            raise _refusal(422, "ScoreMaximum not supplied when ScoreGiven present.")
        if not is_number(given) or not is_number(maximum):
            raise _refusal(422, "ScoreGiven and ScoreMaximum must be numbers")
        if maximum < 0:
            raise _refusal(422, "ScoreMaximum must be greater than or equal to 0")
        if maximum == 0 and item["maximum"] != 0:
            raise _refusal(422, "ScoreMaximum cannot be zero if line item's maximum is not zero")
        if given < 0:
            raise _refusal(422, "ScoreGiven must be greater than or equal to 0")

    def _submitted_at(self, sent: Mapping[str, Any], extension: Mapping[str, Any]) -> str | None:
        core = sent.get("submission")
        text = (core.get("submittedAt") if isinstance(core, dict) else None) or extension.get("submitted_at")
        if text is None:
            return None
        at = _moment(text)
        if at is None:
            raise _refusal(400, f"Provided submitted_at timestamp of {text} not a valid timestamp")
        if at > self.lms.now() + timedelta(minutes=1):
            raise _refusal(400, f"Provided submitted_at timestamp of {text} in the future")
        return at.isoformat()

    def _attempt(
        self,
        item: Row,
        cell: dict[str, Any],
        sent: Mapping[str, Any],
        extension: Mapping[str, Any],
        submitted_at: str | None,
    ) -> None:
        """Count one more attempt: Canvas takes every finished post for one, unless it says otherwise."""
        wanted = extension.get("new_submission", extension.get("submission_type") != "none")
        again = submitted_at is not None and submitted_at == cell["submitted_at"]
        if wanted and not again and sent["activityProgress"] in ("Submitted", "Completed"):
            if item["allowed_attempts"] is not None and cell["attempt"] >= item["allowed_attempts"]:
                text = "The maximum number of allowed attempts has been reached for this submission"
                raise _refusal(422, text)
            cell["attempt"] += 1
            cell["submitted_at"] = submitted_at or self.lms.now().isoformat()
            launched = extension.get("submission_type") == "basic_lti_launch"
            cell["submission_url"] = str(extension.get("submission_data") or "") or None if launched else None
        elif submitted_at is not None:
            cell["submitted_at"] = submitted_at

    def _late(self, db: Connection, item: Row, cell: Mapping[str, Any], score: float) -> float:
        """What the course's late policy takes off: a share of all the points for each day begun after the due date, and
        never more than there is. When the work came is what the tool says, else now."""
        due = None if item["due_at"] is None else _moment(item["due_at"])
        at = None if cell["submitted_at"] is None else _moment(cell["submitted_at"])
        if due is None or at is None or at <= due:
            return 0
        days = ceil((at - due) / timedelta(days=1))
        return float(min(score, days * self.lms.late_percent(db) / 100 * item["maximum"]))

    def _grade(
        self,
        db: Connection,
        item: Row,
        cell: dict[str, Any],
        sent: Mapping[str, Any],
        extension: Mapping[str, Any],
    ) -> None:
        given, maximum = sent.get("scoreGiven"), sent.get("scoreMaximum")
        counts = sent["gradingProgress"] in ("FullyGraded", "PendingManual") and given is not None
        kept = bool(extension.get("preserve_score"))
        if extension.get("prioritize_non_tool_grade") and cell["score"] is not None:
            # "Non-tool" is only its name: a score that the tool itself sent is kept as well.
            kept, counts = True, False
        if counts:
            assert given is not None
            score = given * item["maximum"] / maximum if maximum else given
            taken_off = self._late(db, item, cell, score)
            cell |= {"score": score - taken_off, "deducted": taken_off or None}
            cell |= {"sent_score": given, "sent_maximum": maximum, "overridden": 0}
        elif not kept:
            cell |= {
                "score": None,
                "sent_score": None,
                "sent_maximum": None,
                "overridden": 0,
                "deducted": None,
            }
        cell["sent_at"] = (_moment(sent["timestamp"]) or self.lms.now()).isoformat()
        if sent.get("comment"):
            cell["sent_comment"] = sent["comment"]
            cell["comments"] = [*cell["comments"], sent["comment"]]

    def _results(self, db: Connection, item: Row) -> Response:
        wanted = request.args.get("user_id")
        people = {person["id"]: person for person in store.learners(db)}
        shown = []
        for cell in store.grades(db):
            person = people.get(cell["person_id"])
            # A grade that only a teacher gave is no result.
            if cell["line_item_id"] != item["id"] or cell["sent_at"] is None or person is None:
                continue
            if wanted not in (None, person["sub"], str(person["id"])):
                continue
            maximum = cell["sent_maximum"] or item["maximum"]
            score = cell["sent_score"]
            # The result follows the gradebook, whoever changed it: a teacher, or the late policy.
            if cell["overridden"] or cell["deducted"]:
                score = cell["score"] * maximum / item["maximum"] if cell["score"] is not None else None
            result = {
                "id": self._url(item["id"], f"/results/{cell['id']}"),
                "scoreOf": self._url(item["id"]),
                "userId": person["sub"],
                "resultScore": None if score is None else float(score),
                "resultMaximum": None if score is None else float(maximum),
                "comment": cell["sent_comment"],
            }
            shown.append({name: value for name, value in result.items() if value is not None})
        return self._paged(shown, RESULTS_TYPE)

    def override(self, db: Connection, cell: dict[str, Any], score: float | None, comment: str) -> None:
        """A grade set by hand stands until the tool posts again; the tool's timestamps are not touched."""
        comments = [*cell["comments"], comment] if comment else cell["comments"]
        at = self.lms.now().isoformat(timespec="seconds")
        store.save_grade(
            db,
            {
                **cell,
                "score": score,
                "comments": comments,
                "overridden": 1,
                "deducted": None,
                "changed_at": at,
            },
        )


def _opens_at(submission_type: object) -> str:
    """Where a new assignment leads: nowhere, unless the tool has asked for one that opens it."""
    asked = submission_type if isinstance(submission_type, dict) else {"type": "none"}
    kind = asked.get("type")
    if kind not in ("none", "external_tool"):
        raise ServiceRefusal(400, {"error": f"Invalid submission_type for new assignment: {kind}"})
    return str(asked.get("external_tool_url") or "") if kind == "external_tool" else ""


def _moment(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
