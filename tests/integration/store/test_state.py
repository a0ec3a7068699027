"""The daemon's own database on SQLite and PostgreSQL: its tables, and what they keep over a restart."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, insert, inspect, select, text

from inara_daemon.secret import Secret
from inara_daemon.store.engines import open_engine, resolve_url
from inara_daemon.store.errors import DatabaseError, DatabaseFailure
from inara_daemon.store.state import runs
from inara_daemon.store.state.budget import BudgetTable
from inara_daemon.store.state.database import StateDatabase
from inara_daemon.store.state.lock import engine_lock
from inara_daemon.store.state.requests import RequestKind, RequestTable
from inara_daemon.store.state.runs import RunOutcome, RunReason
from inara_daemon.store.state.tables import metadata, run
from inara_daemon.store.transactions import read_transaction, write_transaction

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@asynccontextmanager
async def open_state(url: str) -> AsyncIterator[StateDatabase]:
    """The state as an engine opens it."""
    state = StateDatabase(resolve_url(Secret(url), Path("/")))
    try:
        await state.open()
        yield state
    finally:
        await state.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/state/state.db"


@pytest.fixture
async def state(url: str) -> AsyncIterator[StateDatabase]:
    async with open_state(url) as opened:
        yield opened


def _differences(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def _keys(connection: Connection) -> dict[str, list[str]]:
    found = inspect(connection)
    return {name: found.get_pk_constraint(name)["constrained_columns"] for name in found.get_table_names()}


async def test_migrations_make_exactly_the_tables_that_the_code_knows(state: StateDatabase) -> None:
    async with state.read() as connection:
        assert await connection.run_sync(_differences) == []
        keys = await connection.run_sync(_keys)
    expected = {name: [column.name for column in table.primary_key] for name, table in metadata.tables.items()}
    assert keys == expected | {"alembic_version": ["version_num"]}


async def test_opening_again_is_harmless_and_names_secrets_as_before(url: str) -> None:
    async with open_state(url) as state:
        await BudgetTable(state).start(boot_id="boot-1", base=7.0)
        name = state.fingerprint(Secret("canary"))
    for _ in range(2):
        async with open_state(url) as state:
            assert (await BudgetTable(state).load() or {})["base"] == 7.0
            assert state.fingerprint(Secret("canary")) == name
            assert state.fingerprint(Secret("other")) != name
    assert "canary" not in name


async def test_first_starts_at_once_wait_for_each_other(url: str) -> None:
    async def start() -> str:
        async with open_state(url) as state:
            return state.fingerprint(Secret("canary"))

    assert len(set(await asyncio.gather(start(), start(), start()))) == 1


async def test_a_fingerprint_is_of_no_use_elsewhere(tmp_path: Path) -> None:
    async with open_state(f"sqlite:///{tmp_path}/one.db") as one, open_state(f"sqlite:///{tmp_path}/two.db") as two:
        assert one.fingerprint(Secret("canary")) != two.fingerprint(Secret("canary"))


async def test_a_migration_that_fails_leaves_nothing_behind(url: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    engine = open_engine(resolve_url(Secret(url), Path("/")), create=True)
    async with write_transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE tenant (somebody_elses INTEGER)"))
    with pytest.raises(DatabaseError):
        async with open_state(url):
            pass
    async with read_transaction(engine) as connection:
        assert set(await connection.run_sync(_keys)) == {"tenant"}


@pytest.fixture
def _careless_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_careless_umask")
async def test_secrets_nobody_else_may_read_the_state_or_what_sqlite_puts_beside_it(tmp_path: Path) -> None:
    async with open_state(f"sqlite:///{tmp_path}/deep/state/state.db"):
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep" / "state").iterdir()}
    assert found == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "deep" / "state").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
async def test_what_root_makes_belongs_to_whom_the_folder_belongs_to(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 2345)
    async with open_state(f"sqlite:///{tmp_path}/state.db") as state:
        held = engine_lock(state)
        await held.acquire()
        owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()}
        await held.release()
    names = ("state.db", "state.db-wal", "state.db-shm", "state.db.lock")
    assert owners == dict.fromkeys(names, (1234, 2345))


@pytest.mark.virtual_time
async def test_deadlines_a_writer_waits_half_a_minute_for_its_turn(tmp_path: Path) -> None:
    async with open_state(f"sqlite:///{tmp_path}/state.db") as state, state.write():
        with pytest.raises(DatabaseError, match=r"state\.db can't be written") as caught:
            await BudgetTable(state).settle(number=1, base=1.0)
    assert caught.value.failure is DatabaseFailure.LOCKED
    assert asyncio.get_running_loop().time() == pytest.approx(30.0, abs=0.1)


async def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"file/state\.db can't be made") as caught:
        async with open_state(f"sqlite:///{tmp_path}/file/state.db"):
            pass
    assert caught.value.failure is DatabaseFailure.NO_PERMISSION


async def test_budget_a_request_is_granted_only_to_who_saw_the_latest_one(state: StateDatabase) -> None:
    budget = BudgetTable(state)
    assert await budget.load() is None
    assert not await budget.grant(seen=0, boot_id="boot-1", base=1.0)
    await budget.start(boot_id="boot-1", base=1.0)
    tries = [budget.grant(seen=0, boot_id="boot-1", base=2.5) for _ in range(5)]
    assert sorted(await asyncio.gather(*tries)) == [False] * 4 + [True]
    assert await budget.load() == {"id": 1, "boot_id": "boot-1", "base": 2.5, "open": True, "requests": 1}
    assert not await budget.grant(seen=1, boot_id="boot-2", base=3.0)
    await budget.settle(number=0, base=9.0)  # too late: another one was granted since
    assert await budget.load() == {"id": 1, "boot_id": "boot-1", "base": 2.5, "open": True, "requests": 1}
    await budget.settle(number=1, base=4.0)
    assert await budget.load() == {"id": 1, "boot_id": "boot-1", "base": 4.0, "open": False, "requests": 1}
    await budget.start(boot_id="boot-2", base=5.0)
    assert await budget.load() == {"id": 1, "boot_id": "boot-2", "base": 5.0, "open": False, "requests": 1}


async def test_budget_a_pause_replaces_the_one_of_its_scope(state: StateDatabase) -> None:
    budget = BudgetTable(state)
    values = {"reason": "limited", "text": "slow down", "boot_id": "boot-1", "until": 1e9 + 0.25, "seconds": 3600.0}
    values |= {"level": 0, "batch_limit": None, "suspicion": {"names": ["nova"], "others_worked": True}}
    await budget.save_pause("*", values)
    await budget.save_pause("*", values | {"level": 3, "until": None})
    await budget.save_pause("key", values)
    found = {row["scope"]: row for row in await budget.pauses()}
    assert found == {
        "*": values | {"scope": "*", "level": 3, "until": None},
        "key": values | {"scope": "key"},
    }
    await budget.delete_pause("*")
    assert [row["scope"] for row in await budget.pauses()] == ["key"]


async def test_a_request_is_followed_to_its_result_and_its_number_never_comes_again(state: StateDatabase) -> None:
    table = RequestTable(state)
    first = await table.ask(RequestKind.SYNC, {"tenants": ["alpha"]}, NOW)
    second = await table.ask(RequestKind.TEST_WEBHOOK, {}, NOW)
    assert await table.save_progress(first, {"done": 3})
    assert [(asked.id, asked.taken) for asked in await table.unfinished()] == [(first, True), (second, False)]
    await table.finish(second, {"well": True})
    done = await table.load(second)
    assert done is not None
    assert (done.kind, done.created_at, done.result) == (RequestKind.TEST_WEBHOOK, NOW, {"well": True})
    assert [(asked.id, asked.progress) for asked in await table.unfinished()] == [(first, {"done": 3})]
    await table.forget(second)
    assert await table.load(second) is None
    assert not await table.save_progress(second, {})
    assert await table.ask(RequestKind.SYNC, {}, NOW) == second + 1
    # Nobody fetched the result of the first one.
    await table.ask(RequestKind.SYNC, {}, NOW + 7 * DAY + timedelta(seconds=1))
    assert await table.load(first) is None


async def start_run(
    state: StateDatabase, tenant: str = "alpha", reason: RunReason = RunReason.CRON, **more: Any
) -> int:
    async with state.write() as connection:
        started = await runs.start(
            connection, tenant_id=tenant, reason=reason, started_at=NOW, deadline=None, first_request=5, **more
        )
    return started.id


async def test_a_run_is_kept_from_its_start_to_its_outcome(state: StateDatabase) -> None:
    number = await start_run(state, request_id=9, only=["nova", "zoë"])
    async with state.write() as connection:
        await runs.save_tally(connection, number, {"answered": 1})
        for text_ in ("HTTP 503", "HTTP 503", "HTTP 502"):
            await runs.add_problem(connection, number, "outage", text_)
        open_one = await runs.open_run(connection, "alpha")
        assert open_one == await runs.load(connection, number) == (await runs.of_request(connection, 9))[0]
        assert await runs.open_run(connection, "beta") is None
    assert open_one is not None
    assert (open_one.only, open_one.tally, open_one.outcome) == (("nova", "zoë"), {"answered": 1}, None)
    assert open_one.problems == (("outage", "HTTP 503"), ("outage", "HTTP 502"))
    async with state.write() as connection:
        await runs.end(connection, number, ended_at=NOW + DAY, outcome=RunOutcome.INCOMPLETE, tally={"answered": 2})
    async with state.read() as connection:
        ended = await runs.load(connection, number)
        assert await runs.open_run(connection, "alpha") is None
    assert ended is not None
    assert (ended.started_at, ended.ended_at, ended.outcome) == (NOW, NOW + DAY, RunOutcome.INCOMPLETE)
    assert ended.tally == {"answered": 2}


async def test_the_latest_full_run_is_the_newest_that_asked_for_the_whole_roster(state: StateDatabase) -> None:
    full = await start_run(state)
    await start_run(state, reason=RunReason.DISCOVERY)
    newest = await start_run(state, reason=RunReason.REQUEST, only=["nova"])
    await start_run(state, tenant="beta")
    async with state.read() as connection:
        latest, latest_full = await runs.latest(connection, "alpha"), await runs.latest(connection, "alpha", full=True)
    assert (latest and latest.id, latest_full and latest_full.id) == (newest, full)


async def test_two_hundred_runs_of_each_tenant_are_kept(state: StateDatabase) -> None:
    old = {"reason": "cron", "started_at": NOW, "ended_at": NOW, "outcome": "complete", "first_request": 0}
    async with state.write() as connection:
        await connection.execute(insert(run), [old | {"tenant_id": name} for name in ("alpha", "beta") * 205])
        await runs.prune(connection, "alpha")
        await runs.prune(connection, "nobody")
        counted = await connection.execute(
            select(run.c.tenant_id, func.count(), func.max(run.c.id)).group_by(run.c.tenant_id)
        )
        assert sorted(tuple(row) for row in counted) == [("alpha", 200, 409), ("beta", 205, 410)]
