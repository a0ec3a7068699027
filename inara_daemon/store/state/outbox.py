"""Messages to be sent, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.clock import Moment
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.tables import dead_webhook, delivery_hold, message

OPERATOR = ""
"""Whose messages are for the operator; no tenant's id is empty."""
KEPT = timedelta(days=30)
"""How long settled messages are kept."""
KEPT_UNTOLD = timedelta(days=400)
"""How long a loss waits for a report that names it."""
_IDS_A_STATEMENT = 500


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
_LOST = tuple(status.value for status in LOST)


@dataclass(frozen=True, slots=True)
class Loss:
    """A message that did not arrive, or perhaps; `run_id` and `summary` if it told of a run."""

    id: int
    run_id: int | None
    created_at: datetime
    status: str
    error: str | None
    summary: str


async def enqueue(
    connection: AsyncConnection,
    *,
    tenant_id: str,
    body: str,
    now: datetime,
    summary: str = "",
    run_id: int | None = None,
    request_id: int | None = None,
) -> int:
    """Put a message in the queue, within the transaction that it tells of; returns its id.

    `summary` is one line with the totals of its run, for the message that names its loss.
    """
    values = {
        "tenant_id": tenant_id,
        "run_id": run_id,
        "request_id": request_id,
        "body": body,
        "summary": summary,
        "status": MessageStatus.WAITING.value,
        "created_at": now,
    }
    return int((await connection.execute(insert(message).values(values).returning(message.c.id))).scalar_one())


async def losses(connection: AsyncConnection, tenant_id: str) -> Sequence[Loss]:
    """The tenant's lost messages that none has named, or only one that was lost too; the oldest first."""
    teller = message.alias("teller")
    columns = (message.c[name] for name in Loss.__slots__)
    rows = await connection.execute(
        select(*columns)
        .outerjoin(teller, teller.c.id == message.c.told_in)
        .where(
            message.c.tenant_id == tenant_id,
            message.c.status.in_(_LOST),
            or_(message.c.told_in.is_(None), teller.c.status.in_(_LOST)),
        )
        .order_by(message.c.id)
    )
    return [Loss(**row) for row in rows.mappings()]


async def underway(connection: AsyncConnection) -> set[str]:
    """For whom a message waits or is being sent."""
    unsettled = message.c.status.in_([MessageStatus.WAITING.value, MessageStatus.SENDING.value])
    return set(await connection.scalars(select(message.c.tenant_id).where(unsettled).distinct()))


async def tell_losses(connection: AsyncConnection, ids: Sequence[int], told_in: int) -> None:
    """Note which message names these losses, within the transaction that puts it in the queue."""
    for part in _parts(ids):
        await connection.execute(update(message).where(message.c.id.in_(part)).values(told_in=told_in))


