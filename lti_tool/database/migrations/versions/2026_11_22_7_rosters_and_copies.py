"""Keep rosters, where courses were copied from, and columns that we look for ourselves.

Safe while the old version still runs: it reads none of the new tables and columns, and writes no activity without a
resource link. An older version knows neither activities without a resource link of their own (they get a made-up one
on the way back) nor a second round of work, so the way back is refused where somebody has begun one.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_7"
down_revision = "2026_11_22_6"

_MOMENT = sa.DateTime(timezone=True)
_FOR_BATCH = {"uq": "uq_%(table_name)s_%(column_0_N_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s"}


def upgrade() -> None:
    op.create_table(
        "roster",
        sa.Column("course_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("deployment_pk", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("reading", sa.Integer(), nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=True),
        sa.Column("lease_until", _MOMENT, nullable=True),
        sa.Column("read_at", _MOMENT, nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_roster_course_id_course")),
        sa.ForeignKeyConstraint(
            ["deployment_pk"], ["deployment.id"], name=op.f("fk_roster_deployment_pk_deployment")
        ),
        sa.PrimaryKeyConstraint("course_id", name=op.f("pk_roster")),
    )
    op.create_index(op.f("ix_roster_asked_at"), "roster", ["asked_at"], unique=False)
    op.create_table(
        "roster_member",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("course_id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("active", "left", name="rosterstatus", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("returned", sa.Boolean(), nullable=False),
        sa.Column("reading", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_roster_member_course_id_course")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roster_member")),
        sa.UniqueConstraint("course_id", "subject", name=op.f("uq_roster_member_course_id_subject")),
    )
    op.create_index(
        "ix_roster_member_course_id_status", "roster_member", ["course_id", "status"], unique=False
    )
    op.create_table(
        "course_origin",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("platform_id", sa.Integer(), nullable=False),
        sa.Column("context_id", sa.String(), nullable=False),
        sa.Column("origin_context_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("noted_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platform.id"], name=op.f("fk_course_origin_platform_id_platform")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_course_origin")),
        sa.UniqueConstraint(
            "platform_id",
            "context_id",
            "origin_context_id",
            name=op.f("uq_course_origin_platform_id_context_id_origin_context_id"),
        ),
    )
    op.create_table(
        "notice_handler",
        sa.Column("deployment_pk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("registered_at", _MOMENT, nullable=True),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_pk"], ["deployment.id"], name=op.f("fk_notice_handler_deployment_pk_deployment")
        ),
        sa.PrimaryKeyConstraint("deployment_pk", name=op.f("pk_notice_handler")),
    )
    op.create_index(op.f("ix_notice_handler_due_at"), "notice_handler", ["due_at"], unique=False)
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("notice_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_notice_registration_id_registration")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("registration_id", "notice_id", name=op.f("uq_notice_registration_id_notice_id")),
    )
    op.create_index(op.f("ix_notice_expires_at"), "notice", ["expires_at"], unique=False)
    op.create_table(
        "gradebook_column",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("placement_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("line_items_url", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "wanted", "settled", "offered", "refused", name="columnstate", native_enum=False, length=20
            ),
            nullable=False,
        ),
        sa.Column("may_create", sa.Boolean(), nullable=False),
        sa.Column("remade", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("lease_until", _MOMENT, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["placement_id"], ["placement.id"], name=op.f("fk_gradebook_column_placement_id_placement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gradebook_column")),
        sa.UniqueConstraint("placement_id", "purpose", name=op.f("uq_gradebook_column_placement_id_purpose")),
    )
    op.create_index("ix_gradebook_column_due", "gradebook_column", ["state", "due_at"], unique=False)
    with op.batch_alter_table("placement", naming_convention=_FOR_BATCH) as table:
        table.add_column(sa.Column("link_key", sa.String(), nullable=True))
        table.add_column(sa.Column("earlier_results", sa.String(), nullable=True))
        table.alter_column("resource_link_id", existing_type=sa.String(), nullable=True)
        table.create_unique_constraint(op.f("uq_placement_course_id_link_key"), ["course_id", "link_key"])
        table.create_check_constraint(
            op.f("ck_placement_one_identity"), "(resource_link_id IS NULL) <> (link_key IS NULL)"
        )
    with op.batch_alter_table("attempt") as table:
        table.add_column(sa.Column("round", sa.Integer(), nullable=False, server_default="1"))
    with op.batch_alter_table("attempt", naming_convention=_FOR_BATCH) as table:
        table.alter_column("round", existing_type=sa.Integer(), existing_nullable=False, server_default=None)
        table.drop_constraint("uq_attempt_person_id_version_id_rehearsal", type_="unique")
        table.create_unique_constraint(
            op.f("uq_attempt_person_id_version_id_rehearsal_round"),
            ["person_id", "version_id", "rehearsal", "round"],
        )


def downgrade() -> None:
    again = op.get_bind().execute(sa.text("SELECT count(*) FROM attempt WHERE round > 1")).scalar()
    if again:
        raise RuntimeError(f"{again} people do something a second time, which the older version cannot keep.")
    with op.batch_alter_table("attempt", naming_convention=_FOR_BATCH) as table:
        table.drop_constraint("uq_attempt_person_id_version_id_rehearsal_round", type_="unique")
        table.create_unique_constraint(
            op.f("uq_attempt_person_id_version_id_rehearsal"), ["person_id", "version_id", "rehearsal"]
        )
        table.drop_column("round")
    op.execute(
        "UPDATE placement SET resource_link_id = 'without a link: ' || link_key, link_key = NULL"
        " WHERE resource_link_id IS NULL"
    )
    with op.batch_alter_table("placement", naming_convention=_FOR_BATCH) as table:
        table.drop_constraint(op.f("ck_placement_one_identity"), type_="check")
        table.drop_constraint("uq_placement_course_id_link_key", type_="unique")
        table.alter_column("resource_link_id", existing_type=sa.String(), nullable=False)
        table.drop_column("earlier_results")
        table.drop_column("link_key")
    for name in ("gradebook_column", "notice", "notice_handler", "course_origin", "roster_member", "roster"):
        op.drop_table(name)
