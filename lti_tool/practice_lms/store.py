"""What the practice LMS remembers: one SQLite file, so that a course survives a restart.

Every transaction opens its own connection and holds one lock. That is slow for a real LMS and just
right for a practice one: no connection is ever shared between threads or left open.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS person (
    id INTEGER PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('instructor', 'learner', 'administrator')),
    sub TEXT NOT NULL UNIQUE,
    login_hint TEXT NOT NULL UNIQUE,
    given TEXT NOT NULL,
    family TEXT NOT NULL,
    username TEXT NOT NULL,
    email TEXT NOT NULL,
    sourcedid TEXT NOT NULL,
    enrolled INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS course (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    context_id TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    title TEXT NOT NULL,
    origin_id INTEGER REFERENCES course (id)
);
CREATE TABLE IF NOT EXISTS handler (notice_type TEXT PRIMARY KEY, address TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS activity (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    course_id INTEGER REFERENCES course (id),
    kind TEXT NOT NULL DEFAULT 'activity' CHECK (kind IN ('activity', 'administration')),
    resource_link_id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    text TEXT NOT NULL DEFAULT '',
    url TEXT NOT NULL,
    custom TEXT NOT NULL DEFAULT '{}',
    published INTEGER NOT NULL DEFAULT 1,
    allowed_attempts INTEGER,
    due_at TEXT,
    deleted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS line_item (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    activity_id INTEGER REFERENCES activity (id),
    course_id INTEGER REFERENCES course (id),
    label TEXT NOT NULL,
    maximum REAL NOT NULL,
    resource_id TEXT,
    tag TEXT,
    coupled INTEGER NOT NULL DEFAULT 0,
    review TEXT,
    deleted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS grade (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    line_item_id INTEGER NOT NULL REFERENCES line_item (id),
    person_id INTEGER NOT NULL REFERENCES person (id),
    score REAL,
    comments TEXT NOT NULL DEFAULT '[]',
    overridden INTEGER NOT NULL DEFAULT 0,
    sent_score REAL,
    sent_maximum REAL,
    sent_comment TEXT,
    sent_at TEXT,
    attempt INTEGER NOT NULL DEFAULT 0,
    submitted_at TEXT,
    submission_url TEXT,
    changed_at TEXT,
    deducted REAL,
    UNIQUE (line_item_id, person_id)
);
DROP TABLE IF EXISTS launch;
CREATE TABLE launch (
    handle TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    person_id INTEGER NOT NULL REFERENCES person (id),
    activity_id INTEGER REFERENCES activity (id),
    course_id INTEGER REFERENCES course (id),
    learner_id INTEGER REFERENCES person (id),
    address TEXT,
    started_at TEXT NOT NULL,
    used INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS spent (nonce TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS token (value TEXT PRIMARY KEY, scopes TEXT NOT NULL, expires_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER,
    body TEXT NOT NULL
);
"""
ADDED = (
    ("activity", "due_at", "TEXT"),
    ("line_item", "review", "TEXT"),
    ("grade", "submission_url", "TEXT"),
    ("grade", "deducted", "REAL"),
    ("activity", "course_id", "INTEGER"),
    ("line_item", "course_id", "INTEGER"),
)
"""Columns that a course made by an earlier version lacks."""
TEST_STUDENT = "teststudent"
"""User name of the one whom an instructor becomes in Student View. In no list of people."""
KEPT_RECORDS = 20_000
KEPT_BODY = 64 * 1024


class Store:
    """The SQLite file of one practice LMS."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        with self.transaction() as db:
            for statement in filter(str.strip, SCHEMA.split(";\n")):
                db.execute(statement)
            for table, column, kind in ADDED:
                if column not in {row["name"] for row in db.execute(f"PRAGMA table_info({table})")}:
                    db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit when the block ends, roll back when it raises."""
        with self._lock:
            db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            try:
                db.row_factory = sqlite3.Row
                # Without fsync a killed process loses nothing; a power cut might, and this is for practice.
                db.execute("PRAGMA synchronous = OFF")
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
            finally:
                db.close()


def setting(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row["value"])


def set_setting(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def add_person(db: sqlite3.Connection, person: Mapping[str, object]) -> None:
    db.execute(
        "INSERT INTO person VALUES"
        " (:id, :role, :sub, :login_hint, :given, :family, :username, :email, :sourcedid, :enrolled)",
        person,
    )


def person(db: sqlite3.Connection, person_id: object) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute("SELECT * FROM person WHERE id = ?", (person_id,)).fetchone()
    return row


def people(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT * FROM person WHERE username <> ?"
        " ORDER BY role = 'administrator', role <> 'instructor', family",
        (TEST_STUDENT,),
    ).fetchall()


def learners(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT * FROM person WHERE role = 'learner' AND enrolled AND username <> ? ORDER BY family",
        (TEST_STUDENT,),
    ).fetchall()


def test_student(db: sqlite3.Connection) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM person WHERE username = ?", (TEST_STUDENT,)
    ).fetchone()
    return row


