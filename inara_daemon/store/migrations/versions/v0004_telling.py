"""Which problems a tenant has heard of, and log lines that wait to be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "told_problem",
        sa.Column("tenant_id", sa.String(255), primary_key=True),
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_in", sa.BigInteger(), nullable=True),
        sa.Column("over", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "log_buffer",
        sa.Column("destination", sa.String(255), primary_key=True),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("held_back", sa.Integer(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("next_at", sa.Float(53), nullable=False),
        sa.Column("boot_id", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("log_buffer")
    op.drop_table("told_problem")
