"""What the next full runs cost, and how far a night's share of the budget goes. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from inara_daemon.roster_plan import Plan, Reason, plan_of

_ROUNDING = 1e-6
"""What sums of fractions may be off by."""

_Name = TypeVar("_Name", bound=Hashable)


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

        The desk serves tenants in turns, a batch each: a key comes as often as it has tenants, and small rosters are
        done first.
        """
        wishes = {number: float(key.requests) for number, key in enumerate(self.keys) if key.requests}
        turns = {number: len(self.keys[number].tenants) for number in wishes}
        left: dict[str, int] = {}
        for number, requests in _fair_shares(wishes, turns, self.pace.night_requests).items():
            key = self.keys[number]
            tenants = key.tenants
            served = self._answered(key, requests) * sum(tenants.values()) / key.names
            for tenant_id, names in _fair_shares(tenants, dict.fromkeys(tenants, 1), served).items():
                rest = math.ceil(tenants[tenant_id] - names - _ROUNDING)  # a part of a name is a name
                if rest > 0:
                    left[tenant_id] = rest
        return left

    def _answered(self, key: KeyCost, requests: float) -> float:
        """How many names of a key so many requests answer; half a request is one that leaves every other night."""
        whole = math.floor(requests)
        less, more = (self._answered_by(key, count) for count in (whole, whole + 1))
        return less + (more - less) * (requests - whole)

    def _answered_by(self, key: KeyCost, requests: int) -> int:
        """How many names so many whole requests answer; those asked alone come last."""
        shared = self.pace.requests_for(key.names - key.alone)
        if requests <= shared:
            return min(key.names - key.alone, requests * self.pace.batch_size)
        return min(key.names - key.alone + requests - shared, key.names)


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


def _fair_shares(wishes: Mapping[_Name, float], weights: Mapping[_Name, int], supply: float) -> dict[_Name, float]:
    """Hand out a supply by weight; what somebody does not need goes to the others."""
    shares: dict[_Name, float] = {}
    weight = sum(weights.values())
    for name in sorted(wishes, key=lambda name: wishes[name] / weights[name]):
        shares[name] = min(wishes[name], supply * weights[name] / weight)
        supply -= shares[name]
        weight -= weights[name]
    return shares
