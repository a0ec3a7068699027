"""The one token bucket: a table of takeovers, and a proof by search that no two requests arrive too close."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inara_daemon.clock import Clock
from inara_daemon.inara.budget import MARGIN, Budget, Grant

_Result = TypeVar("_Result")
RATE = 2.0
DEADLINE = 60.0
INTERVAL = 60.0 / RATE * (1 + MARGIN)


class StoreError(Exception):
    """The state database can't be written."""


class KilledError(Exception):
    """The process is gone; nothing of it runs on."""


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run what never waits: the store here answers at once."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something")


@dataclass
class World:
    """True time, and a host whose clocks are no better than real ones."""

    time: float = 1_000.0
    booted_at: float = 0.0
    boots: int = 1
    wall_off: float = 0.0

    def clock(self) -> Clock:
        return Clock(
            now=lambda: datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self.time + self.wall_off),
            boottime=lambda: self.time - self.booted_at,
            boot_id=f"boot-{self.boots}",
        )


@dataclass
class Store:
    """The stored row; the next write may fail, or the process may die, before or after it took effect."""

    row: dict[str, Any] | None = None
    faults: list[tuple[str, type[Exception]]] = field(default_factory=list)

    async def load(self) -> Mapping[str, Any] | None:
        return None if self.row is None else dict(self.row)

    async def start(self, *, boot_id: str, base: float) -> None:
        requests = self.row["requests"] if self.row is not None else 0
        self._write({"boot_id": boot_id, "base": base, "open": False, "requests": requests})

    async def grant(self, *, seen: int, boot_id: str, base: float) -> bool:
        if self.row is None or (self.row["requests"], self.row["boot_id"]) != (seen, boot_id):
            return False
        self._write({"boot_id": boot_id, "base": base, "open": True, "requests": seen + 1})
        return True

    async def settle(self, *, number: int, base: float) -> None:
        assert self.row is not None
        if self.row["requests"] == number:
            self._write(self.row | {"base": base, "open": False})

    def _write(self, row: dict[str, Any]) -> None:
        when, error = self.faults.pop(0) if self.faults else ("never", StoreError)
        if when == "before":
            raise error
        self.row = row
        if when == "after":
            raise error


def started(world: World, store: Store, rate: float = RATE) -> Budget:
    budget = Budget(store, world.clock(), rate=rate, deadline=DEADLINE)
    run(budget.start())
    return budget


def granted(budget: Budget) -> Grant:
    grant = run(budget.grant())
    assert grant is not None
    return grant


# --- What a takeover finds, and how long it waits -------------------------------------------------------------------


def test_a_fresh_state_waits_a_whole_interval() -> None:
    assert started(World(), Store()).wait_seconds() == pytest.approx(31.0)


@pytest.mark.parametrize(
    ("row", "wait"),
    [
        ({"boot_id": "boot-1", "base": 990.0, "open": False}, 21.0),
        ({"boot_id": "boot-1", "base": 960.0, "open": False}, 0.0),
        ({"boot_id": "boot-1", "base": 990.0, "open": True}, 31.0),
        ({"boot_id": "boot-0", "base": 10.0, "open": False}, 31.0),
        ({"boot_id": "boot-1", "base": 5_000.0, "open": False}, 31.0),
    ],
    ids=["settled just now", "settled long ago", "a grant left open", "another boot", "a time to come"],
)
def test_budget_takeover_waits_from_what_is_certain(row: dict[str, Any], wait: float) -> None:
    assert started(World(), Store(row | {"requests": 7})).wait_seconds() == pytest.approx(wait)


def test_a_look_changes_nothing() -> None:
    store = Store({"boot_id": "boot-0", "base": 10.0, "open": True, "requests": 7})
    before = dict(store.row or {})
    run(Budget(store, World().clock(), rate=RATE, deadline=DEADLINE).look())
    assert store.row == before


def test_the_answer_starts_the_interval() -> None:
    world = World()
    budget = started(world, Store())
    world.time += 31.0
    grant = granted(budget)
    world.time += 2.5
    budget.settle(grant, sent=True)
    run(budget.save())
    assert budget.wait_seconds() == pytest.approx(31.0)


def test_while_a_request_is_under_way_the_next_one_counts_from_its_deadline() -> None:
    world = World()
    budget = started(world, Store())
    world.time += 31.0
    granted(budget)
    assert budget.wait_seconds() == pytest.approx(DEADLINE + 31.0)


