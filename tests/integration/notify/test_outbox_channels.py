"""Several services beside each other, the real Discord channel among them: what happens to one is its own affair."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from inara_daemon.notify import invalid_requests
from inara_daemon.notify.channel import Channel, Scope
from inara_daemon.notify.channels import open_channels
from inara_daemon.notify.discord import DiscordChannel
from inara_daemon.sandbox import faults
from inara_daemon.sandbox.discord import SandboxDiscord
from inara_daemon.secret import Secret
from inara_daemon.store.state.outbox import OutboxTable
from tests.integration.notify.post import AWAY, DOUBT, HOUR, MINUTE, SENT, Post, ScriptedChannel, limited
from tests.virtual_time import virtual_clock

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def discord() -> AsyncIterator[SandboxDiscord]:
    running = SandboxDiscord(clock=asyncio.get_running_loop().time)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def toy(post: Post, discord: SandboxDiscord) -> AsyncIterator[ScriptedChannel]:
    """Another service beside Discord: all that it takes is a channel in front of it."""
    toy = ScriptedChannel(name="toy", prefix="toy:")
    post.others = (toy, *open_channels(version="1.2", boottime=virtual_clock().boottime))
    post.webhooks = {"a": discord.webhook("a"), "b": discord.webhook("b"), "s": "toy:s", "t": "toy:t"}
    yield toy
    for channel in post.others:
        await channel.close()


def shown(discord: SandboxDiscord, toy: ScriptedChannel) -> list[tuple[float, str]]:
    """What arrived when, everywhere."""
    on_discord = [(round(each.at), str(each.payload["embeds"][0]["title"])) for each in discord.messages]
    return sorted([*on_discord, *((round(call.at), call.title) for call in toy.calls)])


async def test_the_first_channel_that_takes_a_url_gets_it_and_discord_is_asked_last(
    post: Post, discord: SandboxDiscord, toy: ScriptedChannel
) -> None:
    await post.put("a1", "t1", "b1", "s1", "t2")
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert [call.title for call in toy.calls] == ["t1", "s1", "t2"]
    assert sorted(message.webhook for message in discord.messages) == ["a", "b"]
    assert set((await post.ends()).values()) == {"sent"}
    *others, last = open_channels(version="1.2", boottime=virtual_clock().boottime)
    assert (last.name, last.takes(Secret("whatever")), others) == ("discord", True, [])


async def test_delivery_a_limit_of_one_whole_service_never_delays_another(
    post: Post, discord: SandboxDiscord, toy: ScriptedChannel
) -> None:
    discord.inject(faults.discord_wait(faults.Scope.GLOBAL, 100.0))
    toy.answers("toy:s", limited(40.0, Scope.SERVICE))
    await post.put("a1", "s1")
    async with post.running() as running:
        await asyncio.sleep(1.0)
        await post.put("b1", "t1")
        running.wake()
        await asyncio.sleep(1.0)
        assert set(await OutboxTable(post.state).holds()) == {"discord", "toy"}
        await asyncio.sleep(3 * MINUTE)
    assert shown(discord, toy) == [(0, "s1"), (40, "s1"), (40, "t1"), (100, "a1"), (100, "b1")]
    assert discord.violations == []


async def test_failures_of_one_service_leave_another_alone_and_each_lane_keeps_its_order(
    post: Post, discord: SandboxDiscord, toy: ScriptedChannel
) -> None:
    discord.inject(faults.UNKNOWN_WEBHOOK, webhook="a")
    discord.inject(faults.discord_http_error(502), faults.INVALID_FORM, webhook="b")
    toy.answers("toy:t", DOUBT, AWAY, ValueError("canary"), SENT)
    await post.put("a1", "t1", "b1", "s1", "b2", "t2", "t3", "s2")
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert await post.ends() == {
        "a1": "dead",
        "b1": "sent",
        "b2": "sent",
        "s1": "sent",
        "s2": "sent",
        "t1": "unknown",
        "t2": "unknown",
        "t3": "sent",
    }
    assert [call.title for call in toy.calls if call.url == "toy:t"] == ["t1", "t2", "t2", "t3"]
    assert discord.violations == []


async def test_delivery_what_discord_refuses_for_its_form_goes_once_more_in_another_request(
    post: Post, discord: SandboxDiscord, toy: ScriptedChannel
) -> None:
    assert toy.calls == []
    discord.inject(faults.INVALID_FORM, faults.discord_wait(faults.Scope.USER, 30.0), webhook="a")
    await post.put("a1", "a2")
    async with post.running():
        await asyncio.sleep(2 * MINUTE)
    assert [attempt.answer for attempt in discord.attempts] == ["400", "429 user", "200", "200"]
    assert [("content" in message.payload, "embeds" in message.payload) for message in discord.messages] == [
        (True, False),
        (False, True),
    ]
    assert discord.violations == []


async def test_delivery_too_many_invalid_requests_hold_all_of_discord_over_restarts(
    post: Post, discord: SandboxDiscord, toy: ScriptedChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalid_requests, "MOST_INVALID", 6)

    def fresh() -> tuple[Channel, ...]:
        return (toy, DiscordChannel(version="1.2", boottime=virtual_clock().boottime))

    post.others = fresh()
    discord.inject(*[faults.discord_http_error(403)] * 6, webhook="a")  # at 0, 2, 12, 42, 102 and 402 s
    await post.put("a1")
    with capture_logs() as lines:
        async with post.running() as running:
            await asyncio.sleep(450.0)
            await post.put("b1", "t1")
            running.wake()
            await asyncio.sleep(10.0)
            await post.put("b2")
            running.wake()
            await asyncio.sleep(10.0)
        assert set(await OutboxTable(post.state).holds()) >= {"discord"}
        await post.others[1].close()
        post.others = fresh()
        async with post.running():
            await asyncio.sleep(HOUR)
    # Half of the window's six are gone when that of 12 s is ten minutes old.
    assert shown(discord, toy) == [(450, "t1"), (612, "b1"), (612, "b2"), (1302, "a1")]
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["discord_rests"]


async def test_delivery_what_the_guard_keeps_back_counts_as_no_attempt(
    post: Post, discord: SandboxDiscord, toy: ScriptedChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert toy.calls == []
    monkeypatch.setattr(invalid_requests, "MOST_INVALID", 1)
    post.others = open_channels(version="1.2", boottime=virtual_clock().boottime)
    discord.inject(faults.discord_http_error(401), webhook="a")
    await post.put("a1")
    async with post.running() as running:
        await asyncio.sleep(1.0)
        await post.put("b1")
        running.wake()
        await asyncio.sleep(MINUTE)
    assert [attempt.answer for attempt in discord.attempts] == ["401"]
    assert [(row["tenant_id"], row["attempts"]) for row in await OutboxTable(post.state).waiting()] == [
        ("a", 1),
        ("b", 0),
    ]


async def test_delivery_many_lanes_that_are_ready_at_once_leave_one_after_another(
    post: Post, toy: ScriptedChannel
) -> None:
    toy.spacing = 0.025
    tenants = [f"tenant{number}" for number in range(200)]
    post.webhooks = {tenant: f"toy:{tenant}" for tenant in tenants}
    for tenant in tenants:
        await post.put(tenant, tenant=tenant)
    async with post.running():
        await asyncio.sleep(MINUTE)
    times = sorted(call.at for call in toy.calls)
    assert len(times) == len(tenants)
    assert all(later - earlier >= toy.spacing - 1e-6 for earlier, later in pairwise(times))
    assert times[-1] - times[0] < 2 * toy.spacing * len(tenants)
