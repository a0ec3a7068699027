"""Deliveries that forget nothing: the plain form, totals of runs, which message names a loss, whose limit a hold is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TOLD_BY_SOMEBODY = 0
"""No message has this number: the loss was told, and nobody noted by which one."""

_message = sa.table(
    "message",
    sa.column("body", sa.Text()),
    sa.column("settled_at", sa.DateTime(timezone=True)),
    sa.column("loss_told", sa.Boolean()),
    sa.column("told_in", sa.BigInteger()),
)
_hold = sa.table("delivery_hold", sa.column("scope", sa.String()))


def upgrade() -> None:
    """Add them, and empty the bodies of what was settled."""
    op.add_column("message", sa.Column("plain", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("message", sa.Column("summary", sa.Text(), nullable=False, server_default=""))
    op.add_column("message", sa.Column("attempt", sa.String(64), nullable=True))
    op.add_column("message", sa.Column("told_in", sa.BigInteger(), nullable=True))
    op.execute(_message.update().where(_message.c.loss_told.is_(True)).values(told_in=_TOLD_BY_SOMEBODY))
    op.execute(_message.update().where(_message.c.settled_at.is_not(None)).values(body=""))
    op.drop_column("message", "loss_told")
    op.create_index("message_settled", "message", ["settled_at"])
    _rename_hold("*", "discord")


def _rename_hold(old: str, new: str) -> None:
    op.execute(_hold.update().where(_hold.c.scope == old).values(scope=new))


def downgrade() -> None:
    """Take them away."""
    _rename_hold("discord", "*")
    op.drop_index("message_settled", table_name="message")
    op.add_column("message", sa.Column("loss_told", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(_message.update().where(_message.c.told_in.is_not(None)).values(loss_told=True))
    op.drop_column("message", "told_in")
    op.drop_column("message", "attempt")
    op.drop_column("message", "summary")
    op.drop_column("message", "plain")