def test_a_cancelled_waiter_burns_no_token() -> None:
    world = World()
    budget = started(world, Store())
    world.time += 40.0
    budget.settle(granted(budget), sent=False)
    assert budget.wait_seconds() == 0


def test_if_the_state_can_not_be_written_nothing_is_granted() -> None:
    world, store = World(), Store()
    budget = started(world, store)
    world.time += 40.0
    store.faults = [("before", StoreError)]
    with pytest.raises(StoreError):
        run(budget.grant())
    assert granted(budget).number == 1


def test_a_grant_that_was_stored_although_it_failed_is_found_out() -> None:
    world, store = World(), Store()
    budget = started(world, store)
    world.time += 40.0
    store.faults = [("after", StoreError)]
    with pytest.raises(StoreError):
        run(budget.grant())
    assert run(budget.grant()) is None  # the row has moved on: a whole interval, to be sure
    assert budget.wait_seconds() == pytest.approx(31.0)


def test_numbers_grow_over_every_engine() -> None:
    world, store = World(), Store()
    for number in (1, 2, 3):
        budget = started(world, store)
        world.time += 200.0
        grant = granted(budget)
        assert grant.number == number
        budget.settle(grant, sent=True)
        run(budget.save())


@pytest.mark.parametrize("rate", [0.1, 0.5, 2, 25])
def test_the_interval_is_a_thirtieth_longer_than_it_must_be(rate: float) -> None:
    assert started(World(), Store(), rate).interval == pytest.approx(60 / rate * 31 / 30)


def test_steps_of_the_wall_clock_never_matter() -> None:
    world = World()
    budget = started(world, Store())
    for step in (-86_400.0, 3_600.0, 10**8):
        world.wall_off += step
        assert budget.wait_seconds() == pytest.approx(31.0)


# --- No mix of arrivals, cancellations, kills, takeovers, clock steps and boots brings two requests too close ---------

LATE = INTERVAL * MARGIN / (1 + MARGIN)
"""What is assumed of the network when a process dies with a request under way: the kernel drops what it still holds
(SO_LINGER at 0), so that the request is on the road already, and arrives within the margin, a second at two requests a
minute, or never. A request that wanders for longer can't be told from one of somebody else's."""

_seconds = st.one_of(st.floats(0, 2), st.floats(0, 40), st.floats(0, 200), st.sampled_from([29.99, 30.0, 30.99, 31.0]))
_fault = st.sampled_from(["before", "after"])
_late = st.one_of(st.none(), st.floats(0, LATE))


