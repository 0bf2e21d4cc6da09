"""A registrar's reminder to close out a course goes to its instructors by mail as well.

Safe while the old version still runs: it adds columns that may be empty. A worker of the old version that
comes upon a letter of the new kind sends that same person a way to their own badges instead.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_29"
down_revision = "2026_11_22_25"


def upgrade() -> None:
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("letter", recreate=rebuilt) as table:
        table.add_column(sa.Column("course_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("undecided", sa.Integer(), nullable=True))
        table.create_foreign_key(op.f("fk_letter_course_id_course"), "course", ["course_id"], ["id"])


def downgrade() -> None:
    op.execute("DELETE FROM letter WHERE kind = 'close-out'")
    with op.batch_alter_table("letter") as table:
        table.drop_constraint(op.f("fk_letter_course_id_course"), type_="foreignkey")
        table.drop_column("undecided")
        table.drop_column("course_id")
