"""Brings log lines to the channels: into the state as soon as they come, and to Discord at a bearable pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from inara_daemon.clock import Clock
from inara_daemon.log_lines import digest_report, next_digest
from inara_daemon.nap import nap
from inara_daemon.report import to_json
from inara_daemon.service import undelivered
from inara_daemon.service.logbook import Logbook
from inara_daemon.store.errors import StateError
from inara_daemon.store.state import log_buffers, outbox, runs
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.outbox import OPERATOR

GATHER_SECONDS = 1.0
"""How long lines gather before they are stored: what a crash may cost."""
LOOK_SECONDS = 60.0
"""How often to look again for whom a run, or an earlier message, is in the way."""
_IDLE_SECONDS = 600.0


@dataclass(slots=True)
class LogCourier:
    """`whose` names the channel of a destination, None if it has none now; `reaches` says whether it can be reached.

    `delivers`: between runs too.
    """

    state: StateDatabase
    logbook: Logbook
    clock: Clock
    whose: Callable[[str], str | None]
    reaches: Callable[[str], bool]
    wake_outbox: Callable[[], None]
    delivers: bool
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _adopted: bool = False
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _storing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Work until stopped."""
        loop = asyncio.get_running_loop()

        def note_news() -> None:
            loop.call_soon_threadsafe(self._news.set)

        self.logbook.on_news = note_news
        try:
            while not self._stopping.is_set():
                self._news.clear()
                wait = await self._deliver() if await self.store() and self.delivers else LOOK_SECONDS
                if await nap(self._news, wait):
                    await nap(self._stopping, GATHER_SECONDS)
        finally:
            self.logbook.on_news = lambda: None

    async def stop(self) -> None:
        """Store what is left and leave."""
        self._stopping.set()
        self._news.set()
        await self.store()

    async def store(self) -> bool:
        """Put every line into the state; False if that can't be written, and the lines wait on."""
        async with self._storing:
            taken = self.logbook.take()
            wanted = {name: lines for name, lines in taken.items() if self.whose(name) is not None}
            if not wanted:
                return True
            try:
                async with self.state.write() as connection:
                    for destination, (lines, left_out) in wanted.items():
                        await log_buffers.add(connection, destination, lines, self.clock, held_back=left_out)
            except BaseException as error:
                for destination, (lines, left_out) in wanted.items():
                    self.logbook.put(destination, lines, left_out)
                if isinstance(error, StateError):  # the desk says so
                    return False
                raise
            return True

    async def _deliver(self) -> float:
        """Queue a message for whoever may have one now; returns the seconds until it is worth looking again."""
        try:
            if not self._adopted:
                async with self.state.write() as connection:
                    await log_buffers.adopt(connection, self.clock)
                self._adopted = True
            async with self.state.read() as connection:
                waiting = await log_buffers.waiting(connection, self.clock)
                busy = await runs.reporting(connection) | await outbox.underway(connection) if waiting else set()
            waits = [LOOK_SECONDS if waiting else _IDLE_SECONDS]
            for destination, buffer in waiting.items():
                whose, now = self.whose(destination), self.clock.boottime()
                wait = buffer.allowance.ready_at(now) - now
                if whose is None:
                    await self._forget(destination)
                elif destination not in busy and self.reaches(destination):
                    if wait <= 0:
                        await self._deliver_to(destination, whose)
                    else:
                        waits.append(wait)
        except StateError:
            return LOOK_SECONDS
        return max(min(waits), GATHER_SECONDS)

    async def _forget(self, destination: str) -> None:
        async with self.state.write() as connection:
            await log_buffers.forget(connection, destination)

    async def _deliver_to(self, destination: str, whose: str) -> None:
        async with self.state.write() as connection:
            buffer = await log_buffers.load(connection, destination, self.clock)
            digest = next_digest(buffer.lines, buffer.allowance, self.clock.boottime())
            if digest is None:
                return  # a run's report has told it meanwhile
            # A tenant's losses are named by its reports; the operator has none.
            losses = await outbox.losses(connection, destination) if destination == OPERATOR else []
            now = self.clock.now()
            report = digest_report(digest, whose, now, lost=undelivered.in_words(losses))
            number = await outbox.enqueue(connection, tenant_id=destination, body=to_json(report), now=now)
            await outbox.tell_losses(connection, [loss.id for loss in losses], told_in=number)
            await log_buffers.settle(connection, destination, digest, self.clock)
        self.wake_outbox()
