"""One run of one tenant: read the names, queue them at the desk, save each reply, end with a report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog

from inara_daemon.commander import Record
from inara_daemon.inara.line import AT_ONCE, NIGHT_SPENT, Line, Notice, Served, Stopped, Trouble
from inara_daemon.nap import nap
from inara_daemon.night import Pace
from inara_daemon.roster_plan import Plan, Roster, newest_event, plan, plan_named
from inara_daemon.service.database_patience import DatabaseGivenUpError, DatabasePatience
from inara_daemon.service.off_the_loop import computed
from inara_daemon.service.roster_sync import RosterSync
from inara_daemon.service.run_ending import OUTCOMES, Ending, shortfall
from inara_daemon.service.run_problems import RunProblems
from inara_daemon.service.run_report import RunEnd, end_run, summarise, tally
from inara_daemon.service.services import Services
from inara_daemon.store.errors import DatabaseError, StateError
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state import runs
from inara_daemon.store.state.runs import Run, RunOutcome, RunReason
from inara_daemon.store.tenant_db import RosterWrite
from inara_daemon.tenants import Tenant

_NAP_SECONDS = 10.0
"""A waiting run looks up at least this often: for its deadline, whatever the clock does, and to show that it lives."""
_TALLY_SECONDS = 2.0
_NAMES_A_TRANSACTION = 2_000
_NAMES_A_SAVE = 200
"""What came while the last answers were saved is saved in one go, but a transaction stays short."""
_SCHEDULED = frozenset({RunReason.CRON, RunReason.CATCH_UP, RunReason.FIRST, RunReason.RELOAD})

_log = structlog.get_logger("inara_daemon.run")


class _Stop(Exception):  # noqa: N818 - not an error
    """Leaves a run from any depth."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