class BudgetMachine(RuleBasedStateMachine):
    """An engine, the host under it and the network before it; arrivals are noted in true time."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.store = Store()
        self.arrivals: list[float] = []
        self.open: Grant | None = None
        self.arrived = False
        self.latest_arrival = 0.0
        self.budget: Budget | None = None
        self.former: Budget | None = None

    def _start(self, fault: tuple[str, type[Exception]] | None = None, late: float | None = None) -> None:
        if late is not None and self.open is not None and not self.arrived:
            self.arrivals.append(self.world.time + late)
        self.open = None
        budget = Budget(self.store, self.world.clock(), rate=RATE, deadline=DEADLINE)
        self.store.faults = [fault] if fault else []
        try:
            run(budget.start())
        except (StoreError, KilledError):
            self.budget = None
        else:
            self.budget = budget
        self.store.faults = []

    @rule(seconds=_seconds)
    def time_passes(self, seconds: float) -> None:
        self.world.time += seconds

    @rule(seconds=st.floats(-(10**7), 10**7))
    def the_wall_clock_steps(self, seconds: float) -> None:
        self.world.wall_off += seconds

    @rule(seconds=st.one_of(_seconds, st.floats(0, 10**6)))
    def the_host_sleeps(self, seconds: float) -> None:
        """The boot time goes on, the loop's timers stand still: a request may leave, and time out, that much later."""
        self.world.time += seconds
        self.latest_arrival += seconds

    @rule(late=_late)
    def the_process_is_killed_and_starts_again(self, late: float | None) -> None:
        self._start(late=late)

    @rule(when=_fault, late=_late)
    def it_is_killed_while_starting(self, when: str, late: float | None) -> None:
        self._start((when, KilledError), late=late)

    @rule(times=st.integers(2, 5), late=_late)
    def it_dies_again_and_again(self, times: int, late: float | None) -> None:
        for _ in range(times):
            self._start(late=late)

    @rule(off=_seconds, late=_late)
    def the_host_boots(self, off: float, late: float | None) -> None:
        if late is not None and self.open is not None and not self.arrived:
            self.arrivals.append(self.world.time + late)
            self.open = None
        self.world.time += off
        self.world.booted_at = self.world.time
        self.world.boots += 1
        self.former = None
        self._start()

    @precondition(lambda self: self.budget is not None and self.open is None)
    @rule()
    def another_process_takes_over(self) -> None:
        """The lock passes when nothing is under way: a daemon stops, and a sync beside it goes on, or the reverse."""
        self.former = self.budget
        self._start()

    @precondition(lambda self: self.former is not None and self.budget is not None and self.open is None)
    @rule()
    def the_former_one_has_not_noticed(self) -> None:
        """Once its successor was granted a request, what it remembers is worth nothing."""
        assert self.former is not None
        assert self.budget is not None
        if self.former.requests < self.budget.requests:
            assert run(self.former.grant()) is None
            self.former = None

    @precondition(lambda self: self.budget is not None and self.open is None)
    @rule()
    def a_request_is_granted(self) -> None:
        assert self.budget is not None
        self.open = run(self.budget.grant())
        self.arrived = False
        self.latest_arrival = self.world.time + DEADLINE

    @precondition(lambda self: self.budget is not None and self.open is None)
    @rule(connect=_seconds, answer=_seconds)
    def a_request_is_made_as_soon_as_may_be(self, connect: float, answer: float) -> None:
        assert self.budget is not None
        self.world.time += self.budget.wait_seconds() + 1e-9
        self.a_request_is_granted()
        if self.open is not None:
            self.the_request_arrives(min(connect, DEADLINE))
            self.the_answer_comes(answer)

    @precondition(lambda self: self.budget is not None and self.open is None)
    @rule(when=_fault, error=st.sampled_from([StoreError, KilledError]))
    def a_grant_fails(self, when: str, error: type[Exception]) -> None:
        assert self.budget is not None
        if self.budget.wait_seconds() > 0:
            return
        self.store.faults = [(when, error)]
        with pytest.raises(error):
            run(self.budget.grant())
        if error is KilledError:
            self._start()

    @precondition(lambda self: self.open is not None and not self.arrived)
    @rule(after=_seconds)
    def the_request_arrives(self, after: float) -> None:
        if self.world.time + after <= self.latest_arrival:
            self.world.time += after
            self.arrivals.append(self.world.time)
            self.arrived = True

    @precondition(lambda self: self.open is not None and self.arrived)
    @rule(after=_seconds)
    def the_answer_comes(self, after: float) -> None:
        assert self.budget is not None
        assert self.open is not None
        self.world.time = min(self.world.time + after, max(self.latest_arrival, self.world.time))
        self.budget.settle(self.open, sent=True)
        run(self.budget.save())
        self.open = None

    @precondition(lambda self: self.open is not None)
    @rule()
    def it_times_out(self) -> None:
        assert self.budget is not None
        assert self.open is not None
        self.world.time = max(self.world.time, self.latest_arrival)
        self.budget.settle(self.open, sent=True)
        run(self.budget.save())
        self.open = None

    @precondition(lambda self: self.open is not None and not self.arrived)
    @rule()
    def it_is_given_back_unsent(self) -> None:
        assert self.budget is not None
        assert self.open is not None
        self.budget.settle(self.open, sent=False)
        run(self.budget.save())
        self.open = None

    @precondition(lambda self: self.open is not None and self.arrived)
    @rule(when=_fault, error=st.sampled_from([StoreError, KilledError]))
    def settling_fails(self, when: str, error: type[Exception]) -> None:
        assert self.budget is not None
        assert self.open is not None
        self.store.faults = [(when, error)]
        self.budget.settle(self.open, sent=True)
        with pytest.raises(error):
            run(self.budget.save())
        self.open = None
        if error is KilledError:
            self._start()

    @invariant()
    def no_two_requests_arrive_too_close(self) -> None:
        gaps = [later - earlier for earlier, later in pairwise(sorted(self.arrivals))]
        assert all(gap >= 60.0 / RATE - 1e-6 for gap in gaps)  # what a float can tell

    @invariant()
    def nobody_waits_for_longer_than_a_request_and_an_interval(self) -> None:
        if self.budget is not None:
            limit = INTERVAL if self.open is None else INTERVAL + DEADLINE
            assert self.budget.wait_seconds() <= limit + 1e-6


TestNoTwoRequestsArriveTooClose = BudgetMachine.TestCase
TestNoTwoRequestsArriveTooClose.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
