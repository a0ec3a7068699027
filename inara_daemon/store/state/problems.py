"""Which problems each tenant has heard of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.problem_memory import ToldProblem
from inara_daemon.store.state.tables import told_problem


async def told(connection: AsyncConnection, tenant_id: str) -> Mapping[str, ToldProblem]:
    """What a tenant was told, by kind."""
    columns = (told_problem.c.kind, told_problem.c.digest, told_problem.c.since, told_problem.c.told_at)
    rows = await connection.execute(select(*columns).where(told_problem.c.tenant_id == tenant_id))
    return {row["kind"]: ToldProblem(**row) for row in rows.mappings()}


async def save_told(connection: AsyncConnection, tenant_id: str, problems: Iterable[ToldProblem]) -> None:
    """From now on this, and nothing else, is what a tenant was told."""
    await connection.execute(delete(told_problem).where(told_problem.c.tenant_id == tenant_id))
    rows = [
        {
            "tenant_id": tenant_id,
            "kind": problem.kind,
            "digest": problem.digest,
            "since": problem.since,
            "told_at": problem.told_at,
        }
        for problem in problems
    ]
    if rows:
        await connection.execute(insert(told_problem), rows)
