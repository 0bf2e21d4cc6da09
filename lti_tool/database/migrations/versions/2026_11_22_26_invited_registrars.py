"""Registrars who are no administrators are invited to the desk, and invitations say for whom they are.

Safe while the old version still runs: it adds columns that have a value by themselves, or need none. The old version
lets nobody in who was invited.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_26"
down_revision = "2026_11_22_15"


def upgrade() -> None:
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("desk_access", recreate=rebuilt) as table:
        table.add_column(sa.Column("invited", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("one_time_link", recreate=rebuilt) as table:
        table.add_column(sa.Column("note", sa.String(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("one_time_link") as table:
        table.drop_column("note")
    with op.batch_alter_table("desk_access") as table:
        table.drop_column("invited")
