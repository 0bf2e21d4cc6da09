"""A score keeps its progress and its idempotency key, and the database refuses to change what a score says.

Stop the old version before: it would owe scores without a key. The first score that a decision owed a cell has the key
that the decision gives it, so it is not owed again; every other row that stands already is named by its own number.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_d"
down_revision = "2026_11_23_a_agreed_scores"
branch_labels = None
depends_on = None

REFUSAL = "What a score says never changes"
SAID = (
    "placement_id",
    "account_id",
    "line_item_url",
    "subject",
    "decision_id",
    "points",
    "points_possible",
    "comment",
    "scored_at",
    "submitted_at",
    "activity_progress",
    "grading_progress",
    "idempotency_key",
)
OF = ", ".join(SAID)
# Only for statements that name one of these columns, so that what happens to a score costs nothing more.
# Batch operations on SQLite make the table anew, without its triggers: a later migration that does so makes this again.
SQLITE_GUARD = (
    f"CREATE TRIGGER score_keep_words BEFORE UPDATE OF {OF} ON score WHEN "
    + " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in SAID)
    + f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
)
POSTGRESQL_GUARD = (
    "CREATE FUNCTION score_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$",
    f"CREATE TRIGGER score_keep_words BEFORE UPDATE OF {OF} ON score FOR EACH ROW WHEN ("
    + " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in SAID)
    + ") EXECUTE FUNCTION score_refuse()",
)
FIRST_OF_ITS_DECISION = (
    "UPDATE score SET idempotency_key = 'decision:' || decision_id || '/cell:' || placement_id || '.' || account_id "
    "WHERE decision_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM score AS older "
    "WHERE older.decision_id = score.decision_id AND older.placement_id = score.placement_id "
    "AND older.account_id = score.account_id AND older.id < score.id)"
)


def upgrade() -> None:
    on_sqlite = op.get_context().dialect.name == "sqlite"
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if on_sqlite else "never"
    with op.batch_alter_table("score", recreate=rebuilt) as table:
        for name in ("activity_progress", "grading_progress", "idempotency_key"):
            table.add_column(sa.Column(name, sa.String(), nullable=True))
    op.execute("UPDATE score SET activity_progress = 'Completed', grading_progress = 'FullyGraded'")
    op.execute(FIRST_OF_ITS_DECISION)
    op.execute("UPDATE score SET idempotency_key = 'row:' || id WHERE idempotency_key IS NULL")
    with op.batch_alter_table("score", recreate=rebuilt) as table:
        for name in ("activity_progress", "grading_progress", "idempotency_key"):
            table.alter_column(name, existing_type=sa.String(), nullable=False)
        table.create_unique_constraint(op.f("uq_score_idempotency_key"), ["idempotency_key"])
    for statement in SQLITE_GUARD if on_sqlite else POSTGRESQL_GUARD:
        op.execute(statement)


def downgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute("DROP TRIGGER IF EXISTS score_keep_words")
    else:
        op.execute("DROP TRIGGER IF EXISTS score_keep_words ON score")
        op.execute("DROP FUNCTION score_refuse()")
    with op.batch_alter_table("score") as table:
        table.drop_constraint(op.f("uq_score_idempotency_key"), type_="unique")
        for name in ("idempotency_key", "grading_progress", "activity_progress"):
            table.drop_column(name)
