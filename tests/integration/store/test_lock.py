"""Who may be the engine: one holder, however it ends, and a successor as soon as it may."""

from __future__ import annotations

import asyncio
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from inara_daemon.store.errors import DatabaseError, DatabaseFailure
from inara_daemon.store.state import lock
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.lock import LEASE_SECONDS, FileLock, LeaseLock, engine_lock
from inara_daemon.store.state.tables import engine_lease
from tests.integration.store.test_state import open_state

_HOLD = """
import asyncio, pathlib, sys
from inara_daemon.store.state.lock import FileLock
async def hold():
    print(await FileLock(pathlib.Path(sys.argv[1])).acquire(), flush=True)
    await asyncio.sleep(600)
asyncio.run(hold())
"""


async def test_a_file_has_one_holder_who_may_ask_again(tmp_path: Path) -> None:
    one, two = FileLock(tmp_path / "state.db.lock"), FileLock(tmp_path / "state.db.lock")
    assert await one.acquire()
    assert await one.acquire()
    assert not await two.acquire()
    await two.release()
    assert not await two.acquire()
    await one.release()
    await one.release()
    assert await two.acquire()
    assert not await one.acquire()
    await two.release()


async def test_a_killed_engine_lets_go_at_once(tmp_path: Path) -> None:
    path = tmp_path / "state.db.lock"
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLD, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert engine.stdout is not None
    assert await engine.stdout.readline() == b"True\n"
    successor = FileLock(path)
    assert not await successor.acquire()
    engine.send_signal(signal.SIGKILL)
    await engine.wait()
    assert await successor.acquire()
    await successor.release()


async def test_the_lock_stands_beside_the_state_and_is_closed_to_others(tmp_path: Path) -> None:
    async with open_state(f"sqlite:///{tmp_path}/state.db") as state:
        held = engine_lock(state)
        assert await held.acquire()
        assert stat.S_IMODE((tmp_path / "state.db.lock").stat().st_mode) == 0o600
        await held.release()


async def test_a_lock_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"x\.lock can't be opened: No such file") as caught:
        await FileLock(tmp_path / "nowhere" / "x.lock").acquire()
    assert caught.value.failure is DatabaseFailure.NO_PERMISSION


@pytest.mark.virtual_time
@pytest.mark.parametrize("replaced", [False, True])
async def test_who_deletes_the_file_lets_another_one_lead_and_the_holder_notices(
    tmp_path: Path, *, replaced: bool
) -> None:
    path = tmp_path / "x.lock"
    one, two = FileLock(path), FileLock(path)
    await one.acquire()
    keeping = asyncio.create_task(one.keep())
    await asyncio.sleep(86_400)
    assert not keeping.done()
    path.unlink()
    if replaced:
        assert await two.acquire()
    assert await asyncio.wait_for(keeping, LEASE_SECONDS) == f"{path} was deleted or replaced"
    await one.release()
    await two.release()


@pytest.fixture
async def states(postgres_url: str) -> AsyncIterator[list[StateDatabase]]:
    """One state as several hosts have it open."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_state(postgres_url)) for _ in range(3)]


async def lease_left(state: StateDatabase) -> timedelta:
    """For how long the lease holds, by the database's clock."""
    async with state.read() as connection:
        until = await connection.scalar(select(engine_lease.c.until))
        now = await connection.scalar(select(func.clock_timestamp()))
    assert isinstance(until, datetime)
    assert isinstance(now, datetime)
    return until - now


async def let_lease_end(state: StateDatabase) -> None:
    async with state.write() as connection:
        await connection.execute(update(engine_lease).values(until=func.clock_timestamp() - timedelta(milliseconds=1)))


async def test_a_lease_has_one_holder_even_when_all_ask_at_once(states: list[StateDatabase]) -> None:
    locks = [LeaseLock(state) for state in states * 2]
    for _ in range(3):
        assert sorted(await asyncio.gather(*(each.acquire() for each in locks))) == [False] * 5 + [True]
    left = await lease_left(states[0])
    assert timedelta(seconds=LEASE_SECONDS - 2) < left <= timedelta(seconds=LEASE_SECONDS)


async def test_a_lease_is_taken_over_when_it_ended_and_not_before(states: list[StateDatabase]) -> None:
    one, two = LeaseLock(states[0]), LeaseLock(states[1])
    assert await one.acquire()
    assert not await two.acquire()
    await let_lease_end(states[2])
    assert await two.acquire()
    assert not await one.acquire()
    assert await two.acquire()


async def test_a_released_lease_is_free_at_once_and_only_its_holder_can_release_it(states: list[StateDatabase]) -> None:
    one, two = LeaseLock(states[0]), LeaseLock(states[1])
    await one.acquire()
    await two.release()
    assert not await two.acquire()
    await one.release()
    assert await two.acquire()
    await one.release()
    assert not await one.acquire()


async def test_a_lease_is_kept_by_renewing_it_and_lost_when_another_took_it(
    states: list[StateDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.02)
    one, two = LeaseLock(states[0]), LeaseLock(states[1])
    await one.acquire()
    await let_lease_end(states[2])
    keeping = asyncio.create_task(one.keep())
    while await lease_left(states[2]) < timedelta(seconds=LEASE_SECONDS - 2):
        await asyncio.sleep(0.01)
    assert not await two.acquire()
    assert not keeping.done()
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.5)
    await let_lease_end(states[2])
    while not await two.acquire():
        await let_lease_end(states[2])
    assert await asyncio.wait_for(keeping, 5) == "another process has taken the lead"
    assert await two.acquire()


async def test_a_lease_stands_in_the_state_of_several_hosts(states: list[StateDatabase]) -> None:
    assert isinstance(engine_lock(states[0]), LeaseLock)


class _Scripted(LeaseLock):
    """Renewing takes so many seconds and fails, or succeeds at once where there is None."""

    def __init__(self, *renewals: float | None) -> None:
        self._renewals = iter(renewals)

    async def acquire(self) -> bool:
        seconds = next(self._renewals, 0.0)
        if seconds is None:
            return True
        await asyncio.sleep(seconds)
        raise DatabaseError(DatabaseFailure.UNREACHABLE, "away")


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("renewals", "renewed_at"),
    [((), 0.0), ((600.0, 600.0, 600.0), 0.0), ((0.0, None), 10.0), ((None, None, None, None), 20.0)],
    ids=["unreachable", "hanging", "once renewed", "long renewed"],
)
async def test_deadlines_a_lease_that_can_not_be_renewed_is_given_up_before_it_ends(
    renewals: tuple[float | None, ...], renewed_at: float
) -> None:
    await _Scripted(*renewals).keep()
    given_up = asyncio.get_running_loop().time()
    assert renewed_at + LEASE_SECONDS / 2 < given_up <= renewed_at + LEASE_SECONDS
