"""What connecting a platform needs: states, scopes, invitations, connection tests, one-time links, key succession.

What stands is active and stays so. Safe while the old version still runs, but for making a new tool key, which it does
only in an empty database: the columns it does not know have defaults.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_2"
down_revision = "2026_11_22_1"
branch_labels = None
depends_on = None

_AGS = "https://purl.imsglobal.org/spec/lti-ags/scope/"
SCOPES = [
    *(_AGS + name for name in ("lineitem", "lineitem.readonly", "result.readonly", "score")),
    "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly",
]
"""What the README told administrators to allow."""


def upgrade() -> None:
    # Rebuilt on SQLite, so that the table reads as one that was made anew.
    rebuild: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("registration", recreate=rebuild) as table:
        table.add_column(sa.Column("state", sa.String(), server_default="active", nullable=False))
        table.add_column(sa.Column("new_deployments", sa.String(), server_default="active", nullable=False))
        table.add_column(sa.Column("requested_scopes", sa.JSON(), server_default="[]", nullable=False))
        table.add_column(sa.Column("granted_scopes", sa.JSON(), nullable=True))
    with op.batch_alter_table("deployment", recreate=rebuild) as table:
        table.add_column(sa.Column("state", sa.String(), server_default="active", nullable=False))
    registration = sa.table("registration", sa.column("requested_scopes", sa.JSON()))
    op.execute(registration.update().values(requested_scopes=SCOPES))
    with op.batch_alter_table("tool_key") as table:
        table.add_column(sa.Column("number", sa.Integer(), nullable=True))
        table.add_column(sa.Column("signs_from", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE tool_key SET number = id, signs_from = created_at")
    with op.batch_alter_table("tool_key") as table:
        table.alter_column("number", existing_type=sa.Integer(), nullable=False)
        table.alter_column("signs_from", existing_type=sa.DateTime(timezone=True), nullable=False)
        table.create_unique_constraint(op.f("uq_tool_key_number"), ["number"])
    op.create_table(
        "invitation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("platform_id", sa.Integer(), nullable=True),
        sa.Column("registration_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platform.id"], name=op.f("fk_invitation_platform_id_platform")
        ),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_invitation_registration_id_registration")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_invitation_code_hash")),
    )
    op.create_table(
        "connection_test",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registration_id"],
            ["registration.id"],
            name=op.f("fk_connection_test_registration_id_registration"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection_test")),
        sa.UniqueConstraint("registration_id", name=op.f("uq_connection_test_registration_id")),
    )
    op.create_table(
        "one_time_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("deployment_pk", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_one_time_link_person_id_person")),
        sa.ForeignKeyConstraint(
            ["deployment_pk"], ["deployment.id"], name=op.f("fk_one_time_link_deployment_pk_deployment")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_link")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_one_time_link_secret_hash")),
    )
    op.create_index(op.f("ix_one_time_link_expires_at"), "one_time_link", ["expires_at"], unique=False)
    op.create_table(
        "stay",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("browser", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("deployment_pk", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_stay_person_id_person")),
        sa.ForeignKeyConstraint(
            ["deployment_pk"], ["deployment.id"], name=op.f("fk_stay_deployment_pk_deployment")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stay")),
    )
    op.create_index(op.f("ix_stay_expires_at"), "stay", ["expires_at"], unique=False)


def downgrade() -> None:
    for name in ("stay", "one_time_link", "connection_test", "invitation"):
        op.drop_table(name)
    with op.batch_alter_table("tool_key") as table:
        table.drop_constraint(op.f("uq_tool_key_number"), type_="unique")
        table.drop_column("signs_from")
        table.drop_column("number")
    with op.batch_alter_table("deployment") as table:
        table.drop_column("state")
    with op.batch_alter_table("registration") as table:
        for column in ("granted_scopes", "requested_scopes", "new_deployments", "state"):
            table.drop_column(column)
