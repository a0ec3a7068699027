"""One tenant's life: resume what was left open, then wait for the next reason to run."""

from __future__ import annotations

import asyncio
import math
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from inara_daemon.commander import lookup_key
from inara_daemon.inara.pauses import PauseReason
from inara_daemon.nap import nap
from inara_daemon.problem_memory import is_due
from inara_daemon.service.discovery import Discovery
from inara_daemon.service.roster_sync import RosterSync
from inara_daemon.service.run_report import reports
from inara_daemon.service.schedule import Timetable
from inara_daemon.service.services import Services
from inara_daemon.service.tenant_run import TenantRun
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.state import roster as memory
from inara_daemon.store.state import runs
from inara_daemon.store.state.runs import Run, RunReason
from inara_daemon.store.tenant_db import TenantDatabase
from inara_daemon.tenants import Tenant

_NAP_SECONDS = 120.0
"""An idle tenant looks up at least this often, to show that it lives."""
_SHORTEST_NAP_SECONDS = 0.001
"""A wait may be too short for a float to tell."""
_PUNCTUAL = timedelta(minutes=5)
"""A run that begins later than this after its time is said to catch up."""
_log = structlog.get_logger("inara_daemon.tenant")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Somebody asks for a run; `names` None means the whole roster. `done` gets the id of the run that served it."""

    request_id: int
    names: tuple[str, ...] | None
    done: asyncio.Future[int]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The next run: why, and for whom."""

    reason: RunReason
    only: tuple[str, ...] | None = None
    request: RunRequest | None = None


