"""Messages to be sent, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.clock import Moment
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.tables import dead_webhook, delivery_hold, message

KEPT = timedelta(days=30)
"""How long settled messages are kept."""


class MessageStatus(StrEnum):
    """Where a message is on its way."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    DEAD = "dead"
    EXPIRED = "expired"
    REFUSED = "refused"


LOST = (MessageStatus.UNKNOWN, MessageStatus.DEAD, MessageStatus.EXPIRED, MessageStatus.REFUSED)


async def enqueue(
    connection: AsyncConnection,
    *,
    tenant_id: str,
    body: str,
    now: datetime,
    run_id: int | None = None,
    request_id: int | None = None,
) -> int:
    """Put a message in the queue, within the transaction that it tells of; returns its id."""
    values = {
        "tenant_id": tenant_id,
        "run_id": run_id,
        "request_id": request_id,
        "body": body,
        "status": MessageStatus.WAITING.value,
        "created_at": now,
    }
    return int((await connection.execute(insert(message).values(values).returning(message.c.id))).scalar_one())


async def take_losses(connection: AsyncConnection, tenant_id: str) -> Sequence[Mapping[str, Any]]:
    """The messages that were lost and not told yet; from now on they are told."""
    lost = (
        message.c.tenant_id == tenant_id,
        message.c.status.in_([status.value for status in LOST]),
        message.c.loss_told.is_(False),
    )
    rows = [dict(row) for row in (await connection.execute(select(message).where(*lost))).mappings()]
    await connection.execute(update(message).where(*lost).values(loss_told=True))
    return rows


async def prune(connection: AsyncConnection, now: datetime) -> None:
    """Forget messages that were settled long ago."""
    await connection.execute(delete(message).where(message.c.settled_at < now - KEPT))


async def of_run(connection: AsyncConnection, run_id: int) -> Mapping[str, Any] | None:
    """The message of a run's report."""
    row = (await connection.execute(select(message).where(message.c.run_id == run_id))).mappings().first()
    return None if row is None else dict(row)


async def load(connection: AsyncConnection, message_id: int) -> Mapping[str, Any] | None:
    """One message."""
    row = (await connection.execute(select(message).where(message.c.id == message_id))).mappings().first()
    return None if row is None else dict(row)


async def counts(connection: AsyncConnection) -> Mapping[tuple[str, str], int]:
    """How many messages each tenant has in each status."""
    rows = await connection.execute(
        select(message.c.tenant_id, message.c.status, func.count()).group_by(message.c.tenant_id, message.c.status)
    )
    return {(tenant_id, status): count for tenant_id, status, count in rows}


class OutboxTable:
    """The queue as the state database holds it. Every method raises DatabaseError."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def recover(self, now: datetime) -> int:
        """Settle what a dead engine was sending: nobody knows whether it arrived, so it is never sent again."""
        async with self._state.write() as connection:
            changed = await connection.execute(
                update(message)
                .where(message.c.status == MessageStatus.SENDING.value)
                .values(
                    status=MessageStatus.UNKNOWN.value,
                    error="the daemon ended while it was being sent",
                    settled_at=now,
                )
            )
        return changed.rowcount

    async def waiting(self) -> Sequence[Mapping[str, Any]]:
        """Every message still to be sent, the oldest first: `id`, `tenant_id`, `body`, `attempts`."""
        columns = (message.c.id, message.c.tenant_id, message.c.body, message.c.attempts)
        async with self._state.read() as connection:
            rows = await connection.execute(
                select(*columns).where(message.c.status == MessageStatus.WAITING.value).order_by(message.c.id)
            )
            return [dict(row) for row in rows.mappings()]

    async def begin(self, message_id: int) -> bool:
        """The message is being sent from now on; False if it isn't waiting any more."""
        async with self._state.write() as connection:
            changed = await connection.execute(
                update(message)
                .where(message.c.id == message_id, message.c.status == MessageStatus.WAITING.value)
                .values(status=MessageStatus.SENDING.value)
            )
        return changed.rowcount == 1

    async def put_back(self, message_id: int, *, attempts: int, error: str | None) -> None:
        """The message certainly did not arrive: it waits again."""
        await self._set(message_id, status=MessageStatus.WAITING.value, attempts=attempts, error=error)

    async def settle(self, message_id: int, *, status: str, error: str | None, now: datetime) -> None:
        """The message has reached its end."""
        await self._set(message_id, status=status, error=error, settled_at=now)

    async def _set(self, message_id: int, **values: object) -> None:
        async with self._state.write() as connection:
            await connection.execute(update(message).where(message.c.id == message_id).values(**values))

    async def dead_webhooks(self) -> Mapping[str, str]:
        """The fingerprints of webhooks that are gone for good, and why."""
        async with self._state.read() as connection:
            rows = await connection.execute(select(dead_webhook.c.fingerprint, dead_webhook.c.error))
            return {fingerprint: error for fingerprint, error in rows}

    async def bury_webhook(self, fingerprint: str, error: str, now: datetime) -> None:
        """Never use this webhook again."""
        async with self._state.write() as connection:
            await connection.execute(delete(dead_webhook).where(dead_webhook.c.fingerprint == fingerprint))
            await connection.execute(insert(dead_webhook).values(fingerprint=fingerprint, error=error, at=now))

    async def holds(self) -> Mapping[str, tuple[Moment, float]]:
        """By webhook's fingerprint, or `*`: until when Discord wants to hear nothing, and how many seconds that was."""
        async with self._state.read() as connection:
            rows = (await connection.execute(select(delivery_hold))).mappings()
            return {row["scope"]: (Moment(row["boot_id"], row["until"]), row["seconds"]) for row in rows}

    async def hold(self, scope: str, until: Moment, seconds: float) -> None:
        """Discord wants to hear nothing until then."""
        async with self._state.write() as connection:
            await connection.execute(delete(delivery_hold).where(delivery_hold.c.scope == scope))
            await connection.execute(
                insert(delivery_hold).values(scope=scope, boot_id=until.boot_id, until=until.seconds, seconds=seconds)
            )