async def prune(connection: AsyncConnection, now: datetime) -> None:
    """Forget what was settled long ago; a loss only when what names it has arrived, or nobody will ever ask."""
    teller = message.alias("teller")
    untold = exists().where(teller.c.id == message.c.told_in, teller.c.status != MessageStatus.SENT.value)
    finished = or_(
        message.c.status == MessageStatus.SENT.value,
        and_(message.c.told_in.is_not(None), ~untold.correlate(message)),
    )
    await connection.execute(
        delete(message).where(
            message.c.settled_at < now - KEPT, or_(finished, message.c.settled_at < now - KEPT_UNTOLD)
        )
    )


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
        error = "the daemon ended while it was being sent"
        async with self._state.write() as connection:
            sending = message.c.status == MessageStatus.SENDING.value
            return await _end(connection, sending, MessageStatus.UNKNOWN.value, error, now)

    async def prune(self, now: datetime, here: Moment) -> None:
        """Forget what was settled long ago, and waits that are over `here`."""
        over = (delivery_hold.c.boot_id == here.boot_id, delivery_hold.c.until <= here.seconds)
        async with self._state.write() as connection:
            await prune(connection, now)
            await connection.execute(delete(delivery_hold).where(*over))

    async def waiting(self) -> Sequence[Mapping[str, Any]]:
        """Every message still to be sent, the oldest first: `id`, `tenant_id`, `attempts`, `plain`."""
        columns = (message.c.id, message.c.tenant_id, message.c.attempts, message.c.plain)
        async with self._state.read() as connection:
            rows = await connection.execute(
                select(*columns).where(message.c.status == MessageStatus.WAITING.value).order_by(message.c.id)
            )
            return [dict(row) for row in rows.mappings()]

    async def begin(self, message_id: int, attempt: str) -> str | None:
        """The message is being sent from now on; its body, or None if it isn't waiting any more.

        The same `attempt` may begin once more: it was noted before, and only the answer got lost.
        """
        waits = message.c.status == MessageStatus.WAITING.value
        is_ours = and_(message.c.status == MessageStatus.SENDING.value, message.c.attempt == attempt)
        async with self._state.write() as connection:
            begun = await connection.execute(
                update(message)
                .where(message.c.id == message_id, or_(waits, is_ours))
                .values(status=MessageStatus.SENDING.value, attempt=attempt)
                .returning(message.c.body)
            )
            body: str | None = begun.scalar_one_or_none()
        return body

    async def put_back(
        self,
        message_id: int,
        *,
        plain: bool,
        error: str | None,
        failed: Sequence[int],
        count: int,
        missed: int,
        expired: Sequence[int],
        holds: Mapping[str, tuple[Moment, float]],
        now: datetime,
    ) -> None:
        """The message certainly did not arrive: it waits again, and whoever `holds` name waits with it.

        It counts as `count` more attempts than at least `missed` for every message of `failed`; those of `expired`
        have reached their end.
        """
        waiting = message.c.status == MessageStatus.WAITING.value
        async with self._state.write() as connection:
            back = await connection.execute(
                update(message)
                .where(_sending(message_id))
                .values(status=MessageStatus.WAITING.value, plain=plain, error=error)
            )
            if back.rowcount == 0:
                return  # all of it was noted before, and only the answer got lost
            for part in _parts(failed):
                before = case((message.c.attempts < missed, missed), else_=message.c.attempts)
                counted = update(message).where(message.c.id.in_(part), waiting)
                await connection.execute(counted.values(attempts=before + count, error=error))
            for part in _parts(expired):
                over = and_(message.c.id.in_(part), waiting)
                await _end(connection, over, MessageStatus.EXPIRED.value, error, now)
            await _hold(connection, holds)

    async def settle(self, message_id: int, *, status: str, error: str | None, now: datetime) -> None:
        """A message that was being sent has reached its end."""
        async with self._state.write() as connection:
            await _end(connection, _sending(message_id), status, error, now)

    async def give_up(self, ids: Sequence[int], *, status: str, error: str | None, now: datetime) -> None:
        """Messages that wait have nowhere to go."""
        async with self._state.write() as connection:
            for part in _parts(ids):
                waiting = and_(message.c.id.in_(part), message.c.status == MessageStatus.WAITING.value)
                await _end(connection, waiting, status, error, now)

    async def dead_webhooks(self) -> Mapping[str, str]:
        """The fingerprints of webhooks that are gone for good, and why."""
        async with self._state.read() as connection:
            rows = await connection.execute(select(dead_webhook.c.fingerprint, dead_webhook.c.error))
            return {fingerprint: error for fingerprint, error in rows}

    async def bury_webhook(self, fingerprint: str, error: str, *, message_id: int, now: datetime) -> None:
        """Never use this webhook again; what was being sent to it is dead."""
        async with self._state.write() as connection:
            await connection.execute(delete(dead_webhook).where(dead_webhook.c.fingerprint == fingerprint))
            await connection.execute(insert(dead_webhook).values(fingerprint=fingerprint, error=error, at=now))
            await _end(connection, _sending(message_id), MessageStatus.DEAD.value, error, now)

    async def holds(self) -> Mapping[str, tuple[Moment, float]]:
        """By webhook's fingerprint or service's name: until when nothing is sent, and how many seconds that was."""
        async with self._state.read() as connection:
            rows = (await connection.execute(select(delivery_hold))).mappings()
            return {row["scope"]: (Moment(row["boot_id"], row["until"]), row["seconds"]) for row in rows}

    async def hold(self, holds: Mapping[str, tuple[Moment, float]]) -> None:
        """Nothing is sent there until then."""
        async with self._state.write() as connection:
            await _hold(connection, holds)


def _sending(message_id: int) -> ColumnElement[bool]:
    return and_(message.c.id == message_id, message.c.status == MessageStatus.SENDING.value)


async def _end(
    connection: AsyncConnection, which: ColumnElement[bool], status: str, error: str | None, now: datetime
) -> int:
    """Settle messages: from now on nobody needs their bodies; how many."""
    ended = update(message).where(which).values(status=status, error=error, settled_at=now, body="")
    return (await connection.execute(ended)).rowcount


async def _hold(connection: AsyncConnection, holds: Mapping[str, tuple[Moment, float]]) -> None:
    for scope, (until, seconds) in holds.items():
        await connection.execute(delete(delivery_hold).where(delivery_hold.c.scope == scope))
        await connection.execute(
            insert(delivery_hold).values(scope=scope, boot_id=until.boot_id, until=until.seconds, seconds=seconds)
        )


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        yield ids[start : start + _IDS_A_STATEMENT]
