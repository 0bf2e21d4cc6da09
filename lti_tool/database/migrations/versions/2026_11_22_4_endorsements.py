"""Keep what accreditors and boards signed about our micro-credentials.

The older version reads nothing of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_4"
down_revision = "2026_11_22_3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "endorsement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.String(), nullable=False),
        sa.Column("achievement_id", sa.String(), nullable=False),
        sa.Column("endorser", sa.String(), nullable=False),
        sa.Column("endorser_id", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endorsement")),
        sa.UniqueConstraint("credential_id", name=op.f("uq_endorsement_credential_id")),
    )
    op.create_index(op.f("ix_endorsement_achievement_id"), "endorsement", ["achievement_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_endorsement_achievement_id"), table_name="endorsement")
    op.drop_table("endorsement")
