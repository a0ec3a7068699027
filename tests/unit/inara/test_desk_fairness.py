"""Fair turns at full size: small beside large, and a thousand side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from inara_daemon.inara.line import Line
from tests.unit.inara.test_budget import Store
from tests.unit.inara.test_desk import Counter, Inara, counter, line, numbered

pytestmark = pytest.mark.virtual_time


@asynccontextmanager
async def standing(at: Counter, *lines: Line) -> AsyncIterator[None]:
    """These wait in line for the length of the block."""
    tasks = [asyncio.create_task(at.stand(each)) for each in lines]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("key", ["same", "other"])
@pytest.mark.parametrize("requests_before", [0, 1, 5])
async def test_isolation_twenty_beside_five_thousand_have_their_answers_within_two_requests(
    key: str, requests_before: int
) -> None:
    async with counter(Inara()) as at, standing(at, line("large", numbered("l", 5_000), key="same")):
        while len(at.inara.requests) < requests_before:
            await asyncio.sleep(1)
        answers = await at.stand(line("small", numbered("s", 20), key=key))
        assert len(answers) == 20
        assert len(at.inara.requests) <= requests_before + 2


@pytest.mark.parametrize(("turns", "requests"), [((170, 3), 1), ((3, 170), 2)], ids=["small first", "large first"])
@pytest.mark.parametrize("key", ["same", "other"])
async def test_isolation_a_small_tenant_waits_for_one_request_at_most_whoever_was_served_last(
    key: str, turns: tuple[int, int], requests: int
) -> None:
    large, small = line("large", numbered("l", 5_000), key="same"), line("small", numbered("s", 20), key=key)
    large.turn, small.turn = turns
    row = Store({"boot_id": "boot-1", "base": 0.0, "open": False, "requests": 200})
    async with counter(Inara(), row=row) as at, standing(at, large):
        await at.stand(small)
        assert len(at.inara.requests) == requests


@pytest.mark.parametrize("keys", [1, 3], ids=["one key", "three keys"])
async def test_a_thousand_tenants_have_a_turn_each_before_anyone_has_a_second(keys: int) -> None:
    async with counter(Inara(seconds=0.01), batch_size=3) as at:
        with ExitStack() as stack:
            for number in range(1_000):
                names = numbered(f"t{number} ", 6)
                stack.enter_context(at.desk.line(line(f"t{number}", names, key=f"key {number % keys}")))
            while len(at.inara.requests) < 1_200:
                await asyncio.sleep(600)
        leaders = [names[0].partition(" ")[0] for names in at.inara.batches]
    assert len(set(leaders[:1_000])) == 1_000
    assert leaders[1_000:1_200] == leaders[:200]
