"""The page with which a launch finds its browser is made once, and has a key of its own.

Safe while the old version still runs: launches that wait then are asked once more by the new one.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_10"
down_revision = "2026_11_22_9"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite would write the new column into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("arrival", recreate=rebuilt) as table:
        table.add_column(sa.Column("page_hash", sa.String(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("arrival") as table:
        table.drop_column("page_hash")
