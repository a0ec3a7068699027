"""The durable queue to Discord: a lane per webhook, in order, never twice, and no loss without a name."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

import structlog

from inara_daemon import report
from inara_daemon.clock import Clock, Moment
from inara_daemon.nap import nap
from inara_daemon.notify.discord import Delivery, Scope, SendResult
from inara_daemon.report import Report
from inara_daemon.settings import Secret

RETRY_DELAYS = (2.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Seconds until a message that certainly did not arrive is sent again; after these, hourly."""
HOURLY = 3_600.0
LIMITED_DELAYS = (0.0, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0)
"""The least wait after the first, second ... rate limit in a row; the last one repeats, and counts as an attempt."""
ATTEMPTS = len(RETRY_DELAYS) + 48
"""After as many attempts, 48 hours have passed and the message expires."""
_EVERYBODY = "*"
_NAP_SECONDS = 10.0
_STORE_NAP_SECONDS = 5.0

_Result = TypeVar("_Result")
_log = structlog.get_logger("inara_daemon.outbox")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message to be sent; `attempts` certainly failed before."""

    id: int
    tenant_id: str
    body: str
    attempts: int


class OutboxStore(Protocol):
    """What the outbox needs of the state database; whatever it raises means: nothing was stored."""

    async def recover(self, now: datetime) -> int:
        """Settle what a dead engine was sending as unknown; how many."""

    async def waiting(self) -> Sequence[Mapping[str, Any]]:
        """Messages to be sent, the oldest first; their columns are the fields of `Waiting`."""

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

    async def holds(self) -> Mapping[str, tuple[Moment, float]]:
        """By webhook's fingerprint, or `*`: until when Discord wants to hear nothing, and how many seconds that was."""

    async def hold(self, scope: str, until: Moment, seconds: float) -> None:
        """Note that Discord wants to hear nothing until then."""


class Sender(Protocol):
    """One attempt to deliver a report."""

    async def send(self, url: Secret, report: Report, *, plain: bool = False) -> SendResult:
        """Send it; a failure is a value."""


