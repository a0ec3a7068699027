"""Pauses: stored, and honoured by every later request, whatever restarts in between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from inara_daemon.clock import Clock, Moment
from inara_daemon.inara.suspicion import NO_SUSPICION, Suspicion

EVERY_KEY = "*"
OUTAGE = "outage"
"""The scope of what an outage, or a server that asks for a pause, holds back: every key too, beside a broken limit."""

_OF_ALL = (EVERY_KEY, OUTAGE)

LIMITED_SECONDS = 3_600.0
LONGEST_LIMITED_SECONDS = 24 * 3_600.0
NOT_WHITELISTED_SECONDS = 24 * 3_600.0
UNKNOWN_SECONDS = 900.0
LONGEST_UNKNOWN_SECONDS = 6 * 3_600.0


class PauseReason(StrEnum):
    """Why nothing is sent; the last two concern one key."""

    OUTAGE = "outage"
    LIMITED = "limited"
    NOT_WHITELISTED = "not_whitelisted"
    UNKNOWN_REFUSAL = "unknown_refusal"
    BAD_KEY = "bad_key"


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause: `until` in CLOCK_BOOTTIME seconds of boot `boot_id`; None: until the configuration changes.

    A pause that is over stays known while `level`, `batch_limit` or the suspicion still shape the key's next tries.
    """

    scope: str
    reason: str
    text: str
    boot_id: str
    until: float | None
    seconds: float | None
    level: int = 0
    batch_limit: int | None = None
    suspicion: Suspicion = NO_SUSPICION


class PauseStore(Protocol):
    """What pauses need of the state database: rows with the fields of `Pause`, the suspicion's as a mapping."""

    async def pauses(self) -> Sequence[Mapping[str, Any]]:
        """Every stored pause."""

    async def save_pause(self, scope: str, values: Mapping[str, Any]) -> None:
        """Store a pause in place of the one of the same scope."""

    async def delete_pause(self, scope: str) -> None:
        """Forget a pause."""


