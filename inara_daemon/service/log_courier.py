"""Brings log lines to the channels: into the state as soon as they come, and to Discord at a bearable pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from inara_daemon.clock import Clock
from inara_daemon.log_lines import digest_report, next_digest
from inara_daemon.nap import nap
from inara_daemon.report import to_json
from inara_daemon.service.logbook import Logbook
from inara_daemon.store.errors import StateError
from inara_daemon.store.state import log_buffers, outbox, runs
from inara_daemon.store.state.database import StateDatabase

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
            except StateError:  # the desk says so
                for destination, (lines, left_out) in wanted.items():
                    self.logbook.put(destination, lines, left_out)
                return False
            return True

    async def _deliver(self) -> float:
        """Queue a message for whoever may have one now; returns the seconds until it is worth looking again."""
        try:
            if not self._adopted:
                async with self.state.write() as connection:
                    await log_buffers.adopt(connection, self.clock)
                self._adopted = True
            async with self.state.read() as connection:
                waiting = await log_buffers.destinations(connection)
                busy = await runs.reporting(connection) | await outbox.underway(connection) if waiting else set()
            ready = [name for name in waiting if name not in busy and (self.whose(name) is None or self.reaches(name))]
            waits = [await self._deliver_to(name) for name in ready]
        except StateError:
            return LOOK_SECONDS
        return min([*waits, LOOK_SECONDS] if waiting else [_IDLE_SECONDS])

    async def _deliver_to(self, destination: str) -> float:
        whose = self.whose(destination)
        async with self.state.write() as connection:
            if whose is None:
                await log_buffers.forget(connection, destination)
                return _IDLE_SECONDS
            buffer = await log_buffers.load(connection, destination, self.clock)
            now = self.clock.boottime()
            digest = next_digest(buffer.lines, buffer.allowance, now)
            if digest is None:
                return max(buffer.allowance.ready_at(now) - now, GATHER_SECONDS)
            at = self.clock.now()
            body = to_json(digest_report(digest, whose, at))
            await outbox.enqueue(connection, tenant_id=destination, body=body, now=at)
            await log_buffers.settle(connection, destination, digest, self.clock)
        self.wake_outbox()
        return LOOK_SECONDS
