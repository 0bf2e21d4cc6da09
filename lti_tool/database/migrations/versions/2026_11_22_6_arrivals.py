"""Launches whose cookie did not come back wait for their browser; deployments name further sites that may frame us.

Safe while the old version still runs: it fills none of the new columns, which then say "no" and "none".
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_6"
down_revision = "2026_11_22_5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("deployment", recreate=rebuilt) as table:
        table.add_column(sa.Column("frame_origins", sa.JSON(), server_default="[]", nullable=False))
    with op.batch_alter_table("login_state", recreate=rebuilt) as table:
        table.add_column(sa.Column("fresh", sa.Boolean(), server_default=sa.false(), nullable=False))
        table.add_column(sa.Column("storage_target", sa.String(), nullable=True))
    op.create_table(
        "arrival",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("launch_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("framed", sa.Boolean(), nullable=False),
        sa.Column("proved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["launch_id"], ["launch.id"], name=op.f("fk_arrival_launch_id_launch")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrival")),
        sa.UniqueConstraint("launch_id", name=op.f("uq_arrival_launch_id")),
    )
    op.create_index(op.f("ix_arrival_expires_at"), "arrival", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("arrival")
    # Launches that still waited could be opened by nobody.
    op.execute("DELETE FROM launch WHERE browser = ''")
    with op.batch_alter_table("login_state") as table:
        table.drop_column("storage_target")
        table.drop_column("fresh")
    with op.batch_alter_table("deployment") as table:
        table.drop_column("frame_origins")
