"""Which problems each tenant has heard of, and in which message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.problem_memory import ToldProblem
from inara_daemon.store.state.outbox import LOST, MessageStatus
from inara_daemon.store.state.tables import message, told_problem

_ON_ITS_WAY = frozenset({MessageStatus.WAITING.value, MessageStatus.SENDING.value})


async def told(connection: AsyncConnection, tenant_id: str) -> Mapping[str, ToldProblem]:
    """What a tenant was told, by kind; that something is over is forgotten once that has arrived."""
    statement = (
        select(told_problem, message.c.status)
        .outerjoin(message, message.c.id == told_problem.c.told_in)
        .where(told_problem.c.tenant_id == tenant_id)
    )
    found = {}
    for row in (await connection.execute(statement)).mappings():
        lost = row["status"] in LOST
        if row["over"] and not lost and row["status"] not in _ON_ITS_WAY:
            continue
        kept = {name: row[name] for name in ("kind", "digest", "since", "told_at", "told_in", "over")}
        found[row["kind"]] = ToldProblem(**kept, lost=lost)
    return found


async def save_told(
    connection: AsyncConnection, tenant_id: str, problems: Iterable[ToldProblem], *, told_in: int
) -> None:
    """From now on this, and nothing else, is what a tenant was told; what has no message yet, in this one."""
    await connection.execute(delete(told_problem).where(told_problem.c.tenant_id == tenant_id))
    rows = [
        {
            "tenant_id": tenant_id,
            "kind": problem.kind,
            "digest": problem.digest,
            "since": problem.since,
            "told_at": problem.told_at,
            "told_in": told_in if problem.told_in is None else problem.told_in,
            "over": problem.over,
        }
        for problem in problems
    ]
    if rows:
        await connection.execute(insert(told_problem), rows)
