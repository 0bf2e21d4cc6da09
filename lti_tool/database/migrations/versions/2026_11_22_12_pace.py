"""How fast a platform may be spoken to, for all workers together; and why a parked score waits, for programs.

Safe while the old version still runs: it neither writes nor reads what is new.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_12"
down_revision = "2026_11_22_14"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pace",
        sa.Column("registration_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rests_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_pace_registration_id_registration")
        ),
        sa.PrimaryKeyConstraint("registration_id", name=op.f("pk_pace")),
    )
    # SQLite would write the new column into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    cause = sa.Enum("away", "unseen", name="cause", native_enum=False, length=20)
    with op.batch_alter_table("score", recreate=rebuilt) as table:
        table.add_column(sa.Column("cause", cause, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("score") as table:
        table.drop_column("cause")
    op.drop_table("pace")
