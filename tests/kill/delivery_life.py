"""What a life has around the product's deliveries: all that is replaced there stands in this file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import aiohttp
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.notify import channels, discord, lane
from inara_daemon.notify.channel import SendResult
from inara_daemon.notify.discord import DiscordChannel
from inara_daemon.report import Report
from inara_daemon.report_reason import Reason
from inara_daemon.secret import Secret
from inara_daemon.service import tenant_run, tenant_task
from inara_daemon.service.run_ending import Ending
from inara_daemon.service.run_report import RunEnd, end_run
from inara_daemon.service.tenant_run import TenantRun
from inara_daemon.store.state.outbox import OutboxTable
from inara_daemon.tenants import Tenant
from tests.kill.board import Work
from tests.kill.patch import Marks, replace

TIMEOUT_SECONDS = 0.6
"""The deadline of a hurried attempt."""
ATTEMPTS = 3
"""How many a hurried message has."""
SLOWEST_TURN_SECONDS = 0.3
_SLOW_REPORT_SECONDS = 0.02
_SLOW_STATE_SECONDS = 0.004


@dataclass(slots=True)
class _Step:
    """How far one report is, on the board."""

    marks: Marks
    work: Work | None = None

    def enter(self, work: Work | None) -> None:
        before, self.work = self.work, work
        if work is not None:
            self.marks.board.begin(self.marks.slot, work)
        if before is not None:
            self.marks.board.end(self.marks.slot, before)


_step: ContextVar[_Step] = ContextVar("_step")
"""Of what a task is amid: aiohttp tells of requests, and not of whose they are."""


def mark(marks: Marks, *, slowest_turn: float = 0.0) -> None:
    """Let the board know how far each report is on its way, and let it dawdle there.

    `slowest_turn` seconds may pass before a message is begun, or all lanes would be amid an attempt at the same time,
    and one kill would leave them all in doubt.
    """
    _mark_run_ends(marks)
    _mark_attempts(marks)
    begin = marks.amid(Work.NOTE, OutboxTable.begin, slowest=_SLOW_STATE_SECONDS)

    async def begin_in_turn(table: OutboxTable, message_id: int, attempt: str) -> str | None:
        await marks.dawdle(slowest_turn)
        return await begin(table, message_id, attempt)

    replace(OutboxTable, "begin", begin_in_turn)
    for name in ("put_back", "settle", "give_up", "bury_webhook", "hold"):
        replace(OutboxTable, name, marks.amid(Work.SETTLE, getattr(OutboxTable, name)))


def _mark_run_ends(marks: Marks) -> None:
    """From the first statement of the transaction that ends a run until it is committed."""
    end = TenantRun._end

    async def marked_end(run: TenantRun, ending: Ending) -> None:
        step = _Step(marks)
        _step.set(step)
        try:
            await end(run, ending)
        finally:
            step.enter(None)

    async def marked_end_run(connection: AsyncConnection, tenant: Tenant, ended: RunEnd) -> Reason | None:
        _step.get().enter(Work.RUN_END)
        reason = await end_run(connection, tenant, ended)
        await marks.dawdle(_SLOW_STATE_SECONDS)
        return reason

    replace(TenantRun, "_end", marked_end)
    replace(tenant_run, "end_run", marked_end_run)


def _mark_attempts(marks: Marks) -> None:
    send = DiscordChannel.send

    async def send_slowly(channel: DiscordChannel, url: Secret, report: Report, *, plain: bool = False) -> SendResult:
        step = _Step(marks)
        _step.set(step)
        marks.board.begin(marks.slot, Work.REPORT)
        step.enter(Work.UNSENT)
        try:
            await marks.dawdle(_SLOW_REPORT_SECONDS)
            result = await send(channel, url, report, plain=plain)
            step.enter(Work.TOLD)
            await marks.dawdle(_SLOW_REPORT_SECONDS)
            return result
        finally:
            step.enter(None)
            marks.board.end(marks.slot, Work.REPORT)

    open_session = discord._open_session
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_entering(marks, Work.SENT))
    trace.on_request_end.append(_entering(marks, Work.TOLD))
    trace.on_request_exception.append(_entering(marks, Work.TOLD))
    trace.freeze()

    def open_traced_session() -> aiohttp.ClientSession:
        session = open_session()
        session.trace_configs.append(trace)
        return session

    replace(DiscordChannel, "send", send_slowly)
    replace(discord, "_open_session", open_traced_session)


def _entering(marks: Marks, work: Work) -> Callable[..., Awaitable[None]]:
    async def enter(_session: aiohttp.ClientSession, _context: SimpleNamespace, _parameters: object) -> None:
        _step.get().enter(work)
        if work is Work.SENT:
            await marks.dawdle(_SLOW_STATE_SECONDS)

    return enter


def hurry() -> None:
    """Let seconds and hours of waiting pass within a campaign of minutes; a run begins soon after its hour came."""
    replace(tenant_task, "_NAP_SECONDS", 0.1)
    replace(lane, "RETRY_DELAYS", (0.05, 0.1, 0.2, 0.4))
    replace(lane, "HOURLY", 0.4)
    replace(lane, "LIMITED_DELAYS", (0.0, 0.05, 0.1, 0.2, 0.4))
    replace(lane, "ATTEMPTS", ATTEMPTS)
    replace(channels, "DiscordChannel", partial(DiscordChannel, timeout=TIMEOUT_SECONDS))
