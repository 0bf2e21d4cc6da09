"""What the platforms' results show is kept beside each score; a score may owe itself to no decision.

Safe while the old version still runs: it writes none of the new columns and reads none.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_11"
down_revision = "2026_11_22_10"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    finding = sa.Enum(
        "same", "overridden", "missing", "different", name="finding", native_enum=False, length=20
    )
    with op.batch_alter_table("score", recreate=rebuilt) as table:
        table.alter_column("decision_id", existing_type=sa.Integer(), nullable=True)
        table.add_column(sa.Column("overwrites", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("finding", finding, nullable=True))
        table.add_column(sa.Column("shown_points", sa.Numeric(precision=9, scale=3), nullable=True))
        table.add_column(sa.Column("shown_possible", sa.Numeric(precision=9, scale=3), nullable=True))
        table.add_column(sa.Column("read_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("read_due_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("dealt_with_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("dealt_with_note", sa.String(), nullable=True))
    op.create_index("ix_score_read_due", "score", ["read_due_at"])


def downgrade() -> None:
    op.drop_index("ix_score_read_due", "score")
    # What the old version does not know: accepted is what it would have said, and what needs a person still does.
    op.execute("UPDATE score SET state = 'accepted' WHERE state IN ('confirmed', 'overridden')")
    op.execute("UPDATE score SET state = 'superseded' WHERE state = 'abandoned'")
    op.execute("DELETE FROM score_try WHERE score_id IN (SELECT id FROM score WHERE decision_id IS NULL)")
    op.execute("DELETE FROM score WHERE decision_id IS NULL")
    with op.batch_alter_table("score") as table:
        for name in (
            "dealt_with_note",
            "dealt_with_at",
            "read_due_at",
            "read_at",
            "shown_possible",
            "shown_points",
            "finding",
            "overwrites",
        ):
            table.drop_column(name)
        table.alter_column("decision_id", existing_type=sa.Integer(), nullable=False)
