"""New commanders between runs: reads what is new in the events, and asks the memory only about names not yet seen."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from inara_daemon.roster_plan import gather
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.tenant_db import TenantDatabase


@dataclass(slots=True)
class Discovery:
    """One tenant's looks; one that finds nothing new costs a single question to the tenant's database."""

    tenant_id: str
    state: StateDatabase
    database: TenantDatabase
    _cursor: int | None = None
    _known: AbstractSet[str] = field(default_factory=frozenset)
    """The names of the last look: the overlap behind the cursor shows them again and again."""

    def start(self, cursor: int | None) -> None:
        """Go on behind an event; None: where the memory says, as a run went on meanwhile."""
        self._cursor = cursor
        self._known = frozenset()

    async def look(self) -> tuple[str, ...]:
        """The lookup keys that no run has noted yet. Raises DatabaseError."""
        cursor = await self._stored_cursor() if self._cursor is None else self._cursor
        spellings, highest = await self.database.spellings_since(cursor)
        found = gather(spellings).spellings.keys()
        if not found <= self._known:
            async with self.state.read() as connection:
                self._known = await memory.known_keys(connection, self.tenant_id, found)
        if highest != cursor:
            async with self.state.write() as connection:
                await memory.save_tenant(connection, self.tenant_id, cursor=highest)
        self._cursor = highest
        return tuple(sorted(found - self._known))

    async def _stored_cursor(self) -> int:
        async with self.state.read() as connection:
            row = await memory.load_tenant(connection, self.tenant_id)
        return 0 if row is None else row.cursor
