"""The durable queue to Discord: a lane per webhook, in order, never twice, and no loss without a name."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog

from inara_daemon import report
from inara_daemon.nap import nap
from inara_daemon.notify.discord import Delivery, Scope, SendResult
from inara_daemon.report import Report
from inara_daemon.settings import Secret

RETRY_DELAYS = (2.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Seconds until a message that certainly did not arrive is sent again; after these, hourly."""
HOURLY = 3_600.0
ATTEMPTS = len(RETRY_DELAYS) + 48
"""After as many attempts, 48 hours have passed and the message expires."""
_NAP_SECONDS = 10.0
_UNWRITABLE_NAP_SECONDS = 5.0

_log = structlog.get_logger("inara_daemon.outbox")


class OutboxStore(Protocol):
    """What the outbox needs of the state database; rows are mappings by column."""

    async def recover(self, now: datetime) -> int:
        """Settle what a dead engine was sending as unknown; how many."""

    async def waiting(self) -> Sequence[Mapping[str, Any]]:
        """Messages to be sent, the oldest first: `id`, `tenant_id`, `body`, `attempts`."""

    async def begin(self, message_id: int) -> bool:
        """Note that the message is being sent; False if it isn't waiting any more."""

    async def put_back(self, message_id: int, *, attempts: int, error: str | None) -> None:
        """Note that the message certainly did not arrive."""

    async def settle(self, message_id: int, *, status: str, error: str | None, now: datetime) -> None:
        """Note how the message ended."""

    async def dead_webhooks(self) -> Mapping[str, str]:
        """Fingerprints of webhooks never to be used again."""

    async def bury_webhook(self, fingerprint: str, error: str, now: datetime) -> None:
        """Note that a webhook is gone for good."""


class Sender(Protocol):
    """One attempt to deliver a report."""

    async def send(self, url: Secret, report: Report, *, plain: bool = False) -> SendResult:
        """Send it; a failure is a value."""


@dataclass(slots=True)
class _Lane:
    """The messages of one webhook, the oldest first."""

    messages: deque[Mapping[str, Any]] = field(default_factory=deque)
    free_at: float = 0.0
    task: asyncio.Task[None] | None = None


