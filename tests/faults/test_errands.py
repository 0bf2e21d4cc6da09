"""What platforms are asked for once, columns and notes: one that hangs keeps nobody else's waiting."""

from datetime import UTC, datetime

from sqlalchemy import select

from lti_tool.credentials.models import Placement
from lti_tool.database import db
from lti_tool.lti.models import Registration
from lti_tool.passback.models import ColumnState, GradebookColumn, GradeNote, NoteKind
from tests.faults.machines import Scene, eventually, silent_server
from tests.support.apps import NOON
from tests.support.cast import Campus, build_campus

FOREVER = {"PLATFORM_TIMEOUT": "600", "LEASE_SECONDS": "3000"}


def test_a_platform_that_hangs_keeps_no_column_and_no_note_of_another_waiting(scene: Scene):
    with scene.app.app_context():
        hanging = build_campus("moodle")
    with silent_server() as (nowhere, called):
        with scene.app.app_context():
            db.session.get_one(Registration, hanging.registration).token_url = nowhere
            ask_for_a_column(hanging, "https://moodle.example.edu/lineitems")
            ask_for_a_column(scene.campus, scene.column.rpartition("/")[0])
            say(scene)
            db.session.commit()
        scene.start_worker(**FOREVER)

        eventually(called, "the platform that hangs is asked")
        eventually(
            lambda: states(scene)[scene.campus.placement] is ColumnState.SETTLED, "the column is found"
        )
        eventually(scene.cell, "the note has arrived")

        with scene.app.app_context():
            assert db.session.get_one(Placement, scene.campus.placement).line_item_url == scene.column
        assert states(scene)[hanging.placement] is ColumnState.WANTED
        scene.close()


def ask_for_a_column(campus: Campus, line_items_url: str) -> None:
    db.session.get_one(Placement, campus.placement).line_item_url = None
    db.session.add(
        GradebookColumn(
            placement_id=campus.placement,
            purpose="result",
            line_items_url=line_items_url,
            state=ColumnState.WANTED,
            may_create=True,
            due_at=NOON,
        )
    )


def say(scene: Scene) -> None:
    """Something to an earner, beside their grade."""
    now = datetime.now(UTC)
    db.session.add(
        GradeNote(
            kind=NoteKind.NOT_YET,
            placement_id=scene.campus.placement,
            account_id=scene.campus.accounts["lena"],
            registration_id=scene.campus.registration,
            line_item_url=scene.column,
            subject=scene.subject,
            ref=1,
            text="There is feedback.",
            said_at=now,
            due_at=now,
        )
    )


def states(scene: Scene) -> dict[int, ColumnState]:
    with scene.app.app_context():
        return {row.placement_id: row.state for row in db.session.scalars(select(GradebookColumn))}