@dataclass(slots=True)
class _Lane:
    """The messages of one webhook, the oldest first; `free_at` in CLOCK_BOOTTIME seconds."""

    messages: deque[Waiting] = field(default_factory=deque)
    sending: Waiting | None = None
    free_at: float = 0.0
    limited: int = 0
    """Rate limits in a row."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
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
        clock: Clock,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._webhook = webhook
        self._fingerprint = fingerprint
        self._clock = clock
        self._alive = alive
        self._lanes: dict[str, _Lane] = {}
        self._dead: dict[str, str] = {}
        self._holds: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        """Look for new messages at once."""
        self._changed.set()

    def reload(self) -> None:
        """Look every webhook up again: one that was replaced lives, and its messages move to the new one."""
        for fingerprint, lane in self._lanes.items():
            lane.messages = deque(
                message
                for message in lane.messages
                if message is lane.sending or self._lane_name(message.tenant_id) == fingerprint
            )
            lane.news.set()
        self._changed.set()

    async def run(self) -> None:
        """Send until stopped."""
        await self._surely(self._begin)
        self._changed.set()
        while not self._stopping.is_set():
            self._alive()
            if self._changed.is_set():
                self._changed.clear()
                await self._surely(self._dispatch)
            await nap(self._changed, _NAP_SECONDS)

    async def stop(self) -> None:
        """Send nothing new; what is under way ends and is noted."""
        self._stopping.set()
        self._changed.set()
        for lane in self._lanes.values():
            lane.messages.clear()
            lane.news.set()
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self) -> None:
        """Take up what the engine before knew."""
        if not self._lanes:
            unknown = await self._store.recover(self._clock.now())
            if unknown:
                _log.error("messages_unknown", count=unknown, reason="the daemon ended while they were being sent")
        self._dead = dict(await self._store.dead_webhooks())
        for scope, (until, seconds) in (await self._store.holds()).items():
            self._holds[scope] = self._clock.here(until, seconds).seconds

    async def _dispatch(self) -> None:
        """Put each waiting message into its tenant's lane, and settle those that have nowhere to go."""
        for row in await self._store.waiting():
            message = Waiting(**row)
            name = self._lane_name(message.tenant_id)
            if name is None:
                await self._settle(message, "expired", "the tenant has no webhook any more")
            elif name in self._dead:
                await self._settle(message, "dead", self._dead[name])
            else:
                lane = self._lanes.setdefault(name, _Lane())
                if all(known.id != message.id for known in lane.messages):
                    lane.messages.append(message)
        if self._stopping.is_set():
            return
        for name, lane in self._lanes.items():
            if lane.messages and (lane.task is None or lane.task.done()):
                lane.task = asyncio.create_task(self._drive(name, lane), name=f"lane {name}")

    def _lane_name(self, tenant_id: str) -> str | None:
        url = self._webhook(tenant_id)
        return None if url is None else self._fingerprint(url)

    async def _drive(self, name: str, lane: _Lane) -> None:
        """Send a lane's messages one after another; ends when there is nothing left."""
        while True:
            await self._await_turn(name, lane)
            if not lane.messages:
                return
            message = lane.messages[0]
            url = self._webhook(message.tenant_id)
            if url is None or self._fingerprint(url) != name or name in self._dead:
                lane.messages.clear()
                self._changed.set()  # the next dispatch knows where they go
                return
            lane.sending = message
            left: Waiting | None = None
            # Without a note that it is being sent it is not sent: after a crash nobody could tell.
            if not self._stopping.is_set() and await self._surely(lambda number=message.id: self._store.begin(number)):  # type: ignore[misc]
                left = await self._conclude(message, await self._send(url, message), name, lane)
            lane.sending = None
            if lane.messages:
                lane.messages.popleft()
                if left is not None and not self._stopping.is_set():
                    lane.messages.appendleft(left)

    async def _await_turn(self, name: str, lane: _Lane) -> None:
        while lane.messages:
            wait = max(lane.free_at, self._holds.get(name, 0.0), self._holds.get(_EVERYBODY, 0.0))
            wait -= self._clock.boottime()
            if wait <= 0:
                return
            lane.news.clear()
            await nap(lane.news, wait)

    async def _send(self, url: Secret, message: Waiting) -> SendResult:
        """Send once; what Discord refuses for its form goes once more in the plain one."""
        try:
            told = report.from_json(message.body)
            result = await self._sender.send(url, told)
            if result.delivery is Delivery.REFUSED:
                _log.warning("message_refused", tenant=message.tenant_id, message=message.id, error=result.error)
                if await nap(self._stopping, result.pace):
                    return replace(result, delivery=Delivery.RETRY)
                result = await self._sender.send(url, told, plain=True)
        except Exception:  # noqa: BLE001 - a bug must cost this message and no other
            _log.exception("delivery_crashed", tenant=message.tenant_id, message=message.id)
            return SendResult(Delivery.UNKNOWN, "a bug in the daemon")
        return result

    async def _conclude(self, message: Waiting, result: SendResult, name: str, lane: _Lane) -> Waiting | None:
        """Note what became of an attempt, and when the lane may go on; returns what must be sent again."""
        lane.free_at = self._clock.boottime() + result.pace
        lane.limited = lane.limited + 1 if result.delivery is Delivery.RATE_LIMITED else 0
        if result.delivery is Delivery.RATE_LIMITED:
            # Exactly what Discord asks for; but one that is never content must not be asked in a hot loop.
            wait = max(result.retry_after or 0.0, LIMITED_DELAYS[min(lane.limited, len(LIMITED_DELAYS)) - 1])
            if result.scope is not Scope.WEBHOOK:
                _log.warning("discord_limited", scope=result.scope.value, seconds=wait)
            await self._hold(name if result.scope is Scope.WEBHOOK else _EVERYBODY, wait)
            if lane.limited < len(LIMITED_DELAYS):
                return await self._put_back(message, result.error)
            return await self._retry(message, result, lane)
        if result.delivery is Delivery.RETRY:
            return await self._retry(message, result, lane)
        if result.delivery is Delivery.DEAD:
            await self._bury(name, result.error or "the webhook is gone")
        elif message.attempts and result.delivery is Delivery.SENT:
            _log.info("delivery_recovered", tenant=message.tenant_id, message=message.id, attempts=message.attempts)
        await self._settle(message, result.delivery.value, result.error)
        return None

    async def _retry(self, message: Waiting, result: SendResult, lane: _Lane) -> Waiting | None:
        tried = replace(message, attempts=message.attempts + 1)
        if tried.attempts >= ATTEMPTS:
            await self._settle(message, "expired", result.error)
            return None
        if tried.attempts == 1:
            _log.warning("delivery_failing", tenant=message.tenant_id, message=message.id, error=result.error)
        delay = RETRY_DELAYS[tried.attempts - 1] if tried.attempts <= len(RETRY_DELAYS) else HOURLY
        lane.free_at = self._clock.boottime() + max(delay, result.retry_after or 0.0)
        return await self._put_back(tried, result.error)

    async def _hold(self, scope: str, seconds: float) -> None:
        until = self._clock.moment(seconds)
        if until.seconds <= self._holds.get(scope, 0.0):
            return  # what another lane was told holds longer
        self._holds[scope] = until.seconds
        await self._surely(lambda: self._store.hold(scope, until, seconds))

    async def _bury(self, name: str, error: str) -> None:
        self._dead[name] = error
        _log.error("webhook_dead", webhook=name, error=error, action="put a new webhook into tenant.json")
        await self._surely(lambda: self._store.bury_webhook(name, error, self._clock.now()))

    async def _put_back(self, message: Waiting, error: str | None) -> Waiting:
        await self._surely(lambda: self._store.put_back(message.id, attempts=message.attempts, error=error))
        return message

    async def _settle(self, message: Waiting, status: str, error: str | None) -> None:
        if status != Delivery.SENT.value:
            _log.error("message_lost", tenant=message.tenant_id, message=message.id, status=status, error=error)
        now = self._clock.now()
        await self._surely(lambda: self._store.settle(message.id, status=status, error=error, now=now))

    async def _surely(self, work: Callable[[], Awaitable[_Result]]) -> _Result | None:
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
                if await nap(self._stopping, _STORE_NAP_SECONDS):
                    return None  # the next start finds the message as being sent, and calls it unknown
            else:
                if failing:
                    _log.info("outbox_usable")
                return result