class Outbox:
    """Sends what waits in the store until it is stopped.

    `webhook` gives a tenant's present webhook, so that no URL is ever stored; `fingerprint` names it in the store.
    """

    def __init__(
        self,
        store: OutboxStore,
        sender: Sender,
        *,
        webhook: Callable[[str], Secret | None],
        fingerprint: Callable[[Secret], str],
        now: Callable[[], datetime],
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._webhook = webhook
        self._fingerprint = fingerprint
        self._now = now
        self._alive = alive
        self._lanes: dict[str, _Lane] = {}
        self._dead: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._halt = asyncio.Event()
        self._hold_until = 0.0

    def wake(self) -> None:
        """Look for new messages at once."""
        self._changed.set()

    async def reload(self) -> None:
        """Look every webhook up again: one that was replaced lives, and its messages move to the new one."""
        for lane in self._lanes.values():
            if lane.task is not None:
                lane.messages.clear()
        self._halt.set()  # wakes every waiting lane; it finds nothing left and ends
        await self._join_lanes()
        self._halt.clear()
        self._changed.set()

    async def run(self) -> None:
        """Send until cancelled; cancelling waits for nothing, so `stop` comes first."""
        unknown = await self._store.recover(self._now())
        if unknown:
            _log.error("messages_unknown", count=unknown, reason="the daemon ended while they were being sent")
        self._dead = dict(await self._store.dead_webhooks())
        while not self._halt.is_set():
            self._alive()
            self._changed.clear()
            await self._dispatch()
            await nap(self._changed, _NAP_SECONDS)

    async def stop(self) -> None:
        """Send nothing new; what is under way ends and is noted."""
        for lane in self._lanes.values():
            lane.messages.clear()
        self._halt.set()
        self._changed.set()
        await self._join_lanes()

    async def _join_lanes(self) -> None:
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _dispatch(self) -> None:
        """Put each waiting message into its tenant's lane, and settle those that have nowhere to go."""
        try:
            waiting = await self._store.waiting()
            for message in waiting:
                url = self._webhook(message["tenant_id"])
                if url is None:
                    await self._settle(message, "expired", "the tenant has no webhook any more")
                    continue
                fingerprint = self._fingerprint(url)
                if fingerprint in self._dead:
                    await self._settle(message, "dead", self._dead[fingerprint])
                    continue
                lane = self._lanes.setdefault(fingerprint, _Lane())
                if all(known["id"] != message["id"] for known in lane.messages):
                    lane.messages.append(message)
        except Exception as error:  # noqa: BLE001 - whatever the store raises, the messages stay where they are
            _log.warning("outbox_unreadable", error=str(error))
            return
        for fingerprint, lane in self._lanes.items():
            if lane.messages and (lane.task is None or lane.task.done()):
                lane.task = asyncio.create_task(self._drive(fingerprint, lane), name=f"lane {fingerprint}")

    async def _drive(self, fingerprint: str, lane: _Lane) -> None:
        """Send a lane's messages one after another; ends when there is nothing left or the webhook was replaced."""
        while True:
            await self._await_turn(lane)
            if not lane.messages:
                return
            message = lane.messages[0]
            url = self._webhook(message["tenant_id"])
            if url is None or self._fingerprint(url) != fingerprint:
                lane.messages.clear()  # the next dispatch knows where they go
                return
            if await self._begin(message):
                result = await self._send(url, message)
                await self._conclude(message, result, fingerprint, lane)
            if lane.messages and lane.messages[0] is message:
                lane.messages.popleft()

    async def _await_turn(self, lane: _Lane) -> None:
        loop = asyncio.get_running_loop()
        while lane.messages and (wait := max(lane.free_at, self._hold_until) - loop.time()) > 0:
            await nap(self._halt, wait)

    async def _begin(self, message: Mapping[str, Any]) -> bool:
        """Note in the store that the message is being sent: without that it is not sent."""
        try:
            return await self._store.begin(message["id"])
        except Exception as error:  # noqa: BLE001 - the message stays waiting, the next dispatch tries again
            _log.warning("outbox_unwritable", error=str(error))
            await nap(self._halt, _UNWRITABLE_NAP_SECONDS)
            return False

    async def _send(self, url: Secret, message: Mapping[str, Any]) -> SendResult:
        """Send once; what Discord refuses for its form goes once more in the plain one."""
        told = report.from_json(message["body"])
        result = await self._sender.send(url, told)
        if result.delivery is Delivery.REFUSED:
            _log.warning("message_refused", tenant=message["tenant_id"], message=message["id"], error=result.error)
            result = await self._sender.send(url, told, plain=True)
        return result

    async def _conclude(self, message: Mapping[str, Any], result: SendResult, fingerprint: str, lane: _Lane) -> None:
        """Note what became of an attempt, and when the lane may go on."""
        now = asyncio.get_running_loop().time()
        lane.free_at = now + result.pace
        if result.delivery is Delivery.RATE_LIMITED:
            wait = result.retry_after or 0.0
            if result.scope is Scope.WEBHOOK:
                lane.free_at = now + wait
            else:
                self._hold_until = now + wait
                _log.warning("discord_limited", scope=result.scope.value, seconds=wait)
            await self._put_back(message, message["attempts"], result.error)
        elif result.delivery is Delivery.RETRY:
            await self._retry(message, result, lane)
        elif result.delivery is Delivery.DEAD:
            await self._bury(fingerprint, result.error or "the webhook is gone")
            await self._settle(message, "dead", result.error)
        else:
            if message["attempts"] and result.delivery is Delivery.SENT:
                _log.info("delivery_recovered", message=message["id"], attempts=message["attempts"])
            await self._settle(message, result.delivery.value, result.error)

    async def _retry(self, message: Mapping[str, Any], result: SendResult, lane: _Lane) -> None:
        attempts = message["attempts"] + 1
        if attempts >= ATTEMPTS:
            await self._settle(message, "expired", result.error)
            return
        if attempts == 1:
            _log.warning("delivery_failing", message=message["id"], error=result.error)
        delay = RETRY_DELAYS[attempts - 1] if attempts <= len(RETRY_DELAYS) else HOURLY
        lane.free_at = asyncio.get_running_loop().time() + max(delay, result.retry_after or 0.0)
        await self._put_back(message, attempts, result.error)

    async def _bury(self, fingerprint: str, error: str) -> None:
        self._dead[fingerprint] = error
        _log.error("webhook_dead", webhook=fingerprint, error=error, action="put a new webhook into tenant.json")
        await self._surely(lambda: self._store.bury_webhook(fingerprint, error, self._now()))

    async def _put_back(self, message: Mapping[str, Any], attempts: int, error: str | None) -> None:
        await self._surely(lambda: self._store.put_back(message["id"], attempts=attempts, error=error))
        self._changed.set()

    async def _settle(self, message: Mapping[str, Any], status: str, error: str | None) -> None:
        if status != Delivery.SENT.value:
            _log.error("message_lost", tenant=message["tenant_id"], message=message["id"], status=status, error=error)
        await self._surely(lambda: self._store.settle(message["id"], status=status, error=error, now=self._now()))

    async def _surely(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, again and again until it works: what was sent must never be sent twice."""
        while True:
            try:
                await write()
            except Exception as error:  # noqa: BLE001 - whatever the store raises, the lane waits for it
                _log.warning("outbox_unwritable", error=str(error))
                if await nap(self._halt, _UNWRITABLE_NAP_SECONDS):
                    return  # the next start finds the message as being sent, and calls it unknown
            else:
                return
