"""Chain the audit log: each row gets a place and a seal over itself and the row before.

Rows that stand already are sealed by the worker, like new ones, in its first seconds.

Safe while the old version still runs: what it writes has no seal yet, and gets one from a worker of the new version.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_20"
down_revision = "2026_11_22_11"
branch_labels = None
depends_on = None

REFUSAL = "The audit log is append-only"
FACTS = ("id", "at", "actor_account_id", "action", "subject_type", "subject_id")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SQLITE_SEALED = (
    "CREATE TRIGGER audit_event_keep_words BEFORE UPDATE ON audit_event WHEN OLD.seal IS NOT NULL OR NEW.seal IS NULL "
    + "".join(f"OR NEW.{name} IS NOT OLD.{name} " for name in (*FACTS, "details"))
    + f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    f"CREATE TRIGGER audit_event_keep_rows BEFORE DELETE ON audit_event BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    "CREATE TRIGGER audit_head_keep_forward BEFORE UPDATE ON audit_head "
    f"WHEN NEW.position <= OLD.position BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    f"CREATE TRIGGER audit_head_keep BEFORE DELETE ON audit_head BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
)
SQLITE_BEFORE = (
    f"CREATE TRIGGER audit_event_keep_words BEFORE UPDATE ON audit_event BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    SQLITE_SEALED[1],
)
POSTGRESQL_SEALED = (
    "CREATE FUNCTION audit_event_only_seal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF OLD.seal IS NOT NULL OR NEW.seal IS NULL OR NEW.details::text IS DISTINCT FROM OLD.details::text "
    + "".join(f"OR NEW.{name} IS DISTINCT FROM OLD.{name} " for name in FACTS)
    + f"THEN RAISE EXCEPTION '{REFUSAL}'; END IF; RETURN NEW; END $$",
    "DROP TRIGGER audit_event_keep_rows ON audit_event",
    "CREATE TRIGGER audit_event_keep_words BEFORE UPDATE ON audit_event "
    "FOR EACH ROW EXECUTE FUNCTION audit_event_only_seal()",
    "CREATE TRIGGER audit_event_keep_rows BEFORE DELETE ON audit_event "
    "FOR EACH ROW EXECUTE FUNCTION audit_event_refuse()",
    "CREATE TRIGGER audit_head_keep_forward BEFORE UPDATE ON audit_head FOR EACH ROW "
    "WHEN (NEW.position <= OLD.position) EXECUTE FUNCTION audit_event_refuse()",
    "CREATE TRIGGER audit_head_keep BEFORE DELETE ON audit_head "
    "FOR EACH ROW EXECUTE FUNCTION audit_event_refuse()",
    "CREATE TRIGGER audit_head_keep_all BEFORE TRUNCATE ON audit_head "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_event_refuse()",
)
POSTGRESQL_BEFORE = (
    "DROP TRIGGER audit_event_keep_words ON audit_event",
    "DROP TRIGGER audit_event_keep_rows ON audit_event",
    "DROP FUNCTION audit_event_only_seal()",
    "CREATE TRIGGER audit_event_keep_rows BEFORE UPDATE OR DELETE ON audit_event "
    "FOR EACH ROW EXECUTE FUNCTION audit_event_refuse()",
)


def upgrade() -> None:
    on_sqlite = op.get_context().dialect.name == "sqlite"
    # SQLite would write the new columns into the middle of a line of the table's definition.
    rebuilt: Literal["always", "never"] = "always" if on_sqlite else "never"
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("seal", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    with op.batch_alter_table("audit_event", recreate=rebuilt) as table:
        table.add_column(sa.Column("position", BIG, nullable=True))
        table.add_column(sa.Column("seal", sa.String(), nullable=True))
        table.create_unique_constraint(op.f("uq_audit_event_position"), ["position"])
        table.create_check_constraint(
            op.f("ck_audit_event_sealed_whole"), "(position IS NULL) = (seal IS NULL)"
        )
    op.create_index(
        "ix_audit_event_unsealed",
        "audit_event",
        ["id"],
        sqlite_where=sa.text("seal IS NULL"),
        postgresql_where=sa.text("seal IS NULL"),
    )
    # The rebuild on SQLite has dropped the triggers together with the old table.
    for statement in SQLITE_SEALED if on_sqlite else POSTGRESQL_SEALED:
        op.execute(statement)


def downgrade() -> None:
    on_sqlite = op.get_context().dialect.name == "sqlite"
    op.drop_table("audit_head")
    op.drop_index("ix_audit_event_unsealed", "audit_event")
    if not on_sqlite:
        for statement in POSTGRESQL_BEFORE:
            op.execute(statement)
    with op.batch_alter_table("audit_event") as table:
        table.drop_constraint(op.f("ck_audit_event_sealed_whole"), type_="check")
        table.drop_constraint(op.f("uq_audit_event_position"), type_="unique")
        table.drop_column("seal")
        table.drop_column("position")
    if on_sqlite:
        for statement in SQLITE_BEFORE:
            op.execute(statement)
