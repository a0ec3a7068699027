"""Many tenants' databases at once: how many are open, who waits for whom, and what a cancelled wait leaves behind."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from inara_daemon.roster_row import RosterRow
from inara_daemon.sandbox.backend import make_tenant_database
from inara_daemon.secret import Secret
from inara_daemon.store import engines, tenant_engines, transactions
from inara_daemon.store.engines import resolve_url
from inara_daemon.store.errors import DatabaseError, DatabaseFailure
from inara_daemon.store.tenant_db import RosterWrite, TenantDatabase
from inara_daemon.store.tenant_engines import TenantEngines
from inara_daemon.store.transactions import read_transaction, write_transaction
from tests.integration.store.test_tenant_db import TABLES
from tests.stage import rows, until

_QUICK_SECONDS = 5.0
"""Far less than any deadline that a held-up neighbour would wait for."""


def make_files(folder: Path, count: int) -> list[Path]:
    """A tenant's database each, with a commander of its own."""
    paths = [folder / f"tenant {number:03}.db" for number in range(count)]
    for path in paths:
        make_tenant_database(path, [path.stem], events=1)
    return paths


def files_open(folder: Path) -> int:
    """How many descriptors of this process lead into a folder."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found += descriptor.readlink().is_relative_to(folder)
        except OSError:  # the listing's own
            continue
    return found


def threads() -> int:
    """How many threads aiosqlite has."""
    return sum("_connection_worker_thread" in thread.name for thread in threading.enumerate())


async def names_of(database: TenantDatabase) -> list[str]:
    return [spelling.name async for chunk in database.spellings() for spelling in chunk]


@contextmanager
def locked(*paths: Path) -> Iterator[list[sqlite3.Connection]]:
    """Somebody else writes to these files and does not come to an end."""
    with ExitStack() as stack:
        others = [
            stack.enter_context(closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)))
            for path in paths
        ]
        for other in others:
            other.execute("BEGIN IMMEDIATE")
        yield others


class Files:
    """Transactions in files that share one engine and one gate, as the tenants' do."""

    def __init__(self, *, at_once: int = tenant_engines.FILES_AT_ONCE) -> None:
        self.engines = TenantEngines()
        self.gate = asyncio.Semaphore(at_once)
        self.at_once = at_once

    async def write(self, path: Path, body: Callable[[], Any] = lambda: asyncio.sleep(0)) -> None:
        engine = self.engines.engine(resolve_url(Secret(f"sqlite:///{path}"), Path("/")))
        async with write_transaction(engine, self.gate) as connection:
            await connection.execute(text("INSERT INTO cmdr (name) VALUES ('written')"))
            await body()

    async def assert_nothing_is_left(self, folder: Path) -> None:
        await until(lambda: not threads())
        gc.collect()  # an SQLite connection that opened after its thread was sent home is closed with the garbage
        assert files_open(folder) == 0
        assert self.gate._value == self.at_once


@pytest.mark.virtual_time
async def test_no_more_files_are_open_at_once_than_descriptors_and_threads_allow(tmp_path: Path) -> None:
    shared = TenantEngines()
    seen: list[tuple[int, int]] = []

    async def read(path: Path) -> None:
        url = resolve_url(Secret(f"sqlite:///{path}"), Path("/"))
        async with read_transaction(shared.engine(url), shared.gate(url)) as connection:
            await connection.execute(text("SELECT * FROM cmdr"))
            await asyncio.sleep(1.0)
            seen.append((files_open(tmp_path), threads()))

    await asyncio.gather(*(read(path) for path in make_files(tmp_path, 60)))
    most = tenant_engines.FILES_AT_ONCE
    assert max(descriptors for descriptors, _ in seen) <= 3 * most  # the file, its WAL and that one's index
    assert max(running for _, running in seen) == most
    assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.5)  # 24, 24, and the last 12
    await until(lambda: not files_open(tmp_path) and not threads())


@pytest.mark.virtual_time
async def test_isolation_files_that_somebody_holds_locked_keep_no_place_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.002)  # a wait in SQLite's thread takes real time
    *held, free = make_files(tmp_path, tenant_engines.FILES_AT_ONCE + 6 + 1)
    files = Files()
    with locked(*held) as others:
        waiting = [asyncio.create_task(files.write(path)) for path in held]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(_QUICK_SECONDS):
            await files.write(free)
        assert not any(task.done() for task in waiting)
        for other in others:
            other.execute("ROLLBACK")
        await asyncio.gather(*waiting)
    assert all("written" in rows(path) for path in (*held, free))
    await files.assert_nothing_is_left(tmp_path)


