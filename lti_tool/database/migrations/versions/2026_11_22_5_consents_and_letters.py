"""Note what earners agree to act by act, let shared pages end by themselves, and confirm addresses by mail.

Safe while the old version still runs: it reads none of this. What was shared before goes on until it is taken back,
and is noted as the agreement that it was.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_5"
down_revision = "2026_11_22_4"
branch_labels = None
depends_on = None

STANDING = "revoked_at IS NULL"
WAITING = "address IS NOT NULL"
AUDIENCE = "Anyone who has the address of the page"
PURPOSE = "Not noted at that time."


def upgrade() -> None:
    with op.batch_alter_table("share") as table:
        table.add_column(sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
        table.create_check_constraint(
            op.f("ck_share_ends_later"), "expires_at IS NULL OR expires_at > shared_at"
        )
    op.create_table(
        "consent",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("badge_id", sa.String(), nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("audience", sa.String(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["badge_id"], ["badge.id"], name=op.f("fk_consent_badge_id_badge")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_consent_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
    )
    op.create_index("ix_consent_person_id", "consent", ["person_id"], unique=False)
    op.create_index(
        "uq_consent_standing",
        "consent",
        ["badge_id", "act"],
        unique=True,
        sqlite_where=sa.text(STANDING),
        postgresql_where=sa.text(STANDING),
    )
    op.create_table(
        "confirmed_address",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("lookup", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_confirmed_address_person_id_person")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_confirmed_address")),
        sa.UniqueConstraint("person_id", "lookup", name=op.f("uq_confirmed_address_person_id_lookup")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_confirmed_address_secret_hash")),
    )
    op.create_index("ix_confirmed_address_lookup", "confirmed_address", ["lookup"], unique=False)
    op.create_table(
        "letter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("addressee", sa.String(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_letter_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letter")),
    )
    op.create_index("ix_letter_addressee", "letter", ["addressee"], unique=False)
    op.create_index(
        "ix_letter_due",
        "letter",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text(WAITING),
        postgresql_where=sa.text(WAITING),
    )
    _note_what_was_shared()


def _note_what_was_shared() -> None:
    shared = (
        "INSERT INTO consent (person_id, badge_id, act, audience, words, purpose, given_at, revoked_at) "
        "SELECT badge.person_id, share.badge_id, '{act}', '"
        + AUDIENCE
        + "', {words}, '"
        + PURPOSE
        + "', share.shared_at, share.ended_at "
        "FROM share JOIN badge ON badge.id = share.badge_id"
    )
    page = "'A public page shows this badge.'"
    name = "'The public page says that it was earned by ' || share.name || '.'"
    op.execute(shared.format(act="page", words=page))
    op.execute(shared.format(act="name", words=name) + " WHERE share.name IS NOT NULL")


def downgrade() -> None:
    op.drop_index("ix_letter_due", table_name="letter")
    op.drop_index("ix_letter_addressee", table_name="letter")
    op.drop_table("letter")
    op.drop_index("ix_confirmed_address_lookup", table_name="confirmed_address")
    op.drop_table("confirmed_address")
    op.drop_index("uq_consent_standing", table_name="consent")
    op.drop_index("ix_consent_person_id", table_name="consent")
    op.drop_table("consent")
    # The older version knows no end, so a page whose time is up must not come back.
    op.execute(
        "UPDATE share SET ended_at = expires_at WHERE ended_at IS NULL AND expires_at < CURRENT_TIMESTAMP"
    )
    with op.batch_alter_table("share") as table:
        table.drop_constraint(op.f("ck_share_ends_later"), type_="check")
        table.drop_column("expires_at")
