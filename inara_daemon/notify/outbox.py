"""The durable queue to all services: a lane per destination, in order, never twice, and no loss without a name."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from inara_daemon.clock import Clock
from inara_daemon.nap import nap
from inara_daemon.notify import stored_report
from inara_daemon.notify.channel import Channel, Delivery, SendResult
from inara_daemon.notify.lane import EXPIRED, Lane, Step, Streak, Waiting, follow
from inara_daemon.notify.outbox_store import OutboxStore, Patience
from inara_daemon.notify.waits import Waits
from inara_daemon.report import Report
from inara_daemon.secret import Secret

_NAP_SECONDS = 10.0
_NOWHERE = "there is no webhook for it any more"
_UNREADABLE = "what is stored of it can't be read"

_log = structlog.get_logger("inara_daemon.outbox")


class Outbox:
    """Sends what waits in the store until it is stopped.

    `webhook` gives a tenant's present webhook, so that no URL is ever stored; `fingerprint` names it in the store. The
    first of the channels that takes it sends.
    """

    def __init__(
        self,
        store: OutboxStore,
        channels: Sequence[Channel],
        *,
        webhook: Callable[[str], Secret | None],
        fingerprint: Callable[[Secret], str],
        clock: Clock,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._channels = channels
        self._webhook = webhook
        self._fingerprint = fingerprint
        self._clock = clock
        self._alive = alive
        self._lanes: dict[str, Lane] = {}
        self._drivers: dict[str, asyncio.Task[None]] = {}
        self._dead: dict[str, str] = {}
        self._waits = Waits(clock)
        self._recovered = self._dispatched = False
        self._changed = asyncio.Event()
        self._news = asyncio.Event()
        """Set, and replaced, when lanes that wait must look around."""
        self._stopping = asyncio.Event()
        self._patience = Patience(self._stopping, alive)
        self._born = f"{clock.boot_id[:8]}-{clock.boottime():.6f}"
        self._attempts = 0

    def reaches(self, tenant_id: str) -> bool:
        """Whether there is a webhook that is not dead."""
        place = self._place(tenant_id)
        return place is not None and place not in self._dead

    def wake(self) -> None:
        """Look for new messages at once."""
        self._changed.set()

    def reload(self) -> None:
        """Look every webhook up again: one that was replaced lives, and its messages move to the new one."""
        for lane in self._lanes.values():
            here = lane.messages.values()
            lane.messages = {
                each.id: each for each in here if each.id == lane.sending or self._place(each.tenant_id) == lane.name
            }
        self._lanes = {name: lane for name, lane in self._lanes.items() if lane.messages or lane.sending is not None}
        self._look_around()

    def _look_around(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
        self._changed.set()

    async def run(self) -> None:
        """Send until stopped."""
        await self._patience.surely(self._begin)
        self._changed.set()
        while not self._stopping.is_set():
            self._alive()
            if self._changed.is_set():
                self._changed.clear()
                await self._patience.surely(self._dispatch)
            for lane in self._lanes.values():
                self._drive_on(lane)  # after a crash
            await nap(self._changed, _NAP_SECONDS)

    async def stop(self) -> None:
        """Send nothing new; what is under way ends and is noted."""
        self._stopping.set()
        self._look_around()
        await asyncio.gather(*self._drivers.values(), return_exceptions=True)

    async def _begin(self) -> None:
        """Take up what the engine before knew."""
        now, here = self._clock.now(), self._clock.moment(0.0)
        if not self._recovered:  # else what is being sent is our own
            unknown = await self._store.recover(now)
            self._recovered = True
            if unknown:
                _log.error("messages_unknown", count=unknown, reason="the daemon ended while they were being sent")
        await self._store.prune(now, here)
        self._dead = dict(await self._store.dead_webhooks())
        begun_anew = self._waits.take_up(await self._store.holds())
        if begun_anew:  # unless noted, each restart would begin these waits once more
            await self._store.hold(begun_anew)

    async def _dispatch(self) -> None:
        """Put each waiting message into its tenant's lane, and settle those that have nowhere to go."""
        homeless: defaultdict[tuple[str, str], list[Waiting]] = defaultdict(list)
        for row in await self._store.waiting():
            message = Waiting(**row)
            url = self._webhook(message.tenant_id)
            if url is None:
                homeless[EXPIRED, _NOWHERE].append(message)
            elif (name := self._fingerprint(url)) in self._dead:
                homeless[Delivery.DEAD.value, self._dead[name]].append(message)
            else:
                lane = self._lanes.get(name) or self._open_lane(name, url, message)
                lane.add(message)
        self._dispatched = True
        for lane in self._lanes.values():
            self._drive_on(lane)
        for (status, error), messages in homeless.items():
            ids = [message.id for message in messages]
            await self._patience.surely(
                partial(self._store.give_up, ids, status=status, error=error, now=self._clock.now())
            )
            self._tell_lost(messages, status, error)

    def _open_lane(self, name: str, url: Secret, head: Waiting) -> Lane:
        channel = next(each for each in self._channels if each.takes(url))
        # What an engine before met there is known by the message at the head; later ones bring the failures of
        # webhooks that were replaced.
        streak = Streak() if self._dispatched else Streak(head.attempts)
        return self._lanes.setdefault(name, Lane(name, channel, streak))

    def _drive_on(self, lane: Lane) -> None:
        driver = self._drivers.get(lane.name)
        if lane.messages and not self._stopping.is_set() and (driver is None or driver.done()):
            driver = asyncio.create_task(self._drive(lane), name=f"lane {lane.name}")
            self._drivers[lane.name] = driver
            driver.add_done_callback(partial(self._note_end, lane.name))

    def _note_end(self, name: str, driver: asyncio.Task[None]) -> None:
        if self._drivers.get(name) is driver:
            del self._drivers[name]
        if not driver.cancelled() and (error := driver.exception()) is not None:
            _log.error("lane_crashed", webhook=name, error=f"{type(error).__name__}: {error}", exc_info=error)

    def _place(self, tenant_id: str) -> str | None:
        url = self._webhook(tenant_id)
        return None if url is None else self._fingerprint(url)

    async def _drive(self, lane: Lane) -> None:
        """Send a lane's messages one after another; ends when there is nothing left."""
        while not self._stopping.is_set() and (message := lane.head) is not None:
            url = self._webhook(message.tenant_id)
            if url is None or self._fingerprint(url) != lane.name or lane.name in self._dead:
                lane.messages.clear()
                self._changed.set()  # the next dispatch knows where they go
                return
            wait = self._waits.until_its_turn(lane)
            if wait > 0:
                await nap(self._news, wait)
                continue
            lane.sending = message.id
            try:
                await self._attempt(lane, message, url)
            finally:
                lane.sending = None

    async def _attempt(self, lane: Lane, message: Waiting, url: Secret) -> None:
        # Without a note that it is being sent it is not sent: after a crash nobody could tell.
        self._attempts += 1
        attempt = f"{self._born}-{self._attempts}"
        body = await self._patience.surely(partial(self._store.begin, message.id, attempt))
        told = None if body is None else stored_report.read(body, self._clock.now())
        if body is None:
            del lane.messages[message.id]
        elif told is None:
            await self._settle(lane, message, SendResult(Delivery.REFUSED, _UNREADABLE))
        elif self._stopping.is_set() or self._waits.left(lane) > 0:  # what another lane was told while this one noted
            await self._put_back(lane, message, None, Step(plain=message.plain))
        else:
            await self._conclude(lane, message, await self._send(lane.channel, url, message, told))

    async def _send(self, channel: Channel, url: Secret, message: Waiting, told: Report) -> SendResult:
        try:
            return await channel.send(url, told, plain=message.plain)
        except Exception:  # noqa: BLE001 - a bug must cost this message and no other
            _log.exception("delivery_crashed", **_names(message))
            return SendResult(Delivery.UNKNOWN, "a bug in the daemon")

    async def _conclude(self, lane: Lane, message: Waiting, result: SendResult) -> None:
        """Note what became of an attempt, and who has to wait."""
        names = _names(message)
        before = lane.streak.failures
        lane.paced_until = self._clock.boottime() + result.pace
        lane.streak, step = follow(lane.streak, result, plain=message.plain)
        if lane.streak.failures and not before:
            _log.warning("delivery_failing", error=result.error, **names)
        if before and not lane.streak.failures:
            _log.info("delivery_recovered", attempts=before, **names)
        if step.status is None:
            if result.delivery is Delivery.REFUSED:
                _log.warning("message_refused", error=result.error, action="sent once more in a short form", **names)
            await self._put_back(lane, message, result.error, step)
        elif result.delivery is Delivery.DEAD:
            await self._bury(lane, message, result.error or "the webhook is gone")
        else:
            await self._settle(lane, message, result)

    async def _put_back(self, lane: Lane, message: Waiting, error: str | None, step: Step) -> None:
        lane.put_back(message, plain=step.plain)
        failed = tuple(lane.messages) if step.counts else ()
        expired = lane.fail(step.counts) if step.counts else ()
        note = partial(
            self._store.put_back,
            message.id,
            plain=step.plain,
            error=error,
            failed=failed,
            count=step.counts,
            missed=lane.missed,
            expired=[each.id for each in expired],
            holds=self._waits.hold(lane, step),
            now=self._clock.now(),
        )
        await self._patience.surely(note)
        self._tell_lost(expired, EXPIRED, error)

    async def _bury(self, lane: Lane, message: Waiting, error: str) -> None:
        self._dead[lane.name] = error
        _log.error("webhook_dead", webhook=lane.name, error=error, action="put in a new webhook", **_names(message))
        del lane.messages[message.id]
        now = self._clock.now()
        await self._patience.surely(partial(self._store.bury_webhook, lane.name, error, message_id=message.id, now=now))
        self._tell_lost([message], Delivery.DEAD.value, error)

    async def _settle(self, lane: Lane, message: Waiting, result: SendResult) -> None:
        del lane.messages[message.id]
        status, now = result.delivery.value, self._clock.now()
        if result.delivery is not Delivery.SENT:
            self._tell_lost([message], status, result.error)
        await self._patience.surely(partial(self._store.settle, message.id, status=status, error=result.error, now=now))

    def _tell_lost(self, messages: Sequence[Waiting], status: str, error: str | None) -> None:
        tell = _log.info if status == Delivery.DEAD.value else _log.error  # that it is dead was told once
        for message in messages:
            tell("message_lost", status=status, error=error, **_names(message))


def _names(message: Waiting) -> dict[str, object]:
    return {"tenant": message.tenant_id, "message": message.id}
