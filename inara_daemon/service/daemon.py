"""The process that stays: stands by or leads, reloads, tells systemd, and stops in order. Knows no signals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from inara_daemon.nap import nap
from inara_daemon.service.duty import Duty
from inara_daemon.service.engine import Engine, House
from inara_daemon.service.systemd import Systemd
from inara_daemon.settings import ConfigurationError
from inara_daemon.store.state.lock import EngineLock
from inara_daemon.tenants import ReloadPlan, Tenants

STANDBY_SECONDS = 1.0
"""How often a process that stands by tries to take over."""
_STATUS_SECONDS = 10.0

_log = structlog.get_logger("inara_daemon.daemon")


@dataclass(slots=True)
class Health:
    """What the health page shows."""

    state: str = "starting"
    reload_ok: bool = True
    reload_error: str | None = None
    reloaded_at: datetime | None = None
    silent: tuple[str, ...] = ()
    status: str = ""

    @property
    def healthy(self) -> bool:
        """Whether every part makes progress."""
        return not self.silent

    @property
    def ready(self) -> bool:
        """Whether this process leads and works."""
        return self.state == "leading" and self.healthy


@dataclass(slots=True)
class Daemon:
    """`read_tenants` reads tenant.json anew; `serve_web` opens the health page once this process leads."""

    house: House
    lock: EngineLock
    systemd: Systemd
    read_tenants: Callable[[], Tenants]
    serve_web: Callable[[Health], Awaitable[Callable[[], Awaitable[None]]]]
    health: Health = field(default_factory=Health)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _reload_wanted: bool = False
    _engine: Engine | None = None

    def stop(self) -> None:
        """Leave in good order."""
        self._stopping.set()
        self._changed.set()

    def reload(self) -> None:
        """Read tenant.json again; any number of calls in a row are one."""
        self._reload_wanted = True
        self._changed.set()

    async def run(self) -> bool:
        """Stand by until nobody else leads, then lead until stopped; False if the lead was lost.

        Raises ConfigurationError, DatabaseError.
        """
        tenants = self.read_tenants()
        watchdog = asyncio.create_task(self._watch(), name="watchdog")
        try:
            if not await self._take_the_lead():
                return True
            if self.health.state == "standing by":
                tenants = self._read_again() or tenants  # it may have changed while we waited
            return await self._lead(tenants)
        finally:
            watchdog.cancel()
            await asyncio.gather(watchdog, return_exceptions=True)
            await self.lock.release()

    async def _take_the_lead(self) -> bool:
        while not await self.lock.acquire():
            if self.health.state != "standing by":
                self._enter("standing by")
                _log.info("standing_by", reason="another process leads with this state database")
                self.systemd.ready("standing by: another process leads")
            if await nap(self._stopping, STANDBY_SECONDS):
                return False
        return not self._stopping.is_set()

    async def _lead(self, tenants: Tenants) -> bool:
        engine = Engine(self.house, tenants, Duty.SCHEDULE)
        lost = asyncio.create_task(self.lock.keep(), name="lock")
        lost.add_done_callback(lambda _: self._changed.set())
        close_web = await self.serve_web(self.health)
        try:
            await engine.start()
            self._engine = engine
            self._enter("leading")
            _log.info("engine_started", tenants=len(tenants.tenants), state=self.house.state.place)
            self.systemd.ready(self._status())
            await self._serve(engine, lost)
            return not lost.done()
        finally:
            self._enter("stopping")
            self.systemd.stopping("saving what is under way")
            if self._engine is not None:
                await engine.stop()
                self._engine = None
                _log.info("engine_stopped")
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)
            await close_web()

    async def _serve(self, engine: Engine, lost: asyncio.Task[str]) -> None:
        """Reload when asked, until stopped or until the lead is lost."""
        while not self._stopping.is_set() and not lost.done():
            self._changed.clear()
            if self._reload_wanted:
                await self._reload(engine)
            else:
                await self._changed.wait()
        if lost.done():
            _log.critical("lead_lost", reason=lost.result(), action="this process ends")

    async def _reload(self, engine: Engine) -> None:
        """All or nothing: on any error the old configuration stays as it was."""
        self._reload_wanted = False
        self.systemd.reloading()
        tenants = self._read_again()
        if tenants is not None:
            plan = await self._unless_stopped(engine.reload(tenants))
            if plan is None:
                return
            _log.info(
                "configuration_reloaded" if not plan.is_empty else "nothing_changed",
                added=[tenant.id for tenant in plan.added],
                removed=[tenant.id for tenant in plan.removed],
                changed={change.new.id: list(change.fields) for change in plan.changed},
            )
        self.systemd.ready(self._status())

    def _read_again(self) -> Tenants | None:
        """What tenant.json says now; None if it is refused, which health and log then say."""
        self.health.reloaded_at = self.house.clock.now()
        try:
            tenants = self.read_tenants()
        except ConfigurationError as error:
            problems = [str(problem) for problem in error.problems]
            _log.error("reload_refused", problems=problems, action="the old configuration stays in force")
            self.health.reload_ok, self.health.reload_error = False, "; ".join(problems)
            return None
        self.health.reload_ok, self.health.reload_error = True, None
        return tenants

    async def _unless_stopped(self, work: Coroutine[Any, Any, ReloadPlan]) -> ReloadPlan | None:
        """Wait for a reload, which may wait for a slow answer, but not while the service must stop."""
        reloading = asyncio.create_task(work, name="reload")
        stopping = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait({reloading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return await reloading if reloading.done() else None
        finally:
            for task in (reloading, stopping):
                task.cancel()

    def _enter(self, state: str) -> None:
        self.health.state = state
        self.health.status = self._status()

    async def _watch(self) -> None:
        """Feed systemd's watchdog for as long as every part makes progress, and keep its status line true."""
        period = min((self.systemd.watchdog_seconds or 3 * _STATUS_SECONDS) / 3, _STATUS_SECONDS)
        shown = ""
        while True:
            silent = tuple(part for part in self.house.progress.silent() if not part.startswith("tenant "))
            if silent and silent != self.health.silent:
                _log.critical("progress_stalled", parts=silent)
            self.health.silent = silent
            if not silent:
                self.systemd.keep_alive()
            if self.health.state == "leading" and (status := self._status()) != shown:
                shown = self.health.status = status
                self.systemd.status(status)
            await asyncio.sleep(period)

    def _status(self) -> str:
        """One line for people: what goes on."""
        if self._engine is None or self.health.state != "leading":
            return self.health.state
        tasks = self._engine.supervisor.tasks
        count = len(self._engine.tenants.tenants)
        parts = [f"{count} tenant{'' if count == 1 else 's'}"]
        running = {tenant_id: task.current.counts() for tenant_id, task in tasks.items() if task.current is not None}
        if running:
            answered = sum(counts["answered"] for counts in running.values())
            names = sum(counts["names"] for counts in running.values())
            parts.append(f"{len(running)} running ({answered:,} of {names:,} commanders)")
        parts += [f"paused: {pause.reason}" for pause in self._engine.pauses.all_in_force()]
        coming = [task.timetable.next_at for task in tasks.values() if task.timetable.next_at is not None]
        if coming:
            parts.append(f"next run {min(coming):%Y-%m-%d %H:%M} UTC")
        if not self.health.reload_ok:
            parts.append("last reload refused")
        return "; ".join(parts)
