"""The queue as the state database holds it, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from inara_daemon.clock import Moment
from inara_daemon.store.state import outbox
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.outbox import Loss, MessageStatus, OutboxTable
from inara_daemon.store.state.tables import message

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HERE = Moment("boot-1", 500.0)
NO_WAIT: dict[str, Any] = {"failed": (), "count": 1, "missed": 0, "expired": (), "holds": {}, "now": NOW}


async def enqueue(state: StateDatabase, *tenants: str) -> list[int]:
    async with state.write() as connection:
        return [await outbox.enqueue(connection, tenant_id=tenant, body="{}", now=NOW) for tenant in tenants]


async def end(state: StateDatabase, number: int, status: str, at: datetime = NOW) -> None:
    table = OutboxTable(state)
    await table.begin(number, "once")
    await table.settle(number, status=status, error="gone", now=at)


async def column(state: StateDatabase, name: str) -> dict[int, Any]:
    async with state.read() as connection:
        return {row["id"]: row[name] for row in (await connection.execute(select(message))).mappings()}


async def losses(state: StateDatabase, tenant_id: str = "alpha") -> list[int]:
    async with state.read() as connection:
        return [loss.id for loss in await outbox.losses(connection, tenant_id)]


async def tell(state: StateDatabase, *ids: int, told_in: int) -> None:
    async with state.write() as connection:
        await outbox.tell_losses(connection, ids, told_in)


async def test_delivery_a_message_being_sent_when_the_engine_died_is_unknown_and_no_other(state: StateDatabase) -> None:
    table = OutboxTable(state)
    waiting, sending, failed, sent = await enqueue(state, "alpha", "alpha", "alpha", "alpha")
    assert [await table.begin(number, "once") for number in (sending, failed, sent)] == ["{}", "{}", "{}"]
    assert (await table.begin(sent, "once"), await table.begin(sent, "another")) == ("{}", None)
    await table.put_back(failed, plain=False, error="HTTP 503", **NO_WAIT)
    await table.settle(sent, status="sent", error=None, now=NOW)
    assert await table.recover(NOW) == 1
    ends = {waiting: "waiting", sending: "unknown", failed: "waiting", sent: "sent"}
    assert await column(state, "status") == ends
    assert await table.recover(NOW) == 0
    assert [await table.begin(number, "once") for number in (waiting, sending, failed, sent)] == [
        "{}",
        None,
        "{}",
        None,
    ]


async def test_a_backlog_is_listed_without_its_bodies_and_in_order(state: StateDatabase) -> None:
    first, second = await enqueue(state, "alpha", "beta")
    await OutboxTable(state).begin(first, "once")
    await OutboxTable(state).put_back(first, plain=True, error=None, **NO_WAIT | {"failed": (first,)})
    assert await OutboxTable(state).waiting() == [
        {"id": first, "tenant_id": "alpha", "attempts": 1, "plain": True},
        {"id": second, "tenant_id": "beta", "attempts": 0, "plain": False},
    ]


async def test_a_failed_attempt_is_noted_for_all_who_wait_with_the_wait_itself(state: StateDatabase) -> None:
    table = OutboxTable(state)
    tried, old, fresh, elsewhere, gone = await enqueue(state, *["alpha"] * 5)
    await end(state, gone, "unknown")
    await table.begin(tried, "once")
    holds = {"fingerprint": (Moment("boot-1", 700.0), 2.0), "discord": (Moment("boot-1", 900.0), 9.0)}
    for _ in range(2):  # an answer that got lost on its way makes the outbox note it again: it counts once
        await table.put_back(
            tried,
            plain=False,
            error="HTTP 503",
            failed=(tried, old, fresh, gone),
            count=1,
            missed=0,
            expired=(old, gone),
            holds=holds,
            now=NOW,
        )
    assert await column(state, "attempts") == {tried: 1, old: 1, fresh: 1, elsewhere: 0, gone: 0}
    assert await column(state, "status") == {
        tried: "waiting",
        old: "expired",
        fresh: "waiting",
        elsewhere: "waiting",
        gone: "unknown",
    }
    assert await column(state, "body") == {tried: "{}", old: "", fresh: "{}", elsewhere: "{}", gone: ""}
    assert await table.holds() == holds


async def test_whoever_came_late_counts_the_attempts_that_it_missed(state: StateDatabase) -> None:
    table = OutboxTable(state)
    first, late = await enqueue(state, "alpha", "alpha")
    for failed, missed in (((first,), 3), ((first, late), 3), ((first, late), 4)):
        await table.begin(first, "once")
        await table.put_back(first, plain=False, error=None, **NO_WAIT | {"failed": failed, "missed": missed})
    assert await column(state, "attempts") == {first: 6, late: 5}


async def test_a_backlog_of_thousands_is_counted_and_given_up_whole(state: StateDatabase) -> None:
    table = OutboxTable(state)
    numbers = await enqueue(state, *["alpha"] * 1_201)
    await table.begin(numbers[0], "once")
    await table.put_back(numbers[0], plain=False, error="HTTP 503", **NO_WAIT | {"failed": numbers})
    assert {row["attempts"] for row in await table.waiting()} == {1}
    await table.begin(numbers[0], "once")
    await table.give_up(numbers, status="dead", error="gone", now=NOW)
    assert await table.waiting() == []
    assert (await column(state, "status"))[numbers[0]] == "sending"


@pytest.mark.parametrize("how", ["settle", "give up", "recover", "bury"])
async def test_the_body_of_a_settled_message_is_not_kept(state: StateDatabase, how: str) -> None:
    table = OutboxTable(state)
    (number,) = await enqueue(state, "alpha")
    if how == "give up":
        await table.give_up([number], status="dead", error="gone", now=NOW)
    else:
        await table.begin(number, "once")
    if how == "settle":
        await table.settle(number, status="sent", error=None, now=NOW)
    elif how == "recover":
        await table.recover(NOW)
    elif how == "bury":
        await table.bury_webhook("fingerprint", "gone", message_id=number, now=NOW)
    assert await column(state, "body") == {number: ""}
    assert await column(state, "settled_at") == {number: NOW}


async def test_delivery_a_loss_is_named_with_its_totals_until_a_report_of_its_tenant_names_it(
    state: StateDatabase,
) -> None:
    async with state.write() as connection:
        lost = await outbox.enqueue(
            connection, tenant_id="alpha", run_id=7, body="{}", summary="3 of 3 answered", now=NOW
        )
    numbers = [lost, *await enqueue(state, *["alpha"] * 5, "beta")]
    for number, status in zip(numbers, [*outbox.LOST, MessageStatus.SENT], strict=False):
        await end(state, number, status.value)
    *_, report, other = numbers
    await end(state, other, "unknown")
    async with state.read() as connection:
        found = await outbox.losses(connection, "alpha")
    assert found[0] == Loss(lost, 7, NOW, "unknown", "gone", "3 of 3 answered")
    assert [loss.id for loss in found] == numbers[:4] == await losses(state)
    await tell(state, *numbers[:4], told_in=report)
    assert await losses(state) == []
    assert await losses(state, "beta") == [other]


@pytest.mark.parametrize("status", outbox.LOST)
async def test_delivery_a_loss_named_by_a_report_that_is_lost_too_is_named_again(
    state: StateDatabase, status: MessageStatus
) -> None:
    first, second, third, fourth = await enqueue(state, *["alpha"] * 4)
    await end(state, first, "dead")
    await tell(state, first, told_in=second)
    assert await losses(state) == []
    await end(state, second, status.value)
    assert await losses(state) == [first, second]
    await tell(state, first, second, told_in=third)
    await end(state, third, status.value)
    assert await losses(state) == [first, second, third]
    await tell(state, first, second, third, told_in=fourth)
    await end(state, fourth, "sent")
    assert await losses(state) == []


async def test_a_webhook_that_is_gone_is_remembered_with_the_reason_and_what_was_sent_to_it_is_dead(
    state: StateDatabase,
) -> None:
    table = OutboxTable(state)
    numbers = await enqueue(state, "alpha", "alpha")
    for number, error in zip(numbers, ("HTTP 404", "HTTP 401"), strict=True):
        await table.begin(number, "once")
        await table.bury_webhook("fingerprint", error, message_id=number, now=NOW)
    assert await table.dead_webhooks() == {"fingerprint": "HTTP 401"}
    assert set((await column(state, "status")).values()) == {"dead"}


async def test_a_wait_is_remembered_by_destination_or_service_until_it_is_over(state: StateDatabase) -> None:
    table = OutboxTable(state)
    await table.hold({"discord": (Moment("boot-1", 700.25), 600.0), "fingerprint": (Moment("boot-1", 9.0), 2.0)})
    await table.hold({"fingerprint": (Moment("boot-2", 3.0), 1.5), "over": (HERE, 1.0)})
    kept = {"discord": (Moment("boot-1", 700.25), 600.0), "fingerprint": (Moment("boot-2", 3.0), 1.5)}
    assert await table.holds() == kept | {"over": (HERE, 1.0)}
    await table.prune(NOW, HERE)
    assert await table.holds() == kept


@pytest.mark.parametrize("by_the_outbox", [False, True])
async def test_what_was_settled_long_ago_is_forgotten_but_no_loss_that_nobody_heard_of(
    state: StateDatabase, *, by_the_outbox: bool
) -> None:
    async def prune(now: datetime) -> set[int]:
        if by_the_outbox:
            await OutboxTable(state).prune(now, HERE)
        else:
            async with state.write() as connection:
                await outbox.prune(connection, now)
        return set(await column(state, "status"))

    sent, recent, untold, told, half_told, teller, waiting = await enqueue(state, *["alpha"] * 7)
    for number, status in ((sent, "sent"), (untold, "unknown"), (told, "dead"), (half_told, "expired")):
        await end(state, number, status)
    await end(state, recent, "sent", NOW + DAY)
    await tell(state, told, told_in=recent)
    await tell(state, half_told, told_in=teller)
    moment = timedelta(seconds=1)
    assert len(await prune(NOW + 30 * DAY - moment)) == 7
    assert await prune(NOW + 30 * DAY + moment) == {recent, untold, half_told, teller, waiting}
    await end(state, teller, "dead", NOW + DAY)
    assert await prune(NOW + 31 * DAY + moment) == {untold, half_told, teller, waiting}
    assert await losses(state) == [untold, half_told, teller]
    assert await prune(NOW + 400 * DAY + moment) == {teller, waiting}
    assert await prune(NOW + 1_000 * DAY) == {waiting}


async def test_a_loss_told_long_ago_is_never_told_again_even_if_what_told_it_is_forgotten_first(
    state: StateDatabase,
) -> None:
    lost, report = await enqueue(state, "alpha", "alpha")
    await end(state, lost, "dead")
    await tell(state, lost, told_in=report)
    await end(state, report, "sent", NOW - DAY)  # the wall clock was set back meanwhile
    for seconds, left in ((-1, {lost}), (1, set())):
        async with state.write() as connection:
            await outbox.prune(connection, NOW + 30 * DAY + timedelta(seconds=seconds))
        assert await losses(state) == []
        assert set(await column(state, "status")) == left
