"""`status --name`: what is known of a commander, whether it is due, why, and what holds it up."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from inara_daemon.cli.cost import NO_ANSWER_YET, cost_of, next_asking, next_run_at, remembered_roster
from inara_daemon.cli.exits import Exit
from inara_daemon.cli.screen import console, details, moment, plain
from inara_daemon.cli.why import STANDINGS, held_until, place_in_words, reason_in_words, request_of
from inara_daemon.commander import Record, lookup_key
from inara_daemon.inara.budget import Budget
from inara_daemon.inara.pauses import Pauses
from inara_daemon.night import Asking, Pace
from inara_daemon.roster_plan import PARTS, Part, Plan, Reason, Roster, Spelling, gather, plan, reason_for
from inara_daemon.service.engine import House
from inara_daemon.service.run_report import reports
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state import runs
from inara_daemon.store.state.runs import Run, RunReason
from inara_daemon.store.tenant_db import TenantDatabase
from inara_daemon.tenants import Tenant

_AT_ONCE = 8
"""Databases read at the same time."""
_SHOWN_SPELLINGS = 5
_NEAR_SPELLINGS = 3
_NOWHERE = "neither the events nor the memory have the name"


@dataclass(frozen=True, slots=True)
class _Sighting:
    """One commander as one tenant knows it; `reason` None: the tenant's events can't be read."""

    key: str
    spellings: tuple[Spelling, ...]
    record: Record
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at one tenant's events and at the memory of it brought.

    `plan` is of the full run under way, which is `run`, or else of the next one; `asking` always of the next one.
    `ran`: it has begun a full run before; else the first one begins at once.
    """

    tenant: Tenant
    ran: bool
    run: Run | None
    plan: Plan
    asking: Asking
    sightings: Mapping[str, _Sighting]
    spelt: Mapping[str, str]
    problem: str | None


