"""How fast Discord lets messages in, and who has to wait until when. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from inara_daemon.sandbox.faults import Scope

_RESOLUTION = 1e-6
_NEWS_TRAVELS_SECONDS = 1.0
"""What was on its way when everything closed is no violation."""


@dataclass(slots=True)
class Window:
    """So many requests in so many seconds, counted from the first one."""

    limit: int
    seconds: float
    used: int = 0
    ends_at: float = -math.inf

    def take(self, at: float) -> bool:
        """Let one in, if there is room."""
        if at >= self.ends_at - _RESOLUTION:
            self.used, self.ends_at = 0, at + self.seconds
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def headers(self, at: float) -> dict[str, str]:
        """What an answer tells of it; every webhook's bucket bears the same name."""
        left = max(0.0, self.ends_at - at)
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - self.used if left else self.limit),
            "X-RateLimit-Reset-After": f"{_whole_milliseconds(left):.3f}",
            "X-RateLimit-Bucket": "80c17d2f203122d936070c88c8d10f33",
        }


def webhook_window() -> Window:
    """What the headers show."""
    return Window(limit=5, seconds=2.0)


def channel_window() -> Window:
    """What no header shows: all webhooks of a channel share it."""
    return Window(limit=30, seconds=60.0)


@dataclass(frozen=True, slots=True)
class Closure:
    """A wait that a client was told at one moment to keep until another."""

    scope: Scope
    told_at: float
    until: float

    def covers(self, at: float) -> bool:
        """Whether it isn't over yet."""
        return at < self.until - _RESOLUTION

    def retry_after(self, at: float) -> float:
        """Seconds left."""
        return _whole_milliseconds(self.until - at)


@dataclass(slots=True)
class Door:
    """The rate limits of one webhook, and what of them concerns its channel or everything."""

    window: Window
    channel: Window
    closure: Closure | None = None


@dataclass(slots=True)
class Patience:
    """How many invalid requests (401, 403, 429 but a shared one) an address is forgiven, and how it is banned then."""

    limit: int = 10_000
    seconds: float = 600.0
    ban_seconds: float = 3_600.0
    _invalid: deque[float] = field(default_factory=deque)

    def is_lost(self, at: float) -> bool:
        """Count an invalid request; whether it was one too many, after which the count begins anew."""
        while self._invalid and self._invalid[0] <= at - self.seconds:
            self._invalid.popleft()
        self._invalid.append(at)
        if len(self._invalid) <= self.limit:
            return False
        self._invalid.clear()
        return True


@dataclass(slots=True)
class House:
    """All doors; `complain` hears of clients that did not wait."""

    complain: Callable[[float, str], None]
    patience: Patience
    closure: Closure | None = None
    _channels: dict[str, Window] = field(default_factory=dict)

    def door(self, channel: str) -> Door:
        """A new webhook's door in a channel."""
        return Door(webhook_window(), self._channels.setdefault(channel, channel_window()))

    def close(self, door: Door, scope: Scope, at: float, seconds: float) -> Closure:
        """Ask for a wait, at one door or at all."""
        closure = Closure(scope, at, at + seconds)
        if scope in (Scope.GLOBAL, Scope.CLOUDFLARE):
            self.closure = closure
        else:
            door.closure = closure
        return closure

    def note_invalid(self, at: float) -> None:
        """Count an invalid request, and ban the address after too many."""
        if self.patience.is_lost(at):
            many, minutes = self.patience.limit, self.patience.seconds / 60
            self.complain(at, f"banned: more than {many:,} invalid requests in {minutes:.0f} min")
            self.closure = Closure(Scope.CLOUDFLARE, at, at + self.patience.ban_seconds)

    def approach(self, at: float) -> Closure | None:
        """What a request has to wait for wherever it wants to go."""
        if self.closure is None or not self.closure.covers(at):
            return None
        if at > self.closure.told_at + _NEWS_TRAVELS_SECONDS:
            self.complain(at, f"did not wait although everything is closed ({self.closure.scope})")
        return self.closure

    def knock(self, door: Door, at: float) -> Closure | None:
        """Let one request in at a door, or say what it has to wait for."""
        if door.closure is not None and door.closure.covers(at):
            self.complain(at, f"did not wait although the webhook is closed ({door.closure.scope})")
            return door.closure
        if not door.window.take(at):
            return self.close(door, Scope.USER, at, door.window.ends_at - at)
        if not door.channel.take(at):
            return self.close(door, Scope.SHARED, at, door.channel.ends_at - at)
        return None


def _whole_milliseconds(seconds: float) -> float:
    """Never fewer than they are, but for what floats add: who waits that long has waited long enough."""
    return max(0.0, math.ceil((seconds - _RESOLUTION) * 1000) / 1000)
