"""One tenant's roster between its own database and the daemon's memory: read names, save answers, apply rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from inara_daemon.answers import Known, Namesake, Update, weigh
from inara_daemon.clock import Clock
from inara_daemon.commander import Found, Outcome, Record, Snapshot
from inara_daemon.inara.line import Served
from inara_daemon.roster_plan import Roster, Spelling, gather
from inara_daemon.service.off_the_loop import computed
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.tenant_db import RosterWrite, TenantDatabase


@dataclass(slots=True)
class RosterSync:
    """Everything that touches one tenant's rows. Every method raises DatabaseError."""

    tenant_id: str
    state: StateDatabase
    database: TenantDatabase
    clock: Clock
    alive: Callable[[], None] = field(default=lambda: None)

    async def read_roster(self) -> Roster:
        """Every commander in the tenant's events."""
        newest: dict[str, int] = {}
        async for chunk in self.database.spellings():
            for spelling in chunk:
                newest[spelling.name] = max(spelling.event_id, newest.get(spelling.name, 0))
            self.alive()
        found = [Spelling(name, event_id) for name, event_id in newest.items()]
        return await computed(partial(gather, found), len(found))

    async def weigh_answers(
        self, served: Sequence[Served], roster: Roster, records: Mapping[str, Record]
    ) -> list[Update]:
        """What replies change for this tenant; nothing is stored."""
        outcomes = {key: outcome for each in served for key, outcome in each.outcomes.items()}
        async with self.state.read() as connection:
            known = await memory.snapshots(connection, self.tenant_id, outcomes.keys())
            keys = await memory.keys_of_users(connection, self.tenant_id, _user_ids(outcomes))
            known.update(await memory.snapshots(connection, self.tenant_id, set(keys.values()) - known.keys()))
        known.update(await self._stored_rows(outcomes.keys() - known.keys(), roster))
        updates = []
        for each in served:
            updates += self._weigh(each.outcomes, roster, records, known, keys, request=each.request)
        return updates

    async def _stored_rows(self, keys: set[str], roster: Roster) -> dict[str, Snapshot]:
        """What the tenant's own rows say of commanders whom the daemon has no memory of."""
        names = {spelling.name: key for key in keys for spelling in roster.spellings.get(key, ())}
        rows = await self.database.stored(sorted(names)) if names else {}
        found: dict[str, Snapshot] = {}
        for name, snapshot in rows.items():
            key = names[name]
            if key not in found or found[key] == Snapshot():
                found[key] = snapshot
        return found

    def _weigh(
        self,
        outcomes: Mapping[str, Outcome],
        roster: Roster,
        records: Mapping[str, Record],
        known: dict[str, Snapshot],
        keys: dict[int, str],
        *,
        request: int,
    ) -> list[Update]:
        updates = []
        now = self.clock.now()
        for key, outcome in outcomes.items():
            user_id = outcome.profile.user_id if isinstance(outcome, Found) else None
            other = keys.get(user_id, key) if user_id is not None else key
            namesake = Namesake(other, known[other]) if other != key and other in known else None
            spellings = roster.spellings.get(key, ())
            update = weigh(
                key,
                outcome,
                Known(spellings, records.get(key, Record()), known.get(key), namesake),
                request=request,
                now=now,
            )
            updates.append(update)
            if update.snapshot is not None:  # a later name of the same reply may be the same account
                known[key] = update.snapshot
                if update.snapshot.user_id is not None:
                    keys.setdefault(update.snapshot.user_id, key)
                if update.renamed_from is not None:
                    known[update.renamed_from] = _renamed(known[update.renamed_from], update.snapshot)
        return updates

    async def save(self, run_id: int, updates: Sequence[Update]) -> Sequence[RosterWrite]:
        """Write ahead: after this nothing of the replies can be lost; returns the rows to apply."""
        renamed = {item.renamed_from: item.snapshot for item in updates if item.renamed_from and item.snapshot}
        async with self.state.write() as connection:
            writes = await memory.write_ahead(connection, self.tenant_id, run_id, updates, self.clock.now())
            others = await memory.snapshots(connection, self.tenant_id, renamed.keys())
            for key, snapshot in others.items():
                await memory.save_snapshot(connection, self.tenant_id, key, _renamed(snapshot, renamed[key]))
        return writes

    async def apply(self, writes: Sequence[RosterWrite]) -> None:
        """Bring the tenant's rows in step with what was written ahead; harmless when done twice."""
        if not writes:
            return
        applied = await self.database.apply(writes)
        async with self.state.write() as connection:
            await memory.mark_applied(connection, self.tenant_id, applied)

    async def apply_pending(self) -> None:
        """Apply what an earlier run, or an engine that ended, left written ahead."""
        async with self.state.read() as connection:
            writes = await memory.pending_writes(connection, self.tenant_id)
        await self.apply(writes)


def _user_ids(outcomes: Mapping[str, Outcome]) -> set[int]:
    profiles = (outcome.profile for outcome in outcomes.values() if isinstance(outcome, Found))
    return {profile.user_id for profile in profiles if profile.user_id is not None}


def _renamed(snapshot: Snapshot, current: Snapshot) -> Snapshot:
    return replace(snapshot, inara_name=current.inara_name)
