"""What the next full runs cost, and how far a night's share of the budget goes. Pure."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from inara_daemon.roster_plan import Plan, Reason, plan_of

_ROUNDING = 1e-6
"""What sums of fractions may be off by."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast names are asked: names in a request, seconds between two requests, minutes of a night."""

    batch_size: int
    interval: float
    night_minutes: int

    @property
    def night_requests(self) -> int:
        """How many requests may leave, whoever they are for, from the begin of a scheduled run to its end."""
        return max(int(self.night_minutes * 60 / self.interval), 1)

    def requests_for(self, names: int) -> int:
        """How many requests so many names cost that may share one."""
        return math.ceil(names / self.batch_size)


@dataclass(frozen=True, slots=True)
class Asking:
    """What the next full run of one tenant asks: its names by reason; `key` is whatever tells Inara keys apart."""

    tenant_id: str
    key: Hashable
    names: Mapping[Reason, tuple[str, ...]]

    @property
    def plan(self) -> Plan:
        """The names in the order to ask."""
        return plan_of(self.names)


@dataclass(frozen=True, slots=True)
class KeyCost:
    """What the tenants of one key cost together, each name once.

    `names` are asked, `alone` of them in a request each; `resting` ones only fill free slots, those `set_aside` wait.
    `tenants`: how many names each of them asks for.
    """

    tenants: Mapping[str, int]
    names: int
    alone: int
    resting: int
    set_aside: int
    requests: int


@dataclass(frozen=True, slots=True)
class NightCost:
    """What the next run of every tenant costs if they all begin together."""

    pace: Pace
    keys: tuple[KeyCost, ...]

    @property
    def requests(self) -> int:
        """Requests of all keys: they share one budget."""
        return sum(key.requests for key in self.keys)

    @property
    def seconds(self) -> float:
        """How long that takes at least, in seconds."""
        return self.requests * self.pace.interval

    @property
    def fits(self) -> bool:
        """Whether one night is enough."""
        return self.requests <= self.pace.night_requests

    @property
    def nights(self) -> int:
        """How many nights it takes to ask everyone once."""
        return math.ceil(self.requests / self.pace.night_requests)

    def left_over(self) -> dict[str, int]:
        """How many names of each tenant wait for a later night, about; who is served completely is missing.

        As at the desk: the tenants have turns, a batch each, and the others of the same key fill it up.
        """
        turns = deque(
            _Waiting(key, tenant_id, float(count)) for key in self.keys for tenant_id, count in key.tenants.items()
        )
        shared = {id(key): key.names - key.alone for key in self.keys}
        for _ in range(min(self.requests, self.pace.night_requests)):
            while turns[0].left < _ROUNDING:
                turns.popleft()
            key = turns[0].key
            batch = min(self.pace.batch_size, shared[id(key)])
            shared[id(key)] -= batch
            served = max(batch, 1) * sum(key.tenants.values()) / key.names  # a name may be several tenants'
            for waiting in turns:
                if waiting.key is key:
                    answered = min(waiting.left, served)
                    waiting.left, served = waiting.left - answered, served - answered
                if served <= 0:
                    break
            turns.rotate(-1)
        return {waiting.tenant_id: math.ceil(waiting.left) for waiting in turns if waiting.left >= 1}


@dataclass(slots=True)
class _Waiting:
    """A tenant in the queue, with the names that it still waits for."""

    key: KeyCost
    tenant_id: str
    left: float


def night_cost(askings: Iterable[Asking], pace: Pace) -> NightCost:
    """Count the names of each key as the union over its tenants: one lookup serves all of them."""
    by_key: dict[Hashable, list[Asking]] = defaultdict(list)
    for asking in askings:
        by_key[asking.key].append(asking)
    return NightCost(pace, tuple(_key_cost(those, pace) for those in by_key.values()))


def _key_cost(askings: Iterable[Asking], pace: Pace) -> KeyCost:
    wanted: set[str] = set()
    alone: set[str] = set()
    resting: set[str] = set()
    set_aside: set[str] = set()
    tenants = {}
    for asking in askings:
        plan = asking.plan
        wanted.update(plan.wanted)
        alone.update(plan.alone)
        resting.update(plan.fillers)
        set_aside.update(asking.names[Reason.SET_ASIDE])
        tenants[asking.tenant_id] = len(plan.wanted) + len(plan.alone)
    asked = wanted | alone
    return KeyCost(
        tenants,
        names=len(asked),
        alone=len(alone),
        resting=len(resting - asked),
        set_aside=len(set_aside - asked),
        requests=pace.requests_for(len(wanted - alone)) + len(alone),
    )
