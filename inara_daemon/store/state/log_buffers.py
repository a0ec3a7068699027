"""Log lines that wait to be told to a tenant or to the operator, and how many they were told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter
from sqlalchemy import RowMapping, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from inara_daemon.clock import Clock
from inara_daemon.log_lines import MESSAGE_SECONDS, Allowance, Digest, LogLine, join, that_fit
from inara_daemon.store.state.tables import log_buffer

_LINES = TypeAdapter(tuple[LogLine, ...])
_TOLD = TypeAdapter(tuple[tuple[float, int], ...])
_NONE = "[]"


@dataclass(frozen=True, slots=True)
class LogBuffer:
    """What waits for one destination, and what it may be told in this boot."""

    lines: tuple[LogLine, ...] = ()
    allowance: Allowance = field(default_factory=Allowance)


async def load(connection: AsyncConnection, destination: str, clock: Clock) -> LogBuffer:
    """What waits for a destination."""
    row = (await connection.execute(select(log_buffer).where(log_buffer.c.destination == destination))).mappings()
    found = row.first()
    return LogBuffer() if found is None else _buffer(found, clock)


async def waiting(connection: AsyncConnection, clock: Clock) -> Mapping[str, LogBuffer]:
    """For whom something waits, and what."""
    waits = or_(log_buffer.c.lines != _NONE, log_buffer.c.held_back > 0)
    rows = await connection.execute(select(log_buffer).where(waits))
    return {row["destination"]: _buffer(row, clock) for row in rows.mappings()}


async def add(
    connection: AsyncConnection, destination: str, lines: Iterable[LogLine], clock: Clock, *, held_back: int = 0
) -> None:
    """Keep lines, as far as there is room, until they are told."""
    before = await load(connection, destination, clock)
    joined, left_out = join(before.lines, lines)
    allowance = before.allowance
    after = replace(allowance, held_back=allowance.held_back + left_out + held_back)
    await _save(connection, destination, LogBuffer(joined, after), clock)


async def take(
    connection: AsyncConnection, destination: str, clock: Clock, *, room: int
) -> tuple[tuple[LogLine, ...], int]:
    """The first lines that fit into so many characters, and the number of those held back: a report tells them."""
    before = await load(connection, destination, clock)
    fitting = that_fit(before.lines, room)
    if before.lines or before.allowance.held_back:
        rest = LogBuffer(before.lines[fitting:], replace(before.allowance, held_back=0))
        await _save(connection, destination, rest, clock)
    return before.lines[:fitting], before.allowance.held_back


async def settle(connection: AsyncConnection, destination: str, digest: Digest, clock: Clock) -> None:
    """A message with these lines is being queued."""
    before = await load(connection, destination, clock)
    done = {line.identity for line in digest.told}
    left = tuple(line for line in before.lines if line.identity not in done)
    await _save(connection, destination, LogBuffer(left, digest.after), clock)


async def forget(connection: AsyncConnection, destination: str) -> None:
    """Nobody is there to be told."""
    await connection.execute(delete(log_buffer).where(log_buffer.c.destination == destination))


async def adopt(connection: AsyncConnection, clock: Clock) -> None:
    """Begin the waits of another boot anew, once: nobody can tell how much of them has passed."""
    rows = await connection.execute(select(log_buffer).where(log_buffer.c.boot_id != clock.boot_id))
    for row in rows.mappings().all():
        await _save(connection, row["destination"], _buffer(row, clock), clock)


def _buffer(row: RowMapping, clock: Clock) -> LogBuffer:
    next_at, told = row["next_at"], _TOLD.validate_json(row["told"])
    if row["boot_id"] != clock.boot_id:
        now = clock.boottime()
        next_at, told = now + MESSAGE_SECONDS, tuple((now, count) for _, count in told)
    return LogBuffer(_LINES.validate_json(row["lines"]), Allowance(next_at, told, row["held_back"]))


async def _save(connection: AsyncConnection, destination: str, buffer: LogBuffer, clock: Clock) -> None:
    await connection.execute(delete(log_buffer).where(log_buffer.c.destination == destination))
    values = {
        "destination": destination,
        "lines": _LINES.dump_json(buffer.lines).decode(),
        "held_back": buffer.allowance.held_back,
        "told": _TOLD.dump_json(buffer.allowance.told).decode(),
        "next_at": buffer.allowance.next_at,
        "boot_id": clock.boot_id,
    }
    await connection.execute(insert(log_buffer).values(values))
