"""What changed, when, and which report told it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.commander import Change, ChangeKind, RankKind
from inara_daemon.store.state.tables import change

KEPT_CHANGES = timedelta(days=730)
"""How long the history reaches back."""
SHOWN_CHANGES = 1_000
"""The most that `history` gives at once."""
_IDS_A_STATEMENT = 500


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change as it is remembered, with who and when."""

    id: int
    tenant_id: str
    key: str
    name: str
    inara_url: str | None
    change: Change
    at: datetime
    applied: bool
    report_run_id: int | None


async def unreported(connection: AsyncConnection, tenant_id: str) -> Sequence[StoredChange]:
    """Applied changes that no report has told yet, the oldest first."""
    rows = await connection.execute(
        select(change)
        .where(change.c.tenant_id == tenant_id, change.c.applied.is_(True), change.c.report_run_id.is_(None))
        .order_by(change.c.id)
    )
    return [_stored_change(row) for row in rows.mappings()]


async def claim(connection: AsyncConnection, run_id: int, changes: Sequence[StoredChange]) -> None:
    """Note that this run's report tells these changes, and no other may."""
    ids = [item.id for item in changes]
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        part = ids[start : start + _IDS_A_STATEMENT]
        await connection.execute(update(change).where(change.c.id.in_(part)).values(report_run_id=run_id))


async def prune(connection: AsyncConnection, tenant_id: str, now: datetime) -> None:
    """Forget what changed long ago and was told."""
    old = (change.c.tenant_id == tenant_id, change.c.report_run_id.is_not(None), change.c.at < now - KEPT_CHANGES)
    await connection.execute(delete(change).where(*old))


async def history(
    connection: AsyncConnection,
    *,
    tenant_id: str | None = None,
    key: str | None = None,
    since: datetime | None = None,
    run_id: int | None = None,
    limit: int = SHOWN_CHANGES,
) -> Sequence[StoredChange]:
    """The newest changes, the oldest of them first."""
    statement = select(change)
    if tenant_id is not None:
        statement = statement.where(change.c.tenant_id == tenant_id)
    if key is not None:
        statement = statement.where(change.c.key == key)
    if since is not None:
        statement = statement.where(change.c.at >= since)
    if run_id is not None:
        statement = statement.where(change.c.run_id == run_id)
    rows = await connection.execute(statement.order_by(change.c.id.desc()).limit(limit))
    return [_stored_change(row) for row in reversed(rows.mappings().all())]


def _stored_change(row: RowMapping) -> StoredChange:
    ladder = None if row["ladder"] is None else RankKind(row["ladder"])
    told = Change(ChangeKind(row["kind"]), row["old"], row["new"], ladder)
    kept = ("id", "tenant_id", "key", "name", "inara_url", "at", "applied", "report_run_id")
    return StoredChange(change=told, **{column: row[column] for column in kept})
