"""Who waits for whom to write the state, and whose trouble it is when nobody can."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from inara_daemon.store import engines, transactions
from inara_daemon.store.errors import DatabaseFailure, StateError
from inara_daemon.store.state import database
from inara_daemon.store.state.database import StateDatabase
from tests.integration.store.test_state import open_state

_MANY = 200


async def test_who_is_in_a_hurry_waits_for_no_more_than_two_of_two_hundred_writers(state: StateDatabase) -> None:
    done: list[str] = []

    async def write(name: str, *, urgent: bool = False) -> None:
        async with state.write(urgent=urgent) as connection:
            await connection.execute(text("UPDATE budget SET requests = requests"))
            done.append(name)

    ordinary = [asyncio.create_task(write("ordinary")) for _ in range(_MANY)]
    while len(done) < 3:
        await asyncio.sleep(0)
    before = len(done)
    await write("urgent", urgent=True)
    assert done.index("urgent") - before <= 2
    await asyncio.gather(*ordinary)
    assert done.count("ordinary") == _MANY


async def test_the_urgent_are_served_in_the_order_in_which_they_came(state: StateDatabase) -> None:
    done: list[int] = []

    async def write(number: int) -> None:
        async with state.write(urgent=True):
            done.append(number)

    await asyncio.gather(*map(write, range(10)))
    assert done == list(range(10))


@pytest.mark.virtual_time
async def test_deadlines_who_is_in_a_hurry_waits_for_no_longer_than_everybody_else(tmp_path: Path) -> None:
    async with open_state(f"sqlite:///{tmp_path}/state.db") as state, state.write():
        with pytest.raises(StateError, match=r"state\.db can't be written"):
            async with state.write(urgent=True):
                pass
    assert asyncio.get_running_loop().time() == pytest.approx(database.WRITER_SECONDS, abs=0.1)


async def test_whoever_leaves_the_queue_of_writers_leaves_no_turn_taken(state: StateDatabase) -> None:
    async def write(*, urgent: bool) -> None:
        async with state.write(urgent=urgent):
            await asyncio.sleep(0)

    for steps in range(30):
        writers = [asyncio.create_task(write(urgent=number % 5 == 0)) for number in range(10)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
    async with asyncio.timeout(5):
        await write(urgent=False)
        await write(urgent=True)


async def test_a_state_that_somebody_holds_locked_is_nobodys_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.01)
    monkeypatch.setattr(transactions, "LOCKED_SECONDS", 0.1)
    async with open_state(f"sqlite:///{tmp_path}/state.db") as state:
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StateError, match=r"state\.db is locked by another process") as caught:
                async with state.write():
                    pass
        async with state.write():
            pass
    assert caught.value.failure is DatabaseFailure.LOCKED


@pytest.mark.parametrize("writes", [True, False], ids=["writing", "reading"])
async def test_what_the_state_refuses_is_its_own_trouble(state: StateDatabase, *, writes: bool) -> None:
    transaction = state.write if writes else state.read
    with pytest.raises(StateError):
        async with transaction() as connection:
            await connection.execute(text("SELECT * FROM of_no_such_table"))


async def test_what_fails_for_another_reason_fails_as_it_did(state: StateDatabase) -> None:
    with pytest.raises(LookupError, match="ours"):
        async with state.write():
            raise LookupError("ours")
    async with state.write():
        pass
