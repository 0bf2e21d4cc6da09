"""One worker at a time reads back the results of a platform, and leaves it alone where it has trouble.

Scores that were accepted before are not read: nobody knows any more what persons did to them since.
Safe while the old version still runs: it adds a table that nobody reads yet.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_14"
down_revision = "2026_11_22_17"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "read_back",
        sa.Column("registration_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("rests_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["registration_id"],
            ["registration.id"],
            name=op.f("fk_read_back_registration_id_registration"),
        ),
        sa.PrimaryKeyConstraint("registration_id", name=op.f("pk_read_back")),
    )


def downgrade() -> None:
    op.drop_table("read_back")
