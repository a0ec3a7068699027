"""Keeps a task alive for every tenant: starts, restarts after a bug, replaces on reload, drains at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from inara_daemon.nap import nap
from inara_daemon.service.schedule import Schedule
from inara_daemon.service.services import Services
from inara_daemon.service.tenant_task import RunRequest, TenantTask
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.state import runs
from inara_daemon.store.state.runs import RunOutcome, RunReason
from inara_daemon.tenants import ReloadPlan, Tenant, Tenants

RESTART_DELAYS = (1.0, 5.0, 30.0, 120.0, 300.0)
"""Seconds until a tenant's task that crashed is started again; the last one repeats."""
STATE_DELAY = 5.0
"""Seconds until a task that could not use the state database is started again: no fault of the tenant's."""
STUCK_SECONDS = 180.0
"""A tenant's task without a sign of life for so long is stuck: no wait of its own is longer than a transaction."""
_WATCH_SECONDS = 10.0

_log = structlog.get_logger("inara_daemon.supervisor")


@dataclass(slots=True)
class _Supervised:
    tenant: Tenant
    fresh_reason: RunReason | None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    live: TenantTask | None = None
    runner: asyncio.Task[None] | None = None
    guard: asyncio.Task[None] | None = None
    crashes: int = 0
    trouble: str | None = None


