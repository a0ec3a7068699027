"""Owns everything while it holds the state database: budget, desk, outbox, tenants, requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog

from inara_daemon.clock import Clock
from inara_daemon.inara.budget import Budget
from inara_daemon.inara.client import InaraClient, open_session
from inara_daemon.inara.desk import Desk
from inara_daemon.inara.pauses import Pauses
from inara_daemon.inara.wire import Application
from inara_daemon.notify.channel import Channel
from inara_daemon.notify.channels import open_channels
from inara_daemon.notify.outbox import Outbox
from inara_daemon.service.duty import Duty
from inara_daemon.service.garbage import Garbage
from inara_daemon.service.log_courier import LogCourier
from inara_daemon.service.logbook import Logbook, Redactor
from inara_daemon.service.progress import Progress
from inara_daemon.service.request_desk import RequestDesk
from inara_daemon.service.services import Services
from inara_daemon.service.supervisor import Supervisor
from inara_daemon.settings import Secret, Settings
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.state.budget import BudgetTable
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.outbox import OPERATOR, OutboxTable
from inara_daemon.tenants import ReloadPlan, Tenants, plan_reload, secret_texts

REQUEST_SECONDS = 60.0
"""The deadline of one request to Inara."""
DRAIN_SECONDS = 20.0
"""How long a stop waits for the request under way."""
LEAVE_SECONDS = 6.0
"""How long a stop waits for the tenants' tasks, and for the outbox."""
CANCEL_SECONDS = 2.0
"""How long a stop waits for what it has cancelled."""
_RESTART_DELAYS = (1.0, 5.0, 30.0, 120.0)
_DESK_PATIENCE = REQUEST_SECONDS + 60.0
_OUTBOX_PATIENCE = 120.0

_log = structlog.get_logger("inara_daemon.engine")


@dataclass(frozen=True, slots=True)
class House:
    """What exists before an engine does."""

    settings: Settings
    clock: Clock
    state: StateDatabase
    redactor: Redactor
    logbook: Logbook
    progress: Progress


