"""Credit rules get validity and a cap per cycle; an entry says how much of it counts, and may be withdrawn.

Safe while the old version still runs where no rule is active, as shipped; where one is, stop the old version first: it
cannot enter credit any more.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_21"
down_revision = "2026_11_22_12"
branch_labels = None
depends_on = None

STANDING = sa.text("withdrawn_at IS NULL")


def upgrade() -> None:
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("credit_rule", recreate=rebuilt) as table:
        table.add_column(sa.Column("valid_from", sa.Date(), nullable=True))
        table.add_column(sa.Column("valid_until", sa.Date(), nullable=True))
        table.add_column(sa.Column("cap", sa.Numeric(precision=8, scale=2), nullable=True))
        table.add_column(sa.Column("cycle_months", sa.Integer(), nullable=True))
        table.add_column(sa.Column("cycle_from", sa.Date(), nullable=True))
        table.create_check_constraint(
            op.f("ck_credit_rule_capped"),
            "cap IS NULL OR (cycle_months IS NOT NULL AND cycle_from IS NOT NULL)",
        )
    with op.batch_alter_table("credit_entry", recreate=rebuilt) as table:
        table.drop_constraint(op.f("uq_credit_entry_person_id_rule_id"), type_="unique")
        table.add_column(sa.Column("approval_number", sa.String(), nullable=True))
        table.add_column(sa.Column("cap", sa.Numeric(precision=8, scale=2), nullable=True))
        table.add_column(sa.Column("cycle_first", sa.Date(), nullable=True))
        table.add_column(sa.Column("cycle_last", sa.Date(), nullable=True))
        table.add_column(sa.Column("counted", sa.Numeric(precision=6, scale=2), nullable=True))
        table.add_column(sa.Column("why", sa.String(), nullable=True))
        table.add_column(sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("withdrawn_why", sa.String(), nullable=True))
    op.execute(
        "UPDATE credit_entry SET counted = value, approval_number = "
        "(SELECT approval_number FROM credit_rule WHERE credit_rule.id = credit_entry.rule_id)"
    )
    with op.batch_alter_table("credit_entry", recreate=rebuilt) as table:
        table.alter_column("counted", existing_type=sa.Numeric(precision=6, scale=2), nullable=False)
    op.create_index(op.f("ix_credit_entry_decision_id"), "credit_entry", ["decision_id"], unique=False)
    op.create_index(
        "uq_credit_entry_standing",
        "credit_entry",
        ["person_id", "rule_id"],
        unique=True,
        sqlite_where=STANDING,
        postgresql_where=STANDING,
    )


def downgrade() -> None:
    # The old version knows neither: what was withdrawn is gone, and what counts in part is worth that part.
    op.execute("DELETE FROM credit_entry WHERE withdrawn_at IS NOT NULL")
    op.execute("UPDATE credit_entry SET value = counted")
    op.drop_index("uq_credit_entry_standing", "credit_entry")
    op.drop_index(op.f("ix_credit_entry_decision_id"), "credit_entry")
    with op.batch_alter_table("credit_entry") as table:
        for name in (
            "withdrawn_why",
            "withdrawn_at",
            "why",
            "counted",
            "cycle_last",
            "cycle_first",
            "cap",
            "approval_number",
        ):
            table.drop_column(name)
        table.create_unique_constraint(op.f("uq_credit_entry_person_id_rule_id"), ["person_id", "rule_id"])
    with op.batch_alter_table("credit_rule") as table:
        table.drop_constraint(op.f("ck_credit_rule_capped"), type_="check")
        for name in ("cycle_from", "cycle_months", "cap", "valid_until", "valid_from"):
            table.drop_column(name)
