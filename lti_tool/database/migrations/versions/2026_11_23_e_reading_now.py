"""A person asks what a gradebook column shows now, and reads why it could not be read.

Safe while the old version still runs: it adds a table nobody reads yet.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_e"
down_revision = "2026_11_23_a_changed_decisions"


def upgrade() -> None:
    op.create_table(
        "column_reading",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("placement_id", sa.Integer(), nullable=False),
        sa.Column("line_item_url", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["placement_id"], ["placement.id"], name=op.f("fk_column_reading_placement_id_placement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_column_reading")),
        sa.UniqueConstraint(
            "placement_id", "line_item_url", name=op.f("uq_column_reading_placement_id_line_item_url")
        ),
    )


def downgrade() -> None:
    # Letters of a kind that the old version does not know would be taken for another.
    op.execute("DELETE FROM letter WHERE kind = 'restore-told'")
    op.drop_table("column_reading")
