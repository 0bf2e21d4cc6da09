"""Know which scores a person has asked for, since after the end of a course no other one changes its gradebook.

Safe while the old version still runs: what it adds has a default, and nobody else reads it.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_a_agreed_scores"
down_revision = "2026_11_22_29"


def upgrade() -> None:
    with op.batch_alter_table("score") as table:
        table.add_column(sa.Column("agreed", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("score") as table:
        table.drop_column("agreed")
