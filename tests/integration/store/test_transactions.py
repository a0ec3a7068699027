"""Transactions on shared files and servers: whom they wait for, whom they leave alone, and when they end."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from inara_daemon.secret import Secret
from inara_daemon.store import engines, transactions
from inara_daemon.store.engines import open_engine, resolve_url
from inara_daemon.store.errors import DatabaseError, DatabaseFailure
from inara_daemon.store.transactions import read_transaction, write_transaction


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A counter in a file that another program made."""
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE counter (value INTEGER)")
        connection.execute("INSERT INTO counter VALUES (0)")
    return tmp_path / "x.db"


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program at work on that file, which does not wait."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


def engine_of(path: Path) -> AsyncEngine:
    return open_engine(resolve_url(Secret(f"sqlite:///{path}"), Path("/")))


async def count_one(engine: AsyncEngine) -> None:
    """Read, then write what follows from it."""
    async with write_transaction(engine) as connection:
        value = await connection.scalar(text("SELECT value FROM counter"))
        await asyncio.sleep(0)
        await connection.execute(text("UPDATE counter SET value = :value"), {"value": (value or 0) + 1})


async def counted(engine: AsyncEngine) -> int:
    async with read_transaction(engine) as connection:
        return int(await connection.scalar(text("SELECT value FROM counter")) or 0)


async def test_a_writer_has_the_write_lock_before_it_reads(path: Path, other: sqlite3.Connection) -> None:
    async with write_transaction(engine_of(path)) as connection:
        await connection.scalar(text("SELECT value FROM counter"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE counter SET value = 5")
        await connection.execute(text("UPDATE counter SET value = 7"))
    assert await counted(engine_of(path)) == 7


async def test_a_reader_blocks_no_writer(path: Path, other: sqlite3.Connection) -> None:
    async with read_transaction(engine_of(path)) as connection:
        assert await connection.scalar(text("SELECT value FROM counter")) == 0
        other.execute("UPDATE counter SET value = 5")
    assert await counted(engine_of(path)) == 5


async def test_writers_in_one_file_wait_for_each_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.005)
    one, two = engine_of(path), engine_of(path)
    await asyncio.gather(*(count_one(engine) for engine in (one, two) for _ in range(6)))
    assert await counted(one) == 12


@pytest.mark.virtual_time
async def test_deadlines_a_file_that_is_locked_while_it_is_opened_is_waited_for(
    path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_state() -> None:
        async with write_transaction(open_engine(resolve_url(Secret(f"sqlite:///{path}"), path), create=True)):
            pass

    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.001)
    other.execute("PRAGMA journal_mode=DELETE")  # so that opening it as ours has something to change
    other.execute("BEGIN EXCLUSIVE")
    opening = asyncio.create_task(open_state())
    await asyncio.sleep(2.0)
    assert not opening.done()
    other.rollback()
    await opening
    with closing(sqlite3.connect(path)) as fresh:
        assert fresh.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_what_fails_halfway_leaves_nothing_and_fails_as_it_did(path: Path) -> None:
    async def fail() -> None:
        async with write_transaction(engine_of(path)) as connection:
            await connection.execute(text("UPDATE counter SET value = 9"))
            raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        await fail()
    await count_one(engine_of(path))
    assert await counted(engine_of(path)) == 1


@pytest.mark.virtual_time
async def test_deadlines_a_transaction_that_takes_too_long_ends_and_leaves_nothing(
    path: Path, other: sqlite3.Connection
) -> None:
    async def dawdle() -> None:
        async with write_transaction(engine_of(path)) as connection:
            await connection.execute(text("UPDATE counter SET value = 9"))
            await asyncio.sleep(3_600)

    with pytest.raises(DatabaseError, match=r"x\.db did not answer within 45 s") as caught:
        await dawdle()
    assert caught.value.failure is DatabaseFailure.UNREACHABLE
    assert asyncio.get_running_loop().time() == pytest.approx(45.0, abs=0.1)
    assert other.execute("SELECT value FROM counter").fetchone() == (0,)
    other.execute("BEGIN IMMEDIATE")


async def test_deadlines_a_statement_that_takes_too_long_ends(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "TRANSACTION_SECONDS", 0.1)
    engine = open_engine(resolve_url(Secret(postgres_url), Path("/")))
    begun = asyncio.get_running_loop().time()
    with pytest.raises(DatabaseError, match="did not answer within"):
        async with read_transaction(engine) as connection:
            await connection.execute(text("SELECT pg_sleep(20)"))
    assert asyncio.get_running_loop().time() - begun < 5
