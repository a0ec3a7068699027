"""The one token bucket: capacity 1, kept across restarts, so that no two requests arrive too close.

A token comes every `60 / rate` seconds and a thirtieth more. A grant moves the next token to the request's deadline
plus the interval, the answer moves it to the answer plus the interval: wherever between the two a request arrives
at Inara, the next one arrives at least an interval later, however slow the network is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from inara_daemon.clock import Clock

MARGIN = 1 / 30
"""What is added to the interval, as its fraction: clocks and networks differ a little."""


class BudgetStore(Protocol):
    """What the budget needs of the state database; any exception means: nothing was granted."""

    async def load(self) -> Mapping[str, Any] | None:
        """The stored `boot_id`, `base`, `open` and `requests`, if there are any."""

    async def start(self, *, boot_id: str, base: float) -> None:
        """Store the starting point."""

    async def grant(self, *, seen: int, boot_id: str, base: float) -> bool:
        """Store that request `seen + 1` is under way, unless the row changed since."""

    async def settle(self, *, number: int, base: float) -> None:
        """Store that request `number` is over, unless another one was granted since."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to send one request, `number` in the life of the state database."""

    number: int
    previous_base: float


class Budget:
    """The bucket of the running engine.

    `deadline` is the longest that a request may take, in seconds; times are CLOCK_BOOTTIME seconds, which count
    suspend and which no clock step moves.
    """

    def __init__(self, store: BudgetStore, clock: Clock, *, rate: float, deadline: float) -> None:
        self._store = store
        self._clock = clock
        self._deadline = deadline
        self.interval = 60.0 / rate * (1 + MARGIN)
        self._base = 0.0
        self._unsaved = False
        self.requests = 0
        """Requests granted so far, by every engine that used this state database."""

    async def start(self) -> None:
        """Take over from the engine before: one full interval unless it is certain when the last request ended."""
        if not await self.look():
            await self._store.start(boot_id=self._clock.boot_id, base=self._base)

    async def look(self) -> bool:
        """Read the stored row without changing it; whether it tells for certain when the last request ended."""
        row = await self._store.load()
        now = self._clock.boottime()
        self.requests = 0 if row is None else row["requests"]
        certain = row is not None and row["boot_id"] == self._clock.boot_id and not row["open"] and row["base"] <= now
        self._base = row["base"] if row is not None and certain else now
        return certain

    def wait_seconds(self) -> float:
        """Seconds until the next token; 0 when it is there."""
        return max(self._base + self.interval - self._clock.boottime(), 0.0)

    async def grant(self) -> Grant | None:
        """Take the token, or None if it is not there. Raises what the store raises, and then nothing is granted."""
        if self.wait_seconds() > 0:
            return None
        taken = Grant(self.requests + 1, self._base)
        base = self._clock.boottime() + self._deadline
        if not await self._store.grant(seen=self.requests, boot_id=self._clock.boot_id, base=base):
            await self.start()
            return None
        self._base = base
        self._unsaved = False
        self.requests = taken.number
        return taken

    def settle(self, grant: Grant, *, sent: bool) -> None:
        """End a grant: the interval counts from now, or as before if nothing was sent."""
        self._base = self._clock.boottime() if sent else grant.previous_base
        self._unsaved = True

    async def save(self) -> None:
        """Store that no request is under way; whoever dies before leaves an open grant, which costs an interval."""
        if self._unsaved:
            await self._store.settle(number=self.requests, base=self._base)
            self._unsaved = False
