"""The queue as the state database holds it, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from inara_daemon.clock import Moment
from inara_daemon.store.state import outbox
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.outbox import MessageStatus, OutboxTable
from inara_daemon.store.state.tables import message

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)


async def enqueue(state: StateDatabase, *tenants: str) -> list[int]:
    async with state.write() as connection:
        return [await outbox.enqueue(connection, tenant_id=tenant, body="{}", now=NOW) for tenant in tenants]


async def statuses(state: StateDatabase) -> dict[int, str]:
    async with state.read() as connection:
        return {row.id: row.status for row in await connection.execute(select(message))}


async def test_delivery_a_message_being_sent_when_the_engine_died_is_unknown_and_no_other(state: StateDatabase) -> None:
    table = OutboxTable(state)
    waiting, sending, failed, sent = await enqueue(state, "alpha", "alpha", "alpha", "alpha")
    assert [await table.begin(number) for number in (sending, failed, sent, sent)] == [True, True, True, False]
    await table.put_back(failed, attempts=1, error="HTTP 503")
    await table.settle(sent, status="sent", error=None, now=NOW)
    assert await table.recover(NOW) == 1
    assert await statuses(state) == {waiting: "waiting", sending: "unknown", failed: "waiting", sent: "sent"}
    assert await table.recover(NOW) == 0
    assert [await table.begin(number) for number in (waiting, sending, failed, sent)] == [True, False, True, False]


async def test_delivery_a_loss_is_named_in_one_report_of_its_tenant(state: StateDatabase) -> None:
    table = OutboxTable(state)
    ends = [*outbox.LOST, MessageStatus.SENT, MessageStatus.UNKNOWN]
    numbers = await enqueue(state, *["alpha"] * (len(ends) - 1), "beta", "alpha")
    for number, status in zip(numbers, ends, strict=False):
        await table.settle(number, status=status.value, error="gone", now=NOW)
    async with state.write() as connection:
        lost = await outbox.take_losses(connection, "alpha")
        assert {row["id"] for row in lost} == set(numbers[:4])
        assert {row["error"] for row in lost} == {"gone"}
        assert await outbox.take_losses(connection, "alpha") == []
        assert [row["id"] for row in await outbox.take_losses(connection, "beta")] == [numbers[5]]


async def test_a_webhook_that_is_gone_is_remembered_with_the_reason(state: StateDatabase) -> None:
    table = OutboxTable(state)
    for error in ("HTTP 404", "HTTP 401"):
        await table.bury_webhook("fingerprint", error, NOW)
    assert await table.dead_webhooks() == {"fingerprint": "HTTP 401"}


async def test_a_wait_that_discord_asked_for_is_remembered_by_webhook(state: StateDatabase) -> None:
    table = OutboxTable(state)
    await table.hold("*", Moment("boot-1", 700.25), 600.0)
    await table.hold("fingerprint", Moment("boot-1", 9.0), 2.0)
    await table.hold("fingerprint", Moment("boot-2", 3.0), 1.5)
    assert await table.holds() == {
        "*": (Moment("boot-1", 700.25), 600.0),
        "fingerprint": (Moment("boot-2", 3.0), 1.5),
    }


async def test_messages_settled_thirty_days_ago_are_forgotten_and_those_waiting_never(state: StateDatabase) -> None:
    table = OutboxTable(state)
    old, recent, waiting = await enqueue(state, "alpha", "alpha", "alpha")
    await table.settle(old, status="sent", error=None, now=NOW)
    await table.settle(recent, status="sent", error=None, now=NOW + DAY)
    async with state.write() as connection:
        await outbox.prune(connection, NOW + 30 * DAY + timedelta(seconds=1))
    assert set(await statuses(state)) == {recent, waiting}
