"""Sign badges in two formats, list which were revoked, and let badges wait for whom they name.

What was signed before stays as it is: it names no status list and still verifies. It gets its second format, and
badges that nobody has signed yet wait in an index now instead of being looked for.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_3"
down_revision = "2026_11_22_2"
branch_labels = None
depends_on = None

ENTRIES = 131_072
SIGNING = "retired_at IS NULL"
TO_SIGN = "to_sign_since IS NOT NULL"


def upgrade() -> None:
    _upgrade_keys()
    op.create_table(
        "status_list",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("issuer_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("signed_revision", sa.Integer(), nullable=True),
        sa.Column("text", sa.String(), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.id"], name=op.f("fk_status_list_issuer_id_issuer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_list")),
        sa.UniqueConstraint("issuer_id", "number", name=op.f("uq_status_list_issuer_id_number")),
    )
    op.create_index("ix_status_list_due_at", "status_list", ["due_at"], unique=False)
    _upgrade_badges()


def _upgrade_keys() -> None:
    with op.batch_alter_table("issuer_key") as table:
        table.add_column(sa.Column("kind", sa.String(), nullable=True))
        table.add_column(sa.Column("kid", sa.String(), nullable=True))
        table.add_column(sa.Column("public_jwk", sa.JSON(), nullable=True))
        table.alter_column("multibase", existing_type=sa.String(), nullable=True)
    op.execute(
        "UPDATE issuer_key SET kind = 'ed25519', "
        "kid = (SELECT did FROM issuer WHERE issuer.id = issuer_key.issuer_id) || '#' || multibase"
    )
    with op.batch_alter_table("issuer_key") as table:
        table.alter_column("kind", existing_type=sa.String(), nullable=False)
        table.alter_column("kid", existing_type=sa.String(), nullable=False)
        table.create_unique_constraint(op.f("uq_issuer_key_kid"), ["kid"])
    op.create_index(
        "uq_issuer_key_signing",
        "issuer_key",
        ["issuer_id", "kind"],
        unique=True,
        sqlite_where=sa.text(SIGNING),
        postgresql_where=sa.text(SIGNING),
    )


def _upgrade_badges() -> None:
    with op.batch_alter_table("badge") as table:
        table.add_column(sa.Column("subject_kind", sa.String(), nullable=True))
        table.add_column(sa.Column("to_sign_since", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("revocation_reason", sa.String(), nullable=True))
        table.add_column(sa.Column("superseded_by_id", sa.String(), nullable=True))
        table.create_foreign_key(
            op.f("fk_badge_superseded_by_id_badge"), "badge", ["superseded_by_id"], ["id"]
        )
    op.create_index(
        "ix_badge_to_sign",
        "badge",
        ["to_sign_since"],
        unique=False,
        sqlite_where=sa.text(TO_SIGN),
        postgresql_where=sa.text(TO_SIGN),
    )
    connection = op.get_bind()
    badge = sa.table(
        "badge",
        sa.column("id", sa.String()),
        sa.column("issuer_id", sa.Integer()),
        sa.column("facts", sa.JSON()),
        sa.column("status_index", sa.Integer()),
        sa.column("subject_kind", sa.String()),
        sa.column("to_sign_since", sa.DateTime(timezone=True)),
        sa.column("awarded_at", sa.DateTime(timezone=True)),
        sa.column("revoked_at", sa.DateTime(timezone=True)),
    )
    signed = sa.table("badge_document", sa.column("badge_id", sa.String()))
    # A few columns at a time: facts are long, and there may be many badges.
    done = set(connection.scalars(sa.select(signed.c.badge_id)))
    for badge_id in list(connection.scalars(sa.select(badge.c.id))):
        facts = connection.execute(sa.select(badge.c.facts).where(badge.c.id == badge_id)).scalar_one()
        kind = "email" if facts["email"] is not None else "uuid" if badge_id in done else None
        connection.execute(sa.update(badge).where(badge.c.id == badge_id).values(subject_kind=kind))
    connection.execute(
        sa.update(badge)
        .where(badge.c.subject_kind.is_not(None), badge.c.revoked_at.is_(None))
        .values(to_sign_since=badge.c.awarded_at)
    )
    lists = sa.table(
        "status_list",
        *(sa.column(name, sa.Integer()) for name in ("issuer_id", "number", "revision")),
        sa.column("due_at", sa.DateTime(timezone=True)),
    )
    issuers = sa.table("issuer", sa.column("id", sa.Integer()))
    places = connection.execute(sa.select(badge.c.issuer_id, badge.c.status_index))
    used = {(issuer, index // ENTRIES) for issuer, index in places}
    used |= {(issuer, 0) for issuer in connection.scalars(sa.select(issuers.c.id))}
    if used:
        now = datetime.now(UTC)
        rows = [
            {"issuer_id": issuer, "number": number, "revision": 0, "due_at": now}
            for issuer, number in sorted(used)
        ]
        connection.execute(sa.insert(lists), rows)


def downgrade() -> None:
    # The older version knows no second format, and no keys for it.
    op.execute("DELETE FROM badge_document WHERE format <> 'eddsa-rdfc-2022'")
    op.execute("DELETE FROM issuer_key WHERE kind <> 'ed25519'")
    op.drop_index("ix_badge_to_sign", table_name="badge")
    with op.batch_alter_table("badge") as table:
        table.drop_constraint(op.f("fk_badge_superseded_by_id_badge"), type_="foreignkey")
        table.drop_column("superseded_by_id")
        table.drop_column("revocation_reason")
        table.drop_column("to_sign_since")
        table.drop_column("subject_kind")
    op.drop_index("ix_status_list_due_at", table_name="status_list")
    op.drop_table("status_list")
    op.drop_index("uq_issuer_key_signing", table_name="issuer_key")
    with op.batch_alter_table("issuer_key") as table:
        table.drop_constraint(op.f("uq_issuer_key_kid"), type_="unique")
        table.alter_column("multibase", existing_type=sa.String(), nullable=False)
        table.drop_column("public_jwk")
        table.drop_column("kid")
        table.drop_column("kind")
