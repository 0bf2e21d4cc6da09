"""Let the registrar's desk count and find scores without reading the whole ledger.

Safe while the old version still runs: it adds indexes.
"""

from alembic import op

revision = "2026_11_22_17"
down_revision = "2026_11_22_20"


def upgrade() -> None:
    op.create_index("ix_score_desk_counts", "score", ["deployment_pk", "state", "finding", "dealt_with_at"])
    op.create_index("ix_score_account_id", "score", ["account_id"])


def downgrade() -> None:
    op.drop_index("ix_score_account_id", table_name="score")
    op.drop_index("ix_score_desk_counts", table_name="score")
