"""Any spelling of a database's URL in, an engine for that very database out; what can't be meant is refused."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from inara_daemon.secret import Secret
from inara_daemon.store.engines import (
    describe,
    describe_engine,
    identity,
    open_engine,
    resolve_url,
)
from inara_daemon.store.errors import DatabaseError, DatabaseFailure
from inara_daemon.store.transactions import read_transaction, write_transaction

ROOT = Path("/nowhere/valk")
FILE_NAMES = ["plain.db", "with blank.db", "100%.db", "a#b.db", "a&b=c;d.db", "quote'\".db", "ünï 🚀.db"]


def resolve(uri: str, root: Path = ROOT) -> URL:
    return resolve_url(Secret(uri), root)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///db/bgs_data_x.db", "/nowhere/valk/db/bgs_data_x.db"),
        ("sqlite:////nowhere/else/x.db", "/nowhere/else/x.db"),
        ("sqlite+pysqlite:///db/x.db", "/nowhere/valk/db/x.db"),
        ("sqlite+aiosqlite:///db/x.db?timeout=5&check_same_thread=false", "/nowhere/valk/db/x.db"),
        ("sqlite:///file:db/x%20y.db?uri=true", "/nowhere/valk/db/x y.db"),
        ("sqlite:///db/../db/./x.db", "/nowhere/valk/db/x.db"),
        ("  sqlite:///db/x.db\n", "/nowhere/valk/db/x.db"),
    ],
)
def test_an_sqlite_url_names_a_file_below_the_root(uri: str, path: str) -> None:
    url = resolve(uri)
    assert url.drivername == "sqlite+aiosqlite"
    assert describe(url) == path
    assert identity(url) == f"sqlite:{path}"


def test_two_ways_to_one_file_are_one_database(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "db").symlink_to(tmp_path / "data")
    other = identity(resolve(f"sqlite:///{tmp_path}/data/x.db"))
    assert identity(resolve("sqlite:///db/x.db", tmp_path)) == other
    assert identity(resolve("sqlite:///db/y.db", tmp_path)) != other


@pytest.mark.parametrize(
    "uri",
    [
        "postgres://ann:canary@db:5433/bgs",
        "postgresql://ann:canary@db:5433/bgs?sslmode=require",
        "postgresql+psycopg2://ann:canary@db:5433/bgs?application_name=x",
        "postgresql+psycopg://ann:canary@db:5433/bgs?sslpassword=canary",
        "postgresql+asyncpg://ann:canary@db:5433/bgs",
        "postgresql://ann:other-canary@db:5433/bgs",
    ],
)
def test_every_spelling_of_a_postgresql_url_is_one_database_whose_password_nobody_sees(uri: str) -> None:
    url = resolve(uri)
    assert url.drivername == "postgresql+asyncpg"
    assert describe(url) == "postgresql+asyncpg://ann:***@db:5433/bgs"
    assert identity(url) == "postgresql:db:5433:bgs"


@pytest.mark.parametrize(
    ("uri", "other"),
    [
        ("postgresql://ann@db/bgs", "postgresql://ann@db:5433/bgs"),
        ("postgresql://ann@db/bgs", "postgresql://ann@db/other"),
        ("postgresql://ann@db/bgs", "postgresql://ann@elsewhere/bgs"),
        ("postgresql://ann@/bgs?host=/run/one", "postgresql://ann@/bgs?host=/run/two"),
        ("postgresql://ann@/bgs?host=/run/one", "postgresql://ann@/bgs"),
        ("postgresql://ann@db", "postgresql://bob@db"),
    ],
)
def test_other_hosts_ports_and_names_are_other_databases(uri: str, other: str) -> None:
    assert identity(resolve(uri)) != identity(resolve(other))


def test_the_usual_port_and_the_users_own_database_need_not_be_named() -> None:
    assert identity(resolve("postgresql://ann@db")) == identity(resolve("postgresql://ann@db:5432/ann"))


@pytest.mark.parametrize(
    "uri",
    [
        "canary",
        "",
        "mysql://ann:canary@db/bgs",
        "postgresql://ann:canary@db:canary/bgs",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///x?mode=memory&uri=true",
    ],
)
def test_what_names_no_file_and_no_server_is_a_bad_url_and_not_shown(uri: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        resolve(uri)
    assert caught.value.failure is DatabaseFailure.BAD_URL
    assert "canary" not in str(caught.value)


async def test_libpqs_arguments_reach_the_server_in_asyncpgs_spelling(postgres_url: str) -> None:
    query = (
        "sslmode=disable&application_name=valk&connect_timeout=3&target_session_attrs=read-write&keepalives=1"
        "&keepalives_idle=30&channel_binding=prefer&gssencmode=disable&client_encoding=utf8"
        "&options=-c%20statement_timeout%3D7s%20--lock_timeout%3D8s%20-csearch_path%3Dvalk"
    )
    engine = open_engine(resolve(f"{postgres_url}?{query}"))
    async with read_transaction(engine) as connection:
        names = ("application_name", "statement_timeout", "lock_timeout", "search_path")
        found = [await connection.scalar(text(f"SHOW {name}")) for name in names]
    assert found == ["valk", "7s", "8s", "valk"]


async def test_a_server_may_be_named_by_arguments_alone_and_learns_who_asks(postgres_url: str) -> None:
    url = resolve(postgres_url)
    engine = open_engine(resolve(f"postgresql://{url.username}@/{url.database}?host={url.host}&port={url.port}"))
    async with read_transaction(engine) as connection:
        assert await connection.scalar(text("SHOW application_name")) == "inara-daemon"
        assert await connection.scalar(text("SELECT current_database()")) == url.database


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("password=canary", "argument password is not supported"),
        ("sslpassword=canary&dbname=canary", "argument dbname, sslpassword is not supported"),
        ("sslmod=canary", "argument sslmod is not supported"),
        ("connect_timeout=canary", "connect_timeout must be a number of seconds"),
        ("sslmode=canary", "sslmode must be one of"),
        ("host=one,two,three&port=1,2", "host or port can't be read"),
        ("sslmode=verify-full&sslrootcert=/nowhere/root.crt", "certificate files can't be read"),
    ],
)
def test_an_argument_that_would_be_ignored_is_refused_by_its_name(query: str, told: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        open_engine(resolve(f"postgresql://ann:canary@db/bgs?{query}"))
    assert caught.value.failure is DatabaseFailure.BAD_URL
    assert told in str(caught.value)
    assert "canary" not in str(caught.value)


async def test_nothing_prepared_is_needed_again_as_pgbouncer_may_change_the_server_connection(
    postgres_url: str,
) -> None:
    engine = open_engine(resolve(postgres_url), pooled=True)
    statement = text("SELECT name FROM pg_prepared_statements")
    names: list[str] = []
    for _ in range(3):
        async with read_transaction(engine) as connection:
            names += await connection.scalars(statement)
            await connection.exec_driver_sql("DEALLOCATE ALL")  # as on another server connection: nothing is there
            names += await connection.scalars(statement)
            await connection.exec_driver_sql("DEALLOCATE ALL")
    await engine.dispose()
    # Nor do names clash with what another client prepared there.
    assert len(set(names)) == len(names) >= 6
    assert all(name.startswith("__inara_") for name in names)


@pytest.mark.parametrize("name", [*FILE_NAMES, "%41.db", "what?.db", "a?mode=memory#.db"])
async def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    url = URL.create("sqlite+aiosqlite", database=str(tmp_path / name))
    engine = open_engine(url, create=True)
    async with write_transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE it (value INTEGER)"))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert describe(url) == describe_engine(engine) == str(tmp_path / name)


@pytest.mark.parametrize("name", FILE_NAMES)
async def test_a_url_leads_to_the_file_that_it_names(tmp_path: Path, name: str) -> None:
    sqlite3.connect(tmp_path / name).close()
    async with read_transaction(open_engine(resolve(f"sqlite:///{name}", tmp_path))) as connection:
        (found,) = (await connection.exec_driver_sql("PRAGMA database_list")).mappings()
    assert found["file"] == str(tmp_path / name)


@pytest.mark.usefixtures("_threads_end_first")
async def test_a_path_in_a_circle_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(DatabaseError) as caught:  # Python 3.13 resolves it, and SQLite can't open it
        async with read_transaction(open_engine(resolve("sqlite:///one/x.db", tmp_path))):
            pass
    assert caught.value.failure in {DatabaseFailure.BAD_URL, DatabaseFailure.FILE_MISSING}


@pytest.fixture
async def _threads_end_first() -> AsyncIterator[None]:
    """A connection that could not be opened leaves its thread to end by itself, and that takes the loop."""
    yield
    while any("connection_worker" in thread.name for thread in threading.enumerate()):
        await asyncio.sleep(0.001)


@pytest.mark.usefixtures("_threads_end_first")
async def test_only_our_own_state_is_ever_created(tmp_path: Path) -> None:
    engine = open_engine(resolve("sqlite:///x.db", tmp_path))
    with pytest.raises(DatabaseError) as caught:
        async with write_transaction(engine):
            pass
    assert caught.value.failure is DatabaseFailure.FILE_MISSING
    assert list(tmp_path.iterdir()) == []


def open_files(path: Path) -> int:
    descriptors = Path("/proc/self/fd")
    return sum(path.name in str(link.readlink()) for link in descriptors.iterdir() if link.is_symlink())


async def test_an_idle_tenant_costs_no_file_and_a_pool_closes_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    for pooled in (False, True):
        engine = open_engine(resolve(f"sqlite:///{path}"), pooled=pooled)
        async with read_transaction(engine) as connection:
            await connection.execute(text("SELECT * FROM sqlite_master"))
        assert (open_files(path) > 0) is pooled
        await engine.dispose()
    assert open_files(path) == 0


@pytest.mark.parametrize(
    ("create", "pragmas"),
    [
        (True, {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 250}),
        (False, {"journal_mode": "delete", "busy_timeout": 250}),
    ],
)
async def test_our_own_state_survives_a_power_cut_and_another_programs_file_stays_as_it_is(
    tmp_path: Path, *, create: bool, pragmas: dict[str, object]
) -> None:
    (tmp_path / "x.db").touch()
    async with write_transaction(open_engine(resolve("sqlite:///x.db", tmp_path), create=create)) as connection:
        await connection.execute(text("CREATE TABLE it (value INTEGER)"))
        found = {name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in pragmas}
    assert found == pragmas
