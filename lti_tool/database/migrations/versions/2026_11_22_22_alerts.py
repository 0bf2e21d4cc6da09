"""Remember what needs a person, and whom has been told of it.

Safe while the old version still runs: it adds tables that nobody reads yet.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_22"
down_revision = "2026_11_22_21"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    kind = sa.Enum("parked", "differs", "down", "unsigned", name="alertkind", native_enum=False, length=20)
    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", kind, nullable=False),
        sa.Column("deployment_pk", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("raised_at", moment, nullable=True),
        sa.Column("told_at", moment, nullable=True),
        sa.Column("told_count", sa.Integer(), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("kind", "deployment_pk", name=op.f("uq_alert_kind_deployment_pk")),
    )
    op.create_table(
        "alert_notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("asked_at", moment, nullable=False),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("done_at", moment, nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_alert_notice_alert_id_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_notice")),
    )
    op.create_index(
        "ix_alert_notice_waiting",
        "alert_notice",
        ["due_at"],
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("alert_notice")
    op.drop_table("alert")
