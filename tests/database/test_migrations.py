"""Migrations on SQLite and PostgreSQL: what they make, what they keep, and that they happen whole or not at all."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import Flask
from sqlalchemy import MetaData, select, text
from sqlalchemy.exc import DBAPIError

from lti_tool.database import Base, db, schema
from lti_tool.passback.models import Score
from tests.database.definitions import definitions
from tests.database.filled import counted, fill_everywhere, table_names
from tests.passback.gradebooks import owe
from tests.support.apps import NOON
from tests.support.cast import build_bare_campus

VERSIONS = Path(schema.migrate.directory) / "versions"
REBUILD = '''"""Change a table that others refer to, as later versions will."""

import sqlalchemy as sa
from alembic import op

revision = "sample_2"
down_revision = "sample_1"


def upgrade() -> None:
    with op.batch_alter_table("placement") as table:
        table.add_column(sa.Column("colour", sa.String(), server_default="blue", nullable=False))
        table.alter_column("title", type_=sa.Text(), existing_nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("placement") as table:
        table.drop_column("colour")
        table.alter_column("title", type_=sa.String(), existing_nullable=False)
'''
CHILDREN = '''"""A table whose rows go when the rows go that they refer to."""

import sqlalchemy as sa
from alembic import op

revision = "sample_1"
down_revision = "{newest}"


def upgrade() -> None:
    op.create_table(
        "sample_note",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("placement_id", sa.Integer(), sa.ForeignKey("placement.id", ondelete="CASCADE"), nullable=False),
    )
    op.execute("INSERT INTO sample_note (placement_id) SELECT id FROM placement")


def downgrade() -> None:
    op.drop_table("sample_note")
'''
BREAKING = '''"""Forget the people and keep what refers to them."""

from alembic import op

revision = "sample_1"
down_revision = "{newest}"


def upgrade() -> None:
    op.execute("DELETE FROM membership")
    op.execute("DELETE FROM person")


def downgrade() -> None:
    pass
'''


def more_migrations(folder: Path, *sources: str) -> Config:
    """Alembic's configuration with further migrations after our own."""
    folder.mkdir()
    for number, source in enumerate(sources, start=1):
        (folder / f"sample_{number}.py").write_text(source.replace("{newest}", schema.newest() or ""))
    config = schema.config()
    config.set_main_option("version_locations", os.pathsep.join([str(VERSIONS), str(folder)]))
    return config


def test_the_models_and_the_migrations_say_the_same(empty: Flask):
    with empty.app_context():
        schema.upgrade()

        with db.engine.connect() as connection:
            differences = compare_metadata(
                MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata
            )

    assert differences == []


def test_migrated_tables_are_made_exactly_like_the_models_own(empty: Flask):
    """Alembic's comparison does not look into conditions of indexes and checks."""
    with empty.app_context():
        db.create_all()
        wanted = definitions()
        db.drop_all()
        schema.upgrade()

        made = definitions()

    assert made == wanted


def test_every_table_goes_and_comes_back_on_a_filled_database(empty: Flask):
    fill_everywhere(empty)
    with empty.app_context():
        rows = counted()
        assert {name for name, count in rows.items() if count == 0} <= {
            "access_token",
            "login_state",
            "credit_entry",
        }

        schema.downgrade()
        assert (table_names(), schema.revision()) == (set(), None)

        schema.upgrade()
        assert table_names() == set(rows)
        assert schema.revision() == schema.newest()


def test_scores_that_stand_already_get_a_key_that_keeps_their_decision_from_owing_again(empty: Flask):
    with empty.app_context():
        schema.upgrade()
        owe(build_bare_campus())
        db.session.remove()
        before_that = ScriptDirectory.from_config(schema.config()).get_revision("2026_11_23_d").down_revision
        command.downgrade(schema.config(), str(before_that))
        before = MetaData()
        before.reflect(db.engine, only=["score"])
        table = before.tables["score"]
        with db.engine.begin() as connection:
            row = connection.execute(select(table)).one()._asdict()
            sent_again = {"id": row["id"] + 1, "state": "accepted", "scored_at": NOON + timedelta(days=1)}
            connection.execute(table.insert().values(row | sent_again))
        schema.upgrade()

        first, again = db.session.scalars(select(Score).order_by(Score.id))
        cell = f"cell:{first.placement_id}.{first.account_id}"
        assert first.idempotency_key == f"decision:{first.decision_id}/{cell}"
        assert again.idempotency_key == f"row:{again.id}"
        assert (again.activity_progress, again.grading_progress) == ("Completed", "FullyGraded")
        db.session.rollback()
        with pytest.raises(DBAPIError, match="What a score says"), db.engine.begin() as connection:
            connection.execute(text("UPDATE score SET points = 1"))


def test_rebuilding_a_table_that_others_refer_to_keeps_every_row(empty: Flask, tmp_path: Path):
    fill_everywhere(empty)
    with empty.app_context():
        config = more_migrations(tmp_path / "more", CHILDREN, REBUILD)
        command.upgrade(config, "sample_1")
        before = counted()
        assert before["sample_note"] == before["placement"] > 0

        command.upgrade(config, "sample_2")
        assert counted() == before

        command.downgrade(config, "sample_1")
        assert counted() == before


def test_foreign_keys_count_again_after_a_migration(empty: Flask):
    with empty.app_context():
        schema.upgrade()

        with pytest.raises(DBAPIError), db.engine.begin() as connection:
            connection.execute(
                text("INSERT INTO stack_part (stack_id, credential_id, position) VALUES (98, 99, 1)")
            )


def test_a_migration_that_breaks_references_changes_nothing(empty: Flask, tmp_path: Path):
    fill_everywhere(empty)
    with empty.app_context():
        config = more_migrations(tmp_path / "more", BREAKING)
        before, stood = counted(), schema.revision()

        with pytest.raises((CommandError, DBAPIError)):
            command.upgrade(config, "sample_1")

        assert (counted(), schema.revision()) == (before, stood)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_event SET action = 'nothing'", "DELETE FROM audit_event"]
)
def test_the_audit_log_refuses_to_be_changed(empty: Flask, statement: str):
    fill_everywhere(empty)
    with empty.app_context():
        before = counted()["audit_event"]

        with pytest.raises(DBAPIError, match="append-only"), db.engine.begin() as connection:
            connection.execute(text(statement))

        assert counted()["audit_event"] == before > 0


def test_each_migration_says_why_it_exists_and_goes_both_ways():
    for path in VERSIONS.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert source.startswith('"""'), path.name
        assert path.name.startswith(source.split('revision = "')[1].split('"')[0]), path.name
        assert "    pass" not in source, path.name
