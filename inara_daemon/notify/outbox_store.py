"""What the outbox needs of the state database, and its patience with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias, TypeVar

import structlog

from inara_daemon.clock import Moment
from inara_daemon.nap import nap

_NAP_SECONDS = 5.0

Holds: TypeAlias = Mapping[str, tuple[Moment, float]]
"""By a destination's fingerprint or a service's name: until when nothing is sent there, and for how many seconds."""

_Result = TypeVar("_Result")
_log = structlog.get_logger("inara_daemon.outbox")


class OutboxStore(Protocol):
    """What the outbox needs of the state database; whatever it raises means: nothing was stored."""

    async def recover(self, now: datetime) -> int:
        """Settle what a dead engine was sending as unknown; how many."""

    async def prune(self, now: datetime, here: Moment) -> None:
        """Forget what is long settled, and holds that are over."""

    async def waiting(self) -> Sequence[Mapping[str, Any]]:
        """Messages to be sent, the oldest first; their columns are the fields of `Waiting`."""

    async def begin(self, message_id: int, attempt: str) -> str | None:
        """Note that the message is being sent; its body, or None if it isn't waiting any more.

        The same `attempt` may begin once more, if its answer was lost.
        """

    async def put_back(
        self,
        message_id: int,
        *,
        plain: bool,
        error: str | None,
        failed: Sequence[int],
        count: int,
        missed: int,
        expired: Sequence[int],
        holds: Holds,
        now: datetime,
    ) -> None:
        """Note that the message certainly did not arrive, for whom that counts and ends, and who waits: all at once."""

    async def settle(self, message_id: int, *, status: str, error: str | None, now: datetime) -> None:
        """Note how a message ended that was being sent."""

    async def give_up(self, ids: Sequence[int], *, status: str, error: str | None, now: datetime) -> None:
        """Note that messages which wait have nowhere to go."""

    async def dead_webhooks(self) -> Mapping[str, str]:
        """Fingerprints of webhooks never to be used again."""

    async def bury_webhook(self, fingerprint: str, error: str, *, message_id: int, now: datetime) -> None:
        """Note that a webhook is gone for good, and with it the message that was being sent."""

    async def holds(self) -> Holds:
        """All holds."""

    async def hold(self, holds: Holds) -> None:
        """Note some holds."""


class Patience:
    """Uses the store, again and again until it works, until `stopping` is set; `alive` is called with each try."""

    def __init__(self, stopping: asyncio.Event, alive: Callable[[], None]) -> None:
        self._stopping = stopping
        self._alive = alive

    async def surely(self, work: Callable[[], Awaitable[_Result]]) -> _Result | None:
        """Use the store, again and again until it works: what was sent must never be sent twice. None when stopped."""
        failing = False
        while True:
            self._alive()
            try:
                result = await work()
            except Exception as error:  # noqa: BLE001 - whatever the store raises, the outbox waits for it
                if not failing:
                    _log.warning("outbox_unusable", error=str(error), action="tried again until the state can be used")
                failing = True
                if await nap(self._stopping, _NAP_SECONDS):
                    return None  # the next start finds the message as being sent, and calls it unknown
            else:
                if failing:
                    _log.info("outbox_usable")
                return result
