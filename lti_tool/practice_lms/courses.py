"""The courses of a practice LMS: the one that it begins with, and copies of it.

All have the same people. The course of a request is noted once, when its address or its activity is known.
"""

import json
from collections.abc import Callable
from sqlite3 import Connection, Row
from typing import cast

from flask import g, session

from lti_tool.practice_lms import store


def ensure_first(db: Connection, number: int, context_id: str, label: str, title: str) -> None:
    """Make the first course, and put into it what an earlier version made before there were others."""
    db.execute(
        "INSERT OR IGNORE INTO course (id, context_id, label, title) VALUES (?, ?, ?, ?)",
        (number, context_id, label, title),
    )
    db.execute("UPDATE activity SET course_id = ? WHERE course_id IS NULL", (number,))


def course(db: Connection, number: object) -> Row | None:
    row: Row | None = db.execute("SELECT * FROM course WHERE id = ?", (number,)).fetchone()
    return row


def courses(db: Connection) -> list[Row]:
    return db.execute("SELECT * FROM course ORDER BY id").fetchall()


def chosen(db: Connection) -> Row:
    """The course that this browser is in."""
    return course(db, session.get("course")) or courses(db)[0]


def enter(row: Row) -> Row:
    """Note that the request is about this course."""
    g.course = row
    return row


def here() -> Row:
    """The course that the request is about."""
    return cast(Row, g.course)


def history(db: Connection, row: Row) -> list[str]:
    """Context ids of the courses that this one was copied from, the nearest first."""
    found: list[str] = []
    origin = course(db, row["origin_id"])
    while origin is not None:
        found.append(origin["context_id"])
        origin = course(db, origin["origin_id"])
    return found


def copy(
    db: Connection,
    row: Row,
    *,
    context_id: str | None,
    link_id: Callable[[], str | None],
    keep_custom: bool,
    plain_url: str,
) -> Row:
    """Copy a course with its activities and columns, but nobody's grades.

    :param context_id: of the copy; None makes its number the id, as Moodle does.
    :param link_id: makes the id of a link of the copy; None makes its number the id.
    :param keep_custom: as both products do; otherwise what a link says of itself is lost, as with some imports.
    :param plain_url: the address of a link that says nothing.
    """
    count = db.execute("SELECT count(*) FROM course").fetchone()[0]
    cursor = db.execute(
        "INSERT INTO course (context_id, label, title, origin_id) VALUES (?, ?, ?, ?)",
        (context_id or f"copy {count}", f"{row['label']}_{count}", f"{row['title']} copy {count}", row["id"]),
    )
    made = int(cursor.lastrowid or 0)
    if context_id is None:
        db.execute("UPDATE course SET context_id = ? WHERE id = ?", (str(made), made))
    for activity in store.activities(db, row["id"]):
        fresh = link_id()
        links = {} if fresh is None else {"resource_link_id": fresh}
        copied = store.add_activity(
            db,
            course_id=made,
            title=activity["title"],
            text=activity["text"],
            url=activity["url"] if keep_custom else plain_url,
            custom=json.loads(activity["custom"]) if keep_custom else {},
            published=activity["published"],
            due_at=activity["due_at"],
            **links,
        )
        for item in store.line_items(db, row["id"]):
            if item["activity_id"] == activity["id"]:
                store.add_line_item(
                    db,
                    activity_id=copied,
                    course_id=made,
                    review=None if item["review"] is None else json.loads(item["review"]),
                    **{name: item[name] for name in ("label", "maximum", "resource_id", "tag", "coupled")},
                )
    found = course(db, made)
    assert found is not None
    return found
