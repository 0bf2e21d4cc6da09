"""Keep what instructors choose for undecided work at a term's end, and which courses a registrar has reminded.

Safe while the old version still runs: it adds tables that nobody reads yet.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_19"
down_revision = "2026_11_22_18"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    choice = sa.Enum("leave", "incomplete", "zero", name="choice", native_enum=False, length=20)
    op.create_table(
        "close_out",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("placement_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("choice", choice, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("chosen_by_account_id", sa.Integer(), nullable=False),
        sa.Column("chosen_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_close_out_account_id_account")),
        sa.ForeignKeyConstraint(
            ["chosen_by_account_id"], ["account.id"], name=op.f("fk_close_out_chosen_by_account_id_account")
        ),
        sa.ForeignKeyConstraint(
            ["placement_id"], ["placement.id"], name=op.f("fk_close_out_placement_id_placement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_close_out")),
        sa.UniqueConstraint("placement_id", "account_id", name=op.f("uq_close_out_placement_id_account_id")),
    )
    op.create_table(
        "close_out_reminder",
        sa.Column("course_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("asked_by_account_id", sa.Integer(), nullable=False),
        sa.Column("asked_at", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["asked_by_account_id"],
            ["account.id"],
            name=op.f("fk_close_out_reminder_asked_by_account_id_account"),
        ),
        sa.ForeignKeyConstraint(
            ["course_id"], ["course.id"], name=op.f("fk_close_out_reminder_course_id_course")
        ),
        sa.PrimaryKeyConstraint("course_id", name=op.f("pk_close_out_reminder")),
    )


def downgrade() -> None:
    op.drop_table("close_out_reminder")
    op.drop_table("close_out")
