"""The socket on which systemd hears of its services."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class NotifySocket:
    """What was heard: each message with its time, in seconds of CLOCK_MONOTONIC."""

    heard: list[tuple[float, str]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def ready(self, *, since: float, within: float) -> float:
        """When READY=1 was first heard after `since`. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                self._news.clear()
                for at, text in self.heard:
                    if at >= since and "READY=1" in text.splitlines():
                        return at
                await self._news.wait()

    def hear(self, text: str) -> None:
        """Note a message that has just come."""
        self.heard.append((time.monotonic(), text))
        self._news.set()


@contextmanager
def listening(path: Path) -> Iterator[NotifySocket]:
    """Listen on this path for the length of the block."""
    path.unlink(missing_ok=True)
    notify = NotifySocket()
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as end:
        end.bind(str(path))
        loop.add_reader(end, lambda: notify.hear(end.recv(4096).decode()))
        try:
            yield notify
        finally:
            loop.remove_reader(end)
