"""Short transactions on any engine: patient with locks, bounded in time and number, failures told apart."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from inara_daemon.store.engines import chosen_file, describe_engine
from inara_daemon.store.errors import DatabaseError, DatabaseFailure, explain

LOCKED_SECONDS = 30.0
"""For how long a locked SQLite file is tried again on the loop."""
TRANSACTION_SECONDS = 45.0
"""The deadline of one whole transaction."""
_LOCKED_NAP_SECONDS = 0.1


@asynccontextmanager
async def read_transaction(
    engine: AsyncEngine, gate: asyncio.Semaphore | None = None
) -> AsyncIterator[AsyncConnection]:
    """A connection that only reads; on SQLite each statement sees the newest state. Raises DatabaseError."""
    async with _transaction(engine, gate, writes=False) as connection:
        yield connection


@asynccontextmanager
async def write_transaction(
    engine: AsyncEngine, gate: asyncio.Semaphore | None = None
) -> AsyncIterator[AsyncConnection]:
    """A transaction that may write, committed at the end of the block. Raises DatabaseError."""
    async with _transaction(engine, gate, writes=True) as connection:
        yield connection


@asynccontextmanager
async def _transaction(
    engine: AsyncEngine, gate: asyncio.Semaphore | None, *, writes: bool
) -> AsyncIterator[AsyncConnection]:
    place = describe_engine(engine)
    gate = gate or asyncio.Semaphore()
    try:
        async with asyncio.timeout(None) as limit:
            connection = await _begin_patiently(engine, gate, limit, writes=writes)
            try:
                yield connection
                if writes:
                    await connection.commit()
            finally:
                try:
                    await asyncio.shield(connection.close())
                finally:
                    gate.release()
    except TimeoutError as error:
        text = f"{place} did not answer within {TRANSACTION_SECONDS:.0f} s"
        raise DatabaseError(DatabaseFailure.UNREACHABLE, text) from error
    except (SQLAlchemyError, OSError, sqlite3.Error) as error:
        failure = explain(error, place)
        if failure.failure is DatabaseFailure.FILE_MISSING and _is_missing_file(engine.url, place):
            text = f"{place} does not exist: check db_uri and the root of relative paths (INARA_DAEMON_DB_ROOT)"
            failure = DatabaseError(DatabaseFailure.FILE_MISSING, text)
        raise failure from error


async def _begin_patiently(
    engine: AsyncEngine, gate: asyncio.Semaphore, limit: asyncio.Timeout, *, writes: bool
) -> AsyncConnection:
    """Pass the gate and begin; while another process holds SQLite's lock, others may pass between two tries."""
    loop = asyncio.get_running_loop()
    give_up_at: float | None = None
    while True:
        limit.reschedule(None)  # a wait at the gate is not the database's
        await gate.acquire()
        limit.reschedule(loop.time() + TRANSACTION_SECONDS)
        try:
            return await _begin(engine, writes=writes)
        except (DBAPIError, sqlite3.Error) as error:
            gate.release()
            give_up_at = give_up_at or loop.time() + LOCKED_SECONDS
            if "locked" not in str(error) or loop.time() > give_up_at:
                raise
        except BaseException:
            gate.release()
            raise
        await asyncio.sleep(_LOCKED_NAP_SECONDS)


async def _begin(engine: AsyncEngine, *, writes: bool) -> AsyncConnection:
    connection = await _connect(engine)
    try:
        await connection.execution_options(writes=writes)
        await connection.begin()
    except BaseException:
        await asyncio.shield(connection.close())
        raise
    return connection


async def _connect(engine: AsyncEngine) -> AsyncConnection:
    try:
        with chosen_file(engine):
            return await engine.connect()
    except (SQLAlchemyError, OSError, sqlite3.Error):
        raise
    except Exception as error:  # SQLAlchemy 2.0 lets asyncpg's own exceptions through while it connects
        raise explain(error, describe_engine(engine)) from error


def _is_missing_file(url: URL, place: str) -> bool:
    """SQLite says `unable to open` for a missing file and for a closed folder alike; people need to know which."""
    try:
        return url.drivername.startswith("sqlite") and not Path(place).exists()
    except OSError:
        return False  # not ours to see
