"""What the outbox does when the world around it changes: webhooks, the state database, its own engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from inara_daemon.store.state.outbox import OutboxTable
from tests.integration.notify.post import AWAY, GONE, HOUR, MINUTE, NOW, Call, Post, Takes

pytestmark = pytest.mark.virtual_time


async def test_delivery_a_webhook_that_is_gone_is_never_used_again_until_it_is_replaced(post: Post) -> None:
    post.webhooks["b"] = "hook-a"
    post.answers("hook-a", GONE)
    await post.put("a1", "a2", "b1", "c1")
    async with post.running() as running:
        await asyncio.sleep(1.0)
        await post.put("a3")
        running.wake()
        await asyncio.sleep(MINUTE)
    assert await post.ends() == dict.fromkeys(("a1", "a2", "b1", "a3"), "dead") | {"c1": "sent"}
    assert set((await post.errors()).values()) == {"HTTP 404, code 10015", None}
    await post.put("a4")
    async with post.running() as running:
        await asyncio.sleep(MINUTE)
        assert (await post.ends())["a4"] == "dead"
        post.webhooks["a"] = "hook-new"
        running.reload()
        await post.put("a5", "b2")
        running.wake()
        await asyncio.sleep(MINUTE)
    assert [title for _, title in post.calls("hook-a")] == ["a1"]
    assert [title for _, title in post.calls("hook-new")] == ["a5"]
    assert (await post.ends())["b2"] == "dead"


async def test_logs_a_webhook_that_is_gone_is_an_error_once_and_what_comes_later_is_none(post: Post) -> None:
    post.answers("hook-a", GONE)
    await post.put("a1", "a2")
    with capture_logs() as lines:
        for _ in range(2):
            async with post.running() as running:
                await asyncio.sleep(MINUTE)
                await post.put("a3")
                running.wake()
                await asyncio.sleep(MINUTE)
    assert set((await post.ends()).values()) == {"dead"}
    assert [line["event"] for line in lines if line["log_level"] != "info"] == ["webhook_dead"]
    assert [line["message"] for line in lines if line["event"] == "message_lost"] == [1, 2, 3, 4]


async def test_delivery_a_webhook_and_its_last_message_die_together_or_not_at_all(post: Post) -> None:
    abort = "BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
    await post.do(f"CREATE TRIGGER refuse BEFORE INSERT ON dead_webhook {abort}")
    post.answers("hook-a", GONE)
    await post.put("a1")
    async with post.killed():
        await asyncio.sleep(MINUTE)
    assert await post.ends() == {"a1": "sending"}


async def test_secrets_the_state_knows_no_webhooks_url(post: Post, tmp_path: Path) -> None:
    post.webhooks["a"] = "https://discord.com/api/webhooks/1/canary-token"
    post.answers(post.webhooks["a"], GONE)
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert await post.ends() == {"a1": "dead"}
    assert b"canary" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


async def test_reload_what_waits_for_a_replaced_webhook_moves_to_the_new_one_at_once(post: Post) -> None:
    post.webhooks["b"] = "hook-a"
    post.answers("hook-a", AWAY, AWAY, AWAY, AWAY)
    await post.put("a1", "b1", "a2")
    async with post.running() as running:
        await asyncio.sleep(20.0)
        post.webhooks["a"] = "hook-new"
        running.reload()
        await asyncio.sleep(1.0)
        assert post.calls("hook-new") == [(20.0, "a1"), (20.0, "a2")]
        await asyncio.sleep(2 * MINUTE)
    # What another tenant has in the old lane stays there, and the lane's wait is over when it was.
    assert post.calls("hook-a") == [(0.0, "a1"), (2.0, "a1"), (12.0, "a1"), (42.0, "b1"), (102.0, "b1")]
    assert await post.ends() == dict.fromkeys(("a1", "b1", "a2"), "sent")


async def test_reload_what_is_being_sent_ends_where_it_began_and_its_lane_goes_on(post: Post) -> None:
    post.answers("hook-a", Takes(15.0))
    await post.put("a1", "a2")
    async with post.running() as running:
        await asyncio.sleep(5.0)
        post.webhooks["a"] = "hook-new"
        running.reload()
        await asyncio.sleep(MINUTE)
        await post.put("a3")
        running.wake()
        await asyncio.sleep(MINUTE)
    assert post.calls("hook-a") == [(0.0, "a1")]
    assert [title for _, title in post.calls("hook-new")] == ["a2", "a3"]
    assert await post.ends() == dict.fromkeys(("a1", "a2", "a3"), "sent")


async def test_reload_what_was_being_sent_and_must_wait_moves_to_the_new_webhook_at_once(post: Post) -> None:
    post.answers("hook-a", Takes(15.0, replace(AWAY, retry_after=HOUR)))
    await post.put("a1", "a2")
    async with post.running() as running:
        await asyncio.sleep(5.0)
        post.webhooks["a"] = "hook-new"
        running.reload()
        await asyncio.sleep(MINUTE)
    assert post.calls("hook-new") == [(5.0, "a2"), (15.0, "a1")]


async def test_reload_the_failures_of_a_replaced_webhook_do_not_slow_the_new_one(post: Post) -> None:
    post.answers("hook-a", *[AWAY] * 20)
    post.answers("hook-new", AWAY)
    await post.put("a1")
    async with post.running() as running:
        await asyncio.sleep(2 * HOUR)
        post.webhooks["a"] = "hook-new"
        running.reload()
        await asyncio.sleep(MINUTE)
    (failed, _), (again, _) = post.calls("hook-new")
    assert again - failed == 2.0


async def test_reload_that_changes_nothing_sends_nothing_twice_and_nothing_early(post: Post) -> None:
    post.answers("hook-a", AWAY, Takes(5.0))
    await post.put("a1", "a2")
    async with post.running() as running:
        for _ in range(10):
            await asyncio.sleep(1.0)
            running.reload()
        await asyncio.sleep(MINUTE)
    assert post.calls() == [(0.0, "a1"), (2.0, "a1"), (7.0, "a2")]


async def test_reload_messages_of_a_removed_tenant_expire_even_those_that_wait(post: Post) -> None:
    post.answers("hook-a", *[AWAY] * 9)
    post.answers("hook-b", Takes(MINUTE, AWAY))
    await post.put("a1", "a2", "b1", "c1", "x1")
    async with post.running() as running:
        await asyncio.sleep(20.0)
        assert (await post.ends())["x1"] == "expired"
        post.webhooks = {"c": "hook-c"}
        running.reload()
        await asyncio.sleep(2 * MINUTE)
    assert await post.ends() == dict.fromkeys(("a1", "a2", "b1", "x1"), "expired") | {"c1": "sent"}
    assert (await post.errors())["a1"] == "there is no webhook for it any more"
    assert len(post.calls("hook-b")) == 1


def refuse(status: str) -> str:
    """The state database can't note this status any more."""
    condition = f"BEFORE UPDATE ON message WHEN NEW.status = '{status}'"
    return f"CREATE TRIGGER refuse {condition} BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"


