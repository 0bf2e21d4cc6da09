"""Say for each activity how many of its points a demonstration gets, and what its link last said of that.

Safe while the old version still runs: it adds columns that may be empty.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_27"
down_revision = "2026_11_22_26"


def upgrade() -> None:
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("placement", recreate=rebuilt) as table:
        table.add_column(sa.Column("score_policy", sa.String(), nullable=True))
        table.add_column(sa.Column("score_policy_said", sa.String(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("placement") as table:
        table.drop_column("score_policy_said")
        table.drop_column("score_policy")
