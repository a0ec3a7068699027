"""Turns for work that all tenants want to do at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

AT_ONCE = 8
PATIENCE_SECONDS = 1.0
"""How long a turn keeps others waiting: whoever is held up by a slow database goes on beside the next one."""


class Turns:
    """A few at a time; who is halfway through goes before those who begin, so that the first are soon ready."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._beginners = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, *, begun: bool = False) -> AsyncIterator[Callable[[], None]]:
        """Wait for a turn and hold it for the length of the block, but not beyond everybody's patience.

        Gives what ends the turn before: whoever only waits holds up nobody.
        """
        async with AsyncExitStack() as queue:
            if not begun:  # all beginners but one queue here
                await queue.enter_async_context(self._beginners)
            await self._free.acquire()
        held = True

        def give_away() -> None:
            nonlocal held
            if held:
                held = False
                self._free.release()

        timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, give_away)
        try:
            yield give_away
        finally:
            timer.cancel()
            give_away()