ALLOW = "DROP TRIGGER refuse"


async def test_delivery_nothing_is_sent_that_the_state_can_not_note_as_being_sent(post: Post) -> None:
    await post.do(refuse("sending"))
    await post.put("a1", "a2", "b1")
    async with post.running():
        await asyncio.sleep(5 * MINUTE)
        assert post.calls() == []
        await post.do(ALLOW)
        await asyncio.sleep(10.0)
    assert [call.title for call in post.sender.calls if call.url == "hook-a"] == ["a1", "a2"]
    assert set((await post.ends()).values()) == {"sent"}


async def test_delivery_what_was_sent_is_noted_as_soon_as_the_state_can_and_not_sent_again(post: Post) -> None:
    await post.do(refuse("sent"))
    await post.put("a1", "a2")
    async with post.running():
        await asyncio.sleep(5 * MINUTE)
        assert await post.ends() == {"a1": "sending", "a2": "waiting"}
        await post.do(ALLOW)
        await asyncio.sleep(10.0)
        assert await post.ends() == {"a1": "sent", "a2": "sent"}
    assert [call.title for call in post.sender.calls] == ["a1", "a2"]


async def test_reload_while_the_state_can_not_note_what_was_sent_strands_nobody(post: Post) -> None:
    await post.do(refuse("sent"))
    await post.put("a1")
    async with post.running() as running:
        await asyncio.sleep(MINUTE)
        running.reload()
        await post.put("a2")
        running.wake()
        await asyncio.sleep(MINUTE)
        await post.do(ALLOW)
        await asyncio.sleep(MINUTE)
        assert await post.ends() == {"a1": "sent", "a2": "sent"}
    assert [call.title for call in post.sender.calls] == ["a1", "a2"]