def add_activity(db: sqlite3.Connection, **values: object) -> int:
    """Put an activity into the course. ``custom`` is a mapping; the others are the columns' values.

    Without a ``resource_link_id`` the activity's own number becomes it.
    """
    row = {
        "kind": "activity",
        "text": "",
        "published": 1,
        "due_at": None,
        "resource_link_id": "new",
        "course_id": None,
        **values,
    }
    row["custom"] = json.dumps(row.get("custom") or {})
    cursor = db.execute(
        "INSERT INTO activity (course_id, kind, resource_link_id, title, text, url, custom, published, due_at)"
        " VALUES (:course_id, :kind, :resource_link_id, :title, :text, :url, :custom, :published, :due_at)",
        row,
    )
    activity_id = int(cursor.lastrowid or 0)
    if row["resource_link_id"] == "new":
        db.execute("UPDATE activity SET resource_link_id = id WHERE id = ?", (activity_id,))
    return activity_id


def activity(db: sqlite3.Connection, activity_id: object) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM activity WHERE id = ? AND NOT deleted", (activity_id,)
    ).fetchone()
    return row


def activities(db: sqlite3.Connection, course_id: int) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT * FROM activity WHERE kind = 'activity' AND course_id = ? AND NOT deleted ORDER BY id",
        (course_id,),
    ).fetchall()


def delete_activity(db: sqlite3.Connection, activity_id: int) -> None:
    db.execute("UPDATE activity SET deleted = 1 WHERE id = ?", (activity_id,))
    db.execute("UPDATE line_item SET deleted = 1 WHERE activity_id = ?", (activity_id,))


def add_line_item(db: sqlite3.Connection, **values: object) -> int:
    """Make a gradebook column. ``review`` is what the tool declared about reviewing submissions, or None."""
    row = {
        "activity_id": None,
        "resource_id": None,
        "tag": None,
        "coupled": 0,
        "review": None,
        "course_id": None,
        **values,
    }
    row["review"] = None if row["review"] is None else json.dumps(row["review"])
    cursor = db.execute(
        "INSERT INTO line_item (activity_id, course_id, label, maximum, resource_id, tag, coupled, review)"
        " VALUES (:activity_id, :course_id, :label, :maximum, :resource_id, :tag, :coupled, :review)",
        row,
    )
    return int(cursor.lastrowid or 0)


LINE_ITEMS = """
    SELECT line_item.*, COALESCE(activity.course_id, line_item.course_id) AS course,
        activity.resource_link_id, activity.published, activity.allowed_attempts, activity.due_at,
        activity.url,
        NOT EXISTS (SELECT 1 FROM line_item AS older WHERE older.activity_id = line_item.activity_id
            AND older.id < line_item.id AND NOT older.deleted) AS is_main
    FROM line_item LEFT JOIN activity ON activity.id = line_item.activity_id
    WHERE NOT line_item.deleted
"""


def line_item(db: sqlite3.Connection, line_item_id: object) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(LINE_ITEMS + " AND line_item.id = ?", (line_item_id,)).fetchone()
    return row


def line_items(db: sqlite3.Connection, course_id: int) -> list[sqlite3.Row]:
    return db.execute(LINE_ITEMS + " AND course = ? ORDER BY line_item.id", (course_id,)).fetchall()


def grade(db: sqlite3.Connection, line_item_id: int, person_id: int) -> dict[str, Any]:
    """The gradebook cell, made when it is first asked for. ``comments`` is a list, oldest first."""
    db.execute(
        "INSERT OR IGNORE INTO grade (line_item_id, person_id) VALUES (?, ?)", (line_item_id, person_id)
    )
    row = db.execute(
        "SELECT * FROM grade WHERE line_item_id = ? AND person_id = ?", (line_item_id, person_id)
    ).fetchone()
    return _unpacked(row)


def save_grade(db: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    db.execute(
        "UPDATE grade SET score = :score, comments = :comments, overridden = :overridden,"
        " sent_score = :sent_score, sent_maximum = :sent_maximum, sent_comment = :sent_comment,"
        " sent_at = :sent_at, attempt = :attempt, submitted_at = :submitted_at,"
        " submission_url = :submission_url, changed_at = :changed_at, deducted = :deducted"
        " WHERE id = :id",
        {**values, "comments": json.dumps(values["comments"])},
    )


def grades(db: sqlite3.Connection) -> list[dict[str, Any]]:
    return [_unpacked(row) for row in db.execute("SELECT * FROM grade ORDER BY id")]


def _unpacked(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "comments": json.loads(row["comments"])}


def note_request(db: sqlite3.Connection, now: datetime, method: str, path: str, body: object) -> int:
    """Note that a service request arrived, before anything is done about it."""
    text = json.dumps(body)
    cursor = db.execute(
        "INSERT INTO record (at, method, path, body) VALUES (?, ?, ?, ?)",
        (now.isoformat(), method, path[:2000], text if len(text) <= KEPT_BODY else json.dumps("(too long)")),
    )
    record_id = int(cursor.lastrowid or 0)
    db.execute("DELETE FROM record WHERE id <= ?", (record_id - KEPT_RECORDS,))
    return record_id


def note_answer(db: sqlite3.Connection, record_id: int, status: int) -> None:
    db.execute("UPDATE record SET status = ? WHERE id = ?", (status, record_id))


def records(db: sqlite3.Connection) -> list[dict[str, Any]]:
    rows = db.execute("SELECT at, method, path, status, body FROM record ORDER BY id").fetchall()
    return [{**dict(row), "body": json.loads(row["body"])} for row in rows]
