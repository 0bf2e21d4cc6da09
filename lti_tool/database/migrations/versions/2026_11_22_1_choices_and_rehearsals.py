"""An activity may be a whole stack and says what it is worth; one gradebook cell has one attempt; rehearsals.

Safe while the old version still runs: what it writes leaves the new columns at "no stack", "as the version says" and
"no rehearsal". It never links two attempts to one cell, since it lets a person do one thing at a time.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_1"
down_revision = "2026_11_21_1"
branch_labels = None
depends_on = None

EMPTY_REHEARSALS = """
DELETE FROM decision WHERE submission_id IN (SELECT submission.id FROM submission
    JOIN attempt ON attempt.id = submission.attempt_id WHERE rehearsal);
DELETE FROM rating WHERE assessment_id IN (SELECT assessment.id FROM assessment
    JOIN submission ON submission.id = assessment.submission_id
    JOIN attempt ON attempt.id = submission.attempt_id WHERE rehearsal);
DELETE FROM assessment WHERE submission_id IN (SELECT submission.id FROM submission
    JOIN attempt ON attempt.id = submission.attempt_id WHERE rehearsal);
DELETE FROM privacy_report WHERE evidence_id IN (SELECT evidence.id FROM evidence
    JOIN attempt ON attempt.id = evidence.attempt_id WHERE rehearsal);
DELETE FROM submitted_answer WHERE submission_id IN (SELECT submission.id FROM submission
    JOIN attempt ON attempt.id = submission.attempt_id WHERE rehearsal);
DELETE FROM submitted_evidence WHERE submission_id IN (SELECT submission.id FROM submission
    JOIN attempt ON attempt.id = submission.attempt_id WHERE rehearsal);
DELETE FROM submitted_statement WHERE submission_id IN (SELECT submission.id FROM submission
    JOIN attempt ON attempt.id = submission.attempt_id WHERE rehearsal);
DELETE FROM submission WHERE attempt_id IN (SELECT id FROM attempt WHERE rehearsal);
DELETE FROM evidence WHERE attempt_id IN (SELECT id FROM attempt WHERE rehearsal);
DELETE FROM response WHERE attempt_id IN (SELECT id FROM attempt WHERE rehearsal);
DELETE FROM attempt WHERE rehearsal
"""


def upgrade() -> None:
    with op.batch_alter_table("placement") as table:
        table.add_column(sa.Column("stack_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("named", sa.String(), nullable=True))
        table.add_column(sa.Column("points", sa.Double(), nullable=True))
        table.create_foreign_key(op.f("fk_placement_stack_id_stack"), "stack", ["stack_id"], ["id"])
        table.create_index(op.f("ix_placement_stack_id"), ["stack_id"], unique=False)
    with op.batch_alter_table("attempt") as table:
        table.add_column(sa.Column("rehearsal", sa.Boolean(), server_default=sa.false(), nullable=False))
        table.drop_constraint(op.f("uq_attempt_person_id_version_id"), type_="unique")
        table.create_unique_constraint(
            op.f("uq_attempt_person_id_version_id_rehearsal"), ["person_id", "version_id", "rehearsal"]
        )
    with op.batch_alter_table("attempt_placement") as table:
        table.add_column(sa.Column("in_stack", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "uq_attempt_placement_chosen",
        "attempt_placement",
        ["placement_id", "account_id"],
        unique=True,
        sqlite_where=sa.text("NOT in_stack"),
        postgresql_where=sa.text("NOT in_stack"),
    )
    op.create_table(
        "rehearsal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("placement_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("in_stack", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_rehearsal_account_id_account")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_rehearsal_attempt_id_attempt")),
        sa.ForeignKeyConstraint(
            ["placement_id"], ["placement.id"], name=op.f("fk_rehearsal_placement_id_placement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rehearsal")),
        sa.UniqueConstraint("attempt_id", "placement_id", name=op.f("uq_rehearsal_attempt_id_placement_id")),
    )
    op.create_index(op.f("ix_rehearsal_placement_id"), "rehearsal", ["placement_id"], unique=False)
    op.create_index(
        "uq_rehearsal_chosen",
        "rehearsal",
        ["placement_id", "account_id"],
        unique=True,
        sqlite_where=sa.text("NOT in_stack"),
        postgresql_where=sa.text("NOT in_stack"),
    )


def downgrade() -> None:
    op.drop_table("rehearsal")
    # Without the mark they would be taken for work that counts.
    for statement in EMPTY_REHEARSALS.split(";"):
        op.execute(statement)
    op.drop_index("uq_attempt_placement_chosen", table_name="attempt_placement")
    with op.batch_alter_table("attempt_placement") as table:
        table.drop_column("in_stack")
    with op.batch_alter_table("attempt") as table:
        table.drop_constraint(op.f("uq_attempt_person_id_version_id_rehearsal"), type_="unique")
        table.create_unique_constraint(op.f("uq_attempt_person_id_version_id"), ["person_id", "version_id"])
        table.drop_column("rehearsal")
    with op.batch_alter_table("placement") as table:
        table.drop_index(op.f("ix_placement_stack_id"))
        table.drop_constraint(op.f("fk_placement_stack_id_stack"), type_="foreignkey")
        table.drop_column("points")
        table.drop_column("named")
        table.drop_column("stack_id")