class Supervisor:
    """One named task per tenant, each on its own: no tenant's trouble reaches another."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tenants: dict[str, _Supervised] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._on_schedule = False
        self._ids: set[str] = set()
        """Whom the configuration names, also while their tasks are being replaced."""
        self._schedule = Schedule(self._wake_all)
        self._alive = services.progress.watch("supervisor", patience=6 * _WATCH_SECONDS)

    def start(self, tenants: Tenants, *, on_schedule: bool) -> None:
        """Start a task for each tenant; without `on_schedule` they only run when somebody asks."""
        self._on_schedule = on_schedule
        self._ids = {tenant.id for tenant in tenants.tenants}
        if on_schedule:
            self._schedule.start(_expressions(tenants.tenants))
        for tenant in tenants.tenants:
            self._add(tenant, RunReason.FIRST if on_schedule else None)

    async def run(self) -> None:
        """Watch for tasks that are stuck, until cancelled."""
        if self._on_schedule:
            await self._end_runs_of_absent()
        while True:
            self._alive()
            for part in self._services.progress.silent("tenant "):
                await self._restart_stuck(part.removeprefix("tenant "))
            await asyncio.sleep(_WATCH_SECONDS)

    async def apply(self, plan: ReloadPlan) -> None:
        """Touch only the tenants that the plan names, each on its own, after what it has under way."""
        self._ids |= {tenant.id for tenant in plan.added}
        self._ids -= {tenant.id for tenant in plan.removed}
        for tenant in plan.added:
            self._add(tenant, RunReason.RELOAD)
        await asyncio.gather(
            *(self._replace(change.new) for change in plan.changed),
            *(self._remove(tenant.id) for tenant in plan.removed),
        )
        if plan.removed:
            await self._end_runs_of_absent()
        self._schedule.replace(_expressions(item.tenant for item in self._tenants.values()))

    async def _replace(self, tenant: Tenant) -> None:
        await self._remove(tenant.id)
        self._add(tenant, RunReason.RELOAD)

    async def _end_runs_of_absent(self) -> None:
        """A removed tenant's run ends without a report, whether it was removed by a reload or while nobody led."""
        try:
            async with self._services.state.write() as connection:
                for run in await runs.open_runs(connection):
                    if run.tenant_id not in self._ids:
                        now = self._services.clock.now()
                        await runs.end(connection, run.id, ended_at=now, outcome=RunOutcome.INCOMPLETE, tally=run.tally)
                        _log.info("run_dropped", tenant=run.tenant_id, run=run.id, reason="the tenant was removed")
        except DatabaseError as error:
            _log.error("runs_left_open", error=str(error))

    async def stop(self) -> None:
        """Let every task save what it has under way and leave."""
        self._schedule.stop()
        await asyncio.gather(*(self._remove(tenant_id) for tenant_id in tuple(self._tenants)))
        if self._leaving:  # a reload that was interrupted
            await asyncio.wait(self._leaving)

    def ask(self, tenant_id: str, request: RunRequest) -> bool:
        """Queue a run for somebody outside; False for a tenant that isn't there."""
        item = self._tenants.get(tenant_id)
        if item is None or item.live is None:
            return False
        item.live.ask(request)
        return True

    def trouble(self, tenant_id: str) -> str | None:
        """Why a tenant's task is not there right now; None if it is, or is about to be."""
        item = self._tenants.get(tenant_id)
        return None if item is None or item.live is not None else item.trouble

    @property
    def tasks(self) -> dict[str, TenantTask]:
        """The tenants' tasks that are alive, by tenant id."""
        return {tenant_id: item.live for tenant_id, item in self._tenants.items() if item.live is not None}

    def _wake_all(self) -> None:
        for item in self._tenants.values():
            if item.live is not None:
                item.live.wake()

    def _add(self, tenant: Tenant, fresh_reason: RunReason | None) -> None:
        item = _Supervised(tenant, fresh_reason)
        self._tenants[tenant.id] = item
        item.guard = asyncio.create_task(self._guard(item), name=f"guard {tenant.id}")

    async def _guard(self, item: _Supervised) -> None:
        """Run the tenant's task, again after a crash, until told to stop."""
        part = f"tenant {item.tenant.id}"
        while not item.stopping.is_set():
            alive = self._services.progress.watch(part, patience=STUCK_SECONDS)
            item.runner = None
            try:
                item.live = TenantTask(self._services, item.tenant, item.fresh_reason, alive)
                item.runner = asyncio.create_task(item.live.live(), name=part)
                await asyncio.wait({item.runner})
                problem = None if item.runner.cancelled() else item.runner.exception()
            except Exception as error:  # noqa: BLE001 - an unusable URL, or a bug: either is this tenant's alone
                problem = error
            finally:
                self._services.progress.forget(part)
                item.live = None
            if item.stopping.is_set():
                return
            if item.runner is not None and isinstance(problem, DatabaseError):
                self._services.desk.note_unwritable(problem)  # a run waits for the tenant's own database by itself
                item.trouble = str(problem)
                await nap(item.stopping, STATE_DELAY)
                continue
            await self._note_crash(item, problem)
            delay = RESTART_DELAYS[min(item.crashes, len(RESTART_DELAYS) - 1)]
            item.crashes += 1
            await nap(item.stopping, delay)

    async def _note_crash(self, item: _Supervised, problem: BaseException | None) -> None:
        """A line in the journal with the traceback, and one in the tenant's report."""
        what = "the task was stuck and was restarted"
        if problem is not None:  # its text may hold anything, and goes to Discord
            what = self._services.redactor.clean(f"{type(problem).__name__}: {problem}")
        if isinstance(problem, DatabaseError):
            _log.error("tenant_unusable", tenant=item.tenant.id, failure=problem.failure.value, error=str(problem))
        else:
            _log.error("tenant_crashed", tenant=item.tenant.id, error=what, exc_info=problem)
        item.trouble = what
        try:
            async with self._services.state.write() as connection:
                run = await runs.open_run(connection, item.tenant.id)
                if run is not None:
                    kind = "state" if isinstance(problem, DatabaseError) else "bug"
                    await runs.add_problem(connection, run.id, kind, what)
        except DatabaseError as error:
            _log.error("crash_unnoted", tenant=item.tenant.id, error=str(error))

    async def _restart_stuck(self, tenant_id: str) -> None:
        item = self._tenants.get(tenant_id)
        if item is None or item.runner is None or item.runner.done():
            return
        _log.error("tenant_stuck", tenant=tenant_id, seconds=STUCK_SECONDS, action="its task is restarted")
        item.runner.cancel()

    async def _remove(self, tenant_id: str) -> None:
        item = self._tenants.pop(tenant_id, None)
        if item is None:
            return
        item.stopping.set()
        if item.live is not None:
            item.live.stop()
        if item.guard is not None:
            self._leaving.add(item.guard)
            item.guard.add_done_callback(self._leaving.discard)
            await asyncio.wait({item.guard})

    async def abort(self) -> tuple[str, ...]:
        """Cancel what did not leave in time; returns the tenants' ids."""
        left = [task for task in asyncio.all_tasks() if task.get_name().startswith(("tenant ", "guard "))]
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1.0) if left else None
        return tuple(sorted({task.get_name().partition(" ")[2] for task in left}))


def _expressions(tenants: Iterable[Tenant]) -> frozenset[str]:
    return frozenset(tenant.schedule for tenant in tenants)
