"""A loop on which waiting costs nothing: when nothing can happen, its clock jumps to the next timer.

It never jumps while a database's thread or an executor works, and gives sockets a few real milliseconds before it
does, so that loopback servers answer first. The wall clock follows, for whoever reads it (the scheduler does).
"""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any

import aiosqlite.core
import time_machine

from inara_daemon.clock import Clock

START = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
"""Half an hour before the nightly run."""
GRACE_SECONDS = 0.004
"""What open connections get before each jump."""
ABANDONED_SECONDS = 5.0
"""Real seconds; no question to a database takes as long here."""
_BOOTED_SECONDS_AGO = 5_000.0
_real_seconds = time.perf_counter  # which the time machine leaves alone


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time` is virtual."""

    _default_executor: Any

    def __init__(self) -> None:
        self._in_flight: dict[asyncio.Future[Any], float] = {}
        self.seconds = 0.0
        self.followers: list[Callable[[float], None]] = []
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.seconds

    def jump(self, seconds: float) -> None:
        """Let time pass for the loop and for whoever follows it."""
        self.seconds += seconds
        for follow in self.followers:
            follow(seconds)

    def watch(self, future: asyncio.Future[Any]) -> None:
        """Don't jump before this is done."""
        self._in_flight[future] = _real_seconds()
        future.add_done_callback(lambda done: self._in_flight.pop(done, None))

    @property
    def works(self) -> bool:
        """Whether a thread works for this loop; a thread that ended with its last question open is not waited for."""
        now = _real_seconds()
        return any(now - since < ABANDONED_SECONDS for since in self._in_flight.values())

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - asyncio's own
        """Wait for the threads in real time: the deadline of newer Pythons would pass at once here."""
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=True)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """As ever, but time stands still meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self.watch(future)
        return future


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop
        self._connections: set[int] = set()
        self._own_end: int | None = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        if self._own_end is None:
            self._own_end = key.fd  # what the loop wakes itself with
        elif not _is_listening(key.fd):
            self._connections.add(key.fd)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._connections.discard(key.fd)
        return key

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        happened = super().select(GRACE_SECONDS if self._connections or self._loop.works else 0)
        if not happened and not self._loop.works:
            self._loop.jump(timeout)
        return happened


def _is_listening(descriptor: int) -> bool:
    """Whether it is a server's socket: everybody who could connect to it runs on this very loop."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as end:
            return bool(end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


class _WatchedQueue(SimpleQueue):  # type: ignore[type-arg]
    """What aiosqlite hands to its thread, watched by the loop that waits for it."""

    def put_nowait(self, item: Any) -> None:
        future = item[0]
        loop = future.get_loop() if future is not None else None
        if isinstance(loop, VirtualTimeLoop):
            loop.watch(future)
        super().put_nowait(item)


@contextmanager
def following_wall_clock(start: datetime = START) -> Iterator[None]:
    """Within the block `datetime.now` starts at `start` and moves with the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with time_machine.travel(start, tick=False) as traveller:
        owed = 0.0

        def follow(seconds: float) -> None:
            # The wall clock knows no less than a microsecond: what is left of a step belongs to the next one.
            nonlocal owed
            step = timedelta(seconds=owed + seconds)
            owed += seconds - step.total_seconds()
            traveller.shift(step)

        loop.followers.append(follow)
        try:
            yield
        finally:
            loop.followers.remove(follow)


def virtual_clock(boot_id: str = "boot-1") -> Clock:
    """A clock that reads the running virtual loop."""
    loop = asyncio.get_running_loop()
    return Clock(now=lambda: datetime.now(UTC), boottime=lambda: loop.time() + _BOOTED_SECONDS_AGO, boot_id=boot_id)


def loop_factories(*, virtual: bool) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio's hook."""
    aiosqlite.core.SimpleQueue = _WatchedQueue  # type: ignore[attr-defined]
    return {"virtual": VirtualTimeLoop} if virtual else {"real": asyncio.new_event_loop}
