"""What a run would change, without storing anything but the budget and the pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inara_daemon.answers import Update
from inara_daemon.commander import Record, Standing, lookup_key
from inara_daemon.inara.line import Line, Served, Stopped
from inara_daemon.report import words
from inara_daemon.roster_plan import Plan, Roster, plan
from inara_daemon.service.roster_sync import RosterSync
from inara_daemon.service.services import Services
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.state import roster as memory
from inara_daemon.store.tenant_db import TenantDatabase
from inara_daemon.tenants import Tenant

_NAP_SECONDS = 1.0


@dataclass(slots=True)
class DryRun:
    """One tenant's dry run; `progress` hears (answered, names) whenever it changes."""

    services: Services
    tenant: Tenant
    names: Sequence[str] | None
    progress: Callable[[int, int], None]
    updates: dict[str, Update] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    async def execute(self) -> Mapping[str, Any]:
        """The result as JSON values: `names`, `answered`, `changes`, `not_found`, `ambiguous`, `problems`."""
        try:
            database = TenantDatabase(self.tenant.db_uri, self.services.settings.db_root)
        except DatabaseError as error:
            return self._result(0, [str(error)])
        sync = RosterSync(self.tenant.id, self.services.state, database, self.services.clock)
        try:
            return await self._work(sync)
        except DatabaseError as error:
            return self._result(0, [str(error)])
        finally:
            await database.close()

    async def _work(self, sync: RosterSync) -> Mapping[str, Any]:
        with self.services.desk.reading():
            roster = await sync.read_roster()
            async with self.services.state.read() as connection:
                records = await memory.records(connection, self.tenant.id)
            asked = self._plan(roster, records)
            searches = {key: roster.spellings[key][0].name.strip() for key in (*asked.wanted, *asked.fillers)}
            key = self.tenant.inara_api_key
            line = Line(
                self.tenant.id,
                key,
                self.services.state.fingerprint(key),
                wanted={name: searches[name] for name in asked.wanted},
                fillers={name: searches[name] for name in asked.fillers},
            )
            standing_in_line = self.services.desk.line(line)
        with standing_in_line:
            await self._serve(line, sync, roster, records, len(asked.wanted))
        return self._result(max(len(asked.wanted), len(self.updates)), [])

    def _plan(self, roster: Roster, records: Mapping[str, Record]) -> Plan:
        if self.names is not None:
            keys = sorted({lookup_key(name) for name in self.names} & roster.spellings.keys())
            return Plan(tuple(keys), ())
        return plan(roster, records, first_request=self.services.desk.requests, now=self.services.clock.now())

    async def _serve(
        self, line: Line, sync: RosterSync, roster: Roster, records: Mapping[str, Record], names: int
    ) -> None:
        while True:
            notice = line.heard()
            if isinstance(notice, Served):
                for update in await sync.weigh_answers(notice.outcomes, roster, records, request=notice.request):
                    self.updates[update.key] = update
                self.progress(len(self.updates), names)
            elif notice is not None:
                self.problems.append(notice.text)
                if isinstance(notice, Stopped):
                    return
            elif line.wanted or line.in_flight:
                await line.listen(_NAP_SECONDS)
            else:
                return

    def _result(self, names: int, problems: Sequence[str]) -> Mapping[str, Any]:
        updates = self.updates.values()
        return {
            "names": names,
            "answered": len(self.updates),
            "changes": [
                [item.spellings[0].name, "; ".join(words(change) for change in item.changes)]
                for item in updates
                if item.changes and item.spellings
            ],
            "not_found": _keys(updates, Standing.NOT_FOUND),
            "ambiguous": _keys(updates, Standing.AMBIGUOUS),
            "problems": [*dict.fromkeys(self.problems), *problems],
        }


def _keys(updates: Iterable[Update], standing: Standing) -> list[str]:
    return [item.key for item in updates if item.record.standing is standing]
