"""What other processes ask of the engine: `sync`, a key's validation, a test message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update

from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.tables import request

KEPT = timedelta(days=7)
"""How long a request stays when nobody fetches its result."""


class RequestKind(StrEnum):
    """What can be asked."""

    SYNC = "sync"
    DRY_RUN = "dry-run"
    VALIDATE_KEYS = "validate-keys"
    TEST_WEBHOOK = "test-webhook"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `progress` and `result` are the engine's, and a `result` ends it."""

    id: int
    kind: RequestKind
    arguments: Mapping[str, Any]
    created_at: datetime
    taken: bool
    progress: Mapping[str, Any]
    result: Mapping[str, Any] | None


def _request(row: RowMapping) -> Request:
    return Request(
        id=row["id"],
        kind=RequestKind(row["kind"]),
        arguments=json.loads(row["arguments"]),
        created_at=row["created_at"],
        taken=row["taken"],
        progress=json.loads(row["progress"]),
        result=None if row["result"] is None else json.loads(row["result"]),
    )


class RequestTable:
    """The requests as the state database holds them. Every method raises DatabaseError."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def ask(self, kind: RequestKind, arguments: Mapping[str, Any], now: datetime) -> int:
        """Leave a request for the engine; returns its id."""
        values = {"kind": kind.value, "arguments": json.dumps(dict(arguments)), "created_at": now, "taken": False}
        async with self._state.write() as connection:
            await connection.execute(delete(request).where(request.c.created_at < now - KEPT))
            asked = await connection.execute(insert(request).values(progress="{}", **values).returning(request.c.id))
            return int(asked.scalar_one())

    async def unfinished(self) -> Sequence[Request]:
        """Requests without a result, the oldest first."""
        async with self._state.read() as connection:
            rows = await connection.execute(select(request).where(request.c.result.is_(None)).order_by(request.c.id))
            return [_request(row) for row in rows.mappings()]

    async def load(self, request_id: int) -> Request | None:
        """One request."""
        async with self._state.read() as connection:
            row = (await connection.execute(select(request).where(request.c.id == request_id))).mappings().first()
        return None if row is None else _request(row)

    async def save_progress(self, request_id: int, progress: Mapping[str, Any]) -> bool:
        """Say how far the engine is; False if nobody waits for the request any more."""
        return await self._set(request_id, taken=True, progress=json.dumps(dict(progress)))

    async def finish(self, request_id: int, result: Mapping[str, Any]) -> None:
        """Say how it ended."""
        await self._set(request_id, taken=True, result=json.dumps(dict(result)))

    async def forget(self, request_id: int) -> None:
        """Drop a request and its result."""
        async with self._state.write() as connection:
            await connection.execute(delete(request).where(request.c.id == request_id))

    async def _set(self, request_id: int, **values: object) -> bool:
        async with self._state.write() as connection:
            changed = await connection.execute(update(request).where(request.c.id == request_id).values(**values))
        return changed.rowcount == 1
