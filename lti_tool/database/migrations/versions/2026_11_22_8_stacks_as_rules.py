"""Stacks have versions with rules: groups of which so many must be earned, in order, some after others.

Micro-credentials can be retired, and earners take a stack in an activity.

A stack that stands becomes its own version 1, which asks for all of its parts, as it did. It is published when the last
of its parts was. Its digest is empty: the next load of the catalogue fixes its words.

The old version cannot run beside the new tables, since it looks for the words of a stack where they no longer are. On
the way back a stack keeps the words of its newest version and asks for all of that version's parts.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_8"
down_revision = "2026_11_22_7"
branch_labels = None
depends_on = None

_WORDS = ("title", "description", "badge_symbol", "badge_colour", "badge_shape")
_stack = sa.table("stack", sa.column("id"), *(sa.column(name) for name in _WORDS))
_old_part = sa.table("stack_part", *(sa.column(name) for name in ("stack_id", "credential_id", "position")))
_new_part = sa.table(
    "stack_part",
    *(sa.column(name) for name in ("stack_version_id", "credential_id", "group_id", "position")),
)
_credential = sa.table("credential", sa.column("id"), sa.column("created_at", sa.DateTime(timezone=True)))
_version = sa.table(
    "stack_version",
    *(sa.column(name) for name in ("id", "stack_id", "number", "digest", "label", "points", *_WORDS)),
    sa.column("published_at", sa.DateTime(timezone=True)),
    sa.column("in_order", sa.Boolean()),
)
_group = sa.table(
    "stack_group",
    *(sa.column(name) for name in ("id", "stack_version_id", "position", "take")),
    sa.column("in_order", sa.Boolean()),
)


def upgrade() -> None:
    with op.batch_alter_table("credential") as table:
        table.add_column(sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("replaced_by_id", sa.Integer(), nullable=True))
        table.create_foreign_key(
            op.f("fk_credential_replaced_by_id_credential"), "credential", ["replaced_by_id"], ["id"]
        )
    op.create_table(
        "stack_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("stack_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("points", sa.Double(), nullable=False),
        sa.Column("in_order", sa.Boolean(), nullable=False),
        sa.Column("badge_symbol", sa.String(), nullable=False),
        sa.Column("badge_colour", sa.String(), nullable=False),
        sa.Column("badge_shape", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["stack_id"], ["stack.id"], name=op.f("fk_stack_version_stack_id_stack")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stack_version")),
        sa.UniqueConstraint("stack_id", "number", name=op.f("uq_stack_version_stack_id_number")),
    )
    op.create_table(
        "stack_group",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("stack_version_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("take", sa.Integer(), nullable=False),
        sa.Column("in_order", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["stack_version_id"],
            ["stack_version.id"],
            name=op.f("fk_stack_group_stack_version_id_stack_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stack_group")),
        sa.UniqueConstraint(
            "stack_version_id", "position", name=op.f("uq_stack_group_stack_version_id_position")
        ),
    )
    op.create_table(
        "stack_opening",
        sa.Column("stack_version_id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=False),
        sa.Column("after_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["after_id"], ["credential.id"], name=op.f("fk_stack_opening_after_id_credential")
        ),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name=op.f("fk_stack_opening_credential_id_credential")
        ),
        sa.ForeignKeyConstraint(
            ["stack_version_id"],
            ["stack_version.id"],
            name=op.f("fk_stack_opening_stack_version_id_stack_version"),
        ),
        sa.PrimaryKeyConstraint(
            "stack_version_id", "credential_id", "after_id", name=op.f("pk_stack_opening")
        ),
    )
    op.create_table(
        "stack_earner",
        sa.Column("placement_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_stack_earner_account_id_account")
        ),
        sa.ForeignKeyConstraint(
            ["placement_id"], ["placement.id"], name=op.f("fk_stack_earner_placement_id_placement")
        ),
        sa.PrimaryKeyConstraint("placement_id", "account_id", name=op.f("pk_stack_earner")),
    )
    op.create_index(op.f("ix_stack_earner_account_id"), "stack_earner", ["account_id"], unique=False)
    _rules_from_parts()
    with op.batch_alter_table("stack") as table:
        for name in _WORDS:
            table.drop_column(name)
        table.add_column(sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("stack") as table:
        table.drop_column("retired_at")
        for name in _WORDS:
            table.add_column(sa.Column(name, sa.String(), nullable=False, server_default=""))
    _parts_from_rules()
    with op.batch_alter_table("stack") as table:
        for name in _WORDS:
            table.alter_column(name, server_default=None)
    op.drop_index(op.f("ix_stack_earner_account_id"), table_name="stack_earner")
    for name in ("stack_earner", "stack_opening", "stack_group", "stack_version"):
        op.drop_table(name)
    with op.batch_alter_table("credential") as table:
        table.drop_constraint(op.f("fk_credential_replaced_by_id_credential"), type_="foreignkey")
        table.drop_column("replaced_by_id")
        table.drop_column("retired_at")


def _rules_from_parts() -> None:
    connection = op.get_bind()
    stacks = connection.execute(sa.select(_stack)).mappings().all()
    parts = connection.execute(sa.select(_old_part).order_by(_old_part.c.position)).mappings().all()
    created = {row.id: row.created_at for row in connection.execute(sa.select(_credential))}
    op.drop_index(op.f("ix_stack_part_credential_id"), table_name="stack_part")
    op.drop_table("stack_part")
    op.create_table(
        "stack_part",
        sa.Column("stack_version_id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name=op.f("fk_stack_part_credential_id_credential")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["stack_group.id"], name=op.f("fk_stack_part_group_id_stack_group")
        ),
        sa.ForeignKeyConstraint(
            ["stack_version_id"],
            ["stack_version.id"],
            name=op.f("fk_stack_part_stack_version_id_stack_version"),
        ),
        sa.PrimaryKeyConstraint("stack_version_id", "credential_id", name=op.f("pk_stack_part")),
    )
    op.create_index(op.f("ix_stack_part_credential_id"), "stack_part", ["credential_id"], unique=False)
    op.create_index(op.f("ix_stack_part_group_id"), "stack_part", ["group_id"], unique=False)
    for stack in stacks:
        mine = [part["credential_id"] for part in parts if part["stack_id"] == stack["id"]]
        if not mine:
            # Nobody could ever earn it.
            connection.execute(sa.delete(_stack).where(_stack.c.id == stack["id"]))
            continue
        version = {
            "stack_id": stack["id"],
            "number": 1,
            "digest": "",
            "published_at": max(created[credential] for credential in mine),
            "label": stack["title"][:30],
            "points": 10 * len(mine),
            "in_order": False,
            **{name: stack[name] for name in _WORDS},
        }
        version_id = connection.scalar(sa.insert(_version).values(**version).returning(_version.c.id))
        group = {"stack_version_id": version_id, "position": 0, "take": len(mine), "in_order": False}
        group_id = connection.scalar(sa.insert(_group).values(**group).returning(_group.c.id))
        rows = [
            {
                "stack_version_id": version_id,
                "credential_id": credential,
                "group_id": group_id,
                "position": at,
            }
            for at, credential in enumerate(mine)
        ]
        connection.execute(sa.insert(_new_part), rows)


def _parts_from_rules() -> None:
    connection = op.get_bind()
    versions = connection.execute(sa.select(_version).order_by(_version.c.number)).mappings().all()
    newest = {version["stack_id"]: version for version in versions}
    parts = (
        connection.execute(
            sa.select(_new_part)
            .join(_group, _group.c.id == _new_part.c.group_id)
            .order_by(_group.c.position, _new_part.c.position)
        )
        .mappings()
        .all()
    )
    op.drop_index(op.f("ix_stack_part_group_id"), table_name="stack_part")
    op.drop_index(op.f("ix_stack_part_credential_id"), table_name="stack_part")
    op.drop_table("stack_part")
    op.create_table(
        "stack_part",
        sa.Column("stack_id", sa.Integer(), nullable=False),
        sa.Column("credential_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name=op.f("fk_stack_part_credential_id_credential")
        ),
        sa.ForeignKeyConstraint(["stack_id"], ["stack.id"], name=op.f("fk_stack_part_stack_id_stack")),
        sa.PrimaryKeyConstraint("stack_id", "credential_id", name=op.f("pk_stack_part")),
    )
    op.create_index(op.f("ix_stack_part_credential_id"), "stack_part", ["credential_id"], unique=False)
    for stack_id, version in newest.items():
        words = {name: version[name] for name in _WORDS}
        connection.execute(sa.update(_stack).where(_stack.c.id == stack_id).values(**words))
        mine = [part["credential_id"] for part in parts if part["stack_version_id"] == version["id"]]
        rows = [
            {"stack_id": stack_id, "credential_id": credential, "position": at}
            for at, credential in enumerate(mine)
        ]
        connection.execute(sa.insert(_old_part), rows)
