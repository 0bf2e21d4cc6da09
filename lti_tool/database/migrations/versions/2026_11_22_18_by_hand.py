"""Say which courses' terms a registrar has set, so that a launch does not undo it.

Safe while the old version still runs: it adds a column that has a value by itself.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_18"
down_revision = "2026_11_22_22"


def upgrade() -> None:
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("course", recreate=rebuilt) as table:
        table.add_column(sa.Column("term_by_hand", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("course") as table:
        table.drop_column("term_by_hand")