@pytest.mark.virtual_time
async def test_deadlines_a_wait_at_the_gate_is_not_the_databases(tmp_path: Path) -> None:
    (path,) = make_files(tmp_path, 1)
    files = Files(at_once=1)
    await files.gate.acquire()
    waiting = asyncio.create_task(files.write(path))
    await asyncio.sleep(3 * transactions.TRANSACTION_SECONDS)
    assert not waiting.done()
    files.gate.release()
    await waiting
    assert "written" in rows(path)


@pytest.mark.virtual_time
async def test_deadlines_a_file_found_locked_after_a_wait_at_the_gate_is_tried_for_the_whole_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.001)
    (path,) = make_files(tmp_path, 1)
    files = Files(at_once=1)
    await files.gate.acquire()
    with locked(path) as (other,):
        waiting = asyncio.create_task(files.write(path))
        await asyncio.sleep(2 * transactions.LOCKED_SECONDS)
        files.gate.release()
        await asyncio.sleep(0.8 * transactions.LOCKED_SECONDS)
        other.execute("ROLLBACK")
        await waiting
    assert "written" in rows(path)


@pytest.mark.virtual_time
async def test_deadlines_a_wait_at_the_gate_between_two_tries_is_not_the_databases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.001)
    path, neighbour = make_files(tmp_path, 2)
    files = Files(at_once=1)
    with locked(path) as (other,):
        waiting = asyncio.create_task(files.write(path))
        await asyncio.sleep(1.0)
        await files.gate.acquire()
        other.execute("ROLLBACK")
        await asyncio.sleep(2 * transactions.TRANSACTION_SECONDS)
        assert not waiting.done()
        files.gate.release()
        await waiting
    await files.write(neighbour)
    assert "written" in rows(path)


@pytest.mark.virtual_time
async def test_deadlines_a_file_that_stays_locked_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.001)
    (path,) = make_files(tmp_path, 1)
    files = Files(at_once=1)
    with locked(path), pytest.raises(DatabaseError, match="is locked by another process"):
        async with asyncio.timeout(2 * transactions.LOCKED_SECONDS):
            await files.write(path)
    assert asyncio.get_running_loop().time() == pytest.approx(transactions.LOCKED_SECONDS, abs=1.0)
    await files.assert_nothing_is_left(tmp_path)


async def _at_the_gate(files: Files, path: Path) -> asyncio.Task[None]:
    await files.gate.acquire()
    task = asyncio.create_task(files.write(path))
    await asyncio.sleep(0.01)
    asyncio.get_running_loop().call_later(0.05, files.gate.release)
    return task


async def _connecting(files: Files, path: Path) -> asyncio.Task[None]:
    task = asyncio.create_task(files.write(path))
    await until(threads)
    return task


async def _beginning(files: Files, path: Path) -> asyncio.Task[None]:
    task = asyncio.create_task(files.write(path))
    await until(lambda: files_open(path.parent) > 3)  # the holder has three
    return task


async def _in_the_body(files: Files, path: Path) -> asyncio.Task[None]:
    begun = asyncio.Event()

    async def body() -> None:
        begun.set()
        await asyncio.sleep(3_600)

    task = asyncio.create_task(files.write(path, body))
    await begun.wait()
    return task


@pytest.mark.parametrize("arrive", [_at_the_gate, _connecting, _beginning, _in_the_body])
async def test_whoever_is_cancelled_leaves_neither_a_place_taken_nor_a_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrive: Callable[[Files, Path], Any]
) -> None:
    (path,) = make_files(tmp_path, 1)
    files = Files(at_once=1)
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def connect_slowly(*arguments: Any, **named: Any) -> sqlite3.Connection:
        time.sleep(0.05)
        return connect(*arguments, **named)

    with ExitStack() as stack:
        if arrive is _beginning:
            stack.enter_context(locked(path))
        if arrive is _connecting:
            stack.enter_context(monkeypatch.context()).setattr(sqlite3, "connect", connect_slowly)
        task = await arrive(files, path)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0.1)
    await files.assert_nothing_is_left(tmp_path)
    assert "written" not in rows(path)
    await files.write(path)
    await files.assert_nothing_is_left(tmp_path)


async def test_whenever_many_are_cancelled_no_place_stays_taken_and_no_file_open(tmp_path: Path) -> None:
    paths = make_files(tmp_path, 6)
    files = Files(at_once=2)
    for steps in range(60):
        tasks = [asyncio.create_task(files.write(path)) for path in paths]
        for _ in range(steps):
            await asyncio.sleep(0.0001)
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            # Whoever was through before has written its row, which the next one can't write again.
            assert ended is None or isinstance(ended, asyncio.CancelledError | DatabaseError)
    await files.assert_nothing_is_left(tmp_path)
    assert all(set(rows(path)) <= {"written"} for path in paths)


@pytest.fixture
async def silent_url() -> Any:
    """The URL of a server that takes every connection and says nothing."""

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield f"postgresql://somebody:canary@127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    server.close()