class Engine:
    """The one that talks to Inara and Discord, as far as its duty goes."""

    def __init__(self, house: House, tenants: Tenants, duty: Duty) -> None:
        self._house = house
        self._duty = duty
        self.tenants = tenants
        self._by_id = {tenant.id: tenant for tenant in tenants.tenants}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sessions: list[aiohttp.ClientSession] = []
        self._channels: tuple[Channel, ...] = ()

    async def start(self) -> None:
        """Take over from the engine before and begin to work. Raises DatabaseError."""
        house, settings = self._house, self._house.settings
        house.redactor.know(settings.secret_texts() | secret_texts(self.tenants))
        application = Application(settings.app_name or "inara-daemon", settings.app_version)
        table = BudgetTable(house.state)
        budget = Budget(table, house.clock, rate=settings.requests_per_minute, deadline=REQUEST_SECONDS)
        self.pauses = Pauses(table, house.clock, application=application.name)
        await budget.start()
        await self.pauses.start()  # nothing below can fail, so that there is nothing to undo
        to_inara = open_session()
        self._sessions = [to_inara]
        self._channels = open_channels(version=settings.app_version, boottime=house.clock.boottime)
        self.desk = Desk(
            budget,
            self.pauses,
            InaraClient(to_inara, settings.inara_url, application, house.clock.now, timeout=REQUEST_SECONDS),
            batch_size=settings.batch_size,
            alive=house.progress.watch("desk", patience=_DESK_PATIENCE),
            quiet=Garbage(time.monotonic).collect,
        )
        self.outbox = Outbox(
            OutboxTable(house.state),
            self._channels,
            webhook=self._webhook,
            fingerprint=house.state.fingerprint,
            clock=house.clock,
            alive=house.progress.watch("outbox", patience=_OUTBOX_PATIENCE),
        )
        self._courier = LogCourier(
            house.state,
            house.logbook,
            house.clock,
            whose=self._whose_channel,
            reaches=self.outbox.reaches,
            wake_outbox=self.outbox.wake,
            delivers=self._duty is Duty.SCHEDULE,
        )
        services = Services(
            settings=settings,
            clock=house.clock,
            state=house.state,
            desk=self.desk,
            pauses=self.pauses,
            progress=house.progress,
            redactor=house.redactor,
            wake_outbox=self.outbox.wake,
            store_log_lines=self._courier.store,
        )
        self.supervisor = Supervisor(services)
        self._requests = RequestDesk(services, self.supervisor, lambda: self._by_id, self._duty)
        parts: dict[str, Callable[[], Awaitable[None]]] = {"desk": self.desk.run, "requests": self._requests.run}
        if self._duty >= Duty.DELIVERY:
            parts["outbox"] = self.outbox.run
            parts["logs"] = self._courier.run
        if self._duty >= Duty.RUNS:
            self.supervisor.start(self.tenants, on_schedule=self._duty is Duty.SCHEDULE)
            parts["supervisor"] = self.supervisor.run
        if self._duty is Duty.SCHEDULE:
            self._tell_tenants()
        for name, run in parts.items():
            self._tasks[name] = asyncio.create_task(_keep_running(name, run), name=name)

    def _webhook(self, tenant_id: str) -> Secret | None:
        if tenant_id == OPERATOR:
            return self._house.settings.operator_webhook
        tenant = self._by_id.get(tenant_id)
        return None if tenant is None else tenant.webhook

    def _whose_channel(self, destination: str) -> str | None:
        """Whose channel a destination has; None: it has none."""
        if self._webhook(destination) is None:
            return None
        tenant = self._by_id.get(destination)
        return "Inara daemon" if tenant is None else tenant.name

    def _tell_tenants(self) -> None:
        """Say what is odd about the tenants: nothing is skipped in silence."""
        for skipped in self.tenants.skipped:
            _log.warning("tenant_skipped", label=skipped.label, reason=skipped.reason)
        for warning in self.tenants.warnings:
            _log.warning("tenant_odd", warning=warning)

    async def reload(self, tenants: Tenants) -> ReloadPlan:
        """Go on with other tenants, touching only those that changed; an operator's sign to ask Inara again."""
        self._house.redactor.know(secret_texts(tenants))
        plan = plan_reload(self.tenants, tenants)
        self.tenants = tenants
        self._by_id = {tenant.id: tenant for tenant in tenants.tenants}
        try:
            if await self.pauses.lift_not_whitelisted():
                _log.info("pause_lifted", reason="asked again after a reload")
        except DatabaseError as error:
            _log.error("pause_unsaved", error=str(error))
        self.desk.wake()
        for warning in plan.warnings:
            _log.warning("reload_odd", warning=warning)
        self.outbox.reload()
        await self.supervisor.apply(plan)
        self._tell_tenants()
        return plan

    async def stop(self) -> None:
        """Save what is under way and leave, each step bounded; says what had to be left."""
        self.desk.stop()
        await self._within(DRAIN_SECONDS, "request under way", self._join("desk"))
        await self._within(CANCEL_SECONDS, "requests", self._leave_requests())
        await self._within(CANCEL_SECONDS, "desk", self._cancel("desk", "requests", "supervisor"))
        if not await self._within(LEAVE_SECONDS, "tenants", self.supervisor.stop()):
            _log.error("tenants_abandoned", tenants=await self.supervisor.abort())
        await self._within(LEAVE_SECONDS, "outbox", self._leave_outbox())
        await self._within(CANCEL_SECONDS, "logs", self._leave_logs())
        await self._within(CANCEL_SECONDS, "outbox", self._cancel("outbox", "logs"))
        for channel in self._channels:
            await self._within(CANCEL_SECONDS, channel.name, channel.close())
        for session in self._sessions:
            await session.close()

    async def _leave_requests(self) -> None:
        await self._requests.stop()
        await self._join("requests")

    async def _leave_outbox(self) -> None:
        await self.outbox.stop()
        await self._join("outbox")

    async def _leave_logs(self) -> None:
        await self._courier.stop()
        await self._join("logs")

    async def _join(self, name: str) -> None:
        task = self._tasks.get(name)
        if task is not None:
            await asyncio.wait({task})

    async def _cancel(self, *names: str) -> None:
        tasks = [self._tasks.pop(name) for name in names if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _within(self, seconds: float, what: str, work: Coroutine[Any, Any, None]) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError:
            _log.warning("stop_abandoned", what=what, seconds=seconds)
            return False
        return True


async def _keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a part of the engine, again after a bug in it, until it ends by itself or is cancelled."""
    for crash in range(1_000_000):
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - a bug in one part must not end the others
            delay = _RESTART_DELAYS[min(crash, len(_RESTART_DELAYS) - 1)]
            _log.exception("part_crashed", part=name, error=f"{type(error).__name__}: {error}", restart_in=delay)
            await asyncio.sleep(delay)
        else:
            return
