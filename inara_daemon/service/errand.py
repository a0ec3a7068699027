"""Asks the engine for something, or becomes the engine for as long as that takes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from inara_daemon.service.duty import Duty, duty_for
from inara_daemon.service.engine import Engine, House
from inara_daemon.store.state import outbox
from inara_daemon.store.state.lock import EngineLock, engine_lock
from inara_daemon.store.state.outbox import MessageStatus
from inara_daemon.store.state.requests import Request, RequestKind, RequestTable
from inara_daemon.tenants import Tenants

POLL_SECONDS = 0.5
_ON_ITS_WAY = frozenset({MessageStatus.WAITING.value, MessageStatus.SENDING.value})


class HeldError(Exception):
    """Something holds the errand back, for `seconds` if that is known, so that it can't be done now."""

    def __init__(self, reason: str, seconds: float | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Progress:
    """What the engine says while it works; `leading`: the engine is this very process."""

    leading: bool
    taken: bool
    values: Mapping[str, Any]


class Errand:
    """A request to whoever is the engine; if nobody is, or the engine dies, this process takes over."""

    def __init__(self, house: House, tenants: Tenants) -> None:
        self._house = house
        self._tenants = tenants
        self._lock: EngineLock = engine_lock(house.state)
        self._table = RequestTable(house.state)
        self._engine: Engine | None = None
        self._keeping: asyncio.Task[str] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._step_down()
        finally:
            await self._lock.release()

    async def ask(
        self, kind: RequestKind, arguments: Mapping[str, Any], on_progress: Callable[[Progress], None]
    ) -> Mapping[str, Any]:
        """Ask and wait for the result. Raises HeldError rather than wait for a pause or a database."""
        request_id = await self._table.ask(kind, arguments, self._house.clock.now())
        try:
            while True:
                await self._lead_if_nobody_does(duty_for(kind))
                request = await self._table.load(request_id)
                if request is None:
                    raise HeldError("the request was dropped", None)
                if request.result is not None:
                    return request.result
                on_progress(Progress(self._engine is not None, request.taken, request.progress))
                _refuse_to_wait(request)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await self._table.forget(request_id)

    async def _lead_if_nobody_does(self, duty: Duty) -> None:
        if self._keeping is not None and self._keeping.done():
            await self._step_down()  # another process leads now, and serves the request
        if self._engine is None and await self._lock.acquire():
            self._keeping = asyncio.create_task(self._lock.keep(), name="lock")
            engine = Engine(self._house, self._tenants, duty)
            await engine.start()
            self._engine = engine

    async def _step_down(self) -> None:
        engine, self._engine = self._engine, None
        keeping, self._keeping = self._keeping, None
        try:
            if engine is not None:
                await engine.stop()
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    async def reports_delivered(self, run_ids: Mapping[str, int], seconds: float) -> Mapping[str, Mapping[str, Any]]:
        """The same for the reports of runs; a run without a report is missing."""
        async with self._house.state.read() as connection:
            rows = {name: await outbox.of_run(connection, run_id) for name, run_id in run_ids.items()}
        return await self.delivered({name: row["id"] for name, row in rows.items() if row is not None}, seconds)

    async def delivered(self, message_ids: Mapping[str, int], seconds: float) -> Mapping[str, Mapping[str, Any]]:
        """Wait for the first delivery of messages; what is known of each when they are settled or time is over."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            async with self._house.state.read() as connection:
                known = {name: await outbox.load(connection, number) for name, number in message_ids.items()}
            rows = {name: row for name, row in known.items() if row is not None}
            under_way = [row for row in rows.values() if row["status"] in _ON_ITS_WAY and not row["attempts"]]
            if not under_way or asyncio.get_running_loop().time() > end:
                return rows
            await asyncio.sleep(POLL_SECONDS)


def _refuse_to_wait(request: Request) -> None:
    """Leave when every tenant that isn't done waits for the end of a pause, or for its database to come back."""
    waiting = [each for each in request.progress.get("tenants", {}).values() if not each["done"]]
    if not waiting or not all(each.get("paused") or each.get("trouble") for each in waiting):
        return
    paused = [each for each in waiting if each.get("paused")]
    if not paused:
        raise HeldError("; ".join(dict.fromkeys(each["trouble"] for each in waiting)), None)
    soonest = min(paused, key=lambda each: math.inf if each["next_request_in"] is None else each["next_request_in"])
    raise HeldError(soonest["paused"], soonest["next_request_in"])
