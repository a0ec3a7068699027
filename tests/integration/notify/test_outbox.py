"""The durable queue on a real state database under virtual time: in order, never twice, no loss without a name."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from inara_daemon.store.state.outbox import OPERATOR, OutboxTable
from tests.integration.notify.post import (
    AWAY,
    DOUBT,
    GONE,
    HOUR,
    MINUTE,
    REFUSED,
    SENT,
    Post,
    Takes,
    limited,
)

pytestmark = pytest.mark.virtual_time


async def test_delivery_a_lane_keeps_its_order_whatever_happens_to_a_message(post: Post) -> None:
    post.answers("hook-a", AWAY, limited(5.0), AWAY, DOUBT, SENT, REFUSED, REFUSED)
    await post.put("a1", "a2", "a3")
    async with post.running() as running:
        await asyncio.sleep(1.0)
        await post.put("a4")
        running.wake()
        await asyncio.sleep(MINUTE)
    assert post.calls() == [
        *((0.0, "a1"), (2.0, "a1"), (7.0, "a1"), (17.0, "a1")),
        *((17.0, "a2"), (17.0, "a3"), (17.0, "a3"), (17.0, "a4")),
    ]
    assert await post.ends() == {"a1": "unknown", "a2": "sent", "a3": "refused", "a4": "sent"}


async def test_delivery_a_lane_never_delays_another(post: Post) -> None:
    post.webhooks |= {"d": "hook-d", "e": "hook-e"}
    post.answers("hook-a", Takes(HOUR, DOUBT))
    post.answers("hook-b", *[AWAY] * 100)
    post.answers("hook-c", limited(HOUR))
    post.answers("hook-d", GONE)
    await post.put("a1", "b1", "c1", "d1", "d2", "e1")
    async with post.running() as running:
        await asyncio.sleep(10 * MINUTE)
        await post.put("e2")
        running.wake()
        await asyncio.sleep(0.1)
        assert [title for _, title in post.calls("hook-e")] == ["e1", "e2"]
        assert post.calls("hook-e")[0][0] < 0.1
        await asyncio.sleep(HOUR)


async def test_logs_a_failure_is_logged_when_it_starts_and_when_it_ends_and_every_loss(post: Post) -> None:
    post.answers("hook-a", AWAY, AWAY, AWAY, SENT, DOUBT)
    await post.put("a1", "a2", "b1")
    with capture_logs() as lines:
        async with post.running():
            await asyncio.sleep(MINUTE)
    assert [(line["event"], line["tenant"], line["message"]) for line in lines] == [
        ("delivery_failing", "a", 1),
        ("delivery_recovered", "a", 1),
        ("message_lost", "a", 2),
    ]


async def test_delivery_the_pace_of_a_lane_is_discords(post: Post) -> None:
    post.answers("hook-a", replace(SENT, pace=1.5), SENT, replace(DOUBT, pace=2.0))
    await post.put("a1", "a2", "a3", "a4")
    async with post.running():
        await asyncio.sleep(10.0)
    assert post.calls() == [(0.0, "a1"), (1.5, "a2"), (1.5, "a3"), (3.5, "a4")]


@pytest.mark.parametrize("pace", [0.0, 2.0])
async def test_delivery_the_plain_form_keeps_the_pace_too(post: Post, pace: float) -> None:
    post.answers("hook-a", replace(REFUSED, pace=pace))
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(10.0)
    assert [(call.at, call.plain) for call in post.sender.calls] == [(0.0, False), (pace, True)]


async def test_delivery_what_is_refused_for_its_form_goes_once_more_as_plain_text(post: Post) -> None:
    post.answers("hook-a", REFUSED, SENT, REFUSED, REFUSED)
    await post.put("a1", "a2", "a3")
    async with post.running():
        await asyncio.sleep(HOUR)
    assert [(call.title, call.plain) for call in post.sender.calls] == [
        *(("a1", False), ("a1", True), ("a2", False), ("a2", True)),
        ("a3", False),
    ]
    assert await post.ends() == {"a1": "sent", "a2": "refused", "a3": "sent"}
    assert (await post.errors())["a2"] == "HTTP 400, code 50035"


async def test_delivery_the_plain_form_is_a_request_of_its_own_that_a_crash_does_not_forget(post: Post) -> None:
    post.answers("hook-a", replace(REFUSED, pace=5.0), limited(30.0), AWAY)
    await post.put("a1")
    async with post.killed():
        await asyncio.sleep(1.0)
    assert await post.ends() == {"a1": "waiting"}
    for _ in range(2):
        async with post.killed():
            await asyncio.sleep(20.0)
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert [(call.at, call.plain) for call in post.sender.calls] == [
        (0.0, False),
        (1.0, True),
        (31.0, True),
        (33.0, True),
    ]
    assert await post.ends() == {"a1": "sent"}


async def test_delivery_a_refusal_counts_as_no_attempt(post: Post) -> None:
    post.answers("hook-a", replace(REFUSED, pace=5.0))
    await post.put("a1", "a2")
    async with post.killed():
        await asyncio.sleep(1.0)
    assert [(row["attempts"], row["plain"]) for row in await OutboxTable(post.state).waiting()] == [
        (0, True),
        (0, False),
    ]


async def test_a_report_that_another_version_stored_is_sent_in_some_form(post: Post) -> None:
    await post.put("a1", body=json.dumps({"title": "Roster", "summary": "3 of 3", "sections": 7, "tenant": "A"}))
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert [call.title for call in post.sender.calls] == ["Roster"]
    assert await post.ends() == {"a1": "sent"}


@pytest.mark.parametrize("body", ["{}", "[]", "no JSON", "[" * 100_000, '{"title": 5, "summary": null}'])
async def test_a_report_that_can_not_be_read_is_refused_aloud_and_holds_up_nobody(post: Post, body: str) -> None:
    await post.put("a1", body=body)
    await post.put("a2")
    with capture_logs() as lines:
        async with post.running():
            await asyncio.sleep(MINUTE)
    assert await post.ends() == {"a1": "refused", "a2": "sent"}
    assert (await post.errors())["a1"] == "what is stored of it can't be read"
    assert [(line["event"], line["log_level"], line["message"]) for line in lines] == [("message_lost", "error", 1)]


async def test_delivery_those_who_share_a_webhook_share_its_lane_the_operator_too(post: Post) -> None:
    post.webhooks |= {"b": "hook-a", OPERATOR: "hook-a"}
    post.answers("hook-a", Takes(5.0), AWAY)
    await post.put("a1", "b1")
    await post.put("o1", tenant=OPERATOR)
    await post.put("a2")
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert post.calls("hook-a") == [(0.0, "a1"), (5.0, "b1"), (7.0, "b1"), (7.0, "o1"), (7.0, "a2")]


async def test_delivery_doubt_is_never_sent_again(post: Post) -> None:
    post.answers("hook-a", DOUBT)
    await post.put("a1")
    for _ in range(2):
        async with post.running():
            await asyncio.sleep(HOUR)
    assert post.calls() == [(0.0, "a1")]
    assert await post.ends() == {"a1": "unknown"}
    assert await post.errors() == {"a1": "no answer (TimeoutError)"}


async def test_failures_a_bug_costs_one_message_and_delays_no_other(post: Post) -> None:
    post.answers("hook-a", ValueError("canary"))
    await post.put("a1", "a2")
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert await post.ends() == {"a1": "unknown", "a2": "sent"}
    assert (await post.errors())["a1"] == "a bug in the daemon"


async def test_delivery_an_engine_killed_while_sending_leaves_doubt_and_what_waited_is_sent(post: Post) -> None:
    post.answers("hook-a", Takes(HOUR))
    await post.put("a1", "a2")
    async with post.killed():
        await asyncio.sleep(5.0)
    assert await post.ends() == {"a1": "sending", "a2": "waiting"}
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert post.calls() == [(0.0, "a1"), (5.0, "a2")]
    assert await post.ends() == {"a1": "unknown", "a2": "sent"}