@dataclass(slots=True)
class CommanderStatus:
    """Looks commanders up; `askings` is what every tenant's next run asks, by tenant id, as far as known."""

    house: House
    budget: Budget
    pauses: Pauses
    askings: dict[str, Asking]
    _left_over: Mapping[str, int] = field(default_factory=dict)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def show(self, tenants: Sequence[Tenant], names: Sequence[str]) -> int:
        """Print what each of these tenants knows of each name; 1 if nobody knows one or a database can't be read."""
        asked = {lookup_key(name): name for name in names}
        looks = await asyncio.gather(*(self._look(tenant, asked.keys()) for tenant in tenants))
        fresh = {look.tenant.id: look.asking for look in looks}
        cost = cost_of((self.askings | fresh).values(), self.house.settings)
        self._left_over = cost.left_over()
        code: int = Exit.WELL
        for key, name in asked.items():
            known = [look for look in looks if key in look.sightings]
            for look in known:
                self._print(look, look.sightings[key], name, cost.pace)
            if not known:
                _print_unknown(key, name, looks)
                code = Exit.TROUBLE
        for look in looks:
            if look.problem is not None:
                console.print("problem:", plain(f"tenant {look.tenant.id}: {look.problem}"), style="red")
                code = Exit.TROUBLE
        return code

    async def _look(self, tenant: Tenant, keys: Iterable[str]) -> _Look:
        async with self._turns:
            async with self.house.state.read() as connection:
                records = await memory.records(connection, tenant.id)
                run = await runs.open_run(connection, tenant.id)
                ran = await runs.latest(connection, tenant.id, full=True) is not None
            roster, problem = await self._read(tenant)
        full = run if run is not None and reports(run) else None
        events = roster if roster is not None else remembered_roster(records)
        now = self.house.clock.now()
        first_request = NO_ANSWER_YET if full is None else full.first_request
        then = now if full is not None else next_run_at(tenant, now) or now
        sightings = {}
        for key in keys:
            spellings = _spellings(key, events)
            if spellings or key in records:
                reason = reason_for(key, events, records, first_request=first_request, now=then)
                record = records.get(key, Record())
                sightings[key] = _Sighting(key, spellings, record, None if roster is None else reason)
        return _Look(
            tenant,
            ran,
            full,
            plan(events, records, first_request=first_request, now=then),
            next_asking(tenant, events, records, now),
            sightings,
            {key: spellings[0].name if spellings else key for key, spellings in events.spellings.items()},
            problem,
        )

    async def _read(self, tenant: Tenant) -> tuple[Roster | None, str | None]:
        """The commanders in the tenant's events, or why they can't be read."""
        try:
            database = TenantDatabase(tenant.db_uri, self.house.settings.db_root)
            return gather([spelling async for chunk in database.spellings() for spelling in chunk]), None
        except DatabaseError as error:
            return None, str(error)

    def _print(self, look: _Look, seen: _Sighting, name: str, pace: Pace) -> None:
        record, newest = seen.record, max((spelling.event_id for spelling in seen.spellings), default=0)
        shown = seen.spellings[0].name.strip() if seen.spellings else name
        rows = [
            ("in the events", _spelt(seen)),
            ("standing", STANDINGS[record.standing]),
            ("last answer", _answered(record)),
            ("misses", f"{record.misses:,} in a row" if record.misses else "none"),
        ]
        if seen.reason is not None:
            rows.append(("newest event", _events(newest, record)))
            rows.append(("next run", self._next_run(look)))
            rows.append(("why", reason_in_words(seen.reason, record)))
            rows.append(("place", self._place(look, seen.key, seen.reason, pace)))
        rows += [("held up", text) for text in self._obstacles(look, seen, pace)]
        console.print(plain(f'"{shown}" at {look.tenant.id}'), style="bold")
        console.print(details(rows), "")

    def _place(self, look: _Look, key: str, reason: Reason, pace: Pace) -> str:
        return place_in_words(key, reason, look.plan, pace, has_neighbours=len(self.askings) > 1)

    def _next_run(self, look: _Look) -> str:
        if look.run is not None:
            return f"under way: {look.run.reason.value} run {look.run.id}"
        if not look.ran:
            return "at once"
        return f"{moment(next_run_at(look.tenant, self.house.clock.now()))} UTC"

    def _obstacles(self, look: _Look, seen: _Sighting, pace: Pace) -> list[str]:
        """What keeps a request for this name from leaving when it could."""
        fingerprint = self.house.state.fingerprint(look.tenant.inara_api_key)
        found = []
        pause = self.pauses.in_force(fingerprint)
        if pause is not None:
            until = held_until(pause, self.pauses.wait_seconds(fingerprint), self.house.clock.now())
            found.append(f"no request leaves {until}: {pause.reason}: {pause.text}")
        if seen.reason is not None and PARTS[seen.reason] is Part.WANTED:
            night = self._night_limit(look, seen, pace)
            found += [night] if night is not None else []
        return found

    def _night_limit(self, look: _Look, seen: _Sighting, pace: Pace) -> str | None:
        """Whether the night is most likely over before this name's turn."""
        if look.run is None:
            left = self._left_over.get(look.tenant.id, 0)
            names = len(look.plan.wanted) + len(look.plan.alone)
            if look.plan.wanted.index(seen.key) < names - left:
                return None
            return f"the night is most likely over before its turn: about {names - left:,} of {names:,} names fit"
        if look.run.reason is RunReason.REQUEST:  # which no night limits
            return None
        requests = max(look.run.first_request + pace.night_requests - self.budget.requests, 0)
        if request_of(seen.key, look.plan, pace) <= requests:
            return None
        return f"the night is over before its turn: {requests:,} requests are left, for all tenants together"


def _spellings(key: str, roster: Roster) -> tuple[Spelling, ...]:
    """How the events spell a name, also if it is too long to be asked for."""
    too_long = tuple(Spelling(name, 0) for name in roster.too_long if lookup_key(name) == key)
    return roster.spellings.get(key, ()) or too_long


def _spelt(seen: _Sighting) -> str:
    if seen.reason is None:
        return "can't be read: see below"
    shown = [f'"{spelling.name}"' for spelling in seen.spellings[:_SHOWN_SPELLINGS]]
    more = len(seen.spellings) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more spellings" if more > 0 else "") or "no event carries it"


def _events(newest: int, record: Record) -> str:
    then = f"{record.last_event_id:,} at the last answer" if record.answered_at is not None else "never answered"
    return f"{newest:,}; {then}" if newest else f"none; {then}"


def _answered(record: Record) -> str:
    if record.answered_at is None:
        return "never"
    return f"{moment(record.answered_at)} UTC, by request {record.answered_request:,}"


def _print_unknown(key: str, name: str, looks: Sequence[_Look]) -> None:
    """Nobody knows the name: who might be meant."""
    spelt = {known: name for look in looks for known, name in look.spelt.items()}
    near = [f'"{spelt[known]}"' for known in difflib.get_close_matches(key, spelt, n=_NEAR_SPELLINGS)]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    who = f"Tenant {looks[0].tenant.id} does not know" if len(looks) == 1 else "No tenant knows"
    unread = any(look.problem is not None for look in looks)
    where = "the memory does not have the name, and not all events can be read" if unread else _NOWHERE
    console.print(plain(f'{who} a commander "{name}": {where}.{hint}'))