class Pauses:
    """Every pause in force; one that can't be stored is honoured all the same, and must be stored before a request."""

    def __init__(self, store: PauseStore, clock: Clock, *, application: str) -> None:
        self._store = store
        self._clock = clock
        self._application = application
        self._pauses: dict[str, Pause] = {}
        self._unsaved: set[str] = set()

    async def start(self) -> None:
        """Load what was stored; after a reboot a pause begins anew, as nothing tells how long the machine was off."""
        await self.look()
        await self.save()

    async def look(self) -> None:
        """Load what was stored without storing what that changes."""
        for row in await self._store.pauses():
            pause = Pause(**{**row, "suspicion": Suspicion(**row["suspicion"])})
            if pause.reason == PauseReason.NOT_WHITELISTED and pause.text != self._application:
                self._unsaved.add(pause.scope)  # it was about another name
                continue
            if pause.until is not None and pause.boot_id != self._clock.boot_id:
                until = self._clock.here(Moment(pause.boot_id, pause.until), pause.seconds or 0.0)
                pause = replace(pause, boot_id=until.boot_id, until=until.seconds)
                self._unsaved.add(pause.scope)
            self._pauses[pause.scope] = pause

    def wait_seconds(self, fingerprint: str) -> float:
        """Seconds until this key may be used again as far as pauses go; infinite for a refused key."""
        return max(self._remaining(scope) for scope in (*_OF_ALL, fingerprint))

    def _remaining(self, scope: str) -> float:
        pause = self._pauses.get(scope)
        if pause is None:
            return 0.0
        if pause.until is None:
            return float("inf")
        return max(pause.until - self._clock.boottime(), 0.0)

    def in_force(self, fingerprint: str) -> Pause | None:
        """The pause that holds longest for this key, if one does."""
        scopes = [scope for scope in (*_OF_ALL, fingerprint) if self._remaining(scope) > 0]
        return self._pauses[max(scopes, key=self._remaining)] if scopes else None

    def refused(self, fingerprint: str) -> Pause | None:
        """The pause of a key that is never to be used again, if it is such a key."""
        pause = self._pauses.get(fingerprint)
        return pause if pause is not None and pause.until is None else None

    def all_in_force(self) -> tuple[Pause, ...]:
        """Every pause that holds now."""
        return tuple(pause for scope, pause in self._pauses.items() if self._remaining(scope) > 0)

    def batch_limit(self, fingerprint: str) -> int | None:
        """How many names the next request with this key may carry at most, after unknown refusals."""
        pause = self._pauses.get(fingerprint)
        return None if pause is None else pause.batch_limit

    def suspicion(self, fingerprint: str) -> Suspicion:
        """Which names may be what Inara refuses with this key."""
        pause = self._pauses.get(fingerprint)
        return NO_SUSPICION if pause is None else pause.suspicion

    @property
    def outages(self) -> int:
        """How many requests in a row failed without a usable answer, by whichever engine."""
        pause = self._pauses.get(OUTAGE)
        return 0 if pause is None else pause.level

    async def outage(self, text: str, seconds: float) -> Pause:
        """No usable answer came: hold everything for so long, which may be not at all."""
        return await self._hold(OUTAGE, PauseReason.OUTAGE, text, seconds, level=self.outages + 1)

    async def asked_to_wait(self, seconds: float) -> Pause:
        """A usable answer came, with the wish to be left alone for a while."""
        return await self._hold(OUTAGE, PauseReason.OUTAGE, "Inara asks for a pause", seconds)

    async def outage_ended(self) -> None:
        """A usable answer came."""
        if OUTAGE in self._pauses:
            await self._forget(OUTAGE)

    async def limited(self, text: str, retry_after: float | None) -> Pause:
        """The limit was broken: hold everything, as nobody knows whether key, name or address is counted."""
        seconds = min(max(LIMITED_SECONDS, retry_after or 0.0), LONGEST_LIMITED_SECONDS)
        return await self._hold(EVERY_KEY, PauseReason.LIMITED, text, seconds)

    async def not_whitelisted(self) -> Pause:
        """Inara does not know the application's name: hold everything for a day."""
        return await self._hold(EVERY_KEY, PauseReason.NOT_WHITELISTED, self._application, NOT_WHITELISTED_SECONDS)

    async def bad_key(self, fingerprint: str, text: str) -> Pause:
        """Inara refuses the key: never use it again."""
        return await self._hold(fingerprint, PauseReason.BAD_KEY, text, None)

    async def unknown_refusal(
        self, fingerprint: str, text: str, suspicion: Suspicion, batch: int | None, retry_after: float | None = None
    ) -> Pause:
        """A refusal that nobody can explain: hold the key, longer each time, and halve the next batch.

        `batch` is how many names were refused; None: a name is known to be the reason, and no size.
        """
        before = self._pauses.get(fingerprint)
        level = before.level + 1 if before is not None else 1
        ours = min(UNKNOWN_SECONDS * 2 ** min(level - 1, 10), LONGEST_UNKNOWN_SECONDS)
        seconds = max(ours, min(retry_after or 0.0, LONGEST_LIMITED_SECONDS))
        pause = self._pause(fingerprint, PauseReason.UNKNOWN_REFUSAL, text, seconds)
        limit = max(batch // 2, 1) if batch is not None else before.batch_limit if before is not None else None
        return await self._keep(replace(pause, level=level, batch_limit=limit, suspicion=suspicion))

    async def worked(self, fingerprint: str, names: Collection[str], batch_size: int) -> None:
        """These names were answered well: clear them, widen the key's batches again, then forget the trouble."""
        if EVERY_KEY in self._pauses and self._remaining(EVERY_KEY) == 0:
            await self._forget(EVERY_KEY)  # it is over for good: the next boot must not begin it anew
        before = self._pauses.get(fingerprint)
        if before is None:
            return
        limit = min((before.batch_limit or batch_size) * 2, batch_size)
        left = self.suspicion(fingerprint).worked(names)
        if limit == batch_size and not left.names:
            await self._forget(fingerprint)
        else:
            over = replace(before, until=self._clock.boottime(), seconds=0.0)
            await self._keep(replace(over, level=0, batch_limit=limit, suspicion=left))

    async def lift_not_whitelisted(self) -> bool:
        """Ask again at once, as an operator says that something changed; True if something was lifted."""
        pause = self._pauses.get(EVERY_KEY)
        if pause is None or pause.reason != PauseReason.NOT_WHITELISTED:
            return False
        await self._forget(EVERY_KEY)
        return True

    async def _hold(
        self, scope: str, reason: PauseReason, text: str, seconds: float | None, *, level: int = 0
    ) -> Pause:
        return await self._keep(replace(self._pause(scope, reason, text, seconds), level=level))

    def _pause(self, scope: str, reason: PauseReason, text: str, seconds: float | None) -> Pause:
        until = None if seconds is None else self._clock.boottime() + seconds
        return Pause(scope, reason.value, text, self._clock.boot_id, until, seconds)

    async def _keep(self, pause: Pause) -> Pause:
        self._pauses[pause.scope] = pause
        self._unsaved.add(pause.scope)
        await self.save()
        return pause

    async def _forget(self, scope: str) -> None:
        self._pauses.pop(scope, None)
        self._unsaved.add(scope)
        await self.save()

    async def save(self) -> None:
        """Store what is not stored yet; raises what the store raises, and then nothing may be sent."""
        for scope in tuple(self._unsaved):
            pause = self._pauses.get(scope)
            if pause is None:
                await self._store.delete_pause(scope)
            else:
                values = asdict(pause)
                await self._store.save_pause(values.pop("scope"), values)
            self._unsaved.discard(scope)
