"""What a run would change, without storing anything but the budget and the pauses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from inara_daemon.answers import Update
from inara_daemon.change_words import words
from inara_daemon.commander import Record, Standing, lookup_key
from inara_daemon.inara.line import AT_ONCE, Line, Served, Stopped
from inara_daemon.roster_plan import Plan, Roster, plan, plan_named
from inara_daemon.service.off_the_loop import computed
from inara_daemon.service.roster_sync import RosterSync
from inara_daemon.service.services import Services
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.state import roster as memory
from inara_daemon.store.tenant_db import TenantDatabase
from inara_daemon.tenants import Tenant

_NAP_SECONDS = 1.0


@dataclass(slots=True)
class DryRun:
    """One tenant's dry run."""

    services: Services
    tenant: Tenant
    names: Sequence[str] | None
    updates: dict[str, Update] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _wanted: int = 0
    _set_aside: tuple[str, ...] = ()

    def counts(self) -> Mapping[str, int]:
        """How far it is: `answered` of `names`."""
        return {"answered": len(self.updates), "names": max(self._wanted, len(self.updates))}

    async def execute(self) -> Mapping[str, Any]:
        """The result as JSON values.

        `names`, `answered`, `changes`, `not_found`, `ambiguous`, `set_aside`, `problems`.
        """
        try:
            database = TenantDatabase(self.tenant.db_uri, self.services.settings.db_root, self.services.engines)
        except DatabaseError as error:
            return self._result([str(error)])
        sync = RosterSync(self.tenant.id, self.services.state, database, self.services.clock)
        try:
            return await self._work(sync)
        except DatabaseError as error:
            return self._result([str(error)])

    async def _work(self, sync: RosterSync) -> Mapping[str, Any]:
        with self.services.desk.reading():
            roster = await sync.read_roster()
            async with self.services.state.read() as connection:
                records = await memory.records(connection, self.tenant.id)
            asked = await computed(partial(self._plan, roster, records), len(roster.spellings))
            self._wanted = len(asked.wanted)
            self._set_aside = asked.alone  # a look is not worth a request that Inara most likely refuses
            searches = {key: roster.spellings[key][0].name.strip() for key in (*asked.wanted, *asked.fillers)}
            key = self.tenant.inara_api_key
            line = Line(
                self.tenant.id,
                key,
                self.services.state.fingerprint(key),
                self.services.desk.requests,
                wanted={name: searches[name] for name in asked.wanted},
                fillers={name: searches[name] for name in asked.fillers},
                turn=AT_ONCE,
            )
            standing_in_line = self.services.desk.line(line)
        with standing_in_line:
            await self._serve(line, sync, roster, records)
        return self._result([])

    def _plan(self, roster: Roster, records: Mapping[str, Record]) -> Plan:
        if self.names is not None:
            return plan_named(sorted(lookup_key(name) for name in self.names), roster, records)
        return plan(roster, records, first_request=self.services.desk.requests, now=self.services.clock.now())

    async def _serve(self, line: Line, sync: RosterSync, roster: Roster, records: Mapping[str, Record]) -> None:
        while True:
            notice = line.heard()
            if isinstance(notice, Served):
                for update in await sync.weigh_answers([notice], roster, records):
                    self.updates[update.key] = update
            elif notice is not None:
                self.problems.append(notice.text)
                if isinstance(notice, Stopped):
                    return
            elif not (line.wanted or line.in_flight):
                return
            elif (refused := self.services.pauses.refused(line.fingerprint)) is not None:
                self.problems.append(f"{refused.reason}: {refused.text}")
                return
            else:
                await line.listen(_NAP_SECONDS)

    def _result(self, problems: Sequence[str]) -> Mapping[str, Any]:
        updates = self.updates.values()
        return {
            **self.counts(),
            "changes": [
                [item.spellings[0].name, "; ".join(words(change) for change in item.changes)]
                for item in updates
                if item.changes and item.spellings
            ],
            "not_found": _keys(updates, Standing.NOT_FOUND),
            "ambiguous": _keys(updates, Standing.AMBIGUOUS),
            "set_aside": [*self._set_aside, *_keys(updates, Standing.SET_ASIDE)],
            "problems": [*dict.fromkeys(self.problems), *problems],
        }


def _keys(updates: Iterable[Update], standing: Standing) -> list[str]:
    return [item.key for item in updates if item.record.standing is standing]
