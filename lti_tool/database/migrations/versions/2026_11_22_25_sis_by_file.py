"""Take SIS ids from a registrar's file where the platform sends none, and keep the file until it is confirmed.

Safe while the old version still runs: until the new one does, every id is the platform's own.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_25"
down_revision = "2026_11_22_27"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("account", recreate=rebuilt) as table:
        table.add_column(sa.Column("sis_by_file", sa.Boolean(), server_default=sa.false(), nullable=False))
    with op.batch_alter_table("membership", recreate=rebuilt) as table:
        table.add_column(
            sa.Column("section_by_file", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
    op.create_table(
        "sis_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("deployment_pk", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_sis_file_account_id_account")),
        sa.ForeignKeyConstraint(
            ["deployment_pk"], ["deployment.id"], name=op.f("fk_sis_file_deployment_pk_deployment")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sis_file")),
    )
    op.create_index(op.f("ix_sis_file_account_id"), "sis_file", ["account_id"])
    op.create_index(op.f("ix_sis_file_expires_at"), "sis_file", ["expires_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_sis_file_expires_at"), "sis_file")
    op.drop_index(op.f("ix_sis_file_account_id"), "sis_file")
    op.drop_table("sis_file")
    with op.batch_alter_table("membership") as table:
        table.drop_column("section_by_file")
    with op.batch_alter_table("account") as table:
        table.drop_column("sis_by_file")