@dataclass(slots=True)
class TenantTask:
    """What lives as long as the tenant does.

    `fresh_reason` is why a tenant that never ran runs at once; None: it only runs when somebody outside asks.
    """

    services: Services
    tenant: Tenant
    fresh_reason: RunReason | None
    alive: Callable[[], None]
    timetable: Timetable = field(init=False)
    current: TenantRun | None = None
    _database: TenantDatabase = field(init=False)
    _requests: deque[RunRequest] = field(default_factory=deque)
    _serving: list[RunRequest] = field(default_factory=list)
    _stopping: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _fresh: bool = False
    _discover_at: float = 0.0
    _discovery_failing: bool = False
    _news: Discovery = field(init=False)

    def __post_init__(self) -> None:
        self.timetable = Timetable(self.tenant.schedule)
        self._database = TenantDatabase(self.tenant.db_uri, self.services.settings.db_root, self.services.engines)
        self._news = Discovery(self.tenant.id, self.services.state, self._database)

    def stop(self) -> None:
        """Leave after what is under way is saved."""
        self._stopping = True
        if self.current is not None:
            self.current.stop()
        self._changed.set()

    def wake(self) -> None:
        """Look at the timetable, if there is something to see."""
        if self.timetable.wants_a_look(self.services.clock.now()):
            self._changed.set()

    def ask(self, request: RunRequest) -> None:
        """Run for somebody outside, however often asked; a full run under way serves whoever asks for one."""
        if request in self._serving or request in self._requests:
            return
        if self.current is not None and self._serves(self.current.run, request):
            self._serving.append(request)
        else:
            self._requests.append(request)
            self._changed.set()

    async def live(self) -> None:
        """Run whenever there is a reason to, until stopped."""
        with structlog.contextvars.bound_contextvars(tenant=self.tenant.id):
            with self.services.desk.reading():  # from the start, or a neighbour's first batch leaves half empty
                async with self.services.preparing.turn():
                    left_open = await self._begin()
            if left_open is not None:
                await self._execute(left_open)
            while not self._stopping:
                self.alive()
                self._changed.clear()
                wanted = await self._next_wanted()
                if wanted is None:
                    until_discovery = self._discover_at - asyncio.get_running_loop().time()
                    await nap(self._changed, min(_NAP_SECONDS, max(until_discovery, _SHORTEST_NAP_SECONDS)))
                else:
                    await self._run(wanted)

    async def _begin(self) -> Run | None:
        """Take up the tenant's memory; returns the run that an engine before left open."""
        async with self.services.state.read() as connection:
            row = await memory.load_tenant(connection, self.tenant.id)
            left_open = await runs.open_run(connection, self.tenant.id)
            latest = await runs.latest(connection, self.tenant.id, full=True)
        if row is None or row.database != self._database.identity:
            async with self.services.state.write() as connection:
                row = await memory.adopt_tenant(connection, self.tenant.id, self._database.identity)
        self._fresh = row.last_full_at is None or (latest is not None and self._key_was_replaced(latest))
        self.timetable.start(row.last_full_at, self.services.clock.now())
        self._put_off_discovery(share=_share(self.tenant.id))
        self._news.start(row.cursor)
        return left_open

    async def _next_wanted(self) -> _Wanted | None:
        """The next reason to run, the most urgent first."""
        now = self.services.clock.now()
        if self._requests:
            request = self._requests.popleft()
            only = None if request.names is None else tuple(sorted({lookup_key(name) for name in request.names}))
            return _Wanted(RunReason.REQUEST, only, request)
        if self.fresh_reason is None:
            return None
        if self._fresh:
            return _Wanted(self.fresh_reason)
        scheduled = self.timetable.next_at
        if self.timetable.is_due(now):
            late = scheduled is not None and now - scheduled > _PUNCTUAL
            if await self._refusal_was_told():
                _log.info("run_skipped", reason="the tenant's API key is refused, as reported")
                await self._note_full_run(now)
                return None
            return _Wanted(RunReason.CATCH_UP if late else RunReason.CRON)
        return await self._discover()

    def _key_was_replaced(self, latest: Run) -> bool:
        """Whether the last run failed because of a key that the tenant has no more."""
        texts = [text for kind, text in latest.problems if kind == PauseReason.BAD_KEY]
        return latest.ended_at is not None and any(self._fingerprint not in text for text in texts)

    async def _refusal_was_told(self) -> bool:
        """Whether a report of the last days already said that Inara refuses this very key."""
        pause = self.services.pauses.refused(self._fingerprint)
        if pause is None:
            return False
        async with self.services.state.read() as connection:
            latest = await runs.latest(connection, self.tenant.id, full=True)
        if latest is None or is_due(latest.started_at, self.services.clock.now()):
            return False
        return any(kind == pause.reason and self._fingerprint in text for kind, text in latest.problems)

    @property
    def _fingerprint(self) -> str:
        return self.services.state.fingerprint(self.tenant.inara_api_key)

    def _put_off_discovery(self, share: float = 1.0) -> None:
        minutes = self.services.settings.discover_minutes
        self._discover_at = asyncio.get_running_loop().time() + minutes * 60 * share if minutes else math.inf

    async def _discover(self) -> _Wanted | None:
        """Look for commanders who appeared in the events since the last look."""
        if asyncio.get_running_loop().time() < self._discover_at:
            return None
        self._put_off_discovery()
        if self.services.pauses.refused(self._fingerprint) is not None:
            return None
        try:
            new = await self._news.look()
        except DatabaseError as error:
            if not self._discovery_failing:
                _log.warning("discovery_failed", failure=error.failure.value, error=str(error))
            self._discovery_failing = True
            return None
        if self._discovery_failing:
            _log.info("discovery_recovered")
            self._discovery_failing = False
        return _Wanted(RunReason.DISCOVERY, new) if new else None

    @property
    def _sync(self) -> RosterSync:
        return RosterSync(self.tenant.id, self.services.state, self._database, self.services.clock, self.alive)

    async def _run(self, wanted: _Wanted) -> None:
        async with self._turn() as has_turn:
            if not has_turn:
                return  # whoever asked asks the successor
            with self.services.desk.reading():
                async with self.services.preparing.turn():
                    run = await self._open_run(wanted)
            if wanted.request is not None:
                self._serving.append(wanted.request)
            await self._execute_in_turn(run)

    async def _open_run(self, wanted: _Wanted) -> Run:
        now = self.services.clock.now()
        async with self.services.state.write() as connection:
            if wanted.only is None:
                await memory.save_tenant(connection, self.tenant.id, last_full_at=now)
            return await runs.start(
                connection,
                tenant_id=self.tenant.id,
                reason=wanted.reason,
                started_at=now,
                deadline=self.timetable.next_at,
                first_request=self.services.desk.requests,
                request_id=wanted.request.request_id if wanted.request is not None else None,
                only=wanted.only,
            )

    async def _note_full_run(self, now: datetime) -> None:
        async with self.services.state.write() as connection:
            await memory.save_tenant(connection, self.tenant.id, last_full_at=now)

    async def _execute(self, run: Run) -> None:
        async with self._turn() as has_turn:
            if has_turn:
                await self._execute_in_turn(run)

    async def _execute_in_turn(self, run: Run) -> None:
        if run.only is None:
            self._fresh = False
        joining = [request for request in self._requests if self._serves(run, request)]
        self._serving.extend(joining)
        self._requests = deque(request for request in self._requests if request not in joining)
        self.current = TenantRun(
            self.services, self.tenant, self._sync, run, lambda: self.timetable.next_at, self._fingerprint
        )
        try:
            ended = await self.current.execute()
        finally:
            self.current = None
            self._news.start(None)
        if ended:
            for request in self._serving:
                if not request.done.done():
                    request.done.set_result(run.id)
            self._serving.clear()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[bool]:
        """Wait until no other tenant's run works in the same database; False if told to stop meanwhile."""
        turn = self.services.database_turns[self._database.identity]
        if turn.locked():
            _log.info("run_waits", reason="another tenant's run is under way in the same database")
        while turn.locked() and not self._stopping:
            self.alive()
            await nap(self._changed, 1.0)
            self._changed.clear()
        if self._stopping:
            yield False
        else:
            async with turn:
                yield True

    def _serves(self, run: Run, request: RunRequest) -> bool:
        """Whether a run under way does what is asked: a full run serves whoever asks for one, while it has time."""
        if run.request_id == request.request_id:
            return True
        has_time = run.deadline is None or self.services.clock.now() < run.deadline
        return request.names is None and reports(run) and has_time


def _share(tenant_id: str) -> float:
    """Where in the interval a tenant's first look falls: always the same, and another one for each tenant."""
    return (zlib.crc32(tenant_id.encode()) % 1_000 + 1) / 1_000
