"""A loop on which waiting costs nothing: when nothing can happen, its clock jumps to the next timer.

It never jumps while a database's thread or an executor works, and gives sockets a few real milliseconds before it
does, so that loopback servers answer first. The wall clock follows, for whoever reads it (the scheduler does).
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any

import aiosqlite.core
import pytest
import time_machine

from inara_daemon.clock import Clock

START = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
"""Half an hour before the nightly run."""
GRACE_SECONDS = 0.004
_BOOTED_SECONDS_AGO = 5_000.0


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time` is virtual; `grace` in real seconds is what sockets get before each jump."""

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self.grace = grace
        self.in_flight: set[asyncio.Future[Any]] = set()
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
        self.in_flight.add(future)
        future.add_done_callback(self.in_flight.discard)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """As ever, but time stands still meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self.watch(future)
        return future


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        happened = super().select(self._loop.grace)
        if not happened and not self._loop.in_flight:
            self._loop.jump(timeout)
        return happened


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

        def follow(seconds: float) -> None:
            traveller.shift(timedelta(seconds=seconds))

        loop.followers.append(follow)
        try:
            yield
        finally:
            loop.followers.remove(follow)


def virtual_clock(boot_id: str = "boot-1") -> Clock:
    """A clock that reads the running virtual loop."""
    loop = asyncio.get_running_loop()
    return Clock(now=lambda: datetime.now(UTC), boottime=lambda: loop.time() + _BOOTED_SECONDS_AGO, boot_id=boot_id)


def lonely_loop() -> VirtualTimeLoop:
    """A loop without sockets: no jump waits for them."""
    return VirtualTimeLoop(grace=0.0)


def loop_factories(marker: pytest.Mark | None) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For pytest-asyncio's hook: the loop that `virtual_time`, or `virtual_time(sockets=False)`, asks for."""
    aiosqlite.core.SimpleQueue = _WatchedQueue  # type: ignore[attr-defined]
    if marker is None:
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualTimeLoop if marker.kwargs.get("sockets", True) else lonely_loop}
