"""One destination's queue: what waits for it, what its answers lead to, and how long it is left alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from inara_daemon.notify.channel import Channel, Delivery, Scope, SendResult

RETRY_DELAYS = (2.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""The least seconds after the first, second ... failure in a row; after these, hourly."""
HOURLY = 3_600.0
LIMITED_DELAYS = (0.0, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0)
"""The least wait after the first, second ... rate limit in a row; the last one repeats, and counts as a failure."""
LONGEST_WAIT = 86_400.0
"""Whoever asks for more is asked again after a day all the same."""
ATTEMPTS = len(RETRY_DELAYS) + 48
"""After so many failed attempts, its own and others', two days have passed and a message expires."""
EXPIRED = "expired"
"""How a message ends whose time is over, beside the ends that an attempt can give it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message to be sent.

    `attempts` to reach its destination failed, its own and others'; `plain`: its own form was refused.
    """

    id: int
    tenant_id: str
    attempts: int = 0
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Streak:
    """What a destination answered in a row: `failures` since it last took a message, `limits` without anything else."""

    failures: int = 0
    limits: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What an attempt leads to.

    The message has ended as `status`, or waits again if that is None, from then on in its `plain` form. For all who
    wait there it `counts` as so many failed attempts. `scope` is left alone for `wait` seconds.
    """

    status: str | None = None
    plain: bool = False
    counts: int = 0
    wait: float = 0.0
    scope: Scope = Scope.DESTINATION


def follow(streak: Streak, result: SendResult, *, plain: bool) -> tuple[Streak, Step]:
    """What the result of an attempt, in the plain form or not, leads to."""
    asked = min(result.retry_after or 0.0, LONGEST_WAIT)
    failed = Streak(streak.failures + 1)
    if result.delivery is Delivery.RETRY:
        wait = max(asked, retry_delay(failed.failures))
        return failed, Step(plain=plain, counts=_attempts_in(wait), wait=wait)
    if result.delivery is Delivery.RATE_LIMITED:
        # Exactly what it asks for; but a service that is never content must not be asked in a hot loop.
        limits = streak.limits + 1
        wait = max(asked, LIMITED_DELAYS[min(limits, len(LIMITED_DELAYS)) - 1])
        if limits < len(LIMITED_DELAYS):
            counts = _attempts_in(wait) if wait >= HOURLY else 0
            return replace(streak, limits=limits), Step(plain=plain, counts=counts, wait=wait, scope=result.scope)
        wait = max(wait, retry_delay(failed.failures))
        step = Step(plain=plain, counts=_attempts_in(wait), wait=wait, scope=result.scope)
        return replace(failed, limits=limits), step
    if result.delivery is Delivery.SENT:
        return Streak(), Step(result.delivery.value)
    if result.delivery is Delivery.REFUSED and not plain:
        return Streak(streak.failures), Step(plain=True)
    return Streak(streak.failures), Step(result.delivery.value)


def retry_delay(failures: int) -> float:
    """The seconds until the next attempt after so many failures in a row."""
    return RETRY_DELAYS[failures - 1] if failures <= len(RETRY_DELAYS) else HOURLY


def _attempts_in(wait: float) -> int:
    """How many attempts a wait is worth: two days are over after two long waits as after many short ones."""
    return max(1, round(wait / HOURLY))


@dataclass(slots=True)
class Lane:
    """What waits for one destination, in order; `name` is its fingerprint, `paced_until` CLOCK_BOOTTIME seconds."""

    name: str
    channel: Channel
    streak: Streak = field(default_factory=Streak)
    messages: dict[int, Waiting] = field(default_factory=dict)
    sending: int | None = None
    paced_until: float = 0.0
    slot: float | None = None
    """When its turn is, as one of all that are ready for its service."""

    @property
    def head(self) -> Waiting | None:
        """Whose turn it is."""
        return next(iter(self.messages.values()), None)

    def add(self, message: Waiting) -> None:
        """Queue a message, unless it is here: then its state here is the newer one."""
        self.messages.setdefault(message.id, message)

    def put_back(self, message: Waiting, *, plain: bool) -> None:
        """Let a message wait again where it stood."""
        self.messages[message.id] = replace(message, plain=plain)

    @property
    def missed(self) -> int:
        """The quick attempts before the last one, counted for whoever came later too: two days are two days for all."""
        return min(max(self.streak.failures - 1, 0), len(RETRY_DELAYS))

    def fail(self, count: int = 1) -> Sequence[Waiting]:
        """Count failed attempts for all who wait here; gives back those whose time is over, who leave."""
        counted = [
            replace(message, attempts=max(message.attempts, self.missed) + count) for message in self.messages.values()
        ]
        self.messages = {message.id: message for message in counted if message.attempts < ATTEMPTS}
        return [message for message in counted if message.attempts >= ATTEMPTS]