async def test_isolation_a_server_that_says_nothing_holds_up_no_file_and_no_other_server(
    tmp_path: Path, postgres_url: str, silent_url: str
) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(TABLES)
    await connection.execute("INSERT INTO event (cmdr) VALUES ('Nova')")
    await connection.close()
    shared = TenantEngines()
    (path,) = make_files(tmp_path, 1)
    many = 5 * tenant_engines.CONNECTIONS_A_SERVER
    away = [TenantDatabase(Secret(silent_url), Path("/"), shared) for _ in range(many)]
    waiting = [asyncio.create_task(names_of(database)) for database in away]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(_QUICK_SECONDS):
        assert await names_of(TenantDatabase(Secret(postgres_url), Path("/"), shared)) == ["Nova"]
        assert await names_of(TenantDatabase(Secret(f"sqlite:///{path}"), Path("/"), shared)) == [path.stem]
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended)


async def test_no_server_gets_more_connections_at_once_than_are_meant_for_it(postgres_url: str) -> None:
    shared = TenantEngines()
    url = resolve_url(Secret(postgres_url), Path("/"))
    engine, gate = shared.engine(url), shared.gate(url)
    assert gate is shared.gate(url.set(database="another"))
    ours = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'inara-daemon'"
    )
    seen: list[int] = []

    async def look() -> None:
        async with read_transaction(engine, gate) as connection:
            await asyncio.sleep(0.02)
            seen.append(int(await connection.scalar(ours) or 0))

    await asyncio.gather(*(look() for _ in range(20)))
    assert max(seen) == tenant_engines.CONNECTIONS_A_SERVER


async def test_isolation_no_tenants_file_is_ever_taken_for_anothers(tmp_path: Path) -> None:
    shared = TenantEngines()
    paths = make_files(tmp_path, 120)
    databases = [TenantDatabase(Secret(f"sqlite:///{path}"), Path("/"), shared) for path in paths]

    async def use(path: Path, database: TenantDatabase) -> None:
        assert await names_of(database) == [path.stem]
        row = RosterRow({"rank_combat": path.stem[-3:]}, squadron_known=False)
        await database.apply([RosterWrite(path.stem, path.stem, 1, row)])
        found, highest = await database.spellings_since(1)
        assert ([spelling.name for spelling in found], highest) == ([path.stem], 1)

    await asyncio.gather(*(use(path, database) for path, database in zip(paths, databases, strict=True)))
    for path in paths:
        assert {name: row["rank_combat"] for name, row in rows(path).items()} == {path.stem: path.stem[-3:]}


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%20b", "ä b", "a&mode=ro"])
async def test_one_of_many_files_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.db"
    make_tenant_database(path, [name], events=1)
    shared = TenantEngines()
    url = resolve_url(Secret("sqlite:///x"), Path("/")).set(database=str(path))
    async with read_transaction(shared.engine(url), shared.gate(url)) as connection:
        assert (await connection.execute(text("SELECT cmdr FROM event"))).scalars().all() == [name]


def _remove(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _spoil(path: Path) -> None:
    for other in path.parent.glob(f"{path.name}-*"):
        other.unlink()
    path.write_text("no database, and long enough to be read as one " * 20)


_DAMAGE: Sequence[tuple[Callable[[Path], None], DatabaseFailure]] = (
    (_remove, DatabaseFailure.FILE_MISSING),
    (_empty, DatabaseFailure.TABLES_MISSING),
    (_spoil, DatabaseFailure.NOT_A_DATABASE),
)


async def test_every_failure_names_its_own_file_however_many_are_in_use(tmp_path: Path) -> None:
    shared = TenantEngines()
    paths = make_files(tmp_path, 40)
    expected: dict[Path, DatabaseFailure | None] = dict.fromkeys(paths)
    for number, path in enumerate(paths[::2]):
        damage, expected[path] = _DAMAGE[number % len(_DAMAGE)]
        damage(path)

    async def told(path: Path) -> tuple[DatabaseFailure | None, list[Path]]:
        try:
            await names_of(TenantDatabase(Secret(f"sqlite:///{path}"), Path("/"), shared))
        except DatabaseError as error:
            return error.failure, [other for other in paths if str(other) in str(error)]
        return None, []

    found = await asyncio.gather(*map(told, paths))
    assert found == [(expected[path], [path] if expected[path] else []) for path in paths]


async def test_a_locked_file_is_named_though_others_pass_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.001)
    monkeypatch.setattr(transactions, "LOCKED_SECONDS", 0.2)
    held, *others = make_files(tmp_path, 10)
    files = Files(at_once=2)
    with locked(held):
        ended = await asyncio.gather(*map(files.write, (held, *others)), return_exceptions=True)
    assert [str(error) for error in ended if error is not None] == [f"{held} is locked by another process"]
