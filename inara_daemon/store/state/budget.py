"""The budget's one row and the pauses: what must survive a restart for the limit never to be broken."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update

from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.tables import budget, pause

_ROW = 1


class BudgetTable:
    """The budget as the state database holds it. Every method raises DatabaseError."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def load(self) -> Mapping[str, Any] | None:
        """The row by column, or None in a fresh database; `base` is in CLOCK_BOOTTIME seconds."""
        async with self._state.read() as connection:
            row = (await connection.execute(select(budget).where(budget.c.id == _ROW))).mappings().first()
        return None if row is None else dict(row)

    async def start(self, *, boot_id: str, base: float) -> None:
        """Set the point from which the interval counts, with no request under way."""
        values = {"boot_id": boot_id, "base": base, "open": False}
        async with self._state.write(urgent=True) as connection:
            changed = await connection.execute(update(budget).where(budget.c.id == _ROW).values(values))
            if changed.rowcount == 0:
                await connection.execute(insert(budget).values(id=_ROW, requests=0, **values))

    async def grant(self, *, seen: int, boot_id: str, base: float) -> bool:
        """Count request number `seen + 1` as under way; False if somebody else changed the row since."""
        async with self._state.write(urgent=True) as connection:
            changed = await connection.execute(
                update(budget)
                .where(budget.c.id == _ROW, budget.c.requests == seen, budget.c.boot_id == boot_id)
                .values(base=base, open=True, requests=seen + 1)
            )
        return changed.rowcount == 1

    async def settle(self, *, number: int, base: float) -> None:
        """Request `number` is over: the interval counts from `base`. A later one, of whichever engine, stays open."""
        async with self._state.write(urgent=True) as connection:
            ours = (budget.c.id == _ROW, budget.c.requests == number)
            await connection.execute(update(budget).where(*ours).values(base=base, open=False))

    async def pauses(self) -> Sequence[Mapping[str, Any]]:
        """Every stored pause, by column; the suspicion is a mapping."""
        async with self._state.read() as connection:
            rows = (await connection.execute(select(pause))).mappings().all()
        return [{**row, "suspicion": json.loads(row["suspicion"])} for row in rows]

    async def save_pause(self, scope: str, values: Mapping[str, Any]) -> None:
        """Store a pause, by column, in place of the one of the same scope."""
        async with self._state.write(urgent=True) as connection:
            await connection.execute(delete(pause).where(pause.c.scope == scope))
            stored = {**values, "suspicion": json.dumps(values["suspicion"])}
            await connection.execute(insert(pause).values(scope=scope, **stored))

    async def delete_pause(self, scope: str) -> None:
        """Forget a pause."""
        async with self._state.write(urgent=True) as connection:
            await connection.execute(delete(pause).where(pause.c.scope == scope))
