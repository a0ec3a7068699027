"""When what did not arrive is sent again: after failures, after rate limits, and over restarts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from inara_daemon.notify.channel import Scope
from inara_daemon.store.state.outbox import OutboxTable
from tests.integration.notify.post import AWAY, DOUBT, HOUR, MINUTE, REFUSED, Post, Takes, limited

pytestmark = pytest.mark.virtual_time


async def test_delivery_what_did_not_arrive_is_tried_again_for_two_days_and_then_expires(post: Post) -> None:
    post.answers("hook-a", *[AWAY] * 100)
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(47 * HOUR)
        assert await post.ends() == {"a1": "waiting"}
        await asyncio.sleep(2 * HOUR)
        assert await post.ends() == {"a1": "expired"}
        assert await post.errors() == {"a1": "HTTP 503"}
    times = [at for at, _ in post.calls()]
    waits = [round(after - before, 3) for before, after in pairwise(times)]
    assert waits[:6] == [2.0, 10.0, 30.0, MINUTE, 5 * MINUTE, 15 * MINUTE]
    assert set(waits[6:]) == {HOUR}
    assert 47 * HOUR < times[-1] <= 48 * HOUR


@pytest.mark.parametrize("lives", [1, 20, 200])
async def test_delivery_retry_waits_outlive_restarts_so_that_a_crash_loop_does_not_hammer(
    post: Post, lives: int
) -> None:
    post.answers("hook-a", *[AWAY] * 5)
    await post.put("a1")
    for _ in range(lives):
        async with post.killed():
            await asyncio.sleep(200.0 / lives)
    assert post.calls() == [(0.0, "a1"), (2.0, "a1"), (12.0, "a1"), (42.0, "a1"), (102.0, "a1")]
    assert (await OutboxTable(post.state).waiting())[0]["attempts"] == 5


async def test_delivery_a_reboot_begins_a_wait_anew_and_later_restarts_do_not(post: Post) -> None:
    post.answers("hook-a", replace(AWAY, retry_after=100.0))
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(50.0)
    post.boot_id = "boot-2"
    for _ in range(20):
        async with post.running():
            await asyncio.sleep(10.0)
    assert post.calls() == [(0.0, "a1"), (150.0, "a1")]


async def test_delivery_a_message_and_its_wait_are_put_back_together_or_not_at_all(post: Post) -> None:
    abort = "BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
    await post.do(f"CREATE TRIGGER refuse BEFORE INSERT ON delivery_hold {abort}")
    post.answers("hook-a", AWAY)
    await post.put("a1", "a2")
    async with post.killed():
        await asyncio.sleep(MINUTE)
    assert await post.ends() == {"a1": "sending", "a2": "waiting"}
    assert [row["attempts"] for row in await OutboxTable(post.state).waiting()] == [0]


async def test_delivery_the_growing_delays_belong_to_the_destination(post: Post) -> None:
    post.answers("hook-a", AWAY, AWAY, DOUBT, AWAY, REFUSED, REFUSED, AWAY)
    await post.put("a1", "a2", "a3", "a4")
    async with post.running():
        await asyncio.sleep(10 * MINUTE)
        assert post.calls() == [
            *((0.0, "a1"), (2.0, "a1"), (12.0, "a1")),  # in doubt: the next message meets the third delay
            *((12.0, "a2"), (42.0, "a2"), (42.0, "a2")),
            *((42.0, "a3"), (102.0, "a3"), (102.0, "a4")),
        ]
    post.answers("hook-a", AWAY)  # it took messages meanwhile: from the start
    await post.put("a5")
    async with post.running():
        await asyncio.sleep(10 * MINUTE)
    (failed, _), (again, _) = post.calls()[-2:]
    assert again - failed == 2.0


async def test_delivery_a_failed_attempt_counts_for_all_who_wait_there(post: Post) -> None:
    post.webhooks["b"] = "hook-a"
    post.answers("hook-a", *[AWAY] * 100)
    await post.put("a1", "b1", "c1", "a2")
    async with post.running():
        await asyncio.sleep(47 * HOUR)
        assert await post.ends() == dict.fromkeys(("a1", "b1", "a2"), "waiting") | {"c1": "sent"}
        await asyncio.sleep(2 * HOUR)
    assert await post.ends() == dict.fromkeys(("a1", "b1", "a2"), "expired") | {"c1": "sent"}
    assert {title for _, title in post.calls("hook-a")} == {"a1"}


async def test_delivery_a_lane_does_not_grow_while_its_destination_is_broken(post: Post) -> None:
    post.answers("hook-a", *[AWAY] * 1_000)
    waiting: list[str] = []
    for night in range(20):
        await post.put(f"a{night}")
        async with post.running():
            await asyncio.sleep(24 * HOUR)
        waiting = [title for title, status in (await post.ends()).items() if status == "waiting"]
        assert waiting == [f"a{number}" for number in range(night + 1)][-len(waiting) :]
        assert 1 <= len(waiting) <= 2  # each has two days
    assert len(post.calls()) < 20 * 24 + 10
    post.sender.script.clear()
    async with post.running():
        await asyncio.sleep(2 * HOUR)
    assert [title for title, status in (await post.ends()).items() if status == "sent"] == waiting


async def test_delivery_a_server_that_asks_for_more_time_gets_it(post: Post) -> None:
    post.answers("hook-a", replace(AWAY, retry_after=45.0), replace(AWAY, retry_after=1.0))
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(2 * MINUTE)
    assert post.calls() == [(0.0, "a1"), (45.0, "a1"), (55.0, "a1")]


async def test_delivery_a_rate_limit_is_waited_out_exactly_and_counts_as_no_attempt(post: Post) -> None:
    post.answers("hook-a", limited(0.75), AWAY, limited(61.5), AWAY)
    await post.put("a1", "b1")
    async with post.running():
        await asyncio.sleep(2 * MINUTE)
    assert post.calls("hook-a") == [(0.0, "a1"), (0.75, "a1"), (2.75, "a1"), (64.25, "a1"), (74.25, "a1")]
    assert post.calls("hook-b") == [(0.0, "b1")]


async def test_delivery_who_is_never_content_is_not_asked_in_a_hot_loop(post: Post) -> None:
    post.answers("hook-a", *[limited(0.0)] * 200)
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(10 * MINUTE)
    assert len(post.calls()) < 20


async def test_delivery_a_limit_of_the_whole_service_holds_every_lane_to_it(post: Post) -> None:
    post.answers("hook-a", Takes(0.5, limited(90.0, Scope.SERVICE)))
    post.answers("hook-b", replace(AWAY, retry_after=30.0))
    await post.put("a1", "b1")
    async with post.running() as running:
        await asyncio.sleep(1.0)
        await post.put("c1")
        running.wake()
        await asyncio.sleep(2 * MINUTE)
    assert sorted(post.calls()) == [(0.0, "a1"), (0.0, "b1"), (90.5, "a1"), (90.5, "b1"), (90.5, "c1")]


async def test_delivery_what_one_lane_was_told_holds_those_that_had_just_begun(post: Post) -> None:
    post.answers("hook-a", limited(90.0, Scope.SERVICE))
    await post.put("a1", "b1", "c1")
    async with post.running():
        await asyncio.sleep(2 * MINUTE)
    assert sorted(post.calls()) == [(0.0, "a1"), (90.0, "a1"), (90.0, "b1"), (90.0, "c1")]
    assert set((await post.ends()).values()) == {"sent"}


async def test_delivery_a_short_limit_for_everybody_shortens_no_longer_one(post: Post) -> None:
    post.answers("hook-a", Takes(0.5, limited(600.0, Scope.SERVICE)))
    post.answers("hook-b", Takes(1.0, limited(2.0, Scope.SERVICE)))
    await post.put("a1", "b1")
    async with post.running():
        await asyncio.sleep(11 * MINUTE)
    assert sorted(post.calls()) == [(0.0, "a1"), (0.0, "b1"), (600.5, "a1"), (600.5, "b1")]


async def test_delivery_endless_limits_expire_in_the_end(post: Post) -> None:
    post.answers("hook-a", *[limited(HOUR)] * 200)
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(72 * HOUR)
    assert await post.ends() == {"a1": "expired"}


@pytest.mark.parametrize(("scope", "others"), [(Scope.DESTINATION, 10.0), (Scope.SERVICE, 60.0)])
@pytest.mark.parametrize(("boot_id", "wait"), [("boot-1", 60.0), ("boot-2", 70.0)])
async def test_delivery_a_limit_outlives_the_engine_and_counts_anew_after_a_reboot(
    post: Post, scope: Scope, others: float, boot_id: str, wait: float
) -> None:
    post.answers("hook-a", limited(60.0, scope))
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(10.0)
    post.boot_id = boot_id
    await post.put("b1")
    async with post.running():
        await asyncio.sleep(2 * MINUTE)
    assert post.calls("hook-a") == [(0.0, "a1"), (wait, "a1")]
    assert post.calls("hook-b") == [(others if scope is Scope.DESTINATION else wait, "b1")]


async def test_delivery_after_a_wait_of_the_whole_service_requests_leave_one_after_another_again(post: Post) -> None:
    post.sender.spacing = 0.025
    names = [f"t{number}" for number in range(200)]
    post.webhooks |= {name: f"hook-{name}" for name in names}
    for name in names:
        await post.put(name, tenant=name)
    post.answers("hook-t10", limited(30.0, Scope.SERVICE))
    async with post.running():
        await asyncio.sleep(MINUTE)
    after_it = [at for at, _ in post.calls() if at > 30.0]
    assert len(after_it) > 100
    assert max(sum(at <= other < at + 1.0 for other in after_it) for at in after_it) <= 50


async def test_delivery_two_days_are_two_days_though_the_service_asks_for_longer_waits(post: Post) -> None:
    post.answers("hook-a", *[replace(AWAY, retry_after=24 * HOUR)] * 100)
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(4 * 24 * HOUR)
        assert await post.ends() == {"a1": "expired"}