@dataclass(slots=True)
class TenantRun:
    """A run under way; `next_run_at` is for the report."""

    services: Services
    tenant: Tenant
    sync: RosterSync
    run: Run
    next_run_at: Callable[[], datetime | None]
    fingerprint: str
    roster: Roster = field(default_factory=lambda: Roster({}))
    records: dict[str, Record] = field(default_factory=dict)
    patience: DatabasePatience = field(init=False)
    _counts: Mapping[str, int] = field(default_factory=lambda: {"names": 0, "answered": 0})
    _tally_at: float = 0.0
    _problems: RunProblems = field(init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _names_read: bool = False
    _line: Line | None = None
    _give_turn_away: Callable[[], None] = lambda: None
    _backlog: bool = False
    """Rows are written ahead that the tenant's database does not hold, as it is away."""

    def __post_init__(self) -> None:
        self.patience = DatabasePatience(self)
        self._problems = RunProblems(self.services.state, self.run.id, self.note_unwritable)

    def stop(self) -> None:
        """Leave the run open for a successor, once what is under way is saved."""
        self._stopping.set()
        if self._line is not None:
            self._line.poke()

    def counts(self) -> Mapping[str, int]:
        """How far the run was when it last counted: see `tally`."""
        return self._counts

    async def _count(self) -> Mapping[str, int]:
        self._counts = await computed(partial(tally, self.roster, self.records, self.run), len(self.records))
        return self._counts

    async def execute(self) -> bool:
        """Run until there is nothing left to do; whether the run has ended."""
        with structlog.contextvars.bound_contextvars(tenant=self.tenant.id, run=self.run.id):
            try:
                ending = await self._work()
            except _Stop as stop:
                ending = stop.ending
            except DatabaseGivenUpError:
                ending = Ending.DATABASE
            if ending is Ending.HANDED_OVER:
                _log.info("run_handed_over")
                return False
            await self._end(ending)
            return True

    async def _work(self) -> Ending:
        with self.services.desk.reading():
            async with self.services.preparing.turn(begun=True) as give_away:
                self._give_turn_away = give_away
                names = await self._prepare()
            count = len(names.wanted) + len(names.fillers)
            self._line = line = await computed(partial(self._new_line, names), count)
            standing_in_line = self.services.desk.line(line)
        with standing_in_line:
            return await self._serve(line)

    async def _prepare(self) -> Plan:
        """Settle what an earlier run left, read the names, and decide whom to ask for."""
        await self.patience.through(self.sync.apply_pending)
        self.roster = await self._read()
        self._names_read = True
        async with self.services.state.read() as connection:
            self.records = await memory.records(connection, self.tenant.id)
        names = await self._plan()
        if self.run.only is None:
            await self._note_new_names()
        else:
            await self._save_tally()
        _log.info("run_began", reason=self.run.reason.value, names=len(names.wanted), fillers=len(names.fillers))
        return names

    async def _read(self) -> Roster:
        roster = await self.patience.through(self.sync.read_roster)
        for name in roster.too_long:
            _log.warning("name_skipped", name=f"{name[:40]}…", reason="longer than 64 characters")
        return roster

    async def _note_new_names(self) -> None:
        """Whom this run does not reach waits for the next one, and is no discovery in between."""
        counts = await self._count()
        new, newest = await computed(partial(_news, self.roster, self.records), len(self.roster.spellings))
        for start in range(0, max(len(new), 1), _NAMES_A_TRANSACTION):
            async with self.services.state.write() as connection:
                await memory.note_names(connection, self.tenant.id, new[start : start + _NAMES_A_TRANSACTION])
                await memory.save_tenant(connection, self.tenant.id, cursor=newest)
                await runs.save_tally(connection, self.run.id, counts)

    async def _plan(self) -> Plan:
        if self.run.only is not None:
            return plan_named(self.run.only, self.roster, self.records, first_request=self.run.first_request)
        decide = partial(
            plan, self.roster, self.records, first_request=self.run.first_request, now=self.services.clock.now()
        )
        return await computed(decide, len(self.roster.spellings))

    def _searches(self, keys: Collection[str]) -> dict[str, str]:
        return {key: self.roster.spellings[key][0].name.strip() for key in keys}

    def _new_line(self, names: Plan) -> Line:
        settings = self.services.settings
        last_request = None
        if self.run.reason in _SCHEDULED:
            pace = Pace(settings.batch_size, self.services.desk.interval, settings.night_minutes)
            last_request = self.run.first_request + pace.night_requests
        return Line(
            self.tenant.id,
            self.tenant.inara_api_key,
            self.fingerprint,
            self.run.first_request,
            last_request,
            wanted=self._searches((*names.wanted, *names.alone)),
            fillers=self._searches(names.fillers),
            alone=frozenset(names.alone),
            turn=self._turn(),
        )

    def _turn(self) -> int:
        """Whom a night did not reach is first in the next one; for the rest somebody waits."""
        if self.run.reason not in _SCHEDULED:
            return AT_ONCE
        return max((record.answered_request for record in self.records.values()), default=0)

    async def _serve(self, line: Line) -> Ending:
        """Save what the desk hands over until nothing is left to wait for."""
        while True:
            notice = await self._next_notice(line)
            if isinstance(notice, Served):
                await self._save([notice, *line.heard_more(_NAMES_A_SAVE)])
            elif isinstance(notice, Trouble):
                await self.note(notice.failure.value, notice.text)
            elif isinstance(notice, Stopped):
                if notice.reason == NIGHT_SPENT:
                    return Ending.NIGHT_SPENT
                await self.note(notice.reason, self._key_text(notice.text))
                return Ending.KEY_REFUSED
            else:
                return Ending.ANSWERED

    async def _next_notice(self, line: Line) -> Notice | None:
        """What the desk says next; None when all is answered. Leaves the run at its deadline and on a stop."""
        while True:
            self.sync.alive()
            notice = line.heard()
            if notice is not None:
                return notice
            if not line.in_flight:  # what is under way is saved first
                if not line.wanted:
                    return None
                self._check_stop()
                refused = self.services.pauses.refused(self.fingerprint)
                if refused is not None:
                    return Stopped(refused.reason, refused.text)
            await line.listen(_NAP_SECONDS)

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise _Stop(Ending.HANDED_OVER)
        if self.run.deadline is not None and self.services.clock.now() >= self.run.deadline:
            raise _Stop(Ending.DEADLINE)

    def _key_text(self, text: str) -> str:
        return f"Inara refuses the API key {self.fingerprint} of this tenant ({text}): put a valid one into tenant.json"

    async def _save(self, served: Sequence[Served]) -> None:
        """Write ahead, then apply; if the tenant's database is away, wait for it rather than lose the answers."""
        writes = await self.patience.through(lambda: self._write_ahead(served))
        await self.patience.through(lambda: self.sync.apply(writes))
        if self._backlog:
            await self.patience.through(self.sync.apply_pending)
            self._backlog = False
        await self._save_tally()

    async def _write_ahead(self, served: Sequence[Served]) -> Sequence[RosterWrite]:
        updates = await self.sync.weigh_answers(served, self.roster, self.records)
        writes = await self.sync.save(self.run.id, updates)
        self.records.update({update.key: update.record for update in updates})
        for update in updates:
            if update.detail is not None:
                _log.info("name_unresolved", name=update.key, standing=update.record.standing, inara=update.detail)
        return writes

    async def _keep_heard(self) -> None:
        """Write ahead what the desk says while the tenant's database is away: nobody is asked for it again."""
        served = self._line.heard_more(_NAMES_A_SAVE) if self._line is not None else []
        if served and self._line is not None:
            try:
                await self._write_ahead(served)
            except DatabaseError:  # new names are compared with the tenant's rows, which are away
                self._line.put_back(served)
            else:
                self._backlog = True

    async def _save_tally(self) -> None:
        """Let others see how far the run is, now and then."""
        now = asyncio.get_running_loop().time()
        if now < self._tally_at:
            return
        self._tally_at = now + _TALLY_SECONDS
        counts = await self._count()
        try:
            async with self.services.state.write() as connection:
                await runs.save_tally(connection, self.run.id, counts)
        except StateError as error:  # it only informs, and the next one says more
            self.note_unwritable(error)
        _log.info("run_progress", answered=counts["answered"], names=counts["names"])

    async def wait(self, seconds: float) -> None:
        """Let time pass while a database is away; leaves the run at its deadline and on a stop."""
        self._give_turn_away()
        end = asyncio.get_running_loop().time() + seconds
        while (remaining := end - asyncio.get_running_loop().time()) > 0:
            await self._keep_heard()
            self._check_stop()
            self.sync.alive()
            await nap(self._stopping, min(_NAP_SECONDS, remaining))

    async def note(self, kind: str, text: str) -> None:
        """Keep a problem for the report."""
        await self._problems.add(kind, text)

    def note_unwritable(self, error: StateError) -> None:
        """Say that the daemon's own database is away."""
        self.services.desk.note_unwritable(error)

    async def _end(self, ending: Ending) -> None:
        counts = await self._count()
        outcome = await self._note_shortfall(ending)
        await self._problems.store()  # what went wrong while the state was away as well
        async with self.services.state.read() as connection:
            run = await runs.load(connection, self.run.id) or self.run
            records = await memory.records(connection, self.tenant.id)
        told = await computed(partial(summarise, run, self.roster, records), len(records))
        await self.services.store_log_lines()
        async with self.services.state.write() as connection:
            end = RunEnd(
                run=run,
                outcome=outcome,
                summary=told,
                ended_at=self.services.clock.now(),
                next_run_at=self.next_run_at(),
                clock=self.services.clock,
                names_read=self._names_read,
            )
            reason = await end_run(connection, self.tenant, end)
        told_because = "not told" if reason is None else reason.value
        _log.info("run_ended", outcome=outcome.value, ending=ending.value, report=told_because, **counts)
        if reason is not None:
            self.services.wake_outbox()

    async def _note_shortfall(self, ending: Ending) -> RunOutcome:
        """How the run ended, with the reason noted where it isn't complete."""
        if ending is not Ending.ANSWERED:
            counts = self.counts()
            pause = self.services.pauses.in_force(self.fingerprint)
            paused = None if pause is None else pause.reason
            text = shortfall(ending, counts, paused=paused, night_minutes=self.services.settings.night_minutes)
            if text is not None:
                await self.note("incomplete", text)
            _log.warning("run_incomplete", ending=ending.value, answered=counts["answered"], names=counts["names"])
        return OUTCOMES[ending]


def _news(roster: Roster, records: Mapping[str, Record]) -> tuple[list[str], int]:
    """The names that nobody has noted yet, and the newest event."""
    newest = max((newest_event(spellings) for spellings in roster.spellings.values()), default=0)
    return sorted(roster.spellings.keys() - records.keys()), newest