@pytest.mark.parametrize(("answer", "status"), [(Takes(0.0), "sent"), (AWAY, "waiting")])
async def test_shutdown_an_unusable_state_delays_no_stop_and_leaves_doubt(
    post: Post, answer: Takes, status: str
) -> None:
    await post.do(refuse(status))
    post.answers("hook-a", answer)
    await post.put("a1")
    loop = asyncio.get_running_loop()
    async with post.running():
        await asyncio.sleep(MINUTE)
        begun = loop.time()
    assert loop.time() - begun < 1.0
    assert await post.ends() == {"a1": "sending"}
    await post.do(ALLOW)
    async with post.running():
        await asyncio.sleep(MINUTE)
    assert await post.ends() == {"a1": "unknown"}
    assert len(post.calls()) == 1


async def test_an_outbox_begins_when_the_state_can_be_used_and_is_alive_meanwhile(post: Post) -> None:
    await post.put("a1")
    await post.do("ALTER TABLE message RENAME TO away")
    async with post.running():
        await asyncio.sleep(10 * MINUTE)
        await post.do("ALTER TABLE away RENAME TO message")
        await asyncio.sleep(10 * MINUTE)
        assert await post.ends() == {"a1": "sent"}
        await asyncio.sleep(10 * MINUTE)
    gaps = [after - before for before, after in pairwise([0.0, *post.alive])]
    assert post.alive[-1] > 29 * MINUTE
    assert max(gaps) <= 10.5


async def test_shutdown_nothing_new_is_sent_and_what_is_under_way_is_noted(post: Post) -> None:
    post.answers("hook-a", Takes(3.0))
    post.answers("hook-b", *[AWAY] * 9)
    await post.put("a1", "a2", "b1", "b2")
    loop = asyncio.get_running_loop()
    async with post.running():
        await asyncio.sleep(1.0)
        begun = loop.time()
    assert loop.time() - begun == pytest.approx(2.0, abs=0.1)
    assert await post.ends() == {"a1": "sent", "a2": "waiting", "b1": "waiting", "b2": "waiting"}
    assert [call.title for call in post.sender.calls] == ["a1", "b1"]


async def test_shutdown_what_is_found_in_the_state_at_that_moment_stays_there(post: Post) -> None:
    post.answers("hook-a", Takes(3.0))
    await post.put("a1")
    async with post.running() as running:
        await asyncio.sleep(1.0)
        await post.put("b1")
        running.wake()
        for _ in range(3):  # long enough to begin reading the state, too short to end
            await asyncio.sleep(0)
    await asyncio.sleep(MINUTE)
    assert await post.ends() == {"a1": "sent", "b1": "waiting"}
    assert [call.title for call in post.sender.calls] == ["a1"]


async def test_shutdown_a_lane_that_waits_for_an_hour_leaves_at_once_and_twice_is_harmless(post: Post) -> None:
    post.answers("hook-a", *[AWAY] * 20)
    await post.put("a1")
    loop = asyncio.get_running_loop()
    async with post.running() as running:
        await asyncio.sleep(2 * HOUR)
        begun = loop.time()
        await running.stop()
    assert loop.time() - begun < 0.1
    assert await post.ends() == {"a1": "waiting"}


async def test_what_another_process_settled_meanwhile_is_not_sent(post: Post) -> None:
    post.answers("hook-a", AWAY)
    await post.put("a1", "a2")
    async with post.running():
        await asyncio.sleep(1.0)
        await OutboxTable(post.state).give_up([1], status="expired", error=None, now=NOW)
        await asyncio.sleep(MINUTE)
    assert post.sender.calls == [Call(0.0, "hook-a", "a1"), Call(2.0, "hook-a", "a2")]


async def test_delivery_a_message_whose_beginning_was_noted_unanswered_is_not_stuck(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, calls = OutboxTable.begin, []

    async def noted_but_unanswered(table: OutboxTable, message_id: int, attempt: str) -> str | None:
        body = await begin(table, message_id, attempt)
        calls.append(message_id)
        if len(calls) == 1:
            raise OSError("the connection broke after the commit")
        return body

    monkeypatch.setattr(OutboxTable, "begin", noted_but_unanswered)
    await post.put("a1")
    async with post.running():
        await asyncio.sleep(HOUR)
        assert (await post.ends())["a1"] != "sending"
