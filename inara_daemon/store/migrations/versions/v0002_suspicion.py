"""Who is suspected of making Inara refuse whole batches, and indexes for what is looked for again and again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.add_column("pause", sa.Column("suspicion", sa.Text(), nullable=False, server_default="{}"))
    change = sa.table("change", sa.column("applied", sa.Boolean()), sa.column("report_run_id", sa.BigInteger()))
    _index("change_unapplied", ["tenant_id", "key"], change.c.applied.is_(False))
    _index("change_unreported", ["tenant_id", "id"], change.c.report_run_id.is_(None))


def _index(name: str, columns: list[str], where: sa.ColumnElement[bool]) -> None:
    op.create_index(name, "change", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("change_unreported", table_name="change")
    op.drop_index("change_unapplied", table_name="change")
    op.drop_column("pause", "suspicion")
