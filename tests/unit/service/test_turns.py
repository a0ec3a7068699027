"""Turns for what all tenants want to do at once: few at a time, who has begun first, and a slow one holds up nobody."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inara_daemon.service.turns import AT_ONCE, PATIENCE_SECONDS, Turns
from tests.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.virtual_time

_FOREVER_SECONDS = 1_000.0
"""Nobody here waits as long for a turn that will be free."""


class Work:
    """Work that takes a turn, and notes who is at it."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.began: list[str] = []
        self.at_work = 0
        self.most = 0

    async def do(self, name: str, seconds: float = 0.1, *, begun: bool = False) -> None:
        async with asyncio.timeout(_FOREVER_SECONDS), self.turns.turn(begun=begun):
            self.began.append(name)
            self.at_work += 1
            self.most = max(self.most, self.at_work)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.at_work -= 1


async def free_turns(turns: Turns) -> int:
    """How many can be at work at the same time."""
    work = Work(turns)
    await asyncio.gather(*(work.do("x", PATIENCE_SECONDS / 2) for _ in range(3 * AT_ONCE)))
    return work.most


async def test_a_few_are_at_work_at_the_same_time_and_all_have_their_turn() -> None:
    work = Work(Turns())
    await asyncio.gather(*(work.do(str(number), begun=number % 2 == 0) for number in range(100)))
    assert work.most == AT_ONCE
    assert sorted(work.began) == sorted(map(str, range(100)))


async def test_beginners_are_served_in_the_order_in_which_they_came() -> None:
    work = Work(Turns(1))
    await asyncio.gather(*(work.do(str(number)) for number in range(20)))
    assert work.began == [str(number) for number in range(20)]


async def test_who_has_begun_goes_before_those_who_begin() -> None:
    work = Work(Turns(2))
    beginners = [asyncio.create_task(work.do("beginner")) for _ in range(20)]
    await asyncio.sleep(0.05)
    assert len(work.began) == 2
    begun = [asyncio.create_task(work.do("begun", begun=True)) for _ in range(5)]
    await asyncio.gather(*beginners, *begun)
    assert work.began[:2] == ["beginner"] * 2
    # Only one beginner stands in front: it waited for the next turn already.
    assert work.began[2:8].count("begun") == 5


async def test_a_slow_one_gives_its_turn_away_and_goes_on_beside_the_next() -> None:
    loop = asyncio.get_running_loop()
    work = Work(Turns(1))
    slow = asyncio.create_task(work.do("slow", 100.0))
    await asyncio.sleep(0)
    await work.do("next")
    assert loop.time() == pytest.approx(PATIENCE_SECONDS + 0.1)
    assert not slow.done()
    assert work.began == ["slow", "next"]
    slow.cancel()
    await asyncio.wait([slow])


async def test_who_is_within_everybodys_patience_keeps_its_turn() -> None:
    work = Work(Turns(1))
    await asyncio.gather(work.do("first", PATIENCE_SECONDS * 0.9), work.do("second", PATIENCE_SECONDS * 0.9))
    assert work.most == 1


@pytest.mark.parametrize("seconds", [0.0, PATIENCE_SECONDS, 5.0], ids=["quick", "at the limit", "slow"])
async def test_a_turn_is_given_back_once(seconds: float) -> None:
    turns = Turns(3)
    await Work(turns).do("x", seconds)
    await asyncio.sleep(10)
    assert await free_turns(turns) == 3


async def test_who_fails_gives_its_turn_back_at_once() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(LookupError):
            async with turns.turn():
                raise LookupError
    assert asyncio.get_running_loop().time() == 0.0
    assert await free_turns(turns) == 1


async def test_who_is_cancelled_while_waiting_or_working_keeps_no_turn() -> None:
    turns = Turns(1)
    work = Work(turns)
    tasks = [asyncio.create_task(work.do(str(number), 0.5, begun=number == 3)) for number in range(4)]
    await asyncio.sleep(0.1)
    assert work.began == ["0"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await free_turns(turns) == 1


_visits = st.lists(
    st.tuples(
        st.floats(0, 3),  # when it comes
        st.floats(0, 3),  # how long it works
        st.booleans(),  # whether it has begun
        st.one_of(st.none(), st.floats(0, 4)),  # when it is cancelled
    ),
    max_size=25,
)


@given(visits=_visits, at_once=st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_after_whatever_came_and_left_all_turns_are_free_again(
    visits: list[tuple[float, float, bool, float | None]], at_once: int
) -> None:
    async def visit(work: Work, come: float, seconds: float, *, begun: bool) -> None:
        await asyncio.sleep(come)
        await work.do("x", seconds, begun=begun)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        turns = Turns(at_once)
        work = Work(turns)
        tasks = []
        for come, seconds, begun, cancelled in visits:
            task = asyncio.create_task(visit(work, come, seconds, begun=begun))
            if cancelled is not None:
                loop.call_later(cancelled, task.cancel)
            tasks.append(task)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        kept = [end for end, (_, _, _, cancelled) in zip(ended, visits, strict=True) if cancelled is None]
        assert kept == [None] * len(kept)
        assert await free_turns(turns) == at_once

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())
