"""Keep why a decision was changed, a further assessment for it, and that points were called off by it.

Safe while the old version still runs: what it adds is empty or has a default. An older version knows one assessment of
a submission by one assessor, so the way back is refused where somebody has changed a decision of their own.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_a_changed_decisions"
down_revision = "2026_11_23_d"

_FOR_BATCH = {"uq": "uq_%(table_name)s_%(column_0_N_name)s"}
_SAID = (
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
_GUARD = (
    f"CREATE TRIGGER score_keep_words BEFORE UPDATE OF {', '.join(_SAID)} ON score WHEN "
    + " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in _SAID)
    + " BEGIN SELECT RAISE(ABORT, 'What a score says never changes'); END"
)
"""SQLite makes a table anew without its triggers."""


def upgrade() -> None:
    # SQLite would write the new columns into the middle of a line of the table's definition.
    on_sqlite = op.get_context().dialect.name == "sqlite"
    rebuilt: Literal["always", "never"] = "always" if on_sqlite else "never"
    with op.batch_alter_table("decision", recreate=rebuilt) as table:
        table.add_column(sa.Column("why", sa.String(), nullable=True))
    with op.batch_alter_table("score", recreate=rebuilt) as table:
        table.add_column(sa.Column("called_off_at", sa.DateTime(timezone=True), nullable=True))
    if on_sqlite:
        op.execute(_GUARD)
    with op.batch_alter_table("assessment") as table:
        table.add_column(sa.Column("number", sa.Integer(), nullable=False, server_default="1"))
    with op.batch_alter_table("assessment", naming_convention=_FOR_BATCH) as table:
        table.alter_column("number", existing_type=sa.Integer(), existing_nullable=False, server_default=None)
        table.drop_constraint("uq_assessment_submission_id_assessor_account_id", type_="unique")
        table.create_unique_constraint(
            op.f("uq_assessment_submission_id_assessor_account_id_number"),
            ["submission_id", "assessor_account_id", "number"],
        )


def downgrade() -> None:
    changed = op.get_bind().execute(sa.text("SELECT count(*) FROM assessment WHERE number > 1")).scalar()
    if changed:
        raise RuntimeError(f"{changed} decisions were changed, which the older version cannot keep.")
    with op.batch_alter_table("assessment", naming_convention=_FOR_BATCH) as table:
        table.drop_constraint("uq_assessment_submission_id_assessor_account_id_number", type_="unique")
        table.create_unique_constraint(
            op.f("uq_assessment_submission_id_assessor_account_id"), ["submission_id", "assessor_account_id"]
        )
        table.drop_column("number")
    with op.batch_alter_table("score") as table:
        table.drop_column("called_off_at")
    if op.get_context().dialect.name == "sqlite":
        op.execute(_GUARD)
    with op.batch_alter_table("decision") as table:
        table.drop_column("why")
