"""Runs: every time a tenant's roster was, or is being, brought in step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.store.state.tables import run

KEPT_RUNS = 200
"""Ended runs kept for each tenant."""


class RunReason(StrEnum):
    """Why a run began."""

    FIRST = "first"
    CRON = "cron"
    CATCH_UP = "catch-up"
    REQUEST = "request"
    RELOAD = "reload"
    DISCOVERY = "discovery"


class RunOutcome(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """One run; `only` are the lookup keys asked for, None for the whole roster; `first_request` the count before it."""

    id: int
    tenant_id: str
    reason: RunReason
    request_id: int | None
    only: tuple[str, ...] | None
    started_at: datetime
    deadline: datetime | None
    first_request: int
    ended_at: datetime | None
    outcome: RunOutcome | None
    tally: Mapping[str, int]
    problems: tuple[tuple[str, str], ...]


def _run(row: RowMapping) -> Run:
    return Run(
        id=row["id"],
        tenant_id=row["tenant_id"],
        reason=RunReason(row["reason"]),
        request_id=row["request_id"],
        only=None if row["only"] is None else tuple(json.loads(row["only"])),
        started_at=row["started_at"],
        deadline=row["deadline"],
        first_request=row["first_request"],
        ended_at=row["ended_at"],
        outcome=None if row["outcome"] is None else RunOutcome(row["outcome"]),
        tally=json.loads(row["tally"]),
        problems=tuple((kind, text) for kind, text in json.loads(row["problems"])),
    )


async def start(
    connection: AsyncConnection,
    *,
    tenant_id: str,
    reason: RunReason,
    started_at: datetime,
    deadline: datetime | None,
    first_request: int,
    request_id: int | None = None,
    only: Sequence[str] | None = None,
) -> Run:
    """Open a run."""
    values: dict[str, Any] = {
        "tenant_id": tenant_id,
        "reason": reason.value,
        "request_id": request_id,
        "only": None if only is None else json.dumps(list(only)),
        "started_at": started_at,
        "deadline": deadline,
        "first_request": first_request,
        "tally": "{}",
        "problems": "[]",
    }
    row = (await connection.execute(insert(run).values(values).returning(run))).mappings().one()
    return _run(row)


async def save_tally(connection: AsyncConnection, run_id: int, tally: Mapping[str, int]) -> None:
    """Store how far an open run is."""
    await connection.execute(update(run).where(run.c.id == run_id).values(tally=json.dumps(dict(tally))))


async def add_problem(connection: AsyncConnection, run_id: int, kind: str, text: str) -> None:
    """Note what went wrong, once for each text."""
    row = await connection.scalar(select(run.c.problems).where(run.c.id == run_id))
    problems = json.loads(row or "[]")
    if [kind, text] not in problems:
        problems.append([kind, text])
        await connection.execute(update(run).where(run.c.id == run_id).values(problems=json.dumps(problems)))


async def end(
    connection: AsyncConnection, run_id: int, *, ended_at: datetime, outcome: RunOutcome, tally: Mapping[str, int]
) -> None:
    """Close a run."""
    await connection.execute(
        update(run)
        .where(run.c.id == run_id)
        .values(ended_at=ended_at, outcome=outcome.value, tally=json.dumps(dict(tally)))
    )


async def load(connection: AsyncConnection, run_id: int) -> Run | None:
    """One run."""
    row = (await connection.execute(select(run).where(run.c.id == run_id))).mappings().first()
    return None if row is None else _run(row)


async def open_run(connection: AsyncConnection, tenant_id: str) -> Run | None:
    """The run that a tenant has under way."""
    statement = select(run).where(run.c.tenant_id == tenant_id, run.c.ended_at.is_(None)).order_by(run.c.id).limit(1)
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else _run(row)


async def open_runs(connection: AsyncConnection) -> Sequence[Run]:
    """The runs that all tenants have under way."""
    rows = await connection.execute(select(run).where(run.c.ended_at.is_(None)).order_by(run.c.id))
    return [_run(row) for row in rows.mappings()]


async def reporting(connection: AsyncConnection) -> set[str]:
    """The tenants that have a run under way whose end may be reported."""
    whole = (run.c.ended_at.is_(None), run.c.only.is_(None), run.c.reason != RunReason.DISCOVERY.value)
    return set(await connection.scalars(select(run.c.tenant_id).where(*whole)))


async def latest(connection: AsyncConnection, tenant_id: str, *, full: bool = False) -> Run | None:
    """The newest run of a tenant; `full`: the newest that asked for the whole roster."""
    statement = select(run).where(run.c.tenant_id == tenant_id)
    if full:
        statement = statement.where(run.c.only.is_(None), run.c.reason != RunReason.DISCOVERY.value)
    row = (await connection.execute(statement.order_by(run.c.id.desc()).limit(1))).mappings().first()
    return None if row is None else _run(row)


async def of_request(connection: AsyncConnection, request_id: int) -> Sequence[Run]:
    """The runs that serve a request."""
    rows = await connection.execute(select(run).where(run.c.request_id == request_id).order_by(run.c.id))
    return [_run(row) for row in rows.mappings()]


async def prune(connection: AsyncConnection, tenant_id: str) -> None:
    """Forget all but the newest runs."""
    newest = await connection.scalar(select(func.max(run.c.id)).where(run.c.tenant_id == tenant_id))
    if newest is None:
        return
    ids = select(run.c.id).where(run.c.tenant_id == tenant_id).order_by(run.c.id.desc()).offset(KEPT_RUNS)
    await connection.execute(run.delete().where(run.c.id.in_(ids.scalar_subquery())))
