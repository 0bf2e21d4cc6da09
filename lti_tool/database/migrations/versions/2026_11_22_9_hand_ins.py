"""Tell gradebooks that work waits for its assessor, where the platform takes that without harm.

Safe while the old version still runs: it adds a table that nobody reads yet.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_9"
down_revision = "2026_11_22_8"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "hand_in",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("placement_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("line_item_url", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("submission_id", sa.Integer(), nullable=False),
        sa.Column("handed_in_at", moment, nullable=False),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_hand_in_account_id_account")),
        sa.ForeignKeyConstraint(
            ["placement_id"], ["placement.id"], name=op.f("fk_hand_in_placement_id_placement")
        ),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_hand_in_registration_id_registration")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hand_in")),
        sa.UniqueConstraint(
            "placement_id", "submission_id", name=op.f("uq_hand_in_placement_id_submission_id")
        ),
    )
    op.create_index(op.f("ix_hand_in_due_at"), "hand_in", ["due_at"], unique=False)


def downgrade() -> None:
    op.drop_table("hand_in")
